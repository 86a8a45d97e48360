//! Large bodies, either way: passed on as they come, and never kept.

use std::fs;

use super::site::eventually;
use super::{Plan, Shop, browser};

const SIZE: u64 = 200 << 20;

/// What the gateway may take beside what it took before: buffers, not bodies.
const BUFFERS: u64 = 16 << 20;

/// The most memory that the gateway ever had, in bytes.
fn peak(shop: &Shop) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", shop.cloakroom.process().id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_mebibytes_come_down_and_go_up_and_are_kept_nowhere() {
    let Some(browser) = browser().await else { return };
    let shop = Shop::open(Plan { cookie: "hide_from_upstream = false", ..Plan::default() }).await;
    browser.goto(&shop.url("/put?who=ada")).await;
    browser.session().await;
    let cookie = shop.site.asked("/session").await.header("cookie").map(str::to_owned);
    let before = peak(&shop);

    let down = format!(
        "const r = (await fetch('/large?{SIZE}')).body.getReader(); let n = 0;\
         for (let p; !(p = await r.read()).done;) n += p.value.length; return n"
    );
    assert_eq!(browser.run(&down).await, SIZE);
    let up = format!(
        "const piece = new Uint8Array(1 << 20); const b = new Blob(Array({}).fill(piece));\
         return await (await fetch('/upload', {{method: 'POST', body: b}})).text()",
        SIZE >> 20,
    );
    assert_eq!(browser.run(&up).await, SIZE.to_string());

    let grown = peak(&shop) - before;
    assert!(grown < BUFFERS, "{grown} bytes");
    for path in [format!("/large?{SIZE}"), "/upload".to_owned()] {
        let seen = shop.site.asked(&path).await;
        assert_eq!(seen.session(), Some("who=ada"));
        assert_eq!(seen.header("cookie").map(str::to_owned), cookie);
    }
    assert_eq!((shop.site.shared.open(), shop.site.shared.broken()), (0, 0));
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_that_is_broken_off_ends_for_the_application_too_and_the_session_goes_on() {
    let Some(browser) = browser().await else { return };
    let shop = Shop::open(Plan::default()).await;
    browser.goto(&shop.url("/put?who=ada")).await;
    let down = format!(
        "const stop = new AbortController();\
         const r = (await fetch('/large?{SIZE}', {{signal: stop.signal}})).body.getReader();\
         await r.read(); stop.abort()"
    );
    browser.run(&down).await;
    let broken = |number| move |shop: &Shop| (shop.site.shared.broken() == number).then_some(());
    eventually("the end of the download", || broken(1)(&shop)).await;
    let up = "const stop = new AbortController();\
         const b = new Blob(Array(200).fill(new Uint8Array(1 << 20)));\
         const sent = fetch('/upload', {method: 'POST', body: b, signal: stop.signal});\
         window.stop = () => stop.abort(); sent.catch(() => {})";
    browser.run(up).await;
    eventually("an upload", || (shop.site.shared.open() == 1).then_some(())).await;
    browser.run("window.stop()").await;
    eventually("the end of the upload", || broken(2)(&shop)).await;
    assert_eq!(shop.site.shared.open(), 0);
    assert_eq!(browser.session().await, "who=ada");
    browser.close().await;
}
