//! What many sessions have in common, by which they end together.
//!
//! Each scope has a *counter*: a record whose version sessions remember. All that remember an earlier one are over. Where only
//! those end that began before a moment, there is a [`Mark`] instead: it says the moment in its name, so that whoever lists
//! marks, or hears of one, knows all of it.
//!
//! Names are digests, so that whatever an issuer calls a person or a session has one length, and no character has a meaning.

use std::cell::OnceCell;

use aws_lc_rs::digest::{Context, SHA256};
use session::{Epoch, Epochs, Millis, Principal, Session};
use storage::{Key, KeyError};

use crate::expiring::Expiring;

/// Where the counters are.
pub(crate) const COUNTERS: &str = "epoch";
/// Where the marks are.
pub(crate) const MARKS: &str = "before";

const PERSON: u8 = b'p';
const INDEX: u8 = b'i';
const REALM: u8 = b'r';
const EVERYBODY: u8 = b'e';
const ISSUED: u8 = b's';

/// The name of something, as a digest.
pub(crate) type Id = [u8; 32];

/// Sessions that may end together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Scope {
    /// Of one principal.
    Person(Id),
    /// Of one principal, with one session index of the issuer.
    Index(Id),
    /// Of one realm.
    Realm(Id),
    Everybody,
    /// With one session index of an issuer, of whomever.
    Issued(Id),
}

impl Scope {
    pub(crate) fn person(principal: &Principal) -> Self {
        Self::Person(principal.fingerprint())
    }

    /// Those of the person with this session index.
    pub(crate) fn index(person: &Id, index: &str) -> Self {
        Self::Index(digest(&[b"index", person, index.as_bytes()]))
    }

    /// Those of the person with the session index that they have here, if they have one.
    pub(crate) fn index_of(principal: &Principal) -> Option<Self> {
        let index = principal.session_index.as_deref()?;
        Some(Self::index(&principal.fingerprint(), index))
    }

    /// Those of anybody with this session index of this issuer.
    pub(crate) fn issued(issuer: &str, index: &str) -> Self {
        Self::Issued(digest(&[b"issued", issuer.as_bytes(), index.as_bytes()]))
    }

    /// Those of anybody with the session index that this principal has here, if they have one.
    pub(crate) fn issued_to(principal: &Principal) -> Option<Self> {
        Some(Self::issued(&principal.issuer, principal.session_index.as_deref()?))
    }

    pub(crate) fn realm(realm: &str) -> Self {
        Self::Realm(digest(&[b"realm", realm.as_bytes()]))
    }

    /// The key of its counter. That of a person is its digest alone, as it was before there were other scopes.
    pub(crate) fn key(&self) -> Result<Key, KeyError> {
        match self {
            Self::Person(id) => Key::new(COUNTERS, id),
            _ => Key::new(COUNTERS, &self.name()),
        }
    }

    /// Whose counter this is; none, if it is of a newer build.
    pub(crate) fn of(key: &Key) -> Option<Self> {
        if key.context() != COUNTERS {
            return None;
        }
        Id::try_from(key.name()).map(Self::Person).ok().or_else(|| Self::read(key.name()))
    }

    /// Its kind, and its digest if it has one.
    pub(crate) fn name(&self) -> Vec<u8> {
        match self {
            Self::Person(id) => [&[PERSON], &id[..]].concat(),
            Self::Index(id) => [&[INDEX], &id[..]].concat(),
            Self::Realm(id) => [&[REALM], &id[..]].concat(),
            Self::Everybody => vec![EVERYBODY],
            Self::Issued(id) => [&[ISSUED], &id[..]].concat(),
        }
    }

    pub(crate) fn read(name: &[u8]) -> Option<Self> {
        let (kind, id) = name.split_first()?;
        match (*kind, Id::try_from(id)) {
            (PERSON, Ok(id)) => Some(Self::Person(id)),
            (INDEX, Ok(id)) => Some(Self::Index(id)),
            (REALM, Ok(id)) => Some(Self::Realm(id)),
            (ISSUED, Ok(id)) => Some(Self::Issued(id)),
            (EVERYBODY, _) if id.is_empty() => Some(Self::Everybody),
            _ => None,
        }
    }
}

/// Each part behind its length.
fn digest(parts: &[&[u8]]) -> Id {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    let mut id = [0; 32];
    id.copy_from_slice(context.finish().as_ref());
    id
}

/// What began before a moment is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Mark {
    pub(crate) scope: Scope,
    pub(crate) before: Millis,
}

impl Mark {
    pub(crate) fn key(&self) -> Result<Key, KeyError> {
        Key::new(MARKS, &[&self.before.0.to_be_bytes()[..], &self.scope.name()].concat())
    }

    /// The mark at a key; none, if it is of a newer build.
    pub(crate) fn of(key: &Key) -> Option<Self> {
        let (before, scope) = key.name().split_first_chunk().filter(|_| key.context() == MARKS)?;
        Some(Self { scope: Scope::read(scope)?, before: Millis(u64::from_be_bytes(*before)) })
    }
}

/// The scopes of a session. The digests of a person are made when they are needed.
pub(crate) struct Scopes<'s> {
    session: &'s Session,
    person: OnceCell<Option<Id>>,
}

impl<'s> Scopes<'s> {
    pub(crate) const fn of(session: &'s Session) -> Self {
        Self { session, person: OnceCell::new() }
    }

    fn person(&self) -> Option<Id> {
        *self.person.get_or_init(|| self.session.principal.as_ref().map(Principal::fingerprint))
    }

    fn index(&self) -> Option<Id> {
        let index = self.session.principal.as_ref()?.session_index.as_deref()?;
        match Scope::index(&self.person()?, index) {
            Scope::Index(id) => Some(id),
            _ => None,
        }
    }

    /// All of them.
    pub(crate) fn all(&self) -> impl Iterator<Item = Scope> {
        let issued = self.session.principal.as_ref().and_then(Scope::issued_to);
        let narrow = [self.person().map(Scope::Person), self.index().map(Scope::Index), issued];
        narrow.into_iter().flatten().chain([Scope::realm(&self.session.realm), Scope::Everybody])
    }
}

/// Something for each scope for which there is something, until its time.
#[derive(Debug)]
pub(crate) struct ByScope<V> {
    people: Expiring<Id, V>,
    indexes: Expiring<Id, V>,
    realms: Expiring<Id, V>,
    everybody: Expiring<(), V>,
    issued: Expiring<Id, V>,
}

impl<V> Default for ByScope<V> {
    fn default() -> Self {
        let (people, indexes, realms, issued) = Default::default();
        Self { people, indexes, realms, everybody: Expiring::default(), issued }
    }
}

impl<V: Copy> ByScope<V> {
    pub(crate) fn of(&self, scope: &Scope) -> Option<V> {
        match scope {
            Scope::Person(id) => self.people.of(id),
            Scope::Index(id) => self.indexes.of(id),
            Scope::Realm(id) => self.realms.of(id),
            Scope::Everybody => self.everybody.of(&()),
            Scope::Issued(id) => self.issued.of(id),
        }
    }

    pub(crate) fn put(&self, scope: Scope, value: V, until: Millis, choose: impl FnOnce(V, V) -> V) {
        match scope {
            Scope::Person(id) => self.people.put(id, value, until, choose),
            Scope::Index(id) => self.indexes.put(id, value, until, choose),
            Scope::Realm(id) => self.realms.put(id, value, until, choose),
            Scope::Everybody => self.everybody.put((), value, until, choose),
            Scope::Issued(id) => self.issued.put(id, value, until, choose),
        }
    }

    /// The first scope of a session of which `is_over` says so, with what it remembers of it. Costs next to nothing where there
    /// is nothing of the kind.
    pub(crate) fn first(
        &self,
        scopes: &Scopes<'_>,
        is_over: impl Fn(&Scope, V, Epoch) -> bool,
    ) -> Option<(Scope, V)> {
        let Epochs { person, index, realm, everybody, issued } = scopes.session.epochs;
        let look = |scope: Scope, remembered| {
            let value = self.of(&scope).filter(|value| is_over(&scope, *value, remembered))?;
            Some((scope, value))
        };
        let of_everybody = || (self.everybody.len() > 0).then_some(Scope::Everybody);
        let of_realm = || (self.realms.len() > 0).then(|| Scope::realm(&scopes.session.realm));
        let of_person = || (self.people.len() > 0).then(|| scopes.person()).flatten().map(Scope::Person);
        let of_index = || (self.indexes.len() > 0).then(|| scopes.index()).flatten().map(Scope::Index);
        let of_issued = || {
            let principal = scopes.session.principal.as_ref().filter(|_| self.issued.len() > 0)?;
            Scope::issued_to(principal)
        };
        of_person()
            .and_then(|scope| look(scope, person))
            .or_else(|| look(of_index()?, index))
            .or_else(|| look(of_realm()?, realm))
            .or_else(|| look(of_everybody()?, everybody))
            .or_else(|| look(of_issued()?, issued))
    }

    pub(crate) fn next(&self) -> Millis {
        let narrow = self.people.next().min(self.indexes.next()).min(self.issued.next());
        narrow.min(self.realms.next()).min(self.everybody.next())
    }

    pub(crate) fn purge(&self, now: Millis) {
        self.people.purge(now);
        self.indexes.purge(now);
        self.realms.purge(now);
        self.everybody.purge(now);
        self.issued.purge(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_known_by_the_key_of_its_counter_and_of_its_mark() {
        let person = Principal::named("idp", "ann");
        let id = person.fingerprint();
        let scopes = [
            Scope::person(&person),
            Scope::index(&id, "id.1.2"),
            Scope::index(&id, &"x".repeat(10_000)),
            Scope::index(&id, ""),
            Scope::issued("idp", "id.1.2"),
            Scope::realm("shop"),
            Scope::Everybody,
        ];
        for (at, scope) in scopes.iter().enumerate() {
            assert_eq!(Scope::of(&scope.key().unwrap()), Some(*scope));
            let mark = Mark { scope: *scope, before: Millis(7) };
            assert_eq!(Mark::of(&mark.key().unwrap()), Some(mark));
            assert_eq!(Mark::of(&scope.key().unwrap()), None);
            assert!(scopes.iter().skip(at + 1).all(|other| other != scope));
        }
        assert_eq!(scopes[0].key().unwrap().name(), &id[..], "as the first builds wrote it");
        for nonsense in [&b"x"[..], b"ee", b"p1234", &[b'x'; 33]] {
            assert_eq!(Scope::of(&Key::new(COUNTERS, nonsense).unwrap()), None);
            assert_eq!(Mark::of(&Key::new(MARKS, nonsense).unwrap()), None);
        }
    }

    #[test]
    fn an_index_is_that_of_its_person() {
        let (ann, bob) = (Principal::named("idp", "ann"), Principal::named("idp", "bob"));
        let one = Scope::index(&ann.fingerprint(), "1");
        assert_ne!(one, Scope::index(&bob.fingerprint(), "1"));
        assert_ne!(one, Scope::index(&ann.fingerprint(), "1.0"));
    }
}
