//! `skep mirror`.

use std::path::PathBuf;

/// What this node keeps of others, as files
#[derive(clap::Args)]
pub(crate) struct Mirror {
    /// Write l3afd's layout into a folder: what is here and admitted, for `file://` URLs
    #[arg(long, value_name = "DIR")]
    pub(crate) tree: PathBuf,
    /// Code names that machines may ask by, joined by commas [those of Ubuntu and Debian]
    #[arg(long, value_name = "WORD", value_delimiter = ',', requires = "tree")]
    pub(crate) platform: Vec<String>,
}
