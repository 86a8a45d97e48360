//! Which requests that another site causes bring the session along.

use interop::Habits;

use super::site::Site;
use super::{Browser, Plan, Shop, browser, browser_with};

/// What of a foreign site asks something of the shop.
const WAYS: [&str; 5] = ["link", "form", "frame", "fetch", "image"];

/// The ways in which another site's request came with the session that the visitor has.
async fn ways_that_bring_the_session(browser: &Browser, shop: &Shop, from: &str) -> Vec<&'static str> {
    let other = Site::start().await;
    browser.goto(&shop.url("/put?who=ada")).await;
    let to = |way: &str| shop.url(&format!("/session?{way}"));
    other.page(
        "/",
        &format!(
            "<a href='{}'>there</a><form method=post action='{}'><button>send</button></form>\
             <iframe src='{}'></iframe><img src='{}'>\
             <script>fetch('{}', {{mode: 'no-cors', credentials: 'include'}})</script>",
            to("link"),
            to("form"),
            to("frame"),
            to("image"),
            to("fetch"),
        ),
    );
    browser.goto(&other.url(from, "/")).await;
    for way in ["frame", "fetch", "image"] {
        shop.site.asked(&format!("/session?{way}")).await;
    }
    browser.press("a").await;
    browser.is_at("/session").await;
    browser.goto(&other.url(from, "/")).await;
    browser.press("button").await;
    shop.site.asked("/session?form").await;
    let mut ways = Vec::new();
    for way in WAYS {
        let seen = shop.site.asked(&format!("/session?{way}")).await;
        assert!(seen.session().is_none_or(|session| session == "who=ada"), "{way}");
        ways.extend(seen.session().map(|_| way));
    }
    // Whatever came without it, nothing was lost.
    browser.goto(&shop.url("/")).await;
    assert_eq!(browser.session().await, "who=ada");
    ways
}

#[tokio::test(flavor = "multi_thread")]
async fn with_lax_only_a_link_of_another_site_brings_the_session() {
    let Some(browser) = browser().await else { return };
    let shop = Shop::open(Plan { cookie: r#"same_site = "Lax""#, ..Plan::default() }).await;
    assert_eq!(ways_that_bring_the_session(&browser, &shop, "other").await, ["link"]);
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_strict_nothing_of_another_site_brings_the_session_and_all_of_a_neighbour_does() {
    let Some(browser) = browser().await else { return };
    let shop = Shop::open(Plan { cookie: r#"same_site = "Strict""#, ..Plan::default() }).await;
    assert!(ways_that_bring_the_session(&browser, &shop, "other").await.is_empty());
    let shop = Shop::open(Plan { cookie: r#"same_site = "Strict""#, ..Plan::default() }).await;
    assert_eq!(ways_that_bring_the_session(&browser, &shop, "www.shop").await, WAYS);
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_none_everything_of_another_site_brings_the_session_unless_the_browser_keeps_it_out_of_frames() {
    const NONE: Plan<'_> = Plan { cookie: r#"same_site = "None""#, application: "", gateway: "" };
    for (partitions, expected) in [(false, &WAYS[..]), (true, &["link", "form"])] {
        let Some(browser) = browser_with(Habits { partitions, ..Habits::default() }).await else { return };
        let shop = Shop::open(NONE).await;
        assert_eq!(
            ways_that_bring_the_session(&browser, &shop, "other").await,
            expected,
            "partitioned: {partitions}"
        );
        browser.close().await;
    }
}
