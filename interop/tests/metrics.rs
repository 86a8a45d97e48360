//! What a running Cloakroom counts: judged by promtool, scraped by a real Prometheus, and compared with the reference,
//! the dashboard and the alerts.

mod exposition;
mod reference;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use interop::raw::{self, Response};
use interop::{Capture, Cloakroom, Prometheus, available, promtool};
use serde_json::Value;

use self::exposition::Exposition;
use crate::given::{self, session_with, visit};

const OPEN_METRICS: &str = "Accept: application/openmetrics-text;version=1.0.0\r\n";

fn packaging() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging").canonicalize().unwrap()
}

/// A Cloakroom that has served visitors with and without sessions, a wrong ticket and a request that is refused.
fn that_served() -> (Cloakroom, Capture) {
    let upstream = given::application();
    let cloakroom = given::gateway(&upstream);
    let cookie = session_with(&cloakroom, "basket=tea");
    assert_eq!(visit(&cloakroom, "/", &cookie).text(), "basket=tea");
    let (handle, _) = cookie.rsplit_once('.').unwrap();
    visit(&cloakroom, "/", &format!("{handle}.{}", "A".repeat(43)));
    visit(&cloakroom, "/%2e%2e%2f", "");
    (cloakroom, upstream)
}

fn metrics(cloakroom: &Cloakroom, headers: &str) -> Response {
    raw::get(cloakroom.server(), "/metrics", headers).unwrap()
}

fn exposed(cloakroom: &Cloakroom) -> Exposition {
    Exposition::parse(&metrics(cloakroom, OPEN_METRICS).text())
}

/// Everything in the dashboard that Prometheus will be asked, with values for what Grafana fills in.
fn dashboard() -> Vec<String> {
    let text = std::fs::read_to_string(packaging().join("grafana/cloakroom.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let expressions = panels.iter().filter_map(|panel| panel["targets"].as_array()).flatten();
    let filled = expressions.map(|target| {
        let expression = target["expr"].as_str().unwrap();
        let values =
            [("$__rate_interval", "1m"), ("$job", ".*"), ("$instance", ".*"), ("$application", ".*")];
        values.into_iter().fold(expression.to_owned(), |text, (name, value)| text.replace(name, value))
    });
    filled.collect()
}

/// The names of our metrics in an expression.
fn names(expression: &str) -> BTreeSet<String> {
    let words = expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words
        .filter(|word| word.starts_with("cloakroom_") || word.starts_with("process_"))
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_reference_is_what_a_running_program_exposes() {
    let (cloakroom, _upstream) = that_served();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/src/reference/metrics.md");
    let page = std::fs::read_to_string(&file).unwrap();
    let right = reference::with_tables(&page, &exposed(&cloakroom));
    if std::env::var_os("CLOAKROOM_WRITE_REFERENCE").is_some() {
        std::fs::write(&file, right).unwrap();
    } else {
        assert_eq!(page, right, "write it anew: run this test with CLOAKROOM_WRITE_REFERENCE=1");
    }
}

#[test]
fn what_was_served_is_counted_under_its_reason() {
    let (cloakroom, _upstream) = that_served();
    let exposed = exposed(&cloakroom);
    for (sample, least) in [
        ("cloakroom_sessions_opened_total", 1.0),
        (r#"cloakroom_sessions_found_total{tier="first"}"#, 1.0),
        (r#"cloakroom_sessions_not_found_total{reason="wrong_secret"}"#, 1.0),
        (r#"cloakroom_gateway_updates_total{reason="opened"}"#, 1.0),
        (r#"cloakroom_gateway_requests_total{application="shop",status="2xx"}"#, 3.0),
        (r#"cloakroom_gateway_request_seconds_count{application="shop"}"#, 3.0),
        (r#"cloakroom_gateway_upstream_seconds_count{application="shop"}"#, 3.0),
        ("cloakroom_gateway_added_seconds_count", 4.0),
        (
            r#"cloakroom_storage_operation_seconds_count{storage="local",operation="create",outcome="done"}"#,
            1.0,
        ),
        ("cloakroom_sessions_first_tier_entries", 1.0),
        ("cloakroom_sessions_first_tier_bytes", 100.0),
        ("process_resident_memory_bytes", 1_000_000.0),
    ] {
        let value = exposed.value(sample);
        assert!(value.is_some_and(|value| value >= least), "{sample} is {value:?}, and not {least}");
    }
    // What we added is less than all, and the two shares are the whole.
    let sum = |name: &str| exposed.value(name).unwrap();
    let whole = sum(r#"cloakroom_gateway_request_seconds_sum{application="shop"}"#);
    assert!(sum(r#"cloakroom_gateway_upstream_seconds_sum{application="shop"}"#) < whole);
}

#[test]
fn promtool_finds_no_fault_with_the_metrics() {
    let (cloakroom, _upstream) = that_served();
    let metrics = metrics(&cloakroom, "");
    let Some(judged) = available(promtool(&packaging(), &["check", "metrics"], &metrics.text())).unwrap()
    else {
        return;
    };
    let said = String::from_utf8_lossy(&judged.stderr);
    assert!(judged.status.success() && said.is_empty(), "{said}");
}

#[test]
fn the_alerts_fire_when_they_should_and_say_what_to_do() {
    let place = packaging().join("prometheus");
    for arguments in [["check", "rules", "alerts.yml"], ["test", "rules", "alerts.test.yml"]] {
        let Some(judged) = available(promtool(&place, &arguments, "")).unwrap() else { return };
        let said = String::from_utf8_lossy(&[judged.stdout, judged.stderr].concat()).into_owned();
        assert!(judged.status.success() && said.contains("SUCCESS"), "{said}");
    }
    let rules = std::fs::read_to_string(place.join("alerts.yml")).unwrap();
    let tests = std::fs::read_to_string(place.join("alerts.test.yml")).unwrap();
    let alerts: Vec<&str> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    for alert in &alerts {
        assert!(tests.contains(&format!("alertname: {alert}\n")), "{alert} has no test");
    }
    for part in ["severity: ", "summary: ", "description: "] {
        assert_eq!(rules.matches(part).count(), alerts.len(), "each alert has one `{part}`");
    }
}

#[test]
fn every_metric_of_the_dashboard_and_of_the_alerts_is_exposed() {
    let (cloakroom, _upstream) = that_served();
    let exposed = exposed(&cloakroom);
    let alerts = std::fs::read_to_string(packaging().join("prometheus/alerts.yml")).unwrap();
    let mut asked: BTreeSet<String> = dashboard().iter().flat_map(|expression| names(expression)).collect();
    asked.extend(names(&alerts));
    assert!(asked.len() > 20, "{asked:?}");
    let unknown: Vec<&String> = asked.iter().filter(|name| !exposed.has(name)).collect();
    assert!(unknown.is_empty(), "nobody exposes {unknown:?}");
}

#[test]
fn a_real_prometheus_evaluates_every_expression_of_the_dashboard() {
    let (cloakroom, _upstream) = that_served();
    let rules = packaging().join("prometheus/alerts.yml");
    let Some(prometheus) = available(Prometheus::scraping(cloakroom.server(), &rules)).unwrap() else {
        return;
    };
    // Two scrapes: a rate needs two points.
    let deadline = Instant::now() + Duration::from_secs(30);
    let scrapes = || prometheus.evaluate(r#"count_over_time(up{job="cloakroom"}[1m])"#).unwrap().unwrap();
    while scrapes().pointer("/0/value/1").and_then(Value::as_str).is_none_or(|count| count == "1") {
        assert!(Instant::now() < deadline, "{}", prometheus.process().log());
        thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(prometheus.evaluate("up").unwrap().unwrap().pointer("/0/value/1").unwrap(), "1");

    for expression in dashboard() {
        let value = prometheus.evaluate(&expression).unwrap();
        let value = value.unwrap_or_else(|error| panic!("{expression}: {error}"));
        // What is only shown above zero may be nothing.
        let is_filtered = expression.contains("> 0");
        assert!(
            is_filtered || value.as_array().is_some_and(|value| !value.is_empty()),
            "{expression}: nothing"
        );
    }
    let groups = prometheus.ask("/api/v1/rules").unwrap();
    let rules = groups.pointer("/data/groups/0/rules").and_then(Value::as_array).unwrap().clone();
    for rule in rules {
        assert_eq!(rule["lastError"], Value::Null, "{rule}");
        assert_eq!(rule["state"], "inactive", "nothing is wrong, and yet: {rule}");
    }
}
