//! Whose a home is. One user writes into it: what another one wrote, root above all, a service that
//! runs as its owner could not read.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::read_text;
use crate::error::{CliError, Exit, Hint, Result, quoted};

/// The names of users. Others than these come from elsewhere, and are called by their number.
const USERS: &str = "/etc/passwd";
/// Longest list of users that is read, in bytes: some ten thousand.
const USERS_BYTES_MAX: u64 = 1 << 20;

/// Refuses a home of another user than the one who runs. One that is not there yet will be ours.
pub(super) fn refuse_anothers(root: &Path) -> Result<()> {
    let owner = match fs::metadata(root) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        found => found.map_err(|e| CliError::io("look at", root, &e))?.uid(),
    };
    let us = rustix::process::geteuid().as_raw();
    if owner == us {
        return Ok(());
    }
    let users = read_text(Path::new(USERS), USERS_BYTES_MAX).unwrap_or_default();
    Err(anothers(root, owner, us, &users))
}

fn anothers(root: &Path, owner: u32, us: u32, users: &str) -> CliError {
    let called = |uid| name_of(uid, users).map_or_else(|| format!("#{uid}"), str::to_owned);
    let (owner, us) = (called(owner), called(us));
    let message = format!(
        "the home `{}` belongs to `{owner}`, not to `{us}`, who runs this",
        root.display()
    );
    let owner = quoted(Path::new(&owner));
    let hint = format!("sudo -u {owner} skep --home {} …", quoted(root));
    CliError::new(Exit::Failed, message, Hint::new(hint))
}

/// The user of a number, by the lines of `/etc/passwd`.
fn name_of(uid: u32, users: &str) -> Option<&str> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, number) = (fields.next()?, fields.nth(1)?);
        (number.parse() == Ok(uid) && !name.is_empty()).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const USERS: &str =
        "root:x:0:0:root:/root:/bin/sh\n+\n:x:7::\nskep:x:998:998::/:/sbin/nologin\n";

    #[test]
    fn whose_it_is_and_how_to_be_that_user_is_said() {
        let root = Path::new("/var/lib/skep");
        let error = anothers(root, 998, 0, USERS);
        assert_eq!(
            error.message,
            "the home `/var/lib/skep` belongs to `skep`, not to `root`, who runs this"
        );
        assert_eq!(
            error.hint.text(),
            Some("sudo -u skep skep --home /var/lib/skep …")
        );
        // Nobody is called by an empty name; a shell would take `#` for a comment.
        let error = anothers(root, 7, 1000, USERS);
        assert_eq!(
            error.hint.text(),
            Some("sudo -u '#7' skep --home /var/lib/skep …")
        );
        assert!(
            error.message.contains("not to `#1000`,"),
            "{}",
            error.message
        );
    }

    #[test]
    fn what_we_made_or_will_make_is_ours() {
        let folder = tempfile::tempdir().expect("a folder");
        assert!(refuse_anothers(folder.path()).is_ok());
        assert!(refuse_anothers(&folder.path().join("absent")).is_ok());
    }
}
