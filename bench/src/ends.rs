//! How soon an end reaches everybody: three gateways that share a storage, under half of the load that they can take.
//!
//! A visitor has a session at each of three gateways, and logs out at one. What is measured is the time from the answer
//! to that until the last of the three has refused the session, each asked for it again and again on a connection of its own.
//! Then the line between one gateway and the storage is cut, without a word: what is measured is how long that gateway
//! still serves a session that ended elsewhere.

mod load;
mod report;
mod site;
mod visitor;

use std::time::Duration;

pub(crate) use report::Report;

use crate::error::{Error, Result};
use crate::gateway::Upstream;
use crate::interrupt::Interrupt;
use crate::machine::{Machine, OF_STORAGE};
use load::Load;
use site::{Kind, Site};

/// What to measure.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// How many sessions are ended, on each storage.
    pub(crate) ends: u32,
    /// How long the load is measured that the gateways can take.
    pub(crate) length: Duration,
    /// How many sessions are ended behind the back of a gateway whose line is cut.
    pub(crate) cuts: u32,
}

/// What was found with one storage.
#[derive(Debug)]
pub(crate) struct Measured {
    pub(crate) storage: &'static str,
    /// What the three gateways answer at most.
    pub(crate) most_requests_per_second: f64,
    /// What they answered while sessions were ended.
    pub(crate) requests_per_second: f64,
    /// From the acknowledgement to the last refusal, sorted.
    pub(crate) milliseconds: Vec<f64>,
    /// How long a gateway that is cut off served what had ended elsewhere.
    pub(crate) cut_off_milliseconds: Vec<f64>,
}

/// Measures with every storage whose server is installed. What is not is named in the report.
pub(crate) fn measure(plan: &Plan, interrupt: &Interrupt) -> Result<Report> {
    let upstream = Upstream::start()?;
    let (mut measured, mut skipped) = (Vec::new(), Vec::new());
    for kind in Kind::ALL {
        eprintln!("{kind}:");
        let outcome = measure_one(kind, plan, &upstream, interrupt);
        interrupt.check()?;
        match outcome {
            Ok(one) => measured.push(one),
            Err(error) => {
                let missing = error.missing().ok_or(error)?;
                eprintln!("  skipped: {missing}");
                skipped.push((kind.name(), missing));
            }
        }
    }
    Ok(Report::new(plan, Machine::with(&OF_STORAGE), measured, skipped))
}

fn measure_one(kind: Kind, plan: &Plan, upstream: &Upstream, interrupt: &Interrupt) -> Result<Measured> {
    let mut site = Site::start(kind, upstream.address())?;
    let most = load::most(&site, plan.length)?;
    eprintln!("  {most:.0} requests/s at most");
    let load = Load::begin(&site, most / 2.0)?;
    let mut milliseconds = Vec::new();
    for number in 0..plan.ends {
        interrupt.check()?;
        milliseconds.push(visitor::leave(&site, number as usize)?.as_secs_f64() * 1e3);
    }
    let requests_per_second = load.end()?;
    milliseconds.sort_by(f64::total_cmp);
    site.cut_one_off()?;
    let mut cut_off_milliseconds = Vec::new();
    for _ in 0..plan.cuts {
        interrupt.check()?;
        cut_off_milliseconds.push(visitor::leave_unheard(&site)?.as_secs_f64() * 1e3);
    }
    let measured = Measured {
        storage: kind.name(),
        most_requests_per_second: most,
        requests_per_second,
        milliseconds,
        cut_off_milliseconds,
    };
    let p99 = measured.percentile(99).ok_or_else(|| Error::Load("no session was ended".to_owned()))?;
    eprintln!("  p99 {p99:.1} ms at {requests_per_second:.0} requests/s");
    Ok(measured)
}

impl Measured {
    /// So many of a hundred ends were through by then, in milliseconds; `None` when there was none.
    pub(crate) fn percentile(&self, percent: usize) -> Option<f64> {
        let last = self.milliseconds.len().checked_sub(1)?;
        self.milliseconds.get((self.milliseconds.len() * percent / 100).min(last)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_one_that_was_measured() {
        let with = |milliseconds| Measured {
            storage: "a",
            most_requests_per_second: 0.0,
            requests_per_second: 0.0,
            milliseconds,
            cut_off_milliseconds: Vec::new(),
        };
        assert_eq!(with(Vec::new()).percentile(99), None);
        assert_eq!(with(vec![1.0]).percentile(99), Some(1.0));
        let hundred = with((1..=100).map(f64::from).collect());
        assert_eq!((hundred.percentile(50), hundred.percentile(99)), (Some(51.0), Some(100.0)));
    }
}
