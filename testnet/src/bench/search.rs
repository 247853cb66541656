//! Searching ten thousand packages: in the index, beside a look at every package, and through the
//! control socket of a node that lists them.

use std::hint::black_box;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use skep_node::search::{Entry, INDEX_BYTES_MAX, Index, Page, Query, Sort, scan};
use skep_proto::control::{Request, Response};
use skep_proto::hash::Sha256;
use skep_proto::id::RepoId;
use skep_proto::search::Document;

use super::Bench;
use super::crowd::{Crowd, PACKAGES};
use super::finding::{Finding, Goal, Samples};
use super::home::ms_since;
use super::machine::memory_mib;
use super::mirror;

const QUERIES: u32 = 2_000;
/// So many of them are also answered by a look at every package.
const SCANNED: usize = 40;

pub(super) fn run(bench: &Bench<'_>) -> Result<Vec<Finding>> {
    let mut findings = of_index(bench)?;
    findings.extend(of_node(bench)?);
    Ok(findings)
}

const PAGE: Page = Page {
    limit: 20,
    offset: 0,
    sort: Sort::Best,
};

fn of_index(bench: &Bench<'_>) -> Result<Vec<Finding>> {
    let me = std::process::id();
    let repo = RepoId::from_hash(Sha256::of(&[b"crowd"]));
    let mut crowd = Crowd::new(1)?;
    let before = memory_mib(me, "VmRSS")?;
    let mut index = Index::new(INDEX_BYTES_MAX);
    let mut built = 0.0;
    for number in 0..PACKAGES {
        let entry = entry(&mut crowd, repo, number)?;
        let begun = Instant::now();
        if index.insert(entry).is_err() {
            bail!("the index has no room for {PACKAGES} packages");
        }
        built += ms_since(begun);
    }
    index.shrink();
    let memory = memory_mib(me, "VmRSS")? - before;
    let mut again = Crowd::new(1)?;
    let entries = (0..PACKAGES).map(|number| entry(&mut again, repo, number));
    let entries = entries.collect::<Result<Vec<Entry>>>()?;
    let nobody = |_: &_| None;
    let queries = queries(&mut crowd, bench.rounds(QUERIES))?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let every = (queries.len() / SCANNED).max(1);
    for (at, query) in queries.iter().enumerate() {
        let begun = Instant::now();
        let found = black_box(index.find(query, &PAGE, &nobody));
        ours.push(ms_since(begun));
        if at % every == 0 {
            let begun = Instant::now();
            let scanned = black_box(scan::find(&entries, query, &PAGE, &nobody));
            theirs.push(ms_since(begun));
            if scanned.entries != found.entries || scanned.total != found.total {
                bail!("the index and a look at every package differ: {query:?}");
            }
        }
    }
    let mut slowest = Vec::new();
    for text in ["", "b", "trusted:no", "kernel:6.1", "\"ba0 co1\""] {
        let query = Query::parse(text).map_err(|e| anyhow::anyhow!("{text}: {e}"))?;
        let begun = Instant::now();
        black_box(index.find(&query, &PAGE, &nobody));
        slowest.push(format!("{text:?} {:.2} ms", ms_since(begun)));
    }
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    let counted = index.bytes() as f64 / f64::from(1 << 20);
    Ok(vec![
        Finding::new(
            format!("a query of two words, every other one with a field, in {PACKAGES} packages"),
            Samples::new("ms", ours),
        )
        .beside("every package looked at", Samples::new("ms", theirs))
        .goal(Goal::MedianAtMost(1.0))
        .note(format!("{SCANNED} of the answers compared, all equal"))
        .note(format!("what costs most: {}", slowest.join(", "))),
        Finding::new("the index is made", Samples::new("ms", vec![built])).note(format!(
            "{} different words; reading the manifests is not in it",
            index.words()
        )),
        Finding::new(
            "memory of the index (VmRSS)",
            Samples::new("MiB", vec![memory]),
        )
        .note(format!("{counted:.1} MiB as its limit counts")),
    ])
}

fn entry(crowd: &mut Crowd, repo: RepoId, number: usize) -> Result<Entry> {
    let name = crowd.name(number)?;
    let manifest = crowd.manifest(repo, name)?;
    Ok(Entry {
        repo,
        manifest: Sha256::of(&[&number.to_be_bytes()]),
        document: Document::of(&manifest, None),
        published_at: number as u64,
        deprecated: false,
        trusted: number.is_multiple_of(2),
    })
}

/// Two words, and every other time a fact.
fn queries(crowd: &mut Crowd, count: u32) -> Result<Vec<Query>> {
    let texts = (0..count).map(|at| text(crowd, at));
    texts
        .map(|text| Query::parse(&text).map_err(|e| anyhow::anyhow!("{text}: {e}")))
        .collect()
}

fn text(crowd: &mut Crowd, at: u32) -> String {
    let words = format!("{} {}", crowd.word(), crowd.word());
    match at % 4 {
        1 => format!("{words} hook:{}", crowd.hook()),
        3 => format!("{words} kernel:{}", crowd.kernel()),
        _ => words,
    }
}

fn of_node(bench: &Bench<'_>) -> Result<Vec<Finding>> {
    let mut home = mirror::make(bench, "searched")?;
    home.start()?;
    let mut node = home.control()?;
    let begun = Instant::now();
    let ask = |query: String| Request::Search { query, page: PAGE };
    match node.ask(&ask(String::new()))? {
        Response::Found(found) if found.total == PACKAGES => {}
        Response::Found(found) => bail!("{} of {PACKAGES} packages are found", found.total),
        other => bail!("a search was answered {other:?}"),
    }
    let indexed = ms_since(begun);
    let mut crowd = Crowd::new(2)?;
    let mut took = Vec::new();
    for at in 0..bench.rounds(QUERIES) {
        let request = ask(text(&mut crowd, at));
        let begun = Instant::now();
        let response = node.ask(&request)?;
        took.push(ms_since(begun));
        let Response::Found(_) = response else {
            bail!("a search was answered {response:?}");
        };
    }
    let mut status = Vec::new();
    for _ in 0..bench.rounds(QUERIES) {
        let begun = Instant::now();
        node.ask(&Request::Addresses)?;
        status.push(ms_since(begun));
    }
    let mut whole = Vec::new();
    for _ in 0..bench.rounds(20) {
        whole.push(home.time_ms(&["search", &crowd.word()])?);
    }
    let memory = memory_mib(home.pid()?, "VmRSS")?;
    home.stop()?;
    drop(node);
    std::fs::remove_dir_all(home.dir()).context("could not remove a home")?;
    Ok(vec![
        Finding::new(
            "the same asked of a node over its control socket",
            Samples::new("ms", took),
        )
        .beside("a question about nothing", Samples::new("ms", status))
        .goal(Goal::MedianAtMost(1.0)),
        Finding::new("skep search, a whole process", Samples::new("ms", whole)),
        Finding::new(
            "from ready until the first search is answered",
            Samples::new("ms", vec![indexed]),
        )
        .note("the node reads every manifest again; nobody waits for it but who searches"),
        Finding::new(
            "memory of the node that was searched (VmRSS)",
            Samples::new("MiB", vec![memory]),
        ),
    ])
}
