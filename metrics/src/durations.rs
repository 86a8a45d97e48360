//! How long something takes, in a histogram.
//!
//! That of `prometheus-client` takes a lock for each value. This one is two atomic additions: one to the bucket, one to the
//! sum. A scrape may therefore see a value in a bucket that is not in the sum yet; the count is that of the buckets, so
//! it always agrees with them.

use std::collections::HashMap;
use std::fmt::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::exemplar::Exemplar;
use prometheus_client::metrics::{MetricType, TypedMetric};

/// Bounds of buckets for what somebody else does over a network, in microseconds: half a millisecond to ten seconds.
pub const NETWORK: &[u64] = &[
    500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    5_000_000, 10_000_000,
];

/// Bounds of buckets for a storage service, in microseconds: one in this process answers in some, one that is away is waited
/// for up to its deadline.
pub const STORAGE: &[u64] =
    &[50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 50_000, 100_000, 500_000, 1_000_000, 5_000_000];

/// Bounds of buckets for what this process does itself, in microseconds.
pub const OWN: &[u64] = &[25, 50, 100, 250, 500, 1_000, 5_000, 25_000, 100_000, 1_000_000];

/// How long something took, each time. Clones count together.
#[derive(Debug, Clone)]
pub struct Durations(Arc<Counts>);

#[derive(Debug)]
struct Counts {
    /// The upper bounds of all buckets but the last, in microseconds, ascending.
    bounds: &'static [u64],
    /// One more than there are bounds.
    buckets: Box<[AtomicU64]>,
    /// The sum, in nanoseconds: 584 years of them.
    sum: AtomicU64,
}

impl Durations {
    /// Buckets with these upper bounds, in microseconds, ascending; and one for what took longer.
    #[must_use]
    pub fn with_bounds(bounds: &'static [u64]) -> Self {
        let buckets = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self(Arc::new(Counts { bounds, buckets, sum: AtomicU64::new(0) }))
    }

    /// With the bounds of [`NETWORK`].
    #[must_use]
    pub fn over_the_network() -> Self {
        Self::with_bounds(NETWORK)
    }

    /// With the bounds of [`STORAGE`].
    #[must_use]
    pub fn of_storage() -> Self {
        Self::with_bounds(STORAGE)
    }

    /// It took so long once more.
    pub fn observe(&self, took: Duration) {
        let counts = &*self.0;
        let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let bucket = counts.bounds.partition_point(|bound| bound * 1_000 < nanoseconds);
        if let Some(bucket) = counts.buckets.get(bucket) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        counts.sum.fetch_add(nanoseconds, Ordering::Relaxed);
    }

    /// How often it was observed.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed)).sum()
    }
}

impl EncodeMetric for Durations {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), Error> {
        let counts = &*self.0;
        #[expect(clippy::cast_precision_loss, reason = "a bound has few digits")]
        let bounds = counts.bounds.iter().map(|bound| *bound as f64 / 1e6).chain([f64::INFINITY]);
        let buckets: Vec<(f64, u64)> =
            bounds.zip(counts.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed))).collect();
        let count = buckets.iter().map(|(_, count)| count).sum();
        let sum = Duration::from_nanos(counts.sum.load(Ordering::Relaxed)).as_secs_f64();
        encoder.encode_histogram(sum, count, &buckets, None::<&HashMap<usize, Exemplar<NoLabelSet, f64>>>)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

impl TypedMetric for Durations {
    const TYPE: MetricType = MetricType::Histogram;
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;
    use prometheus_client::registry::{Registry, Unit};

    use super::*;

    #[test]
    fn a_value_counts_in_the_bucket_whose_bound_it_reaches_and_in_all_above() {
        let mut registry = Registry::default();
        let durations = Durations::with_bounds(&[1_000, 5_000]);
        registry.register_with_unit("wait", "Waiting", Unit::Seconds, durations.clone());
        for microseconds in [1, 1_000, 1_001, 6_000] {
            durations.observe(Duration::from_micros(microseconds));
        }
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        for line in [
            "# TYPE wait_seconds histogram",
            r#"wait_seconds_bucket{le="0.001"} 2"#,
            r#"wait_seconds_bucket{le="0.005"} 3"#,
            r#"wait_seconds_bucket{le="+Inf"} 4"#,
            "wait_seconds_count 4",
            "wait_seconds_sum 0.008002",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn no_value_of_many_threads_is_lost() {
        let durations = Durations::of_storage();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..1_000).for_each(|_| durations.observe(Duration::from_millis(1))));
            }
        });
        assert_eq!(durations.count(), 4_000);
    }

    #[test]
    fn all_bounds_ascend() {
        for bounds in [NETWORK, STORAGE, OWN] {
            assert!(bounds.is_sorted_by(|one, next| one < next), "{bounds:?}");
        }
    }
}
