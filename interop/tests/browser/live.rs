//! Connections that stay: WebSocket and server-sent events.

use super::site::eventually;
use super::{Plan, Shop, browser};

/// All that could cut off a silent connection, as short as it can be or nearly so.
const IMPATIENT: Plan<'_> = Plan {
    cookie: "",
    application: "response_timeout = \"1s\"",
    gateway: "[gateway]\nheader_timeout = \"1s\"\nbody_timeout = \"1s\"\nwrite_timeout = \"1s\"\n\
              idle_connection_timeout = \"1s\"",
};

/// How long the application is silent, in milliseconds: more than two of those time-outs.
const SILENCE: u64 = 2500;

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_and_a_stream_have_the_session_outlast_silence_and_end_with_the_tab() {
    let Some(browser) = browser().await else { return };
    let shop = Shop::open(IMPATIENT).await;
    browser.goto(&shop.url("/put?who=ada")).await;
    let first = browser.tab().await;
    let _second = browser.new_tab().await;
    browser.goto(&shop.url("/")).await;
    let heard = format!(
        "const heard = [[], []]; window.heard = heard;\
         window.socket = new WebSocket('/socket?{SILENCE}'); socket.onmessage = e => heard[0].push(e.data);\
         socket.onclose = () => heard[0].push('closed');\
         window.events = new EventSource('/events?{SILENCE}'); events.onmessage = e => heard[1].push(e.data);\
         events.onerror = () => heard[1].push('broken');\
         while (heard[0].length < 2 || heard[1].length < 2) await new Promise(then => setTimeout(then, 20));\
         return heard"
    );
    let heard = browser.run(&heard).await;
    assert_eq!(
        heard,
        serde_json::json!([["who=ada", "again"], ["who=ada", "again"]]),
        "{}",
        shop.cloakroom.log()
    );
    let back = "socket.send('back'); while (heard[0].length < 3) await new Promise(then => setTimeout(then, 20));\
         return heard[0][2]";
    assert_eq!(browser.run(back).await, "back");

    assert_eq!(shop.site.shared.open(), 2);
    browser.client().close_window().await.unwrap();
    eventually("the end of both", || (shop.site.shared.open() == 0).then_some(())).await;
    browser.to(&first).await;
    assert_eq!(browser.session().await, "who=ada");
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_of_another_site_comes_without_the_session() {
    let Some(browser) = browser().await else { return };
    let shop = Shop::open(Plan::default()).await;
    browser.goto(&shop.url("/put?who=ada")).await;
    let other = super::site::Site::start().await;
    other.page("/", "");
    browser.goto(&other.url("other", "/")).await;
    let url = shop.url("/socket").replace("http:", "ws:");
    let first = format!(
        "return await new Promise(then => {{ new WebSocket('{url}').onmessage = e => then(e.data) }})"
    );
    assert_eq!(browser.run(&first).await, "");
    browser.close().await;
}
