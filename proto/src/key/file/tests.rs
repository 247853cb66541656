use super::{
    COMMENT_BYTES_MAX, Error, FILE_BYTES_MAX, KeyFile, Opened, Protection, ROUNDS_MAX, encode,
};
use crate::hash::Sha256;
use crate::key::SigningKey;

const PASSPHRASE: &str = "correct horse";

fn signing() -> SigningKey {
    SigningKey::from_seed(&[7; 32])
}

fn protected() -> Protection<'static> {
    Protection {
        passphrase: PASSPHRASE,
        salt: [9; 16],
        checkint: 0x0102_0304,
    }
}

fn written(protection: Option<Protection<'_>>) -> String {
    let text = encode(&signing(), "ana@laptop", protection).expect("a plain comment");
    text.as_str().to_owned()
}

fn open(text: &str, passphrase: Option<&str>) -> Result<Opened, Error> {
    KeyFile::parse(text)?.open(passphrase)
}

/// A file of which the bytes inside the armour were changed.
fn altered(text: &str, change: impl FnOnce(&mut Vec<u8>)) -> String {
    let inside: String = text.lines().filter(|l| !l.starts_with('-')).collect();
    let mut bytes = data_encoding::BASE64
        .decode(inside.as_bytes())
        .expect("armour");
    change(&mut bytes);
    let inside = data_encoding::BASE64.encode(&bytes);
    let lines: Vec<&str> = inside
        .as_bytes()
        .chunks(70)
        .map(|line| std::str::from_utf8(line).expect("ASCII"))
        .collect();
    format!(
        "-----BEGIN OPENSSH PRIVATE KEY-----\n{}\n-----END OPENSSH PRIVATE KEY-----\n",
        lines.join("\n")
    )
}

/// Replaces the only occurrence of `old` by `new`, of the same length.
fn put(bytes: &mut [u8], old: &[u8], new: &[u8]) {
    let at = bytes
        .windows(old.len())
        .position(|window| window == old)
        .expect("what is to be replaced is there");
    bytes[at..at + new.len()].copy_from_slice(new);
}

#[test]
fn what_is_written_opens_again_with_its_comment() {
    for (protection, passphrase) in [(None, None), (Some(protected()), Some(PASSPHRASE))] {
        let text = written(protection);
        let file = KeyFile::parse(&text).expect("ours");
        assert_eq!(file.is_encrypted(), passphrase.is_some());
        assert_eq!(file.key(), signing().key());
        let opened = file.open(passphrase).expect("the right passphrase");
        assert_eq!(*opened.signing.seed(), [7; 32]);
        assert_eq!(opened.comment, "ana@laptop");
    }
}

#[test]
fn the_bytes_of_a_file_are_pinned() {
    let hash = |protection| Sha256::of(&[written(protection).as_bytes()]).to_string();
    assert_eq!(
        hash(None),
        "9ba1f62ef595b6a9e62692bf0db57777c65a7e8c259e2c1e2d28ec8f800ca7e6"
    );
    assert_eq!(
        hash(Some(protected())),
        "4d82cb81ef67d0be77bf2cedb348d42a8b8d06d4414e74f30726c406db910dac"
    );
}

#[test]
fn each_misuse_of_a_passphrase_has_its_own_error() {
    let (plain, encrypted) = (written(None), written(Some(protected())));
    let error = |text: &str, passphrase| open(text, passphrase).err();
    assert_eq!(error(&encrypted, None), Some(Error::PassphraseNeeded));
    assert_eq!(error(&encrypted, Some("")), Some(Error::PassphraseNeeded));
    assert_eq!(
        error(&encrypted, Some("correct house")),
        Some(Error::WrongPassphrase)
    );
    assert_eq!(error(&plain, Some(PASSPHRASE)), Some(Error::NotEncrypted));
    assert_eq!(error(&plain, Some("")), None);
}

#[test]
fn an_empty_passphrase_protects_nothing_and_says_so() {
    let empty = Protection {
        passphrase: "",
        ..protected()
    };
    let file = KeyFile::parse(&written(Some(empty))).expect("ours");
    assert!(!file.is_encrypted());
}

#[test]
fn rounds_are_capped_before_anything_is_derived() {
    let rounds = |rounds: u32| {
        altered(&written(Some(protected())), |bytes| {
            let old = [&[9; 16][..], &super::ROUNDS.to_be_bytes()].concat();
            let new = [&[9; 16][..], &rounds.to_be_bytes()].concat();
            put(bytes, &old, &new);
        })
    };
    assert!(KeyFile::parse(&rounds(ROUNDS_MAX)).is_ok());
    assert_eq!(
        KeyFile::parse(&rounds(ROUNDS_MAX + 1)).err(),
        Some(Error::TooManyRounds {
            rounds: ROUNDS_MAX + 1
        })
    );
    let none = KeyFile::parse(&rounds(0)).err().expect("refused");
    assert_eq!(
        none.to_string(),
        "not an OpenSSH private key: impossible parameters of bcrypt"
    );
}

#[test]
fn salts_are_capped() {
    let salt = |len: usize| {
        altered(&written(Some(protected())), |bytes| {
            let old = [&[0, 0, 0, 24, 0, 0, 0, 16][..], &[9; 16]].concat();
            let at = bytes
                .windows(old.len())
                .position(|window| window == old)
                .expect("the salt");
            let len = u32::try_from(len).expect("small");
            let mut new = (len + 8).to_be_bytes().to_vec();
            new.extend(len.to_be_bytes());
            new.extend(vec![9; len as usize]);
            bytes.splice(at..at + old.len(), new);
        })
    };
    assert!(KeyFile::parse(&salt(super::SALT_BYTES_MAX)).is_ok());
    for len in [0, super::SALT_BYTES_MAX + 1] {
        let error = KeyFile::parse(&salt(len)).err().expect("refused");
        assert!(matches!(error, Error::Malformed(_)), "{len}: {error}");
    }
}

#[test]
fn a_public_key_that_is_not_the_secrets_is_refused() {
    let ours = signing().key();
    let theirs = SigningKey::from_seed(&[8; 32]).key();
    let text = altered(&written(None), |bytes| {
        // Three times: before the secret part, in it, and behind the seed.
        for _ in 0..3 {
            put(bytes, ours.public_bytes(), theirs.public_bytes());
        }
    });
    let error = open(&text, None).err().expect("refused");
    assert_eq!(
        error.to_string(),
        "not an OpenSSH private key: the secret key does not belong to the public key"
    );
}

#[test]
fn other_ciphers_than_opensshs_defaults_are_named() {
    let text = altered(&written(Some(protected())), |bytes| {
        let aes = [&[0, 0, 0, 10][..], b"aes256-ctr"].concat();
        let at = bytes
            .windows(aes.len())
            .position(|window| window == aes)
            .expect("the cipher");
        let des = [&[0, 0, 0, 8][..], b"3des-cbc"].concat();
        bytes.splice(at..at + aes.len(), des);
    });
    assert_eq!(
        KeyFile::parse(&text).err(),
        Some(Error::Cipher("3des-cbc".to_owned()))
    );
}

#[test]
fn no_truncation_and_no_flipped_bit_opens_as_another_key() {
    let text = written(None);
    let mut size = 0;
    altered(&text, |bytes| size = bytes.len());
    for end in 0..size {
        let cut = altered(&text, |bytes| bytes.truncate(end));
        assert!(open(&cut, None).is_err(), "cut at {end}");
    }
    let mut opened = 0;
    for bit in 0..size * 8 {
        let flipped = altered(&text, |bytes| bytes[bit / 8] ^= 1 << (bit % 8));
        if let Ok(other) = open(&flipped, None) {
            assert_eq!(other.signing.key(), signing().key(), "bit {bit}");
            opened += 1;
        }
    }
    // The comment is free, and the decoder forgives a length that reaches behind its field.
    assert!(opened < size, "{opened} of {} flips went through", size * 8);
}

#[test]
fn what_is_no_key_file_is_refused_in_words() {
    let public = signing().key().to_openssh();
    for text in ["", "hello", &public, "-----BEGIN RSA PRIVATE KEY-----\n"] {
        let error = KeyFile::parse(text).err().expect("refused");
        assert!(matches!(error, Error::Malformed(_)), "{text}: {error}");
    }
    let at_limit = " ".repeat(FILE_BYTES_MAX);
    let error = KeyFile::parse(&at_limit).err().expect("no key");
    assert!(matches!(error, Error::Malformed(_)), "{error}");
    assert_eq!(
        KeyFile::parse(&format!("{at_limit} ")).err(),
        Some(Error::TooLong {
            size: FILE_BYTES_MAX + 1
        })
    );
}

#[test]
fn comments_are_one_plain_line() {
    let write = |comment: &str| encode(&signing(), comment, None).err();
    assert_eq!(write(&"a".repeat(COMMENT_BYTES_MAX)), None);
    assert!(matches!(
        write(&"a".repeat(COMMENT_BYTES_MAX + 1)),
        Some(Error::Comment(_))
    ));
    assert!(matches!(write("a\nb"), Some(Error::Comment(_))));
}
