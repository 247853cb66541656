//! The four groups of verbs, and the overview that is made of them.

use std::fmt::Write as _;

use anstyle::Style;

/// Which verbs belong together, in the order in which they are met. A group without verbs is not
/// shown.
pub(crate) const GROUPS: [(&str, &[&str]); 4] = [
    ("Make", &["new", "publish"]),
    ("Use", &["search", "info", "get", "verify"]),
    ("Trust", &["key", "trust"]),
    ("Run", &["node", "repo", "mirror", "bundle", "doctor"]),
];

/// Verbs that need no group.
#[cfg(test)]
pub(crate) const OUTSIDE: &[&str] = &["demo", "completions", "man", "help"];

/// Three lines to begin with, and what they do.
pub(crate) const EXAMPLES: [(&str, &str); 3] = [
    ("skep demo", "three nodes pass a signed package along"),
    (
        "skep new drop --from X.o",
        "start a package from a compiled object",
    ),
    (
        "skep get TICKET",
        "fetch what a friend gave you a ticket for",
    ),
];

const BOLD: Style = Style::new().bold();

/// The groups with what each verb does, and the examples.
pub(crate) fn overview(command: &clap::Command) -> String {
    let mut out = String::new();
    let about = |verb: &str| {
        let found = command.find_subcommand(verb);
        found.and_then(|c| c.get_about()).map(ToString::to_string)
    };
    for (group, verbs) in GROUPS.iter().filter(|(_, verbs)| !verbs.is_empty()) {
        line(&mut out, &format!("{BOLD}{group}{BOLD:#}"));
        for verb in *verbs {
            line(
                &mut out,
                &format!("  {verb:10} {}", about(verb).unwrap_or_default()),
            );
        }
    }
    line(&mut out, &format!("\n{BOLD}To begin with{BOLD:#}"));
    for (example, what) in EXAMPLES {
        line(&mut out, &format!("  {example:24} {what}"));
    }
    out
}

fn line(out: &mut String, text: &str) {
    writeln!(out, "{text}").expect("a string takes everything");
}
