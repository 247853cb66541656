//! `skep-testnet`: measures what a release build does, beside what others do. Not shipped.

mod bench;

use std::process::ExitCode;

use clap::Parser as _;

/// Benches of skep on this machine
#[derive(clap::Parser)]
#[command(version, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand)]
enum Action {
    /// Measure, and print each figure beside its goal and its peer
    Bench(bench::Args),
    /// Answer pings until stdin ends; the other end of `bench publish`
    #[command(hide = true)]
    Pong,
}

fn main() -> ExitCode {
    let done = match Cli::parse().action {
        Action::Bench(args) => bench::run(&args),
        Action::Pong => bench::pong(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            bench::fail(&error);
            ExitCode::FAILURE
        }
    }
}
