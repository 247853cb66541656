use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use skep_proto::key::SigningKey;
use skep_proto::name::Name;
use zeroize::Zeroizing;

use super::{Keys, read_key_file};
use crate::environment::Environment;
use crate::error::Exit;
use crate::home::Home;
use crate::passphrase::Passphrase;
use crate::ui::tests::nobody;

struct Fixture {
    _folder: tempfile::TempDir,
    home: Home,
}

fn fixture() -> Fixture {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().join("home");
    Fixture {
        home: Home::locate(Some(&root), &Environment::default()).expect("given"),
        _folder: folder,
    }
}

fn passphrase(text: Option<&str>) -> Passphrase {
    let env = Environment {
        passphrase: text.map(|t| Zeroizing::new(t.to_owned())),
        ..Environment::default()
    };
    Passphrase::new(None, &env)
}

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&[seed; 32])
}

#[test]
fn a_key_that_was_made_opens_with_its_passphrase_alone() {
    let fixture = fixture();
    let keys = Keys::of(&fixture.home);
    let stored = keys.create("ana", &key(1), Some("secret")).expect("made");
    assert_eq!(
        fs::metadata(&stored.path).expect("there").mode() & 0o777,
        0o600
    );
    let opened = stored.open(&nobody(), &passphrase(Some("secret")));
    assert_eq!(opened.expect("right").signing.key(), key(1).key());

    let wrong = stored.open(&nobody(), &passphrase(Some("other"))).err();
    let wrong = wrong.expect("refused");
    assert_eq!(
        (wrong.exit, wrong.causes.as_slice()),
        (Exit::Failed, &["the passphrase is wrong".to_owned()][..])
    );
    let none = stored.open(&nobody(), &passphrase(Some(""))).err();
    assert_eq!(
        none.expect("refused").causes,
        ["the key is protected by a passphrase"]
    );
    let nobody_asked = stored.open(&nobody(), &passphrase(None)).err();
    assert_eq!(nobody_asked.expect("refused").exit, Exit::Usage);
}

#[test]
fn a_passphrase_is_no_obstacle_to_an_unprotected_key() {
    let fixture = fixture();
    let stored = Keys::of(&fixture.home).create("ci", &key(1), None);
    let stored = stored.expect("made");
    assert!(
        stored
            .open(&nobody(), &passphrase(Some("for another key")))
            .is_ok()
    );
}

#[test]
fn a_key_is_never_replaced() {
    let fixture = fixture();
    let keys = Keys::of(&fixture.home);
    keys.create("ana", &key(1), None).expect("made");
    let error = keys.create("ana", &key(2), None).err().expect("taken");
    assert_eq!(error.message, "there is a key `ana` already");
    assert_eq!(keys.find("ana").expect("there").file.key(), key(1).key());
}

#[test]
fn open_key_files_and_folders_are_refused() {
    let fixture = fixture();
    let keys = Keys::of(&fixture.home);
    let stored = keys.create("ana", &key(1), None).expect("made");
    let chmod = |path: &std::path::Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("ours");
    };
    chmod(&stored.path, 0o644);
    let error = keys.find("ana").err().expect("open to others");
    assert!(error.message.contains("(mode 0644)"), "{}", error.message);
    let fix = format!("chmod 600 {}", stored.path.display());
    assert_eq!(error.hint.text(), Some(fix.as_str()));

    chmod(&stored.path, 0o600);
    chmod(&fixture.home.keys_dir(), 0o730);
    let error = keys.find("ana").err().expect("others may replace it");
    assert!(error.message.starts_with("the folder of your keys"));
}

#[test]
fn the_key_to_sign_with_is_given_or_the_only_one_or_named_like_me() {
    let fixture = fixture();
    let keys = Keys::of(&fixture.home);
    let ana: Name = "ana".parse().expect("a name");
    let chosen = |wanted, login| keys.choose(wanted, login).map(|k| k.name);
    let none = chosen(None, None).expect_err("no key");
    assert_eq!(
        (none.exit, none.message.as_str()),
        (Exit::NotFound, "you have no key yet")
    );

    keys.create("release", &key(1), None).expect("made");
    // Neither a root key nor the node's is ever signed with by default.
    keys.create("release.root", &key(2), None).expect("made");
    keys.create("node", &key(3), None).expect("made");
    assert_eq!(chosen(None, Some(&ana)).expect("the only one"), "release");

    keys.create("ana", &key(4), None).expect("made");
    assert_eq!(chosen(None, Some(&ana)).expect("like me"), "ana");
    assert_eq!(
        chosen(Some("release.root"), Some(&ana)).expect("given"),
        "release.root"
    );
    let several = chosen(None, None).expect_err("which?");
    assert_eq!(several.exit, Exit::Usage);
    assert_eq!(several.message, "which key? There are `ana`, `release`");
    assert_eq!(
        chosen(Some("../x"), None).expect_err("no path").exit,
        Exit::NotFound
    );
}

#[test]
fn a_public_line_is_that_of_the_private_key() {
    let fixture = fixture();
    let keys = Keys::of(&fixture.home);
    fixture
        .home
        .create_dir(&fixture.home.keys_dir())
        .expect("made");
    let beside = fixture.home.keys_dir().join("ana.pub");
    fs::write(&beside, "left over").expect("written");
    let stored = keys.create("ana", &key(1), None).expect("made");
    let line = format!("{} ana\n", key(1).key().to_openssh());
    assert_eq!(fs::read_to_string(&beside).expect("there"), line);

    let other = format!("{} ana\n", key(2).key().to_openssh());
    fs::write(&beside, other).expect("swapped");
    assert_eq!(stored.public_line(), line);
}

#[test]
fn a_key_is_imported_once_with_its_bytes_as_they_were() {
    let fixture = fixture();
    let keys = Keys::of(&fixture.home);
    let made = keys.create("here", &key(1), Some("secret")).expect("made");
    let outside = fixture.home.root().join("id");
    fs::copy(&made.path, &outside).expect("copied");
    let (text, file) = read_key_file(&outside).expect("ours");
    let opened = file.open(Some("secret")).expect("right");
    let error = keys
        .import("again", &text, &opened, &nobody())
        .err()
        .expect("known");
    assert_eq!(error.message, "this key is here already, as `here`");

    fs::remove_file(&made.path).expect("gone");
    let imported = keys
        .import("again", &text, &opened, &nobody())
        .expect("kept");
    assert_eq!(fs::read_to_string(&imported.path).expect("there"), *text);
    assert_eq!(
        imported.public_line(),
        format!("{} here\n", key(1).key().to_openssh())
    );
}
