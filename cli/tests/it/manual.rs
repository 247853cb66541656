//! Completions and pages of man, read by the tools that they are for.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::fixture::Fixture;

/// Whether a tool is installed; says so if a test does without it.
fn have(tool: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).any(|dir| dir.join(tool).is_file());
    if !found {
        skipped(&format!("what {tool} says, because it is not installed"));
    }
    found
}

#[expect(clippy::print_stderr, reason = "a test that was skipped says so")]
fn skipped(why: &str) {
    eprintln!("skipped: {why}");
}

/// What a shell prints for a script of ours, with the completions in the file `skep`.
fn typed(fixture: &Fixture, shell: &str, flags: &[&str], script: &str) -> String {
    let file = fixture.path().join("skep");
    fs::write(file, fixture.run(&format!("completions {shell}"))).expect("written");
    let Output {
        status,
        stdout,
        stderr,
    } = Command::new(shell)
        .args(flags)
        .args(["-c", script])
        .current_dir(fixture.path())
        .env("HOME", fixture.path())
        .env("XDG_CONFIG_HOME", fixture.path())
        .stdin(Stdio::null())
        .output()
        .expect("it starts");
    let said = String::from_utf8_lossy(&stderr);
    assert!(status.success(), "{shell}: {said}");
    assert_eq!(said, "", "{shell}");
    String::from_utf8(stdout).expect("text")
}

#[test]
fn bash_completes_verbs_and_flags() {
    let complete = |words: &str, cursor: usize| {
        let script = format!(
            "source ./skep; COMP_WORDS=({words}); COMP_CWORD={cursor}; \
             _skep skep \"${{COMP_WORDS[$COMP_CWORD]}}\" x; printf '%s\\n' \"${{COMPREPLY[@]}}\""
        );
        typed(&Fixture::new(), "bash", &["--norc"], &script)
    };
    assert_eq!(complete("skep pub", 1), "publish\n");
    assert_eq!(complete("skep key exp", 2), "export\n");
    assert_eq!(complete("skep get --allow", 2), "--allow-yanked\n");
    assert_eq!(complete("skep completions power", 2), "powershell\n");
    let all = complete("skep \"\"", 1);
    for verb in ["new", "get", "node", "man"] {
        assert!(all.lines().any(|line| line == verb), "{verb}: {all}");
    }
}

#[test]
fn zsh_reads_its_completions() {
    if !have("zsh") {
        return;
    }
    let script = "autoload -U compinit && compinit -D -u && source ./skep && \
                  print $+functions[_skep] ${_comps[skep]}";
    let fixture = Fixture::new();
    assert_eq!(typed(&fixture, "zsh", &["-f"], script), "1 _skep\n");
}

#[test]
fn fish_completes_verbs_and_flags() {
    if !have("fish") {
        return;
    }
    let complete = |line: &str| {
        let script = format!("source ./skep; complete -C '{line}'");
        typed(&Fixture::new(), "fish", &["--no-config"], &script)
    };
    assert!(complete("skep pub").starts_with("publish\t"));
    assert!(complete("skep key exp").starts_with("export\t"));
    assert!(complete("skep get --allow").starts_with("--allow-yanked\t"));
}

#[test]
fn elvish_and_powershell_read_their_completions() {
    let fixture = Fixture::new();
    if have("elvish") {
        typed(&fixture, "elvish", &["-compileonly"], "use ./skep");
    }
    if have("pwsh") {
        let script = ". ([ScriptBlock]::Create((Get-Content -Raw ./skep)))";
        typed(&fixture, "pwsh", &["-NoProfile"], script);
    }
    // Where they are not installed, at least every verb is there.
    for shell in ["elvish", "powershell"] {
        let script = fixture.run(&format!("completions {shell}"));
        for verb in ["publish", "export", "allow-yanked"] {
            assert!(script.contains(verb), "{shell}: {verb}");
        }
    }
}

/// The pages of man, in a folder of the case.
fn written(fixture: &Fixture) -> Vec<std::path::PathBuf> {
    let listed = fixture.run("man manuals");
    let pages = listed
        .lines()
        .map(|page| fixture.path().join("manuals").join(page));
    pages.collect()
}

/// What man says about a page, which must be nothing, and the page as it shows it.
fn shown(page: &Path) -> String {
    let output = Command::new("man")
        .args(["--warnings", "-E", "UTF-8", "-l"])
        .arg(page)
        .env("MANWIDTH", "80")
        .env("MANROFFSEQ", "")
        .output()
        .expect("man starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(said, "", "{}", page.display());
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn man_shows_every_page_without_a_warning() {
    let fixture = Fixture::new();
    let pages = written(&fixture);
    for page in &pages {
        let text = fs::read_to_string(page).expect("written");
        for section in [".TH ", ".SH NAME", ".SH DESCRIPTION", ".SH \"SEE ALSO\""] {
            assert!(text.contains(section), "{}: {section}", page.display());
        }
        assert!(!text.contains('\u{1b}'), "{}", page.display());
    }
    if have("mandoc") {
        let lint = Command::new("mandoc")
            .args(["-T", "lint", "-W", "error"])
            .args(&pages)
            .output()
            .expect("mandoc starts");
        let said = String::from_utf8_lossy(&lint.stdout);
        assert!(lint.status.success(), "{said}");
    }
    if have("man") {
        // A few: each starts half a dozen processes.
        let overview = shown(&fixture.path().join("manuals/man1/skep.1"));
        for says in [
            "EXIT STATUS",
            "SKEP_HOME",
            "skep-publish(1)",
            "skep-trust(7)",
        ] {
            assert!(overview.contains(says), "{says}");
        }
        let verb = shown(&fixture.path().join("manuals/man1/skep-key-new.1"));
        assert!(verb.contains("skep key new --name ci"));
        let topic = shown(&fixture.path().join("manuals/man7/skep-names.7"));
        assert!(topic.contains("repo/name@2.1.0"));
    }
}

#[test]
fn packagers_have_no_home() {
    let fixture = Fixture::new();
    for line in ["completions fish", "man manuals", "help names"] {
        let mut command = fixture.skep(line);
        let output = command.env_remove("HOME").env_remove("SKEP_HOME").output();
        let output = output.expect("skep runs");
        assert!(output.status.success(), "{line}");
        assert!(output.stderr.is_empty(), "{line}");
    }
}
