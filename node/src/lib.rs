//! The node: a pure core that decides, and the adapters around it that act, joined by one driver.

mod bundle;
pub mod config;
pub mod control;
pub mod core;
mod driver;
pub mod fetched;
pub mod gateway;
mod gc;
mod in_use;
pub mod interpreter;
mod keeper;
mod mirror;
pub mod net;
mod obtain;
mod perform;
mod release;
pub mod repos;
pub mod restore;
pub mod run;
pub mod search;
pub mod snapshot;
pub mod store;

use std::time::{SystemTime, UNIX_EPOCH};

pub use driver::Handle;

/// Unix seconds, for people to read.
pub(crate) fn unix_s() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |elapsed| elapsed.as_secs())
}

/// An error with its causes, in one line.
pub(crate) fn in_words(error: &(dyn std::error::Error + 'static)) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        words = format!("{words}: {error}");
        cause = error.source();
    }
    words
}
