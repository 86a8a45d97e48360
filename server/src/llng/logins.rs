//! Who may log in by `getCookies`.

use std::fmt;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;

/// What came of a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is that user's.
    Right,
    /// It is not, or there is no such user: nobody is told which.
    Wrong,
    /// It was not tried: there were too many attempts.
    Unknown,
}

/// Tries passwords.
#[derive(Clone)]
pub struct Logins(Arc<Verify>);

type Verify =
    dyn Fn(IpAddr, Box<str>, Box<str>) -> Pin<Box<dyn Future<Output = Verdict> + Send>> + Send + Sync;

impl Logins {
    /// Those that `verify` finds right: from where somebody comes, who they say they are, and the password.
    pub fn new<F>(verify: impl Fn(IpAddr, Box<str>, Box<str>) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Verdict> + Send + 'static,
    {
        Self(Arc::new(move |address, user, password| Box::pin(verify(address, user, password))))
    }

    pub(super) async fn verify(&self, address: IpAddr, user: &str, password: &str) -> Verdict {
        (self.0)(address, user.into(), password.into()).await
    }
}

impl fmt::Debug for Logins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Logins(..)")
    }
}
