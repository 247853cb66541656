use super::*;
use crate::trust::file::with_peers;

/// A file with these lines between what must be there and a rule of trust.
fn text(lines: &str) -> String {
    let id = crate::id::RepoId::from_hash(crate::hash::Sha256::of(&[b"x"]));
    format!(
        "id = \"{id}\" # ours\nroot = {{ version = 1, sha256 = \"{}\" }}\n{lines}\n\
         # why we trust them\n[[trust]]\nnames = [\"drop\"]\npublishers = [{{ key = \"SHA256:x\" }}]\n",
        crate::hash::Sha256::of(&[b"root"]),
    )
}

fn rule(names: &[&str], newest: Newest, size: Option<u64>) -> Keep {
    Keep {
        names: names
            .iter()
            .map(|name| name.parse().expect("a glob"))
            .collect(),
        newest,
        size: size.map(Size),
    }
}

fn read(text: &str) -> RepoFile {
    RepoFile::parse(text).unwrap_or_else(|e| panic!("{e}\n{text}"))
}

const TEN: u64 = 10 << 30;

#[test]
fn one_rule_stands_on_a_line_and_many_in_tables() {
    let newest = Newest::Count(3);
    for (lines, rules) in [
        ("", vec![]),
        ("keep = { newest = 3 }", vec![rule(&["*"], newest, None)]),
        (
            "keep = { newest = 3, size = \"10 GiB\" }",
            vec![rule(&["*"], newest, Some(TEN))],
        ),
        (
            "keep = [{ names = [\"x*\", \"y\"], newest = \"all\" }]",
            vec![rule(&["x*", "y"], Newest::All, None)],
        ),
        (
            "[[keep]]\nnewest = 3\n[[keep]]\nnames = [\"y\"]\nnewest = \"all\"",
            vec![rule(&["*"], newest, None), rule(&["y"], Newest::All, None)],
        ),
        ("[keep]\nnewest = 3", vec![rule(&["*"], newest, None)]),
    ] {
        assert_eq!(read(&text(lines)).keep, rules, "{lines}");
    }
}

#[test]
fn what_cannot_be_meant_is_refused_by_name() {
    for (lines, why) in [
        ("keep = { newest = 3, sizes = 1 }", "sizes"),
        ("keep = { newest = 3, size = 10 }", "string"),
        ("keep = { newest = 3, size = \"10 GB\" }", "10 GB"),
        ("keep = { newest = \"some\" }", "some"),
        ("keep = { newest = -1 }", "number of versions"),
        ("keep = { size = \"1 GiB\" }", "newest"),
        ("keep = { names = [], newest = 1 }", "names"),
        ("keep = { names = [\"A\"], newest = 1 }", "pattern"),
        ("keep = 3", "a rule such as"),
        ("kept = [\"drop\"]", "NAME@VERSION"),
        ("kept = [\"drop@one\"]", "NAME@VERSION"),
    ] {
        let refused = RepoFile::parse(&text(lines)).expect_err(lines).to_string();
        assert!(refused.contains(why), "{lines}: {refused}");
    }
}

#[test]
fn as_many_rules_and_releases_as_the_limits_say() {
    let rules = |count: usize| "[[keep]]\nnewest = 1\n".repeat(count);
    assert_eq!(
        read(&text(&rules(KEEP_RULES_MAX))).keep.len(),
        KEEP_RULES_MAX
    );
    let key = "keep";
    let most = KEEP_RULES_MAX;
    let refused = RepoFile::parse(&text(&rules(KEEP_RULES_MAX + 1)));
    assert_eq!(refused, Err(Error::TooMany { key, most }));
    let full = text(&rules(KEEP_RULES_MAX));
    let one_more = with_keep(&full, &rule(&["x"], Newest::All, None));
    assert_eq!(one_more, Err(Error::TooMany { key, most }));

    let kept = |count: usize| format!("kept = [{}]", "\"a@1.0.0\", ".repeat(count));
    assert_eq!(read(&text(&kept(KEPT_MAX))).kept.len(), KEPT_MAX);
    let (key, most) = ("kept", KEPT_MAX);
    let refused = RepoFile::parse(&text(&kept(KEPT_MAX + 1)));
    assert_eq!(refused, Err(Error::TooMany { key, most }));
}

/// Every way in which rules may be written.
const FORMS: [&str; 7] = [
    "",
    "keep = { newest = 3 } # few",
    "keep = { newest = 3, size = \"10 GiB\" }\n# and\npeers = []",
    "keep = [ # two\n  { names = [\"x*\"], newest = 1 },\n  { newest = 2 },\n]",
    "# first\n[[keep]]\nnames = [\"x*\"] # x\nnewest = 1\n\n# second\n[[keep]]\nnewest = 2\n",
    "[[keep]]\nnewest = 2\n\n# of the other\n",
    "kept = [\"drop@1.0.0\"] # mine\n",
];

#[test]
fn a_rule_is_added_or_takes_the_place_of_its_like() {
    let rules = [
        rule(&["*"], Newest::All, None),
        rule(&["x*"], Newest::Count(7), Some(TEN)),
        rule(&["a", "b"], Newest::Count(1), None),
    ];
    for form in FORMS {
        for rule in &rules {
            let before = read(&text(form));
            let edited = with_keep(&text(form), rule).expect(form);
            let after = read(&edited);
            let same = before
                .keep
                .iter()
                .filter(|old| old.names == rule.names)
                .count();
            assert_eq!(after.keep.len(), before.keep.len() + 1 - same, "{edited}");
            assert!(after.keep.contains(rule), "{edited}");
            assert_eq!(
                RepoFile {
                    keep: vec![],
                    ..after
                },
                RepoFile {
                    keep: vec![],
                    ..before
                }
            );
            let again = with_keep(&edited, rule).expect(form);
            assert_eq!(read(&again), read(&edited), "said twice");
        }
    }
}

#[test]
fn a_rule_goes_and_the_others_stay() {
    for form in FORMS {
        let before = read(&text(form));
        for at in 0..before.keep.len() {
            let after = read(&without_keep(&text(form), at).expect(form));
            let mut expected = before.clone();
            expected.keep.remove(at);
            assert_eq!(after, expected, "{form}");
        }
    }
}

#[test]
fn comments_of_others_stay() {
    for form in FORMS {
        let edited = with_keep(&text(form), &rule(&["y"], Newest::All, None)).expect(form);
        let comments = |text: &str| {
            let lines = text.lines().filter_map(|line| line.split_once('#'));
            lines
                .map(|(_, said)| said.trim().to_owned())
                .collect::<Vec<_>>()
        };
        for said in comments(&text(form)) {
            // What stands within a value that is written anew goes with it.
            assert!(
                said == "two" || comments(&edited).contains(&said),
                "{said}: {edited}"
            );
        }
    }
    let two = FORMS[4];
    let one = without_keep(&text(two), 0).expect("edited");
    assert!(one.contains("# second\n[[keep]]\nnewest = 2"), "{one}");
    assert!(one.contains("# why we trust them\n[[trust]]"), "{one}");
    assert!(!one.contains("\n\n\n"), "{one}");
}

#[test]
fn releases_are_kept_by_name() {
    let kept = |text: &str| Kept::try_from(text.to_owned()).expect("a release");
    let both = [kept("drop@1.0.0"), kept("drop@2.0.0-rc.1")];
    for form in FORMS {
        let edited = with_kept(&text(form), &both).expect(form);
        assert_eq!(read(&edited).kept, both);
        let none = with_kept(&edited, &[]).expect(form);
        assert_eq!(read(&none).kept, []);
        assert_eq!(read(&none).keep, read(&text(form)).keep);
    }
    let edited = with_kept(&text(FORMS[6]), &both).expect("edited");
    assert!(edited.contains("] # mine"), "{edited}");
}

#[test]
fn a_value_over_several_lines_is_edited_too() {
    let lines = "peers = [\n  \"/ip4/192.0.2.7/tcp/1/p2p/x\", # the first\n]";
    let edited = with_peers(&text(lines), &[]).expect("edited");
    assert_eq!(read(&edited).peers, Vec::<String>::new());
}

#[test]
fn a_new_file_reads_back() {
    let mut file = read(&text(FORMS[6]));
    file.trust = vec![];
    for rules in [
        vec![],
        vec![rule(&["*"], Newest::All, Some(TEN))],
        vec![rule(&["x"], Newest::Count(3), None)],
        vec![
            rule(&["*"], Newest::Count(3), None),
            rule(&["x", "y*"], Newest::All, Some(1)),
        ],
    ] {
        file.keep = rules;
        assert_eq!(read(&file.to_text()), file);
    }
}
