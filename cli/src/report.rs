//! Results as data: what a command found out, in no format yet.
//!
//! A command returns a [`Report`] and never formats anything. The same report is aligned columns on
//! a terminal and tab-separated values on a pipe ([`text`]), or JSON ([`json`]); so the three cannot
//! say different things, and `--json` cannot be forgotten.
//!
//! ```ignore
//! Report::answer("key")                                // "schema": "skep.key/1"
//!     .fact("name", "ana")                             // name         ana
//!     .fact("fingerprint", key.fingerprint())          // fingerprint  SHA256:…
//!     .verbatim("public", line)                        // the text as it is, on its own lines
//! Report::list("key.list", Table::new(&["name", "fingerprint"]).row([…]))
//! ```
//!
//! Field names are the labels with `_` for a space, and are a promise: fields are only added.

pub(crate) mod json;
pub(crate) mod text;

#[cfg(test)]
mod tests;

/// What a command found out.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Report {
    /// The verb, its words joined by dots: `key.list`.
    pub(crate) verb: &'static str,
    pub(crate) body: Body,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Body {
    /// One answer: one JSON document.
    Answer(Vec<Part>),
    /// Things of one kind: one JSON object per line.
    List(Table),
}

/// A piece of an answer. Its key is its field in JSON.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Part {
    Fact(&'static str, Value),
    /// A list within an answer: an array of objects.
    Table(&'static str, Table),
    /// Text that is the result itself, such as a public key or a file: printed as it is, without a
    /// label.
    Verbatim(&'static str, String),
}

/// Rows with the same fields.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Table {
    pub(crate) columns: Vec<&'static str>,
    pub(crate) rows: Vec<Vec<Value>>,
    /// Whether a terminal shows the names of the columns. A pipe never does.
    pub(crate) header: bool,
    /// What a terminal shows for [`Value::None`].
    pub(crate) none: &'static str,
}

/// A value: the data, from which each format takes the spelling it needs.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    /// On a terminal `-` in a table ([`Table::none`]), and no line among facts; nothing on a pipe;
    /// null.
    None,
    Text(String),
    Bool(bool),
    Number(u64),
    /// A size in bytes: `1.3 GiB` on a terminal.
    Size(u64),
    /// Seconds since 1970: RFC 3339, and `3 days ago` on a terminal.
    Time(i64),
    /// A hash with its prefix: shortened on a terminal.
    Hash(String),
    /// How a check went: a mark and its word.
    Mark(Mark),
    List(Vec<Value>),
}

/// How a check went. On a terminal a sign stands before the word, never instead of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Mark {
    Ok,
    Note,
    Skip,
    Warn,
    Fail,
}

impl Report {
    /// One answer, empty at first.
    pub(crate) fn answer(verb: &'static str) -> Self {
        Self {
            verb,
            body: Body::Answer(Vec::new()),
        }
    }

    /// A list, perhaps empty.
    pub(crate) fn list(verb: &'static str, table: Table) -> Self {
        Self {
            verb,
            body: Body::List(table),
        }
    }

    /// Adds a labelled value to an answer.
    #[must_use]
    pub(crate) fn fact(self, key: &'static str, value: impl Into<Value>) -> Self {
        self.with(Part::Fact(key, value.into()))
    }

    /// Adds rows to an answer.
    #[must_use]
    pub(crate) fn table(self, key: &'static str, table: Table) -> Self {
        self.with(Part::Table(key, table))
    }

    /// Adds a text that is printed as it is.
    #[must_use]
    pub(crate) fn verbatim(self, key: &'static str, text: impl Into<String>) -> Self {
        self.with(Part::Verbatim(key, text.into()))
    }

    fn with(mut self, part: Part) -> Self {
        match &mut self.body {
            Body::Answer(parts) => parts.push(part),
            Body::List(_) => unreachable!("a list has rows; build it from its table"),
        }
        self
    }

    /// `skep.key.list/1`.
    pub(crate) fn schema(&self) -> String {
        format!("skep.{}/1", self.verb)
    }
}

impl Table {
    /// A table whose columns a terminal names.
    pub(crate) fn new(columns: &[&'static str]) -> Self {
        Self {
            columns: columns.to_vec(),
            rows: Vec::new(),
            header: true,
            none: "-",
        }
    }

    /// A table that speaks for itself, such as the checks of `doctor`: what is none is left out.
    pub(crate) fn without_header(columns: &[&'static str]) -> Self {
        Self {
            header: false,
            none: "",
            ..Self::new(columns)
        }
    }

    /// Adds a row with a value for every column.
    pub(crate) fn push<const N: usize>(&mut self, row: [Value; N]) {
        assert_eq!(N, self.columns.len(), "a value for every column");
        self.rows.push(row.into());
    }
}

impl Mark {
    /// The word; a script compares it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Skip => "skip",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

impl Value {
    /// Whether there is nothing to see: a person is not shown a label for it.
    pub(crate) fn is_nothing(&self) -> bool {
        match self {
            Self::None => true,
            Self::Text(text) => text.is_empty(),
            Self::List(values) => values.is_empty(),
            _ => false,
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&std::path::Path> for Value {
    fn from(path: &std::path::Path) -> Self {
        Self::Text(path.display().to_string())
    }
}

impl From<bool> for Value {
    fn from(yes: bool) -> Self {
        Self::Bool(yes)
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

impl From<Mark> for Value {
    fn from(mark: Mark) -> Self {
        Self::Mark(mark)
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::None, Into::into)
    }
}

impl<T: Into<Value>> From<Vec<T>> for Value {
    fn from(values: Vec<T>) -> Self {
        Self::List(values.into_iter().map(Into::into).collect())
    }
}
