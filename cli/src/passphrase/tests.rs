use std::os::unix::fs::PermissionsExt as _;

use zeroize::Zeroizing;

use super::{FILE_BYTES_MAX, Passphrase};
use crate::environment::Environment;
use crate::error::{Exit, Result};
use crate::ui::tests::nobody;

fn from_file(text: &str, mode: u32) -> Result<String> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("passphrase");
    std::fs::write(&path, text).expect("written");
    let mode = std::fs::Permissions::from_mode(mode);
    std::fs::set_permissions(&path, mode).expect("ours");
    let env = Environment {
        passphrase: Some(Zeroizing::new("from the environment".to_owned())),
        ..Environment::default()
    };
    let passphrase = Passphrase::new(Some(path), &env).of("ana", &nobody())?;
    Ok(passphrase.to_string())
}

#[test]
fn a_file_wins_and_its_line_end_is_no_part_of_it() {
    for text in ["a b", "a b\n", "a b\r\n"] {
        assert_eq!(from_file(text, 0o600).expect("one line"), "a b");
    }
    assert_eq!(from_file("", 0o400).expect("none"), "");
}

#[test]
fn a_file_that_is_open_or_has_more_than_a_line_is_refused() {
    let open = from_file("a", 0o640).expect_err("open to the group");
    assert!(open.message.contains("(mode 0640)"), "{}", open.message);
    let two = from_file("a\nb\n", 0o600).expect_err("two lines");
    assert!(two.message.ends_with("has more than one line"));
    let max = usize::try_from(FILE_BYTES_MAX).expect("small");
    assert!(from_file(&"a".repeat(max), 0o600).is_ok());
    assert!(from_file(&"a".repeat(max + 1), 0o600).is_err());
}

#[test]
fn empty_means_none_and_unset_means_asking() {
    let with = |passphrase: Option<&str>| {
        let env = Environment {
            passphrase: passphrase.map(|p| Zeroizing::new(p.to_owned())),
            ..Environment::default()
        };
        Passphrase::new(None, &env).for_new("ana", &nobody())
    };
    assert!(with(Some("")).expect("none").is_none());
    assert_eq!(
        with(Some("x"))
            .expect("given")
            .as_deref()
            .map(String::as_str),
        Some("x")
    );
    assert_eq!(with(None).expect_err("nobody to ask").exit, Exit::Usage);
}

#[test]
fn a_new_passphrase_is_asked_for_twice_unless_there_is_none() {
    let typed = |answers: &[&str]| {
        let mut answers = answers.iter();
        let asked = super::twice("new: ", |_| {
            let answer = answers.next().expect("asked too often");
            Ok(zeroize::Zeroizing::new((*answer).to_owned()))
        });
        assert!(answers.next().is_none(), "asked too seldom");
        asked.map(|passphrase| passphrase.to_string())
    };
    assert_eq!(typed(&["secret", "secret"]).expect("the same"), "secret");
    assert_eq!(typed(&[""]).expect("none"), "");
    let error = typed(&["secret", "sceret"]).expect_err("a slip");
    assert_eq!(error.exit, crate::error::Exit::Usage);
    assert_eq!(error.message, "the two passphrases are not the same");
}
