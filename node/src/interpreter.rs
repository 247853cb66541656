//! What every interpreter of the core's effects keeps: one suite, run on the driver of a node and on
//! the simulator's host. What a simulation finds says something of a node because both pass it.
//!
//! A check panics where an interpreter breaks it.

use std::sync::Arc;

use skep_proto::blob::{GROUP_BYTES, GroupLister};
use skep_proto::hash::{Blake3, Sha256};
use skep_proto::id::NodeId;
use skep_proto::key::SigningKey;
use skep_proto::sync::wire::{Answer, Message, Refusal};

use crate::core::{Effect, FetchEnd, Held, Input, Reply, RequestId, SessionId, Time};
use crate::snapshot::Snapshot;
use crate::store::contract::{Author, load, repo};
use crate::store::{Change, FactKind, Loaded, Store};

/// What can be seen of an interpreter from outside. What it sees at once comes in no certain order;
/// a write tells what was before it from what came after it.
#[derive(Debug, Clone, PartialEq)]
pub enum Seen {
    /// A change is durable.
    Kept(Box<Change>),
    /// A change could not be made durable.
    Failed,
    Frame(Box<Message>),
    /// The session ended.
    Closed,
    /// The peer was disconnected, and is not spoken to.
    Banned(NodeId),
    Subscribed([u8; 32]),
    Unsubscribed([u8; 32]),
    Gossiped([u8; 32], Vec<u8>),
    Dialed(NodeId),
    /// Readers see another snapshot; whether it says that nothing new is taken.
    Shown {
        read_only: bool,
    },
    Replied(RequestId, Reply),
}

/// An interpreter, with a core that follows nothing, and one session with [`peer`] under
/// [`SESSION`]. [`ASKED`] waits for a reply.
pub trait Interpreter {
    /// Carries out what a core would have answered to one input. Gives what was seen, in order.
    fn perform(&mut self, effects: Vec<Effect>) -> Vec<Seen>;

    /// The next write fails, as on a full disk.
    fn fail_next_write(&mut self);

    /// Waits for work beside the loop: gives the first frame that was not given here before, also if
    /// [`Self::perform`] has seen it.
    fn next_frame(&mut self) -> Message;

    /// Waits for work beside the loop: gives the next input that it ended in.
    fn next_input(&mut self) -> Input;

    fn store(&self) -> &dyn Store;

    /// When it wakes the core.
    fn wake(&self) -> Time;
}

/// The one session.
pub const SESSION: SessionId = SessionId(1);
/// Who waits for a reply.
pub const ASKED: RequestId = RequestId(7);

/// The other end of the session.
pub fn peer() -> NodeId {
    NodeId::from_key(SigningKey::from_seed(&[77; 32]).key())
}

/// One thing that an interpreter keeps.
#[derive(Debug, Clone, Copy)]
pub struct Check {
    pub name: &'static str,
    pub run: fn(&mut dyn Interpreter),
}

/// Names of the checks that an interpreter breaks; each one gets a new interpreter, in a thread of
/// the check's name, so that a failure says which one it was.
pub fn broken_by(
    interpreter: impl Fn() -> Box<dyn Interpreter> + Copy + Send + 'static,
) -> Vec<&'static str> {
    let breaks = |check: &&Check| {
        let check = **check;
        let thread = std::thread::Builder::new().name(check.name.into());
        let thread = thread.spawn(move || (check.run)(interpreter().as_mut()));
        thread.is_ok_and(|thread| thread.join().is_err())
    };
    CHECKS
        .iter()
        .filter(breaks)
        .map(|check| check.name)
        .collect()
}

macro_rules! checks {
    ($($check:ident),* $(,)?) => {
        &[$(Check { name: stringify!($check), run: $check }),*]
    };
}

pub const CHECKS: &[Check] = checks!(
    frames_leave_in_order,
    a_write_is_durable_before_anything_after_it_leaves,
    writes_are_made_in_order,
    nothing_after_a_failed_write_is_done,
    after_a_failed_write_whoever_waits_is_told,
    after_a_failed_write_the_core_is_what_the_store_holds,
    entries_come_from_the_store,
    entries_that_are_not_here_are_refused,
    entries_that_went_meanwhile_are_refused,
    what_is_held_of_a_blob_is_told,
    a_blob_is_stored_when_all_of_it_is_here,
    a_blob_that_lacks_a_group_is_not_stored,
    a_fetch_from_nobody_ends,
    a_session_is_closed_and_a_peer_is_banned,
    gossip_and_dials_leave,
    the_last_wake_up_counts,
    a_reply_to_nobody_is_no_error,
);

fn refusal(id: u32) -> Message {
    Message::Refusal {
        id: Some(id),
        refusal: Refusal::NotFound,
    }
}

fn send(id: u32) -> Effect {
    Effect::Send {
        session: SESSION,
        message: refusal(id),
    }
}

fn frame(id: u32) -> Seen {
    Seen::Frame(Box::new(refusal(id)))
}

fn follow() -> Change {
    Change::Follow { repo: repo(1) }
}

fn fact(value: u8) -> Change {
    Change::Fact {
        repo: repo(1),
        kind: FactKind::Admitted,
        key: "drop@1.0.0".to_owned(),
        value: vec![value; 32],
    }
}

/// What was seen before a change was durable, and after.
fn around<'a>(seen: &'a [Seen], change: &Change) -> (&'a [Seen], &'a [Seen]) {
    let kept = Seen::Kept(Box::new(change.clone()));
    let at = seen.iter().position(|seen| *seen == kept);
    let at = at.expect("the change is durable");
    (&seen[..at], &seen[at + 1..])
}

fn frames_leave_in_order(it: &mut dyn Interpreter) {
    let seen = it.perform((0..20).map(send).collect());
    let sent: Vec<Seen> = (0..20).map(frame).collect();
    assert_eq!(seen, sent);
}

fn a_write_is_durable_before_anything_after_it_leaves(it: &mut dyn Interpreter) {
    let shown = Effect::Show(Arc::new(Snapshot::empty(peer())));
    let seen = it.perform(vec![
        send(1),
        Effect::Persist(follow()),
        send(2),
        shown,
        Effect::Reply(ASKED, Reply::Done),
    ]);
    let (before, after) = around(&seen, &follow());
    assert_eq!(before, [frame(1)]);
    assert!(after.contains(&frame(2)), "{after:?}");
    assert!(after.contains(&Seen::Shown { read_only: false }));
    assert!(after.contains(&Seen::Replied(ASKED, Reply::Done)));
    let held = load(it.store());
    assert_eq!(held, [Loaded::Repository { repo: repo(1) }]);
}

fn writes_are_made_in_order(it: &mut dyn Interpreter) {
    let changes = [follow(), fact(1), fact(2), fact(3)];
    let seen = it.perform(changes.iter().cloned().map(Effect::Persist).collect());
    let kept: Vec<Seen> = changes.into_iter().map(Box::new).map(Seen::Kept).collect();
    assert_eq!(seen, kept);
}

fn nothing_after_a_failed_write_is_done(it: &mut dyn Interpreter) {
    it.perform(vec![Effect::Persist(follow())]);
    it.fail_next_write();
    let seen = it.perform(vec![
        send(1),
        Effect::Persist(fact(1)),
        send(2),
        Effect::Persist(fact(2)),
        Effect::Reply(ASKED, Reply::Done),
    ]);
    let failed = seen.iter().position(|seen| *seen == Seen::Failed);
    let (before, after) = seen.split_at(failed.expect("the write failed"));
    assert_eq!(before, [frame(1)], "what came before the write has left");
    assert!(!after.contains(&frame(2)), "{after:?}");
    assert!(!after.iter().any(|seen| matches!(seen, Seen::Kept(_))));
    let refused = |seen: &Seen| matches!(seen, Seen::Replied(ASKED, Reply::Refused(_)));
    assert!(after.iter().any(refused), "who waits is told: {after:?}");
    assert_eq!(load(it.store()), [Loaded::Repository { repo: repo(1) }]);
}

fn after_a_failed_write_whoever_waits_is_told(it: &mut dyn Interpreter) {
    it.fail_next_write();
    let seen = it.perform(vec![Effect::Persist(follow())]);
    let refused = |seen: &Seen| matches!(seen, Seen::Replied(ASKED, Reply::Refused(_)));
    assert!(seen.iter().any(refused), "{seen:?}");
}

fn after_a_failed_write_the_core_is_what_the_store_holds(it: &mut dyn Interpreter) {
    it.fail_next_write();
    let seen = it.perform(vec![Effect::Persist(follow())]);
    assert!(seen.contains(&Seen::Closed), "sessions end: {seen:?}");
    let shown = seen.iter().rev().find_map(|seen| match seen {
        Seen::Shown { read_only } => Some(*read_only),
        _ => None,
    });
    assert_eq!(shown, Some(true), "readers are told: {seen:?}");
}

fn entries_come_from_the_store(it: &mut dyn Interpreter) {
    let author = Author::new(repo(1), 3, 5);
    it.perform(vec![
        Effect::Persist(follow()),
        Effect::Persist(author.append(0, 5, 5)),
    ]);
    it.perform(vec![Effect::SendEntries {
        session: SESSION,
        request: 4,
        repo: repo(1),
        key: author.key(),
        from: 1,
        to: 3,
        proof: vec![Sha256::of(&[b"a hash"])],
    }]);
    let answer = Answer::Get {
        entries: author.entries(1, 3),
        proof: vec![Sha256::of(&[b"a hash"])],
    };
    assert_eq!(it.next_frame(), Message::Answer { id: 4, answer });
}

fn entries_that_are_not_here_are_refused(it: &mut dyn Interpreter) {
    it.perform(vec![Effect::SendEntries {
        session: SESSION,
        request: 4,
        repo: repo(1),
        key: peer().key().to_owned(),
        from: 0,
        to: 3,
        proof: Vec::new(),
    }]);
    assert_eq!(it.next_frame(), refusal(4));
    it.perform(vec![
        Effect::Persist(follow()),
        Effect::SendEntries {
            session: SESSION,
            request: 5,
            repo: repo(1),
            key: peer().key().to_owned(),
            from: 0,
            to: 3,
            proof: Vec::new(),
        },
    ]);
    assert_eq!(it.next_frame(), refusal(5), "an answer is never empty");
}

fn entries_that_went_meanwhile_are_refused(it: &mut dyn Interpreter) {
    let author = Author::new(repo(1), 3, 5);
    it.perform(vec![
        Effect::Persist(follow()),
        Effect::Persist(author.append(0, 5, 5)),
    ]);
    let rewind = Change::Rewind {
        repo: repo(1),
        key: author.key(),
        to: 1,
    };
    let other = author.forked(1);
    it.perform(vec![
        Effect::SendEntries {
            session: SESSION,
            request: 4,
            repo: repo(1),
            key: author.key(),
            from: 1,
            to: 3,
            proof: Vec::new(),
        },
        Effect::Persist(rewind),
        Effect::Persist(other.append(1, 5, 5)),
    ]);
    // Either they were read before, or not at all: never those of the other branch.
    let answer = Answer::Get {
        entries: author.entries(1, 3),
        proof: Vec::new(),
    };
    let sent = it.next_frame();
    let read = Message::Answer { id: 4, answer };
    assert!(sent == read || sent == refusal(4), "{sent:?}");
}

/// A blob of two groups that is begun, with these groups of it.
fn begun(it: &mut dyn Interpreter, groups: &[u64]) -> (Blake3, u64) {
    let bytes = vec![5; usize::try_from(GROUP_BYTES).expect("small") + 9];
    let mut lister = GroupLister::new();
    lister.update(&bytes).expect("small");
    let list = lister.finish();
    let (hash, size_bytes) = (*list.hash(), list.size());
    let store = it.store();
    store.begin(&hash, size_bytes, Some(&list)).expect("begun");
    let len = usize::try_from(GROUP_BYTES).expect("small");
    for (index, group) in (0..).zip(bytes.chunks(len)) {
        if groups.contains(&index) {
            store.write_group(&hash, index, group).expect("written");
        }
    }
    (hash, size_bytes)
}

fn what_is_held_of_a_blob_is_told(it: &mut dyn Interpreter) {
    let (hash, size_bytes) = begun(it, &[1]);
    it.perform(vec![Effect::BeginBlob { hash, size_bytes }]);
    let held = Held::Part {
        groups: vec![1],
        list: true,
    };
    assert_eq!(it.next_input(), Input::BlobBegun { hash, held });
}

fn a_blob_is_stored_when_all_of_it_is_here(it: &mut dyn Interpreter) {
    let (hash, size_bytes) = begun(it, &[0, 1]);
    let held = |it: &dyn Interpreter| it.store().blob(&hash).expect("looked for");
    assert_eq!(held(it), None);
    it.perform(vec![Effect::FinishBlob { hash }]);
    assert_eq!(it.next_input(), Input::BlobStored { hash });
    assert_eq!(held(it).map(|info| info.size), Some(size_bytes));
}

fn a_blob_that_lacks_a_group_is_not_stored(it: &mut dyn Interpreter) {
    let (hash, _) = begun(it, &[0]);
    it.perform(vec![Effect::FinishBlob { hash }]);
    let input = it.next_input();
    assert!(
        matches!(input, Input::BlobLost { hash: lost, .. } if lost == hash),
        "{input:?}"
    );
    assert_eq!(it.store().blob(&hash).expect("looked for"), None);
}

fn a_fetch_from_nobody_ends(it: &mut dyn Interpreter) {
    let nobody = NodeId::from_key(SigningKey::from_seed(&[78; 32]).key());
    let hash = Blake3::of(&[b"a blob"]);
    let ended = Input::FetchEnded {
        peer: nobody,
        hash,
        why: FetchEnd::Failed,
    };
    it.perform(vec![Effect::FetchList {
        peer: nobody,
        repo: repo(1),
        hash,
        size_bytes: 2 * GROUP_BYTES,
    }]);
    assert_eq!(it.next_input(), ended);
    it.perform(vec![Effect::FetchGroups {
        peer: nobody,
        repo: repo(1),
        hash,
        first: 0,
        count: 1,
    }]);
    assert_eq!(it.next_input(), ended);
}

fn a_session_is_closed_and_a_peer_is_banned(it: &mut dyn Interpreter) {
    let disconnect = |ban_s| Effect::Disconnect {
        session: SESSION,
        ban_s,
    };
    let seen = it.perform(vec![disconnect(Some(60))]);
    assert_eq!(seen, [Seen::Banned(peer())]);
    let seen = it.perform(vec![send(1), disconnect(None)]);
    assert_eq!(seen, [frame(1), Seen::Closed]);
}

fn gossip_and_dials_leave(it: &mut dyn Interpreter) {
    let topic = [9; 32];
    let seen = it.perform(vec![
        Effect::Subscribe { topic },
        Effect::Gossip {
            topic,
            data: b"news".to_vec(),
        },
        Effect::Unsubscribe { topic },
        Effect::Dial {
            peer: peer(),
            addresses: vec!["/memory/1".to_owned()],
        },
    ]);
    let left = [
        Seen::Subscribed(topic),
        Seen::Gossiped(topic, b"news".to_vec()),
        Seen::Unsubscribed(topic),
        Seen::Dialed(peer()),
    ];
    assert_eq!(seen, left);
}

fn the_last_wake_up_counts(it: &mut dyn Interpreter) {
    let wake = |ms| Effect::WakeAt(Time(ms));
    it.perform(vec![wake(5_000), wake(90_000)]);
    assert_eq!(it.wake(), Time(90_000));
    it.perform(vec![wake(7_000)]);
    assert_eq!(it.wake(), Time(7_000));
}

fn a_reply_to_nobody_is_no_error(it: &mut dyn Interpreter) {
    let seen = it.perform(vec![
        Effect::Reply(RequestId(8), Reply::Done),
        Effect::Reply(ASKED, Reply::TimedOut),
        Effect::Persist(follow()),
        send(1),
    ]);
    let (before, after) = around(&seen, &follow());
    assert_eq!(before, [Seen::Replied(ASKED, Reply::TimedOut)]);
    assert_eq!(after, [frame(1)]);
}
