//! One primary: what is asked of it, and the ends that its replicas must confirm.
//!
//! WAIT counts the replicas that have everything that was written *on the connection on which it is said*, and holds up that
//! connection until they have. An end therefore takes a connection to itself, of a few that are kept for ends; everything
//! else shares one. If the connection breaks in between, or the primary is replaced, nobody can tell who has the end: it is
//! then told as unknown, and whoever repeats it has it confirmed by the new primary's replicas.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use redis::{Cmd, Pipeline, Value, cmd, from_redis_value, pipe};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout_at};

use super::dial::{Dialling, Seen};
use super::fault::{Fault, Kind};
use super::link::{Link, Up};
use super::script::Call;
use super::url::Address;

/// How many ends can wait for replicas at once.
const LANES: usize = 8;
/// What an answer needs to come back from a WAIT that was in vain.
const WAY_BACK: Duration = Duration::from_millis(50);

/// What is asked of a server.
pub(super) enum Request {
    /// Plain commands.
    Ask(Pipeline),
    /// A script.
    Call(Call),
    /// A script that ends something: its answer counts only if the replicas have it, too.
    End(Call),
}

impl Request {
    /// Plain commands, of which none changes anything.
    pub(super) fn ask(commands: impl IntoIterator<Item = Cmd>) -> Self {
        Self::Ask(asked(commands, false))
    }

    /// Whether it can be asked again when nobody knows whether it was done.
    pub(super) const fn may_be_repeated(&self) -> bool {
        match self {
            Self::Ask(_) => true,
            Self::Call(call) | Self::End(call) => call.is_single,
        }
    }
}

/// A server that takes what is written.
#[derive(Debug)]
pub(super) struct Node {
    link: Link,
    lanes: Vec<Lane>,
    next: AtomicUsize,
    /// How many replicas must confirm an end; nothing for all that it has.
    min_replicas: Option<usize>,
    /// The most replicas that it was seen with.
    replicas: AtomicUsize,
    /// How many it should have, as Sentinels say; 0 where nobody has said it.
    expected: AtomicUsize,
}

#[derive(Debug)]
struct Lane {
    link: Link,
    turn: Mutex<()>,
}

impl Node {
    pub(super) fn new(
        address: &Address,
        dial: &Dialling,
        patience: Duration,
        must_be_primary: bool,
        min_replicas: Option<usize>,
    ) -> Self {
        let link = || Link::new(address.clone(), Dialling::clone(dial), patience, must_be_primary);
        Self {
            link: link(),
            lanes: (0..LANES).map(|_| Lane { link: link(), turn: Mutex::default() }).collect(),
            next: AtomicUsize::new(0),
            min_replicas,
            replicas: AtomicUsize::new(0),
            expected: AtomicUsize::new(0),
        }
    }

    pub(super) fn address(&self) -> &Address {
        self.link.address()
    }

    pub(super) async fn up(&self, until: Instant) -> Result<Up, Fault> {
        let up = self.link.up(until).await?;
        self.has_replicas(up.seen.replicas);
        Ok(up)
    }

    /// Counts its replicas anew.
    pub(super) async fn count_replicas(&self, until: Instant) -> Result<(), Fault> {
        let mut info = cmd("INFO");
        info.arg("replication");
        let answers = self.answer(&Request::ask([info]), false, until).await?;
        let text: Option<String> =
            answers.into_iter().next().and_then(|answer| from_redis_value(answer).ok());
        self.has_replicas(Seen::read(&text.unwrap_or_default(), None).replicas);
        Ok(())
    }

    /// It has that many replicas, connected or not. Those that were there before are still expected to come back.
    pub(super) fn has_replicas(&self, count: usize) {
        self.replicas.fetch_max(count, Ordering::Relaxed);
    }

    /// It should have that many replicas, as Sentinels say. They count those that are away, and the primary that died, until
    /// they are told to forget them (`SENTINEL RESET`). Right after that they know none, which is not believed.
    pub(super) fn should_have(&self, count: usize) {
        if count > 0 {
            self.expected.store(count, Ordering::Relaxed);
        }
    }

    /// How many replicas must confirm an end.
    async fn needed(&self, until: Instant) -> Result<usize, Fault> {
        if let Some(needed) = self.min_replicas {
            return Ok(needed);
        }
        self.up(until).await?;
        Ok(match self.expected.load(Ordering::Relaxed) {
            0 => self.replicas.load(Ordering::Relaxed),
            expected => expected,
        })
    }

    /// The answers to a request. `asking` says that what is asked for is on its way to this server.
    pub(super) async fn answer(
        &self,
        request: &Request,
        asking: bool,
        until: Instant,
    ) -> Result<Vec<Value>, Fault> {
        match request {
            Request::Ask(questions) if !asking => {
                let (answers, _) = self.link.ask(questions, until).await?;
                self.checked(answers, asking)
            }
            Request::Ask(questions) => {
                let questions = asked(questions.cmd_iter().cloned(), asking);
                let (answers, _) = self.link.ask(&questions, until).await?;
                self.checked(answers, asking)
            }
            Request::Call(call) => {
                self.call(&self.link, call, asking, until).await.map(|(answers, _)| answers)
            }
            Request::End(call) => self.end(call, asking, until).await,
        }
    }

    async fn call(
        &self,
        link: &Link,
        call: &Call,
        asking: bool,
        until: Instant,
    ) -> Result<(Vec<Value>, Up), Fault> {
        let (answers, up) = if asking {
            link.ask(&asked(call.by_hash().cmd_iter().cloned(), asking), until).await?
        } else {
            link.ask(call.by_hash(), until).await?
        };
        match self.checked(answers, asking) {
            Err(Fault { kind: Kind::NoScript, .. }) => {
                let (answers, up) = link.ask(&asked([call.by_source()], asking), until).await?;
                Ok((self.checked(answers, asking)?, up))
            }
            answers => Ok((answers?, up)),
        }
    }

    async fn end(&self, call: &Call, asking: bool, until: Instant) -> Result<Vec<Value>, Fault> {
        let needed = self.needed(until).await?;
        if needed == 0 {
            return self.call(&self.link, call, asking, until).await.map(|(answers, _)| answers);
        }
        let lane = self.lanes.get(self.next.fetch_add(1, Ordering::Relaxed) % LANES);
        let Some(lane) = lane else { return Err(self.too_few(0, needed)) };
        let began = Instant::now();
        let Ok(_turn) = timeout_at(until, lane.turn.lock()).await else {
            let what =
                format!("other ends were waiting for its replicas for {} ms", began.elapsed().as_millis());
            return Err(Fault::new(self.address(), Kind::Unable, what));
        };
        let (answers, mut up) = self.call(&lane.link, call, asking, until).await?;
        let patience = until.saturating_duration_since(Instant::now()).saturating_sub(WAY_BACK);
        // 0 would be for ever.
        let millis = patience.as_millis().max(1);
        let wait = asked([cmd("WAIT").arg(needed).arg(millis.to_string()).clone()], false);
        let waited = timeout_at(until, up.connection.send_packed_commands(&wait, 0, 1)).await;
        let have = match waited.as_ref().map(|answers| answers.as_ref().map(|answers| answers.as_slice())) {
            Ok(Ok([Value::Int(have)])) => usize::try_from(*have).unwrap_or_default(),
            _ => {
                lane.link.replace(&up);
                0
            }
        };
        if have < needed { Err(self.too_few(have, needed)) } else { Ok(answers) }
    }

    fn too_few(&self, have: usize, needed: usize) -> Fault {
        let what = format!("{have} of {needed} replicas confirmed an end in time");
        let cure = match (self.min_replicas, self.expected.load(Ordering::Relaxed)) {
            (Some(_), _) => {
                "bring the replicas back, or set `min_replicas` to as many as must know of an end"
            }
            (None, 0) => "bring the replicas back, or set `min_replicas`, which is all of them now",
            (None, _) => {
                "bring the replicas back, of which the primary is one that died last; or let the Sentinels forget what \
                 stays away (`SENTINEL RESET`), or set `min_replicas`, which is all that they know now"
            }
        };
        Fault::new(self.address(), Kind::TooFew, what).with_cure(cure)
    }

    /// An error among the answers is the answer to all.
    fn checked(&self, answers: Vec<Value>, asking: bool) -> Result<Vec<Value>, Fault> {
        let step = if asking { 2 } else { 1 };
        let answers = answers.into_iter().skip(step - 1).step_by(step);
        answers
            .map(|answer| match answer {
                Value::ServerError(error) => Err(Fault::of(self.address(), &error.into())),
                answer => Ok(answer),
            })
            .collect()
    }
}

/// Commands to send, each announced if what it asks for is on its way.
fn asked(commands: impl IntoIterator<Item = Cmd>, asking: bool) -> Pipeline {
    let mut questions = pipe();
    for command in commands {
        if asking {
            questions.cmd("ASKING");
        }
        questions.add_command(command);
    }
    questions
}
