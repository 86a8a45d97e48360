use std::fs;
use std::time::Duration;

use super::*;

fn pages() -> Arc<Pages> {
    Pages::built_in().unwrap()
}

fn text(response: &Response<Bytes>) -> &str {
    std::str::from_utf8(response.body()).unwrap()
}

fn header<'a>(response: &'a Response<Bytes>, name: &str) -> &'a str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

fn login<'a>() -> LoginPage<'a> {
    LoginPage {
        application: "shop",
        action: "/.cloakroom/login",
        token: "abc",
        user: "",
        logged_in: None,
        ended: None,
        return_to: "/",
        alert: None,
    }
}

fn accept(kind: &'static str) -> HeaderMap {
    HeaderMap::from_iter([(http::header::ACCEPT, HeaderValue::from_static(kind))])
}

#[test]
fn a_page_needs_nothing_from_elsewhere_and_lets_nothing_in() {
    let pages = pages();
    let shown = [
        pages.login(StatusCode::OK, &login()),
        pages.logged_out(&LoggedOutPage { application: "shop", login: "/l", home: "/" }),
        pages.error(&accept("text/html"), &Fault::new(StatusCode::BAD_GATEWAY)),
    ];
    for response in shown {
        let policy = header(&response, "content-security-policy");
        for part in ["default-src 'none'", "form-action 'self'", "frame-ancestors 'none'", "base-uri 'none'"]
        {
            assert!(policy.contains(part), "{policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(header(&response, "cache-control"), "no-store");
        assert_eq!(header(&response, "x-content-type-options"), "nosniff");
        assert_eq!(header(&response, "referrer-policy"), "same-origin");
        assert_eq!(header(&response, "content-type"), "text/html; charset=utf-8");
        let page = text(&response);
        for outside in ["<script", "<img", "@import", "url(", "src=", " style=", "onclick"] {
            assert!(!page.contains(outside), "{outside}");
        }
        let nonce = policy.split("'nonce-").nth(1).unwrap().split('\'').next().unwrap();
        assert_eq!(nonce.len(), 22);
        assert!(page.contains(&format!("<style nonce=\"{nonce}\">")));
    }
}

#[test]
fn each_page_has_a_nonce_of_its_own() {
    let pages = pages();
    let policies = [(); 2]
        .map(|()| header(&pages.login(StatusCode::OK, &login()), "content-security-policy").to_owned());
    assert_ne!(policies[0], policies[1]);
}

#[test]
fn what_a_visitor_typed_is_text_and_not_markup() {
    let response = pages().login(
        StatusCode::UNAUTHORIZED,
        &LoginPage { user: "\"><b onfocus=x>'&", alert: Some("<i>"), logged_in: Some("</p>"), ..login() },
    );
    let page = text(&response);
    assert!(!page.contains("<b ") && !page.contains("<i>"), "{page}");
    assert!(page.contains("&quot;&gt;&lt;b onfocus=x&gt;&#x27;&amp;"), "{page}");
}

#[test]
fn the_form_can_be_used_by_everybody() {
    let fresh = pages().login(StatusCode::OK, &login());
    let again = pages().login(
        StatusCode::UNAUTHORIZED,
        &LoginPage { user: "ada", alert: Some("The user name or the password is wrong."), ..login() },
    );
    for part in [
        "<html lang=\"en\">",
        "<label for=\"user\">",
        "<label for=\"password\">",
        "autocomplete=\"username\"",
        "autocomplete=\"current-password\"",
        "method=\"post\"",
    ] {
        assert!(text(&fresh).contains(part) && text(&again).contains(part), "{part}");
    }
    assert!(!text(&fresh).contains("role=\"alert\""));
    assert!(text(&again).contains("role=\"alert\"") && text(&again).contains("aria-describedby=\"alert\""));
    for page in [text(&fresh), text(&again)] {
        assert_eq!(page.matches("autofocus").count(), 1, "the focus is in one place");
    }
    let focus = |page: &str| page.find("autofocus").unwrap() > page.find("id=\"password\"").unwrap();
    assert!(!focus(text(&fresh)) && focus(text(&again)), "on what is to be typed next");
}

#[test]
fn an_error_comes_in_the_form_that_the_client_can_use() {
    let fault = Fault::new(StatusCode::SERVICE_UNAVAILABLE).retry_after(Duration::from_millis(1200));
    let html = pages().error(&accept("text/html"), &fault);
    assert!(
        text(&html).contains("<h1>Not just now</h1>") && text(&html).contains("Your session is not affected")
    );
    let json = pages().error(&accept("application/json"), &fault);
    let body: serde_json::Value = serde_json::from_slice(json.body()).unwrap();
    assert_eq!(
        (&body["error"], &body["status"], &body["retry_after"]),
        (&"unavailable".into(), &503.into(), &2.into())
    );
    let plain = pages().error(&accept("*/*"), &fault);
    assert!(text(&plain).starts_with("503 Not just now: "));
    for response in [html, json, plain] {
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(header(&response, "retry-after"), "2");
        assert_eq!(header(&response, "cache-control"), "no-store");
    }
}

#[test]
fn a_page_promises_nothing_of_a_session_that_is_at_risk() {
    let promise = "Your session is not affected";
    let page = |fault: &Fault<'_>| text(&pages().error(&accept("text/html"), fault)).to_owned();
    let fault = Fault::new(StatusCode::SERVICE_UNAVAILABLE).detail("You are not logged out for certain yet.");
    assert!(page(&fault).contains(promise));
    assert!(!page(&fault.session_at_risk()).contains(promise));
    assert!(page(&fault.session_at_risk()).contains("not logged out for certain"));
    assert!(!page(&Fault::new(StatusCode::FORBIDDEN)).contains(promise));
}

#[test]
fn every_status_has_words() {
    for status in 400..600 {
        let fault = Fault::new(StatusCode::from_u16(status).unwrap()).detail("The cause in one sentence.");
        for kind in ["text/html", "application/json", "*/*"] {
            let response = pages().error(&accept(kind), &fault);
            assert_eq!(response.status().as_u16(), status);
            assert!(text(&response).contains("The cause in one sentence."), "{status} {kind}");
        }
    }
}

#[test]
fn no_time_to_wait_is_still_a_second() {
    for (after, seconds) in [(0, "1"), (1, "1"), (1000, "1"), (1001, "2"), (u64::MAX, "86400")] {
        assert_eq!(retry_after(Duration::from_millis(after)), seconds);
    }
}

fn with_login(text: &str) -> Result<Arc<Pages>, TemplateError> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("login.html");
    fs::write(&file, text).unwrap();
    Pages::load(&TemplateFiles { login: Some(file), ..TemplateFiles::default() })
}

const FORM: &str = "<input name=token value='{{ token }}'><input name='user'><input name=\"password\">";

#[test]
fn an_operator_replaces_a_page() {
    let pages = with_login(&format!("<p>Welcome to {{{{ application }}}}{FORM}")).unwrap();
    let page = pages.login(StatusCode::OK, &LoginPage { application: "a&b", ..login() });
    assert!(text(&page).starts_with("<p>Welcome to a&amp;b"));
    let other = pages.error(&accept("text/html"), &Fault::new(StatusCode::NOT_FOUND));
    assert!(text(&other).contains("There is nothing here"), "the others stay");
    let inherits =
        with_login(&format!("{{% extends \"layout.html\" %}}{{% block body %}}{FORM}{{% endblock %}}"));
    assert!(text(&inherits.unwrap().login(StatusCode::OK, &login())).contains("Cloakroom"));
}

#[test]
fn a_wrong_template_is_refused_with_its_file_and_reason() {
    for (template, reason) in [
        (format!("{FORM}{{% if %}}"), "does not work"),
        (format!("{FORM}{{{{ aplication }}}}"), "does not work"),
        ("<input name=user><input name=password><input name=token>".into(), "`{{ token }}`"),
        ("<input name=user>{{ token }}<input name=password>".into(), "`token`"),
        ("<input name=token value={{ token }}><input name=user>".into(), "`password`"),
    ] {
        let error = with_login(&template).unwrap_err().to_string();
        assert!(error.contains("login.html") && error.contains(reason), "{error}");
    }
    let missing = TemplateFiles { error: Some("/nowhere/error.html".into()), ..TemplateFiles::default() };
    assert!(matches!(Pages::load(&missing), Err(TemplateError::Read { .. })));
}

#[test]
fn a_template_that_fails_with_real_values_gives_way_to_ours() {
    // Fine with the example, whose alert is text; without an alert it fails.
    let pages = with_login(&format!("{FORM}{{{{ alert|upper if alert else alert.missing.more }}}}")).unwrap();
    let page = pages.login(StatusCode::OK, &login());
    assert!(text(&page).contains("<label for=\"user\">"), "{}", text(&page));
}
