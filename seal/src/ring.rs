//! The keys of an installation: one seals, all open.

use std::time::SystemTime;

use crate::cipher::{Cipher, OpenError, SealError};
use crate::key::{Key, KeyId, KeyState, KeyTag};

/// The first byte of what a ring seals: format 1, AES-256-GCM-SIV. Another cipher gets another number.
const FORMAT: u8 = 1;

/// Format and key tag.
const HEADER_LEN: usize = 5;

/// All keys of an installation. At least one is active.
#[derive(Debug)]
pub struct KeyRing {
    keys: Box<[Ready]>,
    /// The place in `keys` of the one that seals.
    sealing: usize,
}

impl KeyRing {
    /// How many bytes longer a sealed value is than what was sealed.
    pub const OVERHEAD: usize = HEADER_LEN + crate::cipher::OVERHEAD;

    /// A ring of these keys; their order matters only among the active ones.
    ///
    /// # Errors
    ///
    /// [`RingError`] when no key is active or two are the same.
    pub fn new(keys: Vec<Key>) -> Result<Self, RingError> {
        let sealing = keys
            .iter()
            .position(|key| key.state() == KeyState::Active)
            .ok_or(RingError::NoneActive { keys: keys.len() })?;
        for (place, key) in keys.iter().enumerate() {
            for earlier in keys.iter().take(place) {
                if earlier.id() == key.id() {
                    return Err(RingError::SameId { id: key.id().clone() });
                }
                if earlier.bytes() == key.bytes() {
                    return Err(RingError::SameKey { first: earlier.id().clone(), second: key.id().clone() });
                }
            }
        }
        let keys = keys.into_iter().map(Ready::new).collect::<Result<_, _>>()?;
        Ok(Self { keys, sealing })
    }

    /// Seals `plain` for the purpose that `associated_data` names. Only the same associated data opens it.
    ///
    /// Whoever puts several fields into the associated data separates them so that no two lists of fields
    /// look the same.
    ///
    /// | bytes | what |
    /// |---|---|
    /// | 1 | format: `1`, AES-256-GCM-SIV (RFC 8452) |
    /// | 4 | key tag: which key sealed, see [`KeyTag`] |
    /// | 12 | nonce, random |
    /// | as many as `plain` | ciphertext |
    /// | 16 | authentication tag, over format, key tag, `associated_data` and `plain` |
    ///
    /// The cipher's key is HKDF-SHA256 of the ring's key with salt `cloakroom` and info `cloakroom seal v1`;
    /// the key tag is the first four bytes of the same with info `cloakroom key tag v1`.
    ///
    /// # Errors
    ///
    /// [`SealError`] when the value is too large or the machine has no randomness.
    pub fn seal(&self, associated_data: &[u8], plain: &[u8]) -> Result<Vec<u8>, SealError> {
        let key = self.keys.get(self.sealing).ok_or(SealError::Refused)?;
        key.cipher.seal(&header(key.info.tag), associated_data, plain)
    }

    /// Opens what [`seal`](Self::seal) made for the same associated data with any key of this ring.
    ///
    /// # Errors
    ///
    /// [`OpenError`], one for all reasons.
    pub fn open(&self, associated_data: &[u8], sealed: &[u8]) -> Result<Vec<u8>, OpenError> {
        let (header, rest) = sealed.split_first_chunk::<HEADER_LEN>().ok_or(OpenError)?;
        let [FORMAT, tag @ ..] = *header else {
            return Err(OpenError);
        };
        // Two keys with the same tag are one in 2^32; then each is tried.
        self.keys
            .iter()
            .filter(|key| key.info.tag.0 == tag)
            .find_map(|key| key.cipher.open(header, associated_data, rest).ok())
            .ok_or(OpenError)
    }

    /// Whether a value names a key of this ring. It may still not open.
    pub fn knows(&self, tag: KeyTag) -> bool {
        self.keys.iter().any(|key| key.info.tag == tag)
    }

    /// What people may know of the keys, in the order of the ring.
    pub fn keys(&self) -> impl Iterator<Item = &KeyInfo> {
        self.keys.iter().map(|key| &key.info)
    }

    /// The key that seals.
    pub fn sealing_key(&self) -> Option<&KeyInfo> {
        self.keys.get(self.sealing).map(|key| &key.info)
    }
}

impl KeyTag {
    /// The tag that a sealed value names, if it has the form of one that a ring sealed. Nothing is checked: whoever
    /// made the value chose what it says.
    pub fn of(sealed: &[u8]) -> Option<Self> {
        match sealed.first_chunk::<HEADER_LEN>()? {
            [FORMAT, tag @ ..] => Some(Self(*tag)),
            _ => None,
        }
    }
}

/// What people may know of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyInfo {
    /// Its name in the configuration.
    pub id: KeyId,
    /// What it may be used for.
    pub state: KeyState,
    /// When it was made, if that is known.
    pub made: Option<SystemTime>,
    /// The mark that its values carry.
    pub tag: KeyTag,
}

/// Why keys do not make a ring. A fault of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RingError {
    /// Nothing could be sealed.
    #[error("none of the {keys} keys is active, so nothing could be sealed: make one active")]
    NoneActive {
        /// How many there are.
        keys: usize,
    },
    /// Two keys have one name.
    #[error("two keys have the id {id}: give each its own")]
    SameId {
        /// The name.
        id: KeyId,
    },
    /// Two names stand for one key: retiring one of them would change nothing.
    #[error("the keys {first} and {second} are one and the same: make a new one with `cloakroom keys new`")]
    SameKey {
        /// The earlier of the two.
        first: KeyId,
        /// The later.
        second: KeyId,
    },
    /// The cryptography library refused to work. A fault of this machine.
    #[error("a key cannot be made ready: {0}")]
    Library(#[from] SealError),
}

/// A key made ready. The bytes that it came from are wiped; aws-lc wipes its own when dropped.
#[derive(Debug)]
struct Ready {
    info: KeyInfo,
    cipher: Cipher,
}

impl Ready {
    #[allow(clippy::needless_pass_by_value)] // The key is to be gone afterwards.
    fn new(key: Key) -> Result<Self, SealError> {
        let cipher = Cipher::derive(key.bytes(), &[b"cloakroom seal v1"]).map_err(|_| SealError::Refused)?;
        let info = KeyInfo { id: key.id().clone(), state: key.state(), made: key.made(), tag: key.tag()? };
        Ok(Self { info, cipher })
    }
}

fn header(KeyTag([a, b, c, d]): KeyTag) -> [u8; HEADER_LEN] {
    [FORMAT, a, b, c, d]
}
