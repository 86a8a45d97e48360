//! Which session a request comes with.

use std::net::IpAddr;
use std::time::Duration;

use cache::{Absence, Application as Judge, Credential, Find, Found, Purpose, Tie};
use http::HeaderMap;
use session::{Ending, Handle, Origin, Principal, Recovery, Ticket, Timeouts, Why};
use storage::Unavailable;

use crate::application::{Application, Sessions};
use crate::carrier;
use crate::cookies::{self, MAX_VALUES};
use crate::counters::Counters;
use crate::exchange::Passing;
use crate::service::Service;
use crate::settings::OnAddressChange;
use crate::ticket_header::Shown;

/// Who sends a request, and with what.
#[derive(Clone, Copy)]
pub(crate) struct Comer<'r> {
    pub(crate) headers: &'r HeaderMap,
    /// What counts in the place of cookies.
    pub(crate) shown: &'r Shown,
    /// Where they are, as far as trusted proxies can tell.
    pub(crate) address: IpAddr,
}

impl<'r> Comer<'r> {
    pub(crate) const fn of(passing: &'r Passing) -> Self {
        Self { headers: &passing.parts.headers, shown: &passing.shown, address: passing.client.address }
    }
}

/// A request, as far as sessions are concerned.
#[derive(Debug, Default)]
pub(crate) struct Visit {
    /// The session that it comes with, and what the visitor holds of it.
    pub(crate) session: Option<(Found, Credential)>,
    /// It came with tickets of several live sessions, so that nobody can say which is meant. They are all ended by a
    /// logout, and otherwise count for nothing.
    pub(crate) ambiguous: Vec<Found>,
    /// It came with these, of which storage cannot say what they are worth. Only of somebody who leaves: any other request
    /// cannot be answered then.
    pub(crate) unseen: Vec<Credential>,
    /// It came with more cookies of the name than are looked at: nobody knows what it has.
    pub(crate) is_crowded: bool,
    /// It came with a ticket of a session that was ended, and with none that may be alive, here or elsewhere: its cookie
    /// has no use any more.
    pub(crate) is_over: bool,
    /// How it ended.
    pub(crate) ending: Option<Why>,
    /// And it was ended because an old ticket of it was used: somebody may have stolen one.
    pub(crate) is_stolen: bool,
    /// It came with the ticket of a session that is over for this application, and alive for another of its realm.
    pub(crate) is_alive_elsewhere: bool,
    /// It came with the ticket of a session that is tied to another address, and with no other one.
    pub(crate) is_elsewhere: bool,
    /// What a session that begins with it is tied to.
    pub(crate) address: Option<IpAddr>,
    /// From where it comes: whoever ends a session is asked that afterwards.
    pub(crate) from: Option<IpAddr>,
    /// It comes with a ticket in a header: nobody knows of cookies there.
    pub(crate) is_shown: bool,
    /// What it holds so that the session comes back, should storage lose it.
    pub(crate) recovery: Option<Recovery>,
    /// Of how many of the session's conflicts the application is told with this request.
    pub(crate) told: usize,
    /// The visitor has gone, and no cookie reaches them any more.
    pub(crate) has_left: bool,
}

/// What becomes of a credential of which storage cannot say what it is worth.
#[derive(Debug, Clone, Copy)]
enum Unseen {
    Fails,
    IsKept,
}

impl Visit {
    /// Looks at what a request came with. Up to four cookies of the name are tried, for a neighbouring host may have
    /// planted some; but only if exactly one of them opens a session is it certain who is meant.
    pub(crate) async fn of(
        comer: Comer<'_>,
        application: &Application,
        sessions: &Sessions,
        service: &Service,
    ) -> Result<Self, Unavailable> {
        Self::with(Purpose::USE, comer, application, sessions, service).await
    }

    /// As [`Visit::of`], for another purpose.
    pub(crate) async fn with(
        purpose: Purpose,
        comer: Comer<'_>,
        application: &Application,
        sessions: &Sessions,
        service: &Service,
    ) -> Result<Self, Unavailable> {
        Self::judged(purpose, comer, application, sessions, &sessions.judge, service, Unseen::Fails).await
    }

    /// As [`Visit::of`], for somebody who leaves: with the sessions that are over for this application, and alive for
    /// another one of its realm. Who leaves, leaves everywhere.
    pub(crate) async fn leaving(
        comer: Comer<'_>,
        application: &Application,
        sessions: &Sessions,
        service: &Service,
    ) -> Result<Self, Unavailable> {
        let judge = unbounded(&sessions.judge);
        Self::judged(Purpose::USE, comer, application, sessions, &judge, service, Unseen::Fails).await
    }

    /// As [`Visit::leaving`], with what nobody can look at now: whoever leaves while storage is away has left all the same.
    pub(crate) async fn leaving_unseen(
        comer: Comer<'_>,
        application: &Application,
        sessions: &Sessions,
        service: &Service,
    ) -> Result<Self, Unavailable> {
        let judge = unbounded(&sessions.judge);
        Self::judged(Purpose::USE, comer, application, sessions, &judge, service, Unseen::IsKept).await
    }

    async fn judged(
        purpose: Purpose,
        comer: Comer<'_>,
        application: &Application,
        sessions: &Sessions,
        judge: &Judge,
        service: &Service,
        unseen: Unseen,
    ) -> Result<Self, Unavailable> {
        let Service { cache, counters, .. } = service;
        let rule = &sessions.addresses.rule;
        let mut visit = Self {
            address: rule.is_consistent().then_some(comer.address),
            from: Some(comer.address),
            is_shown: !matches!(comer.shown, Shown::Nothing),
            ..Self::default()
        };
        let brought = match comer.shown {
            Shown::Nothing => sessions.cookie.find(comer.headers),
            Shown::Value(value) => cookies::Found::of_one(value.as_bytes()),
            Shown::Several => {
                counters.refuse_cookie("malformed");
                return Ok(visit);
            }
        };
        if brought.too_many() {
            counters.refuse_cookie("too_many");
            visit.is_crowded = true;
            return Ok(visit);
        }
        let mut credentials: [Option<Credential>; MAX_VALUES] = [const { None }; MAX_VALUES];
        for (credential, value) in credentials.iter_mut().zip(brought.values()) {
            *credential = sessions.carrier.read(value).await;
            if credential.is_none() {
                counters.refuse_cookie("malformed");
            }
        }
        let (mut may_be_alive, mut origin) = (false, Origin::Known);
        for credential in credentials.iter().flatten() {
            let purpose =
                if is_doubled(credential, &credentials) { purpose.beside_another() } else { purpose };
            let find = match (credential, &sessions.recovery) {
                (Credential::Ticket(ticket), Some(recovery)) => {
                    let look = recovery.find_for(comer.headers, ticket);
                    Box::pin(cache.find_or_recover(purpose, ticket, judge, look)).await
                }
                _ => carrier::find(cache, purpose, credential, judge).await,
            };
            let find = match (find, unseen) {
                (Err(error), Unseen::IsKept) => {
                    tracing::debug!(%error, "somebody leaves with a session that nobody can look at");
                    may_be_alive = true;
                    match credential {
                        Credential::Carried(carried)
                            if rule.judge(&carried.session.addresses, comer.address) == Origin::Other =>
                        {
                            counters.refuse_cookie("other_address");
                            visit.is_elsewhere = true;
                        }
                        Credential::Carried(_) | Credential::Ticket(_) => {
                            visit.unseen.push(credential.clone())
                        }
                    }
                    continue;
                }
                (find, _) => find?,
            };
            match find {
                Find::Found(found) => {
                    match (rule.judge(&found.session.addresses, comer.address), &visit.session) {
                        (Origin::Other, _) => {
                            counters.refuse_cookie("other_address");
                            visit.meet_elsewhere(&found, application, sessions, service).await?;
                            may_be_alive |= visit.is_elsewhere;
                        }
                        (_, Some((other, _))) if other.session.handle != found.session.handle => {
                            visit.ambiguous.push(found)
                        }
                        // An older cookie of the same session.
                        (_, Some((other, _))) if other.session.revision > found.session.revision => {}
                        (judged, _) => {
                            origin = judged;
                            visit.session = Some((found, credential.clone()));
                        }
                    }
                }
                Find::Absent(absence) => {
                    counters.refuse_cookie(absence.as_str());
                    visit.is_alive_elsewhere |= absence == Absence::OverHere;
                    may_be_alive |= matches!(absence, Absence::OverHere | Absence::OtherRealm);
                }
                Find::Ended(ending) => visit.end(&ending, counters),
            }
        }
        if visit.session.is_none() {
            // Two old tickets of one session, and not the good one: that is no browser.
            for credential in credentials.iter().flatten().filter(|one| is_doubled(one, &credentials)) {
                match (carrier::find(cache, purpose, credential, judge).await, unseen) {
                    (Ok(Find::Ended(ending)), _) => visit.end(&ending, counters),
                    (Ok(_), _) | (Err(_), Unseen::IsKept) => {}
                    (Err(error), Unseen::Fails) => return Err(error),
                }
            }
        }
        if !visit.ambiguous.is_empty() || (visit.is_elsewhere && visit.session.is_some()) {
            counters.refuse_cookie("several_sessions");
            visit.ambiguous.extend(visit.session.take().map(|(found, _)| found));
            visit.is_elsewhere = false;
        }
        // What is about to end need not be tied any more, nor could it be while storage is away.
        if origin == Origin::New && visit.session.is_some() && matches!(unseen, Unseen::Fails) {
            may_be_alive |= Box::pin(visit.tie(comer, application, sessions, service)).await?;
        }
        if let (Some((found, _)), Some(recovery)) = (&visit.session, &sessions.recovery) {
            visit.recovery = recovery.find(comer.headers, &found.session.handle).await;
        }
        // A browser would delete whichever it holds at our path, and which that is cannot be told. Nor is it known what it
        // holds where a proxy has shown something else.
        let is_cookies = matches!(comer.shown, Shown::Nothing);
        visit.is_over &= is_cookies && !may_be_alive && visit.all().next().is_none();
        visit.is_stolen &= visit.is_over;
        Ok(visit)
    }

    /// Somebody has used their session from an address that it is not tied to.
    async fn meet_elsewhere(
        &mut self,
        found: &Found,
        application: &Application,
        sessions: &Sessions,
        service: &Service,
    ) -> Result<(), Unavailable> {
        let handle = &found.session.handle;
        match sessions.addresses.on_change {
            OnAddressChange::Refuse => {
                tracing::info!(application = %application.id, %handle, "a session was used from another address; that was refused");
                self.is_elsewhere = true;
            }
            OnAddressChange::End => {
                tracing::info!(application = %application.id, %handle, "a session was used from another address; it was ended");
                let ending = Ending {
                    from: self.from,
                    ..Ending::new(service.cache.now(), Why::Address, &application.id)
                };
                self.ending = Some(ending.why);
                service.cache.end(&found.session, ending, &sessions.judge).await?;
                self.is_over = true;
            }
        }
        Ok(())
    }

    /// Ties the session to the address that it comes from, as the first of its family. Says whether it may be alive without
    /// being of this visit any more.
    async fn tie(
        &mut self,
        comer: Comer<'_>,
        application: &Application,
        sessions: &Sessions,
        service: &Service,
    ) -> Result<bool, Unavailable> {
        let Some((found, credential)) = self.session.take() else { return Ok(false) };
        let (rule, judge) = (&sessions.addresses.rule, &sessions.judge);
        let before = found.clone();
        let fit = |session: &session::Session| sessions.fit(session);
        match service.cache.tie(&credential, found, comer.address, rule, judge, fit).await? {
            Tie::Tied(found) => self.session = Some((found, credential)),
            Tie::Elsewhere => {
                service.counters.refuse_cookie("other_address");
                self.meet_elsewhere(&before, application, sessions, service).await?;
            }
            Tie::Gone(Find::Ended(_)) => {
                service.counters.refuse_cookie("ended");
                self.is_over = true;
            }
            Tie::Gone(_) => service.counters.refuse_cookie("unknown"),
        }
        Ok(self.is_elsewhere)
    }

    fn end(&mut self, ending: &Ending, counters: &Counters) {
        counters.refuse_cookie("ended");
        self.is_over = true;
        self.ending = Some(ending.why);
        self.is_stolen |= ending.why == Why::Theft;
    }

    /// How the session ended that the visitor had, if they have no other.
    pub(crate) fn ended(&self) -> Option<Why> {
        self.ending.filter(|_| self.is_over)
    }

    /// Whether it is known what the visitor has, be it nothing.
    pub(crate) const fn is_certain(&self) -> bool {
        self.ambiguous.is_empty() && !self.is_crowded && !self.is_elsewhere
    }

    /// The sessions that a logout ends.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Found> {
        self.session.iter().map(|(found, _)| found).chain(&self.ambiguous)
    }

    /// The sessions of this visit that the other one does not have.
    pub(crate) fn beyond(&self, other: &Self) -> Vec<Found> {
        let is_there =
            |found: &&Found| !other.all().any(|there| there.session.handle == found.session.handle);
        self.all().filter(is_there).cloned().collect()
    }

    /// What the visitor should hold instead of what they came with.
    pub(crate) fn successor(&self) -> Option<Credential> {
        let (found, _) = self.session.as_ref()?;
        let successor = found.successor.clone().map(Credential::Ticket);
        successor.or_else(|| found.refreshed.clone().map(Credential::Carried))
    }

    /// By what it is found, once there is an answer, what the visitor should hold; none if that is what they came with.
    /// Of a ticket it is the one that they came with: if that has lost its window meanwhile, they have its successor, or
    /// a later one whose place it must not take.
    pub(crate) fn outdated(&self) -> Option<Credential> {
        let (found, credential) = self.session.as_ref()?;
        let is_old = found.successor.is_some().then(|| credential.clone());
        is_old.or_else(|| found.refreshed.clone().map(Credential::Carried))
    }

    /// The ticket that the visitor came with, if that is how the session travels.
    pub(crate) fn ticket(&self) -> Option<(&Found, &Ticket)> {
        match &self.session {
            Some((found, Credential::Ticket(ticket))) => Some((found, ticket)),
            _ => None,
        }
    }

    /// Who is logged in.
    pub(crate) fn principal(&self) -> Option<&Principal> {
        self.session.as_ref().and_then(|(found, _)| found.session.principal.as_ref())
    }
}

/// For whom a session counts that is over for this application, and alive for another one of its realm.
fn unbounded(judge: &Judge) -> Judge {
    let timeouts = Timeouts { idle: Duration::ZERO, lifetime: Duration::ZERO };
    Judge { timeouts, ..judge.clone() }
}

/// Whether another of these is of the same session: a browser may have kept an old cookie under another path.
fn is_doubled(credential: &Credential, all: &[Option<Credential>]) -> bool {
    let handle = handle_of(credential);
    all.iter().flatten().filter(|other| handle_of(other) == handle).nth(1).is_some()
}

fn handle_of(credential: &Credential) -> Handle {
    match credential {
        Credential::Ticket(ticket) => ticket.handle,
        Credential::Carried(carried) => carried.session.handle,
    }
}
