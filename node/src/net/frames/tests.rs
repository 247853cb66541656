use std::time::Duration;

use futures::executor::block_on;
use futures::io::Cursor;

use super::*;

fn read(bytes: &[u8], max: usize) -> Result<Option<Vec<u8>>, FrameError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime");
    runtime.block_on(read_frame_or_end(
        &mut Cursor::new(bytes),
        max,
        &Limits::default(),
    ))
}

#[test]
fn a_frame_of_the_longest_length_is_read_and_one_past_it_refused() {
    for (len, ok) in [(1_usize, true), (100, true), (101, false), (0, false)] {
        let mut bytes = u32::try_from(len).expect("small").to_be_bytes().to_vec();
        bytes.extend(vec![7; len]);
        match read(&bytes, 100) {
            Ok(Some(frame)) => assert!(ok && frame == vec![7; len]),
            Err(FrameError::Length {
                len: said,
                max: 100,
            }) => assert!(!ok && said == len),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn the_end_between_frames_is_an_end_and_inside_one_an_error() {
    let whole = [0, 0, 0, 2, 7, 7];
    assert!(matches!(read(&[], 100), Ok(None)));
    for cut in 1..whole.len() {
        assert!(
            matches!(read(&whole[..cut], 100), Err(FrameError::Io(_))),
            "{cut}"
        );
    }
    assert!(matches!(read(&whole, 100), Ok(Some(frame)) if frame == [7, 7]));
}

#[test]
fn a_frame_reads_back_whatever_its_length_and_its_pieces() {
    for len in [
        1,
        SMALL_BYTES - 1,
        SMALL_BYTES,
        SMALL_BYTES + 1,
        FIRST_BYTES + 1,
        300_000,
    ] {
        let (head, body) = (vec![1; len / 3], vec![2; len - len / 3]);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .expect("a runtime");
        let mut wire = Cursor::new(Vec::new());
        runtime
            .block_on(write_frame(&mut wire, &head, &body, &Limits::default()))
            .expect("memory takes everything");
        let frame = read(wire.get_ref(), len)
            .expect("a frame")
            .expect("not the end");
        assert_eq!(frame, [head, body].concat());
    }
}

#[test]
fn a_peer_that_takes_nothing_is_given_up() {
    struct Stuck;
    impl AsyncWrite for Stuck {
        fn poll_write(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
            _: &[u8],
        ) -> std::task::Poll<std::io::Result<usize>> {
            std::task::Poll::Pending
        }
        fn poll_flush(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<std::io::Result<()>> {
            std::task::Poll::Pending
        }
        fn poll_close(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<std::io::Result<()>> {
            std::task::Poll::Pending
        }
    }
    let limits = Limits {
        progress_window: Duration::from_millis(10),
        ..Limits::default()
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime");
    let wrote = runtime.block_on(write_frame(&mut Stuck, &[], &[7; 100], &limits));
    assert!(matches!(wrote, Err(FrameError::Stalled)));
    let flushed = runtime.block_on(flush(&mut Stuck, &limits));
    assert!(matches!(flushed, Err(FrameError::Stalled)));
}

#[test]
fn a_stream_is_taken_by_its_first_byte() {
    let mut wire = Cursor::new(Vec::new());
    block_on(write_hello(&mut wire)).expect("memory takes everything");
    assert_eq!(wire.get_ref(), &[HELLO]);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime");
    let mut pace = Pace::new(&Limits::default());
    let hello = |bytes: &'static [u8], pace: &mut Pace| {
        runtime.block_on(read_hello(&mut Cursor::new(bytes), pace))
    };
    assert!(matches!(hello(&[HELLO], &mut pace), Ok(true)));
    assert!(matches!(hello(&[0x02], &mut pace), Ok(false)));
    assert!(matches!(hello(&[], &mut pace), Err(FrameError::Io(_))));
}
