//! The pages of a node as anything but a browser sees them: headers, tags, errors, limits, and that
//! nothing unverified is shown. What a browser makes of them is tested in `testnet/browser`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::client::{Answer, ask, with_gateway, with_gateways};
use super::home::{Home, author, wait_until};

const BROWSER: &str = "Accept: text/html,application/xhtml+xml,*/*;q=0.8\r\n";
const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; \
                      base-uri 'none'; frame-ancestors 'none'";

fn look(address: &str, path: &str) -> Answer {
    ask(address, "GET", path, BROWSER)
}

/// A page that must be there.
fn page(address: &str, path: &str) -> String {
    let answer = look(address, path);
    assert_eq!(answer.status, 200, "{path}");
    answer.text()
}

fn protected(answer: &Answer, path: &str) {
    for (name, value) in [
        ("content-security-policy", POLICY),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
    ] {
        assert_eq!(answer.header(name), Some(value), "{path}: {name}");
    }
    assert_eq!(answer.header("set-cookie"), None, "{path}");
}

/// Publishes a version of the package with another README.
fn publish_readme(home: &Home, version: &str, readme: &[u8]) {
    let dir = home.package(version);
    fs::write(Path::new(&dir).join("README.md"), readme).expect("written");
    home.ok(&["publish", &dir]);
}

/// The id of the only repository.
fn repository(home: &Home) -> String {
    let shown = home.ok(&["repo", "show", "ana", "--json"]);
    let id = shown.split("\"id\":\"").nth(1);
    let id = id.and_then(|rest| rest.split('"').next());
    id.expect("an id").to_owned()
}

#[test]
fn every_page_has_its_headers_and_is_not_sent_twice() {
    let mut ana = author(true);
    ana.stop();
    let [trusted, normal] = with_gateways(&mut ana);
    let id = repository(&ana);
    for path in [
        "/".to_owned(),
        "/search?q=drop".to_owned(),
        "/search?q=colour:red".to_owned(),
        "/p/ana/drop".to_owned(),
        "/p/ana/drop/0.1.0".to_owned(),
        format!("/p/{id}/drop/0.1.0"),
    ] {
        let path = path.as_str();
        let first = look(&trusted, path);
        assert_eq!(first.status, 200, "{path}");
        protected(&first, path);
        assert_eq!(
            first.header("content-type"),
            Some("text/html; charset=utf-8")
        );
        assert_eq!(first.header("cache-control"), Some("no-cache"));
        assert_eq!(first.header("skep-mode"), None);
        let length = first.body.len().to_string();
        assert_eq!(
            first.header("content-length"),
            Some(length.as_str()),
            "{path}"
        );
        let tag = first.header("etag").expect("a tag");
        let again = format!("{BROWSER}If-None-Match: {tag}\r\n");
        let again = ask(&trusted, "GET", path, &again);
        assert_eq!((again.status, again.body.len()), (304, 0), "{path}");
        assert_eq!(again.header("etag"), Some(tag), "{path}");
        protected(&again, path);
        let head = ask(&trusted, "HEAD", path, BROWSER);
        assert_eq!((head.status, head.body.len()), (200, 0), "{path}");
        assert_eq!(
            head.header("content-length"),
            Some(length.as_str()),
            "{path}"
        );
        assert_eq!(head.header("etag"), Some(tag), "{path}");
        // What no policy admitted is told from what one did.
        let open = look(&normal, path);
        assert_eq!(open.header("skep-mode"), Some("normal"), "{path}");
        assert_ne!(open.header("etag"), Some(tag), "{path}");
        assert!(open.text().contains("Normal mode"), "{path}");
    }
    let path = "/p/ana/drop";
    let before = look(&trusted, path);
    ana.publish("0.2.0");
    let after = look(&trusted, path);
    assert_ne!(
        before.header("etag"),
        after.header("etag"),
        "a release came"
    );
    assert!(after.text().contains("skep get ana/drop@0.2.0"));
}

#[test]
fn the_style_sheet_is_named_by_its_bytes_and_kept_for_ever() {
    let mut ana = author(true);
    ana.stop();
    let address = with_gateway(&mut ana);
    let text = page(&address, "/");
    let path = text.split("href=\"/assets/").nth(1).expect("a style sheet");
    let path = format!("/assets/{}", path.split('"').next().expect("an end"));
    let style = look(&address, &path);
    assert_eq!(style.status, 200);
    protected(&style, &path);
    assert_eq!(
        style.header("content-type"),
        Some("text/css; charset=utf-8")
    );
    let kept = style.header("cache-control").expect("how long");
    assert!(kept.contains("immutable"), "{kept}");
    let hash = skep_proto::hash::Blake3::of(&[&style.body]);
    assert_eq!(path, format!("/assets/{hash}.css"));
    let other = skep_proto::hash::Blake3::of(&[b"another version"]);
    for path in [
        format!("/assets/{other}.css"),
        "/assets/style.css".to_owned(),
    ] {
        assert_eq!(look(&address, &path).status, 404, "{path}");
    }
    let icon = look(&address, "/favicon.ico");
    assert_eq!(
        (icon.status, icon.header("content-type")),
        (200, Some("image/svg+xml"))
    );
}

#[test]
fn errors_are_pages_for_browsers_and_lines_for_others() {
    let mut ana = author(true);
    ana.stop();
    let address = with_gateway(&mut ana);
    for path in [
        "/nothing",
        "/p",
        "/p/ana",
        "/p/bob/drop",
        "/p/ana/none",
        "/p/ana/drop/9.9.9",
        "/p/ana/drop/latest",
        "/p/ana/drop/0.1.0/files/none",
        "/p/ana/drop/0.1.0/files/../skep.toml",
        "/p/ana/drop/0.1.0/files/%2e%2e/%2e%2e/config.toml",
        "/p/%3Cscript%3E/x",
        "/p/ana/%1b%5b2J",
        "/p/skep1aaaa/drop",
        "/assets/../config.toml",
    ] {
        let shown = look(&address, path);
        assert_eq!(shown.status, 404, "{path}");
        protected(&shown, path);
        assert_eq!(
            shown.header("content-type"),
            Some("text/html; charset=utf-8"),
            "{path}"
        );
        assert_eq!(shown.header("cache-control"), Some("no-store"), "{path}");
        let text = shown.text();
        assert!(
            text.contains("<h1>Not found</h1>") && !text.contains("<script"),
            "{path}"
        );
        assert!(!text.contains('\u{1b}'), "{path}");
        let told = ask(&address, "GET", path, "");
        assert_eq!(told.status, 404, "{path}");
        assert_eq!(
            told.header("content-type"),
            Some("text/plain; charset=utf-8"),
            "{path}"
        );
        assert!(!told.text().contains('<') || path.contains("%3C"), "{path}");
    }
    let bytes = ask(&address, "GET", "/p/%ff/x", BROWSER);
    assert!((400..500).contains(&bytes.status), "{}", bytes.status);
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"] {
        for path in ["/", "/search?q=x", "/p/ana/drop", "/node", "/nothing"] {
            let refused = ask(&address, method, path, BROWSER);
            assert_eq!(refused.status, 405, "{method} {path}");
        }
    }
}

#[test]
fn a_search_is_understood_or_told_why_not() {
    let mut ana = author(true);
    ana.stop();
    let address = with_gateway(&mut ana);
    let found = |query: &str| page(&address, &format!("/search?{query}"));
    for query in [
        "q=drop",
        "q=hook%3Axdp",
        "q=HOOK%3Axdp+udp",
        "x=%00&q=drop&y",
        "q=",
        "",
    ] {
        let hit = "href=\"/p/ana/drop\"";
        assert!(found(query).contains(hit), "{query}");
    }
    assert!(found("q=nowhere").contains("Nothing fits"));
    assert!(found("q=colour%3Ared").contains("Not understood"));
    let shown = found("q=%22%3E%3Cscript%3Ealert(1)%3C/script%3E%E2%80%AE");
    assert!(
        !shown.contains("<script") && !shown.contains('\u{202e}'),
        "it is text"
    );
    let max = skep_proto::search::QUERY_BYTES_MAX;
    let long = "a".repeat(max);
    assert!(found(&format!("q={long}")).contains("Nothing fits"));
    let longer = found(&format!("q={long}a"));
    assert!(longer.contains("Not understood"));
    assert!(
        longer.contains(&long) && !longer.contains(&format!("{long}a")),
        "the box has its size"
    );
    for page in ["0", "-1", "99999999999999999999", "x", "1000001"] {
        let hit = "href=\"/p/ana/drop\"";
        assert!(
            found(&format!("q=drop&page={page}")).contains(hit),
            "{page}"
        );
    }
}

#[test]
fn a_readme_is_shown_up_to_its_limit_and_only_as_it_was_signed() {
    const LIMIT: usize = 128 << 10;
    let mut ana = author(true);
    ana.stop();
    let address = with_gateway(&mut ana);
    let sized = |size: usize| {
        let mut text = b"# Sized\n\nword-of-it ".to_vec();
        text.resize(size, b'a');
        text
    };
    publish_readme(&ana, "0.2.0", &sized(LIMIT));
    publish_readme(&ana, "0.3.0", &sized(LIMIT + 1));
    publish_readme(&ana, "0.4.0", b"not UTF-8: \xff\xfe <b>x</b>\n");
    assert!(page(&address, "/p/ana/drop/0.2.0").contains("word-of-it"));
    let past = page(&address, "/p/ana/drop/0.3.0");
    assert!(!past.contains("word-of-it") && past.contains("more than a page shows"));
    let bytes = page(&address, "/p/ana/drop/0.4.0");
    assert!(bytes.contains("not UTF-8: \u{fffd}\u{fffd} &lt;b&gt;x&lt;/b&gt;"));

    // One byte of it is another on the disk.
    let file = stored(&ana, &sized(LIMIT));
    let mut changed = fs::read(&file).expect("read");
    changed[12] ^= 1;
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("allowed");
    fs::write(&file, changed).expect("written");
    let damaged = page(&address, "/p/ana/drop/0.2.0");
    assert!(damaged.contains("not on this node"));
    assert!(!damaged.contains("ord-of-it"), "nothing of it is shown");
    let handed = look(&address, "/p/ana/drop/0.2.0/files/README.md");
    assert_eq!(handed.status, 503);
}

/// The file of the store that has these bytes.
fn stored(home: &Home, bytes: &[u8]) -> std::path::PathBuf {
    let name = skep_proto::hash::Blake3::of(&[bytes]).to_string();
    let mut folders = vec![home.path().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.to_string_lossy().replace('/', "").ends_with(&name) {
                return path;
            }
        }
    }
    panic!("the store has no {name}");
}

#[test]
fn files_are_handed_out_whole_in_part_and_never_untrusted() {
    let mut ana = author(true);
    ana.stop();
    let address = with_gateway(&mut ana);
    let path = "/p/ana/drop/0.1.0/files/drop.bpf.o";
    let whole = look(&address, path);
    assert_eq!(whole.status, 200);
    protected(&whole, path);
    assert_eq!(
        whole.header("content-type"),
        Some("application/octet-stream")
    );
    assert_eq!(
        whole.header("content-disposition"),
        Some("attachment; filename*=UTF-8''drop.bpf.o")
    );
    let object = fs::read(super::home::demo().join("drop.bpf.o")).expect("read");
    assert!(whole.body == object, "the bytes are those of the package");
    let tag = whole
        .header("etag")
        .expect("a tag")
        .trim_matches('"')
        .to_owned();
    assert_eq!(tag, skep_proto::hash::Blake3::of(&[&object]).to_string());
    let part = ask(&address, "GET", path, "Range: bytes=4-7\r\n");
    assert_eq!(part.status, 206);
    assert!(part.body == object[4..8], "a part is that part");
    let head = ask(&address, "HEAD", path, "");
    let length = object.len().to_string();
    assert_eq!(
        (head.status, head.header("content-length")),
        (200, Some(length.as_str()))
    );

    let mut ben = Home::new(true);
    let theirs = with_gateway(&mut ben);
    ben.ok(&["repo", "add", &ana.ticket()]);
    ben.wait_for("0.1.0");
    let before = look(&theirs, "/p/ana/drop");
    let shown = before.text();
    assert!(shown.contains("not trusted here") && shown.contains("you do not trust anybody"));
    assert!(!shown.contains("/files/"), "nothing is offered");
    assert_eq!(look(&theirs, path).status, 403);
    ben.ok(&["trust", "add", "ana/drop"]);
    // Local trust is in no view, and it is in the page.
    let after = look(&theirs, "/p/ana/drop");
    assert!(!after.text().contains("not trusted here"));
    assert_ne!(before.header("etag"), after.header("etag"));
    ben.ok(&["get", "ana/drop"]);
    wait_until("the files are here", || look(&theirs, path).status == 200);
    assert!(
        look(&theirs, path).body == object,
        "the same bytes from another node"
    );
}

#[test]
fn what_is_said_against_a_version_is_shown_with_the_reason() {
    let mut ana = author(true);
    ana.stop();
    let address = with_gateway(&mut ana);
    ana.publish("0.2.0");
    let because = ["--because", "counts <b>twice</b>"];
    ana.ok(&[&["publish", "--yank", "ana/drop@0.1.0"], &because[..]].concat());
    let newest = page(&address, "/p/ana/drop");
    assert!(newest.contains("skep get ana/drop@0.2.0"));
    let shown = "counts &#60;b&#62;twice&#60;/b&#62;";
    for text in [newest, page(&address, "/p/ana/drop/0.1.0")] {
        assert!(text.contains("yanked") && text.contains(shown));
    }
}

#[test]
fn a_list_leads_to_the_version_that_it_shows() {
    let mut ana = author(true);
    ana.stop();
    let address = with_gateway(&mut ana);
    ana.publish("0.2.0-rc.1");
    let because = ["--because", "counts twice"];
    let plain = "href=\"/p/ana/drop\"";
    assert!(page(&address, "/").contains(plain));
    ana.ok(&[&["publish", "--yank", "ana/drop@0.1.0"], &because[..]].concat());
    // What can be chosen is a pre-release, which nobody is led to who names no version.
    wait_until("the index follows", || {
        page(&address, "/").contains("href=\"/p/ana/drop/0.2.0-rc.1\"")
    });
    assert!(page(&address, "/p/ana/drop").contains("not trusted here"));
    assert!(page(&address, "/p/ana/drop/0.2.0-rc.1").contains(">trusted here"));
    assert!(ana.ok(&["info", "ana/drop@0.1.0"]).contains("trusted\tno"));
    let found = ana.ok(&["search", "drop"]);
    assert!(found.starts_with("ana/drop\t0.2.0-rc.1\tyes"), "{found}");
}

#[test]
fn a_page_gives_l3afd_what_the_command_gives_it() {
    let mut ana = author(true);
    ana.stop();
    let address = with_gateway(&mut ana);
    let place = ["--host", "h", "--iface", "eth0", "--platform", "jammy"];
    let snippet = [&["get", "ana/drop", "--snippet", "l3afd"], &place[..]].concat();
    let printed = ana.ok(&snippet);
    let shown = page(&address, "/p/ana/drop").replace("&#34;", "\"");
    let fields = printed
        .lines()
        .map(|line| line.trim().trim_end_matches(','));
    let fields = fields.filter(|line| line.starts_with('"') && !line.ends_with(['[', '{']));
    let fields: Vec<&str> = fields
        .filter(|line| !line.starts_with("\"host_name") && !line.starts_with("\"iface"))
        .collect();
    assert!(fields.len() >= 8, "{printed}");
    for field in fields {
        assert!(shown.contains(field), "{field}");
    }
}

#[test]
fn the_page_of_the_node_says_what_status_says() {
    let mut ana = author(true);
    ana.stop();
    let address = with_gateway(&mut ana);
    let refused = "/l3afd/ana/drop/9.9.9/jammy/drop.tar.gz";
    assert_eq!(ask(&address, "GET", refused, "").status, 404);
    let shown = page(&address, "/node");
    let status = ana.ok(&["node", "status"]);
    let said = |what: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(what));
        line.expect(what).trim().to_owned()
    };
    let key = said("node\t");
    assert!(shown.contains(&key), "the key");
    assert!(shown.contains(&format!("http://{address}")), "the gateway");
    assert!(
        shown.contains(refused) && shown.contains("404"),
        "the refusal"
    );
    for part in said("addresses\t").split(',') {
        assert!(shown.contains(part), "an address");
    }
}
