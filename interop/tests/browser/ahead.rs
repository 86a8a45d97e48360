//! What a browser fetches ahead, before anybody goes there.

use super::site::eventually;
use super::{Browser, Plan, Shop, browser};

const LOGOUT: &str = "/.cloakroom/logout";

/// A page that has a browser prefetch some paths, by each of its means.
fn eager(paths: &[&str]) -> String {
    let links: String = paths.iter().map(|path| format!("<link rel=prefetch href='{path}'>")).collect();
    let urls: Vec<String> = paths.iter().map(|path| format!("\"{path}?rules\"")).collect();
    let rules = format!(r#"{{"prefetch": [{{"urls": [{}], "eagerness": "immediate"}}]}}"#, urls.join(","));
    format!("{links}<script type=speculationrules>{rules}</script>")
}

async fn cookie(browser: &Browser, shop: &Shop, query: &str) -> Option<String> {
    browser.fetch(&format!("/session?{query}")).await;
    let seen = shop.site.asked(&format!("/session?{query}")).await;
    seen.header("cookie").map(str::to_owned)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_fetched_ahead_changes_no_cookie_and_logs_nobody_out() {
    let Some(browser) = browser().await else { return };
    let shop = Shop::open(Plan { cookie: "hide_from_upstream = false", ..Plan::default() }).await;
    browser.log_in(&shop).await;
    let before = cookie(&browser, &shop, "before").await;
    shop.site.page("/eager", &eager(&["/private", LOGOUT, "/"]));
    browser.goto(&shop.url("/eager")).await;
    for path in ["/private", "/private?rules", "/", "/?rules"] {
        let purpose = |seen: &super::site::Seen| seen.header("sec-purpose").map(str::to_owned);
        let ahead = || shop.site.seen(path).iter().find_map(purpose);
        assert_eq!(eventually(&format!("a prefetch of {path}"), ahead).await, "prefetch");
    }
    browser.goto(&shop.url("/")).await;
    let after = cookie(&browser, &shop, "after").await;
    let own = |cookies: Option<String>| {
        cookies.unwrap().split("; ").find(|pair| pair.starts_with("__Host-session=")).map(str::to_owned)
    };
    assert!(own(before) == own(after), "the ticket is another one");
    assert_eq!(browser.session().await, "user=ada");
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_fetched_ahead_is_not_shown_after_a_logout() {
    let Some(browser) = browser().await else { return };
    let shop = Shop::open(Plan::default()).await;
    for means in ["prefetch", "prerender"] {
        browser.log_in(&shop).await;
        let rules = format!(r#"{{"{means}": [{{"urls": ["/private?{means}"], "eagerness": "immediate"}}]}}"#);
        let page =
            format!("<a href='/private?{means}'>there</a><script type=speculationrules>{rules}</script>");
        shop.site.page("/eager", &page);
        let first = browser.tab().await;
        browser.goto(&shop.url("/eager")).await;
        let seen = shop.site.asked(&format!("/private?{means}")).await;
        assert!(seen.header("sec-purpose").is_some_and(|purpose| purpose.ends_with(means)));
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        browser.new_tab().await;
        browser.goto(&shop.url("/")).await;
        assert_eq!(browser.log_out().await, 200);
        browser.to(&first).await;
        browser.press("a").await;
        browser.is_out().await;
    }
    browser.close().await;
}
