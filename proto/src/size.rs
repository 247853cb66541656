//! Sizes as people write them: `10 GiB`, `5G`, `4096`.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;

/// The units, largest first. All are binary: a limit that is off by a tenth, since somebody meant
/// the other kind, would surprise on the day when the disk is full.
const UNITS: [(&str, u64); 5] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("B", 1),
];

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct Size(pub u64);

/// Why a text is no size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not a size: a whole number, then B, KiB, MiB, GiB or TiB (K, M, G, T for short)", crate::text::harmless_line(.0))]
pub struct Error(String);

impl FromStr for Size {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let refuse = || Error(text.chars().take(40).collect());
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let number: u64 = number.parse().map_err(|_| refuse())?;
        let unit = unit.trim_start_matches(' ');
        let is_it = |(name, _): &&(&str, u64)| {
            *name == unit || name.strip_suffix("iB").is_some_and(|short| short == unit)
        };
        let factor = match unit {
            "" => 1,
            _ => UNITS.iter().find(is_it).ok_or_else(refuse)?.1,
        };
        number.checked_mul(factor).map(Self).ok_or_else(refuse)
    }
}

impl TryFrom<String> for Size {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

/// In the largest unit that says it exactly, so that it reads back as it was.
impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exact = |(_, factor): &&(&str, u64)| self.0 > 0 && self.0.is_multiple_of(*factor);
        let (name, factor) = UNITS.iter().find(exact).unwrap_or(&("B", 1));
        write!(f, "{} {name}", self.0 / factor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write_is_read_and_reads_back() {
        for (text, bytes) in [
            ("0", 0),
            ("4096", 4096),
            ("17 B", 17),
            ("5G", 5 << 30),
            ("10 GiB", 10 << 30),
            ("10GiB", 10 << 30),
            ("1 K", 1024),
            ("16777215TiB", 16_777_215 << 40),
        ] {
            let size: Size = text.parse().expect(text);
            assert_eq!(size.0, bytes, "{text}");
            assert_eq!(size.to_string().parse(), Ok(size), "{text}");
        }
        assert_eq!(Size(1536).to_string(), "1536 B");
        assert_eq!(Size(3 << 20).to_string(), "3 MiB");
    }

    #[test]
    fn what_could_mean_two_things_is_refused() {
        for bad in [
            "",
            "G",
            "5 GB",
            "5g",
            "1.5 GiB",
            "-1",
            "+1",
            "5 G B",
            "5 GiB ",
            " 5",
            "16777216TiB",
            "18446744073709551616",
        ] {
            assert!(bad.parse::<Size>().is_err(), "{bad}");
        }
    }
}
