//! A headless Chromium, driven through Debian's chromedriver.
//!
//! The driver starts the browser and speaks WebDriver; [`fantoccini`] speaks it from here. The browser has a
//! profile of its own and talks to nobody but the pages that a test opens.

use fantoccini::{Client, ClientBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::json;
use std::process::Command;

use tempfile::TempDir;

use crate::error::{Error, Result};
use crate::port::Port;
use crate::process::{Process, find};
use crate::scratch;

const FLAGS: [&str; 8] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
];

/// A running browser. [`close`](Self::close) it; when a test fails before that, dropping it ends the driver and
/// the browser with it.
#[derive(Debug)]
pub struct Chromium {
    client: Client,
    /// Held until the end: dropping it stops the driver.
    _driver: Process,
    _port: Port,
    _directory: TempDir,
}

impl Chromium {
    /// Starts driver and browser with a window of that many pixels.
    pub async fn start(width: u32, height: u32) -> Result<Self> {
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
        flags.push(format!("--window-size={width},{height}"));
        let capabilities = json!({
            "browserName": "chrome",
            "goog:chromeOptions": { "binary": browser, "args": flags },
        });
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities.as_object().cloned().unwrap_or_default())
            .connect(&format!("http://{}", port.address()))
            .await
            .map_err(|error| Error::Browser(format!("{error}\n{}", driver.log())))?;
        Ok(Self { client, _driver: driver, _port: port, _directory: directory })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Answer, Capture, available};

    #[tokio::test(flavor = "multi_thread")]
    async fn chromium_shows_a_page() {
        let page = "<title>A page</title><h1>here</h1>";
        let upstream =
            Capture::answering(move |_| Answer::with("Content-Type: text/html\r\n", page)).unwrap();
        let Some(chromium) = available(Chromium::start(800, 600).await).unwrap() else {
            return;
        };
        chromium.client().goto(&upstream.url()).await.unwrap();
        assert_eq!(chromium.client().title().await.unwrap(), "A page");
        chromium.close().await.unwrap();
    }
}
