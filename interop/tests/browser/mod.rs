//! What browsers do with our cookies, pages and streams, shown in Chromium.
//!
//! Each test has a browser with a profile of its own, and a shop behind a real Cloakroom. Sites are told apart by names
//! below `localhost`: `shop.localhost` and `www.shop.localhost` are one site, `other.localhost` is another. The book's
//! chapter "What browsers do" says the same in a table, with the names of these tests.

mod ahead;
mod back;
mod embedded;
mod live;
mod names;
mod same_site;
mod site;
mod sizes;
mod streams;
mod tabs;
mod tls;
mod transfers;
mod worker;

use std::fs;

use fantoccini::wd::WindowHandle;
use fantoccini::{Client, Locator};
use interop::{Chromium, Cloakroom, Habits, Screen, available};
use serde_json::Value;

use crate::given::{self, PASSWORD, USER};
use site::{PATIENCE, Site};

const CONFIGURATION: &str = r#"
data_dir = "./cloakroom-data"

[listen]
gateway = "{gateway}"
server = "{server}"

[[keys]]
id = "2026-11"
file = "keys/2026-11.key"

GATEWAY

[[application]]
id = "shop"
upstream = "http://UPSTREAM"
APPLICATION

[application.cookie]
COOKIE

[application.login]
provider = "htpasswd"
file = "users.htpasswd"
require = ["/private"]
"#;

/// How a shop differs from the default.
#[derive(Debug, Clone, Copy, Default)]
struct Plan<'p> {
    /// Lines of `[application.cookie]`.
    cookie: &'p str,
    /// Lines of `[[application]]`.
    application: &'p str,
    /// Tables of the whole gateway.
    gateway: &'p str,
}

impl Plan<'_> {
    fn configuration(&self, upstream: &str) -> String {
        CONFIGURATION
            .replace("UPSTREAM", upstream)
            .replace("APPLICATION", self.application)
            .replace("COOKIE", self.cookie)
            .replace("GATEWAY", self.gateway)
    }
}

/// A site behind the gateway.
struct Shop {
    site: Site,
    cloakroom: Cloakroom,
}

impl Shop {
    async fn open(plan: Plan<'_>) -> Self {
        let site = Site::start().await;
        site.page("/", "the shop");
        site.page("/private", "<p id=private>for {session}</p>");
        let configuration = plan.configuration(&site.address().to_string());
        let users = given::htpasswd();
        let cloakroom = Cloakroom::start_with(&configuration, &[("users.htpasswd", &users)]).unwrap();
        Self { site, cloakroom }
    }

    /// Its address, through the gateway.
    fn url(&self, path: &str) -> String {
        self.url_at("shop", path)
    }

    fn url_at(&self, host: &str, path: &str) -> String {
        format!("http://{host}.localhost:{}{path}", self.cloakroom.gateway().port())
    }

    /// Goes on with another configuration, and the same sessions.
    fn restart(&mut self, plan: Plan<'_>) {
        let text = plan
            .configuration(&self.site.address().to_string())
            .replace("{gateway}", &self.cloakroom.gateway().to_string())
            .replace("{server}", &self.cloakroom.server().to_string());
        fs::write(self.cloakroom.directory().join("cloakroom.toml"), text).unwrap();
        self.cloakroom.restart().unwrap();
    }
}

/// A browser, or nothing where none is installed and that may be overlooked.
async fn browser() -> Option<Browser> {
    browser_with(Habits::default()).await
}

async fn browser_with(habits: Habits) -> Option<Browser> {
    let chromium = available(Chromium::start_with(Screen::DESKTOP, habits).await).unwrap()?;
    Some(Browser { chromium })
}

/// Somebody at a screen.
struct Browser {
    chromium: Chromium,
}

impl Browser {
    fn client(&self) -> &Client {
        self.chromium.client()
    }

    async fn goto(&self, url: &str) {
        self.client().goto(url).await.unwrap();
    }

    async fn close(self) {
        self.chromium.close().await.unwrap();
    }

    /// Runs the body of an async function in the page, and gives what it returns.
    async fn run(&self, script: &str) -> Value {
        // What a page does not answer within the browser's time-out for scripts is an error.
        let script = format!("return (async () => {{ {script} }})()");
        match self.client().execute(&script, Vec::new()).await {
            Ok(value) => value,
            Err(error) => panic!("{error}\n{script}"),
        }
    }

    /// Fetches from where the page is: status and body.
    async fn fetch(&self, path: &str) -> (u64, String) {
        let script = format!("const r = await fetch('{path}'); return [r.status, await r.text()]");
        let answer = self.run(&script).await;
        (answer[0].as_u64().unwrap(), answer[1].as_str().unwrap().to_owned())
    }

    /// The session that the application is presented by a request of this page.
    async fn session(&self) -> String {
        self.fetch("/session").await.1
    }

    /// Waits until the page has such an element, and gives its text.
    async fn text(&self, of: &str) -> String {
        let waiting = self.client().wait().at_most(PATIENCE).for_element(Locator::Css(of)).await;
        match waiting {
            Ok(element) => element.text().await.unwrap(),
            Err(error) => panic!("no {of}: {error}\n{}", self.client().source().await.unwrap()),
        }
    }

    async fn press(&self, what: &str) {
        self.text(what).await;
        self.client().find(Locator::Css(what)).await.unwrap().click().await.unwrap();
    }

    /// Waits until the address has this path.
    async fn is_at(&self, path: &str) {
        for _ in 0..2000 {
            if self.client().current_url().await.unwrap().path() == path {
                return;
            }
            tokio::time::sleep(PATIENCE / 2000).await;
        }
        panic!("at {} and not at {path}", self.client().current_url().await.unwrap());
    }

    /// Logs in at the form that a protected page leads to.
    async fn log_in(&self, shop: &Shop) {
        self.log_in_at(&shop.url("/private")).await;
    }

    async fn log_in_at(&self, private: &str) {
        self.goto(private).await;
        self.fill_in().await;
        let private = self.text("#private").await;
        assert!(private.starts_with(&format!("for user={USER}")), "{private}");
    }

    /// Fills in the login form, and sends it.
    async fn fill_in(&self) {
        self.text("form #password").await;
        for (field, text) in [("#user", USER), ("#password", PASSWORD)] {
            let field = self.client().find(Locator::Css(field)).await.unwrap();
            field.clear().await.unwrap();
            field.send_keys(text).await.unwrap();
        }
        self.press("form button[type=submit]").await;
    }

    /// Logs out with a button of the application's own.
    async fn log_out(&self) -> u64 {
        let script = "return (await fetch('/.cloakroom/logout', {method: 'POST'})).status";
        self.run(script).await.as_u64().unwrap()
    }

    /// The page shows nothing that is for the logged in.
    async fn is_out(&self) {
        self.text("form #password").await;
        let source = self.client().source().await.unwrap();
        assert!(!source.contains(USER), "{source}");
    }

    async fn tab(&self) -> WindowHandle {
        self.client().window().await.unwrap()
    }

    async fn new_tab(&self) -> WindowHandle {
        let tab = self.client().new_window(true).await.unwrap().handle;
        self.to(&tab).await;
        tab
    }

    async fn to(&self, tab: &WindowHandle) {
        self.client().switch_to_window(tab.clone()).await.unwrap();
    }
}
