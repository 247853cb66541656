//! What the objects say, what the author adds to it, and whether the two fit.

use super::assemble::{Found, Problem, problem};
use super::{Program, Source};
use crate::ebpf::{self, kind_of_hook, kind_of_section};
use crate::package::license::{self, Conflict};
use crate::package::manifest::{self, Facts};
use crate::text::harmless_line;

/// The facts of all objects; what does not fit goes to `problems`.
pub(super) fn facts(source: &Source, found: &[Found], problems: &mut Vec<Problem>) -> Facts {
    let mut facts = Facts::default();
    for said in &source.objects {
        let Some(file) = found.iter().find(|found| found.path == said.file) else {
            continue;
        };
        let object = match &file.object {
            Some(Ok(object)) => object,
            Some(Err(error)) => {
                problems.push(problem(
                    format!("`{}`: {error}", said.file),
                    "compile it with: clang -O2 -g -target bpf -c",
                ));
                continue;
            }
            None => continue,
        };
        if said.endian.is_some_and(|endian| endian != object.endian) {
            problems.push(problem(
                format!(
                    "`{}` is {}-endian, and skep.toml says otherwise",
                    said.file, object.endian
                ),
                "leave `endian` out: it is read from the object",
            ));
        }
        check_license(source, &said.file, object, problems);
        facts.add(&said.file, object);
    }
    add_programs(source, &mut facts, problems);
    add_maps(source, &mut facts, problems);
    facts.globals = source.globals.iter().map(Into::into).collect();
    check_names(source, &facts, problems);
    facts
}

fn check_license(source: &Source, file: &str, object: &ebpf::Object, problems: &mut Vec<Problem>) {
    let package = &source.package;
    match license::check(&package.license, &package.platform, object) {
        Ok(()) => {}
        Err(Conflict::Expression(said)) => {
            let hint = match license::spdx_of(&said) {
                Some(spdx) => format!("license = \"{spdx}\""),
                None => "make the two say the same".to_owned(),
            };
            problems.push(problem(
                format!(
                    "`{file}` tells the kernel `{}`, and skep.toml says `{}`",
                    harmless_line(&said),
                    package.license
                ),
                hint,
            ));
        }
        Err(Conflict::Helpers { names, license }) => problems.push(problem(
            format!(
                "`{file}` tells the kernel {}, and calls BPF helpers for GPL-compatible programs \
                 only: {}",
                license.map_or("no license".to_owned(), |it| format!("`{}`", harmless_line(&it))),
                names.join(", ")
            ),
            "say what the kernel takes for GPL: char LICENSE[] SEC(\"license\") = \"Dual BSD/GPL\";",
        )),
    }
}

/// Names of what there is, for a hint.
fn there_are<'a>(names: impl Iterator<Item = &'a String>) -> String {
    let names: std::collections::BTreeSet<&str> = names.map(String::as_str).collect();
    let names: Vec<&str> = names.into_iter().collect();
    match names.is_empty() {
        true => "there are none".to_owned(),
        false => format!("there are: {}", harmless_line(&names.join(", "))),
    }
}

fn add_programs(source: &Source, facts: &mut Facts, problems: &mut Vec<Problem>) {
    for said in &source.programs {
        let meant = |it: &manifest::Program| {
            it.name == said.name
                && said
                    .object
                    .as_ref()
                    .is_none_or(|object| *object == it.object)
        };
        if !facts.programs.iter().any(meant) {
            problems.push(problem(
                format!("no object has a program `{}`", harmless_line(&said.name)),
                there_are(facts.programs.iter().map(|it| &it.name)),
            ));
        }
        for program in facts.programs.iter_mut().filter(|it| meant(it)) {
            add_program(said, program, problems);
        }
    }
    for program in facts
        .programs
        .iter()
        .filter(|program| program.hook.is_none())
    {
        problems.push(problem(
            format!(
                "the section `{}` of program `{}` does not say where it attaches",
                program.section, program.name
            ),
            format!(
                "add to skep.toml: [[program]] name = \"{}\" hook = \"…\"",
                program.name
            ),
        ));
    }
}

fn add_program(said: &Program, program: &mut manifest::Program, problems: &mut Vec<Problem>) {
    if let Some(hook) = &said.hook {
        add_hook(hook, program, problems);
    }
    if let Some(direction) = said.direction.map(|direction| direction.to_string()) {
        if program
            .direction
            .as_ref()
            .is_some_and(|told| *told != direction)
        {
            problems.push(problem(
                format!(
                    "program `{}` stands in section `{}`",
                    program.name, program.section
                ),
                "leave `direction` out: it is read from the section",
            ));
        }
        program.direction = Some(direction);
    }
    program.optional |= said.optional;
    program.target = said.target.clone().or(program.target.take());
    program.alternative.clone_from(&said.alternative);
    let chain = said.chain.as_ref().map(manifest::Chain::from);
    program.chain = chain.filter(|chain| !chain.is_empty());
}

fn add_hook(hook: &str, program: &mut manifest::Program, problems: &mut Vec<Problem>) {
    let Some(kind) = kind_of_hook(hook) else {
        problems.push(problem(
            format!("`{}` is not a hook", harmless_line(hook)),
            "for example: xdp, tc, tcx/ingress, kprobe, tracepoint, lsm",
        ));
        // Said once: not again as a program without a hook.
        program.hook = Some(String::new());
        return;
    };
    match kind_of_section(&program.section) {
        // The same program may attach in another way than its section says: tc as tcx.
        Some(told) if told.program_type == kind.program_type => {
            program.hook = Some(kind.hook.to_owned());
        }
        Some(_) => problems.push(problem(
            format!(
                "program `{}` stands in section `{}`, which is not for hook `{hook}`",
                program.name,
                harmless_line(&program.section)
            ),
            "leave `hook` out: it is read from the section",
        )),
        None => {
            program.kind = Some(kind.program_type.to_string());
            program.hook = Some(kind.hook.to_owned());
            program.direction = kind.direction.map(|direction| direction.to_string());
            program.attach_type = kind.attach_type.map(str::to_owned);
            program.sleepable = kind.sleepable;
            program.frags = kind.frags;
        }
    }
}

fn add_maps(source: &Source, facts: &mut Facts, problems: &mut Vec<Problem>) {
    for said in &source.maps {
        let meant = |it: &manifest::Map| {
            it.name == said.name
                && said
                    .object
                    .as_ref()
                    .is_none_or(|object| *object == it.object)
        };
        if !facts.maps.iter().any(meant) {
            problems.push(no_map(&said.name, facts));
        }
        for map in facts.maps.iter_mut().filter(|it| meant(it)) {
            map.description.clone_from(&said.description);
            map.values = said.values.iter().map(Into::into).collect();
            check_values(map, problems);
        }
    }
}

fn no_map(name: &str, facts: &Facts) -> Problem {
    problem(
        format!("no object has a map `{}`", harmless_line(name)),
        there_are(facts.maps.iter().map(|it| &it.name)),
    )
}

/// Initial values are as long as keys and values of the map are.
fn check_values(map: &manifest::Map, problems: &mut Vec<Problem>) {
    let fits = |hex: &str, size: u32| hex.len() as u64 == 2 * u64::from(size);
    for value in &map.values {
        if !fits(&value.key, map.key_size) || !fits(&value.value, map.value_size) {
            problems.push(problem(
                format!(
                    "map `{}` has keys of {} and values of {} bytes",
                    map.name, map.key_size, map.value_size
                ),
                "write `key` and `value` as hex digits, as they stand in memory",
            ));
        }
    }
}

/// Tests, chains and l3afd's section name programs and maps that there are.
fn check_names(source: &Source, facts: &Facts, problems: &mut Vec<Problem>) {
    for test in &source.tests {
        if !facts.programs.iter().any(|it| it.name == test.program) {
            problems.push(problem(
                format!(
                    "no object has a program `{}` to test",
                    harmless_line(&test.program)
                ),
                there_are(facts.programs.iter().map(|it| &it.name)),
            ));
        }
    }
    let values = source
        .tests
        .iter()
        .flat_map(|test| test.before.iter().chain(&test.after));
    let chains = source
        .programs
        .iter()
        .filter_map(|it| it.chain.as_ref()?.map.as_ref());
    let l3afd = source.l3afd.as_ref();
    let chain = l3afd.and_then(|table| table.get("map_name")?.as_str());
    let monitored = l3afd.and_then(|table| table.get("monitor_maps")?.as_array());
    let monitored = monitored
        .into_iter()
        .flatten()
        .filter_map(|it| it.get("name")?.as_str());
    let named = values.map(|value| value.map.as_str());
    let named = named
        .chain(chains.map(String::as_str))
        .chain(chain)
        .chain(monitored);
    for name in named {
        if !facts.maps.iter().any(|it| it.name == name) {
            problems.push(no_map(name, facts));
        }
    }
    if let Some(artifact) = l3afd.and_then(|table| table.get("artifact")?.as_str()) {
        check_artifact(artifact, problems);
    }
}

/// l3afd takes the name up to its first dot for the folder inside, and unpacks two formats.
fn check_artifact(artifact: &str, problems: &mut Vec<Problem>) {
    let stem = [".tar.gz", ".zip"]
        .into_iter()
        .find_map(|end| artifact.strip_suffix(end));
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if !stem.is_some_and(|stem| !stem.is_empty() && stem.chars().all(plain)) {
        problems.push(problem(
            format!(
                "l3afd cannot use an artifact called `{}`",
                harmless_line(artifact)
            ),
            "NAME.tar.gz or NAME.zip, of letters, digits, `_` and `-`",
        ));
    }
}
