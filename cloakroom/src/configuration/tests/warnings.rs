//! What is possible and unwise is said, and does not keep anything from starting.

use super::{SHOP, parse, shown};

#[track_caller]
fn warnings(keys: &str) -> Vec<String> {
    match parse(&format!("{SHOP}{keys}")) {
        Ok(loaded) => {
            assert!(loaded.warnings.iter().all(|warning| warning.warning));
            loaded.warnings.iter().map(|warning| warning.to_string()).collect()
        }
        Err(problems) => panic!("{}", shown(&problems)),
    }
}

#[test]
fn the_defaults_are_safe() {
    assert!(warnings("").is_empty());
    assert!(warnings("[application.login]\nfile = \"users\"").is_empty());
}

#[test]
fn a_ticket_in_the_clear_is_a_warning_except_on_loopback() {
    let cookie = "[application.cookie]\nname = \"sid\"\nsecure = false";
    let loopback = "hosts = [\"localhost\", \"app.localhost\", \"127.0.0.1\", \"127.8.8.8\", \"[::1]\"]\n";
    assert!(warnings(&format!("{loopback}{cookie}")).is_empty());
    let exposed = warnings(&format!("hosts = [\"localhost\", \"shop.example\"]\n{cookie}"));
    assert!(
        exposed[0].starts_with("cloakroom.toml:7:10: `secure = false` for `shop.example`"),
        "{exposed:?}"
    );
    assert!(warnings(cookie)[0].contains("`secure = false` for any host"));
}

#[test]
fn what_exposes_the_ticket_or_trusts_everybody_is_a_warning() {
    for keys in [
        "[application.cookie]\nhttp_only = false",
        "[application.cookie]\nhide_from_upstream = false",
        "trusted_proxies = [\"0.0.0.0/0\"]",
        "trusted_proxies = [\"::/0\"]",
        "idle_timeout = \"0s\"\nlifetime = \"0s\"",
        "[application.login]\nfile = \"users\"\nrequire = []",
        "[application.login]\nfile = \"users\"\nexempt = [\"/\"]",
        "[application.login]\nfile = \"users\"\nattempts_per_address = 60",
        "[application.login]\nfile = \"users\"\nattempts_per_user = 5",
    ] {
        assert_eq!(warnings(keys).len(), 1, "{keys}");
    }
}

/// Storage services `a` and `b`, and what `[cache]` says of them.
fn with_storage(a: &str, b: &str, cache: &str) -> String {
    format!("[[storage]]\nid = \"a\"\n{a}\n[[storage]]\nid = \"b\"\n{b}\n[cache]\n{cache}\n{SHOP}")
}

#[test]
fn logout_data_that_is_less_safe_than_the_sessions_is_a_warning() {
    let told = |a, b| -> Vec<String> {
        let loaded = parse(&with_storage(a, b, "storage_lite = \"b\"")).unwrap();
        loaded.warnings.iter().map(|warning| warning.to_string()).collect()
    };
    let (memory, embedded) = ("engine = \"memory\"", "engine = \"embedded\"");
    let redis = "engine = \"redis\"\nurl = \"redis://127.0.0.1\"";
    assert!(told(memory, embedded).is_empty() && told(embedded, redis).is_empty());
    assert!(told(redis, embedded)[0].contains("`b` is storage of this node alone, and `a` is not"));
    assert!(told(embedded, memory)[0].contains("a restart forgets which sessions were ended"));
}

#[test]
fn sessions_that_come_back_need_somebody_who_remembers_their_end() {
    let (memory, embedded) = ("engine = \"memory\"", "engine = \"embedded\"");
    let told = |cache: &str, keys: &str| -> Vec<String> {
        let loaded = parse(&(with_storage(memory, embedded, cache) + keys)).unwrap();
        loaded.warnings.iter().map(|warning| warning.to_string()).collect()
    };
    let recovery = "recovery = [\"eppn\"]";
    assert!(told("storage_lite = \"b\"", recovery).is_empty());
    assert!(told("", recovery)[0].contains("a restart forgets who has logged out, for `a` is memory"));
    assert!(told("", "recovery = []").is_empty());
    let soft = told("storage_lite = \"b\"\ndanger_soft_revocation = true", recovery);
    assert!(soft[0].contains("sessions that were ended come back"), "{soft:?}");
    let sealed = warnings("recovery = [\"eppn\"]\ncarrier = \"sealed\"");
    assert!(sealed.iter().any(|told| told.contains("`recovery` has no effect")), "{sealed:?}");
}

#[test]
fn what_shibboleth_gave_up_is_understood_and_said() {
    let found = warnings("[cache]\ncache_timeout = \"8h\"\nreverse_index_max_size = 5");
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].contains("`cache_timeout` is deprecated"), "{found:?}");
    assert!(found[1].contains("`reverse_index_max_size` has no effect"), "{found:?}");
    assert!(warnings("[cache]\ncache_timeout = \"0s\"\nreverse_index_max_size = 0").is_empty());
    let allowance = |keys: &str| {
        let loaded = parse(&format!("{SHOP}[cache]\n{keys}"))
            .unwrap_or_else(|problems| panic!("{}", shown(&problems)));
        loaded.configuration.cache.cache_allowance.as_secs()
    };
    // As in Shibboleth, the older key replaces the newer one unless it is zero.
    assert_eq!(allowance("cache_timeout = \"8h\"\ncache_allowance = \"2h\""), 8 * 3600);
    assert_eq!(allowance("cache_timeout = \"0s\"\ncache_allowance = \"2h\""), 2 * 3600);
}

#[test]
fn an_outage_window_says_how_long_somebody_who_left_elsewhere_is_let_in() {
    let found = warnings("[cache]\ntrust_window = \"10s\"\ndanger_outage_window = \"10m\"");
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].contains("whoever was logged out elsewhere can be let in here for up to 610s"),
        "{found:?}"
    );
    assert!(warnings("[cache]\ndanger_outage_window = \"0s\"").is_empty());
}

#[test]
fn a_window_that_is_over_before_anybody_notices_is_a_warning() {
    let found = |storage: &str, window: &str| {
        warnings(&format!("[[storage]]\nid = \"s\"\n{storage}\n[cache]\ntrust_window = \"{window}\""))
    };
    let redis = "engine = \"redis\"\nurl = \"redis://127.0.0.1\"";
    let remote = "engine = \"remote\"\nurl = \"http://127.0.0.1:8081\"";
    let polled = "engine = \"sql\"\nurl = \"mysql://cloakroom@127.0.0.1/c\"\npoll_interval = \"5s\"";
    for (storage, window, takes) in [(redis, "4s", "4s"), (remote, "1s", "4s"), (polled, "6s", "7s")] {
        let found = found(storage, window);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains(&format!("`trust_window = \"{window}\"` is over before")), "{found:?}");
        assert!(found[0].contains(&format!("takes up to {takes}")), "{found:?}");
    }
    for (storage, window) in
        [(redis, "5s"), (redis, "0s"), (remote, "10s"), (polled, "8s"), ("engine = \"embedded\"", "1s")]
    {
        assert!(found(storage, window).is_empty(), "{storage} {window}");
    }
}

#[test]
fn a_rule_that_never_applies_is_a_warning() {
    let found =
        warnings("path = \"/shop\"\n[application.handoff]\nexclude = [\"/static\", \"/shop/static\"]");
    assert_eq!(found.len(), 1);
    assert!(
        found[0].contains("`exclude` holds `/static`, and the application is only at `/shop`"),
        "{found:?}"
    );
    assert!(warnings("carrier = \"none\"\nlifetime = \"1h\"")[0].contains("`lifetime` has no effect"));
}

#[test]
fn to_accept_plain_values_is_a_warning_for_as_long_as_it_lasts() {
    let storage = |keys: &str| warnings(&format!("[[storage]]\nid = \"local\"\n{keys}"));
    assert!(storage("seal = true").is_empty());
    let found = storage("seal = true\ndanger_accept_plain = true");
    assert!(found[0].contains("whoever can write to this storage can forge sessions"), "{found:?}");
}

#[test]
fn a_header_for_tickets_that_anybody_or_nobody_may_send_is_a_warning() {
    let trusted = "trusted_proxies = [\"127.0.0.1/32\"]\n";
    let both = "inbound_header = \"X-Session-Key\"\noutbound_header = \"X-Session-Key\"\n";
    assert!(warnings(&format!("{trusted}{both}")).is_empty());
    let nobody = warnings(both);
    assert_eq!(nobody.len(), 2, "{nobody:?}");
    assert!(
        nobody[0].contains("`inbound_header` has no effect: there are no `trusted_proxies`"),
        "{nobody:?}"
    );
    let anybody = warnings(&format!(
        "{trusted}inbound_header = \"X-Session-Key\"\ndanger_inbound_header_from_anyone = true"
    ));
    assert_eq!(anybody.len(), 1, "{anybody:?}");
    assert!(anybody[0].contains("anybody may send a ticket in `x-session-key`"), "{anybody:?}");
    assert!(warnings("danger_inbound_header_from_anyone = true")[0].contains("without `inbound_header`"));
}

#[test]
fn an_address_that_says_nothing_is_a_warning() {
    let on = "consistent_address = true\n";
    assert!(warnings(&format!("{on}unreliable_networks = [\"10.0.0.0/8\", \"fd00::/8\"]")).is_empty());
    for everything in ["0.0.0.0/0", "::/0"] {
        let found = warnings(&format!("{on}unreliable_networks = [\"{everything}\"]"));
        assert!(found[0].contains(&format!("holds {everything}: every address of its family")), "{found:?}");
    }
    let off = "check_address = false\n";
    assert!(warnings(&format!("{off}on_address_change = \"end\""))[0].contains("no address is looked at"));
    assert!(warnings("carrier = \"none\"\nconsistent_address = true")[0].contains("has no effect"));
    let fallback = warnings("[application.cookie]\nsame_site_fallback = true");
    assert!(fallback[0].contains("has no effect without `same_site = \"None\"`"), "{fallback:?}");
}
