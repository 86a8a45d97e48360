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
    /// Something else is asked by the letter or in another reading, and who knows which of them asks more?
    pub(super) fn protect(
        &self,
        method: &Method,
        path: &NormalPath<'_>,
    ) -> Result<Decided<'_, T>, Ambiguous> {
        let holding = |rung: &Rung<T>| rung.holds(method, path);
        let Contenders { in_some_reading, by_the_letter } = self.contenders(method, path, holding)?;
        let literally = self.decided(by_the_letter);
        match in_some_reading {
            None => Ok(literally),
            Some(rung) if *literally.answer == self.default || *literally.answer == rung.answer => {
                Ok(self.decided(Some(rung)))
            }
            Some(_) => Err(Ambiguous),
        }
    }

    /// The answer where no reading is the safe one: the letter and all readings must agree. Allocates nothing.
    ///
    /// # Errors
    /// They do not.
    pub(super) fn agree(&self, method: &Method, path: &NormalPath<'_>) -> Result<Decided<'_, T>, Ambiguous> {
        let matching =
            |rung: &Rung<T>| matches!(rung.scope.judge(method, path), Match::Yes | Match::InSomeReading);
        let Contenders { in_some_reading, by_the_letter } = self.contenders(method, path, matching)?;
        let literally = self.decided(by_the_letter);
        let is_agreed = in_some_reading.is_none_or(|rung| rung.answer == *literally.answer);
        if is_agreed { Ok(literally) } else { Err(Ambiguous) }
    }

    /// What may decide among the rungs that `hold`. Readings are many, and where two of them find two rungs it is not said
    /// which application has which: `/x;%2Fy/z` is `/x/y/z` to one and `/x/z` to another.
    ///
    /// # Errors
    /// Rungs with different answers may decide, each in a reading of its own.
    fn contenders(
        &self,
        method: &Method,
        path: &NormalPath<'_>,
        holds: impl Fn(&Rung<T>) -> bool,
    ) -> Result<Contenders<'_, T>, Ambiguous> {
        let mut in_some_reading: Option<&Rung<T>> = None;
        for (index, rung) in self.rungs.iter().enumerate().filter(|(_, rung)| holds(rung)) {
            if rung.scope.judge(method, path) == Match::Yes {
                // It matches in every reading, so that nothing behind it decides in any.
                return Ok(Contenders { in_some_reading, by_the_letter: Some(rung) });
            }
            let first = *in_some_reading.get_or_insert(rung);
            let mut before = self.rungs.iter().take(index).filter(|before| holds(before));
            if first.answer != rung.answer && !before.any(|before| before.scope.goes_before(&rung.scope)) {
                return Err(Ambiguous);
            }
        }
        Ok(Contenders { in_some_reading, by_the_letter: None })
    }
}

/// The rungs that may decide a question.
struct Contenders<'l, T> {
    /// The first of those that do in some reading only. All of them have its answer.
    in_some_reading: Option<&'l Rung<T>>,
    by_the_letter: Option<&'l Rung<T>>,
}
