//! The login as a browser meets it.

use std::num::NonZeroU32;
use std::time::Duration;

use futures_util::FutureExt as _;
use http::Request;
use seal::{Key, KeyRing, KeyState, Keys};

use super::passwords::tests_support::{APR1, BCRYPT, PASSWORD};
use super::*;

const NOW: Millis = Millis(1_800_000_000_000);
const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
const HTML: (&str, &str) = ("accept", "text/html,*/*;q=0.8");

fn settings() -> (tempfile::TempDir, LoginSettings) {
    let folder = tempfile::tempdir().unwrap();
    let users = folder.path().join("users.htpasswd");
    std::fs::write(&users, format!("ada:{BCRYPT}\ngrace:{APR1}\n")).unwrap();
    (folder, LoginSettings { title: Some("The shop".into()), ..LoginSettings::new("shop", users) })
}

fn keys() -> Arc<Keys> {
    let text = Key::generate_text().unwrap();
    let key = Key::from_text("test".parse().unwrap(), KeyState::Active, text.expose()).unwrap();
    Arc::new(Keys::new(KeyRing::new(vec![key]).unwrap()))
}

fn login_with(change: impl FnOnce(&mut LoginSettings)) -> Login {
    let (_folder, mut settings) = settings();
    change(&mut settings);
    Login::new(settings, keys(), Pages::built_in().unwrap()).unwrap()
}

fn login() -> Login {
    login_with(|_| {})
}

fn request(method: &str, target: &str, headers: &[(&str, &str)]) -> Parts {
    let mut request = Request::builder().method(method).uri(target).header("host", "shop.example");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

fn text(response: &Response<Bytes>) -> &str {
    std::str::from_utf8(response.body()).unwrap()
}

fn header<'a>(response: &'a Response<Bytes>, name: &str) -> &'a str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

fn path(path: &str) -> NormalPath<'_> {
    NormalPath::parse(path).unwrap()
}

/// What a browser keeps of a page with a form.
struct Shown {
    cookie: String,
    token: String,
}

impl Shown {
    fn of(page: &Response<Bytes>) -> Self {
        let after = |text: &str, mark: &str| text.split(mark).nth(1).unwrap().to_owned();
        let token = after(text(page), "name=\"token\" value=\"");
        let cookie = header(page, "set-cookie");
        Self {
            cookie: cookie.split(';').next().unwrap().to_owned(),
            token: token.split('"').next().unwrap().to_owned(),
        }
    }

    fn body(&self, user: &str, password: &str) -> String {
        format!("token={}&user={user}&password={password}", self.token)
    }
}

fn open(login: &Login, target: &str) -> Shown {
    Shown::of(&login.login_page(&request("GET", target, &[HTML]), None, NOW))
}

async fn send(login: &Login, shown: &Shown, body: &str) -> Submission {
    let request = request("POST", "/.cloakroom/login", &[FORM, HTML, ("cookie", &shown.cookie)]);
    login.submit(&request, CLIENT, body.as_bytes(), NOW).await
}

fn accepted(submission: Submission) -> (Box<str>, String) {
    match submission {
        Submission::Accepted { user, return_to, .. } => (user, return_to),
        Submission::Refused(response) => panic!("{} {}", response.status(), text(&response)),
    }
}

fn refused(submission: Submission) -> (u16, Refusal, Response<Bytes>) {
    match submission {
        Submission::Accepted { user, .. } => panic!("{user} was let in"),
        Submission::Refused(response) => {
            (response.status().as_u16(), *response.extensions().get::<Refusal>().unwrap(), response)
        }
    }
}

#[tokio::test]
async fn somebody_logs_in_and_comes_back_to_where_they_wanted() {
    let login = login();
    let wanted =
        request("GET", "/account?tab=2", &[("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")]);
    let challenge = login.challenge(&wanted, "/account?tab=2", None);
    assert_eq!(challenge.status(), StatusCode::SEE_OTHER);
    let shown = open(&login, header(&challenge, "location"));
    let submission = send(&login, &shown, &shown.body("ada", "correct+horse")).await;
    assert_eq!(accepted(submission), ("ada".into(), "/account?tab=2".into()));
    let by_apr1 = send(&login, &shown, &shown.body("grace+", "correct%20horse")).await;
    assert_eq!(accepted(by_apr1).0, "grace".into());
}

#[tokio::test]
async fn an_unknown_user_and_a_wrong_password_get_the_same_answer() {
    let login = login();
    let shown = open(&login, "/.cloakroom/login");
    let mut pages = Vec::new();
    for user in ["ada", "bob"] {
        let (status, refusal, response) = refused(send(&login, &shown, &shown.body(user, "wrong")).await);
        assert_eq!((status, refusal), (401, Refusal::Wrong));
        assert_eq!(header(&response, "cache-control"), "no-store");
        assert!(text(&response).contains("role=\"alert\""));
        assert!(!text(&response).contains(">wrong<") && !text(&response).contains("value=\"wrong\""));
        let nonce = header(&response, "content-security-policy")
            .split("'nonce-")
            .nth(1)
            .and_then(|rest| rest.split('\'').next())
            .unwrap()
            .to_owned();
        let again = Shown::of(&response);
        let page = text(&response).replace(user, "USER").replace(&again.token, "T").replace(&nonce, "N");
        pages.push((page, again.token.len()));
    }
    assert!(pages[0] == pages[1], "but for the name that was typed");
}

#[tokio::test]
async fn an_empty_field_never_reaches_the_users_file() {
    let login = login_with(|settings| settings.limits.per_address.burst = NonZeroU32::MIN);
    let shown = open(&login, "/.cloakroom/login");
    for (user, password) in [("", PASSWORD), ("ada", ""), ("+", "x"), ("", "")] {
        let (status, refusal, _) = refused(send(&login, &shown, &shown.body(user, password)).await);
        assert_eq!((status, refusal), (400, Refusal::Incomplete), "and it counts as no attempt");
    }
}

#[tokio::test]
async fn what_nobody_can_have_as_a_password_is_wrong() {
    let login = login();
    let shown = open(&login, "/.cloakroom/login");
    let long = "x".repeat(257);
    for (user, password) in
        [("ada", long.as_str()), (&long, "x"), ("ada", "correct+horse%00"), ("ada%00", "x")]
    {
        assert_eq!(refused(send(&login, &shown, &shown.body(user, password)).await).1, Refusal::Wrong);
    }
}

#[tokio::test]
async fn a_form_from_elsewhere_logs_nobody_in() {
    let login = login();
    let shown = open(&login, "/.cloakroom/login?return=/account");
    let body = shown.body("ada", "correct+horse");
    let other = open(&login, "/.cloakroom/login");
    for (cookie, body, site) in [
        ("", body.as_str(), "none"),
        (&other.cookie, &body, "none"),
        (&shown.cookie, &other.body("ada", "correct+horse"), "none"),
        (&shown.cookie, "user=ada&password=correct+horse", "none"),
        (&shown.cookie, "token=x&user=ada&password=correct+horse", "none"),
        (&shown.cookie, &body, "cross-site"),
        (&shown.cookie, &body, "same-site"),
    ] {
        let request =
            request("POST", "/.cloakroom/login", &[FORM, HTML, ("cookie", cookie), ("sec-fetch-site", site)]);
        let submission = login.submit(&request, CLIENT, body.as_bytes(), NOW).await;
        let (status, refusal, response) = refused(submission);
        assert_eq!((status, refusal), (403, Refusal::Token));
        assert!(text(&response).contains("role=\"alert\"") && text(&response).contains("value=\"ada\""));
    }
}

#[tokio::test]
async fn the_form_that_follows_a_refusal_works_and_keeps_the_way_back() {
    let login = login();
    let shown = open(&login, "/.cloakroom/login?return=/account");
    let late = NOW.plus(Duration::from_secs(3601));
    let request = |cookie: &str| request("POST", "/.cloakroom/login", &[FORM, ("cookie", cookie)]);
    let body = shown.body("ada", "correct+horse");
    let submission = login.submit(&request(&shown.cookie), CLIENT, body.as_bytes(), late).await;
    let (_, refusal, response) = refused(submission);
    assert_eq!(refusal, Refusal::Token, "too old");
    let again = Shown::of(&response);
    let body = again.body("ada", "correct+horse");
    let submission = login.submit(&request(&again.cookie), CLIENT, body.as_bytes(), late).await;
    assert_eq!(accepted(submission).1, "/account");
}

#[tokio::test]
async fn too_many_attempts_have_to_wait() {
    let login = login_with(|settings| {
        settings.limits.per_user =
            Allowance { burst: NonZeroU32::new(2).unwrap(), every: Duration::from_secs(60) };
    });
    let shown = open(&login, "/.cloakroom/login");
    for _ in 0..2 {
        assert_eq!(refused(send(&login, &shown, &shown.body("ada", "wrong")).await).1, Refusal::Wrong);
    }
    let (status, _, response) = refused(send(&login, &shown, &shown.body("ada", "correct+horse")).await);
    assert_eq!(status, 429);
    let seconds: u32 = header(&response, "retry-after").parse().unwrap();
    assert!((50..=60).contains(&seconds), "{seconds}");
    assert!(text(&response).contains("Too many attempts. Please try again in"));
    accepted(send(&login, &shown, &shown.body("grace", "correct+horse")).await);
}

#[tokio::test]
async fn only_a_form_is_taken() {
    let login = login();
    let shown = open(&login, "/.cloakroom/login");
    let body = shown.body("ada", "correct+horse");
    let large = format!("{body}&x={}", "x".repeat(8192));
    for (kind, body, expected) in [
        ("text/plain", body.as_str(), 415),
        ("application/json", "{}", 415),
        ("application/x-www-form-urlencoded", &large, 413),
        ("application/x-www-form-urlencoded", "user=%zz", 400),
        ("application/x-www-form-urlencoded", "user=%ff", 400),
    ] {
        let request =
            request("POST", "/.cloakroom/login", &[("content-type", kind), ("cookie", &shown.cookie)]);
        let (status, refusal, response) = refused(login.submit(&request, CLIENT, body.as_bytes(), NOW).await);
        assert_eq!((status, refusal), (expected, Refusal::Form));
        assert_eq!(header(&response, "cache-control"), "no-store");
    }
}

#[tokio::test]
async fn other_methods_are_told_what_there_is() {
    let login = login();
    for method in ["PUT", "DELETE", "OPTIONS", "PATCH"] {
        let request = request(method, "/.cloakroom/login", &[]);
        let responses = [
            login.login_page(&request, None, NOW),
            refused(login.submit(&request, CLIENT, b"", NOW).await).2,
            login.logout_page(&request, Some("ada"), NOW),
            login.check_logout(&request, b"", NOW).await.unwrap_err(),
        ];
        for response in responses {
            assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
            assert_eq!(header(&response, "allow"), "GET, HEAD, POST");
        }
    }
    assert_eq!(login.login_page(&request("HEAD", "/", &[]), None, NOW).status(), StatusCode::OK);
}

#[test]
fn a_browser_is_led_to_the_login_and_a_script_is_told() {
    let login = login();
    for (method, target, headers, back) in [
        ("GET", "/a?b=c", vec![HTML], "/a%3Fb%3Dc"),
        ("HEAD", "/a", vec![HTML], "/a"),
        ("GET", "/.cloakroom/logout", vec![HTML], "/"),
        ("POST", "/save", vec![HTML, ("referer", "http://shop.example/form?id=1")], "/form%3Fid%3D1"),
        ("POST", "/save", vec![HTML, ("referer", "http://evil.example/form")], "/"),
        ("POST", "/save", vec![HTML], "/"),
    ] {
        let response = login.challenge(&request(method, target, &headers), target, None);
        assert_eq!(response.status(), StatusCode::SEE_OTHER);
        assert_eq!(header(&response, "location"), format!("/.cloakroom/login?return={back}"));
        assert_eq!(header(&response, "cache-control"), "no-store");
    }
    let script = [("sec-fetch-mode", "cors"), ("sec-fetch-dest", "empty")];
    for headers in [&script[..], &[("accept", "application/json")], &[]] {
        let response = login.challenge(&request("GET", "/a", headers), "/a", None);
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(header(&response, "content-type"), "application/json");
        assert_eq!(header(&response, "cache-control"), "no-store");
        let body: serde_json::Value = serde_json::from_slice(response.body()).unwrap();
        assert_eq!((&body["error"], &body["login"]), (&"login_required".into(), &"/.cloakroom/login".into()));
    }
}

#[test]
fn the_way_back_is_never_elsewhere() {
    let login = login();
    for target in ["//evil.example", "/\\evil.example", &format!("/{}", "a".repeat(3000))] {
        let response = login.challenge(&request("GET", "/", &[HTML]), target, None);
        assert_eq!(header(&response, "location"), "/.cloakroom/login?return=/");
    }
}

#[test]
fn our_own_pages_are_at_their_very_paths() {
    let login = login_with(|settings| settings.login_path = "/admin/login".into());
    let pages = login.own_pages();
    assert_eq!(pages.page(&path("/admin/login")), Some(OwnPage::Login));
    assert_eq!(pages.page(&path("/.cloakroom/logout")), Some(OwnPage::Logout));
    assert_eq!(pages.page(&path("/.cloakroom/logout/x")), None);
}

#[test]
fn a_logout_is_taken_from_our_form_and_from_the_applications_own_button() {
    let login = login();
    let page = login.logout_page(&request("GET", "/.cloakroom/logout", &[HTML]), Some("ada"), NOW);
    assert!(text(&page).contains("<strong>ada</strong>"));
    let shown = Shown::of(&page);
    let body = format!("token={}", shown.token);
    let check = |headers: &[(&str, &str)], body: &str| {
        let request = request("POST", "/.cloakroom/logout", headers);
        // Nobody keeps these keys, so there is nothing to wait for.
        login.check_logout(&request, body.as_bytes(), NOW).now_or_never().unwrap().err()
    };
    assert!(check(&[FORM, ("cookie", &shown.cookie)], &body).is_none(), "our form");
    assert!(check(&[("sec-fetch-site", "same-origin")], "").is_none(), "a button of the application");
    assert!(check(&[("origin", "https://shop.example")], "").is_none(), "the same in an older browser");

    for headers in [
        &[FORM][..],
        &[FORM, ("sec-fetch-site", "cross-site"), ("cookie", &shown.cookie)],
        &[FORM, ("origin", "https://evil.example")],
        &[FORM, ("sec-fetch-site", "cross-site"), ("origin", "https://shop.example")],
    ] {
        let response = check(headers, "").unwrap();
        assert_eq!(response.status(), StatusCode::FORBIDDEN);
        assert!(text(&response).contains("Do you want to log out?"), "it asks");
    }
    let of_login = open(&login, "/.cloakroom/login");
    let wrong = format!("token={}", of_login.token);
    assert!(check(&[FORM, ("cookie", &of_login.cookie)], &wrong).is_some(), "the token of another form");
}

#[test]
fn after_a_logout_the_page_says_so() {
    let login = login();
    let response = login.logged_out();
    assert_eq!(
        (response.status(), header(&response, "location")),
        (StatusCode::SEE_OTHER, "/.cloakroom/logout")
    );
    let page = login.logout_page(&request("GET", "/.cloakroom/logout", &[HTML]), None, NOW);
    assert_eq!(page.status(), StatusCode::OK);
    assert!(text(&page).contains("You are logged out"));
}

#[test]
fn who_is_logged_in_already_may_go_on() {
    let login = login();
    let target = "/.cloakroom/login?return=/account";
    let page = login.login_page(&request("GET", target, &[HTML]), Some("ada"), NOW);
    assert!(text(&page).contains("You are logged in as <strong>ada</strong>"));
    assert!(text(&page).contains("href=\"/account\"") || text(&page).contains("href=\"&#x2f;account\""));
}

#[test]
fn wrong_settings_are_explained() {
    let failed = |change: &dyn Fn(&mut LoginSettings)| {
        let (_folder, mut settings) = settings();
        change(&mut settings);
        Login::new(settings, keys(), Pages::built_in().unwrap()).unwrap_err().to_string()
    };
    for path in ["login", "/", "*", "/a?b", "//a", "/a/../b", "https://a/b"] {
        assert!(failed(&|settings| settings.login_path = path.into()).contains("login_path"), "{path}");
    }
    assert!(
        failed(&|settings| settings.login_path = settings.logout_path.clone()).contains("give each its own")
    );
    assert!(failed(&|settings| settings.home = "//a".into()).contains("home"));
    assert!(failed(&|settings| settings.users = "/nowhere".into()).contains("/nowhere"));
    assert!(failed(&|settings| settings.templates.login = Some("/nowhere".into())).contains("/nowhere"));
}

#[test]
fn a_login_shows_nothing_secret() {
    let shown = format!("{:?}", login());
    assert!(!shown.contains("$2y$") && !shown.contains("$apr1$") && !shown.contains("ada"), "{shown}");
}
