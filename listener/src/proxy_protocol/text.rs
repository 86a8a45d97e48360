//! Version 1: a line of text.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

const BEGINNING: &[u8] = b"PROXY ";

/// Whether a line could begin with this.
pub(super) fn may_begin(start: &[u8]) -> bool {
    start.starts_with(BEGINNING) || BEGINNING.starts_with(start)
}

/// Who comes, by a whole line with its end.
pub(super) fn parse(line: &[u8]) -> Result<Option<SocketAddr>, &'static str> {
    let line = std::str::from_utf8(line).map_err(|_| "the line is no text")?;
    let line = line.strip_suffix("\r\n").ok_or("the line does not end with CR LF")?;
    let mut words = line.split(' ').skip(1);
    let mut word = || words.next().ok_or("the line is too short");
    match word()? {
        // Whatever follows means nothing.
        "UNKNOWN" => Ok(None),
        "TCP4" => {
            let (source, _) = (address::<Ipv4Addr>(word()?)?, address::<Ipv4Addr>(word()?)?);
            let (port, _) = (port(word()?)?, port(word()?)?);
            word().is_err().then_some(Some((source, port).into())).ok_or("the line is too long")
        }
        "TCP6" => {
            let (source, _) = (address::<Ipv6Addr>(word()?)?, address::<Ipv6Addr>(word()?)?);
            let (port, _) = (port(word()?)?, port(word()?)?);
            word().is_err().then_some(Some((source, port).into())).ok_or("the line is too long")
        }
        _ => Err("it names a protocol other than TCP4, TCP6 and UNKNOWN"),
    }
}

fn address<A: std::str::FromStr>(text: &str) -> Result<A, &'static str> {
    text.parse().map_err(|_| "it names no address of its protocol")
}

fn port(text: &str) -> Result<u16, &'static str> {
    // `u16` would take a sign.
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten().ok_or("it names no port")
}
