//! How old the keys are, for the metrics.
//!
//! Asked at each scrape. The labels are the three states, whatever the keys are called.

use std::fmt::Error;
use std::sync::Arc;
use std::time::SystemTime;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;
use seal::{KeyInfo, KeyState, Keys};

/// The keys that are looked at.
#[derive(Debug)]
pub struct KeyMetrics(Arc<Keys>);

impl KeyMetrics {
    /// Of these keys.
    #[must_use]
    pub fn of(keys: &Arc<Keys>) -> Self {
        Self(Arc::clone(keys))
    }
}

impl Collector for KeyMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let (ring, now) = (self.0.ring(), SystemTime::now());
        let states = [KeyState::Announced, KeyState::Active, KeyState::Retiring];
        let help = "How many keys there are, by state. Without `active` nothing could be sealed";
        let mut counts = encoder.encode_descriptor("seal_keys", help, None, MetricType::Gauge)?;
        for state in states {
            let count = ring.keys().filter(|key| key.state == state).count() as u64;
            ConstGauge::new(count).encode(counts.encode_family(&[("state", state.to_string())])?)?;
        }
        let help = "How long ago the key was made that seals (`active`), or the oldest of another state. `active` grows beyond \
                    `every`: no node makes keys any more";
        let unit = Some(&Unit::Seconds);
        let mut ages = encoder.encode_descriptor("seal_key_age", help, unit, MetricType::Gauge)?;
        for state in states {
            let age = |key: &KeyInfo| now.duration_since(key.made?).ok();
            let age = match state {
                KeyState::Active => ring.sealing_key().and_then(age),
                _ => ring.keys().filter(|key| key.state == state).filter_map(age).max(),
            };
            if let Some(age) = age {
                ConstGauge::new(age.as_secs_f64())
                    .encode(ages.encode_family(&[("state", state.to_string())])?)?;
            }
        }
        Ok(())
    }
}
