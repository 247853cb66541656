//! `skep info …`.

/// Everything about one package or release
#[derive(clap::Args)]
pub(crate) struct Info {
    /// `REPO/NAME[@VERSION]`
    pub(crate) reference: String,
}
