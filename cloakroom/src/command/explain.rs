//! `cloakroom check --explain URL`: where a request would go, what would hold for it, and which line says so.
//!
//! The gateway's own tables are asked, as it asks them for each request; here their answers get the lines of the file.
//! Nothing is started, and nobody is asked: whether a visitor has a session is not known, only what follows from it.

use std::fmt::Write;

use gateway::login::OwnPage;
use gateway::rules::{Candidate, Fate, Origin, Question};
use gateway::{Explanation, Fitness, Map, Route, Verdict};
use http::request::Parts;
use http::{HeaderValue, Method, Request, Uri};
use miette::miette;
use serde::Serialize;

use crate::configuration::{Application, Loaded, shown_duration, shown_size};
use crate::run::applications::site;

/// What is asked.
pub(super) struct Asked<'a> {
    /// The configuration as it was named.
    pub(super) file: String,
    pub(super) loaded: &'a Loaded,
    pub(super) url: &'a str,
    pub(super) method: &'a str,
}

/// What is answered. The names of its fields are those of `--json`, and stay.
#[derive(Debug, Serialize)]
struct Answer {
    method: String,
    url: String,
    /// As everybody reads it; nothing where it has no one spelling.
    path: Option<String>,
    /// `application`, `login_page`, `logout_page`, `export_location` or `refused`.
    outcome: &'static str,
    application: Option<String>,
    /// Of a refusal.
    status: Option<u16>,
    reason: Option<String>,
    routes: Vec<RouteTold>,
    questions: Vec<QuestionTold>,
}

#[derive(Debug, Serialize)]
struct RouteTold {
    application: String,
    host: Option<String>,
    path: String,
    place: Option<String>,
    is_chosen: bool,
    why: &'static str,
}

#[derive(Debug, Serialize)]
struct QuestionTold {
    question: &'static str,
    /// Nothing: the request is refused for it.
    answer: Option<String>,
    /// The key that says so.
    key: String,
    place: Option<String>,
    candidates: Vec<CandidateTold>,
}

#[derive(Debug, Serialize)]
struct CandidateTold {
    key: String,
    /// The path that it is about, and the methods.
    about: String,
    place: Option<String>,
    decides: bool,
    why: String,
}

/// Prints the answer, for people or as JSON.
pub(super) fn explain(asked: &Asked<'_>, as_json: bool) -> miette::Result<()> {
    let answer = answer(asked)?;
    if as_json {
        let text = serde_json::to_string_pretty(&answer).map_err(|error| miette!("{error}"))?;
        println!("{text}");
    } else {
        print!("{}", shown(&answer));
    }
    Ok(())
}

fn answer(asked: &Asked<'_>) -> miette::Result<Answer> {
    let applications = &asked.loaded.configuration.applications;
    let sites = applications.iter().map(site).collect::<Result<Vec<_>, _>>()?;
    let map = Map::new(sites).map_err(|(id, error)| miette!("application `{id}`: {error}"))?;
    let mut answer = Answer {
        method: asked.method.to_owned(),
        url: asked.url.to_owned(),
        path: None,
        outcome: "refused",
        application: None,
        status: None,
        reason: None,
        routes: Vec::new(),
        questions: Vec::new(),
    };
    let parts = match head(asked.method, asked.url)? {
        Ok(parts) => parts,
        Err(reason) => {
            answer.status = Some(400);
            answer.reason = Some(reason);
            return Ok(answer);
        }
    };
    let Explanation { path, verdict, routes, reasons } = map.explain(&parts);
    answer.path = path;
    match verdict {
        Verdict::Application(id) => (answer.outcome, answer.application) = ("application", Some(id.into())),
        Verdict::OwnPage(id, page) => {
            answer.application = Some(id.into());
            answer.outcome = match page {
                OwnPage::Login => "login_page",
                OwnPage::Logout => "logout_page",
            };
        }
        Verdict::Export(id) => {
            (answer.outcome, answer.application) = ("export_location", Some(id.into()));
        }
        Verdict::Refused { status, reason } => {
            (answer.status, answer.reason) = (Some(status), Some(reason));
        }
    }
    let chosen =
        routes.iter().find(|route| route.fitness == Fitness::Chosen).map(|route| &*route.application);
    let chosen = applications.iter().position(|application| Some(application.id.as_str()) == chosen);
    answer.routes = routes.iter().map(|route| asked.route(route)).collect();
    if let Some(index) = chosen
        && let Some(application) = applications.get(index)
        && !matches!(answer.outcome, "login_page" | "logout_page" | "export_location")
    {
        let teller = Teller { asked, index, application };
        answer.questions = reasons.iter().map(|question| teller.question(question)).collect();
    }
    Ok(answer)
}

/// The head of the request, or why the gateway would not even read it.
fn head(method: &str, url: &str) -> miette::Result<Result<Parts, String>> {
    let method = Method::from_bytes(method.as_bytes())
        .map_err(|_| miette!(help = "say `--method GET`", "`{method}` is no method"))?;
    let whole = || {
        miette!(
            help = "say it as a browser does: `--explain https://shop.example.org/reports`",
            "`{url}` is no URL with a host"
        )
    };
    let (scheme, rest) = url.split_once("://").ok_or_else(whole)?;
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return Err(whole());
    }
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (host, target) = rest.split_at_checked(end).ok_or_else(whole)?;
    if host.is_empty() {
        return Err(whole());
    }
    // Nobody sends a fragment.
    let target = target.split('#').next().unwrap_or_default();
    let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
    // As the server's own library reads the first line of a request.
    let target: Uri = match target.parse() {
        Ok(target) => target,
        Err(error) => return Ok(Err(format!("the request target is malformed: {error}"))),
    };
    let Ok(host) = HeaderValue::from_str(host) else {
        return Ok(Err("the request's host holds what no header can".to_owned()));
    };
    let (mut parts, ()) = Request::new(()).into_parts();
    parts.headers.insert(http::header::HOST, host);
    (parts.method, parts.uri) = (method, target);
    Ok(Ok(parts))
}

impl Asked<'_> {
    fn place(&self, tables: &[(&str, usize)], key: &str) -> Option<String> {
        self.loaded.line(tables, key).map(|line| format!("{}:{line}", self.file))
    }

    fn route(&self, route: &Route) -> RouteTold {
        let applications = &self.loaded.configuration.applications;
        let index = applications.iter().position(|application| application.id == *route.application);
        let key = |key| index.and_then(|index| self.place(&[("application", index)], key));
        RouteTold {
            application: route.application.to_string(),
            host: route.host.as_deref().map(str::to_owned),
            path: route.path.to_string(),
            place: key("path").or_else(|| key("hosts")).or_else(|| key("id")),
            is_chosen: route.fitness == Fitness::Chosen,
            why: match route.fitness {
                Fitness::Chosen if route.host.is_some() => "its host, and of those the longest path",
                Fitness::Chosen => {
                    "no application that names the host has the path; of the others the longest path"
                }
                Fitness::Outdone => "a longer path, or one that names the host, goes before",
                Fitness::OtherHost => "another host",
                Fitness::OtherPath => "another path",
                Fitness::InSomeReading => {
                    "some applications would read the path as one of this: whose rules would hold?"
                }
            },
        }
    }
}

/// Tells what holds for one application.
struct Teller<'a> {
    asked: &'a Asked<'a>,
    index: usize,
    application: &'a Application,
}

impl Teller<'_> {
    fn question(&self, question: &Question) -> QuestionTold {
        let (key, place) = match question.by {
            Some(origin) => (key_of(origin, question.name), self.place(origin, question.name)),
            None => self.default(question),
        };
        QuestionTold {
            question: question.name,
            answer: question.answer.as_ref().map(|answer| self.value(question, answer)),
            key,
            place,
            candidates: question.candidates.iter().map(|one| self.candidate(question.name, one)).collect(),
        }
    }

    /// The answer in the words of the configuration.
    fn value(&self, question: &Question, answer: &str) -> String {
        let rule = match question.by {
            Some(Origin::Rule(index)) => self.application.rules.get(index),
            _ => None,
        };
        let configuration = &self.asked.loaded.configuration;
        let or_any = |span: std::time::Duration| match span.is_zero() {
            true => "any time".to_owned(),
            false => shown_duration(span),
        };
        match question.name {
            "upstream" => {
                let of_rule = rule.and_then(|rule| rule.upstream.as_ref());
                let servers = of_rule.unwrap_or(&self.application.upstream.servers);
                servers.iter().map(|server| server.url.to_string()).collect::<Vec<_>>().join(", ")
            }
            "response_timeout" => {
                let of_rule = rule.and_then(|rule| rule.response_timeout);
                or_any(of_rule.unwrap_or(self.application.upstream.response_timeout))
            }
            "body_timeout" => {
                let of_rule = rule.and_then(|rule| rule.body_timeout);
                or_any(of_rule.unwrap_or(configuration.gateway.body_timeout))
            }
            "max_body_bytes" => {
                let of_rule = rule.and_then(|rule| rule.max_body_bytes);
                match of_rule.unwrap_or(configuration.gateway.max_body_bytes) {
                    0 => "any size".to_owned(),
                    bytes => shown_size(bytes),
                }
            }
            _ => answer.to_owned(),
        }
    }

    /// What holds where nothing matches, and where that is said.
    fn default(&self, question: &Question) -> (String, Option<String>) {
        let application = [("application", self.index)];
        if question.candidates.iter().any(|candidate| candidate.fate == Fate::Decides) {
            return ("several rules".to_owned(), None);
        }
        if question.answer.is_none() {
            return ("readings of the path differ".to_owned(), None);
        }
        match question.name {
            name @ ("upstream" | "response_timeout") => {
                (format!("application.{name}"), self.asked.place(&application, name))
            }
            name @ ("body_timeout" | "max_body_bytes") => {
                (format!("gateway.{name}"), self.asked.place(&[("gateway", 0)], name))
            }
            _ => ("nothing says otherwise".to_owned(), None),
        }
    }

    fn candidate(&self, question: &'static str, candidate: &Candidate) -> CandidateTold {
        let methods: Vec<&str> = candidate.methods.iter().map(Method::as_str).collect();
        let about = match (candidate.is_exact, methods.as_slice()) {
            (true, []) => format!("{} alone", candidate.path),
            (false, []) => candidate.path.to_string(),
            (true, methods) => format!("{} alone, by {}", candidate.path, methods.join(", ")),
            (false, methods) => format!("{}, by {}", candidate.path, methods.join(", ")),
        };
        CandidateTold {
            key: key_of(candidate.origin, question),
            about,
            place: self.place(candidate.origin, question),
            decides: candidate.fate == Fate::Decides,
            why: match candidate.fate {
                Fate::Decides if question.ends_with("_headers") => "it matches".to_owned(),
                Fate::Decides => "the longest path that matches".to_owned(),
                Fate::Outdone => "it matches, and a longer path decides".to_owned(),
                Fate::OtherPath => "another path".to_owned(),
                Fate::Below => "the path alone, and this is below".to_owned(),
                Fate::OtherMethod => "another method".to_owned(),
                Fate::OnlyInSomeReading => {
                    "some applications would read the path so; an exception holds by the letter".to_owned()
                }
                Fate::Differs => {
                    "some applications would read the path so, and then this would hold: refused".to_owned()
                }
                Fate::Void(by) => format!("`{}` of the same section wins", key_of(by, question)),
            },
        }
    }

    fn place(&self, origin: Origin, question: &str) -> Option<String> {
        let application = ("application", self.index);
        match origin {
            Origin::Include(_) => self.asked.place(&[application, ("handoff", 0)], "include"),
            Origin::Exclude(_) => self.asked.place(&[application, ("handoff", 0)], "exclude"),
            Origin::Require(_) => self.asked.place(&[application, ("login", 0)], "require"),
            Origin::Exempt(_) => self.asked.place(&[application, ("login", 0)], "exempt"),
            Origin::Rule(index) if question.ends_with("_headers") => {
                let tables = [application, ("rule", index), (question, 0)];
                ["set", "add", "remove"].into_iter().find_map(|key| self.asked.place(&tables, key))
            }
            Origin::Rule(index) => self.asked.place(&[application, ("rule", index)], question),
        }
    }
}

fn key_of(origin: Origin, question: &str) -> String {
    match origin {
        Origin::Include(_) => "handoff.include".to_owned(),
        Origin::Exclude(_) => "handoff.exclude".to_owned(),
        Origin::Require(_) => "login.require".to_owned(),
        Origin::Exempt(_) => "login.exempt".to_owned(),
        Origin::Rule(_) => format!("rule.{question}"),
    }
}

fn shown(answer: &Answer) -> String {
    let mut text = format!("{} {}\n", answer.method, answer.url);
    // Writing to a String does not fail.
    if let Some(path) = &answer.path {
        let _ = writeln!(text, "  {:<17} {path}", "path");
    }
    let application = answer.application.as_deref().unwrap_or_default();
    let verdict = match answer.outcome {
        "application" => format!("to application `{application}`"),
        "login_page" => format!("to our own login page of `{application}`: no rule concerns it"),
        "logout_page" => format!("to our own logout page of `{application}`: no rule concerns it"),
        "export_location" => {
            format!("to the assertions of `{application}` (`export_location`): no rule concerns it")
        }
        _ => format!(
            "refused with {}: {}",
            answer.status.unwrap_or_default(),
            answer.reason.as_deref().unwrap_or_default()
        ),
    };
    let _ = writeln!(text, "  {:<17} {verdict}", "goes");
    for route in &answer.routes {
        let mark = if route.is_chosen { "*" } else { "-" };
        let host = route.host.as_deref().unwrap_or("any host");
        let place = at(route.place.as_deref());
        let _ = writeln!(
            text,
            "  {:<17} {mark} `{}`, {} on {host}{place}: {}",
            "", route.application, route.path, route.why
        );
    }
    for question in &answer.questions {
        let value = question.answer.as_deref().unwrap_or("refused");
        let place = at(question.place.as_deref());
        let _ = writeln!(text, "  {:<17} {value}, by {}{place}", question.question, question.key);
        for candidate in &question.candidates {
            let mark = if candidate.decides { "*" } else { "-" };
            let place = at(candidate.place.as_deref());
            let CandidateTold { key, about, why, .. } = candidate;
            let _ = writeln!(text, "  {:<17} {mark} {key} {about}{place}: {why}", "");
        }
    }
    text
}

fn at(place: Option<&str>) -> String {
    place.map(|place| format!(" ({place})")).unwrap_or_default()
}

#[cfg(test)]
mod tests;
