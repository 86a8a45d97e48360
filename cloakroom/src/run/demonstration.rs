//! What runs without a configuration: a small shop of our own behind the gateway, on loopback.

use std::fs;
use std::path::Path;

use miette::{IntoDiagnostic, WrapErr};
use tokio::net::TcpListener;

use super::Plan;
use super::sockets::Sockets;
use super::stop::Stop;
use crate::configuration::Configuration;

/// How costly the hash of the password is that only this process knows.
const BCRYPT_COST: u32 = 8;

/// Who can log in.
const USER: &str = "ada";

/// Letters that nobody confuses when typing them.
const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// The demonstration is configured like everything else; only its ports and files are not known before.
const CONFIGURATION: &str = r#"
[[storage]]
id = "local"
engine = "embedded"

[cache]
storage = "local"

[[application]]
id = "demonstration"
hosts = ["127.0.0.1", "localhost"]
path = "/"
upstream = "http://127.0.0.1:{port}"
carrier = "ticket"
idle_timeout = "30m"
lifetime = "8h"

[application.cookie]
name = "session"
secure = false

[application.handoff]
exclude = ["/static", "/healthz"]

[application.login]
file = "demonstration.htpasswd"
require = ["/account"]
"#;

pub(super) async fn start(stop: Stop, sockets: Sockets) -> miette::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.into_diagnostic()?;
    let port = listener.local_addr().into_diagnostic()?.port();
    let data_dir = Configuration::default().data_dir;
    let password = password()?;
    fs::create_dir_all(&data_dir).into_diagnostic().wrap_err_with(|| {
        format!("{} cannot be made; start in a folder that can be written", data_dir.display())
    })?;
    let hash = bcrypt::hash(&password, BCRYPT_COST).into_diagnostic()?;
    write_for_owner(&data_dir.join("demonstration.htpasswd"), &format!("{USER}:{hash}\n"))?;

    let text = CONFIGURATION.replace("{port}", &port.to_string());
    let folder = std::path::absolute(&data_dir).into_diagnostic()?;
    let loaded = Configuration::parse("the demonstration", &text, &folder)?;
    let drained = Stop::new();
    let demonstration = tokio::spawn(demo::serve(listener, drained.clone().wait()));
    tell(&loaded.configuration, &password);
    let ran =
        super::start(Plan { loaded, file: None, level: None, audit: None, takes_over: false }, stop, sockets)
            .await;
    drained.now();
    demonstration.await.into_diagnostic()?.into_diagnostic()?;
    ran
}

fn tell(configuration: &Configuration, password: &str) {
    let (gateway, server) = (configuration.listen.gateway, configuration.listen.server);
    println!(
        "\
Cloakroom {version}: the demonstration

  open      http://{gateway}/            a small shop; basket and note live in your session
  log in    {USER} / {password}                     at http://{gateway}/account
  look      http://{server}/health       and /metrics: the session server
  data      {data}               sessions are there after a restart
  stop      Ctrl-C

Next: `cloakroom config example > cloakroom.toml`, then `cloakroom run --config cloakroom.toml`
",
        version = env!("CARGO_PKG_VERSION"),
        data = configuration.data_dir.display(),
    );
}

/// Four letters, three times: about 60 bits.
fn password() -> miette::Result<String> {
    let mut random = [0; 12];
    getrandom::fill(&mut random).into_diagnostic().wrap_err("the system's random generator failed")?;
    let letters: Vec<char> = random
        .iter()
        .filter_map(|byte| LETTERS.get(usize::from(byte % 32)))
        .map(|letter| char::from(*letter))
        .collect();
    Ok(letters.chunks(4).map(String::from_iter).collect::<Vec<_>>().join("-"))
}

fn write_for_owner(file: &Path, text: &str) -> miette::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;

    fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(file)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .into_diagnostic()
        .wrap_err_with(|| format!("{} cannot be written", file.display()))
}
