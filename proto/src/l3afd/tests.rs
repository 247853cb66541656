use std::collections::BTreeMap;

use super::payload::{HOSTS_MAX, List, PAYLOAD_BYTES_MAX, PROGRAMS_MAX, Program, read, write};
use super::*;
use crate::ebpf::Direction;
use crate::hash::{Blake3, Sha256};
use crate::id::RepoId;
use crate::package::manifest::{self, Details, Facts, File, FileKind, Manifest};

fn file(path: &str, kind: FileKind) -> File {
    File {
        path: path.to_owned(),
        kind,
        size: 3,
        sha256: Sha256::of(&[path.as_bytes()]),
        blake3: Blake3::of(&[path.as_bytes()]),
        executable: false,
        endian: None,
        os: None,
        arch: None,
    }
}

/// A program as an object's section tells it.
fn program(name: &str, section: &str) -> manifest::Program {
    let kind = crate::ebpf::kind_of_section(section).expect("a section");
    manifest::Program {
        name: name.to_owned(),
        object: "drop.bpf.o".to_owned(),
        section: section.to_owned(),
        kind: Some(kind.program_type.to_string()),
        hook: Some(kind.hook.to_owned()),
        target: kind.target,
        direction: kind.direction.map(|direction| direction.to_string()),
        attach_type: kind.attach_type.map(str::to_owned),
        sleepable: false,
        frags: false,
        optional: false,
        alternative: None,
        chain: None,
        instructions: 2,
    }
}

fn map(name: &str) -> manifest::Map {
    manifest::Map {
        name: name.to_owned(),
        object: "drop.bpf.o".to_owned(),
        kind: "prog_array".to_owned(),
        key_size: 4,
        value_size: 4,
        max_entries: 1,
        flags: 0,
        pinned: false,
        source: "btf".to_owned(),
        description: None,
        values: Vec::new(),
    }
}

/// A release with these programs, and what its author says for l3afd.
struct Case {
    facts: Facts,
    manifest: Manifest,
}

fn case(programs: &[manifest::Program], said: &str) -> Case {
    let facts = Facts {
        programs: programs.to_vec(),
        maps: vec![map("next")],
        ..Facts::default()
    };
    let manifest = Manifest {
        repo: RepoId::from_hash(Sha256::of(&[b"repo"])),
        name: "drop".parse().expect("a name"),
        version: "1.2.0".parse().expect("a version"),
        details: Details {
            l3afd: Some(serde_json::from_str(said).expect("a table")),
            ..Details::default()
        },
        files: vec![
            file("drop.bpf.o", FileKind::Object),
            file("dropctl", FileKind::Program),
        ],
        unknown: BTreeMap::new(),
    };
    Case { facts, manifest }
}

impl Case {
    fn with(
        &self,
        program: Option<&str>,
        direction: Option<Direction>,
    ) -> Result<(Vec<payload::Host>, Vec<String>), Unfit> {
        let files: Vec<&File> = self.manifest.files.iter().collect();
        let artifact = artifact_of(&self.manifest);
        let wanted = Wanted {
            host: "site",
            iface: "eth0",
            repo_url: "http://127.0.0.1:7700/l3afd/ana",
            artifact: &artifact,
            program,
            direction,
        };
        super::payload(&self.manifest, &self.facts, &files, &wanted)
    }

    /// The only program, and the list in which it stands.
    fn only(&self) -> (List, Program) {
        let (hosts, _) = self.with(None, None).expect("a payload");
        let [host] = hosts.as_slice() else {
            panic!("one host")
        };
        let all: Vec<_> = host.bpf_programs.all().collect();
        let [(list, program)] = all.as_slice() else {
            panic!("one program, not {}", all.len())
        };
        (*list, (*program).clone())
    }

    fn refused(&self) -> Unfit {
        self.with(None, None).expect_err("refused")
    }
}

#[test]
fn a_payload_has_what_l3afd_needs_and_reads_back() {
    let said = r#"{"artifact":"l3af_drop.zip","map_name":"next","cmd_start":"dropctl",
        "user_program_daemon":true,"start_args":{"port":"9"},"colour":"red",
        "monitor_maps":[{"name":"next","key":0,"aggregator":"scalar"}]}"#;
    let case = case(&[program("drop", "xdp")], said);
    let (hosts, unknown) = case.with(None, None).expect("a payload");
    assert_eq!(unknown, ["colour"]);
    let text = write(&hosts);
    assert_eq!(read(text.as_bytes()).expect("read"), hosts);
    let json: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(json[0]["host_name"], "site");
    assert_eq!(json[0]["iface"], "eth0");
    let entry = &json[0]["bpf_programs"]["xdp_ingress"][0];
    let expected = serde_json::json!({
        "name": "drop", "seq_id": 1, "artifact": "l3af_drop.zip", "map_name": "next",
        "cmd_start": "dropctl", "version": "1.2.0", "user_program_daemon": true,
        "admin_status": "enabled", "prog_type": "xdp", "start_args": {"port": "9"},
        "monitor_maps": [{"name": "next", "key": 0, "aggregator": "scalar"}],
        "ebpf_package_repo_url": "http://127.0.0.1:7700/l3afd/ana",
        "object_file": "drop.bpf.o", "entry_function_name": "drop",
    });
    assert_eq!(*entry, expected);
    for field in entry.as_object().expect("an object").keys() {
        assert!(payload::FIELDS.contains(&field.as_str()), "{field}");
    }
}

#[test]
fn an_author_cannot_say_what_is_asked_for() {
    let said = r#"{"name":"../../up","version":"latest","prog_type":"tc","admin_status":"disabled",
        "ebpf_package_repo_url":"http://elsewhere","artifact":"a.b.tar.gz","id":7}"#;
    let (list, entry) = case(&[program("drop", "xdp")], said).only();
    assert_eq!(list, List::XdpIngress);
    assert_eq!((entry.name.as_str(), entry.id), ("drop", 0));
    assert_eq!(entry.version, "1.2.0");
    assert_eq!(
        (entry.prog_type.as_str(), entry.admin_status.as_str()),
        ("xdp", "enabled")
    );
    assert_eq!(
        entry.ebpf_package_repo_url,
        "http://127.0.0.1:7700/l3afd/ana"
    );
    assert_eq!(entry.artifact, "drop.tar.gz");
}

#[test]
fn every_hook_goes_to_its_list() {
    for (section, list, kind) in [
        ("xdp", List::XdpIngress, "xdp"),
        ("xdp.frags", List::XdpIngress, "xdp"),
        ("tc/ingress", List::TcIngress, "tc"),
        ("tcx/egress", List::TcEgress, "tc"),
        ("kprobe/do_unlinkat", List::Probes, "kprobe"),
        ("kretprobe/do_unlinkat", List::Probes, "kretprobe"),
        ("uprobe//bin/sh:main", List::Probes, "uprobe"),
        (
            "tracepoint/sock/inet_sock_set_state",
            List::Probes,
            "tracepoint",
        ),
    ] {
        let (found, entry) = case(&[program("it", section)], "{}").only();
        assert_eq!((found, entry.prog_type.as_str()), (list, kind), "{section}");
    }
    for section in [
        "lsm/file_open",
        "fentry/do_unlinkat",
        "xdp/devmap",
        "netkit/peer",
        "socket",
        "tp/a/b",
        "kprobe.multi/x",
        "action",
    ] {
        let refused = case(&[program("it", section)], "{}").refused();
        assert!(
            matches!(refused, Unfit::Unknown { .. }),
            "{section}: {refused}"
        );
    }
    for section in ["kprobe", "tracepoint", "tracepoint/sock"] {
        let refused = case(&[program("it", section)], "{}").refused();
        assert!(
            matches!(refused, Unfit::NoTarget { .. }),
            "{section}: {refused}"
        );
    }
}

#[test]
fn of_several_programs_one_is_named() {
    let two = case(&[program("a", "xdp"), program("b", "xdp")], "{}");
    let there = "a, b".to_owned();
    assert_eq!(
        two.refused(),
        Unfit::Several {
            there: there.clone()
        }
    );
    let (hosts, _) = two.with(Some("b"), None).expect("a payload");
    assert_eq!(
        hosts[0].bpf_programs.xdp_ingress[0].entry_function_name,
        "b"
    );
    let program_of = |name: &str| Unfit::NoProgram {
        program: name.to_owned(),
        there: there.clone(),
    };
    assert_eq!(two.with(Some("c"), None), Err(program_of("c")));
    let by_author = case(
        &[program("a", "xdp"), program("b", "xdp")],
        r#"{"entry_function_name":"a"}"#,
    );
    assert_eq!(by_author.only().1.entry_function_name, "a");

    let lists = case(&[program("a", "xdp"), program("b", "tc/egress")], "{}");
    let (hosts, _) = lists.with(None, None).expect("one each");
    assert_eq!(hosts[0].bpf_programs.all().count(), 2);

    let probes = [program("a", "kprobe/x"), program("b", "kretprobe/x")];
    assert_eq!(case(&probes, "{}").only().1.entry_function_name, "a");
    let with_another = [program("a", "kprobe/x"), program("b", "fentry/x")];
    let case = case(&with_another, "{}");
    // l3afd attaches every probe of the object, whichever is named.
    assert!(
        matches!(case.with(Some("a"), None), Err(Unfit::Unknown { program, .. }) if program == "b")
    );
}

#[test]
fn a_direction_is_said_by_the_section_or_by_the_operator() {
    let case = case(&[program("it", "tc")], "{}");
    assert!(matches!(case.refused(), Unfit::NoDirection { .. }));
    let (hosts, _) = case.with(None, Some(Direction::Egress)).expect("said");
    assert_eq!(hosts[0].bpf_programs.tc_egress.len(), 1);
}

#[test]
fn what_leads_out_of_the_release_is_refused() {
    for said in [
        r#"{"cmd_start":"../../bin/sh"}"#,
        r#"{"cmd_start":"/bin/sh"}"#,
        r#"{"cmd_status":"drop.bpf.o"}"#,
        r#"{"map_name":"../../next"}"#,
        r#"{"map_name":"other"}"#,
        r#"{"rules_file":"../passwd"}"#,
        r#"{"config_file_path":"/etc/../passwd"}"#,
        r#"{"monitor_maps":[{"name":"other","key":0,"aggregator":"avg"}]}"#,
        r#"{"start_args":{"port":9}}"#,
        r#"{"user_program_daemon":"yes"}"#,
        r#"{"seq_id":"first"}"#,
    ] {
        let refused = case(&[program("drop", "xdp")], said).refused();
        assert!(matches!(refused, Unfit::Field { .. }), "{said}: {refused}");
    }
    let mut odd = program("drop", "xdp");
    odd.object = "a b.o".to_owned();
    let mut case = case(&[odd], "{}");
    case.manifest.files[0].path = "a b.o".to_owned();
    assert!(matches!(case.refused(), Unfit::Field { .. }));
    case.manifest.files.remove(0);
    assert_eq!(case.refused(), Unfit::Nothing, "not for this platform");
}

#[test]
fn payloads_are_bounded_and_null_is_nothing() {
    let one = r#"{"name":null,"version":"1.0.0","start_args":null,"more":[1.5]}"#;
    let many = |count: usize| {
        let all = vec![one; count].join(",");
        format!(r#"[{{"host_name":null,"bpf_programs":{{"xdp_ingress":[{all}],"probes":null}}}}]"#)
    };
    let hosts = read(many(PROGRAMS_MAX).as_bytes()).expect("as many as are looked at");
    assert_eq!(hosts[0].bpf_programs.xdp_ingress[0].version, "1.0.0");
    assert!(read(many(PROGRAMS_MAX + 1).as_bytes()).is_err());
    let hosts = |count: usize| format!("[{}]", vec!["{}"; count].join(","));
    let most = read(hosts(HOSTS_MAX).as_bytes()).expect("as many as are looked at");
    assert_eq!(most.len(), HOSTS_MAX);
    assert!(read(hosts(HOSTS_MAX + 1).as_bytes()).is_err());
    let max = usize::try_from(PAYLOAD_BYTES_MAX).expect("small");
    let padded = |size: usize| format!("[]{}", " ".repeat(size - 2));
    assert!(read(padded(max).as_bytes()).is_ok());
    assert!(read(padded(max + 1).as_bytes()).is_err());
    let deep = "[".repeat(100_000);
    for bad in ["", "{}", "[1]", r#"[{"iface":7}]"#, "[{}]x", &deep] {
        assert!(
            read(bad.as_bytes()).is_err(),
            "{}",
            &bad[..bad.len().min(9)]
        );
    }
}

#[test]
fn a_configuration_is_read_as_l3afd_reads_it() {
    let text = "[DEFAULT]\nshared: yes\n\n# c\n[l3afd]\nbpf-dir: /dev/shm  # gone at boot\n\
                url = http://x/#/a;b\nlong: a\n  b\nspaced : v\n; c\n[ mtls ]\nenabled: Off\n";
    let config = config::read(text).expect("read");
    assert_eq!(config.get("l3afd", "bpf-dir"), Some("/dev/shm"));
    assert_eq!(config.get("l3afd", "url"), Some("http://x/#/a;b"));
    assert_eq!(config.get("l3afd", "long"), Some("a\nb"));
    assert_eq!(config.get("l3afd", "spaced"), Some("v"));
    assert_eq!(config.get("l3afd", "Spaced"), None);
    assert_eq!(config.flag("mtls", "enabled"), Some(false));
    assert_eq!(config.flag("l3afd", "shared"), Some(true));
    assert_eq!(config.flag("l3afd", "long"), None);
    for (bad, line) in [
        ("[a]\nword\n", 2),
        ("  b: c\n", 1),
        ("[a]\n: v\n", 2),
        ("[a\n", 1),
    ] {
        assert_eq!(config::read(bad), Err(config::Error { line }), "{bad}");
    }
}

#[test]
fn a_time_is_read_as_go_does_and_multiplied_as_l3afd_does() {
    let ns = config::nanoseconds;
    for (text, expected) in [
        ("10s", Some(10_000_000_000)),
        ("1m30s", Some(90_000_000_000)),
        ("10ns", Some(10)),
        ("1.5ms", Some(1_500_000)),
        (".5s", Some(500_000_000)),
        ("-2us", Some(-2_000)),
        ("3µs", Some(3_000)),
        ("0", Some(0)),
        ("2562047h", Some(9_223_369_200_000_000_000)),
        ("2562048h", None),
        ("10", None),
        ("", None),
        ("-", None),
        ("s", None),
        (".s", None),
        ("1.2.3s", None),
        ("1d", None),
        ("99999999999999999999s", None),
    ] {
        assert_eq!(ns(text), expected, "{text}");
    }
    let effective = |text| config::time_out(ns(text).expect("a time"));
    assert_eq!(effective("10s"), None);
    assert_eq!(effective("30s"), None);
    assert_eq!(effective("0"), None);
    assert_eq!(effective("10ns"), Some(10_000_000_000));
}

#[test]
fn plain_words_lead_nowhere_else() {
    for word in ["drop", "a.b", "l3af_x-1"] {
        assert!(is_plain(word), "{word}");
    }
    for word in ["", ".", "..", "a..b", "a/b", "a b", "é", "a\0"] {
        assert!(!is_plain(word), "{word}");
    }
}

proptest::proptest! {
    #[test]
    fn nothing_that_is_read_panics(text in "\\PC*", bytes: Vec<u8>) {
        drop(config::read(&text));
        drop(config::read(&String::from_utf8_lossy(&bytes)));
        config::nanoseconds(&text).map(config::time_out);
        drop(read(text.as_bytes()));
        drop(read(&bytes));
    }

    #[test]
    fn any_time_that_is_read_is_multiplied(number: i64, unit in "(ns|us|ms|s|m|h)") {
        let read = config::nanoseconds(&format!("{number}{unit}"));
        if unit == "ns" {
            proptest::prop_assert!(read == Some(number) || number == i64::MIN);
        }
        read.map(config::time_out);
    }
}
