//! Where an application answers, and what holds there: all that is decided from the head of a request alone.

use super::{Rule, RuleError, Rules};
use crate::login::OwnPages;
use crate::path::{Prefix, Prefixes};

/// What a configuration says of an [`Site`].
#[derive(Debug, Clone)]
pub struct SiteSettings {
    /// The application's id.
    pub id: Box<str>,
    /// The hosts it answers for, without ports; none is all that no other application answers for.
    pub hosts: Vec<Box<str>>,
    /// The path below which it answers.
    pub path: Prefix,
    /// Where it gets the session.
    pub handoff: Prefixes,
    /// Its login, if it has one.
    pub login: Option<LoginPaths>,
    /// The path at which it fetches assertions, if it does.
    pub export: Option<Box<str>>,
    /// Its rules.
    pub rules: Vec<Rule>,
}

/// The paths of a login.
#[derive(Debug, Clone)]
pub struct LoginPaths {
    /// The paths that need somebody who is logged in.
    pub demanded: Prefixes,
    /// Where its own pages are.
    pub own_pages: OwnPages,
}

/// Where an application answers, and what holds there.
#[derive(Debug)]
pub struct Site {
    pub(crate) id: Box<str>,
    pub(crate) hosts: Vec<Box<str>>,
    pub(crate) path: Prefix,
    pub(crate) export: Option<Box<str>>,
    pub(crate) rules: Rules,
}

/// Whatever has a site.
pub(crate) trait Sited {
    fn site(&self) -> &Site;
}

impl Site {
    /// A site with these settings.
    ///
    /// # Errors
    /// Its rules cannot hold so.
    pub fn new(settings: SiteSettings) -> Result<Self, RuleError> {
        let SiteSettings { id, hosts, path, handoff, login, export, rules } = settings;
        let (demanded, own_pages) = login.map(|login| (login.demanded, login.own_pages)).unzip();
        let rules = Rules::new(&handoff, &demanded.unwrap_or_default(), own_pages, &rules)?;
        Ok(Self { id, hosts, path, export, rules })
    }
}

impl Sited for Site {
    fn site(&self) -> &Site {
        self
    }
}
