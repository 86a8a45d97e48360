//! Which application a request is for, and what holds for it there.
//!
//! [`Router::decide`] is asked once for each request; `cloakroom check --explain` asks the same, and then for the reasons.

use std::sync::Arc;

use http::Method;
use http::request::Parts;

use crate::hygiene::{self, Host, Refused};
use crate::path::{NormalPath, Standing};
use crate::refusal::Refusal;
use crate::rules::{Decision, Sited};

/// Applications by host and path: of those that answer for the host the one with the longest path, and only if none
/// of them has it, those that answer for any host.
#[derive(Debug)]
pub(crate) struct Router<T> {
    /// In the order in which they decide.
    entries: Vec<Entry<T>>,
}

/// An application under one of its hosts.
#[derive(Debug)]
pub(crate) struct Entry<T> {
    /// None: any.
    pub(crate) host: Option<Box<str>>,
    pub(crate) target: Arc<T>,
}

/// Whether a request is for an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fit {
    Yes,
    OtherHost,
    OtherPath,
    /// By the letters of its path it is not; what decodes more may read it so.
    InSomeReading,
}

/// Where a request goes.
#[derive(Debug)]
pub(crate) struct Course<'r, 'p, T> {
    pub(crate) target: &'r Arc<T>,
    /// As everybody reads it from here on.
    pub(crate) path: NormalPath<'p>,
    pub(crate) decision: Decision<'r>,
}

impl<T: Sited> Router<T> {
    pub(crate) fn new(targets: impl IntoIterator<Item = Arc<T>>) -> Self {
        let mut entries = Vec::new();
        for target in targets {
            let hosts = &target.site().hosts;
            if hosts.is_empty() {
                entries.push(Entry { host: None, target });
                continue;
            }
            for host in hosts {
                entries.push(Entry { host: Some(host.clone()), target: Arc::clone(&target) });
            }
        }
        // Named hosts and the longest path first, so that the first that matches is the right one.
        entries.sort_by_key(|entry| {
            let length = entry.target.site().path.as_str().len();
            (entry.host.is_none(), std::cmp::Reverse(length))
        });
        Self { entries }
    }

    /// Where a request goes and what holds for it; `path` is that of its target. Allocates nothing where the path is in
    /// its one spelling.
    ///
    /// # Errors
    /// It goes nowhere.
    pub(crate) fn decide<'r, 'p>(
        &'r self,
        parts: &Parts,
        path: &'p str,
    ) -> Result<Course<'r, 'p, T>, Refusal> {
        let host = hygiene::host(parts).map_err(Refusal::Head)?;
        let path = NormalPath::parse(path).map_err(Refusal::Path)?;
        if path.is_asterisk() && parts.method != Method::OPTIONS {
            return Err(Refusal::Head(Refused::BadTarget));
        }
        let target = self.route(host.as_ref(), &path).map_err(Refusal::Ambiguous)?;
        let target = target.ok_or(Refusal::Nobody)?;
        let site = target.site();
        let mut decision = site.rules.decide(&parts.method, &path).map_err(Refusal::AmbiguousRule)?;
        decision.is_export = site.export.as_deref().is_some_and(|location| location == path.as_str());
        Ok(Course { target, path, decision })
    }

    /// The application of a request, if there is one.
    ///
    /// # Errors
    /// Some application could read the path as one of another application: `/admin%2Fx` is not below `/admin`, but what
    /// stands behind `/` may take it for that. Whose rules would hold then?
    pub(crate) fn route(
        &self,
        host: Option<&Host<'_>>,
        path: &NormalPath<'_>,
    ) -> Result<Option<&Arc<T>>, Ambiguous> {
        let mut widest = None;
        for (entry, fit) in self.judged(host, path) {
            match fit {
                Fit::Yes if widest.is_none_or(|widest| Arc::ptr_eq(widest, &entry.target)) => {
                    return Ok(Some(&entry.target));
                }
                Fit::Yes => return Err(Ambiguous),
                Fit::InSomeReading => widest = widest.or(Some(&entry.target)),
                Fit::OtherHost | Fit::OtherPath => {}
            }
        }
        if widest.is_none() { Ok(None) } else { Err(Ambiguous) }
    }

    /// Every entry in the order in which they decide, and whether the request is for it.
    pub(crate) fn judged(
        &self,
        host: Option<&Host<'_>>,
        path: &NormalPath<'_>,
    ) -> impl Iterator<Item = (&Entry<T>, Fit)> {
        self.entries.iter().map(move |entry| {
            let is_its_host =
                entry.host.as_deref().is_none_or(|name| host.is_some_and(|host| host.is_called(name)));
            let prefix = &entry.target.site().path;
            let fit = if !is_its_host {
                Fit::OtherHost
            } else if path.is_asterisk() || prefix.holds(path) {
                Fit::Yes
            } else if prefix.at_widest(path) != Standing::Outside {
                Fit::InSomeReading
            } else {
                Fit::OtherPath
            };
            (entry, fit)
        })
    }
}

/// A path that is one application's by its letters, and another's in some reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the path can be read as one of another application: send it without escaped slashes and parameters")]
pub(crate) struct Ambiguous;
