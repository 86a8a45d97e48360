//! How values are written, so that LemonLDAP::NG's client reads them as they are.
//!
//! It reads text as characters, while a portal holds text as octets. By default each octet is therefore written as a character of
//! its own, as a real portal does, so that the headers which a handler makes of it stay as they are.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use session::Value;

use super::document::is_allowed;
use super::{ENCODING, ENVELOPE, MAPS};

/// How text leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Charset {
    /// Each octet of UTF-8 as a character: what a real portal sends for text from a directory.
    #[default]
    Octets,
    /// As text.
    Text,
}

/// The beginning of every message, up to where the namespace of maps is declared.
const PROLOGUE: &str = concat!(
    r#"<?xml version="1.0" encoding="UTF-8"?>"#,
    r#"<soap:Envelope soap:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/""#
);

/// A message that is being written.
pub(super) struct Writer {
    out: Vec<u8>,
    charset: Charset,
    has_maps: bool,
}

impl Writer {
    pub(super) fn new(charset: Charset) -> Self {
        Self { out: Vec::with_capacity(2048), charset, has_maps: false }
    }

    pub(super) const fn len(&self) -> usize {
        self.out.len()
    }

    pub(super) fn begin_envelope(&mut self) {
        self.raw(PROLOGUE);
        self.raw(" xmlns:soap=\"");
        self.raw(ENVELOPE);
        self.raw("\" xmlns:soapenc=\"");
        self.raw(ENCODING);
        self.raw("\" xmlns:xsd=\"http://www.w3.org/2001/XMLSchema\"");
        self.raw(" xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\"><soap:Body>");
    }

    /// The message as a whole.
    pub(super) fn end_envelope(mut self) -> Vec<u8> {
        self.raw("</soap:Body></soap:Envelope>");
        if self.has_maps {
            let declared = format!(" xmlns:apachens=\"{MAPS}\"");
            self.out.splice(PROLOGUE.len()..PROLOGUE.len(), declared.bytes());
        }
        self.out
    }

    /// Markup, or text that needs no escape.
    pub(super) fn raw(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    /// Text in UTF-8, escaped.
    pub(super) fn text(&mut self, text: &str) {
        let mut rest = text;
        while let Some(at) = rest.find(['&', '<', '>', '\r']) {
            let (before, special) = rest.split_at_checked(at).unwrap_or((rest, ""));
            self.raw(before);
            let mut special = special.chars();
            self.raw(match special.next() {
                Some('&') => "&amp;",
                Some('<') => "&lt;",
                Some('>') => "&gt;",
                _ => "&#xd;",
            });
            rest = special.as_str();
        }
        self.raw(rest);
    }

    /// `<name xsi:type="xsd:int">number</name>`.
    pub(super) fn number(&mut self, name: &str, number: i64) {
        self.start(name, " xsi:type=\"xsd:int\"");
        self.raw(&number.to_string());
        self.end(name);
    }

    pub(super) fn start(&mut self, name: &str, attributes: &str) {
        self.raw("<");
        self.raw(name);
        self.raw(attributes);
        self.raw(">");
    }

    pub(super) fn end(&mut self, name: &str) {
        self.raw("</");
        self.raw(name);
        self.raw(">");
    }

    /// The attributes of a session, with every scalar a string, and a list as elements that repeat its name: as
    /// LemonLDAP::NG's server writes them.
    pub(super) fn attributes<'v>(
        &mut self,
        name: &str,
        values: impl Iterator<Item = (&'v str, &'v Value)> + Clone,
    ) {
        if !values.clone().all(|(name, _)| is_element_name(name)) {
            return self.items(name, values);
        }
        self.start(name, "");
        values.for_each(|(name, value)| self.attribute(name, value));
        self.end(name);
    }

    /// As [`Writer::attributes`], with the types that LemonLDAP::NG's library guesses, and arrays: as the list of all
    /// sessions is written.
    pub(super) fn guessed<'v>(
        &mut self,
        name: &str,
        values: impl Iterator<Item = (&'v str, &'v Value)> + Clone,
    ) {
        if !values.clone().all(|(name, _)| is_element_name(name)) {
            return self.items(name, values);
        }
        self.start(name, "");
        values.for_each(|(name, value)| self.guessed_value(name, value));
        self.end(name);
    }

    /// A string, or octets where XML cannot hold its characters.
    pub(super) fn string(&mut self, name: &str, octets: &[u8]) {
        if octets.is_empty() {
            self.raw("<");
            self.raw(name);
            self.raw(" xsi:type=\"xsd:string\" />");
            return;
        }
        let text = std::str::from_utf8(octets).ok();
        let is_plain = match (self.charset, text) {
            (Charset::Octets, _) => octets.iter().all(|octet| is_allowed(char::from(*octet))),
            (Charset::Text, Some(text)) => text.chars().all(is_allowed),
            (Charset::Text, None) => false,
        };
        if !is_plain {
            return self.octets(name, octets);
        }
        self.start(name, " xsi:type=\"xsd:string\"");
        match text {
            Some(text) if self.charset == Charset::Text || text.is_ascii() => self.text(text),
            _ => self.text(&octets.iter().copied().map(char::from).collect::<String>()),
        }
        self.end(name);
    }

    fn octets(&mut self, name: &str, octets: &[u8]) {
        self.start(name, " xsi:type=\"xsd:base64Binary\"");
        self.raw(&STANDARD.encode(octets));
        self.end(name);
    }

    fn attribute(&mut self, name: &str, value: &Value) {
        match value {
            Value::Text(text) => self.string(name, text.as_bytes()),
            Value::Bytes(bytes) => self.string(name, bytes),
            // One element that is repeated would read as a scalar, and none as nothing.
            Value::List(values) if values.len() < 2 => self.array(name, values),
            Value::List(values) => values.iter().for_each(|value| self.guessed_value(name, value)),
            Value::Map(values) if values.is_empty() => self.items(name, std::iter::empty()),
            Value::Map(values) => self.attributes(name, values.iter().map(|(name, value)| (&**name, value))),
        }
    }

    fn guessed_value(&mut self, name: &str, value: &Value) {
        match value {
            Value::Text(text) => self.guessed_text(name, text.as_bytes()),
            Value::Bytes(bytes) => self.guessed_text(name, bytes),
            Value::List(values) => self.array(name, values),
            Value::Map(values) if values.is_empty() => self.items(name, std::iter::empty()),
            Value::Map(values) => self.guessed(name, values.iter().map(|(name, value)| (&**name, value))),
        }
    }

    /// Dates, truth values and the like are strings as well: the client would make others of some.
    fn guessed_text(&mut self, name: &str, octets: &[u8]) {
        let kind = guess(octets);
        match (kind, std::str::from_utf8(octets)) {
            (Guess::Octets, _) => self.octets(name, octets),
            (Guess::Number(kind), Ok(digits)) => {
                self.start(name, kind);
                self.raw(digits);
                self.end(name);
            }
            _ => self.string(name, octets),
        }
    }

    fn array(&mut self, name: &str, values: &[Value]) {
        self.raw("<");
        self.raw(name);
        self.raw(" soapenc:arrayType=\"");
        self.raw(item_type(values));
        self.raw(&format!("[{}]\" xsi:type=\"soapenc:Array\"", values.len()));
        if values.is_empty() {
            return self.raw(" />");
        }
        self.raw(">");
        values.iter().for_each(|value| self.guessed_value("item", value));
        self.end(name);
    }

    /// A map whose keys need not be names of elements.
    fn items<'v>(&mut self, name: &str, values: impl Iterator<Item = (&'v str, &'v Value)>) {
        self.begin_map(name);
        for (key, value) in values {
            self.begin_item(key);
            self.guessed_value("value", value);
            self.end_item();
        }
        self.end(name);
    }

    pub(super) fn begin_map(&mut self, name: &str) {
        self.has_maps = true;
        self.raw("<");
        self.raw(name);
        self.raw(" xsi:type=\"apachens:Map\">");
    }

    pub(super) fn begin_item(&mut self, key: &str) {
        self.raw("<item>");
        self.string("key", key.as_bytes());
    }

    pub(super) fn end_item(&mut self) {
        self.raw("</item>");
    }
}

/// What LemonLDAP::NG's library would take a text for.
enum Guess {
    /// It has characters that are not printable ASCII.
    Octets,
    /// A whole number, with the attribute that says which.
    Number(&'static str),
    String,
}

fn guess(octets: &[u8]) -> Guess {
    let is_plain = |octet: &u8| matches!(octet, b'\t' | b'\n' | b'\r' | b' '..=b'~');
    if !octets.iter().all(is_plain) {
        return Guess::Octets;
    }
    let digits = octets.strip_prefix(b"-").or_else(|| octets.strip_prefix(b"+")).unwrap_or(octets);
    let is_padded = octets.len() > 1 && octets.first() == Some(&b'0');
    let number =
        std::str::from_utf8(octets).ok().filter(|_| digits.iter().all(u8::is_ascii_digit) && !is_padded);
    match number.and_then(|digits| digits.parse::<i64>().ok()) {
        Some(number) if i32::try_from(number).is_ok() => Guess::Number(" xsi:type=\"xsd:int\""),
        Some(_) => Guess::Number(" xsi:type=\"xsd:long\""),
        None => Guess::String,
    }
}

/// The type of the items, where all are of one.
fn item_type(values: &[Value]) -> &'static str {
    let name = |value: &Value| match value {
        Value::Text(text) => match guess(text.as_bytes()) {
            Guess::Octets => "xsd:base64Binary",
            Guess::Number(attribute) if attribute.contains("long") => "xsd:long",
            Guess::Number(_) => "xsd:int",
            Guess::String => "xsd:string",
        },
        Value::Bytes(_) => "xsd:base64Binary",
        Value::List(_) => "soapenc:Array",
        Value::Map(_) => "xsd:anyType",
    };
    let mut names = values.iter().map(name);
    let first = names.next().unwrap_or("xsd:anyType");
    if names.all(|name| name == first) { first } else { "xsd:anyType" }
}

/// Whether an element can be called so: a name of XML in ASCII, without a prefix.
fn is_element_name(name: &str) -> bool {
    let is_first = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
    let is_other = |byte: u8| is_first(byte) || byte.is_ascii_digit() || byte == b'-' || byte == b'.';
    name.bytes().next().is_some_and(is_first) && name.bytes().all(is_other)
}
