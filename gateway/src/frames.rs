//! Where one frame of HTTP/2 ends and the next begins, and whether a head is unfinished.
//!
//! The library keeps what is unfinished for as long as it takes. A head that never ends would hold its connection for
//! ever, and nothing else could be said over it meanwhile: so the connection looks at the frames as they come in. Only at
//! their own heads of nine bytes; what is in them is passed over.

/// How a client begins (RFC 9113, 3.4).
pub(crate) const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 4;

/// A client's side of a connection, as far as it came.
#[derive(Debug)]
pub(crate) struct Frames {
    /// What is still to come of the preface, or of what is in a frame.
    skip: usize,
    /// The frame's own head, as far as it came.
    head: [u8; 9],
    filled: usize,
    /// Whether what is being skipped ends a head.
    ends_head: bool,
    is_in_head: bool,
    heads: u64,
}

impl Frames {
    /// Nothing came yet.
    pub(crate) const fn new() -> Self {
        let skip = PREFACE.len();
        Self { skip, head: [0; 9], filled: 0, ends_head: false, is_in_head: false, heads: 0 }
    }

    /// These bytes came.
    pub(crate) fn see(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.skip > 0 {
                let passed = self.skip.min(bytes.len());
                self.skip -= passed;
                bytes = bytes.get(passed..).unwrap_or_default();
            } else {
                let wanted = (self.head.len() - self.filled).min(bytes.len());
                let (came, rest) = bytes.split_at_checked(wanted).unwrap_or((bytes, &[]));
                for (place, byte) in self.head.iter_mut().skip(self.filled).zip(came) {
                    *place = *byte;
                }
                self.filled += wanted;
                bytes = rest;
                if self.filled == self.head.len() {
                    self.begin();
                }
            }
            if self.skip == 0 && self.ends_head {
                self.ends_head = false;
                self.is_in_head = false;
            }
        }
    }

    /// Whether a head, or the nine bytes before anything else, are there in part.
    pub(crate) const fn is_in_head(&self) -> bool {
        self.is_in_head || self.filled > 0
    }

    /// Whether anything is there in part.
    pub(crate) const fn is_between(&self) -> bool {
        self.skip > 0 || self.is_in_head()
    }

    /// How many heads have begun.
    pub(crate) const fn heads(&self) -> u64 {
        self.heads
    }

    fn begin(&mut self) {
        self.filled = 0;
        let [high, middle, low, kind, flags, ..] = self.head;
        self.skip = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
        if kind == HEADERS {
            self.heads += 1;
            self.is_in_head = true;
        }
        self.ends_head = matches!(kind, HEADERS | CONTINUATION) && flags & END_HEADERS != 0;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(kind: u8, flags: u8, length: usize) -> Vec<u8> {
        let [.., high, middle, low] = length.to_be_bytes();
        [&[high, middle, low, kind, flags, 0, 0, 0, 1][..], &vec![0; length]].concat()
    }

    #[test]
    fn a_head_is_open_until_its_last_byte() {
        let mut frames = Frames::new();
        frames.see(PREFACE);
        for (bytes, is_in_head, heads) in [
            (frame(4, 0, 6), false, 0),
            (frame(HEADERS, 5, 10)[..18].to_vec(), true, 1),
            (vec![0], false, 1),
            (frame(HEADERS, 1, 10), true, 2),
            (frame(CONTINUATION, 0, 300), true, 2),
            (frame(CONTINUATION, 4, 0), false, 2),
            (frame(0, 0, 5000), false, 2),
            (frame(6, 0, 8)[..3].to_vec(), true, 2),
        ] {
            frames.see(&bytes);
            assert_eq!((frames.is_in_head(), frames.heads()), (is_in_head, heads), "{:?}", &bytes[..1]);
        }
    }

    proptest! {
        /// However the bytes are cut, the same is seen.
        #[test]
        fn pieces_make_no_difference(kinds in prop::collection::vec((0_u8..10, 0_u8..8, 0_usize..40), 0..8), size in 1_usize..9) {
            let bytes = kinds.iter().fold(PREFACE.to_vec(), |all, (kind, flags, length)| [all, frame(*kind, *flags, *length)].concat());
            let (mut whole, mut pieces) = (Frames::new(), Frames::new());
            whole.see(&bytes);
            bytes.chunks(size).for_each(|piece| pieces.see(piece));
            prop_assert_eq!((whole.is_in_head(), whole.is_between(), whole.heads()), (pieces.is_in_head(), pieces.is_between(), pieces.heads()));
            prop_assert_eq!(whole.heads(), kinds.iter().filter(|(kind, ..)| *kind == HEADERS).count() as u64);
        }
    }
}
