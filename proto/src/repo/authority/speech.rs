//! What root documents say about operations, and from where on.

use crate::hash::Sha256;
use crate::key::Key;
use crate::repo::chain::Link;
use crate::repo::sequence::Position;

/// The documents of a chain, asked at positions of the sequence.
pub(super) struct Speech<'a> {
    /// Each document, with the position from which it speaks.
    documents: Vec<(Position, &'a Link)>,
    /// Of the first document, which all later ones repeat.
    pub(super) entries_per_log: u64,
}

impl<'a> Speech<'a> {
    /// A document's `seen` counts in the log of the registrar that was live before it.
    pub(super) fn of(links: &'a [Link]) -> Self {
        let live = |link: &Link| link.document.registrars.fixed.len();
        let before = [0].into_iter().chain(links.iter().map(live));
        let documents = links.iter().zip(before).map(|(link, registrar)| {
            let index = link.document.seen;
            (Position { registrar, index }, link)
        });
        Self {
            documents: documents.collect(),
            entries_per_log: links
                .first()
                .map_or(0, |link| link.document.limits.entries_per_log),
        }
    }

    fn at(&self, position: Position) -> impl Iterator<Item = &'a Link> {
        let speaking = self.documents.iter();
        speaking
            .filter(move |(from, _)| *from <= position)
            .map(|(_, link)| *link)
    }

    pub(super) fn cuts(&self, key: &Key, at: Position) -> bool {
        self.at(at)
            .flat_map(|link| &link.document.cuts)
            .any(|cut| cut.mark.key == *key)
    }

    pub(super) fn overrides(&self, leaf: &Sha256, at: Position) -> bool {
        self.at(at)
            .any(|link| link.document.overrides.contains(leaf))
    }
}
