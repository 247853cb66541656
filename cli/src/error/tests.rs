use std::path::Path;

use super::{CliError, Exit, Hint, quoted};

#[test]
fn codes_are_those_scripts_rely_on() {
    let codes: Vec<u8> = Exit::ALL.iter().map(|(code, _)| *code).collect();
    let named = [
        Exit::Done,
        Exit::Failed,
        Exit::Usage,
        Exit::Untrusted,
        Exit::NotFound,
        Exit::Unreachable,
        Exit::Problems,
        Exit::Forbidden,
        Exit::Interrupted,
    ];
    assert_eq!(codes, named.map(|exit| exit as u8));
    assert_eq!(codes, [0, 1, 2, 3, 4, 5, 6, 7, 130]);
    for (code, meaning) in Exit::ALL {
        assert!(meaning.len() > 3, "{code} has no meaning");
    }
}

#[test]
fn causes_are_the_whole_chain() {
    #[derive(Debug)]
    struct Outer(std::io::Error);
    impl std::fmt::Display for Outer {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("could not open `x`")
        }
    }
    impl std::error::Error for Outer {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            Some(&self.0)
        }
    }
    let inner = std::io::Error::other("disk on fire");
    let error =
        CliError::new(Exit::Failed, "could not start", Hint::none("a test")).because(&Outer(inner));
    assert_eq!(error.causes, ["could not open `x`", "disk on fire"]);
}

#[test]
fn hints_with_paths_can_be_pasted() {
    assert_eq!(quoted(Path::new("/home/ana/x.key")), "/home/ana/x.key");
    assert_eq!(quoted(Path::new("a b")), "'a b'");
    assert_eq!(quoted(Path::new("it's; rm")), r"'it'\''s; rm'");
}

#[test]
fn a_full_disk_says_where() {
    let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
    let error = CliError::io("write", Path::new("/x/y"), &full);
    assert_eq!(error.exit, Exit::Failed);
    assert_eq!(
        error.hint.text(),
        Some("make room, then type the same again: df -h /x")
    );
}
