//! `skep repo …`.

/// Repositories: yours, and those you follow
#[derive(clap::Args)]
pub(crate) struct Repo {
    /// Absent: list them
    #[command(subcommand)]
    pub(crate) action: Option<Action>,
}

#[derive(clap::Subcommand)]
pub(crate) enum Action {
    /// Make a repository of your own: its root document, its registrar and your handle in it
    Create {
        /// What you call it here; also what it calls itself and your handle
        alias: String,
    },
    /// Follow a repository
    Add {
        /// A ticket `skept1…` that somebody gave you
        ticket: String,
        /// What to call it here [default: what it calls itself]
        #[arg(long, value_name = "ALIAS")]
        alias: Option<String>,
        /// Trust its publishers (asked), and keep the newest 3 of each package
        #[arg(long)]
        trust: bool,
    },
    /// Stop following a repository; what was fetched stays in the store
    Remove {
        /// Its alias or id
        repo: String,
        /// Forget what is stored of it too: its logs, and the files that nothing else here has (asked)
        #[arg(long)]
        purge: bool,
    },
    /// Choose between two root documents of one version
    Settle {
        /// Its alias or id
        repo: String,
        /// The version and the SHA-256 of the document to follow; absent: which there are
        #[arg(value_name = "VERSION:SHA256")]
        document: Option<String>,
    },
    /// Say everything about a repository
    Show {
        /// Its alias or id
        repo: String,
    },
    /// Print a ticket: the text that leads a friend to a repository
    Ticket {
        /// Its alias or id
        repo: String,
        /// Lead to this package in it
        package: Option<String>,
    },
}
