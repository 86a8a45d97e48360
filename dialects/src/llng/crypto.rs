//! The cipher that portals, handlers and managers share by the `key` of their configuration.
//!
//! Whoever can make a value that opens has shown that they know the key: lists of sessions and creation with a chosen
//! id are guarded by that. It is AES-256 in CBC with a digest *inside*, over the padded text, so what opens was made
//! with the key; there is no key for the digest, and nothing else may be concluded from it.

use std::borrow::Cow;
use std::fmt;

use aws_lc_rs::cipher::{AES_256, DecryptingKey, DecryptionContext, EncryptingKey, UnboundCipherKey};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{Context, SHA256, digest};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::iv::FixedLength;
use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::kind::hex;

/// The most characters of a value that is opened. Tokens and times have about 90.
pub const MAX_CIPHERED: usize = 16 << 10;

/// Bytes of a block, and of the vector before them.
const BLOCK: usize = 16;

/// Bytes of the digest.
const DIGEST: usize = 32;

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The cipher made of the shared key. It never shows the key.
pub struct Cipher {
    encrypting: EncryptingKey,
    decrypting: DecryptingKey,
}

/// The cryptography library or the system's random generator refused to work: a fault of this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the cryptography library could not encrypt: the system's random generator may have failed")]
pub struct Refused;

impl From<Unspecified> for Refused {
    fn from(Unspecified: Unspecified) -> Self {
        Self
    }
}

impl Cipher {
    /// The cipher of the shared `key` as it stands in the configuration.
    ///
    /// # Errors
    /// The cryptography library does not work.
    pub fn new(key: &[u8]) -> Result<Self, Refused> {
        Self::for_purpose(key, b"")
    }

    /// As [`Cipher::new`], for one purpose: `http` for the second cookie.
    ///
    /// # Errors
    /// The cryptography library does not work.
    pub fn for_purpose(key: &[u8], purpose: &[u8]) -> Result<Self, Refused> {
        let mut hashed = Context::new(&SHA256);
        hashed.update(key);
        hashed.update(purpose);
        let hashed = hashed.finish();
        let unbound = || UnboundCipherKey::new(&AES_256, hashed.as_ref());
        Ok(Self { encrypting: EncryptingKey::cbc(unbound()?)?, decrypting: DecryptingKey::cbc(unbound()?)? })
    }

    /// `plain` as a value that portals open. NULs at its end are lost on the way.
    ///
    /// # Errors
    /// The cryptography library does not work.
    pub fn encrypt(&self, plain: &[u8]) -> Result<String, Refused> {
        let mut padded = plain.to_vec();
        padded.resize(plain.len().next_multiple_of(BLOCK), 0);
        let mut text = digest(&SHA256, &padded).as_ref().to_vec();
        text.append(&mut padded);
        Ok(BASE64.encode(self.with_vector(&mut text)?))
    }

    /// What [`Cipher::encrypt`], or a portal, made a value of. `None` where it was made with another key, or by nobody:
    /// why is not told.
    #[must_use]
    pub fn decrypt(&self, ciphered: &str) -> Option<Vec<u8>> {
        let mut bytes = BASE64.decode(&*unescaped(ciphered)?).ok()?;
        let plain = self.without_vector(&mut bytes)?;
        let (found, padded) = plain.split_at_checked(DIGEST)?;
        verify_slices_are_equal(found, digest(&SHA256, padded).as_ref()).ok()?;
        let length = padded.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        padded.get(..length).map(<[u8]>::to_vec)
    }

    /// An id as the value of the second cookie, in hexadecimal digits. It proves nothing: there is no digest in it.
    /// `None` where it is not an even number of digits that fill blocks.
    #[must_use]
    pub fn encrypt_hex(&self, id: &str) -> Option<Box<str>> {
        let mut bytes = unhexed(id)?;
        (bytes.len().is_multiple_of(BLOCK)).then_some(())?;
        self.with_vector(&mut bytes).ok().map(|ciphered| hex(&ciphered))
    }

    /// The id of which [`Cipher::encrypt_hex`] made a value, or whatever else comes out of it.
    #[must_use]
    pub fn decrypt_hex(&self, ciphered: &str) -> Option<Box<str>> {
        let mut bytes = unhexed(ciphered)?;
        self.without_vector(&mut bytes).map(|plain| hex(plain))
    }

    fn with_vector(&self, plain: &mut [u8]) -> Result<Vec<u8>, Refused> {
        let context = self.encrypting.encrypt(plain)?;
        let vector: &[u8] = (&context).try_into()?;
        Ok([vector, plain].concat())
    }

    fn without_vector<'b>(&self, bytes: &'b mut [u8]) -> Option<&'b mut [u8]> {
        let (vector, text) = bytes.split_first_chunk_mut::<BLOCK>()?;
        let vector = FixedLength::from(*vector);
        self.decrypting.decrypt(text, DecryptionContext::Iv128(vector)).ok()
    }
}

/// Never shows the key.
impl fmt::Debug for Cipher {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Cipher(..)")
    }
}

/// Without the escapes of addresses that real portals take: of plus, slash, equals sign and line feed.
fn unescaped(ciphered: &str) -> Option<Cow<'_, str>> {
    if ciphered.len() > MAX_CIPHERED {
        return None;
    }
    if !ciphered.contains(['%', '\n']) {
        return Some(Cow::Borrowed(ciphered));
    }
    let plain = ["%2B", "%2b"].iter().fold(ciphered.to_owned(), |text, escape| text.replace(escape, "+"));
    let plain = ["%2F", "%2f"].iter().fold(plain, |text, escape| text.replace(escape, "/"));
    let plain = ["%3D", "%3d"].iter().fold(plain, |text, escape| text.replace(escape, "="));
    let plain = ["%0A", "%0a", "\n"].iter().fold(plain, |text, escape| text.replace(escape, ""));
    Some(Cow::Owned(plain))
}

fn unhexed(digits: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = digits
        .chars()
        .take(MAX_CIPHERED)
        .map(|digit| digit.to_digit(16).and_then(|value| value.try_into().ok()))
        .collect();
    let (pairs, rest) = digits.as_deref()?.as_chunks::<2>();
    rest.is_empty().then(|| pairs.iter().map(|[high, low]| high << 4 | low).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &[u8] = b"qwertyuiop123456";

    /// spec/llng.md 1.6, and captures/llng/soap, 36-getCipheredToken-admin.
    const CIPHERED: &str =
        "odb+EBPKA+s0+klRs9FYyS6otH0FYWEGqaQ0W6saZv2/94EpXOW7DIO3jtG5Mo5ZHAXWTanURYuIywT2r+gJOg==";

    #[test]
    fn what_a_real_portal_encrypted_opens() {
        let cipher = Cipher::new(KEY).unwrap();
        assert_eq!(cipher.decrypt(CIPHERED).unwrap(), b"1795249149_45351");
        let escaped = CIPHERED.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D") + "%0A";
        assert_eq!(cipher.decrypt(&escaped).unwrap(), b"1795249149_45351");
    }

    #[test]
    fn the_second_cookie_of_a_real_portal_opens() {
        let cipher = Cipher::for_purpose(KEY, b"http").unwrap();
        let cookie = "3c35245dbd281fa1a3c578d7821d448a51e037634d582e114813cb95c17d230262be1f75037595a51465b58254ed3e6c";
        let id = "c7341721ed966f3860a3d3ad592105bab9b7056228f2fa5160920511ad4699a2";
        assert_eq!(&*cipher.decrypt_hex(cookie).unwrap(), id);
        let ours = cipher.encrypt_hex(id).unwrap();
        assert_eq!(ours.len(), cookie.len());
        assert_eq!(&*cipher.decrypt_hex(&ours).unwrap(), id);
        assert_eq!(cipher.encrypt_hex("abc"), None);
        assert_eq!(cipher.encrypt_hex("zz"), None);
        assert_eq!(cipher.encrypt_hex("abcd"), None);
    }

    #[test]
    fn what_is_encrypted_opens_with_the_same_key_only() {
        let cipher = Cipher::new(KEY).unwrap();
        for plain in [&b""[..], b"a", b"sixteen bytes ok", b"seventeen bytes !", &[1; 1000]] {
            let ciphered = cipher.encrypt(plain).unwrap();
            assert_eq!(cipher.decrypt(&ciphered).unwrap(), plain);
            assert_eq!(Cipher::new(b"another").unwrap().decrypt(&ciphered), None);
            assert_ne!(cipher.encrypt(plain).unwrap(), ciphered, "each with a vector of its own");
        }
    }

    #[test]
    fn what_was_changed_on_the_way_does_not_open() {
        let cipher = Cipher::new(KEY).unwrap();
        let bytes = BASE64.decode(CIPHERED).unwrap();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert_eq!(cipher.decrypt(&BASE64.encode(changed)), None, "byte {at}");
        }
        for cut in 0..bytes.len() {
            assert_eq!(cipher.decrypt(&BASE64.encode(&bytes[..cut])), None, "{cut} bytes");
        }
        for text in ["", "=", "bad", "ö", &"A".repeat(MAX_CIPHERED + 1)] {
            assert_eq!(cipher.decrypt(text), None, "{text}");
        }
    }

    #[test]
    fn the_key_is_never_shown() {
        assert_eq!(format!("{:?}", Cipher::new(KEY).unwrap()), "Cipher(..)");
    }
}
