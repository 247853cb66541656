//! Every queue has a limit, whatever peers do.

use skep_node::core::Queue;

use super::{Broken, ensure};

/// After every input.
pub fn queues_stay_within_their_limits(queues: &[Queue]) -> Result<(), Broken> {
    for queue in queues {
        ensure(queue.len <= queue.limit, "every queue is bounded", || {
            format!(
                "{} holds {} of at most {}",
                queue.name, queue.len, queue.limit
            )
        })?;
    }
    Ok(())
}
