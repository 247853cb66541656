//! Checkpoints as C2SP signed notes: what the store keeps and transparency-log software reads.
//!
//! The reader accepts exactly the bytes that the writer makes: one form, so that a note is as
//! canonical as its CBOR. Lines of other signers are refused rather than ignored, because a node
//! writes only those of the repository's witnesses.

use data_encoding::BASE64;

use super::{Checkpoint, Cosignature, TIME_MAX, origin, sorted};
use crate::claimed::Claimed;
use crate::fault::Fault;
use crate::hash::Sha256;
use crate::id::RepoId;
use crate::key::{Key, Signature};
use crate::limits::{CHECKPOINT_BYTES_MAX, COSIGNATURES_MAX};
use crate::log::tree::SIZE_MAX;

/// Longest name of a witness in bytes, as a root document may list it.
pub const NAME_BYTES_MAX: usize = 255;
/// Longest cosignature line in bytes: dash, name, the base64 of 76 bytes, two spaces, line feed.
pub const LINE_BYTES_MAX: usize = 3 + 1 + NAME_BYTES_MAX + 1 + 104 + 1;
/// Longest note in bytes.
pub const NOTE_BYTES_MAX: usize = CHECKPOINT_BYTES_MAX + COSIGNATURES_MAX * LINE_BYTES_MAX;

/// Signature types of C2SP's signed notes, the byte before the key in a key id.
const ED25519: u8 = 0x01;
const COSIGNATURE: u8 = 0x04;

/// Why a text is not a checkpoint's note.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("a note of {size} bytes where at most {NOTE_BYTES_MAX} are allowed")]
    TooLong { size: usize },
    #[error("not the note of a checkpoint: {0}")]
    Malformed(&'static str),
    #[error("the note is of another repository or key than its signature")]
    OtherOrigin,
    #[error("a signature line that is not of one of the witnesses")]
    UnknownSigner,
}

impl Error {
    pub fn fault(&self) -> Fault {
        Fault::Peer
    }
}

/// Whether `name` can stand in a signature line: not empty, at most [`NAME_BYTES_MAX`] bytes, no
/// white space, no control characters, no `+` (C2SP signed-note).
pub fn is_key_name(name: &str) -> bool {
    let refused = |c: char| c.is_whitespace() || c.is_control() || c == '+';
    !name.is_empty() && name.len() <= NAME_BYTES_MAX && !name.contains(refused)
}

impl Checkpoint {
    /// The note. `witnesses` gives the names by which root documents list the witnesses' keys, the
    /// latest document first: cosignatures by other keys, and by names that cannot stand in a note
    /// ([`is_key_name`]), are left out.
    pub fn to_note(&self, repo: &RepoId, witnesses: &[(String, Key)]) -> String {
        let name = origin(repo, &self.key);
        let id = key_id(&name, ED25519, &self.key);
        let own = line(&name, &[&id, self.signature.as_bytes()]);
        let mut note = format!("{}\n{own}", self.signed_text(repo));
        for cosignature in &self.cosignatures {
            let named = |(name, key): &&(String, Key)| *key == cosignature.key && is_key_name(name);
            if let Some((name, key)) = witnesses.iter().find(named) {
                let id = key_id(name, COSIGNATURE, key);
                let time = cosignature.time.to_be_bytes();
                note += &line(name, &[&id, &time, cosignature.signature.as_bytes()]);
            }
        }
        note
    }
}

impl Claimed<Checkpoint> {
    /// Reads what [`Checkpoint::to_note`] writes, for a checkpoint of `repo`. `witnesses` are those
    /// of every root document held, since a note may be older than the latest one.
    pub fn from_note(
        note: &[u8],
        repo: &RepoId,
        witnesses: &[(String, Key)],
    ) -> Result<Self, Error> {
        if note.len() > NOTE_BYTES_MAX {
            return Err(Error::TooLong { size: note.len() });
        }
        let note = std::str::from_utf8(note).map_err(|_| Error::Malformed("not UTF-8"))?;
        let mut lines = note
            .strip_suffix('\n')
            .ok_or(Error::Malformed("no line feed at its end"))?
            .split('\n');
        let mut next = |what| lines.next().ok_or(Error::Malformed(what));
        let name = next("no origin")?;
        let key = read_origin(name, repo)?;
        let size = read_size(next("no size")?)?;
        let root = read_root(next("no root")?)?;
        if !next("no blank line")?.is_empty() {
            return Err(Error::Malformed("more than three lines of text"));
        }
        let signature = read_own(next("no signature")?, name, &key)?;
        let cosignatures = lines
            .map(|line| read_cosignature(line, witnesses))
            .collect::<Result<Vec<_>, _>>()?;
        if cosignatures.len() > COSIGNATURES_MAX || !sorted(&cosignatures) {
            return Err(Error::Malformed(
                "more cosignatures than 16, or not sorted by key, each key once",
            ));
        }
        Ok(Self(Checkpoint {
            key,
            size,
            root,
            signature,
            cosignatures,
        }))
    }
}

/// Key id of C2SP's signed notes.
fn key_id(name: &str, kind: u8, key: &Key) -> [u8; 4] {
    let hash = Sha256::of(&[name.as_bytes(), b"\n", &[kind], key.public_bytes()]);
    let [a, b, c, d, ..] = *hash.as_bytes();
    [a, b, c, d]
}

fn line(name: &str, parts: &[&[u8]]) -> String {
    format!("\u{2014} {name} {}\n", BASE64.encode(&parts.concat()))
}

fn read_origin(line: &str, repo: &RepoId) -> Result<Key, Error> {
    let (_, key) = line.rsplit_once('/').ok_or(Error::OtherOrigin)?;
    let key = key.parse().map_err(|_| Error::OtherOrigin)?;
    if origin(repo, &key) == line {
        Ok(key)
    } else {
        Err(Error::OtherOrigin)
    }
}

fn read_size(line: &str) -> Result<u64, Error> {
    line.parse()
        .ok()
        .filter(|size: &u64| (1..=SIZE_MAX).contains(size) && size.to_string() == line)
        .ok_or(Error::Malformed("a size that is not one, or not in range"))
}

fn read_root(line: &str) -> Result<Sha256, Error> {
    let root = BASE64.decode(line.as_bytes()).ok();
    root.and_then(|root| root.try_into().ok())
        .map(Sha256::from_bytes)
        .ok_or(Error::Malformed("a root that is not base64 of 32 bytes"))
}

/// Splits a signature line into the name and the `N` bytes after the key id, which must be `id`'s.
fn read_line<const N: usize>(line: &str) -> Result<(&str, [u8; 4], [u8; N]), Error> {
    let malformed = Error::Malformed("a line that is no signature of the expected length");
    let (name, signature) = line
        .strip_prefix("\u{2014} ")
        .and_then(|rest| rest.split_once(' '))
        .ok_or(malformed.clone())?;
    let bytes = BASE64.decode(signature.as_bytes());
    let bytes = bytes.map_err(|_| malformed.clone())?;
    let (id, rest) = bytes.split_first_chunk().ok_or(malformed.clone())?;
    let rest = rest.try_into().map_err(|_| malformed)?;
    Ok((name, *id, rest))
}

fn read_own(line: &str, origin: &str, key: &Key) -> Result<Signature, Error> {
    let (name, id, signature) = read_line(line)?;
    if name == origin && id == key_id(origin, ED25519, key) {
        Ok(Signature::from_bytes(signature))
    } else {
        Err(Error::OtherOrigin)
    }
}

fn read_cosignature(line: &str, witnesses: &[(String, Key)]) -> Result<Cosignature, Error> {
    let (name, id, bytes): (_, _, [u8; 72]) = read_line(line)?;
    let signer = |(listed, key): &&(String, Key)| {
        listed == name && is_key_name(name) && id == key_id(name, COSIGNATURE, key)
    };
    let (_, key) = witnesses.iter().find(signer).ok_or(Error::UnknownSigner)?;
    let (time, signature) = bytes.split_at(8);
    let time = u64::from_be_bytes(time.try_into().expect("8 bytes"));
    if time > TIME_MAX {
        return Err(Error::Malformed("a time that C2SP does not allow"));
    }
    Ok(Cosignature {
        key: *key,
        time,
        signature: Signature::from_bytes(signature.try_into().expect("72 bytes less 8")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(base64: &str) -> Vec<u8> {
        BASE64.decode(base64.as_bytes()).expect("base64")
    }

    /// Verifier keys that others published: name, key id, then base64 of signature type and key.
    #[test]
    fn key_ids_are_as_others_compute_them() {
        let published = [
            "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
            "witness.navigli.sunlight.geomys.org+a3e00fe2+BNy/co4C1Hn1p+INwJrfUlgz7W55dSZReusH/GhUhJ/G",
        ];
        for (vkey, expected_kind) in published.into_iter().zip([ED25519, COSIGNATURE]) {
            let (name, rest) = vkey.split_once('+').expect("a name");
            let (id, key) = rest.split_once('+').expect("a key id");
            let key = decode(key);
            let (kind, public) = key.split_first().expect("33 bytes");
            assert_eq!(*kind, expected_kind);
            let key = Key::ed25519(public.try_into().expect("32 bytes"));
            assert_eq!(
                data_encoding::HEXLOWER.encode(&key_id(name, *kind, &key)),
                id
            );
        }
    }

    /// The example in the documentation of Go's note package.
    #[test]
    fn a_note_of_others_verifies() {
        let text = "If you think cryptography is the answer to your problem,\n\
                    then you don't know what your problem is.\n";
        let signed = "\u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=";
        let key = decode("ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW");
        let key = Key::from_bytes(key.try_into().expect("33 bytes"));
        let (name, id, signature) = read_line(signed).expect("a signature line");
        assert_eq!(id, key_id(name, ED25519, &key));
        assert!(key.verify(text.as_bytes(), &Signature::from_bytes(signature)));
    }

    /// The example of C2SP's tlog-cosignature: the same layout, and the time in its first 8 bytes.
    #[test]
    fn a_cosignature_line_of_others_is_read() {
        let signed = "\u{2014} witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==";
        let (name, id, bytes): (_, _, [u8; 72]) = read_line(signed).expect("a signature line");
        let time = u64::from_be_bytes(bytes[..8].try_into().expect("8 bytes"));
        assert_eq!((name, time), ("witness.example.com/w1", 1_679_315_147));
        assert_eq!(line(name, &[&id, &bytes]), format!("{signed}\n"));
        assert_eq!(signed.len() + 1, 3 + 1 + name.len() + 1 + 104 + 1);
    }
}
