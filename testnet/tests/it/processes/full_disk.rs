//! A full disk: commands and nodes say so and what to do, nothing is half-written, what was
//! acknowledged is there, and all goes on when there is room again.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::home::{Home, author, failed, wait_until, with_and_without_gossip};

/// Small enough to be filled at once, with room for an index and some releases.
const SIZE: &str = "size=48m,mode=0700";
/// What is left free, in bytes: each ends a command at another step.
const ROOMS: [usize; 6] = [0, 8 << 10, 64 << 10, 512 << 10, 2 << 20, 5 << 20];
/// Longer than most of the rooms.
const WEIGHT_BYTES: usize = 4 << 20;

/// A small file system in memory; gone when it is dropped.
struct Small(tempfile::TempDir);

impl Small {
    /// None, said in words, where this user may not mount.
    fn mount() -> Option<Self> {
        let folder = tempfile::tempdir().expect("a folder");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", SIZE, "tmpfs"])
            .arg(folder.path())
            .output();
        let mounted = mounted.is_ok_and(|out| out.status.success());
        if !mounted {
            skipped("a full disk needs a small tmpfs, and this user may not mount one");
        }
        mounted.then(|| Self(folder))
    }

    fn ballast(&self) -> PathBuf {
        self.0.path().join("ballast")
    }

    /// Takes all the room there is but for so many bytes.
    fn fill(&self, but: usize) {
        let mut ballast = fs::File::create(self.ballast()).expect("a file");
        let mut block = vec![0x5a; 1 << 20];
        let mut size = 0;
        while !block.is_empty() {
            match ballast.write(&block) {
                Ok(written) => size += written,
                Err(_) => block.truncate(block.len() / 2),
            }
        }
        let kept = size.saturating_sub(but);
        ballast
            .set_len(kept as u64)
            .expect("shorter is always possible");
    }

    fn make_room(&self) {
        fs::remove_file(self.ballast()).expect("removed");
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg(self.0.path()).status();
        assert!(unmounted.is_ok_and(|status| status.success()), "unmounted");
    }
}

#[expect(clippy::print_stderr, reason = "a test that was skipped says so")]
pub(super) fn skipped(why: &str) {
    eprintln!("skipped: {why}");
}

/// What a command says that found no room: the cause, and a hint that can be pasted.
fn no_room(code: i32, out: &std::process::Output) {
    let said = failed(code, out);
    assert!(said.contains("No space left on device"), "{said}");
    assert!(said.contains("hint: ") && said.contains("df -h"), "{said}");
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let below = entries.flat_map(|entry| match entry.path() {
        path if path.is_dir() => files_below(&path),
        path => vec![path],
    });
    below.collect()
}

fn publish_finds_no_room(with_node: bool) {
    let Some(small) = Small::mount() else {
        return;
    };
    let mut home = Home::at(small.0.path(), true);
    home.publish("0.1.0");
    if with_node {
        home.start();
    }
    let mut refused = 0;
    for (n, room) in ROOMS.into_iter().enumerate() {
        let version = format!("0.2.{n}");
        let package = home.heavy_package(&version, WEIGHT_BYTES);
        small.fill(room);
        let out = home.run(&["publish", &package]);
        let acknowledged = out.status.success();
        if !acknowledged {
            no_room(1, &out);
            refused += 1;
        }
        small.make_room();
        // A node waits some seconds before it tries again.
        wait_until("the node takes entries again", || {
            let status = home.run(&["node", "status", "--json"]);
            !with_node || String::from_utf8_lossy(&status.stdout).contains("\"read_only\":null")
        });
        let newest = home.newest();
        if acknowledged {
            assert_eq!(newest.as_deref(), Some(version.as_str()), "{room} bytes");
        }
        home.ok(&["info", "ana/drop@0.1.0"]);
        home.ok(&["publish", &package]);
        assert_eq!(home.newest().as_deref(), Some(version.as_str()));
        home.ok(&["get", &format!("ana/drop@{version}"), "-o", "out"]);
        home.same_files(&format!("out/drop-{version}"));
        fs::remove_dir_all(home.path().join("out")).expect("removed");
    }
    assert!(refused >= 3, "only {refused} found no room");
    let left = files_below(&home.path().join("store/tmp"));
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_publish_without_room_keeps_what_was_there_and_is_done_when_there_is_some() {
    publish_finds_no_room(false);
}

#[test]
fn a_publish_to_a_node_without_room_keeps_what_was_there_and_is_done_when_there_is_some() {
    publish_finds_no_room(true);
}

#[test]
fn a_get_without_room_writes_nothing_and_is_done_when_there_is_some() {
    with_and_without_gossip(|gossip| {
        let Some(small) = Small::mount() else {
            return;
        };
        let mut author = Home::new(gossip);
        let package = author.heavy_package("0.1.0", WEIGHT_BYTES);
        author.ok(&["publish", &package]);
        author.start();
        let friend = Home::at(small.0.path(), gossip);
        friend.ok(&["repo", "add", &author.ticket(), "--trust"]);
        let mut refused = 0;
        for room in ROOMS {
            small.fill(room);
            let out = friend.run(&["get", "ana/drop"]);
            if out.status.success() {
                friend.same_files("drop-0.1.0");
                fs::remove_dir_all(friend.path().join("drop-0.1.0")).expect("removed");
            } else {
                no_room(1, &out);
                friend.nothing_written();
                refused += 1;
            }
            small.make_room();
        }
        assert!(refused >= 3, "only {refused} found no room");
        friend.ok(&["get", "ana/drop"]);
        friend.same_files("drop-0.1.0");
    });
}

/// A mirror whose disk is full goes on serving what it has, and says that it takes nothing.
#[test]
fn a_node_without_room_is_read_only_and_serves_and_takes_again_when_there_is_some() {
    with_and_without_gossip(|gossip| {
        let Some(small) = Small::mount() else {
            return;
        };
        let author = author(gossip);
        let mut mirror = Home::at(small.0.path(), gossip);
        mirror.ok(&["repo", "add", &author.ticket(), "--trust"]);
        mirror.start();
        mirror.ok(&["get", "ana/drop", "-o", "out"]);
        let kept = || mirror.ok(&["node", "status", "--json"]);
        wait_until("the release is kept", || {
            files_below(&mirror.path().join("store/repos"))
                .iter()
                .any(|file| file.display().to_string().contains("facts/holding"))
        });
        small.fill(0);
        author.publish("0.2.0");
        wait_until("the node is read-only", || {
            kept().contains("\"read_only\":\"could not")
        });
        assert!(kept().contains("No space left on device"), "{}", kept());
        let said = failed(6, &mirror.run(&["doctor"]));
        assert!(!said.is_empty());
        let doctor = mirror.run(&["doctor", "--json"]);
        let doctor = String::from_utf8_lossy(&doctor.stdout).into_owned();
        assert!(doctor.contains("read-only: could not"), "{doctor}");
        assert!(doctor.contains("df -h"), "{doctor}");
        // A ticket of the mirror leads to it alone.
        let friend = Home::new(gossip);
        friend.ok(&["get", &mirror.ticket()]);
        friend.same_files("drop-0.1.0");
        assert_eq!(mirror.newest().as_deref(), Some("0.1.0"));
        small.make_room();
        mirror.wait_for("0.2.0");
        assert!(kept().contains("\"read_only\":null"), "{}", kept());
        assert!(mirror.is_up());
    });
}

#[test]
fn a_home_on_a_full_disk_from_the_start_says_so() {
    let Some(small) = Small::mount() else {
        return;
    };
    let home = Home::at(small.0.path(), true);
    let package = home.package("0.1.0");
    small.fill(0);
    let out = home.run(&["publish", &package]);
    no_room(1, &out);
    small.make_room();
    home.ok(&["publish", &package]);
    assert_eq!(home.newest().as_deref(), Some("0.1.0"));
}

/// Who makes room with `node gc`, or restarts a machine whose disk is full, has a store to open first.
#[test]
fn a_node_starts_on_a_full_disk_and_serves() {
    let Some(small) = Small::mount() else {
        return;
    };
    let mut home = Home::at(small.0.path(), false);
    home.publish("0.1.0");
    small.fill(0);
    home.ok(&["node", "gc"]);
    home.start();
    let friend = Home::new(false);
    friend.ok(&["get", &home.ticket()]);
    friend.same_files("drop-0.1.0");
    // One that was killed left its mark, though there was no room for its number.
    home.kill();
    home.start();
    friend.ok(&["get", &home.ticket()]);
    small.make_room();
    home.stop();
    home.publish("0.2.0");
}

#[test]
fn an_import_without_room_says_so_and_is_done_when_there_is_some() {
    let Some(small) = Small::mount() else {
        return;
    };
    let author = Home::new(false);
    let package = author.heavy_package("0.1.0", WEIGHT_BYTES);
    let file = author.path().join("drop.skep");
    let file = file.to_str().expect("a plain path");
    author.ok(&["pack", &package, "--to", file]);
    let home = Home::at(small.0.path(), false);
    let import = ["bundle", "import", file];
    // The home is made.
    home.ok(&["node", "gc"]);
    let mut refused = 0;
    for room in ROOMS {
        small.fill(room);
        let out = home.run(&import);
        if !out.status.success() {
            no_room(1, &out);
            refused += 1;
        }
        small.make_room();
    }
    assert!(refused >= 3, "only {refused} found no room");
    home.ok(&import);
    home.ok(&["trust", "add", "ana/drop"]);
    home.ok(&["get", "ana/drop", "-o", "out"]);
    home.same_files("out/drop-0.1.0");
}

#[test]
fn a_tree_without_room_leaves_nothing_half_written_and_is_done_when_there_is_some() {
    let Some(small) = Small::mount() else {
        return;
    };
    let home = Home::new(true);
    let package = home.heavy_package("0.1.0", WEIGHT_BYTES);
    home.ok(&["publish", &package]);
    let dir = small.0.path().join("tree");
    let tree = ["mirror", "--tree", dir.to_str().expect("a plain path")];
    let unfinished = dir.join(".skep-unfinished");
    let archives = || {
        let mut files = files_below(&dir);
        files.retain(|file| file.extension().is_some_and(|it| it == "gz"));
        files
    };
    let (mut refused, mut without_archive) = (0, 0);
    for room in ROOMS {
        small.fill(room);
        let out = home.run(&tree);
        assert!(!unfinished.exists(), "{room} bytes");
        if !out.status.success() {
            no_room(1, &out);
            refused += 1;
            let is_begun = dir.join(".skep-tree").exists();
            without_archive += usize::from(is_begun && archives().is_empty());
        }
        small.make_room();
    }
    assert!(
        refused >= 3 && without_archive >= 1,
        "{refused}, {without_archive}"
    );
    fs::remove_dir_all(dir.join("ana")).expect("removed");
    // What a command that was killed left takes the room that the next one needs.
    fs::create_dir_all(&unfinished).expect("made");
    fs::write(unfinished.join("archive"), vec![0; 2 * WEIGHT_BYTES]).expect("written");
    small.fill(0);
    home.ok(&tree);
    assert!(!unfinished.exists());
    assert!(!archives().is_empty());
}
