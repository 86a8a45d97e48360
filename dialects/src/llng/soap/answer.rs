//! What a call is answered.

use std::fmt;

use session::Value;

use super::call::Call;
use super::write::{Charset, Writer};

/// The attributes of a session, as they shall leave.
pub type Attributes<'a> = Vec<(&'a str, &'a Value)>;

/// What a call is answered. The list of all sessions is written as it comes, with [`Listing`].
#[derive(Clone)]
pub enum Answer<'a> {
    /// To `getAttributes`: the attributes; `None` where there is no such session, or no longer.
    Session(Option<Attributes<'a>>),
    /// To `newSession`: the attributes that the session now has.
    Created(Attributes<'a>),
    /// To all that succeeds or not: 1 or 0.
    Result(bool),
    /// To `getCipheredToken` and `error`: a text.
    Text(&'a str),
    /// To `getCookies`: names and values of the cookies, or the code that says why there are none.
    Cookies(Result<Vec<(&'a str, &'a str)>, u16>),
}

/// Shows the shape only.
impl fmt::Debug for Answer<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Session(attributes) => {
                write!(formatter, "Session({:?} attributes)", attributes.as_ref().map(Vec::len))
            }
            Self::Created(attributes) => write!(formatter, "Created({} attributes)", attributes.len()),
            Self::Result(is_done) => write!(formatter, "Result({is_done})"),
            Self::Text(_) => formatter.write_str("Text(..)"),
            Self::Cookies(cookies) => {
                write!(formatter, "Cookies({:?})", cookies.as_ref().map(Vec::len))
            }
        }
    }
}

impl Answer<'_> {
    /// The message that answers `call`.
    #[must_use]
    pub fn write(&self, call: &Replying, charset: Charset) -> Vec<u8> {
        let mut writer = call.begin(charset);
        match self {
            Self::Session(attributes) => {
                writer.raw("<session>");
                writer.number("error", attributes.is_none().into());
                if let Some(attributes) = attributes {
                    writer.attributes("attributes", attributes.iter().copied());
                }
                writer.raw("</session>");
            }
            Self::Created(attributes) => writer.attributes("attributes", attributes.iter().copied()),
            Self::Result(is_done) => writer.number("result", (*is_done).into()),
            Self::Text(text) => writer.string("result", text.as_bytes()),
            Self::Cookies(cookies) => {
                writer.raw("<session>");
                writer.number("errorCode", cookies.as_ref().err().copied().unwrap_or_default().into());
                match cookies {
                    Ok(cookies) => {
                        writer.raw("<cookies>");
                        cookies.iter().for_each(|(name, value)| writer.string(name, value.as_bytes()));
                        writer.raw("</cookies>");
                    }
                    Err(_) => writer.raw("<cookies />"),
                }
                writer.raw("</session>");
            }
        }
        call.end(writer)
    }
}

/// The list of all sessions, while it is written: a session at a time, in one message.
pub struct Listing {
    replying: Replying,
    writer: Writer,
}

impl Listing {
    /// A list without sessions, which answers `call`.
    #[must_use]
    pub fn new(replying: Replying, charset: Charset) -> Self {
        let mut writer = replying.begin(charset);
        writer.begin_map("result");
        Self { replying, writer }
    }

    /// Adds a session, by the id that clients know it by.
    pub fn push<'v>(&mut self, id: &str, attributes: impl Iterator<Item = (&'v str, &'v Value)> + Clone) {
        self.writer.begin_item(id);
        self.writer.guessed("value", attributes);
        self.writer.end_item();
    }

    /// How many bytes were written.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.writer.len()
    }

    /// Whether nothing was written: never.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.writer.len() == 0
    }

    /// The message.
    #[must_use]
    pub fn finish(mut self) -> Vec<u8> {
        self.writer.end("result");
        self.replying.end(self.writer)
    }
}

/// To which call an answer belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replying {
    method: &'static str,
    namespace: Box<str>,
}

impl Call {
    /// To which call an answer belongs; the call itself is used up by then.
    #[must_use]
    pub fn replying(&self) -> Replying {
        Replying { method: self.method.as_str(), namespace: self.namespace.clone() }
    }
}

impl Replying {
    fn begin(&self, charset: Charset) -> Writer {
        let mut writer = Writer::new(charset);
        writer.begin_envelope();
        writer.raw("<");
        writer.raw(self.method);
        writer.raw("Response xmlns=\"");
        // A call is only read where its namespace is made of characters that need no escape.
        writer.raw(&self.namespace);
        writer.raw("\">");
        writer
    }

    fn end(&self, mut writer: Writer) -> Vec<u8> {
        writer.raw("</");
        writer.raw(self.method);
        writer.raw("Response>");
        writer.end_envelope()
    }
}
