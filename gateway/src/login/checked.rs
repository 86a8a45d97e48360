//! Passwords that are tried for others than a form of ours: by programs that log people in.

use std::net::IpAddr;
use std::path::Path;

use super::limits::{LimitSettings, Limits};
use super::passwords::{FileError, Passwords, Verdict, Verifiers};

/// What came of a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checked {
    /// It is that user's.
    Right,
    /// It is not, or there is no such user: nobody is told which.
    Wrong,
    /// It was not tried: there were too many attempts, or all threads that try them were taken.
    NotTried,
}

/// The users of a file, with the limits of a login.
#[derive(Debug)]
pub struct CheckedUsers {
    passwords: Passwords,
    limits: Limits,
}

impl CheckedUsers {
    /// The users of the file, which is followed when it changes.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn open(file: &Path, verifiers: Verifiers, limits: LimitSettings) -> Result<Self, FileError> {
        Ok(Self { passwords: Passwords::open(file, verifiers)?, limits: Limits::new(limits) })
    }

    /// Whether this is the user's password, as somebody says who comes from there.
    pub async fn check(&self, from: IpAddr, user: &str, password: &str) -> Checked {
        if self.limits.attempt(from, user).is_err() {
            return Checked::NotTried;
        }
        match self.passwords.verify(user, password).await {
            Verdict::Right => Checked::Right,
            Verdict::Wrong => Checked::Wrong,
            Verdict::Busy => Checked::NotTried,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::num::NonZeroUsize;

    use super::super::passwords::tests_support::{BCRYPT, PASSWORD};
    use super::*;

    #[tokio::test]
    async fn a_password_is_right_wrong_or_one_too_many() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("users.htpasswd");
        std::fs::write(&file, format!("ada:{BCRYPT}\n")).unwrap();
        let users =
            CheckedUsers::open(&file, Verifiers::new(NonZeroUsize::MIN), LimitSettings::default()).unwrap();
        let from = IpAddr::from(Ipv4Addr::LOCALHOST);
        assert_eq!(users.check(from, "ada", PASSWORD).await, Checked::Right);
        assert_eq!(users.check(from, "ada", "wrong").await, Checked::Wrong);
        assert_eq!(users.check(from, "eve", PASSWORD).await, Checked::Wrong);
        let mut last = Checked::Wrong;
        for _ in 0..8 {
            last = users.check(from, "nobody", "x").await;
        }
        assert_eq!(last, Checked::NotTried);
    }
}
