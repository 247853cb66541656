//! `skep`: parse, dispatch, error → exit code.

mod args;
mod author;
mod client;
mod commands;
mod environment;
mod error;
mod home;
mod logs;
mod passphrase;
mod process;
mod report;
mod supervisor;
mod ui;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use args::{Cli, Color};
use clap::ArgMatches;
use environment::Environment;
use error::{CliError, Exit, Hint};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use ui::{Manners, Ui};

fn main() -> ExitCode {
    match args::parse(std::env::args_os()) {
        Ok((cli, matches)) => {
            set_colour(cli.global.color);
            let ui = Arc::new(Ui::new(manners(&cli)));
            match run(&cli, &matches, &ui) {
                Ok(()) => {
                    ui.say_next();
                    Exit::Done.into()
                }
                Err(e) if e.exit == Exit::Done => Exit::Done.into(),
                Err(e) => {
                    ui.error(&e);
                    e.exit.into()
                }
            }
        }
        Err(e) => page_or_usage(&e),
    }
}

/// How long a command has to stop by itself after Ctrl-C. Then it is waiting for something that may
/// never come, such as an answer, and is left as it stands.
const GRACE: Duration = Duration::from_millis(300);

/// Runs the command, and ends it at Ctrl-C: whatever it does is safe to be left at any moment. A
/// node and the demo are not cut off: they heed the signals themselves.
fn run(cli: &Cli, matches: &ArgMatches, ui: &Arc<Ui>) -> error::Result<()> {
    let env = Environment::read();
    let could_not = |what: &str, cause: &std::io::Error| {
        let hint = Hint::new("the limits of this shell: ulimit -a");
        CliError::new(Exit::Failed, format!("could not {what}"), hint).because(cause)
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| could_not("start threads", &e))?;
    let result = runtime.block_on(async {
        if commands::stops_by_itself(cli) {
            return commands::run(cli, matches, &env, ui).await;
        }
        let ctrl_c = signal(SignalKind::interrupt()).map_err(|e| could_not("heed Ctrl-C", &e))?;
        let (tell, interrupted) = oneshot::channel();
        let watch = tokio::spawn(watch(ctrl_c, tell, Arc::clone(ui)));
        let result = tokio::select! {
            result = commands::run(cli, matches, &env, ui) => result,
            Ok(()) = interrupted => Err(ui.interrupted()),
        };
        watch.abort();
        result
    });
    runtime.shutdown_background();
    result
}

/// Asks the command to stop at the first Ctrl-C; ends the process at the second, or if nothing
/// follows from the first.
async fn watch(mut ctrl_c: Signal, tell: oneshot::Sender<()>, ui: Arc<Ui>) {
    ctrl_c.recv().await;
    // Nobody listens if the command has just ended.
    if tell.send(()).is_err() {
        return;
    }
    tokio::select! {
        () = tokio::time::sleep(GRACE) => {}
        _ = ctrl_c.recv() => {}
    }
    ui.error(&ui.interrupted());
    std::process::exit(Exit::Interrupted as i32);
}

/// What clap has to say: a page that was asked for, or how the line is wrong.
fn page_or_usage(error: &clap::Error) -> ExitCode {
    let ui = Ui::new(Manners::of_streams());
    let wants_json = args::wants_json(std::env::args_os());
    if error.use_stderr() && wants_json {
        let manners = Manners {
            json: true,
            ..Manners::of_streams()
        };
        Ui::new(manners).error(&usage_error(&error.render().to_string()));
        return Exit::Usage.into();
    }
    let text = error.render().ansi().to_string();
    if !error.use_stderr() {
        return match ui.page(&text) {
            Ok(()) => Exit::Done.into(),
            Err(e) => e.exit.into(),
        };
    }
    ui.usage(&text);
    Exit::Usage.into()
}

/// Clap's text as an error of ours: what is wrong, its tips, and how it would be right.
fn usage_error(text: &str) -> CliError {
    let mut parts = text.split("\n\n").map(str::trim);
    let wrong = parts.next().unwrap_or_default();
    let wrong = wrong.strip_prefix("error: ").unwrap_or(wrong);
    let (usages, tips): (Vec<&str>, Vec<&str>) = parts
        .filter(|part| !part.is_empty() && !part.starts_with("For more information"))
        .partition(|part| part.starts_with("Usage:"));
    let hint = usages.first().copied().unwrap_or("skep --help");
    let error = CliError::usage(wrong, Hint::new(hint));
    tips.iter().fold(error, |error, tip| {
        let (label, text) = tip.split_once(": ").unwrap_or(("note", tip));
        error.detail(label, text)
    })
}

fn manners(cli: &Cli) -> Manners {
    let global = &cli.global;
    let verbosity = i8::try_from(global.verbose).unwrap_or(i8::MAX);
    Manners {
        json: global.json,
        verbosity: if global.quiet { -1 } else { verbosity },
        progress: !global.no_progress,
        yes: global.yes,
        ..Manners::of_streams()
    }
}

fn set_colour(when: Color) {
    let choice = match when {
        Color::Auto => anstream::ColorChoice::Auto,
        Color::Always => anstream::ColorChoice::AlwaysAnsi,
        Color::Never => anstream::ColorChoice::Never,
    };
    choice.write_global();
}
