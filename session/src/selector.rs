//! Which sessions end.
//!
//! Everything that ends sessions of which it does not hold one says so with a [`Selector`]: a logout by name, an event, an
//! operator. It is plain data with [bytes of its own](Selector::encode), so that an end which cannot be made now can be kept.

use crate::record::{Malformed, read_principal, write_principal};
use crate::wire::{Reader, Writer};
use crate::{Handle, Millis, Principal};

const MAGIC: u8 = 0xC1;
const FORMAT: u8 = 1;

const HANDLE: u64 = 1;
const PERSON: u64 = 3;
const INDEX: u64 = 5;
const REALM: u64 = 7;
const EVERYBODY: u64 = 9;
const BEGUN_BEFORE: u64 = 11;
const LATE: u64 = 13;
const ISSUER: u64 = 15;

/// Which sessions end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selector {
    /// Whose they are.
    pub whose: Whose,
    /// Only those that began before this moment; `None` for all until now.
    pub begun_before: Option<Millis>,
    /// For how long it holds for those that come late. Only what ends by a person's name or by session indexes can wait for
    /// them, and only where it ends all until now.
    pub late: Option<Late>,
}

/// Whose sessions end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whose {
    /// These sessions.
    Handles(Vec<Handle>),
    /// Those of a person: all, or if there are any indexes, those that the issuer has given one of them. Any text is an index.
    Person {
        /// The person; their session index is not looked at.
        principal: Principal,
        /// The issuer's session indexes.
        indexes: Vec<Box<str>>,
    },
    /// Those that an issuer has given one of these session indexes, whoever they belong to. For issuers that give each index
    /// once, and do not say whose it was (an OIDC logout token with `sid` and without `sub`); SAML's are only good beside a name.
    Issued {
        /// The issuer.
        issuer: Box<str>,
        /// Its session indexes; none is nobody.
        indexes: Vec<Box<str>>,
    },
    /// Those of all applications that share sessions under this name.
    Realm(Box<str>),
    /// All.
    Everybody,
}

/// A logout may overtake the login that it is for: that must not be let in behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Late {
    /// When it was issued: who proved after it who they are has come back, and is let in.
    pub issued: Millis,
    /// Until when it is remembered (SAML NotOnOrAfter).
    pub until: Millis,
}

impl Late {
    /// Whether it holds `now` for a login that was proved at `proved`, or nobody knows when.
    #[must_use]
    pub fn refuses(&self, proved: Option<Millis>, now: Millis) -> bool {
        now < self.until && proved.is_none_or(|proved| proved <= self.issued)
    }
}

impl Selector {
    /// All sessions of `whose`, until now.
    #[must_use]
    pub const fn all(whose: Whose) -> Self {
        Self { whose, begun_before: None, late: None }
    }

    /// All sessions of a person.
    #[must_use]
    pub const fn person(principal: Principal) -> Self {
        Self::all(Whose::Person { principal, indexes: Vec::new() })
    }

    /// The bytes of it.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new(&[MAGIC, FORMAT]);
        match &self.whose {
            Whose::Handles(handles) => {
                // One field for all, so that none at all is something else than nothing.
                writer.field(HANDLE, |field| handles.iter().for_each(|handle| field.raw(handle.as_bytes())));
            }
            Whose::Person { principal, indexes } => {
                writer.field(PERSON, |field| write_principal(field, principal));
                for index in indexes {
                    writer.field(INDEX, |field| field.raw(index.as_bytes()));
                }
            }
            Whose::Issued { issuer, indexes } => {
                writer.field(ISSUER, |field| field.raw(issuer.as_bytes()));
                for index in indexes {
                    writer.field(INDEX, |field| field.raw(index.as_bytes()));
                }
            }
            Whose::Realm(realm) => writer.field(REALM, |field| field.raw(realm.as_bytes())),
            Whose::Everybody => writer.field(EVERYBODY, |_| {}),
        }
        if let Some(before) = self.begun_before {
            writer.field(BEGUN_BEFORE, |field| field.number(before.0));
        }
        if let Some(late) = self.late {
            writer.field(LATE, |field| {
                field.number(late.issued.0);
                field.number(late.until.0);
            });
        }
        writer.into_bytes()
    }

    /// The selector in `bytes`. What a newer build wrote is refused, not guessed: it may end less than it seems to.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        match (reader.byte()?, reader.byte()?) {
            (MAGIC, FORMAT) => {}
            (MAGIC, newer) => return Err(Malformed::Newer { what: "format", number: newer.into() }),
            _ => return Err(Malformed::Damaged("it does not begin as one")),
        }
        let (mut whose, mut indexes) = (None, Vec::new());
        let (mut begun_before, mut late) = (None, None);
        while !reader.is_empty() {
            let tag = reader.number()?;
            let length = reader.number()?;
            let mut field = Reader::new(reader.take(length)?);
            let is_whose = matches!(tag, HANDLE | PERSON | ISSUER | REALM | EVERYBODY);
            if is_whose && whose.is_some() {
                return Err(Malformed::Damaged("it is of several"));
            }
            match tag {
                HANDLE => {
                    let mut handles = Vec::new();
                    while !field.is_empty() {
                        handles.push(Handle::from_bytes(field.array()?));
                    }
                    whose = Some(Whose::Handles(handles));
                }
                PERSON => {
                    let principal = read_principal(&mut field)?;
                    whose = Some(Whose::Person { principal, indexes: Vec::new() });
                }
                ISSUER => {
                    whose = Some(Whose::Issued { issuer: field.rest_as_text()?.into(), indexes: Vec::new() });
                }
                INDEX => indexes.push(field.rest_as_text()?.into()),
                REALM => whose = Some(Whose::Realm(field.rest_as_text()?.into())),
                EVERYBODY => whose = Some(Whose::Everybody),
                BEGUN_BEFORE => begun_before = Some(Millis(field.number()?)),
                LATE => late = Some(Late { issued: Millis(field.number()?), until: Millis(field.number()?) }),
                newer => return Err(Malformed::Newer { what: "field", number: newer }),
            }
            if !field.is_empty() {
                return Err(Malformed::Damaged("a field is longer than its content"));
            }
        }
        let whose = match whose {
            Some(Whose::Person { principal, .. }) => Whose::Person { principal, indexes },
            Some(Whose::Issued { issuer, .. }) => Whose::Issued { issuer, indexes },
            Some(whose) if indexes.is_empty() => whose,
            Some(_) => return Err(Malformed::Damaged("only issuers give session indexes")),
            None => return Err(Malformed::Damaged("it is of nobody")),
        };
        Ok(Self { whose, begun_before, late })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ends_is_read_as_it_was_written() {
        let principal = Principal { format: "f".into(), ..Principal::named("idp", "ann") };
        let indexes = vec!["id.1.2".into(), "".into(), "\u{0}".repeat(10_000).into()];
        let late = Some(Late { issued: Millis(7), until: Millis(u64::MAX) });
        for whose in [
            Whose::Handles(Vec::new()),
            Whose::Handles(vec![Handle::from_bytes([1; 16]), Handle::from_bytes([2; 16])]),
            Whose::Person { principal: principal.clone(), indexes: Vec::new() },
            Whose::Person { principal, indexes: indexes.clone() },
            Whose::Issued { issuer: "idp".into(), indexes },
            Whose::Realm("shop".into()),
            Whose::Everybody,
        ] {
            for selector in
                [Selector::all(whose.clone()), Selector { whose, begun_before: Some(Millis(5)), late }]
            {
                assert_eq!(Selector::decode(&selector.encode()).as_ref(), Ok(&selector));
            }
        }
    }

    #[test]
    fn what_a_newer_build_wrote_is_not_guessed() {
        let mut bytes = Selector::all(Whose::Everybody).encode();
        bytes.extend_from_slice(&[14, 0]);
        assert_eq!(Selector::decode(&bytes), Err(Malformed::Newer { what: "field", number: 14 }));
        assert!(Selector::decode(&[MAGIC, FORMAT]).is_err());
    }

    #[test]
    fn a_late_login_is_refused_until_its_time_and_a_later_proof_is_let_in() {
        let late = Late { issued: Millis(100), until: Millis(200) };
        for (proved, now, refuses) in [
            (None, 199, true),
            (None, 200, false),
            (Some(100), 150, true),
            (Some(101), 150, false),
            (Some(99), 200, false),
        ] {
            assert_eq!(late.refuses(proved.map(Millis), Millis(now)), refuses, "{proved:?} {now}");
        }
    }
}
