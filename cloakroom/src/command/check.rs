//! `cloakroom check`: what is wrong in a configuration, or what would run.

use std::fmt::Write;

use clap::Args;
use server::Right;
use session::{Clock as _, SystemClock};
use storage::Plain;

use super::ConfigOption;
use super::explain::{Asked, explain};
use crate::configuration::{Application, Carrier, Configuration, Engine, KeyRotation, shown_duration};
use crate::key_files;
use crate::rotation::{Event, Rotation};
use crate::run::credentials;

/// What is to be said.
#[derive(Debug, Args)]
pub(super) struct CheckOptions {
    #[command(flatten)]
    configuration: ConfigOption,
    /// Say what would become of a request for this URL, and which line decides
    #[arg(long, value_name = "URL")]
    explain: Option<String>,
    /// The method of that request
    #[arg(long, value_name = "METHOD", default_value = "GET", requires = "explain")]
    method: String,
    /// Say it as JSON
    #[arg(long, requires = "explain")]
    json: bool,
}

pub(super) fn check(options: &CheckOptions) -> miette::Result<()> {
    let option = &options.configuration;
    let loaded = option.load()?;
    if let Some(url) = &options.explain {
        let file = option.config.display().to_string();
        let asked = Asked { file, loaded: &loaded, url, method: &options.method };
        return explain(&asked, options.json);
    }
    match Rotation::configured(&loaded.configuration)? {
        Some(mut rotation) if rotation.folder().path().exists() => {
            let looked = rotation.look(SystemClock::default().now())?;
            if let Some(Event::Unreadable(why)) = looked.first() {
                return Err(miette::miette!(
                    help = "whoever runs Cloakroom must be able to read every key in the folder",
                    "{why}"
                ));
            }
        }
        None if !loaded.configuration.keys.is_empty() => {
            key_files::ring(&loaded.configuration.keys)?;
        }
        _ => {}
    }
    credentials(&loaded.configuration)?;
    let warnings = loaded.warnings.len();
    for warning in loaded.warnings {
        eprintln!("{:?}", miette::Report::new(warning));
    }
    let verdict = match warnings {
        0 => "is right".to_owned(),
        1 => "is right, with a warning".to_owned(),
        count => format!("is right, with {count} warnings"),
    };
    println!("{} {verdict}. It would run:\n{}", option.config.display(), summary(&loaded.configuration));
    Ok(())
}

/// What would run, a line each.
fn summary(configuration: &Configuration) -> String {
    let mut lines = String::new();
    let listen = &configuration.listen;
    // Writing to a String does not fail.
    if configuration.applications.is_empty() {
        lines.push_str("  gateway         none, as there is no [[application]]\n");
    } else {
        let _ = writeln!(
            lines,
            "  gateway         {}://{}",
            if listen.tls.is_some() { "https" } else { "http" },
            listen.gateway
        );
    }
    for application in &configuration.applications {
        let _ = writeln!(lines, "    {:<13} {}", application.id, describe(application));
    }
    let scheme = if listen.server_tls.is_some() { "https" } else { "http" };
    let _ = writeln!(lines, "  session server  {scheme}://{}", listen.server);
    if let Some(path) = &listen.server_socket {
        let _ = writeln!(lines, "                  unix:{}", path.display());
    }
    for client in &configuration.clients {
        let _ = writeln!(lines, "    {:<13} {}", client.id, rights(&client.may));
    }
    for storage in &configuration.storage {
        let engine = match &storage.engine {
            Engine::Memory { .. } => "in this process's memory, lost when it ends".to_owned(),
            Engine::Embedded => "embedded, in the data directory".to_owned(),
            Engine::Sql(settings) => format!("in {}", settings.address),
            Engine::Redis(redis) => format!("in {}", redis.url),
            Engine::Remote(remote) => {
                format!("the storage {} of the Cloakroom at {}", remote.service, remote.url)
            }
        };
        let sealed = match storage.seal {
            Some(Plain::Refused) => ", sealed",
            Some(Plain::DangerAccepted) => ", sealed; plain values are accepted",
            None => "",
        };
        let used = if storage.id == configuration.cache.storage {
            ""
        } else if storage.id == configuration.cache.storage_lite {
            "; logout data"
        } else {
            "; nothing uses it"
        };
        let _ = writeln!(lines, "  storage         {}: {engine}{sealed}{used}", storage.id);
    }
    if let Some(KeyRotation { folder, schedule }) = &configuration.key_rotation {
        let _ = writeln!(
            lines,
            "  keys            a new one every {} in {}, announced for {}, kept for {}",
            shown_duration(schedule.every),
            folder.display(),
            shown_duration(schedule.announce),
            if schedule.keep.is_zero() { "ever".to_owned() } else { shown_duration(schedule.keep) },
        );
    } else if configuration.keys.is_empty() {
        lines.push_str("  key             made in the data directory at the first start\n");
    }
    for key in &configuration.keys {
        let _ = writeln!(lines, "  key             {}: {}", key.id, key.state);
    }
    let _ = write!(lines, "  data            {}", configuration.data_dir.display());
    lines
}

fn describe(application: &Application) -> String {
    let hosts =
        if application.hosts.is_empty() { "any host".to_owned() } else { application.hosts.join(", ") };
    let tls = if application.upstream.has_tls() { " over TLS" } else { "" };
    let way = format!("{} on {hosts} -> {}{tls}", application.path, application.upstream);
    match application.carrier {
        Carrier::None => format!("{way}, without sessions"),
        carrier @ (Carrier::Ticket | Carrier::Sealed) => {
            let login = if application.login.is_some() { ", with login" } else { "" };
            let cookie = &application.cookie.name;
            let what = if carrier == Carrier::Sealed { "sealed session" } else { "ticket" };
            format!("{way}, {what} in the cookie `{cookie}`{}{login}", limits(application))
        }
    }
}

fn rights(may: &[Right]) -> String {
    let may = may.iter().map(|right| match right {
        Right::Storage => "use its storage",
        Right::Sessions => "look at sessions",
        Right::AdminSessions => "open, change and end sessions",
        Right::Secrets => "fetch assertions",
    });
    format!("may {}", may.collect::<Vec<_>>().join("; "))
}

fn limits(application: &Application) -> String {
    let mut limits = String::new();
    if !application.idle_timeout.is_zero() {
        let _ = write!(limits, ", over after {} unused", shown_duration(application.idle_timeout));
    }
    if !application.lifetime.is_zero() {
        let _ = write!(limits, ", or {} in all", shown_duration(application.lifetime));
    }
    limits
}
