//! Where a request would go and what would hold for it, with the reasons: for people who ask before it is too late.
//!
//! A [`Map`] is asked as the gateway asks for each request, by the same code; then for all that lost, from the same
//! tables. It knows what is decided from the head of a request alone, and opens no connection, file or session.

use std::sync::Arc;

use http::request::Parts;

use crate::hygiene;
use crate::login::OwnPage;
use crate::path::NormalPath;
use crate::refusal::Refusal;
use crate::router::{Fit, Router};
use crate::rules::{Reasons, RuleError, Site, SiteSettings};

/// Every application's hosts, paths and rules.
#[derive(Debug)]
pub struct Map {
    router: Router<Site>,
}

/// What becomes of a request before anybody sees it, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// The path in its one spelling; none where it has none.
    pub path: Option<String>,
    /// What becomes of it.
    pub verdict: Verdict,
    /// Every application under each of its hosts, in the order in which they decide. Empty where the head or the path
    /// is refused before anybody is chosen.
    pub routes: Vec<Route>,
    /// What holds for it there, question by question, where an application was chosen.
    pub reasons: Reasons,
}

/// What becomes of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It goes to this application, as far as its session allows.
    Application(Box<str>),
    /// It is for a page of our own in front of this application.
    OwnPage(Box<str>, OwnPage),
    /// It is for an assertion, which this application may fetch.
    Export(Box<str>),
    /// It goes no further.
    Refused {
        /// The status of the answer.
        status: u16,
        /// What the client is told.
        reason: String,
    },
}

/// An application under one of its hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Its id.
    pub application: Box<str>,
    /// None: any that no other application answers for.
    pub host: Option<Box<str>>,
    /// The path below which it answers.
    pub path: Box<str>,
    /// What speaks for it, or against.
    pub fitness: Fitness,
}

/// How a request fits an application.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fitness {
    /// The request is for it.
    Chosen,
    /// It would be for it, if there were not one that goes before: with a longer path, or that names the host.
    Outdone,
    /// It is for another host.
    OtherHost,
    /// It is for another path.
    OtherPath,
    /// An application could read its path as one of this, and it is not by the letter: that is refused.
    InSomeReading,
}

impl Map {
    /// The map of these applications.
    ///
    /// # Errors
    /// The rules of one cannot hold; with its id.
    pub fn new(sites: Vec<SiteSettings>) -> Result<Self, (Box<str>, RuleError)> {
        let sites = sites.into_iter().map(|settings| {
            let id = settings.id.clone();
            Site::new(settings).map(Arc::new).map_err(|error| (id, error))
        });
        Ok(Self { router: Router::new(sites.collect::<Result<Vec<_>, _>>()?) })
    }

    /// What becomes of a request with this head; its session apart.
    #[must_use]
    pub fn explain(&self, parts: &Parts) -> Explanation {
        let raw = parts.uri.path();
        let decided = self.router.decide(parts, raw);
        let chosen = decided.as_ref().ok().map(|course| course.target);
        let verdict = match &decided {
            Ok(course) if course.decision.is_export => Verdict::Export(course.target.id.clone()),
            Ok(course) => {
                let id = course.target.id.clone();
                course.decision.own_page.map_or_else(
                    || Verdict::Application(id.clone()),
                    |page| Verdict::OwnPage(id.clone(), page),
                )
            }
            Err(refusal) => refused(refusal),
        };
        let (path, host) = (NormalPath::parse(raw), hygiene::host(parts));
        let mut explanation =
            Explanation { path: None, verdict, routes: Vec::new(), reasons: Reasons::new() };
        let (Ok(path), Ok(host)) = (path, host) else { return explanation };
        explanation.path = Some(path.to_string());
        // `*` is a path, and for no method but OPTIONS.
        if matches!(decided, Err(Refusal::Head(_))) {
            return explanation;
        }
        // Where the rules of an application refuse it, that application was chosen all the same.
        let chosen = chosen.or_else(|| self.router.route(host.as_ref(), &path).ok().flatten());
        let mut is_free = true;
        for (entry, fit) in self.router.judged(host.as_ref(), &path) {
            let site = &entry.target;
            let is_chosen = chosen.is_some_and(|chosen| Arc::ptr_eq(chosen, site));
            let fitness = match fit {
                Fit::Yes if is_free && is_chosen => {
                    is_free = false;
                    Fitness::Chosen
                }
                Fit::Yes => Fitness::Outdone,
                Fit::OtherHost => Fitness::OtherHost,
                Fit::OtherPath => Fitness::OtherPath,
                Fit::InSomeReading if is_free => Fitness::InSomeReading,
                Fit::InSomeReading => Fitness::Outdone,
            };
            let (host, path) = (entry.host.clone(), site.path.as_str().into());
            explanation.routes.push(Route { application: site.id.clone(), host, path, fitness });
        }
        if let Some(site) = chosen {
            explanation.reasons = site.rules.reasons(&parts.method, &path);
        }
        explanation
    }
}

fn refused(refusal: &Refusal) -> Verdict {
    let (_, status, reason) = refusal.answer();
    let reason = reason.unwrap_or_else(|| "no application answers for this host and path".to_owned());
    Verdict::Refused { status: status.as_u16(), reason }
}
