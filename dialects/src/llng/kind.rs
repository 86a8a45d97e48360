//! Kinds of sessions, the storage types in which they are asked for, and their ids.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest::{SHA256, digest};
use md5::{Digest as _, Md5};

/// The most hexadecimal digits of an id. LemonLDAP::NG knows no bound; its own ids have 32 or 64.
pub const MAX_ID: usize = 128;

/// What a session is for. One kind never passes for another: a one-time token is no login.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The session of somebody who logged in.
    Sso,
    /// What is kept of somebody from one login to the next.
    Persistent,
    /// A dialogue with a SAML identity provider.
    Saml,
    /// A dialogue with a SAML service.
    IssuedSaml,
    /// A dialogue with a CAS server.
    Cas,
    /// A ticket for a CAS service.
    IssuedCas,
    /// A dialogue with an OpenID Connect provider.
    Oidc,
    /// A code or token for an OpenID Connect relying party, offline sessions included.
    IssuedOidc,
    /// A one-time token.
    Token,
    /// A transfer of a cookie to another domain, for one use.
    CrossDomain,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Sso,
        Self::Persistent,
        Self::Saml,
        Self::IssuedSaml,
        Self::Cas,
        Self::IssuedCas,
        Self::Oidc,
        Self::IssuedOidc,
        Self::Token,
        Self::CrossDomain,
    ];

    /// As LemonLDAP::NG writes it in `_session_kind`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sso => "SSO",
            Self::Persistent => "Persistent",
            Self::Saml => "SAML",
            Self::IssuedSaml => "ISAML",
            Self::Cas => "CAS",
            Self::IssuedCas => "ICAS",
            Self::Oidc => "OIDC",
            Self::IssuedOidc => "OIDCI",
            Self::Token => "TOKEN",
            Self::CrossDomain => "CDA",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// There is no such kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "no kind of session is called so: there are SSO, Persistent, SAML, ISAML, CAS, ICAS, OIDC, OIDCI, TOKEN and CDA"
)]
pub struct UnknownKind;

impl FromStr for Kind {
    type Err = UnknownKind;

    fn from_str(text: &str) -> Result<Self, UnknownKind> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or(UnknownKind)
    }
}

/// The word of a path that says where to look for a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StorageType {
    /// Sessions of those who logged in, and whatever has no storage of its own.
    Global,
    /// What is kept from one login to the next.
    Persistent,
    /// SAML, in both directions.
    Saml,
    /// CAS, in both directions.
    Cas,
    /// OpenID Connect, in both directions.
    Oidc,
    /// What was issued over OpenID Connect, among it the offline sessions.
    Offline,
}

impl StorageType {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Global, Self::Persistent, Self::Saml, Self::Cas, Self::Oidc, Self::Offline];

    /// The word of the path.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Global => "global",
            Self::Persistent => "persistent",
            Self::Saml => "saml",
            Self::Cas => "cas",
            Self::Oidc => "oidc",
            Self::Offline => "offline",
        }
    }

    /// The kind that is meant where none is named, and that a new session gets.
    #[must_use]
    pub const fn default_kind(self) -> Kind {
        match self {
            Self::Global => Kind::Sso,
            Self::Persistent => Kind::Persistent,
            Self::Saml => Kind::Saml,
            Self::Cas => Kind::Cas,
            Self::Oidc => Kind::Oidc,
            Self::Offline => Kind::IssuedOidc,
        }
    }

    /// Whether a session of this kind may be asked for here. A portal that has no storage of its own for a kind looks
    /// for it in the global one, and names the kind.
    #[must_use]
    pub const fn may_hold(self, kind: Kind) -> bool {
        match self {
            Self::Global => true,
            Self::Persistent => matches!(kind, Kind::Persistent),
            Self::Saml => matches!(kind, Kind::Saml | Kind::IssuedSaml),
            Self::Cas => matches!(kind, Kind::Cas | Kind::IssuedCas),
            Self::Oidc => matches!(kind, Kind::Oidc | Kind::IssuedOidc),
            Self::Offline => matches!(kind, Kind::IssuedOidc),
        }
    }
}

impl fmt::Display for StorageType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// There is no such storage type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("Unknown (or unconfigured) session type")]
pub struct UnknownType;

impl FromStr for StorageType {
    type Err = UnknownType;

    fn from_str(word: &str) -> Result<Self, UnknownType> {
        Self::ALL.into_iter().find(|known| known.as_str() == word).ok_or(UnknownType)
    }
}

/// The id of a session: who knows it has the session. It is compared and looked up exactly as it is spelt.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Id(Box<str>);

impl Id {
    /// The id made of 32 random bytes, as LemonLDAP::NG makes its own: 64 digits in lower case.
    #[must_use]
    pub fn from_random(bytes: &[u8; 32]) -> Self {
        Self(hex(bytes))
    }

    /// The id of what is kept of `login` from one login to the next. It is no secret: it follows from the name.
    #[must_use]
    pub fn of_login(login: &str) -> Self {
        Self(hex(&Md5::digest(login.as_bytes())))
    }

    /// Under which id the session lies where ids are stored hashed.
    #[must_use]
    pub fn hashed(&self) -> Self {
        Self(hex(digest(&SHA256, self.0.as_bytes()).as_ref()))
    }

    /// The digits. A secret: for the client that may have it, never for a log.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Never shows the id.
impl fmt::Debug for Id {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Id(..)")
    }
}

/// It is no id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("Invalid session ID")]
pub struct MalformedId;

impl FromStr for Id {
    type Err = MalformedId;

    fn from_str(text: &str) -> Result<Self, MalformedId> {
        let is_id = (1..=MAX_ID).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if is_id { Ok(Self(text.into())) } else { Err(MalformedId) }
    }
}

/// In lower case.
pub(super) fn hex(bytes: &[u8]) -> Box<str> {
    const DIGITS: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    let digit = |value: u8| DIGITS.get(usize::from(value & 15)).copied().unwrap_or_default();
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(*byte)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_and_type_is_read_as_it_is_written() {
        for kind in Kind::ALL {
            assert_eq!(kind.as_str().parse(), Ok(kind));
        }
        for storage_type in StorageType::ALL {
            assert_eq!(storage_type.as_str().parse(), Ok(storage_type));
            assert!(storage_type.may_hold(storage_type.default_kind()));
        }
        assert_eq!("sso".parse::<Kind>(), Err(UnknownKind));
        assert_eq!("Global".parse::<StorageType>(), Err(UnknownType));
    }

    #[test]
    fn one_kind_is_not_another() {
        let holders = |kind| StorageType::ALL.into_iter().filter(move |place| place.may_hold(kind));
        assert!(holders(Kind::Sso).eq([StorageType::Global]));
        assert!(holders(Kind::Persistent).eq([StorageType::Global, StorageType::Persistent]));
        assert!(holders(Kind::Token).eq([StorageType::Global]));
    }

    #[test]
    fn an_id_is_hexadecimal_digits_and_nothing_else() {
        for text in ["0", "5efe8af397fc3577e05b483aca964f1b", "ABCdef12", &"a".repeat(MAX_ID)] {
            assert_eq!(text.parse::<Id>().unwrap().as_str(), text);
        }
        // spec/llng.md 1.3; the last one passes a check with `$` in Perl.
        for text in ["", "xyz_bad", "a-b", "../../etc/passwd", "a b", "ö", &"a".repeat(MAX_ID + 1), "ab\n"] {
            assert_eq!(text.parse::<Id>(), Err(MalformedId), "{text:?}");
        }
        assert_ne!("ab".parse::<Id>(), "AB".parse::<Id>());
    }

    #[test]
    fn the_id_of_a_persistent_session_follows_from_the_login() {
        // captures/llng/rest, 24-NGSession-persistent.
        assert_eq!(Id::of_login("dwho").as_str(), "5efe8af397fc3577e05b483aca964f1b");
    }

    #[test]
    fn an_id_is_hashed_as_it_is_spelt_and_never_shown() {
        let id = Id::from_random(&[0xab; 32]);
        assert_eq!(id.as_str(), "ab".repeat(32));
        // printf abab..ab | sha256sum
        assert_ne!(id.hashed(), id);
        assert_eq!(id.hashed().as_str().len(), 64);
        assert_eq!("abc".parse::<Id>().unwrap().hashed().as_str(), SHA256_OF_ABC);
        assert_eq!(format!("{id:?}"), "Id(..)");
    }

    /// FIPS 180-4.
    const SHA256_OF_ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
}
