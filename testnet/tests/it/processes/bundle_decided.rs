//! What is decided about a .skep file, and said of it, before anything of it is in the store.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::process::Output;

use skep_node::control::Connection;
use skep_proto::control::{Hello, Refusal, Request, Response, Take, VERSION};
use skep_proto::hash::Sha256;

use super::bundle::{author, id_of, packed, text};
use super::home::{Home, failed};

/// Of the file by which the versions of the package differ, in bytes.
const WEIGHT: usize = 100_000;

/// Publishes a version with bytes of its own into a file of its own.
fn heavy(author: &Home, version: &str) -> PathBuf {
    let package = author.heavy_package(version, WEIGHT);
    let file = author.path().join(format!("{version}.skep"));
    author.ok(&["pack", &package, "--to", text(&file)]);
    file
}

fn yank(author: &Home, version: &str) {
    let release = format!("ana/drop@{version}");
    author.ok(&["publish", "--yank", &release, "--because", "it drops all"]);
}

/// A hash over everything that a store has of files, whole or begun, and over which releases it holds
/// and why.
fn files_and_holdings(home: &Home) -> blake3::Hash {
    let store = home.path().join("store");
    let mut folders = vec![store.join("blobs"), store.join("partial")];
    for repo in fs::read_dir(store.join("repos")).into_iter().flatten() {
        folders.push(repo.expect("an entry").path().join("facts/holding"));
    }
    let mut all = BTreeMap::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            match entry.path() {
                path if path.is_dir() => folders.push(path),
                path => drop(all.insert(path.clone(), fs::read(&path).expect("read"))),
            }
        }
    }
    let mut hasher = blake3::Hasher::new();
    for (path, bytes) in &all {
        hasher.update(path.as_os_str().as_encoded_bytes());
        hasher.update(blake3::hash(bytes).as_bytes());
    }
    hasher.finalize()
}

/// Runs a command without anybody to answer it.
fn alone(home: &Home, args: &[&str]) -> Output {
    let mut command = home.command(args);
    command
        .env_remove("SKEP_YES")
        .output()
        .expect("skep starts")
}

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).expect("JSON")
}

#[test]
fn a_release_that_get_refuses_does_not_come_into_the_store() {
    let author = Home::new(false);
    let first = heavy(&author, "0.1.0");
    yank(&author, "0.1.0");
    let second = heavy(&author, "0.2.0");
    let mut site = Home::new(false);
    site.ok(&["bundle", "import", text(&second)]);
    site.ok(&["trust", "add", "ana/drop"]);
    let before = files_and_holdings(&site);
    // The file was made before the yank, which is held: the two together decide, as online.
    let online = site.fails(3, &["get", "ana/drop@0.1.0"]);
    assert!(online.contains("it drops all"), "{online}");
    for runs in [false, true] {
        if runs {
            site.start();
        }
        assert_eq!(site.fails(3, &["get", text(&first)]), online);
        assert_eq!(files_and_holdings(&site), before, "it came into the store");
    }
    let used = site.ok(&["node", "gc", "--used", "--dry-run", "--json"]);
    let used = json(&used)["let_go"].to_string();
    assert!(!used.contains("0.1.0"), "{used}");
    site.nothing_written();
    // Allowed by name it comes, so that there was something to keep out.
    site.ok(&["get", text(&first), "--allow-yanked"]);
    site.same_files("drop-0.1.0");
    assert_ne!(files_and_holdings(&site), before);
}

#[test]
fn what_a_file_says_itself_against_its_release_is_heard_first() {
    let author = Home::new(false);
    heavy(&author, "0.1.0");
    yank(&author, "0.1.0");
    let file = author.path().join("yanked.skep");
    author.ok(&["bundle", "export", "ana/drop@0.1.0", "-o", text(&file)]);
    let site = Home::new(false);
    let nothing = files_and_holdings(&site);
    let said = site.fails(3, &["get", text(&file)]);
    assert!(said.contains("it drops all"), "{said}");
    assert_eq!(files_and_holdings(&site), nothing);
    // Its logs came, as they do online before anything is decided.
    let said = site.fails(3, &["get", "ana/drop@0.1.0"]);
    assert!(said.contains("it drops all"), "{said}");
    site.ok(&["get", text(&file), "--allow-yanked"]);
    site.same_files("drop-0.1.0");
}

#[test]
fn without_a_yes_no_file_of_a_release_is_taken() {
    let author = Home::new(false);
    let file = heavy(&author, "0.1.0");
    let id = id_of(&author, &file);
    let site = Home::new(false);
    let nothing = files_and_holdings(&site);
    let get = ["get", text(&file)];
    let said = failed(2, &alone(&site, &get));
    assert!(said.contains("follow the repository"), "{said}");
    let other = packed(&author, "0.2.0");
    site.ok(&["bundle", "import", text(&other), "--expect", &id]);
    let before = files_and_holdings(&site);
    assert_ne!(before, nothing);
    let said = failed(2, &alone(&site, &get));
    assert!(said.contains("trust ana for ana/drop@0.1.0?"), "{said}");
    assert_eq!(files_and_holdings(&site), before);
    // The signed manifest alone is shown without them.
    site.ok(&["get", text(&file), "--dsse"]);
    assert_eq!(files_and_holdings(&site), before);
    site.ok(&get);
    site.same_files("drop-0.1.0");
}

#[test]
fn a_release_that_is_not_in_a_file_is_not_taken_from_it() {
    let (author, file) = author();
    let id = id_of(&author, &file);
    let mut site = Home::new(false);
    site.ok(&["bundle", "import", text(&file), "--expect", &id]);
    let other = packed(&author, "0.2.0");
    site.start();
    let before = files_and_holdings(&site);
    let mut node = Connection::connect(&site.path().join("skep.sock")).expect("it answers");
    let hello = Hello {
        version: VERSION,
        pid: std::process::id(),
    };
    node.send(&hello, None).expect("greeted");
    drop(node.receive::<Hello>().expect("greeted"));
    let request = Request::ImportBundle {
        expect: BTreeSet::new(),
        older: true,
        take: Take::Release {
            repo: id.parse().expect("an id"),
            manifest: Sha256::of(&[b"another one"]),
        },
    };
    let file = fs::File::open(&other).expect("a file");
    node.send(&request, Some(file.as_fd())).expect("asked");
    let refused = loop {
        match node.receive().expect("answered").0 {
            Response::Progress(_) => {}
            Response::Refused(refused) => break refused,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(refused.why, Refusal::Untrusted);
    assert!(
        refused.message.contains("is not the one in the file"),
        "{}",
        refused.message
    );
    assert_eq!(files_and_holdings(&site), before);
}

#[test]
fn a_file_of_several_releases_is_imported_and_not_got() {
    let (author, _) = author();
    packed(&author, "0.2.0");
    let file = author.path().join("all.skep");
    author.ok(&["bundle", "export", "ana/*", "-o", text(&file)]);
    let site = Home::new(false);
    let nothing = files_and_holdings(&site);
    let said = site.fails(2, &["get", text(&file)]);
    assert!(
        said.contains("drop@0.1.0") && said.contains("drop@0.2.0"),
        "{said}"
    );
    assert!(said.contains("skep bundle import"), "{said}");
    assert_eq!(files_and_holdings(&site), nothing);
    assert!(site.ok(&["repo"]).is_empty(), "something is followed");
}

#[test]
fn each_repository_of_a_file_is_expected_by_itself() {
    let (one, first) = author();
    let (two, second) = author();
    let ids = [id_of(&one, &first), id_of(&two, &second)];
    let carrier = Home::new(false);
    carrier.ok(&["bundle", "import", text(&first), text(&second)]);
    let both = carrier.path().join("both.skep");
    let [of_one, of_two] = ids.clone().map(|id| format!("{id}/*"));
    carrier.ok(&["bundle", "export", &of_one, &of_two, "-o", text(&both)]);
    let site = Home::new(false);
    let said = site.fails(3, &["bundle", "import", text(&both), "--expect", &ids[0]]);
    let what = format!("it is of the repository {}, which is not expected", ids[1]);
    assert!(
        said.contains(&what) && said.contains("--expect ID"),
        "{said}"
    );
    // Nobody vouched for either: none of them is followed.
    let said = failed(2, &alone(&site, &["bundle", "import", text(&both)]));
    assert!(said.contains("follow the repository"), "{said}");
    assert!(site.ok(&["repo"]).is_empty(), "something is followed");
    let import = [
        "bundle",
        "import",
        text(&both),
        "--expect",
        &ids[0],
        "--expect",
        &ids[1],
    ];
    let taken = alone(&site, &import);
    assert!(
        taken.status.success(),
        "{}",
        String::from_utf8_lossy(&taken.stderr)
    );
    assert_eq!(site.ok(&["repo"]).lines().count(), 2);
    // Of several files each may be of one of them, and one of another is found before any is taken.
    let files = ["bundle", "import", text(&first), text(&second)];
    let with = |expected: &[&String]| -> Vec<String> {
        let flags = expected
            .iter()
            .flat_map(|id| ["--expect".to_owned(), (*id).clone()]);
        files
            .iter()
            .map(|arg| (*arg).to_owned())
            .chain(flags)
            .collect()
    };
    let run = |home: &Home, args: Vec<String>| {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        alone(home, &args)
    };
    let next = Home::new(false);
    let said = failed(3, &run(&next, with(&[&ids[0]])));
    assert!(said.contains(&ids[1]), "{said}");
    assert!(next.ok(&["repo"]).is_empty(), "something is followed");
    assert!(run(&next, with(&[&ids[0], &ids[1]])).status.success());
}

/// What an import and `mirror status` say of the quota: what is held with it, and the quota.
fn room(said: &str) -> (Option<u64>, Option<u64>) {
    let said = json(said);
    (said["held"].as_u64(), said["quota"].as_u64())
}

#[test]
fn a_file_that_goes_beyond_the_quota_says_so_and_stays() {
    let author = Home::new(false);
    let files = ["0.1.0", "0.2.0"].map(|version| heavy(&author, version));
    let [first, second] = [0, 1].map(|at: usize| text(Path::new(&files[at])));
    let config = "listen = [\"127.0.0.1:0\"]\nmdns = false\ngateway = []\n";
    let site = Home::new(false);
    site.configure(&format!("{config}quota = \"150 KiB\"\n"));
    let out = site.run(&["bundle", "import", first, "--json"]);
    let talk = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success() && !talk.contains("quota"), "{talk}");
    let (held, quota) = room(&String::from_utf8_lossy(&out.stdout));
    assert_eq!(quota, Some(150 << 10));
    let held = held.expect("a size");
    assert!(held > WEIGHT as u64 && held < 150 << 10, "{held}");
    let status = ["mirror", "status"];
    let talk = String::from_utf8_lossy(&site.run(&status).stderr).into_owned();
    assert!(!talk.contains("quota"), "{talk}");
    // Both together are seen to be too much before either is taken, by a stranger to them as well.
    let dry = site.run(&["bundle", "import", second, "--dry-run", "--json"]);
    let with_both = 2 * held;
    let (would_be, _) = room(&String::from_utf8_lossy(&dry.stdout));
    assert_eq!(would_be, Some(with_both));
    let words = "`quota` of config.toml is 150.0 KiB";
    let talk = String::from_utf8_lossy(&dry.stderr);
    assert!(
        talk.contains("warning: with these releases") && talk.contains(words),
        "{talk}"
    );
    let new = Home::new(false);
    new.configure(&format!("{config}quota = \"150 KiB\"\n"));
    let dry = new.run(&["bundle", "import", first, second, "--dry-run", "--json"]);
    let (would_be, _) = room(&String::from_utf8_lossy(&dry.stdout));
    assert_eq!(would_be, Some(with_both));
    assert!(String::from_utf8_lossy(&dry.stderr).contains(words));
    // What a person carries in is kept all the same, and the mirror says what is above its quota.
    let taken = site.run(&["bundle", "import", second, "--json"]);
    assert!(taken.status.success());
    assert!(String::from_utf8_lossy(&taken.stderr).contains(words));
    assert_eq!(
        room(&String::from_utf8_lossy(&taken.stdout)).0,
        Some(with_both)
    );
    let said = String::from_utf8_lossy(&site.run(&status).stderr).into_owned();
    assert!(
        said.contains(words) && said.contains("by `no rule`"),
        "{said}"
    );
    let said = json(&site.ok(&["mirror", "status", "--json"]));
    assert_eq!(said["held"], with_both);
    assert_eq!(said["stays"][0]["by"], "no rule");
    assert_eq!(said["stays"][0]["size"], with_both);
    site.ok(&["bundle", "export", "ana/*", "-o", "all.skep"]);
    // The line that it names lets go what is too much.
    let gone = json(&site.ok(&["node", "gc", "--used", "--dry-run", "--json"]));
    assert_eq!(gone["let_go"].as_array().map(Vec::len), Some(2));
}
