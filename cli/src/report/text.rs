//! A report as text: aligned columns for a terminal, tab-separated values for a pipe.
//!
//! Whatever stands in a report may come from a stranger. A cell can contain neither an escape
//! sequence nor a tab or a line feed that would make another cell of it.

use anstyle::{AnsiColor, Style};
use jiff::Timestamp;
use skep_proto::text::{harmless, harmless_line};
use unicode_width::UnicodeWidthStr as _;

use super::{Body, Mark, Part, Report, Table, Value};

/// Whom the text is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reader {
    /// A person; `now` in seconds since 1970 makes `3 days ago`.
    Terminal { now: i64 },
    /// A program: whole hashes, no header, nothing dimmed.
    Pipe,
}

/// Digits of a hash that a terminal shows: enough to tell two apart, too few to trust.
const HASH_DIGITS_SHOWN: usize = 12;

/// The text to print, with styles that the stream removes where they do not belong.
pub(crate) fn render(report: &Report, reader: Reader) -> String {
    match &report.body {
        Body::List(table) => rows(table, reader),
        Body::Answer(parts) => {
            let both_facts =
                |a: &Part, b: &Part| matches!(a, Part::Fact(..)) && matches!(b, Part::Fact(..));
            let groups = parts.chunk_by(both_facts);
            groups.map(|group| rendered(group, reader)).collect()
        }
    }
}

/// `text` on one line, with everything harmful shown and not sent.
pub(crate) fn cell(text: &str) -> String {
    harmless_line(text)
}

/// `text` with its lines and tabs as they are, and everything harmful shown and not sent.
pub(crate) fn lines(text: &str) -> String {
    let parts: Vec<String> = text.split('\t').map(harmless).collect();
    parts.join("\t")
}

/// Seconds since 1970 as RFC 3339; what no calendar knows, as a number.
pub(crate) fn rfc3339(seconds: i64) -> String {
    Timestamp::from_second(seconds).map_or_else(|_| seconds.to_string(), |time| time.to_string())
}

/// Facts in a row, which share their columns, or one part of another kind.
fn rendered(group: &[Part], reader: Reader) -> String {
    match group {
        [Part::Verbatim(_, text)] => {
            let mut text = lines(text);
            if !text.ends_with('\n') {
                text.push('\n');
            }
            text
        }
        // On a pipe the rows say which of the answer's tables they belong to.
        [Part::Table(key, table)] if reader == Reader::Pipe => {
            let mut table = table.clone();
            for row in &mut table.rows {
                row.insert(0, (*key).into());
            }
            rows(&table, reader)
        }
        [Part::Table(_, table)] => rows(table, reader),
        facts => {
            let mut table = Table {
                header: false,
                ..Table::new(&["", ""])
            };
            for fact in facts {
                if let Part::Fact(key, value) = fact
                    && (reader == Reader::Pipe || !value.is_nothing())
                {
                    table.push([label(key, reader).into(), value.clone()]);
                }
            }
            rows(&table, reader)
        }
    }
}

/// A label: a field's name, for people with spaces.
fn label(key: &str, reader: Reader) -> String {
    match reader {
        Reader::Terminal { .. } => key.replace('_', " "),
        Reader::Pipe => key.to_owned(),
    }
}

fn rows(table: &Table, reader: Reader) -> String {
    let mut lines: Vec<Vec<(String, Style)>> = Vec::new();
    if table.header && reader != Reader::Pipe && !table.rows.is_empty() {
        let names = table.columns.iter();
        lines.push(
            names
                .map(|name| (label(name, reader).to_uppercase(), Style::new().dimmed()))
                .collect(),
        );
    }
    for row in &table.rows {
        let cell = |value: &Value| match value {
            _ if reader == Reader::Pipe => shown(value, reader),
            Value::None => (table.none.to_owned(), Style::new()),
            Value::List(values) if values.is_empty() => (table.none.to_owned(), Style::new()),
            _ => shown(value, reader),
        };
        lines.push(row.iter().map(cell).collect());
    }
    match reader {
        Reader::Pipe => separated(&lines),
        Reader::Terminal { .. } => aligned(&lines),
    }
}

fn separated(lines: &[Vec<(String, Style)>]) -> String {
    let mut out = String::new();
    for line in lines {
        let cells: Vec<&str> = line.iter().map(|(text, _)| text.as_str()).collect();
        out.push_str(&cells.join("\t"));
        out.push('\n');
    }
    out
}

/// Columns two spaces apart; the last one is not filled up.
fn aligned(lines: &[Vec<(String, Style)>]) -> String {
    let count = lines.iter().map(Vec::len).max().unwrap_or(0);
    let widest = |column: usize| {
        let cells = lines.iter().filter_map(|line| line.get(column));
        cells.map(|(text, _)| text.width()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..count).map(widest).collect();
    let mut out = String::new();
    for line in lines {
        let mut row = String::new();
        for ((text, style), width) in line.iter().zip(&widths) {
            let fill = " ".repeat(width - text.width() + 2);
            row.push_str(&format!("{style}{text}{style:#}{fill}"));
        }
        out.push_str(row.trim_end());
        out.push('\n');
    }
    out
}

fn shown(value: &Value, reader: Reader) -> (String, Style) {
    let plain = Style::new();
    let text = match (value, reader) {
        (Value::None, _) => String::new(),
        (Value::Text(text), _) | (Value::Hash(text), Reader::Pipe) => cell(text),
        (Value::Hash(text), Reader::Terminal { .. }) => shortened(&cell(text)),
        (Value::Bool(yes), _) => if *yes { "yes" } else { "no" }.to_owned(),
        (Value::Number(number), _) | (Value::Size(number), Reader::Pipe) => number.to_string(),
        (Value::Size(bytes), Reader::Terminal { .. }) => size(*bytes),
        (Value::Time(seconds), Reader::Pipe) => rfc3339(*seconds),
        (Value::Time(seconds), Reader::Terminal { now }) => ago(*seconds, now),
        (Value::Mark(mark), Reader::Pipe) => mark.word().to_owned(),
        (Value::Mark(mark), Reader::Terminal { .. }) => return marked(*mark),
        (Value::List(values), _) => {
            let values: Vec<String> = values.iter().map(|v| shown(v, reader).0).collect();
            values.join(if reader == Reader::Pipe { "," } else { ", " })
        }
    };
    (text, plain)
}

fn marked(mark: Mark) -> (String, Style) {
    let (sign, color) = match mark {
        Mark::Ok => ("✓", Some(AnsiColor::Green)),
        Mark::Warn => ("!", Some(AnsiColor::Yellow)),
        Mark::Fail => ("✗", Some(AnsiColor::Red)),
        Mark::Note | Mark::Skip => (" ", None),
    };
    let style = Style::new().fg_color(color.map(Into::into));
    (format!("{sign} {}", mark.word()), style)
}

/// `b3:9f2c81d0a7e4…`.
fn shortened(hash: &str) -> String {
    let digits = hash.rfind(':').map_or(0, |colon| colon + 1);
    let mut chars = hash.chars();
    let head: String = chars.by_ref().take(digits + HASH_DIGITS_SHOWN).collect();
    if chars.next().is_none() {
        head
    } else {
        format!("{head}…")
    }
}

/// `9.4 KiB`: binary units, one decimal.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    // Tenths, rounded down, so that nothing looks larger than it is.
    let mut tenths = u128::from(bytes) * 10 / 1024;
    let mut unit = 0;
    while tenths >= 10_240 && unit + 1 < UNITS.len() {
        tenths /= 1024;
        unit += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

/// `3 days ago`; what lies ahead, or back more than a month, as a date.
pub(crate) fn ago(then: i64, now: i64) -> String {
    const STEPS: [(i64, i64, &str); 4] = [
        (60, 1, "second"),
        (3_600, 60, "minute"),
        (86_400, 3_600, "hour"),
        (30 * 86_400, 86_400, "day"),
    ];
    let passed = now.saturating_sub(then);
    for (below, unit, name) in STEPS {
        if (0..below).contains(&passed) {
            let count = passed / unit;
            let plural = if count == 1 { "" } else { "s" };
            return format!("{count} {name}{plural} ago");
        }
    }
    rfc3339(then)
}
