//! The elements of a message.
//!
//! It is read from one end to the other by a library; what is kept of it is a list of elements that know their
//! children, because a value may lie elsewhere in the message and be referred to. Elements, their depth and their
//! attributes are counted.

use quick_xml::NsReader;
use quick_xml::XmlVersion;
use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::name::{NamespaceResolver, QName, ResolveResult};
use session::MAX_DEPTH;

use super::fault::Fault;
use super::{ENCODING, ENVELOPE, MAPS};

/// The most elements of a message.
const MAX_ELEMENTS: usize = 1 << 16;

/// How deep elements are nested: a map in the form of items takes three for each level.
const MAX_NESTED: usize = 8 + 3 * MAX_DEPTH;

/// The most attributes of an element, declarations of namespaces included.
const MAX_ATTRIBUTES: usize = 64;

/// The namespaces in which a client may say `nil` and `type`.
const INSTANCE: [&str; 3] = [
    "http://www.w3.org/2001/XMLSchema-instance",
    "http://www.w3.org/2000/10/XMLSchema-instance",
    "http://www.w3.org/1999/XMLSchema-instance",
];

/// A message that is well-formed as far as it was looked at, and has a root.
pub(super) struct Document {
    /// The first one is the root.
    pub(super) elements: Vec<Element>,
}

/// One element.
#[derive(Default)]
pub(super) struct Element {
    pub(super) namespace: Option<Box<str>>,
    /// The name without its prefix.
    pub(super) name: Box<str>,
    pub(super) children: Vec<usize>,
    pub(super) must_be_understood: bool,
    pub(super) form: Form,
    pub(super) is_nil: bool,
    pub(super) text: String,
    /// What others call it.
    pub(super) id: Option<Box<str>>,
    /// What it stands for.
    pub(super) refers_to: Option<Box<str>>,
}

/// What the type of an element says.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Form {
    /// Nothing.
    #[default]
    Untyped,
    /// That it is text, of whatever kind.
    Text,
    Boolean,
    Base64,
    Hex,
    List,
    Map,
}

impl Element {
    pub(super) fn is(&self, namespace: &str, name: &str) -> bool {
        *self.name == *name && self.namespace.as_deref() == Some(namespace)
    }

    fn new(start: &BytesStart<'_>, resolver: &NamespaceResolver) -> Result<Self, Fault> {
        let (namespace, name) = resolver.resolve_element(start.name());
        let mut element = Self {
            namespace: bound(namespace)?.map(Into::into),
            name: name.into_inner().into(),
            ..Self::default()
        };
        if element.is(ENCODING, "Array") {
            element.form = Form::List;
        }
        for (index, attribute) in start.attributes().enumerate() {
            if index >= MAX_ATTRIBUTES {
                return Err(Fault::malformed(format!(
                    "an element has more than {MAX_ATTRIBUTES} attributes"
                )));
            }
            let attribute = attribute.map_err(Fault::malformed)?;
            let value = attribute.normalized_value(XmlVersion::Implicit1_0).map_err(Fault::malformed)?;
            element.set(attribute.key, &value, resolver)?;
        }
        Ok(element)
    }

    fn set(&mut self, key: QName<'_>, value: &str, resolver: &NamespaceResolver) -> Result<(), Fault> {
        if key.as_namespace_binding().is_some() {
            return Ok(());
        }
        let (namespace, name) = resolver.resolve_attribute(key);
        let name = name.into_inner();
        match bound(namespace)? {
            None if name == "id" => self.id = Some(value.into()),
            None if name == "href" => self.refers_to = Some(value.into()),
            Some(ENCODING) if name == "arrayType" => self.form = Form::List,
            Some(ENVELOPE) if name == "mustUnderstand" => self.must_be_understood = is_true(value),
            Some(namespace) if INSTANCE.contains(&namespace) => match name {
                "nil" | "null" => self.is_nil = is_true(value),
                // That it is an array is said twice.
                "type" if self.form == Form::Untyped => self.form = Form::read(value.trim(), resolver)?,
                _ => {}
            },
            _ => {}
        }
        Ok(())
    }
}

impl Form {
    fn read(value: &str, resolver: &NamespaceResolver) -> Result<Self, Fault> {
        let (namespace, name) = resolver.resolve_element(QName(value));
        let namespace = bound(namespace)?;
        Ok(match (namespace, name.into_inner()) {
            (Some(MAPS), "Map") => Self::Map,
            (Some(ENCODING), "Array") => Self::List,
            (_, "base64Binary" | "base64") => Self::Base64,
            (_, "hexBinary") => Self::Hex,
            (_, "boolean") => Self::Boolean,
            (_, "anyType" | "ur-type" | "Struct") => Self::Untyped,
            _ => Self::Text,
        })
    }
}

impl Document {
    /// Reads a message.
    ///
    /// # Errors
    /// It is not well-formed, has a document type, or is beyond a bound.
    pub(super) fn read(text: &str) -> Result<Self, Fault> {
        // Most messages are plain ASCII, which is seen many bytes at a time.
        if !text.bytes().all(is_plain)
            && let Some(wrong) = text.chars().find(|character| !is_allowed(*character))
        {
            return Err(Fault::malformed(format!("the character {} is in no XML", wrong.escape_unicode())));
        }
        let mut reader = NsReader::from_str(text);
        reader.config_mut().expand_empty_elements = true;
        let mut document = Self { elements: Vec::new() };
        let mut open = Vec::new();
        loop {
            match reader.read_event().map_err(Fault::malformed)? {
                Event::Start(start) | Event::Empty(start) => {
                    document.begin(Element::new(&start, reader.resolver())?, &mut open)?;
                }
                Event::End(_) => {
                    open.pop();
                }
                Event::Text(text) => document.add_text(&text.xml10_content(), &open)?,
                Event::CData(text) => document.add_text(&text.xml10_content(), &open)?,
                Event::GeneralRef(reference) => {
                    document.add_text(referred(&reference)?.encode_utf8(&mut [0; 4]), &open)?;
                }
                Event::DocType(_) => return Err(Fault::malformed("a DOCTYPE is not allowed")),
                Event::Decl(declaration) => {
                    let encoding = declaration.encoding().transpose().map_err(Fault::malformed)?;
                    if !encoding.is_none_or(|encoding| is_ascii_or_utf8(&encoding)) {
                        return Err(Fault::malformed("it must be in UTF-8"));
                    }
                }
                Event::Comment(_) | Event::PI(_) => {}
                Event::Eof => break,
            }
        }
        if !open.is_empty() || document.elements.is_empty() {
            return Err(Fault::malformed("no element found, or one that does not end"));
        }
        Ok(document)
    }

    pub(super) fn root(&self) -> &Element {
        // `read` makes none without elements.
        static NOTHING: std::sync::LazyLock<Element> = std::sync::LazyLock::new(Element::default);
        self.elements.first().unwrap_or(&NOTHING)
    }

    pub(super) fn children(&self, element: &Element) -> impl Iterator<Item = &Element> {
        element.children.iter().filter_map(|index| self.elements.get(*index))
    }

    fn begin(&mut self, element: Element, open: &mut Vec<usize>) -> Result<(), Fault> {
        let index = self.elements.len();
        if index >= MAX_ELEMENTS || open.len() >= MAX_NESTED {
            return Err(Fault::malformed(format!(
                "it has more than {MAX_ELEMENTS} elements, or they are nested more than {MAX_NESTED} deep"
            )));
        }
        match open.last().and_then(|parent| self.elements.get_mut(*parent)) {
            Some(parent) => parent.children.push(index),
            None if index > 0 => return Err(Fault::malformed("junk after the document")),
            None => {}
        }
        self.elements.push(element);
        open.push(index);
        Ok(())
    }

    fn add_text(&mut self, text: &str, open: &[usize]) -> Result<(), Fault> {
        match open.last().and_then(|index| self.elements.get_mut(*index)) {
            Some(element) => element.text.push_str(text),
            None if text.trim_start_matches('\u{feff}').trim().is_empty() => {}
            None => return Err(Fault::malformed("there is text outside of the document")),
        }
        Ok(())
    }
}

/// The namespace; a prefix that stands for none is an error.
fn bound(namespace: ResolveResult<'_>) -> Result<Option<&str>, Fault> {
    match namespace {
        ResolveResult::Bound(namespace) => Ok(Some(namespace.into_inner())),
        ResolveResult::Unbound => Ok(None),
        ResolveResult::Unknown(_) => Err(Fault::malformed("a prefix stands for no namespace")),
    }
}

/// The character that a reference stands for. There are no entities but those of XML itself.
fn referred(reference: &BytesRef<'_>) -> Result<char, Fault> {
    let character = match &*reference.xml10_content() {
        "lt" => Some('<'),
        "gt" => Some('>'),
        "amp" => Some('&'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => reference.resolve_char_ref().map_err(Fault::malformed)?,
    };
    character
        .filter(|character| is_allowed(*character))
        .ok_or_else(|| Fault::malformed("an entity is not allowed"))
}

/// Whether it is a character for itself, and one that XML can hold.
const fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~' | b'\t' | b'\n' | b'\r')
}

/// Whether XML can hold the character.
pub(super) const fn is_allowed(character: char) -> bool {
    match character {
        '\t' | '\n' | '\r' => true,
        '\u{fffe}' | '\u{ffff}' => false,
        character => character >= ' ',
    }
}

fn is_true(value: &str) -> bool {
    matches!(value.trim(), "true" | "1")
}

fn is_ascii_or_utf8(encoding: &str) -> bool {
    ["utf-8", "us-ascii"].iter().any(|known| encoding.eq_ignore_ascii_case(known))
}
