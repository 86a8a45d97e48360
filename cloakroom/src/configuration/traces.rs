//! `[traces]`: whom to tell where requests spend their time. Only a build with the feature `otel` knows it.

use super::form::{Choice, Count, Text};
use super::names::Identifier;
use super::section::Section;
use super::web::{Origin, OriginText, Scheme};

/// `[traces]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Traces {
    /// The collector.
    pub endpoint: Origin,
    /// Who decides which requests are traced.
    pub sampling: Sampling,
    /// One request in so many.
    pub one_in: u32,
    /// What this service is called in traces.
    pub service_name: String,
}

/// Who decides which requests are traced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sampling {
    /// We do, whatever a request says.
    Ratio,
    /// The `traceparent` of the request, if it has one.
    Parent,
}

const SAMPLING: Choice<Sampling> =
    Choice { words: &[("ratio", Sampling::Ratio), ("parent", Sampling::Parent)], later: &[] };

impl Traces {
    pub(crate) fn read(section: &mut Section<'_>) -> Self {
        Self {
            endpoint: section.value(
                "endpoint",
                &Text(OriginText),
                Origin { scheme: Scheme::Http, host: "127.0.0.1".to_owned(), port: 4318 },
                "The collector, by OTLP over HTTP; spans are posted to `/v1/traces` there.",
            ),
            sampling: section.value(
                "sampling",
                &SAMPLING,
                Sampling::Ratio,
                "Who decides whether a request is traced. `ratio`: one in `one_in` is; `parent`: as its `traceparent` says, and \
                 one in `one_in` of those without one. Only say `parent` behind something whose word you take: otherwise any \
                 visitor has every request traced.",
            ),
            one_in: section.value("one_in", &Count(1..=1_000_000), 1, "One request in so many is traced."),
            service_name: section.value(
                "service_name",
                &Text(Identifier),
                "cloakroom".to_owned(),
                "What Cloakroom is called in traces.",
            ),
        }
    }
}
