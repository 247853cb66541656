//! What a running node says of itself: tracing to stderr, for people or, if asked for, JSON.

use tracing_subscriber::EnvFilter;

use crate::environment::Environment;

/// Starts logging; `verbose` is how often `-v` was given. `SKEP_LOG` names targets and levels,
/// `SKEP_LOG_FORMAT=json` another form. Escapes are for terminals: a file or a journal gets none.
pub(crate) fn start(verbose: u8, env: &Environment) {
    let colour = anstream::AutoStream::choice(&std::io::stderr()) != anstream::ColorChoice::Never;
    let level = match verbose {
        0 => "warn",
        1 => "info",
        2 => "debug",
        _ => "trace",
    };
    let default = format!("warn,skep={level},skep_node={level}");
    let filter = env
        .log
        .as_deref()
        .and_then(|text| EnvFilter::try_new(text).ok());
    let filter = filter.unwrap_or_else(|| EnvFilter::new(default));
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(colour)
        .with_writer(std::io::stderr)
        // It would say on stderr that stderr takes nothing, and panic.
        .log_internal_errors(false);
    let started = match env.log_format.as_deref() {
        Some("json") => logs.json().try_init(),
        _ => logs.with_target(false).try_init(),
    };
    // A second start in one process changes nothing.
    drop(started);
}
