//! `skep verify …`.

/// Say why a release is trusted or not
#[derive(clap::Args)]
pub(crate) struct Verify {
    /// `REPO/NAME[@VERSION]`
    pub(crate) reference: String,
    /// Also name every operation of the repository that has no effect, and why
    #[arg(long)]
    pub(crate) explain: bool,
}
