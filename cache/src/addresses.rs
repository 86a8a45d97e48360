//! Tying a session to the address that it is used from.
//!
//! It is a change like any other: read, judged and written with compare-and-swap, so that nothing is lost by it. Of two
//! first uses from different addresses at the same moment one is written, and the other is judged against that.

use std::net::IpAddr;

use session::{AddressRule, Origin, Session};
use storage::Unavailable;

use crate::Cache;
use crate::application::Application;
use crate::carried::{Credential, Fit};
use crate::find::{Absence, Find, Found};
use crate::patch::{Changed, Step};

/// What became of a session that was to be tied to an address.
#[derive(Debug)]
pub enum Tie {
    /// It is tied to that address, or is as good as.
    Tied(Found),
    /// Somebody else has used it from another address of the family meanwhile.
    Elsewhere,
    /// It is not there any more.
    Gone(Find),
}

impl Cache {
    /// Ties the session that was found by `credential` to `address`, if `rule` lets it be used from there and says that it is
    /// [`Origin::New`]. One that is carried has to be carried anew then, and moves if it does not fit its cookie any more.
    pub async fn tie(
        &self,
        credential: &Credential,
        found: Found,
        address: IpAddr,
        rule: &AddressRule,
        application: &Application,
        fit: impl Fn(&Session) -> Fit,
    ) -> Result<Tie, Unavailable> {
        let step = |current: &Session| match rule.judge(&current.addresses, address) {
            Origin::Known => Step::Leave(true),
            Origin::Other => Step::Leave(false),
            Origin::New => {
                let mut next = Session::clone(current);
                next.addresses.tie(address);
                next.revision = current.revision.next();
                match fit(&next) {
                    Fit::Moves if current.is_carried() => Step::Move(Box::new(next), true),
                    Fit::Fits | Fit::Moves | Fit::Unfit => Step::Write(Box::new(next), true),
                }
            }
        };
        let carried = match credential {
            Credential::Carried(carried) if found.session.is_carried() => Some(carried),
            Credential::Carried(_) | Credential::Ticket(_) => None,
        };
        let changed = match carried {
            Some(carried) => self.change_carried(carried, application, step).await?,
            None => self.change(&found.session.handle, application, step).await?,
        };
        Ok(match changed {
            Changed::Done(_, false) | Changed::Moved(_, _, false) => Tie::Elsewhere,
            Changed::Done(session, true) => Tie::Tied(match carried {
                Some(carried) => {
                    let refreshed = self.carry(carried, std::sync::Arc::clone(&session), application);
                    Found { session, successor: None, refreshed: refreshed.or(found.refreshed) }
                }
                None => Found { session, ..found },
            }),
            Changed::Moved(session, ticket, true) => {
                Tie::Tied(Found { session, successor: Some(ticket), refreshed: None })
            }
            Changed::Absent => Tie::Gone(Find::Absent(Absence::Unknown)),
            Changed::Ended(ending) => Tie::Gone(Find::Ended(ending)),
            Changed::TooLarge(too_large) => return Err(self.unavailable(too_large)),
        })
    }
}
