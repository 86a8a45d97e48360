//! Which records lie apart from the sessions, where there is a storage service for that.
//!
//! *Logout data* must outlive the sessions: the counters by which all sessions of somebody end, the notes of sessions that are
//! over and could come back by what their visitors hold, and the index. The sessions themselves, and their tombstones, are
//! elsewhere, with their assertions; so are the heads of those that visitors carry, which are sessions as well. Where processes meet only in the
//! service of the logout data, heads and what processes say to each other must be there too.

use std::sync::Arc;

use session::Clock;
use storage::{Divided, Storage};

use crate::kinds::Kind;
use crate::revocations::{ENDS, RENEWED, gone_context};
use crate::scope::{COUNTERS, MARKS};

/// The storage of sessions, and `aside` the one for their logout data, as one.
#[must_use]
pub fn divided(sessions: Arc<dyn Storage>, aside: Arc<dyn Storage>, clock: Arc<dyn Clock>) -> Divided {
    let meet = Meeting { beside: sessions.capabilities().is_shared, aside: aside.capabilities().is_shared };
    let lies_aside = Box::new(move |context: &str| meet.lies_aside(Kind::of_context(context)));
    let contexts = [COUNTERS, MARKS, RENEWED]
        .map(str::to_owned)
        .into_iter()
        .chain((0..=u8::MAX).map(gone_context))
        .collect();
    Divided::new(sessions, aside, lies_aside, (ENDS, contexts), clock)
}

/// Which of the two services processes share.
#[derive(Debug, Clone, Copy)]
struct Meeting {
    beside: bool,
    aside: bool,
}

impl Meeting {
    const fn lies_aside(self, kind: Kind) -> bool {
        match kind {
            Kind::Revoked | Kind::Renewed | Kind::Counter | Kind::Entry => true,
            Kind::Session | Kind::Assertion | Kind::Once | Kind::Other => false,
            Kind::Head | Kind::Token => self.aside && !self.beside,
            Kind::Node => self.aside,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_must_outlive_the_sessions_lies_aside_wherever_processes_meet() {
        for (beside, aside) in [(false, false), (false, true), (true, false), (true, true)] {
            let lies_aside = |context: &str| Meeting { beside, aside }.lies_aside(Kind::of_context(context));
            assert!(["epoch", "before", "gone.0a", "renewed", "index.xyz"].into_iter().all(lies_aside));
            assert!(!["session.0a", "assertion.xyz", "health"].into_iter().any(lies_aside));
        }
    }

    #[test]
    fn heads_and_what_nodes_say_lie_where_processes_meet() {
        let lies_aside =
            |beside, aside, context| Meeting { beside, aside }.lies_aside(Kind::of_context(context));
        assert!(!lies_aside(true, true, "head.0a") && lies_aside(false, true, "head.0a"));
        assert!(lies_aside(true, true, "node") && lies_aside(true, true, "roll.call"));
        assert!(!lies_aside(true, false, "node") && !lies_aside(true, false, "roll.answer"));
    }
}
