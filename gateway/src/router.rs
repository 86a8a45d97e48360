//! Which application a request is for.

use std::sync::Arc;

use crate::application::Application;
use crate::hygiene::Host;
use crate::path::NormalPath;

/// Applications by host and path: of those that answer for the host the one with the longest path, and only if none
/// of them has it, those that answer for any host.
#[derive(Debug)]
pub(crate) struct Router {
    named: Vec<(Box<str>, Arc<Application>)>,
    any: Vec<Arc<Application>>,
}

impl Router {
    pub(crate) fn new(applications: impl IntoIterator<Item = Arc<Application>>) -> Self {
        let mut router = Self { named: Vec::new(), any: Vec::new() };
        for application in applications {
            if application.hosts.is_empty() {
                router.any.push(application);
                continue;
            }
            for host in &application.hosts {
                router.named.push((host.clone(), Arc::clone(&application)));
            }
        }
        // The longest path first, so that the first that matches is the right one.
        let length = |application: &Application| std::cmp::Reverse(application.path.as_str().len());
        router.named.sort_by_key(|(_, application)| length(application));
        router.any.sort_by_key(|application| length(application));
        router
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
    ) -> Result<Option<&Arc<Application>>, Ambiguous> {
        let literal = self.first(host, |application| path.is_below(&application.path) || path.is_asterisk());
        let widest = self.first(host, |application| application.path.may_hold(path) || path.is_asterisk());
        match (literal, widest) {
            (None, None) => Ok(None),
            (Some(literal), Some(widest)) if Arc::ptr_eq(literal, widest) => Ok(Some(literal)),
            _ => Err(Ambiguous),
        }
    }

    fn first(
        &self,
        host: Option<&Host<'_>>,
        is_for: impl Fn(&Application) -> bool,
    ) -> Option<&Arc<Application>> {
        self.named
            .iter()
            .find(|(name, application)| host.is_some_and(|host| host.is_called(name)) && is_for(application))
            .map(|(_, application)| application)
            .or_else(|| self.any.iter().find(|application| is_for(application)))
    }
}

/// A path that is one application's by its letters, and another's in some reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the path can be read as one of another application: send it without escaped slashes and parameters")]
pub(crate) struct Ambiguous;
