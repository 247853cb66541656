//! `skep search …`.

/// Find packages in what you follow
///
/// Every word must fit. A word finds what begins with it, in names, descriptions, keywords, programs,
/// hooks and licenses; in quotes it stands as it is, and several stand beside each other. A shell
/// takes quotes for itself, so give it others around them: `'"rate limit"'` asks for the two side by
/// side, `"rate limit"` only for both, as without quotes. Fields ask for facts: `name:drop` `hook:xdp`
/// `type:sched_cls` `license:GPL-2.0-only` `arch:x86_64` `kernel:5.15` `repo:ana` `trusted:yes|no`; of
/// values with a comma between them one must fit.
#[derive(clap::Args)]
pub(crate) struct Search {
    /// Words and `FIELD:VALUE`; none: everything
    pub(crate) words: Vec<String>,
    /// How many packages to show, at most 1000
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) limit: u16,
    /// What comes first
    #[arg(long, value_name = "ORDER", value_enum, default_value = "best")]
    pub(crate) sort: Sort,
}

/// What comes first.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Sort {
    /// what fits the words best; without words by name
    Best,
    /// by name
    Name,
    /// what was published last
    Newest,
}
