use std::collections::BTreeMap;

use super::*;
use crate::hash::Sha256;
use crate::id::RepoId;
use crate::package::manifest::{Details, Facts, Kernel, Manifest, Program};

fn parse(text: &str) -> Result<Query, QueryError> {
    Query::parse(text)
}

fn word(text: &str) -> Word {
    Word {
        parts: vec![text.to_owned()],
        whole: false,
        in_name: false,
    }
}

#[test]
fn words_are_letters_and_digits_in_lower_case() {
    let all = |text| words(text).collect::<Vec<_>>();
    assert_eq!(all("_xdp_Rate-Limit 2"), ["xdp", "rate", "limit", "2"]);
    assert_eq!(all("ÄÖ straße"), ["äö", "straße"]);
    // A mark is no letter, wherever it comes from.
    assert_eq!(all("İx"), ["ix"]);
    assert_eq!(all("\u{1b}[2J\u{202e}evil\u{2066}"), ["2j", "evil"]);
    assert_eq!(all(" -- \u{301} "), [""; 0]);
}

#[test]
fn of_a_long_word_the_beginning_counts() {
    let one = |text: &str| words(text).next().expect("a word").len();
    assert_eq!(one(&"a".repeat(WORD_BYTES_MAX)), WORD_BYTES_MAX);
    assert_eq!(one(&"a".repeat(WORD_BYTES_MAX + 1)), WORD_BYTES_MAX);
    // No letter is cut in two.
    assert_eq!(one(&format!("a{}", "ä".repeat(100))), WORD_BYTES_MAX - 1);
}

#[test]
fn a_query_has_words_and_fields() {
    let query =
        parse("Rate-limit hook:XDP,tc name:drop \"syn flood\" trusted:no").expect("a query");
    assert_eq!(
        query.words,
        [
            word("rate"),
            word("limit"),
            Word {
                in_name: true,
                ..word("drop")
            },
            Word {
                parts: vec!["syn".to_owned(), "flood".to_owned()],
                whole: true,
                in_name: false,
            },
        ]
    );
    let hooks = vec!["xdp".to_owned(), "tc".to_owned()];
    assert_eq!(query.filters, [Filter::Hook(hooks), Filter::Trusted(false)]);
    assert_eq!(parse("  "), Ok(Query::default()));
}

#[test]
fn a_quoted_colon_is_no_field() {
    let query = parse("\"tp_btf:sched\" :x").expect("a query");
    let parts: Vec<_> = query.words.iter().map(|it| it.parts.join(" ")).collect();
    assert_eq!(parts, ["tp btf sched", "x"]);
}

#[test]
fn what_is_no_query_says_what_to_type() {
    let cases = [
        (
            "colour:red",
            "`colour` is not something to search by",
            "name: hook:",
        ),
        ("hook:", "`hook:` is followed by nothing", "hook:xdp"),
        ("hook:xdp,", "`hook:` is followed by nothing", "hook:xdp"),
        ("name: x", "`name:` is followed by nothing", "name:drop"),
        (
            "license:GPL",
            "`GPL` is not a value of `license:`",
            "SPDX has GPL-1.0-only",
        ),
        (
            "license:nonfree",
            "`nonfree` is not a value of `license:`",
            "GPL-2.0-only",
        ),
        ("arch:sparc", "`sparc` is not a value of `arch:`", "x86_64"),
        ("kernel:5", "`5` is not a value of `kernel:`", "kernel:5.15"),
        (
            "kernel:5.015",
            "`5.015` is not a value of `kernel:`",
            "kernel:5.15",
        ),
        (
            "kernel:5.1.2.3",
            "`5.1.2.3` is not a value of `kernel:`",
            "kernel:5.15",
        ),
        ("repo:A!", "`A!` is not a value of `repo:`", "skep repo"),
        (
            "trusted:maybe",
            "`maybe` is not a value of `trusted:`",
            "trusted:yes",
        ),
        ("--", "`--` has no letter or digit", "letters"),
        (
            "\"open",
            "a quotation mark is opened and not closed",
            "\"two words\"",
        ),
        (
            "a\u{1b}[2Jb:c",
            "`a\\u{1b}[2Jb` is not something to search by",
            "\\u{1b}",
        ),
    ];
    for (text, message, hint) in cases {
        let error = parse(text).expect_err(text);
        assert_eq!(error.to_string(), message);
        assert!(error.hint().contains(hint), "{text}: {}", error.hint());
    }
}

#[test]
fn every_field_is_read_and_shown_by_example() {
    for field in FIELDS {
        let error = parse(&format!("{field}:")).expect_err(field);
        let hint = error.hint();
        let example = hint.strip_prefix("for example ").expect("an example");
        let query = parse(example).expect(example);
        assert_eq!(query.words.len() + query.filters.len(), 1, "{example}");
    }
}

#[test]
fn queries_are_bounded() {
    let longest = "a".repeat(QUERY_BYTES_MAX);
    assert!(parse(&longest).is_ok());
    let size = QUERY_BYTES_MAX + 1;
    assert_eq!(
        parse(&format!("{longest}a")),
        Err(QueryError::TooLong { size })
    );
    let terms = |count: usize| vec!["a"; count].join(" ");
    assert!(parse(&terms(TERMS_MAX)).is_ok());
    assert_eq!(parse(&terms(TERMS_MAX + 1)), Err(QueryError::TooManyTerms));
    // Whatever way they come.
    let quoted = format!("\"{}\"", terms(TERMS_MAX + 1));
    assert_eq!(parse(&quoted), Err(QueryError::TooManyTerms));
    let values = format!("hook:{}", vec!["a"; TERMS_MAX + 1].join(","));
    assert_eq!(parse(&values), Err(QueryError::TooManyTerms));
    let joined = vec!["a"; TERMS_MAX + 1].join("-");
    assert_eq!(parse(&joined), Err(QueryError::TooManyTerms));
}

#[test]
fn kernels_are_compared_by_number() {
    let kernel = |text: &str| text.parse::<KernelVersion>().expect("a version");
    assert!(kernel("5.15").is_at_least(&kernel("5.9")));
    assert!(kernel("5.15").is_at_least(&kernel("5.15")));
    assert!(!kernel("5.15").is_at_least(&kernel("5.15.3")));
    assert!(kernel("5.15.3").fits(&kernel("5.15")));
    assert!(!kernel("5.15.3").fits(&kernel("5.15.4")));
    assert!("65536.0".parse::<KernelVersion>().is_err());
}

fn program(name: &str, target: Option<&str>) -> Program {
    Program {
        name: name.to_owned(),
        object: "drop.bpf.o".to_owned(),
        section: "xdp".to_owned(),
        kind: Some("XDP".to_owned()),
        hook: Some("xdp".to_owned()),
        target: target.map(str::to_owned),
        direction: None,
        attach_type: None,
        sleepable: false,
        frags: false,
        optional: false,
        alternative: None,
        chain: None,
        instructions: 2,
    }
}

fn manifest(programs: Vec<Program>, kernel: Kernel) -> Manifest {
    Manifest {
        repo: RepoId::from_hash(Sha256::of(&[b"repo"])),
        name: "syn-guard".parse().expect("a name"),
        version: "1.0.0".parse().expect("a version"),
        details: Details {
            license: "GPL-2.0-only OR (MIT AND GPL-3.0-or-later WITH GCC-exception-3.1)".to_owned(),
            description: "Drops floods".to_owned(),
            keywords: vec!["DDoS".to_owned()],
            platform: "linux".to_owned(),
            facts: Some(Facts {
                programs,
                ..Facts::default()
            }),
            kernel: Some(kernel),
            ..Details::default()
        },
        files: Vec::new(),
        unknown: BTreeMap::new(),
    }
}

#[test]
fn what_a_manifest_says_can_be_found() {
    let programs = vec![
        program("guard_in", Some("do_unlinkat")),
        program("guard_in", None),
    ];
    let document = Document::of(&manifest(programs, Kernel::default()), None);
    assert_eq!(document.programs, ["guard_in", "do_unlinkat"]);
    assert_eq!(
        (document.hooks.as_slice(), document.types.as_slice()),
        (&["xdp".to_owned()][..], &["xdp".to_owned()][..],)
    );
    assert_eq!(
        document.licenses,
        [
            "gcc-exception-3.1",
            "gpl-2.0-only",
            "gpl-3.0-or-later",
            "mit"
        ]
    );
    let bag = document.bag();
    for word in [
        "syn", "guard", "synguard", "ddos", "drops", "floods", "xdp", "in", "unlinkat", "gpl",
    ] {
        assert!(bag.contains_key(word), "{word}");
    }
}

#[test]
fn facts_that_stand_apart_count_when_they_are_there() {
    let mut apart = manifest(Vec::new(), Kernel::default());
    let facts = Facts {
        programs: vec![program("guard", None)],
        ..Facts::default()
    };
    apart.details.facts = None;
    assert_eq!(Document::of(&apart, None).hooks, [""; 0]);
    assert_eq!(Document::of(&apart, Some(&facts)).hooks, ["xdp"]);
}

#[test]
fn so_many_programs_are_looked_at_and_no_more() {
    let programs = |count: usize| {
        (0..count)
            .map(|n| program(&format!("p{n}"), None))
            .collect()
    };
    let count = |n| {
        Document::of(&manifest(programs(n), Kernel::default()), None)
            .programs
            .len()
    };
    assert_eq!(count(PROGRAMS_MAX), PROGRAMS_MAX);
    assert_eq!(count(PROGRAMS_MAX + 1), PROGRAMS_MAX);
}

#[test]
fn a_package_runs_on_what_its_author_says() {
    let runs = |min: Option<&str>, tested: &[&str], on: &str| {
        let kernel = Kernel {
            min: min.map(str::to_owned),
            tested: tested.iter().map(|it| (*it).to_owned()).collect(),
            ..Kernel::default()
        };
        let document = Document::of(&manifest(Vec::new(), kernel), None);
        document.kernels.have(&on.parse().expect("a version"))
    };
    assert!(runs(Some("5.9"), &[], "5.15"));
    assert!(!runs(Some("5.16"), &[], "5.15"));
    // Older than what it needs, and tried there all the same.
    assert!(runs(Some("5.16"), &["5.15.3"], "5.15"));
    assert!(!runs(None, &[], "5.15"));
}
