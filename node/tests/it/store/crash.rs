//! Ends a process at every durable step, and opens what it left: old or new, never a third state.

use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use skep_node::store::contract::{Author, blob, load, repo, signed_root};
use skep_node::store::disk::Disk;
use skep_node::store::memory::Memory;
use skep_node::store::{Change, FactKind, Faults, Held, Loaded, POINTS, Store};
use skep_proto::blob::{GROUP_BYTES, GroupLister, group_count};
use skep_proto::hash::Blake3;

/// Where the child finds its folder; without it the child has nothing to do.
const FOLDER: &str = "SKEP_TEST_CRASH_FOLDER";
const FAULT_POINT: &str = "SKEP_FAULT_POINT";
const SIGABRT: i32 = 6;

/// One call that may be acknowledged.
#[expect(clippy::large_enum_variant, reason = "a handful in a test")]
enum Step {
    Persist(Change),
    Import(Vec<u8>),
    Begin(Vec<u8>),
    Group(Vec<u8>, u64),
    Finish(Vec<u8>),
    Remove(Vec<u8>),
}

fn steps() -> &'static [Step] {
    static STEPS: OnceLock<Vec<Step>> = OnceLock::new();
    STEPS.get_or_init(make_steps)
}

fn make_steps() -> Vec<Step> {
    use Step::{Begin, Finish, Group, Import, Persist, Remove};
    let (id, gone) = (repo(1), repo(2));
    let author = Author::new(id, 1, 300);
    let registrar = Author::new(gone, 2, 9);
    let fact = |kind, key: &str, value: &[u8]| Change::Fact {
        repo: id,
        kind,
        key: key.into(),
        value: value.to_vec(),
    };
    let root = |repo, version, signatures| Change::Root {
        repo,
        signed: signed_root(version, signatures),
    };
    let large = || blob(1, 2 * 262_144 + 7);
    let small = || blob(2, 100);
    vec![
        Persist(Change::Follow { repo: id }),
        Persist(root(id, 1, 3)),
        Persist(author.append(0, 2, 2)),
        Import(small()),
        Persist(author.append(2, 150, 200)),
        Begin(large()),
        Group(large(), 1),
        Persist(author.append(150, 300, 300)),
        Persist(fact(FactKind::Admitted, "a@1.0.0", b"x")),
        Persist(fact(FactKind::Admitted, "a@1.0.0", b"y")),
        Group(large(), 0),
        Persist(Change::Checkpoint {
            repo: id,
            checkpoint: author.cosigned(300, 5),
        }),
        Persist(Change::Follow { repo: gone }),
        Persist(registrar.append(0, 9, 9)),
        Persist(root(gone, 1, 2)),
        Persist(root(gone, 1, 3)),
        Group(large(), 2),
        Finish(large()),
        Persist(Change::Evidence {
            repo: id,
            evidence: author.evidence(200),
        }),
        Persist(Change::Rewind {
            repo: id,
            key: author.key(),
            to: 140,
        }),
        Persist(author.forked(140).append(140, 150, 160)),
        Persist(Change::Exchange {
            repo: id,
            key: author.key(),
        }),
        Persist(author.append(0, 20, 20)),
        Persist(Change::Unfollow { repo: gone }),
        Persist(Change::ForgetFact {
            repo: id,
            kind: FactKind::Admitted,
            key: "a@1.0.0".into(),
        }),
        Import(blob(3, 262_145)),
        Remove(small()),
        Persist(root(id, 2, 3)),
    ]
}

fn run(store: &dyn Store, step: &Step) {
    let list = |bytes: &[u8]| {
        let mut lister = GroupLister::new();
        lister.update(bytes).expect("below the limit");
        lister.finish()
    };
    let name = |bytes: &[u8]| Blake3::of(&[bytes]);
    let done = match step {
        Step::Persist(change) => store.persist(change),
        Step::Import(bytes) => store.import(&mut bytes.as_slice()).map(drop),
        Step::Begin(bytes) => {
            let list = list(bytes);
            store.begin(list.hash(), list.size(), Some(&list)).map(drop)
        }
        Step::Group(bytes, index) => {
            let start = usize::try_from(index * GROUP_BYTES).expect("small");
            let rest = &bytes[start..];
            let group = &rest[..rest.len().min(262_144)];
            store.write_group(&name(bytes), *index, group)
        }
        Step::Finish(bytes) => store.finish(&name(bytes)),
        Step::Remove(bytes) => store.remove_blob(&name(bytes)),
    };
    done.expect("the step fits what came before");
}

/// The blobs that any step is about.
fn blobs() -> Vec<&'static [u8]> {
    let named = steps().iter().filter_map(|step| match step {
        Step::Import(bytes) | Step::Begin(bytes) => Some(bytes.as_slice()),
        _ => None,
    });
    named.collect()
}

/// What was persisted, and which blobs are complete.
type Seen = (Vec<Loaded>, Vec<bool>);

/// Everything that can be seen of a store, but for what is partial.
fn seen(store: &dyn Store) -> Seen {
    let complete = blobs().into_iter().map(|bytes| {
        let hash = Blake3::of(&[bytes]);
        let there = store.blob(&hash).expect("asked").is_some();
        for index in 0..group_count(bytes.len() as u64) {
            let group = store.read_group(&hash, index).expect("asked");
            let start = usize::try_from(index * GROUP_BYTES).expect("small");
            let matches = group
                .as_ref()
                .map(|group| bytes[start..].starts_with(group));
            assert_ne!(matches, Some(false), "what is read is the blob");
            assert!(
                !there || matches.is_some(),
                "a complete blob has all groups"
            );
        }
        there
    });
    let complete = complete.collect();
    (load(store), complete)
}

/// What a store is like after the first `done` steps.
fn model(done: usize) -> &'static Model {
    static MODELS: OnceLock<Vec<Model>> = OnceLock::new();
    let models = MODELS.get_or_init(|| (0..=steps().len()).map(Model::after).collect());
    &models[done]
}

struct Model {
    store: Memory,
    seen: Seen,
}

impl Model {
    fn after(done: usize) -> Self {
        let store = Memory::new();
        for step in &steps()[..done] {
            run(&store, step);
        }
        let seen = seen(&store);
        Self { store, seen }
    }
}

/// How a partial blob must be found: no group that was acknowledged is missing.
fn assert_resumes(store: &dyn Store, model: &Model) {
    for bytes in blobs() {
        let hash = Blake3::of(&[bytes]);
        let size = bytes.len() as u64;
        if store.blob(&hash).expect("asked").is_some() {
            continue;
        }
        let Held::Part { groups, list } = model.store.begin(&hash, size, None).expect("asked")
        else {
            panic!("complete in the model only");
        };
        let found = store.begin(&hash, size, None).expect("asked");
        let Held::Part {
            groups: held,
            list: known,
        } = found
        else {
            panic!("complete in the store only");
        };
        assert!(known >= list, "the list that was given is known");
        assert!(groups.iter().all(|group| held.contains(group)), "{held:?}");
    }
}

/// Runs the steps from `from` on in a process of its own, which ends at `fault`; returns whether it
/// did, and how many steps were acknowledged in all.
fn crash(folder: &Path, from: usize, fault: &str) -> (bool, usize) {
    let acknowledged = folder.join("acknowledged");
    std::fs::write(&acknowledged, from.to_string()).expect("written");
    let child = Command::new(std::env::current_exe().expect("this program"))
        .args([
            "--exact",
            "store::crash::the_child",
            "--ignored",
            "--nocapture",
        ])
        .env(FOLDER, folder)
        .env(FAULT_POINT, fault)
        .output()
        .expect("the child runs");
    let died = child.status.signal() == Some(SIGABRT);
    let text = String::from_utf8_lossy(&child.stderr);
    assert!(
        died || child.status.success(),
        "{fault}: {}: {text}",
        child.status
    );
    let count = std::fs::read_to_string(&acknowledged).expect("read");
    (died, count.parse().expect("a number"))
}

#[test]
#[ignore = "not a test: what the crash tests run in a process of its own"]
fn the_child() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else {
        return;
    };
    let acknowledged = folder.join("acknowledged");
    let from = std::fs::read_to_string(&acknowledged).expect("read");
    let from: usize = from.parse().expect("a number");
    let faults = std::env::var(FAULT_POINT).expect("a fault point");
    let faults: Faults = faults.parse().expect("a fault point");
    let store = Disk::open(&folder.join("store"), faults).expect("the store opens");
    load(&store);
    for (index, step) in steps().iter().enumerate().skip(from) {
        run(&store, step);
        // The process is killed, not the machine: what is written stays.
        std::fs::write(&acknowledged, (index + 1).to_string()).expect("written");
    }
}

/// Opens what a crash left after `acknowledged` steps; returns how many are done.
fn assert_old_or_new(store: &dyn Store, acknowledged: usize, fault: &str) -> usize {
    let found = seen(store);
    let old = model(acknowledged);
    if found == old.seen {
        assert_resumes(store, old);
        return acknowledged;
    }
    let next = (acknowledged + 1).min(steps().len());
    let new = model(next);
    assert_eq!(
        found, new.seen,
        "{fault}: neither before nor after step {next}"
    );
    assert_resumes(store, new);
    next
}

/// Goes on where the crash was, to the end.
fn assert_completes(store: &dyn Store, from: usize, fault: &str) {
    for bytes in blobs() {
        // A new process begins its partial blobs again; a list that is known is used.
        let hash = Blake3::of(&[bytes]);
        store.begin(&hash, bytes.len() as u64, None).expect("asked");
    }
    for step in &steps()[from..] {
        run(store, step);
    }
    assert_eq!(seen(store), model(steps().len()).seen, "{fault}");
}

#[test]
fn a_kill_at_any_durable_step_leaves_the_old_state_or_the_new_one() {
    let mut runs = 0;
    for point in POINTS {
        for nth in 1.. {
            let fault = format!("{point}:{nth}");
            let folder = tempfile::tempdir().expect("a folder");
            let (died, acknowledged) = crash(folder.path(), 0, &fault);
            if !died {
                assert!(nth > 1, "`{point}` is never reached");
                assert_eq!(acknowledged, steps().len());
                break;
            }
            runs += 1;
            let store = Disk::open(&folder.path().join("store"), Faults::none());
            let store = store.unwrap_or_else(|e| panic!("{fault}: {e}"));
            let done = assert_old_or_new(&store, acknowledged, &fault);
            assert_completes(&store, done, &fault);
            let left = std::fs::read_dir(folder.path().join("store/tmp"));
            assert_eq!(left.expect("listed").count(), 0, "{fault}: temporary files");
        }
    }
    assert!(runs > POINTS.len(), "{runs} crashes");
}

#[test]
fn a_second_kill_during_recovery_loses_nothing_either() {
    for point in POINTS {
        let folder = tempfile::tempdir().expect("a folder");
        let (died, acknowledged) = crash(folder.path(), 0, point);
        assert!(died, "{point}");
        for second in ["open.after-sync", "open.after-cleanup"] {
            let (died, still) = crash(folder.path(), acknowledged, second);
            assert!(died, "{point}, then {second}");
            assert_eq!(still, acknowledged, "it did not come to a step");
        }
        let store = Disk::open(&folder.path().join("store"), Faults::none());
        let store = store.unwrap_or_else(|e| panic!("{point}: {e}"));
        let done = assert_old_or_new(&store, acknowledged, point);
        assert_completes(&store, done, point);
    }
}
