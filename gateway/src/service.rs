//! What one configuration makes of the gateway: everything by which a request is answered.
//!
//! A value of this type never changes. A reload puts another one in its place; a request takes the one of its moment
//! once and keeps it to its end, tasks that go on after it included, so that no request is judged by half of each.
//! What must outlive a reload (the cache, the counters, what a stop waits for) is shared by all of them.

use std::collections::HashSet;
use std::sync::Arc;

use cache::Cache;
use prometheus_client::registry::Registry;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::application::{Application, ApplicationError};
use crate::counters::{Answers, Counters};
use crate::hygiene::Presented;
use crate::ours::{OurCookies, Ours};
use crate::pages::Pages;
use crate::router::Router;
use crate::rules::{HeaderChanges, RuleError};
use crate::settings::{ApplicationSettings, Carrier, GatewaySettings, Limits, SecureSettings};
use crate::traces::Traces;

/// For how many visitors who have left the answer is awaited, at one time.
const MAX_LATE: usize = 1024;

/// The gateway as one configuration wants it.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) router: Router<Application>,
    pub(crate) ours: Ours,
    pub(crate) pages: Arc<Pages>,
    pub(crate) limits: Limits,
    pub(crate) has_access_log: bool,
    pub(crate) secure: SecureSettings,
    pub(crate) traces: Option<Arc<dyn Traces>>,
    /// What is answered for no application in particular.
    pub(crate) unrouted: Answers,
    applications: Vec<Arc<Application>>,

    // From here on it is the same for every configuration.
    pub(crate) cache: Arc<Cache>,
    pub(crate) counters: Arc<Counters>,
    /// Room for answers that are awaited although their visitors have left.
    pub(crate) late: Arc<Semaphore>,
    /// No more than one request is answered on each connection.
    pub(crate) stopping: CancellationToken,
    /// Idle connections are closed.
    pub(crate) closing: CancellationToken,
    /// What a stop waits for.
    pub(crate) under_way: TaskTracker,
    /// Nobody waits any more.
    pub(crate) over: CancellationToken,
}

impl Service {
    /// The first of a process.
    pub(crate) fn first(
        settings: GatewaySettings,
        cache: Arc<Cache>,
        registry: &mut Registry,
    ) -> Result<Self, ApplicationError> {
        let counters = Arc::new(Counters::registered(registry));
        reckon_with(&settings.applications, &cache);
        let applications = applications(settings.applications, &settings.secure, &counters, &[])?;
        Ok(Self {
            router: Router::new(applications.list.iter().cloned()),
            ours: applications.ours,
            pages: settings.pages,
            limits: settings.limits,
            has_access_log: settings.has_access_log,
            secure: settings.secure,
            traces: settings.traces,
            unrouted: counters.answers("none"),
            applications: applications.list,
            cache,
            counters,
            late: Arc::new(Semaphore::new(MAX_LATE)),
            stopping: CancellationToken::new(),
            closing: CancellationToken::new(),
            under_way: TaskTracker::new(),
            over: CancellationToken::new(),
        })
    }

    /// The one that follows this one. Connections to applications whose place has not changed are kept.
    pub(crate) fn next(&self, settings: GatewaySettings) -> Result<Self, ApplicationError> {
        reckon_with(&settings.applications, &self.cache);
        let applications =
            applications(settings.applications, &settings.secure, &self.counters, &self.applications)?;
        Ok(Self {
            router: Router::new(applications.list.iter().cloned()),
            ours: applications.ours,
            pages: settings.pages,
            limits: settings.limits,
            has_access_log: settings.has_access_log,
            secure: settings.secure,
            traces: settings.traces,
            unrouted: self.unrouted.clone(),
            applications: applications.list,
            cache: Arc::clone(&self.cache),
            counters: Arc::clone(&self.counters),
            late: Arc::clone(&self.late),
            stopping: self.stopping.clone(),
            closing: self.closing.clone(),
            under_way: self.under_way.clone(),
            over: self.over.clone(),
        })
    }

    /// The application of this name.
    pub(crate) fn application(&self, id: &str) -> Option<&Arc<Application>> {
        named(&self.applications, id)
    }

    /// Counts no more for applications that `next` does not have, or their rows would pile up over reloads.
    pub(crate) fn forget_what_is_not_in(&self, next: &Self) {
        let staying: HashSet<&str> = next.applications.iter().map(|application| &*application.id).collect();
        for application in &self.applications {
            if !staying.contains(&*application.id) {
                self.counters.forget(&application.id);
            }
        }
    }
}

fn reckon_with(applications: &[ApplicationSettings], cache: &Cache) {
    for sessions in applications.iter().filter_map(|application| application.sessions.as_ref()) {
        cache.reckon_with(&sessions.judge.realm);
        if let Carrier::RecoverableTicket { danger_is_soft, .. } = sessions.carrier {
            cache.allow_recovery(&sessions.judge.realm, danger_is_soft);
        }
    }
}

struct Applications {
    list: Vec<Arc<Application>>,
    ours: Ours,
}

fn applications(
    settings: Vec<ApplicationSettings>,
    secure: &SecureSettings,
    counters: &Counters,
    before: &[Arc<Application>],
) -> Result<Applications, ApplicationError> {
    let ours = Ours::of(&settings, secure);
    let beyond_rules = Ours::beyond_rules(&settings, secure);
    for application in &settings {
        check_headers(application, &beyond_rules)?;
    }
    let cookies: Vec<OurCookies> =
        settings.iter().map(|application| OurCookies::of(application, &settings)).collect();
    let list = settings
        .into_iter()
        .zip(cookies)
        .map(|(settings, cookies)| {
            let before = named(before, &settings.id).map(Arc::as_ref);
            Application::new(settings, cookies, counters, before).map(Arc::new)
        })
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Applications { list, ours })
}

/// No rule of an application changes what the gateway says to any of them.
fn check_headers(
    application: &ApplicationSettings,
    beyond_rules: &Presented,
) -> Result<(), ApplicationError> {
    let changes = application.rules.iter().flat_map(|rule| [&rule.request_headers, &rule.response_headers]);
    match changes.flat_map(HeaderChanges::names).find(|name| beyond_rules.covers(name)) {
        None => Ok(()),
        Some(name) => {
            let error = RuleError::OwnHeader(name.clone());
            Err(ApplicationError::Rules { application: application.id.clone(), error })
        }
    }
}

fn named<'a>(applications: &'a [Arc<Application>], id: &str) -> Option<&'a Arc<Application>> {
    applications.iter().find(|application| &*application.id == id)
}
