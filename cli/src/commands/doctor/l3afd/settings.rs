//! l3afd's configuration: what it needs to start, and the settings that do something else than they
//! say.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use skep_proto::l3afd::config::{nanoseconds, time_out};

use super::source::{Source, parse};
use super::{Check, Scene};
use crate::commands::host::Distribution;
use crate::home::read_text;
use crate::report::Mark;

/// What l3afd does not start without, with a value that does.
const NEEDED: [(&str, &str, &str); 6] = [
    ("l3afd", "pid-file", "/run/l3afd.pid"),
    ("l3afd", "datacenter", "local"),
    ("l3afd", "bpf-dir", CACHE),
    ("l3afd", "bpf-chaining-enabled", "false"),
    ("l3afd", "BpfMapDefaultPath", "/sys/fs/bpf"),
    ("l3af-config-store", "filename", "/var/lib/l3afd/store.json"),
];
/// A folder that outlives a boot.
const CACHE: &str = "/var/lib/l3afd";
/// Folders that a boot empties.
const FLEETING: [&str; 5] = ["/dev/shm", "/run", "/var/run", "/tmp", "/proc"];
/// How the file systems in memory call themselves (`statfs`).
const IN_MEMORY: [u64; 2] = [0x0102_1994, 0x8584_58f6];
/// The one value of the time-out that is one: l3afd multiplies it by 10^9.
const TIME_OUT: &str = "http-client-timeout: 10ns";
/// Longest time-out that is one, in seconds. Many a usual time (`5s`, `20s`, `1m`) overflows to
/// decades, and nobody means to have l3afd stand still for more than a quarter of an hour.
const TIME_OUT_MAX_S: i64 = 15 * 60;
/// Where systemd looks for a unit of the node: the first that there is counts.
const UNIT_DIRS: [&str; 4] = [
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
];
const UNIT: &str = "skep.service";
/// Longest unit that is read, in bytes.
const UNIT_BYTES_MAX: u64 = 64 << 10;

pub(super) fn checks(scene: &Scene<'_>, distribution: Option<&Distribution>) -> Vec<Check> {
    let mut found = needed(scene);
    found.extend(url(scene, scene.config.get("ebpf-repo", "url"), None));
    found.extend(cache(scene));
    found.push(start(&UNIT_DIRS.map(Path::new)));
    found.push(time_out_of(scene));
    found.push(tls(scene));
    found.push(chaining(scene));
    found.push(platform(distribution));
    found
}

fn needed(scene: &Scene<'_>) -> Vec<Check> {
    let missing = NEEDED
        .iter()
        .filter(
            |(section, option, _)| match scene.config.get(section, option) {
                None | Some("") => true,
                Some(_) => *option == "bpf-chaining-enabled" && !is_flag(scene, section, option),
            },
        )
        .map(|(section, option, value)| {
            let text = format!("l3afd does not start without `{option}` in [{section}]");
            let line = scene.line(section, &format!("{option}: {value}"));
            Check::new(Mark::Fail, "config", text).with_hint(line)
        });
    let mut all: Vec<Check> = missing.collect();
    if all.is_empty() {
        let file = scene.file.display().to_string();
        all.push(Check::new(Mark::Ok, "config", file));
    }
    all
}

fn is_flag(scene: &Scene<'_>, section: &str, option: &str) -> bool {
    scene.config.flag(section, option).is_some()
}

/// What a URL leads to: that of the configuration, or the one of a program.
pub(super) fn url(scene: &Scene<'_>, url: Option<&str>, of: Option<&str>) -> Vec<Check> {
    let said = |text: String| match of {
        Some(program) => format!("{program}: {text}"),
        None => text,
    };
    let right = |repo: Option<&str>| match of {
        Some(_) => format!("\"ebpf_package_repo_url\": \"{}\"", scene.url(repo)),
        None => scene.line("ebpf-repo", &format!("url: {}", scene.url(repo))),
    };
    let check = |mark, text: String, hint: Option<String>| Check {
        mark,
        name: "url",
        found: said(text),
        hint,
    };
    let Some(url) = url.filter(|url| !url.is_empty()) else {
        let text = "l3afd does not start without `url` in [ebpf-repo]".to_owned();
        return vec![check(Mark::Fail, text, Some(right(None)))];
    };
    let parsed = parse(url, scene.doors, scene.host.as_deref());
    let mut found = vec![match &parsed.source {
        Source::Gateway { repo, .. } if !scene.repos.contains(repo) => {
            let text = format!("this node does not follow a repository `{repo}`");
            check(Mark::Fail, text, Some("skep repo add TICKET".to_owned()))
        }
        Source::Gateway { door, repo } if door.normal => {
            let text =
                format!("{repo}, by a gateway in normal mode: l3afd runs what no policy admitted");
            check(Mark::Warn, text, Some(right(Some(repo))))
        }
        Source::Gateway { door, repo } => {
            let text = format!("{repo}, by the gateway at {} in trusted mode", door.address);
            check(Mark::Ok, text, None)
        }
        Source::NoRepository(_) => {
            let text = "it leads to this node, and to no repository".to_owned();
            check(Mark::Fail, text, Some(right(None)))
        }
        Source::Tls(_) => {
            let text = "this node's gateway does not speak TLS".to_owned();
            check(Mark::Fail, text, Some(right(None)))
        }
        Source::Folder(path) if path.is_dir() => {
            let text = format!("the folder `{}`, which l3afd believes", path.display());
            check(Mark::Note, text, None)
        }
        Source::Folder(path) => {
            let text = format!("there is no folder `{}`", path.display());
            check(
                Mark::Fail,
                text,
                Some("skep mirror --tree DIR writes one".to_owned()),
            )
        }
        Source::Elsewhere => {
            let text = "it leads to no gateway of this node, and l3afd checks nothing that it gets";
            check(Mark::Warn, text.to_owned(), Some(right(None)))
        }
        Source::Unknown => {
            let text = "l3afd knows http, https and file only, each with a place".to_owned();
            check(Mark::Fail, text, Some(right(None)))
        }
    }];
    if parsed.has_secret {
        let text = "l3afd writes the password into its log and its store".to_owned();
        found.push(check(Mark::Warn, text, None));
    }
    found
}

/// With its cache gone, l3afd asks at boot, once: what it does not get then it forgets for good.
fn cache(scene: &Scene<'_>) -> Option<Check> {
    // One that is not said is among what is needed.
    let dir = scene.config.get("l3afd", "bpf-dir");
    let dir = dir.filter(|dir| !dir.is_empty())?;
    let path = Path::new(dir);
    let fleeting = FLEETING.iter().any(|at| path.starts_with(at)) || is_in_memory(path);
    Some(match fleeting {
        true => {
            let text = format!(
                "`{dir}` is empty after a boot: l3afd asks for everything then, once, and forgets what \
                 it does not get"
            );
            let line = scene.line("l3afd", &format!("bpf-dir: {CACHE}"));
            Check::new(Mark::Warn, "cache", text).with_hint(line)
        }
        false => Check::new(Mark::Ok, "cache", format!("`{dir}` outlives a boot")),
    })
}

fn is_in_memory(path: &Path) -> bool {
    let mut there = path.ancestors().filter(|path| path.is_absolute());
    let found = there.find_map(|path| rustix::fs::statfs(path).ok());
    found.is_some_and(|found| {
        let kind = u64::try_from(found.f_type).unwrap_or_default();
        IN_MEMORY.contains(&kind)
    })
}

/// The node must answer before l3afd asks.
fn start(dirs: &[&Path]) -> Check {
    let before = |text: &str| {
        let mut lines = text
            .lines()
            .filter_map(|line| line.trim().strip_prefix("Before="));
        lines.any(|line| line.split_whitespace().any(|unit| unit == "l3afd.service"))
    };
    let line = "Before=l3afd.service";
    let Some(unit) = dirs.iter().map(|dir| dir.join(UNIT)).find(|it| it.exists()) else {
        let text = "no unit has the node ready before l3afd starts, which asks once";
        return Check::new(Mark::Warn, "start", text)
            .with_hint(format!("in a unit of the node, [Unit]: {line}"));
    };
    // So systemd takes an empty file, and a link to `/dev/null`.
    if std::fs::metadata(&unit).is_ok_and(|it| !it.is_file() || it.len() == 0) {
        let text = format!("{} is masked: the node does not start", unit.display());
        return Check::new(Mark::Warn, "start", text).with_hint(format!("systemctl unmask {UNIT}"));
    }
    let says = |file: &&PathBuf| read_text(file, UNIT_BYTES_MAX).is_ok_and(|text| before(&text));
    let drop_ins = drop_ins(dirs);
    match std::iter::once(&unit).chain(&drop_ins).find(says) {
        Some(file) => {
            let by = match *file == unit {
                true => String::new(),
                false => format!(", by {}", file.display()),
            };
            let text = format!("{} is ready before l3afd starts{by}", unit.display());
            Check::new(Mark::Ok, "start", text)
        }
        None => {
            let text = "nothing has the node ready before l3afd starts, which asks once";
            let hint = format!("in {}, [Unit]: {line}", unit.display());
            Check::new(Mark::Warn, "start", text).with_hint(hint)
        }
    }
}

/// What is added to the unit. One hides those of the same name in later folders; in which order the
/// others are read says nothing here, since what comes before what can only be added to.
fn drop_ins(dirs: &[&Path]) -> Vec<PathBuf> {
    let mut found: BTreeMap<OsString, PathBuf> = BTreeMap::new();
    for dir in dirs {
        let entries = std::fs::read_dir(dir.join(format!("{UNIT}.d")));
        let paths = entries.into_iter().flatten().flatten().map(|it| it.path());
        for path in paths.filter(|path| path.extension().is_some_and(|it| it == "conf")) {
            let name = path.file_name().unwrap_or_default().to_owned();
            found.entry(name).or_insert(path);
        }
    }
    found.into_values().collect()
}

fn time_out_of(scene: &Scene<'_>) -> Check {
    let said = scene.config.get("l3afd", "http-client-timeout");
    let said = said.filter(|text| !text.is_empty()).unwrap_or("30s");
    // What it cannot read it takes for the value that it has by itself.
    let meant = nanoseconds(said).unwrap_or(30_000_000_000);
    let seconds = time_out(meant).map(|ns| ns / 1_000_000_000);
    let for_ever = "a server that stalls holds l3afd for ever";
    let text = match seconds {
        Some(seconds) if seconds <= TIME_OUT_MAX_S => {
            let text = format!("`{said}` is one of {seconds} s");
            return Check::new(Mark::Ok, "time-out", text);
        }
        Some(seconds) => {
            format!("`{said}` is one of {seconds} s, since l3afd multiplies it by 10^9: {for_ever}")
        }
        None if meant <= 0 => format!("`{said}` is none: {for_ever}"),
        None => {
            format!("`{said}` is none: l3afd multiplies it by 10^9, it overflows, and {for_ever}")
        }
    };
    Check::new(Mark::Warn, "time-out", text).with_hint(scene.line("l3afd", TIME_OUT))
}

fn tls(scene: &Scene<'_>) -> Check {
    let certificates = scene.config.get("mtls", "cert-dir").unwrap_or_default();
    match scene.config.flag("mtls", "enabled") {
        Some(false) => Check::new(Mark::Ok, "tls", "off: only its own REST interface has it"),
        _ if certificates.is_empty() => {
            let text = "it is on, and no certificates are named: l3afd has no REST interface";
            Check::new(Mark::Warn, "tls", text).with_hint(scene.line("mtls", "enabled: false"))
        }
        _ => {
            let text = "it guards l3afd's REST interface, and nothing that l3afd downloads";
            Check::new(Mark::Note, "tls", text)
        }
    }
}

fn chaining(scene: &Scene<'_>) -> Check {
    match scene.config.flag("l3afd", "bpf-chaining-enabled") {
        Some(true) => {
            let text = "on: a root program is asked for first, and every program needs `map_name`";
            Check::new(Mark::Note, "chaining", text)
        }
        _ => Check::new(Mark::Ok, "chaining", "off: one program on a hook"),
    }
}

fn platform(distribution: Option<&Distribution>) -> Check {
    match distribution {
        Some(it) if it.has_tool => Check::new(
            Mark::Ok,
            "platform",
            format!("it asks for `{}`", it.code_name),
        ),
        _ => {
            let text = "`lsb_release` is not here, and l3afd downloads nothing without it";
            let hint = "apt-get install lsb-release";
            Check::new(Mark::Fail, "platform", text).with_hint(hint)
        }
    }
}

#[cfg(test)]
mod tests {
    use skep_proto::l3afd::config;

    use super::*;

    #[test]
    fn a_time_out_is_one_that_somebody_lives_to_see() {
        let found = |time: &str| {
            let text = format!("[l3afd]\nhttp-client-timeout: {time}\n");
            let config = config::read(&text).expect("a configuration");
            let scene = Scene {
                file: Path::new("l3afd.cfg"),
                config: &config,
                doors: &[],
                repos: &[],
                host: None,
                interfaces: Vec::new(),
                platform: None,
            };
            time_out_of(&scene)
        };
        for time in ["1ns", "10ns", "900ns"] {
            let check = found(time);
            assert_eq!((check.mark, check.hint), (Mark::Ok, None), "{time}");
        }
        for (time, why) in [
            ("901ns", "one of 901 s"),
            // What overflows may come out positive again.
            ("5s", "one of 5000000000 s"),
            ("20s", "one of 1553255926 s"),
            ("1m", "one of 4659767778 s"),
            ("10s", "overflows"),
            ("", "overflows"),
            ("soon", "overflows"),
            ("0", "`0` is none: a server"),
            ("-1s", "`-1s` is none: a server"),
        ] {
            let check = found(time);
            assert_eq!(check.mark, Mark::Warn, "{time}");
            assert!(check.found.contains(why), "{time}: {}", check.found);
            assert!(check.hint.is_some_and(|hint| hint.ends_with(TIME_OUT)));
        }
    }

    #[test]
    fn a_unit_says_what_comes_first_or_what_is_added_to_it_does() {
        let folder = tempfile::tempdir().expect("a folder");
        let (etc, usr) = (folder.path().join("etc"), folder.path().join("usr"));
        let dirs = [etc.as_path(), usr.as_path()];
        let write = |path: &str, text: &str| {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            std::fs::write(path, text).expect("written");
        };
        const BEFORE: &str = "[Unit]\nBefore=network.target l3afd.service\n";
        assert_eq!(start(&dirs).mark, Mark::Warn);
        // Without a unit it is added to nothing.
        write("usr/skep.service.d/l3afd.conf", BEFORE);
        assert_eq!(start(&dirs).mark, Mark::Warn);
        write("usr/skep.service", "[Unit]\nBefore=network.target\n");
        let found = start(&dirs);
        assert_eq!(found.mark, Mark::Ok);
        assert!(found.found.contains("l3afd.conf"), "{}", found.found);
        // Of one name the first counts.
        write("etc/skep.service.d/l3afd.conf", "[Unit]\n");
        let found = start(&dirs);
        assert_eq!(found.mark, Mark::Warn);
        let hint = found.hint.expect("what to write");
        assert!(hint.contains("Before=l3afd.service"), "{hint}");
        write("usr/skep.service.d/note.txt", BEFORE);
        assert_eq!(start(&dirs).mark, Mark::Warn);
        write("usr/skep.service", BEFORE);
        assert_eq!(start(&dirs).mark, Mark::Ok);
        // As the first unit counts, whatever others say.
        write("etc/skep.service", "[Unit]\n");
        assert_eq!(start(&dirs).mark, Mark::Warn);
        // A unit that is masked never starts, whatever is added to it.
        write("etc/skep.service.d/l3afd.conf", BEFORE);
        assert_eq!(start(&dirs).mark, Mark::Ok);
        let unit = etc.join("skep.service");
        std::fs::remove_file(&unit).expect("removed");
        std::os::unix::fs::symlink("/dev/null", &unit).expect("linked");
        let found = start(&dirs);
        assert!(found.found.contains("is masked"), "{}", found.found);
        assert_eq!(found.mark, Mark::Warn);
    }
}
