//! What l3afd would do with each program of a payload, and with the root programs of its chains.

use std::collections::BTreeSet;
use std::path::Path;

use skep_proto::control::Request;
use skep_proto::l3afd::is_plain;
use skep_proto::l3afd::payload::{Host, List, Program};
use skep_proto::package::manifest::{Facts, File, FileKind};
use skep_proto::render::l3afd::{Artifact, Platform, select};

use super::source::{Source, parse};
use super::{Check, Scene, settings};
use crate::client::Client;
use crate::commands::contents;
use crate::commands::release::{called, checked_manifest, reasons, release};
use crate::report::Mark;

/// The word for the newest release.
const LATEST: &str = "latest";

/// A program that l3afd would run, and where it stands.
struct Asked<'a> {
    called: String,
    program: &'a Program,
    list: List,
    /// A root program: the configuration says it, not the payload.
    root: bool,
}

pub(super) async fn checks(
    scene: &Scene<'_>,
    hosts: Option<&[Host]>,
    mut client: Option<&mut Client>,
) -> Vec<Check> {
    let mut found = Vec::new();
    let roots = roots(scene, hosts);
    for (list, program) in &roots {
        let asked = Asked {
            called: format!("root program {}@{}", program.name, program.version),
            program,
            list: *list,
            root: true,
        };
        found.extend(one(scene, &asked, client.as_deref_mut()).await);
    }
    let Some(hosts) = hosts else {
        let text =
            "l3afd stops what runs before it asks for what is new: a release must be here first";
        let hint = "skep get REPO/NAME --snippet l3afd prints a payload once it is";
        found.push(Check::new(Mark::Note, "update", text).with_hint(hint));
        return found;
    };
    for host in hosts {
        found.extend(of_host(scene, host));
        let mut names = BTreeSet::new();
        for (list, program) in host.bpf_programs.all() {
            let asked = Asked {
                called: format!("{} {}@{}", list.field(), program.name, program.version),
                program,
                list,
                root: false,
            };
            if !names.insert((list, program.name.as_str())) {
                let text = format!("{}: stands there twice, and l3afd starts one", asked.called);
                found.push(Check::new(Mark::Fail, "program", text));
            }
            found.extend(one(scene, &asked, client.as_deref_mut()).await);
        }
    }
    found
}

/// The root programs that chains begin with, as far as the payload has chains.
fn roots(scene: &Scene<'_>, hosts: Option<&[Host]>) -> Vec<(List, Program)> {
    if scene.config.flag("l3afd", "bpf-chaining-enabled") != Some(true) {
        return Vec::new();
    }
    let uses = |lists: &[List]| {
        hosts.is_none_or(|hosts| {
            let mut all = hosts.iter().flat_map(|host| host.bpf_programs.all());
            all.any(|(list, _)| lists.contains(&list))
        })
    };
    let root = |section: &str, name: &str, kind: &str| {
        let of = |option: &str, default: &str| {
            let said = scene
                .config
                .get(section, option)
                .filter(|it| !it.is_empty());
            said.unwrap_or(default).to_owned()
        };
        Program {
            name: of("package-name", name),
            artifact: of("artifact", &format!("l3af_{}_root.tar.gz", kind)),
            version: of("version", LATEST),
            ..Program::default()
        }
    };
    let mut roots = Vec::new();
    if uses(&[List::XdpIngress]) {
        roots.push((List::XdpIngress, root("xdp-root", "xdp-root", "xdp")));
    }
    if uses(&[List::TcIngress, List::TcEgress]) {
        roots.push((List::TcIngress, root("tc-root", "tc-root", "tc")));
    }
    roots
}

fn of_host(scene: &Scene<'_>, host: &Host) -> Vec<Check> {
    let fail =
        |name, text: String, hint: String| Check::new(Mark::Fail, name, text).with_hint(hint);
    let mut found = Vec::new();
    let here = scene.host.as_deref().unwrap_or_default();
    let is_here = host.host_name == here;
    if !is_here {
        let text = format!(
            "`{}`: l3afd refuses what is for another host",
            host.host_name
        );
        found.push(fail("host", text, format!("\"host_name\": \"{here}\"")));
    }
    if host.iface.is_empty() || is_here && !scene.interfaces.contains(&host.iface) {
        let text = format!(
            "there is no interface `{}`, and l3afd stops what it ran on one that is gone",
            host.iface
        );
        let there = scene.interfaces.join(", ");
        found.push(fail("host", text, format!("\"iface\": one of {there}")));
    }
    if found.is_empty() {
        let text = format!("{} on {}", host.iface, host.host_name);
        found.push(Check::new(Mark::Ok, "host", text));
    }
    if host.bpf_programs.all().next().is_none() {
        let text = "the payload names no program: l3afd stops all that it ran there";
        found.push(Check::new(Mark::Warn, "host", text));
    }
    found
}

/// What l3afd would do with one program.
async fn one(scene: &Scene<'_>, asked: &Asked<'_>, client: Option<&mut Client>) -> Vec<Check> {
    let program = asked.program;
    let mut found = words(asked);
    if !found.is_empty() {
        // What leads elsewhere is not looked up.
        return found;
    }
    found.extend(fields(asked));
    found.extend(cached(scene, asked));
    let default = scene.config.get("ebpf-repo", "url").unwrap_or_default();
    let own = program.ebpf_package_repo_url.as_str();
    if !own.is_empty() && own != default {
        let urls = settings::url(scene, Some(own), Some(&asked.called));
        found.extend(urls.into_iter().filter(|check| check.mark != Mark::Ok));
    }
    let url = if own.is_empty() { default } else { own };
    match parse(url, scene.doors, scene.host.as_deref()).source {
        Source::Gateway { door, repo } if scene.repos.contains(&repo) => {
            if let Some(client) = client {
                found.extend(of_release(scene, asked, &repo, door.normal, client).await);
            }
        }
        Source::Folder(folder) => {
            found.extend(latest(scene, asked, "X.Y.Z"));
            found.extend(of_folder(scene, asked, &folder));
        }
        // Said of the URL.
        _ => found.extend(latest(scene, asked, "X.Y.Z")),
    }
    if found.is_empty() {
        let text = format!("{}: l3afd would get it and could run it", asked.called);
        found.push(Check::new(Mark::Ok, "program", text));
    }
    found
}

impl Asked<'_> {
    fn check(&self, mark: Mark, text: impl std::fmt::Display) -> Check {
        Check::new(mark, "program", format!("{}: {text}", self.called))
    }

    fn fail(&self, text: impl std::fmt::Display, hint: impl Into<String>) -> Check {
        self.check(Mark::Fail, text).with_hint(hint)
    }
}

/// Words that l3afd joins to paths, and cleans none of.
fn words(asked: &Asked<'_>) -> Vec<Check> {
    let program = asked.program;
    let mut found = Vec::new();
    for (field, word) in [
        ("name", &program.name),
        ("version", &program.version),
        ("artifact", &program.artifact),
    ] {
        if !is_plain(word) {
            let text = format!(
                "`{field}` is `{word}`: l3afd asks for another path by it and unpacks in another folder"
            );
            let hint = "payloads are printed, not typed: skep get REPO/NAME --snippet l3afd";
            found.push(asked.fail(text, hint));
        }
    }
    // l3afd writes the rules there, as root.
    let rules = program.rules_file.as_str();
    if !rules.is_empty() && !rules.split('/').all(is_plain) {
        let text =
            format!("`rules_file` is `{rules}`: l3afd writes it outside the program's folder");
        found.push(asked.fail(text, "\"rules_file\": a name, such as rules.json"));
    }
    let is_usable = || Artifact::parse(&program.artifact).is_some();
    if found.is_empty() && !is_usable() {
        let text = format!(
            "`{}` is no artifact that l3afd can unpack: letters, digits, `_` and `-`, then .tar.gz or \
             .zip",
            program.artifact
        );
        let hint = format!("\"artifact\": \"{}.tar.gz\"", program.name);
        found.push(asked.fail(text, hint));
    }
    found
}

/// What has l3afd fail whatever the release is.
fn fields(asked: &Asked<'_>) -> Vec<Check> {
    let program = asked.program;
    let mut found = Vec::new();
    if asked.root {
        return found;
    }
    if program.entry_function_name.is_empty() {
        let text = "without `entry_function_name` l3afd's handler ends with a panic";
        found.push(asked.fail(
            text,
            "\"entry_function_name\": the program's function: skep info",
        ));
    }
    if program.object_file.is_empty() {
        let text = "without `object_file` l3afd loads nothing";
        found.push(asked.fail(
            text,
            "\"object_file\": the object in the archive: skep info",
        ));
    }
    let right = match asked.list {
        List::XdpIngress => Some("xdp"),
        List::TcIngress | List::TcEgress => Some("tc"),
        List::Probes => None,
    };
    if let Some(right) = right.filter(|right| program.prog_type != *right) {
        let text = format!("`prog_type` is `{}` in this list", program.prog_type);
        found.push(asked.fail(text, format!("\"prog_type\": \"{right}\"")));
    }
    match program.admin_status.as_str() {
        "enabled" => {}
        "disabled" => found.push(asked.check(Mark::Note, "disabled: l3afd stops it if it runs")),
        other => {
            let text = format!("`admin_status` is `{other}`: l3afd does not start it");
            found.push(asked.fail(text, "\"admin_status\": \"enabled\""));
        }
    }
    found
}

/// What l3afd has unpacked it does not ask for again, be it half of a release.
fn cached(scene: &Scene<'_>, asked: &Asked<'_>) -> Vec<Check> {
    let program = asked.program;
    let dir = scene.config.get("l3afd", "bpf-dir").unwrap_or_default();
    let stem = program.artifact.split('.').next().unwrap_or_default();
    let folder = Path::new(dir)
        .join(&program.name)
        .join(&program.version)
        .join(stem);
    let mut found = Vec::new();
    if !dir.is_empty() && folder.is_dir() {
        let text = format!(
            "l3afd has `{}` and asks nobody, though it be half of it",
            folder.display()
        );
        found.push(asked.check(Mark::Note, text));
    }
    found
}

/// What came for it once is never replaced.
fn latest(scene: &Scene<'_>, asked: &Asked<'_>, exact: &str) -> Option<Check> {
    let text = "`latest` is asked for once, and what came is used for ever";
    let hint = match (asked.root, asked.list) {
        (false, _) => format!("\"version\": \"{exact}\""),
        (true, List::XdpIngress) => scene.line("xdp-root", &format!("version: {exact}")),
        (true, _) => scene.line("tc-root", &format!("version: {exact}")),
    };
    let is_latest = asked.program.version == LATEST;
    is_latest.then(|| asked.check(Mark::Warn, text).with_hint(hint))
}

/// The same as files.
fn of_folder(scene: &Scene<'_>, asked: &Asked<'_>, folder: &Path) -> Vec<Check> {
    let program = asked.program;
    let Some(platform) = &scene.platform else {
        return Vec::new();
    };
    let path = folder
        .join(&program.name)
        .join(&program.version)
        .join(platform)
        .join(&program.artifact);
    match path.is_file() {
        true => Vec::new(),
        false => {
            let text = format!("there is no file `{}`", path.display());
            vec![asked.fail(
                text,
                "skep mirror --tree DIR writes what is here and admitted",
            )]
        }
    }
}

/// What the gateway would answer, and whether the payload fits what is in the archive.
async fn of_release(
    scene: &Scene<'_>,
    asked: &Asked<'_>,
    repo: &str,
    normal: bool,
    client: &mut Client,
) -> Vec<Check> {
    let program = asked.program;
    let package = match program.version.as_str() {
        LATEST => format!("{repo}/{}", program.name),
        exact => format!("{repo}/{}@{exact}", program.name),
    };
    let request = Request::Release {
        package,
        normal,
        allow_yanked: false,
        accept_change: false,
    };
    let release = match release(request, client).await {
        Ok(release) => release,
        Err(error) => {
            let hint = error.hint.text().unwrap_or("skep doctor").to_owned();
            let text = format!("the gateway answers 404: {}", error.message);
            return vec![asked.fail(text, hint)];
        }
    };
    let what = format!("{}@{}", called(&release), release.version);
    let mut found: Vec<Check> = latest(scene, asked, &release.version.to_string())
        .into_iter()
        .collect();
    let manifest = match checked_manifest(&release) {
        Ok((manifest, _)) => manifest,
        Err(error) => return vec![Check::failed(Mark::Fail, "program", &error)],
    };
    if !release.admitted {
        let text = format!("the gateway answers 403: {}", reasons(&release));
        return vec![asked.fail(text, format!("skep verify --explain {what}"))];
    }
    if !release.held {
        let text = "it is not here: the gateway answers 503, and l3afd has stopped what ran before";
        return vec![asked.fail(text, format!("skep get {what} --snippet l3afd"))];
    }
    let (files, facts) = match contents::known_here(&manifest, client).await {
        Ok((Some(files), Some(facts))) => (files, facts),
        Ok(_) => {
            return vec![asked.fail("its list of files is not here", format!("skep get {what}"))];
        }
        Err(error) => return vec![Check::failed(Mark::Fail, "program", &error)],
    };
    let word = scene.platform.as_deref().unwrap_or_default();
    let platform = Platform::of(word, std::env::consts::ARCH);
    match select(&files, platform) {
        Err(error) => vec![asked.fail(
            format!("the gateway answers 404: {error}"),
            format!("skep info {what}"),
        )],
        Ok(chosen) => match fits(scene, asked, &chosen, &facts, &what) {
            wrong if wrong.is_empty() => {
                let objects = chosen.iter().filter(|file| file.kind == FileKind::Object);
                let objects: Vec<&str> = objects.map(|file| file.path.as_str()).collect();
                let objects = objects.join(", ");
                let trusted = if normal { "by no policy" } else { "trusted" };
                let text = format!("here, {trusted}; for {platform}: {objects}");
                found.push(asked.check(Mark::Ok, text));
                found
            }
            wrong => {
                found.extend(wrong);
                found
            }
        },
    }
}

/// Whether what the payload names is in the archive.
fn fits(
    scene: &Scene<'_>,
    asked: &Asked<'_>,
    chosen: &[&File],
    facts: &Facts,
    what: &str,
) -> Vec<Check> {
    let program = asked.program;
    let mut found = Vec::new();
    let info = || format!("skep get {what} --snippet l3afd prints what is right");
    let has = |path: &str| chosen.iter().any(|file| file.path == path);
    if !program.object_file.is_empty() && !has(&program.object_file) {
        let text = format!("the archive has no object `{}`", program.object_file);
        found.push(asked.fail(text, info()));
    }
    let entry = program.entry_function_name.as_str();
    let mut programs = facts.programs.iter();
    let is_there = programs.any(|it| it.name == entry && it.object == program.object_file);
    if !entry.is_empty() && has(&program.object_file) && !is_there {
        let text = format!("`{}` has no program `{entry}`", program.object_file);
        found.push(asked.fail(text, info()));
    }
    for (field, command) in [
        ("cmd_start", &program.cmd_start),
        ("cmd_stop", &program.cmd_stop),
        ("cmd_status", &program.cmd_status),
        ("cmd_update", &program.cmd_update),
    ] {
        let runs = |file: &&&File| {
            file.path == *command && (file.executable || file.kind == FileKind::Program)
        };
        if !command.is_empty() && !chosen.iter().any(|file| runs(&file)) {
            let text = format!("`{field}` is `{command}`, no program of the archive");
            found.push(asked.fail(text, info()));
        }
    }
    let chains = scene.config.flag("l3afd", "bpf-chaining-enabled") == Some(true);
    let is_array = |name: &str| {
        let mut maps = facts.maps.iter();
        maps.any(|map| map.name == name && map.kind == "prog_array")
    };
    if chains && !asked.root && asked.list != List::Probes && !is_array(&program.map_name) {
        let text = format!(
            "in a chain `map_name` names a program array, and `{}` is none of its maps",
            program.map_name
        );
        found.push(asked.fail(text, scene.line("l3afd", "bpf-chaining-enabled: false")));
    }
    found
}
