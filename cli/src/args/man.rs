//! `skep man DIR`.

use std::path::PathBuf;

/// Write the manual: a page of man for every verb, and for what they have in common
#[derive(clap::Args)]
pub(crate) struct Man {
    /// The folder of manuals, such as /usr/local/share/man: pages go to man1 and man7 in it
    #[arg(value_name = "DIR")]
    pub(crate) dir: PathBuf,
}
