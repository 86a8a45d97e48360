//! A call: which method, and with what.

use std::fmt;

use super::document::{Document, Element};
use super::fault::{Code, Fault};
use super::{ENVELOPE, SERVICE};
use crate::llng::Received;

/// The largest message that is read, in bytes. A session of 200 attributes, one of 64 KiB among them, is far below.
pub const MAX_BODY: usize = 4 << 20;

/// How many arguments are read. No method has more than three.
const MAX_ARGUMENTS: usize = 8;

/// How much of a name that a client sent is repeated to it.
const MAX_ECHO: usize = 200;

/// A method of the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    /// The attributes of a session.
    GetAttributes,
    /// Changes attributes of a session.
    SetAttributes,
    /// Makes a session.
    NewSession,
    /// Ends a session.
    DeleteSession,
    /// A token with which all sessions can be asked for.
    GetCipheredToken,
    /// All sessions, or some attributes of each.
    GetKeyFromAllSessions,
    /// Logs somebody in.
    GetCookies,
    /// Whether a session may see an address.
    IsAuthorizedUri,
    /// Listed by LemonLDAP::NG and implemented by nobody.
    GetMenuApplications,
    /// What an error code means.
    Error,
}

impl Method {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::GetAttributes,
        Self::SetAttributes,
        Self::NewSession,
        Self::DeleteSession,
        Self::GetCipheredToken,
        Self::GetKeyFromAllSessions,
        Self::GetCookies,
        Self::IsAuthorizedUri,
        Self::GetMenuApplications,
        Self::Error,
    ];

    /// As clients call it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::GetAttributes => "getAttributes",
            Self::SetAttributes => "setAttributes",
            Self::NewSession => "newSession",
            Self::DeleteSession => "deleteSession",
            Self::GetCipheredToken => "getCipheredToken",
            Self::GetKeyFromAllSessions => "get_key_from_all_sessions",
            Self::GetCookies => "getCookies",
            Self::IsAuthorizedUri => "isAuthorizedURI",
            Self::GetMenuApplications => "getMenuApplications",
            Self::Error => "error",
        }
    }

    /// Whether the end point for readers, `/sessions`, has it. The other one, `/adminSessions`, has all but `error`.
    #[must_use]
    pub const fn is_for_readers(self) -> bool {
        matches!(
            self,
            Self::GetAttributes
                | Self::GetCookies
                | Self::IsAuthorizedUri
                | Self::GetMenuApplications
                | Self::Error
        )
    }

    /// Whether the end point for administrators, `/adminSessions`, has it.
    #[must_use]
    pub const fn is_for_administrators(self) -> bool {
        !matches!(self, Self::Error)
    }
}

/// A call that was read.
pub struct Call {
    /// The method.
    pub method: Method,
    /// The namespace in which the client named it, and in which it is answered.
    pub namespace: Box<str>,
    /// What it was called with, in order; their names mean nothing.
    pub arguments: Vec<Received>,
}

/// Shows no argument.
impl fmt::Debug for Call {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Call({}, {} arguments)", self.method.as_str(), self.arguments.len())
    }
}

/// Why there is no call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// There is no `SOAPAction`, so it is no SOAP: status 400.
    #[error("SOAP requests only")]
    NotSoap,
    /// There is no body: status 411, without a body.
    #[error("the request has no body")]
    NoBody,
    /// It is larger than [`MAX_BODY`]: status 413.
    #[error("the message is larger than {MAX_BODY} bytes")]
    TooLarge,
    /// Status 500, with the fault.
    #[error("{0}")]
    Fault(#[from] Fault),
}

/// Reads a call. `action` is the header `SOAPAction`, `content_type` the header of that name.
///
/// # Errors
/// [`Refused`] says what to answer.
pub fn read(action: Option<&str>, content_type: Option<&str>, body: &[u8]) -> Result<Call, Refused> {
    let action = action.ok_or(Refused::NotSoap)?;
    match body.len() {
        0 => return Err(Refused::NoBody),
        length if length > MAX_BODY => return Err(Refused::TooLarge),
        _ => {}
    }
    let content_type = content_type.unwrap_or_default();
    if !is_accepted(content_type) {
        return Err(Fault::client(format!(
            "Content-Type must be 'text/xml' or 'application/soap+xml' instead of '{}'",
            echoed(content_type)
        ))
        .into());
    }
    Ok(read_call(action, body)?)
}

/// Whether a message of this content type is read.
#[must_use]
pub fn is_accepted(content_type: &str) -> bool {
    let mut parts = content_type.split(';');
    let kind = parts.next().unwrap_or_default().trim();
    let is_xml = ["text/xml", "application/soap+xml"].iter().any(|known| kind.eq_ignore_ascii_case(known));
    is_xml && parts.all(is_utf8)
}

/// Whether a parameter of a content type does not ask for another encoding.
fn is_utf8(parameter: &str) -> bool {
    let Some((name, value)) = parameter.split_once('=') else { return true };
    let value = value.trim().trim_matches('"');
    !name.trim().eq_ignore_ascii_case("charset")
        || ["utf-8", "utf8", "us-ascii"].iter().any(|known| value.eq_ignore_ascii_case(known))
}

fn read_call(action: &str, body: &[u8]) -> Result<Call, Fault> {
    let text = std::str::from_utf8(body).map_err(|_| Fault::malformed("it is not in UTF-8"))?;
    let document = Document::read(text)?;
    let called = called(&document)?;
    let namespace = called.namespace.as_deref().unwrap_or_default();
    check_action(action, namespace, &called.name)?;
    if !is_service(namespace) {
        return Err(Fault::client(format!(
            "Failed to access class: the namespace of the method must be {SERVICE}"
        )));
    }
    let method = Method::ALL.into_iter().find(|method| method.as_str() == &*called.name);
    let method = method.ok_or_else(|| Fault::not_authorized(&echoed(&called.name)))?;
    if called.children.len() > MAX_ARGUMENTS {
        return Err(Fault::client(format!("no method has more than {MAX_ARGUMENTS} arguments")));
    }
    Ok(Call { method, namespace: namespace.into(), arguments: document.values(&called.children)? })
}

/// The element that names the method: the first in the body. SOAP 1.1 knows no second one.
fn called(document: &Document) -> Result<&Element, Fault> {
    let envelope = document.root();
    if !envelope.is(ENVELOPE, "Envelope") {
        return Err(Fault {
            code: Code::VersionMismatch,
            text: format!("the message is no Envelope of {ENVELOPE}").into(),
        });
    }
    let mut parts = document.children(envelope);
    let mut part = parts.next();
    if let Some(header) = part.filter(|part| part.is(ENVELOPE, "Header")) {
        if document.children(header).any(|entry| entry.must_be_understood) {
            return Err(Fault {
                code: Code::MustUnderstand,
                text: "no header of SOAP is understood here".into(),
            });
        }
        part = parts.next();
    }
    let body =
        part.filter(|part| part.is(ENVELOPE, "Body")).ok_or_else(|| Fault::client("there is no Body"))?;
    document.children(body).next().ok_or_else(|| Fault::client("the Body names no method"))
}

/// The header names the method as well, or nothing.
fn check_action(action: &str, namespace: &str, method: &str) -> Result<(), Fault> {
    let action = action.trim();
    let action = action.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(action);
    let is_same = action.rsplit_once('#').is_some_and(|named| named == (namespace, method));
    if action.is_empty() || is_same {
        return Ok(());
    }
    Err(Fault::client(format!(
        "SOAPAction shall match 'uri#method' if present (got '{}', expected '{}#{}')",
        echoed(action),
        echoed(namespace),
        echoed(method)
    )))
}

/// Some clients are configured with the address of their portal before the path of the service.
fn is_service(namespace: &str) -> bool {
    let path = SERVICE.strip_prefix("urn:").unwrap_or(SERVICE);
    let below = ["http://", "https://"].iter().find_map(|scheme| namespace.strip_prefix(scheme));
    let is_host = |host: &str| {
        host.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b':' | b'[' | b']'))
    };
    match below {
        Some(address) => address.split_once('/').is_some_and(|(host, found)| is_host(host) && found == path),
        None => namespace == SERVICE,
    }
}

/// As much of a client's text as is repeated to it.
fn echoed(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).take(MAX_ECHO).collect()
}
