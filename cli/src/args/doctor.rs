//! `skep doctor`.

/// What is wrong, and the fix
#[derive(clap::Args)]
pub(crate) struct Doctor {
    /// Print every setting in effect and where it comes from
    #[arg(long)]
    pub(crate) config: bool,
}
