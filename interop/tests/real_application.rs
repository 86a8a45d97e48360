//! An application that nobody here wrote, in a browser: Django's administration behind the gateway's login.
//!
//! Django takes who is there from a header that the gateway presents, keeps a session of its own in its own
//! cookies, and protects its forms with a token, so whatever the gateway does wrong with cookies, headers or
//! redirects breaks it.

use std::time::Duration;

use fantoccini::wd::WindowHandle;
use fantoccini::{Client, Locator};
use interop::{Chromium, Cloakroom, Django, Screen, available, raw};

use crate::given::{self, PASSWORD, USER};

const CONFIGURATION: &str = r#"
data_dir = "./cloakroom-data"

[listen]
gateway = "{gateway}"
server = "{server}"

[[storage]]
id = "local"
engine = "embedded"

[cache]
storage = "local"

[[keys]]
id = "2026-11"
file = "keys/2026-11.key"

[[application]]
id = "administration"
upstream = "http://UPSTREAM"
carrier = "ticket"
idle_timeout = "15m"
lifetime = "12h"

[application.handoff]
entry_headers = { "X-Remote-User" = "user" }

[application.login]
provider = "htpasswd"
file = "users.htpasswd"
require = ["/"]
"#;

/// Within a slow machine's reach; a page that never comes fails the test all the same.
const PATIENCE: Duration = Duration::from_secs(30);

fn administration(django: &Django) -> Cloakroom {
    let configuration = CONFIGURATION.replace("UPSTREAM", &django.address().to_string());
    let users = given::htpasswd();
    Cloakroom::start_with(&configuration, &[("users.htpasswd", &users)]).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_visitor_logs_in_works_in_two_tabs_and_logs_out() {
    let Some(django) = available(Django::start(USER)).unwrap() else { return };
    let Some(chromium) = available(Chromium::start(Screen::DESKTOP).await).unwrap() else { return };
    let mut cloakroom = administration(&django);
    let site = format!("http://{}", cloakroom.gateway());
    let browser = Browser { client: chromium.client(), site: &site };

    // Not without a login, and not with a wrong one.
    browser.open("/admin/").await;
    assert!(browser.path().await.starts_with("/.cloakroom/login"), "{}", cloakroom.log());
    browser.log_in(USER, "guess").await;
    browser.shows("[role=alert]").await;
    assert!(browser.path().await.starts_with("/.cloakroom/login"));

    // In, and where one wanted to be.
    browser.log_in(USER, PASSWORD).await;
    browser.shows("#user-tools").await;
    assert_eq!(browser.path().await, "/admin/");
    assert!(browser.text("#user-tools").await.to_lowercase().contains(USER));

    // Two tabs, each with a form of the application.
    let first = browser.tab().await;
    let second = browser.new_tab().await;
    browser.open("/admin/auth/group/add/").await;
    browser.type_into("#id_name", "readers").await;
    browser.to(&first).await;
    browser.open("/admin/auth/user/add/").await;
    browser.type_into("#id_username", "grace").await;
    browser.type_into("#id_password1", "a long enough one").await;
    browser.type_into("#id_password2", "a long enough one").await;
    browser.to(&second).await;
    browser.press("input[name=_save]").await;
    browser.shows(".messagelist .success").await;
    assert!(browser.text(".messagelist").await.contains("readers"));
    browser.to(&first).await;
    browser.press("input[name=_save]").await;
    browser.shows(".messagelist .success").await;
    assert!(browser.text(".messagelist").await.contains("grace"));

    // The gateway goes and comes back; both tabs go on.
    cloakroom.restart().unwrap();
    browser.open("/admin/auth/user/").await;
    assert!(browser.text("#result_list").await.contains("grace"), "{}", cloakroom.log());
    browser.to(&second).await;
    browser.open("/admin/auth/group/").await;
    assert!(browser.text("#result_list").await.contains("readers"));

    // Out. Neither the Back button nor the other tab shows anything any more.
    browser.open("/.cloakroom/logout").await;
    browser.press("form button[type=submit]").await;
    browser.client.wait().at_most(PATIENCE).for_element(Locator::Css("a.button")).await.unwrap();
    browser.client.back().await.unwrap();
    browser.client.back().await.unwrap();
    browser.is_out().await;
    browser.to(&first).await;
    browser.client.refresh().await.unwrap();
    browser.is_out().await;

    chromium.close().await.unwrap();
}

#[test]
fn a_visitor_cannot_say_who_he_is() {
    let Some(django) = available(Django::start(USER)).unwrap() else { return };
    let cloakroom = administration(&django);
    for header in ["X-Remote-User", "x_remote_user", "X-REMOTE_USER"] {
        let page = raw::get(cloakroom.gateway(), "/admin/", &format!("{header}: {USER}\r\n")).unwrap();
        assert_ne!(page.status, 200, "{header}");
        assert!(!page.text().contains("Site administration"), "{header}");
    }
}

/// The browser as a visitor of one site.
struct Browser<'b> {
    client: &'b Client,
    site: &'b str,
}

impl Browser<'_> {
    async fn open(&self, path: &str) {
        self.client.goto(&format!("{}{path}", self.site)).await.unwrap();
    }

    async fn path(&self) -> String {
        let address = self.client.current_url().await.unwrap();
        assert!(address.as_str().starts_with(self.site), "{address}");
        address.path().to_owned()
    }

    async fn log_in(&self, user: &str, password: &str) {
        self.type_into("#user", user).await;
        self.type_into("#password", password).await;
        self.press("form button[type=submit]").await;
    }

    async fn type_into(&self, field: &str, text: &str) {
        let field = self.shows(field).await;
        field.clear().await.unwrap();
        field.send_keys(text).await.unwrap();
    }

    async fn press(&self, button: &str) {
        self.shows(button).await.click().await.unwrap();
    }

    /// Waits until the page has such an element.
    async fn shows(&self, what: &str) -> fantoccini::elements::Element {
        let waiting = self.client.wait().at_most(PATIENCE).for_element(Locator::Css(what)).await;
        match waiting {
            Ok(element) => element,
            Err(error) => panic!("no {what}: {error}\n{}", self.client.source().await.unwrap()),
        }
    }

    async fn text(&self, of: &str) -> String {
        self.shows(of).await.text().await.unwrap()
    }

    async fn tab(&self) -> WindowHandle {
        self.client.window().await.unwrap()
    }

    async fn new_tab(&self) -> WindowHandle {
        let tab = self.client.new_window(true).await.unwrap().handle;
        self.to(&tab).await;
        tab
    }

    async fn to(&self, tab: &WindowHandle) {
        self.client.switch_to_window(tab.clone()).await.unwrap();
    }

    /// The page is the gateway's and shows nothing of the application's.
    async fn is_out(&self) {
        self.shows("form #password").await;
        assert!(self.path().await.starts_with("/.cloakroom/login"));
        let source = self.client.source().await.unwrap();
        assert!(!source.contains("readers") && !source.contains("user-tools"), "{source}");
    }
}
