//! A report as JSON: one document for an answer, one object per line for a list.
//!
//! Fields stand in the order of the report, the schema first; a person reads them too.

use super::{Body, Part, Report, Table, Value};

/// The text to print, each document on a line of its own.
pub(crate) fn render(report: &Report) -> String {
    let schema = report.schema();
    match &report.body {
        Body::Answer(parts) => document(&schema, parts.iter().map(field)),
        Body::List(table) => fields(table)
            .map(|fields| document(&schema, fields))
            .collect(),
    }
}

/// One document on one line: its schema, then `fields` as (name, JSON).
pub(crate) fn document(schema: &str, fields: impl Iterator<Item = (String, String)>) -> String {
    let schema = ("schema".to_owned(), text(schema));
    format!("{}\n", object(std::iter::once(schema).chain(fields)))
}

/// A string in quotes in which nothing can steer a terminal: what JSON does not oblige to escape is
/// escaped too.
pub(crate) fn text(text: &str) -> String {
    let mut out = String::new();
    for c in serde_json::Value::from(text).to_string().chars() {
        match c {
            '\u{7f}'..='\u{9f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                out.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            _ => out.push(c),
        }
    }
    out
}

pub(crate) fn array(items: impl Iterator<Item = String>) -> String {
    format!("[{}]", items.collect::<Vec<_>>().join(","))
}

fn object(fields: impl Iterator<Item = (String, String)>) -> String {
    let fields: Vec<String> = fields
        .map(|(name, value)| format!("{}:{value}", text(&name)))
        .collect();
    format!("{{{}}}", fields.join(","))
}

fn field(part: &Part) -> (String, String) {
    match part {
        Part::Fact(key, value) => ((*key).to_owned(), json(value)),
        Part::Table(key, table) => ((*key).to_owned(), array(fields(table).map(object))),
        Part::Verbatim(key, verbatim) => ((*key).to_owned(), text(verbatim)),
    }
}

/// The fields of each row.
fn fields(table: &Table) -> impl Iterator<Item = impl Iterator<Item = (String, String)>> {
    table.rows.iter().map(|row| {
        let row = table.columns.iter().zip(row);
        row.map(|(column, value)| ((*column).to_owned(), json(value)))
    })
}

fn json(value: &Value) -> String {
    match value {
        Value::None => "null".to_owned(),
        Value::Text(value) | Value::Hash(value) => text(value),
        Value::Bool(yes) => yes.to_string(),
        Value::Number(number) | Value::Size(number) => number.to_string(),
        Value::Time(seconds) => text(&super::text::rfc3339(*seconds)),
        Value::Mark(mark) => text(mark.word()),
        Value::List(values) => array(values.iter().map(json)),
    }
}
