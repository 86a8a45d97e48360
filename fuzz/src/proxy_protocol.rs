//! Who comes, by what a proxy says in front: however it arrives in pieces, the same is understood, and not a byte of what
//! follows is taken.
//!
//! The first byte of the input is how many bytes arrive at once.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::FutureExt as _;
use listener::proxy_protocol::{ProxyError, ProxyProtocol};
use tokio::io::{AsyncRead, ReadBuf};

/// Inputs to begin with.
pub const SEEDS: &[&[u8]] = &[
    b"\xffPROXY TCP4 192.0.2.7 10.0.0.1 8080 443\r\nGET / HTTP/1.1\r\n",
    b"\x01PROXY TCP6 2001:db8::7 ::1 8080 443\r\n\x16\x03\x01",
    b"\x05PROXY TCP6 ::ffff:10.0.0.1 ::1 0 65535\r\n",
    b"\x07PROXY UNKNOWN\r\nGET",
    b"\x0cPROXY UNKNOWN ffff::1 ffff::2 1 2\r\n",
    b"\xffPROXY \r\nGET / HTTP/1.1\r\n\r\n",
    b"\xffPROXY TCP4 192.0.2.7 10.0.0.1 +80 443\r\n",
    b"\xffPROXY TCP4 192.0.2.7 10.0.0.1 8080 443\n\r\n",
    b"\xffPROXY TCP4 192.0.2.7\t10.0.0.1 8080 443\r\n",
    b"\x03PROXY UNKNOWN xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n",
    b"\xff\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x07\x0a\0\0\x01\x1f\x90\x01\xbbGET",
    b"\x01\r\n\r\n\0\r\nQUIT\n\x21\x21\0\x24\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x07\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x1f\x90\x01\xbb",
    // With an extension, of the proxy's own, of another version, and cut off.
    b"\xff\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x12\xc0\0\x02\x07\x0a\0\0\x01\x1f\x90\x01\xbb\xea\0\x03vpc",
    b"\xff\r\n\r\n\0\r\nQUIT\n\x20\0\0\0GET",
    b"\xff\r\n\r\n\0\r\nQUIT\n\x11\x11\0\x0c\xc0\0\x02\x07\x0a\0\0\x01\x1f\x90\x01\xbb",
    b"\xff\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0b\xc0\0\x02\x07\x0a\0\0\x01\x1f\x90\x01\xbb",
    b"\xff\r\n\r\n\0\r\nQUIT\n\x21\x31\0\xd8",
    b"\xff\r\n\r\n\0\r\nQUIT\n\x21\x11\x10\x01",
    b"\xffGET / HTTP/1.1\r\n",
    b"\xff\x16\x03\x01\x02\0",
    b"\xff",
];

/// What it is made of.
pub const WORDS: &[&[u8]] = &[
    b"PROXY ",
    b"TCP4 ",
    b"TCP6 ",
    b"UNKNOWN",
    b"192.0.2.7 ",
    b"::1 ",
    b"::ffff:10.0.0.1",
    b"65535",
    b"\r\n",
    b"\r\n\r\n\0\r\nQUIT\n",
    b"\x21\x11\0\x0c",
    b"\x21\x21\0\x24",
    b"\x20\0\0\0",
];

/// Checks the laws.
pub fn check(bytes: &[u8]) {
    let Some((at_once, bytes)) = bytes.split_first() else { return };
    let mut pieces = Pieces { rest: bytes, at_once: usize::from(*at_once).max(1) };
    let said = ProxyProtocol::read(&mut pieces).now_or_never().expect("it waits for what is there");
    let taken = bytes.len() - pieces.rest.len();
    let told = format!("{said:?} of {}", bytes.escape_ascii());
    match (said, understood(bytes)) {
        (Ok(who), Understood::Header { says, length }) => assert_eq!((who, taken), (says, length), "{told}"),
        (Err(ProxyError::Missing), Understood::NoHeader) => assert!(taken <= 12, "{told}"),
        (Err(ProxyError::Malformed(_)), Understood::Malformed) => assert!(taken <= 16 + 4096, "{told}"),
        (Err(ProxyError::Broken(_)), Understood::CutOff) => {}
        (_, expected) => panic!("{told}, not {expected:?}"),
    }
}

/// What a header says that is there as a whole.
#[derive(Debug)]
enum Understood {
    Header { says: Option<SocketAddr>, length: usize },
    NoHeader,
    Malformed,
    CutOff,
}

/// The specification, read with all bytes at hand.
fn understood(bytes: &[u8]) -> Understood {
    const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
    let is_text = bytes.starts_with(b"PROXY ");
    let is_binary = bytes.starts_with(SIGNATURE);
    if !is_text && !is_binary {
        let may_become = b"PROXY ".starts_with(bytes) || SIGNATURE.starts_with(bytes);
        return if may_become { Understood::CutOff } else { Understood::NoHeader };
    }
    let (says, length) = if is_binary {
        let Some(length) = bytes.get(14..16) else { return Understood::CutOff };
        let length = 16 + usize::from(length[0]) * 256 + usize::from(length[1]);
        if length > 16 + 4096 {
            return Understood::Malformed;
        }
        let Some(header) = bytes.get(..length) else { return Understood::CutOff };
        (in_binary(header), length)
    } else {
        // Shorter than the shortest no line ends.
        let end = bytes.iter().enumerate().position(|(at, byte)| at >= 11 && *byte == b'\n');
        match end {
            Some(end) if end < 107 => (in_text(&bytes[..=end]), end + 1),
            _ if bytes.len() >= 107 => return Understood::Malformed,
            _ => return Understood::CutOff,
        }
    };
    says.map_or(Understood::Malformed, |says| Understood::Header { says, length })
}

/// None is no header; nobody is a header that names nobody.
fn in_text(line: &[u8]) -> Option<Option<SocketAddr>> {
    let line = std::str::from_utf8(line.strip_suffix(b"\r\n")?).ok()?;
    let words: Vec<&str> = line.split(' ').collect();
    let port = |text: &str| -> Option<u16> {
        let digits = text.chars().map(|digit| digit.to_digit(10)).collect::<Option<Vec<u32>>>()?;
        let number = digits
            .iter()
            .fold(0_u64, |number, digit| number.saturating_mul(10).saturating_add((*digit).into()));
        if digits.is_empty() { None } else { number.try_into().ok() }
    };
    match words.as_slice() {
        ["PROXY", "UNKNOWN", ..] => Some(None),
        ["PROXY", family @ ("TCP4" | "TCP6"), from, to, from_port, to_port] => {
            port(to_port)?;
            let port = port(from_port)?;
            Some(Some(match *family {
                "TCP4" => {
                    to.parse::<Ipv4Addr>().ok()?;
                    (from.parse::<Ipv4Addr>().ok()?, port).into()
                }
                _ => {
                    to.parse::<Ipv6Addr>().ok()?;
                    (from.parse::<Ipv6Addr>().ok()?, port).into()
                }
            }))
        }
        _ => None,
    }
}

fn in_binary(header: &[u8]) -> Option<Option<SocketAddr>> {
    let is_local = match header[12] {
        0x20 => true,
        0x21 => false,
        _ => return None,
    };
    if !matches!(header[13] >> 4, 0..=3) || !matches!(header[13] & 15, 0..=2) {
        return None;
    }
    let port = |at: usize| u16::from(header[at]) * 256 + u16::from(header[at + 1]);
    match header[13] {
        _ if is_local => Some(None),
        0x11 => {
            let address: [u8; 4] = header.get(16..28)?[..4].try_into().ok()?;
            Some(Some((Ipv4Addr::from(address), port(24)).into()))
        }
        0x21 => {
            let address: [u8; 16] = header.get(16..52)?[..16].try_into().ok()?;
            Some(Some((Ipv6Addr::from(address), port(48)).into()))
        }
        _ => Some(None),
    }
}

/// Bytes of a connection, so many at once, and then its end.
struct Pieces<'a> {
    rest: &'a [u8],
    at_once: usize,
}

impl AsyncRead for Pieces<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        to: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let (piece, rest) = self.rest.split_at(self.at_once.min(to.remaining()).min(self.rest.len()));
        to.put_slice(piece);
        self.rest = rest;
        Poll::Ready(Ok(()))
    }
}
