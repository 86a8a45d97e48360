//! The configurations that people copy from: they start as they are written, and do what they say.

use interop::{Cloakroom, raw};

use crate::form::Form;
use crate::given::{self, PASSWORD, USER, only, session_with, visit};

const BROWSER: &str = "Accept: text/html\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n";

#[test]
fn the_gateway_example_keeps_a_session() {
    let upstream = given::application();
    let mut cloakroom = given::gateway(&upstream);

    let nobody = visit(&cloakroom, "/", "");
    assert_eq!(nobody.status, 200, "{}", cloakroom.log());
    assert!(nobody.all("set-cookie").is_empty(), "a visitor without a session gets no cookie");
    assert_eq!(only(&upstream).header("x-session"), None);

    let opened = visit(&cloakroom, "/put/basket=apples", "");
    assert_eq!(opened.all("set-cookie").len(), 1, "{:?}", opened.headers);
    assert_eq!(opened.header("x-replace-session"), None, "the update header stays inside");
    let cookie = opened.cookie("session").unwrap();
    only(&upstream);

    assert_eq!(visit(&cloakroom, "/", cookie).text(), "basket=apples");
    assert_eq!(only(&upstream).header("cookie"), None, "`hide_from_upstream` hides the ticket");

    let excluded = visit(&cloakroom, "/static/logo.png", cookie);
    assert_eq!((excluded.status, excluded.text().as_str()), (200, ""), "`exclude` wins over `include`");
    only(&upstream);
    assert_eq!(visit(&cloakroom, "/statically", cookie).text(), "basket=apples", "whole segments only");

    cloakroom.restart().unwrap();
    assert_eq!(visit(&cloakroom, "/", cookie).text(), "basket=apples", "{}", cloakroom.log());
}

#[test]
fn the_login_example_lets_in_who_knows_the_password() {
    let upstream = given::application();
    let configuration = given::example(include_str!("examples/login.toml"), &upstream.url());
    let users = given::htpasswd();
    let cloakroom = Cloakroom::start_with(&configuration, &[("users.htpasswd", &users)]).unwrap();
    let gateway = cloakroom.gateway();

    let script = raw::get(gateway, "/letters?page=2", "Accept: application/json\r\n").unwrap();
    assert_eq!(script.status, 401, "{}", script.text());
    assert_eq!(visit(&cloakroom, "/public/terms", "").status, 200);
    only(&upstream);

    let page = raw::get(gateway, "/letters?page=2", BROWSER).unwrap();
    assert!(matches!(page.status, 302 | 303), "{page:?}");
    let login_path = page.header("location").unwrap().to_owned();
    assert!(login_path.starts_with("/.cloakroom/login"), "{login_path}");

    let page = raw::get(gateway, &login_path, BROWSER).unwrap();
    let wrong = Form::of(&page).fill("user", USER).fill("password", "guess").send(gateway, "");
    assert!(matches!(wrong.status, 401 | 403 | 200), "{wrong:?}");
    assert_eq!(wrong.cookie("__Host-session"), None);

    let welcome = Form::of(&page).fill("user", USER).fill("password", PASSWORD).send(gateway, "");
    assert_eq!(welcome.status, 303, "{}\n{}", welcome.text(), cloakroom.log());
    assert_eq!(welcome.header("location"), Some("/letters?page=2"));
    let cookie = welcome.cookie("__Host-session").unwrap();
    assert!(upstream.take().is_empty(), "nothing of a login reaches the application");

    let letters = raw::get(gateway, "/letters?page=2", &format!("{BROWSER}Cookie: {cookie}\r\n")).unwrap();
    assert_eq!(letters.status, 200);
    assert!(letters.text().split('&').any(|pair| pair == format!("user={USER}")), "{}", letters.text());
    assert!(!cloakroom.log().contains(cookie.split('=').nth(1).unwrap()), "no ticket in the log");
    assert!(!cloakroom.log().contains(PASSWORD), "no password in the log");
}

#[test]
fn a_logout_that_was_answered_outlives_a_crash() {
    let upstream = given::application();
    let configuration = given::example(include_str!("examples/login.toml"), &upstream.url());
    let users = given::htpasswd();
    let mut cloakroom = Cloakroom::start_with(&configuration, &[("users.htpasswd", &users)]).unwrap();
    let gateway = cloakroom.gateway();
    let page = raw::get(gateway, "/.cloakroom/login", BROWSER).unwrap();
    let welcome = Form::of(&page).fill("user", USER).fill("password", PASSWORD).send(gateway, "");
    let cookie = welcome.cookie("__Host-session").unwrap().to_owned();
    assert_eq!(visit(&cloakroom, "/", &cookie).status, 200);

    let page = raw::get(gateway, "/.cloakroom/logout", &format!("{BROWSER}Cookie: {cookie}\r\n")).unwrap();
    let goodbye = Form::of(&page).send(gateway, &cookie);
    assert!(matches!(goodbye.status, 200 | 303), "{goodbye:?}");
    cloakroom.kill().unwrap();
    cloakroom.restart().unwrap();

    let after = raw::get(gateway, "/", &format!("Accept: application/json\r\nCookie: {cookie}\r\n")).unwrap();
    assert_eq!(after.status, 401, "{}", after.text());
}

#[test]
fn a_removed_entry_is_gone() {
    let upstream = given::application();
    let cloakroom = given::gateway(&upstream);
    let cookie = session_with(&cloakroom, "a=1&b=2");
    visit(&cloakroom, "/put/a=", &cookie);
    assert_eq!(visit(&cloakroom, "/", &cookie).text(), "b=2");
}
