//! `skep node …`.

/// The node: run it, look at it, stop it
#[derive(clap::Args)]
pub(crate) struct Node {
    #[command(subcommand)]
    pub(crate) action: Action,
}

#[derive(clap::Subcommand)]
pub(crate) enum Action {
    /// Run a node until Ctrl-C or `skep node stop`
    Run {
        /// Stop when stdin ends, as it does when whoever started this process is gone
        #[arg(long)]
        with_stdin: bool,
    },
    /// What a running node is doing
    Status {
        /// Wait until it answers, at most this many seconds
        #[arg(long, value_name = "SECONDS")]
        wait: Option<u64>,
    },
    /// The peers that are connected
    Peers,
    /// Stop the running node
    Stop,
    /// Remove files that nothing here needs, while a node serves or without one
    Gc {
        /// Say what would be removed
        #[arg(long)]
        dry_run: bool,
        /// First let go what was only fetched for use, and what no rule is about (asked)
        #[arg(long)]
        used: bool,
    },
}
