//! What clients are answered.

use session::Value;

use super::CONTENT_TYPE;

/// What is answered where something was done.
pub const DONE: &str = "{\"result\":1}";

/// What is answered where a session was ended. The number is a string there.
pub const DELETED: &str = "{\"result\":\"1\"}";

/// A session as an object.
#[must_use]
pub fn session<'v>(attributes: impl Iterator<Item = (&'v str, &'v Value)>) -> Vec<u8> {
    let mut out = Vec::with_capacity(1024);
    object(&mut out, attributes.map(|(name, value)| (name, Some(value))));
    out
}

/// A session that was made.
#[must_use]
pub fn created<'v>(attributes: impl Iterator<Item = (&'v str, &'v Value)>) -> Vec<u8> {
    let mut out = b"{\"result\":1,\"session\":".to_vec();
    object(&mut out, attributes.map(|(name, value)| (name, Some(value))));
    out.push(b'}');
    out
}

/// One attribute: a scalar as it is, without quotation marks, what is composed as JSON, and nothing where there is none.
#[must_use]
pub fn key(value: Option<&Value>) -> Vec<u8> {
    match value {
        None => Vec::new(),
        Some(Value::Text(text)) => text.as_bytes().to_vec(),
        Some(Value::Bytes(bytes)) => bytes.to_vec(),
        Some(value) => {
            let mut out = Vec::new();
            push(&mut out, value);
            out
        }
    }
}

/// Some attributes as an object, with null where there is none.
#[must_use]
pub fn keys<'v>(attributes: impl Iterator<Item = (&'v str, Option<&'v Value>)>) -> Vec<u8> {
    let mut out = Vec::new();
    object(&mut out, attributes);
    out
}

/// What went wrong, as JSON for who accepts that and as a page for others, with its content type.
#[must_use]
pub fn error(accept: Option<&str>, text: &str) -> (&'static str, Vec<u8>) {
    if accept.is_some_and(|accept| accept.contains("json")) {
        let mut out = b"{\"error\":".to_vec();
        string(&mut out, text);
        out.push(b'}');
        return (CONTENT_TYPE, out);
    }
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Bad request</title></head>\
         <body><h1>Bad request</h1><p>{text}</p></body></html>\n"
    );
    ("text/html; charset=utf-8", page.into_bytes())
}

/// The list of all sessions, while it is written: a session at a time.
pub struct Listing {
    out: Vec<u8>,
}

impl Listing {
    /// A list without sessions.
    #[must_use]
    pub fn new() -> Self {
        Self { out: b"{".to_vec() }
    }

    /// Adds a session, by the id that clients know it by.
    pub fn push<'v>(&mut self, id: &str, attributes: impl Iterator<Item = (&'v str, Option<&'v Value>)>) {
        if self.out.len() > 1 {
            self.out.push(b',');
        }
        string(&mut self.out, id);
        self.out.push(b':');
        object(&mut self.out, attributes);
    }

    /// How many bytes were written.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.out.len()
    }

    /// Whether there is no session in it.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.out.len() <= 1
    }

    /// The body.
    #[must_use]
    pub fn finish(mut self) -> Vec<u8> {
        self.out.push(b'}');
        self.out
    }
}

impl Default for Listing {
    fn default() -> Self {
        Self::new()
    }
}

fn object<'v>(out: &mut Vec<u8>, attributes: impl Iterator<Item = (&'v str, Option<&'v Value>)>) {
    out.push(b'{');
    for (index, (name, value)) in attributes.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        string(out, name);
        out.push(b':');
        match value {
            Some(value) => push(out, value),
            None => out.extend_from_slice(b"null"),
        }
    }
    out.push(b'}');
}

fn push(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Text(text) => string(out, text),
        // Octets that are no text are characters to Perl.
        Value::Bytes(bytes) => string(out, &bytes.iter().copied().map(char::from).collect::<String>()),
        Value::List(values) => {
            out.push(b'[');
            for (index, value) in values.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                push(out, value);
            }
            out.push(b']');
        }
        Value::Map(values) => object(out, values.iter().map(|(name, value)| (&**name, Some(value)))),
    }
}

fn string(out: &mut Vec<u8>, text: &str) {
    // Writing into memory does not fail.
    let _ = serde_json::to_writer(out, text);
}
