//! Mistakes that only show when several keys are seen together.

use std::time::Duration;

use server::{Attributes, Names};

use super::{SHOP, mistake, parse, right, shown};

#[test]
fn a_cookie_that_browsers_refuse_is_refused_here_with_the_reason() {
    let told = [
        (
            "secure = false",
            "5:10: `secure = false`: browsers refuse the cookie `__Host-session` then -> add `name = \"session\"` to this \
             section, or remove this line",
        ),
        (
            "name = \"__Host-sid\"\nsecure = false",
            "6:10: `secure = false`: browsers refuse the cookie `__Host-sid` then -> remove this line, or name the cookie \
             without `__Host-`",
        ),
        (
            "name = \"__Secure-sid\"\nsecure = false",
            "6:10: `secure = false`: browsers refuse the cookie `__Secure-sid` then -> remove this line, or name the cookie \
             without `__Secure-`",
        ),
        (
            "domain = \"example.org\"",
            "5:11: `domain` is set: browsers refuse the cookie `__Host-session` then -> add `name = \"session\"` to this \
             section, or remove this line",
        ),
        (
            "name = \"__Http-sid\"\nhttp_only = false",
            "6:13: `http_only = false`: browsers refuse the cookie `__Http-sid` then -> remove this line, or name the cookie \
             without `__Http-`",
        ),
        (
            "name = \"sid\"\nsecure = false\nsame_site = \"None\"",
            "7:14: `same_site = \"None\"` without `secure = true`: browsers refuse the cookie then -> say \"Lax\", or use TLS \
             and `secure = true`",
        ),
        (
            "name = \"sid\"\nsecure = false\npartitioned = true",
            "7:15: `partitioned` without `secure = true`: browsers refuse the cookie then -> remove this line, or use TLS and \
             `secure = true`",
        ),
        (
            "name = \"a session\"",
            "5:9: `name = \"a session\"` is no name for a cookie -> say letters, digits, `-` and `_`, such as \"session\"",
        ),
    ];
    for (keys, told) in told {
        let problem = mistake(&format!("{SHOP}[application.cookie]\n{keys}"));
        assert_eq!(shown(&[problem]), format!("cloakroom.toml:{told}"));
    }
}

#[test]
fn logout_data_lies_in_a_storage_that_there_is_and_does_not_move() {
    let missing = mistake(&format!("[[storage]]\nid = \"a\"\n[cache]\nstorage_lite = \"b\"\n{SHOP}"));
    assert!(shown(&[missing]).contains("`storage_lite = \"b\"` names no `[[storage]]` -> there is `a`"));
    let two =
        "[[storage]]\nid = \"a\"\n[[storage]]\nid = \"b\"\nmigrate_from = \"c\"\n[[storage]]\nid = \"c\"\n";
    let moves = mistake(&format!("{two}[cache]\nstorage_lite = \"b\"\n{SHOP}"));
    assert!(shown(&[moves]).contains("does not move from `c` while it is in use"));
}

#[test]
fn who_shares_sessions_has_them_back_with_the_same_entries() {
    let second = SHOP.replace("\"shop\"", "\"till\"");
    let text = format!("{SHOP}recovery = [\"eppn\"]\n{second}path = \"/till\"\nrealm = \"shop\"\n");
    let problem = shown(&[mistake(&text)]);
    assert!(problem.contains("their sessions would come back with different entries"), "{problem}");
    right(&format!("{text}recovery = [\"eppn\"]\n"));
}

#[test]
fn several_things_that_are_wrong_with_a_cookie_are_told_at_once() {
    let text =
        format!("{SHOP}[application.cookie]\nsecure = false\nsame_site = \"None\"\npartitioned = true\n");
    let lines: Vec<usize> = parse(&text).unwrap_err().iter().map(|problem| problem.line).collect();
    assert_eq!(lines, [5, 6, 7]);
}

#[test]
fn what_the_gateway_would_refuse_in_a_cookie_is_refused_here() {
    for domain in ["localhost", "127.0.0.1"] {
        let problem = mistake(&format!("{SHOP}[application.cookie]\nname = \"sid\"\ndomain = \"{domain}\""));
        assert_eq!((problem.line, problem.column), (6, 11));
        assert!(problem.message.contains("is not possible"), "{}", problem.message);
    }
}

#[test]
fn a_cookie_reaches_its_application() {
    let problem =
        mistake(&format!("{SHOP}path = \"/shop\"\n[application.cookie]\nname = \"sid\"\npath = \"/other\""));
    assert_eq!((problem.line, problem.column), (6, 9));
    assert!(problem.message.contains("the browser would not send it"), "{}", problem.message);
    assert_eq!(problem.cure, "in `[application.cookie]`, say `path = \"/shop\"` or `path = \"/\"`");

    let cookie = "[application.cookie]\nname = \"sid\"\ndomain = \"example.org\"";
    right(&format!("{SHOP}hosts = [\"a.example.org\", \"example.org\"]\n{cookie}"));
    let problem = mistake(&format!("{SHOP}hosts = [\"notexample.org\"]\n{cookie}"));
    assert!(problem.message.contains("does not hold the host `notexample.org`"), "{}", problem.message);
}

/// Two applications with these keys, the first in line one, the second five lines and `first` later.
fn two(first: &str, second: &str) -> String {
    let application = |id: &str, keys: &str| {
        format!("[[application]]\nid = \"{id}\"\nupstream = \"http://127.0.0.1:9000\"\n{keys}\n")
    };
    application("one", first) + &application("two", second)
}

#[test]
fn ids_are_given_once() {
    let text = format!("{SHOP}\n{SHOP}hosts = [\"b.example\"]");
    let problems = parse(&text).unwrap_err();
    assert_eq!((problems[0].line, problems[0].column), (6, 7));
    assert_eq!(problems[0].message, "the id `shop` was given to another `[[application]]`, in line 2");
    let problem = mistake("[[storage]]\nid = \"a\"\n[[storage]]\nid = \"a\"");
    assert_eq!(
        shown(&[problem]),
        "cloakroom.toml:4:7: the id `a` was given to another `[[storage]]`, in line 2 -> give each an id of its own"
    );
}

#[test]
fn a_route_leads_to_one_application() {
    let realm = "realm = \"r\"\n";
    right(&two(realm, &format!("{realm}path = \"/wiki\"")));
    right(&two(realm, &format!("{realm}hosts = [\"wiki.example\"]")));
    let problem = mistake(&two(&format!("{realm}path = \"/wiki\""), &format!("{realm}path = \"/wiki/\"")));
    assert_eq!(problem.line, 10);
    assert_eq!(problem.message, "`/wiki` on any host belongs to `one` already, and `two` wants it too");
    assert_eq!(problem.cure, "give them different `hosts` or `path`");
    let hosts = format!("{realm}hosts = [\"a.example\", \"A.EXAMPLE\"]");
    assert_eq!(mistake(&two(realm, &hosts)).message, "`hosts` names `a.example` twice");
}

#[test]
fn two_realms_on_one_host_need_two_cookies() {
    let problem = mistake(&two("", "path = \"/wiki\""));
    assert_eq!(problem.line, 5);
    assert!(
        problem.message.contains("both would use the cookie `__Host-session` on the same host"),
        "{}",
        problem.message
    );
    assert_eq!(
        problem.cure,
        "give one another `name` in `[application.cookie]`, or both one realm: `realm = \"one\"`"
    );
    right(&two("", "path = \"/wiki\"\n[application.cookie]\nname = \"__Host-wiki\""));
    right(&two("", "path = \"/wiki\"\nrealm = \"one\""));
    right(&two("", "path = \"/wiki\"\ncarrier = \"none\""));
    right(&two("hosts = [\"a.example\"]", "hosts = [\"b.example\"]"));
    let parted =
        |path: &str| format!("path = \"{path}\"\n[application.cookie]\nname = \"sid\"\npath = \"{path}\"");
    right(&two(&parted("/a"), &parted("/b")));
    mistake(&two(&parted("/a"), &parted("/a/b")));
    let under = |host: &str| format!("hosts = [\"{host}\"]\n[application.cookie]\nname = \"sid\"\n");
    right(&two(&under("a.example.org"), &under("b.example.org")));
    mistake(&two(&under("a.example.org"), &(under("example.org") + "domain = \"example.org\"")));
}

#[test]
fn a_realm_has_one_cookie() {
    let text =
        two("realm = \"r\"", "realm = \"r\"\npath = \"/b\"\n[application.cookie]\nsame_site = \"Strict\"");
    let problem = mistake(&text);
    assert_eq!(problem.message, "`one` and `two` are of the realm `r`, and their cookies differ");
    assert_eq!(problem.cure, "give both the same `[application.cookie]`, or take one out of the realm");
}

#[test]
fn a_realm_has_one_name_for_who_is_logged_in() {
    let login = |path: &str, entry: &str| {
        format!("realm = \"r\"\npath = \"{path}\"\n[application.login]\nfile = \"users\"\n{entry}")
    };
    let problem = mistake(&two(&login("/", ""), &login("/b", "user_entry = \"name\"")));
    assert_eq!((problem.line, problem.column), (16, 15));
    assert_eq!(
        problem.message,
        "`one` and `two` are of the realm `r`, and their logins name who is logged in differently: `user` and `name`"
    );
    assert_eq!(problem.cure, "give both the same `user_entry`, or take one out of the realm");
    right(&two(&login("/", "user_entry = \"name\""), &login("/b", "user_entry = \"name\"")));
    right(&two(&login("/", ""), "realm = \"r\"\npath = \"/b\""));
}

#[test]
fn storage_is_named_by_an_id_that_there_is() {
    let problem = mistake("[[storage]]\nid = \"a\"\n[cache]\nstorage = \"b\"");
    assert_eq!(
        shown(&[problem]),
        "cloakroom.toml:4:12: `storage = \"b\"` names no `[[storage]]` -> there is `a`"
    );
    let problem =
        mistake(&format!("[[storage]]\nid = \"a\"\n[[storage]]\nid = \"b\"\n{SHOP}storage = \"b\""));
    assert_eq!((problem.line, problem.column), (8, 12));
    assert_eq!(problem.cure, "say \"a\" for now, or remove this line");
    let problem = mistake("[[storage]]\nid = \"a\"\nmax_bytes = \"1GiB\"");
    assert_eq!(problem.cure, "remove it, or say `engine = \"memory\"`");
}

#[test]
fn a_database_is_named_by_a_url_without_its_password() {
    let sql = |rest: &str| format!("[[storage]]\nid = \"d\"\nengine = \"sql\"\n{rest}");
    let problem = mistake(&sql(""));
    assert_eq!((problem.line, problem.message.as_str()), (3, "the engine `sql` needs a `url`"));
    for secret in ["postgres://c:hush@h/d", "postgres://c@h/d?password=hush", "postgres:/c:hush@h:x/d"] {
        let problem = mistake(&sql(&format!("url = \"{secret}\"")));
        assert_eq!(problem.message, "`url` holds a password");
        assert!(problem.cure.contains("`password_file`"), "{}", problem.cure);
        assert!(!shown(&[problem]).contains("hush"));
    }
    for (url, wrong) in [
        ("db.example", "is no URL"),
        ("oracle://c@h/d", "names no database that this build knows (`oracle`)"),
        ("postgres://c@h", "names no database"),
        ("postgres://h/d", "names no user"),
        ("sqlite://sessions.sqlite", "names no file"),
    ] {
        let problem = mistake(&sql(&format!("url = \"{url}\"")));
        assert_eq!((problem.line, problem.column), (4, 8));
        assert!(problem.message.contains(wrong), "{}", problem.message);
    }
    let problem = mistake("[[storage]]\nid = \"d\"\nurl = \"postgres://c@h/d\"");
    assert_eq!(
        shown(&[problem]),
        "cloakroom.toml:3:8: `url` belongs to the engines `sql`, `redis` and `remote` -> remove it, or say `engine = \"sql\"`"
    );
}

#[test]
fn a_database_that_is_not_verified_is_warned_of_unless_it_is_here() {
    let warnings = |url: &str| {
        let text = format!("[[storage]]\nid = \"d\"\nengine = \"sql\"\nurl = \"{url}\"");
        parse(&text).unwrap().warnings.len()
    };
    for url in
        ["postgres://c@h/d", "postgres://c@h/d?sslmode=verify-ca", "postgres://c@127.0.0.1/d?sslmode=disable"]
    {
        assert_eq!(warnings(url), 0, "{url}");
    }
    for mode in ["disable", "prefer", "require"] {
        assert_eq!(warnings(&format!("postgres://c@h/d?sslmode={mode}")), 1, "{mode}");
    }
}

#[test]
fn who_leaves_it_to_the_sentinels_how_many_replicas_must_know_of_an_end_is_told_what_that_means() {
    let warnings = |keys: &str| {
        let text = format!("[[storage]]\nid = \"d\"\nengine = \"redis\"\n{keys}");
        parse(&text).unwrap().warnings
    };
    let [warning] = &warnings("url = \"redis-sentinel://h/sessions\"")[..] else { panic!("there is one") };
    assert!(warning.message.contains("after a failover"), "{}", warning.message);
    assert!(warnings("url = \"redis-sentinel://h/sessions\"\nmin_replicas = 1").is_empty());
    assert!(warnings("url = \"redis-cluster://h\"").is_empty());
}

#[test]
fn one_of_the_keys_is_active() {
    let problem = mistake("[[keys]]\nid = \"a\"\nfile = \"a.key\"\nstate = \"retiring\"");
    assert_eq!((problem.line, problem.column), (4, 10));
    assert_eq!(problem.cure, "say `state = \"active\"` for one of them");
}

#[test]
fn two_listeners_need_two_addresses() {
    let problem = mistake("[listen]\ngateway = \"127.0.0.1:80\"\nserver = \"127.0.0.1:80\"");
    assert_eq!((problem.line, problem.column), (3, 11));
    right("[listen]\ngateway = \"127.0.0.1:0\"\nserver = \"127.0.0.1:0\"");
}

#[test]
fn a_login_lies_where_its_application_is() {
    let login = "[application.login]\nfile = \"users\"\n";
    let configuration = right(&format!("{SHOP}path = \"/shop/\"\n{login}"));
    let found = configuration.applications[0].login.as_ref().unwrap();
    assert_eq!(
        (found.login_path.as_str(), found.logout_path.as_str()),
        ("/shop/.cloakroom/login", "/shop/.cloakroom/logout")
    );

    let problem = mistake(&format!("{SHOP}path = \"/shop\"\n{login}login_path = \"/enter\""));
    assert_eq!((problem.line, problem.column, problem.cure.as_str()), (7, 15, "say \"/shop/enter\""));
    let problem = mistake(&format!("{SHOP}{login}login_path = \"/x\"\nlogout_path = \"/x\""));
    assert_eq!((problem.line, problem.column), (7, 16));
    let problem = mistake(&format!("{SHOP}carrier = \"none\"\n{login}"));
    assert_eq!(problem.cure, "say `carrier = \"ticket\"`, or remove this section");
}

#[test]
fn a_session_in_use_never_looks_idle() {
    let problem = mistake(&format!("{SHOP}idle_timeout = \"30s\""));
    assert!(problem.message.contains("a session in use could look idle"), "{}", problem.message);
    right(&format!("{SHOP}idle_timeout = \"30s\"\ntouch_interval = \"3s\""));
}

#[test]
fn keys_are_kept_as_long_as_what_they_sealed_can_live() {
    let sealed = |lifetime: &str, rotation: &str| {
        parse(&format!(
            "{SHOP}lifetime = \"{lifetime}\"\n[[storage]]\nid = \"local\"\nseal = true\n[key_rotation]\n{rotation}"
        ))
    };
    let keep = |lifetime| sealed(lifetime, "").unwrap().configuration.key_rotation.unwrap().schedule.keep;
    assert_eq!(keep("8h"), Duration::from_hours(9), "a record outlives its session by an hour");
    assert_eq!(keep("0s"), Duration::ZERO, "for ever");
    let said = shown(&sealed("8h", "keep = \"8h\"").unwrap_err());
    assert!(said.contains("keys would be removed after 8h, and what they sealed can live for 9h"), "{said}");
    assert!(said.contains("say `keep = \"9h\"` or more"), "{said}");
    let said = shown(&sealed("0s", "keep = \"8h\"").unwrap_err());
    assert!(said.contains("can live for ever"), "{said}");
    assert!(sealed("8h", "keep = \"0s\"").is_ok());
    // Without anything sealed but the forms of a login.
    let plain = parse(&format!("{SHOP}[key_rotation]\n")).unwrap().configuration.key_rotation.unwrap();
    assert_eq!(plain.schedule.keep, Duration::from_hours(1));
    assert!(plain.folder.ends_with("keys"));
}

#[test]
fn keys_have_time_to_be_announced_and_are_not_too_many() {
    let rotation = |keys: &str| parse(&format!("{SHOP}[key_rotation]\n{keys}"));
    let said = shown(&rotation("every = \"1m\"").unwrap_err());
    assert!(said.contains("a key would seal for 1m and be announced for 1h"), "{said}");
    let said = shown(&rotation("every = \"1m\"\nannounce = \"10s\"\nkeep = \"1d\"").unwrap_err());
    assert!(said.contains("there would be 1440 keys at a time"), "{said}");
    assert!(rotation("every = \"1m\"\nannounce = \"10s\"").is_ok());
    let named = "[[keys]]\nid = \"ring-000001\"\nfile = \"k\"\n[key_rotation]\n";
    let said = shown(&parse(&format!("{SHOP}{named}")).unwrap_err());
    assert!(said.contains("`ring-000001` is how keys are named that follow one another"), "{said}");
}

#[test]
fn plain_values_are_accepted_only_where_others_are_sealed() {
    let said = shown(&parse("[[storage]]\nid = \"local\"\ndanger_accept_plain = true\n").unwrap_err());
    assert!(said.contains("`danger_accept_plain` belongs to `seal = true`"), "{said}");
}

#[test]
fn a_rule_does_not_say_who_a_client_is() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let tls = format!(
        "[listen.tls]\ncertificates = [{{ certificate = \"{file}\", key = \"{file}\" }}]\nclient_ca = \"{file}\"\n\
         client_subject_header = \"X-Client-Subject\"\n"
    );
    for changes in ["set = { \"X_Client_Subject\" = \"CN=ada\" }", "remove = [\"x-client-subject\"]"] {
        let rule = format!("[[application.rule]]\npaths = [\"/\"]\nrequest_headers = {{ {changes} }}\n");
        let problem = mistake(&format!("{tls}{SHOP}{rule}"));
        assert_eq!(problem.line, 10);
        assert!(problem.message.contains("tells who a client is"), "{}", problem.message);
    }
}

#[test]
fn another_cloakroom_is_named_by_the_url_of_its_session_server() {
    let remote = |rest: &str| format!("[[storage]]\nid = \"r\"\nengine = \"remote\"\n{rest}");
    let problem = mistake(&remote(""));
    assert_eq!(problem.message, "the engine `remote` needs the `url` of the other Cloakroom");
    for (url, wrong) in [
        ("redis://h", "has a scheme other than http and https"),
        ("https://h/storage", "has a path"),
        ("unix:server.sock", "names no socket"),
    ] {
        let problem = mistake(&remote(&format!("url = \"{url}\"")));
        assert_eq!((problem.line, problem.column), (4, 8));
        assert!(problem.message.contains(wrong), "{}", problem.message);
    }
    let problem = mistake(&remote("url = \"https://h\"\ncertificate = \"a.pem\""));
    assert_eq!(problem.message, "there is a `certificate` and no `key`");
    let problem = mistake("[[storage]]\nid = \"d\"\nservice = \"x\"");
    assert_eq!(problem.message, "`service` belongs to the engine `remote`");
    // In the clear only where nobody is on the way.
    let warnings = |url: &str| parse(&remote(&format!("url = \"{url}\""))).unwrap().warnings.len();
    assert_eq!(["https://h:1", "http://127.0.0.1:1", "http://[::1]:1", "unix:/a.sock"].map(warnings), [0; 4]);
    assert_eq!(warnings("http://10.0.0.1:1"), 1);
}

#[test]
fn a_client_of_the_session_server_is_somebody() {
    let client = |rest: &str| format!("[[client]]\nid = \"g\"\nmay = [\"storage\"]\n{rest}");
    assert_eq!(mistake(&client("")).message, "`g` could be anybody");
    let problem = mistake(&client("tls_subject = \"CN=g\""));
    assert!(problem.message.contains("asks nobody for a certificate"), "{}", problem.message);
    let problem = mistake(&client("bearer_file = \"t\"\ntls_subject = \"g\""));
    assert!(problem.message.contains("is no subject"), "{}", problem.message);
    let problem = mistake(&client("basic = { user = \"a:b\", password_file = \"p\" }"));
    assert!(problem.message.contains("holds a colon"), "{}", problem.message);
    let problem = mistake(&client("basic = { user = \"a\" }"));
    assert!(problem.message.contains("has no `password_file`"), "{}", problem.message);
    let problem = mistake(&client("bearer_file = \"t\"\nattributes = \"+\""));
    assert!(problem.message.contains("names no entry"), "{}", problem.message);
    let warned = |text: &str| {
        let warnings = parse(text).unwrap().warnings;
        warnings.into_iter().map(|warning| warning.message).collect::<Vec<_>>().join("; ")
    };
    assert_eq!(warned(&client("bearer_file = \"t\"")), "");
    assert!(
        warned(&client("bearer_file = \"t\"\ntls_subject = \"CN=g\""))
            .contains("asks nobody for a certificate")
    );
    assert!(warned(&client("from = [\"10.0.0.0/8\"]")).contains("without any proof"));
    let from_there = |right: &str| {
        warned(&format!("[[client]]\nid = \"g\"\nfrom = [\"10.0.0.0/8\"]\nmay = [\"{right}\"]"))
    };
    assert!(from_there("admin_sessions").contains("open and end sessions of anybody"));
    assert!(from_there("secrets").contains("may pass for somebody"));
    assert_eq!(from_there("sessions"), "");
    let open = format!("[listen]\nserver = \"10.0.0.1:8081\"\n{}", client("bearer_file = \"t\""));
    assert!(warned(&open).contains("in the clear"));
    let twice = format!("{0}bearer_file = \"t\"\n{0}bearer_file = \"t\"", client(""));
    assert!(mistake(&twice).message.contains("was given to another `[[client]]`"));
}

#[test]
fn sessions_move_to_the_storage_that_is_used_from_another_one() {
    let both = |more: &str, cache: &str| {
        format!(
            "[[storage]]\nid = \"new\"\nmigrate_from = \"old\"\n[[storage]]\nid = \"old\"\nengine = \"memory\"\n{more}\n{cache}"
        )
    };
    let configuration = right(&both("", ""));
    assert_eq!(configuration.storage[0].migrate_from.as_deref(), Some("old"));
    let problem = mistake("[[storage]]\nid = \"new\"\nmigrate_from = \"old\"");
    assert_eq!(
        shown(&[problem]),
        "cloakroom.toml:3:17: `migrate_from = \"old\"` names no `[[storage]]` -> name the one in which the sessions are now, and \
         keep its section"
    );
    let problem = mistake("[[storage]]\nid = \"new\"\nmigrate_from = \"new\"");
    assert_eq!(problem.message, "`new` cannot move to itself");
    let problem = mistake(&both("", "[cache]\nstorage = \"old\""));
    assert_eq!(
        shown(&[problem]),
        "cloakroom.toml:3:17: `new` moves from `old`, and `old` is the storage that is used -> in `[cache]`, say `storage = \
         \"new\"`"
    );
    // Not in a circle, and not in a chain.
    let chain = "migrate_from = \"oldest\"\n[[storage]]\nid = \"oldest\"";
    let problem = mistake(&both(chain, ""));
    assert_eq!(problem.line, 3);
    assert!(problem.cure.contains("wait until everything of `oldest` is in `old`"), "{}", problem.cure);
    let problems = parse(&both("migrate_from = \"new\"", "")).unwrap_err();
    assert!(problems.iter().any(|problem| problem.message.contains("itself moves from")));
    let unused = parse(&both("[[storage]]\nid = \"third\"", "[cache]\nstorage = \"third\"")).unwrap();
    assert_eq!(unused.warnings[0].message, "`migrate_from` has no effect: `new` is not used");
}

#[test]
fn a_level_of_assurance_sets_both_time_outs_and_what_is_said_beside_it_goes_before() {
    let times = |lines: &str| {
        let application = right(&format!("{SHOP}{lines}")).applications.remove(0);
        (application.idle_timeout, application.lifetime)
    };
    let (minutes, hours) = (Duration::from_mins, Duration::from_hours);
    assert_eq!(times("assurance = \"aal1\""), (Duration::ZERO, hours(24 * 30)));
    assert_eq!(times("assurance = \"aal2\""), (hours(1), hours(24)));
    assert_eq!(times("assurance = \"aal3\""), (minutes(15), hours(12)));
    assert_eq!(times("assurance = \"aal3\"\nlifetime = \"1h\""), (minutes(15), hours(1)));
    assert_eq!(times("assurance = \"aal2\"\nidle_timeout = \"5m\""), (minutes(5), hours(24)));
}

#[test]
fn what_a_level_says_shall_be_is_a_mistake_and_what_should_be_a_warning() {
    let warned = |lines: &str| shown(&parse(&format!("{SHOP}{lines}")).unwrap().warnings);
    let refused = |lines: &str| mistake(&format!("{SHOP}{lines}")).message;
    let said = refused("assurance = \"aal3\"\nlifetime = \"13h\"");
    assert_eq!(said, "at `aal3` people shall log in again after 12h at the latest");
    assert!(warned("assurance = \"aal2\"\nlifetime = \"25h\"").contains("should log in again after 1d"));
    assert!(warned("assurance = \"aal1\"\nlifetime = \"31d\"").contains("should log in again after 30d"));
    for level in ["aal1", "aal2", "aal3"] {
        let said = refused(&format!("assurance = \"{level}\"\nlifetime = \"0s\""));
        assert!(said.contains("there shall be a time"), "{said}");
    }
    for (level, longer) in [("aal2", "61m"), ("aal2", "0s"), ("aal3", "16m")] {
        let said = warned(&format!("assurance = \"{level}\"\nidle_timeout = \"{longer}\""));
        assert!(said.contains("a session that nobody uses should be over"), "{said}");
    }
    let kept = "assurance = \"aal1\"\n[application.cookie]\nmax_age = \"1d\"";
    assert!(warned(kept).contains("should not outlive the browser"));
    assert_eq!(warned("assurance = \"aal2\""), "");
}

#[test]
fn tickets_are_renewed_where_that_makes_sense_and_harms_nobody() {
    let said = |lines: &str| mistake(&format!("{SHOP}{lines}")).message;
    right(&format!("{SHOP}renew_interval = \"15m\""));
    assert_eq!(right(SHOP).applications[0].renew_interval, Duration::ZERO);
    assert!(said("renew_interval = \"1m\"").contains("not twice `renew_window`"));
    let none = said("renew_interval = \"15m\"\n[cache]\nrenew_window = \"0s\"");
    assert!(none.contains("would pass for theft"), "{none}");
    let sealed = format!("{SHOP}carrier = \"sealed\"\nrenew_interval = \"15m\"");
    assert!(shown(&parse(&sealed).unwrap().warnings).contains("has no effect with `carrier = \"sealed\"`"));
}

#[test]
fn a_client_has_kinds_realms_and_attributes_as_the_example_says() {
    let read = |rest: &str| {
        let text = format!("[[client]]\nid = \"g\"\nmay = [\"sessions\"]\nfrom = [\"10.0.0.0/8\"]\n{rest}");
        parse(&text).unwrap().configuration.clients.remove(0)
    };
    let names = |names: &[&str]| -> Box<[Box<str>]> { names.iter().map(|name| (*name).into()).collect() };
    let client = read("");
    assert_eq!((client.kinds, client.realms, client.attributes), (Names::All, Names::All, Attributes::Usual));
    let client = read("kinds = [\"SSO\", \"Persistent\"]\nrealms = [\"*\"]\nattributes = \"*\"");
    assert_eq!(client.kinds, Names::Only(names(&["SSO", "Persistent"])));
    assert_eq!((client.realms, client.attributes), (Names::All, Attributes::All));
    let attributes = |text: &str| read(&format!("attributes = \"{text}\"")).attributes;
    assert_eq!(attributes("uid  mail"), Attributes::Only(names(&["uid", "mail"])));
    assert_eq!(attributes("+ uid, mail"), Attributes::Further(names(&["uid", "mail"])));
    let basic = read("basic = { user = \"portal\", password_file = \"portal.password\" }").basic.unwrap();
    assert!(basic.user == "portal" && basic.password_file.ends_with("portal.password"));
}
