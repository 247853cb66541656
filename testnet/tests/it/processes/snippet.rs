//! `get --snippet l3afd`: a payload that names nothing which the gateway does not hand out, and none
//! at all where it would refuse.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;

use super::client::{get, unpack, with_gateways};
use super::home::{Home, author};

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

/// Runs a command where `lsb_release -cs` prints this word, as l3afd would be told.
fn asking(home: &Home, word: &str, args: &[&str]) -> std::process::Output {
    let tools = home.path().join("tools");
    fs::create_dir_all(&tools).expect("a folder");
    let tool = tools.join("lsb_release");
    fs::write(&tool, format!("#!/bin/sh\necho {word}\n")).expect("written");
    fs::set_permissions(&tool, fs::Permissions::from_mode(0o755)).expect("ours");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::iter::once(tools).chain(std::env::split_paths(&path));
    let path = std::env::join_paths(path).expect("a path");
    let mut command = home.command(args);
    command.env("PATH", path).output().expect("skep starts")
}

/// A configuration of l3afd that starts, and asks this gateway.
fn configuration(gateway: &str) -> String {
    format!(
        "[l3afd]\npid-file: /run/l3afd.pid\ndatacenter: here\nbpf-dir: /var/lib/l3afd\n\
         bpf-chaining-enabled: false\nBpfMapDefaultPath: /sys/fs/bpf\nhttp-client-timeout: 10ns\n\
         [ebpf-repo]\nurl: http://{gateway}/l3afd/ana\n\
         [l3af-config-store]\nfilename: /var/lib/l3afd/store.json\n\
         [mtls]\nenabled: false\n"
    )
}

/// What `doctor --l3afd` says, and its exit code.
fn doctor(home: &Home, config: &str, payload: &str) -> (Option<i32>, String) {
    fs::write(home.path().join("l3afd.cfg"), config).expect("written");
    fs::write(home.path().join("payload.json"), payload).expect("written");
    let out = asking(
        home,
        "noble",
        &["doctor", "--l3afd", "l3afd.cfg", "payload.json"],
    );
    let said = [out.stdout, out.stderr].concat();
    (
        out.status.code(),
        String::from_utf8_lossy(&said).into_owned(),
    )
}

#[test]
fn doctor_finds_nothing_wrong_with_what_was_printed_and_everything_with_what_was_typed() {
    let mut home = Home::new(true);
    home.publish("0.1.0");
    let [trusted, normal] = with_gateways(&mut home);
    let config = configuration(&trusted);
    // By the word of this machine, as l3afd asks.
    let printed = asking(&home, "noble", &SNIPPET[..6]);
    let told = String::from_utf8_lossy(&printed.stderr).into_owned();
    assert!(told.contains("/drop/0.1.0/noble/drop.tar.gz"), "{told}");
    let payload = String::from_utf8(printed.stdout).expect("text");
    let (code, said) = doctor(&home, &config, &payload);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("here, trusted; for linux/"), "{said}");
    assert!(said.contains("drop.bpf.o"), "{said}");

    let in_config: [(&str, &str, &str, &str); 12] = [
        (
            "bpf-dir: /var/lib/l3afd",
            "bpf-dir: /dev/shm",
            "empty after a boot",
            "bpf-dir: /var/lib/l3afd",
        ),
        ("10ns", "10s", "it overflows", "http-client-timeout: 10ns"),
        (
            "10ns",
            "20s",
            "one of 1553255926 s",
            "http-client-timeout: 10ns",
        ),
        (
            "http-client-timeout: 10ns\n",
            "",
            "`30s` is none",
            "http-client-timeout: 10ns",
        ),
        (
            "pid-file: /run/l3afd.pid\n",
            "",
            "without `pid-file`",
            "pid-file: ",
        ),
        (
            "[mtls]\nenabled: false",
            "[mtls]",
            "no certificates are named",
            "enabled: false",
        ),
        (
            "/l3afd/ana",
            "/l3afd/bob",
            "does not follow a repository `bob`",
            "skep repo add",
        ),
        ("/l3afd/ana", "/other", "to no repository", "/l3afd/ana"),
        (
            "url: http://",
            "url: https://",
            "does not speak TLS",
            "url: http://",
        ),
        (
            "url: http://",
            "url: ftp://",
            "http, https and file only",
            "url: http://",
        ),
        (
            "url: http://",
            "url: http://me:secret@",
            "writes the password",
            "",
        ),
        (
            "chaining-enabled: false",
            "chaining-enabled: true",
            "root program xdp-root@latest",
            "",
        ),
    ];
    for (from, to, found, hint) in in_config {
        let edited = config.replacen(from, to, 1);
        let (_, said) = doctor(&home, &edited, &payload);
        assert!(said.contains(found) && said.contains(hint), "{to}: {said}");
        assert!(edited != config, "{from} is not there");
    }
    let by_normal = config.replace(&trusted, &normal);
    let by_normal_payload = payload.replace(&trusted, &normal);
    let (_, said) = doctor(&home, &by_normal, &by_normal_payload);
    assert!(said.contains("a gateway in normal mode"), "{said}");
    assert!(
        said.contains(&format!("url: http://{trusted}/l3afd/ana")),
        "{said}"
    );

    let here = fs::read_to_string("/proc/sys/kernel/hostname").expect("a name");
    let host = format!("\"host_name\": \"{}\"", here.trim());
    let in_payload: [(&str, &str, &str); 12] = [
        (&host, "\"host_name\": \"elsewhere\"", "for another host"),
        (
            "\"iface\": \"lo\"",
            "\"iface\": \"no-such0\"",
            "there is no interface `no-such0`",
        ),
        (
            "\"version\": \"0.1.0\"",
            "\"version\": \"latest\"",
            "is used for ever",
        ),
        (
            "\"version\": \"0.1.0\"",
            "\"version\": \"../../up\"",
            "unpacks in another folder",
        ),
        (
            "\"version\": \"0.1.0\"",
            "\"version\": \"9.9.9\"",
            "there are 0.1.0",
        ),
        (
            "\"name\": \"drop\"",
            "\"name\": \"a/b\"",
            "unpacks in another folder",
        ),
        (
            "\"drop.tar.gz\"",
            "\"a.b.tar.gz\"",
            "no artifact that l3afd can unpack",
        ),
        (
            "\"entry_function_name\"",
            "\"entry_function\"",
            "ends with a panic",
        ),
        (
            "\"object_file\": \"drop.bpf.o\"",
            "\"object_file\": \"x.o\"",
            "no object `x.o`",
        ),
        (
            "\"prog_type\": \"xdp\"",
            "\"prog_type\": \"tc\"",
            "`prog_type` is `tc`",
        ),
        ("\"enabled\"", "\"on\"", "`admin_status` is `on`"),
        (
            "\"artifact\"",
            "\"cmd_start\": \"sh\", \"artifact\"",
            "`cmd_start` is `sh`",
        ),
    ];
    for (from, to, found) in in_payload {
        let edited = payload.replacen(from, to, 1);
        assert!(edited != payload, "{from} is not there: {payload}");
        let (code, said) = doctor(&home, &config, &edited);
        assert!(said.contains(found), "{to}: {said}");
        let warned = to.contains("latest");
        assert_eq!(code, Some(if warned { 0 } else { 6 }), "{to}: {said}");
    }
    for (config, payload) in [
        ("no option", "[]"),
        (config.as_str(), "{}"),
        (&config, "[["),
    ] {
        let (code, said) = doctor(&home, config, payload);
        assert_eq!(code, Some(2), "{said}");
    }
    home.fails(4, &["doctor", "--l3afd", "absent.cfg"]);

    home.ok(&["trust", "remove", "ana/ana"]);
    let (code, said) = doctor(&home, &config, &payload);
    assert_eq!(code, Some(6), "{said}");
    assert!(said.contains("answers 403: publisher"), "{said}");
    home.stop();
    let (code, said) = doctor(&home, &config, &payload);
    assert_eq!(code, Some(6), "{said}");
    assert!(said.contains("skep node run"), "{said}");
}

#[test]
fn doctor_says_what_is_not_here_yet() {
    let author = author(true);
    let mut site = Home::new(true);
    site.ok(&["repo", "add", &author.ticket()]);
    site.ok(&["trust", "add", "ana/drop"]);
    let [trusted, _] = with_gateways(&mut site);
    site.wait_for("0.1.0");
    let host = fs::read_to_string("/proc/sys/kernel/hostname").expect("a name");
    let payload = format!(
        "[{{\"host_name\":\"{}\",\"iface\":\"lo\",\"bpf_programs\":{{\"xdp_ingress\":[{{\
         \"name\":\"drop\",\"version\":\"0.1.0\",\"artifact\":\"drop.tar.gz\",\
         \"admin_status\":\"enabled\",\"prog_type\":\"xdp\",\"object_file\":\"drop.bpf.o\",\
         \"entry_function_name\":\"drop\"}}]}}}}]",
        host.trim()
    );
    let (code, said) = doctor(&site, &configuration(&trusted), &payload);
    assert_eq!(code, Some(6), "{said}");
    assert!(said.contains("the gateway answers 503"), "{said}");
    assert!(
        said.contains("skep get ana/drop@0.1.0 --snippet l3afd"),
        "{said}"
    );
}

/// Objects that nobody here wrote: those of Debian's libxdp1.
#[test]
#[expect(clippy::print_stderr, reason = "what was skipped is said in words")]
fn objects_of_others_go_the_whole_way() {
    let folders = fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    let mut objects: Vec<_> = folders
        .filter_map(|folder| fs::read_dir(folder.path().join("bpf")).ok())
        .flat_map(Iterator::flatten)
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "o"))
        .collect();
    objects.sort();
    if objects.is_empty() {
        eprintln!("skipped: there are no objects in /usr/lib/*/bpf (Debian: libxdp1)");
        return;
    }
    let mut home = Home::new(true);
    let mut names = Vec::new();
    for object in &objects {
        let stem = object.file_stem().expect("a name").to_string_lossy();
        let name = stem.replace(['_', '.'], "-");
        let from = object.display().to_string();
        home.ok(&["new", &name, "--from", &from]);
        home.ok(&["publish", &name]);
        names.push(name);
    }
    let [trusted, _] = with_gateways(&mut home);
    let mut printed = 0;
    for (name, object) in names.iter().zip(&objects) {
        let package = format!("ana/{name}");
        let line = [&["get", &package], &SNIPPET[2..]].concat();
        let out = home.run(&line);
        if !out.status.success() {
            // Several programs on one hook, or one that l3afd does not know: said, and nothing printed.
            let said = String::from_utf8_lossy(&out.stderr);
            assert!(said.contains("hint: --program FUNCTION"), "{name}: {said}");
            assert!(out.stdout.is_empty());
            continue;
        }
        printed += 1;
        let (entry, _) = entry(&String::from_utf8(out.stdout).expect("text"));
        let (address, path) = path(&entry);
        assert_eq!(address, trusted);
        let answer = get(&address, &path);
        assert_eq!(answer.status, 200, "{name}");
        let version = entry["version"].as_str().expect("a version");
        let into = home.path().join("bpf").join(name).join(version);
        let artifact = entry["artifact"].as_str().expect("a name");
        let program = unpack(&answer.body, &into, artifact).expect("unpacked");
        let file = program.join(entry["object_file"].as_str().expect("a path"));
        assert!(fs::read(file).expect("there") == fs::read(object).expect("there"));
    }
    assert!(
        printed >= 1,
        "none of {} has a program alone",
        objects.len()
    );
}
