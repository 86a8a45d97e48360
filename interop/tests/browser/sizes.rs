//! How large a cookie a browser keeps.

use super::site::Site;
use super::{Plan, Shop, browser};

#[tokio::test(flavor = "multi_thread")]
async fn a_cookie_of_4096_bytes_with_its_name_is_kept_and_a_longer_one_is_dropped() {
    let Some(browser) = browser().await else { return };
    let site = Site::start().await;
    let fits = format!("fits={}", "x".repeat(4096 - 4));
    let longer = format!("longer={}", "x".repeat(4096 - 5));
    // Attributes do not count.
    let attributes = "; Path=/; HttpOnly; SameSite=Lax; Max-Age=1000";
    let headers = [format!("{fits}{attributes}"), format!("{longer}{attributes}")];
    site.answer("/", &[("set-cookie", &headers[0]), ("set-cookie", &headers[1])], "");
    browser.goto(&site.url("sizes", "/")).await;
    browser.goto(&site.url("sizes", "/session")).await;
    let seen = site.asked("/session").await;
    assert_eq!(seen.header("cookie"), Some(&*fits));
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sealed_session_near_the_limit_is_kept_and_one_over_it_leaves_nobody_out() {
    let Some(browser) = browser().await else { return };
    for may_spill in [false, true] {
        let application = format!("carrier = \"sealed\"\nspill = {may_spill}");
        let shop = Shop::open(Plan { application: &application, ..Plan::default() }).await;
        browser.log_in(&shop).await;
        let large = format!("large={}", "x".repeat(2_600));
        browser.goto(&shop.url(&format!("/put?{large}"))).await;
        assert_eq!(browser.session().await, format!("user=ada&{large}"));
        let more = format!("more={}", "y".repeat(2_000));
        browser.goto(&shop.url(&format!("/put?{more}"))).await;
        let expected =
            if may_spill { format!("user=ada&{large}&{more}") } else { format!("user=ada&{large}") };
        for _ in 0..2 {
            assert_eq!(browser.session().await, expected);
        }
        assert_eq!(browser.log_out().await, 200);
        assert_eq!(browser.session().await, "");
    }
    browser.close().await;
}
