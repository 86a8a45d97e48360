//! `cloakroom sessions`: sessions of a running Cloakroom, over its API.
//!
//! | file | what |
//! |---|---|
//! | `server.rs` | where the API is, and what proves us |
//! | `search.rs` | which sessions are meant |
//! | `tables.rs` | what people read |

mod search;
mod server;
mod tables;

use std::io::{self, Write as _};

use ::client::{Sessions as Api, of_handles};
use clap::{Args, Subcommand};
use miette::{IntoDiagnostic as _, WrapErr as _, miette};
use serde_json::{Value, json};
use session::Handle;

use self::search::{MOST, SearchOptions};
use self::server::ServerOptions;

/// Only so much of each session is fetched for a table.
const COLUMNS: &str = "handle,realm,principal,begun,last_seen";

#[derive(Debug, Subcommand)]
pub(super) enum Sessions {
    /// List live sessions: whose they are, since when, last used
    List(Box<ListOptions>),
    /// Show a live session with its entries
    Show(OneOptions),
    /// End sessions: by their handles, of a person, of a realm
    ///
    /// Says how many were live until then, and which nodes have confirmed that they refuse them. Exits with 1 if one did not in
    /// time.
    End(EndOptions),
    /// Say what became of a session, and who ended it
    Why(OneOptions),
    /// Write live sessions as JSON, one a line, with their entries
    Export(Box<ExportOptions>),
}

#[derive(Debug, Args)]
pub(super) struct ListOptions {
    #[command(flatten)]
    server: ServerOptions,
    #[command(flatten)]
    search: SearchOptions,
    /// At most so many; 0 for all
    #[arg(long, value_name = "NUMBER", default_value_t = 100)]
    limit: usize,
    /// Say it as JSON, one session a line
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct OneOptions {
    #[command(flatten)]
    server: ServerOptions,
    /// The session
    #[arg(value_name = "HANDLE")]
    handle: Handle,
    /// Say it as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct EndOptions {
    #[command(flatten)]
    server: ServerOptions,
    /// These sessions
    #[arg(value_name = "HANDLE", required_unless_present_any = ["person", "realm"], conflicts_with_all = ["person", "realm"])]
    handles: Vec<Handle>,
    /// All sessions of this person
    #[arg(long, value_name = "NAME", requires = "issuer", conflicts_with = "realm")]
    person: Option<String>,
    /// Who calls the person so
    #[arg(long, value_name = "ISSUER", requires = "person")]
    issuer: Option<String>,
    /// All sessions of this realm
    #[arg(long, value_name = "REALM")]
    realm: Option<String>,
    /// Say it as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct ExportOptions {
    #[command(flatten)]
    server: ServerOptions,
    #[command(flatten)]
    search: SearchOptions,
}

impl Sessions {
    pub(super) fn execute(self) -> miette::Result<()> {
        crate::run::set_up_tls()?;
        let runtime =
            tokio::runtime::Runtime::new().into_diagnostic().wrap_err("the runtime does not start")?;
        runtime.block_on(async {
            match self {
                Self::List(options) => list(&options).await,
                Self::Show(options) => show(&options).await,
                Self::End(options) => end(&options).await,
                Self::Why(options) => why(&options).await,
                Self::Export(options) => export(&options).await,
            }
        })
    }
}

async fn list(options: &ListOptions) -> miette::Result<()> {
    let api = options.server.api()?;
    let limit = if options.limit == 0 { usize::MAX } else { options.limit };
    let search = options.search.as_json()?;
    if options.json {
        return each(&api, search, limit, |session| say(&session.to_string())).await.map(drop);
    }
    say(tables::HEADER)?;
    let listed =
        each(&api, with(search, "fields", COLUMNS.into()), limit, |session| say(&tables::row(session)));
    if !listed.await? {
        eprintln!("There may be more: say `--limit`, or `--limit 0` for all.");
    }
    Ok(())
}

async fn show(options: &OneOptions) -> miette::Result<()> {
    let session = options.server.api()?.show(&options.handle).await.into_diagnostic()?;
    if options.json { say(&pretty(&session)?) } else { say(tables::session(&session).trim_end()) }
}

async fn why(options: &OneOptions) -> miette::Result<()> {
    let became = options.server.api()?.why(&options.handle).await.into_diagnostic()?;
    if options.json { say(&pretty(&became)?) } else { say(&tables::became(&became)) }
}

async fn end(options: &EndOptions) -> miette::Result<()> {
    let selector = match (&options.person, &options.realm) {
        (Some(name), _) => json!({ "person": { "issuer": options.issuer, "name": name } }),
        (None, Some(realm)) => json!({ "realm": realm }),
        (None, None) => of_handles(&options.handles),
    };
    let receipt = options.server.api()?.end(&selector).await.into_diagnostic()?;
    let text = if options.json { pretty(&receipt)? } else { tables::receipt(&receipt) };
    say(&text)?;
    if receipt.get("is_whole") == Some(&Value::Bool(true)) {
        return Ok(());
    }
    Err(miette!(
        help = "the end holds here; what is silent refuses the sessions within `trust_window`, or is not running",
        "not every node has confirmed the end in time"
    ))
}

async fn export(options: &ExportOptions) -> miette::Result<()> {
    let api = options.server.api()?;
    each(&api, options.search.as_json()?, usize::MAX, |session| say(&session.to_string())).await.map(drop)
}

/// Does something with each session that a search finds, page by page, until there were `limit`. Whether that was all.
async fn each(
    api: &Api,
    search: Value,
    limit: usize,
    mut see: impl FnMut(&Value) -> miette::Result<()>,
) -> miette::Result<bool> {
    let (mut left, mut cursor) = (limit, Value::Null);
    while left > 0 {
        let page = with(search.clone(), "limit", left.min(MOST).into());
        let page = api.find(&with(page, "cursor", cursor)).await.into_diagnostic()?;
        for session in &page.sessions {
            see(session)?;
        }
        left = left.saturating_sub(page.sessions.len());
        match page.next {
            Some(next) => cursor = next.into(),
            None => return Ok(true),
        }
    }
    Ok(false)
}

fn with(mut search: Value, name: &str, value: Value) -> Value {
    if let Value::Object(members) = &mut search {
        members.insert(name.to_owned(), value);
    }
    search
}

/// Prints a line. Whoever reads only the first of them (`head`) breaks off no page with a panic.
fn say(line: &str) -> miette::Result<()> {
    writeln!(io::stdout(), "{line}").into_diagnostic().wrap_err("nobody reads what is printed")
}

fn pretty(value: &Value) -> miette::Result<String> {
    serde_json::to_string_pretty(value).into_diagnostic()
}
