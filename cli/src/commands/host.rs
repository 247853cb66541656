//! What a tool on this machine finds out about it: its name, its interfaces, its distribution.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::home::read_text;

/// Longest of the small texts that the system tells of itself, in bytes.
const TEXT_BYTES_MAX: u64 = 64 << 10;
/// Most interfaces that are looked at: a host of containers has thousands, and a person reads tens.
const INTERFACES_MAX: usize = 4_096;
/// The interface that every machine has and nobody filters.
const LOOPBACK: &str = "lo";

/// The distribution, as l3afd asks for it.
pub(super) struct Distribution {
    pub(super) code_name: String,
    /// Whether l3afd can ask: without the tool it fails, though the system says its name elsewhere.
    pub(super) has_tool: bool,
}

/// What `uname -n` prints.
pub(super) fn name() -> Option<String> {
    let text = read_text(Path::new("/proc/sys/kernel/hostname"), TEXT_BYTES_MAX).ok()?;
    let name = text.trim();
    (!name.is_empty()).then(|| name.to_owned())
}

/// Every network interface, sorted.
pub(super) fn interfaces() -> Vec<String> {
    let found = std::fs::read_dir("/sys/class/net").into_iter().flatten();
    let names = found.flatten().take(INTERFACES_MAX);
    let mut names: Vec<String> = names
        .filter(|entry| entry.path().is_dir())
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort();
    names
}

/// The interface that is meant where none is named: the only one besides loopback.
pub(super) fn only_interface(all: &[String]) -> Option<&str> {
    let mut others = all.iter().filter(|name| *name != LOOPBACK);
    let first = others.next()?;
    others.next().is_none().then_some(first)
}

/// What `lsb_release -cs` prints, else what the system's own file says.
pub(super) fn distribution() -> Option<Distribution> {
    let mut tool = Command::new("lsb_release");
    let answer = tool.arg("-cs").stdin(Stdio::null()).output();
    let answer = answer.ok().filter(|answer| answer.status.success());
    let told = answer.and_then(|answer| String::from_utf8(answer.stdout).ok());
    let told = told.map(|text| text.trim().to_owned());
    if let Some(code_name) = told.filter(|word| !word.is_empty()) {
        return Some(Distribution {
            code_name,
            has_tool: true,
        });
    }
    let text = read_text(&PathBuf::from("/etc/os-release"), TEXT_BYTES_MAX).ok()?;
    Some(Distribution {
        code_name: code_name(&text)?.to_owned(),
        has_tool: false,
    })
}

fn code_name(text: &str) -> Option<&str> {
    let mut lines = text.lines();
    let line = lines.find_map(|line| line.strip_prefix("VERSION_CODENAME="))?;
    let word = line.trim().trim_matches('"');
    (!word.is_empty()).then_some(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_interface_is_meant_and_several_are_not() {
        let all = |names: &[&str]| -> Vec<String> { names.iter().map(|&it| it.into()).collect() };
        assert_eq!(only_interface(&all(&["eth0", "lo"])), Some("eth0"));
        assert_eq!(only_interface(&all(&["eth0", "eth1", "lo"])), None);
        assert_eq!(only_interface(&all(&["lo"])), None);
    }

    #[test]
    fn the_systems_file_says_the_code_name() {
        assert_eq!(code_name("NAME=x\nVERSION_CODENAME=noble\n"), Some("noble"));
        assert_eq!(code_name("VERSION_CODENAME=\"jammy\"\n"), Some("jammy"));
        assert_eq!(code_name("VERSION_CODENAME=\n"), None);
        assert_eq!(code_name("NAME=x\n"), None);
    }
}
