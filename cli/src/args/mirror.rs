//! `skep mirror …`.

use std::path::PathBuf;

/// What this node keeps of others, and offers
#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Mirror {
    /// Absent: list the rules, and how full they are
    #[command(subcommand)]
    pub(crate) action: Option<Action>,
    /// Write l3afd's layout into a folder: what is here and admitted, for `file://` URLs
    #[arg(long, value_name = "DIR")]
    pub(crate) tree: Option<PathBuf>,
    /// Code names that machines may ask by, joined by commas [those of Ubuntu and Debian]
    #[arg(long, value_name = "WORD", value_delimiter = ',', requires = "tree")]
    pub(crate) platform: Vec<String>,
}

#[derive(clap::Subcommand)]
pub(crate) enum Action {
    /// Keep the newest releases of packages, trusted or not; in the place of the rule for the same
    Add {
        /// `REPO/NAME`, or a pattern such as 'REPO/*' or 'REPO/xdp-*'
        #[arg(value_name = "GLOB")]
        what: String,
        /// How many versions of each package
        #[arg(long, value_name = "N|all", default_value = "3")]
        newest: String,
        /// The most that they may have together, such as 5G [default: what there is]
        #[arg(long, value_name = "SIZE")]
        max: Option<String>,
        /// Say what would be fetched and let go, and change nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Remove a rule; what no other one keeps goes, unless it is used or kept by name
    Remove {
        /// `REPO/PATTERN`, as the list has it
        #[arg(value_name = "GLOB")]
        what: String,
        /// Say what would be fetched and let go, and change nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Keep one release, whatever the rules say
    Keep {
        /// `REPO/PACKAGE[@VERSION]`
        release: String,
        /// Say what would be fetched and let go, and change nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Leave a release to the rules again
    Unkeep {
        /// `REPO/PACKAGE[@VERSION]`; without a version, all of the package
        release: String,
        /// Say what would be fetched and let go, and change nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Every release that is wanted or here, and why one is not
    Status,
}
