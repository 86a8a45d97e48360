//! What the gateway counts. Labels have few values, whatever clients send.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// The counters of the gateway.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) connections: Gauge,
    pub(crate) in_flight: Gauge,
    requests: Family<Answered, Counter>,
    refused: Family<Reason, Counter>,
    cookies_refused: Family<Reason, Counter>,
    pub(crate) stripped: Counter,
    updates: Family<Reason, Counter>,
    upstream_failed: Family<Reason, Counter>,
    logins: Family<Reason, Counter>,
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

/// Why.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

/// The classes of status.
const STATUSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// The counters of one application's answers, looked up once: one for each class of status.
#[derive(Debug, Clone)]
pub(crate) struct Answers([Counter; 5]);

impl Counters {
    pub(crate) fn registered(registry: &mut Registry) -> Self {
        let counters = Self::default();
        let gateway = registry.sub_registry_with_prefix("gateway");
        gateway.register("connections", "Connections open now", counters.connections.clone());
        gateway.register("in_flight", "Requests being answered now", counters.in_flight.clone());
        gateway.register(
            "requests",
            "Requests, by application and class of status",
            counters.requests.clone(),
        );
        gateway.register(
            "refused",
            "Requests refused before an application saw them, by reason",
            counters.refused.clone(),
        );
        gateway.register(
            "cookies_refused",
            "Session cookies that gave no session, by reason",
            counters.cookies_refused.clone(),
        );
        gateway.register(
            "headers_stripped",
            "Headers of clients that an application could have taken for ours",
            counters.stripped.clone(),
        );
        gateway.register(
            "updates",
            "Update headers of applications, by what became of them",
            counters.updates.clone(),
        );
        gateway.register(
            "upstream_failed",
            "Requests that an application did not answer, by reason",
            counters.upstream_failed.clone(),
        );
        gateway.register("logins", "Attempts to log in and out, by outcome", counters.logins.clone());
        counters
    }

    pub(crate) fn answers(&self, application: &str) -> Answers {
        Answers(STATUSES.map(|status| {
            self.requests.get_or_create_owned(&Answered { application: application.into(), status })
        }))
    }

    /// Counts no more for an application that is gone.
    pub(crate) fn forget(&self, application: &str) {
        for status in STATUSES {
            self.requests.remove(&Answered { application: application.into(), status });
        }
    }

    pub(crate) fn refuse(&self, reason: &'static str) {
        self.refused.get_or_create(&Reason { reason }).inc();
    }

    pub(crate) fn refuse_cookie(&self, reason: &'static str) {
        self.cookies_refused.get_or_create(&Reason { reason }).inc();
    }

    pub(crate) fn update(&self, reason: &'static str) {
        self.updates.get_or_create(&Reason { reason }).inc();
    }

    pub(crate) fn upstream_failed(&self, reason: &'static str) {
        self.upstream_failed.get_or_create(&Reason { reason }).inc();
    }

    pub(crate) fn login(&self, reason: &'static str) {
        self.logins.get_or_create(&Reason { reason }).inc();
    }
}

impl Answers {
    pub(crate) fn count(&self, status: http::StatusCode) {
        let class = usize::from(status.as_u16() / 100).saturating_sub(1).min(4);
        if let Some(counter) = self.0.get(class) {
            counter.inc();
        }
    }
}
