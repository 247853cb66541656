//! `skep demo`.

/// Three nodes on this machine pass a signed package along
#[derive(clap::Args)]
pub(crate) struct Demo {
    /// Leave the nodes and their homes, and say what to try by hand
    #[arg(long)]
    pub(crate) keep: bool,
}
