//! How a value becomes bytes and back.
//!
//! The parts of a value stand one after the other, in the order in which they are declared, made of what
//! [`session::wire`] offers: varints, and texts and bytes with their length before them. An enum begins with a number for
//! its variant, an option with 0 or 1, a list with its length, which is at most [`MAX_ITEMS`]. Nothing may follow.
//!
//! Decoding is total and bounded: it takes no memory by what a length claims, and values are parts of the bytes that
//! came, not copies.

use bytes::Bytes;
pub use session::wire::Damaged;
use session::wire::{Reader, Writer};

use super::MAX_ITEMS;

/// Can be written.
pub trait Encode {
    /// Appends it.
    fn encode(&self, to: &mut Writer);
}

/// Can be read.
pub trait Decode: Sized {
    /// Takes it from the front.
    ///
    /// # Errors
    /// The bytes are none.
    fn decode(from: &mut Source<'_>) -> Result<Self, Damaged>;
}

/// The bytes of `value`.
pub fn encode(value: &impl Encode) -> Bytes {
    let mut writer = Writer::new(&[]);
    value.encode(&mut writer);
    writer.into_bytes().into()
}

/// The value that `bytes` are, all of them.
///
/// # Errors
/// They are none.
pub fn decode<T: Decode>(bytes: &Bytes) -> Result<T, Damaged> {
    let mut source = Source { reader: Reader::new(bytes), whole: bytes };
    let value = T::decode(&mut source)?;
    if source.reader.is_empty() { Ok(value) } else { Err(Damaged("something follows its end")) }
}

/// What is still to be read.
pub struct Source<'a> {
    pub(super) reader: Reader<'a>,
    whole: &'a Bytes,
}

impl Source<'_> {
    pub(super) fn variant(&mut self) -> Result<u8, Damaged> {
        self.reader.byte()
    }

    pub(super) fn size(&mut self) -> Result<usize, Damaged> {
        usize::try_from(self.reader.number()?).map_err(|_| Damaged("a number is too large"))
    }

    /// A part of the bytes that came; nothing is copied.
    pub(super) fn shared(&mut self) -> Result<Bytes, Damaged> {
        let part = self.reader.bytes()?;
        Ok(self.whole.slice_ref(part))
    }
}

/// No variant has this number.
pub(super) const UNKNOWN: Damaged = Damaged("a variant is not known");

impl<T: Encode> Encode for &T {
    fn encode(&self, to: &mut Writer) {
        T::encode(self, to);
    }
}

impl<A: Encode, B: Encode> Encode for (A, B) {
    fn encode(&self, to: &mut Writer) {
        self.0.encode(to);
        self.1.encode(to);
    }
}

impl<A: Decode, B: Decode> Decode for (A, B) {
    fn decode(from: &mut Source<'_>) -> Result<Self, Damaged> {
        Ok((A::decode(from)?, B::decode(from)?))
    }
}

impl<T: Encode> Encode for Option<T> {
    fn encode(&self, to: &mut Writer) {
        self.is_some().encode(to);
        if let Some(value) = self {
            value.encode(to);
        }
    }
}

impl<T: Decode> Decode for Option<T> {
    fn decode(from: &mut Source<'_>) -> Result<Self, Damaged> {
        if bool::decode(from)? { T::decode(from).map(Some) } else { Ok(None) }
    }
}

impl<T: Encode> Encode for [T] {
    fn encode(&self, to: &mut Writer) {
        to.number(self.len() as u64);
        self.iter().for_each(|item| item.encode(to));
    }
}

impl<T: Encode> Encode for Vec<T> {
    fn encode(&self, to: &mut Writer) {
        self.as_slice().encode(to);
    }
}

impl<T: Decode> Decode for Vec<T> {
    fn decode(from: &mut Source<'_>) -> Result<Self, Damaged> {
        let count = from.size()?;
        if count > MAX_ITEMS {
            return Err(Damaged("there are too many items"));
        }
        (0..count).map(|_| T::decode(from)).collect()
    }
}

impl Encode for bool {
    fn encode(&self, to: &mut Writer) {
        to.raw(&[u8::from(*self)]);
    }
}

impl Decode for bool {
    fn decode(from: &mut Source<'_>) -> Result<Self, Damaged> {
        match from.variant()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(UNKNOWN),
        }
    }
}

impl Encode for u64 {
    fn encode(&self, to: &mut Writer) {
        to.number(*self);
    }
}

impl Decode for u64 {
    fn decode(from: &mut Source<'_>) -> Result<Self, Damaged> {
        from.reader.number()
    }
}

impl Encode for Box<[u8]> {
    fn encode(&self, to: &mut Writer) {
        to.bytes(self);
    }
}

impl Decode for Box<[u8]> {
    fn decode(from: &mut Source<'_>) -> Result<Self, Damaged> {
        from.reader.bytes().map(Into::into)
    }
}

impl Encode for Box<str> {
    fn encode(&self, to: &mut Writer) {
        to.text(self);
    }
}

impl Decode for Box<str> {
    fn decode(from: &mut Source<'_>) -> Result<Self, Damaged> {
        from.reader.text()
    }
}

impl Encode for Bytes {
    fn encode(&self, to: &mut Writer) {
        to.bytes(self);
    }
}

impl Decode for Bytes {
    fn decode(from: &mut Source<'_>) -> Result<Self, Damaged> {
        from.shared()
    }
}
