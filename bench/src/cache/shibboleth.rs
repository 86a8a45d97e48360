//! What it costs the Shibboleth service provider to open a session for somebody who has many already, and for who has none.

use std::time::Instant;

use interop::{Portal, Shibboleth};

use crate::error::{Error, Result};
use crate::interrupt::Interrupt;
use crate::spread::Spread;
use crate::usage::{exact_cpu_time, family};

/// Logins of a stretch, of the person whose sessions grow meanwhile, and of people who had none.
const STRETCH: u32 = 10;
const NEWCOMERS: u32 = 100;
/// How often both are measured about each number of sessions.
const ROUNDS: u32 = 3;
/// How many sessions the person has when it is measured.
const STAGES: [u32; 4] = [0, 100, 500, 1_000];

/// What was measured when the person had about so many sessions.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    pub(super) had: u32,
    /// Microseconds of CPU time of one login: of the process that keeps the sessions, and of Apache.
    pub(super) shibd: Spread,
    pub(super) apache: Spread,
    pub(super) milliseconds: Spread,
    /// Of all CPU time, to that of a login of somebody who had no session, taken in each round.
    pub(super) ratio: Spread,
}

/// Measures up to so many sessions of one person.
pub(super) fn measure(most: u32, interrupt: &Interrupt) -> Result<Vec<Row>> {
    let shibboleth = Shibboleth::start()?;
    let mut run = Run { portal: shibboleth.portal()?, shibboleth, newcomers: 0, had: 0 };
    run.newcomers(2 * NEWCOMERS)?;
    let mut rows = Vec::new();
    for stage in STAGES.into_iter().filter(|stage| *stage <= most) {
        let mut rounds = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        // So that the middle of what is measured is where it is said to be.
        let begin = stage.saturating_sub(ROUNDS * STRETCH / 2);
        while run.had < begin {
            interrupt.check()?;
            run.log_in_again(STRETCH.min(begin - run.had))?;
        }
        for _ in 0..ROUNDS {
            interrupt.check()?;
            let newcomer = run.timed(NEWCOMERS, Run::newcomers)?;
            let one = if stage == 0 {
                run.timed(NEWCOMERS, Run::newcomers)?
            } else {
                run.timed(STRETCH, Run::log_in_again)?
            };
            rounds.0.push(one.shibd);
            rounds.1.push(one.apache);
            rounds.2.push(one.milliseconds);
            rounds.3.push((one.shibd + one.apache) / (newcomer.shibd + newcomer.apache));
        }
        let spread = |values| Spread::of(values).ok_or_else(|| Error::Load("nobody logged in".to_owned()));
        let row = Row {
            had: stage,
            shibd: spread(rounds.0)?,
            apache: spread(rounds.1)?,
            milliseconds: spread(rounds.2)?,
            ratio: spread(rounds.3)?,
        };
        eprintln!("shibd, {stage} before: {:.0} us", row.shibd.median);
        rows.push(row);
    }
    Ok(rows)
}

struct Run {
    portal: Portal,
    shibboleth: Shibboleth,
    /// How many people have come who had no session.
    newcomers: u32,
    /// How many sessions the person has.
    had: u32,
}

/// What one login took.
struct Login {
    shibd: f64,
    apache: f64,
    milliseconds: f64,
}

impl Run {
    fn newcomers(&mut self, count: u32) -> Result<()> {
        for _ in 0..count {
            self.newcomers += 1;
            let name = format!("newcomer-{:010}", self.newcomers);
            self.portal.log_in(&name, &name)?;
        }
        Ok(())
    }

    /// Each time with a session index of its own, as identity providers give them.
    fn log_in_again(&mut self, count: u32) -> Result<()> {
        for _ in 0..count {
            self.had += 1;
            self.portal.log_in("one-person", &format!("index-{:010}", self.had))?;
        }
        Ok(())
    }

    fn timed(&mut self, count: u32, what: fn(&mut Self, u32) -> Result<()>) -> Result<Login> {
        let shibd = family(self.shibboleth.shibd().id());
        let apache = family(self.shibboleth.apache().id());
        let (shibd_before, apache_before) = (exact_cpu_time(&shibd), exact_cpu_time(&apache));
        let began = Instant::now();
        what(self, count)?;
        let elapsed = began.elapsed();
        let each = |time: std::time::Duration| time.as_secs_f64() * 1e6 / f64::from(count);
        Ok(Login {
            shibd: each(exact_cpu_time(&shibd).saturating_sub(shibd_before)),
            apache: each(exact_cpu_time(&apache).saturating_sub(apache_before)),
            milliseconds: each(elapsed) / 1e3,
        })
    }
}
