//! What stands around every page.

use skep_proto::search::QUERY_BYTES_MAX;

use super::super::{Door, Mode};
use super::assets;

/// The frame of a page.
pub(super) struct Frame {
    pub(super) style: String,
    /// The policy is not asked at this door.
    pub(super) is_normal: bool,
    /// What stands in the search box.
    pub(super) query: String,
    pub(super) query_len_max: usize,
}

impl Frame {
    pub(super) fn of(door: &Door) -> Self {
        Self {
            style: assets::style_path(),
            is_normal: door.mode == Mode::Normal,
            query: String::new(),
            query_len_max: QUERY_BYTES_MAX,
        }
    }

    /// With what was searched for in the box, as far as it can be looked for.
    pub(super) fn with_query(self, query: &str) -> Self {
        let end = query.floor_char_boundary(QUERY_BYTES_MAX);
        let query = query[..end].to_owned();
        Self { query, ..self }
    }
}

/// A day, as people write it where nobody's clock counts.
pub(super) fn day(unix_s: u64) -> String {
    let time = i64::try_from(unix_s).map(jiff::Timestamp::from_second);
    match time {
        Ok(Ok(time)) => time.strftime("%Y-%m-%d").to_string(),
        _ => format!("{unix_s} s"),
    }
}

/// A moment, for what this node itself saw.
pub(super) fn moment(unix_s: u64) -> String {
    let time = i64::try_from(unix_s).map(jiff::Timestamp::from_second);
    match time {
        Ok(Ok(time)) => time.strftime("%Y-%m-%d %H:%M UTC").to_string(),
        _ => format!("{unix_s} s"),
    }
}

/// A size in the units of `ls -h`.
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    let mut tenths = bytes.saturating_mul(10);
    let mut unit = "B";
    for larger in UNITS {
        if tenths < 10_240 {
            break;
        }
        tenths /= 1_024;
        unit = larger;
    }
    match unit {
        "B" => format!("{bytes} B"),
        unit => format!("{}.{} {unit}", tenths / 10, tenths % 10),
    }
}

/// One piece of a path, safe in a link.
pub(super) fn piece(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                out.push(char::from(byte));
            }
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_days_and_pieces() {
        for (bytes, text) in [
            (0, "0 B"),
            (1_023, "1023 B"),
            (1_024, "1.0 KiB"),
            (1_536, "1.5 KiB"),
            (256 << 20, "256.0 MiB"),
            (u64::MAX, "1677721.5 TiB"),
        ] {
            assert_eq!(size(bytes), text);
        }
        assert_eq!(day(0), "1970-01-01");
        assert_eq!(day(u64::MAX), format!("{} s", u64::MAX));
        assert_eq!(moment(86_399), "1970-01-01 23:59 UTC");
        assert_eq!(piece("a b/c?ü+1"), "a%20b%2Fc%3F%C3%BC%2B1");
    }
}
