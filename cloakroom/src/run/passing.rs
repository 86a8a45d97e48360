//! Passing open files from one process to another, beside a line of text, over a Unix socket (SCM_RIGHTS).

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};

/// No more files go with a line.
const MAX_FILES: usize = 8;
/// No line is longer, in bytes.
const MAX_LINE: usize = 4096;

/// Sends a line, without its end, and files with it. The files stay open here.
pub(super) fn send(stream: &UnixStream, line: &[u8], files: &[BorrowedFd<'_>]) -> io::Result<()> {
    let line = [line, b"\n"].concat();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FILES))];
    let mut beside = SendAncillaryBuffer::new(&mut space);
    if line.len() > MAX_LINE || !beside.push(SendAncillaryMessage::ScmRights(files)) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // The first byte takes the files along.
    let sent = sendmsg(stream, &[IoSlice::new(&line)], &mut beside, SendFlags::NOSIGNAL)?;
    let rest = line.get(sent..).unwrap_or_default();
    io::Write::write_all(&mut &*stream, rest)
}

/// Receives a line, without its end, and the files that come with it. They are not passed on to programs that this
/// process starts.
pub(super) fn receive(stream: &UnixStream) -> io::Result<(Vec<u8>, Vec<OwnedFd>)> {
    let (mut line, mut files) = (Vec::new(), Vec::new());
    while line.last() != Some(&b'\n') {
        let mut bytes = [0; MAX_LINE];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FILES))];
        let mut beside = RecvAncillaryBuffer::new(&mut space);
        let received =
            recvmsg(stream, &mut [IoSliceMut::new(&mut bytes)], &mut beside, RecvFlags::CMSG_CLOEXEC)?;
        for message in beside.drain() {
            if let RecvAncillaryMessage::ScmRights(received) = message {
                files.extend(received);
            }
        }
        if received.bytes == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        line.extend_from_slice(bytes.get(..received.bytes).unwrap_or_default());
        if line.len() > MAX_LINE {
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
    line.pop();
    Ok((line, files))
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{Read as _, Seek as _, Write as _};
    use std::os::fd::AsFd as _;

    use super::*;

    #[test]
    fn a_file_arrives_open_and_another_line_without_any() {
        let (left, right) = UnixStream::pair().unwrap();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"what it holds").unwrap();
        send(&left, b"here", &[file.as_fd(), file.as_fd()]).unwrap();
        send(&left, b"that was all", &[]).unwrap();
        let (line, mut files) = receive(&right).unwrap();
        assert_eq!((line.as_slice(), files.len()), (&b"here"[..], 2));
        let (line, none) = receive(&right).unwrap();
        assert_eq!((line.as_slice(), none.len()), (&b"that was all"[..], 0));
        let mut arrived = File::from(files.remove(0));
        let mut text = String::new();
        arrived.rewind().unwrap();
        arrived.read_to_string(&mut text).unwrap();
        assert_eq!(text, "what it holds");
    }

    #[test]
    fn an_end_in_the_middle_is_no_line() {
        let (left, right) = UnixStream::pair().unwrap();
        (&left).write_all(b"half a li").unwrap();
        drop(left);
        assert_eq!(receive(&right).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
