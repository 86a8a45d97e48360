//! `$apr1$`, Apache's variant of MD5-crypt: what `htpasswd` wrote by default until bcrypt took its place.
//!
//! Weak by today's measure, a thousand rounds of MD5; read because many files still hold it.

use md5::{Digest, Md5};

/// The 22 characters of the hash after the salt.
pub(super) fn hash(password: &[u8], salt: &[u8]) -> [u8; 22] {
    let inner = Md5::new().chain_update(password).chain_update(salt).chain_update(password).finalize();
    let mut outer = Md5::new().chain_update(password).chain_update(b"$apr1$").chain_update(salt);
    let mut left = password.len();
    while left > 0 {
        let part = left.min(inner.len());
        outer.update(inner.get(..part).unwrap_or_default());
        left -= part;
    }
    let mut bits = password.len();
    while bits > 0 {
        outer.update(if bits & 1 == 1 { &[0][..] } else { password.get(..1).unwrap_or_default() });
        bits >>= 1;
    }
    let mut digest = outer.finalize();
    for round in 0..1000 {
        let mut next = Md5::new();
        let (first, last) = if round % 2 == 1 { (password, &digest[..]) } else { (&digest[..], password) };
        next.update(first);
        if round % 3 != 0 {
            next.update(salt);
        }
        if round % 7 != 0 {
            next.update(password);
        }
        next.update(last);
        digest = next.finalize();
    }
    encode(digest.into())
}

/// The digest in the alphabet of crypt(3): three bytes in an order of their own make four characters, the
/// lowest six bits first.
fn encode(d: [u8; 16]) -> [u8; 22] {
    const ALPHABET: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let [d0, d1, d2, d3, d4, d5, d6, d7, d8, d9, d10, d11, d12, d13, d14, d15] = d;
    let groups = [(d0, d6, d12), (d1, d7, d13), (d2, d8, d14), (d3, d9, d15), (d4, d10, d5), (0, 0, d11)];
    let mut text = [0; 22];
    let mut places = text.iter_mut();
    for (high, middle, low) in groups {
        let bits = u32::from_be_bytes([0, high, middle, low]);
        for (place, shift) in places.by_ref().take(4).zip([0, 6, 12, 18]) {
            *place = ALPHABET.get((bits >> shift & 63) as usize).copied().unwrap_or(b'.');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Against `openssl passwd -apr1`.
    #[test]
    fn it_is_what_openssl_makes() {
        for (length, expected) in [
            (0, "a8ml/vK5HEjiZ5oypDWA7/"),
            (1, "OEnK0QmmvoDzFw9W2yFYT/"),
            (15, "s6i7SSVwWzknonLBOVaqD0"),
            (16, "aV0SR95x0E1d975Vl3uoh."),
            (17, "0kK.jUCAv07AlCJaQM.3k."),
            (64, "VtSPel.OfMgDR1x4YPBmf0"),
            (100, "tF07OxMra7y7RbAtnAh6M/"),
        ] {
            assert_eq!(hash("a".repeat(length).as_bytes(), b"saltsalt"), expected.as_bytes(), "{length}");
        }
        assert_eq!(&hash("grün".as_bytes(), b"xy"), b"uTx.kSbAMIHB1NswDaU5o0");
    }
}
