//! Frames: `u32be length`, then that many bytes. Both protocols of ours are made of them.

use futures::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::timeout;

use super::Limits;
use super::budget::{Pace, ReadError};

/// What the side that accepts a stream writes first: until it has come, the stream may have been
/// refused.
pub(super) const HELLO: u8 = 0x01;

/// A buffer begins with this many bytes, whatever length was announced.
const FIRST_BYTES: usize = 64 << 10;
/// Frames up to this length are written together with their length, as one piece.
const SMALL_BYTES: usize = 16 << 10;

/// Why there is no frame.
#[derive(Debug, thiserror::Error)]
pub(super) enum FrameError {
    #[error("a frame of {len} bytes where 1 to {max} are allowed")]
    Length { len: usize, max: usize },
    #[error("fewer bytes than the least rate")]
    Stalled,
    #[error("{0}")]
    Io(std::io::Error),
}

impl From<ReadError> for FrameError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Stalled => Self::Stalled,
            ReadError::Io(error) => Self::Io(error),
        }
    }
}

fn cut_short() -> FrameError {
    FrameError::Io(std::io::ErrorKind::UnexpectedEof.into())
}

/// Waits for a frame as long as it takes, and demands progress from its second byte on. `None`
/// where the peer ended the stream between two frames.
pub(super) async fn read_frame_or_end(
    from: &mut (impl AsyncRead + Unpin),
    max: usize,
    limits: &Limits,
) -> Result<Option<Vec<u8>>, FrameError> {
    let mut length = [0; 4];
    if from.read(&mut length[..1]).await.map_err(FrameError::Io)? == 0 {
        return Ok(None);
    }
    let mut pace = Pace::new(limits);
    read_all(from, &mut length[1..], &mut pace).await?;
    read_body(from, length, max, &mut pace).await.map(Some)
}

/// Reads a frame that is due.
pub(super) async fn read_frame(
    from: &mut (impl AsyncRead + Unpin),
    max: usize,
    pace: &mut Pace,
) -> Result<Vec<u8>, FrameError> {
    let mut length = [0; 4];
    read_all(from, &mut length, pace).await?;
    read_body(from, length, max, pace).await
}

/// Reads the byte by which the other side says that it took the stream.
pub(super) async fn read_hello(
    from: &mut (impl AsyncRead + Unpin),
    pace: &mut Pace,
) -> Result<bool, FrameError> {
    let mut hello = [0];
    read_all(from, &mut hello, pace).await?;
    Ok(hello == [HELLO])
}

pub(super) async fn write_hello(to: &mut (impl AsyncWrite + Unpin)) -> std::io::Result<()> {
    to.write_all(&[HELLO]).await?;
    to.flush().await
}

async fn read_all(
    from: &mut (impl AsyncRead + Unpin),
    into: &mut [u8],
    pace: &mut Pace,
) -> Result<(), FrameError> {
    let mut filled = 0;
    while filled < into.len() {
        match pace.read(from, &mut into[filled..]).await? {
            0 => return Err(cut_short()),
            n => filled += n,
        }
    }
    Ok(())
}

/// The buffer grows with what has come, not with what was announced.
async fn read_body(
    from: &mut (impl AsyncRead + Unpin),
    length: [u8; 4],
    max: usize,
    pace: &mut Pace,
) -> Result<Vec<u8>, FrameError> {
    let len = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    if len == 0 || len > max {
        return Err(FrameError::Length { len, max });
    }
    let mut body = vec![0; len.min(FIRST_BYTES)];
    let mut filled = 0;
    while filled < len {
        if filled == body.len() {
            body.resize(len.min(2 * filled), 0);
        }
        match pace.read(from, &mut body[filled..]).await? {
            0 => return Err(cut_short()),
            n => filled += n,
        }
    }
    Ok(body)
}

/// Writes one frame that is made of `head` and `body`; gives up on a peer that does not take it.
pub(super) async fn write_frame(
    to: &mut (impl AsyncWrite + Unpin),
    head: &[u8],
    body: &[u8],
    limits: &Limits,
) -> Result<(), FrameError> {
    let len = head.len() + body.len();
    let length = u32::try_from(len).map_err(|_| FrameError::Length {
        len,
        max: u32::MAX as usize,
    })?;
    let mut begin = Vec::with_capacity(4 + head.len() + body.len().min(SMALL_BYTES));
    begin.extend_from_slice(&length.to_be_bytes());
    begin.extend_from_slice(head);
    let rest = if body.len() <= SMALL_BYTES {
        begin.extend_from_slice(body);
        &[]
    } else {
        body
    };
    let write = async {
        to.write_all(&begin).await?;
        to.write_all(rest).await
    };
    match timeout(limits.time_to_take(len), write).await {
        Ok(written) => written.map_err(FrameError::Io),
        Err(_) => Err(FrameError::Stalled),
    }
}

/// Sends what was written.
pub(super) async fn flush(
    to: &mut (impl AsyncWrite + Unpin),
    limits: &Limits,
) -> Result<(), FrameError> {
    match timeout(limits.progress_window, to.flush()).await {
        Ok(flushed) => flushed.map_err(FrameError::Io),
        Err(_) => Err(FrameError::Stalled),
    }
}

#[cfg(test)]
mod tests;
