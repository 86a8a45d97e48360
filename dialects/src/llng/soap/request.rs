//! What a call asks for.

use std::fmt;

use super::call::{Call, Method};
use super::fault::Fault;
use crate::llng::{Changes, Id, Received};

/// What a call asks for. Where an id is `None`, the client sent something that can be nobody's id: there is no such session.
#[derive(Clone, PartialEq, Eq)]
pub enum Request {
    /// The attributes of a session.
    GetAttributes {
        /// Whose.
        id: Option<Id>,
    },
    /// Changes attributes of a session.
    SetAttributes {
        /// Whose.
        id: Option<Id>,
        /// What becomes of them. Those that are not named stay.
        changes: Changes,
    },
    /// Makes a session with these attributes.
    NewSession {
        /// The attributes.
        changes: Changes,
    },
    /// Ends a session.
    DeleteSession {
        /// Which.
        id: Option<Id>,
    },
    /// A token with which all sessions can be asked for.
    GetCipheredToken,
    /// All sessions.
    GetKeyFromAllSessions {
        /// The token, deciphered. `None` where there is none.
        token: Option<Box<str>>,
        /// The attributes that are wanted; `None` for all of them.
        names: Option<Vec<Box<str>>>,
    },
    /// Logs somebody in.
    GetCookies {
        /// Who.
        user: Option<Box<str>>,
        /// The password, a secret.
        password: Option<Box<str>>,
        /// The id that the session shall have: a wish of the client.
        id: Option<Id>,
    },
    /// Whether a session may see an address.
    IsAuthorizedUri {
        /// Which session.
        id: Option<Id>,
        /// The address.
        uri: Uri,
    },
    /// What an error code means.
    Error {
        /// The code.
        code: i64,
    },
}

/// Shows what is asked for, and of nobody in particular.
impl fmt::Debug for Request {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::GetAttributes { .. } => "GetAttributes",
            Self::SetAttributes { .. } => "SetAttributes",
            Self::NewSession { .. } => "NewSession",
            Self::DeleteSession { .. } => "DeleteSession",
            Self::GetCipheredToken => "GetCipheredToken",
            Self::GetKeyFromAllSessions { .. } => "GetKeyFromAllSessions",
            Self::GetCookies { .. } => "GetCookies",
            Self::IsAuthorizedUri { .. } => "IsAuthorizedUri",
            Self::Error { .. } => "Error",
        })
    }
}

/// An address of the web, as far as rules look at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uri {
    /// The host in lower case, without a port.
    pub host: Box<str>,
    /// The path with its query, as it was sent; `/` where there is none.
    pub path: Box<str>,
}

impl Uri {
    /// The parts of an address that begins with `http://` or `https://`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let address = ["http://", "https://"].iter().find_map(|scheme| text.strip_prefix(scheme))?;
        if address.chars().any(|character| character.is_control() || character == ' ' || character == '\\') {
            return None;
        }
        let end = address.find(['/', '?', '#']).unwrap_or(address.len());
        let (authority, path) = address.split_at_checked(end)?;
        let has_port = |(_, port): &(&str, &str)| port.bytes().all(|byte| byte.is_ascii_digit());
        let host = authority.rsplit_once(':').filter(has_port).map_or(authority, |(host, _)| host);
        // Who puts a name and a password before the host wants another host to be seen.
        if host.is_empty() || host.contains('@') {
            return None;
        }
        let path = if path.starts_with('/') { path.into() } else { format!("/{path}").into() };
        Some(Self { host: host.to_ascii_lowercase().into(), path })
    }
}

impl Call {
    /// What it asks for.
    ///
    /// # Errors
    /// The fault to answer where an argument is missing or of the wrong kind.
    pub fn request(self) -> Result<Request, Fault> {
        let mut arguments = self.arguments.into_iter().map(|argument| match argument {
            Received::Nil => None,
            argument => Some(argument),
        });
        let mut next = || arguments.next().flatten();
        Ok(match self.method {
            Method::GetAttributes => Request::GetAttributes { id: id(next(), "id is required")? },
            Method::SetAttributes => Request::SetAttributes {
                id: id(next(), "id is required")?,
                changes: changes(next().ok_or_else(|| Fault::server("the attributes are required"))?)?,
            },
            Method::NewSession => {
                Request::NewSession { changes: changes(next().unwrap_or(Received::Empty))? }
            }
            Method::DeleteSession => Request::DeleteSession { id: id(next(), "id parameter is required")? },
            Method::GetCipheredToken => Request::GetCipheredToken,
            Method::GetKeyFromAllSessions => Request::GetKeyFromAllSessions {
                token: next().and_then(Received::into_text),
                names: next().map(names).transpose()?,
            },
            Method::GetCookies => Request::GetCookies {
                user: word(next()),
                password: word(next()),
                id: word(next()).and_then(|id| id.parse().ok()),
            },
            Method::IsAuthorizedUri => Request::IsAuthorizedUri {
                id: id(next(), "id is required")?,
                uri: Uri::parse(&word(next()).ok_or_else(|| Fault::server("uri is required"))?)
                    .ok_or_else(|| Fault::server("Bad uri"))?,
            },
            Method::GetMenuApplications => {
                return Err(Fault::client("Failed to locate method (getMenuApplications)"));
            }
            Method::Error => Request::Error {
                code: word(next())
                    .and_then(|code| code.parse().ok())
                    .ok_or_else(|| Fault::server("the error code is required"))?,
            },
        })
    }
}

/// The text, where it has any character: LemonLDAP::NG takes an empty argument for none.
fn word(argument: Option<Received>) -> Option<Box<str>> {
    argument.and_then(Received::into_text).filter(|text| !text.is_empty())
}

fn id(argument: Option<Received>, missing: &str) -> Result<Option<Id>, Fault> {
    let text = word(argument).ok_or_else(|| Fault::server(missing))?;
    Ok(text.parse().ok())
}

fn changes(argument: Received) -> Result<Changes, Fault> {
    match argument {
        Received::Map(changes) => Ok(changes),
        Received::Empty => Ok(Changes::new()),
        _ => Err(Fault::server("the attributes must be a map")),
    }
}

fn names(argument: Received) -> Result<Vec<Box<str>>, Fault> {
    let names = match argument {
        Received::List(names) => names,
        name => vec![name],
    };
    let names: Option<Vec<_>> = names.into_iter().map(|name| word(Some(name))).collect();
    names.ok_or_else(|| Fault::server("the keys must be names"))
}
