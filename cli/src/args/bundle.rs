//! `skep bundle …`.

use std::path::PathBuf;

/// Carry releases where no network goes: one file with everything that proves them
#[derive(clap::Args)]
pub(crate) struct Bundle {
    #[command(subcommand)]
    pub(crate) action: Action,
}

#[derive(clap::Subcommand)]
pub(crate) enum Action {
    /// Write releases that are held here, with all that proves them, into a .skep file
    Export {
        /// `REPO/NAME`, `REPO/NAME@VERSION`, or `REPO/GLOB` for all that is held: quote the `*`
        #[arg(required = true, value_name = "REF|GLOB")]
        references: Vec<String>,
        /// The file to write
        #[arg(short, long, value_name = "FILE")]
        output: PathBuf,
    },
    /// Check a .skep file to its end, then take what is new of it; no network is used
    ///
    /// What is carried in is offered to peers, and stays until a person lets it go, also above
    /// `quota` of config.toml: that is said before it is taken. A rule of `skep mirror` that is for
    /// the package decides about it as about what it fetched.
    Import {
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// A repository that the files may be of, and no others: once for each of several. One that is
        /// not followed yet is followed unasked
        #[arg(long, value_name = "ID")]
        expect: Vec<String>,
        /// Say what would be new, and take nothing
        #[arg(long)]
        dry_run: bool,
        /// Take the files of its releases, though its logs are older than what is held
        #[arg(long)]
        older: bool,
    },
    /// Say what a .skep file has, once it was checked; neither store nor node is needed
    Show {
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
}
