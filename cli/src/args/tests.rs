use std::collections::BTreeSet;
use std::path::Path;

use clap::Command;

use super::{Source, command, examples, groups, parse, twins, verbs};
use crate::commands::help::TOPICS;

fn crate_file(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_default()
}

#[test]
fn clap_finds_nothing_wrong() {
    command().debug_assert();
}

#[test]
fn every_verb_is_in_exactly_one_group() {
    let command = command();
    let ours: BTreeSet<&str> = command.get_subcommands().map(Command::get_name).collect();
    let grouped = groups::GROUPS.iter().flat_map(|(_, verbs)| verbs.iter());
    let listed: Vec<&str> = grouped.chain(groups::OUTSIDE).copied().collect();
    let once: BTreeSet<&str> = listed.iter().copied().collect();
    assert_eq!(
        listed.len(),
        once.len(),
        "a verb is listed twice: {listed:?}"
    );
    assert_eq!(ours, once);
}

#[test]
fn every_verb_says_what_it_does() {
    let mut all = command();
    all.build();
    for verb in verbs() {
        let found = verb
            .iter()
            .try_fold(&all, |at, word| at.find_subcommand(word));
        let about = found.and_then(Command::get_about);
        assert!(about.is_some(), "{verb:?} has no doc comment");
    }
}

#[test]
fn every_verb_has_examples_of_itself_that_can_be_typed() {
    let verbs: BTreeSet<String> = verbs().iter().map(|verb| verb.join(" ")).collect();
    let explained = examples::EXAMPLES
        .iter()
        .map(|(verb, _)| (*verb).to_owned());
    assert_eq!(verbs, explained.collect());
    for (verb, lines) in examples::EXAMPLES {
        let mut command = command();
        command.build();
        let mut words = verb.split(' ');
        let mut page = words.try_fold(&mut command, |at, word| at.find_subcommand_mut(word));
        let page = page.as_mut().expect("a verb").render_long_help();
        for (line, _) in *lines {
            let begins = format!("skep {verb}");
            assert!(line.starts_with(&begins), "{line}");
            assert!(parse(line.split(' ')).is_ok(), "{line}");
            assert!(page.to_string().contains(line), "{line} is on no page");
        }
    }
}

#[test]
fn the_overview_shows_what_can_be_typed() {
    for (example, _) in groups::EXAMPLES {
        assert!(parse(example.split(' ')).is_ok(), "{example}");
    }
}

#[test]
fn every_verb_has_a_transcript_with_an_error_in_it() {
    for verb in verbs() {
        let file = format!("tests/cmd/{}.md", verb[0]);
        let line = format!("$ skep {}", verb.join(" "));
        let mut exits = Vec::new();
        let transcript = crate_file(&file);
        let mut lines = transcript.lines().peekable();
        while let Some(typed) = lines.next() {
            let rest = typed.strip_prefix(line.as_str());
            if rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(' ')) {
                let status = lines.peek().and_then(|next| next.strip_prefix("? "));
                exits.push(status.unwrap_or("0").to_owned());
            }
        }
        assert!(
            exits.iter().any(|e| e == "0"),
            "{file} never shows `{line}` succeed"
        );
        assert!(
            exits.iter().any(|e| e != "0"),
            "{file} never shows `{line}` fail"
        );
    }
}

#[test]
fn every_verb_has_a_snapshot_of_its_json() {
    for verb in verbs() {
        // Pages for people: there is no data in them.
        if verb == ["help"] {
            continue;
        }
        let file = format!("tests/schemas/{}.json", verb.join("."));
        let text = crate_file(&file);
        let schema = format!("\"skep.{}/1\"", verb.join("."));
        assert!(text.contains(&schema), "{file} has no schema {schema}");
    }
}

#[test]
fn every_schema_is_named_after_its_verb() {
    let verbs: BTreeSet<String> = verbs().iter().map(|verb| verb.join(".")).collect();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/schemas");
    for file in std::fs::read_dir(folder).expect("schemas") {
        let name = file.expect("a file").file_name();
        let name = name.to_string_lossy().replace(".json", "");
        // `get.dsse`: a flag of it has another shape, as `skep help json` says.
        let (without_flag, _) = name.rsplit_once('.').unwrap_or((&name, ""));
        let is_known = verbs.contains(&name) || verbs.contains(without_flag);
        assert!(is_known, "{name} is of no verb");
    }
    let page = crate::commands::help::topic("json").expect("a topic");
    for verb in verbs.iter().filter(|verb| *verb != "help") {
        assert!(page.split_whitespace().any(|word| word == verb), "{verb}");
    }
}

#[test]
fn global_flags_stand_anywhere_and_say_where_they_come_from() {
    for line in [
        ["skep", "--json", "key", "list"],
        ["skep", "key", "list", "--json"],
    ] {
        let (cli, matches) = parse(line).expect("a flag of every verb");
        assert!(cli.global.json);
        assert_eq!(Source::of("json", &matches), Source::Flag("json"));
        assert_eq!(Source::of("offline", &matches), Source::Default);
    }
    let (cli, _) = parse(["skep", "--home", "", "key"]).expect("empty is unset");
    assert_eq!(cli.global.home, None);
    assert!(parse(["skep", "-q", "-v", "key"]).is_err());
}

#[test]
fn every_twin_is_known_to_clap_and_the_other_way_round() {
    let command = command();
    let of_clap: BTreeSet<(String, String)> = command
        .get_arguments()
        .filter_map(|arg| {
            let variable = arg.get_env()?.to_string_lossy().into_owned();
            Some((arg.get_id().to_string(), variable))
        })
        .collect();
    let ours = twins().map(|(flag, variable)| (flag.to_owned(), variable.to_owned()));
    assert_eq!(of_clap, ours.collect());
}

#[test]
fn topics_are_listed_where_help_is_explained() {
    let mut command = command();
    let help = command.find_subcommand_mut("help").expect("a verb");
    let page = help.render_long_help().to_string();
    for (topic, _) in TOPICS {
        assert!(page.contains(topic), "{topic} is missing in {page}");
        assert!(crate::commands::help::topic(topic).is_some(), "{topic}");
    }
}

#[test]
fn every_verb_and_topic_has_a_page_of_man() {
    let pages = crate::commands::man::pages().expect("made");
    let pages: BTreeSet<&str> = pages.iter().map(|(name, _)| name.as_str()).collect();
    for verb in verbs() {
        let page = format!("man1/skep-{}.1", verb.join("-"));
        assert!(pages.contains(page.as_str()), "{page} is missing");
    }
    for (topic, _) in TOPICS {
        let page = format!("man7/skep-{topic}.7");
        assert!(pages.contains(page.as_str()), "{page} is missing");
    }
}

#[test]
fn the_lines_of_the_readme_can_be_typed() {
    let readme = crate_file("../README.md");
    let mut verbs = BTreeSet::new();
    // `ana$  cd drop && skep publish     # why`, or the same by somebody else's hand.
    for line in readme.lines() {
        let Some((_, typed)) = line.split_once("$  ").or(line.split_once("#  ")) else {
            continue;
        };
        let typed = typed.split("  #").next().unwrap_or_default();
        for command in typed.split(" && ") {
            let command = command.trim().trim_start_matches("sudo -u skep ");
            let command = command.split(" > ").next().unwrap_or_default();
            if !command.starts_with("skep ") {
                continue;
            }
            let words = command
                .split_whitespace()
                .map(|word| word.trim_matches('\''));
            let parsed = parse(words);
            assert!(parsed.is_ok(), "{line}");
            let (_, matches) = parsed.expect("looked at");
            verbs.insert(matches.subcommand_name().map(str::to_owned));
        }
    }
    assert!(verbs.len() >= 6, "{verbs:?}");
}
