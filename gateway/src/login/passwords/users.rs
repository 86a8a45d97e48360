//! The users of an htpasswd file.
//!
//! How long an attempt takes must tell nobody who is in the file. So each attempt is one verification of one hash, and a
//! name that is not there gets that of somebody who is, always of the same one: it takes the time of a real user, whether
//! all hashes cost the same or not. Who it gets is settled by a key of this process, which nobody outside can know.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::num::NonZeroUsize;
use std::sync::LazyLock;

use super::hash::{Hash, HashError};

/// The longest name of a user, in bytes.
pub(crate) const MAX_USER: usize = 256;

/// How many faults of a file are told at once.
const MAX_FAULTS: usize = 20;

/// The key of [`place`]. One for the whole process: a file that is read again gives an unknown name the same hash.
static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// Names and hashes, in memory.
#[derive(Default)]
pub(super) struct Users {
    /// In the order of their places, as on a ring: who is not there is followed by who lends a hash to them. When users
    /// come and go, few unknown names change their lender.
    ring: Vec<User>,
}

struct User {
    place: u64,
    name: Box<str>,
    hash: Hash,
}

impl Users {
    /// `user:hash` a line. Empty lines and those that begin with `#` do not count, nor does what follows a
    /// second colon, as in Apache.
    pub(super) fn parse(text: &str) -> Result<Self, Vec<Fault>> {
        let mut lines: HashMap<&str, usize> = HashMap::new();
        let mut users = Self::default();
        let mut faults = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let number = number + 1;
            let line = line.trim_ascii();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            match user(line) {
                Ok((name, hash)) => match lines.insert(name, number) {
                    Some(earlier) => faults.push(Fault::new(number, LineError::Twice { earlier })),
                    None => users.ring.push(User { place: place(name), name: name.into(), hash }),
                },
                Err(error) => faults.push(Fault::new(number, error)),
            }
            if faults.len() >= MAX_FAULTS {
                break;
            }
        }
        users.ring.sort_unstable_by(|one, other| one.order().cmp(&other.order()));
        if faults.is_empty() { Ok(users) } else { Err(faults) }
    }

    /// Whether this is the user's password. Takes the time of one verification, for somebody unknown too.
    pub(super) fn verify(&self, user: &str, password: &str) -> bool {
        self.verified(user, |hash| hash.is_of(password.as_bytes()))
    }

    fn verified(&self, user: &str, is_of: impl FnOnce(&Hash) -> bool) -> bool {
        let order = (place(user), user);
        let (is_known, at) = match self.ring.binary_search_by(|other| other.order().cmp(&order)) {
            Ok(at) => (true, at),
            Err(at) => (false, at),
        };
        let Some(nearest) = self.ring.get(at).or_else(|| self.ring.first()) else { return false };
        // Verified first: a borrowed hash must take its time, whatever comes of it.
        is_of(&nearest.hash) & is_known
    }

    pub(super) fn len(&self) -> usize {
        self.ring.len()
    }

    /// How many have a hash that a thief of the file would break quickly.
    pub(super) fn weak(&self) -> Option<NonZeroUsize> {
        NonZeroUsize::new(self.ring.iter().filter(|user| user.hash.is_weak()).count())
    }
}

impl User {
    fn order(&self) -> (u64, &str) {
        (self.place, &self.name)
    }
}

/// Where a name stands on the ring.
fn place(name: &str) -> u64 {
    KEY.hash_one(name)
}

impl fmt::Debug for Users {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Users").field("len", &self.len()).finish_non_exhaustive()
    }
}

/// A line that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {error}")]
pub struct Fault {
    /// Counted from 1.
    pub line: usize,
    /// What is wrong with it.
    #[source]
    pub error: LineError,
}

impl Fault {
    fn new(line: usize, error: LineError) -> Self {
        Self { line, error }
    }
}

/// What is wrong with a line. Never repeats the hash.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// No colon.
    #[error("there is no colon: a line is `user:hash`, as `htpasswd` writes it")]
    NoColon,
    /// Nothing in front of the colon.
    #[error("the name of the user is empty")]
    NoName,
    /// A name that nobody could log in with.
    #[error("the name of the user has more than {MAX_USER} bytes, or a control character in it")]
    Name,
    /// The same user again.
    #[error("this user stands already in line {earlier}: remove one of the two")]
    Twice {
        /// The line of the first.
        earlier: usize,
    },
    /// The hash cannot be used.
    #[error(transparent)]
    Hash(#[from] HashError),
}

fn user(line: &str) -> Result<(&str, Hash), LineError> {
    let (name, rest) = line.split_once(':').ok_or(LineError::NoColon)?;
    let name = name.trim();
    if name.is_empty() {
        return Err(LineError::NoName);
    }
    if name.len() > MAX_USER || name.chars().any(char::is_control) {
        return Err(LineError::Name);
    }
    let hash = rest.split_once(':').map_or(rest, |(hash, _)| hash);
    Ok((name, Hash::parse(hash.trim_ascii())?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::hash::tests::{APR1, BCRYPT, PASSWORD, SHA1};
    use super::*;

    #[test]
    fn a_file_is_read_as_apache_reads_it() {
        let text =
            format!("# users\n\nada:{BCRYPT}\r\n  grace:{APR1}:a note\n jürgen : {SHA1} \n#x:y\nb c:{SHA1}");
        let users = Users::parse(&text).unwrap();
        assert_eq!(users.len(), 4);
        for name in ["ada", "grace", "jürgen", "b c"] {
            assert!(users.verify(name, PASSWORD), "{name}");
            assert!(!users.verify(name, "wrong"), "{name}");
        }
        assert!(!users.verify("nobody", PASSWORD));
        assert!(!users.verify("#x", PASSWORD));
        assert_eq!(users.weak(), NonZeroUsize::new(3));
    }

    #[test]
    fn all_faults_are_told_with_their_lines() {
        let long = "x".repeat(257);
        let text =
            format!("ada:{SHA1}\nada\n:{SHA1}\nbob:secret\n\nada:{SHA1}\n{long}:{SHA1}\na\tb:{SHA1}\n");
        let faults = Users::parse(&text).unwrap_err();
        let expected = [
            (2, LineError::NoColon),
            (3, LineError::NoName),
            (4, LineError::Hash(HashError::PlainText)),
            (6, LineError::Twice { earlier: 1 }),
            (7, LineError::Name),
            (8, LineError::Name),
        ];
        assert_eq!(faults, expected.map(|(line, error)| Fault { line, error }));
        assert!(faults.iter().all(|fault| !fault.to_string().contains("secret")));
        assert_eq!(Users::parse(&"x\n".repeat(1000)).unwrap_err().len(), MAX_FAULTS);
    }

    /// What is verified for this name, one after the other, and what comes of it if all of that is right.
    fn verified(users: &Users, user: &str) -> (Vec<String>, bool) {
        let mut hashes = Vec::new();
        let right = users.verified(user, |hash| {
            hashes.push(format!("{hash:?}"));
            true
        });
        (hashes, right)
    }

    #[test]
    fn each_attempt_is_one_verification_whether_the_name_is_known_or_not() {
        let text = format!("fast:{SHA1}\nslow:{BCRYPT}\nmiddle:{APR1}\n");
        let (users, again) = (Users::parse(&text).unwrap(), Users::parse(&text).unwrap());
        for (user, hash) in [("fast", "SHA-1"), ("slow", "bcrypt"), ("middle", "apr1")] {
            assert_eq!(verified(&users, user), (vec![hash.to_owned()], true));
        }
        let mut lent = std::collections::HashSet::new();
        for number in 0..2000 {
            let nobody = format!("nobody{number}");
            let (hashes, right) = verified(&users, &nobody);
            assert!(!right, "though the borrowed hash says yes");
            assert_eq!(hashes.len(), 1, "{hashes:?}");
            assert_eq!(verified(&users, &nobody).0, hashes, "always the same");
            assert_eq!(verified(&again, &nobody).0, hashes, "also when the file was read again");
            lent.extend(hashes);
        }
        assert_eq!(lent.len(), 3, "of all who are there: {lent:?}");
        assert!(!users.verify("nobody", PASSWORD));
    }

    #[test]
    fn a_user_more_changes_little_for_who_is_unknown() {
        let lines: String = (0..50).map(|user| format!("user{user}:{APR1}\n")).collect();
        let (before, after) = (Users::parse(&lines), Users::parse(&format!("{lines}more:{SHA1}\n")));
        let (before, after) = (before.unwrap(), after.unwrap());
        let changed = |number: &u32| {
            let nobody = format!("nobody{number}");
            verified(&before, &nobody) != verified(&after, &nobody)
        };
        assert!((0..1000).filter(changed).count() < 500);
    }

    #[test]
    fn nobody_is_let_in_by_an_empty_file() {
        assert!(!Users::parse("").unwrap().verify("", ""));
    }

    proptest! {
        #[test]
        fn any_text_is_a_file_or_faults(text: String) {
            match Users::parse(&text) {
                Ok(users) => prop_assert!(users.len() <= text.lines().count()),
                Err(faults) => prop_assert!(!faults.is_empty() && faults.len() <= MAX_FAULTS),
            }
        }
    }
}
