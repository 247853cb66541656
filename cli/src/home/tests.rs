use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use super::{Home, SOCKET_PATH_BYTES_MAX, faults, read_text, refuse_open, write_new};
use crate::environment::Environment;
use crate::error::Exit;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("it is there").mode() & 0o7777
}

#[test]
fn a_home_is_the_flag_then_xdg_then_the_users() {
    let mut env = Environment {
        home: Some("/home/ana".into()),
        data_home: Some("/data".into()),
        ..Environment::default()
    };
    let root = |flag: Option<&str>, env: &Environment| {
        Home::locate(flag.map(Path::new), env).map(|home| home.root().to_owned())
    };
    assert_eq!(root(Some("/x"), &env).expect("given"), Path::new("/x"));
    assert_eq!(root(None, &env).expect("XDG"), Path::new("/data/skep"));
    env.data_home = None;
    assert_eq!(
        root(None, &env).expect("HOME"),
        Path::new("/home/ana/.local/share/skep")
    );
    env.home = None;
    let error = root(None, &env).expect_err("nowhere");
    assert_eq!(error.exit, Exit::Usage);
    assert_eq!(
        error.message,
        "no home: neither `XDG_DATA_HOME` nor `HOME` is set"
    );
    let here = root(Some("rel"), &env).expect("relative to here");
    assert!(here.is_absolute());
}

#[test]
fn everything_lies_below_the_root() {
    let home = Home::locate(Some(Path::new("/x")), &Environment::default()).expect("given");
    assert_eq!(home.config_file(), Path::new("/x/config.toml"));
    assert_eq!(home.keys_dir(), Path::new("/x/keys"));
    assert_eq!(home.repos_dir(), Path::new("/x/repos.d"));
    assert_eq!(home.store_dir(), Path::new("/x/store"));
    assert_eq!(home.socket(), Path::new("/x/skep.sock"));
}

#[test]
fn a_home_too_long_for_a_socket_has_it_elsewhere_and_always_there() {
    let of_length = |len: usize| PathBuf::from(format!("/{}", "h".repeat(len - 1)));
    let longest = SOCKET_PATH_BYTES_MAX - "/skep.sock".len();
    let socket = |root: &Path, env: &Environment| {
        let home = Home::locate(Some(root), env).expect("given");
        home.socket().to_owned()
    };
    let mut env = Environment {
        runtime_dir: Some("/run/user/7".into()),
        temporary_dir: Some("/scratch".into()),
        ..Environment::default()
    };
    let fits = of_length(longest);
    assert_eq!(socket(&fits, &env), fits.join("skep.sock"));
    let long = of_length(longest + 1);
    let elsewhere = socket(&long, &env);
    assert!(elsewhere.starts_with("/run/user/7"), "{elsewhere:?}");
    assert_eq!(elsewhere, socket(&long, &env));
    assert_ne!(elsewhere, socket(&of_length(longest + 2), &env));
    env.runtime_dir = Some(of_length(longest));
    assert!(socket(&long, &env).starts_with("/scratch"));
    env.temporary_dir = None;
    assert!(socket(&long, &env).starts_with("/tmp"));
}

#[test]
fn what_we_make_is_ours_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().join("home");
    let home = Home::locate(Some(&root), &Environment::default()).expect("given");
    home.create_dir(&home.keys_dir()).expect("made");
    assert_eq!(mode(&root), 0o700);
    assert_eq!(mode(&home.keys_dir()), 0o700);
    assert_eq!(
        home.create_socket_dir().expect("ours"),
        root.join("skep.sock")
    );
}

#[test]
fn nobody_else_may_put_a_socket_where_ours_goes() {
    let folder = tempfile::tempdir().expect("a folder");
    let home = Home::locate(Some(folder.path()), &Environment::default()).expect("given");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).expect("opened");
    let error = home.create_socket_dir().expect_err("open to others");
    assert!(error.message.contains("(mode 0777)"), "{}", error.message);
    let fix = format!("chmod 755 {}", folder.path().display());
    assert_eq!(error.hint.text(), Some(fix.as_str()));
}

#[test]
fn open_files_are_refused_by_their_mode() {
    let path = Path::new("/k");
    assert!(refuse_open("the key file", path, 0o100_600, 0o077).is_ok());
    assert!(refuse_open("the key file", path, 0o100_400, 0o077).is_ok());
    for open in [0o604, 0o640, 0o610, 0o777] {
        let error =
            refuse_open("the key file", path, 0o100_000 | open, 0o077).expect_err("open to others");
        assert_eq!(
            error.message,
            format!("the key file `/k` is open to others (mode {open:04o})")
        );
    }
}

#[test]
fn a_new_file_appears_whole_and_replaces_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("key");
    assert!(write_new(&path, b"first", 0o600, &faults::KEY).expect("written"));
    assert_eq!(mode(&path), 0o600);
    assert!(!write_new(&path, b"second", 0o600, &faults::KEY).expect("there is one"));
    assert_eq!(fs::read(&path).expect("there"), b"first");
    let left: Vec<_> = fs::read_dir(folder.path()).expect("a folder").collect();
    assert_eq!(left.len(), 1, "no temporary file stays");
}

#[test]
fn long_files_and_binaries_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("file");
    fs::write(&path, "12345").expect("written");
    assert_eq!(read_text(&path, 5).expect("at the limit"), "12345");
    let error = read_text(&path, 4).expect_err("one past it");
    assert!(error.message.ends_with("is longer than 4 bytes"));
    fs::write(&path, [0xff]).expect("written");
    let error = read_text(&path, 5).expect_err("no text");
    assert!(error.message.ends_with("is not text"));
}
