//! How large a cookie a browser keeps.

use super::browser;
use super::site::Site;

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
