//! Sealing under a secret that somebody else holds.
//!
//! The record of a session can tell a visitor who still presents the previous ticket what the next one is.
//! A stolen database must not tell the thief as well (law 6): therefore the answer lies there sealed under
//! the previous secret, of which the database keeps only the hash.

use crate::cipher::{Cipher, OpenError, SealError};

/// The first byte of what is sealed here. No number of a ring's formats.
const FORMAT: [u8; 1] = [0x81];

/// Seals `plain` under a key derived from `secret`, for the one purpose that `label` names.
///
/// The secret must be 256 random bits, such as the secret of a ticket: a password is not, and could be
/// guessed from what this returns.
///
/// | bytes | what |
/// |---|---|
/// | 1 | format: `0x81`, AES-256-GCM-SIV (RFC 8452) |
/// | 12 | nonce, random |
/// | as many as `plain` | ciphertext |
/// | 16 | authentication tag, over the format and `plain` |
///
/// The key is HKDF-SHA256 of the secret with salt `cloakroom` and info `cloakroom seal under v1`, a zero byte,
/// and the label.
///
/// # Errors
///
/// [`SealError`] when the value is too large or the machine has no randomness.
pub fn seal_under(secret: &[u8; 32], label: &str, plain: &[u8]) -> Result<Vec<u8>, SealError> {
    cipher(secret, label).ok_or(SealError::Refused)?.seal(&FORMAT, &[], plain)
}

/// Opens what [`seal_under`] made with the same secret and label.
///
/// # Errors
///
/// [`OpenError`], one for all reasons.
pub fn open_under(secret: &[u8; 32], label: &str, sealed: &[u8]) -> Result<Vec<u8>, OpenError> {
    let (format, rest) = sealed.split_first_chunk::<1>().ok_or(OpenError)?;
    if *format != FORMAT {
        return Err(OpenError);
    }
    cipher(secret, label).ok_or(OpenError)?.open(format, &[], rest)
}

fn cipher(secret: &[u8; 32], label: &str) -> Option<Cipher> {
    Cipher::derive(secret, &[b"cloakroom seal under v1\0", label.as_bytes()]).ok()
}
