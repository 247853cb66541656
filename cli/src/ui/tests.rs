use super::{Manners, Ui, error_document, error_text, understood};
use crate::error::{CliError, Exit, Hint};

/// Nobody is there, and no more than errors is said.
pub(crate) fn nobody() -> Ui {
    Ui::new(Manners {
        verbosity: -1,
        stdin_is_terminal: false,
        stdout_is_terminal: false,
        stderr_is_terminal: false,
        ..Manners::of_streams()
    })
}

fn plain(styled: &str) -> String {
    anstream::adapter::strip_str(styled).to_string()
}

fn error() -> CliError {
    let cause = std::io::Error::other("first line\nsecond \u{1b}[2J line\n");
    let mut error = CliError::new(
        Exit::Untrusted,
        "you do not trust anybody for `l3af/\u{1b}[1mratelimiting`",
        Hint::new("compare the fingerprint with one from another channel, then\nskep trust add x"),
    )
    .detail("publisher", "l3af-release\nerror: fake")
    .detail("approvals", "none you trust");
    error = error.because(&cause);
    error
}

#[test]
fn an_error_says_what_why_and_what_to_type() {
    assert_eq!(
        plain(&error_text(&error())),
        "error: you do not trust anybody for `l3af/\\u{1b}[1mratelimiting`\n  \
           publisher  l3af-release\n             error: fake\n  \
           approvals  none you trust\n  \
           caused by: first line\n    second \\u{1b}[2J line\n\
         hint: compare the fingerprint with one from another channel, then\n      skep trust add x\n"
    );
    let bare = CliError::new(Exit::Failed, "no", Hint::none("a test"));
    assert_eq!(plain(&error_text(&bare)), "error: no\n");
}

#[test]
fn an_error_is_a_document_for_programs() {
    let text = error_document(&error());
    assert_eq!(text.lines().count(), 1);
    let parsed: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(parsed["schema"], "skep.error/1");
    assert_eq!(parsed["exit"], 3);
    assert_eq!(parsed["details"][1], "approvals: none you trust");
    assert!(
        parsed["hint"]
            .as_str()
            .is_some_and(|h| h.contains("skep trust add"))
    );
    let bare = CliError::new(Exit::Failed, "no", Hint::none("a test"));
    assert!(error_document(&bare).contains("\"hint\":null"));
}

#[test]
fn a_question_without_a_terminal_is_an_error_and_never_a_hang() {
    let refused = nobody().confirm("trust ana for ana/drop?", false);
    let error = refused.expect_err("nobody answers");
    assert_eq!(error.exit, Exit::Usage);
    assert_eq!(
        plain(&error_text(&error)),
        "error: trust ana for ana/drop? There is no terminal to answer on\n\
         hint: the same again with --yes, if the answer is yes\n"
    );
    let error = nobody().secret("passphrase: ").expect_err("nobody answers");
    assert_eq!(error.exit, Exit::Usage);
}

#[test]
fn yes_answers_every_question() {
    let manners = Manners {
        yes: true,
        ..nobody().manners
    };
    let ui = Ui::new(manners);
    assert!(ui.confirm("really?", false).expect("answered"));
    ui.say_detail("said to nobody: it is quiet here");
}

#[test]
fn answers_are_understood_or_asked_again() {
    for (answer, default, meaning) in [
        ("\n", false, Some(false)),
        ("\n", true, Some(true)),
        (" Y \n", false, Some(true)),
        ("yes\n", false, Some(true)),
        ("NO\n", true, Some(false)),
        ("yess\n", true, None),
    ] {
        assert_eq!(understood(answer, default), meaning, "{answer:?}");
    }
}
