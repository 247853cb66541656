//! What a newcomer has received: documents in any order, and which of them may stand where.

use std::collections::BTreeMap;

use super::check::{Place, Valid, check, union};
use crate::hash::Sha256;
use crate::repo::root::{Document, Pin, SignedRoot};

/// The distinct well-formed payloads that were received, each with all its copies.
pub(super) struct Candidates(BTreeMap<Sha256, (Document, Vec<SignedRoot>)>);

impl Candidates {
    pub(super) fn of(documents: Vec<SignedRoot>) -> Self {
        let mut candidates = BTreeMap::new();
        for signed in documents {
            if let Ok(document) = Document::parse(&signed.payload) {
                candidates
                    .entry(signed.sha256())
                    .or_insert_with(|| (document, Vec::new()))
                    .1
                    .push(signed);
            }
        }
        Self(candidates)
    }

    /// Which hash a pin demands at its version and, through `prev`, below it.
    pub(super) fn chosen_by(&self, pin: Option<Pin>) -> BTreeMap<u64, Option<Sha256>> {
        let mut chosen = BTreeMap::new();
        let Some(Pin {
            mut version,
            sha256,
        }) = pin
        else {
            return chosen;
        };
        let mut choice = Some(sha256);
        loop {
            chosen.insert(version, choice);
            let Some((document, _)) = choice.and_then(|hash| self.0.get(&hash)) else {
                return chosen;
            };
            if version <= 1 || document.version() != version {
                return chosen;
            }
            (version, choice) = (version - 1, document.prev());
        }
    }

    /// The documents that may stand at `version`, by hash. One valid copy makes a document valid.
    pub(super) fn valid_at(&self, version: u64, place: Place<'_>) -> Vec<Valid> {
        let fits = |document: &Document| {
            document.version() == version
                && match place {
                    Place::First(_) => true,
                    Place::After(before) => document.prev() == Some(before.sha256),
                }
        };
        self.0
            .values()
            .filter(|(document, _)| fits(document))
            .filter_map(|(document, copies)| {
                let valid = copies
                    .iter()
                    .find_map(|copy| check(document, copy, place).ok())?;
                let signed = union(document, copies, place);
                Some(Valid { signed, ..valid })
            })
            .collect()
    }
}
