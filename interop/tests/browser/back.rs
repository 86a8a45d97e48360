//! What Back and Forward show once a session is over.

use std::time::{Duration, Instant};

use interop::Habits;

use super::site::PATIENCE;
use super::{Browser, Plan, Shop, browser, browser_with};

/// Sessions that are older than a second are over.
const OVER: Plan<'_> =
    Plan { cookie: "", application: "idle_timeout = \"0s\"\nlifetime = \"1s\"", gateway: "" };

/// Has the private page, with a mark that only a page has which was kept as it was, and goes on to a public one.
async fn see_and_go_on(browser: &Browser, shop: &Shop) {
    shop.site.page("/public", "<p id=public>for all</p>");
    browser.log_in(shop).await;
    browser.goto(&shop.url("/private")).await;
    browser.run("window.kept = true").await;
    browser.goto(&shop.url("/public")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn back_after_a_logout_shows_the_login_and_nothing_private() {
    let Some(browser) = browser().await else { return };
    let shop = Shop::open(Plan::default()).await;
    see_and_go_on(&browser, &shop).await;
    assert_eq!(browser.log_out().await, 200);
    browser.client().back().await.unwrap();
    browser.is_out().await;
    browser.client().forward().await.unwrap();
    browser.is_at("/public").await;

    // The same where another tab logs out.
    see_and_go_on(&browser, &shop).await;
    let first = browser.tab().await;
    browser.new_tab().await;
    browser.goto(&shop.url("/public")).await;
    assert_eq!(browser.log_out().await, 200);
    browser.to(&first).await;
    browser.client().back().await.unwrap();
    browser.is_out().await;
    browser.close().await;
}

/// Goes on to another page, and back once the session is over: sessions of this age are too old from now on. The browser
/// hears nothing of that.
async fn come_back_late(browser: &Browser, shop: &mut Shop) {
    see_and_go_on(browser, shop).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    shop.restart(OVER);
    browser.client().back().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn back_after_the_session_is_over_finds_nothing_in_the_cache() {
    let Some(browser) = browser_with(Habits { keeps_pages: false, ..Habits::default() }).await else {
        return;
    };
    let mut shop = Shop::open(Plan::default()).await;
    come_back_late(&browser, &mut shop).await;
    browser.is_out().await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_was_kept_in_memory_is_shown_for_a_while_and_nothing_on_it_works() {
    let Some(browser) = browser().await else { return };
    let mut shop = Shop::open(Plan::default()).await;
    come_back_late(&browser, &mut shop).await;
    assert!(browser.text("#private").await.contains("user=ada"));
    assert_eq!(browser.run("return window.kept").await, true, "it was asked for again");
    assert_eq!(browser.fetch("/private").await.0, 401);
    browser.client().refresh().await.unwrap();
    browser.is_out().await;
    assert!(shop.site.seen("/private").iter().all(|seen| seen.session() == Some("user=ada")));
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_asks_again_when_it_is_shown_again_shows_nothing_private() {
    let Some(browser) = browser().await else { return };
    let careful = "<p id=private>for {session}</p><script>\
         addEventListener('pageshow', event => event.persisted && location.reload())</script>";
    let mut shop = Shop::open(Plan::default()).await;
    shop.site.page("/private", careful);
    come_back_late(&browser, &mut shop).await;
    browser.is_out().await;
    browser.close().await;
}

/// Closes the browser and starts it again, and goes to the tab that it opens by itself.
async fn close_and_start_again(browser: &mut Browser) {
    browser.chromium.restart().await.unwrap();
    let deadline = Instant::now() + PATIENCE;
    loop {
        for tab in browser.client().windows().await.unwrap() {
            // It may be the one that the browser began with, and closes.
            let _ = browser.client().switch_to_window(tab).await;
            if let Ok(url) = browser.client().current_url().await
                && url.host_str() == Some("shop.localhost")
            {
                return;
            }
        }
        assert!(Instant::now() < deadline, "no tab was restored");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_tab_has_the_session_while_it_lasts_and_then_shows_the_login() {
    let Some(mut browser) = browser().await else { return };
    let mut shop = Shop::open(Plan::default()).await;
    browser.log_in(&shop).await;
    close_and_start_again(&mut browser).await;
    assert_eq!(browser.text("#private").await, "for user=ada");

    tokio::time::sleep(Duration::from_secs(1)).await;
    shop.restart(OVER);
    close_and_start_again(&mut browser).await;
    browser.is_out().await;
    browser.close().await;
}
