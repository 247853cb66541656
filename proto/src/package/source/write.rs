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
        text += &format!(
            "\n# its section `{}` does not say where it attaches: xdp, tc, kprobe, …\n\
             [[program]]\nname = {}\n# hook = \"\"\n",
            crate::text::harmless(&program.section),
            quoted(&program.name)
        );
    }
    text
}

/// `text` with the repository in its `[package]` table, everything else as it is.
pub fn with_repository(text: &str, repo: &RepoId) -> Result<String, Malformed> {
    let source = super::Source::parse(text)?;
    if source.package.repository == Some(*repo) {
        return Ok(text.to_owned());
    }
    let line = format!("repository = \"{repo}\"");
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let header = |line: &String| line.trim_start().starts_with("[package]");
    let start = lines.iter().position(header);
    let start = start.ok_or_else(|| Malformed("no line `[package]`".to_owned()))?;
    let rest = lines.iter().enumerate().skip(start + 1);
    let table: Vec<(usize, &String)> = rest
        .take_while(|(_, line)| !line.trim_start().starts_with('['))
        .collect();
    let is_ours = |line: &&(usize, &String)| {
        let key = line.1.split('=').next().unwrap_or_default();
        key.trim() == "repository"
    };
    match table.iter().find(is_ours).map(|(at, _)| *at) {
        Some(at) => lines[at].clone_from(&line),
        None => {
            let last = table.iter().rfind(|(_, line)| !line.trim().is_empty());
            lines.insert(last.map_or(start, |(at, _)| *at) + 1, line.clone());
        }
    }
    let edited = lines.join("\n") + "\n";
    // An odd file (dotted keys, strings over several lines) may need a person's hand.
    match super::Source::parse(&edited) {
        Ok(read) if read.package.repository == Some(*repo) => Ok(edited),
        _ => Err(Malformed(format!(
            "add this line to `[package]` yourself: {line}"
        ))),
    }
}
