//! What becomes of a valid document that was not held: it extends the chain, or stands beside it.

use std::collections::BTreeSet;

use super::check::{Place, Valid};
use super::{Chain, Outcome, Rival, State};
use crate::hash::Sha256;
use crate::key::Key;
use crate::repo::root::{Document, SignedRoot};

impl Chain {
    /// A valid document comes to a chain that is followed, and was not held.
    pub(super) fn follow(&mut self, version: u64, valid: Valid) -> Outcome {
        if version == self.next_version() {
            return self.follow_next(version, valid);
        }
        let own = usize::try_from(version - 1)
            .ok()
            .and_then(|at| self.links.get(at))
            .expect("a place that is not next is taken");
        let other = own.signed.clone();
        let culprits = culprits(self.place_of(version), &valid.signed, &other);
        if own.document.version == self.links.len() as u64 && !self.is_chosen(version) {
            self.state = State::Disputed { version };
        }
        self.keep_rival_of(version, valid, culprits.clone());
        Outcome::Rival { culprits }
    }

    fn follow_next(&mut self, version: u64, valid: Valid) -> Outcome {
        if matches!(self.state, State::Disputed { version: open } if open < version) {
            return Outcome::Waits;
        }
        let beside = self.rivals.iter().find(|rival| rival.version == version);
        if let Some(other) = beside.map(|rival| rival.signed.clone()) {
            let culprits = culprits(self.place_of(version), &valid.signed, &other);
            self.state = State::Disputed { version };
            self.keep_rival_of(version, valid, culprits.clone());
            self.share_culprits(version);
            return Outcome::Rival { culprits };
        }
        let known = matches!(valid.document, Document::Known(_));
        self.step(version, vec![valid]);
        if known {
            Outcome::Extended
        } else {
            Outcome::Upgrade
        }
    }

    /// A valid document comes to a newcomer's chain: what it held and this one, judged anew.
    pub(super) fn rebuild(&mut self, signed: SignedRoot, sha256: Sha256) -> Outcome {
        let documents = self.documents().cloned().chain([signed]).collect();
        *self = Self::build(self.repo, documents, self.pin);
        match self.rivals.iter().find(|rival| rival.sha256 == sha256) {
            Some(_) if matches!(self.state, State::Upgrade { .. }) => Outcome::Upgrade,
            Some(rival) => Outcome::Rival {
                culprits: rival.culprits.clone(),
            },
            None => Outcome::Extended,
        }
    }

    /// Keeps `valid` beside the chain and beside `others`, which stand in the same place.
    pub(super) fn keep_rival(&mut self, version: u64, valid: Valid, others: &[Valid]) {
        let place = self.place_of(version);
        let culprits = others
            .iter()
            .flat_map(|other| culprits(place, &valid.signed, &other.signed))
            .collect();
        self.keep_rival_of(version, valid, culprits);
    }

    /// One rival is kept for a document of the chain, and two where the chain has none.
    fn keep_rival_of(&mut self, version: u64, valid: Valid, culprits: BTreeSet<Key>) {
        let beside = self.rivals.iter().filter(|rival| rival.version == version);
        let room = if version < self.next_version() { 1 } else { 2 };
        if beside.count() < room {
            self.rivals.push(Rival {
                version,
                sha256: valid.sha256,
                signed: valid.signed,
                culprits,
            });
        }
    }

    /// Two rivals without a document of the chain between them have the same culprits.
    pub(super) fn share_culprits(&mut self, version: u64) {
        let of_version = |rival: &&Rival| rival.version == version;
        let shared: BTreeSet<Key> = self
            .rivals
            .iter()
            .filter(of_version)
            .flat_map(|rival| rival.culprits.iter().copied())
            .collect();
        for rival in &mut self.rivals {
            if rival.version == version {
                rival.culprits.clone_from(&shared);
            }
        }
    }
}

/// The root keys that signed both of two documents in one place.
fn culprits(place: Option<Place<'_>>, a: &SignedRoot, b: &SignedRoot) -> BTreeSet<Key> {
    let Some(Place::After(before)) = place else {
        return BTreeSet::new(); // two first documents are two repositories
    };
    let (a, b) = (a.signers(), b.signers());
    let old = before.document.root.keys.iter().copied();
    old.filter(|key| a.contains(key) && b.contains(key))
        .collect()
}
