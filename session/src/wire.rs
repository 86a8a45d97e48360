//! Numbers, texts and fields as bytes: what records, and what is said of them between nodes, are made of.
//!
//! Integers are LEB128 varints, texts are UTF-8 with their length before them. Reading is total, and takes no memory by
//! what a length claims: the bytes must be there.

/// The memory that is asked for at first where nobody knows better, in bytes, and that for the content of a field.
const ROOM: usize = 512;
const ROOM_OF_FIELD: usize = 128;

const TRUNCATED: Damaged = Damaged("it is cut off");

/// Bytes are not what they should be; why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Damaged(pub &'static str);

/// Appends to bytes.
#[derive(Default)]
pub struct Writer {
    bytes: Vec<u8>,
    /// Where the content of the next field is written first; kept, so that not each field asks for memory.
    content: Vec<u8>,
}

impl Writer {
    /// Begins with `head`.
    #[must_use]
    pub fn new(head: &[u8]) -> Self {
        Self::with_room(head, ROOM)
    }

    /// Begins with `head`, in memory for about so many bytes.
    #[must_use]
    pub fn with_room(head: &[u8], room: usize) -> Self {
        let mut bytes = Vec::with_capacity(room);
        bytes.extend_from_slice(head);
        Self { bytes, content: Vec::with_capacity(ROOM_OF_FIELD) }
    }

    /// A field: its content is written behind its tag and, once known, its length.
    pub fn field(&mut self, tag: u64, content: impl FnOnce(&mut Self)) {
        let mut inner = Self { bytes: std::mem::take(&mut self.content), content: Vec::new() };
        inner.bytes.clear();
        content(&mut inner);
        self.number(tag);
        self.bytes(&inner.bytes);
        self.content = inner.bytes;
    }

    /// A number, in one to ten bytes.
    pub fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.bytes.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.bytes.push(number as u8);
    }

    /// Bytes, with their length before them.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.raw(bytes);
    }

    /// A text, with its length before it.
    pub fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    /// Bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// What was written.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// Takes from bytes.
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Takes from the front of `bytes`.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Whether nothing is left.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// One byte.
    pub fn byte(&mut self) -> Result<u8, Damaged> {
        let (byte, rest) = self.0.split_first().ok_or(TRUNCATED)?;
        self.0 = rest;
        Ok(*byte)
    }

    /// A number.
    #[inline]
    pub fn number(&mut self) -> Result<u64, Damaged> {
        // Nearly all are tags and lengths of one byte.
        match self.0.split_first() {
            Some((byte, rest)) if *byte < 0x80 => {
                self.0 = rest;
                Ok((*byte).into())
            }
            _ => self.long_number(),
        }
    }

    fn long_number(&mut self) -> Result<u64, Damaged> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let part = u64::from(byte & 0x7f);
            if shift == 63 && part > 1 {
                break;
            }
            number |= part << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(Damaged("a number is too large"))
    }

    /// So many bytes as they are.
    pub fn take(&mut self, length: u64) -> Result<&'a [u8], Damaged> {
        let length = usize::try_from(length).map_err(|_| TRUNCATED)?;
        let (taken, rest) = self.0.split_at_checked(length).ok_or(TRUNCATED)?;
        self.0 = rest;
        Ok(taken)
    }

    /// So many bytes as they are, where that is known beforehand.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Damaged> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(TRUNCATED)?;
        self.0 = rest;
        Ok(*taken)
    }

    /// Bytes with their length before them.
    pub fn bytes(&mut self) -> Result<&'a [u8], Damaged> {
        let length = self.number()?;
        self.take(length)
    }

    /// A text with its length before it.
    pub fn text(&mut self) -> Result<Box<str>, Damaged> {
        as_text(self.bytes()?).map(Into::into)
    }

    /// All that is left.
    pub const fn rest(&mut self) -> &'a [u8] {
        let rest = self.0;
        self.0 = &[];
        rest
    }

    /// All that is left, as a text.
    pub fn rest_as_text(&mut self) -> Result<&'a str, Damaged> {
        as_text(self.rest())
    }
}

pub(crate) fn as_text(bytes: &[u8]) -> Result<&str, Damaged> {
    std::str::from_utf8(bytes).map_err(|_| Damaged("a text is no UTF-8"))
}
