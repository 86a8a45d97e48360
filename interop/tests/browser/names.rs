//! What a neighbouring host can do to the cookie.

use super::site::Site;
use super::{Browser, Plan, Shop, browser};

/// A session of the attacker's own, as `handle.secret`.
fn attackers_ticket(shop: &Shop, name: &str) -> String {
    let cookie = interop::raw::get(shop.cloakroom.gateway(), "/put?who=mallory", "").unwrap();
    let cookie = cookie.cookie(name).unwrap();
    cookie.split_once('=').unwrap().1.to_owned()
}

/// Has the browser visit a neighbour that tries to set these.
async fn plant(browser: &Browser, neighbour: &Site, cookies: &[String]) {
    let headers: Vec<(&str, &str)> = cookies.iter().map(|cookie| ("set-cookie", cookie.as_str())).collect();
    neighbour.answer("/plant", &headers, "planted");
    browser.goto(&neighbour.url("evil.shop", "/plant")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_cookie_is_kept_and_no_neighbour_can_plant_one() {
    let Some(browser) = browser().await else { return };
    let shop = Shop::open(Plan { cookie: "hide_from_upstream = false", ..Plan::default() }).await;
    let neighbour = Site::start().await;
    let ticket = attackers_ticket(&shop, "__Host-session");
    let planted: Vec<String> = [
        "__Host-session=TICKET; Path=/; Domain=shop.localhost; Secure",
        "__Host-session=TICKET; Path=/private; Domain=shop.localhost; Secure",
        "__Host-session=TICKET; Path=/; Domain=shop.localhost",
        "__Host-Session=TICKET; Path=/; Domain=shop.localhost; Secure",
        "=__Host-session=TICKET; Path=/; Domain=shop.localhost; Secure",
        "__Host-session=TICKET; Path=/; Secure",
    ]
    .iter()
    .map(|cookie| cookie.replace("TICKET", &ticket))
    .collect();

    // Nobody is made of a visitor who had nothing,
    plant(&browser, &neighbour, &planted).await;
    browser.goto(&shop.url("/session?1")).await;
    let seen = shop.site.asked("/session?1").await;
    assert_eq!((seen.session(), seen.header("cookie")), (None, None));
    // and one who is logged in stays who they are.
    browser.log_in(&shop).await;
    plant(&browser, &neighbour, &planted).await;
    browser.goto(&shop.url("/private")).await;
    assert_eq!(browser.text("#private").await, "for user=ada");
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_planted_cookie_without_the_prefix_makes_nobody_of_the_visitor_and_never_somebody_else() {
    let Some(browser) = browser().await else { return };
    let shop = Shop::open(Plan { cookie: r#"name = "session""#, ..Plan::default() }).await;
    let neighbour = Site::start().await;
    let ticket = attackers_ticket(&shop, "session");
    browser.log_in(&shop).await;
    plant(&browser, &neighbour, &[format!("session={ticket}; Path=/; Domain=shop.localhost")]).await;
    browser.goto(&shop.url("/private")).await;
    browser.is_out().await;
    // A login ends both, so that the new one is the only one.
    browser.log_in(&shop).await;
    assert_eq!(browser.session().await, "user=ada");

    // One for some paths only is not sent with the login, and stays in the way there.
    let ticket = attackers_ticket(&shop, "session");
    shop.site.page("/private/deeper", "<p id=private>for {session}</p>");
    plant(&browser, &neighbour, &[format!("session={ticket}; Path=/private/deeper; Domain=shop.localhost")])
        .await;
    browser.goto(&shop.url("/private/deeper")).await;
    browser.text("form #password").await;
    assert!(shop.site.seen("/private/deeper").is_empty());
    browser.goto(&shop.url("/session?elsewhere")).await;
    assert_eq!(shop.site.asked("/session?elsewhere").await.session(), Some("user=ada"));
    browser.close().await;
}
