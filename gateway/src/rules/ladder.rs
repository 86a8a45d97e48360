//! One question, and all that a configuration answers to it, in the order in which it decides.

use http::Method;

use super::scope::{Match, Scope};
use super::{Ambiguous, Origin};
use crate::path::NormalPath;

/// An answer, for the requests of a scope.
#[derive(Debug, Clone)]
pub(super) struct Rung<T> {
    pub(super) scope: Scope,
    pub(super) answer: T,
    pub(super) origin: Origin,
    /// Whether it also holds for what an application may only read as its path. So does what protects; what makes an
    /// exception holds by the letter.
    pub(super) reads_widely: bool,
}

/// The answers to one question; the first that matches decides.
#[derive(Debug)]
pub(super) struct Ladder<T> {
    rungs: Box<[Rung<T>]>,
    default: T,
}

/// What decided a question.
#[derive(Debug)]
pub(super) struct Decided<'l, T> {
    pub(super) answer: &'l T,
    /// None: nothing matched, and the default holds.
    pub(super) by: Option<&'l Rung<T>>,
}

impl<T> Rung<T> {
    fn holds(&self, method: &Method, path: &NormalPath<'_>) -> bool {
        match self.scope.judge(method, path) {
            Match::Yes => true,
            Match::InSomeReading => self.reads_widely,
            Match::OtherPath | Match::Below | Match::OtherMethod => false,
        }
    }
}

impl<T> Ladder<T> {
    pub(super) fn new(mut rungs: Vec<Rung<T>>, default: T) -> Self {
        // A rule is said for its path; what stands in a section is said once for all.
        rungs.sort_by_key(|rung| (rung.scope.precedence(), !matches!(rung.origin, Origin::Rule(_))));
        Self { rungs: rungs.into(), default }
    }

    pub(super) fn rungs(&self) -> &[Rung<T>] {
        &self.rungs
    }

    fn decided<'l>(&'l self, by: Option<&'l Rung<T>>) -> Decided<'l, T> {
        Decided { answer: by.map_or(&self.default, |rung| &rung.answer), by }
    }
}

impl<T: PartialEq> Ladder<T> {
    /// The answer where the default is the one that opens nothing to anybody and asks nobody: what differs from it also
    /// holds in some reading, and exceptions do not. Allocates nothing.
    ///
    /// # Errors
    /// Something else is asked by the letter, and who knows which of them asks more?
    pub(super) fn protect(
        &self,
        method: &Method,
        path: &NormalPath<'_>,
    ) -> Result<Decided<'_, T>, Ambiguous> {
        let Some(rung) = self.rungs.iter().find(|rung| rung.holds(method, path)) else {
            return Ok(self.decided(None));
        };
        if rung.scope.judge(method, path) == Match::Yes {
            return Ok(self.decided(Some(rung)));
        }
        let literal = self.rungs.iter().find(|rung| rung.scope.judge(method, path) == Match::Yes);
        let literal = self.decided(literal).answer;
        if *literal == self.default || *literal == rung.answer {
            Ok(self.decided(Some(rung)))
        } else {
            Err(Ambiguous)
        }
    }

    /// The answer where no reading is the safe one: the letter and the widest reading must agree. Allocates nothing.
    ///
    /// # Errors
    /// They do not.
    pub(super) fn agree(&self, method: &Method, path: &NormalPath<'_>) -> Result<Decided<'_, T>, Ambiguous> {
        let mut matching = self.rungs.iter().filter_map(|rung| match rung.scope.judge(method, path) {
            Match::Yes => Some((rung, true)),
            Match::InSomeReading => Some((rung, false)),
            Match::OtherPath | Match::Below | Match::OtherMethod => None,
        });
        let Some((widest, is_literal)) = matching.next() else { return Ok(self.decided(None)) };
        if is_literal {
            return Ok(self.decided(Some(widest)));
        }
        let literal = matching.find(|(_, is_literal)| *is_literal).map(|(rung, _)| rung);
        let decided = self.decided(literal);
        if *decided.answer == widest.answer { Ok(decided) } else { Err(Ambiguous) }
    }
}
