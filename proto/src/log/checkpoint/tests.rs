use super::note::{self, NOTE_BYTES_MAX, is_key_name};
use super::*;
use crate::log::tree;

fn repo() -> RepoId {
    RepoId::from_hash(Sha256::of(&[b"a repository"]))
}

fn signing(n: u8) -> SigningKey {
    SigningKey::from_seed(&[n; 32])
}

fn checkpoint() -> Checkpoint {
    let root = tree::root(&[tree::leaf(b"one"), tree::leaf(b"two")]);
    Checkpoint::sign(&repo(), &signing(1), 2, root).expect("a size in range")
}

/// Witnesses sorted by key, as their cosignatures are.
fn witnesses(count: u8) -> Vec<(String, SigningKey)> {
    let mut all: Vec<_> = (0..count)
        .map(|n| (format!("witness.example/{n}"), signing(100 + n)))
        .collect();
    all.sort_by_key(|(_, signing)| signing.key());
    all
}

fn names(witnesses: &[(String, SigningKey)]) -> Vec<(String, Key)> {
    let named = |(name, signing): &(String, SigningKey)| (name.clone(), signing.key());
    witnesses.iter().map(named).collect()
}

fn keys(witnesses: &[(String, SigningKey)]) -> Vec<Key> {
    witnesses.iter().map(|(_, signing)| signing.key()).collect()
}

fn cosigned(witnesses: &[(String, SigningKey)]) -> Checkpoint {
    let mut checkpoint = checkpoint();
    for ((_, witness), time) in witnesses.iter().zip(1_700_000_000..) {
        let cosignature = Cosignature::sign(&repo(), &checkpoint, witness, time);
        assert!(checkpoint.add_cosignature(&repo(), cosignature));
    }
    checkpoint
}

fn encoded(checkpoint: &Checkpoint) -> Vec<u8> {
    let mut writer = Writer::new();
    checkpoint.write(&mut writer);
    writer.finish()
}

fn read(input: &[u8]) -> Result<Checkpoint, bytes::Error> {
    let mut reader = Reader::strict(input, 4096)?;
    let checkpoint = Checkpoint::read(&mut reader)?;
    reader.end()?;
    Ok(checkpoint)
}

fn read_bare(input: &[u8]) -> Result<Checkpoint, bytes::Error> {
    Checkpoint::read_bare(&mut Reader::strict(input, 4096)?)
}

fn from_note(note: &str, names: &[(String, Key)]) -> Result<Checkpoint, note::Error> {
    Claimed::from_note(note.as_bytes(), &repo(), names).map(|Claimed(checkpoint)| checkpoint)
}

#[test]
fn a_checkpoint_is_of_one_repository_key_size_and_root() {
    let signed = checkpoint();
    assert!(signed.verify(&repo()));
    let elsewhere = RepoId::from_hash(Sha256::of(&[b"another"]));
    assert!(!signed.verify(&elsewhere));
    let altered = [
        Checkpoint {
            size: 3,
            ..signed.clone()
        },
        Checkpoint {
            root: tree::empty_root(),
            ..signed.clone()
        },
        Checkpoint {
            key: signing(2).key(),
            ..signed.clone()
        },
    ];
    for altered in altered {
        let refused = Error::Signature {
            key: altered.key,
            size: altered.size,
        };
        assert_eq!(refused.fault(), Fault::Peer);
        assert_eq!(Claimed(altered).verify(&repo(), &[]), Err(refused));
    }
}

#[test]
fn sizes_outside_the_range_are_neither_signed_nor_read() {
    let root = tree::empty_root();
    for (size, fits) in [
        (0, false),
        (1, true),
        (SIZE_MAX, true),
        (SIZE_MAX + 1, false),
    ] {
        let signed = Checkpoint::sign(&repo(), &signing(1), size, root);
        assert_eq!(signed.is_ok(), fits, "{size}");
        let written = encoded(&Checkpoint {
            size,
            ..checkpoint()
        });
        assert_eq!(read(&written).is_ok(), fits, "{size}");
        let note = Checkpoint {
            size,
            ..checkpoint()
        }
        .to_note(&repo(), &[]);
        assert_eq!(from_note(&note, &[]).is_ok(), fits, "{size}");
    }
}

#[test]
fn cbor_and_note_carry_the_same() {
    for count in [0, 1, 16] {
        let witnesses = witnesses(count);
        let checkpoint = cosigned(&witnesses);
        assert_eq!(read(&encoded(&checkpoint)), Ok(checkpoint.clone()));
        let note = checkpoint.to_note(&repo(), &names(&witnesses));
        assert_eq!(from_note(&note, &names(&witnesses)), Ok(checkpoint.clone()));
        assert_eq!(read_bare(&encoded(&checkpoint)).is_ok(), count == 0);
        assert_eq!(
            read_bare(&encoded(&checkpoint.clone().bare())),
            Ok(checkpoint.bare())
        );
    }
}

#[test]
fn the_seventeenth_cosignature_has_no_room() {
    let witnesses = witnesses(17);
    let mut full = cosigned(&witnesses[..16]);
    let more = Cosignature::sign(&repo(), &full, &witnesses[16].1, 1);
    assert!(!full.add_cosignature(&repo(), more));
    full.cosignatures.push(more);
    assert!(read(&encoded(&full)).is_err());
    let note = full.to_note(&repo(), &names(&witnesses));
    assert!(from_note(&note, &names(&witnesses)).is_err());
}

#[test]
fn of_two_cosignatures_by_one_witness_the_newer_stays() {
    let mut checkpoint = checkpoint();
    let at = |time| Cosignature::sign(&repo(), &self::checkpoint(), &signing(9), time);
    assert!(checkpoint.add_cosignature(&repo(), at(5)));
    assert!(!checkpoint.add_cosignature(&repo(), at(4)));
    assert!(!checkpoint.add_cosignature(&repo(), at(5)));
    assert!(checkpoint.add_cosignature(&repo(), at(6)));
    assert_eq!(checkpoint.cosignatures, [at(6)]);
    checkpoint.cosignatures.push(at(7));
    assert!(read(&encoded(&checkpoint)).is_err());
}

#[test]
fn junk_beside_a_checkpoint_is_dropped_and_the_rest_counts() {
    let witnesses = witnesses(3);
    let mut claimed = cosigned(&witnesses);
    let good = claimed.cosignatures[0];
    claimed.cosignatures[1].time += 1;
    let listed = &keys(&witnesses)[..2];
    let verified = Claimed(claimed)
        .verify(&repo(), listed)
        .expect("signed by its key");
    assert_eq!(verified.cosignatures, [good]);
}

#[test]
fn a_cosignature_is_of_one_checkpoint_and_time() {
    let checkpoint = checkpoint();
    let cosignature = Cosignature::sign(&repo(), &checkpoint, &signing(9), 7);
    assert!(cosignature.verify(&repo(), &checkpoint));
    assert!(
        !Cosignature {
            time: 8,
            ..cosignature
        }
        .verify(&repo(), &checkpoint)
    );
    let other = Checkpoint {
        size: 3,
        ..checkpoint.clone()
    };
    assert!(!cosignature.verify(&repo(), &other));
    // A witness's key that also signs a log: neither signature passes as the other.
    let as_log = Checkpoint {
        key: signing(9).key(),
        ..checkpoint.clone()
    };
    let stolen = Checkpoint {
        signature: cosignature.signature,
        ..as_log
    };
    assert!(!stolen.verify(&repo()));
}

#[test]
fn times_end_where_c2sp_ends_them() {
    for (time, fits) in [(0, true), (TIME_MAX, true), (TIME_MAX + 1, false)] {
        let mut checkpoint = checkpoint();
        let witness = signing(9);
        let names = [("w".to_owned(), witness.key())];
        let cosignature = Cosignature::sign(&repo(), &checkpoint, &witness, time);
        assert_eq!(cosignature.verify(&repo(), &checkpoint), fits);
        checkpoint.cosignatures.push(cosignature);
        assert_eq!(read(&encoded(&checkpoint)).is_ok(), fits);
        assert_eq!(
            from_note(&checkpoint.to_note(&repo(), &names), &names).is_ok(),
            fits
        );
    }
}

#[test]
fn merging_keeps_the_newest_of_each_witness() {
    let all = witnesses(3);
    let verified = |checkpoint: Checkpoint| {
        Claimed(checkpoint)
            .verify(&repo(), &keys(&all))
            .expect("signed")
    };
    let (mut old, mut new) = (checkpoint(), checkpoint());
    for (target, who, time) in [(0, 0, 5), (0, 1, 9), (1, 0, 6), (1, 1, 8), (1, 2, 1)] {
        let target = if target == 0 { &mut old } else { &mut new };
        let cosignature = Cosignature::sign(&repo(), target, &all[who].1, time);
        assert!(target.add_cosignature(&repo(), cosignature));
    }
    let merged = verified(old.clone()).merge(&verified(new.clone()));
    let times: Vec<u64> = merged.cosignatures.iter().map(|held| held.time).collect();
    assert_eq!(times, [6, 9, 1]);
    assert_eq!(verified(new).merge(&verified(old.clone())), merged);
    let root = tree::empty_root();
    let other = Checkpoint::sign(&repo(), &signing(1), 2, root).expect("a size in range");
    assert_eq!(
        verified(other.clone()).merge(&verified(old)),
        verified(other)
    );
}

#[test]
fn only_names_that_a_line_can_carry_stand_in_notes() {
    for name in ["w", "skep/v1/x/mirror/y", "é", &"w".repeat(255)] {
        assert!(is_key_name(name), "{name:?}");
    }
    for name in [
        "",
        "a b",
        "a\u{a0}b",
        "a+b",
        "a\nb",
        "\u{1}",
        &"w".repeat(256),
    ] {
        assert!(!is_key_name(name), "{name:?}");
    }
    let witnesses = witnesses(1);
    let checkpoint = cosigned(&witnesses);
    let unnamable = [("a b".to_owned(), witnesses[0].1.key())];
    let bare = checkpoint.clone().bare().to_note(&repo(), &[]);
    assert_eq!(checkpoint.to_note(&repo(), &unnamable), bare);
    assert_eq!(checkpoint.to_note(&repo(), &[]), bare);
}

#[test]
fn a_witness_that_was_renamed_or_retired_is_still_read() {
    let witnesses = witnesses(1);
    let checkpoint = cosigned(&witnesses);
    let key = witnesses[0].1.key();
    let old = [("old.example".to_owned(), key)];
    let both = [("new.example".to_owned(), key), old[0].clone()];
    let note = checkpoint.to_note(&repo(), &old);
    assert_eq!(from_note(&note, &both), Ok(checkpoint));
    assert_eq!(
        from_note(&note, &both[..1]),
        Err(note::Error::UnknownSigner)
    );
}

#[test]
fn the_longest_note_fits() {
    let witnesses = witnesses(16);
    let mut checkpoint = cosigned(&witnesses);
    checkpoint.size = SIZE_MAX;
    let longest = |(at, (_, signing)): (usize, &(String, SigningKey))| {
        let name = format!("{at:02}{}", "w".repeat(note::NAME_BYTES_MAX - 2));
        (name, signing.key())
    };
    let names: Vec<_> = witnesses.iter().enumerate().map(longest).collect();
    let note = checkpoint.to_note(&repo(), &names);
    assert_eq!(from_note(&note, &names), Ok(checkpoint.clone()));
    let own = checkpoint.bare().to_note(&repo(), &[]).len();
    assert!(own <= crate::limits::CHECKPOINT_BYTES_MAX);
    assert_eq!(note.len() - own, 16 * note::LINE_BYTES_MAX);
    let size = NOTE_BYTES_MAX + 1;
    let refused = Err(note::Error::TooLong { size });
    assert_eq!(from_note(&"x".repeat(size), &[]), refused);
}

/// Notes that mean the same to a lenient reader, or nearly.
#[test]
fn a_note_has_one_form() {
    let witnesses = witnesses(2);
    let names = names(&witnesses);
    let checkpoint = cosigned(&witnesses);
    let note = checkpoint.to_note(&repo(), &names);
    let edits: [(&str, &str); 10] = [
        ("\n2\n", "\n02\n"),
        ("\n2\n", "\n+2\n"),
        ("\n2\n", "\n2\r\n"),
        ("\n2\n", "\n2 \n"),
        ("=\n\n", "=\nextension\n\n"),
        ("=\n\n", "\n\n"),
        ("\u{2014} skep", "\u{2013} skep"),
        ("\u{2014} skep", "\u{2014}  skep"),
        ("skep/v1/", "skep/v2/"),
        ("witness.example/0", "witness.example/1"),
    ];
    for (from, to) in edits {
        let edited = note.replacen(from, to, 1);
        assert_ne!(edited, note, "{from:?}");
        assert!(from_note(&edited, &names).is_err(), "{from:?} → {to:?}");
    }
    let mut lines: Vec<&str> = note.lines().collect();
    lines.swap(5, 6);
    assert!(
        from_note(&(lines.join("\n") + "\n"), &names).is_err(),
        "order"
    );
    lines.swap(5, 6);
    lines.push(lines[6]);
    assert!(
        from_note(&(lines.join("\n") + "\n"), &names).is_err(),
        "twice"
    );
    assert!(
        from_note(&(note.clone() + "\n"), &names).is_err(),
        "blank line at the end"
    );
    assert!(from_note(note.trim_end(), &names).is_err(), "no line feed");
    assert!(from_note("", &names).is_err());
    let elsewhere = RepoId::from_hash(Sha256::of(&[b"another"]));
    assert_eq!(
        Claimed::from_note(note.as_bytes(), &elsewhere, &names),
        Err(note::Error::OtherOrigin)
    );
}
