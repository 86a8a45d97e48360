//! `Set-Cookie` of an application: no browser may send us, under a name of ours, what an application set.
//!
//! A line of the input is one header. The judge is a browser as RFC 6265bis describes it, together with our own reader.

use gateway::cookies::{find, remove_impostors};
use http::header::{COOKIE, HeaderMap, HeaderValue, SET_COOKIE};

use crate::message::{headers_of, values};

const OURS: [&str; 2] = ["session", "__Host-login"];

/// Inputs to begin with.
pub const SEEDS: &[&[u8]] = &[
    b"session=x; Path=/\nother=1; Secure",
    b"other=session=x",
    // A cookie without a name is sent as its value (section 5.8.3): this one arrives as `session=x`.
    b"=session=x\n = session=x; Path=/\n==session=x",
    b"session\nsession=\n=session\n=",
    b" session\t=\tx;session=y",
    b"SESSION=x\nSession=y\n__host-login=x\n__Host-login=x",
    // A CGI program that set a cookie without a value crashed Apache.
    b";\n=;=\n;session=x",
    b"\xff=\xff; session=x\n\xa0session=x",
];

/// What it is made of.
pub const WORDS: &[&[u8]] =
    &[b"session", b"__Host-login", b"=", b"; ", b"; Path=/", b"; HttpOnly", b"\n", b"\t", b" "];

/// Checks the laws.
pub fn check(bytes: &[u8]) {
    let before = headers_of(&SET_COOKIE, bytes);
    let mut after = before.clone();
    let removed = remove_impostors(&mut after, &OURS);

    let (came, left) = (values(&before, &SET_COOKIE), values(&after, &SET_COOKIE));
    assert_eq!(left.len() + removed, came.len());
    for value in &left {
        assert!(!comes_back_as_ours(value), "{} passes for ours", value.escape_ascii());
    }
    // The others stay, in order.
    let others: Vec<&[u8]> = came.iter().copied().filter(|value| !comes_back_as_ours(value)).collect();
    assert_eq!(left, others);
    let mut again = after.clone();
    assert_eq!(remove_impostors(&mut again, &OURS), 0);
    assert_eq!(again, after);
}

/// Whether we would find a cookie of ours in what the browser sends after this.
fn comes_back_as_ours(set_cookie: &[u8]) -> bool {
    let Ok(sent) = HeaderValue::from_bytes(&sent_after(set_cookie)) else { return false };
    let headers = HeaderMap::from_iter([(COOKIE, sent)]);
    OURS.iter().any(|name| !find(&headers, name).is_empty())
}

/// What a browser sends that took this cookie: sections 5.6 and 5.8.3, without the bound of its length.
fn sent_after(set_cookie: &[u8]) -> Vec<u8> {
    let pair = set_cookie.split(|byte| *byte == b';').next().unwrap_or_default();
    let (name, value) = match pair.iter().position(|byte| *byte == b'=') {
        Some(at) => (trimmed(&pair[..at]), trimmed(&pair[at + 1..])),
        None => (&b""[..], trimmed(pair)),
    };
    if name.is_empty() { value.to_vec() } else { [name, b"=", value].concat() }
}

/// Without the blanks and tabs at the ends, and only those.
fn trimmed(text: &[u8]) -> &[u8] {
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = text.iter().position(|byte| !is_blank(byte)).unwrap_or(text.len());
    let end = text.iter().rposition(|byte| !is_blank(byte)).map_or(start, |at| at + 1);
    &text[start..end]
}
