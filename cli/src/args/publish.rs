//! `skep publish …`.

use std::path::PathBuf;

/// Pack, sign and announce a release
#[derive(clap::Args)]
pub(crate) struct Publish {
    /// The package: the folder of its `skep.toml`
    #[arg(default_value = ".")]
    pub(crate) dir: PathBuf,
    /// The repository to publish in [default: the one that `skep.toml` names, else yours]
    #[arg(long, value_name = "REPO")]
    pub(crate) repo: Option<String>,
    /// Check everything and show what would be signed; sign and keep nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Grant a new name though no peer has confirmed the registrar's log: only if this is not an old
    /// copy of it
    #[arg(long)]
    pub(crate) alone: bool,
    /// Write the release into a .skep file as well, with everything that proves it
    #[arg(long, value_name = "FILE", conflicts_with_all = ["dry_run", "word"])]
    pub(crate) to: Option<PathBuf>,
    /// Yank a version: stop choosing it. Its files stay fetchable by hash
    #[arg(long, value_name = "REPO/NAME@VERSION", group = "word")]
    pub(crate) yank: Option<String>,
    /// Deprecate a package, or one version of it
    #[arg(long, value_name = "REPO/NAME[@VERSION]", group = "word")]
    pub(crate) deprecate: Option<String>,
    /// Take a yank or a deprecation back
    #[arg(long, requires = "word")]
    pub(crate) undo: bool,
    /// Why, for those who meet it
    #[arg(long, value_name = "TEXT", requires = "word")]
    pub(crate) because: Option<String>,
    /// The package to use instead
    #[arg(long, value_name = "NAME", requires = "deprecate")]
    pub(crate) successor: Option<String>,
}
