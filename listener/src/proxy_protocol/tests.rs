#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on fails there")]

use proptest::prelude::*;

use super::*;

/// Reads the header at the front; what it says, and what is left.
async fn read(mut bytes: &[u8]) -> (Result<Option<SocketAddr>, ProxyError>, Vec<u8>) {
    let said = ProxyProtocol::read(&mut bytes).await;
    (said, bytes.to_vec())
}

fn block(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [&SIGNATURE[..], &[command, family], &length, rest].concat()
}

const FOUR: [u8; 12] = [192, 0, 2, 7, 10, 0, 0, 1, 0x1f, 0x90, 1, 0xbb];

#[tokio::test]
async fn a_header_says_who_comes_and_leaves_the_rest() {
    let six = [&[0x20, 1, 0xd, 0xb8][..], &[0; 11], &[7], &[0; 16], &[0x1f, 0x90, 1, 0xbb]].concat();
    let with_extension = [&FOUR[..], &[0xea, 0, 3, b'v', b'p', b'c']].concat();
    for (header, source) in [
        (b"PROXY TCP4 192.0.2.7 10.0.0.1 8080 443\r\n".to_vec(), Some("192.0.2.7:8080")),
        (b"PROXY TCP6 2001:db8::7 ::1 8080 443\r\n".to_vec(), Some("[2001:db8::7]:8080")),
        (b"PROXY UNKNOWN\r\n".to_vec(), None),
        (b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n".to_vec(), None),
        (block(0x21, 0x11, &FOUR), Some("192.0.2.7:8080")),
        (block(0x21, 0x21, &six), Some("[2001:db8::7]:8080")),
        (block(0x21, 0x11, &with_extension), Some("192.0.2.7:8080")),
        (block(0x20, 0x11, &FOUR), None),
        (block(0x20, 0x00, &[]), None),
        (block(0x21, 0x00, &[]), None),
        (block(0x21, 0x31, &[b'/'; 216]), None),
    ] {
        let (said, rest) = read(&[&header[..], b"GET"].concat()).await;
        let expected = source.map(|source| source.parse().unwrap());
        assert_eq!(said.unwrap(), expected, "{}", header.escape_ascii());
        assert_eq!(rest, b"GET");
    }
}

#[tokio::test]
async fn what_is_no_header_is_refused_before_it_is_as_long_as_one() {
    for bytes in [&b"GET / HTTP/1.1\r\n"[..], b"\x16\x03\x01", b"PROXX", b"\r\n\r\nG", b"X"] {
        let (said, _) = read(bytes).await;
        assert!(matches!(said, Err(ProxyError::Missing)), "{}", bytes.escape_ascii());
    }
}

#[tokio::test]
async fn a_malformed_header_says_nothing() {
    let long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(100));
    let lines = [
        "PROXY TCP4 192.0.2.7 10.0.0.1 8080\r\n",
        "PROXY TCP4 192.0.2.7 10.0.0.1 8080 443 1\r\n",
        "PROXY TCP4 192.0.2.7  10.0.0.1 8080 443\r\n",
        "PROXY TCP4 2001:db8::7 ::1 8080 443\r\n",
        "PROXY TCP6 192.0.2.7 10.0.0.1 8080 443\r\n",
        "PROXY TCP4 192.0.2.7 10.0.0.1 +80 443\r\n",
        "PROXY TCP4 192.0.2.7 10.0.0.1 65536 443\r\n",
        "PROXY TCP4 192.0.2.7 10.0.0.1 8080 443\n",
        "PROXY UDP4 192.0.2.7 10.0.0.1 8080 443\r\n",
        "PROXY tcp4 192.0.2.7 10.0.0.1 8080 443\r\n",
        &long,
    ];
    let blocks = [
        block(0x11, 0x11, &FOUR),
        block(0x22, 0x11, &FOUR),
        block(0x21, 0x41, &FOUR),
        block(0x21, 0x13, &FOUR),
        block(0x21, 0x11, &FOUR[..11]),
        block(0x21, 0x21, &FOUR),
        block(0x21, 0x11, &[0; MAX_BLOCK + 1]),
    ];
    for bytes in lines.iter().map(|line| line.as_bytes().to_vec()).chain(blocks) {
        let (said, _) = read(&bytes).await;
        assert!(matches!(said, Err(ProxyError::Malformed(_))), "{}: {said:?}", bytes.escape_ascii());
    }
    for cut in [&b"PROXY TCP4 1.2.3.4 1.2"[..], &block(0x21, 0x11, &FOUR)[..20], b""] {
        assert!(matches!(read(cut).await.0, Err(ProxyError::Broken(_))), "{}", cut.escape_ascii());
    }
}

proptest! {
    /// Whatever comes, it ends, and no more than a header is taken.
    #[test]
    fn nothing_breaks_it(start in prop_oneof![Just(b"PROXY TCP4 ".to_vec()), Just(SIGNATURE.to_vec()), Just(vec![])],
                         rest in prop::collection::vec(any::<u8>(), 0..300)) {
        let bytes = [start, rest].concat();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (said, left) = runtime.block_on(read(&bytes));
        prop_assert!(bytes.len() - left.len() <= 16 + MAX_BLOCK);
        if said.is_ok() {
            prop_assert!(bytes.len() - left.len() >= 15);
        }
    }
}
