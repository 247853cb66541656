//! `mirror --tree`: files that are what the gateway answers, that appear whole and go when their
//! release is admitted no more.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use super::client::{get, unpack, with_gateways};
use super::home::{Home, was_killed};

/// Every file below a folder that is no secret of the tree's, with its bytes.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    fn walk(root: &Path, folder: &Path, out: &mut BTreeMap<String, Vec<u8>>) {
        for entry in fs::read_dir(folder).expect("a folder").flatten() {
            let path = entry.path();
            if path.is_dir() {
                walk(root, &path, out);
            } else {
                let name = path
                    .strip_prefix(root)
                    .expect("below")
                    .display()
                    .to_string();
                out.insert(name, fs::read(&path).expect("a file"));
            }
        }
    }
    let mut out = BTreeMap::new();
    walk(folder, folder, &mut out);
    out.retain(|name, _| !name.starts_with(".skep-"));
    out
}

fn names(folder: &Path) -> Vec<String> {
    files(folder).into_keys().collect()
}

/// A home with two versions that differ, both admitted.
fn two_versions() -> Home {
    let home = Home::new(true);
    for version in ["0.1.0", "0.2.0"] {
        let package = home.heavy_package(version, 70_000);
        home.ok(&["publish", &package]);
    }
    home
}

fn tree(home: &Home, more: &[&str]) -> (PathBuf, String) {
    let line = ["mirror", "--tree", "tree"];
    let said = home.ok(&[&line, more].concat());
    (home.path().join("tree"), said)
}

const TWO_WORDS: [&str; 2] = ["--platform", "noble,jammy"];

#[test]
fn the_files_are_what_the_gateway_answers_and_l3afd_can_unpack_them() {
    let mut home = two_versions();
    let [trusted, _] = with_gateways(&mut home);
    let (tree, said) = tree(&home, &TWO_WORDS);
    assert!(said.contains("releases\t2"), "{said}");
    let url = format!(
        "file://{}/ana",
        fs::canonicalize(&tree).expect("there").display()
    );
    assert!(said.contains(&url), "{said}");
    let files = files(&tree);
    let expected = ["0.1.0", "0.2.0", "latest"]
        .into_iter()
        .flat_map(|version| {
            ["jammy", "noble"].map(|word| format!("ana/drop/{version}/{word}/drop.tar.gz"))
        });
    assert_eq!(
        files.keys().cloned().collect::<Vec<_>>(),
        expected.collect::<Vec<_>>()
    );
    for (name, bytes) in &files {
        let answer = get(&trusted, &format!("/l3afd/{name}"));
        assert_eq!(answer.status, 200, "{name}");
        assert!(answer.body == *bytes, "{name}");
    }
    let of = |version: &str| &files[&format!("ana/drop/{version}/noble/drop.tar.gz")];
    assert!(of("0.1.0") != of("0.2.0") && of("latest") == of("0.2.0"));
    let into = home.path().join("bpf/drop/0.2.0");
    let body = &files["ana/drop/0.2.0/noble/drop.tar.gz"];
    let program = unpack(body, &into, "drop.tar.gz").expect("unpacked");
    assert!(program.join("drop.bpf.o").is_file());

    let inode = |name: &str| fs::metadata(tree.join(name)).expect("there").ino();
    let noble = inode("ana/drop/0.2.0/noble/drop.tar.gz");
    assert_eq!(inode("ana/drop/0.2.0/jammy/drop.tar.gz"), noble);
    assert_eq!(inode("ana/drop/latest/jammy/drop.tar.gz"), noble);
}

#[test]
fn a_second_run_changes_nothing_and_what_is_yanked_goes() {
    let home = two_versions();
    let (dir, said) = tree(&home, &TWO_WORDS);
    assert!(said.contains("written\t6"), "{said}");
    let before = files(&dir);
    let inode = |name: &str| fs::metadata(dir.join(name)).expect("there").ino();
    let old = inode("ana/drop/0.1.0/noble/drop.tar.gz");
    let (_, said) = tree(&home, &TWO_WORDS);
    assert!(
        said.contains("written\t0") && said.contains("removed\t0"),
        "{said}"
    );
    assert!(files(&dir) == before);
    assert_eq!(inode("ana/drop/0.1.0/noble/drop.tar.gz"), old);

    home.ok(&["publish", "--yank", "ana/drop@0.2.0", "--because", "slow"]);
    let (_, said) = tree(&home, &TWO_WORDS);
    assert!(
        said.contains("ana/drop@0.2.0\tnot admitted: yank"),
        "{said}"
    );
    assert!(!dir.join("ana/drop/0.2.0").exists());
    // What `latest` means has changed with it.
    let after = files(&dir);
    assert!(
        after["ana/drop/latest/noble/drop.tar.gz"] == before["ana/drop/0.1.0/noble/drop.tar.gz"]
    );
    assert_eq!(after.len(), 4);

    home.ok(&["trust", "remove", "ana/ana"]);
    let (_, said) = tree(&home, &TWO_WORDS);
    assert!(
        said.contains("ana/drop@0.1.0\tnot admitted: publisher"),
        "{said}"
    );
    assert_eq!(names(&dir), [""; 0]);
    let left = fs::read_dir(&dir).expect("there").flatten();
    let left: Vec<_> = left.map(|entry| entry.file_name()).collect();
    assert_eq!(left, [".skep-tree"], "no empty folders");
}

#[test]
fn others_can_enter_whatever_the_umask_is() {
    let home = two_versions();
    let line = "umask 077; \"$0\" mirror --tree new/tree --platform noble";
    let mut shell = std::process::Command::new("sh");
    let plain = home.command(&[]);
    shell.args(["-c", line]).arg(plain.get_program());
    shell.current_dir(home.path()).stdin(Stdio::null());
    for (name, value) in plain.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    assert!(shell.output().expect("a shell").status.success());
    let mode = |path: &str| {
        let found = fs::metadata(home.path().join("new").join(path)).expect("there");
        found.permissions().mode() & 0o777
    };
    for folder in ["tree", "tree/ana", "tree/ana/drop/0.1.0/noble"] {
        assert_eq!(mode(folder), 0o755, "{folder}");
    }
    assert_eq!(mode("tree/ana/drop/0.1.0/noble/drop.tar.gz"), 0o644);
    // What is above is not ours to open.
    assert_eq!(mode(""), 0o700);
}

#[test]
fn what_is_not_here_is_left_out_with_what_to_type() {
    let author = super::home::author(true);
    let mut site = Home::new(true);
    site.ok(&["repo", "add", &author.ticket()]);
    site.ok(&["trust", "add", "ana/drop"]);
    site.start();
    site.wait_for("0.1.0");
    let (dir, said) = tree(&site, &[]);
    assert!(
        said.contains("its files are not here\tskep get ana/drop@0.1.0"),
        "{said}"
    );
    assert_eq!(names(&dir), [""; 0]);
    site.ok(&["get", "ana/drop", "-o", "out"]);
    let (_, said) = tree(&site, &[]);
    assert!(said.contains("releases\t1"), "{said}");
    assert!(names(&dir).contains(&"ana/drop/0.1.0/bookworm/drop.tar.gz".to_owned()));
}

#[test]
fn what_somebody_else_put_there_stays() {
    let home = two_versions();
    let foreign = home.path().join("full");
    fs::create_dir(&foreign).expect("made");
    fs::write(foreign.join("letter"), "mine").expect("written");
    let said = home.fails(1, &["mirror", "--tree", "full"]);
    assert!(
        said.contains("is no tree of skep, and has `letter` in it"),
        "{said}"
    );
    assert_eq!(names(&foreign), ["letter"]);
    std::os::unix::fs::symlink("store", home.path().join("beside")).expect("a link");
    for inside in [
        "store/blobs/tree",
        "keys/a/b",
        "repos.d/tree",
        "beside/tree",
    ] {
        let said = home.fails(1, &["mirror", "--tree", inside]);
        assert!(said.contains("in skep's own"), "{said}");
        assert!(!home.path().join(inside).exists());
    }

    let (dir, _) = tree(&home, &TWO_WORDS);
    let notes = dir.join("ana/drop/0.2.0/notes");
    let changed = dir.join("ana/drop/0.2.0/noble/drop.tar.gz");
    fs::write(&notes, "mine").expect("written");
    fs::remove_file(&changed).expect("ours");
    fs::write(&changed, "mine too").expect("written");
    let said = home.fails(
        1,
        &["mirror", "--tree", "tree", "--platform", "noble,jammy"],
    );
    assert!(
        said.contains("is in the way, and skep did not write it"),
        "{said}"
    );
    assert_eq!(fs::read(&changed).expect("there"), b"mine too");
    home.ok(&["publish", "--yank", "ana/drop@0.2.0", "--because", "slow"]);
    tree(&home, &TWO_WORDS);
    assert_eq!(fs::read(&changed).expect("there"), b"mine too");
    assert_eq!(fs::read(&notes).expect("there"), b"mine");
    assert!(!dir.join("ana/drop/0.2.0/jammy").exists());

    // A link where a folder was: what it leads to is nobody's business.
    let elsewhere = home.path().join("elsewhere");
    fs::rename(dir.join("ana/drop/0.1.0"), &elsewhere).expect("moved");
    std::os::unix::fs::symlink(&elsewhere, dir.join("ana/drop/0.1.0")).expect("a link");
    let before = names(&elsewhere);
    home.fails(
        1,
        &["mirror", "--tree", "tree", "--platform", "noble,jammy"],
    );
    home.ok(&["trust", "remove", "ana/ana"]);
    tree(&home, &TWO_WORDS);
    assert_eq!(names(&elsewhere), before);
}

#[test]
fn a_list_that_is_none_stops_everything() {
    let home = two_versions();
    let (dir, _) = tree(&home, &TWO_WORDS);
    let list = dir.join(".skep-tree");
    let good = fs::read_to_string(&list).expect("a list");
    let before = files(&dir);
    for bad in [
        String::new(),
        "skep tree 2\n".to_owned(),
        good.replace("ana/drop/", "ana/../"),
        good.replace("/drop.tar.gz", "/a/drop.tar.gz"),
        good.replace("ana/", "/ana/"),
        good.replace("ana/", ".git/"),
        format!("{good}{}\n", "x".repeat(200)),
    ] {
        fs::write(&list, &bad).expect("written");
        let said = home.fails(1, &["mirror", "--tree", "tree"]);
        assert!(said.contains("is not a list of a tree"), "{said}");
        assert!(files(&dir) == before);
    }
    // A line that was being written is as good as none.
    fs::write(&list, format!("{good}0123")).expect("written");
    tree(&home, &TWO_WORDS);
    assert!(files(&dir) == before);
    assert_eq!(fs::read_to_string(&list).expect("a list"), good);
}

#[test]
fn a_crash_at_any_step_leaves_whole_files_and_the_next_run_makes_it_good() {
    let home = two_versions();
    home.ok(&["mirror", "--tree", "whole", "--platform", "noble,jammy"]);
    let whole = files(&home.path().join("whole"));
    let mut killed = 0;
    for point in ["before-fsync", "before-naming", "after-naming"] {
        for nth in 1..=9 {
            let point = format!("tree.{point}:{nth}");
            let name = point.replace([':', '.'], "-");
            let line = ["mirror", "--tree", &name, "--platform", "noble,jammy"];
            let out = home.command(&line).env("SKEP_FAULT_POINT", &point).output();
            let out = out.expect("skep starts");
            if !was_killed(&out) {
                assert!(out.status.success(), "{point}");
                continue;
            }
            killed += 1;
            let dir = home.path().join(&name);
            let read = files(&dir);
            let read = read.iter().filter(|(name, _)| !name.starts_with('.'));
            for (name, bytes) in read {
                assert!(whole.get(name) == Some(bytes), "{point}: {name}");
            }
            home.ok(&line);
            assert!(files(&dir) == whole, "{point}");
            let hidden = fs::read_dir(&dir).expect("there").flatten();
            let hidden: Vec<_> = hidden
                .map(|entry| entry.file_name().to_string_lossy().into_owned())
                .filter(|name| name.starts_with('.'))
                .collect();
            assert_eq!(hidden, [".skep-tree"], "{point}");
        }
    }
    assert!(killed >= 14, "only {killed} were reached");
}

#[test]
fn words_that_are_no_platforms_are_refused() {
    let home = Home::new(true);
    for wrong in ["../x", "a/b", "", "a b"] {
        let said = home.fails(2, &["mirror", "--tree", "tree", "--platform", wrong]);
        assert!(said.contains("is no word for a platform"), "{said}");
    }
    assert!(!home.path().join("tree").exists());
    let words = |count: usize| {
        let words: Vec<String> = (0..count).map(|n| format!("w{n}")).collect();
        words.join(",")
    };
    home.ok(&["mirror", "--tree", "tree", "--platform", &words(64)]);
    home.fails(2, &["mirror", "--tree", "tree", "--platform", &words(65)]);
}
