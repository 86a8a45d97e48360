//! One operation of one row: what each side took for it, and what that is to the other sides.

use serde::Serialize;

use super::Measurement;
use super::subjects::Side;
use super::work::Operation;
use crate::spread::Spread;

/// The most that an engine may take of its own, to the bare driver (issue 4, point 7).
pub(super) const MOST: f64 = 1.30;

/// One operation with so many clients, as each side does it: first the engine, then what it is built on.
#[derive(Debug, Serialize)]
pub(super) struct Comparison {
    pub(super) operation: Operation,
    pub(super) clients: u32,
    sides: Vec<Rounds>,
}

/// What was measured of one side, round by round.
#[derive(Debug, Serialize)]
struct Rounds {
    name: &'static str,
    rounds: Vec<Measurement>,
}

/// A side in numbers.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Figures {
    pub(super) name: &'static str,
    pub(super) per_second: Spread,
    pub(super) own_microseconds: Spread,
    pub(super) server_microseconds: Spread,
    pub(super) p50_microseconds: Spread,
    pub(super) p99_microseconds: Spread,
    /// CPU time of this process with the engine, to that with this side; nothing for the engine itself.
    pub(super) own_ratio: Option<Spread>,
    /// The same of the server's CPU time, where it has one.
    pub(super) server_ratio: Option<Spread>,
}

impl Comparison {
    pub(super) fn new(operation: Operation, clients: u32, sides: &[Side]) -> Self {
        let sides = sides.iter().map(|side| Rounds { name: side.name, rounds: Vec::new() }).collect();
        Self { operation, clients, sides }
    }

    /// Another round of that side.
    pub(super) fn add(&mut self, side: usize, measurement: Measurement) {
        if let Some(side) = self.sides.get_mut(side) {
            side.rounds.push(measurement);
        }
    }

    /// Those sides that were measured, the engine first.
    pub(super) fn figures(&self) -> Vec<Figures> {
        let engine = self.sides.first();
        let figures = self.sides.iter().enumerate().filter_map(|(place, side)| {
            let engine = engine.filter(|_| place > 0);
            let ratio = |of: fn(&Measurement) -> f64| side.ratio(engine?, of);
            Some(Figures {
                name: side.name,
                per_second: side.spread(|one| one.per_second)?,
                own_microseconds: side.spread(|one| one.own_microseconds)?,
                server_microseconds: side.spread(|one| one.server_microseconds)?,
                p50_microseconds: side.spread(|one| one.p50_microseconds)?,
                p99_microseconds: side.spread(|one| one.p99_microseconds)?,
                own_ratio: ratio(|one| one.own_microseconds),
                server_ratio: ratio(|one| one.server_microseconds),
            })
        });
        figures.collect()
    }

    /// Operations a second of the engine, if this is about that.
    pub(super) fn rate_of(&self, operation: Operation, clients: u32) -> Option<f64> {
        let is_it = self.operation == operation && self.clients == clients;
        is_it.then(|| Some(self.sides.first()?.spread(|one| one.per_second)?.median))?
    }

    /// What part of the machine others had in each of the stretches.
    pub(super) fn shares_of_others(&self) -> impl Iterator<Item = f64> {
        self.sides.iter().flat_map(|side| &side.rounds).map(|round| round.share_of_others)
    }

    /// In a line, as long as it runs; nothing if nothing was measured.
    pub(super) fn shown(&self) -> Option<String> {
        let figures = self.figures();
        let engine = figures.first()?;
        let mut line = format!(
            "{}, {} at a time: {:.0} a second, {:.1} us here and {:.1} us in the server",
            self.operation.shown(),
            self.clients,
            engine.per_second.median,
            engine.own_microseconds.median,
            engine.server_microseconds.median,
        );
        for bare in figures.iter().skip(1) {
            let own = bare.own_ratio.map_or(0.0, |ratio| ratio.median);
            line += &format!("; {own:.2} x {}", bare.name);
        }
        Some(line)
    }
}

impl Rounds {
    fn spread(&self, of: fn(&Measurement) -> f64) -> Option<Spread> {
        Spread::of(self.rounds.iter().map(of))
    }

    /// Of the engine to this one, round by round, since two rounds may have met a different machine. Ticks are a hundredth of a
    /// second: where less than that was used there is nothing to compare.
    fn ratio(&self, engine: &Self, of: fn(&Measurement) -> f64) -> Option<Spread> {
        let pairs = engine.rounds.iter().zip(&self.rounds).map(|(engine, bare)| (of(engine), of(bare)));
        Spread::of(pairs.filter(|(_, bare)| *bare > 0.0).map(|(engine, bare)| engine / bare))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn costing(name: &'static str, own: [f64; 3], server: f64) -> Rounds {
        let one = |own_microseconds| Measurement {
            per_second: 1000.0,
            own_microseconds,
            server_microseconds: server,
            p50_microseconds: 1.0,
            p99_microseconds: 2.0,
            share_of_others: 0.25,
        };
        Rounds { name, rounds: own.map(one).to_vec() }
    }

    #[test]
    fn a_ratio_is_taken_within_each_round() {
        // In the second round everything took twice as long.
        let sides =
            vec![costing("engine", [11.0, 22.0, 13.0], 5.0), costing("bare", [10.0, 20.0, 10.0], 0.0)];
        let comparison = Comparison { operation: Operation::Create, clients: 64, sides };
        let [engine, bare] = comparison.figures().try_into().unwrap();
        assert_eq!(engine.own_ratio, None);
        assert_eq!(bare.own_ratio, Some(Spread { median: 1.1, min: 1.1, max: 1.3 }));
        // A map has no server.
        assert_eq!(bare.server_ratio, None);
        assert_eq!(comparison.rate_of(Operation::Create, 64), Some(1000.0));
        assert_eq!(comparison.rate_of(Operation::Create, 1), None);
        assert_eq!(comparison.shares_of_others().count(), 6);
    }

    #[test]
    fn what_was_not_measured_is_not_shown() {
        let sides = vec![Rounds { name: "engine", rounds: Vec::new() }];
        let comparison = Comparison { operation: Operation::Read, clients: 1, sides };
        assert!(comparison.shown().is_none() && comparison.figures().is_empty());
    }
}
