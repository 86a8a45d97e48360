//! Sessions that their visitors carry, sealed, in a cookie.
//!
//! Storage has nothing of such a session but that it is over ([`crate::revocations`]) and, for a minute, what was
//! written of it ([`crate::heads`]). All operations take a cookie that was opened already: that it opened is the proof,
//! and of two cookies of one session the one with the later revision is the session.

mod change;
mod end;
mod find;
mod moving;
mod open;
mod patch;
mod renew;

use std::sync::Arc;

use session::{Carried, Millis, Secret, Session, Ticket};

pub use self::open::OpenCarried;
pub use self::patch::Fit;
pub use self::renew::RenewCarried;
use crate::application::Realm;

/// What a visitor holds of a session.
#[derive(Debug, Clone)]
pub enum Credential {
    /// Its name and a proof; the session is on the server.
    Ticket(Ticket),
    /// The session itself.
    Carried(Arc<Carried>),
}

/// The later of what a visitor brings and of what was written meanwhile.
fn latest(carried: &Carried, head: Option<Arc<Session>>) -> Arc<Session> {
    head.filter(|head| head.revision > carried.session.revision)
        .unwrap_or_else(|| Arc::clone(&carried.session))
}

/// The cookie that follows this one.
pub(crate) fn follow(
    carried: &Carried,
    session: Arc<Session>,
    touched: Millis,
    realm: &Realm,
) -> Arc<Carried> {
    let next = carry(session, carried.secret.clone(), touched.max(carried.touched), realm);
    let good_until = next.good_until.max(carried.good_until);
    Arc::new(Carried { good_until, ..next })
}

/// The first cookie of a session. It is good for as long as an end of its session would be remembered if that came now: an end
/// that comes later is remembered for longer, so that no cookie outlives it, also where time-outs have grown since.
pub(crate) fn carry(session: Arc<Session>, secret: Secret, touched: Millis, realm: &Realm) -> Carried {
    let good_until = realm.buried_until(session.begun, touched);
    Carried { session, secret, touched, good_until }
}
