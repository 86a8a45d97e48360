//! Names of the wide world, over TLS that a proxy in front of the gateway speaks.

use std::path::Path;
use std::process::Command;

use interop::{Nginx, available, find};

use super::site::Site;
use super::{Plan, Shop, browser};

const SERVER: &str = "server {
    listen {address} ssl;
    ssl_certificate CERTIFICATE;
    ssl_certificate_key KEY;
    location / {
        proxy_pass http://GATEWAY;
        proxy_http_version 1.1;
        proxy_set_header Host $http_host;
        proxy_set_header X-Forwarded-For $remote_addr;
        proxy_set_header X-Forwarded-Proto https;
    }
}";

/// A key and a certificate that it signs itself.
fn certify(directory: &Path) -> interop::Result<()> {
    let mut command = Command::new(find("openssl", "openssl")?);
    command.args([
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "2",
    ]);
    command.args(["-subj", "/CN=shop.example.test", "-addext", "subjectAltName=DNS:shop.example.test"]);
    command.args(["-keyout", "tls.key", "-out", "tls.crt"]).current_dir(directory);
    let made = command.output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn over_tls_a_named_host_keeps_the_cookie_and_nothing_without_tls_gets_or_changes_it() {
    let Some(browser) = browser().await else { return };
    let gateway = "[gateway]\ntrusted_proxies = [\"127.0.0.1\"]";
    let shop = Shop::open(Plan { cookie: "hide_from_upstream = false", gateway, ..Plan::default() }).await;
    let directory = shop.cloakroom.directory();
    let Some(()) = available(certify(directory)).unwrap() else { return };
    let server = SERVER
        .replace("CERTIFICATE", directory.join("tls.crt").to_str().unwrap())
        .replace("KEY", directory.join("tls.key").to_str().unwrap())
        .replace("GATEWAY", &shop.cloakroom.gateway().to_string());
    let Some(nginx) = available(Nginx::start(1, &server)).unwrap() else { return };
    let tls = |path: &str| format!("https://shop.example.test:{}{path}", nginx.address().port());
    let plain = |path: &str| format!("http://shop.example.test:{}{path}", shop.cloakroom.gateway().port());

    browser.log_in_at(&tls("/private")).await;
    browser.goto(&tls("/session?tls")).await;
    let seen = shop.site.asked("/session?tls").await;
    assert_eq!((seen.session(), seen.header("x-forwarded-proto")), (Some("user=ada"), Some("https")));

    // Without TLS the cookie neither goes out nor comes in.
    browser.goto(&plain("/session?plain")).await;
    let seen = shop.site.asked("/session?plain").await;
    assert_eq!((seen.session(), seen.header("cookie")), (None, None));
    browser.goto(&plain("/put?who=mallory")).await;
    browser.goto(&plain("/session?after")).await;
    assert_eq!(shop.site.asked("/session?after").await.session(), None);
    let neighbour = Site::start().await;
    neighbour.answer("/", &[("set-cookie", "__Host-session=x; Path=/; Domain=example.test; Secure")], "");
    browser.goto(&format!("http://evil.example.test:{}/", neighbour.address().port())).await;
    browser.goto(&tls("/private")).await;
    assert_eq!(browser.text("#private").await, "for user=ada");

    assert_eq!(browser.log_out().await, 200);
    browser.goto(&tls("/private")).await;
    browser.is_out().await;
    browser.close().await;
}
