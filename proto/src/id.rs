//! Ids that are hashes: of a repository (its first root document) and of a handle (its creation).

use bech32::{Bech32m, Hrp};

use crate::hash::{Sha256, digest};
use crate::key::Key;

/// Human-readable part of a repository's id.
const REPOSITORY: Hrp = Hrp::parse_unchecked("skep");

/// SHA-256 of the payload of a repository's first root document, shown as bech32m `skep1…`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RepoId(Sha256);

digest!(
    /// SHA-256 of the message of the operation that created a handle. Policies name handles by it;
    /// the label is for people.
    HandleId
);

/// A node's public key, shown as a key; libp2p's PeerId stays inside the network adapter.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(Key);

impl NodeId {
    pub const fn from_key(key: Key) -> Self {
        Self(key)
    }

    pub const fn key(&self) -> &Key {
        &self.0
    }
}

impl std::fmt::Display for NodeId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::fmt::Debug for NodeId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "NodeId({self})")
    }
}

/// A text that is not a repository's id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a repository id: expected `skep1` and 58 characters, with a valid checksum")]
pub struct NotRepoId;

impl RepoId {
    pub const fn from_hash(hash: Sha256) -> Self {
        Self(hash)
    }

    pub const fn hash(&self) -> &Sha256 {
        &self.0
    }

    pub const fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }
}

impl std::fmt::Display for RepoId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        bech32::encode_lower_to_fmt::<Bech32m, _>(f, REPOSITORY, self.as_bytes())
            .map_err(|_| std::fmt::Error)
    }
}

impl std::fmt::Debug for RepoId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RepoId({self})")
    }
}

impl std::str::FromStr for RepoId {
    type Err = NotRepoId;

    /// Reads the lower-case form only: an id has one spelling.
    fn from_str(text: &str) -> Result<Self, NotRepoId> {
        let checked = bech32::primitives::decode::CheckedHrpstring::new::<Bech32m>(text)
            .map_err(|_| NotRepoId)?;
        let bytes: Vec<u8> = checked.byte_iter().collect();
        let id = Self(Sha256::from_bytes(bytes.try_into().map_err(|_| NotRepoId)?));
        if id.to_string() == text {
            Ok(id)
        } else {
            Err(NotRepoId)
        }
    }
}

impl serde::Serialize for RepoId {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for RepoId {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_one_spelling() {
        let id = RepoId::from_hash(Sha256::of(&[b"x"]));
        let text = id.to_string();
        assert_eq!(text.len(), "skep1".len() + 58);
        assert_eq!(text.parse(), Ok(id));
        assert_eq!(text.to_uppercase().parse::<RepoId>(), Err(NotRepoId));
        for i in 0..text.len() {
            let mut typo = text.clone().into_bytes();
            typo[i] = if typo[i] == b'q' { b'p' } else { b'q' };
            let typo = String::from_utf8(typo).expect("ASCII");
            assert_eq!(typo.parse::<RepoId>(), Err(NotRepoId), "{typo}");
        }
    }
}
