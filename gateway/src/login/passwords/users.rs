//! The users of an htpasswd file.

use std::collections::HashMap;
use std::fmt;
use std::num::NonZeroUsize;

use super::hash::{Hash, HashError};

/// The longest name of a user, in bytes.
pub(crate) const MAX_USER: usize = 256;

/// How many faults of a file are told at once.
const MAX_FAULTS: usize = 20;

/// Names and hashes, in memory.
#[derive(Default)]
pub(super) struct Users {
    hashes: HashMap<Box<str>, Hash>,
    /// The hash that takes the longest, for those whose name is not here.
    slowest: Option<Hash>,
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
                    None => users.add(name, hash),
                },
                Err(error) => faults.push(Fault::new(number, error)),
            }
            if faults.len() >= MAX_FAULTS {
                break;
            }
        }
        if faults.is_empty() { Ok(users) } else { Err(faults) }
    }

    /// Whether this is the user's password. Somebody unknown takes as long as the slowest hash of the file,
    /// and so does a wrong password of somebody whose hash is much faster: the time tells nobody who exists.
    pub(super) fn verify(&self, user: &str, password: &str) -> bool {
        let (own, for_time) = self.tried(user);
        let right = own.is_some_and(|hash| hash.is_of(password.as_bytes()));
        if !right && let Some(hash) = for_time {
            let _ = hash.is_of(password.as_bytes());
        }
        right
    }

    /// The hash that decides, and one that is tried after a failure only because it takes its time.
    fn tried(&self, user: &str) -> (Option<&Hash>, Option<&Hash>) {
        let own = self.hashes.get(user);
        let faster = |slowest: &&Hash| own.is_none_or(|own| own.cost() < slowest.cost() / 2);
        (own, self.slowest.as_ref().filter(faster))
    }

    pub(super) fn len(&self) -> usize {
        self.hashes.len()
    }

    /// How many have a hash that a thief of the file would break quickly.
    pub(super) fn weak(&self) -> Option<NonZeroUsize> {
        NonZeroUsize::new(self.hashes.values().filter(|hash| hash.is_weak()).count())
    }

    fn add(&mut self, name: &str, hash: Hash) {
        if self.slowest.as_ref().is_none_or(|slowest| slowest.cost() < hash.cost()) {
            self.slowest = Some(hash.clone());
        }
        self.hashes.insert(name.into(), hash);
    }
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

    #[test]
    fn somebody_unknown_takes_as_long_as_the_slowest() {
        let users = Users::parse(&format!("fast:{SHA1}\nslow:{BCRYPT}\nmiddle:{APR1}\n")).unwrap();
        let tried = |user| {
            let (own, for_time) = users.tried(user);
            (own.map(|hash| format!("{hash:?}")), for_time.map(|hash| format!("{hash:?}")))
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(tried("nobody"), (None, some("bcrypt")));
        assert_eq!(tried("fast"), (some("SHA-1"), some("bcrypt")));
        assert_eq!(tried("middle"), (some("apr1"), some("bcrypt")));
        assert_eq!(tried("slow"), (some("bcrypt"), None));
        assert!(!users.verify("nobody", PASSWORD), "though it is the password of the slowest");
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
