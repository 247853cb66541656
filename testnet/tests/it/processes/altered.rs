//! Whatever is altered on its way, or by whoever signs it, is refused, each with its own words.

use std::fs;

use skep_proto::key::SigningKey;
use skep_proto::log::entry::{Body, Publish, handle_message};
use skep_proto::package::dsse;

use super::forge::Forger;
use super::home::{Home, author, demo, failed, with_and_without_gossip};
use super::hostile::{Liar, Lie};

/// A friend's only source tells one lie: nothing is got, exit 3, and the words say what was false.
fn lie_is_refused(lie: Lie, what: &str, gossip: bool) {
    let mut author = author(gossip);
    let ticket = author.ticket();
    author.stop();
    let liar = Liar::start(&author, lie, gossip);
    let friend = Home::new(gossip);
    let ticket = liar.instead_of(&ticket);
    let said = friend.fails(3, &["get", &ticket]);
    assert!(said.contains(what), "{lie:?}: {said}");
    assert!(said.contains(&liar.fingerprint()), "{lie:?}: {said}");
    assert!(said.contains("hint: "), "{lie:?}: {said}");
    friend.nothing_written();
}

#[test]
fn what_is_told_without_a_lie_is_taken() {
    with_and_without_gossip(|gossip| {
        let mut author = author(gossip);
        let ticket = author.ticket();
        author.stop();
        let liar = Liar::start(&author, Lie::None, gossip);
        let friend = Home::new(gossip);
        friend.ok(&["get", &liar.instead_of(&ticket)]);
        friend.same_files("drop-0.1.0");
    });
}

#[test]
fn an_altered_root_document_is_refused() {
    with_and_without_gossip(|gossip| {
        let what = "a false root document: root document of repository";
        lie_is_refused(Lie::RootDocument, what, gossip);
    });
}

#[test]
fn a_root_document_with_an_altered_signature_is_refused() {
    with_and_without_gossip(|gossip| {
        let what = "a false root document: root document 1";
        lie_is_refused(Lie::RootSignature, what, gossip);
    });
}

#[test]
fn an_altered_checkpoint_is_refused() {
    with_and_without_gossip(|gossip| {
        let what = "a checkpoint with a false signature";
        lie_is_refused(Lie::Checkpoint, what, gossip);
    });
}

#[test]
fn an_altered_entry_is_refused() {
    with_and_without_gossip(|gossip| {
        let what = "entries that are not under their checkpoint";
        lie_is_refused(Lie::Entry, what, gossip);
    });
}

#[test]
fn an_altered_file_is_refused() {
    with_and_without_gossip(|gossip| {
        lie_is_refused(Lie::Group, "is not what the manifest names", gossip);
    });
}

#[test]
fn who_lies_is_not_asked_where_another_source_tells_the_truth() {
    with_and_without_gossip(|gossip| {
        let mut author = author(gossip);
        let (ticket, truth) = (author.ticket(), Home::new(gossip));
        author.stop();
        let liar = Liar::start(&author, Lie::Entry, gossip);
        let honest = copy_of(&author, truth);
        let friend = Home::new(gossip);
        let mut both: skep_proto::ticket::Ticket = ticket.parse().expect("a ticket");
        let of = |text: String| {
            text.parse::<skep_proto::ticket::Ticket>()
                .expect("a ticket")
        };
        both.nodes = [of(liar.instead_of(&ticket)), of(honest.ticket())]
            .into_iter()
            .flat_map(|ticket| ticket.nodes)
            .map(|(node, mut addresses)| {
                addresses.truncate(2);
                (node, addresses)
            })
            .collect();
        friend.ok(&["get", &both.to_text_that_fits()]);
        friend.same_files("drop-0.1.0");
    });
}

/// A second home with what the first one published, and a node that serves it.
fn copy_of(author: &Home, mut copy: Home) -> Home {
    for folder in ["keys", "repos.d"] {
        copy_folder(&author.path().join(folder), &copy.path().join(folder));
    }
    // Another node, or the two would be one to everybody.
    fs::remove_file(copy.path().join("keys/node")).expect("the key of a node");
    fs::remove_file(copy.path().join("keys/node.pub")).ok();
    copy_folder(&author.path().join("store"), &copy.path().join("store"));
    copy.start();
    copy
}

fn copy_folder(from: &std::path::Path, to: &std::path::Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder").flatten() {
        let (path, to) = (entry.path(), to.join(entry.file_name()));
        match path.is_dir() {
            true => copy_folder(&path, &to),
            false => drop(fs::copy(&path, &to).expect("copied")),
        }
    }
}

/// The friend of an author whose key has signed `forged` into its log.
fn friend_of_a_forger(
    forged: impl Fn(Publish, &SigningKey) -> Publish,
    gossip: bool,
) -> (Home, Home) {
    let author = author(gossip);
    let forger = Forger::new(&author, "ana");
    let published = forger.said().into_iter().find_map(|body| match body {
        Body::Publish(publish) => Some(publish),
        _ => None,
    });
    let forged = forged(published.expect("a release"), &forger.signing);
    forger.say(Body::Publish(forged));
    let friend = Home::new(gossip);
    friend.ok(&["repo", "add", &author.ticket(), "--trust"]);
    (author, friend)
}

#[test]
fn an_altered_manifest_is_refused() {
    with_and_without_gossip(|gossip| {
        let altered = |mut publish: Publish, _: &SigningKey| {
            let text = String::from_utf8(publish.payload).expect("a manifest is text");
            assert!(text.contains("\"0.1.0\""), "{text}");
            publish.payload = text.replace("\"0.1.0\"", "\"0.9.0\"").into_bytes();
            publish.version = "0.9.0".parse().expect("a version");
            publish
        };
        let (_author, friend) = friend_of_a_forger(altered, gossip);
        let said = friend.fails(3, &["get", "ana/drop@0.9.0"]);
        let what = "the manifest of `ana/drop@0.9.0` is not signed by any key that published it";
        assert!(said.contains(what), "{said}");
        assert!(
            said.contains("skep verify --explain ana/drop@0.9.0"),
            "{said}"
        );
        friend.nothing_written();
        friend.fails(3, &["verify", "ana/drop@0.9.0"]);
        friend.ok(&["get", "ana/drop@0.1.0"]);
    });
}

#[test]
fn a_manifest_of_another_version_is_refused() {
    with_and_without_gossip(|gossip| {
        let renamed = |mut publish: Publish, _: &SigningKey| {
            publish.version = "0.9.0".parse().expect("a version");
            publish
        };
        let (_author, friend) = friend_of_a_forger(renamed, gossip);
        let said = friend.fails(3, &["get", "ana/drop@0.9.0"]);
        let what = "the manifest of `ana/drop@0.9.0` is of something else";
        assert!(said.contains(what), "{said}");
        friend.nothing_written();
    });
}

/// A publisher whose signature is good, and whose file would be written beside the folder.
#[test]
fn a_manifest_with_a_path_that_escapes_is_refused_whoever_signed_it() {
    with_and_without_gossip(|gossip| {
        let escaping = |mut publish: Publish, key: &SigningKey| {
            let text = String::from_utf8(publish.payload).expect("a manifest is text");
            let escaped = text.replace("\"LICENSE\"", "\"../evil\"");
            assert_ne!(text, escaped);
            let escaped = escaped.replace("\"0.1.0\"", "\"0.9.0\"");
            publish.payload = escaped.into_bytes();
            publish.version = "0.9.0".parse().expect("a version");
            publish.signatures = dsse::sign(dsse::IN_TOTO, &publish.payload, key);
            publish
        };
        let (_author, friend) = friend_of_a_forger(escaping, gossip);
        for args in [
            &["get", "ana/drop@0.9.0"][..],
            &["get", "--normal", "ana/drop@0.9.0"],
        ] {
            let said = friend.fails(3, args);
            let what = "the manifest of `ana/drop@0.9.0` cannot be read";
            assert!(said.contains(what) && said.contains("`../evil`"), "{said}");
        }
        friend.nothing_written();
        let outside = [friend.path().join("evil"), friend.path().join("../evil")];
        assert!(outside.iter().all(|path| !path.exists()));
    });
}

/// Who has the registrar's key alone tries to add a key to somebody's handle.
#[test]
fn a_handle_operation_with_a_false_signature_is_ineffective_and_named() {
    with_and_without_gossip(|gossip| {
        let author = author(gossip);
        let forger = Forger::new(&author, "ana.registrar");
        let repo = forger.repo;
        let mut operations = forger.said().into_iter().filter_map(|body| match body {
            Body::Handle(operation) => Some(*operation),
            _ => None,
        });
        let mut operation = operations.next_back().expect("a handle");
        let index = forger.said().len();
        let stranger = SigningKey::from_seed(&[7; 32]);
        operation.prev = Some(operation.hash(&repo));
        operation.keys.push(stranger.key());
        operation.keys.sort_unstable();
        // What stands there is the owner's signature of the operation before.
        let message = handle_message(&repo, &operation);
        let signature = (stranger.key(), stranger.sign(&message));
        operation.signatures.push(signature);
        operation.signatures.sort_unstable_by_key(|(key, _)| *key);
        forger.say(Body::Handle(Box::new(operation)));
        let friend = Home::new(gossip);
        friend.ok(&["repo", "add", &author.ticket(), "--trust"]);
        let explained = friend.ok(&["verify", "--explain", "ana/drop"]);
        let what = format!("entry {index} of the registrar has no effect: ");
        assert!(explained.contains(&what), "{explained}");
        assert!(
            explained.contains("with a false signature of"),
            "{explained}"
        );
        let shown = friend.ok(&["repo", "show", "ana", "--json"]);
        assert!(!shown.contains(&stranger.key().fingerprint()), "{shown}");
        friend.ok(&["get", "ana/drop"]);
        friend.same_files("drop-0.1.0");
        // The author's own keys go on.
        author.publish("0.2.0");
    });
}

#[test]
fn a_flipped_bit_in_a_file_on_disk_reaches_nobody() {
    with_and_without_gossip(|gossip| {
        let mut author = author(gossip);
        author.stop();
        let blobs = author.path().join("store/blobs");
        let size = fs::metadata(demo().join("drop.bpf.o"))
            .expect("the object")
            .len();
        let mut flipped = 0;
        for folder in fs::read_dir(&blobs).expect("blobs").flatten() {
            for file in fs::read_dir(folder.path()).into_iter().flatten().flatten() {
                let mut bytes = fs::read(file.path()).expect("read");
                if bytes.len() as u64 == size {
                    bytes[100] ^= 1;
                    fs::write(file.path(), bytes).expect("written");
                    flipped += 1;
                }
            }
        }
        assert_eq!(flipped, 1);
        author.start();
        let friend = Home::new(gossip);
        friend.ok(&["repo", "add", &author.ticket(), "--trust"]);
        // An honest node does not serve what its disk has spoiled: nobody has it.
        let said = failed(5, &friend.run(&["get", "ana/drop"]));
        assert!(said.contains("of the files"), "{said}");
        friend.nothing_written();
        author.wait_for_log("was damaged on disk and is set aside");
    });
}
