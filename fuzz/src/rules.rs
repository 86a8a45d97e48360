//! Rules for single paths: what is decided for a request is what the book says, and no reading of its path gets around it.
//!
//! The first line of the input is the request, `METHOD path`. Each other line is something that a configuration says:
//!
//! - `include`, `exclude`, `require`, `exempt` and a path, as the sections `handoff` and `login` say it;
//! - `below` or `exact`, a path, methods (`-` is any), and answers of a rule, a word each: `handoff` `direct`, `user`
//!   `session` `nobody` or `=name`, a number of seconds, `+header`.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Duration;

use gateway::login::OwnPages;
use gateway::path::{NormalPath, Prefix, Prefixes};
use gateway::rules::{Demand, HeaderChanges, LoginPaths, Require, Rule, SiteSettings, Who};
use gateway::{Explanation, Map, Verdict};
use http::{HeaderName, HeaderValue, Method, Request, Uri};

use crate::readers::{READERS, Reader, is_below};

/// Inputs to begin with.
pub const SEEDS: &[&[u8]] = &[
    b"GET /\n",
    b"GET /x/admin/help\nrequire /x/admin\nexempt /x/admin/help\ninclude /\nexclude /static",
    b"GET /static/live/1\nexclude /static\nbelow /static/live - handoff",
    b"HEAD /admin/\nrequire /\nbelow /admin GET,POST =ada 300\nexact /admin - nobody\nbelow /admin/help - nobody +x-area",
    b"GET /x;%2Fy/admin%3Bz\nbelow /x/y/admin - session\nbelow /x/admin - =ada",
    b"GET /x;%2Fy/admin\nbelow /x/y/admin - user 5\nbelow /x/admin - user 9 +x-a\nbelow /x - 5",
    b"GET /x%2Fadmin\nrequire /\nbelow /x/admin - =ada",
    b"GET /a/b;v=1\nbelow /a - 300\nbelow /a/b - 300\nexact /a/b - 300",
    b"POST /shop;v=1\nbelow /shop - user\nbelow /shop GET session",
    b"OPTIONS *\nrequire /\nbelow / - 5",
    b"GET *\nrequire /",
    b"GET /%61/..//b%5Cc\nexact /b/c - user direct\nbelow /b - session handoff",
    b"GET /admin/public;/y\nbelow /admin - user\nbelow /admin/public - nobody\nbelow /admin%2Fpublic - 7",
    b"GET /include\ninclude /a/b\nexclude /a\nrequire /a/b\nexempt /a/b/",
];

/// What it is made of.
pub const WORDS: &[&[u8]] = &[
    b"GET ",
    b"HEAD ",
    b"POST ",
    b"OPTIONS *\n",
    b"\ninclude /",
    b"\nexclude /",
    b"\nrequire /",
    b"\nexempt /",
    b"\nbelow /",
    b"\nexact /",
    b" - ",
    b" GET,POST ",
    b" handoff",
    b" direct",
    b" user",
    b" session",
    b" nobody",
    b" =ada",
    b" 5",
    b" +x-area",
    b"/x",
    b"/admin",
    b"%2F",
    b"%3B",
    b"%5C",
    b";",
    b"..",
];

/// More of them take long, and teach nothing new.
const MAX_LINES: usize = 24;

/// Checks the laws.
pub fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let mut lines = text.split('\n');
    let Some((method, path)) = lines.next().and_then(|line| line.split_once(' ')) else { return };
    let (Ok(method), Ok(uri)) = (method.parse::<Method>(), path.parse::<Uri>()) else { return };
    let path = uri.path().to_owned();
    let said = Said::of(lines.take(MAX_LINES));
    let (mut parts, ()) = Request::new(()).into_parts();
    (parts.method, parts.uri, parts.version) = (method.clone(), uri, http::Version::HTTP_10);

    let explanation = said.map().explain(&parts);
    assert_eq!(said.map().explain(&parts), explanation, "asked twice");
    let Ok(path) = NormalPath::parse(&path) else {
        return assert!(matches!(explanation.verdict, Verdict::Refused { status: 400, .. }));
    };
    if explanation.reasons.is_empty() {
        return assert!(matches!(explanation.verdict, Verdict::Refused { .. }), "{explanation:?}");
    }
    let is_refused = matches!(explanation.verdict, Verdict::Refused { status: 400, .. });
    let differs = explanation.reasons.iter().any(|question| question.answer.is_none());
    assert_eq!(is_refused, differs, "{explanation:?}");
    if said.lines.iter().all(|line| is_plain(line.prefix.as_str())) && !path.is_asterisk() {
        for (name, default) in
            [("handoff", "false"), ("require", "nobody"), ("response_timeout", "as everywhere")]
        {
            what_is_decided_is_what_the_book_says(&said, &explanation, name, default, &method, &path);
        }
    }
}

/// Everybody reads it alike.
fn is_plain(path: &str) -> bool {
    !path.contains(['%', ';'])
}

fn what_is_decided_is_what_the_book_says(
    said: &Said,
    explanation: &Explanation,
    name: &str,
    default: &'static str,
    method: &Method,
    path: &NormalPath<'_>,
) {
    let question = explanation.reasons.iter().find(|question| question.name == name).expect("it is asked");
    let decided = question.answer.as_deref();
    let protects = name != "response_timeout";
    let answers = said.answers(name);
    let of_reader = |read: Reader| -> String {
        let found = answers.iter().find(|answer| {
            let is_literal = answer.line.means(path.as_str().as_bytes(), method);
            let is_exception = protects && answer.says == default;
            is_literal || (!is_exception && answer.line.means(&read(path.as_str()), method))
        });
        found.map_or(default.to_owned(), |answer| answer.says.clone())
    };
    let meant: Vec<String> = READERS.into_iter().map(of_reader).collect();
    let told =
        format!("{name} of {method} {path} is {decided:?}, and {meant:?} to readers of {:?}", said.lines);
    // Whoever finds the same lines finds the same answer, and then there is no reason to refuse.
    let matching = |read: Reader| -> Vec<bool> {
        answers.iter().map(|answer| answer.line.means(&read(path.as_str()), method)).collect()
    };
    if READERS.iter().all(|read| matching(*read) == matching(READERS[0])) {
        assert_eq!(decided, Some(&*meant[0]), "{told}");
    }
    // What one reader asks is asked, or nobody gets through; what none asks is not.
    for meant in &meant {
        let is_met = decided.is_none_or(|decided| decided == meant) || (protects && meant == default);
        assert!(is_met, "{told}");
    }
    if let Some(decided) = decided {
        assert!(meant.iter().any(|meant| meant == decided), "{told}");
    }
}

/// What a configuration says, line by line.
struct Said {
    lines: Vec<Line>,
}

#[derive(Debug)]
struct Line {
    kind: Kind,
    prefix: Prefix,
    methods: Vec<Method>,
    /// By question, in the words of the explanation.
    says: BTreeMap<&'static str, String>,
    rule: Rule,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Include,
    Exclude,
    Require,
    Exempt,
    Below,
    Exact,
}

struct Answer<'a> {
    line: &'a Line,
    says: String,
}

impl Said {
    fn of<'a>(lines: impl Iterator<Item = &'a str>) -> Self {
        Self { lines: lines.filter_map(Line::of).collect() }
    }

    fn prefixes(&self, include: Kind, exclude: Kind) -> Prefixes {
        let of = |kind| {
            self.lines.iter().filter(|line| line.kind == kind).map(|line| line.prefix.clone()).collect()
        };
        Prefixes::new(of(include), of(exclude))
    }

    fn map(&self) -> Map {
        let rules = self.lines.iter().filter(|line| matches!(line.kind, Kind::Below | Kind::Exact));
        let site = SiteSettings {
            id: "shop".into(),
            hosts: Vec::new(),
            path: Prefix::parse("/").expect("the root"),
            handoff: self.prefixes(Kind::Include, Kind::Exclude),
            login: Some(LoginPaths {
                demanded: self.prefixes(Kind::Require, Kind::Exempt),
                own_pages: OwnPages { login: "/login".into(), logout: "/logout".into() },
            }),
            export: None,
            rules: rules.map(|line| line.rule.clone()).collect(),
        };
        Map::new(vec![site]).expect("no rule changes a header of ours, and they are few")
    }

    /// All that answer a question, in the order in which they decide.
    fn answers(&self, name: &str) -> Vec<Answer<'_>> {
        let is_void = |line: &&Line| {
            let exception = match line.kind {
                Kind::Include => Kind::Exclude,
                Kind::Require => Kind::Exempt,
                _ => return false,
            };
            let covers = |other: &Line| {
                other.kind == exception
                    && is_below(line.prefix.as_str().as_bytes(), other.prefix.as_str().as_bytes())
            };
            self.lines.iter().any(covers)
        };
        let mut answers: Vec<Answer<'_>> = self
            .lines
            .iter()
            .filter(|line| !is_void(line))
            .filter_map(|line| Some(Answer { line, says: line.says.get(name)?.clone() }))
            .collect();
        answers.sort_by_key(|Answer { line, .. }| {
            let length = line.prefix.as_str().trim_end_matches('/').len();
            let is_in_section = !matches!(line.kind, Kind::Below | Kind::Exact);
            (Reverse(length), line.kind != Kind::Exact, line.methods.is_empty(), is_in_section)
        });
        answers
    }
}

impl Line {
    fn of(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        let (kind, prefix) = (words.next()?, Prefix::parse(words.next()?).ok()?);
        let mut says = BTreeMap::new();
        let mut rule = Rule::default();
        let kind = match kind {
            "include" => Kind::Include,
            "exclude" => Kind::Exclude,
            "require" => Kind::Require,
            "exempt" => Kind::Exempt,
            "below" => Kind::Below,
            "exact" => Kind::Exact,
            _ => return None,
        };
        match kind {
            Kind::Include => drop(says.insert("handoff", "true".to_owned())),
            Kind::Exclude => drop(says.insert("handoff", "false".to_owned())),
            Kind::Require => drop(says.insert("require", "user".to_owned())),
            Kind::Exempt => drop(says.insert("require", "nobody".to_owned())),
            Kind::Below => rule.paths.push(prefix.clone()),
            Kind::Exact => rule.exact.push(prefix.clone()),
        }
        if matches!(kind, Kind::Below | Kind::Exact) {
            if let Some(methods) = words.next().filter(|methods| *methods != "-") {
                rule.methods = methods.split(',').filter_map(|method| method.parse().ok()).collect();
            }
            words.for_each(|word| answer(word, &mut rule, &mut says));
        }
        Some(Self { kind, prefix, methods: rule.methods.clone(), says, rule })
    }

    /// Whether it is about a path that an application reads so.
    fn means(&self, path: &[u8], method: &Method) -> bool {
        let prefix = self.prefix.as_str().trim_end_matches('/').as_bytes();
        let is_its_path = match self.kind {
            Kind::Exact => path == prefix || path.strip_suffix(b"/") == Some(prefix),
            _ => is_below(path, prefix),
        };
        let takes = |wanted: &Method| wanted == method || (wanted == Method::GET && method == Method::HEAD);
        is_its_path && (self.methods.is_empty() || self.methods.iter().any(takes))
    }
}

/// Of two answers to one question the last counts.
fn answer(word: &str, rule: &mut Rule, says: &mut BTreeMap<&'static str, String>) {
    let mut demand = Demand::of_user();
    match word {
        "handoff" | "direct" => {
            rule.handoff = Some(word == "handoff");
            says.insert("handoff", (word == "handoff").to_string());
        }
        "nobody" => {
            rule.require = Some(Require::Nobody);
            says.insert("require", word.to_owned());
        }
        "user" | "session" => {
            demand.who = if word == "user" { Who::User } else { Who::Session };
            rule.require = Some(Require::Somebody(demand));
            says.insert("require", word.to_owned());
        }
        _ => {
            if let Some(name) = word.strip_prefix('=') {
                demand.users = [name.into()].into();
                rule.require = Some(Require::Somebody(demand));
                says.insert("require", format!("user, by the name of {name}"));
            } else if let Some(name) = word.strip_prefix("+x-") {
                let Ok(name) = format!("x-{name}").parse::<HeaderName>() else { return };
                let change = vec![(name, HeaderValue::from_static("1"))];
                if let Ok(changes) = HeaderChanges::new(change, vec![], vec![]) {
                    rule.request_headers = changes;
                }
            } else if let Ok(seconds) = word.parse::<u16>() {
                let time = Duration::from_secs(seconds.into());
                rule.response_timeout = Some(time);
                says.insert("response_timeout", format!("{time:?}"));
            }
        }
    }
}
