//! Rules for single paths of an application.
//!
//! What decides when several rules match is the gateway's business ([`gateway::rules`]); here they are read, and what
//! could not be decided is refused.

use std::collections::HashMap;
use std::time::Duration;

use gateway::rules::MAX_HEADER_PATHS;
use http::{HeaderName, HeaderValue, Method};

use super::document::{Document, Place};
use super::form::{Choice, List, Pairs, Size, Span, Switch, Text};
use super::handoff::check_paths;
use super::names::{EntryName, EntryText, UserName};
use super::section::Section;
use super::upstream::{Server, Servers};
use super::web::{ChangedHeader, HeaderText, MethodName, UrlPath};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_hours(1);

/// One `[[application.rule]]`. What it does not say is left to other rules, and to the application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Paths, each with all below.
    pub paths: Vec<String>,
    /// Paths that are meant alone.
    pub exact: Vec<String>,
    /// Methods; empty: any. GET is HEAD as well.
    pub methods: Vec<Method>,
    /// The session is presented and can be changed.
    pub handoff: Option<bool>,
    /// A request is a use of the session, which is not idle then.
    pub counts_as_activity: Option<bool>,
    /// Who must be there.
    pub require: Option<Require>,
    /// Of those who are logged in, only these; empty: any.
    pub require_users: Vec<String>,
    /// What the session must hold.
    pub require_entries: Vec<(String, String)>,
    /// Where the application is for these paths.
    pub upstream: Option<Vec<Server>>,
    /// How long it may take to begin its response; zero: any time.
    pub response_timeout: Option<Duration>,
    /// How long a client may pause within the body of a request.
    pub body_timeout: Option<Duration>,
    /// Size of a request's body in bytes; zero: any.
    pub max_body_bytes: Option<u64>,
    /// What changes in requests on their way to the application.
    pub request_headers: HeaderChanges,
    /// What changes in its responses.
    pub response_headers: HeaderChanges,
}

/// Who must be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Require {
    /// Nobody.
    Nobody,
    /// Whoever has a session.
    Session,
    /// Somebody who is logged in.
    User,
}

/// What becomes of headers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HeaderChanges {
    /// In the place of what was there.
    pub set: Vec<(HeaderName, HeaderValue)>,
    /// Beside what was there.
    pub add: Vec<(HeaderName, HeaderValue)>,
    /// Gone.
    pub remove: Vec<HeaderName>,
}

const REQUIRE: Choice<Require> = Choice {
    words: &[("user", Require::User), ("session", Require::Session), ("nobody", Require::Nobody)],
    later: &[],
};

/// Where a rule stands in the file.
#[derive(Debug, Clone)]
pub(crate) struct RulePlaces {
    pub(crate) rule: Place,
    pub(crate) handoff: Place,
    pub(crate) counts_as_activity: Place,
    pub(crate) require: Place,
    pub(crate) request_headers: Place,
    pub(crate) response_headers: Place,
}

impl Rule {
    /// Reads a rule of the application at `base`.
    pub(crate) fn read(section: &mut Section<'_>, base: &str) -> (Self, RulePlaces) {
        let places = RulePlaces {
            rule: section.place(""),
            handoff: section.place("handoff"),
            counts_as_activity: section.place("counts_as_activity"),
            require: section.place("require"),
            request_headers: section.place("request_headers"),
            response_headers: section.place("response_headers"),
        };
        let rule = Self {
            paths: section.value(
                "paths",
                &List(Text(UrlPath)),
                Vec::new(),
                "The paths that it is about, each with everything below. Of several rules that say something about the same, \
                 the longest path decides.",
            ),
            exact: section.value(
                "exact",
                &List(Text(UrlPath)),
                Vec::new(),
                "Paths that it is about alone, without what is below.",
            ),
            methods: section.value(
                "methods",
                &List(Text(MethodName)),
                Vec::new(),
                "The methods that it is about; left out, all. `GET` is `HEAD` as well.",
            ),
            handoff: section.optional(
                "handoff",
                &Switch,
                false,
                "Whether the session is presented to the application, and can be changed by it.",
            ),
            counts_as_activity: section.optional(
                "counts_as_activity",
                &Switch,
                false,
                "Whether a request is a use of the session, which is not idle then. `false` for what pages ask in the \
                 background: they would keep a session whose visitor has gone.",
            ),
            require: section.optional(
                "require",
                &REQUIRE,
                Require::User,
                "Who must be there. `user`: somebody who is logged in; `session`: whoever has a session; `nobody`: the paths \
                 are open.",
            ),
            require_users: section.value(
                "require_users",
                &List(Text(UserName)),
                Vec::new(),
                "Of those who are logged in, only these. Others get 403.",
            ),
            require_entries: section.value(
                "require_entries",
                &Pairs { names: Text(EntryName), values: Text(EntryText) },
                Vec::new(),
                "What the session must hold: the entry is this text, or a list in which it stands. Others get 403.",
            ),
            upstream: section.optional(
                "upstream",
                &Servers,
                vec![Server::at("127.0.0.1", 9001)],
                "Where the application runs for these paths, said as its own `upstream`.",
            ),
            response_timeout: section.optional(
                "response_timeout",
                &Span::between(Duration::from_millis(10), HOUR * 24).or_zero("any time"),
                SECOND * 300,
                "How long `upstream` may take to begin its response. Then 504.",
            ),
            body_timeout: section.optional(
                "body_timeout",
                &Span::between(Duration::from_millis(100), HOUR),
                SECOND * 120,
                "How long a client may pause within the body of a request.",
            ),
            max_body_bytes: section.optional(
                "max_body_bytes",
                &Size::between(1, 1 << 40).or_zero("any size"),
                1 << 30,
                "Body of a request, larger or smaller than `[gateway]` allows. More is answered with 413.",
            ),
            request_headers: section.table(
                "request_headers",
                "What changes in requests on their way to the application. All rules that match have their say, the longest \
                 path the last word.",
                HeaderChanges::read,
            ),
            response_headers: section.table(
                "response_headers",
                "What changes in responses of the application on their way to the visitor.",
                HeaderChanges::read,
            ),
        };
        rule.check(section, base);
        (rule, places)
    }

    fn check(&self, section: &Section<'_>, base: &str) {
        check_paths(section, "paths", &self.paths, base);
        check_paths(section, "exact", &self.exact, base);
        let is_read = !section.document().describing;
        if self.paths.is_empty() && self.exact.is_empty() && is_read {
            let message = "the rule is about no path";
            let cure = "name some: `paths = [\"/reports\"]`, or `exact` for a path alone";
            if section.given("paths") || section.given("exact") {
                section.warn("paths", message, cure);
            } else {
                section.wrong("paths", message, cure);
            }
        }
        let narrows = [
            ("require_users", self.require_users.is_empty()),
            ("require_entries", self.require_entries.is_empty()),
        ];
        for (key, _) in narrows.into_iter().filter(|(_, is_empty)| !is_empty) {
            let fits = match self.require {
                Some(Require::User) => true,
                Some(Require::Session) => key == "require_entries",
                Some(Require::Nobody) | None => false,
            };
            if !fits {
                let message = format!(
                    "`{key}` says more about who must be there, and `require` does not say that anybody must"
                );
                section.wrong(key, message, "say `require = \"user\"` with it");
            }
        }
        if self.questions().is_empty() && is_read {
            section.warn(
                "paths",
                "the rule says nothing about its paths",
                "say what holds there, or remove it",
            );
        }
    }

    /// Everything that it answers, by the key that says so.
    fn questions(&self) -> Vec<String> {
        let said = [
            ("handoff", self.handoff.is_some()),
            ("counts_as_activity", self.counts_as_activity.is_some()),
            ("require", self.require.is_some()),
            ("upstream", self.upstream.is_some()),
            ("response_timeout", self.response_timeout.is_some()),
            ("body_timeout", self.body_timeout.is_some()),
            ("max_body_bytes", self.max_body_bytes.is_some()),
        ];
        let keys = said.into_iter().filter(|(_, is_said)| *is_said).map(|(key, _)| key.to_owned());
        let of_requests = self.request_headers.names().map(|name| format!("{name}` in `request_headers"));
        let of_responses = self.response_headers.names().map(|name| format!("{name}` in `response_headers"));
        keys.chain(of_requests).chain(of_responses).collect()
    }

    /// Everything that it is about: a path, whether it is meant alone, and a method if it is not any.
    fn scopes(&self) -> Vec<(&str, bool, Option<Method>)> {
        let paths = self.paths.iter().map(|path| (path, false));
        let mut scopes = Vec::new();
        for (path, is_exact) in paths.chain(self.exact.iter().map(|path| (path, true))) {
            if self.methods.is_empty() {
                scopes.push((path.as_str(), is_exact, None));
            }
            for method in &self.methods {
                scopes.push((path.as_str(), is_exact, Some(method.clone())));
                if *method == Method::GET && !self.methods.contains(&Method::HEAD) {
                    scopes.push((path.as_str(), is_exact, Some(Method::HEAD)));
                }
            }
        }
        scopes
    }
}

impl HeaderChanges {
    fn read(section: &mut Section<'_>) -> Self {
        let pairs = Pairs { names: Text(ChangedHeader), values: Text(HeaderText) };
        let changes = Self {
            set: section.value(
                "set",
                &pairs,
                Vec::new(),
                "Set, in the place of what was there in any spelling.",
            ),
            add: section.value("add", &pairs, Vec::new(), "Added to what was there."),
            remove: section.value(
                "remove",
                &List(Text(ChangedHeader)),
                Vec::new(),
                "Removed, in any spelling.",
            ),
        };
        let mut seen: Vec<&HeaderName> = Vec::new();
        for name in changes.names() {
            if seen.contains(&name) {
                let message = format!("`{name}` is changed twice by one rule");
                let key = if changes.remove.contains(name) { "remove" } else { "set" };
                section.wrong(key, message, "say once what becomes of it; `set` replaces what was there");
            }
            seen.push(name);
        }
        changes
    }

    /// Every header that is changed.
    pub(crate) fn names(&self) -> impl Iterator<Item = &HeaderName> {
        let pairs = self.set.iter().chain(&self.add).map(|(name, _)| name);
        pairs.chain(&self.remove)
    }
}

/// Two rules that would answer the same question for the same path: nobody could say which is meant.
pub(crate) fn check_rules(document: &Document<'_>, rules: &[(Rule, RulePlaces)]) {
    let mut seen: HashMap<(String, &str, bool, Option<Method>), usize> = HashMap::new();
    for (index, (rule, places)) in rules.iter().enumerate() {
        let mut told: Option<usize> = None;
        for question in rule.questions() {
            for (path, is_exact, method) in rule.scopes() {
                let before = *seen.entry((question.clone(), path, is_exact, method)).or_insert(index);
                if before != index && told != Some(before) {
                    let line = rules.get(before).map_or(0, |(_, other)| document.line(&other.rule));
                    let message =
                        format!("`{question}` for `{path}` is said by another rule already, in line {line}");
                    document.wrong(
                        &places.rule,
                        message,
                        "say it once, or for a longer path, or for other methods",
                    );
                    told = Some(before);
                }
            }
        }
    }
    let changes_headers = |rule: &Rule| {
        rule.request_headers.names().next().is_some() || rule.response_headers.names().next().is_some()
    };
    let mut paths = 0;
    for (rule, places) in rules.iter().filter(|(rule, _)| changes_headers(rule)) {
        paths += rule.paths.len() + rule.exact.len();
        if paths > MAX_HEADER_PATHS {
            let message = format!("with this rule, headers are changed for {paths} paths of the application");
            document.wrong(&places.rule, message, format!("at most {MAX_HEADER_PATHS} are possible"));
            break;
        }
    }
}
