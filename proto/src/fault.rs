//! Whom a failure blames. Computed where the failure is found, never guessed later.

/// Only [`Fault::Peer`] costs a peer its score.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// Who sent it could have known better: bytes that do not decode, a signature that does not
    /// verify, a chunk group with another hash.
    Peer,
    /// Properly signed nonsense: whoever relays it does nothing wrong.
    Publisher,
    /// Our disk, our configuration, our clock.
    Us,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Peer => "the peer that sent it",
            Self::Publisher => "its publisher",
            Self::Us => "this node",
        })
    }
}
