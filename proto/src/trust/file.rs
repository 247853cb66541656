//! `repos.d/ALIAS.toml`: what this node does with one repository, in a file that people may edit.
//!
//! Edits by the tool change the text only where they must, so that comments stay.

mod keep;

use serde::Deserialize;

use crate::hash::Sha256;
use crate::id::{HandleId, RepoId};
use crate::name::Name;

pub use keep::{KEEP_RULES_MAX, KEPT_MAX, Keep, Kept, Newest, with_keep, with_kept, without_keep};

/// One repository: which it is, where to ask, what to keep, whom to believe.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RepoFile {
    pub id: RepoId,
    /// The root document that a ticket, a bundle or a person vouched for.
    pub root: Pin,
    /// Multiaddresses with `/p2p/…` or `NODE-KEY@ADDRESS`: asked first.
    #[serde(default)]
    pub peers: Vec<String>,
    /// What is mirrored and offered, trusted or not: what any of these rules wants.
    #[serde(default, deserialize_with = "keep::one_or_many")]
    pub keep: Vec<Keep>,
    /// Releases that are mirrored whatever the rules say.
    #[serde(default)]
    pub kept: Vec<Kept>,
    /// Whether what was only fetched for use is offered too.
    #[serde(default)]
    pub share: Option<Share>,
    #[serde(default)]
    pub trust: Vec<Rule>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pin {
    pub version: u64,
    pub sha256: Sha256,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Share {
    Everything,
}

/// One `[[trust]]` table: all of its conditions must hold.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    pub names: Vec<Glob>,
    /// Any one of them suffices; never empty.
    pub publishers: Vec<Who>,
    #[serde(default)]
    pub approvals: Option<Approvals>,
    #[serde(default)]
    pub freshness: Freshness,
    // Read so that a policy is never silently weakened; a rule that uses them is refused for now.
    #[serde(default)]
    pub attestations: Vec<toml::Table>,
    #[serde(default)]
    pub kernel_signature: LayerSignature,
    #[serde(default)]
    pub hypervisor_signature: LayerSignature,
    #[serde(default)]
    pub min_age: Option<String>,
    #[serde(default)]
    pub worst_advisory: Option<String>,
    #[serde(default)]
    pub deny: Option<toml::Table>,
}

/// A trusted publisher: a handle with all that its keys may become, or one key as a hard pin.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub enum Who {
    Handle {
        label: Name,
        handle: HandleId,
    },
    /// `SHA256:…`
    Key {
        key: String,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approvals {
    pub need: u64,
    pub of: Vec<Approver>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approver {
    pub label: Name,
    pub handle: HandleId,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Freshness {
    #[default]
    IfWitnessed,
    Required,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LayerSignature {
    #[default]
    Ignored,
    Required,
}

/// A pattern over names: `*` stands for any run of characters, everything else for itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct Glob(String);

/// Why a file or an edit of it is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("`{}` is not a pattern over names: letters, digits, `-`, `_` and `*`", crate::text::harmless_line(.0))]
    Glob(String),
    #[error("{0}")]
    Toml(String),
    #[error("a `[[trust]]` rule without `{0}` would trust everybody: name at least one")]
    Empty(&'static str),
    #[error("`approvals` needs {need} of {of} handles")]
    Approvals { need: u64, of: usize },
    #[error("a `keep` rule without `names` keeps nothing: leave them out, or name at least one")]
    KeepsNothing,
    #[error("more than {most} of `{key}`")]
    TooMany { key: &'static str, most: usize },
    #[error("this file is written in a way that only a person can edit: change `{0}` by hand")]
    ByHand(&'static str),
}

impl Glob {
    /// Whether the whole of `name` fits.
    pub fn matches(&self, name: &Name) -> bool {
        matches(self.0.as_bytes(), name.as_str().as_bytes())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Greedy matching with one point to fall back to: linear in practice, at most |pattern| · |name|.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut fallback: Option<(usize, usize)> = None;
    while n < name.len() {
        if pattern.get(p) == Some(&b'*') {
            fallback = Some((p, n));
            p += 1;
        } else if pattern.get(p) == name.get(n) {
            p += 1;
            n += 1;
        } else if let Some((star, from)) = fallback {
            fallback = Some((star, from + 1));
            p = star + 1;
            n = from + 1;
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|b| *b == b'*')
}

impl TryFrom<String> for Glob {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        let allowed =
            |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_' | b'*');
        if !text.is_empty() && text.len() <= crate::name::NAME_LEN_MAX && text.bytes().all(allowed)
        {
            Ok(Self(text))
        } else {
            Err(Error::Glob(text.chars().take(80).collect()))
        }
    }
}

impl std::str::FromStr for Glob {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::try_from(text.to_owned())
    }
}

impl Rule {
    /// The rule that `trust add` writes: one handle may publish what `names` covers.
    pub fn for_handle(names: Vec<Glob>, label: Name, handle: HandleId) -> Self {
        Self {
            names,
            publishers: vec![Who::Handle { label, handle }],
            approvals: None,
            freshness: Freshness::default(),
            attestations: Vec::new(),
            kernel_signature: LayerSignature::default(),
            hypervisor_signature: LayerSignature::default(),
            min_age: None,
            worst_advisory: None,
            deny: None,
        }
    }

    pub fn covers(&self, name: &Name) -> bool {
        self.names.iter().any(|glob| glob.matches(name))
    }

    /// The patterns, as output shows them.
    pub fn names_text(&self) -> String {
        let names: Vec<&str> = self.names.iter().map(Glob::as_str).collect();
        names.join(", ")
    }

    fn check(&self) -> Result<(), Error> {
        if self.names.is_empty() {
            return Err(Error::Empty("names"));
        }
        if self.publishers.is_empty() {
            return Err(Error::Empty("publishers"));
        }
        match &self.approvals {
            Some(a) if a.need == 0 || u64::try_from(a.of.len()).is_ok_and(|of| a.need > of) => {
                Err(Error::Approvals {
                    need: a.need,
                    of: a.of.len(),
                })
            }
            _ => Ok(()),
        }
    }
}

impl RepoFile {
    /// Reads a file; the error draws where it is wrong.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let file: Self = toml::from_str(text).map_err(|e| Error::Toml(e.to_string()))?;
        for rule in &file.trust {
            rule.check()?;
        }
        keep::check(&file)?;
        Ok(file)
    }

    /// The text of a new file.
    pub fn to_text(&self) -> String {
        let quoted = |text: &str| toml::Value::from(text).to_string();
        let mut text = format!("id = \"{}\"\nroot = {}\n", self.id, root_value(&self.root));
        if !self.peers.is_empty() {
            let peers: Vec<String> = self.peers.iter().map(|peer| quoted(peer)).collect();
            text += &format!("peers = [{}]\n", peers.join(", "));
        }
        text + &keep::to_text(&self.kept, &self.keep)
    }
}

/// `text` with these peers in the place of those it names.
pub fn with_peers(text: &str, peers: &[String]) -> Result<String, Error> {
    let quoted: Vec<String> = peers
        .iter()
        .map(|peer| toml::Value::from(peer.as_str()).to_string())
        .collect();
    with_value(text, "peers", &format!("[{}]", quoted.join(", ")))
}

/// `text` with this root document pinned.
pub fn with_root(text: &str, root: &Pin) -> Result<String, Error> {
    with_value(text, "root", &root_value(root))
}

fn root_value(Pin { version, sha256 }: &Pin) -> String {
    format!("{{ version = {version}, sha256 = \"{sha256}\" }}")
}

/// `text` with this value for a key of its top level, everything else as it is.
fn with_value(text: &str, key: &str, value: &str) -> Result<String, Error> {
    let edited = match value_span(text, key)? {
        Some(span) => {
            let mut edited = text.to_owned();
            edited.replace_range(span, value);
            edited
        }
        None => with_new_line(text, &format!("{key} = {value}")),
    };
    // A key that is written as a table of its own needs a person's hand: the check says so.
    RepoFile::parse(&edited)?;
    Ok(edited)
}

/// Where the value of a key of the top level stands.
fn value_span(text: &str, key: &str) -> Result<Option<std::ops::Range<usize>>, Error> {
    type Spans = std::collections::BTreeMap<String, toml::Spanned<toml::Value>>;
    let spans: Spans = toml::from_str(text).map_err(|e| Error::Toml(e.to_string()))?;
    Ok(spans.get(key).map(toml::Spanned::span))
}

/// `text` with one more line at the end of its top level.
fn with_new_line(text: &str, line: &str) -> String {
    let mut lines: Vec<&str> = text.lines().collect();
    let is_table = |line: &&str| line.trim_start().starts_with('[');
    let end = lines.iter().position(is_table).unwrap_or(lines.len());
    // What stands right above a table is said of the table.
    let last = lines[..end]
        .iter()
        .rposition(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#'));
    lines.insert(last.map_or(0, |at| at + 1), line);
    lines.join("\n") + "\n"
}

/// `text` with one more rule at its end: the handle may publish what `names` cover.
pub fn append_rule(
    text: &str,
    names: &[Glob],
    label: &Name,
    handle: &HandleId,
) -> Result<String, Error> {
    let names: Vec<String> = names.iter().map(|glob| format!("\"{}\"", glob.0)).collect();
    let appended = format!(
        "{}\n\n[[trust]]\nnames = [{}]\npublishers = [{{ label = \"{label}\", handle = \"{handle}\" }}]\n",
        text.trim_end(),
        names.join(", ")
    );
    RepoFile::parse(&appended)?;
    Ok(appended)
}

/// `text` without the rules at these positions (in the order of the file).
pub fn remove_rules(text: &str, positions: &[usize]) -> Result<String, Error> {
    #[derive(Deserialize)]
    struct Spans {
        #[serde(default)]
        trust: Vec<toml::Spanned<toml::Table>>,
    }
    let spans: Spans = toml::from_str(text).map_err(|e| Error::Toml(e.to_string()))?;
    let mut kept = text.to_owned();
    for (position, table) in spans.trust.iter().enumerate().rev() {
        if positions.contains(&position) {
            kept.replace_range(table_range(text, table.span()), "");
        }
    }
    RepoFile::parse(&kept)?;
    Ok(kept)
}

/// From the header of a table to the next header or the end: what a person would delete.
fn table_range(text: &str, span: std::ops::Range<usize>) -> std::ops::Range<usize> {
    let start = text[..span.start].rfind("[[").map_or(span.start, |at| {
        if text[at..span.start].contains('\n') {
            span.start
        } else {
            at
        }
    });
    let after_header = text[start..]
        .find('\n')
        .map_or(text.len(), |at| start + at + 1);
    let end = text[after_header..]
        .match_indices('[')
        .map(|(at, _)| after_header + at)
        .find(|at| {
            let belongs = ["[trust.", "[[trust."];
            text[..*at].ends_with('\n') && !belongs.iter().any(|own| text[*at..].starts_with(own))
        })
        .unwrap_or(text.len());
    start..end
}
