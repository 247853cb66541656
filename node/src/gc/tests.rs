//! Nothing goes that anybody has or works with, whatever happens meanwhile.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use skep_proto::repo::chain::Chain;
use tokio::sync::watch;

use super::*;
use crate::core::HoldingReason;
use crate::snapshot::RepoSnapshot;
use crate::store::Change;
use crate::store::contract::{blob, repo};
use crate::store::memory::Memory;

/// A node as a collection sees it: a store, and what readers are shown.
struct Shown {
    store: Memory,
    node: Handle,
    shown: watch::Sender<Arc<Snapshot>>,
    held: Mutex<BTreeMap<Sha256, Holding>>,
}

impl Shown {
    fn new() -> Self {
        let store = Memory::new();
        let followed = store.persist(&Change::Follow { repo: repo(1) });
        followed.expect("followed");
        let (shown, seen) = watch::channel(Arc::new(snapshot(BTreeMap::new(), None)));
        Self {
            store,
            node: Handle::showing(seen),
            shown,
            held: Mutex::default(),
        }
    }

    fn import(&self, bytes: &[u8]) -> Blake3 {
        let mut bytes = bytes;
        self.store.import(&mut bytes).expect("imported").hash
    }

    /// From now on readers see that a release has these blobs, or that it is not held.
    fn show(&self, release: Sha256, blobs: &[Blake3]) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        match blobs {
            [] => drop(held.remove(&release)),
            blobs => {
                let why = HoldingReason::Kept;
                let blobs = blobs.iter().map(|hash| (*hash, 1)).collect();
                held.insert(release, Holding { why, blobs });
            }
        }
        let now = snapshot(held.clone(), None);
        self.shown.send_replace(Arc::new(now));
    }

    fn has(&self, hash: &Blake3) -> bool {
        self.store.blob(hash).expect("looked for").is_some()
    }

    fn sweep(&self, dry_run: bool) -> Result<Collected, Error> {
        sweep(Duration::ZERO, dry_run, &self.node, &self.store)
    }
}

/// Of one repository that is not followed: what is stored of it is held all the same.
fn snapshot(holdings: BTreeMap<Sha256, Holding>, read_only: Option<String>) -> Snapshot {
    let id = repo(1);
    let of = RepoSnapshot {
        id,
        settings: None,
        chain: Arc::new(Chain::build(id, Vec::new(), None)),
        view: None,
        view_hash: None,
        paused: None,
        holdings: Arc::new(holdings),
        offered: Arc::default(),
        admitted: Arc::default(),
        restrictions: Arc::default(),
        logs: BTreeMap::new(),
    };
    let me =
        skep_proto::id::NodeId::from_key(skep_proto::key::SigningKey::from_seed(&[1; 32]).key());
    Snapshot::new(me, vec![Arc::new(of)], Vec::new(), read_only)
}

fn release(n: u64) -> Sha256 {
    Sha256::of(&[&n.to_be_bytes()])
}

#[test]
fn what_is_held_or_in_use_stays_and_the_rest_goes() {
    let node = Shown::new();
    let [held, used, nobodys] = [1, 2, 3].map(|n| node.import(&blob(n, 10)));
    node.show(release(1), &[held]);
    let mut lease = node.node.in_use().lease();
    lease.add([used]);
    let would = node.sweep(true).expect("looked");
    assert_eq!((would.blobs, would.size_bytes), (1, 10));
    assert!(node.has(&nobodys), "it was only asked");
    assert_eq!(node.sweep(false).expect("swept"), would);
    assert!(node.has(&held) && node.has(&used) && !node.has(&nobodys));
    drop(lease);
    assert_eq!(node.sweep(false).expect("swept").blobs, 1);
    assert!(node.has(&held) && !node.has(&used));
}

#[test]
fn what_is_fresh_stays_and_is_told() {
    let node = Shown::new();
    let hash = node.import(&blob(1, 10));
    // The store in memory has no clock: everything in it is new.
    let spared = sweep(FRESH, false, &node.node, &node.store).expect("swept");
    let expected = Collected {
        fresh: 1,
        fresh_bytes: 10,
        ..Collected::default()
    };
    assert_eq!(spared, expected);
    assert!(node.has(&hash));
}

#[test]
fn a_release_that_goes_takes_along_what_no_other_one_has() {
    let node = Shown::new();
    let [own, shared, used] = [1, 2, 3].map(|n| node.import(&blob(n, 10)));
    node.show(release(1), &[own, shared, used]);
    node.show(release(2), &[shared]);
    let going = BTreeSet::from([(repo(1), release(1))]);
    let freed = freed(&node.node.snapshot(), &going);
    assert_eq!(
        freed.keys().copied().collect::<BTreeSet<_>>(),
        BTreeSet::from([own, used])
    );
    let mut lease = node.node.in_use().lease();
    lease.add([used]);
    node.show(release(1), &[]);
    let gone = remove(&freed, &node.node, &node.store).expect("removed");
    assert_eq!(gone.blobs, 1);
    assert!(!node.has(&own) && node.has(&shared) && node.has(&used));
}

#[test]
fn nothing_goes_where_not_everything_is_known() {
    let node = Shown::new();
    let hash = node.import(&blob(1, 10));
    let unknown = repo(2);
    let followed = node.store.persist(&Change::Follow { repo: unknown });
    followed.expect("followed");
    assert!(matches!(node.sweep(false), Err(Error::Unknown(id)) if id == unknown));
    let gone = node.store.persist(&Change::Unfollow { repo: unknown });
    gone.expect("forgotten");
    let read_only = snapshot(BTreeMap::new(), Some("the disk is full".to_owned()));
    node.shown.send_replace(Arc::new(read_only));
    assert!(matches!(node.sweep(false), Err(Error::ReadOnly(_))));
    assert!(node.has(&hash));
}

#[test]
fn a_spoiled_fact_of_what_is_held_stops_a_collection() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = crate::store::disk::Disk::open(folder.path(), crate::store::Faults::none());
    let store = store.expect("opened");
    let node = Shown::new();
    store
        .persist(&Change::Follow { repo: repo(1) })
        .expect("followed");
    let hash = store.import(&mut &b"x"[..]).expect("imported").hash;
    let spoiled = folder
        .path()
        .join("damaged")
        .join(format!("{}-holding-{}", repo(1), release(1)));
    std::fs::write(&spoiled, "?").expect("written");
    let refused = sweep(Duration::ZERO, false, &node.node, &store);
    assert!(matches!(refused, Err(Error::Damaged(_))));
    std::fs::remove_file(&spoiled).expect("removed");
    let swept = sweep(Duration::ZERO, false, &node.node, &store).expect("swept");
    assert_eq!(swept.blobs, 1);
    assert!(store.blob(&hash).expect("looked for").is_none());
}

/// How many releases each of those who publish makes.
const ROUNDS: u64 = 300;
/// Files that they share, so that one's garbage is another one's release.
const FILES: u8 = 6;

/// As a publication does: the files one by one, then what they are, then for a while nothing.
fn publish(node: &Shown, who: u64, seed: u64) {
    let mut dice = StdRng::seed_from_u64(seed ^ who);
    for round in 0..ROUNDS {
        let release = release(who << 32 | round);
        let mut lease = node.node.in_use().lease();
        let files: Vec<Vec<u8>> = (0..3)
            .map(|_| blob(dice.random_range(0..FILES), 10))
            .collect();
        let hashes: Vec<Blake3> = files
            .iter()
            .map(|bytes| {
                let mut file = std::io::Cursor::new(bytes);
                let imported = lease.import(&node.store, &mut file);
                imported.expect("imported").hash
            })
            .collect();
        node.show(release, &hashes);
        drop(lease);
        std::thread::yield_now();
        assert!(
            hashes.iter().all(|hash| node.has(hash)),
            "seed {seed}, round {round}"
        );
        let going = BTreeSet::from([(repo(1), release)]);
        let freed = freed(&node.node.snapshot(), &going);
        node.show(release, &[]);
        remove(&freed, &node.node, &node.store).expect("removed");
    }
}

#[test]
fn publications_and_collections_at_the_same_time_lose_nothing() {
    let seed = std::env::var("SKEP_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(rand::random);
    let node = Shown::new();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let sweeping = scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                node.sweep(false).expect("swept");
            }
        });
        let publishing = [1, 2].map(|who| {
            let node = &node;
            scope.spawn(move || publish(node, who, seed))
        });
        let ended = publishing.map(std::thread::ScopedJoinHandle::join);
        done.store(true, Ordering::Relaxed);
        sweeping.join().expect("it swept");
        for one in ended {
            one.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        }
    });
    node.sweep(false).expect("swept");
    let mut left = 0;
    node.store.blobs(&mut |_| left += 1).expect("listed");
    assert_eq!(left, 0, "nobody has anything: seed {seed}");
}
