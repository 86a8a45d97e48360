//! What an entry can hold.

/// How deep lists and maps may be nested. Deeper values are refused where they come in.
pub const MAX_DEPTH: usize = 16;

/// The value of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Text.
    Text(Box<str>),
    /// Bytes that are no UTF-8 text. Bytes that are text are always [`Value::Text`], so that equal values are equal.
    Bytes(Box<[u8]>),
    /// Values in order.
    List(Vec<Value>),
    /// Named values in order; names are case-sensitive.
    Map(Vec<(Box<str>, Value)>),
}

impl Value {
    /// Text where the bytes are text, else bytes.
    #[must_use]
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        match String::from_utf8(bytes) {
            Ok(text) => Self::Text(text.into()),
            Err(error) => Self::Bytes(error.into_bytes().into()),
        }
    }

    /// The text, if it is one.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Whether lists and maps are nested at most `levels` deep; a text is at level 0.
    #[must_use]
    pub fn is_at_most(&self, levels: usize) -> bool {
        match self {
            Self::Text(_) | Self::Bytes(_) => true,
            Self::List(values) => {
                levels.checked_sub(1).is_some_and(|rest| values.iter().all(|value| value.is_at_most(rest)))
            }
            Self::Map(values) => levels
                .checked_sub(1)
                .is_some_and(|rest| values.iter().all(|(_, value)| value.is_at_most(rest))),
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}
