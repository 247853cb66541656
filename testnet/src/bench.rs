//! Measurements of the release binary, as processes, each beside what it is compared with.
//!
//! The subject and its peer take turns in one run, since figures of one machine move by a third
//! from hour to hour and only their ratio stays. Nothing here runs in `cargo test`.

mod blob;
mod bundle;
mod clone;
mod control;
mod crowd;
mod finding;
mod gateway;
mod get;
mod home;
mod lines;
mod machine;
mod mirror;
mod nginx;
mod package;
mod pages;
mod ping;
mod product;
mod publish;
mod search;
mod start;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use finding::Finding;
use product::Product;

pub(crate) use ping::pong;

#[derive(clap::Args)]
pub(crate) struct Args {
    name: Name,
    /// How often each thing is measured [default: what the bench needs for its percentiles]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rounds: Option<u32>,
    /// Length of the file of `bundle`, in MiB; three times as much is needed on disk [default: 1024]
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u64).range(1..=65_536))]
    size_mib: Option<u64>,
    /// Where homes and files are made, and removed [default: the temporary folder]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Name {
    /// Every bench but `clone`
    All,
    /// Start to ready and idle memory, of a small home and of one with 10,000 releases; size of the
    /// binary
    Start,
    /// Searching 10,000 packages, beside a look at every one
    Search,
    /// A package of six files, beside curl from nginx over TLS
    Get,
    /// Publish until it is seen on another node, beside a ping of libp2p
    Publish,
    /// A file of 1 GiB between two nodes, beside curl from nginx and b3sum
    Blob,
    /// A .skep file of 1 GiB, exported and imported, beside reading and hashing it
    Bundle,
    /// Archives over HTTP, beside nginx that serves the same files
    Gateway,
    /// Pages for a browser: bytes and requests of a first view, requests per second
    Pages,
    /// Lines of code and of tests, for each crate
    Lines,
    /// The commands of the README, each in a clean clone: an hour
    Clone,
}

/// What a bench works with.
struct Bench<'a> {
    product: &'a Product,
    dir: &'a Path,
    rounds: Option<u32>,
    size_mib: Option<u64>,
}

impl Bench<'_> {
    fn rounds(&self, usual: u32) -> u32 {
        self.rounds.unwrap_or(usual)
    }
}

type Run = fn(&Bench<'_>) -> Result<Vec<Finding>>;

/// The benches that measure, in the order of `all`: the longest last.
const MEASURED: [(Name, &str, Run); 8] = [
    (Name::Start, "start", start::run),
    (Name::Search, "search", search::run),
    (Name::Get, "get", get::run),
    (Name::Publish, "publish", publish::run),
    (Name::Bundle, "bundle", bundle::run),
    (Name::Gateway, "gateway", gateway::run),
    (Name::Pages, "pages", pages::run),
    (Name::Blob, "blob", blob::run),
];

pub(crate) fn run(args: &Args) -> Result<()> {
    let is_wanted = |name| args.name == name || args.name == Name::All;
    if is_wanted(Name::Lines) {
        print(&lines::run()?);
    }
    if args.name == Name::Lines {
        return Ok(());
    }
    let parent = args.dir.clone().unwrap_or_else(std::env::temp_dir);
    let dir = tempfile::Builder::new()
        .prefix("skep-bench-")
        .tempdir_in(&parent)
        .with_context(|| format!("could not make a folder in `{}`", parent.display()))?;
    print(&machine::describe(dir.path()));
    if args.name == Name::Clone {
        print(&format!("load {} before\n\n", machine::load()));
        return clone::run(dir.path()).map(|findings| show(&findings));
    }
    let product = Product::build()?;
    for (name, title, run) in MEASURED {
        if !is_wanted(name) {
            continue;
        }
        print(&format!("\n== {title} (load {} before)\n", machine::load()));
        let bench = Bench {
            product: &product,
            dir: dir.path(),
            rounds: args.rounds,
            size_mib: args.size_mib,
        };
        let findings = run(&bench).with_context(|| format!("the bench `{title}` stopped"))?;
        show(&findings);
    }
    print(&format!("\nload {} after\n", machine::load()));
    Ok(())
}

fn show(findings: &[Finding]) {
    for finding in findings {
        print(&finding.to_string());
    }
}

#[expect(clippy::print_stdout, reason = "figures are what this program is for")]
fn print(text: &str) {
    print!("{text}");
}

/// What the person should know while a bench runs.
#[expect(
    clippy::print_stderr,
    reason = "talk goes to stderr, figures to stdout"
)]
fn say(text: &str) {
    eprintln!("{text}");
}

pub(crate) fn fail(error: &anyhow::Error) {
    say(&format!("error: {error:#}"));
}
