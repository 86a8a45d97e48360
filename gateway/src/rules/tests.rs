//! Which rule decides, as tables and as laws.

use http::HeaderValue;
use http::header::HeaderMap;
use proptest::prelude::*;

use super::*;

fn prefix(path: &str) -> Prefix {
    Prefix::parse(path).unwrap()
}

fn parse(paths: &[&str]) -> Vec<Prefix> {
    paths.iter().map(|path| prefix(path)).collect()
}

/// A rule for these paths and all below, that says nothing yet.
fn below(paths: &[&str]) -> Rule {
    Rule { paths: parse(paths), ..Rule::default() }
}

fn exactly(paths: &[&str]) -> Rule {
    Rule { exact: parse(paths), ..Rule::default() }
}

fn by(methods: &[&str], rule: Rule) -> Rule {
    Rule { methods: methods.iter().map(|method| method.parse().unwrap()).collect(), ..rule }
}

fn user() -> Require {
    Require::Somebody(Demand::of_user())
}

fn requires(require: Require, rule: Rule) -> Rule {
    Rule { require: Some(require), ..rule }
}

fn patient(seconds: u64, rule: Rule) -> Rule {
    Rule { response_timeout: Some(Duration::from_secs(seconds)), ..rule }
}

fn tier(value: &'static str, rule: Rule) -> Rule {
    let pair = (HeaderName::from_static("x-tier"), HeaderValue::from_static(value));
    Rule { request_headers: HeaderChanges::new(vec![pair], vec![], vec![]).unwrap(), ..rule }
}

fn rules(list: &[Rule]) -> Rules {
    Rules::new(&Prefixes::default(), &Prefixes::default(), None, list).unwrap()
}

/// All that a decision says, to be compared.
type Outcome = Result<(bool, Option<Demand>, Option<Duration>, Vec<String>), Ambiguous>;

fn outcome(rules: &Rules, method: &Method, path: &NormalPath<'_>) -> Outcome {
    let decision = rules.decide(method, path)?;
    let mut headers = HeaderMap::new();
    decision.change_request(&mut headers);
    let tiers = headers.get_all("x-tier").iter().map(|value| value.to_str().unwrap().to_owned()).collect();
    Ok((decision.is_handed, decision.demand.cloned(), decision.response_timeout, tiers))
}

fn asked(rules: &Rules, request: &str) -> Outcome {
    let (method, path) = request.split_once(' ').unwrap();
    outcome(rules, &method.parse().unwrap(), &NormalPath::parse(path).unwrap())
}

fn demand(rules: &Rules, request: &str) -> Result<Option<Demand>, Ambiguous> {
    asked(rules, request).map(|(_, demand, ..)| demand)
}

fn demands(rules: &Rules, request: &str) -> bool {
    demand(rules, request).unwrap().is_some()
}

#[test]
fn the_longest_path_decides_each_question_by_itself() {
    let rules = rules(&[
        requires(user(), below(&["/reports/private"])),
        patient(300, below(&["/reports"])),
        requires(Require::Nobody, below(&["/reports/private/press"])),
        patient(5, exactly(&["/reports"])),
    ]);
    for (request, demanded, seconds) in [
        ("GET /", false, None),
        ("GET /reports", false, Some(5)),
        ("GET /reports/", false, Some(5)),
        ("GET /reports/2026", false, Some(300)),
        ("GET /reportsx", false, None),
        ("GET /reports/private", true, Some(300)),
        ("GET /reports/private/x", true, Some(300)),
        ("GET /reports/private/press/x", false, Some(300)),
        ("GET /reports/private/pressx", true, Some(300)),
    ] {
        let (_, demand, timeout, _) = asked(&rules, request).unwrap();
        assert_eq!((demand.is_some(), timeout.map(|time| time.as_secs())), (demanded, seconds), "{request}");
    }
}

#[test]
fn at_one_path_what_is_meant_alone_and_by_method_goes_before() {
    let rules = rules(&[
        requires(user(), below(&["/", "/comments"])),
        requires(Require::Nobody, exactly(&["/"])),
        requires(Require::Nobody, by(&["GET"], below(&["/comments"]))),
    ]);
    for (request, demanded) in [
        ("GET /", false),
        ("POST /", false),
        ("GET /x", true),
        ("OPTIONS *", true),
        ("GET /comments/1", false),
        ("HEAD /comments/1", false),
        ("POST /comments/1", true),
        ("PROPFIND /comments/1", true),
    ] {
        assert_eq!(demands(&rules, request), demanded, "{request}");
    }
}

#[test]
fn an_exception_wins_over_all_that_its_section_says_and_a_rule_with_a_longer_path_over_both() {
    let include = Prefixes::new(parse(&["/app", "/other", "/app/static/x"]), parse(&["/app/static"]));
    let longer = Rule { handoff: Some(true), ..below(&["/app/static/live"]) };
    let rules = Rules::new(&include, &Prefixes::default(), None, &[longer]).unwrap();
    for (request, handed) in [
        ("GET /app", true),
        ("GET /app/static", false),
        ("GET /app/static/x.css", false),
        ("GET /app/static/x", false),
        ("GET /app/static/live/1", true),
        ("GET /app/statics", true),
        ("GET /app/x/../static/y", false),
        ("GET /other/static", true),
        ("GET /", false),
    ] {
        assert_eq!(asked(&rules, request).unwrap().0, handed, "{request}");
    }
}

#[test]
fn a_rule_goes_before_a_section_that_names_the_same_path() {
    let everything = Prefixes::new(parse(&["/"]), vec![]);
    let open = requires(Require::Nobody, below(&["/"]));
    let rules = Rules::new(&everything, &everything, None, &[open]).unwrap();
    assert!(!demands(&rules, "GET /x"));
    // And a shorter one does not undo what a section says of a longer path.
    let admin = Prefixes::new(parse(&["/admin"]), vec![]);
    let open = requires(Require::Nobody, below(&["/"]));
    let rules = Rules::new(&everything, &admin, None, &[open]).unwrap();
    assert!(demands(&rules, "GET /admin/x"));
}

#[test]
fn headers_of_all_rules_that_match_change_and_the_longest_path_has_the_last_word() {
    let rules = rules(&[
        tier("gold", below(&["/gold", "/gold/vault"])),
        tier("plain", below(&["/"])),
        tier("home", exactly(&["/"])),
    ]);
    for (request, expected) in [
        ("GET /", "home"),
        ("GET /x", "plain"),
        ("GET /gold", "gold"),
        ("GET /gold/vault/1", "gold"),
        ("GET /goldx", "plain"),
    ] {
        assert_eq!(asked(&rules, request).unwrap().3, [expected], "{request}");
    }
}

/// Path confusion: what an application behind could read as a protected path is protected, or refused.
#[test]
fn no_spelling_gets_around_a_demand() {
    let protected = rules(&[
        requires(user(), below(&["/x/admin"])),
        requires(Require::Nobody, below(&["/x/admin/public"])),
        requires(Require::Nobody, exactly(&["/x/admin/help"])),
    ]);
    for path in [
        "/x/admin",
        "/x/admin/",
        "//x//admin//",
        "/x/./admin",
        "/y/../x/admin",
        "/x/%61dmin",
        "/x/%2e/admin",
        "/%78/admin/y",
        "/x%2Fadmin",
        "/x%2fadmin%2fy",
        "/x%5Cadmin",
        "/x%2F%2Fadmin",
        "/x/admin;v=1",
        "/x;v=1/admin/y",
        "/x/admin%3Bv",
        "/x/admin%2Fpublic",
        "/x/admin;/public",
        "/x/admin/public;/y",
        "/x/admin/publi%2563",
        "/x/admin/PUBLIC",
        "/x/admin/public/../y",
        "/x/admin/publicity",
        "/x/admin/help;v=1",
        "/x/admin/help/more",
        "/x/admin/help%2Fmore",
        // A servlet container cuts parameters off before it decodes.
        "/x;%2Fy/admin",
        "/x;%2Fy/admin;z/q",
    ] {
        for method in ["GET", "HEAD", "POST", "PROPFIND", "get"] {
            assert!(demands(&protected, &format!("{method} {path}")), "{method} {path}");
        }
    }
    for path in
        ["/x/admin/public", "/x/%61dmin/public/y", "/x/admin/help", "/x/admin/help/", "/x/adminer", "/x"]
    {
        assert!(!demands(&protected, &format!("GET {path}")), "{path}");
    }
}

/// Where no reading is the safe one, the request is refused.
#[test]
fn a_path_on_which_readings_differ_is_refused_where_it_matters() {
    let of_group = |group: &str| {
        let entries = [("group".into(), group.into())].into();
        Require::Somebody(Demand { entries, ..Demand::of_user() })
    };
    let patience = rules(&[patient(300, below(&["/x/reports"])), tier("gold", below(&["/gold"]))]);
    let two_demands = rules(&[
        requires(of_group("admins"), below(&["/admin"])),
        requires(of_group("readers"), below(&["/admin/info"])),
    ]);
    for (rules, request, refused) in [
        (&patience, "GET /x/reports/a%2Fb", false),
        (&patience, "GET /x/%72eports", false),
        (&patience, "GET /x/reportsx;v=1", false),
        (&patience, "GET /x%2Freports", true),
        (&patience, "GET /x;v=1/reports", true),
        (&patience, "GET /x/reports;v=1", true),
        (&patience, "GET /gold%2Fx", true),
        (&patience, "GET /gold/a%2Fb", false),
        (&two_demands, "GET /admin/info", false),
        (&two_demands, "GET /admin/info/x%2Fy", false),
        (&two_demands, "GET /admin/info%2Fx", true),
        (&two_demands, "GET /admin/info;v=1", true),
    ] {
        assert_eq!(asked(rules, request).is_err(), refused, "{request}");
    }
}

/// `/x;%2Fy/admin` is `/x/y/admin` to what decodes first, and `/x/admin` to a servlet container, which decodes last. By the
/// letter it is neither, and whoever meets the demand of one need not meet that of the other.
#[test]
fn two_readings_with_two_demands_are_refused() {
    let session = Require::Somebody(Demand { who: Who::Session, ..Demand::of_user() });
    let rules = rules(&[
        requires(session.clone(), below(&["/x/y/admin"])),
        requires(user(), below(&["/x/admin", "/shop"])),
        requires(session, by(&["GET"], below(&["/shop"]))),
        patient(5, below(&["/z", "/z/y/a/b"])),
        patient(9, below(&["/z/y/b"])),
    ]);
    for path in ["/x;%2Fy/admin", "/x;%2Fy/admin/z", "/z/y;%2Fa/b"] {
        assert_eq!(asked(&rules, &format!("GET {path}")), Err(Ambiguous), "{path}");
    }
    // One of them decides wherever both match.
    assert!(demands(&rules, "GET /shop;v=1"));
    assert!(demands(&rules, "POST /shop;v=1"));
    assert!(demands(&rules, "GET /x%2Fy/admin"));
}

#[test]
fn the_same_answer_for_both_readings_is_no_reason_to_refuse() {
    let same = rules(&[patient(300, below(&["/x"])), patient(300, below(&["/x/y"]))]);
    assert_eq!(asked(&same, "GET /x/y;v=1").unwrap().2, Some(Duration::from_secs(300)));
}

#[test]
fn headers_of_too_many_paths_are_refused() {
    let paths: Vec<Prefix> = (0..=MAX_HEADER_PATHS).map(|number| prefix(&format!("/{number}"))).collect();
    let rule = tier("gold", Rule { paths, ..Rule::default() });
    let refused = Rules::new(&Prefixes::default(), &Prefixes::default(), None, &[rule]);
    assert_eq!(refused.unwrap_err(), RuleError::TooManyHeaderPaths(MAX_HEADER_PATHS + 1));
}

/// Short paths of few letters, so that they meet.
fn plain() -> impl Strategy<Value = String> {
    prop::collection::vec("[ab]{1,2}", 0..4).prop_map(|segments| format!("/{}", segments.join("/")))
}

/// One path, in two spellings of which one normal form is made.
fn spellings() -> impl Strategy<Value = (String, String)> {
    let piece = prop::sample::select(vec!["/", "//", "/./", "/q/../", "/%71/%2e%2E/"]);
    let letters = prop::collection::vec((any::<bool>(), "[ab]"), 1..3);
    prop::collection::vec((piece, letters), 1..5).prop_map(|segments| {
        let (mut plain, mut other) = (String::new(), String::new());
        for (slash, letters) in segments {
            plain.push('/');
            other.push_str(slash);
            for (is_escaped, letter) in letters {
                plain.push_str(&letter);
                match is_escaped {
                    true => other.push_str(&format!("%{:02x}", letter.as_bytes()[0])),
                    false => other.push_str(&letter),
                }
            }
        }
        (plain, other)
    })
}

fn a_rule() -> impl Strategy<Value = Rule> {
    let require = prop_oneof![
        Just(None),
        Just(Some(Require::Nobody)),
        Just(Some(user())),
        Just(Some(Require::Somebody(Demand { who: Who::Session, ..Demand::of_user() })))
    ];
    let scope = (plain(), any::<bool>(), prop::option::of(prop::sample::select(vec!["GET", "POST"])));
    (scope, require, prop::option::of(any::<bool>()), prop::option::of(1..4_u64), any::<bool>()).prop_map(
        |((path, is_exact, method), require, handoff, seconds, has_tier)| {
            let rule = if is_exact { exactly(&[&path]) } else { below(&[&path]) };
            let rule = Rule { require, handoff, response_timeout: seconds.map(Duration::from_secs), ..rule };
            let rule = if has_tier { tier("gold", rule) } else { rule };
            by(method.as_slice(), rule)
        },
    )
}

/// Rules of which no two are for the same path and methods: a configuration with such a pair is refused.
fn some_rules() -> impl Strategy<Value = Vec<Rule>> {
    prop::collection::vec(a_rule(), 0..6).prop_map(|rules| {
        let mut kept: Vec<Rule> = Vec::new();
        for rule in rules {
            let is_new = |other: &Rule| {
                other.paths != rule.paths || other.exact != rule.exact || other.methods != rule.methods
            };
            if kept.iter().all(is_new) {
                kept.push(rule);
            }
        }
        kept
    })
}

/// What an application may take a path for: with or without what is escaped, with or without parameters, which are cut off
/// before or after.
fn readings(path: &str) -> [String; 5] {
    let decoded = |path: &str| path.replace("%2F", "/").replace("%5C", "/");
    let cut = |path: &str| {
        let segments: Vec<&str> = path.split('/').map(|segment| segment.split(';').next().unwrap()).collect();
        segments.join("/")
    };
    [path.to_owned(), decoded(path), cut(path), cut(&decoded(path)), decoded(&cut(path))]
}

proptest! {
    /// Two spellings of one path are decided on alike.
    #[test]
    fn one_path_has_one_decision(list in some_rules(), (plain, other) in spellings()) {
        let rules = rules(&list);
        for method in [Method::GET, Method::POST] {
            let of = |path: &str| outcome(&rules, &method, &NormalPath::parse(path).unwrap());
            prop_assert_eq!(of(&plain), of(&other), "{} {}", plain, other);
        }
    }

    /// A rule for other paths changes nothing, wherever it stands in the file.
    #[test]
    fn an_unrelated_rule_changes_nothing(list in some_rules(), other in a_rule(), at in 0..6_usize, path in plain()) {
        let mut more = list.clone();
        let other = Rule { paths: vec![prefix("/z")], exact: vec![], ..other };
        more.insert(at.min(list.len()), other);
        let path = NormalPath::parse(&path).unwrap();
        prop_assert_eq!(outcome(&rules(&list), &Method::GET, &path), outcome(&rules(&more), &Method::GET, &path));
    }

    /// The order in the file makes no difference.
    #[test]
    fn rules_have_no_order(list in some_rules().prop_shuffle(), path in plain()) {
        let mut turned = list.clone();
        turned.reverse();
        let path = NormalPath::parse(&path).unwrap();
        prop_assert_eq!(outcome(&rules(&list), &Method::GET, &path), outcome(&rules(&turned), &Method::GET, &path));
    }

    /// Law 7 for paths: whatever an application takes a path for, what is demanded for that was demanded, or the request
    /// was refused.
    #[test]
    fn no_reading_of_a_path_gets_around_a_demand(
        list in some_rules(),
        path in "(/[ab]{1,2}|%2F[ab]{1,2}|%5C[ab]|;[ab]|/;[ab]){1,5}",
    ) {
        let rules = rules(&list);
        let Ok(path) = NormalPath::parse(&path) else { return Ok(()) };
        let Ok((_, demanded, ..)) = outcome(&rules, &Method::GET, &path) else { return Ok(()) };
        for reading in readings(path.as_str()) {
            // The application sees it so, without a doubt.
            let reading = reading.replace("%2F", "q").replace("%5C", "q").replace(';', "q");
            let reading = NormalPath::parse(&reading).unwrap();
            let (_, wanted, ..) = outcome(&rules, &Method::GET, &reading).unwrap();
            prop_assert!(wanted.is_none() || wanted == demanded, "{path} read as {reading}: {wanted:?}, not {demanded:?}");
        }
    }

    /// What is told of a decision is the decision.
    #[test]
    fn the_reasons_are_those_of_the_decision(list in some_rules(), path in "(/[ab]{1,2}|%2F[ab]|;[ab]){1,4}") {
        let rules = rules(&list);
        let Ok(path) = NormalPath::parse(&path) else { return Ok(()) };
        let reasons = rules.reasons(&Method::GET, &path);
        let is_refused = reasons.iter().any(|question| question.answer.is_none());
        let decided = outcome(&rules, &Method::GET, &path);
        prop_assert_eq!(decided.is_err(), is_refused);
        for question in &reasons {
            let deciding: Vec<&Candidate> =
                question.candidates.iter().filter(|candidate| candidate.fate == Fate::Decides).collect();
            let differs = question.candidates.iter().any(|candidate| candidate.fate == Fate::Differs);
            prop_assert_eq!(question.answer.is_none(), differs, "{}", question.name);
            if let Some(by) = question.by {
                prop_assert_eq!(deciding.len(), 1);
                prop_assert_eq!(deciding[0].origin, by);
            }
        }
        if let Ok((is_handed, demand, ..)) = decided {
            prop_assert_eq!(reasons[0].answer.clone().unwrap(), is_handed.to_string());
            prop_assert_eq!(reasons[1].answer.as_deref() != Some("nobody"), demand.is_some());
        }
    }
}
