//! An application in a frame of other sites: a cookie for each of them (CHIPS), and twins that a change of the
//! configuration leaves.

use super::site::Site;
use super::{Browser, Plan, Shop, browser};

const PARTITIONED: &str = "same_site = \"None\"\npartitioned = true\nhide_from_upstream = false";
const UNPARTITIONED: &str = "same_site = \"None\"\npartitioned = false\nhide_from_upstream = false";

/// Opens a page of another site with the shop's path in a frame, and waits until that was asked for.
async fn embed(browser: &Browser, shop: &Shop, other: &Site, host: &str, path: &str) -> Option<String> {
    let before = shop.site.seen(path).len();
    other.page("/", &format!("<iframe src='{}'></iframe>", shop.url(path)));
    browser.goto(&other.url(host, "/")).await;
    let what = format!("{path} in a frame of {host}");
    let seen = super::site::eventually(&what, || shop.site.seen(path).into_iter().nth(before)).await;
    seen.session().map(str::to_owned)
}

/// Runs a script in the only frame of the page.
async fn in_the_frame(browser: &Browser, script: &str) -> serde_json::Value {
    browser.text("iframe").await;
    browser.client().enter_frame(0).await.unwrap();
    let value = browser.run(script).await;
    browser.client().enter_parent_frame().await.unwrap();
    value
}

#[tokio::test(flavor = "multi_thread")]
async fn an_embedded_application_has_one_session_in_each_site_and_a_logout_ends_the_one() {
    let Some(browser) = browser().await else { return };
    let shop =
        Shop::open(Plan { cookie: PARTITIONED, application: "may_login = true", ..Plan::default() }).await;
    let other = Site::start().await;

    assert_eq!(embed(&browser, &shop, &other, "first", "/put?user=ada").await, None);
    assert_eq!(embed(&browser, &shop, &other, "second", "/put?user=grace").await, None);
    assert_eq!(embed(&browser, &shop, &other, "first", "/session").await.as_deref(), Some("user=ada"));
    assert_eq!(embed(&browser, &shop, &other, "second", "/session").await.as_deref(), Some("user=grace"));
    // By itself it is a third place.
    browser.goto(&shop.url("/")).await;
    assert_eq!(browser.session().await, "");

    embed(&browser, &shop, &other, "second", "/session").await;
    let out = "return (await fetch('/.cloakroom/logout', {method: 'POST', redirect: 'manual'})).type";
    assert_eq!(in_the_frame(&browser, out).await, "opaqueredirect");
    assert_eq!(embed(&browser, &shop, &other, "second", "/session?after").await, None);
    assert_eq!(shop.site.asked("/session?after").await.header("cookie"), None, "its cookie is gone");
    assert_eq!(embed(&browser, &shop, &other, "first", "/session").await.as_deref(), Some("user=ada"));
    browser.close().await;
}

/// Logs in under the one configuration and then under the other, so that the browser has both twins.
async fn twins(browser: &Browser, before: &str, after: &str) -> Shop {
    let mut shop = Shop::open(Plan { cookie: before, ..Plan::default() }).await;
    browser.log_in(&shop).await;
    shop.restart(Plan { cookie: after, ..Plan::default() });
    // Nobody is logged out by the change.
    browser.goto(&shop.url("/private")).await;
    assert_eq!(browser.text("#private").await, "for user=ada");
    browser.goto(&shop.url("/.cloakroom/login?return=/private")).await;
    browser.fill_in().await;
    assert_eq!(browser.text("#private").await, "for user=ada");
    browser.goto(&shop.url("/session?twins")).await;
    let seen = shop.site.asked("/session?twins").await;
    let cookies = seen.header("cookie").unwrap();
    assert_eq!(cookies.matches("__Host-session=").count(), 2, "there are no twins");
    shop
}

#[tokio::test(flavor = "multi_thread")]
async fn a_logout_deletes_the_partitioned_twin_and_the_unpartitioned_one() {
    let Some(browser) = browser().await else { return };
    for (before, after) in [(UNPARTITIONED, PARTITIONED), (PARTITIONED, UNPARTITIONED)] {
        let shop = twins(&browser, before, after).await;
        assert_eq!(browser.log_out().await, 200);
        browser.goto(&shop.url("/session?after")).await;
        let seen = shop.site.asked("/session?after").await;
        let cookies = seen.header("cookie").unwrap_or_default();
        assert!(!cookies.contains("__Host-session="), "a twin is left");
    }
    browser.close().await;
}
