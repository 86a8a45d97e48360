//! What holds on which paths of an application.
//!
//! Whether the session is handed over, who must be there, how long the application may take, where it is, which headers
//! change: each is a question of its own, and each has one answer for a request. `handoff.include` and `exclude`,
//! `login.require` and `exempt`, and every `[[application.rule]]` are entered into one table a question when the gateway
//! starts; a request looks into each once, and nothing is allocated.
//!
//! **The longest path decides**, whatever the order in the file: to add a rule for one path changes nothing for others,
//! and two rules that would answer the same question for the same path differently are a mistake. At the same path, what
//! means it alone goes before what means all below, what names methods before what does not, a rule before a section.
//! Within a section the exception wins, however long its path is.
//!
//! A path can be read in two ways where it holds escapes or parameters. A demand, and a hand-off, also hold for what an
//! application might only read as their path; an exception holds by the letter. Where neither reading is the safe one
//! (two demands, another upstream, other bounds, other headers), a request on which they differ is refused:
//! [`Ambiguous`].

mod demand;
mod headers;
mod ladder;
mod reasons;
mod scope;
mod site;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName, Method};

use crate::login::{OwnPage, OwnPages};
use crate::path::{NormalPath, Prefix, Prefixes};
use crate::settings::UpstreamSettings;

pub use demand::{Demand, Unmet, Who};
pub use headers::{HeaderChanges, may_change};
pub use reasons::{Candidate, Fate, Question, Reasons};
pub use scope::{Match, Scope};
pub(crate) use site::Sited;
pub use site::{LoginPaths, Site, SiteSettings};

use ladder::{Ladder, Rung};

/// Of how many paths the rules of one application may change headers: so many bits remember which of them hold.
pub const MAX_HEADER_PATHS: usize = 128;

/// One `[[application.rule]]`.
#[derive(Debug, Clone, Default)]
pub struct Rule {
    /// The paths that it is about, with all below.
    pub paths: Vec<Prefix>,
    /// The paths that it is about alone.
    pub exact: Vec<Prefix>,
    /// The methods that it is about; none is any. GET stands for HEAD as well.
    pub methods: Vec<Method>,
    /// Whether the session is handed over, and can be changed.
    pub handoff: Option<bool>,
    /// Whether a request is a use of the session.
    pub counts_as_activity: Option<bool>,
    /// Who must be there.
    pub require: Option<Require>,
    /// How long the application may take to begin its answer.
    pub response_timeout: Option<Duration>,
    /// How long a client may pause within the body of its request.
    pub body_timeout: Option<Duration>,
    /// The most bytes of a request's body; `Some(None)` is no bound.
    pub max_body_bytes: Option<Option<u64>>,
    /// Where the application is for these paths.
    pub upstream: Option<UpstreamSettings>,
    /// What changes in requests to the application.
    pub request_headers: HeaderChanges,
    /// What changes in its answers to the client.
    pub response_headers: HeaderChanges,
}

/// What a rule says of who must be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Require {
    /// Nobody: the paths are open.
    Nobody,
    /// Somebody.
    Somebody(Demand),
}

/// Where in a configuration an answer comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// `handoff.include`, the path at this index.
    Include(usize),
    /// `handoff.exclude`.
    Exclude(usize),
    /// `login.require`.
    Require(usize),
    /// `login.exempt`.
    Exempt(usize),
    /// A rule, by its index.
    Rule(usize),
}

/// The rules of an application, ready to be asked.
#[derive(Debug)]
pub(crate) struct Rules {
    own_pages: Option<OwnPages>,
    handoff: Ladder<bool>,
    activity: Ladder<bool>,
    demand: Ladder<Option<Arc<Demand>>>,
    upstream: Ladder<Option<usize>>,
    response_timeout: Ladder<Option<Duration>>,
    body_timeout: Ladder<Option<Duration>>,
    max_body_bytes: Ladder<Option<Option<u64>>>,
    headers: Ladder<Option<Arc<Headers>>>,
    /// What was said and can decide nothing.
    void: Voids,
}

/// What one rule changes of headers.
#[derive(Debug)]
struct Headers {
    request: HeaderChanges,
    response: HeaderChanges,
}

/// Includes and requirements below an exception of their own section, which wins: with that exception's index.
#[derive(Debug, Default)]
struct Voids {
    includes: Vec<(usize, Prefix, usize)>,
    requires: Vec<(usize, Prefix, usize)>,
}

/// What holds for one request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Decision<'r> {
    /// It is for a page of ours, which no application gets to see. Nothing else here concerns it.
    pub(crate) own_page: Option<OwnPage>,
    /// It is for an assertion; the same holds.
    pub(crate) is_export: bool,
    /// Whether the session is handed over.
    pub(crate) is_handed: bool,
    /// Whether it is a use of the session.
    pub(crate) is_activity: bool,
    pub(crate) demand: Option<&'r Demand>,
    /// The index of the rule that names another upstream.
    pub(crate) upstream: Option<usize>,
    /// None of these: what holds for the application, or for the gateway.
    pub(crate) response_timeout: Option<Duration>,
    pub(crate) body_timeout: Option<Duration>,
    pub(crate) max_body_bytes: Option<Option<u64>>,
    rules: &'r Rules,
    /// The rungs of `rules.headers` that hold, a bit each.
    headers: u128,
}

/// A path that is a rule's only in some reading, where it makes a difference: which is meant?
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the path can be read as one for which other rules hold: send it without escaped slashes and parameters"
)]
pub(crate) struct Ambiguous;

/// Rules cannot hold as they are configured.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// A rule changes a header that is ours.
    #[error("a rule changes the header `{0}`, which is the gateway's own: leave it out")]
    OwnHeader(HeaderName),
    /// Headers are changed for too many paths.
    #[error(
        "rules change headers for {0} paths, and at most {MAX_HEADER_PATHS} are possible: name longer prefixes"
    )]
    TooManyHeaderPaths(usize),
}

impl Rules {
    /// The table of an application: `handoff` are the paths on which it gets the session, `demanded` those for people who
    /// are logged in.
    pub(crate) fn new(
        handoff: &Prefixes,
        demanded: &Prefixes,
        own_pages: Option<OwnPages>,
        rules: &[Rule],
    ) -> Result<Self, RuleError> {
        let mut void = Voids::default();
        let mut handed = section(handoff, &mut void.includes, true, false, Origin::Include, Origin::Exclude);
        let somebody = Some(Arc::new(Demand::of_user()));
        let mut demands =
            section(demanded, &mut void.requires, somebody, None, Origin::Require, Origin::Exempt);
        let lines: Vec<Line<'_>> = rules.iter().enumerate().map(Line::of).collect();
        let (mut activity, mut upstream, mut headers) = (Vec::new(), Vec::new(), Vec::new());
        let (mut response_timeout, mut body_timeout, mut max_body_bytes) =
            (Vec::new(), Vec::new(), Vec::new());
        for line in &lines {
            let rule = line.rule;
            if let Some(is_handed) = rule.handoff {
                handed.extend(line.rungs(is_handed, is_handed));
            }
            if let Some(is_activity) = rule.counts_as_activity {
                activity.extend(line.rungs(is_activity, is_activity));
            }
            if let Some(require) = &rule.require {
                let demand = match require {
                    Require::Nobody => None,
                    Require::Somebody(demand) => Some(Arc::new(demand.clone())),
                };
                demands.extend(line.rungs(demand.clone(), demand.is_some()));
            }
            if rule.upstream.is_some() {
                upstream.extend(line.rungs(Some(line.index), false));
            }
            if rule.response_timeout.is_some() {
                response_timeout.extend(line.rungs(rule.response_timeout, false));
            }
            if rule.body_timeout.is_some() {
                body_timeout.extend(line.rungs(rule.body_timeout, false));
            }
            if rule.max_body_bytes.is_some() {
                max_body_bytes.extend(line.rungs(rule.max_body_bytes, false));
            }
            if !rule.request_headers.is_empty() || !rule.response_headers.is_empty() {
                let changes = Headers {
                    request: rule.request_headers.clone(),
                    response: rule.response_headers.clone(),
                };
                headers.extend(line.rungs(Some(Arc::new(changes)), false));
            }
        }
        if headers.len() > MAX_HEADER_PATHS {
            return Err(RuleError::TooManyHeaderPaths(headers.len()));
        }
        Ok(Self {
            own_pages,
            handoff: Ladder::new(handed, false),
            activity: Ladder::new(activity, true),
            demand: Ladder::new(demands, None),
            upstream: Ladder::new(upstream, None),
            response_timeout: Ladder::new(response_timeout, None),
            body_timeout: Ladder::new(body_timeout, None),
            max_body_bytes: Ladder::new(max_body_bytes, None),
            headers: Ladder::new(headers, None),
            void,
        })
    }

    /// What holds for a request. Allocates nothing.
    ///
    /// # Errors
    /// It could be for a path for which something else holds.
    pub(crate) fn decide(&self, method: &Method, path: &NormalPath<'_>) -> Result<Decision<'_>, Ambiguous> {
        let (headers, differs) = self.headers(method, path);
        differs?;
        Ok(Decision {
            is_export: false,
            own_page: self.own_pages.as_ref().and_then(|pages| pages.page(path)),
            is_handed: *self.handoff.protect(method, path)?.answer,
            is_activity: *self.activity.protect(method, path)?.answer,
            demand: self.demand.protect(method, path)?.answer.as_deref(),
            upstream: *self.upstream.agree(method, path)?.answer,
            response_timeout: *self.response_timeout.agree(method, path)?.answer,
            body_timeout: *self.body_timeout.agree(method, path)?.answer,
            max_body_bytes: *self.max_body_bytes.agree(method, path)?.answer,
            rules: self,
            headers,
        })
    }

    /// Which rungs of the ladder of headers hold: of each rule only the one with the longest path. And whether there is
    /// one of which only some readings say so.
    fn headers(&self, method: &Method, path: &NormalPath<'_>) -> (u128, Result<(), Ambiguous>) {
        let (mut holding, mut differs) = (0, Ok(()));
        for (index, rung) in self.headers.rungs().iter().enumerate() {
            match rung.scope.judge(method, path) {
                Match::Yes if !self.has_rule_of(rung, holding) => holding |= 1 << index,
                Match::InSomeReading if !self.has_rule_of(rung, holding) => differs = Err(Ambiguous),
                _ => {}
            }
        }
        (holding, differs)
    }

    /// Whether one of `holding` is of the same rule.
    fn has_rule_of(&self, rung: &Rung<Option<Arc<Headers>>>, holding: u128) -> bool {
        holding != 0 && self.holding(holding).any(|other| other.origin == rung.origin)
    }

    fn holding(&self, bits: u128) -> impl DoubleEndedIterator<Item = &Rung<Option<Arc<Headers>>>> {
        let holds = move |(index, _): &(usize, _)| bits & (1 << *index) != 0;
        self.headers.rungs().iter().enumerate().filter(holds).map(|(_, rung)| rung)
    }
}

impl Decision<'_> {
    /// Changes a request as the rules say; the longest path has the last word.
    pub(crate) fn change_request(&self, headers: &mut HeaderMap) {
        self.changes().for_each(|changes| changes.request.apply(headers));
    }

    /// Changes an answer as the rules say.
    pub(crate) fn change_response(&self, headers: &mut HeaderMap) {
        self.changes().for_each(|changes| changes.response.apply(headers));
    }

    fn changes(&self) -> impl Iterator<Item = &Headers> {
        let holding = if self.headers == 0 { None } else { Some(self.rules.holding(self.headers).rev()) };
        holding.into_iter().flatten().filter_map(|rung| rung.answer.as_deref())
    }
}

/// A rule with its place and its methods.
struct Line<'r> {
    index: usize,
    rule: &'r Rule,
    methods: Arc<[Method]>,
}

impl<'r> Line<'r> {
    fn of((index, rule): (usize, &'r Rule)) -> Self {
        Self { index, rule, methods: rule.methods.as_slice().into() }
    }

    /// A rung for each path of the rule.
    fn rungs<T: Clone>(&self, answer: T, reads_widely: bool) -> impl Iterator<Item = Rung<T>> {
        let below = self.rule.paths.iter().map(|path| Scope::below(path.clone(), &self.methods));
        let exactly = self.rule.exact.iter().map(|path| Scope::exactly(path.clone(), &self.methods));
        let origin = Origin::Rule(self.index);
        below.chain(exactly).map(move |scope| Rung { scope, answer: answer.clone(), origin, reads_widely })
    }
}

/// The rungs of a section that says of paths what is meant and what is excepted. What is meant below an exception is
/// void: the exception wins. Then the longest path decides here as well.
fn section<T: Clone>(
    paths: &Prefixes,
    void: &mut Vec<(usize, Prefix, usize)>,
    meant: T,
    excepted: T,
    of_meant: fn(usize) -> Origin,
    of_excepted: fn(usize) -> Origin,
) -> Vec<Rung<T>> {
    let any: Arc<[Method]> = Arc::default();
    let mut rungs = Vec::new();
    for (index, path) in paths.exclude.iter().enumerate() {
        let scope = Scope::below(path.clone(), &any);
        rungs.push(Rung { scope, answer: excepted.clone(), origin: of_excepted(index), reads_widely: false });
    }
    for (index, path) in paths.include.iter().enumerate() {
        match paths.exclude.iter().position(|excluded| excluded.covers(path)) {
            Some(by) => void.push((index, path.clone(), by)),
            None => {
                let scope = Scope::below(path.clone(), &any);
                rungs.push(Rung {
                    scope,
                    answer: meant.clone(),
                    origin: of_meant(index),
                    reads_widely: true,
                });
            }
        }
    }
    rungs
}
