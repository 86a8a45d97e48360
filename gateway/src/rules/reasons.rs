//! Why a question was decided as it was: the same tables that decide, told with all that lost.

use std::fmt::Write;
use std::time::Duration;

use http::Method;

use super::ladder::{Decided, Ladder, Rung};
use super::scope::{Match, Scope};
use super::{Ambiguous, Demand, Headers, Origin, Rules, Who};
use crate::path::NormalPath;

/// All that was decided for a request, question by question.
pub type Reasons = Vec<Question>;

/// One question, and how it came to its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The key that asks it in a rule: `handoff`, `require`, `upstream` ...
    pub name: &'static str,
    /// The answer, for people; none where the readings of the path differ, and the request is refused.
    pub answer: Option<String>,
    /// Where the answer comes from. None: nothing matches, and the default holds; or several do together.
    pub by: Option<Origin>,
    /// Everything that has an answer, in the order in which it decides.
    pub candidates: Vec<Candidate>,
}

/// Something that has an answer to a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Where it stands.
    pub origin: Origin,
    /// The path that it is about.
    pub path: Box<str>,
    /// Whether that path is meant alone.
    pub is_exact: bool,
    /// The methods that it is about; none is any.
    pub methods: Vec<Method>,
    /// What became of it.
    pub fate: Fate,
}

/// What became of a candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It gives the answer.
    Decides,
    /// It matches, and something more specific decides.
    Outdone,
    /// It is about another path.
    OtherPath,
    /// It is about a path alone, and the request is for one below.
    Below,
    /// It is about another method.
    OtherMethod,
    /// An application could read the path so; an exception holds only by the letter.
    OnlyInSomeReading,
    /// An application could read the path so, and then the answer would be another one: the request is refused.
    Differs,
    /// It can never decide: an exception of the same section wins.
    Void(Origin),
}

impl Rules {
    /// How each question is decided for a request.
    pub(crate) fn reasons(&self, method: &Method, path: &NormalPath<'_>) -> Reasons {
        let told = Told { method, path };
        let mut handoff =
            told.question("handoff", &self.handoff, self.handoff.protect(method, path), |is_handed| {
                is_handed.to_string()
            });
        handoff.candidates.extend(voids(&self.void.includes, Origin::Include, Origin::Exclude));
        let mut demand =
            told.question("require", &self.demand, self.demand.protect(method, path), |demand| {
                demand.as_deref().map_or_else(|| "nobody".to_owned(), shown)
            });
        demand.candidates.extend(voids(&self.void.requires, Origin::Require, Origin::Exempt));
        let activity = self.activity.protect(method, path);
        let activity = told
            .question("counts_as_activity", &self.activity, activity, |is_activity| is_activity.to_string());
        let span = |span: &Option<Duration>| span.map_or_else(unsaid, |span| format!("{span:?}"));
        let size = |size: &Option<Option<u64>>| match size {
            None => unsaid(),
            Some(None) => "any size".to_owned(),
            Some(Some(bytes)) => format!("{bytes} bytes"),
        };
        vec![
            handoff,
            demand,
            activity,
            told.agreed("upstream", &self.upstream, |rule| {
                rule.map_or_else(unsaid, |_| "that of the rule".to_owned())
            }),
            told.agreed("response_timeout", &self.response_timeout, span),
            told.agreed("body_timeout", &self.body_timeout, span),
            told.agreed("max_body_bytes", &self.max_body_bytes, size),
            self.told_headers(&told, "request_headers", |headers| describe(headers.request.described())),
            self.told_headers(&told, "response_headers", |headers| describe(headers.response.described())),
        ]
    }

    /// Of headers every rule that matches has its say, the longest path the last word.
    fn told_headers(
        &self,
        told: &Told<'_>,
        name: &'static str,
        show: impl Fn(&Headers) -> String,
    ) -> Question {
        let (holding, differs) = self.headers(told.method, told.path);
        let says = |rung: &Rung<_>| -> String {
            let answer: &Option<std::sync::Arc<Headers>> = &rung.answer;
            answer.as_deref().map(&show).unwrap_or_default()
        };
        let mut candidates = Vec::new();
        for (index, rung) in
            self.headers.rungs().iter().enumerate().filter(|(_, rung)| !says(rung).is_empty())
        {
            let fate = match rung.scope.judge(told.method, told.path) {
                Match::Yes if holding & (1 << index) != 0 => Fate::Decides,
                Match::InSomeReading if differs.is_err() => Fate::Differs,
                found => fate(found),
            };
            candidates.push(candidate(rung, fate));
        }
        let said = |holding| {
            let words: Vec<String> =
                self.holding(holding).rev().map(says).filter(|words| !words.is_empty()).collect();
            if words.is_empty() { "unchanged".to_owned() } else { words.join(", then ") }
        };
        let decides = |candidate: &&Candidate| candidate.fate == Fate::Decides;
        let mut deciding = candidates.iter().filter(decides);
        let by = match (deciding.next(), deciding.next()) {
            (Some(only), None) => Some(only.origin),
            _ => None,
        };
        let is_told = candidates.iter().all(|candidate| candidate.fate != Fate::Differs);
        Question { name, answer: is_told.then(|| said(holding)), by, candidates }
    }
}

/// The request that is told of.
struct Told<'a> {
    method: &'a Method,
    path: &'a NormalPath<'a>,
}

impl Told<'_> {
    fn agreed<T: PartialEq>(
        &self,
        name: &'static str,
        ladder: &Ladder<T>,
        show: impl Fn(&T) -> String,
    ) -> Question {
        self.question(name, ladder, ladder.agree(self.method, self.path), show)
    }

    fn question<T>(
        &self,
        name: &'static str,
        ladder: &Ladder<T>,
        decided: Result<Decided<'_, T>, Ambiguous>,
        show: impl Fn(&T) -> String,
    ) -> Question {
        let deciding = decided.as_ref().ok().and_then(|decided| decided.by);
        let candidates = ladder.rungs().iter().map(|rung| {
            let fate = match rung.scope.judge(self.method, self.path) {
                _ if deciding.is_some_and(|deciding| std::ptr::eq(deciding, rung)) => Fate::Decides,
                Match::InSomeReading if decided.is_err() => Fate::Differs,
                found => fate(found),
            };
            candidate(rung, fate)
        });
        Question {
            name,
            candidates: candidates.collect(),
            answer: decided.as_ref().ok().map(|decided| show(decided.answer)),
            by: deciding.map(|rung| rung.origin),
        }
    }
}

fn fate(found: Match) -> Fate {
    match found {
        Match::Yes => Fate::Outdone,
        Match::InSomeReading => Fate::OnlyInSomeReading,
        Match::OtherPath => Fate::OtherPath,
        Match::Below => Fate::Below,
        Match::OtherMethod => Fate::OtherMethod,
    }
}

fn candidate<T>(rung: &Rung<T>, fate: Fate) -> Candidate {
    let Rung { scope, origin, .. } = rung;
    Candidate {
        origin: *origin,
        path: scope.prefix().as_str().into(),
        is_exact: scope.is_exact(),
        methods: Scope::methods(scope).to_vec(),
        fate,
    }
}

fn voids(
    voids: &[(usize, crate::path::Prefix, usize)],
    origin: fn(usize) -> Origin,
    by: fn(usize) -> Origin,
) -> impl Iterator<Item = Candidate> {
    voids.iter().map(move |(index, path, exception)| Candidate {
        origin: origin(*index),
        path: path.as_str().into(),
        is_exact: false,
        methods: Vec::new(),
        fate: Fate::Void(by(*exception)),
    })
}

fn unsaid() -> String {
    "as everywhere".to_owned()
}

fn shown(demand: &Demand) -> String {
    let mut shown = match demand.who {
        Who::Session => "session".to_owned(),
        Who::User => "user".to_owned(),
    };
    // Writing to a String does not fail.
    if !demand.users.is_empty() {
        let _ = write!(shown, ", by the name of {}", demand.users.join(" or "));
    }
    for (name, value) in &demand.entries {
        let _ = write!(shown, ", with {name} = {value}");
    }
    shown
}

/// Names only: a value may be a password of ours.
fn describe<'h>(changes: impl Iterator<Item = (&'static str, &'h http::HeaderName)>) -> String {
    let words: Vec<String> = changes.map(|(what, name)| format!("{what} {name}")).collect();
    words.join(", ")
}
