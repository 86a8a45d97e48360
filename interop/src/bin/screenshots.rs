//! Takes the pictures of the book and the README: the demonstration and the login page, on a desk and on a phone.
//!
//! `cargo xtask screenshots` runs it, from the top of the workspace. It starts Cloakroom without a configuration,
//! as a newcomer does, and puts a few things into the basket first.

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use fantoccini::{Client, Locator};
use interop::{Chromium, Cloakroom, Screen};

const PICTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/src/images");
const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::main]
async fn main() -> ExitCode {
    match take_all().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("no pictures were taken: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn take_all() -> Result<(), Box<dyn Error>> {
    std::fs::create_dir_all(PICTURES)?;
    let cloakroom = Cloakroom::demonstration()?;
    let site = format!("http://{}", cloakroom.gateway());
    // On the phone the basket is below what fits at first.
    for (suffix, screen, part) in [("desktop", Screen::DESKTOP, "/"), ("phone", Screen::PHONE, "/#basket")] {
        let chromium = Chromium::start(screen).await?;
        let client = chromium.client();
        client.goto(&format!("{site}/.cloakroom/login?return=/whoami")).await?;
        take(client, &format!("login-{suffix}")).await?;
        client.goto(&site).await?;
        for article in ["tea", "umbrella"] {
            let add = format!("form:has(input[value={article}]):has(input[name=add]) button");
            press(client, &add).await?;
        }
        let note = client.find(Locator::Css("#note-text")).await?;
        note.send_keys("The blue coat is mine.").await?;
        press(client, "form:has(#note-text) button").await?;
        client.goto(&format!("{site}{part}")).await?;
        take(client, &format!("demonstration-{suffix}")).await?;
        chromium.close().await?;
    }
    Ok(())
}

/// Presses a button that leads to another address, and waits until the browser is there: what is looked for next
/// may be on this page too, and is gone a moment later.
async fn press(client: &Client, button: &str) -> Result<(), Box<dyn Error>> {
    let before = client.current_url().await?;
    let button = client.wait().at_most(PATIENCE).for_element(Locator::Css(button)).await?;
    button.click().await?;
    let deadline = Instant::now() + PATIENCE;
    while client.current_url().await? == before {
        if Instant::now() > deadline {
            return Err(format!("a button at {before} led nowhere").into());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

async fn take(client: &Client, name: &str) -> Result<(), Box<dyn Error>> {
    client.wait().at_most(PATIENCE).for_element(Locator::Css("main, form")).await?;
    let path = Path::new(PICTURES).join(format!("{name}.png"));
    std::fs::write(&path, client.screenshot().await?)?;
    println!("{}", path.display());
    Ok(())
}
