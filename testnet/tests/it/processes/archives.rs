//! l3afd's double, held to what was measured of l3afd itself: on every bad archive and answer it
//! fails, or does not, as l3afd does. Only then what it accepts of a gateway says something.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::client::{L3afd, Wanted};

const DROP: Wanted<'static> = Wanted {
    name: "drop",
    version: "1.0.0",
    artifact: "drop.tar.gz",
};
const OBJECT: &[u8] = b"an object";

/// A server that says what it was told to, to everybody, and then nothing.
struct Hostile {
    address: String,
    says: Arc<Mutex<Vec<u8>>>,
    asked: Arc<AtomicUsize>,
    over: Arc<AtomicBool>,
}

impl Drop for Hostile {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        // So that it looks.
        drop(std::net::TcpStream::connect(&self.address));
    }
}

impl Hostile {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let hostile = Self {
            address: listener.local_addr().expect("an address").to_string(),
            says: Arc::default(),
            asked: Arc::default(),
            over: Arc::default(),
        };
        let (says, asked, over) = (
            Arc::clone(&hostile.says),
            Arc::clone(&hostile.asked),
            Arc::clone(&hostile.over),
        );
        std::thread::spawn(move || {
            let mut held = Vec::new();
            for stream in listener.incoming() {
                if over.load(Ordering::Relaxed) {
                    return;
                }
                let mut stream = stream.expect("a client");
                let mut heard = Vec::new();
                let mut byte = [0];
                while !heard.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|n| n > 0) {
                    heard.extend(byte);
                }
                asked.fetch_add(1, Ordering::Relaxed);
                let said = says.lock().expect("unbroken").clone();
                drop(stream.write_all(&said));
                if said.ends_with(STALL) {
                    held.push(stream);
                }
            }
        });
        hostile
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }

    fn l3afd(&self, folder: &Path) -> L3afd {
        L3afd {
            repo: (self.address.clone(), "/repo".to_owned()),
            folder: folder.to_owned(),
        }
    }
}

/// The end of what is said by a server that then holds the socket.
const STALL: &[u8] = b"and then nothing";

/// An answer.
fn answer(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n{headers}\r\n");
    [head.as_bytes(), body].concat()
}

fn ok(body: &[u8]) -> Vec<u8> {
    answer("200 OK", "", body)
}

/// Of an entry of a tar: its name, kind, mode and content.
type Entry<'a> = (&'a str, u8, u32, &'a [u8]);

const FOLDER: Entry<'_> = ("drop/", b'5', 0o755, b"");
const FILE: Entry<'_> = ("drop/drop.bpf.o", b'0', 0o644, OBJECT);

/// A tar.gz of these entries, as they are.
fn archive(entries: &[Entry<'_>]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, kind, mode, content) in entries {
        let mut header = tar::Header::new_ustar();
        let raw = &mut header.as_old_mut().name;
        raw[..name.len()].copy_from_slice(name.as_bytes());
        header.set_size(content.len() as u64);
        header.set_mode(*mode);
        header.set_entry_type(tar::EntryType::new(*kind));
        if matches!(kind, b'1' | b'2') {
            header.set_link_name("target").expect("short");
        }
        header.set_cksum();
        tar.append(&header, *content).expect("appended");
    }
    gzip(&tar.into_inner().expect("a tar"))
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
    gzip.write_all(bytes).expect("packed");
    gzip.finish().expect("packed")
}

/// What l3afd makes of an answer.
enum Then {
    /// The object is in its place.
    Runs,
    /// It says nothing, and nothing is on the disk.
    Believes,
    /// It says so, and nothing is on the disk: asked again it downloads again.
    Fails(&'static str),
    /// It says so, and something is on the disk: asked again it asks nobody and uses that.
    Spoils(&'static str),
}

#[test]
fn the_double_fails_where_l3afd_does() {
    let server = Hostile::new();
    let good = archive(&[FOLDER, FILE]);
    let large = archive(&[FOLDER, ("drop/drop.bpf.o", b'0', 0o644, &[7; 300_000])]);
    let mut flipped = good.clone();
    let sum = flipped.len() - 8;
    flipped[sum] ^= 1;
    let mut changed = good.clone();
    let at = changed.windows(OBJECT.len()).position(|at| at == OBJECT);
    changed[at.expect("it is stored")] ^= 1;
    let elsewhere = Hostile::new();
    *elsewhere.says.lock().expect("unbroken") = ok(&good);
    let redirect = |status: &str| {
        let to = format!("Location: http://{}/elsewhere\r\n", elsewhere.address);
        answer(status, &to, b"")
    };
    let here = answer("302 Found", "Location: /again\r\n", b"");
    let of = |length: usize, body: &[u8]| {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
        [head.as_bytes(), body].concat()
    };
    let pax = (
        "pax_global_header",
        b'g',
        0o644,
        &b"19 comment=of git\n"[..],
    );
    let cases = [
        ("as it should be", ok(&good), Then::Runs),
        (
            "401",
            answer("401 Unauthorized", "", &good),
            Then::Fails("status code: 401"),
        ),
        (
            "403",
            answer("403 Forbidden", "", &good),
            Then::Fails("status code: 403"),
        ),
        (
            "404",
            answer("404 Not Found", "", &good),
            Then::Fails("status code: 404"),
        ),
        (
            "503",
            answer("503 Service Unavailable", "", &good),
            Then::Fails("status code: 503"),
        ),
        (
            "206",
            answer("206 Partial Content", "", &good),
            Then::Fails("status code: 206"),
        ),
        (
            "204",
            answer("204 No Content", "", b""),
            Then::Fails("status code: 204"),
        ),
        ("an empty 200", ok(b""), Then::Fails("gzip")),
        (
            "cut in gzip's header",
            of(good.len(), &good[..8]),
            Then::Fails("gzip"),
        ),
        (
            "cut before the folder",
            of(good.len(), &good[..100]),
            Then::Fails("untar failed"),
        ),
        (
            "cut in the object",
            of(large.len(), &large[..150_000]),
            Then::Spoils("failed to copy"),
        ),
        (
            "the same with its length",
            ok(&large[..150_000]),
            Then::Spoils("failed to copy"),
        ),
        ("no answer", b"".to_vec(), Then::Fails("no answer")),
        ("no gzip", ok(b"PK\x03\x04 and so on"), Then::Fails("gzip")),
        ("gzip of nothing", ok(&gzip(b"")), Then::Believes),
        (
            "gzip of no tar",
            ok(&gzip(&[b'x'; 2_048])),
            Then::Fails("untar failed"),
        ),
        (
            "gzip twice, the outer one said",
            answer("200 OK", "Content-Encoding: gzip\r\n", &good),
            Then::Fails("gzip"),
        ),
        ("a wrong sum of gzip", ok(&flipped), Then::Runs),
        (
            "no folder",
            ok(&archive(&[FILE])),
            Then::Fails("No such file"),
        ),
        (
            "a late folder",
            ok(&archive(&[FILE, FOLDER])),
            Then::Fails("No such file"),
        ),
        (
            "the root",
            ok(&archive(&[("./", b'5', 0o755, b""), FOLDER, FILE])),
            Then::Fails("illegal file path"),
        ),
        (
            "a folder of the root",
            ok(&archive(&[
                ("./drop/", b'5', 0o755, b""),
                ("./drop/drop.bpf.o", b'0', 0o644, OBJECT),
            ])),
            Then::Runs,
        ),
        (
            "two dots in a name",
            ok(&archive(&[FOLDER, ("drop/a..b.o", b'0', 0o644, b""), FILE])),
            Then::Spoils("includes (..)"),
        ),
        (
            "a way out",
            ok(&archive(&[("../drop/", b'5', 0o755, b""), FILE])),
            Then::Fails("includes (..)"),
        ),
        (
            "a global header of pax",
            ok(&archive(&[pax, FOLDER, FILE])),
            Then::Fails("No such file"),
        ),
        (
            "a folder in a folder that has none",
            ok(&archive(&[FOLDER, ("drop/a/b.o", b'0', 0o644, b""), FILE])),
            Then::Spoils("No such file"),
        ),
        ("302", redirect("302 Found"), Then::Runs),
        ("307", redirect("307 Temporary Redirect"), Then::Runs),
        ("302 for ever", here, Then::Fails("redirects")),
        (
            "a stall in the head",
            [b"HTTP/1.1 200 OK\r\nX: ", STALL].concat(),
            Then::Fails("hangs"),
        ),
        (
            "a stall in the body",
            of(9_999, &[&good[..900], STALL].concat()),
            Then::Fails("hangs"),
        ),
    ];
    for (what, says, then) in cases {
        *server.says.lock().expect("unbroken") = says;
        let folder = tempfile::tempdir().expect("a folder");
        let l3afd = server.l3afd(folder.path());
        let found = l3afd.start(DROP);
        let asked = server.asked();
        let on_disk = folder.path().join("drop/1.0.0/drop").exists();
        match (found, then) {
            (Ok(program), Then::Runs) => {
                let object = fs::read(program.join("drop.bpf.o")).expect("there");
                assert_eq!(object, OBJECT, "{what}");
            }
            (Ok(_), Then::Believes) => assert!(!on_disk, "{what}"),
            (Err(why), Then::Fails(says)) => {
                assert!(why.contains(says), "{what}: {why}");
                assert!(!on_disk, "{what}");
                *server.says.lock().expect("unbroken") = ok(&good);
                assert!(l3afd.start(DROP).is_ok(), "{what}, asked again");
                assert_eq!(server.asked(), asked + 1, "{what}, asked again");
            }
            (Err(why), Then::Spoils(says)) => {
                assert!(why.contains(says), "{what}: {why}");
                assert!(on_disk, "{what}");
                *server.says.lock().expect("unbroken") = ok(&good);
                let program = l3afd.start(DROP).expect("what is there is taken");
                assert_eq!(server.asked(), asked, "{what}: nobody is asked again");
                let object = fs::read(program.join("drop.bpf.o")).unwrap_or_default();
                assert_ne!(object, OBJECT, "{what}");
            }
            (found, _) => panic!("{what}: {found:?}"),
        }
    }
    // One bit of an object is changed, and nobody sees it.
    *server.says.lock().expect("unbroken") = ok(&changed);
    let folder = tempfile::tempdir().expect("a folder");
    let program = server.l3afd(folder.path()).start(DROP).expect("it runs");
    assert_ne!(fs::read(program.join("drop.bpf.o")).expect("there"), OBJECT);
}

#[test]
fn the_double_makes_of_odd_entries_what_l3afd_does() {
    let server = Hostile::new();
    *server.says.lock().expect("unbroken") = ok(&archive(&[
        FOLDER,
        ("drop/symbolic", b'2', 0o777, b""),
        ("drop/hard", b'1', 0o644, b""),
        ("drop/setuid", b'0', 0o4755, b"x"),
        ("drop/dropctl", b'0', 0o644, b"x"),
    ]));
    let folder = tempfile::tempdir().expect("a folder");
    let program = server.l3afd(folder.path()).start(DROP).expect("unpacked");
    for (name, mode, size) in [
        ("symbolic", 0o755, 0),
        ("hard", 0o644, 0),
        ("setuid", 0o4755, 1),
        ("dropctl", 0o644, 1),
    ] {
        let metadata = fs::symlink_metadata(program.join(name)).expect("there");
        assert!(metadata.is_file(), "{name}");
        let found = (metadata.permissions().mode() & 0o7777, metadata.len());
        // Nobody's umask gives more to others than to read.
        assert_eq!((found.0 | 0o055, found.1), (mode | 0o055, size), "{name}");
    }
}
