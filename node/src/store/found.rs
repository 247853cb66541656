//! What of blobs lies in the store's folders, whoever needs it.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use skep_proto::hash::Blake3;

use super::Error;
use super::durable::names;

/// A blob that was found in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    pub hash: Blake3,
    /// Of what is there, in bytes.
    pub size_bytes: u64,
    /// Since it was last written.
    pub age: Duration,
}

/// Every blob with a name in `blobs/`, then what was begun.
pub(super) fn each(store: &Path, each: &mut dyn FnMut(Found)) -> Result<(), Error> {
    let blobs = store.join("blobs");
    for folder in names(&blobs)? {
        let folder = blobs.join(folder);
        for name in names(&folder)? {
            tell(&folder.join(&name), &name, each)?;
        }
    }
    let partial = store.join("partial");
    for name in names(&partial)? {
        if let Some(hash) = name.strip_suffix(".data") {
            tell(&partial.join(&name), hash, each)?;
        }
    }
    Ok(())
}

/// Tells of one file. What else lies there is not the store's, and what was removed meanwhile is
/// nothing.
fn tell(path: &Path, hash: &str, each: &mut dyn FnMut(Found)) -> Result<(), Error> {
    let Ok(hash) = hash.parse() else {
        return Ok(());
    };
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Error::io("read the length of", path)(error)),
    };
    let modified = metadata.modified().ok();
    let age = modified.and_then(|then| then.elapsed().ok());
    each(Found {
        hash,
        size_bytes: metadata.len(),
        // Written in the future: a clock was wrong, and it is taken for fresh.
        age: age.unwrap_or_default(),
    });
    Ok(())
}
