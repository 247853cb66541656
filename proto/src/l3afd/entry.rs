//! From a manifest to the payload that has l3afd run it.

use std::collections::BTreeMap;

use serde_json::Value;

use super::is_plain;
use super::payload::{FIELDS, Host, List, Program, Programs};
use crate::ebpf::Direction;
use crate::package::manifest::{self, Details, Facts, File, FileKind, Manifest};
use crate::render::l3afd::Artifact;

/// Fields that follow from the release and the place where it runs: no author says them, lest a
/// payload asks for something else than what was verified.
const OURS: [&str; 7] = [
    "id",
    "name",
    "version",
    "artifact",
    "admin_status",
    "prog_type",
    "ebpf_package_repo_url",
];
/// Where a program stands in the chain unless its author says otherwise: behind l3afd's root program.
const SEQ_ID: i64 = 1;
/// First words of the sections by which l3afd attaches probes; it reads them from the object again.
const PROBES: [&str; 5] = ["kprobe", "kretprobe", "uprobe", "uretprobe", "tracepoint"];

/// What the manifest does not say.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    pub host: &'a str,
    pub iface: &'a str,
    /// `http://127.0.0.1:7700/l3afd/REPO`.
    pub repo_url: &'a str,
    pub artifact: &'a Artifact,
    /// The only program that is meant, by its function.
    pub program: Option<&'a str>,
    /// For a program whose section does not tell it.
    pub direction: Option<Direction>,
}

/// Why no payload can have l3afd run a release.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    #[error("no object of it has a program")]
    Nothing,
    #[error("no object of it has a program `{program}`; there are {there}")]
    NoProgram { program: String, there: String },
    #[error("l3afd cannot attach `{program}`, which stands in section `{section}`")]
    Unknown { program: String, section: String },
    #[error(
        "l3afd would start only one of {there}: it tells programs on one hook by their package"
    )]
    Several { there: String },
    #[error("nothing says whether `{program}` is for packets that come or that go")]
    NoDirection { program: String },
    #[error(
        "the section `{section}` does not say where `{program}` attaches, and l3afd ends at it"
    )]
    NoTarget { program: String, section: String },
    #[error("its manifest says `{field}` for l3afd, and that {why}")]
    Field { field: String, why: String },
}

/// The payload, and the fields for l3afd in the manifest that l3afd does not know.
///
/// # Errors
/// Nothing in the release that l3afd runs, more than it can tell apart, or a field that leads out of
/// the release.
pub fn payload(
    manifest: &Manifest,
    facts: &Facts,
    files: &[&File],
    wanted: &Wanted<'_>,
) -> Result<(Vec<Host>, Vec<String>), Unfit> {
    let (said, unknown) = said(&manifest.details)?;
    check_said(&said, facts, files)?;
    let mut programs = Programs::default();
    for (list, entry) in entries(facts, files, &said, wanted)? {
        let chain = entry.chain.as_ref().and_then(|chain| chain.map.clone());
        let map_name = match (chain, said.map_name.is_empty()) {
            (Some(map), true) => map,
            _ => said.map_name.clone(),
        };
        plain("map_name", &map_name)?;
        plain("object_file", &entry.object)?;
        let program = Program {
            name: manifest.name.to_string(),
            seq_id: if said.seq_id == 0 {
                SEQ_ID
            } else {
                said.seq_id
            },
            artifact: wanted.artifact.to_string(),
            version: manifest.version.to_string(),
            admin_status: "enabled".to_owned(),
            prog_type: prog_type(list, entry),
            map_name,
            ebpf_package_repo_url: wanted.repo_url.to_owned(),
            object_file: entry.object.clone(),
            entry_function_name: entry.name.clone(),
            ..said.clone()
        };
        programs.push(list, program);
    }
    let host = Host {
        host_name: wanted.host.to_owned(),
        iface: wanted.iface.to_owned(),
        bpf_programs: programs,
    };
    Ok((vec![host], unknown))
}

/// Whether a payload could have what the author says for l3afd: a version never changes, so it is
/// said before it is published.
///
/// # Errors
/// A field that is none, or that leads out of the release.
pub fn check(details: &Details, facts: &Facts, files: &[File]) -> Result<(), Unfit> {
    let (said, _) = said(details)?;
    check_said(&said, facts, &files.iter().collect::<Vec<_>>())
}

/// What the author says for l3afd, typed, and the names of what l3afd does not know.
fn said(details: &Details) -> Result<(Program, Vec<String>), Unfit> {
    let table = details.l3afd.clone().unwrap_or_default();
    let (known, unknown): (Vec<_>, Vec<_>) = table
        .into_iter()
        .filter(|(field, _)| !OURS.contains(&field.as_str()))
        .partition(|(field, _)| FIELDS.contains(&field.as_str()));
    // One field at a time, so that a wrong one is named.
    for (field, value) in &known {
        let one: serde_json::Map<_, _> = [(field.clone(), value.clone())].into_iter().collect();
        serde_json::from_value::<Program>(Value::Object(one)).map_err(|e| Unfit::Field {
            field: field.clone(),
            why: format!("is none: {e}"),
        })?;
    }
    let known = known.into_iter().collect();
    let said = serde_json::from_value(Value::Object(known)).map_err(|e| Unfit::Field {
        field: "l3afd".to_owned(),
        why: format!("is none: {e}"),
    })?;
    Ok((said, unknown.into_iter().map(|(field, _)| field).collect()))
}

/// Commands are files of the archive, maps are in the objects, and arguments are words: l3afd joins
/// all of them to paths and command lines as they are.
fn check_said(said: &Program, facts: &Facts, files: &[&File]) -> Result<(), Unfit> {
    let wrong = |field: &str, why: String| {
        let field = field.to_owned();
        Err(Unfit::Field { field, why })
    };
    for (field, command) in [
        ("cmd_start", &said.cmd_start),
        ("cmd_stop", &said.cmd_stop),
        ("cmd_status", &said.cmd_status),
        ("cmd_config", &said.cmd_config),
        ("cmd_update", &said.cmd_update),
    ] {
        let runs = |file: &&&File| {
            file.path == *command && (file.executable || file.kind == FileKind::Program)
        };
        if !command.is_empty() && !files.iter().any(|file| runs(&file)) {
            return wrong(field, format!("is `{command}`, no program of the archive"));
        }
    }
    let monitored = said
        .monitor_maps
        .iter()
        .map(|map| ("monitor_maps", &map.name));
    let filled = said.map_args.iter().map(|map| ("map_args", &map.name));
    let chain = Some(("map_name", &said.map_name)).filter(|(_, name)| !name.is_empty());
    for (field, name) in filled.chain(monitored).chain(chain) {
        if !facts.maps.iter().any(|map| map.name == *name) {
            return wrong(field, format!("names `{name}`, a map of no object"));
        }
    }
    plain("rules_file", &said.rules_file)?;
    if said.config_file_path.contains("..") {
        return wrong("config_file_path", "leads out of its folder".to_owned());
    }
    for (field, args) in [
        ("start_args", &said.start_args),
        ("stop_args", &said.stop_args),
        ("status_args", &said.status_args),
        ("update_args", &said.update_args),
    ] {
        if let Some((name, _)) = args.iter().find(|(_, value)| !value.is_string()) {
            return wrong(
                field,
                format!("has `{name}`, which l3afd takes as a text only"),
            );
        }
    }
    Ok(())
}

fn plain(field: &str, path: &str) -> Result<(), Unfit> {
    // An object may stand in a folder of the archive.
    match path.is_empty() || path.split('/').all(is_plain) {
        true => Ok(()),
        false => Err(Unfit::Field {
            field: field.to_owned(),
            why: format!("is `{path}`, which is no path that can be given to l3afd"),
        }),
    }
}

/// Which programs are entries, each with its list.
fn entries<'a>(
    facts: &'a Facts,
    files: &[&File],
    said: &Program,
    wanted: &Wanted<'_>,
) -> Result<Vec<(List, &'a manifest::Program)>, Unfit> {
    let here = |program: &&manifest::Program| files.iter().any(|file| file.path == program.object);
    let all: Vec<&manifest::Program> = facts.programs.iter().filter(here).collect();
    if all.is_empty() {
        return Err(Unfit::Nothing);
    }
    let named = [said.entry_function_name.as_str()];
    let named = named.into_iter().find(|name| !name.is_empty());
    let meant: Vec<&manifest::Program> = match wanted.program.or(named) {
        None => all.clone(),
        Some(name) => all.iter().filter(|it| it.name == name).copied().collect(),
    };
    let meant: Vec<&manifest::Program> = match said.object_file.as_str() {
        "" => meant,
        object => meant.into_iter().filter(|it| it.object == object).collect(),
    };
    if meant.is_empty() {
        let program = wanted.program.or(named).unwrap_or(&said.object_file);
        return Err(Unfit::NoProgram {
            program: program.to_owned(),
            there: names(&all),
        });
    }
    let mut lists: BTreeMap<List, Vec<&manifest::Program>> = BTreeMap::new();
    for program in meant {
        let list = list_of(program, wanted.direction)?;
        lists.entry(list).or_default().push(program);
    }
    let mut entries = Vec::new();
    for (list, programs) in lists {
        let [first, rest @ ..] = programs.as_slice() else {
            continue;
        };
        // All probes of one object are attached by one entry.
        let one_object = || rest.iter().all(|it| it.object == first.object);
        let is_one = rest.is_empty() || list == List::Probes && one_object();
        if !is_one {
            return Err(Unfit::Several {
                there: names(&programs),
            });
        }
        if list == List::Probes {
            let with_it = all.iter().filter(|it| it.object == first.object);
            with_it
                .filter(|it| !is_of_packets(it))
                .try_for_each(|it| check_probe(it))?;
        }
        entries.push((list, *first));
    }
    Ok(entries)
}

fn names(programs: &[&manifest::Program]) -> String {
    let names: Vec<&str> = programs.iter().map(|it| it.name.as_str()).collect();
    names.join(", ")
}

fn hook(program: &manifest::Program) -> &str {
    program.hook.as_deref().unwrap_or_default()
}

fn is_of_packets(program: &manifest::Program) -> bool {
    matches!(
        program.kind.as_deref(),
        Some("xdp" | "sched_cls" | "sched_act")
    )
}

fn list_of(program: &manifest::Program, given: Option<Direction>) -> Result<List, Unfit> {
    // Those for maps of devices and processors are called by others.
    let on_interface = matches!(program.attach_type.as_deref(), None | Some("xdp"));
    let said = || program.direction.as_deref()?.parse().ok();
    match hook(program) {
        "xdp" if on_interface => Ok(List::XdpIngress),
        "tc" | "tcx" => match said().or(given) {
            Some(Direction::Ingress) => Ok(List::TcIngress),
            Some(Direction::Egress) => Ok(List::TcEgress),
            None => Err(Unfit::NoDirection {
                program: program.name.clone(),
            }),
        },
        _ => check_probe(program).map(|()| List::Probes),
    }
}

/// The section tells l3afd where a probe goes.
fn check_probe(program: &manifest::Program) -> Result<(), Unfit> {
    let mut parts = program.section.split('/');
    let first = parts.next().unwrap_or_default();
    let (program, section) = (program.name.clone(), program.section.clone());
    if !PROBES.contains(&first) {
        return Err(Unfit::Unknown { program, section });
    }
    let needed = if first == "tracepoint" { 2 } else { 1 };
    match parts.filter(|part| !part.is_empty()).count() >= needed {
        true => Ok(()),
        false => Err(Unfit::NoTarget { program, section }),
    }
}

fn prog_type(list: List, program: &manifest::Program) -> String {
    match list {
        List::XdpIngress => "xdp",
        List::TcIngress | List::TcEgress => "tc",
        List::Probes => program.section.split('/').next().unwrap_or_default(),
    }
    .to_owned()
}
