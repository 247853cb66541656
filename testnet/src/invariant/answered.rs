//! Who asks is answered, if only that it will not be.

use super::{Broken, ensure};
use crate::host::Host;

/// At the end of a run, long after the last question.
pub fn who_asks_is_answered(host: &Host) -> Result<(), Broken> {
    let waiting: Vec<_> = host.waiting().collect();
    ensure(waiting.is_empty(), "who asks is answered", || {
        format!("{} owes {waiting:?}", host.id)
    })
}
