//! Ends: of one session by its handle, and of all that a selector selects, with a receipt.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Extension, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use cache::{Count, EndedWhere, Node, Receipt, Tally};
use serde::{Deserialize, Serialize};
use session::{Handle, Late, Millis, Principal, Selector, Whose, Why};

use super::Api;
use super::object::Object;
use super::problem::Problem;
use super::sessions::{Person, named};
use super::whole::Whole;
use crate::audit::{self, Upon};
use crate::clients::{Caller, Client, Names, Right};
use crate::in_path::InPath;
use crate::llng::has_kinds;

/// The most handles, and the most session indexes, of one request.
const MAX_NAMED: usize = 1_000;

/// What is to end: exactly one of the first five.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    handles: Option<Vec<String>>,
    person: Option<Object<Person>>,
    /// With `indexes`: whoever they belong to.
    issuer: Option<Box<str>>,
    realm: Option<Box<str>>,
    everybody: Option<bool>,
    /// Of `person` or `issuer`: only sessions with one of these session indexes.
    indexes: Option<Vec<Box<str>>>,
    /// Only what began before this moment, in milliseconds since 1970.
    begun_before: Option<Whole>,
    /// For how long it holds for those that come late.
    late: Option<Object<Lateness>>,
    #[serde(default)]
    why: Reason,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Lateness {
    issued: Whole,
    until: Whole,
}

/// Why somebody else ends sessions.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Reason {
    /// An operator or an event.
    #[default]
    Revoked,
    /// The person has logged out elsewhere.
    Logout,
}

/// What became of it.
#[derive(Serialize)]
struct Told {
    /// How many sessions were live until then; `null` if nobody counted them.
    sessions: Option<u64>,
    /// Whether there may have been more: those that their visitors carry, or more than were looked at.
    or_more: bool,
    /// Those that are known by name, at most a thousand.
    handles: Vec<String>,
    /// The nodes that said that they refuse them.
    confirmed: Vec<String>,
    /// The nodes that did not say so in time.
    silent: Vec<String>,
    /// Whether every node there is has confirmed.
    is_whole: bool,
}

/// `DELETE /v1/sessions/{handle}`: that it is over already, or never was, is success.
pub(super) async fn end_one(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    InPath(handle): InPath<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let client = api.admit(&caller, &headers, Right::AdminSessions)?;
    let handle = named(&handle)?;
    api.check_exists(client, &handle).await?;
    let selector = Selector::all(Whose::Handles(vec![handle]));
    let ended = api.cache.end_where(selector, api.ending(client, &caller, Why::Revoked)).await?;
    audit::done(client, &caller, "a session was ended by the API", Upon::one(handle));
    Ok(api.told(ended).await)
}

/// `POST /v1/end`
pub(super) async fn end(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let client = api.admit(&caller, &headers, Right::AdminSessions)?;
    let (wanted, _room) = api.request::<Wanted>(&headers, body).await?;
    let why = match wanted.why {
        Reason::Revoked => Why::Revoked,
        Reason::Logout => Why::Logout,
    };
    let selector = wanted.selector()?;
    api.check_reach(client, &selector).await?;
    let what = match &selector.whose {
        Whose::Handles(_) => "sessions",
        Whose::Person { .. } => "those of a person",
        Whose::Issued { .. } => "those of session indexes",
        Whose::Realm(_) => "those of a realm",
        Whose::Everybody => "all",
    };
    let ended = api.cache.end_where(selector, api.ending(client, &caller, why)).await?;
    let (sessions, handles) = (&ended.end.sessions, &*ended.handles);
    let upon = Upon { handles, of: Some(what), sessions: Some(sessions), ..Upon::default() };
    audit::done(client, &caller, "sessions were ended by the API", upon);
    Ok(api.told(ended).await)
}

impl Api {
    /// Whether a client may end these, for whom only some realms or kinds exist.
    async fn check_reach(&self, client: &Client, selector: &Selector) -> Result<(), Problem> {
        match &selector.whose {
            _ if client.knows_all() => Ok(()),
            Whose::Handles(handles) => {
                for handle in handles {
                    self.check_exists(client, handle).await?;
                }
                Ok(())
            }
            Whose::Realm(realm)
                if client.realms.has(realm) && (client.kinds == Names::All || !has_kinds(realm)) =>
            {
                Ok(())
            }
            Whose::Person { .. } | Whose::Issued { .. } | Whose::Realm(_) | Whose::Everybody => {
                Err(client.not_there())
            }
        }
    }

    async fn told(&self, ended: EndedWhere) -> Response {
        let EndedWhere { handles, end } = ended;
        let receipt = self.cache.receipt(end).await;
        Json(Told::of(&handles, &receipt)).into_response()
    }
}

impl Told {
    fn of(handles: &[Handle], receipt: &Receipt) -> Self {
        let (sessions, or_more) = match receipt.sessions {
            Tally::Exactly(count) => (Some(count), false),
            Tally::OnServer(Count { sessions, .. }) => (Some(sessions as u64), true),
            Tally::Unknown => (None, true),
        };
        let names = |nodes: &[Node]| nodes.iter().map(ToString::to_string).collect();
        Self {
            sessions,
            or_more,
            handles: handles.iter().map(ToString::to_string).collect(),
            confirmed: names(&receipt.confirmed),
            silent: names(&receipt.silent),
            is_whole: receipt.is_whole(),
        }
    }
}

impl Wanted {
    fn selector(self) -> Result<Selector, Problem> {
        let unfit = |why: &str| Err(Problem::Unfit(why.to_owned()));
        let Self { handles, person, issuer, realm, everybody, indexes, begun_before, late, why: _ } = self;
        if indexes.as_ref().is_some_and(|indexes| indexes.len() > MAX_NAMED)
            || handles.as_ref().is_some_and(|handles| handles.len() > MAX_NAMED)
        {
            return Err(Problem::Unfit(format!("at most {MAX_NAMED} are ended by name at once")));
        }
        let whose = match (handles, person, issuer, realm, everybody, indexes) {
            (Some(handles), None, None, None, None, None) => {
                let handles: Result<_, _> = handles.iter().map(|handle| handle.parse()).collect();
                match handles {
                    Ok(handles) => Whose::Handles(handles),
                    Err(_) => return unfit("a handle has 32 lower-case hexadecimal digits"),
                }
            }
            (None, Some(Object(person)), None, None, None, indexes) => match indexes {
                // None given is nobody's wish to end all.
                Some(indexes) if indexes.is_empty() => {
                    return unfit("`indexes` is empty: leave it out to end all of the person");
                }
                indexes => {
                    Whose::Person { principal: Principal::from(person), indexes: indexes.unwrap_or_default() }
                }
            },
            (None, None, Some(issuer), None, None, Some(indexes)) => Whose::Issued { issuer, indexes },
            (None, None, None, Some(realm), None, None) => Whose::Realm(realm),
            (None, None, None, None, Some(true), None) => Whose::Everybody,
            _ => {
                return unfit(
                    "say exactly one of `handles`, `person` (with `indexes` or without), `issuer` with `indexes`, `realm`, \
                     `everybody: true`",
                );
            }
        };
        let late = late.map(|Object(Lateness { issued, until })| Late {
            issued: Millis(issued.0),
            until: Millis(until.0),
        });
        Ok(Selector { whose, begun_before: begun_before.map(|Whole(moment)| Millis(moment)), late })
    }
}
