//! What holds in every history: random ones, shrunk to the steps that matter.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use skep_proto::hash::Sha256;
use skep_proto::id::HandleId;
use skep_proto::key::Key;
use skep_proto::log::entry::{Body, Entry, Parsed, Role, Subject, parse};
use skep_proto::name::{Fold, Version};
use skep_proto::repo::authority::Outcome;
use skep_proto::repo::chain::Chain;
use skep_proto::repo::fact::{Fact, HandleFact, LogFacts, Operation};
use skep_proto::repo::sequence::{EntryRef, LogUse};
use skep_proto::repo::view::{Flag, View};

use crate::world::{World, name};

const NAMES: [&str; 3] = ["drop", "d-rop", "ratelimiting"];
const VERSIONS: [&str; 2] = ["1.0.0", "1.1.0"];

/// What somebody does; indices choose among what there is.
#[derive(Debug, Clone)]
enum Step {
    Publish {
        key: Index,
        name: usize,
        version: usize,
        manifest: bool,
    },
    Yank {
        key: Index,
        name: usize,
        on: bool,
    },
    Approve {
        key: Index,
        name: usize,
        manifest: bool,
    },
    Grant {
        handle: Index,
        role: usize,
        name: usize,
    },
    Change {
        handle: Index,
        keep: Index,
        signed: bool,
    },
    Cut {
        key: Index,
        size: Index,
    },
    RootCut {
        key: Index,
        size: Index,
    },
    Suspend {
        name: usize,
        on: bool,
    },
    Settle {
        name: usize,
        manifest: bool,
    },
    ReplaceRegistrar {
        size: Index,
    },
    Fork {
        key: Index,
    },
    Void {
        key: Index,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let (index, names) = (any::<Index>, 0..NAMES.len());
    let step = prop_oneof![
        4 => (index(), names.clone(), 0..VERSIONS.len(), any::<bool>()).prop_map(
            |(key, name, version, manifest)| Step::Publish { key, name, version, manifest }
        ),
        2 => (index(), names.clone(), any::<bool>())
            .prop_map(|(key, name, on)| Step::Yank { key, name, on }),
        1 => (index(), names.clone(), any::<bool>())
            .prop_map(|(key, name, manifest)| Step::Approve { key, name, manifest }),
        2 => (index(), 0..Role::ALL.len(), names.clone())
            .prop_map(|(handle, role, name)| Step::Grant { handle, role, name }),
        2 => (index(), index(), any::<bool>())
            .prop_map(|(handle, keep, signed)| Step::Change { handle, keep, signed }),
        1 => (index(), index()).prop_map(|(key, size)| Step::Cut { key, size }),
        1 => (index(), index()).prop_map(|(key, size)| Step::RootCut { key, size }),
        1 => (names.clone(), any::<bool>()).prop_map(|(name, on)| Step::Suspend { name, on }),
        1 => (names, any::<bool>()).prop_map(|(name, manifest)| Step::Settle { name, manifest }),
        1 => index().prop_map(|size| Step::ReplaceRegistrar { size }),
        1 => index().prop_map(|key| Step::Fork { key }),
        1 => index().prop_map(|key| Step::Void { key }),
    ];
    vec(step, 0..24)
}

/// A repository with two handles of two keys, and what the steps make of it.
struct Play {
    world: World,
    handles: Vec<HandleId>,
    keys: Vec<Key>,
}

fn manifest(other: bool) -> &'static str {
    if other { "bad" } else { "good" }
}

impl Play {
    fn of(steps: &[Step]) -> Self {
        let mut world = World::new();
        let keys: Vec<Key> = (0..4).map(|_| world.key()).collect();
        let ana = world.handle("ana", (1, 2), &keys[..2]);
        let ben = world.handle("ben", (1, 1), &keys[2..]);
        world.grant(ana, Role::Publisher, &["drop"]);
        let handles = vec![ana, ben];
        let mut play = Self {
            world,
            handles,
            keys,
        };
        steps.iter().for_each(|step| play.take(step));
        play
    }

    fn key(&self, index: &Index) -> Key {
        *index.get(&self.keys)
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Publish {
                key,
                name,
                version,
                manifest: of,
            } => {
                let (key, name, version) = (self.key(key), NAMES[*name], VERSIONS[*version]);
                self.world.publish(key, name, version, manifest(*of));
            }
            Step::Yank { key, name, on } => {
                self.world
                    .yank(self.key(key), NAMES[*name], VERSIONS[0], *on);
            }
            Step::Approve {
                key,
                name,
                manifest: of,
            } => {
                let hash = Sha256::of(&[manifest(*of).as_bytes()]);
                self.world
                    .approve(self.key(key), NAMES[*name], VERSIONS[0], hash);
            }
            Step::Grant { handle, role, name } => {
                let (role, name) = (Role::ALL[*role], NAMES[*name]);
                let names = if role == Role::Publisher {
                    vec![name]
                } else {
                    Vec::new()
                };
                self.world.grant(*handle.get(&self.handles), role, &names);
            }
            Step::Change {
                handle,
                keep,
                signed,
            } => self.change(handle, keep, *signed),
            Step::Cut { key, size } => {
                let key = self.key(key);
                self.world
                    .cut(&key, size.index(self.world.log(&key).len() + 1));
            }
            Step::RootCut { key, size } => {
                let key = self.key(key);
                let size = size.index(self.world.log(&key).len() + 1);
                self.world.root_cut(self.world.mark(&key, size));
            }
            Step::Suspend { name: of, on } => {
                self.world.suspend(Subject::Package(name(NAMES[*of])), *on);
            }
            Step::Settle { name, manifest: of } => {
                let hash = Sha256::of(&[manifest(*of).as_bytes()]);
                self.world.settle(NAMES[*name], VERSIONS[0], hash);
            }
            Step::ReplaceRegistrar { size } => {
                let held = self.world.log(&self.world.registrar.clone()).len();
                self.world.replace_registrar(size.index(held + 1), |_| {});
            }
            Step::Fork { key } => drop(self.world.evidence.insert(self.key(key))),
            Step::Void { key } => drop(self.world.say_raw(self.key(key), vec![0xff])),
        }
    }

    /// A change to one kept key and a new one, signed by enough old keys or by too few.
    fn change(&mut self, handle: &Index, keep: &Index, signed: bool) {
        let id = *handle.get(&self.handles);
        let new = self.world.key();
        let old = match self.world.view().handle(&id) {
            Some(handle) => handle.keys.iter().copied().collect::<Vec<_>>(),
            None => return,
        };
        let kept = *keep.get(&old);
        let operation = self.world.changed(id, (1, 1), &[kept, new]);
        let mut by = if signed { old } else { Vec::new() };
        by.push(new);
        self.keys.push(new);
        self.world.change(id, operation, &by);
    }
}

/// Every place in a contributor's log that a view says something because of.
fn places(view: &View) -> Vec<EntryRef> {
    let mut places = Vec::new();
    let flag = |places: &mut Vec<EntryRef>, flag: &Flag| places.extend(&flag.because);
    for package in view.packages.values() {
        flag(&mut places, &package.deprecated);
        for release in package.releases.values() {
            flag(&mut places, &release.yanked);
            flag(&mut places, &release.deprecated);
            places.extend(&release.repeated);
            for claim in release.claims.values() {
                let keys = claim.approved.values().flatten().chain(&claim.published);
                places.extend(keys.map(|(key, index)| EntryRef {
                    key: *key,
                    index: *index,
                }));
            }
        }
    }
    let notes = view.notes.values().chain(view.attestations.values());
    places.extend(notes.flatten().map(|note| note.at));
    places
}

fn owners(view: &View) -> BTreeMap<Fold, HandleId> {
    let names = view.authority.names.iter();
    names
        .map(|(fold, owned)| (fold.clone(), owned.owner))
        .collect()
}

fn listed(view: &View) -> BTreeMap<(String, String), Sha256> {
    let packages = view.packages.values();
    let releases = packages.flat_map(|package| {
        let named = move |version: &Version| (package.name.to_string(), version.to_string());
        let releases = package.releases.iter();
        releases.filter_map(move |(version, release)| Some((named(version), release.listed()?)))
    });
    releases.collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// In whatever order and batches logs and documents arrive, and however often documents do.
    #[test]
    fn order_and_repetition_of_delivery_do_not_matter(
        steps in steps(),
        arrivals in vec(any::<Index>(), 0..64),
    ) {
        let world = Play::of(&steps).world;
        let expected = world.view();

        let mut documents = world.documents.clone();
        documents.extend(arrivals.iter().map(|arrival| arrival.get(&world.documents).clone()));
        documents.reverse();
        let chain = Chain::build(world.repo, documents, None);

        let mut logs: BTreeMap<Key, LogFacts> = BTreeMap::new();
        let keys: Vec<&Key> = world.logs.keys().collect();
        let each_once = (0..keys.len()).map(|at| (at, usize::MAX));
        let picked = arrivals.iter().map(|arrival| (arrival.index(keys.len()), 1));
        for (at, count) in picked.chain(each_once) {
            let (key, log) = (*keys[at], logs.entry(*keys[at]).or_default());
            for raw in world.log(&key).iter().skip(log.len()).take(count) {
                log.push(&world.repo, raw);
            }
        }
        let view = View::compute(&chain, &logs, &world.evidence);
        prop_assert_eq!(view.as_ref(), Some(&expected));
    }

    /// Nothing at or beyond the cut in force is said, and nothing of a fork without a cut.
    #[test]
    fn nothing_beyond_a_cut_is_visible(steps in steps()) {
        let view = Play::of(&steps).world.view();
        for place in places(&view) {
            let visible = match view.logs[&place.key] {
                LogUse::Whole => true,
                LogUse::UpTo { size, .. } => place.index < size,
                LogUse::NotHeld { .. } | LogUse::Forked => false,
            };
            prop_assert!(visible, "{:?}", place);
        }
    }

    /// A name that is owned stays owned, whatever the registrar says afterwards.
    #[test]
    fn name_has_one_owner_for_ever(before in steps(), after in steps()) {
        let without = |steps: &[Step]| -> Vec<Step> {
            let other = |step: &&Step| !matches!(step, Step::ReplaceRegistrar { .. });
            steps.iter().filter(other).cloned().collect()
        };
        let mut play = Play::of(&without(&before));
        let first = owners(&play.world.view());
        without(&after).iter().for_each(|step| play.take(step));
        let then = owners(&play.world.view());
        for (fold, owner) in first {
            prop_assert_eq!(then.get(&fold), Some(&owner));
        }
    }

    /// Honest owners' entries never take a version away: only an authority operation, evidence, a yank
    /// or another manifest under the same version changes what was listed.
    #[test]
    fn publishing_more_never_unlists_a_version(
        steps in steps(),
        more in vec((any::<Index>(), 0..NAMES.len(), 2..9_u8), 1..8),
    ) {
        let mut play = Play::of(&steps);
        let before = listed(&play.world.view());
        for (key, name, minor) in more {
            let (key, of) = (play.key(&key), format!("1.{minor}.0"));
            play.world.publish(key, NAMES[name], &of, "good");
        }
        let after = listed(&play.world.view());
        for (release, manifest) in before {
            prop_assert_eq!(after.get(&release), Some(&manifest));
        }
    }

    /// Every listed manifest is derived anew from the bytes: entries at the named places say it, by
    /// keys that the owner's effective operations listed, as many as publish.
    #[test]
    fn every_listed_release_has_a_derivation(steps in steps()) {
        let world = Play::of(&steps).world;
        let view = world.view();
        for package in view.packages.values() {
            let owner = view.handle(&package.owner).expect("a name has an owner that is there");
            for (version, release) in &package.releases {
                let Some(manifest) = release.listed() else { continue };
                let published = &release.claims[&manifest].published;
                prop_assert!(published.len() >= usize::from(owner.publish_threshold));
                for (key, index) in published {
                    prop_assert!(owner.least.contains_key(key), "not a key of the owner");
                    let raw = &world.log(key)[usize::try_from(*index).expect("small")];
                    let Parsed::Entry(Entry { body: Body::Publish(said), .. }) = parse(raw) else {
                        return Err(TestCaseError::fail("no publish stands there"));
                    };
                    prop_assert_eq!((&said.name, &said.version), (&package.name, version));
                    prop_assert_eq!(Sha256::of(&[&said.payload]), manifest);
                }
            }
        }
    }

    /// What entries say of the time changes no record but the hashes of reviews, advisories and
    /// attestations, in which the entries themselves stand. Roots in operations are computed by
    /// their signers from the entries there are, so histories without them are compared.
    #[test]
    fn claimed_times_decide_nothing(steps in steps(), times in vec(any::<u64>(), 1..8)) {
        let without: Vec<Step> = steps
            .into_iter()
            .filter(|step| !matches!(
                step,
                Step::Cut { .. } | Step::RootCut { .. } | Step::Change { .. }
                    | Step::ReplaceRegistrar { .. }
            ))
            .collect();
        let mut world = Play::of(&without).world;
        let before = world.view();
        let mut times = times.iter().cycle();
        for log in world.logs.values_mut() {
            for raw in log {
                if let Parsed::Entry(mut entry) = parse(raw) {
                    entry.claimed_at = *times.next().expect("they go round");
                    *raw = entry.encode().expect("an entry");
                }
            }
        }
        let of_kind = |view: &View| -> Vec<_> {
            let records = view.records().into_iter();
            records.filter(|(key, _)| !matches!(key.get(1), Some(2 | 3))).collect()
        };
        let after = world.view();
        prop_assert_eq!(of_kind(&before), of_kind(&after));
        prop_assert_eq!(before.notes.len(), after.notes.len());
    }

    /// What arrives in parts gives the view that the whole gives: facts grow entry by entry, and
    /// nothing remembers how.
    #[test]
    fn a_view_that_grew_is_the_view_of_the_whole(steps in steps()) {
        let mut play = Play::of(&[]);
        let mut facts: BTreeMap<Key, LogFacts> = BTreeMap::new();
        for step in &steps {
            play.take(step);
            for (key, log) in &play.world.logs {
                let facts = facts.entry(*key).or_default();
                for raw in &log[facts.len()..] {
                    facts.push(&play.world.repo, raw);
                }
            }
            let grown = View::compute(&play.world.chain(), &facts, &play.world.evidence);
            prop_assert_eq!(grown, Some(play.world.view()));
        }
    }

    /// No handle gains a key that has not signed, nor by fewer of its own than change it: here
    /// without overrides, judged anew from the operations that are said to be effective.
    #[test]
    fn keys_come_only_by_their_own_and_the_handles_signatures(steps in steps()) {
        let world = Play::of(&steps).world;
        let (view, facts) = (world.view(), world.facts());
        let mut judged = view.authority.judged.iter();
        let mut latest: BTreeMap<Sha256, &HandleFact> = BTreeMap::new();
        for (position, fact, _) in view.authority.sequence.entries(&facts) {
            let Fact::Operation(operation) = fact else { continue };
            let outcome = judged.next().expect("every operation is judged");
            prop_assert_eq!(outcome.position, position);
            let Operation::Handle(handle) = &**operation else { continue };
            if matches!(outcome.outcome, Outcome::Ineffective(_)) {
                continue;
            }
            let before = handle.prev.map(|prev| latest.remove(&prev).expect("the latest one"));
            for key in &handle.keys {
                let held = before.is_some_and(|before| before.keys.contains(key));
                prop_assert!(held || handle.signed.contains(key));
            }
            if let Some(before) = before {
                let signed = before.keys.intersection(&handle.signed).count();
                prop_assert!(signed >= usize::from(before.change_threshold));
            }
            latest.insert(handle.hash, handle);
        }
        prop_assert_eq!(judged.next(), None);
        prop_assert_eq!(latest.len(), view.authority.handles.len());
    }
}
