//! What a client is told when its call does not end well.

use std::fmt;

use super::write::Writer;

/// A fault. It is answered with the status 500.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Whose fault it is.
    pub code: Code,
    /// What happened. It shows nothing that is secret.
    pub text: Box<str>,
}

/// Whose fault it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// The message is wrong, and sending it again does not help.
    Client,
    /// The call could not be done.
    Server,
    /// As [`Code::Server`], as the list of all sessions says it.
    Custom,
    /// The client asks for the understanding of a header that nobody here knows.
    MustUnderstand,
    /// It is no envelope of SOAP 1.1.
    VersionMismatch,
}

impl Fault {
    /// The message is wrong.
    #[must_use]
    pub fn client(text: impl Into<Box<str>>) -> Self {
        Self { code: Code::Client, text: text.into() }
    }

    /// The call could not be done.
    #[must_use]
    pub fn server(text: impl Into<Box<str>>) -> Self {
        Self { code: Code::Server, text: text.into() }
    }

    /// The end point does not have this method, or nobody has it.
    #[must_use]
    pub fn not_authorized(method: &str) -> Self {
        Self::server(format!("{method} is not an authorized function"))
    }

    /// A list of all sessions was asked for without proof that the shared key is known.
    #[must_use]
    pub fn bad_token() -> Self {
        Self { code: Code::Custom, text: "Bad token".into() }
    }

    /// The document cannot be read.
    pub(super) fn malformed(why: impl fmt::Display) -> Self {
        Self::client(format!("Application failed during request deserialization: {why}"))
    }

    /// The message that tells it.
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        let mut writer = Writer::new(super::Charset::Text);
        writer.begin_envelope();
        writer.raw("<soap:Fault><faultcode>soap:");
        writer.raw(self.code.as_str());
        writer.raw("</faultcode><faultstring>");
        writer.text(&self.text);
        writer.raw("</faultstring></soap:Fault>");
        writer.end_envelope()
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl std::error::Error for Fault {}

impl Code {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Client => "Client",
            Self::Server => "Server",
            Self::Custom => "Server.Custom",
            Self::MustUnderstand => "MustUnderstand",
            Self::VersionMismatch => "VersionMismatch",
        }
    }
}
