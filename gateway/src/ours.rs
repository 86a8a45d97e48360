//! What of any message is the gateway's, whichever application it is for.
//!
//! Applications share hosts and upstreams: what one of them believes must not come in by the path of another, nor its
//! tickets go out there. So what one application presents is stripped from the requests to all of them, plain proxying
//! included, and cookies that a browser sends to several are hidden from all but their own (law 7).

use std::sync::Arc;

use http::{HeaderMap, HeaderName};

use crate::cookies;
use crate::hygiene::Presented;
use crate::login::{INSECURE_NONCE_COOKIE, NONCE_COOKIE};
use crate::recovery;
use crate::settings::{ApplicationSettings, Carrier, ExportHeaders, SecureSettings, SessionSettings};

/// The names that are ours for the whole gateway.
#[derive(Debug)]
pub(crate) struct Ours {
    presented: Arc<Presented>,
    /// What no answer may say to a client.
    answered: Presented,
}

/// The cookies that are ours on the hosts of one application.
#[derive(Debug)]
pub(crate) struct OurCookies {
    /// Not for the application.
    hidden: Box<[Box<str>]>,
    /// Not from the application.
    reserved: Box<[Box<str>]>,
}

impl Ours {
    pub(crate) fn of(applications: &[ApplicationSettings], secure: &SecureSettings) -> Self {
        // What a rule sets on one path, an application believes on all of them.
        let asserted = applications
            .iter()
            .flat_map(|application| &application.rules)
            .flat_map(|rule| rule.request_headers.asserted());
        let presented = Presented::new(spoken(applications, secure).chain(asserted));
        Self { presented: Arc::new(presented), answered: Presented::new(answered(applications)) }
    }

    /// What the gateway itself speaks in, of sessions and of certificates: no rule may.
    pub(crate) fn beyond_rules(applications: &[ApplicationSettings], secure: &SecureSettings) -> Presented {
        Presented::new(spoken(applications, secure))
    }

    /// Removes what a client could pass for ours with; how many names that were.
    pub(crate) fn strip_request(&self, headers: &mut HeaderMap) -> usize {
        self.presented.remove(headers)
    }

    /// Every name that is ours.
    pub(crate) const fn names(&self) -> &Arc<Presented> {
        &self.presented
    }

    /// Removes every update header, once the one that counts was taken, and every ticket that an application makes up.
    pub(crate) fn strip_answer(&self, headers: &mut HeaderMap) {
        self.answered.remove(headers);
    }
}

impl OurCookies {
    /// Those that a browser could send to `application`, or take from it for those of another.
    pub(crate) fn of(application: &ApplicationSettings, all: &[ApplicationSettings]) -> Self {
        let own = application.sessions.as_ref().map(|sessions| &sessions.cookie.name);
        let mut reserved: Vec<Box<str>> = vec![NONCE_COOKIE.into(), INSECURE_NONCE_COOKIE.into()];
        for other in all {
            let Some(sessions) = &other.sessions else { continue };
            if !meet(application, other, sessions) {
                continue;
            }
            let recovery = match sessions.carrier {
                Carrier::RecoverableTicket { .. } => recovery::beside(&sessions.cookie).names().collect(),
                Carrier::Ticket | Carrier::Sealed { .. } => Vec::new(),
            };
            for name in sessions.cookie.names().chain(recovery).map(String::into_boxed_str) {
                if !reserved.contains(&name) {
                    reserved.push(name);
                }
            }
        }
        let shows_own = application.sessions.as_ref().is_some_and(|sessions| !sessions.hide_from_upstream);
        let is_shown = |name: &str| shows_own && own.is_some_and(|own| own == name);
        let hidden = reserved.iter().filter(|name| !is_shown(name)).cloned().collect();
        Self { hidden, reserved: reserved.into() }
    }

    pub(crate) fn hide(&self, headers: &mut HeaderMap) {
        cookies::hide(headers, &self.hidden);
    }

    /// Removes cookies of our names that an application sets; how many.
    pub(crate) fn remove_impostors(&self, headers: &mut HeaderMap) -> usize {
        cookies::remove_impostors(headers, &self.reserved)
    }
}

fn sessions(applications: &[ApplicationSettings]) -> impl Iterator<Item = &SessionSettings> {
    applications.iter().filter_map(|application| application.sessions.as_ref())
}

fn answered(applications: &[ApplicationSettings]) -> impl Iterator<Item = &HeaderName> {
    sessions(applications)
        .flat_map(|sessions| sessions.ticket_headers.outbound.iter().chain([&sessions.update_header]))
}

/// All that we present, the update headers, and those in which tickets travel.
fn names(applications: &[ApplicationSettings]) -> impl Iterator<Item = &HeaderName> {
    sessions(applications).flat_map(|sessions| {
        let own = [&sessions.conflict_header, &sessions.update_header];
        let exported = sessions.export.iter().filter_map(|export| export.headers.as_ref());
        let exported = exported.flat_map(ExportHeaders::names);
        let said = sessions.authentication.names().chain(own).chain(exported);
        sessions.presentation.headers().chain(said).chain(sessions.ticket_headers.names())
    })
}

/// All that the gateway itself says to applications, and what they say to it.
fn spoken<'a>(
    applications: &'a [ApplicationSettings],
    secure: &'a SecureSettings,
) -> impl Iterator<Item = &'a HeaderName> {
    names(applications).chain(&secure.subject_header).chain(&secure.fingerprint_header)
}

/// Whether a browser keeps the cookies of both together: on a host that both answer for, or by the cookie's domain.
fn meet(application: &ApplicationSettings, other: &ApplicationSettings, sessions: &SessionSettings) -> bool {
    let in_domain = |host: &str| {
        sessions.cookie.domain.as_deref().is_some_and(|domain| {
            let domain = domain.trim_start_matches('.');
            host.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        })
    };
    application.hosts.is_empty()
        || other.hosts.is_empty()
        || application.hosts.iter().any(|host| other.hosts.contains(host) || in_domain(host))
}
