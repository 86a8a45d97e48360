//! Nodes on one storage: they show up and leave by themselves, and an end of all says who has confirmed it.

use std::time::{Duration, Instant};

use interop::raw;
use interop::{Capture, Cloakroom, Postgres, Redis, available};
use serde_json::Value;

use crate::form::Form;
use crate::given::{self, PASSWORD, USER, visit};

const LOGIN: &str = "[application.login]\nfile = \"users.htpasswd\"\nrequire = [\"/account\"]\n";
/// Whoever asks from this machine is told which nodes there are.
const MONITOR: &str = "[[client]]\nid = \"monitor\"\nfrom = [\"127.0.0.1\"]\nmay = [\"sessions\"]\n";
const TOKEN: &str = "a-token-of-the-tests-0123456789abcdef";
const ENGINE: &str = "engine = \"embedded\" ";
/// What happens at once takes milliseconds; this is for a machine that is busy.
const SOON: Duration = Duration::from_secs(10);
/// A node that died is gone by then.
const EXPIRED: Duration = Duration::from_secs(40);

/// `gateway.toml`, with something else for where its sessions are.
pub(crate) fn start(upstream: &Capture, engine: &str, more: &str) -> Cloakroom {
    let text = include_str!("examples/gateway.toml");
    assert!(text.contains(ENGINE), "the example no longer says {ENGINE}");
    let text = given::example(&text.replace(ENGINE, engine), &upstream.url()) + LOGIN + more + MONITOR;
    let files = [("users.htpasswd", &*given::htpasswd()), ("storage.token", TOKEN)];
    Cloakroom::start_with(&text, &files).unwrap()
}

/// What a node calls itself.
fn name(node: &Cloakroom) -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    format!("{}/{}", host.trim(), node.process().id())
}

/// The nodes that one knows of, sorted.
fn known(node: &Cloakroom) -> Vec<String> {
    let health: Value =
        serde_json::from_str(&raw::get(node.server(), "/health", "").unwrap().text()).unwrap();
    let names = health["nodes"].as_array().unwrap().iter().map(|node| node["name"].as_str().unwrap());
    let mut names: Vec<_> = names.map(str::to_owned).collect();
    names.sort();
    names
}

fn wait_until(at_most: Duration, what: &str, is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < at_most, "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Each knows these, and counts them.
fn know_each_other(nodes: &[&Cloakroom], at_most: Duration) {
    let mut names: Vec<_> = nodes.iter().map(|node| name(node)).collect();
    names.sort();
    for node in nodes {
        wait_until(at_most, "the nodes do not know each other", || known(node) == names);
        let metrics = raw::get(node.server(), "/metrics", "").unwrap().text();
        let count = format!("\ncloakroom_nodes {}\n", nodes.len());
        assert!(metrics.contains(&count), "{metrics}");
    }
}

fn log_in(node: &Cloakroom) -> String {
    let lines = "Accept: text/html\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n";
    let page = raw::get(node.gateway(), "/.cloakroom/login", lines).unwrap();
    let welcome = Form::of(&page).fill("user", USER).fill("password", PASSWORD).send(node.gateway(), "");
    assert_eq!(welcome.status, 303, "{}\n{}", welcome.text(), node.log());
    welcome.cookie("session").unwrap().to_owned()
}

pub(crate) fn account(node: &Cloakroom, cookie: &str) -> u16 {
    visit(node, "/account", cookie).status
}

/// Logs out everywhere at one node; what its log says of it.
fn log_out_everywhere(node: &Cloakroom, cookie: &str) -> String {
    let (address, body, before) = (node.gateway(), "everywhere=1", node.log().len());
    let request = format!(
        "POST /.cloakroom/logout HTTP/1.1\r\nHost: {address}\r\nSec-Fetch-Site: same-origin\r\nCookie: {cookie}\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let goodbye = raw::exchange(address, request).unwrap();
    assert_eq!(goodbye.status, 303, "{}\n{}", goodbye.text(), node.log());
    let receipt = || {
        let log = node.log().split_off(before);
        log.lines().find(|line| line.contains("all sessions of a person were ended")).map(str::to_owned)
    };
    wait_until(SOON, "there is no receipt in the log", || receipt().is_some());
    receipt().unwrap()
}

/// A person who is logged in at each of them logs out everywhere, and each has confirmed it.
fn everybody_confirms(nodes: &[&Cloakroom]) {
    let cookies: Vec<_> = nodes.iter().map(|node| log_in(node)).collect();
    for node in nodes {
        assert!(cookies.iter().all(|cookie| account(node, cookie) == 200), "{}", node.log());
    }
    let receipt = log_out_everywhere(nodes[0], &cookies[0]);
    for node in nodes {
        assert!(cookies.iter().all(|cookie| account(node, cookie) != 200), "{}", node.log());
        assert!(receipt.contains(&name(node)), "{receipt}");
    }
    assert!(receipt.contains("confirmed by") && !receipt.contains("silent"), "{receipt}");
    assert!(receipt.contains(&format!("sessions: {} on the server", nodes.len())), "{receipt}");
}

/// One that is told to stop is gone at once for the others.
fn one_leaves(mut leaves: Cloakroom, others: &[&Cloakroom]) {
    leaves.terminate().unwrap();
    assert!(leaves.wait(SOON).unwrap().success(), "{}", leaves.log());
    know_each_other(others, SOON);
    for other in others {
        assert!(other.log().contains("a node has left"), "{}", other.log());
    }
}

#[test]
fn fifty_sessions_of_a_person_end_at_once_at_both_gateways() {
    let Some(redis) = available(Redis::start()).unwrap() else { return };
    let upstream = given::application();
    let engine = format!("engine = \"redis\"\nurl = \"{}\"\n# ", redis.url());
    let often = "attempts_per_address = 1000\nattempts_per_user = 2000\n";
    let [here, there] = [0; 2].map(|_| start(&upstream, &engine, often));
    know_each_other(&[&here, &there], SOON);
    let cookies: Vec<_> = [&here, &there].into_iter().cycle().take(50).map(log_in).collect();
    for node in [&here, &there] {
        assert!(cookies.iter().all(|cookie| account(node, cookie) == 200), "{}", node.log());
    }
    let receipt = log_out_everywhere(&here, &cookies[0]);
    for node in [&there, &here] {
        assert!(cookies.iter().all(|cookie| account(node, cookie) != 200), "{}", node.log());
    }
    assert!(receipt.contains("sessions: 50 on the server") && !receipt.contains("silent"), "{receipt}");
    // Who comes back is let in, everywhere.
    let again = log_in(&there);
    assert_eq!((account(&here, &again), account(&there, &again)), (200, 200));
}

#[test]
fn on_one_redis_one_that_is_killed_is_silent_and_then_gone() {
    let Some(redis) = available(Redis::start()).unwrap() else { return };
    let upstream = given::application();
    let engine = format!("engine = \"redis\"\nurl = \"{}\"\n# ", redis.url());
    let [one, mut dies, leaves] = [0; 3].map(|_| start(&upstream, &engine, ""));
    know_each_other(&[&one, &dies, &leaves], SOON);
    everybody_confirms(&[&one, &dies, &leaves]);
    one_leaves(leaves, &[&one, &dies]);
    dies.kill().unwrap();
    let cookie = log_in(&one);
    let receipt = log_out_everywhere(&one, &cookie);
    let dead = name(&dies);
    assert!(receipt.contains(&format!("confirmed by {}; silent: {dead}", name(&one))), "{receipt}");
    wait_until(EXPIRED, "one that was killed is not gone", || known(&one) == [name(&one)]);
    assert!(one.log().contains("a node is gone without a word"), "{}", one.log());
    let cookie = log_in(&one);
    let receipt = log_out_everywhere(&one, &cookie);
    assert!(!receipt.contains("silent") && !receipt.contains(&dead), "{receipt}");
}

#[test]
fn on_one_database_nodes_come_and_go_and_confirm() {
    let Some(postgres) = available(Postgres::start()).unwrap() else { return };
    postgres.sql("postgres", "CREATE DATABASE sessions ENCODING 'UTF8'").unwrap();
    let upstream = given::application();
    let engine = format!("engine = \"sql\"\nurl = \"{}\"\n# ", postgres.url("sessions"));
    let [one, other, leaves] = [0; 3].map(|_| start(&upstream, &engine, ""));
    know_each_other(&[&one, &other, &leaves], SOON);
    everybody_confirms(&[&one, &other, &leaves]);
    one_leaves(leaves, &[&one, &other]);
}

#[test]
fn on_one_cloakroom_nodes_come_and_go_and_confirm() {
    let upstream = given::application();
    let client = "[[client]]\nid = \"gateways\"\nbearer_file = \"storage.token\"\nmay = [\"storage\"]\n";
    let keeper = start(&upstream, ENGINE, client);
    let engine = format!(
        "engine = \"remote\"\nurl = \"http://{}\"\nbearer_file = \"storage.token\"\n# ",
        keeper.server()
    );
    let [one, other, leaves] = [0; 3].map(|_| start(&upstream, &engine, ""));
    know_each_other(&[&one, &other, &leaves, &keeper], SOON);
    everybody_confirms(&[&one, &other, &leaves, &keeper]);
    one_leaves(leaves, &[&one, &other, &keeper]);
}
