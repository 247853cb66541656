//! What somebody searches for: words, and facts that must hold.
//!
//! ```text
//! query   = *( term )                            every term must fit
//! term    = word | '"' words '"' | field ":" value *( "," value )
//! value   = text without spaces and commas | '"' text '"'
//! ```
//! A word finds whatever has a word that begins with it; in quotes, words stand beside each other as
//! they are. Of several values behind one field any one fits.

use std::str::FromStr;

use super::kernel::KernelVersion;
use super::words::{WORD_BYTES_MAX, words};
use crate::name::RepoRef;
use crate::package::manifest::ARCHES;
use crate::text::harmless_line;

/// Longest query, in bytes: several lines of a terminal, and a request line of HTTP.
pub const QUERY_BYTES_MAX: usize = 512;
/// Most words and values in a query: each is a walk through the index.
pub const TERMS_MAX: usize = 16;
/// The fields that can be asked for, in the order in which help names them.
pub const FIELDS: [&str; 8] = [
    "name", "hook", "type", "license", "arch", "kernel", "repo", "trusted",
];

/// What is searched for: everything must fit. Empty, everything fits.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Query {
    pub words: Vec<Word>,
    pub filters: Vec<Filter>,
}

/// A word that a package must have, or several beside each other in one text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// At least one, as [`words`] gives them.
    pub parts: Vec<String>,
    /// As they are, where otherwise the one is a beginning.
    pub whole: bool,
    /// Only the name is looked at.
    pub in_name: bool,
}

/// A fact that must hold; of several values one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filter {
    /// A program attaches there.
    Hook(Vec<String>),
    /// A program has this type.
    Type(Vec<String>),
    /// The SPDX expression names this license.
    License(Vec<String>),
    /// A file is built for this architecture.
    Arch(Vec<String>),
    /// Its author says that it runs on this kernel.
    Kernel(Vec<KernelVersion>),
    Repo(Vec<RepoRef>),
    /// The policy of this node admits it, or does not.
    Trusted(bool),
}

/// Why a text is no query.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    #[error("a query of {size} bytes, where at most {QUERY_BYTES_MAX} are allowed")]
    TooLong { size: usize },
    #[error("more than {TERMS_MAX} words and values in a query")]
    TooManyTerms,
    #[error("`{}` is not something to search by", harmless_line(.0))]
    Field(String),
    #[error("`{0}:` is followed by nothing")]
    NoValue(&'static str),
    #[error("`{}` is not a value of `{field}:`", harmless_line(.value))]
    Value {
        field: &'static str,
        value: String,
        hint: String,
    },
    #[error("`{}` has no letter or digit", harmless_line(.0))]
    NoWord(String),
    #[error("a quotation mark is opened and not closed")]
    OpenQuote,
}

impl QueryError {
    /// What to type instead, into a box.
    pub fn hint(&self) -> String {
        self.hint_with(|quoted| quoted)
    }

    /// The same for a command line: a shell takes quotes for itself.
    pub fn hint_for_shell(&self) -> String {
        self.hint_with(|quoted| format!("'{quoted}'"))
    }

    fn hint_with(&self, typed: impl Fn(String) -> String) -> String {
        match self {
            Self::TooLong { .. } | Self::TooManyTerms => "say less: every word must fit".to_owned(),
            Self::Field(field) => format!(
                "there are {}; a word with a colon stands in quotes: {}",
                FIELDS.map(|field| format!("{field}:")).join(" "),
                typed(format!("\"{}:…\"", harmless_line(field)))
            ),
            Self::NoValue(field) => format!("for example {field}:{}", example(field)),
            Self::Value { hint, .. } => hint.clone(),
            Self::NoWord(_) => "search for words: letters and digits".to_owned(),
            Self::OpenQuote => typed("\"two words\"".to_owned()),
        }
    }
}

fn example(field: &str) -> &'static str {
    match field {
        "name" => "drop",
        "type" => "sched_cls",
        "license" => "GPL-2.0-only",
        "arch" => "x86_64",
        "kernel" => "5.15",
        "repo" => "ana",
        "trusted" => "yes",
        _ => "xdp",
    }
}

/// A value and whether it stood in quotes.
struct Value<'a> {
    text: &'a str,
    quoted: bool,
}

impl Query {
    /// Reads what a person typed, as hostile.
    pub fn parse(text: &str) -> Result<Self, QueryError> {
        if text.len() > QUERY_BYTES_MAX {
            return Err(QueryError::TooLong { size: text.len() });
        }
        let mut query = Self::default();
        let mut terms = 0;
        let mut rest = text.trim_start();
        while !rest.is_empty() {
            let (field, behind) = field(rest)?;
            let value;
            (value, rest) = self::value(behind)?;
            terms += match field {
                None => query.add_word(&value, false)?,
                Some("name") => query.add_word(&value, true)?,
                Some(field) => query.add_filter(field, &value)?,
            };
            if terms > TERMS_MAX {
                return Err(QueryError::TooManyTerms);
            }
            rest = rest.trim_start();
        }
        Ok(query)
    }

    /// Says how many words it has.
    fn add_word(&mut self, value: &Value<'_>, in_name: bool) -> Result<usize, QueryError> {
        if in_name && value.text.is_empty() {
            return Err(QueryError::NoValue("name"));
        }
        let parts: Vec<String> = words(value.text).collect();
        let count = parts.len();
        if parts.is_empty() {
            return Err(QueryError::NoWord(value.text.to_owned()));
        }
        let word = |parts| Word {
            parts,
            whole: value.quoted,
            in_name,
        };
        match value.quoted {
            true => self.words.push(word(parts)),
            false => self
                .words
                .extend(parts.into_iter().map(|part| word(vec![part]))),
        }
        Ok(count)
    }

    /// Says how many values it has.
    fn add_filter(&mut self, field: &'static str, value: &Value<'_>) -> Result<usize, QueryError> {
        let texts: Vec<&str> = match value.quoted {
            true => vec![value.text],
            false => value.text.split(',').collect(),
        };
        if texts.iter().any(|text| text.is_empty()) {
            return Err(QueryError::NoValue(field));
        }
        let count = texts.len();
        let filter = match field {
            "hook" => Filter::Hook(texts.into_iter().map(str::to_lowercase).collect()),
            "type" => Filter::Type(texts.into_iter().map(str::to_lowercase).collect()),
            "license" => Filter::License(each(&texts, license)?),
            "arch" => Filter::Arch(each(&texts, arch)?),
            "kernel" => Filter::Kernel(each(&texts, kernel)?),
            "repo" => Filter::Repo(each(&texts, repo)?),
            // `field` gives no other.
            _ => Filter::Trusted(trusted(value.text)?),
        };
        self.filters.push(filter);
        Ok(count)
    }
}

impl FromStr for Query {
    type Err = QueryError;

    fn from_str(text: &str) -> Result<Self, QueryError> {
        Self::parse(text)
    }
}

/// The field at the beginning of a term, if it has one, and what stands behind it.
fn field(term: &str) -> Result<(Option<&'static str>, &str), QueryError> {
    let end = term.find(|c: char| c == '"' || c.is_whitespace());
    let bare = &term[..end.unwrap_or(term.len())];
    match bare.split_once(':') {
        None | Some(("", _)) => Ok((None, term)),
        Some((name, _)) => {
            let lower = name.to_lowercase();
            let known = FIELDS.into_iter().find(|field| *field == lower);
            let known = known.ok_or_else(|| QueryError::Field(name.to_owned()))?;
            Ok((Some(known), &term[name.len() + 1..]))
        }
    }
}

/// The value at the beginning of a text, and what stands behind it.
fn value(text: &str) -> Result<(Value<'_>, &str), QueryError> {
    if let Some(quoted) = text.strip_prefix('"') {
        let (text, rest) = quoted.split_once('"').ok_or(QueryError::OpenQuote)?;
        return Ok((Value { text, quoted: true }, rest));
    }
    let end = text.find(char::is_whitespace).unwrap_or(text.len());
    let (text, rest) = text.split_at(end);
    let quoted = false;
    Ok((Value { text, quoted }, rest))
}

fn each<T>(
    texts: &[&str],
    read: impl Fn(&str) -> Result<T, QueryError>,
) -> Result<Vec<T>, QueryError> {
    texts.iter().map(|text| read(text)).collect()
}

fn refuse(field: &'static str, value: &str, hint: String) -> QueryError {
    QueryError::Value {
        field,
        value: value.chars().take(WORD_BYTES_MAX).collect(),
        hint,
    }
}

/// An identifier that SPDX knows, or one of the author's own: a manifest can have no other.
fn license(text: &str) -> Result<String, QueryError> {
    let licenses = spdx::identifiers::LICENSES.iter().map(|it| it.name);
    let exceptions = spdx::identifiers::EXCEPTIONS.iter().map(|it| it.name);
    let mut known = licenses.chain(exceptions);
    let lower = text.to_lowercase();
    let own = lower.starts_with("licenseref-") || lower.starts_with("documentref-");
    if own || known.any(|name| name.eq_ignore_ascii_case(text)) {
        return Ok(lower);
    }
    let current = spdx::identifiers::LICENSES.iter();
    let current = current.filter(|it| it.flags & spdx::flags::IS_DEPRECATED == 0);
    let begin: Vec<&str> = current
        .map(|it| it.name)
        .filter(|name| name.to_lowercase().starts_with(&lower))
        .take(4)
        .collect();
    let hint = match begin.is_empty() {
        true => "an identifier of SPDX, such as GPL-2.0-only".to_owned(),
        false => format!("SPDX has {}", begin.join(", ")),
    };
    Err(refuse("license", text, hint))
}

fn arch(text: &str) -> Result<String, QueryError> {
    let known = ARCHES.into_iter().find(|arch| *arch == text.to_lowercase());
    known
        .map(str::to_owned)
        .ok_or_else(|| refuse("arch", text, format!("one of {}", ARCHES.join(", "))))
}

fn kernel(text: &str) -> Result<KernelVersion, QueryError> {
    let hint = || "two or three numbers, such as kernel:5.15".to_owned();
    text.parse().map_err(|()| refuse("kernel", text, hint()))
}

fn repo(text: &str) -> Result<RepoRef, QueryError> {
    let hint = || "an alias or an id: skep repo lists them".to_owned();
    text.parse().map_err(|_| refuse("repo", text, hint()))
}

fn trusted(text: &str) -> Result<bool, QueryError> {
    match text.to_lowercase().as_str() {
        "yes" => Ok(true),
        "no" => Ok(false),
        _ => Err(refuse(
            "trusted",
            text,
            "trusted:yes or trusted:no".to_owned(),
        )),
    }
}
