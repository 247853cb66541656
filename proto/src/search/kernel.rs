//! Versions of kernels, as manifests and queries write them.

use std::fmt;
use std::str::FromStr;

/// `5.15` or `5.15.3`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct KernelVersion {
    major: u16,
    minor: u16,
    patch: Option<u16>,
}

impl KernelVersion {
    /// Whether this kernel is `min` or later. Without a third number it is the first of its line.
    pub fn is_at_least(&self, min: &Self) -> bool {
        let numbers = |it: &Self| (it.major, it.minor, it.patch.unwrap_or(0));
        numbers(self) >= numbers(min)
    }

    /// Whether both can be one kernel: a third number counts where both have one.
    pub fn fits(&self, other: &Self) -> bool {
        let patches = self.patch.zip(other.patch);
        (self.major, self.minor) == (other.major, other.minor)
            && patches.is_none_or(|(one, other)| one == other)
    }
}

impl FromStr for KernelVersion {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let number = |part: &str| {
            let digits = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
            let plain = digits && (part == "0" || !part.starts_with('0'));
            plain.then(|| part.parse().ok()).flatten().ok_or(())
        };
        let mut parts = text.split('.');
        let version = Self {
            major: number(parts.next().ok_or(())?)?,
            minor: number(parts.next().ok_or(())?)?,
            patch: parts.next().map(number).transpose()?,
        };
        match parts.next() {
            None => Ok(version),
            Some(_) => Err(()),
        }
    }
}

impl fmt::Display for KernelVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)?;
        match self.patch {
            Some(patch) => write!(f, ".{patch}"),
            None => Ok(()),
        }
    }
}
