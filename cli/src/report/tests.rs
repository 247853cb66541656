use super::text::{Reader, render, size};
use super::{Mark, Report, Table, Value, json};

const NOW: i64 = 1_795_000_000;
const TERMINAL: Reader = Reader::Terminal { now: NOW };

/// Without the styles, which the stream removes for whoever cannot show them.
fn on_terminal(report: &Report) -> String {
    anstream::adapter::strip_str(&render(report, TERMINAL)).to_string()
}

fn check(report: &Report, terminal: &str, pipe: &str, json: &str) {
    assert_eq!(on_terminal(report), terminal, "terminal");
    assert_eq!(render(report, Reader::Pipe), pipe, "pipe");
    assert_eq!(json::render(report), json, "json");
}

#[test]
fn an_answer_has_three_forms() {
    let hash = format!("b3:{}", "9f2c81d0a7e4b6".repeat(4));
    let report = Report::answer("info")
        .fact("name", "ana/drop")
        .fact("file_size", Value::Size(9_626))
        .fact("hash", Value::Hash(hash.clone()))
        .fact("released", Value::Time(NOW - 3 * 86_400))
        .fact("successor", None::<String>)
        .fact("yanked", false)
        .fact("keywords", vec!["ddos", "xdp"])
        .fact("peers", Vec::<String>::new());
    check(
        &report,
        "name       ana/drop\n\
         file size  9.4 KiB\n\
         hash       b3:9f2c81d0a7e4…\n\
         released   3 days ago\n\
         yanked     no\n\
         keywords   ddos, xdp\n",
        &format!(
            "name\tana/drop\nfile_size\t9626\nhash\t{hash}\nreleased\t2026-11-15T11:06:40Z\n\
             successor\t\nyanked\tno\nkeywords\tddos,xdp\npeers\t\n"
        ),
        &format!(
            "{{\"schema\":\"skep.info/1\",\"name\":\"ana/drop\",\"file_size\":9626,\
             \"hash\":\"{hash}\",\"released\":\"2026-11-15T11:06:40Z\",\"successor\":null,\
             \"yanked\":false,\"keywords\":[\"ddos\",\"xdp\"],\"peers\":[]}}\n"
        ),
    );
}

#[test]
fn a_list_is_an_object_per_line() {
    let mut table = Table::new(&["name", "log_entries"]);
    table.push(["ana".into(), Value::Number(3)]);
    table.push(["société".into(), Value::Number(12)]);
    check(
        &Report::list("repo", table),
        "NAME     LOG ENTRIES\nana      3\nsociété  12\n",
        "ana\t3\nsociété\t12\n",
        "{\"schema\":\"skep.repo/1\",\"name\":\"ana\",\"log_entries\":3}\n\
         {\"schema\":\"skep.repo/1\",\"name\":\"société\",\"log_entries\":12}\n",
    );
}

#[test]
fn an_empty_list_is_nothing_at_all() {
    let report = Report::list("repo", Table::new(&["name"]));
    check(&report, "", "", "");
}

#[test]
fn tables_and_texts_stand_between_facts() {
    let mut checks = Table::without_header(&["mark", "check"]);
    checks.push([Mark::Ok.into(), "home".into()]);
    checks.push([Mark::Fail.into(), "keys".into()]);
    checks.push([Mark::Skip.into(), "node".into()]);
    let report = Report::answer("doctor")
        .fact("version", "0.1.0")
        .table("checks", checks)
        .verbatim("snippet", "a:\n\tb")
        .fact("problems", 1_u64);
    check(
        &report,
        "version  0.1.0\n✓ ok    home\n✗ fail  keys\n  skip  node\na:\n\tb\nproblems  1\n",
        "version\t0.1.0\nchecks\tok\thome\nchecks\tfail\tkeys\nchecks\tskip\tnode\na:\n\tb\nproblems\t1\n",
        "{\"schema\":\"skep.doctor/1\",\"version\":\"0.1.0\",\"checks\":[{\"mark\":\"ok\",\
         \"check\":\"home\"},{\"mark\":\"fail\",\"check\":\"keys\"},{\"mark\":\"skip\",\
         \"check\":\"node\"}],\"snippet\":\"a:\\n\\tb\",\"problems\":1}\n",
    );
}

#[test]
fn a_stranger_can_neither_steer_a_terminal_nor_add_a_cell() {
    let evil = "x\u{1b}[2J\ty\nz\u{202e}\u{9b}";
    let mut table = Table::new(&["label", "key"]);
    table.push([evil.into(), "k".into()]);
    let report = Report::list("repo", table);
    assert_eq!(
        render(&report, Reader::Pipe),
        "x\\u{1b}[2J\\u{9}y\\u{a}z\\u{202e}\\u{9b}\tk\n"
    );
    let json = json::render(&report);
    assert!(json.contains(r#""x\u001b[2J\ty\nz\u202e\u009b""#), "{json}");
    let parsed: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(parsed["label"], evil);

    let verbatim = Report::answer("get").verbatim("snippet", evil);
    assert_eq!(
        render(&verbatim, TERMINAL),
        "x\\u{1b}[2J\ty\nz\\u{202e}\\u{9b}\n"
    );
}

#[test]
fn wide_characters_keep_the_columns() {
    let mut table = Table::without_header(&["a", "b"]);
    table.push(["日本".into(), "1".into()]);
    table.push(["abcd".into(), "2".into()]);
    table.push(["é".into(), "3".into()]);
    assert_eq!(
        on_terminal(&Report::list("x", table)),
        "日本  1\nabcd  2\né     3\n"
    );
}

#[test]
fn sizes_are_rounded_down_in_binary_units() {
    let sizes = [0, 1_023, 1_024, 1_535, 1_048_575, 1_048_576, u64::MAX];
    assert_eq!(
        sizes.map(size),
        [
            "0 B",
            "1023 B",
            "1.0 KiB",
            "1.4 KiB",
            "1023.9 KiB",
            "1.0 MiB",
            "15.9 EiB"
        ]
    );
}

#[test]
fn times_are_humane_only_while_that_helps() {
    let seen = |then: i64| {
        let report = Report::answer("x").fact("t", Value::Time(then));
        on_terminal(&report)
    };
    assert_eq!(seen(NOW), "t  0 seconds ago\n");
    assert_eq!(seen(NOW - 1), "t  1 second ago\n");
    assert_eq!(seen(NOW - 59 * 60), "t  59 minutes ago\n");
    assert_eq!(seen(NOW - 23 * 3_600), "t  23 hours ago\n");
    assert_eq!(seen(NOW - 30 * 86_400), "t  2026-10-19T11:06:40Z\n");
    assert_eq!(seen(NOW + 60), "t  2026-11-18T11:07:40Z\n");
    assert_eq!(seen(i64::MIN), format!("t  {}\n", i64::MIN));
}
