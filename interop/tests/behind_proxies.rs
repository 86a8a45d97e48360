//! A proxy in front that keeps the ticket itself: nginx and HAProxy have a cookie of their own for browsers, and bring and take
//! what is in it in a header. And what comes from elsewhere.

use std::net::SocketAddr;
use std::process::Command;

use interop::{Capture, Cloakroom, Haproxy, Nginx, available, find};

use crate::given::application;

/// Where proxies connect from; nobody else does.
const PROXY: &str = "127.0.0.9";
const OWN: &str = "127.0.0.2";
const OTHER: &str = "127.0.0.3";

fn cloakroom(upstream: &Capture) -> Cloakroom {
    let configuration = format!(
        "data_dir = \"{{directory}}/data\"\n[listen]\ngateway = \"{{gateway}}\"\nserver = \"{{server}}\"\n\
         [log]\nlevel = \"trace\"\n\
         [[application]]\nid = \"shop\"\nupstream = \"{}\"\ntrusted_proxies = [\"{PROXY}/32\"]\n\
         inbound_header = \"X-Session-Key\"\noutbound_header = \"X-Session-Key\"\nconsistent_address = true\n\
         [application.cookie]\nname = \"session\"\nsecure = false\n",
        upstream.url()
    );
    Cloakroom::start(&configuration).unwrap()
}

fn nginx(gateway: SocketAddr) -> Option<Nginx> {
    let http = format!(
        "underscores_in_headers on;\n\
         map $upstream_http_x_session_key $kept {{ \"\" \"\"; default \"app=$upstream_http_x_session_key\"; }}\n\
         server {{ listen {{address}}; location / {{\n\
         proxy_pass http://{gateway}; proxy_bind {PROXY};\n\
         proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;\n\
         proxy_set_header X-Session-Key $cookie_app; proxy_set_header Cookie \"\";\n\
         proxy_hide_header Set-Cookie; proxy_hide_header X-Session-Key; add_header Set-Cookie $kept always;\n\
         }} }}\n"
    );
    available(Nginx::start(1, &http)).unwrap()
}

fn haproxy(gateway: SocketAddr) -> Option<Haproxy> {
    let configuration = format!(
        "defaults\n mode http\n timeout connect 5s\n timeout client 5s\n timeout server 5s\n\
         listen front\n bind {{address}}\n option forwardfor\n\
         http-request set-header X-Session-Key %[req.cook(app)]\n http-request del-header Cookie\n\
         http-response set-var(txn.key) res.hdr(X-Session-Key)\n\
         http-response del-header Set-Cookie\n http-response del-header X-Session-Key\n\
         http-response add-header Set-Cookie app=%[var(txn.key)] if {{ var(txn.key) -m found }}\n\
         server up {gateway} source {PROXY}\n"
    );
    available(Haproxy::start(&configuration)).unwrap()
}

/// What curl gets, head and body, from this address of this machine.
fn curl(from: &str, to: SocketAddr, path: &str, headers: &[&str]) -> String {
    let mut command = Command::new(find("curl", "curl").unwrap());
    command.args(["-sS", "-i", "--max-time", "20", "--interface", from]);
    for header in headers {
        command.args(["-H", header]);
    }
    let output = command.arg(format!("http://{to}{path}")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").unwrap().1
}

fn keeps_the_ticket(cloakroom: &Cloakroom, upstream: &Capture, front: SocketAddr) {
    let seen_by_application = || {
        let requests = upstream.take();
        assert!(!requests.is_empty());
        for request in requests {
            let lines = request.header_lines().join("\n").to_ascii_lowercase().replace('_', "-");
            assert!(!lines.contains("x-session-key"), "{lines}");
        }
    };
    let answer = curl(OWN, front, "/put/b=2", &[]);
    let head = answer.to_ascii_lowercase();
    assert!(!head.contains("x-session-key") && !head.contains("session="), "{head}");
    let ticket = answer.split_once("app=").unwrap().1.lines().next().unwrap().trim().to_owned();
    let kept = format!("Cookie: app={ticket}");
    seen_by_application();

    assert_eq!(body(&curl(OWN, front, "/", &[&kept])), "b=2");
    let elsewhere = curl(OTHER, front, "/", &[&kept, "Accept: application/json"]);
    assert!(elsewhere.starts_with("HTTP/1.1 403") && elsewhere.contains("other_address"), "{elsewhere}");
    // Saying so does not make it so.
    let claimed = format!("X-Forwarded-For: {OWN}");
    assert!(curl(OTHER, front, "/", &[&kept, &claimed]).starts_with("HTTP/1.1 403"));
    assert_eq!(body(&curl(OWN, front, "/", &[&kept])), "b=2", "its owner goes on");
    seen_by_application();

    // What the client sends under the name, or one that reads like it, does not come through.
    for name in ["X-Session-Key", "X_Session_Key", "X-Session_Key"] {
        let sent = format!("{name}: {ticket}");
        assert_eq!(body(&curl(OWN, front, "/", &[&sent])), "", "{name}");
        assert_eq!(body(&curl(OWN, cloakroom.gateway(), "/", &[&sent])), "", "{name}, past the proxy");
    }
    let direct = curl(OWN, cloakroom.gateway(), "/put/c=3", &[]);
    let head = direct.to_ascii_lowercase();
    assert!(head.contains("set-cookie: session=") && !head.contains("x-session-key"), "{direct}");
    seen_by_application();
    let secret = ticket.split_once('.').unwrap().1;
    assert!(!cloakroom.log().contains(secret), "a ticket is in the log");
}

#[test]
fn nginx_keeps_the_ticket_in_a_cookie_of_its_own() {
    let upstream = application();
    let cloakroom = cloakroom(&upstream);
    let (Some(nginx), Some(_)) = (nginx(cloakroom.gateway()), available(find("curl", "curl")).unwrap())
    else {
        return;
    };
    keeps_the_ticket(&cloakroom, &upstream, nginx.address());
}

#[test]
fn haproxy_keeps_the_ticket_in_a_cookie_of_its_own() {
    let upstream = application();
    let cloakroom = cloakroom(&upstream);
    let (Some(haproxy), Some(_)) = (haproxy(cloakroom.gateway()), available(find("curl", "curl")).unwrap())
    else {
        return;
    };
    keeps_the_ticket(&cloakroom, &upstream, haproxy.address());
}
