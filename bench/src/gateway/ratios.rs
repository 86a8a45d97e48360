//! What the project promises of the gateway: ratios between two rows, and what the design wants them to be.

use serde::Serialize;

use super::{Measured, Measurement};
use crate::spread::Spread;

/// A ratio of the CPU time per request of two rows, taken in each round.
#[derive(Clone, Copy, Debug)]
struct Promise {
    what: &'static str,
    row: &'static str,
    to: &'static str,
    target: Option<Target>,
}

/// What the design wants of a ratio.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Target {
    /// Not more than this.
    AtMost(f64),
    /// Not less than this.
    AtLeast(f64),
}

const PROMISES: [Promise; 12] = [
    Promise {
        what: "a session read, to the same gateway without sessions",
        row: "cloakroom-ticket",
        to: "cloakroom-none",
        target: Some(Target::AtMost(1.25)),
    },
    Promise {
        what: "a session read, to nginx's plain proxy",
        row: "cloakroom-ticket",
        to: "nginx",
        target: Some(Target::AtMost(1.6)),
    },
    Promise {
        what: "Apache with a plain cookie session, to a session read",
        row: "apache-cookie",
        to: "cloakroom-ticket",
        target: Some(Target::AtLeast(2.0)),
    },
    Promise {
        what: "Apache with the session in SQLite, to a session read",
        row: "apache-sqlite",
        to: "cloakroom-ticket",
        target: None,
    },
    Promise {
        what: "Apache with an encrypted cookie (mod_session_crypto), to a sealed session, reading",
        row: "apache-crypto",
        to: "cloakroom-sealed",
        target: Some(Target::AtLeast(70.0)),
    },
    Promise {
        what: "the same, where every response changes the session",
        row: "apache-crypto-update",
        to: "cloakroom-sealed-update",
        target: None,
    },
    Promise {
        what: "plain proxying, to nginx's plain proxy",
        row: "cloakroom-none",
        to: "nginx",
        target: None,
    },
    Promise {
        what: "plain proxying, to nginx that sets the forwarding headers as well",
        row: "cloakroom-none",
        to: "nginx-forwarding",
        target: None,
    },
    Promise {
        what: "plain proxying over TLS, HTTP/1.1, to nginx",
        row: "cloakroom-tls",
        to: "nginx-tls",
        target: None,
    },
    Promise {
        what: "plain proxying over TLS, HTTP/2, to nginx",
        row: "cloakroom-http2",
        to: "nginx-http2",
        target: None,
    },
    Promise {
        what: "a new connection over TLS, to nginx",
        row: "cloakroom-handshake",
        to: "nginx-handshake",
        target: None,
    },
    Promise {
        what: "a message over WebSocket and its echo, to nginx",
        row: "cloakroom-message",
        to: "nginx-message",
        target: None,
    },
];

/// A ratio as it was measured.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Ratio {
    /// Of what to what.
    pub(crate) what: &'static str,
    /// The row above the line.
    pub(crate) row: &'static str,
    /// The row below it.
    pub(crate) to: &'static str,
    /// What the design wants, if it says.
    pub(crate) target: Option<Target>,
    /// Over the rounds.
    pub(crate) measured: Spread,
    /// Whether the median is what the design wants.
    pub(crate) is_held: Option<bool>,
}

/// Those of which both rows were measured.
pub(crate) fn all(measured: &[Measured]) -> Vec<Ratio> {
    PROMISES
        .into_iter()
        .filter_map(|Promise { what, row, to, target }| {
            let measured = between(rounds_of(measured, row)?, rounds_of(measured, to)?)?;
            let is_held = target.map(|target| target.is_held(measured.median));
            Some(Ratio { what, row, to, target, measured, is_held })
        })
        .collect()
}

/// The ratio of a row to nginx in its place.
pub(crate) fn to_nginx(of: &Measured, measured: &[Measured]) -> Option<Spread> {
    between(&of.rounds, rounds_of(measured, of.row.peer)?)
}

fn rounds_of<'a>(measured: &'a [Measured], id: &str) -> Option<&'a [Measurement]> {
    measured.iter().find(|measured| measured.row.id == id).map(|measured| measured.rounds.as_slice())
}

/// Round by round, since two rounds may have met a different machine.
fn between(above: &[Measurement], below: &[Measurement]) -> Option<Spread> {
    let cost = |one: &Measurement| one.cpu_microseconds_per_request;
    Spread::of(above.iter().zip(below).map(|(above, below)| cost(above) / cost(below)))
}

impl Target {
    fn is_held(self, measured: f64) -> bool {
        match self {
            Self::AtMost(bound) => measured <= bound,
            Self::AtLeast(bound) => measured >= bound,
        }
    }

    /// As `at most 1.25`.
    pub(crate) fn shown(self) -> String {
        match self {
            Self::AtMost(bound) => format!("at most {bound}"),
            Self::AtLeast(bound) => format!("at least {bound}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::rows::ROWS;

    fn costing(id: &str, costs: [f64; 3]) -> Measured {
        let rounds = costs.map(|cost| Measurement {
            requests_per_second: 1e6 / cost,
            cpu_microseconds_per_request: cost,
            user_microseconds_per_request: cost / 2.0,
            p50_microseconds: 1.0,
            p99_microseconds: 2.0,
            resident_bytes_at_start: 1.0,
            resident_bytes: 1.0,
            proportional_bytes: 1.0,
            processes: 1.0,
            share_of_others: 0.0,
        });
        Measured { row: ROWS.iter().find(|row| row.id == id).unwrap(), rounds: rounds.to_vec() }
    }

    #[test]
    fn a_ratio_is_taken_within_each_round() {
        // In the second round everything took twice as long.
        let measured =
            [costing("cloakroom-none", [20.0, 40.0, 20.0]), costing("cloakroom-ticket", [22.0, 44.0, 26.0])];
        let ratios = all(&measured);
        let [ratio] = ratios.as_slice() else { panic!("{ratios:?}") };
        assert_eq!(ratio.measured, Spread { median: 1.1, min: 1.1, max: 1.3 });
        assert_eq!(ratio.is_held, Some(true));
    }

    #[test]
    fn a_target_is_missed_in_its_own_direction() {
        assert!(Target::AtMost(1.25).is_held(1.25) && !Target::AtMost(1.25).is_held(1.26));
        assert!(Target::AtLeast(2.0).is_held(2.0) && !Target::AtLeast(2.0).is_held(1.9));
    }

    #[test]
    fn every_promise_is_about_rows_that_are_measured() {
        for promise in PROMISES {
            for id in [promise.row, promise.to] {
                assert!(ROWS.iter().any(|row| row.id == id), "{id}");
            }
        }
    }
}
