//! The one cipher behind both ways of sealing, and the two errors.
//!
//! There is exactly one error for opening. Whoever sends us a value must not learn whether its key, its
//! purpose or its bytes were wrong: the difference is what forgers work with.

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use zeroize::Zeroizing;

/// The most bytes that can be sealed at once: 16 MiB, far above any session, far below the cipher's own bound.
pub const MAX_PLAIN_LEN: usize = 16 << 20;

/// The authentication tag that follows the ciphertext, in bytes.
const TAG_LEN: usize = 16;

/// How many bytes a nonce and a tag take, besides the ciphertext.
pub(crate) const OVERHEAD: usize = NONCE_LEN + TAG_LEN;

/// The value does not open: it was made with a key that is not here, for another purpose, or it was changed
/// on the way. Which of these is not told, on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the sealed value does not open: another key, another purpose, or changed on the way")]
pub struct OpenError;

/// The value could not be sealed. Nothing was sent; the caller decides whether the visitor can do without.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The caller's value is larger than any that we seal.
    #[error("a value of {length} bytes is too large to be sealed: the most is {MAX_PLAIN_LEN}")]
    TooLarge {
        /// Its length in bytes.
        length: usize,
    },
    /// The system's random generator or the cryptography library refused to work. A fault of this machine.
    #[error("the cryptography library could not seal: the system's random generator may have failed")]
    Refused,
}

/// A key made ready for one purpose.
#[derive(Debug)]
pub(crate) struct Cipher(RandomizedNonceKey);

impl Cipher {
    /// The cipher for `purpose`, which no other purpose of the same secret shares.
    pub(crate) fn derive(secret: &[u8; 32], purpose: &[&[u8]]) -> Result<Self, Unspecified> {
        let key = derive(secret, purpose)?;
        RandomizedNonceKey::new(&AES_256_GCM_SIV, key.as_ref()).map(Self)
    }

    /// `header ‖ nonce ‖ ciphertext ‖ tag`. The header is authenticated too.
    pub(crate) fn seal(
        &self,
        header: &[u8],
        associated_data: &[u8],
        plain: &[u8],
    ) -> Result<Vec<u8>, SealError> {
        if plain.len() > MAX_PLAIN_LEN {
            return Err(SealError::TooLarge { length: plain.len() });
        }
        // Once for all of it: the nonce is known last, and its place is kept.
        let mut sealed = Vec::with_capacity(header.len() + plain.len() + OVERHEAD);
        sealed.extend_from_slice(header);
        sealed.extend_from_slice(&[0; NONCE_LEN]);
        sealed.extend_from_slice(plain);
        let (_, rest) = sealed.split_at_mut_checked(header.len()).ok_or(SealError::Refused)?;
        let (place, text) = rest.split_first_chunk_mut::<NONCE_LEN>().ok_or(SealError::Refused)?;
        let (nonce, tag) = self
            .0
            .seal_in_place_separate_tag(Aad::from(bound(header, associated_data)), text)
            .map_err(|Unspecified| SealError::Refused)?;
        *place = *nonce.as_ref();
        sealed.extend_from_slice(tag.as_ref());
        Ok(sealed)
    }

    /// Opens what follows the header.
    pub(crate) fn open(
        &self,
        header: &[u8],
        associated_data: &[u8],
        rest: &[u8],
    ) -> Result<Vec<u8>, OpenError> {
        let (nonce, text) = rest.split_first_chunk::<NONCE_LEN>().ok_or(OpenError)?;
        if text.len() > MAX_PLAIN_LEN + TAG_LEN {
            return Err(OpenError);
        }
        let mut text = text.to_vec();
        let length = self
            .0
            .open_in_place(
                Nonce::assume_unique_for_key(*nonce),
                Aad::from(bound(header, associated_data)),
                &mut text,
            )
            .map_err(|Unspecified| OpenError)?
            .len();
        text.truncate(length);
        Ok(text)
    }
}

/// HKDF-SHA256 (RFC 5869). The parts of `purpose` are joined as they are; a caller with a part of free length
/// puts its length in front.
pub(crate) fn derive(secret: &[u8; 32], purpose: &[&[u8]]) -> Result<Zeroizing<[u8; 32]>, Unspecified> {
    let mut derived = Zeroizing::new([0; 32]);
    Salt::new(HKDF_SHA256, b"cloakroom")
        .extract(secret)
        .expand(purpose, HKDF_SHA256)?
        .fill(derived.as_mut())?;
    Ok(derived)
}

/// The header has a fixed length in each format, so joining the two is unambiguous.
fn bound(header: &[u8], associated_data: &[u8]) -> Vec<u8> {
    [header, associated_data].concat()
}
