//! A session that its visitor carries.

use std::sync::Arc;

use crate::{Millis, Secret, Session};

/// A session as a visitor carries it, sealed, in a cookie: storage has none of it.
#[derive(Debug, Clone)]
pub struct Carried {
    /// The session, as it was when it was sealed.
    pub session: Arc<Session>,
    /// What the visitor would prove the session by if it moved to the server. It stays the same as long as the session
    /// is carried.
    pub secret: Secret,
    /// When it was last used, as far as the cookie knows: it is sealed anew only now and then.
    pub touched: Millis,
    /// Until when it can be worth anything, whatever the time-outs are by then: so long an end of its session is remembered.
    pub good_until: Millis,
}
