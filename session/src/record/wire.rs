//! Numbers, texts and fields as bytes.

use super::Malformed;

const TRUNCATED: Malformed = Malformed::Damaged("it is cut off");

/// Appends to a record.
#[derive(Default)]
pub(super) struct Writer {
    bytes: Vec<u8>,
    /// Where the content of the next field is written first; kept, so that not each field asks for memory.
    content: Vec<u8>,
}

impl Writer {
    pub(super) fn new(head: &[u8]) -> Self {
        let mut bytes = Vec::with_capacity(512);
        bytes.extend_from_slice(head);
        Self { bytes, ..Self::default() }
    }

    /// A field: its content is written behind its tag and, once known, its length.
    pub(super) fn field(&mut self, tag: u64, content: impl FnOnce(&mut Self)) {
        let mut inner = Self { bytes: std::mem::take(&mut self.content), ..Self::default() };
        inner.bytes.clear();
        content(&mut inner);
        self.number(tag);
        self.bytes(&inner.bytes);
        self.content = inner.bytes;
    }

    pub(super) fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.bytes.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.bytes.push(number as u8);
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.raw(bytes);
    }

    pub(super) fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    pub(super) fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// Takes from a record.
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn byte(&mut self) -> Result<u8, Malformed> {
        let (byte, rest) = self.0.split_first().ok_or(TRUNCATED)?;
        self.0 = rest;
        Ok(*byte)
    }

    pub(super) fn number(&mut self) -> Result<u64, Malformed> {
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
        Err(Malformed::Damaged("a number is too large"))
    }

    pub(super) fn take(&mut self, length: u64) -> Result<&'a [u8], Malformed> {
        let length = usize::try_from(length).map_err(|_| TRUNCATED)?;
        let (taken, rest) = self.0.split_at_checked(length).ok_or(TRUNCATED)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(TRUNCATED)?;
        self.0 = rest;
        Ok(*taken)
    }

    pub(super) fn bytes(&mut self) -> Result<&'a [u8], Malformed> {
        let length = self.number()?;
        self.take(length)
    }

    pub(super) fn text(&mut self) -> Result<Box<str>, Malformed> {
        as_text(self.bytes()?)
    }

    pub(super) const fn rest(&mut self) -> &'a [u8] {
        let rest = self.0;
        self.0 = &[];
        rest
    }

    pub(super) fn rest_as_text(&mut self) -> Result<Box<str>, Malformed> {
        as_text(self.rest())
    }
}

fn as_text(bytes: &[u8]) -> Result<Box<str>, Malformed> {
    std::str::from_utf8(bytes).map(Into::into).map_err(|_| Malformed::Damaged("a text is no UTF-8"))
}
