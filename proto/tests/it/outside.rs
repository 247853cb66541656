//! Test data that others published stays outside the project: tests read it from a folder that an
//! environment variable names, and where it is unset they say in words that they were skipped.

use std::path::PathBuf;

/// The folder that `variable` names. `None` if it is unset or empty, after saying so: the caller
/// then returns. A variable that names no folder is a mistake, and fails the test.
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
pub(crate) fn folder(variable: &str) -> Option<PathBuf> {
    let Some(value) = std::env::var_os(variable).filter(|value| !value.is_empty()) else {
        let test = std::thread::current();
        let test = test.name().unwrap_or("a test");
        eprintln!("skipped {test}: {variable} names no folder with outside test data");
        return None;
    };
    let folder = PathBuf::from(value);
    assert!(
        folder.is_dir(),
        "{variable} is set to {}, which is no folder",
        folder.display()
    );
    Some(folder)
}
