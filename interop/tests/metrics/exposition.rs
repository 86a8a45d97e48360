//! An exposition of metrics in the OpenMetrics format, as far as the tests look into it.

use std::collections::{BTreeMap, BTreeSet};

/// All metrics, in the order in which they came.
pub(super) struct Exposition {
    pub(super) metrics: Vec<Metric>,
    samples: BTreeMap<String, f64>,
}

/// One metric with all its samples.
pub(super) struct Metric {
    /// As a query names it; of a histogram without `_bucket`, `_sum` and `_count`.
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) help: String,
    /// Every label with every value of it.
    pub(super) labels: BTreeMap<String, BTreeSet<String>>,
}

impl Exposition {
    pub(super) fn parse(text: &str) -> Self {
        assert!(text.ends_with("# EOF\n"), "{text}");
        let mut exposition = Self { metrics: Vec::new(), samples: BTreeMap::new() };
        let mut help = "";
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                help = rest.split_once(' ').unwrap().1;
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap();
                let suffix = match kind {
                    "counter" => "_total",
                    "info" => "_info",
                    _ => "",
                };
                exposition.metrics.push(Metric {
                    name: format!("{name}{suffix}"),
                    kind: kind.to_owned(),
                    help: help.to_owned(),
                    labels: BTreeMap::new(),
                });
            } else if !line.starts_with('#') {
                exposition.sample(line);
            }
        }
        exposition
    }

    fn sample(&mut self, line: &str) {
        let (sample, value) = line.rsplit_once(' ').unwrap();
        self.samples.insert(sample.to_owned(), value.parse().unwrap());
        let metric = self.metrics.last_mut().expect("a metric is described before its samples");
        assert!(sample.starts_with(&metric.name), "{sample} stands under {}", metric.name);
        let Some((_, labels)) = sample.split_once('{') else { return };
        for label in labels.trim_end_matches('}').split("\",").filter(|label| !label.is_empty()) {
            let (name, value) = label.split_once("=\"").unwrap();
            let values = metric.labels.entry(name.to_owned()).or_default();
            values.insert(value.trim_end_matches('"').to_owned());
        }
    }

    /// The value of a sample, by its name and labels as they are written.
    pub(super) fn value(&self, sample: &str) -> Option<f64> {
        self.samples.get(sample).copied()
    }

    /// Whether a query for this name can find something.
    pub(super) fn has(&self, name: &str) -> bool {
        self.samples.keys().any(|sample| sample.split('{').next() == Some(name))
    }
}
