//! What the gateway counts and times. Labels have few values, whatever clients send, and all of them are looked up at
//! the start: what a request costs here is a few atomic additions.

use std::time::{Duration, Instant};

use metrics::{Durations, OWN, Reasons};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

/// Why a request was refused before an application saw it, or its answer could not be given.
const REFUSED: &[&str] = &[
    "slow_handshake",
    "proxy_header",
    "not_tls",
    "tls_handshake",
    "malformed",
    "reset_flood",
    "head",
    "path",
    "no_application",
    "nobody_there",
    "not_allowed",
    "other_address",
    "crowded",
    "logged_out",
    "stolen_ticket",
    "storage_unavailable",
    "session_too_large_to_present",
];

/// Why a session cookie gave no session.
const COOKIES_REFUSED: &[&str] = &[
    "malformed",
    "too_many",
    "several_sessions",
    "unknown",
    "wrong_secret",
    "other_realm",
    "over_here",
    "replaced",
    "other_address",
    "ended",
];

/// What became of update headers.
const UPDATES: &[&str] = &[
    "done",
    "moved",
    "opened",
    "emptied",
    "conflict",
    "too_late",
    "logged_out",
    "limit",
    "crowded",
    "left_before_login",
    "left_in_a_crowd",
    "several_sessions",
    "alive_elsewhere",
    "unfit",
    "recovery_too_large",
    "too_large",
    "too_many_entries",
    "malformed",
    "login_refused",
    "cookie_of_our_name",
];

/// Why an application did not answer.
const UPSTREAM_FAILED: &[&str] = &[
    "unreachable",
    "too_slow",
    "broken_answer",
    "upgrade_nobody_asked_for",
    "slow_client",
    "body_too_large",
    "broken_request",
];

/// What became of attempts to log in and out.
const LOGINS: &[&str] = &[
    "logged_in",
    "logged_out",
    "logout_waits",
    "logout_everywhere_failed",
    "logout_refused",
    "no_room",
    "unavailable",
    "refused",
    "method",
    "form",
    "token",
    "incomplete",
    "wrong",
    "too_many",
    "limit",
    "logged_out_meanwhile",
    "crowded",
    "busy",
    "broken",
];

/// The counters of the gateway.
#[derive(Debug)]
pub(crate) struct Counters {
    pub(crate) connections: Gauge,
    pub(crate) in_flight: Gauge,
    requests: Family<Answered, Counter>,
    request: Family<Asked, Durations>,
    upstream: Family<Asked, Durations>,
    added: Durations,
    refused: Reasons,
    cookies_refused: Reasons,
    pub(crate) stripped: Counter,
    updates: Reasons,
    upstream_failed: Reasons,
    logins: Reasons,
}

/// Something that is there now: it counts in a gauge until it is dropped.
#[derive(Debug)]
pub(crate) struct Counted(Gauge);

impl Counted {
    pub(crate) fn in_gauge(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Who answered, and with what.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    application: Box<str>,
    status: &'static str,
}

/// Who was asked.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Asked {
    application: Box<str>,
}

/// The classes of status.
const STATUSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// What is counted of one application's answers, looked up once.
#[derive(Debug, Clone)]
pub(crate) struct Answers {
    /// One for each class of status.
    statuses: [Counter; 5],
    took: Durations,
    added: Durations,
}

impl Counters {
    pub(crate) fn registered(registry: &mut Registry) -> Self {
        let timed = || Family::new_with_constructor(Durations::over_the_network as fn() -> Durations);
        let counters = Self {
            connections: Gauge::default(),
            in_flight: Gauge::default(),
            requests: Family::default(),
            request: timed(),
            upstream: timed(),
            added: Durations::with_bounds(OWN),
            refused: Reasons::of(REFUSED),
            cookies_refused: Reasons::of(COOKIES_REFUSED),
            stripped: Counter::default(),
            updates: Reasons::of(UPDATES),
            upstream_failed: Reasons::of(UPSTREAM_FAILED),
            logins: Reasons::of(LOGINS),
        };
        counters.register(registry.sub_registry_with_prefix("gateway"));
        counters
    }

    fn register(&self, gateway: &mut Registry) {
        gateway.register(
            "connections",
            "Connections of visitors that are open now, WebSockets included. At `max_connections` the next one waits",
            self.connections.clone(),
        );
        gateway.register(
            "in_flight",
            "Requests being answered now, to the end of the answer's body. Rises when applications get slow",
            self.in_flight.clone(),
        );
        gateway.register(
            "requests",
            "Requests, by application and class of status; `none` where no application was meant. `5xx` rises: see which \
             of `upstream_failed` and `refused` rises with it; if none does, the application itself fails",
            self.requests.clone(),
        );
        gateway.register_with_unit(
            "request",
            "How long requests took, from their head to the head of the answer. Rises with `upstream`: the application is \
             slow; without it: we are, see `added`",
            Unit::Seconds,
            self.request.clone(),
        );
        gateway.register_with_unit(
            "upstream",
            "How long applications took to begin their answers, connecting and sending included",
            Unit::Seconds,
            self.upstream.clone(),
        );
        gateway.register_with_unit(
            "added",
            "What we added to requests ourselves: all but waiting for applications; waiting for storage is in it. Rises \
             with `storage_operation`: storage is slow; without it: this machine lacks processor time",
            Unit::Seconds,
            self.added.clone(),
        );
        gateway.register(
            "refused",
            "Requests refused before an application saw them, by reason. `storage_unavailable`: storage is away, nobody \
             is logged out; `session_too_large_to_present`: an application keeps too much; `other_address`: a \
             session is tied to another address, see `on_address_change`; `stolen_ticket`: visitors told that their \
             session was ended for an old ticket; `malformed`, `head`, `path`, \
             `reset_flood`: somebody tries things; `no_application`: a host name is missing in the configuration; \
             `proxy_header`: a proxy in `listen.proxy_protocol` does not send its header; `tls_handshake`, `not_tls`, \
             `slow_handshake`: connections that did not come in",
            self.refused.clone(),
        );
        gateway.register(
            "cookies_refused",
            "Session cookies that gave no session, by reason. `unknown` and `ended` are everyday; `wrong_secret` and \
             `malformed` rise: somebody guesses, or damages cookies; `several_sessions`: two cookies of the name",
            self.cookies_refused.clone(),
        );
        gateway.register(
            "headers_stripped",
            "Headers of clients that an application could have taken for ours. A rise is somebody who tries to pass \
             for somebody else",
            self.stripped.clone(),
        );
        gateway.register(
            "updates",
            "Update headers of applications, by what became of them. What is neither `done`, `opened` nor `emptied` \
             was not kept whole: the log says of which application",
            self.updates.clone(),
        );
        gateway.register(
            "upstream_failed",
            "Requests that an application did not answer, by reason. `unreachable`: it is down; `too_slow`: it takes \
             longer than `response_timeout`; `slow_client`, `body_too_large`, `broken_request`: it was the client",
            self.upstream_failed.clone(),
        );
        gateway.register(
            "logins",
            "Attempts to log in and out, by outcome. `wrong` and `too_many` rise: somebody guesses passwords; `busy`: \
             more logins at once than the processors verify; `limit`: somebody has \
             as many sessions as they may; `broken`: the password file cannot be read",
            self.logins.clone(),
        );
    }

    pub(crate) fn answers(&self, application: &str) -> Answers {
        Answers {
            statuses: STATUSES.map(|status| {
                self.requests.get_or_create_owned(&Answered { application: application.into(), status })
            }),
            took: self.request.get_or_create_owned(&Asked { application: application.into() }),
            added: self.added.clone(),
        }
    }

    /// How long this application takes to begin its answers.
    pub(crate) fn upstream(&self, application: &str) -> Durations {
        self.upstream.get_or_create_owned(&Asked { application: application.into() })
    }

    /// Counts no more for an application that is gone.
    pub(crate) fn forget(&self, application: &str) {
        for status in STATUSES {
            self.requests.remove(&Answered { application: application.into(), status });
        }
        let asked = Asked { application: application.into() };
        self.request.remove(&asked);
        self.upstream.remove(&asked);
    }

    pub(crate) fn refuse(&self, reason: &str) {
        self.refused.inc(reason);
    }

    pub(crate) fn refuse_cookie(&self, reason: &str) {
        self.cookies_refused.inc(reason);
    }

    pub(crate) fn update(&self, reason: &str) {
        self.updates.inc(reason);
    }

    pub(crate) fn upstream_failed(&self, reason: &str) {
        self.upstream_failed.inc(reason);
    }

    pub(crate) fn login(&self, reason: &str) {
        self.logins.inc(reason);
    }
}

impl Answers {
    /// Counts an answer to a request that came at `since`, of which the application was waited for as long as `waited`.
    pub(crate) fn count(&self, status: http::StatusCode, since: Instant, waited: Duration) {
        let class = usize::from(status.as_u16() / 100).saturating_sub(1).min(4);
        if let Some(counter) = self.statuses.get(class) {
            counter.inc();
        }
        let took = since.elapsed();
        self.took.observe(took);
        self.added.observe(took.saturating_sub(waited));
    }
}
