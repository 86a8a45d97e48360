//! HTTP/2 by the frame.
//!
//! What a real client library would never send is what the tests are about. Heads are written in literals without any
//! compression, which every server must take; of the answers only the status is read, and the rest is frames.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::error::{Error, Result};

/// How long one read may wait. A test that expects silence sets less.
const PATIENCE: Duration = Duration::from_secs(15);

/// How a client begins.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The kinds of frames (RFC 9113, 6).
#[allow(missing_docs)]
pub mod kind {
    pub const DATA: u8 = 0;
    pub const HEADERS: u8 = 1;
    pub const RST_STREAM: u8 = 3;
    pub const SETTINGS: u8 = 4;
    pub const PING: u8 = 6;
    pub const GOAWAY: u8 = 7;
    pub const WINDOW_UPDATE: u8 = 8;
    pub const CONTINUATION: u8 = 9;
}

/// `DATA` and `HEADERS`: nothing follows in this stream.
pub const END_STREAM: u8 = 1;
/// `HEADERS` and `CONTINUATION`: the head is whole.
pub const END_HEADERS: u8 = 4;
/// `SETTINGS` and `PING`: an answer.
pub const ACK: u8 = 1;

/// A frame that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// See [`kind`].
    pub kind: u8,
    /// Its flags.
    pub flags: u8,
    /// Which stream it belongs to; zero is the connection.
    pub stream: u32,
    /// What is in it.
    pub payload: Vec<u8>,
}

/// How a stream ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// With an answer: status and body.
    Answer(u16, Vec<u8>),
    /// It was reset, for that reason (RFC 9113, 7).
    Reset(u32),
    /// The whole connection was ended, for that reason.
    GoAway(u32),
    /// The connection was closed without a word.
    Closed,
}

/// A connection of HTTP/2.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    unused: Vec<u8>,
}

impl Connection {
    /// Connects, and begins with these settings: (identifier, value).
    pub fn open(address: SocketAddr, settings: &[(u16, u32)]) -> Result<Self> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)
            .map_err(Error::system(format!("connecting to {address}")))?;
        let mut connection = Self { stream, unused: Vec::new() };
        connection.patience(PATIENCE)?;
        connection.send(PREFACE)?;
        let settings: Vec<u8> = settings
            .iter()
            .flat_map(|(name, value)| [&name.to_be_bytes()[..], &value.to_be_bytes()].concat())
            .collect();
        connection.frame(kind::SETTINGS, 0, 0, &settings)?;
        Ok(connection)
    }

    /// Sets how long one read or write may wait.
    pub fn patience(&self, patience: Duration) -> Result<()> {
        self.stream
            .set_nodelay(true)
            .and_then(|()| self.stream.set_read_timeout(Some(patience)))
            .and_then(|()| self.stream.set_write_timeout(Some(patience)))
            .map_err(Error::system("setting a time-out"))
    }

    /// Sends exactly these bytes.
    pub fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.write_all(bytes).map_err(Error::system("sending"))
    }

    /// Sends a frame.
    pub fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Result<()> {
        self.send(&frame(kind, flags, stream, payload))
    }

    /// Sends a whole head.
    pub fn head(&mut self, stream: u32, headers: &[(&str, &str)], ends_stream: bool) -> Result<()> {
        let flags = END_HEADERS | if ends_stream { END_STREAM } else { 0 };
        self.frame(kind::HEADERS, flags, stream, &block(headers))
    }

    /// The next frame; `None` at the end of the connection, a reset included.
    pub fn read(&mut self) -> Result<Option<Frame>> {
        let Some(head) = self.take(9)? else { return Ok(None) };
        let [high, middle, low, kind, flags, a, b, c, d] = <[u8; 9]>::try_from(head)
            .map_err(|bytes| Error::Nonsense { what: "the head of a frame", bytes })?;
        let length = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
        let stream = u32::from_be_bytes([a, b, c, d]);
        Ok(self.take(length)?.map(|payload| Frame { kind, flags, stream, payload }))
    }

    /// Reads until this stream is over, one way or another. Answers SETTINGS and PING meanwhile.
    pub fn outcome(&mut self, stream: u32) -> Result<Outcome> {
        let (mut status, mut body) = (0, Vec::new());
        while let Some(frame) = self.read()? {
            match frame.kind {
                kind::SETTINGS | kind::PING if frame.flags & ACK == 0 => {
                    let payload = if frame.kind == kind::PING { frame.payload } else { Vec::new() };
                    // It may have gone already.
                    let _ = self.frame(frame.kind, ACK, 0, &payload);
                    continue;
                }
                kind::GOAWAY => match reason(&frame, 4) {
                    0 => continue,
                    reason => return Ok(Outcome::GoAway(reason)),
                },
                _ if frame.stream != stream => continue,
                kind::RST_STREAM => return Ok(Outcome::Reset(reason(&frame, 0))),
                kind::HEADERS => status = status_of(&frame.payload)?,
                kind::DATA => body.extend(&frame.payload),
                _ => continue,
            }
            if frame.flags & END_STREAM != 0 {
                return Ok(Outcome::Answer(status, body));
            }
        }
        Ok(Outcome::Closed)
    }

    fn take(&mut self, length: usize) -> Result<Option<Vec<u8>>> {
        let mut buffer = [0; 16 << 10];
        while self.unused.len() < length {
            match self.stream.read(&mut buffer) {
                Ok(0) => return Ok(None),
                Ok(read) => self.unused.extend(buffer.iter().take(read)),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return Ok(None),
                Err(error) => return Err(Error::system("reading a frame")(error)),
            }
        }
        Ok(Some(self.unused.drain(..length).collect()))
    }
}

/// A frame in bytes.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [.., high, middle, low] = payload.len().to_be_bytes();
    [&[high, middle, low, kind, flags][..], &stream.to_be_bytes(), payload].concat()
}

/// A head in bytes: literals that are not kept (RFC 7541, 6.2.2), not compressed.
pub fn block(headers: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in headers {
        block.push(0);
        for text in [name, value] {
            length(text.len(), &mut block);
            block.extend(text.as_bytes());
        }
    }
    block
}

/// A length in seven bits and, where they do not do, in more (RFC 7541, 5.1).
fn length(length: usize, block: &mut Vec<u8>) {
    if length < 127 {
        block.push(length as u8);
        return;
    }
    block.push(127);
    let mut rest = length - 127;
    while rest >= 128 {
        block.push((rest % 128) as u8 | 128);
        rest /= 128;
    }
    block.push(rest as u8);
}

fn reason(frame: &Frame, at: usize) -> u32 {
    let bytes = frame.payload.get(at..at + 4).and_then(|bytes| <[u8; 4]>::try_from(bytes).ok());
    bytes.map_or(u32::MAX, u32::from_be_bytes)
}

/// The status at the front of an answer's head: one of the static table, or three digits, perhaps in Huffman's code.
fn status_of(block: &[u8]) -> Result<u16> {
    const INDEXED: [u16; 7] = [200, 204, 206, 304, 400, 404, 500];
    // A change of the table's size may stand before it.
    let block = match block {
        [first, rest @ ..] if first & 0xe0 == 0x20 => rest,
        block => block,
    };
    let digits = match block {
        [indexed, ..] if indexed & 0x80 != 0 => {
            let index = usize::from(indexed & 0x7f).wrapping_sub(8);
            return INDEXED.get(index).copied().ok_or_else(|| nonsense(block));
        }
        [_, 3, digits @ ..] => {
            digits.iter().take(3).map(|digit| u16::from(digit.wrapping_sub(b'0'))).collect()
        }
        [_, length, coded @ ..] if length & 0x80 != 0 => huffman_digits(coded),
        _ => Vec::new(),
    };
    match digits.as_slice() {
        [hundreds, tens, ones] => Ok(hundreds * 100 + tens * 10 + ones),
        _ => Err(nonsense(block)),
    }
}

/// Three digits: 0, 1 and 2 have five bits, the others six (RFC 7541, appendix B).
fn huffman_digits(coded: &[u8]) -> Vec<u16> {
    let bits: Vec<u16> =
        coded.iter().flat_map(|byte| (0..8).rev().map(move |bit| u16::from(byte >> bit & 1))).collect();
    let number = |bits: &[u16]| bits.iter().fold(0, |number, bit| number * 2 + bit);
    let (mut digits, mut rest) = (Vec::new(), bits.as_slice());
    while digits.len() < 3 && rest.len() >= 5 {
        let five = number(rest.get(..5).unwrap_or_default());
        let (digit, length) = if five < 3 {
            (five, 5)
        } else {
            (number(rest.get(..6).unwrap_or_default()).wrapping_sub(0x19) + 3, 6)
        };
        digits.push(digit);
        rest = rest.get(length..).unwrap_or_default();
    }
    digits
}

fn nonsense(bytes: &[u8]) -> Error {
    Error::Nonsense { what: "the status of an answer", bytes: bytes.to_vec() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_read_however_it_is_written() {
        for (block, status) in [
            (&[0x88][..], 200),
            (&[0x20, 0x8d], 404),
            (&[0x48, 3, b'4', b'3', b'1'], 431),
            // RFC 7541, C.6.1: 302.
            (&[0x48, 0x82, 0x64, 0x02], 302),
            // And C.6.2: 307.
            (&[0x48, 0x83, 0x64, 0x0e, 0xff], 307),
        ] {
            assert_eq!(status_of(block).unwrap(), status);
        }
    }
}
