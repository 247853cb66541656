//! A .skep file, carried by hand to a home that has no network.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::home::{Home, was_killed};

/// Bytes of the first header, after which the contents begin.
const BLOCK: usize = 512;
/// How long the array of the contents is before its list: version, base, part, approval.
const LIST_AT: usize = BLOCK + 5;

/// An author with a release, and the file of it.
pub(super) fn author() -> (Home, PathBuf) {
    let author = Home::new(false);
    let file = packed(&author, "0.1.0");
    (author, file)
}

/// Publishes a version into a file of its own.
pub(super) fn packed(author: &Home, version: &str) -> PathBuf {
    let package = author.package(version);
    let file = author.path().join(format!("{version}.skep"));
    author.ok(&["pack", &package, "--to", text(&file)]);
    file
}

pub(super) fn text(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}

/// The id of the repository that a file is of.
pub(super) fn id_of(home: &Home, file: &Path) -> String {
    let shown = home.ok(&["bundle", "show", text(file), "--json"]);
    let after = shown.split("\"id\":\"").nth(1).expect("an id");
    after.split('"').next().expect("an id").to_owned()
}

/// Every file below the store and the folder of what is followed, but for what says who has the
/// store and what can be made again.
fn everything(home: &Home) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    let mut folders = vec![home.path().join("store"), home.path().join("repos.d")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let name = entry.file_name();
            if path.is_dir() && name != "index" {
                folders.push(path);
            } else if path.is_file() && name != "lock" {
                all.insert(path.clone(), fs::read(&path).expect("read"));
            }
        }
    }
    all
}

/// Has an import fail with `code`, saying `what`, and nothing of the home changed by it.
fn refused(home: &Home, bytes: &[u8], more: &[&str], code: i32, what: &str) {
    let file = home.path().join("bad.skep");
    fs::write(&file, bytes).expect("written");
    let before = everything(home);
    let args = [&["bundle", "import", text(&file)], more].concat();
    let said = home.fails(code, &args);
    assert!(said.contains(what), "`{what}` is not said: {said}");
    assert!(said.contains("hint:"), "{said}");
    assert!(before == everything(home), "`{what}` changed the home");
}

/// The file with other contents, in a header that says their length.
fn with_contents(bytes: &[u8], contents: &[u8]) -> Vec<u8> {
    let size = usize::from_str_radix(&String::from_utf8_lossy(&bytes[124..135]), 8);
    let size = size.expect("a size");
    let rest = BLOCK + size.next_multiple_of(BLOCK);
    let mut header = with_size(&bytes[..BLOCK], contents.len() as u64);
    header.extend_from_slice(contents);
    header.resize(header.len().next_multiple_of(BLOCK), 0);
    header.extend_from_slice(&bytes[rest..]);
    header
}

/// A header that says another size, and its sum.
fn with_size(header: &[u8], size: u64) -> Vec<u8> {
    let mut header = header.to_vec();
    header[124..135].copy_from_slice(format!("{size:011o}").as_bytes());
    header[148..156].copy_from_slice(b"        ");
    let sum: u32 = header.iter().copied().map(u32::from).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    header
}

fn contents_of(bytes: &[u8]) -> Vec<u8> {
    let size = usize::from_str_radix(&String::from_utf8_lossy(&bytes[124..135]), 8);
    bytes[BLOCK..BLOCK + size.expect("a size")].to_vec()
}

#[test]
fn a_file_carries_a_release_to_where_no_network_is() {
    let (author, file) = author();
    let id = id_of(&author, &file);
    let mut site = Home::new(false);
    let taken = site.ok(&["bundle", "import", text(&file), "--expect", &id]);
    assert!(taken.contains("ana/drop@0.1.0"), "{taken}");
    assert!(taken.contains("publisher: you do not trust"), "{taken}");
    site.ok(&["trust", "add", "ana/drop"]);
    site.ok(&["get", "ana/drop", "--offline"]);
    site.same_files("drop-0.1.0");
    // The same again changes nothing, and with a node that runs it is the same.
    let before = everything(&site);
    site.ok(&["bundle", "import", text(&file)]);
    assert!(
        before == everything(&site),
        "a second import changed the home"
    );
    site.start();
    let newer = packed(&author, "0.2.0");
    site.ok(&["bundle", "import", text(&newer)]);
    site.wait_for("0.2.0");
    site.ok(&["get", "ana/drop", "-o", "second"]);
    site.same_files("second/drop-0.2.0");
    // What it has, it can pass on: the same file, byte by byte.
    site.ok(&["bundle", "export", "ana/drop@0.2.0", "-o", "again.skep"]);
    let again = fs::read(site.path().join("again.skep")).expect("read");
    assert!(again == fs::read(&newer).expect("read"), "another file");
    site.ok(&["bundle", "export", "ana/*", "-o", "all.skep"]);
    let all = site.ok(&["bundle", "show", "all.skep"]);
    assert!(
        all.contains("drop@0.1.0") && all.contains("drop@0.2.0"),
        "{all}"
    );
}

#[test]
fn a_release_is_got_from_its_file() {
    let (_author, file) = author();
    let site = Home::new(false);
    site.ok(&["get", text(&file)]);
    site.same_files("drop-0.1.0");
}

#[test]
fn a_yank_travels_in_a_file() {
    let (author, file) = author();
    let site = Home::new(false);
    site.ok(&["bundle", "import", text(&file)]);
    let yank = [
        "publish",
        "--yank",
        "ana/drop@0.1.0",
        "--because",
        "it drops all\nerror: none",
    ];
    author.ok(&yank);
    let newer = packed(&author, "0.2.0");
    // A stranger's words stay within the line that is theirs.
    let words = "ana/drop@0.1.0: it drops all\\u{a}error: none\n";
    for (more, said) in [
        (["--dry-run"].as_slice(), "yanked: "),
        (&[], "yanked now: "),
    ] {
        let args = [&["bundle", "import", text(&newer)], more].concat();
        let out = site.run(&args);
        let talk = String::from_utf8_lossy(&out.stderr);
        assert!(talk.contains(&format!("{said}{words}")), "{talk}");
        let taken = String::from_utf8_lossy(&out.stdout);
        let yanked = taken.lines().filter(|line| line.starts_with("yanked\t"));
        let yanked: Vec<&str> = yanked.collect();
        let line = "yanked\tana/drop@0.1.0\tit drops all\\u{a}error: none";
        assert_eq!(yanked, [line]);
    }
    site.ok(&["trust", "add", "ana/drop"]);
    let said = site.fails(3, &["get", "ana/drop@0.1.0"]);
    assert!(said.contains("it drops all"), "{said}");
}

#[test]
fn what_is_altered_is_refused_and_changes_nothing() {
    let (author, file) = author();
    let site = Home::new(false);
    site.ok(&["bundle", "import", text(&file)]);
    let newer = fs::read(packed(&author, "0.2.0")).expect("read");
    // Every byte is tried where the format is tested; here one of every block, header or not.
    for at in (0..newer.len()).step_by(509) {
        let mut flipped = newer.clone();
        flipped[at] ^= 0x20;
        refused(&site, &flipped, &[], 3, "the file is not taken");
    }
    for at in [
        1,
        BLOCK - 1,
        BLOCK,
        BLOCK + 700,
        newer.len() / 2,
        newer.len() - 1,
    ] {
        refused(&site, &newer[..at], &[], 3, "it is cut off after");
    }
    refused(&site, &[], &[], 3, "it is not a .skep file");
    refused(
        &site,
        &[&newer[..], b"x"].concat(),
        &[],
        3,
        "it goes on after its end",
    );
    refused(&site, b"something else", &[], 3, "it is not a .skep file");
}

#[test]
fn what_is_made_to_do_harm_is_refused_by_its_name() {
    let (author, file) = author();
    let site = Home::new(false);
    site.ok(&["bundle", "import", text(&file)]);
    let newer = fs::read(packed(&author, "0.2.0")).expect("read");
    let contents = contents_of(&newer);
    // A path that leads elsewhere, as long as the one in its place.
    let path = contents
        .windows(6)
        .position(|at| at == b"repos/")
        .expect("a path");
    let mut escapes = contents.clone();
    escapes[path..path + 6].copy_from_slice(b"../../");
    let said = "which is no path of a .skep file";
    refused(&site, &with_contents(&newer, &escapes), &[], 3, said);
    let at = LIST_AT - BLOCK;
    let mut absolute = contents.clone();
    absolute[path] = b'/';
    refused(&site, &with_contents(&newer, &absolute), &[], 3, said);
    // A list of 2^63 files, of which none follows.
    let mut many = contents[..at].to_vec();
    many.extend_from_slice(&[0x9b, 0x80, 0, 0, 0, 0, 0, 0, 0]);
    refused(
        &site,
        &with_contents(&newer, &many),
        &[],
        3,
        "its contents cannot be read",
    );
    // Contents of eight gigabytes less one byte.
    let mut long = with_size(&newer[..BLOCK], 0o77_777_777_777);
    long.extend_from_slice(&newer[BLOCK..]);
    refused(&site, &long, &[], 3, "its contents are longer than");
    // A file of 2^64 - 1 bytes: the size stands behind the path of the first document.
    let end = contents
        .windows(5)
        .position(|at| at == b".json")
        .expect("a path")
        + 5;
    let head = match contents[end] {
        0x18 => 2,
        0x19 => 3,
        _ => 1,
    };
    let huge = [
        &contents[..end],
        &[0x1b],
        &[0xff; 8],
        &contents[end + head..],
    ]
    .concat();
    refused(
        &site,
        &with_contents(&newer, &huge),
        &[],
        3,
        "bytes, where at most",
    );
    // Another version, and what is kept for later.
    let mut version = contents.clone();
    version[1] = 2;
    refused(
        &site,
        &with_contents(&newer, &version),
        &[],
        1,
        "version 2 of the format",
    );
    let mut part = contents.clone();
    part[3] = 2;
    refused(
        &site,
        &with_contents(&newer, &part),
        &[],
        1,
        "one part of several",
    );
}

#[test]
fn a_file_of_another_repository_is_refused_before_anything_is_followed() {
    let (author, file) = author();
    let other = Home::new(false);
    let strange = packed(&other, "0.1.0");
    let id = id_of(&author, &file);
    let site = Home::new(false);
    site.ok(&["bundle", "import", text(&file)]);
    let bytes = fs::read(strange).expect("read");
    refused(
        &site,
        &bytes,
        &["--expect", &id],
        3,
        "it is of the repository skep1",
    );
}

#[test]
fn a_file_that_is_older_than_what_is_held_is_refused() {
    let (author, file) = author();
    let newer = packed(&author, "0.2.0");
    let site = Home::new(false);
    site.ok(&["bundle", "import", text(&newer)]);
    let older = fs::read(&file).expect("read");
    refused(
        &site,
        &older,
        &[],
        1,
        "the file is older than what is held here",
    );
    // Its files may be wanted all the same; what is known stays.
    site.ok(&["bundle", "import", "bad.skep", "--older"]);
    assert_eq!(site.newest().as_deref(), Some("0.2.0"));
    site.ok(&["trust", "add", "ana/drop"]);
    site.ok(&["get", "ana/drop@0.1.0", "--offline"]);
    site.same_files("drop-0.1.0");
}

#[test]
fn a_file_of_another_history_is_refused() {
    let (author, file) = author();
    let site = Home::new(false);
    site.ok(&["bundle", "import", text(&file)]);
    // A copy of the author's home signs what the author does not know of.
    let copy = tempfile::tempdir().expect("a folder");
    let copied = std::process::Command::new("cp")
        .arg("-a")
        .arg(author.path().join("."))
        .arg(copy.path())
        .status();
    assert!(copied.expect("cp runs").success());
    let twin = Home::at(copy.path(), false);
    site.ok(&["bundle", "import", text(&packed(&author, "0.2.0"))]);
    let forked = fs::read(packed(&twin, "0.3.0")).expect("read");
    refused(&site, &forked, &[], 3, "another history");
}

#[test]
fn a_crash_at_any_durable_step_of_an_import_is_made_good_by_the_same_again() {
    let (author, file) = author();
    let id = id_of(&author, &file);
    let import = ["bundle", "import", text(&file), "--expect", &id];
    let mut reached = 0;
    let of_home = [
        "repo.before-fsync",
        "repo.before-naming",
        "repo.after-naming",
    ];
    let points = of_home.iter().chain(skep_node::store::POINTS);
    for point in points {
        let site = Home::new(false);
        let mut command = site.command(&import);
        let out = command.env("SKEP_FAULT_POINT", point).output();
        if !was_killed(&out.expect("skep starts")) {
            continue;
        }
        reached += 1;
        site.ok(&import);
        site.ok(&["trust", "add", "ana/drop"]);
        site.ok(&["get", "ana/drop", "--offline"]);
        site.same_files("drop-0.1.0");
        site.ok(&["bundle", "export", "ana/drop", "-o", "again.skep"]);
        let again = fs::read(site.path().join("again.skep")).expect("read");
        assert!(
            again == fs::read(&file).expect("read"),
            "{point}: another file"
        );
    }
    assert!(reached >= 15, "only {reached} points were reached");
}
