//! Lines to type, for the end of each verb's page.

use std::fmt::Write as _;

use anstyle::Style;
use clap::Command;

/// A verb, as its words, and lines of it with what they do.
type Examples = (&'static str, &'static [(&'static str, &'static str)]);

/// Every verb has some. A line can be typed as it stands, with something of one's own in the place
/// of a word in capitals.
pub(crate) const EXAMPLES: &[Examples] = &[
    (
        "new",
        &[
            (
                "skep new drop --from drop.bpf.o",
                "around a compiled object",
            ),
            ("skep new guard --hook tc", "with a program to begin with"),
        ],
    ),
    (
        "publish",
        &[
            ("skep publish", "the package in this folder"),
            ("skep publish drop --dry-run", "what would be signed"),
            (
                "skep publish drop --to drop.skep",
                "and a file to carry by hand",
            ),
            (
                "skep publish --yank ana/drop@0.1.0 --because TEXT",
                "do not choose it any more",
            ),
            (
                "skep publish --deprecate ana/drop --successor filter",
                "use another package",
            ),
        ],
    ),
    (
        "search",
        &[
            ("skep search", "every package of what you follow"),
            (
                "skep search rate limit hook:xdp",
                "words, and where it attaches",
            ),
            (
                "skep search '\"rate limit\"'",
                "these words, beside each other",
            ),
            (
                "skep search kernel:5.15 license:GPL-2.0-only trusted:yes",
                "what you could use",
            ),
        ],
    ),
    (
        "info",
        &[
            ("skep info ana/drop", "the release that would be chosen"),
            (
                "skep info ana/drop@0.1.0 --json",
                "one version, for a program",
            ),
        ],
    ),
    (
        "get",
        &[
            ("skep get TICKET", "what a friend gave you"),
            ("skep get ana/drop@^2 -o /opt", "the newest 2.x"),
            ("skep get ./drop.skep", "from a file, without a network"),
            ("skep get ana/drop --dsse", "only the signed manifest"),
            (
                "skep get ana/drop --snippet l3afd --iface eth0",
                "the payload to post to l3afd",
            ),
        ],
    ),
    (
        "verify",
        &[
            ("skep verify ana/drop", "the release that would be chosen"),
            (
                "skep verify ana/drop@0.1.0 --explain",
                "with operations that had no effect",
            ),
        ],
    ),
    (
        "bundle export",
        &[
            (
                "skep bundle export ana/drop -o drop.skep",
                "the release that would be chosen",
            ),
            (
                "skep bundle export 'ana/*' -o ana.skep",
                "everything of it that is held",
            ),
        ],
    ),
    (
        "bundle import",
        &[
            (
                "skep bundle import drop.skep --expect ID",
                "of that repository, or not at all",
            ),
            (
                "skep bundle import all.skep --expect ID --expect ID",
                "of those two, and no other",
            ),
            (
                "skep bundle import drop.skep --dry-run",
                "what would be new",
            ),
        ],
    ),
    (
        "bundle show",
        &[(
            "skep bundle show drop.skep",
            "what it has, once it was checked",
        )],
    ),
    ("key", &[("skep key", "your name and fingerprint")]),
    (
        "key new",
        &[
            ("skep key new", "named like your login"),
            ("skep key new --name ci", "one more, for a machine"),
        ],
    ),
    ("key list", &[("skep key list", "with fingerprints")]),
    (
        "key export",
        &[("skep key export ana", "the line to give to others")],
    ),
    (
        "key import",
        &[("skep key import id_ed25519 --name ana", "a copy, as `ana`")],
    ),
    ("trust", &[("skep trust", "every rule")]),
    (
        "trust add",
        &[
            ("skep trust add ana/drop", "its owner, for this package"),
            (
                "skep trust add ana/ana --for '*'",
                "the handle `ana`, for all of the repository",
            ),
        ],
    ),
    (
        "trust remove",
        &[
            ("skep trust remove ana/drop", "what is for it alone"),
            ("skep trust remove ana/ana", "all that trusts the handle"),
        ],
    ),
    (
        "trust test",
        &[("skep trust test ana/drop@0.1.0", "exit 0 or 3, and why")],
    ),
    (
        "node run",
        &[
            ("skep node run", "until Ctrl-C"),
            ("skep node run -v", "with what it does"),
        ],
    ),
    (
        "node status",
        &[
            ("skep node status", "now"),
            ("skep node status --wait 30", "once it answers"),
        ],
    ),
    (
        "node peers",
        &[("skep node peers", "each with what it shares")],
    ),
    ("node stop", &[("skep node stop", "cleanly")]),
    (
        "node gc",
        &[
            ("skep node gc --dry-run", "what would go"),
            ("skep node gc --used", "and what was only used"),
        ],
    ),
    (
        "mirror",
        &[
            ("skep mirror", "every rule, and how full"),
            (
                "skep mirror --tree /srv/l3afd",
                "as files: url: file:///srv/l3afd/REPO",
            ),
        ],
    ),
    (
        "mirror add",
        &[
            ("skep mirror add 'ana/*'", "the newest 3 of each package"),
            (
                "skep mirror add 'ana/xdp-*' --newest all --max 5G",
                "all of some, as far as they fit",
            ),
            (
                "skep mirror add 'ana/*' --newest 1 --dry-run",
                "what would come, and what would go",
            ),
        ],
    ),
    (
        "mirror remove",
        &[("skep mirror remove 'ana/*'", "as the list has it")],
    ),
    (
        "mirror keep",
        &[(
            "skep mirror keep ana/drop@0.1.0",
            "also when newer ones come",
        )],
    ),
    (
        "mirror unkeep",
        &[("skep mirror unkeep ana/drop", "any version of it")],
    ),
    (
        "mirror status",
        &[("skep mirror status", "what is missing, and why")],
    ),
    ("repo", &[("skep repo", "all that you follow")]),
    (
        "repo create",
        &[("skep repo create ana", "yours, with you as its publisher")],
    ),
    (
        "repo add",
        &[
            ("skep repo add TICKET", "follow, and trust nobody"),
            (
                "skep repo add TICKET --trust --alias friends",
                "trust its publishers, keep their newest 3",
            ),
        ],
    ),
    (
        "repo remove",
        &[
            ("skep repo remove ana", "follow no more"),
            ("skep repo remove ana --purge", "and forget it"),
        ],
    ),
    (
        "repo settle",
        &[
            ("skep repo settle ana", "is there a choice, and which"),
            (
                "skep repo settle ana 3:SHA256",
                "follow this root document and what continues it",
            ),
        ],
    ),
    (
        "repo show",
        &[("skep repo show ana", "packages, handles, keys")],
    ),
    (
        "repo ticket",
        &[
            ("skep repo ticket ana", "to all of it"),
            ("skep repo ticket ana drop", "to one package"),
        ],
    ),
    (
        "doctor",
        &[
            ("skep doctor", "exit 6 if something is wrong"),
            ("skep doctor --config", "each setting, and where it is from"),
            (
                "skep doctor --l3afd l3afd.cfg payload.json",
                "what l3afd would get, and what it does",
            ),
        ],
    ),
    (
        "demo",
        &[
            ("skep demo", "leaves nothing behind"),
            ("skep demo --keep", "leaves the nodes to try by hand"),
        ],
    ),
    (
        "completions",
        &[
            (
                "skep completions bash",
                "to /usr/share/bash-completion/completions/skep",
            ),
            (
                "skep completions zsh",
                "to /usr/share/zsh/vendor-completions/_skep",
            ),
            (
                "skep completions fish",
                "to /usr/share/fish/vendor_completions.d/skep.fish",
            ),
        ],
    ),
    (
        "man",
        &[("skep man /usr/local/share/man", "as root: man skep")],
    ),
    (
        "help",
        &[
            ("skep help key new", "a verb"),
            ("skep help exit-codes", "a topic"),
        ],
    ),
];

/// The lines of a verb.
pub(crate) fn of(verb: &str) -> &'static [(&'static str, &'static str)] {
    let found = EXAMPLES.iter().find(|(of, _)| *of == verb);
    found.map_or(&[], |(_, lines)| lines)
}

/// The same command with examples at the end of every page.
pub(super) fn on_every_page(mut command: Command) -> Command {
    for (verb, lines) in EXAMPLES {
        let words: Vec<&str> = verb.split(' ').collect();
        command = on_page(command, &words, lines);
    }
    command
}

fn on_page(command: Command, words: &[&str], lines: &[(&str, &str)]) -> Command {
    match words.split_first() {
        None => command.after_help(page(lines)),
        // A verb that is not there is found by a test.
        Some((word, rest)) if command.find_subcommand(word).is_some() => {
            command.mut_subcommand(word, |below| on_page(below, rest, lines))
        }
        Some(_) => command,
    }
}

fn page(lines: &[(&str, &str)]) -> String {
    const BOLD: Style = Style::new().bold().underline();
    let mut out = format!("{BOLD}Examples:{BOLD:#}");
    let width = lines.iter().map(|(line, _)| line.len()).max();
    for (line, what) in lines {
        let width = width.unwrap_or_default();
        write!(out, "\n  {line:width$}   {what}").expect("a string takes everything");
    }
    out
}
