//! What a newcomer sees: the program without a configuration.

use interop::raw::{self, Response};
use interop::{Cloakroom, available};

use crate::form::Form;
use crate::given::visit;

/// The cookie of the demonstration.
const COOKIE: &str = "session";

#[test]
fn the_demonstration_keeps_a_basket_and_knows_who_logged_in() {
    let Some(mut cloakroom) = available(Cloakroom::demonstration()).unwrap() else { return };
    let gateway = cloakroom.gateway();

    let shop = visit(&cloakroom, "/", "");
    assert_eq!(shop.status, 200, "{}", cloakroom.log());
    assert!(shop.all("set-cookie").is_empty(), "looking opens no session");

    let added = Form::of(&shop).send(gateway, "");
    assert_eq!(added.status, 303, "{}", added.text());
    let cookie = added.cookie(COOKIE).unwrap().to_owned();
    assert!(visit(&cloakroom, "/", &cookie).text().contains("basket.tea=1"));

    cloakroom.restart().unwrap();
    assert!(visit(&cloakroom, "/", &cookie).text().contains("basket.tea=1"), "{}", cloakroom.log());

    let page = get_as(&cloakroom, "/account", &cookie);
    assert_eq!(page.status, 303, "{}", page.text());
    let page = get_as(&cloakroom, page.header("location").unwrap(), &cookie);
    let (user, password) = login_that_was_printed(&cloakroom.log());
    let welcome = Form::of(&page).fill("user", &user).fill("password", &password).send(gateway, &cookie);
    assert_eq!(welcome.status, 303, "{}\n{}", welcome.text(), cloakroom.log());
    let known = welcome.cookie(COOKIE).unwrap().to_owned();
    assert_ne!(known, cookie, "a login comes with a new ticket");

    let page = get_as(&cloakroom, "/whoami", &known);
    assert!(page.text().contains(&format!("user={user}")), "{}", page.text());
    assert!(page.text().contains("basket.tea=1"), "the basket is still there");

    let page = get_as(&cloakroom, "/.cloakroom/logout", &known);
    Form::of(&page).send(gateway, &known);
    for old in [&cookie, &known] {
        let page = get_as(&cloakroom, "/whoami", old);
        assert!(!page.text().contains("basket.tea=1"), "{}", page.text());
    }
}

fn get_as(cloakroom: &Cloakroom, path: &str, cookie: &str) -> Response {
    let more = format!("Accept: text/html\r\nSec-Fetch-Mode: navigate\r\nCookie: {cookie}\r\n");
    raw::get(cloakroom.gateway(), path, &more).unwrap()
}

/// The line `log in    NAME / PASSWORD    at ...` of the latest start: each may make a password of its own.
fn login_that_was_printed(log: &str) -> (String, String) {
    let line = log.lines().rfind(|line| line.trim_start().starts_with("log in ")).unwrap();
    let words: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(words[3], "/", "{line}");
    (words[2].to_owned(), words[4].to_owned())
}
