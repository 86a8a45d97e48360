//! The values that the elements of a message stand for.
//!
//! References are followed, so what they unfold to is counted as well: a small message can refer to the same thing many
//! times.

use std::collections::HashMap;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use session::MAX_DEPTH;

use super::call::MAX_BODY;
use super::document::{Document, Element, Form};
use super::fault::Fault;
use crate::llng::{Changes, Received};

/// What an element costs beside its text, where it is counted what references unfold to.
const ELEMENT: usize = 16;

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

impl Document {
    /// The values of these elements.
    ///
    /// # Errors
    /// One is not of its type, refers to nothing, or unfolds to more than a message may hold.
    pub(super) fn values(&self, indices: &[usize]) -> Result<Vec<Received>, Fault> {
        let named = self.elements.iter().enumerate();
        let named = named.filter_map(|(index, element)| Some((element.id.as_deref()?, index))).collect();
        let mut unfolding = Unfolding { document: self, named, room: MAX_BODY };
        indices.iter().map(|index| unfolding.value(*index, 0)).collect()
    }
}

/// Values made of elements, references followed.
struct Unfolding<'d> {
    document: &'d Document,
    named: HashMap<&'d str, usize>,
    /// How much text there may still be.
    room: usize,
}

impl<'d> Unfolding<'d> {
    fn value(&mut self, index: usize, level: usize) -> Result<Received, Fault> {
        let element = self.followed(index)?;
        self.room = (self.room.checked_sub(element.text.len() + ELEMENT))
            .ok_or_else(|| Fault::client("the values unfold to more than a message may hold"))?;
        if element.is_nil {
            return Ok(Received::Nil);
        }
        let is_leaf = element.children.is_empty();
        // The argument itself is at level 0, what it holds at 1, and that may have as many levels as any value.
        let is_shallow = level <= MAX_DEPTH;
        if !is_shallow && (!is_leaf || matches!(element.form, Form::List | Form::Map)) {
            return Err(Fault::client(format!("values are nested more than {MAX_DEPTH} deep")));
        }
        match element.form {
            Form::List => self.list(element, level),
            Form::Map => self.items(element, level),
            _ if !is_leaf => self.map(element, level),
            Form::Untyped if element.text.is_empty() && is_shallow => Ok(Received::Empty),
            Form::Untyped | Form::Text => Ok(Received::Text(element.text.as_str().into())),
            Form::Boolean => Ok(match element.text.trim() {
                "true" | "1" => Received::Boolean(true),
                "false" | "0" => Received::Boolean(false),
                other => Received::Text(other.into()),
            }),
            Form::Base64 => {
                let digits: String = element.text.split_ascii_whitespace().collect();
                let octets = BASE64.decode(digits).map_err(|_| Fault::client("a base64Binary is none"))?;
                Ok(Received::Octets(octets.into()))
            }
            Form::Hex => {
                let octets = unhexed(element.text.trim());
                Ok(Received::Octets(octets.ok_or_else(|| Fault::client("a hexBinary is none"))?.into()))
            }
        }
    }

    /// The element itself, or the one that it refers to.
    fn followed(&self, index: usize) -> Result<&'d Element, Fault> {
        let element =
            self.document.elements.get(index).ok_or_else(|| Fault::client("there is no such element"))?;
        let Some(reference) = element.refers_to.as_deref() else { return Ok(element) };
        let target = reference.strip_prefix('#').and_then(|id| self.named.get(id));
        let target = target.and_then(|index| self.document.elements.get(*index));
        target
            .filter(|target| target.refers_to.is_none())
            .ok_or_else(|| Fault::client("an href refers to nothing in this message"))
    }

    fn list(&mut self, element: &Element, level: usize) -> Result<Received, Fault> {
        let values = element.children.iter().map(|child| self.value(*child, level + 1));
        values.collect::<Result<_, _>>().map(Received::List)
    }

    /// A map whose keys are the names of its elements; one that comes again makes a list of its values.
    fn map(&mut self, element: &Element, level: usize) -> Result<Received, Fault> {
        let mut known: HashMap<&str, (usize, bool)> = HashMap::new();
        let mut map = Changes::new();
        for index in &element.children {
            let Some(child) = self.document.elements.get(*index) else { continue };
            let value = self.value(*index, level + 1)?;
            let Some((at, is_list)) = known.get_mut(&*child.name) else {
                known.insert(&child.name, (map.len(), false));
                map.push((child.name.clone(), value));
                continue;
            };
            let Some((_, before)) = map.get_mut(*at) else { continue };
            match before {
                Received::List(values) if *is_list => values.push(value),
                before => {
                    let first = std::mem::replace(before, Received::Nil);
                    *before = Received::List(vec![first, value]);
                    *is_list = true;
                }
            }
        }
        Ok(Received::Map(map))
    }

    /// A map of items, each with a key and a value. Of a key that comes again, the last counts.
    fn items(&mut self, element: &Element, level: usize) -> Result<Received, Fault> {
        let mut known: HashMap<Box<str>, usize> = HashMap::new();
        let mut map = Changes::new();
        for index in &element.children {
            let (key, value) = self.item(*index, level)?;
            match known.get(&key).and_then(|at| map.get_mut(*at)) {
                Some((_, before)) => *before = value,
                None => {
                    known.insert(key.clone(), map.len());
                    map.push((key, value));
                }
            }
        }
        Ok(Received::Map(map))
    }

    fn item(&mut self, index: usize, level: usize) -> Result<(Box<str>, Received), Fault> {
        let item = self.followed(index)?;
        let part = |name: &str| {
            let mut parts = item.children.iter().copied();
            parts.find(|part| self.document.elements.get(*part).is_some_and(|part| *part.name == *name))
        };
        let (key, value) = (part("key"), part("value"));
        let key = key.ok_or_else(|| Fault::client("an item of a Map has no key"))?;
        let key = self.value(key, level + 1)?.into_text();
        let key = key.ok_or_else(|| Fault::client("a key of a Map is no text"))?;
        let value = value.map_or(Ok(Received::Nil), |value| self.value(value, level + 1))?;
        Ok((key, value))
    }
}

fn unhexed(digits: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> =
        digits.chars().map(|digit| digit.to_digit(16).and_then(|value| value.try_into().ok())).collect();
    let (pairs, rest) = digits.as_deref()?.as_chunks::<2>();
    rest.is_empty().then(|| pairs.iter().map(|[high, low]| high << 4 | low).collect())
}
