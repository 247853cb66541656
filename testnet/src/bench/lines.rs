//! Lines of code and of tests, for each crate.
//!
//! A line counts if it is neither blank nor only a comment. Tests are everything below `tests/`,
//! and what is compiled for tests only: items and modules after `#[cfg(test)]`.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

const CRATES: [&str; 4] = ["proto", "node", "cli", "testnet"];

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Lines {
    code: usize,
    tests: usize,
}

impl std::ops::AddAssign for Lines {
    fn add_assign(&mut self, other: Self) {
        self.code += other.code;
        self.tests += other.tests;
    }
}

/// A table of all crates.
pub(super) fn run() -> Result<String> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = here.parent().context("testnet is in the workspace")?;
    let mut table = format!(
        "{:8} {:>7} {:>7} {:>6}\n",
        "crate", "code", "tests", "ratio"
    );
    let mut all = Lines::default();
    for name in CRATES {
        let lines = of_crate(&root.join(name))?;
        row(&mut table, name, lines)?;
        all += lines;
    }
    row(&mut table, "all", all)?;
    Ok(table)
}

fn row(table: &mut String, name: &str, lines: Lines) -> Result<()> {
    let Lines { code, tests } = lines;
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53 lines")]
    let ratio = tests as f64 / code.max(1) as f64;
    writeln!(table, "{name:8} {code:>7} {tests:>7} {ratio:>6.2}")?;
    Ok(())
}

fn of_crate(dir: &Path) -> Result<Lines> {
    let mut lines = Lines::default();
    for path in sources(&dir.join("tests"))? {
        lines.tests += fs::read_to_string(path)?
            .lines()
            .filter(|l| counts(l))
            .count();
    }
    let texts = sources(&dir.join("src"))?
        .into_iter()
        .map(|path| fs::read_to_string(&path).map(|text| (path, text)))
        .collect::<std::io::Result<Vec<_>>>()?;
    let modules: BTreeSet<PathBuf> = texts
        .iter()
        .flat_map(|(path, text)| test_modules(path, text))
        .collect();
    for (path, text) in &texts {
        // A module is NAME.rs and what is below NAME/.
        let is_test = path
            .ancestors()
            .any(|above| modules.contains(&above.with_extension("")));
        let found = of_text(text);
        lines += match is_test {
            true => Lines {
                code: 0,
                tests: found.code + found.tests,
            },
            false => found,
        };
    }
    Ok(lines)
}

/// Every Rust file below a folder; none if there is no such folder.
fn sources(dir: &Path) -> Result<Vec<PathBuf>> {
    let (mut found, mut folders) = (Vec::new(), vec![dir.to_owned()]);
    while let Some(folder) = folders.pop() {
        if !folder.is_dir() {
            continue;
        }
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    Ok(found)
}

fn counts(line: &str) -> bool {
    let line = line.trim_start();
    !line.is_empty() && !line.starts_with("//")
}

/// Paths, without `.rs`, of the modules that a file declares for tests only.
fn test_modules(path: &Path, text: &str) -> Vec<PathBuf> {
    let is_root = ["lib.rs", "main.rs"]
        .iter()
        .any(|root| path.ends_with(root));
    let below = match path.parent() {
        Some(parent) if is_root => parent.to_owned(),
        _ => path.with_extension(""),
    };
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let pairs = lines.windows(2).filter(|pair| pair[0] == "#[cfg(test)]");
    let names = pairs.filter_map(|pair| {
        let declared = pair[1].strip_suffix(';')?;
        let (_, name) = declared.split_once("mod ")?;
        Some(below.join(name))
    });
    names.collect()
}

/// Code, and the items that are for tests only: formatted by rustfmt, an item ends at the brace or
/// the semicolon that stands where it began.
fn of_text(text: &str) -> Lines {
    let mut found = Lines::default();
    let mut test_item: Option<String> = None;
    for line in text.lines() {
        let indent: String = line.chars().take_while(|c| *c == ' ').collect();
        let body = line.trim();
        if body == "#[cfg(test)]" && test_item.is_none() {
            test_item = Some(indent);
            found.tests += 1;
            continue;
        }
        let counted = usize::from(counts(line));
        let Some(began) = &test_item else {
            found.code += counted;
            continue;
        };
        found.tests += counted;
        let is_end = body.ends_with(';') || body.ends_with('}');
        if *began == indent && counted > 0 && is_end {
            test_item = None;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_ends_where_tests_begin_and_goes_on_after_them() {
        let text = "//! A file.\n\nfn a() {\n    b();\n}\n\n#[cfg(test)]\nmod tests {\n    \
                    // A comment.\n    use x;\n    fn c() {\n    }\n}\n\n#[cfg(test)]\nuse y;\nfn d() {}\n";
        assert_eq!(of_text(text), Lines { code: 4, tests: 8 });
    }

    #[test]
    fn modules_for_tests_are_found_with_all_that_is_below_them() {
        let text = "mod a;\n#[cfg(test)]\nmod contract;\n#[cfg(test)]\npub(crate) mod tests;\n";
        assert_eq!(
            test_modules(Path::new("src/store.rs"), text),
            ["src/store/contract", "src/store/tests"].map(PathBuf::from)
        );
        assert_eq!(
            test_modules(Path::new("src/lib.rs"), "#[cfg(test)]\nmod tests;\n"),
            [PathBuf::from("src/tests")]
        );
    }
}
