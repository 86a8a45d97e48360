//! A counter for each reason, of which all are known beforehand.
//!
//! All of them are there from the start, with zero: the first time that something happens is seen as a rise, and an
//! alert on a reason that never came up finds something to look at.

use prometheus_client::encoding::{EncodeLabelSet, EncodeMetric, LabelSetEncoder, MetricEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::{MetricType, TypedMetric};

/// Counters told apart by the label `reason`. Clones count together.
#[derive(Debug, Clone)]
pub struct Reasons(Box<[(&'static str, Counter)]>);

impl Reasons {
    /// One counter for each of `reasons`.
    #[must_use]
    pub fn of(reasons: &[&'static str]) -> Self {
        Self(reasons.iter().map(|reason| (*reason, Counter::default())).collect())
    }

    /// It happened once more, for this reason: one of those that were named at the start, else it is not counted.
    pub fn inc(&self, reason: &str) {
        let known = self.0.iter().find(|(known, _)| *known == reason);
        debug_assert!(known.is_some(), "`{reason}` must be named where these counters are made");
        if let Some((_, counter)) = known {
            counter.inc();
        }
    }
}

struct Label(&'static str);

impl EncodeLabelSet for Label {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> Result<(), std::fmt::Error> {
        [("reason", self.0)].encode(encoder)
    }
}

impl EncodeMetric for Reasons {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), std::fmt::Error> {
        for (reason, counter) in &self.0 {
            counter.encode(encoder.encode_family(&Label(reason))?)?;
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

impl TypedMetric for Reasons {
    const TYPE: MetricType = MetricType::Counter;
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;
    use prometheus_client::registry::Registry;

    use super::*;

    #[test]
    fn every_reason_is_there_before_it_first_happens() {
        let mut registry = Registry::default();
        let reasons = Reasons::of(&["rain", "snow"]);
        registry.register("late", "Late", reasons.clone());
        reasons.inc("snow");
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        assert!(text.contains("late_total{reason=\"rain\"} 0\nlate_total{reason=\"snow\"} 1\n"), "{text}");
    }
}
