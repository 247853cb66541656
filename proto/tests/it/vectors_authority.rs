//! Golden bytes of what authority is made of: entries, root documents, handle operations, a view.

use data_encoding::HEXLOWER;
use serde_json::{Value, json};
use skep_proto::hash::Sha256;
use skep_proto::key::{Key, SigningKey};
use skep_proto::log::entry::{
    Advisory, Approve, Attest, Body, Cut, Entry, Grant, HandleOperation, Mark, Member, Parsed,
    Publish, Review, Role, RootNotice, Settle, Severity, Status, StatusState, Subject, Suspend,
    handle_message, parse,
};
use skep_proto::log::tree;
use skep_proto::repo::root::{
    Expiry, RootCut, RootDocument, SignedRoot, Visibility, Witness, Witnesses, repo_id,
};

use crate::golden;
use crate::world::{World, name, version};

fn hex(bytes: &[u8]) -> String {
    HEXLOWER.encode(bytes)
}

fn secret(n: u8) -> SigningKey {
    SigningKey::from_seed(&[n; 32])
}

fn some_key(n: u8) -> Key {
    secret(n).key()
}

fn some_hash(text: &str) -> Sha256 {
    Sha256::of(&[text.as_bytes()])
}

fn contributions() -> Vec<(&'static str, Body)> {
    let signatures = vec![(some_key(1), secret(1).sign(b"any"))];
    vec![
        ("hello", Body::Hello),
        (
            "publish",
            Body::Publish(Publish {
                name: name("rate-limiting"),
                version: version("1.2.3-rc.1"),
                payload: b"{}".to_vec(),
                signatures: signatures.clone(),
            }),
        ),
        (
            "approve",
            Body::Approve(Approve {
                name: name("drop"),
                version: version("1.0.0"),
                manifest: some_hash("manifest"),
            }),
        ),
        (
            "status",
            Body::Status(Status {
                name: name("drop"),
                version: Some(version("1.0.0")),
                state: StatusState::Yanked,
                on: true,
                reason: "breaks\n\ton arm".to_owned(),
                successor: Some(name("drop2")),
            }),
        ),
        (
            "status of a package",
            Body::Status(Status {
                name: name("drop"),
                version: None,
                state: StatusState::Deprecated,
                on: false,
                reason: String::new(),
                successor: None,
            }),
        ),
        (
            "review",
            Body::Review(Review {
                name: name("drop"),
                version: Some(version("1.0.0")),
                rating: Some(4),
                tags: vec!["xdp".to_owned(), "small".to_owned()],
                language: "de".to_owned(),
                text: "gut gemacht, Übersicht fehlt".to_owned(),
            }),
        ),
        (
            "attest",
            Body::Attest(Attest {
                subject: some_hash("manifest"),
                kind: "https://skep.dev/bpf-verifier/v1".to_owned(),
                payload: b"{}".to_vec(),
                signatures,
            }),
        ),
        (
            "advisory",
            Body::Advisory(Advisory {
                id: "SKEP-2027-1".to_owned(),
                name: name("drop"),
                ranges: vec!["<1.0.1".to_owned()],
                severity: Severity::Critical,
                urls: vec!["https://example.org/1".to_owned()],
                text: "reads out of bounds".to_owned(),
                withdrawn: false,
            }),
        ),
    ]
}

fn creation() -> HandleOperation {
    HandleOperation {
        prev: None,
        label: name("ana"),
        publish_threshold: 1,
        change_threshold: 2,
        keys: vec![some_key(1), some_key(2)],
        receive: vec![[5; 32]],
        drop: Vec::new(),
        about: "Ana's laptop and CI".to_owned(),
        signatures: Vec::new(),
    }
}

fn operations(world: &World) -> Vec<(&'static str, Body)> {
    let sign = |mut operation: HandleOperation| {
        let message = handle_message(&world.repo, &operation);
        let by = [1, 2].map(|n| (some_key(n), secret(n).sign(&message)));
        operation.signatures = by.to_vec();
        Body::Handle(Box::new(operation))
    };
    let mark = Mark {
        key: some_key(1),
        size: 2,
        root: some_hash("root"),
    };
    let change = HandleOperation {
        prev: Some(creation().hash(&world.repo)),
        keys: vec![some_key(2)],
        change_threshold: 1,
        drop: vec![mark],
        ..creation()
    };
    let id = skep_proto::id::HandleId::from_bytes(*creation().hash(&world.repo).as_bytes());
    let suspend = |subject| {
        Body::Suspend(Suspend {
            subject,
            on: true,
            reason: "asked".to_owned(),
        })
    };
    vec![
        ("handle, created", sign(creation())),
        ("handle, changed", sign(change)),
        (
            "grant",
            Body::Grant(Grant {
                handle: id,
                role: Role::Publisher,
                names: vec![name("drop"), name("rate-limiting")],
            }),
        ),
        (
            "cut",
            Body::Cut(Cut {
                mark,
                reason: "laptop stolen".to_owned(),
            }),
        ),
        ("suspend a handle", suspend(Subject::Handle(id))),
        ("suspend a name", suspend(Subject::Package(name("drop")))),
        (
            "suspend a release",
            suspend(Subject::Release(name("drop"), version("1.0.0"))),
        ),
        (
            "settle",
            Body::Settle(Settle {
                name: name("drop"),
                version: version("1.0.0"),
                manifest: some_hash("manifest"),
            }),
        ),
        (
            "member",
            Body::Member(Member {
                node: some_key(7),
                label: "Büro".to_owned(),
                on: true,
            }),
        ),
        (
            "root",
            Body::Root(RootNotice {
                version: 2,
                sha256: some_hash("document"),
            }),
        ),
    ]
}

#[test]
fn entries_have_these_bytes() {
    let world = World::new();
    let all = contributions().into_iter().chain(operations(&world));
    let cases: Vec<Value> = all
        .map(|(what, body)| {
            let claimed_at = 1_800_000_000;
            let entry = Entry { claimed_at, body };
            let raw = entry.encode().expect("an entry");
            assert_eq!(parse(&raw), Parsed::Entry(entry), "{what}");
            json!({ "what": what, "raw": hex(&raw), "leaf": tree::leaf(&raw) })
        })
        .collect();
    golden::check("entries.json", &cases.into());
}

#[test]
fn handle_messages_have_these_bytes() {
    let world = World::new();
    let message = handle_message(&world.repo, &creation());
    let expected = json!({
        "repo": world.repo,
        "message": String::from_utf8(message).expect("text"),
        "id": creation().hash(&world.repo),
    });
    golden::check("handle-message.json", &expected);
}

#[test]
fn root_documents_have_these_bytes() {
    let mut world = World::new();
    let witness = world.key();
    let mark = world.mark(&world.registrar.clone(), 0);
    world.replace_registrar(0, |document| {
        document.witnesses = Some(Witnesses {
            keys: vec![Witness {
                name: "example.org/wit".to_owned(),
                key: witness,
            }],
            quorum: 1,
            max_age_s: 86_400,
        });
        document.approvals = 1;
        document.cuts = vec![RootCut {
            mark,
            reason: "stolen\n\"laptop\"".to_owned(),
        }];
        document.overrides = vec![some_hash("leaf")];
        document.expires = Expiry::from_unix(1_811_808_000);
    });
    let cases: Vec<Value> = world.documents.iter().map(document).collect();
    assert_eq!(world.latest().visibility, Visibility::Public);
    golden::check("root-documents.json", &cases.into());
}

fn document(signed: &SignedRoot) -> Value {
    let raw = signed.encode();
    assert_eq!(SignedRoot::decode(&raw).as_ref(), Ok(signed));
    let document = RootDocument::parse(&signed.payload).expect("a document");
    assert_eq!(document.to_payload().as_ref(), Ok(&signed.payload));
    json!({
        "payload": String::from_utf8(signed.payload.clone()).expect("UTF-8"),
        "sha256": signed.sha256(),
        "id_if_first": repo_id(&signed.payload),
        "signed": hex(&raw),
    })
}

/// One history with a record of each kind.
#[test]
fn view_has_these_records_and_this_hash() {
    let mut world = World::new();
    let (ana, key) = world.publisher("ana", "drop");
    let other = world.key();
    let ben = world.handle("ben", (1, 1), &[other]);
    for role in [Role::Reviewer, Role::Attester] {
        world.grant(ben, role, &[]);
    }
    world.say(key, Body::Hello);
    world.publish(key, "drop", "1.0.0", "good");
    world.publish(key, "drop", "1.0.0-rc.1", "early");
    world.yank(key, "drop", "1.0.0-rc.1", true);
    for (what, body) in contributions() {
        if matches!(what, "review" | "attest") {
            world.say(other, body);
        }
    }
    let node = some_key(7);
    let (label, on) = ("office".to_owned(), true);
    world.say(world.registrar, Body::Member(Member { node, label, on }));
    world.suspend(Subject::Handle(ben), true);
    let view = world.view();
    assert!(view.handle(&ana).is_some());
    let records = view.records();
    assert_eq!(records.len(), 6);
    let logs = world.logs.iter().map(|(key, log)| {
        let log: Vec<String> = log.iter().map(|raw| hex(raw)).collect();
        (key.to_string(), json!(log))
    });
    let signed = world.documents.iter().map(|signed| hex(&signed.encode()));
    let expected = json!({
        "repo": world.repo,
        "documents": signed.collect::<Vec<_>>(),
        "logs": logs.collect::<serde_json::Map<_, _>>(),
        "records": records.iter().map(|(k, v)| [hex(k), hex(v)]).collect::<Vec<_>>(),
        "view_hash": view.hash,
    });
    golden::check("view.json", &expected);
}
