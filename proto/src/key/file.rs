//! Private key files as OpenSSH writes them: Ed25519, with or without a passphrase.
//!
//! A file made by `ssh-keygen -t ed25519` is a key of ours and the other way round, so nobody needs
//! our tool to look at, copy or protect a key. The format is OpenSSH's `PROTOCOL.key`; what we read
//! and write of it stands in SPEC.md, "Key files".

use ssh_key::private::{Ed25519Keypair, Ed25519PrivateKey, KeypairData};
use ssh_key::public::{Ed25519PublicKey, KeyData};
use ssh_key::{Algorithm, Cipher, Kdf, LineEnding, PrivateKey};
use zeroize::Zeroizing;

use super::{Key, SigningKey};

#[cfg(test)]
mod tests;

/// Longest key file in bytes. An Ed25519 file has about 460; a file of 16,384-bit RSA still fits,
/// so that it is refused for its algorithm and not for its size.
pub const FILE_BYTES_MAX: usize = 16_384;
/// Most bcrypt rounds read from a file, before anything is derived. `ssh-keygen` writes 16 or 24,
/// careful people ask for some hundred; a million in a file somebody sent would keep us busy for
/// hours.
pub const ROUNDS_MAX: u32 = 1_000;
/// Rounds in the files we write: what `ssh-keygen` has written since OpenSSH 9.4.
pub const ROUNDS: u32 = 24;
/// Longest salt read from a file. OpenSSH writes 16 bytes.
pub const SALT_BYTES_MAX: usize = 64;
/// Longest comment we write, in bytes: a comment is one line for people.
pub const COMMENT_BYTES_MAX: usize = 255;

/// Why a key file cannot be read, opened or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("{size} bytes where a key file has at most {FILE_BYTES_MAX}")]
    TooLong { size: usize },
    #[error("not an OpenSSH private key: {0}")]
    Malformed(String),
    #[error("the key is `{0}`, not `ssh-ed25519`")]
    NotEd25519(String),
    #[error("{rounds} bcrypt rounds, more than the {ROUNDS_MAX} we derive for")]
    TooManyRounds { rounds: u32 },
    #[error("the key is protected by a passphrase")]
    PassphraseNeeded,
    #[error("the passphrase is wrong")]
    WrongPassphrase,
    #[error("a passphrase was given, but the key is not encrypted")]
    NotEncrypted,
    #[error("the cipher `{0}` is not supported")]
    Cipher(String),
    #[error("the comment cannot stand in a key file")]
    Comment(#[source] crate::text::Error),
}

/// A private key file that was read, and not yet opened: whose key it is, and whether opening it
/// takes a passphrase.
#[derive(Clone)]
pub struct KeyFile(PrivateKey);

/// An opened key file.
#[derive(Clone)]
pub struct Opened {
    pub signing: SigningKey,
    /// What stands behind the public key; comes from the file, so escape it before printing.
    pub comment: String,
}

/// What a passphrase needs besides itself.
#[derive(Clone, Copy)]
pub struct Protection<'a> {
    /// Not empty: [`encode`] writes an unencrypted file for an empty one, as `ssh-keygen` does.
    pub passphrase: &'a str,
    /// Fresh randomness; it is stored in the clear.
    pub salt: [u8; 16],
    /// Fresh randomness: how OpenSSH tells a wrong passphrase.
    pub checkint: u32,
}

impl KeyFile {
    /// Reads the text of a file.
    ///
    /// # Errors
    /// If it is no OpenSSH private key, not Ed25519, or asks for more work than we do for a file.
    pub fn parse(text: &str) -> Result<Self, Error> {
        if text.len() > FILE_BYTES_MAX {
            return Err(Error::TooLong { size: text.len() });
        }
        let file = PrivateKey::from_openssh(text).map_err(|e| match algorithm_in(text) {
            Some(other) if other != Algorithm::Ed25519.as_str() => Error::NotEd25519(other),
            _ => refuse(&e),
        })?;
        if file.public_key().key_data().ed25519().is_none() {
            return Err(Error::NotEd25519(shown(file.algorithm().as_str())));
        }
        check_kdf(&file)?;
        Ok(Self(file))
    }

    /// The public key, as the file claims it; [`KeyFile::open`] checks the claim.
    pub fn key(&self) -> Key {
        match self.0.public_key().key_data() {
            KeyData::Ed25519(public) => Key::ed25519(&public.0),
            _ => unreachable!("`parse` refuses every other algorithm"),
        }
    }

    pub fn is_encrypted(&self) -> bool {
        self.0.is_encrypted()
    }

    /// Decrypts the file if it is encrypted. An empty passphrase is none.
    ///
    /// # Errors
    /// [`Error::PassphraseNeeded`], [`Error::WrongPassphrase`] or [`Error::NotEncrypted`] if the
    /// passphrase does not fit; [`Error::Malformed`] if the secret is not that of the public key.
    pub fn open(&self, passphrase: Option<&str>) -> Result<Opened, Error> {
        match (self.is_encrypted(), passphrase.filter(|p| !p.is_empty())) {
            (false, None) => self.unwrap_secret(&self.0),
            (false, Some(_)) => Err(Error::NotEncrypted),
            (true, None) => Err(Error::PassphraseNeeded),
            (true, Some(passphrase)) => {
                let plain = self.0.decrypt(passphrase).map_err(|e| match e {
                    ssh_key::Error::Crypto => Error::WrongPassphrase,
                    other => refuse(&other),
                })?;
                self.unwrap_secret(&plain)
            }
        }
    }

    fn unwrap_secret(&self, plain: &PrivateKey) -> Result<Opened, Error> {
        let pair = plain
            .key_data()
            .ed25519()
            .ok_or_else(|| Error::Malformed("no Ed25519 secret".to_owned()))?;
        let signing = SigningKey::from_seed(pair.private.as_ref());
        if signing.key() != self.key() {
            return Err(Error::Malformed(
                "the secret key does not belong to the public key".to_owned(),
            ));
        }
        Ok(Opened {
            signing,
            comment: plain.comment().to_owned(),
        })
    }
}

/// The text of a key file, which ends with a line feed.
///
/// # Errors
/// [`Error::Comment`] if `comment` is longer than [`COMMENT_BYTES_MAX`] or not one plain line.
pub fn encode(
    signing: &SigningKey,
    comment: &str,
    protection: Option<Protection<'_>>,
) -> Result<Zeroizing<String>, Error> {
    crate::text::check_line(comment, COMMENT_BYTES_MAX).map_err(Error::Comment)?;
    let pair = Ed25519Keypair {
        public: Ed25519PublicKey(*signing.key().public_bytes()),
        private: Ed25519PrivateKey::from_bytes(&signing.seed()),
    };
    let mut file = PrivateKey::new(KeypairData::from(pair), comment).map_err(|e| refuse(&e))?;
    if let Some(with) = protection.filter(|p| !p.passphrase.is_empty()) {
        let kdf = Kdf::Bcrypt {
            salt: with.salt.to_vec(),
            rounds: ROUNDS,
        };
        file = file
            .encrypt_with(Cipher::Aes256Ctr, kdf, with.checkint, with.passphrase)
            .map_err(|e| refuse(&e))?;
    }
    file.to_openssh(LineEnding::LF).map_err(|e| refuse(&e))
}

/// Refuses derivations that would cost too much or that bcrypt knows no answer to, and ciphers that
/// cannot be undone here.
fn check_kdf(file: &PrivateKey) -> Result<(), Error> {
    let Kdf::Bcrypt { salt, rounds } = file.kdf() else {
        return if file.is_encrypted() {
            Err(Error::Malformed(
                "encrypted, but no key derivation named".to_owned(),
            ))
        } else {
            Ok(())
        };
    };
    if *rounds > ROUNDS_MAX {
        return Err(Error::TooManyRounds { rounds: *rounds });
    }
    if *rounds == 0 || salt.is_empty() || salt.len() > SALT_BYTES_MAX {
        return Err(Error::Malformed(
            "impossible parameters of bcrypt".to_owned(),
        ));
    }
    if file.cipher() == Cipher::TDesCbc {
        return Err(Error::Cipher(file.cipher().to_string()));
    }
    Ok(())
}

fn refuse(error: &ssh_key::Error) -> Error {
    Error::Malformed(error.to_string())
}

/// The algorithm that the public part of a file names. `ssh-key` knows only the algorithms whose
/// code it was built with, and calls the others malformed.
fn algorithm_in(text: &str) -> Option<String> {
    let inside: String = text.lines().filter(|l| !l.starts_with('-')).collect();
    let bytes = data_encoding::BASE64.decode(inside.as_bytes()).ok()?;
    let mut rest = bytes.strip_prefix(b"openssh-key-v1\0")?;
    for _cipher_kdf_options in 0..3 {
        string(&mut rest)?;
    }
    let mut behind_count = rest.get(4..)?;
    let mut public = string(&mut behind_count)?;
    let algorithm = std::str::from_utf8(string(&mut public)?).ok()?;
    Some(shown(algorithm))
}

/// Takes one `string` of SSH off the front: a length of four bytes, then as many.
fn string<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (len, behind) = rest.split_first_chunk::<4>()?;
    let len = usize::try_from(u32::from_be_bytes(*len)).ok()?;
    let (string, behind) = behind.split_at_checked(len)?;
    *rest = behind;
    Some(string)
}

fn shown(algorithm: &str) -> String {
    crate::text::harmless_line(&algorithm.chars().take(64).collect::<String>())
}
