//! `skep get …`.

use std::path::PathBuf;

/// Fetch a release, verified, if you trust its publisher
#[derive(clap::Args)]
pub(crate) struct Get {
    /// `REPO/NAME`, `REPO/NAME@VERSION`, a ticket `skept1…`, or a file `./NAME.skep`
    pub(crate) reference: String,
    /// Where to put the folder NAME-VERSION
    #[arg(short, long, value_name = "DIR", default_value = ".")]
    pub(crate) output: PathBuf,
    /// Skip the policy, never the hashes and signatures
    #[arg(long)]
    pub(crate) normal: bool,
    /// Take a version that was yanked
    #[arg(long)]
    pub(crate) allow_yanked: bool,
    /// Take another manifest than was admitted under this version before
    #[arg(long)]
    pub(crate) accept_change: bool,
    /// Print the signed manifest as a DSSE envelope in JSON, and fetch no file
    #[arg(long)]
    pub(crate) dsse: bool,
}
