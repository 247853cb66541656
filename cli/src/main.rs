//! `skep`: parse, dispatch, error → exit code.

mod args;
mod commands;
mod environment;
mod error;
mod home;
mod passphrase;
mod report;
mod ui;

use std::process::ExitCode;
use std::sync::Arc;

use args::{Cli, Color};
use clap::ArgMatches;
use environment::Environment;
use error::{CliError, Exit, Hint};
use ui::{Manners, Ui};

fn main() -> ExitCode {
    match args::parse(std::env::args_os()) {
        Ok((cli, matches)) => {
            set_colour(cli.global.color);
            let ui = Arc::new(Ui::new(manners(&cli)));
            match run(&cli, &matches, &ui) {
                Ok(()) => Exit::Done.into(),
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

/// Runs the command, and ends it at Ctrl-C: everything it does is safe to be left at any moment.
fn run(cli: &Cli, matches: &ArgMatches, ui: &Arc<Ui>) -> error::Result<()> {
    let env = Environment::read();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| {
            let hint = Hint::new("the limits of this shell: ulimit -a");
            CliError::new(Exit::Failed, "could not start threads", hint).because(&e)
        })?;
    let result = runtime.block_on(async {
        let interrupted = tokio::spawn(interrupted(Arc::clone(ui)));
        tokio::select! {
            result = commands::run(cli, matches, &env, ui) => result,
            _ = interrupted => Err(CliError::interrupted()),
        }
    });
    runtime.shutdown_background();
    result
}

/// Ends at the first Ctrl-C. While a question waits for its answer the command cannot be left in
/// order, nor need it be.
async fn interrupted(ui: Arc<Ui>) {
    if tokio::signal::ctrl_c().await.is_err() {
        // Without a handler Ctrl-C ends the process by itself.
        return std::future::pending().await;
    }
    if ui.is_asking() {
        ui.error(&CliError::interrupted());
        std::process::exit(Exit::Interrupted as i32);
    }
}

/// What clap has to say: a page that was asked for, or how the line is wrong.
fn page_or_usage(error: &clap::Error) -> ExitCode {
    let ui = Ui::new(Manners::of_streams());
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
