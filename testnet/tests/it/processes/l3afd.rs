//! The gateway's route for l3afd, asked by its double (`client.rs`).

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;

use super::client::{L3afd, Wanted, ask, get, with_gateways};
use super::home::{Home, author, wait_until};

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

    let l3afd = L3afd {
        repo: (trusted.clone(), "/l3afd/ana".to_owned()),
        folder: site.path().join("bpf"),
    };
    let wanted = Wanted {
        name: "drop",
        version: "0.1.0",
        artifact: "drop.tar.gz",
    };
    let program = l3afd.start(wanted).expect("unpacked");
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
    let [trusted, normal] = with_gateways(&mut author);
    author.ok(&["trust", "add", "ana/drop"]);
    for (method, path) in [("GET", "/healthz"), ("GET", "/nowhere"), ("POST", PATH)] {
        let mode = |at: &str| {
            ask(at, method, path, "")
                .header("skep-mode")
                .map(str::to_owned)
        };
        assert_eq!(mode(&trusted), None, "{path}");
        assert_eq!(mode(&normal).as_deref(), Some("normal"), "{path}");
    }
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

/// More files than one answer keeps open (`OPEN_MAX` of the gateway) are opened when their turn comes.
#[test]
fn an_archive_of_very_many_files_needs_few_descriptors() {
    const FILES: usize = 300;
    let mut author = Home::new(true);
    let folder = author.package("0.1.0");
    let names: Vec<String> = (0..FILES).map(|n| format!("data-{n}.json")).collect();
    for name in &names {
        fs::write(
            format!("{folder}/{name}"),
            format!("{{\"of\": \"{name}\"}}"),
        )
        .expect("written");
    }
    let toml = format!("{folder}/skep.toml");
    let text = fs::read_to_string(&toml).expect("read");
    let text = text.replace("[[object]]", &format!("include = {names:?}\n\n[[object]]"));
    fs::write(&toml, text).expect("written");
    author.ok(&["publish", &folder]);
    author.ok(&["trust", "add", "ana/drop"]);
    let [trusted, _] = with_gateways(&mut author);
    let whole = get(&trusted, PATH);
    assert_eq!(whole.status, 200, "{}", whole.text());
    let l3afd = L3afd {
        repo: (trusted.clone(), "/l3afd/ana".to_owned()),
        folder: author.path().join("bpf"),
    };
    let wanted = Wanted {
        name: "drop",
        version: "0.1.0",
        artifact: "drop.tar.gz",
    };
    let program = l3afd.start(wanted).expect("unpacked");
    for name in &names {
        let found = fs::read_to_string(program.join(name)).expect("there");
        assert!(found.contains(name.as_str()), "{name}");
    }
    // So many of it would be all the descriptors that many systems give a process.
    let pid = author.node.as_ref().expect("a node").id();
    let open = || {
        let all = fs::read_dir(format!("/proc/{pid}/fd"));
        all.expect("of our child").count()
    };
    let before = open();
    let request = format!("GET {PATH} HTTP/1.1\r\nHost: x\r\n\r\n");
    let mut held = Vec::new();
    for _ in 0..8 {
        let mut stream = std::net::TcpStream::connect(&trusted).expect("it listens");
        stream.write_all(request.as_bytes()).expect("asked");
        let mut first = [0; 512];
        assert!(stream.read(&mut first).expect("answered") > 0);
        held.push(stream);
    }
    assert!(open() <= before + 8 * (64 + 1) + 16, "{}", open());
}
