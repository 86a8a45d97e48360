//! What a visitor holds: `handle.secret`.
//!
//! The handle names the session everywhere (storage, API, logs, audit) and proves nothing. The secret proves
//! possession; storage knows only its SHA-256, so that a stolen database opens no session. The handle is written as
//! 32 hexadecimal digits, because people copy it from logs; the secret as 43 characters of URL-safe base64, because
//! it travels with every request.

use std::fmt;
use std::ops::BitAnd;
use std::str::FromStr;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use subtle::{Choice, ConstantTimeEq};
use zeroize::{Zeroize, ZeroizeOnDrop};

const HANDLE_DIGITS: usize = 32;
const SECRET_CHARS: usize = 43;

/// The public name of a session: 128 random bits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Handle([u8; 16]);

impl Handle {
    /// A new handle from the system's generator.
    pub fn random() -> Result<Self, NoRandomness> {
        random_bytes().map(Self)
    }

    /// The handle of these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes of the handle.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Every storage key is written so: two digits at a time through the formatter would cost ten times as much.
        let mut digits = [0; HANDLE_DIGITS];
        for (pair, byte) in digits.chunks_exact_mut(2).zip(self.0) {
            pair.copy_from_slice(&[digit_of(byte >> 4), digit_of(byte & 15)]);
        }
        f.write_str(std::str::from_utf8(&digits).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Handle {
    type Err = MalformedTicket;

    /// Reads 32 lower-case hexadecimal digits; a handle has one spelling.
    fn from_str(text: &str) -> Result<Self, MalformedTicket> {
        if text.len() != HANDLE_DIGITS {
            return Err(MalformedTicket);
        }
        let mut bytes = [0; 16];
        for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            for digit in digits {
                *byte = *byte << 4 | hex_digit(*digit)?;
            }
        }
        Ok(Self(bytes))
    }
}

/// The half of a ticket that proves possession: 256 random bits. Wiped when dropped, and shown by nothing.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Secret([u8; 32]);

impl Secret {
    /// A new secret from the system's generator.
    pub fn random() -> Result<Self, NoRandomness> {
        random_bytes().map(Self)
    }

    /// The secret of these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes, for deriving keys. They must not be stored or shown.
    #[must_use]
    pub const fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// What storage may know of this secret.
    #[must_use]
    pub fn hash(&self) -> SecretHash {
        SecretHash::of(&self.0)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// SHA-256 of a [`Secret`]. Compared in constant time; it opens nothing, but is not shown either.
#[derive(Clone, Copy)]
pub struct SecretHash([u8; 32]);

impl SecretHash {
    /// What a session has to which there is no ticket: nobody knows a secret with this hash.
    pub const NOBODYS: Self = Self([0; 32]);

    /// What may be kept of a secret of others, such as a token. It must be long and random, or it can be guessed from this.
    #[must_use]
    pub fn of(secret: &[u8]) -> Self {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest(&SHA256, secret).as_ref());
        Self(hash)
    }

    /// The hash of these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes of the hash.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl PartialEq for SecretHash {
    fn eq(&self, other: &Self) -> bool {
        // By words: `subtle` hides each step from the compiler, and so there are eight times fewer.
        let ((own, _), (others, _)) = (self.0.as_chunks(), other.0.as_chunks());
        let are_equal =
            |(own, other): (&[u8; 8], &[u8; 8])| u64::from_ne_bytes(*own).ct_eq(&u64::from_ne_bytes(*other));
        own.iter().zip(others).map(are_equal).fold(Choice::from(1), BitAnd::bitand).into()
    }
}

impl Eq for SecretHash {}

impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretHash(..)")
    }
}

/// What a visitor presents: the name of a session and the proof that it is theirs.
#[derive(Debug, Clone)]
pub struct Ticket {
    /// Which session.
    pub handle: Handle,
    /// The proof.
    pub secret: Secret,
}

impl Ticket {
    /// The length of every ticket as text, in bytes.
    pub const TEXT_BYTES: usize = HANDLE_DIGITS + 1 + SECRET_CHARS;

    /// A ticket for a new session.
    pub fn random() -> Result<Self, NoRandomness> {
        Ok(Self { handle: Handle::random()?, secret: Secret::random()? })
    }

    /// The ticket that an id of another system stands for, which names a session and proves it at once. Equal ids of two
    /// spaces have nothing in common. It is as hard to guess as the id is.
    #[must_use]
    pub fn of_foreign(space: &str, id: &str) -> Self {
        let half = |purpose: &str| SecretHash::of([purpose, space, id].join("\0").as_bytes());
        let (SecretHash(name), SecretHash(secret)) = (half("cloakroom handle"), half("cloakroom secret"));
        let mut handle = [0; 16];
        handle.copy_from_slice(name.split_at(16).0);
        Self { handle: Handle(handle), secret: Secret(secret) }
    }

    /// The text that goes into the cookie, and nowhere else.
    #[must_use]
    pub fn expose(&self) -> String {
        format!("{}.{}", self.handle, URL_SAFE_NO_PAD.encode(self.secret.0))
    }
}

impl FromStr for Ticket {
    type Err = MalformedTicket;

    fn from_str(text: &str) -> Result<Self, MalformedTicket> {
        // The length first: what a stranger sends is not worth more work than this.
        if text.len() != Self::TEXT_BYTES {
            return Err(MalformedTicket);
        }
        let (handle, secret) = text.split_once('.').ok_or(MalformedTicket)?;
        let handle = handle.parse()?;
        let mut bytes = [0; 32];
        // Unused bits that are not zero are refused by the decoder, so a ticket has one spelling.
        match URL_SAFE_NO_PAD.decode_slice(secret, &mut bytes) {
            Ok(32) => Ok(Self { handle, secret: Secret(bytes) }),
            _ => Err(MalformedTicket),
        }
    }
}

/// The text is no ticket. It is not repeated here: it might be a secret in the wrong place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a ticket: expected 32 hexadecimal digits, a dot, and 43 characters of URL-safe base64")]
pub struct MalformedTicket;

/// The system's random generator failed. No session can be opened until it works.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the system's random generator failed: {0}")]
pub struct NoRandomness(getrandom::Error);

fn random_bytes<const N: usize>() -> Result<[u8; N], NoRandomness> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(NoRandomness)?;
    Ok(bytes)
}

const fn hex_digit(digit: u8) -> Result<u8, MalformedTicket> {
    match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        _ => Err(MalformedTicket),
    }
}

/// The inverse of [`hex_digit`], for 0 to 15.
const fn digit_of(value: u8) -> u8 {
    match value {
        0..=9 => b'0' + value,
        _ => b'a' + value - 10,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_ticket_reads_back_what_it_wrote() {
        let ticket = Ticket::random().unwrap();
        let text = ticket.expose();
        assert_eq!(text.len(), Ticket::TEXT_BYTES);
        let read: Ticket = text.parse().unwrap();
        assert_eq!(read.handle, ticket.handle);
        assert_eq!(read.secret.hash(), ticket.secret.hash());
    }

    #[test]
    fn an_id_of_others_stands_for_one_ticket_and_shows_in_none() {
        let id = "c7341721ed966f3860a3d3ad592105bab9b7056228f2fa5160920511ad4699a2";
        let ticket = Ticket::of_foreign("llng", id);
        let again = Ticket::of_foreign("llng", id);
        assert_eq!(ticket.expose(), again.expose());
        for (space, other) in
            [("llng.persistent", id), ("llng", &id.to_uppercase()), ("", "llng\0"), ("llng", "")]
        {
            let other = Ticket::of_foreign(space, other);
            assert!(other.handle != ticket.handle && other.secret.hash() != ticket.secret.hash());
        }
        // Who knows the handle, as everybody may, knows nothing of the secret.
        assert_ne!(ticket.secret.expose()[..16], *ticket.handle.as_bytes());
    }

    #[test]
    fn a_ticket_has_one_spelling() {
        let text = Ticket::random().unwrap().expose();
        for other in [
            text.to_uppercase(),
            format!("{text}="),
            format!(" {text}"),
            text.replace('.', ":"),
            text.get(1..).unwrap().to_owned(),
        ] {
            if other != text {
                assert_eq!(other.parse::<Ticket>().unwrap_err(), MalformedTicket, "{other}");
            }
        }
        // 43 characters carry 258 bits; the two that are too many must be zero.
        let zeros = format!("{}.{}", "0".repeat(32), "A".repeat(43));
        assert!(zeros.parse::<Ticket>().is_ok());
        let padded = format!("{}.{}B", "0".repeat(32), "A".repeat(42));
        assert!(padded.parse::<Ticket>().is_err());
    }

    #[test]
    fn hashes_that_differ_in_any_bit_are_not_equal() {
        let hash = Ticket::random().unwrap().secret.hash();
        assert_eq!(hash, SecretHash::from_bytes(*hash.as_bytes()));
        for bit in 0..256 {
            let mut other = *hash.as_bytes();
            other[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(hash, SecretHash::from_bytes(other));
        }
    }

    #[test]
    fn nothing_shows_a_secret() {
        let ticket = Ticket::random().unwrap();
        let shown = format!("{ticket:?} {:?}", ticket.secret.hash());
        let text = ticket.expose();
        let (_, secret) = text.split_once('.').unwrap();
        assert!(!shown.contains(secret));
        assert!(shown.contains("Secret(..)") && shown.contains("SecretHash(..)"));
    }

    #[test]
    fn a_handle_is_written_as_it_is_read() {
        let text = "00010f10a9fb5c7e8d9099a0af0affff";
        let handle: Handle = text.parse().unwrap();
        assert_eq!(handle.as_bytes().first_chunk(), Some(&[0x00, 0x01, 0x0f, 0x10]));
        assert_eq!(format!("{handle}|{handle:?}"), format!("{text}|{text}"));
    }

    proptest! {
        #[test]
        fn any_text_is_a_ticket_or_refused(text in ".{0,100}") {
            if let Ok(ticket) = text.parse::<Ticket>() {
                prop_assert_eq!(ticket.expose(), text);
            }
        }
    }
}
