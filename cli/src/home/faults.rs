//! Fault points of the files that a command writes. `SKEP_FAULT_POINT` names one of these, or one of
//! the store.

mod points;

use std::sync::OnceLock;

use crate::client::Faults;
use points::POINTS;

/// What this process was told; nothing, except in a crash test.
static ARMED: OnceLock<Faults> = OnceLock::new();

/// Where the writing of one kind of file can be ended.
pub(crate) struct Steps {
    pub(super) before_fsync: &'static str,
    /// Before the file has its own name, and after that.
    pub(super) before_naming: &'static str,
    pub(super) after_naming: &'static str,
}

macro_rules! steps {
    ($name:literal) => {
        Steps {
            before_fsync: concat!($name, ".before-fsync"),
            before_naming: concat!($name, ".before-naming"),
            after_naming: concat!($name, ".after-naming"),
        }
    };
}

/// A private key.
pub(crate) const KEY: Steps = steps!("key");
/// The public half beside it.
pub(crate) const PUBLIC: Steps = steps!("public");
/// How far a key has signed.
pub(crate) const TIP: Steps = steps!("tip");
/// The file of a repository.
pub(crate) const REPO: Steps = steps!("repo");
/// A tree for tools that read files, and the list of it.
pub(crate) const TREE: Steps = steps!("tree");
/// `skep.toml`.
pub(crate) const PACKAGE: Steps = steps!("package");

/// Arms the point that is named, if it is one of ours; whether it is.
pub(crate) fn arm(text: &str) -> bool {
    match Faults::among(POINTS, text) {
        Ok(faults) => {
            // A process is told once.
            drop(ARMED.set(faults));
            true
        }
        Err(_) => false,
    }
}

/// To be called where the point is.
pub(super) fn hit(point: &'static str) {
    debug_assert!(POINTS.contains(&point), "`{point}` is not listed");
    if let Some(armed) = ARMED.get() {
        armed.reach(point);
    }
}
