//! A connection to one server that is made again when it breaks.
//!
//! ```text
//! connecting -> up -> broken: connecting -> up
//!     |                           |
//!     +-> down, and still trying <+
//! ```
//!
//! Whoever asks while it is connecting waits; while it is down they are told at once why, and the next attempt is never more
//! than [`LONGEST_PAUSE`] away. An attempt that hangs does not hold up the next one, and there are at most [`AT_ONCE`]: so
//! a server that is back is found within a second, however it was away, and is not stormed. A server that is silent
//! for [`SUSPICIOUS`] may be gone without a word: a second connection is made beside the first and takes its place, while the
//! answers are still waited for.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use redis::aio::MultiplexedConnection;
use redis::{Pipeline, PushInfo, PushKind, Value};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, timeout_at};

use super::dial::{Dialling, Seen};
use super::fault::{Fault, Kind};
use super::url::Address;

const SHORTEST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_millis(600);
const AT_ONCE: usize = 10;
const SUSPICIOUS: Duration = Duration::from_millis(500);
/// Where packets vanish, all attempts hang until their time is over, two seconds if nobody says otherwise: there is always room
/// for the next one.
const _: () =
    assert!(LONGEST_PAUSE.as_millis() < 1000 && SHORTEST_PAUSE.as_millis() * AT_ONCE as u128 >= 2000);

/// A connection that is kept. It is made when it is first used.
#[derive(Debug)]
pub(super) struct Link {
    shared: Arc<Shared>,
    keeper: OnceLock<AbortHandle>,
}

#[derive(Debug)]
struct Shared {
    address: Address,
    dial: Dialling,
    patience: Duration,
    must_be_primary: bool,
    state: watch::Sender<State>,
    /// A connection of at least this generation is needed.
    wanted: watch::Sender<u64>,
}

#[derive(Debug, Clone)]
enum State {
    Connecting,
    Up(Up),
    Down(Fault),
}

/// A connection that was there a moment ago.
#[derive(Clone)]
pub(super) struct Up {
    generation: u64,
    pub(super) connection: MultiplexedConnection,
    pub(super) seen: Arc<Seen>,
}

impl std::fmt::Debug for Up {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Up")
            .field("generation", &self.generation)
            .field("seen", &self.seen)
            .finish_non_exhaustive()
    }
}

impl Link {
    /// A link to `address`. A server that is no primary is not accepted if it must be one.
    pub(super) fn new(address: Address, dial: Dialling, patience: Duration, must_be_primary: bool) -> Self {
        let (state, wanted) = (watch::Sender::new(State::Connecting), watch::Sender::new(1));
        let shared = Shared { address, dial, patience, must_be_primary, state, wanted };
        Self { shared: Arc::new(shared), keeper: OnceLock::new() }
    }

    pub(super) fn address(&self) -> &Address {
        &self.shared.address
    }

    /// The connection, if there is one by then.
    pub(super) async fn up(&self, until: Instant) -> Result<Up, Fault> {
        if let State::Up(up) = &*self.shared.state.borrow() {
            return Ok(up.clone());
        }
        self.keeper.get_or_init(|| tokio::spawn(keep(Arc::clone(&self.shared))).abort_handle());
        let began = Instant::now();
        let mut state = self.shared.state.subscribe();
        let is_decided = |state: &State| !matches!(state, State::Connecting);
        match timeout_at(until, state.wait_for(is_decided)).await {
            Ok(Ok(state)) => match &*state {
                State::Up(up) => Ok(up.clone()),
                State::Down(fault) => Err(fault.clone()),
                State::Connecting => Err(Fault::unconnected(self.address(), began.elapsed())),
            },
            Ok(Err(_)) | Err(_) => Err(Fault::unconnected(self.address(), began.elapsed())),
        }
    }

    /// The answers to several questions, errors of single ones among them, and the connection on which they came.
    pub(super) async fn ask(&self, questions: &Pipeline, until: Instant) -> Result<(Vec<Value>, Up), Fault> {
        let up = self.up(until).await?;
        let began = Instant::now();
        let (mut connection, count) = (up.connection.clone(), questions.len());
        let mut answers = std::pin::pin!(connection.send_packed_commands(questions, 0, count));
        let suspicious = began + SUSPICIOUS;
        let mut answered = timeout_at(suspicious.min(until), &mut answers).await;
        if answered.is_err() && suspicious < until {
            self.shared.want_after(up.generation);
            answered = timeout_at(until, &mut answers).await;
        }
        match answered {
            Ok(Ok(answers)) => Ok((answers, up)),
            Ok(Err(error)) => {
                let fault = Fault::of(self.address(), &error);
                if fault.is_of_connection() {
                    self.shared.broke(up.generation);
                }
                Err(fault)
            }
            Err(_) => {
                // Whoever comes next does not wait for this one, and can be told that nothing was sent.
                self.shared.broke(up.generation);
                Err(Fault::silent(self.address(), began.elapsed()))
            }
        }
    }

    /// The connection is not to be used again, whatever the reason.
    pub(super) fn replace(&self, up: &Up) {
        self.shared.broke(up.generation);
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        if let Some(keeper) = self.keeper.get() {
            keeper.abort();
        }
    }
}

impl Shared {
    fn want_after(&self, generation: u64) {
        self.wanted.send_if_modified(|wanted| {
            let is_news = *wanted <= generation;
            if is_news {
                *wanted = generation + 1;
            }
            is_news
        });
    }

    fn broke(&self, generation: u64) {
        self.state.send_if_modified(|state| {
            let is_it = matches!(state, State::Up(up) if up.generation == generation);
            if is_it {
                *state = State::Connecting;
            }
            is_it
        });
        self.want_after(generation);
    }

    fn failed(&self, fault: Fault) {
        self.state.send_if_modified(|state| match state {
            // The old connection may still do.
            State::Up(_) => false,
            State::Connecting => {
                tracing::warn!(error = %fault, "there is no connection; it is tried again until there is one");
                *state = State::Down(fault);
                true
            }
            State::Down(before) => {
                *before = fault;
                true
            }
        });
    }

    fn came(&self, up: Up) {
        let before = self.state.send_replace(State::Up(up));
        if matches!(before, State::Down(_)) {
            tracing::info!(server = %self.address, "there is a connection again");
        }
    }

    /// Tries until it succeeds.
    async fn establish(&self, generation: u64) -> (Up, UnboundedReceiver<PushInfo>) {
        let mut attempts = FuturesUnordered::new();
        loop {
            if attempts.len() < AT_ONCE {
                attempts.push(self.attempt(generation));
            }
            let spread = (LONGEST_PAUSE - SHORTEST_PAUSE).mul_f64(fastrand::f64());
            let mut pause = std::pin::pin!(sleep(SHORTEST_PAUSE + spread));
            loop {
                tokio::select! {
                    Some(attempted) = attempts.next() => match attempted {
                        Ok(connected) => return connected,
                        Err(fault) => self.failed(fault),
                    },
                    () = &mut pause => break,
                }
            }
        }
    }

    async fn attempt(&self, generation: u64) -> Result<(Up, UnboundedReceiver<PushInfo>), Fault> {
        let (pushes, heard) = unbounded_channel();
        let mut connection = self.dial.connect(&self.address, pushes, self.patience).await?;
        let seen = self.dial.look(&self.address, &mut connection, self.patience).await?;
        if self.must_be_primary && !seen.is_primary {
            let fault = Fault::new(
                &self.address,
                Kind::ReadOnly,
                "it is a replica, and does not take what is written",
            );
            return Err(fault.with_cure("name the primary in `url`, or let Sentinels find it"));
        }
        Ok((Up { generation, connection, seen: Arc::new(seen) }, heard))
    }
}

/// Makes a connection whenever one is wanted, until it is told to end.
async fn keep(shared: Arc<Shared>) {
    let mut wanted = shared.wanted.subscribe();
    let mut generation = 0;
    loop {
        let (up, mut heard) = shared.establish(generation + 1).await;
        generation += 1;
        shared.came(up);
        let is_broken = async {
            while let Some(push) = heard.recv().await {
                if push.kind == PushKind::Disconnection {
                    return;
                }
            }
        };
        tokio::select! {
            () = is_broken => shared.broke(generation),
            wanted = wanted.wait_for(|wanted| *wanted > generation) => {
                if wanted.is_err() {
                    return;
                }
            }
        }
    }
}
