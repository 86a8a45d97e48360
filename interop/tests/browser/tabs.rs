//! Two tabs of one browser.

use super::{Plan, Shop, browser};

#[tokio::test(flavor = "multi_thread")]
async fn a_login_and_a_logout_in_one_tab_hold_in_the_other() {
    let Some(browser) = browser().await else { return };
    let shop = Shop::open(Plan::default()).await;
    browser.goto(&shop.url("/put?basket=tea")).await;
    let first = browser.tab().await;
    let second = browser.new_tab().await;
    browser.log_in(&shop).await;

    browser.to(&first).await;
    assert_eq!(browser.session().await, "user=ada&basket=tea");
    browser.goto(&shop.url("/private")).await;
    assert_eq!(browser.text("#private").await, "for user=ada&basket=tea");

    assert_eq!(browser.log_out().await, 200);
    browser.to(&second).await;
    assert_eq!(browser.session().await, "");
    assert_eq!(browser.fetch("/private").await.0, 401);
    browser.client().refresh().await.unwrap();
    browser.is_out().await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn updates_of_two_tabs_at_once_are_all_kept() {
    const EACH: usize = 30;
    let Some(browser) = browser().await else { return };
    let shop = Shop::open(Plan::default()).await;
    browser.goto(&shop.url("/put?begun=1")).await;
    let tabs = [browser.tab().await, browser.new_tab().await];
    for (name, tab) in ["a", "b"].into_iter().zip(&tabs) {
        browser.to(tab).await;
        browser.goto(&shop.url("/")).await;
        // Not awaited: the other tab begins meanwhile.
        let all = format!("Array.from({{length: {EACH}}}, (_, n) => fetch(`/put?{name}${{n}}=1`))");
        browser.client().execute(&format!("window.all = Promise.all({all})"), Vec::new()).await.unwrap();
    }
    for tab in &tabs {
        browser.to(tab).await;
        browser.run("await window.all").await;
    }
    let session = browser.session().await;
    assert_eq!(session.split('&').count(), 1 + 2 * EACH, "{session}");
    browser.close().await;
}
