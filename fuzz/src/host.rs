//! For which host a request is: one answer, and the same as the HTTP library's.
//!
//! The first byte of the input chooses method, version and how the target is written, the first line is the target's
//! host, the others are `Host` headers.

use gateway::hygiene::{Host, host};
use http::header::HOST;
use http::uri::Authority;
use http::{Method, Request, Uri, Version};

use crate::message::headers_of;

/// Inputs to begin with.
pub const SEEDS: &[&[u8]] = &[
    b"0\nexample.org",
    b"1shop.example\nshop.example:80",
    b"1shop.example\nother.example",
    b"0\na\na",
    b"0\na, b",
    b"0\n[::1]:8080",
    b"2[::1%25eth0]\n[::1]",
    b"1user@shop.example\nshop.example",
    b"0\nshop.example:80:90",
    b"0\nshop.example:+80",
    b"0\nshop.example.:65536",
    b"0\n127.0.0.1\t",
    b"0\nshop.example\\@evil.example",
    b"0\nshop.example#@evil.example",
    b"3SHOP.example.:443\nshop.EXAMPLE.",
    b"9a\n",
];

/// What it is made of.
pub const WORDS: &[&[u8]] =
    &[b"example", b".", b":80", b":443", b":", b"[::1]", b"[", b"]", b"@", b"%", b"\n", b"xn--"];

/// Checks the laws.
pub fn check(bytes: &[u8]) {
    let Some((choice, rest)) = bytes.split_first() else { return };
    let (target, hosts) = match rest.iter().position(|byte| *byte == b'\n') {
        Some(at) => (&rest[..at], Some(&rest[at + 1..])),
        None => (rest, None),
    };
    one_text_is_one_host(&String::from_utf8_lossy(target));

    let uri = match choice & 3 {
        0 => Uri::from_static("/x"),
        scheme => {
            let scheme = ["", "http://", "https://", "ftp://"][usize::from(scheme)];
            let Ok(uri) = Uri::try_from([scheme.as_bytes(), target, b"/x"].concat()) else { return };
            uri
        }
    };
    let (mut parts, ()) = Request::new(()).into_parts();
    parts.uri = uri;
    parts.version = [Version::HTTP_11, Version::HTTP_10, Version::HTTP_2][usize::from(choice >> 2 & 3) % 3];
    parts.method = if choice & 16 == 0 { Method::GET } else { Method::CONNECT };
    parts.headers = hosts.map(|hosts| headers_of(&HOST, hosts)).unwrap_or_default();
    let Ok(found) = host(&parts) else { return };

    assert!(parts.method != Method::CONNECT && parts.headers.get_all(HOST).iter().count() <= 1);
    match found {
        None => assert!(parts.version == Version::HTTP_10 && parts.uri.authority().is_none()),
        Some(found) => {
            let header = parts.headers.get(HOST).map(|value| value.to_str().expect("it was read"));
            assert!(header.is_some() || parts.version != Version::HTTP_11);
            let said = header.into_iter().chain(parts.uri.authority().map(Authority::as_str));
            for said in said {
                let said = Host::parse(said).expect("each that is there is a host");
                assert!(said.name().eq_ignore_ascii_case(found.name()), "two readers see two hosts");
            }
        }
    }
}

/// Nothing of the text is overlooked, and the library that forwards it reads the same.
fn one_text_is_one_host(text: &str) {
    let Ok(found) = Host::parse(text) else { return };
    let rest = text.strip_prefix(found.name()).expect("it begins with the name");
    assert_eq!(found.as_str(), text);
    assert_eq!(found.port(), rest.strip_prefix(':').and_then(|port| port.parse().ok()));
    assert_eq!(found.port().is_none(), rest.is_empty());
    assert!(found.is_called(&found.name().to_ascii_uppercase()));
    assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:[]".contains(&byte)));
    let authority: Authority = text.parse().expect("what is a host for us is one for the library");
    assert_eq!((authority.host(), authority.port_u16()), (found.name(), found.port()));
}
