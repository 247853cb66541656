//! `skep trust …`.

/// Whom you believe, and for what
#[derive(clap::Args)]
pub(crate) struct Trust {
    /// Absent: list the rules
    #[command(subcommand)]
    pub(crate) action: Option<Action>,
}

#[derive(clap::Subcommand)]
pub(crate) enum Action {
    /// Trust whoever owns a package, or a handle, to publish
    Add {
        /// `REPO/PACKAGE` (its owner is meant) or `REPO/LABEL` of a handle
        what: String,
        /// What they may publish: a name, or a pattern such as '*' [default: the package; of a handle: '*']
        #[arg(long = "for", value_name = "GLOB")]
        names: Option<String>,
    },
    /// Remove the rules for a package, or all that trust a handle
    Remove {
        /// `REPO/PACKAGE` (the rules for it alone are meant) or `REPO/LABEL` of a handle
        what: String,
    },
    /// Say whether a release would be admitted, and why
    Test {
        /// `REPO/PACKAGE[@VERSION]`
        release: String,
    },
}
