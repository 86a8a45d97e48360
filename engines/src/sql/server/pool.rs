//! Connections to a database server, each for one operation at a time.
//!
//! This is no [`sqlx::Pool`]: that one asks a connection after every use whether it still lives, which is one more
//! round trip for each operation, and it keeps a connection whose answer nobody waited for. Here such a connection is
//! closed, because its next answer may never come. A server that cannot be reached is asked seldom, by one at a time:
//! meanwhile everybody learns at once that it is away.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

use super::Backend;
use super::fault::Fault;

/// A connection that nobody used for so long is not used again: a firewall may have forgotten it.
const MAX_IDLE: Duration = Duration::from_secs(240);
/// How long nobody tries after the first connection that failed, and after many.
const FIRST_PAUSE: Duration = Duration::from_millis(25);
const LONGEST_PAUSE: Duration = Duration::from_millis(400);
/// How long an attempt keeps others from making one beside it: where packets had vanished, it hangs on for longer than the
/// fault lasts, and the next one gets through.
const ANOTHER_ATTEMPT: Duration = Duration::from_millis(700);
/// A server that is back is found within a second.
const _: () = assert!(LONGEST_PAUSE.as_millis() < 1000 && ANOTHER_ATTEMPT.as_millis() < 1000);

/// Up to so many connections, opened when they are first needed.
pub(super) struct Pool<B: Backend> {
    backend: Arc<B>,
    connect_timeout: Duration,
    permits: Semaphore,
    state: Mutex<State<B::Connection>>,
}

struct State<C> {
    idle: Vec<(C, Instant)>,
    /// Grows when a connection died. Those that were opened before are not put back.
    generation: u64,
    outage: Option<Outage>,
}

/// The server cannot be reached.
struct Outage {
    fault: Fault,
    pause: Duration,
    /// When somebody may try again.
    until: Instant,
}

impl<B: Backend> Pool<B> {
    pub(super) fn new(backend: Arc<B>, count: u32, connect_timeout: Duration) -> Self {
        Self {
            backend,
            connect_timeout,
            permits: Semaphore::new(count as usize),
            state: Mutex::new(State { idle: Vec::new(), generation: 0, outage: None }),
        }
    }

    /// Waits for its turn, and for a connection if there is none yet.
    pub(super) async fn lease(&self) -> Result<Lease<'_, B>, Fault> {
        let Ok(permit) = self.permits.acquire().await else {
            return Err(Fault::new(&*self.backend, sqlx::Error::PoolClosed));
        };
        let (idle, generation) = self.admit()?;
        let connection = match idle {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        Ok(Lease { connection, generation, pool: self, _permit: permit })
    }

    /// A connection died: its neighbours have probably died with it.
    pub(super) fn doubt(&self) {
        let mut state = self.state.lock();
        state.generation += 1;
        let dead = std::mem::take(&mut state.idle);
        drop(state);
        drop(dead);
    }

    /// An idle connection, or the permission to open one.
    fn admit(&self) -> Result<(Option<B::Connection>, u64), Fault> {
        let mut state = self.state.lock();
        let generation = state.generation;
        if let Some((connection, since)) = state.idle.pop() {
            if since.elapsed() < MAX_IDLE {
                return Ok((Some(connection), generation));
            }
            // The others are still older.
            state.idle.clear();
        }
        if let Some(outage) = &mut state.outage {
            let now = Instant::now();
            if now < outage.until {
                return Err(outage.fault.clone());
            }
            // This one tries; the others are told meanwhile what the last one found.
            outage.until = now + self.connect_timeout.min(ANOTHER_ATTEMPT);
        }
        Ok((None, generation))
    }

    async fn connect(&self) -> Result<B::Connection, Fault> {
        let fault = match timeout(self.connect_timeout, self.backend.connect()).await {
            Ok(Ok(connection)) => {
                self.state.lock().outage = None;
                return Ok(connection);
            }
            Ok(Err(error)) => Fault::new(&*self.backend, error),
            Err(_) => Fault::slow(&*self.backend, self.connect_timeout),
        };
        let mut state = self.state.lock();
        let pause = state.outage.as_ref().map_or(FIRST_PAUSE, |outage| (outage.pause * 2).min(LONGEST_PAUSE));
        // Nodes that lost the same server do not come back in step.
        let until = Instant::now() + pause.mul_f64(0.5 + fastrand::f64() / 2.0);
        state.outage = Some(Outage { fault: fault.clone(), pause, until });
        Err(fault)
    }
}

/// A connection for one operation. If it is dropped before it is [finished](Lease::finish), it is closed: an answer may be
/// under way that nobody waits for.
pub(super) struct Lease<'a, B: Backend> {
    connection: B::Connection,
    generation: u64,
    pool: &'a Pool<B>,
    _permit: SemaphorePermit<'a>,
}

impl<B: Backend> Lease<'_, B> {
    pub(super) const fn connection(&mut self) -> &mut B::Connection {
        &mut self.connection
    }

    /// Its answer was read to the end: it can be used again.
    pub(super) fn finish(self) {
        let mut state = self.pool.state.lock();
        if state.generation == self.generation {
            state.idle.push((self.connection, Instant::now()));
        }
    }
}
