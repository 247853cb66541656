//! `skep man`: the manual for `man`, from the tree that reads command lines and from the topics of
//! `skep help`. Nothing of it is written by hand, so nothing can differ.

use std::fs;
use std::path::Path;

use clap::Command;
use clap_mangen::roff::{Roff, bold, roman};

use super::help;
use crate::args::{self, EVERYWHERE, examples, man::Man};
use crate::error::{CliError, Exit, Result, could_not};
use crate::report::{Report, Table};

/// What `man` shows at the foot of every page.
const SOURCE: &str = concat!("skep ", env!("CARGO_PKG_VERSION"));
const MANUAL: &str = "The manual of skep";

/// A page: its file below the folder of all manuals, and its text.
type Page = (String, String);

pub(crate) fn run(args: &Man) -> Result<Report> {
    let dir = &args.dir;
    for section in ["man1", "man7"] {
        let section = dir.join(section);
        fs::create_dir_all(&section).map_err(|e| CliError::io("make the folder", &section, &e))?;
    }
    let mut written = Table::new(&["page"]);
    for (name, text) in pages().map_err(|e| could_not("make the manual", &e))? {
        write(&dir.join(&name), &text)?;
        written.push([name.into()]);
    }
    Ok(Report::list("man", written))
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).map_err(|e| CliError::io("write", path, &e))
}

/// Every page: skep(1), one for each verb, and skep-TOPIC(7).
pub(crate) fn pages() -> std::io::Result<Vec<Page>> {
    let mut command = args::command();
    command.build();
    let mut pages = vec![("man1/skep.1".to_owned(), overview(&command)?)];
    for verb in command.get_subcommands() {
        verb_pages(verb, &mut vec![verb.get_name().to_owned()], &mut pages)?;
    }
    for (topic, about) in help::TOPICS {
        pages.push((format!("man7/skep-{topic}.7"), topic_page(topic, about)));
    }
    Ok(pages)
}

fn verb_pages(
    command: &Command,
    words: &mut Vec<String>,
    out: &mut Vec<Page>,
) -> std::io::Result<()> {
    out.push((
        format!("man1/skep-{}.1", words.join("-")),
        verb_page(command, words)?,
    ));
    for below in command.get_subcommands() {
        words.push(below.get_name().to_owned());
        verb_pages(below, words, out)?;
        words.pop();
    }
    Ok(())
}

/// skep(1): the flags of every verb, the exit codes and the environment are here and nowhere else.
fn overview(command: &Command) -> std::io::Result<String> {
    let page = man(command.clone());
    let mut out = Vec::new();
    page.render_title(&mut out)?;
    page.render_name_section(&mut out)?;
    synopsis(command, &mut out)?;
    page.render_description_section(&mut out)?;
    page.render_subcommands_section(&mut out)?;
    page.render_options_section(&mut out)?;
    let mut more = Roff::new();
    more.control("SH", ["EXIT STATUS"]);
    for (code, meaning) in Exit::ALL {
        item(&mut more, &code.to_string(), meaning.trim());
    }
    more.control("SH", ["ENVIRONMENT"]);
    for (variable, what) in help::variables() {
        item(&mut more, &variable, &what);
    }
    let topics = help::TOPICS.map(|(topic, _)| format!("skep-{topic}"));
    see_also(&mut more, topics.iter().map(|topic| (topic.as_str(), 7)));
    more.to_writer(&mut out)?;
    Ok(text(&out))
}

fn verb_page(command: &Command, words: &[String]) -> std::io::Result<String> {
    let command = own_flags_only(command);
    let page = man(command.clone());
    let mut out = Vec::new();
    page.render_title(&mut out)?;
    page.render_name_section(&mut out)?;
    page.render_synopsis_section(&mut out)?;
    page.render_description_section(&mut out)?;
    if command.get_arguments().any(|arg| !arg.is_hide_set()) {
        page.render_options_section(&mut out)?;
    }
    if command.has_subcommands() {
        page.render_subcommands_section(&mut out)?;
    }
    let mut more = Roff::new();
    let lines = examples::of(&words.join(" "));
    if !lines.is_empty() {
        more.control("SH", ["EXAMPLES"]);
    }
    for (line, what) in lines {
        item(&mut more, line, what);
    }
    see_also(&mut more, [("skep", 1)]);
    more.to_writer(&mut out)?;
    Ok(text(&out))
}

/// skep-TOPIC(7): the page of `skep help TOPIC`, with its lines as they are.
fn topic_page(topic: &str, about: &str) -> String {
    let name = format!("skep-{topic}");
    let mut page = Roff::new();
    page.control("TH", [name.as_str(), "7", "", SOURCE, MANUAL]);
    page.control("SH", ["NAME"]);
    page.text([roman(format!("{name} - {about}"))]);
    page.control("SH", ["DESCRIPTION"]);
    page.control("nf", []);
    for line in help::topic(topic).unwrap_or_default().lines() {
        page.text([roman(line)]);
    }
    page.control("fi", []);
    see_also(&mut page, [("skep", 1)]);
    page.to_roff()
}

fn man(command: Command) -> clap_mangen::Man {
    let command = command
        .subcommand_value_name("VERB")
        .subcommand_help_heading("VERBS");
    clap_mangen::Man::new(command).source(SOURCE).manual(MANUAL)
}

/// Without the flags that every verb takes: skep(1) has them.
fn own_flags_only(command: &Command) -> Command {
    command.clone().mut_args(|arg| {
        let everywhere = arg.get_help_heading() == Some(EVERYWHERE);
        if everywhere { arg.hide(true) } else { arg }
    })
}

fn synopsis(command: &Command, out: &mut Vec<u8>) -> std::io::Result<()> {
    man(own_flags_only(command)).render_synopsis_section(out)
}

fn item(page: &mut Roff, label: &str, text: &str) {
    page.control("TP", []);
    page.text([bold(label)]);
    page.text([roman(text)]);
}

fn see_also<'a>(page: &mut Roff, pages: impl IntoIterator<Item = (&'a str, u8)>) {
    page.control("SH", ["SEE ALSO"]);
    let mut line = Vec::new();
    for (name, section) in pages {
        if !line.is_empty() {
            line.push(roman(", "));
        }
        line.push(bold(name));
        line.push(roman(format!("({section})")));
    }
    page.text(line);
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
