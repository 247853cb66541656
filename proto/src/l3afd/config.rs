//! l3afd's configuration: sections, options, and what it makes of a time.

use std::collections::BTreeMap;

/// Longest configuration that is read, in bytes: a full one with its comments has a few kilobytes.
pub const CONFIG_BYTES_MAX: u64 = 256 << 10;
/// The section whose options stand for those that another one lacks.
const DEFAULT: &str = "DEFAULT";

/// The options of a file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Config(BTreeMap<(String, String), String>);

/// A line that l3afd cannot read: it ends there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line} is no section, no option and no comment")]
pub struct Error {
    /// From 1.
    pub line: usize,
}

/// Reads a configuration as l3afd does: `[section]`, `option: value` or `option = value`, a line that
/// begins with a space goes on with the value before it, a comment begins with `#` or `;` at the
/// beginning of a line or behind a space.
///
/// # Errors
/// A line of another kind.
pub fn read(text: &str) -> Result<Config, Error> {
    let mut options = BTreeMap::new();
    let mut section = String::new();
    let mut last: Option<(String, String)> = None;
    for (at, line) in text.lines().enumerate() {
        let line = without_comment(line).trim_end();
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(name) = line
            .strip_prefix('[')
            .and_then(|line| line.strip_suffix(']'))
        {
            name.trim().clone_into(&mut section);
            last = None;
            continue;
        }
        let goes_on = line.starts_with([' ', '\t']);
        match (line.split_once(['=', ':']), &last) {
            (_, Some(key)) if goes_on => {
                let value: &mut String = options.entry(key.clone()).or_default();
                value.push('\n');
                value.push_str(line.trim());
            }
            (Some((option, value)), _) if !goes_on && !option.is_empty() => {
                let key = (section.clone(), option.trim().to_owned());
                options.insert(key.clone(), value.trim().to_owned());
                last = Some(key);
            }
            _ => return Err(Error { line: at + 1 }),
        }
    }
    Ok(Config(options))
}

fn without_comment(line: &str) -> &str {
    let ends = [" ;", "\t;", " #", "\t#"].into_iter();
    let end = ends.filter_map(|mark| line.find(mark)).min();
    &line[..end.unwrap_or(line.len())]
}

impl Config {
    /// The value of an option, if the file or its defaults have it.
    pub fn get(&self, section: &str, option: &str) -> Option<&str> {
        let of = |section: &str| self.0.get(&(section.to_owned(), option.to_owned()));
        of(section).or_else(|| of(DEFAULT)).map(String::as_str)
    }

    /// A value that is yes or no; none if it is absent or neither.
    pub fn flag(&self, section: &str, option: &str) -> Option<bool> {
        let word = self.get(section, option)?.to_ascii_lowercase();
        match word.as_str() {
            "t" | "true" | "y" | "yes" | "on" | "1" => Some(true),
            "f" | "false" | "n" | "no" | "off" | "0" => Some(false),
            _ => None,
        }
    }
}

/// Nanoseconds that a text such as `1m30s` or `10ns` says, as Go reads it; none for what is none, or
/// more than 292 years.
pub fn nanoseconds(text: &str) -> Option<i64> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut sum: i128 = 0;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(end);
        let end = tail.find(|c: char| c.is_ascii_digit() || c == '.');
        let (unit, tail) = tail.split_at(end.unwrap_or(tail.len()));
        let unit: i128 = match unit {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return None,
        };
        let (whole, part) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() && part.is_empty() {
            return None;
        }
        sum = sum.checked_add(digits(whole)?.checked_mul(unit)?)?;
        // Of a part of a nanosecond nothing is left.
        let part = part.get(..part.len().min(PART_DIGITS_MAX))?;
        let shift = u32::try_from(part.len()).ok()?;
        sum = sum.checked_add(digits(part)?.checked_mul(unit)? / 10_i128.pow(shift))?;
        rest = tail;
    }
    i64::try_from(if negative { -sum } else { sum }).ok()
}

/// Digits behind a point that can matter: an hour has 3.6 × 10^12 nanoseconds.
const PART_DIGITS_MAX: usize = 13;

fn digits(text: &str) -> Option<i128> {
    match text.is_empty() {
        true => Some(0),
        false => text.parse::<u64>().ok().map(i128::from),
    }
}

/// The time-out of a download in nanoseconds that follows from `http-client-timeout`: l3afd takes
/// the time for a number of seconds, and what overflows is negative, which is none at all.
pub fn time_out(nanoseconds: i64) -> Option<i64> {
    let effective = nanoseconds.wrapping_mul(1_000_000_000);
    (effective > 0).then_some(effective)
}
