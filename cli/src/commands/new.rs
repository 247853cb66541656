//! `skep new`: a package, from an object whose facts are read, or from a template that builds.

use std::fs;
use std::path::{Path, PathBuf};

use skep_proto::ebpf;
use skep_proto::name::Name;
use skep_proto::package::source::{LICENSES, for_new, spdx_of};

use super::Session;
use super::parse::parse_name;
use crate::args::new::New;
use crate::error::{CliError, Exit, Hint, Result};
use crate::home::read_bytes;
use crate::report::{Report, Table};

/// License of a template, which its source says too.
const TEMPLATE_LICENSE: &str = "GPL-2.0-only OR BSD-2-Clause";

/// The hooks that have a template: the name, the section, the context type, what to return.
const HOOKS: [(&str, &str, &str, &str); 6] = [
    ("xdp", "xdp", "struct xdp_md", "XDP_PASS"),
    ("tc", "tc", "struct __sk_buff", "TC_ACT_OK"),
    // Headers before Linux 6.6 do not know TCX_NEXT: the next program decides.
    ("tcx", "tcx/ingress", "struct __sk_buff", "-1"),
    ("kprobe", "kprobe/do_unlinkat", "void", "0"),
    (
        "tracepoint",
        "tracepoint/sched/sched_process_exec",
        "void",
        "0",
    ),
    // 0 allows.
    ("lsm", "lsm/file_open", "void", "0"),
];

/// Names of packages that mean something else in C, the template's map among them.
const C_WORDS: [&str; 38] = [
    "asm", "auto", "bool", "break", "case", "char", "const", "continue", "default", "do", "double",
    "else", "enum", "extern", "float", "for", "goto", "if", "inline", "int", "long", "register",
    "restrict", "return", "runs", "short", "signed", "sizeof", "static", "struct", "switch",
    "typedef", "typeof", "union", "unsigned", "void", "volatile", "while",
];

pub(crate) fn run(args: &New, session: &Session<'_>) -> Result<Report> {
    let name = parse_name(&args.name)?;
    if name.is_reserved() {
        let message = format!("a package cannot be called `{name}`: the word is reserved");
        return Err(CliError::usage(message, Hint::new("take another name")));
    }
    let dir = PathBuf::from(name.as_str());
    if dir.exists() {
        return Err(CliError::new(
            Exit::Failed,
            format!("`{}` is there already", dir.display()),
            Hint::new("take another name, or work elsewhere"),
        ));
    }
    match &args.from {
        Some(object) => from_object(&name, object, &dir, session),
        None => from_template(&name, &args.hook, &dir, session),
    }
}

fn from_object(name: &Name, object: &Path, dir: &Path, session: &Session<'_>) -> Result<Report> {
    let bytes = read_bytes(object, ebpf::OBJECT_BYTES_MAX as u64)?;
    let facts = ebpf::read(&bytes).map_err(|e| {
        let message = format!("`{}` cannot be packed", object.display());
        let hint = Hint::new("compile it with: clang -O2 -g -target bpf -c");
        CliError::new(Exit::Failed, message, hint).because(&e)
    })?;
    let said = facts.license.as_deref().unwrap_or_default();
    let license = spdx_of(said).unwrap_or("LicenseRef-unknown");
    let file = object
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let text = for_new(name, license, "", &file, Some(&facts));
    let written = [("skep.toml", text.as_bytes()), (&file, &bytes)];
    write_all(dir, &written, session)?;
    let mut licenses = Table::new(&["object_says", "taken_for"]);
    for (string, spdx) in LICENSES {
        licenses.push([string.into(), spdx.into()]);
    }
    let mut programs = Table::new(&["program", "type", "section"]);
    for program in &facts.programs {
        programs.push([
            program.name.as_str().into(),
            program
                .kind
                .as_ref()
                .map(|kind| kind.program_type.to_string())
                .into(),
            program.section.as_str().into(),
        ]);
    }
    if license == "LicenseRef-unknown" {
        session.ui.warn(&format!(
            "the object's license is `{said}`: write an SPDX expression into skep.toml"
        ));
    }
    session.ui.next(format!("cd {name} && skep publish"));
    Ok(Report::answer("new")
        .fact("package", name.as_str())
        .fact("license", license)
        .fact("object_says", said)
        .fact("maps", facts.maps.len() as u64)
        .table("programs", programs)
        .table("licenses", licenses))
}

fn from_template(name: &Name, hook: &str, dir: &Path, session: &Session<'_>) -> Result<Report> {
    let found = HOOKS.iter().find(|(known, ..)| *known == hook);
    let Some((_, section, context, result)) = found else {
        let known: Vec<&str> = HOOKS.iter().map(|(known, ..)| *known).collect();
        return Err(CliError::usage(
            format!("there is no template for the hook `{hook}`"),
            Hint::new(format!("one of: {}", known.join(", "))),
        ));
    };
    let function = identifier(name);
    let object = format!("{function}.bpf.o");
    let fill = |template: &str| {
        template
            .replace("@NAME@", name.as_str())
            .replace("@FUNCTION@", &function)
            .replace("@SECTION@", section)
            .replace("@CONTEXT@", context)
            .replace("@RESULT@", result)
    };
    let source = fill(include_str!("../../templates/program.bpf.c"));
    let makefile = fill(include_str!("../../templates/Makefile"));
    let readme = fill(include_str!("../../templates/README.md"));
    let license = fill(include_str!("../../templates/LICENSE"));
    let text = for_new(name, TEMPLATE_LICENSE, "", &object, None);
    let source_file = format!("{function}.bpf.c");
    write_all(
        dir,
        &[
            ("skep.toml", text.as_bytes()),
            (&source_file, source.as_bytes()),
            ("Makefile", makefile.as_bytes()),
            ("README.md", readme.as_bytes()),
            ("LICENSE", license.as_bytes()),
        ],
        session,
    )?;
    session
        .ui
        .next(format!("cd {name} && make && skep publish"));
    Ok(Report::answer("new")
        .fact("package", name.as_str())
        .fact("license", TEMPLATE_LICENSE)
        .fact("hook", hook))
}

/// A name as C takes it for a function's.
fn identifier(name: &Name) -> String {
    let plain = name.as_str().replace('-', "_");
    let is_c =
        |word: &str| C_WORDS.contains(&word) || word.starts_with(|c: char| c.is_ascii_digit());
    if is_c(&plain) {
        format!("p_{plain}")
    } else {
        plain
    }
}

/// Writes a new folder; nothing of it stays if something cannot be written.
fn write_all(dir: &Path, files: &[(&str, &[u8])], session: &Session<'_>) -> Result<()> {
    fs::create_dir(dir).map_err(|e| CliError::io("make the folder", dir, &e))?;
    for (name, bytes) in files {
        let path = dir.join(name);
        if let Err(e) = fs::write(&path, bytes) {
            // The error says what failed; the folder is ours and new.
            drop(fs::remove_dir_all(dir));
            return Err(CliError::io("write", &path, &e));
        }
    }
    let names: Vec<&str> = files.iter().map(|(name, _)| *name).collect();
    session
        .ui
        .say(&format!("created {}/: {}", dir.display(), names.join(" ")));
    Ok(())
}
