//! `skep key …`.

use std::path::PathBuf;

/// Your keys: who you are when you publish
#[derive(clap::Args)]
pub(crate) struct Key {
    /// Absent: who am I?
    #[command(subcommand)]
    pub(crate) action: Option<Action>,
}

#[derive(clap::Subcommand)]
pub(crate) enum Action {
    /// Make a key to sign with
    New {
        /// Its name [default: your login name]
        #[arg(long, value_name = "NAME")]
        name: Option<String>,
    },
    /// List your keys
    List,
    /// Print a public key, to give to others
    Export {
        /// The key [default: the one you sign with]
        name: Option<String>,
    },
    /// Keep a copy of a private key made elsewhere, such as by `ssh-keygen -t ed25519`
    Import {
        /// The private key file
        file: PathBuf,
        /// Its name here [default: the name of the file]
        #[arg(long, value_name = "NAME")]
        name: Option<String>,
    },
}
