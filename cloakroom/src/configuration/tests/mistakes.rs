//! Each kind of mistake, with its place, what it says, and the cure.

use super::{SHOP, mistake, parse, shown};

/// The text has one mistake, and this is how it is told.
#[track_caller]
fn assert_told(text: &str, told: &str) {
    assert_eq!(shown(&[mistake(text)]), told, "{text}");
}

/// The same for keys of an application, which begin in line four.
#[track_caller]
fn assert_told_of_shop(keys: &str, told: &str) {
    assert_told(&format!("{SHOP}{keys}"), told);
}

#[test]
fn a_duration_needs_a_unit_and_bounds() {
    let told =
        "cloakroom.toml:2:19: `inproc_timeout = \"30\"` has no unit -> say \"30s\", \"30m\" or \"30h\"";
    assert_told("[cache]\ninproc_timeout = \"30\"", told);
    let told = "cloakroom.toml:2:18: `inproc_timeout = 30` has no unit -> say \"30s\", \"30m\" or \"30h\"";
    assert_told("[cache]\ninproc_timeout = 30", told);
    assert_told(
        "[cache]\ntrust_window = 0",
        "cloakroom.toml:2:16: `trust_window = 0` has no unit -> say \"0s\"",
    );
    assert_told(
        "[cache]\ninproc_timeout = \"1h30m\"",
        "cloakroom.toml:2:19: `inproc_timeout = \"1h30m\"` is no duration -> a whole number and one of the units ms, s, m \
         (minutes), h, d: \"90m\", not \"1h30m\"",
    );
    assert_told(
        "[cache]\ndeadline = \"0s\"",
        "cloakroom.toml:2:13: `deadline = \"0s\"` is too short -> possible is 10ms to 1m",
    );
    assert_told(
        "[cache]\ntrust_window = \"6m\"",
        "cloakroom.toml:2:17: `trust_window = \"6m\"` is too long -> possible is 1s to 5m; 0s: not at all",
    );
    assert_told(
        "[cache]\ndeadline = \"99999999999999999999d\"",
        "cloakroom.toml:2:13: `deadline = \"99999999999999999999d\"` is too long -> no duration here is longer than some \
         years",
    );
}

#[test]
fn a_size_needs_a_unit_of_1024_and_bounds() {
    assert_told(
        "[cache]\ninproc_bytes = \"64MB\"",
        "cloakroom.toml:2:17: `inproc_bytes = \"64MB\"` is no size -> the units are B, KiB, MiB, GiB and TiB; 1KiB is 1024 \
         bytes",
    );
    assert_told(
        "[cache]\ninproc_bytes = -1",
        "cloakroom.toml:2:16: `inproc_bytes = -1` is no size -> possible is 1MiB to 1TiB",
    );
    assert_told(
        "[gateway]\nmax_header_bytes = 100",
        "cloakroom.toml:2:20: `max_header_bytes = 100` is too small -> possible is 8KiB to 1MiB",
    );
}

#[test]
fn a_value_of_another_type_is_called_by_its_name() {
    assert_told(
        "[gateway]\nmax_headers = \"many\"",
        "cloakroom.toml:2:16: `max_headers = \"many\"` is a text, and should be a whole number -> say a whole number from 10 \
         to 1000",
    );
    assert_told(
        "[log]\naccess = \"yes\"",
        "cloakroom.toml:2:11: `access = \"yes\"` is a text, and should be true or false -> say true or false, without quotes",
    );
    assert_told(
        "[gateway]\ntrusted_proxies = \"10.0.0.0/8\"",
        "cloakroom.toml:2:20: `trusted_proxies = \"10.0.0.0/8\"` is a text, and should be a list -> put it in brackets, also \
         when it is one: [\"...\"]",
    );
}

#[test]
fn a_word_that_is_no_choice_is_compared_with_those_that_are() {
    assert_told(
        "[log]\nformat = \"jsn\"",
        "cloakroom.toml:2:11: `format = \"jsn\"` is no choice -> did you mean \"json\"?",
    );
    assert_told_of_shop(
        "[application.cookie]\nsame_site = \"Sometimes\"",
        "cloakroom.toml:5:14: `same_site = \"Sometimes\"` is no choice -> say `Lax`, `Strict` or `None`",
    );
}

#[test]
fn what_is_not_built_yet_is_not_called_unknown() {
    assert_told_of_shop(
        "carrier = \"apache\"",
        "cloakroom.toml:4:12: `carrier = \"apache\"` is not built yet -> say `ticket`, `sealed` or `none` for now",
    );
    assert_told(
        "[[storage]]\nid = \"db\"\nengine = \"memcached\"\nservers = [\"127.0.0.1\"]",
        "cloakroom.toml:3:11: `engine = \"memcached\"` is not built yet -> say `memory`, `embedded`, `sql`, `redis` or `remote` \
         for now",
    );
    assert_told_of_shop(
        "apache = true",
        "cloakroom.toml:4:1: `apache` is not built yet: it belongs to the carrier `apache` -> remove it for now",
    );
}

#[test]
fn an_unknown_key_is_compared_with_the_known_ones() {
    assert_told(
        "[cache]\ninprc_timeout = \"1m\"\n",
        "cloakroom.toml:2:1: `inprc_timeout` is not a key of `[cache]` -> did you mean `inproc_timeout`?",
    );
    assert_told(
        "[lsten]",
        "cloakroom.toml:1:2: `lsten` is not a key of the top of the file -> did you mean `listen`?",
    );
    assert_told_of_shop(
        "[application.logn]",
        "cloakroom.toml:4:14: `logn` is not a key of `[[application]]` -> did you mean `login`?",
    );
    assert_told_of_shop(
        "same_site = \"Lax\"",
        "cloakroom.toml:4:1: `same_site` is not a key of `[[application]]` -> it belongs to `[application.cookie]`",
    );
    assert_told(
        "[log]\nfrobnicate = 1",
        "cloakroom.toml:2:1: `frobnicate` is not a key of `[log]` -> `[log]` knows `format`, `level` and `access`",
    );
}

#[test]
fn a_key_that_must_be_there_is_missed_at_its_section() {
    assert_told(
        "\n[[application]]\nid = \"shop\"",
        "cloakroom.toml:2:1: `[[application]]` has no `upstream` -> add a line such as `upstream = \"http://127.0.0.1:9000\"`",
    );
    assert_told_of_shop(
        "[application.login]",
        "cloakroom.toml:4:1: `[application.login]` has no `file` -> add a line such as `file = \"users.htpasswd\"`",
    );
}

#[test]
fn a_table_is_written_with_as_many_brackets_as_it_needs() {
    assert_told(
        "[application]\nid = \"shop\"",
        "cloakroom.toml:1:2: `application` may stand several times, and is written as a list of tables -> say \
         `[[application]]`",
    );
    assert_told("[[cache]]", "cloakroom.toml:1:1: `cache` may stand only once -> say `[cache]`");
    assert_told(
        "cache = 1",
        "cloakroom.toml:1:9: `cache` is a table, not a number -> say `[cache]`, and its keys below",
    );
}

#[test]
fn an_upstream_is_an_origin() {
    let told_of = |upstream: &str| {
        let text = format!("[[application]]\nid = \"shop\"\nupstream = \"{upstream}\"");
        let problem = mistake(&text);
        assert_eq!((problem.line, problem.column), (3, 13));
        (problem.message, problem.cure)
    };
    let (message, cure) = told_of("http://127.0.0.1:9000/app");
    assert_eq!(message, "`upstream = \"http://127.0.0.1:9000/app\"` has a path, and is to be an origin");
    assert_eq!(cure, "paths reach the upstream as the visitor sent them: say \"http://127.0.0.1:9000\"");
    assert!(told_of("http://127.0.0.1:9000/").0.ends_with("has a path, and is to be an origin"));
    assert!(told_of("127.0.0.1:9000").0.ends_with("has no scheme"));
    assert!(told_of("ftp://127.0.0.1").0.ends_with("has a scheme other than http and https"));
    assert!(told_of("http://").0.ends_with("names no host"));
    assert!(told_of("http://127.0.0.1:0").0.ends_with("has a wrong port"));
    assert!(told_of("http://127.0.0.1:99999").0.ends_with("has a wrong port"));
}

#[test]
fn paths_hosts_and_networks_say_how_they_are_written() {
    let told = [
        (
            "path = \"wiki\"",
            "cloakroom.toml:4:9: `path = \"wiki\"` does not begin with a slash -> say \"/wiki\"",
        ),
        (
            "path = \"/a//b\"",
            "cloakroom.toml:4:9: `path = \"/a//b\"` is not in its normal form -> requests have it as \"/a/b\"",
        ),
        (
            "path = \"/a?b\"",
            "cloakroom.toml:4:9: `path = \"/a?b\"` has a query or a fragment -> say only the path",
        ),
        (
            "hosts = [\"a.example\", \"https://b.example\"]",
            "cloakroom.toml:4:23: `\"https://b.example\"` in `hosts` is a URL, not a host -> say only the name: \
             \"shop.example.org\"",
        ),
        (
            "hosts = [\"a.example:8080\"]",
            "cloakroom.toml:4:10: `\"a.example:8080\"` in `hosts` has a port -> say \"a.example\": an application is served on \
             every port",
        ),
        (
            "trusted_proxies = [\"10.1.2.3/8\"]",
            "cloakroom.toml:4:20: `\"10.1.2.3/8\"` in `trusted_proxies` names an address inside a network -> say \"10.0.0.0/8\"",
        ),
        ("id2 = \"\"\n", "cloakroom.toml:4:1: `id2` is not a key of `[[application]]` -> did you mean `id`?"),
    ];
    for (keys, told) in told {
        assert_told_of_shop(keys, told);
    }
}

#[test]
fn a_header_of_the_transport_is_not_ours_to_take() {
    for header in [
        "Cookie",
        "Host",
        "Connection",
        "Transfer-Encoding",
        "Content-Type",
        "content_length",
        "X-Forwarded-For",
    ] {
        let problem = mistake(&format!("{SHOP}[application.handoff]\nrequest_header = \"{header}\""));
        assert_eq!((problem.line, problem.column), (5, 19), "{header}");
        assert!(problem.message.ends_with("is a header that HTTP or the gateway needs itself"), "{header}");
        assert_eq!(problem.cure, "take one of your own, such as \"X-Session\"");
    }
    assert_told_of_shop(
        "[application.handoff]\nupdate_header = \"x_session\"",
        "cloakroom.toml:5:18: `update_header` names the header `x_session`, and so does `request_header` -> give each a \
         header of its own; case and `_` for `-` make no difference",
    );
}

#[test]
fn what_is_wrong_about_redis_is_told_with_the_cure() {
    let redis = |more: &str| format!("[[storage]]\nid = \"db\"\nengine = \"redis\"\n{more}");
    assert_told(
        &redis(""),
        "cloakroom.toml:3:11: the engine `redis` needs a `url` -> add a line such as `url = \"redis://127.0.0.1:6379\"`",
    );
    assert_told(
        &redis("url = \"redis://a,b\""),
        "cloakroom.toml:4:8: `url = \"redis://a,b\"` is no URL of Redis: `redis://` is for one server -> several are \
         `redis-cluster://HOST,HOST`, or `redis-sentinel://HOST,HOST/NAME`",
    );
    assert_told(
        &redis("url = \"redis://shop:geheim@a\""),
        "cloakroom.toml:4:8: `url` holds a password -> write the password into a file, and name that as `password_file`",
    );
    assert_told(
        &redis("url = \"redis://a\"\nmax_bytes = \"1GiB\""),
        "cloakroom.toml:5:14: `max_bytes` belongs to the engine `memory`; the others are bounded where they lie -> remove it, \
         or say `engine = \"memory\"`",
    );
    assert_told(
        "[[storage]]\nid = \"db\"\nmin_replicas = 1",
        "cloakroom.toml:3:16: `min_replicas` belongs to the engine `redis` -> remove it, or say `engine = \"redis\"`",
    );
}

#[test]
fn what_is_no_toml_is_told_where_it_stops_being_it() {
    let problem = mistake("[listen]\ngateway = 127.0.0.1:8080\n");
    assert_eq!(problem.line, 2);
    assert!(problem.message.starts_with("this is no TOML: "), "{}", problem.message);
    let problem = mistake("data_dir = \"a\"\ndata_dir = \"b\"\n");
    assert_eq!((problem.line, problem.column), (2, 1));
    assert!(problem.message.contains("duplicate key"), "{}", problem.message);
}

#[test]
fn all_mistakes_are_told_at_once_in_the_order_of_the_file() {
    let text = format!(
        "data_dir = 1\n[listen]\ngatewy = \"\"\n[log]\nlevel = \"loud\"\n{SHOP}path = \"x\"\nlifetime = \"8\"\n"
    );
    let places: Vec<(usize, usize)> =
        parse(&text).unwrap_err().iter().map(|problem| (problem.line, problem.column)).collect();
    assert_eq!(places, [(1, 12), (3, 1), (5, 10), (9, 9), (10, 13)]);
}

#[test]
fn columns_are_counted_in_characters() {
    let problem = mistake("cache = { index_entries = [\"äöü€\"], deadline = \"5\" }");
    assert_eq!(problem.column, 49, "{problem}");
    let problem = mistake("# äöü€\nnode = 1");
    assert_eq!((problem.line, problem.column), (2, 1));
}

#[test]
fn more_mistakes_than_anybody_reads_are_counted() {
    let text: String = (0..70).map(|number| format!("nobody_knows_{number} = 1\n")).collect();
    let problems = parse(&text).unwrap_err();
    assert_eq!(problems.len(), 51);
    assert_eq!(problems[50].message, "20 more mistakes are not shown");
}

#[test]
fn no_message_shows_what_may_be_a_password() {
    let secret = "geheim";
    let texts = [
        format!("[[storage]]\nid = \"a\"\nurl = \"redis://user:{secret}@host\""),
        format!("[[storage]]\nid = \"a\"\nengine = \"redis\"\nurl = \"redis://user:{secret}@host\""),
        format!("[[storage]]\nid = \"a\"\nengine = \"redis\"\nurl = \"user:{secret}@host\""),
        format!("password = \"{secret}\""),
        format!("password.of = {{ shop = \"{secret}\" }}"),
        format!("[[application]]\nid = \"a\"\nupstream = \"http://user:{secret}@host:1/x\""),
        format!("[[application]]\nid = \"a\"\nupstream = \"user:{secret}@host:1/x\""),
    ];
    for text in texts {
        let problem = mistake(&text);
        let drawn = format!("{:?} {problem} {problem:?}", miette::Report::new(problem.clone()));
        assert!(!drawn.contains(secret), "{drawn}");
    }
}
