//! Files of a .skep file into the store: a group at a time, each verified as it is written, as those
//! that a peer sends. Several threads share the work, since hashing has a core for itself, and the
//! medium makes several small files durable in the time of one.

use std::fs::File;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use skep_proto::blob::{GROUP_BYTES, group_count, group_len};
use skep_proto::bundle::Blob;
use skep_proto::control::{Refusal, Refused};

use super::super::{changed, refused};
use super::read;
use crate::store::{self, Held, Store};

/// Threads that wait for the medium, most of the time.
const SMALL_AT_ONCE: usize = 8;
/// Threads that hash: more than that a disk does not follow.
const HASHING_MAX: usize = 4;
/// A file of fewer groups is done by one thread.
const LARGE_GROUPS: u64 = 8;
/// How often whoever waits is told how far it is.
const TELL_EVERY: Duration = Duration::from_millis(50);

/// Takes the files that the store does not have.
pub(super) fn take(
    file: &File,
    blobs: &[&Blob],
    store: &dyn Store,
    told: &mut dyn FnMut(u64) -> Result<(), Refused>,
) -> Result<(), Refused> {
    let work = Work {
        file,
        store,
        behind: AtomicU64::new(0),
        over: AtomicBool::new(false),
    };
    let is_large = |blob: &&Blob| group_count(blob.list.size()) >= LARGE_GROUPS;
    let (large, small): (Vec<&Blob>, Vec<&Blob>) = blobs.iter().copied().partition(is_large);
    let one = |at: usize| work.whole(small[at]);
    work.share(small.len(), SMALL_AT_ONCE, told, one)?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    for blob in large {
        let (hash, size) = (*blob.list.hash(), blob.list.size());
        let begun = store.begin(&hash, size, Some(&blob.list));
        let Held::Part { groups, .. } = begun.map_err(|e| of_store(&e))? else {
            work.add(size);
            continue;
        };
        let missing: Vec<u64> = (0..group_count(size))
            .filter(|index| groups.binary_search(index).is_err())
            .collect();
        work.add(groups.iter().map(|index| len(size, *index)).sum());
        let one = |at: usize| work.group(blob, missing[at]);
        work.share(missing.len(), cores.min(HASHING_MAX), told, one)?;
        store.finish(&hash).map_err(|e| of_store(&e))?;
    }
    told(work.behind.load(Ordering::Relaxed))
}

/// What the threads have in common.
struct Work<'a> {
    file: &'a File,
    store: &'a dyn Store,
    /// Bytes.
    behind: AtomicU64,
    /// Somebody failed: the others need not go on.
    over: AtomicBool,
}

impl Work<'_> {
    /// Does `count` things with at most so many threads; the first failure ends it.
    fn share(
        &self,
        count: usize,
        threads: usize,
        told: &mut dyn FnMut(u64) -> Result<(), Refused>,
        one: impl Fn(usize) -> Result<(), Refused> + Sync,
    ) -> Result<(), Refused> {
        let next = AtomicUsize::new(0);
        let (send, ended) = mpsc::channel();
        std::thread::scope(|scope| {
            for _ in 0..threads.min(count) {
                let (send, one, next) = (send.clone(), &one, &next);
                scope.spawn(move || {
                    let done = loop {
                        let at = next.fetch_add(1, Ordering::Relaxed);
                        if at >= count || self.over.load(Ordering::Relaxed) {
                            break Ok(());
                        }
                        if let Err(error) = one(at) {
                            self.over.store(true, Ordering::Relaxed);
                            break Err(error);
                        }
                    };
                    // Whoever listens does so to the end.
                    drop(send.send(done));
                });
            }
            drop(send);
            let mut result = Ok(());
            loop {
                match ended.recv_timeout(TELL_EVERY) {
                    Ok(done) => result = result.and(done),
                    Err(RecvTimeoutError::Disconnected) => return result,
                    Err(RecvTimeoutError::Timeout) => {
                        let said = told(self.behind.load(Ordering::Relaxed));
                        if said.is_err() {
                            self.over.store(true, Ordering::Relaxed);
                            result = result.and(said);
                        }
                    }
                }
            }
        })
    }

    fn whole(&self, blob: &Blob) -> Result<(), Refused> {
        let (hash, size) = (*blob.list.hash(), blob.list.size());
        let begun = self.store.begin(&hash, size, Some(&blob.list));
        let Held::Part { groups, .. } = begun.map_err(|e| of_store(&e))? else {
            self.add(size);
            return Ok(());
        };
        for index in 0..group_count(size) {
            match groups.binary_search(&index) {
                Ok(_) => self.add(len(size, index)),
                Err(_) => self.group(blob, index)?,
            }
        }
        self.store.finish(&hash).map_err(|e| of_store(&e))
    }

    fn group(&self, blob: &Blob, index: u64) -> Result<(), Refused> {
        let (hash, size) = (*blob.list.hash(), blob.list.size());
        let mut bytes = vec![0; group_len(size, index).unwrap_or_default()];
        read(self.file, &mut bytes, blob.offset + index * GROUP_BYTES)?;
        let written = self.store.write_group(&hash, index, &bytes);
        written.map_err(|e| of_store(&e))?;
        self.add(bytes.len() as u64);
        Ok(())
    }

    fn add(&self, bytes: u64) {
        self.behind.fetch_add(bytes, Ordering::Relaxed);
    }
}

fn len(size: u64, index: u64) -> u64 {
    group_len(size, index).unwrap_or_default() as u64
}

fn of_store(error: &store::Error) -> Refused {
    match error {
        store::Error::Blob(_) => changed(),
        error => refused(Refusal::Failed, crate::in_words(error), "skep doctor"),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use skep_proto::blob::GroupLister;

    use super::*;
    use crate::store::memory::Memory;

    /// A file of several groups, after some bytes that are something else.
    fn blob(file: &mut File, groups: u64) -> Blob {
        let len = usize::try_from(groups * GROUP_BYTES + 5).expect("small");
        let bytes: Vec<u8> = (0..len)
            .map(|at| u8::try_from(at % 251).expect("a byte"))
            .collect();
        let offset = file.metadata().expect("known").len();
        file.write_all(&bytes).expect("written");
        let mut lister = GroupLister::new();
        lister.update(&bytes).expect("small");
        let list = lister.finish();
        Blob { list, offset }
    }

    #[test]
    fn what_changed_since_it_was_proven_is_not_taken() {
        for groups in [0, 1, LARGE_GROUPS + 1] {
            let mut file = tempfile::tempfile().expect("a file");
            file.write_all(b"before").expect("written");
            let blob = blob(&mut file, groups);
            let hash = *blob.list.hash();
            let store = Memory::new();
            let last = blob.offset + blob.list.size() - 1;
            std::os::unix::fs::FileExt::write_all_at(&file, b"?", last).expect("written");
            let blobs = [&blob];
            let refused = take(&file, &blobs, &store, &mut |_| Ok(()));
            let refused = refused.expect_err("another file");
            assert_eq!(refused, changed());
            assert_eq!(store.blob(&hash).expect("looked for"), None);
            file.set_len(last).expect("cut");
            let refused = take(&file, &blobs, &store, &mut |_| Ok(()));
            assert_eq!(refused.expect_err("a shorter file"), changed());
        }
    }

    #[test]
    fn what_is_as_it_was_is_taken_and_counted() {
        for groups in [0, 1, LARGE_GROUPS + 1] {
            let mut file = tempfile::tempfile().expect("a file");
            let blob = blob(&mut file, groups);
            let (hash, size) = (*blob.list.hash(), blob.list.size());
            let store = Memory::new();
            for _ in 0..2 {
                let mut last = 0;
                let taken = take(&file, &[&blob], &store, &mut |behind| {
                    last = behind;
                    Ok(())
                });
                taken.expect("taken");
                assert_eq!(last, size);
                assert!(store.blob(&hash).expect("looked for").is_some());
            }
        }
    }
}
