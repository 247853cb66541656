//! The .skep file: read to its end and proven before anything of it is taken, taken as from a peer,
//! and written from what is held.

mod commit;
mod compare;
mod export;
mod yanks;

use std::collections::BTreeSet;
use std::fs::File;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};

use skep_proto::bundle::{self, Check, Checked};
use skep_proto::control::{Refusal, Refused};
use skep_proto::id::RepoId;

pub(crate) use commit::{Taken, commit};
pub(crate) use compare::{after, compare};
pub(crate) use export::export;

/// Bytes read at a time.
const READ_BYTES: usize = 1 << 20;

/// Which file was read, as far as the file system tells: what is read again is proven again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileId {
    device: u64,
    inode: u64,
    size: u64,
    changed: (i64, i64),
    expect: BTreeSet<RepoId>,
}

/// A file that was read and proven, until somebody asks that it be taken.
pub(crate) struct Known {
    pub(crate) id: FileId,
    pub(crate) checked: Checked,
}

/// Which file this is. Only a regular one can be read twice.
pub(crate) fn id_of(file: &File, expect: &BTreeSet<RepoId>) -> Result<FileId, Refused> {
    let metadata = file.metadata().map_err(|e| unreadable(&e))?;
    if !metadata.is_file() {
        let message = "a .skep file is read twice, which only a regular file can be";
        return Err(refused(
            Refusal::Failed,
            message.to_owned(),
            "copy it to a disk first",
        ));
    }
    Ok(FileId {
        device: metadata.dev(),
        inode: metadata.ino(),
        size: metadata.len(),
        changed: (metadata.ctime(), metadata.ctime_nsec()),
        expect: expect.clone(),
    })
}

/// Reads a file to its end. `told` hears how many bytes are behind, and may end it.
pub(crate) fn check(
    file: &File,
    expect: &BTreeSet<RepoId>,
    mut told: impl FnMut(u64) -> Result<(), Refused>,
) -> Result<Checked, Refused> {
    let mut check = Check::new(expect.clone());
    let mut buffer = vec![0; READ_BYTES];
    let mut at = 0;
    loop {
        match file.read_at(&mut buffer, at) {
            Ok(0) => break,
            Ok(n) => {
                check.push(&buffer[..n]).map_err(|e| not_taken(&e))?;
                at += n as u64;
                told(at)?;
            }
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(unreadable(&e)),
        }
    }
    check.finish().map_err(|e| not_taken(&e))
}

/// What is wrong with a file, and what to do.
fn not_taken(error: &bundle::Error) -> Refused {
    use bundle::Error;
    let (why, hint) = match error {
        Error::Version(_) | Error::NotRead(_) => (Refusal::Failed, "use a newer skep"),
        Error::NotABundle => (
            Refusal::Untrusted,
            "skep bundle export REPO/NAME -o FILE makes one",
        ),
        Error::NotExpected(_) => (
            Refusal::Untrusted,
            "skep bundle show FILE lists its repositories; name each, if its owner tells the same id: \
             --expect ID --expect ID",
        ),
        Error::Cut { .. } | Error::Trailing(_) => {
            (Refusal::Untrusted, "copy the file again, whole")
        }
        _ => (
            Refusal::Untrusted,
            "copy the file again; if it stays so, do not trust whoever made it",
        ),
    };
    refused(
        why,
        format!("the file is not taken: {}", crate::in_words(error)),
        hint,
    )
}

fn unreadable(error: &std::io::Error) -> Refused {
    let message = format!("the file cannot be read: {error}");
    refused(Refusal::Failed, message, "copy it to another disk first")
}

/// It is not what was proven a moment ago.
fn changed() -> Refused {
    let message = "the file changed while it was read".to_owned();
    let hint = "type the same again when nobody writes to it: what was taken was proven, and stays";
    refused(Refusal::Failed, message, hint)
}

fn refused(why: Refusal, message: String, hint: &str) -> Refused {
    Refused {
        why,
        message,
        hint: Some(hint.to_owned()),
    }
}
