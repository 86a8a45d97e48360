//! Where a record lies.

use std::fmt;

/// The most bytes that a context has, and the most that a key within it has.
pub const MAX_KEY_BYTES: usize = 255;

/// The address of a record: a context, which engines may spread over machines, and a name within it.
///
/// Ordered by context, then by name, bytewise.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    context: Box<str>,
    name: Box<[u8]>,
}

impl Key {
    /// The key `name` in `context`; each has 1 to [`MAX_KEY_BYTES`] bytes.
    pub fn new(context: &str, name: &[u8]) -> Result<Self, KeyError> {
        for (what, length) in [("context", context.len()), ("name", name.len())] {
            if length == 0 || length > MAX_KEY_BYTES {
                return Err(KeyError { what, length });
            }
        }
        Ok(Self { context: context.into(), name: name.into() })
    }

    /// The context.
    #[must_use]
    pub const fn context(&self) -> &str {
        &self.context
    }

    /// The name within the context.
    #[must_use]
    pub const fn name(&self) -> &[u8] {
        &self.name
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Only the context: the name may be a foreign format's session id, which is a secret.
        write!(f, "Key({}/..)", self.context)
    }
}

/// A context or a name is empty or too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the {what} of a storage key has {length} bytes; it must have 1 to {MAX_KEY_BYTES}")]
pub struct KeyError {
    what: &'static str,
    length: usize,
}
