use super::*;

fn limits(queue_bytes: usize) -> Limits {
    Limits {
        queue_bytes,
        ..Limits::default()
    }
}

/// How a session of `queue_bytes` ends when frames of these lengths are sent and none is taken.
fn end_after(queue_bytes: usize, lens: &[usize]) -> Result<Why, oneshot::error::TryRecvError> {
    let registry = Registry::default();
    let (id, mut inbox) = registry.open(&limits(queue_bytes));
    for len in lens {
        registry.send(id, vec![7; *len]);
    }
    inbox.end.try_recv()
}

#[test]
fn a_queue_takes_its_bytes_and_ends_the_session_one_past() {
    let open = Err(oneshot::error::TryRecvError::Empty);
    assert_eq!(end_after(100, &[60, 40]), open);
    assert_eq!(end_after(100, &[60, 41]), Ok(Why::Overflow));
}

#[test]
fn a_queue_takes_its_frames_and_ends_the_session_one_past() {
    let open = Err(oneshot::error::TryRecvError::Empty);
    assert_eq!(end_after(1 << 20, &[1; QUEUE_FRAMES_MAX]), open);
    assert_eq!(
        end_after(1 << 20, &[1; QUEUE_FRAMES_MAX + 1]),
        Ok(Why::Overflow)
    );
}

#[test]
fn a_frame_of_ours_that_breaks_the_protocol_is_not_sent() {
    let open = Err(oneshot::error::TryRecvError::Empty);
    assert_eq!(end_after(16 << 20, &[FRAME_BYTES_MAX]), open);
    assert_eq!(
        end_after(16 << 20, &[FRAME_BYTES_MAX + 1]),
        Ok(Why::Overflow)
    );
    assert_eq!(end_after(16 << 20, &[0]), Ok(Why::Overflow));
}

#[test]
fn a_session_that_ended_takes_nothing() {
    let registry = Registry::default();
    let (id, mut inbox) = registry.open(&limits(100));
    registry.send(id, vec![1]);
    registry.close(id);
    registry.send(id, vec![2]);
    registry.end(id, Why::Replaced);
    assert_eq!(
        inbox.queue.blocking_recv(),
        Some(vec![1]),
        "what was queued is still sent"
    );
    assert_eq!(inbox.queue.blocking_recv(), None);
    let (other, _inbox) = registry.open(&limits(100));
    assert_ne!(id, other);
}
