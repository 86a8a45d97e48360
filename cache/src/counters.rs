//! What the cache counts.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use session::Why;

/// The counters of the session cache. Labels have few values, whatever visitors send.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// Found in the first tier and in storage: kept apart from their family, whose look-up takes a lock.
    pub(crate) found_first: Counter,
    pub(crate) found_storage: Counter,
    pub(crate) not_found: Family<Reason, Counter>,
    pub(crate) unavailable: Counter,
    pub(crate) opened: Counter,
    pub(crate) renewed: Counter,
    pub(crate) ended: Family<Reason, Counter>,
    pub(crate) ends_waiting: Counter,
    pub(crate) patched: Counter,
    pub(crate) conflicts: Counter,
    pub(crate) touched: Counter,
    pub(crate) touches_failed: Counter,
    pub(crate) reaped: Counter,
}

/// Where a session was found.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FoundIn {
    tier: &'static str,
}

/// Why something happened.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Reason {
    pub(crate) reason: &'static str,
}

impl Counters {
    pub(crate) fn registered(registry: &mut Registry) -> Self {
        let found = Family::<FoundIn, Counter>::default();
        let counters = Self {
            found_first: found.get_or_create_owned(&FoundIn { tier: "first" }),
            found_storage: found.get_or_create_owned(&FoundIn { tier: "storage" }),
            ..Self::default()
        };
        let sessions = registry.sub_registry_with_prefix("sessions");
        sessions.register("found", "Sessions found, by where", found);
        sessions.register("not_found", "Tickets that gave no session, by reason", counters.not_found.clone());
        sessions.register(
            "unavailable",
            "Requests that storage could not answer",
            counters.unavailable.clone(),
        );
        sessions.register("opened", "Sessions opened", counters.opened.clone());
        sessions.register("renewed", "Tickets renewed", counters.renewed.clone());
        sessions.register("ended", "Sessions ended, by reason", counters.ended.clone());
        sessions.register(
            "ends_waiting",
            "Ends that storage did not confirm at once and that were repeated until it did",
            counters.ends_waiting.clone(),
        );
        sessions.register("patched", "Updates written", counters.patched.clone());
        sessions.register(
            "conflicts",
            "Keys that two writers changed at once, of which one was told",
            counters.conflicts.clone(),
        );
        sessions.register("touched", "Last uses written", counters.touched.clone());
        sessions.register(
            "touches_failed",
            "Last uses not written, to be repeated",
            counters.touches_failed.clone(),
        );
        sessions.register("reaped", "Expired records and tombstones removed", counters.reaped.clone());
        counters
    }

    pub(crate) fn count_end(&self, why: Why) {
        self.ended.get_or_create(&Reason { reason: why.as_str() }).inc();
    }
}
