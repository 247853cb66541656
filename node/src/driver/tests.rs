//! The driver keeps what every interpreter of effects keeps.

use std::fs::File;
use std::io::Read;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use skep_proto::blob::GroupList;
use skep_proto::claimed::Verified;
use skep_proto::id::RepoId;
use skep_proto::key::{Key, SigningKey};
use skep_proto::log::checkpoint::Checkpoint;
use skep_proto::sync::wire::{Message, Refusal};
use tokio::runtime::Runtime;

use super::*;
use crate::interpreter::{ASKED, Interpreter, SESSION, Seen, broken_by, peer};
use crate::net::{Asked, Net, Taken};
use crate::store::contract::{Author, repo};
use crate::store::memory::Memory;
use crate::store::{BlobInfo, Change, Error, Found, Held, Loaded, Space};

/// How long work beside the loop may take before a check fails.
const PATIENCE: Duration = Duration::from_secs(20);

/// What leaves the driver, written down in order: before a write, all that left until then.
struct Record {
    taken: Taken,
    reply: Option<oneshot::Receiver<Reply>>,
    shown: watch::Receiver<Arc<Snapshot>>,
    seen: Vec<Seen>,
    /// Every frame that nobody has asked for with `next_frame`.
    frames: VecDeque<Message>,
    fail_next: bool,
    /// Entries are read when a number of writes was made.
    read_after: usize,
    writes: usize,
}

impl Record {
    fn look(&mut self) {
        while let Some(asked) = self.taken.next() {
            let seen = match asked {
                Asked::Frame(frame) => {
                    let message = Message::decode(&frame).expect("it was encoded here");
                    self.frames.push_back(message.clone());
                    Seen::Frame(Box::new(message))
                }
                Asked::Closed => Seen::Closed,
                Asked::Banned(peer) => Seen::Banned(peer),
                Asked::Subscribed(topic) => Seen::Subscribed(topic),
                Asked::Unsubscribed(topic) => Seen::Unsubscribed(topic),
                Asked::Published(topic, data) => Seen::Gossiped(topic, data),
                Asked::Dialed(peer) => Seen::Dialed(peer),
            };
            self.seen.push(seen);
        }
        if let Some(Ok(reply)) = self.reply.as_mut().map(oneshot::Receiver::try_recv) {
            self.reply = None;
            self.seen.push(Seen::Replied(ASKED, reply));
        }
        if self.shown.has_changed().unwrap_or(false) {
            let read_only = self.shown.borrow_and_update().read_only.is_some();
            self.seen.push(Seen::Shown { read_only });
        }
    }
}

/// A store that writes down when what became durable.
#[derive(Clone)]
struct Watched {
    inner: Memory,
    record: Arc<Mutex<Record>>,
}

impl Watched {
    fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for Watched {
    fn persist(&self, change: &Change) -> Result<(), Error> {
        let mut record = self.record();
        record.look();
        if std::mem::take(&mut record.fail_next) {
            record.seen.push(Seen::Failed);
            return Err(Error::ReadOnly);
        }
        self.inner.persist(change)?;
        record.seen.push(Seen::Kept(Box::new(change.clone())));
        record.writes += 1;
        Ok(())
    }

    fn load(&self, each: &mut dyn FnMut(Loaded) -> Result<(), Error>) -> Result<(), Error> {
        self.inner.load(each)
    }

    fn salvage(
        &self,
        repo: &RepoId,
        checkpoint: &Checkpoint,
        tail: &[Vec<u8>],
    ) -> Result<Option<Vec<Vec<u8>>>, Error> {
        self.inner.salvage(repo, checkpoint, tail)
    }

    fn damaged(&self) -> Result<Vec<std::path::PathBuf>, Error> {
        self.inner.damaged()
    }

    fn entries(&self, repo: &RepoId, key: &Key, from: u64, to: u64) -> Result<Vec<Vec<u8>>, Error> {
        let deadline = Instant::now() + PATIENCE;
        let too_early = || {
            let record = self.record();
            record.writes < record.read_after
        };
        while too_early() && Instant::now() < deadline {
            std::thread::yield_now();
        }
        self.inner.entries(repo, key, from, to)
    }

    fn blob(&self, hash: &Blake3) -> Result<Option<BlobInfo>, Error> {
        self.inner.blob(hash)
    }

    fn group_list(&self, hash: &Blake3) -> Result<Option<Vec<u8>>, Error> {
        self.inner.group_list(hash)
    }

    fn read_group(&self, hash: &Blake3, index: u64) -> Result<Option<Vec<u8>>, Error> {
        self.inner.read_group(hash, index)
    }

    fn open(&self, hash: &Blake3) -> Result<Option<File>, Error> {
        self.inner.open(hash)
    }

    fn begin(
        &self,
        hash: &Blake3,
        size: u64,
        list: Option<&Verified<GroupList>>,
    ) -> Result<Held, Error> {
        self.inner.begin(hash, size, list)
    }

    fn write_group(&self, hash: &Blake3, index: u64, bytes: &[u8]) -> Result<(), Error> {
        self.inner.write_group(hash, index, bytes)
    }

    fn finish(&self, hash: &Blake3) -> Result<(), Error> {
        self.inner.finish(hash)
    }

    fn import(&self, from: &mut dyn Read) -> Result<BlobInfo, Error> {
        self.inner.import(from)
    }

    fn remove_blob(&self, hash: &Blake3) -> Result<(), Error> {
        self.inner.remove_blob(hash)
    }

    fn blobs(&self, each: &mut dyn FnMut(Found)) -> Result<(), Error> {
        self.inner.blobs(each)
    }

    fn repositories(&self) -> Result<Vec<RepoId>, Error> {
        self.inner.repositories()
    }

    fn space(&self) -> Result<Space, Error> {
        self.inner.space()
    }
}

/// A driver whose network and store are written down.
struct Driven {
    runtime: Runtime,
    driver: Driver,
    store: Watched,
}

impl Driven {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .expect("a runtime");
        let me = NodeId::from_key(SigningKey::from_seed(&[1; 32]).key());
        let (net, session, taken) = Net::taken();
        let (_, events) = mpsc::channel(1);
        let (shown, readers) = watch::channel(Arc::new(Snapshot::empty(me)));
        let (reply, waiting) = oneshot::channel();
        let record = Record {
            taken,
            reply: Some(waiting),
            shown: readers,
            seen: Vec::new(),
            frames: VecDeque::new(),
            fail_next: false,
            read_after: 0,
            writes: 0,
        };
        let store = Watched {
            inner: Memory::new(),
            record: Arc::new(Mutex::new(record)),
        };
        let mut driver = Driver::new(Parts {
            me,
            core: Core::new(me, [0; 32], Vec::new()),
            seed: [0; 32],
            store: Arc::new(store.clone()),
            net,
            events,
            shown,
            dials: true,
        });
        let open = Open {
            net: session,
            peer: peer(),
        };
        driver.sessions.insert(SESSION, open);
        driver.replies.insert(ASKED, reply);
        Self {
            runtime,
            driver,
            store,
        }
    }

    /// Lets work beside the loop go on until there is something.
    fn wait<T>(&mut self, something: impl Fn(&mut Driver, &mut Record) -> Option<T>) -> T {
        let Self {
            runtime,
            driver,
            store,
        } = self;
        runtime.block_on(async {
            let deadline = tokio::time::Instant::now() + PATIENCE;
            loop {
                {
                    let mut record = store.record();
                    record.look();
                    if let Some(found) = something(driver, &mut record) {
                        return found;
                    }
                }
                assert!(tokio::time::Instant::now() < deadline, "nothing came");
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        })
    }
}

impl Interpreter for Driven {
    fn perform(&mut self, effects: Vec<Effect>) -> Vec<Seen> {
        self.runtime.block_on(self.driver.perform_all(effects));
        let mut record = self.store.record();
        record.look();
        std::mem::take(&mut record.seen)
    }

    fn fail_next_write(&mut self) {
        self.store.record().fail_next = true;
    }

    fn next_frame(&mut self) -> Message {
        self.wait(|_, record| record.frames.pop_front())
    }

    fn next_input(&mut self) -> Input {
        self.wait(|driver, _| driver.turns.try_recv().ok().map(|turn| turn.input))
    }

    fn store(&self) -> &dyn Store {
        &self.store
    }

    fn wake(&self) -> Time {
        self.driver.wake
    }
}

#[test]
fn the_driver_keeps_what_every_interpreter_keeps() {
    assert_eq!(broken_by(|| Box::new(Driven::new())), [""; 0]);
}

/// A read that a busy disk delays until another branch stands where the entries were.
#[test]
fn entries_of_another_branch_do_not_leave_in_place_of_those_asked_for() {
    let (mut it, author) = (Driven::new(), Author::new(repo(1), 3, 5));
    it.perform(vec![
        Effect::Persist(Change::Follow { repo: repo(1) }),
        Effect::Persist(author.append(0, 5, 5)),
    ]);
    it.store.record().read_after = 4;
    let (id, key) = (repo(1), author.key());
    it.perform(vec![
        Effect::SendEntries {
            session: SESSION,
            request: 4,
            repo: id,
            key,
            from: 1,
            to: 3,
            proof: Vec::new(),
        },
        Effect::Persist(Change::Rewind {
            repo: id,
            key,
            to: 1,
        }),
        Effect::Persist(author.forked(1).append(1, 5, 5)),
    ]);
    let refused = Message::Refusal {
        id: Some(4),
        refusal: Refusal::NotFound,
    };
    assert_eq!(it.next_frame(), refused);
}
