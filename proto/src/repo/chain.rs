//! The chain of a repository's root documents: who may speak, step by step.
//!
//! The first document is the one whose hash is the repository's id. Each later one names its
//! predecessor and is signed by a threshold of the old and of the new root keys; a threshold is more
//! than half, so two documents in one place share a signer, who is named. A newcomer believes a
//! chain that has no fork, or in which a pin chooses ([`Chain::build`]). Who follows a repository
//! keeps the chain that it has, whatever retired keys sign later ([`Chain::accept`]).

use std::collections::BTreeSet;

use crate::hash::Sha256;
use crate::id::RepoId;
use crate::key::Key;
use crate::repo::root::{Document, Pin, RootDocument, SignedRoot};

mod candidates;
mod check;
mod error;
mod follow;

use candidates::Candidates;
use check::{Place, Valid, check, union};
pub use error::Error;

/// A document in its place in the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The payload, and every signature over it that verifies and is by a key that it or its
    /// predecessor lists.
    pub signed: SignedRoot,
    pub sha256: Sha256,
    pub document: RootDocument,
}

/// A valid document beside the chain: a rival of the one in its place, or of unknown rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rival {
    pub version: u64,
    pub sha256: Sha256,
    pub signed: SignedRoot,
    /// The root keys that signed it and another one in its place.
    pub culprits: BTreeSet<Key>,
}

/// What is to be thought of a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    Ok,
    /// It does not have the pinned document, or does not begin. Once it was believed its view stays,
    /// and nothing new is admitted.
    Behind,
    /// Two valid documents of this version, and no pin chooses.
    Disputed {
        version: u64,
    },
    /// The next document needs a newer program.
    Upgrade {
        version: u64,
        rules: u64,
    },
}

/// What became of a document that was offered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is the latest one now.
    Extended,
    /// It was held; `grew` if signatures were added.
    Known { grew: bool },
    /// It stands beside another one, and is kept unless one such is kept already.
    Rival { culprits: BTreeSet<Key> },
    /// It is the next one, under rules that this program does not know.
    Upgrade,
    /// Nothing that is held is its predecessor: it comes too early, or is of another branch.
    Unplaced,
    /// It would be the next one, but which branch is followed is open until a person chooses.
    Waits,
}

/// A repository's root documents from the first one on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    repo: RepoId,
    pin: Option<Pin>,
    links: Vec<Link>,
    rivals: Vec<Rival>,
    state: State,
    /// Whether it was once believed: then a later dispute does not take it away.
    followed: bool,
}

impl Chain {
    /// A chain of nothing.
    pub fn new(repo: RepoId, pin: Option<Pin>) -> Self {
        Self {
            repo,
            pin,
            links: Vec::new(),
            rivals: Vec::new(),
            state: State::Behind,
            followed: false,
        }
    }

    /// What a newcomer believes that was given these documents, in any order, some of them perhaps
    /// malformed, repeated or of other repositories, and perhaps a pin. A newcomer who finds a fork
    /// that no pin decides has no view at all: the last version before the fork might revive a
    /// stolen registrar.
    pub fn build(repo: RepoId, documents: Vec<SignedRoot>, pin: Option<Pin>) -> Self {
        let candidates = Candidates::of(documents);
        let chosen = candidates.chosen_by(pin);
        let mut chain = Self::new(repo, pin);
        loop {
            let version = chain.next_version();
            let mut next = candidates.valid_at(version, chain.place_after_last());
            if let Some(choice) = chosen.get(&version) {
                let (chosen, others) = next.into_iter().partition(|v| Some(v.sha256) == *choice);
                next = chosen;
                for other in others {
                    chain.keep_rival(version, other, &next);
                }
            }
            if chain.step(version, next) {
                return chain;
            }
        }
    }

    /// The chain of a node that was restarted: the documents that it kept, what
    /// [`Chain::followed`] said, and the pin.
    pub fn resume(
        repo: RepoId,
        documents: Vec<SignedRoot>,
        followed: Option<Pin>,
        pin: Option<Pin>,
    ) -> Self {
        let Some(followed) = followed else {
            return Self::build(repo, documents, pin);
        };
        let mut chain = Self::build(repo, documents, Some(followed));
        let latest = chain.links.len() as u64;
        chain.pin = pin;
        chain.followed = latest >= followed.version;
        let rival = chain.rivals.iter().any(|rival| rival.version == latest);
        if chain.followed && rival && !chain.is_chosen(latest) {
            chain.state = State::Disputed { version: latest };
        }
        chain.hold_to_pin();
        chain
    }

    /// Who follows a chain that does not have the pinned document keeps it and its view, and is
    /// behind: what a person vouches for has to come first.
    fn hold_to_pin(&mut self) {
        if self.followed && matches!(self.state, State::Ok | State::Behind) {
            let reached = self.pin.is_none_or(|pin| self.has(&pin));
            self.state = if reached { State::Ok } else { State::Behind };
        }
    }

    fn has(&self, pin: &Pin) -> bool {
        let at = usize::try_from(pin.version)
            .ok()
            .and_then(|n| n.checked_sub(1));
        let link = at.and_then(|at| self.links.get(at));
        link.is_some_and(|link| link.sha256 == pin.sha256)
    }

    /// Takes one more document. A newcomer should give what it received at once to
    /// [`Chain::build`], since a pin chooses backwards.
    pub fn accept(&mut self, signed: SignedRoot) -> Result<Outcome, Error> {
        let document = Document::parse(&signed.payload)?;
        let version = document.version();
        let Some(place) = self.place_of(version) else {
            return Ok(Outcome::Unplaced);
        };
        if matches!(place, Place::After(before) if document.prev() != Some(before.sha256)) {
            return Ok(Outcome::Unplaced);
        }
        let valid = check(&document, &signed, place)?;
        if let Some(grew) = self.add_signatures(version, &valid) {
            return Ok(Outcome::Known { grew });
        }
        Ok(if self.followed {
            let outcome = self.follow(version, valid);
            self.hold_to_pin();
            outcome
        } else {
            self.rebuild(signed, valid.sha256)
        })
    }

    /// A person chooses among rivals: follows the branch of this document from now on.
    pub fn settle(&mut self, pin: Pin) -> Result<(), Error> {
        let documents = self.documents().cloned().collect();
        let settled = Self::build(self.repo, documents, Some(pin));
        if settled.state != State::Ok {
            return Err(Error::NoSuchBranch {
                version: pin.version,
                sha256: pin.sha256,
            });
        }
        *self = settled;
        Ok(())
    }

    pub fn repo(&self) -> &RepoId {
        &self.repo
    }

    pub fn state(&self) -> &State {
        &self.state
    }

    pub fn pin(&self) -> Option<Pin> {
        self.pin
    }

    /// Whether a view follows from it: it is believed, or it was and a dispute or unknown rules
    /// came later. In the second case the view is the last one, and nothing new is admitted.
    pub fn gives_view(&self) -> bool {
        self.followed
    }

    /// The latest document, once the chain was believed. A store keeps it beside the documents: a
    /// node that forgot which branch it follows would be a newcomer.
    pub fn followed(&self) -> Option<Pin> {
        self.latest_pin().filter(|_| self.followed)
    }

    /// Its documents, version 1 first.
    pub fn links(&self) -> &[Link] {
        &self.links
    }

    pub fn latest(&self) -> Option<&Link> {
        self.links.last()
    }

    /// Valid documents beside the chain.
    pub fn rivals(&self) -> &[Rival] {
        &self.rivals
    }

    /// The latest document as a ticket or a bundle names it.
    pub fn latest_pin(&self) -> Option<Pin> {
        self.latest().map(|link| Pin {
            version: link.document.version,
            sha256: link.sha256,
        })
    }

    /// All that a store keeps: the chain in order, then what stands beside it.
    pub fn documents(&self) -> impl Iterator<Item = &SignedRoot> {
        let links = self.links.iter().map(|link| &link.signed);
        links.chain(self.rivals.iter().map(|rival| &rival.signed))
    }

    fn next_version(&self) -> u64 {
        self.links.len() as u64 + 1
    }

    fn place_after_last(&self) -> Place<'_> {
        self.links
            .last()
            .map_or(Place::First(self.repo), Place::After)
    }

    fn place_of(&self, version: u64) -> Option<Place<'_>> {
        match usize::try_from(version).ok()? {
            0 => None,
            1 => Some(Place::First(self.repo)),
            version => self.links.get(version - 2).map(Place::After),
        }
    }

    /// Whether the pin decides about this version, because it is of it or of a later one.
    fn is_chosen(&self, version: u64) -> bool {
        self.pin.is_some_and(|pin| pin.version >= version)
    }

    /// Goes on with what may stand at `version`; true when the chain ends there.
    fn step(&mut self, version: u64, mut next: Vec<Valid>) -> bool {
        if next.len() > 1 {
            self.state = State::Disputed { version };
            while let Some(rival) = next.pop() {
                self.keep_rival(version, rival, &next);
            }
            self.share_culprits(version);
            return true;
        }
        let Some(next) = next.pop() else {
            let reached = !self.links.is_empty() && !self.is_chosen(version);
            self.followed = reached;
            self.state = if reached { State::Ok } else { State::Behind };
            return true;
        };
        match next.document {
            Document::Known(document) => {
                self.links.push(Link {
                    signed: next.signed,
                    sha256: next.sha256,
                    document: *document,
                });
                false
            }
            Document::OtherRules { rules, .. } => {
                self.state = State::Upgrade { version, rules };
                self.keep_rival(version, next, &[]);
                true
            }
        }
    }

    /// Adds the signatures of a copy to the document that is held; `None` if none is.
    fn add_signatures(&mut self, version: u64, valid: &Valid) -> Option<bool> {
        let before = version.checked_sub(2).map(usize::try_from);
        let before = before.and_then(|at| self.links.get(at.ok()?)).cloned();
        let place = before
            .as_ref()
            .map_or(Place::First(self.repo), Place::After);
        let links = self.links.iter_mut().map(|l| (l.sha256, &mut l.signed));
        let rivals = self.rivals.iter_mut().map(|r| (r.sha256, &mut r.signed));
        let (_, held) = links.chain(rivals).find(|(sha, _)| *sha == valid.sha256)?;
        let grown = union(&valid.document, [&*held, &valid.signed], place);
        let grew = grown.signatures.len() > held.signatures.len();
        *held = grown;
        Some(grew)
    }
}
