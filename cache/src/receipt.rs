//! The receipt of an end: how many sessions are over, and which nodes refuse them.
//!
//! Storage has the end before anybody is told of it, and every node that hears the change stream refuses the sessions
//! within milliseconds. A receipt is for those who want to know that it was so. It names who confirmed and who did not,
//! and claims nothing else: a node that is silent may be dead, and cut off it may serve its copies until `trust_window` is
//! over.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use futures_util::future::join_all;
use session::{Session, Why};
use storage::Unavailable;
use tokio::time::{Instant, timeout, timeout_at};

use crate::nodes::{Node, NodeId};
use crate::roll_call::{Call, Subject};
use crate::{Cache, Count, Ended};

/// How long answers are waited for.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long the last look at what was answered may take.
const LAST_LOOK: Duration = Duration::from_millis(500);
/// For how many ends of one request nodes are asked; the answers of all of them would be in everybody's way.
const MOST_CALLS: usize = 16;

/// How many sessions an end was for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tally {
    /// So many.
    Exactly(u64),
    /// So many that lay on the server. Nobody knows of those that their visitors carry.
    OnServer(Count),
    /// All there were; nobody counted them.
    Unknown,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exactly(count) => count.fmt(f),
            Self::OnServer(Count { sessions, or_more: false }) => write!(f, "{sessions} on the server"),
            Self::OnServer(Count { sessions, or_more: true }) => {
                write!(f, "more than {sessions} on the server")
            }
            Self::Unknown => f.write_str("unknown"),
        }
    }
}

/// An end that storage has, for which [a receipt](Cache::receipt) can be asked.
#[derive(Debug, Clone)]
pub struct Acknowledged {
    /// Several, where a person had several session indexes; none, if there was nothing to end.
    pub(crate) subjects: Vec<Subject>,
    /// How many sessions were live until then.
    pub sessions: Tally,
}

impl Acknowledged {
    /// That of one session, as [`Cache::end`] has told it.
    #[must_use]
    pub fn of(session: &Session, why: Why, ended: Ended) -> Self {
        let subject = match session.is_carried() {
            true => Subject::Carried(session.handle, why),
            false => Subject::Session(session.handle),
        };
        Self { subjects: vec![subject], sessions: Tally::Exactly(u64::from(ended == Ended::Now)) }
    }
}

/// What became of an end.
#[derive(Debug)]
pub struct Receipt {
    /// How many sessions were live until then.
    pub sessions: Tally,
    /// The nodes that said that they refuse them, the one that asked first.
    pub confirmed: Vec<Node>,
    /// The nodes that did not say so in time.
    pub silent: Vec<Node>,
    /// Why there may be nodes that are not named here.
    pub doubt: Option<Unavailable>,
    /// From the acknowledgement to the last answer, or to the end of waiting.
    pub took: Duration,
}

impl Receipt {
    /// Whether every node has confirmed.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        self.silent.is_empty() && self.doubt.is_none()
    }
}

impl fmt::Display for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sessions: {}; confirmed by {}", self.sessions, Names(&self.confirmed))?;
        if !self.silent.is_empty() {
            write!(f, "; silent: {}", Names(&self.silent))?;
        }
        match &self.doubt {
            Some(doubt) => write!(f, "; there may be other nodes: {doubt}"),
            None => Ok(()),
        }
    }
}

struct Names<'n>(&'n [Node]);

impl fmt::Display for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("nobody");
        }
        for (index, node) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{node}")?;
        }
        Ok(())
    }
}

impl Cache {
    /// Asks all nodes whether they refuse what was ended. Waits for them about a second at most; it is one write for each
    /// node, so it is for those who want to know.
    pub async fn receipt(&self, end: Acknowledged) -> Receipt {
        let began = Instant::now();
        let mut confirmed = BTreeSet::new();
        let doubt = match self.shown() {
            Some(_) if end.subjects.len() > MOST_CALLS => Some(
                self.unavailable(format!("nodes are asked about {MOST_CALLS} ends at once, and not more")),
            ),
            Some(_) => self.call_rolls(&end.subjects, began + PATIENCE, &mut confirmed).await.err(),
            // Without a name it is in no list, and does not read it.
            None => self.storage.capabilities().is_shared.then(|| self.unavailable("this node has no name")),
        };
        // This one has known it since before the acknowledgement.
        confirmed.extend(self.nodes.me.as_ref().map(|me| me.id));
        let (confirmed, silent): (Vec<_>, Vec<_>) =
            self.nodes().into_iter().partition(|node| confirmed.contains(&node.id));
        let receipt = Receipt { sessions: end.sessions, confirmed, silent, doubt, took: began.elapsed() };
        self.counters.count_receipt(&receipt);
        receipt
    }

    /// Who refuses all of them.
    async fn call_rolls(
        &self,
        subjects: &[Subject],
        until: Instant,
        confirmed: &mut BTreeSet<NodeId>,
    ) -> Result<(), Unavailable> {
        let call = async |subject: &Subject| {
            let mut confirmed = BTreeSet::new();
            let known = self.call_roll(subject, until, &mut confirmed).await;
            (confirmed, known)
        };
        let mut answers = join_all(subjects.iter().map(call)).await.into_iter();
        let Some((all, mut known)) = answers.next() else { return Ok(()) };
        *confirmed = all;
        for (some, also_known) in answers {
            confirmed.retain(|node| some.contains(node));
            known = known.and(also_known);
        }
        known
    }

    async fn call_roll(
        &self,
        subject: &Subject,
        until: Instant,
        confirmed: &mut BTreeSet<NodeId>,
    ) -> Result<(), Unavailable> {
        let mut call = Call::new(self)?;
        // The list is read after the end was acknowledged: whoever is not in it yet finds the end in storage.
        let (asked, looked) =
            tokio::join!(timeout_at(until, call.ask(subject)), timeout_at(until, self.look_around()));
        let slow = |_| self.unavailable(format!("no answer within {} s", PATIENCE.as_secs()));
        let known = looked.map_err(slow).flatten();
        if asked.is_ok_and(|asked| asked.is_ok()) {
            while self.is_missing(confirmed)
                && let Ok(Some(node)) = timeout_at(until, call.answer()).await
            {
                confirmed.insert(node);
            }
            // Somebody may have answered while this node was hearing nothing.
            if self.is_missing(confirmed)
                && let Ok(Ok(answers)) = timeout(LAST_LOOK, call.all_answers(self.nodes().len())).await
            {
                confirmed.extend(answers);
            }
        }
        known
    }

    /// Whether one of the others has not answered.
    fn is_missing(&self, confirmed: &BTreeSet<NodeId>) -> bool {
        self.nodes().iter().skip(1).any(|node| !confirmed.contains(&node.id))
    }
}
