//! The index against looking at every package, over packages and queries that nobody thought of.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index as At, select};
use skep_node::search::{Entry, Full, INDEX_BYTES_MAX, Index, Page, Query, Sort, scan};
use skep_proto::hash::Sha256;
use skep_proto::id::RepoId;
use skep_proto::name::{Name, RepoRef};
use skep_proto::search::{Document, HITS_MAX, Kernels, WORDS_MAX};

/// Words that begin like others, that only differ in case, and text that means harm.
const WORDS: [&str; 22] = [
    "a",
    "ab",
    "abc",
    "Drop",
    "drop",
    "drops",
    "rate",
    "limit",
    "ratelimit",
    "syn-flood",
    "xdp",
    "GPL",
    "2",
    "20",
    "ÄÖ",
    "straße",
    "İ",
    "x\u{202e}y",
    "\u{1b}[2J",
    "--",
    "\t\n",
    "漢字",
];
const NAMES: [&str; 8] = [
    "drop",
    "drops",
    "d-rop",
    "rate-limit",
    "ratelimit",
    "syn_flood",
    "ab",
    "a-b-c",
];
const HOOKS: [&str; 4] = ["xdp", "tc", "kprobe", "fentry.s"];
const TYPES: [&str; 3] = ["xdp", "sched_cls", "kprobe"];
const LICENSES: [&str; 3] = ["GPL-2.0-only", "GPL-2.0-only OR MIT", "BSD-2-Clause"];
const KERNELS: [&str; 4] = ["4.18", "5.15", "5.15.3", "6.1"];
const ARCHES: [&str; 2] = ["x86_64", "aarch64"];
const ALIASES: [&str; 3] = ["ana", "ben", "nobody"];

/// What happens to the packages of a node.
#[derive(Debug, Clone)]
enum Step {
    Insert(Box<Entry>),
    Remove(At),
    Mark(At, bool, bool),
}

fn repo(number: usize) -> RepoId {
    RepoId::from_hash(Sha256::of(&[&number.to_be_bytes()]))
}

fn repo_of(reference: &RepoRef) -> Option<RepoId> {
    let alias = reference.to_string();
    let number = ALIASES.iter().position(|it| *it == alias)?;
    Some(repo(number))
}

fn some(texts: &'static [&'static str], most: usize) -> impl Strategy<Value = Vec<String>> {
    vec(select(texts).prop_map(str::to_owned), 0..=most)
}

fn sorted(mut texts: Vec<String>) -> Vec<String> {
    texts.sort();
    texts.dedup();
    texts
}

fn entry() -> impl Strategy<Value = Entry> {
    let who = (0..2_usize, select(&NAMES[..]), 0..5_u64, any::<bool>());
    let texts = (some(&WORDS, 12), some(&WORDS, 3), some(&WORDS, 3));
    let facts = (some(&HOOKS, 2), some(&TYPES, 2), some(&ARCHES, 2));
    let kernels = (some(&KERNELS, 1), some(&KERNELS, 2));
    (who, texts, facts, select(&LICENSES[..]), kernels).prop_map(
        |(
            (number, name, time, flag),
            (description, keywords, programs),
            facts,
            license,
            kernels,
        )| {
            let document = Document {
                name: name.parse().expect("a name"),
                version: "1.0.0".parse().expect("a version"),
                description: description.join(" "),
                keywords,
                license: license.to_owned(),
                licenses: license
                    .to_lowercase()
                    .split(" or ")
                    .map(str::to_owned)
                    .collect(),
                hooks: sorted(facts.0),
                types: sorted(facts.1),
                programs,
                arches: sorted(facts.2),
                kernels: Kernels {
                    earliest: kernels.0.first().and_then(|it| it.parse().ok()),
                    tested: kernels.1.iter().filter_map(|it| it.parse().ok()).collect(),
                },
            };
            Entry {
                repo: repo(number),
                manifest: Sha256::of(&[name.as_bytes()]),
                document,
                published_at: time,
                deprecated: flag,
                trusted: !flag,
            }
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => entry().prop_map(|entry| Step::Insert(Box::new(entry))),
        2 => any::<At>().prop_map(Step::Remove),
        1 => (any::<At>(), any::<bool>(), any::<bool>()).prop_map(|(at, t, d)| Step::Mark(at, t, d)),
    ]
}

/// A term as a person types it.
fn term() -> impl Strategy<Value = String> {
    let plain = select(&WORDS[..]).prop_map(|word| word.to_owned());
    let beginning = (select(&WORDS[..]), 1..4_usize)
        .prop_map(|(word, len)| word.chars().take(len).collect::<String>());
    let quoted = vec(select(&WORDS[..]), 1..3).prop_map(|words| format!("\"{}\"", words.join(" ")));
    let named = select(&NAMES[..]).prop_map(|name| format!("name:{name}"));
    let fact = |field: &'static str, values: &'static [&'static str]| {
        vec(select(values), 1..3).prop_map(move |values| format!("{field}:{}", values.join(",")))
    };
    prop_oneof![
        4 => plain,
        2 => beginning,
        2 => quoted,
        1 => named,
        1 => select(&NAMES[..]).prop_map(str::to_owned),
        1 => fact("hook", &HOOKS),
        1 => fact("type", &TYPES),
        1 => fact("kernel", &KERNELS),
        1 => fact("arch", &ARCHES),
        1 => fact("repo", &ALIASES),
        1 => select(&["license:MIT", "license:gpl-2.0-only", "trusted:yes", "trusted:no"][..])
            .prop_map(str::to_owned),
    ]
}

fn query() -> impl Strategy<Value = Query> {
    // What is no query is another test's matter.
    vec(term(), 0..4).prop_filter_map("a query", |terms| Query::parse(&terms.join(" ")).ok())
}

fn page() -> impl Strategy<Value = Page> {
    let sort = select(&[Sort::Best, Sort::Name, Sort::Newest][..]);
    (0..12_usize, 0..4_usize, sort).prop_map(|(limit, offset, sort)| Page {
        limit,
        offset,
        sort,
    })
}

type Model = BTreeMap<(RepoId, Name), Entry>;

fn take(step: Step, index: &mut Index, model: &mut Model) {
    let at = |at: At, model: &Model| {
        let keys: Vec<_> = model.keys().cloned().collect();
        (!keys.is_empty()).then(|| at.get(&keys).clone())
    };
    match step {
        Step::Insert(entry) => {
            index.insert((*entry).clone()).expect("there is room");
            model.insert((entry.repo, entry.document.name.clone()), *entry);
        }
        Step::Remove(which) => {
            if let Some((repo, name)) = at(which, model) {
                index.remove(&repo, &name);
                model.remove(&(repo, name));
            }
        }
        Step::Mark(which, trusted, deprecated) => {
            if let Some((repo, name)) = at(which, model) {
                index.mark(&repo, &name, trusted, deprecated);
                let entry = model.get_mut(&(repo, name)).expect("it is there");
                (entry.trusted, entry.deprecated) = (trusted, deprecated);
            }
        }
    }
}

fn anew(model: &Model) -> Index {
    let mut index = Index::new(INDEX_BYTES_MAX);
    for entry in model.values() {
        index.insert(entry.clone()).expect("there is room");
    }
    index
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn the_index_finds_what_a_look_at_every_package_finds(
        steps in vec(step(), 1..40),
        asked in vec((query(), page()), 1..6),
    ) {
        let (mut index, mut model) = (Index::new(INDEX_BYTES_MAX), Model::new());
        for step in steps {
            take(step, &mut index, &mut model);
        }
        let entries: Vec<Entry> = model.values().cloned().collect();
        let rebuilt = anew(&model);
        prop_assert_eq!(index.len(), model.len());
        prop_assert_eq!(index.bytes(), rebuilt.bytes());
        for (query, page) in asked {
            let wanted = scan::find(&entries, &query, &page, &repo_of);
            for index in [&index, &rebuilt] {
                let found = index.find(&query, &page, &repo_of);
                prop_assert_eq!(found.total, wanted.total, "{:?}", query);
                prop_assert_eq!(&found.entries, &wanted.entries, "{:?}", query);
            }
        }
    }

    #[test]
    fn what_is_taken_out_leaves_nothing(entries in vec(entry(), 1..20)) {
        let mut index = Index::new(INDEX_BYTES_MAX);
        for entry in &entries {
            index.insert(entry.clone()).expect("there is room");
        }
        for entry in &entries {
            index.remove(&entry.repo, &entry.document.name);
        }
        prop_assert!(index.is_empty());
        prop_assert_eq!(index.bytes(), 0);
        prop_assert_eq!(index.words(), 0);
    }

    #[test]
    fn no_text_makes_a_query_panic(text in "\\PC{0,80}|[a-z:\", ]{0,80}|(hook|type|license|arch|kernel|repo|trusted|name):\\PC{0,20}") {
        if let Ok(query) = Query::parse(&text) {
            let page = Page { limit: HITS_MAX, offset: 0, sort: Sort::Best };
            let index = Index::new(INDEX_BYTES_MAX);
            prop_assert_eq!(index.find(&query, &page, &repo_of).total, 0);
        }
    }
}

/// A package of that name and description.
fn package(name: &str, description: &str) -> Entry {
    Entry {
        repo: repo(0),
        manifest: Sha256::of(&[name.as_bytes()]),
        document: Document {
            name: name.parse().expect("a name"),
            version: "1.0.0".parse().expect("a version"),
            description: description.to_owned(),
            keywords: Vec::new(),
            license: "MIT".to_owned(),
            licenses: vec!["mit".to_owned()],
            hooks: Vec::new(),
            types: Vec::new(),
            programs: Vec::new(),
            arches: Vec::new(),
            kernels: Kernels {
                earliest: None,
                tested: Vec::new(),
            },
        },
        published_at: 0,
        deprecated: false,
        trusted: false,
    }
}

fn names(index: &Index, query: &str) -> Vec<String> {
    let page = Page {
        limit: HITS_MAX,
        offset: 0,
        sort: Sort::Best,
    };
    let query = Query::parse(query).expect("a query");
    let found = index.find(&query, &page, &repo_of).entries;
    found
        .iter()
        .map(|it| it.document.name.to_string())
        .collect()
}

fn index(packages: &[(&str, &str)]) -> Index {
    let mut index = Index::new(INDEX_BYTES_MAX);
    for (name, description) in packages {
        index
            .insert(package(name, description))
            .expect("there is room");
    }
    index
}

#[test]
fn what_was_typed_comes_first_and_names_before_prose() {
    let index = index(&[
        ("counter", "drop drop drop drop drop drop"),
        (
            "drop",
            "a very long description that goes on and on about packets and their ends",
        ),
        ("drop-stats", "drop"),
        ("dropper", ""),
    ]);
    assert_eq!(
        names(&index, "drop"),
        ["drop", "drop-stats", "dropper", "counter"]
    );
    // One name in two spellings.
    assert_eq!(names(&index, "dropstats")[0], "drop-stats");
    assert_eq!(names(&index, "drop_stats")[0], "drop-stats");
}

#[test]
fn a_rare_word_counts_more_than_a_common_one() {
    let index = index(&[
        ("a", "packets packets packets rare"),
        ("b", "packets rare rare rare"),
        ("c", "packets"),
        ("d", "packets"),
    ]);
    assert_eq!(names(&index, "packets rare"), ["b", "a"]);
}

#[test]
fn equal_packages_stand_by_name() {
    let index = index(&[("c", "same"), ("a", "same"), ("b", "same")]);
    assert_eq!(names(&index, "same"), ["a", "b", "c"]);
    assert_eq!(names(&index, ""), ["a", "b", "c"]);
}

#[test]
fn an_index_takes_what_it_has_room_for_and_nothing_past_it() {
    let mut roomy = Index::new(INDEX_BYTES_MAX);
    roomy
        .insert(package("one", "words"))
        .expect("there is room");
    let mut index = Index::new(roomy.bytes());
    assert_eq!(index.insert(package("one", "words")), Ok(()));
    assert_eq!(index.insert(package("two", "")), Err(Full));
    assert_eq!(names(&index, ""), ["one"]);
    // One byte less, and it would not have fitted.
    let mut index = Index::new(roomy.bytes() - 1);
    assert_eq!(index.insert(package("one", "words")), Err(Full));
    assert_eq!((index.len(), index.bytes()), (0, 0));
}

#[test]
fn a_package_is_found_by_so_many_words_and_no_more() {
    let word = |n: usize| format!("w{n}x");
    // The name and its license are two of them; the license comes last.
    let prose = |count: usize| (0..count).map(word).collect::<Vec<_>>().join(" ");
    let mut index = index(&[("noise", &prose(WORDS_MAX - 2))]);
    assert_eq!(names(&index, &word(WORDS_MAX - 3)), ["noise"]);
    assert_eq!(names(&index, "mit"), ["noise"]);
    index
        .insert(package("noise", &prose(WORDS_MAX)))
        .expect("there is room");
    assert_eq!(names(&index, &word(WORDS_MAX - 2)), ["noise"]);
    assert_eq!(names(&index, &word(WORDS_MAX - 1)), [""; 0]);
    // A field asks for the fact, and needs no word.
    assert_eq!(names(&index, "license:MIT"), ["noise"]);
}

#[test]
fn an_answer_has_so_many_packages_and_no_more() {
    let mut index = Index::new(INDEX_BYTES_MAX);
    for number in 0..=HITS_MAX {
        index
            .insert(package(&format!("p{number}"), ""))
            .expect("there is room");
    }
    let found = |limit: usize, offset: usize| {
        let sort = Sort::Best;
        let page = Page {
            limit,
            offset,
            sort,
        };
        let found = index.find(&Query::default(), &page, &repo_of);
        assert_eq!(found.total, HITS_MAX + 1);
        found.entries.len()
    };
    assert_eq!(found(HITS_MAX, 0), HITS_MAX);
    assert_eq!(found(HITS_MAX + 1, 0), HITS_MAX);
    assert_eq!(found(HITS_MAX, HITS_MAX), 1);
    assert_eq!(found(usize::MAX, usize::MAX), 0);
}
