//! A headless Chromium, driven through Debian's chromedriver.
//!
//! The driver starts the browser and speaks WebDriver; [`fantoccini`] speaks it from here. The browser has a
//! profile of its own and talks to nobody but the pages that a test opens.

use fantoccini::{Client, ClientBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use std::process::Command;

use tempfile::TempDir;

use crate::error::{Error, Result};
use crate::port::Port;
use crate::process::{Process, find};
use crate::scratch;

const FLAGS: [&str; 11] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    // In a container it is small, and a large upload passes through it.
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    // Names that nobody can have (RFC 6761), for sites of a test over TLS.
    "--host-resolver-rules=MAP *.test 127.0.0.1",
];

/// What the pages are shown on.
#[derive(Clone, Copy, Debug)]
pub struct Screen {
    /// Its width in the pixels of a style sheet.
    pub width: u32,
    /// Its height in the same.
    pub height: u32,
    /// How many pixels of a picture each of them has across.
    pub density: u32,
    /// Held in the hand and touched.
    pub phone: bool,
}

impl Screen {
    /// A window on a desk.
    pub const DESKTOP: Self = Self { width: 1280, height: 1000, density: 1, phone: false };
    /// A common phone.
    pub const PHONE: Self = Self { width: 390, height: 844, density: 2, phone: true };
}

/// What browsers do in one way or the other. The default is what Debian's Chromium does when nobody says anything.
#[derive(Clone, Copy, Debug)]
pub struct Habits {
    /// While another site embeds a site, it gets and keeps its partitioned cookies only; else also others that are
    /// `SameSite=None`, as all browsers did for long.
    pub partitions: bool,
    /// Pages are kept in memory for Back and Forward, as they were left.
    pub keeps_pages: bool,
}

impl Default for Habits {
    fn default() -> Self {
        Self { partitions: true, keeps_pages: true }
    }
}

/// A running browser. [`close`](Self::close) it; when a test fails before that, dropping it ends the driver and
/// the browser with it.
#[derive(Debug)]
pub struct Chromium {
    client: Client,
    driver: Process,
    port: Port,
    /// What the driver is asked for: the browser, with its profile.
    capabilities: Value,
    _directory: TempDir,
}

impl Chromium {
    /// Starts driver and browser with such a screen.
    pub async fn start(screen: Screen) -> Result<Self> {
        Self::start_with(screen, Habits::default()).await
    }

    /// The same, with other habits.
    pub async fn start_with(screen: Screen, habits: Habits) -> Result<Self> {
        let driver = find("chromedriver", "chromium-driver")?;
        let browser = find("chromium", "chromium")?;
        let port = Port::claim()?;
        let directory = scratch::directory()?;
        let place = directory.path();
        let mut command = Command::new(driver);
        command.arg(format!("--port={}", port.number()));
        // What Chromium keeps beside its profile lands here as well.
        command.env("HOME", place).env("TMPDIR", place);
        let mut driver = Process::spawn(command, place.join("log"))?;
        driver.wait_for(port.address())?;

        let mut flags: Vec<String> = FLAGS.iter().map(ToString::to_string).collect();
        flags.push(format!("--user-data-dir={}", place.join("profile").display()));
        flags.push(format!("--window-size={},{}", screen.width, screen.height));
        if !habits.keeps_pages {
            flags.push("--disable-back-forward-cache".to_owned());
        }
        let capabilities = json!({
            "browserName": "chrome",
            // Those of the tests are signed by nobody.
            "acceptInsecureCerts": true,
            "goog:chromeOptions": {
                "binary": browser,
                "args": flags,
                "prefs": {
                    "profile": { "cookie_controls_mode": u8::from(habits.partitions) },
                    // As whoever goes on where they left off.
                    "session": { "restore_on_startup": 1 },
                },
                // A window has a frame, which takes from its size; a screen has not.
                "mobileEmulation": { "deviceMetrics": {
                    "width": screen.width,
                    "height": screen.height,
                    "pixelRatio": screen.density,
                    "mobile": screen.phone,
                    "touch": screen.phone,
                } },
            },
        });
        let client = connect(&capabilities, &port, &driver).await?;
        Ok(Self { client, driver, port, capabilities, _directory: directory })
    }

    /// Closes the browser and starts it again, with the same profile. It opens the tabs that it had.
    pub async fn restart(&mut self) -> Result<()> {
        let closed = self.client.clone().close().await;
        closed.map_err(|error| Error::Browser(error.to_string()))?;
        self.client = connect(&self.capabilities, &self.port, &self.driver).await?;
        Ok(())
    }

    /// What drives the browser.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Ends the browser, then the driver.
    pub async fn close(self) -> Result<()> {
        self.client.clone().close().await.map_err(|error| Error::Browser(error.to_string()))
    }
}

async fn connect(capabilities: &Value, port: &Port, driver: &Process) -> Result<Client> {
    ClientBuilder::new(HttpConnector::new())
        .capabilities(capabilities.as_object().cloned().unwrap_or_default())
        .connect(&format!("http://{}", port.address()))
        .await
        .map_err(|error| Error::Browser(format!("{error}\n{}", driver.log())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Answer, Capture, available};

    #[tokio::test(flavor = "multi_thread")]
    async fn chromium_shows_a_page() {
        let page = "<title>A page</title><h1>here</h1>";
        let upstream =
            Capture::answering(move |_| Answer::with("Content-Type: text/html\r\n", page)).unwrap();
        let Some(chromium) = available(Chromium::start(Screen::DESKTOP).await).unwrap() else {
            return;
        };
        chromium.client().goto(&upstream.url()).await.unwrap();
        assert_eq!(chromium.client().title().await.unwrap(), "A page");
        let width = chromium.client().execute("return window.innerWidth", Vec::new()).await.unwrap();
        assert_eq!(width, Screen::DESKTOP.width);
        chromium.close().await.unwrap();
    }
}
