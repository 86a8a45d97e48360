//! What the cache counts.

use std::sync::Arc;

use metrics::Reasons;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric as _};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::registry::{Registry, Unit};
use session::Why;
use storage::Unavailable;

use crate::find::Absence;
use crate::tier::FirstTier;
use crate::{Find, Receipt};

/// How receipts turn out.
const WHOLE: &str = "whole";
const PARTIAL: &str = "partial";

/// The counters of the session cache. Labels have few values, whatever visitors send.
#[derive(Debug)]
pub(crate) struct Counters {
    /// Found in the first tier and in storage: kept apart from their family, whose look-up takes a lock.
    pub(crate) found_first: Counter,
    pub(crate) found_storage: Counter,
    pub(crate) not_found: Reasons,
    pub(crate) unavailable: Counter,
    pub(crate) opened: Counter,
    pub(crate) renewed: Counter,
    pub(crate) recovered: Counter,
    pub(crate) ended: Reasons,
    pub(crate) ended_all: Counter,
    /// Found in a cookie: kept apart from its family as well.
    pub(crate) found_carried: Counter,
    pub(crate) ends_waiting: Counter,
    pub(crate) ends_repeated: Counter,
    pub(crate) patched: Counter,
    pub(crate) conflicts: Counter,
    pub(crate) touched: Counter,
    pub(crate) touches_failed: Counter,
    pub(crate) reaped: Counter,
    receipts: Reasons,
}

/// Where a session was found.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FoundIn {
    tier: &'static str,
}

impl Counters {
    /// Counters that `registry` shows, and what it shows of the first tier, of the `outbox` and of the `nodes`.
    pub(crate) fn registered(
        registry: &mut Registry,
        tier: &Arc<FirstTier>,
        outbox: &Gauge,
        nodes: &Gauge,
    ) -> Self {
        let found = Family::<FoundIn, Counter>::default();
        let mut absences = Absence::ALL.map(Absence::as_str).to_vec();
        absences.push("ended");
        let counters = Self {
            found_first: found.get_or_create_owned(&FoundIn { tier: "first" }),
            found_storage: found.get_or_create_owned(&FoundIn { tier: "storage" }),
            found_carried: found.get_or_create_owned(&FoundIn { tier: "cookie" }),
            not_found: Reasons::of(&absences),
            unavailable: Counter::default(),
            opened: Counter::default(),
            renewed: Counter::default(),
            recovered: Counter::default(),
            ended: Reasons::of(&Why::ALL.map(Why::as_str)),
            ended_all: Counter::default(),
            ends_waiting: Counter::default(),
            ends_repeated: Counter::default(),
            patched: Counter::default(),
            conflicts: Counter::default(),
            touched: Counter::default(),
            touches_failed: Counter::default(),
            reaped: Counter::default(),
            receipts: Reasons::of(&[WHOLE, PARTIAL]),
        };
        registry.register(
            "nodes",
            "Processes that keep sessions on the same storage, this one included; 0 where storage is not shared. Falls without a \
             stop: one of them died, or cannot reach the storage",
            nodes.clone(),
        );
        let sessions = registry.sub_registry_with_prefix("sessions");
        sessions.register(
            "found",
            "Sessions found, by where: `first` is the memory of this process, `cookie` what visitors carry themselves. The share of `storage` rises: the first tier is \
             too small (`inproc_bytes`), or visitors change nodes",
            found,
        );
        sessions.register_collector(Box::new(FirstTierSize(Arc::clone(tier))));
        counters.register(sessions);
        sessions.register(
            "ends_pending",
            "Ends that wait now until storage confirms them; this node refuses these sessions meanwhile. Above zero: \
             storage is away. They outlive a restart, unless the log says that they could not be written down",
            outbox.clone(),
        );
        counters
    }

    fn register(&self, sessions: &mut Registry) {
        sessions.register(
            "not_found",
            "Tickets that gave no session, by reason. `unknown` and `ended` are everyday, and rise after a loss of storage; \
             `wrong_secret` rises: somebody guesses, or replays old tickets",
            self.not_found.clone(),
        );
        sessions.register(
            "unavailable",
            "Finds that storage could not answer: visitors got 503, and kept their sessions",
            self.unavailable.clone(),
        );
        sessions.register(
            "opened",
            "Sessions opened. Rises without visitors: something comes without its cookie, such as a crawler",
            self.opened.clone(),
        );
        sessions.register(
            "renewed",
            "Tickets renewed: logins, changes of who somebody is, and tickets older than `renew_interval`",
            self.renewed.clone(),
        );
        sessions.register(
            "recovered",
            "Sessions that came back from the recovery cookies of their visitors. Rises: storage has lost sessions, by a restart or \
             a failover",
            self.recovered.clone(),
        );
        sessions.register(
            "ended",
            "Sessions ended, by reason. `replaced`: another person logged in with the same ticket; `revoked` rises: \
             somebody ends sessions on purpose; `theft`: an old ticket was used after the one that followed it, so one of them was stolen; \
             `limit`: its person had more than they may",
            self.ended.clone(),
        );
        sessions.register(
            "ended_all",
            "Principals of whom all sessions were ended at once; the sessions themselves count as `revoked` when they come \
             back",
            self.ended_all.clone(),
        );
        sessions.register(
            "ends_waiting",
            "Ends that storage did not confirm at once and that were repeated until it did. A rise: storage was away \
             while somebody logged out",
            self.ends_waiting.clone(),
        );
        sessions.register(
            "ends_repeated",
            "Ends that storage had confirmed and did not have any more, which were made again. Above zero: it failed over to a \
             replica that lagged, or was restored, and what it confirmed last is lost",
            self.ends_repeated.clone(),
        );
        sessions.register("patched", "Updates of sessions written", self.patched.clone());
        sessions.register(
            "conflicts",
            "Keys that two writers changed at once, of which one was told. Rises: an application writes the same key in \
             parallel requests",
            self.conflicts.clone(),
        );
        sessions.register(
            "touched",
            "Last uses written: at most one a session and `touch_interval`",
            self.touched.clone(),
        );
        sessions.register(
            "touches_failed",
            "Last uses not written, to be repeated. Rises: storage is away, and sessions look older than they are",
            self.touches_failed.clone(),
        );
        sessions.register(
            "reaped",
            "Expired records and tombstones removed. Stands still while sessions are opened: storage only grows",
            self.reaped.clone(),
        );
        sessions.register(
            "receipts",
            "Receipts of ends, by outcome: `whole` if every node confirmed that it refuses what was ended, else `partial`. \
             `partial` rises: a node is gone, or does not hear of changes; the log names it",
            self.receipts.clone(),
        );
    }

    pub(crate) fn count_receipt(&self, receipt: &Receipt) {
        self.receipts.inc(if receipt.is_whole() { WHOLE } else { PARTIAL });
    }

    pub(crate) fn count_end(&self, why: Why) {
        self.ended.inc(why.as_str());
    }

    /// An answer that was not in the first tier.
    pub(crate) fn count_find(&self, answer: &Result<Find, Unavailable>) {
        self.count_answer(answer, &self.found_storage);
    }

    /// An answer about a session that its visitor carries.
    pub(crate) fn count_carried(&self, answer: &Result<Find, Unavailable>) {
        self.count_answer(answer, &self.found_carried);
    }

    fn count_answer(&self, answer: &Result<Find, Unavailable>, found: &Counter) {
        let reason = match answer {
            Ok(Find::Found(_)) => {
                found.inc();
                return;
            }
            Err(_) => {
                self.unavailable.inc();
                return;
            }
            Ok(Find::Absent(absence)) => absence.as_str(),
            Ok(Find::Ended(_)) => "ended",
        };
        self.not_found.inc(reason);
    }
}

/// How much the first tier holds, asked at each scrape.
#[derive(Debug)]
struct FirstTierSize(Arc<FirstTier>);

impl Collector for FirstTierSize {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let (bytes, entries) = self.0.size();
        let bytes = ConstGauge::new(bytes);
        let help = "What the copies of sessions in this process take, about. At `inproc_bytes` old ones make room for new ones.";
        let kind = bytes.metric_type();
        bytes.encode(encoder.encode_descriptor("first_tier", help, Some(&Unit::Bytes), kind)?)?;
        let entries = ConstGauge::new(entries as u64);
        let help = "Sessions of which this process has a copy.";
        entries.encode(encoder.encode_descriptor("first_tier_entries", help, None, entries.metric_type())?)
    }
}
