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
    Import {
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// The repository that it must be of; one that is not followed yet is followed unasked
        #[arg(long, value_name = "ID")]
        expect: Option<String>,
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
