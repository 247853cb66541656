//! Writing `skep.toml`: a new one from an object, and the one line that `publish` adds.

use super::Malformed;
use crate::ebpf;
use crate::id::RepoId;
use crate::name::Name;

/// The text of `skep.toml` for a new package: what the object tells is not repeated but where a
/// person would want to change it.
pub fn for_new(
    name: &Name,
    license: &str,
    description: &str,
    object_file: &str,
    object: Option<&ebpf::Object>,
) -> String {
    let quoted = |text: &str| toml::Value::from(text).to_string();
    let mut text = format!(
        "[package]\nname = {}\nversion = \"0.1.0\"\nlicense = {}\ndescription = {}\n\n\
         [[object]]\nfile = {}\n",
        quoted(name.as_str()),
        quoted(license),
        quoted(description),
        quoted(object_file),
    );
    let programs = object.map_or(&[][..], |object| &object.programs);
    for program in programs.iter().filter(|program| program.kind.is_none()) {
        let section = crate::text::harmless_line(&program.section);
        let name = quoted(&program.name);
        text += &match guess_hook(&program.section) {
            Some(hook) => format!(
                "\n# guessed: its section is `{section}`\n[[program]]\nname = {name}\nhook = \"{hook}\"\n"
            ),
            None => format!(
                "\n# its section `{section}` does not say where it attaches: xdp, tc, kprobe, …\n\
                 [[program]]\nname = {name}\n# hook = \"\"\n"
            ),
        };
    }
    text
}

/// The hook that the name of a section probably means although loaders do not know it: projects
/// write `xdp_NAME` and `tc-ingress-NAME` and tell their loader the type by other ways.
pub fn guess_hook(section: &str) -> Option<&'static str> {
    let word = section.split(['_', '-', '/', '.']).next()?;
    [
        "xdp",
        "tc",
        "tcx",
        "kprobe",
        "kretprobe",
        "uprobe",
        "uretprobe",
        "tracepoint",
        "lsm",
    ]
    .into_iter()
    .find(|hook| *hook == word)
}

/// `text` with the repository in its `[package]` table, everything else as it is.
pub fn with_repository(text: &str, repo: &RepoId) -> Result<String, Malformed> {
    let source = super::Source::parse(text)?;
    if source.package.repository == Some(*repo) {
        return Ok(text.to_owned());
    }
    let line = format!("repository = \"{repo}\"");
    // An odd file (quoted keys, strings over several lines) may need a person's hand.
    let edited = edit(text, &line).filter(|edited| {
        super::Source::parse(edited).is_ok_and(|read| {
            let mut wanted = source.clone();
            wanted.package.repository = Some(*repo);
            read == wanted
        })
    });
    edited.ok_or_else(|| Malformed(format!("add this line to `[package]` yourself: {line}")))
}

/// Puts the line in the place of the one that is there, else behind the last field of the table.
fn edit(text: &str, line: &str) -> Option<String> {
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let is_table = |line: &&str| line.trim_start().starts_with('[');
    let is_ours = |line: &&str| {
        let inside = line
            .trim_start()
            .strip_prefix('[')
            .and_then(|rest| rest.split_once(']'));
        inside.is_some_and(|(name, _)| name.trim() == "package")
    };
    let start = lines.iter().position(is_ours)? + 1;
    let end = lines.iter().skip(start).position(is_table);
    let end = end.map_or(lines.len(), |len| start + len);
    let table = lines.get(start..end)?;
    let key = |line: &&str| line.split('=').next().map(str::trim) == Some("repository");
    let says = |line: &&str| !line.trim().is_empty() && !line.trim_start().starts_with('#');
    let (at, until) = match table.iter().position(key) {
        Some(at) => (start + at, start + at + 1),
        None => {
            let last = table
                .iter()
                .rposition(says)
                .map_or(start, |at| start + at + 1);
            (last, last)
        }
    };
    let ending = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let mut before = lines.get(..at)?.concat();
    if !before.ends_with('\n') {
        before += ending;
    }
    Some(before + line + ending + &lines.get(until..)?.concat())
}
