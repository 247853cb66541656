//! `skep get …`.

use std::path::PathBuf;

use skep_proto::ebpf::Direction;

/// Fetch a release, verified, if you trust its publisher
#[derive(clap::Args)]
pub(crate) struct Get {
    /// `REPO/NAME`, `REPO/NAME@VERSION`, a ticket `skept1…`, or a file `./NAME.skep`
    pub(crate) reference: String,
    /// Where to put the folder NAME-VERSION
    #[arg(short, long, value_name = "DIR", default_value = ".")]
    pub(crate) output: PathBuf,
    /// Skip the policy, never the hashes and signatures
    #[arg(long)]
    pub(crate) normal: bool,
    /// Take a version that was yanked
    #[arg(long)]
    pub(crate) allow_yanked: bool,
    /// Take another manifest than was admitted under this version before
    #[arg(long)]
    pub(crate) accept_change: bool,
    /// Print the signed manifest as a DSSE envelope in JSON, and fetch no file
    #[arg(long)]
    pub(crate) dsse: bool,
    /// Print what another tool is given, once the gateway has answered for it; write no folder
    #[arg(long, value_enum, value_name = "TOOL", conflicts_with_all = ["output", "dsse"])]
    pub(crate) snippet: Option<Snippet>,
    #[command(flatten)]
    pub(crate) place: Place,
}

/// A tool that does not speak Skep.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Snippet {
    /// The payload to post to l3afd
    L3afd,
}

/// Where a snippet is for; what is not given is as on this machine.
#[derive(clap::Args)]
#[command(next_help_heading = "With --snippet")]
pub(crate) struct Place {
    /// The network interface [the only one of this machine]
    #[arg(long, value_name = "IFACE", requires = "snippet")]
    pub(crate) iface: Option<String>,
    /// The host's name, as its `uname -n` says it [this machine]
    #[arg(long, value_name = "NAME", requires = "snippet")]
    pub(crate) host: Option<String>,
    /// The platform, as its `lsb_release -cs` says it [this machine]
    #[arg(long, value_name = "WORD", requires = "snippet")]
    pub(crate) platform: Option<String>,
    /// The only program that is meant, by its function
    #[arg(long, value_name = "FUNCTION", requires = "snippet")]
    pub(crate) program: Option<String>,
    /// `ingress` or `egress`, for a program that does not tell
    #[arg(long, value_name = "DIRECTION", requires = "snippet")]
    pub(crate) direction: Option<Direction>,
}
