//! `skep doctor`.

use std::path::PathBuf;

/// What is wrong, and the fix
#[derive(clap::Args)]
pub(crate) struct Doctor {
    /// Print every setting in effect and where it comes from
    #[arg(long)]
    pub(crate) config: bool,
    /// Look at l3afd instead: its configuration, and a payload that is to be posted to it
    #[arg(long, num_args = 1..=2, value_names = ["CONFIG", "PAYLOAD"], conflicts_with = "config")]
    pub(crate) l3afd: Vec<PathBuf>,
}
