//! Spans as they came: OTLP's protobuf, read without the library that wrote it.

use std::collections::BTreeMap;

/// What a span is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Internal,
    Server,
    Client,
}

/// The value of an attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Text(String),
    Number(i64),
}

/// One span.
#[derive(Debug, Clone)]
pub(super) struct Span {
    pub(super) trace: String,
    pub(super) id: String,
    pub(super) parent: String,
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) begin: u64,
    pub(super) end: u64,
    pub(super) is_error: bool,
    attributes: BTreeMap<String, Value>,
}

impl Span {
    pub(super) fn attribute(&self, name: &str) -> Option<&Value> {
        self.attributes.get(name)
    }

    pub(super) fn text(&self, name: &str) -> String {
        match self.attribute(name) {
            Some(Value::Text(text)) => text.clone(),
            other => panic!("{name} is {other:?} in {self:?}"),
        }
    }

    fn read(bytes: &[u8]) -> Self {
        let fields = fields(bytes);
        let bytes =
            |number| fields.iter().find(|field| field.0 == number).map_or(&[][..], |field| field.1.bytes());
        let number =
            |number| fields.iter().find(|field| field.0 == number).map_or(0, |field| field.1.number());
        let attributes = fields.iter().filter(|field| field.0 == 9).map(|field| attribute(field.1.bytes()));
        Self {
            trace: hex(bytes(1)),
            id: hex(bytes(2)),
            parent: hex(bytes(4)),
            name: String::from_utf8(bytes(5).to_vec()).unwrap(),
            kind: match number(6) {
                1 => Kind::Internal,
                2 => Kind::Server,
                3 => Kind::Client,
                other => panic!("a span of kind {other}"),
            },
            begin: number(7),
            end: number(8),
            is_error: self::fields(bytes(15)).iter().any(|field| field.0 == 3 && field.1.number() == 2),
            attributes: attributes.collect(),
        }
    }
}

/// All spans of an `ExportTraceServiceRequest`: of its resources (1) the scopes (2), of these the spans (2).
pub(super) fn spans(request: &[u8]) -> Vec<Span> {
    let inner = |message: &[u8], number: u64| -> Vec<Vec<u8>> {
        fields(message)
            .into_iter()
            .filter(|field| field.0 == number)
            .map(|field| field.1.bytes().to_vec())
            .collect()
    };
    let resources = inner(request, 1);
    let scopes = resources.iter().flat_map(|resource| inner(resource, 2));
    scopes.flat_map(|scope| inner(&scope, 2)).map(|span| Span::read(&span)).collect()
}

fn attribute(bytes: &[u8]) -> (String, Value) {
    let fields = fields(bytes);
    let part = |number| fields.iter().find(|field| field.0 == number).unwrap().1.bytes();
    let key = String::from_utf8(part(1).to_vec()).unwrap();
    let value = match self::fields(part(2)).first() {
        Some((1, text)) => Value::Text(String::from_utf8(text.bytes().to_vec()).unwrap()),
        Some((_, number)) => Value::Number(i64::try_from(number.number()).unwrap()),
        None => Value::Text(String::new()),
    };
    (key, value)
}

/// What stands in a field.
enum Field<'m> {
    Number(u64),
    Bytes(&'m [u8]),
}

impl<'m> Field<'m> {
    fn number(&self) -> u64 {
        match self {
            Self::Number(number) => *number,
            Self::Bytes(_) => panic!("bytes, and not a number"),
        }
    }

    fn bytes(&self) -> &'m [u8] {
        match self {
            Self::Number(_) => panic!("a number, and not bytes"),
            Self::Bytes(bytes) => bytes,
        }
    }
}

/// The fields of a message, with their numbers.
fn fields(mut message: &[u8]) -> Vec<(u64, Field<'_>)> {
    let mut fields = Vec::new();
    while !message.is_empty() {
        let key = varint(&mut message);
        let field = match key & 7 {
            0 => Field::Number(varint(&mut message)),
            1 => Field::Number(u64::from_le_bytes(take(&mut message, 8).try_into().unwrap())),
            2 => {
                let length = usize::try_from(varint(&mut message)).unwrap();
                Field::Bytes(take(&mut message, length))
            }
            5 => Field::Number(u32::from_le_bytes(take(&mut message, 4).try_into().unwrap()).into()),
            other => panic!("a field of wire type {other}"),
        };
        fields.push((key >> 3, field));
    }
    fields
}

fn varint(message: &mut &[u8]) -> u64 {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let byte = take(message, 1)[0];
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            break;
        }
    }
    number
}

fn take<'m>(message: &mut &'m [u8], length: usize) -> &'m [u8] {
    let (taken, rest) = message.split_at(length);
    *message = rest;
    taken
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
