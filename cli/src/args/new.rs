//! `skep new …`.

use std::path::PathBuf;

/// Start a package
#[derive(clap::Args)]
pub(crate) struct New {
    /// Its name
    pub(crate) name: String,
    /// Read the facts from a compiled object, and copy it in
    #[arg(long, value_name = "OBJECT.o", conflicts_with = "hook")]
    pub(crate) from: Option<PathBuf>,
    /// Where the program of the template attaches
    #[arg(long, value_name = "HOOK", default_value = "xdp")]
    pub(crate) hook: String,
}
