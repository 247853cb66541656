//! `get --snippet l3afd`: a payload that names nothing which the gateway does not hand out, and none
//! at all where it would refuse.

use std::fs;

use serde_json::Value;

use super::home::{Home, author};
use super::l3afd::{get, unpack, with_gateways};

/// What is asked for on a machine of which nothing is known but that it has loopback.
const SNIPPET: [&str; 8] = [
    "get",
    "ana/drop",
    "--snippet",
    "l3afd",
    "--iface",
    "lo",
    "--platform",
    "noble",
];

fn snippet<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&SNIPPET, more].concat()
}

/// The only program of a payload, and the payload.
fn entry(text: &str) -> (Value, Value) {
    let payload: Value = serde_json::from_str(text).expect("JSON that can be posted");
    let programs = &payload[0]["bpf_programs"]["xdp_ingress"];
    assert_eq!(programs.as_array().map(Vec::len), Some(1));
    (programs[0].clone(), payload)
}

/// The path that l3afd asks for, from what it is given.
fn path(entry: &Value) -> (String, String) {
    let field = |name: &str| entry[name].as_str().expect(name).to_owned();
    let url = field("ebpf_package_repo_url");
    let rest = url.strip_prefix("http://").expect("a URL");
    let (address, root) = rest.split_once('/').expect("a path");
    let (name, version, artifact) = (field("name"), field("version"), field("artifact"));
    let path = format!("/{root}/{name}/{version}/noble/{artifact}");
    (address.to_owned(), path)
}

#[test]
fn the_payload_leads_to_what_was_verified() {
    let author = author(true);
    let mut site = Home::new(true);
    site.ok(&["repo", "add", &author.ticket()]);
    let [trusted, normal] = with_gateways(&mut site);
    site.wait_for("0.1.0");

    let refused = site.fails(3, &SNIPPET);
    assert!(refused.contains("skep trust add ana/drop"), "{refused}");
    site.ok(&["trust", "add", "ana/drop"]);

    let out = site.run(&SNIPPET);
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.success(), "{said}");
    for warned in [
        "stops what runs before it asks",
        "does not name",
        "no `cmd_start`",
    ] {
        assert!(said.contains(warned), "{warned}: {said}");
    }
    let text = String::from_utf8(out.stdout).expect("text");
    let (entry, payload) = entry(&text);
    let here = fs::read_to_string("/proc/sys/kernel/hostname").expect("a name");
    assert_eq!(payload[0]["host_name"], here.trim());
    assert_eq!(payload[0]["iface"], "lo");
    assert_eq!(entry["version"], "0.1.0", "never `latest`");
    assert_eq!(entry["prog_type"], "xdp");
    assert_eq!(entry["object_file"], "drop.bpf.o");
    assert!(
        entry["entry_function_name"].is_string(),
        "else its handler ends"
    );
    let (address, path) = path(&entry);
    assert_eq!(address, trusted);
    let answer = get(&address, &path);
    assert_eq!(answer.status, 200);
    let into = site.path().join("bpf/drop/0.1.0");
    let artifact = entry["artifact"].as_str().expect("a name");
    let program = unpack(&answer.body, &into, artifact).expect("unpacked");
    let object = entry["object_file"].as_str().expect("a path");
    assert!(program.join(object).is_file());
    site.nothing_written();

    let json = site.ok(&snippet(&["--json"]));
    let json: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["schema"], "skep.get.snippet/1");
    assert_eq!(json["payload"].as_str().map(str::trim), Some(text.trim()));

    let by_normal = site.ok(&snippet(&["--normal"]));
    assert!(
        by_normal.contains(&normal),
        "a gateway of that mode is asked"
    );
}

#[test]
fn it_is_fetched_first() {
    let author = author(true);
    let mut site = Home::new(true);
    site.ok(&["repo", "add", &author.ticket()]);
    site.ok(&["trust", "add", "ana/drop"]);
    let [trusted, _] = with_gateways(&mut site);
    site.wait_for("0.1.0");
    let (entry, _) = entry(&site.ok(&SNIPPET));
    drop(author);
    let (_, path) = path(&entry);
    assert_eq!(get(&trusted, &path).status, 200, "without anybody else");
}

#[test]
fn without_a_gateway_there_is_no_payload() {
    let mut home = Home::new(true);
    home.publish("0.1.0");
    let says = home.fails(5, &SNIPPET);
    assert!(says.contains("hint: skep node run"), "{says}");
    home.start();
    let says = home.fails(5, &SNIPPET);
    assert!(says.contains("no gateway in trusted mode"), "{says}");
}

#[test]
fn what_l3afd_could_not_use_is_said_before_anything_is_printed() {
    let mut home = Home::new(true);
    home.publish("0.1.0");
    with_gateways(&mut home);
    for (more, code, hint) in [
        (&["--program", "other"][..], 1, "--program FUNCTION"),
        (&["--platform", "noble-s390x"], 4, "skep info"),
    ] {
        // The last one of a flag that is given twice would be an error of its own.
        let base = match more[0] {
            "--platform" => &SNIPPET[..6],
            _ => &SNIPPET[..],
        };
        let out = home.run(&[base, more].concat());
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        assert_eq!(out.status.code(), Some(code), "{said}");
        assert!(said.contains(hint), "{said}");
        assert!(out.stdout.is_empty());
    }
    for wrong in [
        &[
            "get",
            "ana/drop",
            "--snippet",
            "l3afd",
            "--iface",
            "no-such0",
        ][..],
        &["get", "ana/drop", "--iface", "lo"],
        &["get", "ana/drop", "--snippet", "l3afd", "-o", "x"],
        &[
            "get",
            "ana/drop",
            "--snippet",
            "l3afd",
            "--host",
            "elsewhere",
        ],
        &[
            "get",
            "ana/drop",
            "--snippet",
            "l3afd",
            "--iface",
            "lo",
            "--platform",
            "../x",
        ],
    ] {
        let said = home.fails(2, wrong);
        assert!(!said.is_empty());
    }
}
