//! TLS, HTTP/2 and the PROXY protocol between the running program and real clients: curl, OpenSSL, HAProxy.

use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use interop::raw::{self, Connection};
use interop::{Authority, Capture, Cloakroom, Haproxy, available, find};

use crate::given::only;

/// A Cloakroom with these lines after `[listen]`, before an application that shows nothing of its own.
fn cloakroom(upstream: &Capture, listen: &str, files: &[(&str, &str)]) -> Cloakroom {
    let configuration = format!(
        "data_dir = \"{{directory}}/data\"\n[listen]\ngateway = \"{{gateway}}\"\nserver = \"{{server}}\"\n{listen}\n\
         [gateway]\nheader_timeout = \"2s\"\n\
         [[application]]\nid = \"shop\"\nupstream = \"{}\"\ncarrier = \"ticket\"\nidle_timeout = \"30m\"\nlifetime = \"8h\"\n",
        upstream.url()
    );
    Cloakroom::start_with(&configuration, files).unwrap()
}

/// What a program prints for this input, errors included.
fn run(program: &'static str, package: &'static str, arguments: &[&str], input: &str) -> Option<String> {
    let program = available(find(program, package)).unwrap()?;
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    Some(format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)))
}

fn curl(cloakroom: &Cloakroom, name: &str, arguments: &[&str]) -> Option<String> {
    let address = cloakroom.gateway();
    let authority = cloakroom.directory().join("tls/authority.pem").display().to_string();
    let resolve = format!("{name}:{}:127.0.0.1", address.port());
    let url = format!("https://{name}:{}/there", address.port());
    let fixed = ["-sS", "-i", "--max-time", "20", "--cacert", &authority, "--resolve", &resolve, &url];
    run("curl", "curl", &[&fixed[..], arguments].concat(), "")
}

fn openssl(address: SocketAddr, arguments: &[&str], input: &str) -> Option<String> {
    let address = address.to_string();
    run("openssl", "openssl", &[&["s_client", "-connect", &address][..], arguments].concat(), input)
}

const ONE: &str =
    "[listen.tls]\ncertificates = [{ certificate = \"tls/shop.pem\", key = \"tls/shop.key\" }]\n";

#[test]
fn a_visitor_comes_over_tls_with_either_version_of_http() {
    let authority = Authority::new().unwrap();
    let issued = authority.server(&["shop.example"]).unwrap();
    let upstream = Capture::start().unwrap();
    let listen = format!("{ONE}hsts = \"365d\"\n");
    let files = [
        ("tls/authority.pem", &*authority.certificate()),
        ("tls/shop.pem", &issued.certificate),
        ("tls/shop.key", &issued.key),
    ];
    let cloakroom = cloakroom(&upstream, &listen, &files);
    for (arguments, version) in [
        (&["--http2"][..], "HTTP/2 200"),
        (&["--http1.1"], "HTTP/1.1 200 OK"),
        (&["--http2", "--tls-max", "1.2"], "HTTP/2 200"),
    ] {
        let Some(answer) = curl(&cloakroom, "shop.example", arguments) else { return };
        assert!(answer.starts_with(version), "{arguments:?}: {answer}\n{}", cloakroom.log());
        assert!(
            answer.to_lowercase().contains("strict-transport-security: max-age=31536000\r\n"),
            "{answer}"
        );
        let request = only(&upstream);
        assert_eq!(request.line(), "GET /there HTTP/1.1");
        assert_eq!(request.header("x-forwarded-proto").as_deref(), Some("https"));
        assert!(request.header("forwarded").unwrap().contains(";proto=https;"));
        let host = format!("shop.example:{}", cloakroom.gateway().port());
        assert_eq!(request.header("host").as_deref(), Some(&*host));
    }
    let upload = curl(&cloakroom, "shop.example", &["--http2", "-d", &"x".repeat(100_000), "-H", "Expect:"]);
    assert!(upload.unwrap().starts_with("HTTP/2 200"));
    assert_eq!(only(&upstream).body.len(), 100_000);

    let helped = raw::get(cloakroom.gateway(), "/", "").unwrap();
    assert_eq!(helped.status, 400);
    assert!(helped.text().contains("https://"), "{}", helped.text());
    assert!(upstream.take().is_empty());

    let old = openssl(cloakroom.gateway(), &["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"], "").unwrap();
    assert!(old.contains("no peer certificate available") && old.contains("Cipher is (NONE)"), "{old}");
    let foreign = openssl(cloakroom.gateway(), &["-alpn", "spdy/3"], "").unwrap();
    assert!(foreign.contains("alert no application protocol"), "{foreign}");
}

#[test]
fn a_handshake_that_drips_costs_a_seat_no_longer_than_a_head() {
    let authority = Authority::new().unwrap();
    let issued = authority.server(&["shop.example"]).unwrap();
    let upstream = Capture::start().unwrap();
    let files = [("tls/shop.pem", &*issued.certificate), ("tls/shop.key", &*issued.key)];
    let cloakroom = cloakroom(&upstream, ONE, &files);
    for beginning in [&b""[..], b"\x16\x03\x01\x02\x00\x01"] {
        let since = Instant::now();
        let mut client = Connection::open(cloakroom.gateway()).unwrap();
        client.send(beginning).unwrap();
        client.rest().unwrap();
        let waited = since.elapsed();
        assert!(waited > Duration::from_millis(1800) && waited < Duration::from_secs(10), "{waited:?}");
    }
}

#[test]
fn each_name_has_its_certificate_and_new_files_hold_without_a_restart() {
    let authority = Authority::new().unwrap();
    let (shop, other) =
        (authority.server(&["shop.example"]).unwrap(), authority.server(&["*.other.example"]).unwrap());
    let upstream = Capture::start().unwrap();
    let listen = "[listen.tls]\ncertificates = [{ certificate = \"tls/shop.pem\", key = \"tls/shop.key\" }, \
                  { certificate = \"tls/other.pem\", key = \"tls/other.key\" }]\n";
    let files = [
        ("tls/authority.pem", &*authority.certificate()),
        ("tls/shop.pem", &shop.certificate),
        ("tls/shop.key", &shop.key),
        ("tls/other.pem", &other.certificate),
        ("tls/other.key", &other.key),
    ];
    let mut cloakroom = cloakroom(&upstream, listen, &files);
    for name in ["shop.example", "www.other.example"] {
        let Some(answer) = curl(&cloakroom, name, &[]) else { return };
        assert!(answer.starts_with("HTTP/2 200"), "{name}: {answer}");
    }
    assert!(
        curl(&cloakroom, "unknown.example", &[]).unwrap().contains("no alternative certificate subject name")
    );

    // Resumed without another full handshake, with either version.
    let ticket = cloakroom.directory().join("ticket").display().to_string();
    for version in ["-tls1_2", "-tls1_3"] {
        let hello = format!("GET / HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", cloakroom.gateway());
        let first =
            openssl(cloakroom.gateway(), &[version, "-ign_eof", "-sess_out", &ticket], &hello).unwrap();
        assert!(first.contains("New, TLSv1"), "{first}");
        let second =
            openssl(cloakroom.gateway(), &[version, "-ign_eof", "-sess_in", &ticket], &hello).unwrap();
        assert!(second.contains("Reused, TLSv1"), "{version}: {second}");
    }

    // The first name only knows the certificate that comes now, and a broken file before it disturbs nobody.
    let folder = cloakroom.directory().join("tls");
    let place = |name: &str| folder.join(name);
    let renewed = authority.server(&["renewed.example"]).unwrap();
    fs::write(place("shop.pem"), &renewed.certificate).unwrap();
    cloakroom.hang_up().unwrap();
    eventually(&cloakroom, |log| log.contains("cannot be used together"));
    assert!(curl(&cloakroom, "shop.example", &[]).unwrap().starts_with("HTTP/2 200"));
    fs::write(place("shop.key"), &renewed.key).unwrap();
    cloakroom.hang_up().unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    while !curl(&cloakroom, "renewed.example", &[]).unwrap().starts_with("HTTP/2 200") {
        assert!(Instant::now() < deadline, "{}", cloakroom.log());
        thread::sleep(Duration::from_millis(50));
    }
    cloakroom.terminate().unwrap();
}

#[test]
fn who_a_client_is_comes_from_its_certificate_and_from_nowhere_else() {
    let authority = Authority::new().unwrap();
    let (shop, ada) = (authority.server(&["shop.example"]).unwrap(), authority.client("ada").unwrap());
    let stranger = Authority::new().unwrap().client("ada").unwrap();
    for demand in ["optional", "required"] {
        let upstream = Capture::start().unwrap();
        let listen = format!(
            "{ONE}client_ca = \"tls/authority.pem\"\nclient_certificate = \"{demand}\"\n\
             client_subject_header = \"X-Client-Subject\"\nclient_fingerprint_header = \"X-Client-Fingerprint\"\n"
        );
        let files = [
            ("tls/authority.pem", &*authority.certificate()),
            ("tls/shop.pem", &shop.certificate),
            ("tls/shop.key", &shop.key),
            ("tls/ada.pem", &ada.certificate),
            ("tls/ada.key", &ada.key),
            ("tls/stranger.pem", &stranger.certificate),
            ("tls/stranger.key", &stranger.key),
        ];
        let cloakroom = cloakroom(&upstream, &listen, &files);
        let place = |name: &str| cloakroom.directory().join("tls").join(name).display().to_string();
        let lies = [
            "-H",
            "X-Client-Subject: CN=root",
            "-H",
            "X_Client_Fingerprint: 00",
            "-H",
            "x-client-fingerprint: 00",
        ];
        let (pem, key) = (place("ada.pem"), place("ada.key"));
        let Some(answer) =
            curl(&cloakroom, "shop.example", &[&["--cert", &pem, "--key", &key][..], &lies].concat())
        else {
            return;
        };
        assert!(answer.starts_with("HTTP/2 200"), "{answer}");
        let request = only(&upstream);
        assert_eq!(request.header("x-client-subject").as_deref(), Some("CN=ada,O=Example\\, Inc."));
        let printed =
            run("openssl", "openssl", &["x509", "-in", &pem, "-noout", "-fingerprint", "-sha256"], "")
                .unwrap();
        let fingerprint = printed.trim().rsplit('=').next().unwrap().replace(':', "").to_lowercase();
        assert_eq!(request.header("x-client-fingerprint").as_deref(), Some(&*fingerprint));
        assert_eq!(request.header("x_client_fingerprint"), None);

        let without = curl(&cloakroom, "shop.example", &lies).unwrap();
        if demand == "optional" {
            assert!(without.starts_with("HTTP/2 200"), "{without}");
            let request = only(&upstream);
            assert_eq!(
                (request.header("x-client-subject"), request.header("x-client-fingerprint")),
                (None, None)
            );
        } else {
            assert!(!without.contains("200"), "{without}");
        }
        let (pem, key) = (place("stranger.pem"), place("stranger.key"));
        let unbelieved = curl(&cloakroom, "shop.example", &["--cert", &pem, "--key", &key]).unwrap();
        assert!(!unbelieved.contains("200"), "{unbelieved}");
        assert!(upstream.take().is_empty());
    }
}

#[test]
fn haproxy_says_who_comes() {
    let upstream = Capture::start().unwrap();
    let listen = "[listen.proxy_protocol]\nfrom = [\"127.0.0.0/8\"]\n";
    let cloakroom = cloakroom(&upstream, listen, &[]);
    for option in ["send-proxy", "send-proxy-v2", "send-proxy-v2-ssl"] {
        let configuration = format!(
            "defaults\n mode tcp\n timeout connect 5s\n timeout client 5s\n timeout server 5s\n\
             listen front\n bind {{address}}\n source 127.0.0.9\n server up {} {option} check\n",
            cloakroom.gateway()
        );
        let Some(haproxy) = available(Haproxy::start(&configuration)).unwrap() else { return };
        let response = raw::get(haproxy.address(), "/there", "").unwrap();
        assert_eq!(response.status, 200, "{option}: {}", response.text());
        let request = only(&upstream);
        // The visitor, not the proxy.
        assert_eq!(request.header("x-forwarded-for").as_deref(), Some("127.0.0.1"), "{option}");
    }
    for bad in [
        &b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"[..],
        b"PROXY TCP4 1.2.3.4\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    ] {
        let mut client = Connection::open(cloakroom.gateway()).unwrap();
        client.send(bad).unwrap();
        assert!(client.rest().unwrap().is_empty(), "{}", bad.escape_ascii());
    }
    // By the byte, and with somebody else's address.
    let mut client = Connection::open(cloakroom.gateway()).unwrap();
    for byte in b"PROXY TCP6 2001:db8::7 ::1 4000 443\r\n" {
        client.send([*byte]).unwrap();
        thread::sleep(Duration::from_millis(2));
    }
    client.send("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n").unwrap();
    assert_eq!(client.response().unwrap().status, 200);
    assert_eq!(only(&upstream).header("x-forwarded-for").as_deref(), Some("2001:db8::7"));
    let since = Instant::now();
    let mut half = Connection::open(cloakroom.gateway()).unwrap();
    half.send("PROXY TCP4 ").unwrap();
    half.rest().unwrap();
    assert!(since.elapsed() < Duration::from_secs(10), "{:?}", since.elapsed());
}

fn eventually(cloakroom: &Cloakroom, is_so: impl Fn(&str) -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !is_so(&cloakroom.log()) {
        assert!(Instant::now() < deadline, "{}", cloakroom.log());
        thread::sleep(Duration::from_millis(20));
    }
}
