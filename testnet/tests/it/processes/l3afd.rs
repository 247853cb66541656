//! A client that does to a gateway what l3afd does: a bare GET, exactly 200, and an extractor that
//! checks nothing and makes no parent directories.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::home::{Home, author, wait_until};

/// Longer than any answer may take: l3afd itself would wait for ever.
const AT_ONCE: Duration = Duration::from_secs(5);

/// What a server answered.
pub(super) struct Answer {
    pub(super) status: u16,
    head: String,
    pub(super) body: Vec<u8>,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines();
        lines.find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

fn ask(address: &str, method: &str, path: &str, more: &str) -> Answer {
    let mut stream = TcpStream::connect(address).expect("the gateway listens");
    stream.set_read_timeout(Some(AT_ONCE)).expect("a time-out");
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nUser-Agent: Go-http-client/1.1\r\n\
         Accept-Encoding: gzip\r\n{more}Connection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).expect("asked");
    let mut all = Vec::new();
    stream.read_to_end(&mut all).expect("answered at once");
    let end = all.windows(4).position(|four| four == b"\r\n\r\n");
    let end = end.expect("a head");
    let head = String::from_utf8(all[..end].to_vec()).expect("text");
    let status = head.split(' ').nth(1).and_then(|word| word.parse().ok());
    Answer {
        status: status.expect("a status"),
        body: all[end + 4..].to_vec(),
        head,
    }
}

pub(super) fn get(address: &str, path: &str) -> Answer {
    ask(address, "GET", path, "")
}

/// l3afd's extractor of `.tar.gz`: the bytes of a body, the folder of a version, the artifact's name.
/// Gives the folder where it would look for the program.
pub(super) fn unpack(body: &[u8], into: &Path, artifact: &str) -> Result<PathBuf, String> {
    let mut plain = Vec::new();
    let mut gzip = flate2::read::GzDecoder::new(body);
    gzip.read_to_end(&mut plain)
        .map_err(|e| format!("gzip: {e}"))?;
    fs::create_dir_all(into.parent().expect("a parent")).map_err(|e| e.to_string())?;
    for entry in tar::Archive::new(plain.as_slice())
        .entries()
        .map_err(|e| e.to_string())?
    {
        let mut entry = entry.map_err(|e| format!("tar: {e}"))?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        if name.contains("..") || name == "./" {
            return Err(format!("it refuses `{name}`"));
        }
        let path = into.join(&name);
        let mode = fs::Permissions::from_mode(entry.header().mode().map_err(|e| e.to_string())?);
        if name.ends_with('/') {
            // `os.MkdirAll` of the directory entry: nothing else makes directories.
            fs::create_dir_all(&path).map_err(|e| e.to_string())?;
            fs::set_permissions(&path, mode).map_err(|e| e.to_string())?;
            continue;
        }
        let mut file = fs::File::create(&path).map_err(|e| format!("{name}: {e}"))?;
        std::io::copy(&mut entry, &mut file).map_err(|e| e.to_string())?;
        fs::set_permissions(&path, mode).map_err(|e| e.to_string())?;
    }
    let stem = artifact.split('.').next().unwrap_or_default();
    let program = into.join(stem);
    match program.is_dir() {
        true => Ok(program),
        false => Err(format!("there is no folder `{stem}`")),
    }
}

/// A tar.gz of these entries: a name and its content, none for a directory.
fn archive(entries: &[(&str, Option<&[u8]>)]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, content) in entries {
        let mut header = tar::Header::new_ustar();
        let raw = &mut header.as_old_mut().name;
        raw[..name.len()].copy_from_slice(name.as_bytes());
        let bytes = content.unwrap_or_default();
        header.set_size(bytes.len() as u64);
        header.set_mode(if content.is_some() { 0o644 } else { 0o755 });
        header.set_entry_type(match content {
            Some(_) => tar::EntryType::Regular,
            None => tar::EntryType::Directory,
        });
        header.set_cksum();
        tar.append(&header, bytes).expect("appended");
    }
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&tar.into_inner().expect("a tar"))
        .expect("packed");
    gzip.finish().expect("packed")
}

#[test]
fn the_client_fails_where_l3afd_does() {
    let folder = tempfile::tempdir().expect("a folder");
    let number = std::cell::Cell::new(0);
    let try_it = |body: &[u8]| {
        number.set(number.get() + 1);
        let into = folder.path().join(number.get().to_string()).join("1.0.0");
        unpack(body, &into, "drop.tar.gz")
    };
    let object = Some(&b"object"[..]);
    let good = archive(&[("drop/", None), ("drop/drop.bpf.o", object)]);
    let program = try_it(&good).expect("unpacked");
    assert_eq!(
        fs::read(program.join("drop.bpf.o")).expect("there"),
        b"object"
    );
    for (why, body) in [
        (
            "no directory entry",
            archive(&[("drop/drop.bpf.o", object)]),
        ),
        (
            "a late one",
            archive(&[("drop/drop.bpf.o", object), ("drop/", None)]),
        ),
        ("the root itself", archive(&[("./", None), ("drop/", None)])),
        (
            "dots in a name",
            archive(&[("drop/", None), ("drop/a..b.o", object)]),
        ),
        (
            "another folder",
            archive(&[("other/", None), ("other/drop.bpf.o", object)]),
        ),
        ("a truncated body", good[..good.len() / 2].to_vec()),
        ("an empty body", Vec::new()),
        ("no gzip", b"PK\x03\x04".to_vec()),
    ] {
        assert!(try_it(&body).is_err(), "{why}");
    }
}

/// The author's home, with a gateway in trusted mode and one in normal mode; their addresses.
pub(super) fn with_gateways(home: &mut Home) -> [String; 2] {
    home.configure(
        "listen = [\"127.0.0.1:0\"]\nmdns = false\n\
         [[gateway]]\nlisten = \"127.0.0.1:0\"\n\
         [[gateway]]\nlisten = \"127.0.0.1:0\"\nmode = \"normal\"\n",
    );
    home.start();
    let status = home.ok(&["node", "status"]);
    ["trusted", "normal"].map(|mode| {
        let mut lines = status.lines();
        let found = lines.find_map(|line| {
            let line = line.strip_prefix("gateways\thttp://")?;
            line.strip_suffix(mode)
                .map(|address| address.trim().to_owned())
        });
        found.expect("a gateway")
    })
}

const PATH: &str = "/l3afd/ana/drop/0.1.0/jammy/drop.tar.gz";

#[test]
fn l3afd_gets_what_policy_admits_and_can_unpack_it() {
    let author = author(true);
    let mut site = Home::new(true);
    site.ok(&["repo", "add", &author.ticket()]);
    let [trusted, normal] = with_gateways(&mut site);
    site.wait_for("0.1.0");

    let refused = get(&trusted, PATH);
    assert_eq!(refused.status, 403);
    assert!(refused.text().contains("hint: skep trust add ana/drop"));
    assert_eq!(refused.header("skep-mode"), None);
    wait_until("it is fetched", || get(&normal, PATH).status == 200);
    let marked = get(&normal, PATH);
    assert_eq!(marked.header("skep-mode"), Some("normal"));

    site.ok(&["trust", "add", "ana/drop"]);
    let answer = get(&trusted, PATH);
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("skep-mode"), None);
    let length = answer
        .header("content-length")
        .and_then(|text| text.parse().ok());
    assert_eq!(length, Some(answer.body.len()));
    assert_eq!(answer.header("content-encoding"), None);
    assert!(answer.body == marked.body);

    let into = site.path().join("bpf/drop/0.1.0");
    let program = unpack(&answer.body, &into, "drop.tar.gz").expect("unpacked");
    let folder = site.path().join("drop-0.1.0");
    fs::rename(&program, &folder).expect("moved");
    site.same_files("drop-0.1.0");
    let mode = fs::metadata(folder.join("dropctl"))
        .expect("there")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o755, "l3afd starts it");

    let latest = get(&trusted, "/l3afd/ana/drop/latest/noble/drop.tar.gz");
    assert!(latest.body == answer.body);
    let head = ask(&trusted, "HEAD", PATH, "");
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(
        head.header("content-length"),
        answer.header("content-length")
    );
    let part = ask(&trusted, "GET", PATH, "Range: bytes=100-299\r\n");
    assert!(part.status == 206 && part.body == answer.body[100..300]);
    let beyond = ask(&trusted, "GET", PATH, "Range: bytes=99999999-\r\n");
    assert_eq!(beyond.status, 416);
    let zip = get(&trusted, "/l3afd/ana/drop/0.1.0/jammy/drop.zip");
    assert!(zip.status == 200 && zip.body.starts_with(b"PK\x03\x04"));
}

#[test]
fn what_cannot_be_had_is_refused_at_once_and_shown_to_the_operator() {
    let mut author = Home::new(true);
    author.publish("0.1.0");
    let [trusted, _] = with_gateways(&mut author);
    author.ok(&["trust", "add", "ana/drop"]);
    for (path, says) in [
        ("/l3afd/bob/drop/0.1.0/jammy/drop.tar.gz", "it follows ana"),
        ("/l3afd/ana/drip/0.1.0/jammy/drop.tar.gz", "there are drop"),
        ("/l3afd/ana/drop/9.9.9/jammy/drop.tar.gz", "there are 0.1.0"),
        (
            "/l3afd/ana/drop/0.1.0/jammy/drop.tgz",
            "`drop.tgz` is not what l3afd can use",
        ),
        (
            "/l3afd/ana/drop/0.1.0/jammy/a.b.tar.gz",
            "`a.b.tar.gz` is not what l3afd can use",
        ),
        (
            "/l3afd/ana/drop/..%2f..%2fup/jammy/drop.tar.gz",
            "not a version",
        ),
        (
            "/l3afd/ana/drop/0.1.0/%00/drop.tar.gz",
            "the platform is no word",
        ),
    ] {
        let refused = get(&trusted, path);
        assert_eq!(refused.status, 404, "{path}: {}", refused.text());
        assert!(refused.text().contains(says), "{path}: {}", refused.text());
    }
    let status = author.ok(&["node", "status", "--json"]);
    assert!(
        status.contains("/l3afd/ana/drop/9.9.9/jammy/drop.tar.gz"),
        "{status}"
    );
    let doctor = author.ok(&["doctor"]);
    assert!(
        doctor.contains("answered 404 to /l3afd/ana/drop/9.9.9/"),
        "{doctor}"
    );
    author.wait_for_log("refused l3afd");
    for path in [
        "/l3afd/ana",
        "/l3afd/ana/drop/0.1.0/jammy/drop.tar.gz/more",
        "/",
        "/../../etc/passwd",
    ] {
        assert_eq!(get(&trusted, path).status, 404, "{path}");
    }
    assert_eq!(ask(&trusted, "POST", PATH, "").status, 405);
    assert_eq!(get(&trusted, PATH).status, 200, "others are served");
}

#[test]
fn a_release_that_is_not_here_is_fetched_while_l3afd_is_told_to_come_again() {
    let author = author(true);
    let ticket = author.ticket();
    let mut site = Home::new(true);
    site.ok(&["repo", "add", &ticket]);
    site.ok(&["trust", "add", "ana/drop"]);
    let [trusted, _] = with_gateways(&mut site);
    site.wait_for("0.1.0");
    let first = get(&trusted, PATH);
    assert_eq!(first.status, 503, "{}", first.text());
    assert!(first.text().contains("being fetched"), "{}", first.text());
    wait_until("it is here", || get(&trusted, PATH).status == 200);
    drop(author);
    assert_eq!(get(&trusted, PATH).status, 200, "the author is gone");
}

#[test]
fn two_nodes_give_the_same_bytes() {
    let mut author = Home::new(true);
    author.publish("0.1.0");
    let [_, ours] = with_gateways(&mut author);
    let ticket = author.ticket();
    let mut site = Home::new(true);
    site.ok(&["repo", "add", &ticket, "--trust"]);
    let [theirs, _] = with_gateways(&mut site);
    for name in ["drop.tar.gz", "drop.zip", "other-name.tar.gz"] {
        let path = format!("/l3afd/ana/drop/0.1.0/jammy/{name}");
        wait_until("it is kept", || get(&theirs, &path).status == 200);
        assert!(get(&ours, &path).body == get(&theirs, &path).body, "{name}");
    }
}

#[test]
fn a_damaged_file_is_not_handed_out() {
    let mut author = Home::new(true);
    author.publish("0.1.0");
    let [_, normal] = with_gateways(&mut author);
    let good = get(&normal, PATH);
    assert_eq!(good.status, 200);
    let blobs = author.path().join("store/blobs");
    for folder in fs::read_dir(blobs).expect("blobs").flatten() {
        for file in fs::read_dir(folder.path()).expect("a folder").flatten() {
            let mut bytes = fs::read(file.path()).expect("a blob");
            if let Some(byte) = bytes.first_mut() {
                *byte ^= 1;
            }
            fs::write(file.path(), bytes).expect("damaged");
        }
    }
    let refused = get(&normal, PATH);
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert!(refused.text().contains("damaged"), "{}", refused.text());
}
