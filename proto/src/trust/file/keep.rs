//! What is mirrored: rules over names, and releases that a person named.
//!
//! One rule for everything stands on a line, `keep = { newest = 3, size = "10 GiB" }`; several are
//! `[[keep]]` tables, since each has names of its own and a comment above it.

use std::fmt;

use serde::{Deserialize, Deserializer};

use super::{Error, Glob, RepoFile, table_range, value_span, with_new_line, with_value};
use crate::name::{Name, Version};
use crate::size::Size;

/// Most rules of one repository: every release is held against each of them whenever something
/// changes.
pub const KEEP_RULES_MAX: usize = 256;
/// Most releases that are kept by name: the file has room for about so many.
pub const KEPT_MAX: usize = 16_384;

/// One rule: every listed release that fits is mirrored.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keep {
    #[serde(default = "every_name")]
    pub names: Vec<Glob>,
    /// How many versions of each package, the highest first.
    pub newest: Newest,
    /// The most that the releases of this rule may have together.
    #[serde(default)]
    pub size: Option<Size>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Newest {
    All,
    Count(u32),
}

/// A release that is kept by name, `NAME@VERSION`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct Kept {
    pub name: Name,
    pub version: Version,
}

impl Keep {
    /// The newest so many of every package.
    pub fn newest_of_all(count: u32) -> Self {
        Self {
            names: every_name(),
            newest: Newest::Count(count),
            size: None,
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

    fn is_for_every_name(&self) -> bool {
        self.names == every_name()
    }

    /// As the value of `keep`.
    fn to_value(&self) -> String {
        let mut fields = Vec::new();
        if !self.is_for_every_name() {
            fields.push(format!("names = {}", names_value(&self.names)));
        }
        fields.push(format!("newest = {}", self.newest.to_value()));
        fields.extend(self.size.map(|size| format!("size = \"{size}\"")));
        format!("{{ {} }}", fields.join(", "))
    }

    /// As a table of its own.
    fn to_table(&self) -> String {
        let mut text = format!(
            "[[keep]]\nnames = {}\nnewest = {}\n",
            names_value(&self.names),
            self.newest.to_value()
        );
        if let Some(size) = self.size {
            text += &format!("size = \"{size}\"\n");
        }
        text
    }
}

fn every_name() -> Vec<Glob> {
    vec![Glob("*".to_owned())]
}

fn names_value(names: &[Glob]) -> String {
    let names: Vec<String> = names.iter().map(|glob| format!("\"{}\"", glob.0)).collect();
    format!("[{}]", names.join(", "))
}

impl Newest {
    fn to_value(self) -> String {
        match self {
            Self::All => "\"all\"".to_owned(),
            Self::Count(count) => count.to_string(),
        }
    }
}

impl fmt::Display for Newest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Count(count) => count.fmt(f),
        }
    }
}

impl std::str::FromStr for Newest {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "all" => Ok(Self::All),
            count => count.parse().map(Self::Count),
        }
    }
}

impl<'de> Deserialize<'de> for Newest {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "a number of versions, or \"all\"")]
        enum Written {
            Count(u32),
            Word(All),
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "kebab-case")]
        enum All {
            All,
        }
        Ok(match Written::deserialize(from)? {
            Written::Count(count) => Self::Count(count),
            Written::Word(All::All) => Self::All,
        })
    }
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.version)
    }
}

impl TryFrom<String> for Kept {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let refuse = || {
            let shown: String = text.chars().take(80).collect();
            let shown = crate::text::harmless_line(&shown).to_string();
            format!("`{shown}` is not `NAME@VERSION`")
        };
        let (name, version) = text.split_once('@').ok_or_else(refuse)?;
        Ok(Self {
            name: name.parse().map_err(|_| refuse())?,
            version: version.parse().map_err(|_| refuse())?,
        })
    }
}

/// `keep` as one table or as many.
pub(super) fn one_or_many<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Keep>, D::Error> {
    struct OneOrMany;

    // By hand, so that an unknown field is named: of an untagged enum nobody hears which it was.
    impl<'de> serde::de::Visitor<'de> for OneOrMany {
        type Value = Vec<Keep>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a rule such as { newest = 3 }, or a list of them")
        }

        fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<Vec<Keep>, A::Error> {
            let one = Keep::deserialize(serde::de::value::MapAccessDeserializer::new(map))?;
            Ok(vec![one])
        }

        fn visit_seq<A: serde::de::SeqAccess<'de>>(self, seq: A) -> Result<Vec<Keep>, A::Error> {
            Vec::deserialize(serde::de::value::SeqAccessDeserializer::new(seq))
        }
    }

    from.deserialize_any(OneOrMany)
}

pub(super) fn check(file: &RepoFile) -> Result<(), Error> {
    let too_many = |key, most| Err(Error::TooMany { key, most });
    if file.keep.len() > KEEP_RULES_MAX {
        return too_many("keep", KEEP_RULES_MAX);
    }
    if file.kept.len() > KEPT_MAX {
        return too_many("kept", KEPT_MAX);
    }
    match file.keep.iter().any(|rule| rule.names.is_empty()) {
        true => Err(Error::KeepsNothing),
        false => Ok(()),
    }
}

/// What a new file says of it.
pub(super) fn to_text(kept: &[Kept], rules: &[Keep]) -> String {
    let mut text = String::new();
    if !kept.is_empty() {
        text += &format!("kept = {}\n", kept_value(kept));
    }
    match rules {
        [one] if one.is_for_every_name() => text += &format!("keep = {}\n", one.to_value()),
        many => text.extend(many.iter().map(|rule| format!("\n{}", rule.to_table()))),
    }
    text
}

fn kept_value(kept: &[Kept]) -> String {
    let kept: Vec<String> = kept.iter().map(|kept| format!("\"{kept}\"")).collect();
    format!("[{}]", kept.join(", "))
}

/// `text` with these releases kept by name.
pub fn with_kept(text: &str, kept: &[Kept]) -> Result<String, Error> {
    let mut expected = RepoFile::parse(text)?;
    expected.kept = kept.to_vec();
    as_expected(
        with_value(text, "kept", &kept_value(kept))?,
        &expected,
        "kept",
    )
}

/// `text` with this rule, in the place of the one for the same names if there is one.
pub fn with_keep(text: &str, rule: &Keep) -> Result<String, Error> {
    let file = RepoFile::parse(text)?;
    let mut expected = file.clone();
    let at = file.keep.iter().position(|old| old.names == rule.names);
    match at {
        Some(at) => expected.keep[at] = rule.clone(),
        None => expected.keep.push(rule.clone()),
    }
    let edited = match (Form::of(text)?, at, file.keep.as_slice()) {
        (Form::Absent, ..) if rule.is_for_every_name() => {
            with_new_line(text, &format!("keep = {}", rule.to_value()))
        }
        (Form::Value(span), Some(_), [_]) => {
            let mut edited = text.to_owned();
            edited.replace_range(span, &rule.to_value());
            edited
        }
        (Form::Tables(spans), Some(at), _) => {
            let mut edited = text.to_owned();
            let lines = lines_of(text, spans[at].clone());
            edited.replace_range(lines, &rule.to_table());
            edited
        }
        (Form::Value(span), ..) => {
            let rest = without_key(text, span)?;
            expected
                .keep
                .iter()
                .fold(rest, |text, rule| append(&text, rule))
        }
        (Form::Absent | Form::Tables(_), ..) => append(text, rule),
    };
    as_expected(edited, &expected, "keep")
}

/// `text` without the rule at this position.
pub fn without_keep(text: &str, at: usize) -> Result<String, Error> {
    let mut expected = RepoFile::parse(text)?;
    expected.keep.remove(at);
    let edited = match Form::of(text)? {
        Form::Tables(spans) => {
            let lines = lines_of(text, spans[at].clone());
            // The empty line above it stays, and what stood below moves up to it.
            let (above, below) = (&text[..lines.start], text[lines.end..].trim_start());
            format!("{above}{below}").trim_end().to_owned() + "\n"
        }
        Form::Value(span) => {
            let rest = without_key(text, span)?;
            expected
                .keep
                .iter()
                .fold(rest, |text, rule| append(&text, rule))
        }
        Form::Absent => text.to_owned(),
    };
    as_expected(edited, &expected, "keep")
}

/// How the rules are written.
enum Form {
    Absent,
    /// `keep = …`, and where its value stands.
    Value(std::ops::Range<usize>),
    /// `[[keep]]`, and where each table stands.
    Tables(Vec<std::ops::Range<usize>>),
}

impl Form {
    fn of(text: &str) -> Result<Self, Error> {
        #[derive(Deserialize)]
        struct Spans {
            #[serde(default)]
            keep: Vec<toml::Spanned<toml::Table>>,
        }
        let Some(span) = value_span(text, "keep")? else {
            return Ok(Self::Absent);
        };
        if is_value(text, span.start) {
            return Ok(Self::Value(span));
        }
        let spans: Spans = toml::from_str(text).map_err(|_| Error::ByHand("keep"))?;
        Ok(Self::Tables(
            spans.keep.iter().map(toml::Spanned::span).collect(),
        ))
    }
}

/// Whether `keep =` stands before `at` on its line.
fn is_value(text: &str, at: usize) -> bool {
    let line = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
    text[line..at].trim().strip_suffix('=').map(str::trim_end) == Some("keep")
}

/// `text` without the key whose value stands there; a comment behind it stays.
fn without_key(text: &str, value: std::ops::Range<usize>) -> Result<String, Error> {
    if !is_value(text, value.start) {
        return Err(Error::ByHand("keep"));
    }
    let start = text[..value.start]
        .rfind('\n')
        .map_or(0, |newline| newline + 1);
    let end = text[value.end..]
        .find('\n')
        .map_or(text.len(), |at| value.end + at + 1);
    let comment = text[value.end..end].trim_start();
    Ok(format!("{}{comment}{}", &text[..start], &text[end..]))
}

/// The lines of a table without the comment above the next one, which is said of that.
fn lines_of(text: &str, span: std::ops::Range<usize>) -> std::ops::Range<usize> {
    let all = table_range(text, span);
    let mut end = all.start;
    let mut at = all.start;
    for line in text[all.clone()].split_inclusive('\n') {
        at += line.len();
        let said = line.trim();
        if !said.is_empty() && !said.starts_with('#') {
            end = at;
        }
    }
    all.start..end
}

fn append(text: &str, rule: &Keep) -> String {
    format!("{}\n\n{}", text.trim_end(), rule.to_table())
}

/// An edit that says what it should, and nothing else than before otherwise.
fn as_expected(edited: String, expected: &RepoFile, key: &'static str) -> Result<String, Error> {
    match RepoFile::parse(&edited) {
        Ok(file) if file == *expected => Ok(edited),
        Err(error @ Error::TooMany { .. }) => Err(error),
        _ => Err(Error::ByHand(key)),
    }
}

#[cfg(test)]
mod tests;
