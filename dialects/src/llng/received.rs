//! A value as a client sent it, before it is known what it means.
//!
//! LemonLDAP::NG's clients send back all that they read, and not as they read it: octets come as characters and are
//! encoded once more each time, `TRUE` comes as `true`, and so does `FALSE`. What was not changed must stay as it is, so
//! a value is settled beside the one that is stored.

use std::borrow::Cow;
use std::fmt;

use session::{Entries, Value};

/// Attributes by name, as a client sent them; [`Received::Nil`] removes one.
pub type Changes = Vec<(Box<str>, Received)>;

/// A value as a client sent it.
#[derive(Clone, PartialEq, Eq)]
pub enum Received {
    /// Nothing: the attribute goes.
    Nil,
    /// A text, or a number as it was spelt.
    Text(Box<str>),
    /// A truth value, which stands for more than one word.
    Boolean(bool),
    /// Octets, which may be text, and may have been encoded once too often.
    Octets(Box<[u8]>),
    /// An element without content or type: the map without entries, or the text without characters.
    Empty,
    /// Values in order.
    List(Vec<Self>),
    /// Named values in order, each name once.
    Map(Changes),
}

impl Received {
    /// What is stored now, where `stored` was; `None` where the attribute goes. In lists and maps, what is nil is left
    /// out.
    #[must_use]
    pub fn settle(self, stored: Option<&Value>) -> Option<Value> {
        match self {
            Self::Nil => None,
            Self::Text(text) => Some(match stored {
                Some(known) if is_same(text.as_bytes(), known) => known.clone(),
                _ => Value::Text(text),
            }),
            Self::Octets(octets) => Some(match stored {
                Some(known) if is_same(&octets, known) => known.clone(),
                _ => Value::from_bytes(octets.into_vec()),
            }),
            Self::Boolean(is_true) => Some(match stored {
                Some(Value::Text(known)) if may_be_sent_as(is_true, known) => Value::Text(known.clone()),
                _ => if is_true { "true" } else { "false" }.into(),
            }),
            Self::Empty => Some(match stored {
                Some(Value::Text(_) | Value::Bytes(_)) => "".into(),
                _ => Value::Map(Vec::new()),
            }),
            Self::List(values) => Some(Value::List(settle_list(values, stored))),
            Self::Map(values) => {
                let stored = match stored {
                    Some(Value::Map(stored)) => stored.as_slice(),
                    _ => &[],
                };
                Some(Value::Map(settle_map(values, stored)))
            }
        }
    }

    /// The text, where it is one. A number is one too, and octets that are no UTF-8 are characters, as they are to Perl.
    #[must_use]
    pub fn into_text(self) -> Option<Box<str>> {
        match self {
            Self::Text(text) => Some(text),
            Self::Octets(octets) => Some(match std::str::from_utf8(&octets) {
                Ok(text) => text.into(),
                Err(_) => octets.iter().copied().map(char::from).collect(),
            }),
            Self::Boolean(is_true) => Some(if is_true { "true" } else { "false" }.into()),
            Self::Empty => Some("".into()),
            Self::Nil | Self::List(_) | Self::Map(_) => None,
        }
    }
}

/// Shows the shape only: what clients send may be anybody's password.
impl fmt::Debug for Received {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (shape, size) = match self {
            Self::Nil => return formatter.write_str("Nil"),
            Self::Empty => return formatter.write_str("Empty"),
            Self::Boolean(_) => return formatter.write_str("Boolean(..)"),
            Self::Text(text) => ("Text", text.len()),
            Self::Octets(octets) => ("Octets", octets.len()),
            Self::List(values) => ("List", values.len()),
            Self::Map(values) => ("Map", values.len()),
        };
        write!(formatter, "{shape}({size})")
    }
}

/// What becomes of the entries that `changes` name: the value, or `None` where the entry goes. A name comes back in
/// another spelling just as a value does.
#[must_use]
pub fn settle(changes: Changes, stored: &Entries) -> Vec<(Box<str>, Option<Value>)> {
    changes
        .into_iter()
        .map(|(name, received)| {
            let name = match stored.get(&name) {
                Some(_) => name,
                None => respelt(&name).filter(|known| stored.get(known).is_some()).unwrap_or(name),
            };
            let value = received.settle(stored.get(&name));
            (name, value)
        })
        .collect()
}

fn settle_list(values: Vec<Received>, stored: Option<&Value>) -> Vec<Value> {
    let mut stored = match stored {
        Some(Value::List(stored)) => stored.as_slice(),
        _ => &[],
    }
    .iter();
    values.into_iter().filter_map(|value| value.settle(stored.next())).collect()
}

fn settle_map(values: Changes, stored: &[(Box<str>, Value)]) -> Vec<(Box<str>, Value)> {
    let known = |name: &str| stored.iter().find(|(known, _)| **known == *name).map(|(_, value)| value);
    values
        .into_iter()
        .filter_map(|(name, received)| {
            let name = match known(&name) {
                Some(_) => name,
                None => respelt(&name).filter(|spelt| known(spelt).is_some()).unwrap_or(name),
            };
            received.settle(known(&name)).map(|value| (name, value))
        })
        .collect()
}

/// Whether these octets are the stored value, as it is or encoded once more.
fn is_same(octets: &[u8], stored: &Value) -> bool {
    let stored = match stored {
        Value::Text(text) => text.as_bytes(),
        Value::Bytes(bytes) => bytes,
        Value::List(_) | Value::Map(_) => return false,
    };
    octets == stored || once_less(octets).is_some_and(|octets| *octets == *stored)
}

/// The octets of which these are the encoding, character for character; `None` where they are the encoding of none, or
/// it makes no difference.
fn once_less(octets: &[u8]) -> Option<Cow<'_, [u8]>> {
    let text = std::str::from_utf8(octets).ok().filter(|text| !text.is_ascii())?;
    text.chars().map(|character| u8::try_from(character).ok()).collect::<Option<Vec<u8>>>().map(Cow::Owned)
}

fn respelt(name: &str) -> Option<Box<str>> {
    let octets = once_less(name.as_bytes())?;
    std::str::from_utf8(&octets).ok().map(Into::into)
}

/// Whether the clients send this word as this truth value: of `FALSE` and `False` they make `true`.
fn may_be_sent_as(is_true: bool, word: &str) -> bool {
    match is_true {
        true => word.eq_ignore_ascii_case("true") || (word.eq_ignore_ascii_case("false") && word != "false"),
        false => word == "false",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value {
        text.into()
    }

    fn octets(text: &str) -> Received {
        Received::Octets(text.as_bytes().into())
    }

    /// As a client sends octets that it took for characters.
    fn once_more(octets: &[u8]) -> String {
        octets.iter().copied().map(char::from).collect()
    }

    #[test]
    fn text_that_comes_back_encoded_once_more_stays_as_it_is() {
        // spec/llng.md 12.3, with what captures/llng/soap, 07-setAttributes-ro.2 sends.
        let stored = text("Döctor Wхо <&>\"'");
        let sent = once_more("Döctor Wхо <&>\"'".as_bytes());
        assert_eq!(octets(&sent).settle(Some(&stored)), Some(stored.clone()));
        assert_eq!(Received::Text(sent.into()).settle(Some(&stored)), Some(stored.clone()));
        assert_eq!(octets("Döctor Wхо <&>\"'").settle(Some(&stored)), Some(stored.clone()));
        assert_eq!(octets("Ärger").settle(Some(&stored)), Some(text("Ärger")));
        assert_eq!(octets("Ärger").settle(None), Some(text("Ärger")));
    }

    #[test]
    fn octets_that_are_no_text_come_back_as_they_are() {
        let stored = Value::Bytes([0xE9, 0xFF].into());
        assert_eq!(Received::Octets([0xE9, 0xFF].into()).settle(None), Some(stored.clone()));
        assert_eq!(octets("éÿ").settle(Some(&stored)), Some(stored.clone()));
        assert_eq!(Received::Text("éÿ".into()).settle(Some(&stored)), Some(stored));
    }

    #[test]
    fn an_ambiguous_truth_value_leaves_the_word_that_is_stored() {
        // spec/llng.md 12.11.
        for word in ["TRUE", "True", "true", "FALSE", "False"] {
            assert_eq!(Received::Boolean(true).settle(Some(&text(word))), Some(text(word)), "{word}");
            assert_eq!(Received::Boolean(false).settle(Some(&text(word))), Some(text("false")), "{word}");
        }
        assert_eq!(Received::Boolean(true).settle(Some(&text("false"))), Some(text("true")));
        assert_eq!(Received::Boolean(true).settle(Some(&text("1"))), Some(text("true")));
        assert_eq!(Received::Boolean(false).settle(None), Some(text("false")));
    }

    #[test]
    fn what_is_empty_is_a_map_unless_a_text_is_stored() {
        assert_eq!(Received::Empty.settle(None), Some(Value::Map(Vec::new())));
        assert_eq!(Received::Empty.settle(Some(&text("old"))), Some(text("")));
    }

    #[test]
    fn nested_values_are_settled_beside_their_place_and_nil_is_left_out() {
        let stored = Value::Map(vec![
            ("größe".into(), text("ö")),
            ("list".into(), Value::List(vec![text("a"), text("TRUE")])),
        ]);
        let sent = Received::Map(vec![
            (once_more("größe".as_bytes()).into(), octets(&once_more("ö".as_bytes()))),
            (
                "list".into(),
                Received::List(vec![Received::Text("a".into()), Received::Boolean(true), Received::Nil]),
            ),
            ("gone".into(), Received::Nil),
        ]);
        assert_eq!(sent.settle(Some(&stored)), Some(stored));
    }

    #[test]
    fn nothing_that_was_sent_is_shown() {
        let sent = Received::Map(vec![("secret".into(), Received::Text("secret".into()))]);
        assert_eq!(format!("{sent:?}"), "Map(1)");
    }
}
