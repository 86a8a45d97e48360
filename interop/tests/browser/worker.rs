//! A service worker between the pages and the gateway.

use super::{Browser, Plan, Shop, browser};

/// Answers everything by asking the network, as those do that keep a copy for later.
const WORKER: &str = "addEventListener('install', () => skipWaiting());\
     addEventListener('activate', event => event.waitUntil(clients.claim()));\
     addEventListener('fetch', event => event.respondWith(fetch(event.request)))";

/// What a page is told that fetches something for the logged in, as a page and as data.
async fn is_refused_properly(browser: &Browser, shop: &Shop) {
    let (status, body) = browser.fetch("/private").await;
    assert_eq!(status, 401);
    assert!(body.contains("\"error\":\"login_required\""), "{body}");
    let post = "return (await fetch('/private', {method: 'POST', body: 'x'})).status";
    assert_eq!(browser.run(post).await, 401);
    // And whoever goes there is led to the login, and back.
    browser.log_in(shop).await;
    browser.is_at("/private").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_service_worker_or_without_the_session_goes_along_and_a_login_is_asked_for_properly() {
    let Some(browser) = browser().await else { return };
    let shop = Shop::open(Plan::default()).await;
    shop.site.answer("/worker.js", &[("content-type", "text/javascript")], WORKER);
    browser.goto(&shop.url("/put?basket=tea")).await;
    is_refused_properly(&browser, &shop).await;
    assert_eq!(browser.session().await, "user=ada&basket=tea");
    assert_eq!(browser.log_out().await, 200);

    let register = "await navigator.serviceWorker.register('/worker.js'); await navigator.serviceWorker.ready;\
         while (!navigator.serviceWorker.controller) await new Promise(then => setTimeout(then, 10))";
    browser.goto(&shop.url("/put?basket=tea")).await;
    browser.run(register).await;
    assert_eq!(browser.session().await, "basket=tea");
    is_refused_properly(&browser, &shop).await;
    assert_ne!(browser.run("return navigator.serviceWorker.controller").await, serde_json::Value::Null);
    assert_eq!(browser.session().await, "user=ada&basket=tea");
    assert_eq!(browser.fetch("/private").await.0, 200);
    assert_eq!(browser.log_out().await, 200);
    assert_eq!(browser.session().await, "");
    browser.goto(&shop.url("/private")).await;
    browser.is_out().await;
    browser.close().await;
}
