//! A key, its name, its state, and the text that a key file holds.

use std::fmt;
use std::str::FromStr;
use std::time::SystemTime;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroizing;

use crate::cipher::{SealError, derive};

/// The standard alphabet; padding is written, and not missed when somebody left it away.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A key of 32 bytes with its name and state. Its bytes are wiped when it is dropped and never shown.
pub struct Key {
    id: KeyId,
    state: KeyState,
    made: Option<SystemTime>,
    bytes: Zeroizing<[u8; 32]>,
}

impl Key {
    /// A key from its 32 bytes, which must come from a good random generator: see [`Key::generate_text`].
    pub fn new(id: KeyId, state: KeyState, bytes: Zeroizing<[u8; 32]>) -> Self {
        Self { id, state, made: None, bytes }
    }

    /// A key from the text of its file. White space around it does not matter.
    ///
    /// # Errors
    ///
    /// [`TextError`] says what is wrong with the text, without repeating any of it.
    pub fn from_text(id: KeyId, state: KeyState, text: &str) -> Result<Self, TextError> {
        Ok(Self::new(id, state, decode(text)?))
    }

    /// The text of a new key, from the system's random generator: one line of 44 characters, as
    /// `openssl rand -base64 32` would print it.
    ///
    /// # Errors
    ///
    /// [`SealError::Refused`] when the system's random generator fails.
    pub fn generate_text() -> Result<KeyText, SealError> {
        let mut bytes = Zeroizing::new([0; 32]);
        getrandom::fill(bytes.as_mut()).map_err(|_| SealError::Refused)?;
        let mut text = Zeroizing::new(String::with_capacity(45));
        BASE64.encode_string(bytes.as_ref(), &mut text);
        text.push('\n');
        Ok(KeyText(text))
    }

    /// The same key, of which it is known when it was made.
    #[must_use]
    pub fn made_at(self, made: SystemTime) -> Self {
        Self { made: Some(made), ..self }
    }

    /// The same key in another state.
    #[must_use]
    pub fn in_state(&self, state: KeyState) -> Self {
        Self { id: self.id.clone(), state, made: self.made, bytes: self.bytes.clone() }
    }

    /// Its name in the configuration.
    pub fn id(&self) -> &KeyId {
        &self.id
    }

    /// What it may be used for.
    pub fn state(&self) -> KeyState {
        self.state
    }

    /// When it was made, if that is known.
    pub fn made(&self) -> Option<SystemTime> {
        self.made
    }

    /// The mark that values sealed with it carry. It tells keys apart and nothing about their bytes.
    ///
    /// # Errors
    ///
    /// [`SealError::Refused`] when the cryptography library refuses to work.
    pub fn tag(&self) -> Result<KeyTag, SealError> {
        let derived = derive(&self.bytes, &[b"cloakroom key tag v1"]).map_err(|_| SealError::Refused)?;
        let [a, b, c, d, ..] = *derived;
        Ok(KeyTag([a, b, c, d]))
    }

    pub(crate) fn bytes(&self) -> &[u8; 32] {
        &self.bytes
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("id", &self.id).field("state", &self.state).finish_non_exhaustive()
    }
}

/// The name of a key: 1 to 64 characters of `A-Z a-z 0-9 . _ -`. People see it; values do not carry it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId(Box<str>);

impl KeyId {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for KeyId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        if text.is_empty() {
            return Err(IdError::Empty);
        }
        let length = text.chars().count();
        if length > 64 {
            return Err(IdError::TooLong { length });
        }
        match text.chars().find(|c| !c.is_ascii_alphanumeric() && !matches!(c, '.' | '_' | '-')) {
            Some(character) => Err(IdError::Character { character }),
            None => Ok(Self(text.into())),
        }
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a text cannot be the name of a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Nothing there.
    #[error("the id of a key is empty: name it, for example after the month it was made in, \"2026-11\"")]
    Empty,
    /// More than 64 characters.
    #[error("the id of a key has {length} characters: at most 64 are allowed")]
    TooLong {
        /// How many there are.
        length: usize,
    },
    /// A character that is not allowed.
    #[error(
        "the id of a key contains {character:?}: only letters A-Z a-z, digits, \".\", \"_\" and \"-\" are allowed"
    )]
    Character {
        /// The first of them.
        character: char,
    },
}

/// What a key may be used for. A new key passes through all three, from top to bottom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyState {
    /// Opens, but does not seal yet: every node has to know a key before the first one seals with it.
    Announced,
    /// Seals and opens. Of several, the first one in the ring seals.
    Active,
    /// Only opens, until the last value that it sealed has expired. Then it can be deleted.
    Retiring,
}

impl fmt::Display for KeyState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Announced => "announced",
            Self::Active => "active",
            Self::Retiring => "retiring",
        })
    }
}

/// Four bytes by which a sealed value says which key made it; shown as eight hexadecimal digits.
///
/// It comes from the key's bytes, not from its name: a renamed key still opens what it sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyTag(pub(crate) [u8; 4]);

impl fmt::Display for KeyTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", u32::from_be_bytes(self.0))
    }
}

/// The text of a key file, on its way to that file. Wiped when dropped, and `Debug` does not show it.
pub struct KeyText(Zeroizing<String>);

impl KeyText {
    /// The text itself, with the line end. Write it to a file that only its owner can read.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for KeyText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyText(..)")
    }
}

/// Why a text is not a key. None of these repeats the text: it may be a key with a typing error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// Nothing but white space.
    #[error("the key is empty: make one with `cloakroom keys new`")]
    Empty,
    /// Something else than one base64 text.
    #[error(
        "the key is not base64: the character at position {position} does not belong there. \
         It must be one line of 44 characters, as `cloakroom keys new` makes it"
    )]
    NotBase64 {
        /// Counted in bytes from 1, after leading white space.
        position: usize,
    },
    /// 64 hexadecimal digits: a key in the wrong notation.
    #[error("the key seems to be written in hexadecimal: write its 32 bytes in base64 (44 characters)")]
    Hexadecimal,
    /// The wrong number of bytes.
    #[error("the key is base64 of {length} bytes, but a key has 32: make one with `cloakroom keys new`")]
    Length {
        /// How many bytes the text stands for, about, when it is far too long.
        length: usize,
    },
    /// One byte 32 times: nobody's random generator made that.
    #[error("the key is the same byte 32 times, which is no secret: make one with `cloakroom keys new`")]
    Weak,
}

fn decode(text: &str) -> Result<Zeroizing<[u8; 32]>, TextError> {
    let text = text.trim_ascii();
    if text.is_empty() {
        return Err(TextError::Empty);
    }
    if text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(TextError::Hexadecimal);
    }
    let outside = |b: u8| !b.is_ascii_alphanumeric() && !matches!(b, b'+' | b'/' | b'=');
    if let Some(at) = text.bytes().position(outside) {
        return Err(TextError::NotBase64 { position: at + 1 });
    }
    // Decoded on the stack, so that nothing of it stays behind in freed memory.
    let mut bytes = Zeroizing::new([0; 96]);
    let length = match BASE64.decode_slice(text, bytes.as_mut()) {
        Ok(length) => length,
        Err(base64::DecodeSliceError::OutputSliceTooSmall) => {
            return Err(TextError::Length { length: text.len() / 4 * 3 });
        }
        Err(base64::DecodeSliceError::DecodeError(error)) => {
            return Err(match error {
                base64::DecodeError::InvalidByte(at, _)
                | base64::DecodeError::InvalidLastSymbol { offset: at, .. } => {
                    TextError::NotBase64 { position: at + 1 }
                }
                base64::DecodeError::InvalidLength(_) | base64::DecodeError::InvalidPadding => {
                    TextError::NotBase64 { position: text.len() }
                }
            });
        }
    };
    if length != 32 {
        return Err(TextError::Length { length });
    }
    let Some(key) = bytes.first_chunk::<32>() else {
        return Err(TextError::Length { length });
    };
    if key.iter().all(|byte| Some(byte) == key.first()) {
        return Err(TextError::Weak);
    }
    Ok(Zeroizing::new(*key))
}
