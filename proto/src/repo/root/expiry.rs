//! When a root document expires: a time of one spelling, compared and never computed with.

use std::fmt;
use std::str::FromStr;

/// `2027-06-01T00:00:00Z`, exactly this form. Checked for its form, not against the calendar:
/// times of one spelling compare as texts, so that a thirteenth month harms nobody.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Expiry(String);

/// A text that is not of the form of an expiry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a time of the form `2027-06-01T00:00:00Z`")]
pub struct NotExpiry;

const FORM: &[u8; 20] = b"0000-00-00T00:00:00Z";
const DAY_S: u64 = 86_400;

impl Expiry {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it has passed at `now_s` (unix seconds).
    pub fn has_passed(&self, now_s: u64) -> bool {
        match Self::from_unix(now_s) {
            Some(now) => *self <= now,
            None => true,
        }
    }

    /// The time `unix_s` seconds after 1970 began; `None` from the year 10000 on, which the form
    /// cannot say.
    pub fn from_unix(unix_s: u64) -> Option<Self> {
        let (year, month, day) = civil(unix_s / DAY_S);
        let second = unix_s % DAY_S;
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        (year < 10_000).then(|| {
            Self(format!(
                "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z"
            ))
        })
    }
}

/// Year, month and day of the Gregorian calendar, from days since 1970-01-01. Years are counted
/// from March, so that a leap day is the last of its year.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468; // since 0000-03-01
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 {
        from_march + 3
    } else {
        from_march - 9
    };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

impl FromStr for Expiry {
    type Err = NotExpiry;

    fn from_str(text: &str) -> Result<Self, NotExpiry> {
        let fits = |(byte, form): (u8, &u8)| match form {
            b'0' => byte.is_ascii_digit(),
            form => byte == *form,
        };
        if text.len() == FORM.len() && text.bytes().zip(FORM).all(fits) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NotExpiry)
        }
    }
}

impl fmt::Display for Expiry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
