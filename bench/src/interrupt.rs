//! Ctrl-C ends a run in order. Servers are stopped when their values are dropped, which a process that is killed
//! never comes to: they would run on, and the next run would measure beside them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use tokio::runtime::Builder;

use crate::error::{Error, Result};

/// Whether somebody wants the run to end.
#[derive(Clone, Debug, Default)]
pub(crate) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// From now on Ctrl-C only sets this.
    pub(crate) fn watched() -> Result<Self> {
        let interrupt = Self::default();
        let heard = interrupt.clone();
        let runtime = Builder::new_current_thread().enable_io().build().map_err(Error::file("signals"))?;
        thread::spawn(move || {
            if runtime.block_on(tokio::signal::ctrl_c()).is_ok() {
                heard.0.store(true, Ordering::Relaxed);
            }
        });
        Ok(interrupt)
    }

    /// To be asked between two steps. What the user's terminal has sent Ctrl-C to, wrk among it, ends early by
    /// itself, so no step is long.
    pub(crate) fn check(&self) -> Result<()> {
        if self.0.load(Ordering::Relaxed) { Err(Error::Interrupted) } else { Ok(()) }
    }
}
