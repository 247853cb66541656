//! Packages made from compiled objects, our own and those of Debian's `libxdp1`, which nobody here
//! wrote: published, mirrored, handed out by two gateways, unpacked as l3afd does.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use skep_proto::ebpf;

use super::client::{L3afd, Wanted, get, with_gateways};
use super::home::{Home, demo, wait_until};

const VERSION: &str = "0.1.0";

/// A package to be made of an object.
struct Source {
    name: String,
    object: PathBuf,
}

impl Source {
    fn new(object: PathBuf) -> Self {
        let stem = object.file_name().expect("a file").to_string_lossy();
        let stem = stem.trim_end_matches(".o").trim_end_matches(".bpf");
        Self {
            name: stem.replace(['.', '_'], "-"),
            object,
        }
    }

    fn file_name(&self) -> String {
        let name = self.object.file_name().expect("a file");
        name.to_string_lossy().into_owned()
    }

    fn bytes(&self) -> Vec<u8> {
        fs::read(&self.object).expect("an object")
    }
}

/// Every object in a folder.
fn objects(folder: &Path) -> Vec<Source> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let paths = entries.map(|entry| entry.path());
    let mut paths: Vec<PathBuf> = paths
        .filter(|path| path.extension().is_some_and(|ext| ext == "o"))
        .collect();
    paths.sort();
    paths.into_iter().map(Source::new).collect()
}

/// Where Debian puts objects: `/usr/lib/ARCH/bpf`.
#[expect(clippy::print_stderr, reason = "what was skipped is said in words")]
fn of_debian() -> Vec<Source> {
    let folders = fs::read_dir("/usr/lib").expect("a folder").flatten();
    let sources = folders.flat_map(|folder| objects(&folder.path().join("bpf")));
    let sources: Vec<Source> = sources.collect();
    if sources.is_empty() {
        eprintln!("skipped: no objects of others, because libxdp1 is not installed");
    }
    sources
}

/// Makes a package of an object as a person would, and publishes it.
fn publish(author: &Home, source: &Source) {
    let object = source.object.display().to_string();
    author.ok(&["new", &source.name, "--from", &object]);
    let folder = author.path().join(&source.name);
    let toml = folder.join("skep.toml");
    let text = fs::read_to_string(&toml).expect("written by `new`");
    fs::write(
        &toml,
        text.replace("license = \"\"", "license = \"GPL-2.0-only\""),
    )
    .expect("written");
    author.ok(&["publish", &folder.display().to_string()]);
}

/// What is in an object stands in the manifest: OCI clients are told it as labels of an image.
fn facts_are_in_the_manifest(home: &Home, source: &Source) {
    let object = ebpf::read(&source.bytes()).expect("an object");
    let info = home.ok(&["info", &format!("ana/{}", source.name)]);
    let told = |table: &str, fields: usize| -> BTreeSet<String> {
        let lines = info.lines().filter_map(|line| {
            let fields_of = line.strip_prefix(table)?.strip_prefix('\t')?;
            let taken: Vec<&str> = fields_of.split('\t').take(fields).collect();
            Some(taken.join(" "))
        });
        lines.collect()
    };
    let programs = told("programs", 2);
    assert_eq!(programs.len(), object.programs.len(), "{}", source.name);
    for program in &object.programs {
        let found = programs.iter().find_map(|told| {
            let (name, kind) = told.split_once(' ')?;
            (name == program.name).then_some(kind)
        });
        let found = found.expect("the program is told");
        match &program.kind {
            Some(kind) => assert_eq!(found, kind.program_type.to_string()),
            // Where no section says it, the manifest does all the same.
            None => assert_ne!(found, "", "{}", program.name),
        }
    }
    let maps = object.maps.iter().map(|map| {
        format!(
            "{} {} {} {} {}",
            map.name, map.kind, map.key_size, map.value_size, map.max_entries
        )
    });
    assert_eq!(told("maps", 5), maps.collect(), "{}", source.name);
    assert!(!object.programs.is_empty(), "{}", source.name);
}

fn every_object_arrives(sources: &[Source]) {
    let mut author = Home::new(true);
    for source in sources {
        publish(&author, source);
    }
    let [_, ours] = with_gateways(&mut author);
    let ticket = author.ok(&["repo", "ticket", "ana"]);
    let mut site = Home::new(true);
    site.ok(&["repo", "add", &ticket, "--trust"]);
    let [theirs, _] = with_gateways(&mut site);
    let l3afd = L3afd {
        repo: (theirs.clone(), "/l3afd/ana".to_owned()),
        folder: site.path().join("bpf"),
    };
    for source in sources {
        let Source { name, .. } = source;
        // A big-endian object is for a machine that says so.
        let is_big = source.bytes()[5] == 2;
        let platform = if is_big { "jammy-s390x" } else { "jammy" };
        for artifact in [format!("{name}.tar.gz"), format!("{name}.zip")] {
            let path = format!("/l3afd/ana/{name}/{VERSION}/{platform}/{artifact}");
            wait_until(&path, || get(&theirs, &path).status == 200);
            let (here, there) = (get(&ours, &path), get(&theirs, &path));
            assert_eq!(here.status, 200, "{path}");
            assert!(
                here.body == there.body,
                "{path}: the same bytes on two nodes"
            );
            assert_eq!(here.header("etag"), there.header("etag"), "{path}");
            let length = here.header("content-length").map(str::to_owned);
            assert_eq!(length, Some(here.body.len().to_string()), "{path}");
            if is_big {
                continue;
            }
            let program = l3afd.start(Wanted {
                name,
                version: VERSION,
                artifact: &artifact,
            });
            let program = program.unwrap_or_else(|why| panic!("{path}: {why}"));
            let object = fs::read(program.join(source.file_name())).expect("unpacked");
            assert!(object == source.bytes(), "{path}: the bytes of the object");
            // The other format is unpacked too, not found there.
            fs::remove_dir_all(&program).expect("removed");
        }
        facts_are_in_the_manifest(&site, source);
    }
}

#[test]
fn packages_of_our_objects_arrive_as_they_were() {
    let mut sources = vec![Source::new(demo().join("drop.bpf.o"))];
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../proto/tests/objects");
    sources.extend(objects(&tests));
    assert!(sources.len() >= 5, "{}", sources.len());
    every_object_arrives(&sources);
}

#[test]
fn packages_of_objects_that_nobody_here_wrote_arrive_as_they_were() {
    let sources = of_debian();
    if !sources.is_empty() {
        every_object_arrives(&sources);
    }
}
