//! One end of a control connection: frames of JSON, and files handed over by descriptor.

use std::io::{self, IoSlice, IoSliceMut, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use skep_proto::control::FRAME_BYTES_MAX;

/// A connected control socket; blocking, one message at a time.
#[derive(Debug)]
pub struct Connection(UnixStream);

/// Why a message could not be sent or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the other end of the control socket is gone")]
    Gone,
    #[error("the control socket failed")]
    Io(#[source] io::Error),
    #[error("a control message of {0} bytes, where at most {FRAME_BYTES_MAX} are allowed")]
    TooLong(usize),
    #[error("a control message that this version does not know")]
    Unknown(#[source] serde_json::Error),
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::ConnectionReset => Self::Gone,
            _ => Self::Io(error),
        }
    }
}

impl Connection {
    pub fn connect(path: &Path) -> io::Result<Self> {
        UnixStream::connect(path).map(Self)
    }

    pub(super) fn new(stream: UnixStream) -> Self {
        Self(stream)
    }

    /// Sends one message, and a file with it if there is one.
    pub fn send<T: Serialize>(
        &mut self,
        message: &T,
        file: Option<BorrowedFd<'_>>,
    ) -> Result<(), Error> {
        let body = serde_json::to_vec(message).map_err(Error::Unknown)?;
        let len = u32::try_from(body.len())
            .ok()
            .filter(|_| body.len() <= FRAME_BYTES_MAX)
            .ok_or(Error::TooLong(body.len()))?;
        let head = len.to_be_bytes();
        let sent = match file {
            Some(file) => send_with_file(&self.0, &head, file)?,
            None => 0,
        };
        self.0.write_all(&head[sent..])?;
        self.0.write_all(&body)?;
        Ok(())
    }

    /// Reads one message, and the file that came with it.
    pub fn receive<T: DeserializeOwned>(&mut self) -> Result<(T, Option<OwnedFd>), Error> {
        let mut head = [0; 4];
        let (read, file) = receive_with_file(&self.0, &mut head)?;
        if read == 0 {
            return Err(Error::Gone);
        }
        self.0.read_exact(&mut head[read..])?;
        let len = u32::from_be_bytes(head) as usize;
        if len > FRAME_BYTES_MAX {
            return Err(Error::TooLong(len));
        }
        // Grows as bytes come, not by what the head announces.
        let mut body = Vec::new();
        let taken = (&self.0).take(len as u64).read_to_end(&mut body)?;
        if taken < len {
            return Err(Error::Gone);
        }
        let message = serde_json::from_slice(&body).map_err(Error::Unknown)?;
        Ok((message, file))
    }
}

fn send_with_file(to: &UnixStream, head: &[u8; 4], file: BorrowedFd<'_>) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let files = [file];
    ancillary.push(SendAncillaryMessage::ScmRights(&files));
    let sent = sendmsg(
        to.as_fd(),
        &[IoSlice::new(head)],
        &mut ancillary,
        SendFlags::NOSIGNAL,
    )?;
    Ok(sent)
}

fn receive_with_file(
    from: &UnixStream,
    head: &mut [u8; 4],
) -> io::Result<(usize, Option<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let received = loop {
        let flags = RecvFlags::CMSG_CLOEXEC;
        match recvmsg(
            from.as_fd(),
            &mut [IoSliceMut::new(head)],
            &mut ancillary,
            flags,
        ) {
            Err(rustix::io::Errno::INTR) => {}
            other => break other?,
        }
    };
    if received.flags.contains(ReturnFlags::CTRUNC) {
        return Err(io::Error::other(
            "more than one file with a control message",
        ));
    }
    let files = ancillary.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(files) => Some(files),
        _ => None,
    });
    Ok((received.bytes, files.flatten().next()))
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    fn pair() -> (Connection, Connection) {
        let (a, b) = UnixStream::pair().expect("a pair of sockets");
        (Connection(a), Connection(b))
    }

    #[test]
    fn a_message_brings_a_file_along() {
        let (mut a, mut b) = pair();
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(b"drop").expect("written");
        a.send(&"with", Some(file.as_fd())).expect("sent");
        a.send(&"without", None).expect("sent");
        let (text, got): (String, _) = b.receive().expect("received");
        assert_eq!(text, "with");
        let got = File::from(got.expect("a file"));
        assert_eq!(got.metadata().expect("metadata").len(), 4);
        let (text, got): (String, _) = b.receive().expect("received");
        assert_eq!((text.as_str(), got.is_none()), ("without", true));
    }

    #[test]
    fn a_frame_is_bounded_and_an_end_is_told_from_nonsense() {
        let (mut a, mut b) = pair();
        a.0.write_all(&u32::MAX.to_be_bytes()).expect("written");
        assert!(matches!(b.receive::<String>(), Err(Error::TooLong(_))));
        let (mut a, mut b) = pair();
        a.0.write_all(&[0, 0, 0, 2, b'{']).expect("written");
        drop(a);
        assert!(matches!(b.receive::<String>(), Err(Error::Gone)));
        let (mut a, mut b) = pair();
        a.0.write_all(&[0, 0, 0, 1, b'{']).expect("written");
        assert!(matches!(b.receive::<String>(), Err(Error::Unknown(_))));
    }
}
