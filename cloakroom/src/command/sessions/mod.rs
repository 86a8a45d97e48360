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

use ::client::{ApiError, Sessions as Api, of_handles};
use clap::{Args, Subcommand};
use http::StatusCode;
use miette::{IntoDiagnostic as _, WrapErr as _, miette};
use serde_json::{Value, json};
use session::{Handle, Ticket};

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
    handle: String,
    /// Say it as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
#[group(id = "whose", required = true, multiple = false, args = ["handles", "person", "realm"])]
pub(super) struct EndOptions {
    #[command(flatten)]
    server: ServerOptions,
    /// These sessions
    #[arg(value_name = "HANDLE")]
    handles: Vec<String>,
    /// All sessions of this person
    #[arg(long, value_name = "NAME", requires = "issuer")]
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
    /// Say it as JSON: it does in any case
    #[arg(long = "json")]
    _json: bool,
}

/// Whoever read what is printed has seen enough, as `head` has.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[error("nobody reads what is printed any more")]
struct SeenEnough;

impl Sessions {
    pub(super) fn execute(self) -> miette::Result<()> {
        crate::run::set_up_tls()?;
        let runtime =
            tokio::runtime::Runtime::new().into_diagnostic().wrap_err("the runtime does not start")?;
        let done = runtime.block_on(async {
            match self {
                Self::List(options) => list(&options).await,
                Self::Show(options) => show(&options).await,
                Self::End(options) => end(&options).await,
                Self::Why(options) => why(&options).await,
                Self::Export(options) => export(&options).await,
            }
        });
        done.or_else(|error| if error.is::<SeenEnough>() { Ok(()) } else { Err(error) })
    }
}

async fn list(options: &ListOptions) -> miette::Result<()> {
    let api = options.server.api()?;
    let limit = if options.limit == 0 { usize::MAX } else { options.limit };
    let search = options.search.as_json()?;
    if options.json {
        return each(&api, search, limit, |session| say(&session.to_string())).await.map(drop);
    }
    // Above the first row, and not above an error.
    let mut header = Some(tables::HEADER);
    let is_all = each(&api, with(search, "fields", COLUMNS.into()), limit, |session| {
        header.take().map_or(Ok(()), say)?;
        say(&tables::row(session))
    });
    let is_all = is_all.await?;
    header.map_or(Ok(()), say)?;
    if !is_all {
        eprintln!("There may be more: say `--limit`, or `--limit 0` for all.");
    }
    Ok(())
}

async fn show(options: &OneOptions) -> miette::Result<()> {
    let handle = named(&options.handle)?;
    let session = options.server.api()?.show(&handle).await.map_err(explained)?;
    if options.json { say(&pretty(&session)?) } else { say(tables::session(&session).trim_end()) }
}

async fn why(options: &OneOptions) -> miette::Result<()> {
    let handle = named(&options.handle)?;
    let became = options.server.api()?.why(&handle).await.map_err(explained)?;
    if options.json { say(&pretty(&became)?) } else { say(&tables::became(&became)) }
}

async fn end(options: &EndOptions) -> miette::Result<()> {
    let selector = match (&options.person, &options.realm) {
        (Some(name), _) => json!({ "person": { "issuer": options.issuer, "name": name } }),
        (None, Some(realm)) => json!({ "realm": realm }),
        (None, None) => {
            let handles: miette::Result<Vec<_>> =
                options.handles.iter().map(|handle| named(handle)).collect();
            of_handles(&handles?)
        }
    };
    let receipt = options.server.api()?.end(&selector).await.map_err(explained)?;
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
        let page = api.find(&with(page, "cursor", cursor)).await.map_err(explained)?;
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

/// The session that is named so. What was said instead is not repeated: it may be a secret.
fn named(said: &str) -> miette::Result<Handle> {
    let help = if said.parse::<Ticket>().is_ok() {
        "this is a ticket, which is a secret; the handle is what stands before its dot"
    } else {
        "a handle has 32 hexadecimal digits in lower case; `cloakroom sessions list` shows them"
    };
    said.parse().map_err(|_| miette!(help = help, "no session is called so"))
}

/// What to do about it, where the server does not say that.
fn explained(error: ApiError) -> miette::Report {
    let help = match &error {
        ApiError::Unreachable(_) => "is Cloakroom running, and is this its session server (`listen.server`)?",
        ApiError::Refused { status: StatusCode::UNAUTHORIZED, .. } => {
            "say `--token-file FILE` with the token of a `[[client]]`, or `--config FILE` of a server that has one with `bearer_file`"
        }
        _ => return miette!("{error}"),
    };
    miette!(help = help, "{error}")
}

/// Prints a line.
fn say(line: &str) -> miette::Result<()> {
    match writeln!(io::stdout(), "{line}") {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(SeenEnough.into()),
        said => said.into_diagnostic().wrap_err("what is found cannot be printed"),
    }
}

fn pretty(value: &Value) -> miette::Result<String> {
    serde_json::to_string_pretty(value).into_diagnostic()
}
