//! What a key's owner could sign and an honest tool never does: entries of any content, in the log of
//! a key of a home, given to its running node as the tool would give them.

use std::fs;

use skep_node::control::Connection;
use skep_proto::control::{Hello, Hex, Log, Request, Response, VERSION};
use skep_proto::id::RepoId;
use skep_proto::key::SigningKey;
use skep_proto::key::file::KeyFile;
use skep_proto::log::checkpoint::Checkpoint;
use skep_proto::log::entry::{Body, Entry, Parsed, parse};
use skep_proto::log::tree::{Edge, leaf};
use skep_proto::ticket::Ticket;

use super::home::Home;

/// A key of a home, its log, and a conversation with the home's node.
pub(super) struct Forger {
    pub(super) repo: RepoId,
    pub(super) signing: SigningKey,
    log: Log,
    node: Connection,
}

impl Forger {
    /// With the key `keys/NAME` of `home`, in the repository of its ticket.
    pub(super) fn new(home: &Home, name: &str) -> Self {
        let text = fs::read_to_string(home.path().join("keys").join(name)).expect("a key");
        let opened = KeyFile::parse(&text).and_then(|file| file.open(None));
        let signing = opened.expect("a key without a passphrase").signing;
        let ticket: Ticket = home.ticket().parse().expect("a ticket");
        let mut node = Connection::connect(&home.path().join("skep.sock")).expect("a node");
        let hello = Hello {
            version: VERSION,
            pid: std::process::id(),
        };
        node.send(&hello, None).expect("sent");
        let (theirs, _): (Hello, _) = node.receive().expect("greeted");
        assert_eq!(theirs.version, VERSION);
        let log = Request::Log {
            repo: ticket.repo,
            key: signing.key(),
            from: 0,
        };
        let log = match ask(&mut node, &log) {
            Response::Log(log) => log,
            other => panic!("{other:?}"),
        };
        assert_eq!(log.size, log.entries.len() as u64, "all of a short log");
        Self {
            repo: ticket.repo,
            signing,
            log,
            node,
        }
    }

    /// What the log says so far.
    pub(super) fn said(&self) -> Vec<Body> {
        let entries = self.log.entries.iter();
        let parsed = entries.map(|entry| match parse(&entry.0) {
            Parsed::Entry(entry) => entry.body,
            other => panic!("an entry of an honest tool is {other:?}"),
        });
        parsed.collect()
    }

    /// Signs it into the log, whatever it says.
    pub(super) fn say(mut self, body: Body) {
        let claimed_at = 0;
        let entry = Entry { claimed_at, body }.encode().expect("an entry");
        let mut edge = Edge::new();
        for held in &self.log.entries {
            edge.push(leaf(&held.0));
        }
        edge.push(leaf(&entry));
        let (size, root) = (edge.size(), edge.root());
        let checkpoint = Checkpoint::sign(&self.repo, &self.signing, size, root).expect("signed");
        let append = Request::Append {
            repo: self.repo,
            key: self.signing.key(),
            entries: vec![Hex(entry)],
            checkpoint: Hex(checkpoint.to_bytes()),
        };
        assert_eq!(ask(&mut self.node, &append), Response::Done);
    }
}

fn ask(node: &mut Connection, request: &Request) -> Response {
    node.send(request, None).expect("sent");
    node.receive().expect("answered").0
}
