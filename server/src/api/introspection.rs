//! What a presented ticket is worth, for gateways of others: as RFC 7662 says it of a token.
//!
//! The ticket is in the body. Whatever opens nothing is `{"active": false}` and no more, so that nobody learns from here which
//! tickets there were. An outage is 503: who takes that for "inactive" logs everybody out.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Extension, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use cache::{Absence, Application, Credential, Find, Fit, Found, Openings, Purpose, Tie};
use serde::Deserialize;
use serde_json::{Map, Value as JsonValue, json};
use session::{Ending, Origin, Session, Ticket, Why};
use url::form_urlencoded;

use super::problem::Problem;
use super::{Api, is_form};
use crate::clients::{Caller, Client, Right};

/// Of an address nobody says whether it is right for a session but an application.
const NO_JUDGE: &str = "say `application` with `address`: its rules judge from where its sessions are used";

/// What is asked.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    /// What the visitor presents. RFC 7662 calls it `token`.
    #[serde(alias = "ticket")]
    token: String,
    /// The application by whose time-outs it is judged; without it, the session is active if it is for one of its realm.
    application: Option<String>,
    /// Where the visitor is, by whom the ticket was presented: the application's rules judge that, as if it had come there.
    address: Option<IpAddr>,
    /// Whether the session is used by this, and not idle then.
    #[serde(default)]
    activity: bool,
}

/// `POST /v1/introspect`
pub(super) async fn introspect(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let client = api.admit(&caller, &headers, Right::Sessions)?;
    let (asked, _room) = if is_form(&headers) {
        let (body, room) = api.body(&headers, body).await?;
        (Asked::in_form(&body).map_err(|why| Problem::Malformed(why.to_owned()))?, room)
    } else {
        api.request::<Asked>(&headers, body).await?
    };
    let inactive = || Ok(Json(json!({ "active": false })).into_response());
    let application = asked.application.as_deref().map(|id| (api.applications.0)(id));
    let application = match application {
        Some(None) => return Err(Problem::Unfit("no application has this id".to_owned())),
        Some(known) => known,
        None if asked.address.is_some() => return Err(Problem::Unfit(NO_JUDGE.to_owned())),
        None => None,
    };
    let Ok(ticket) = asked.token.parse::<Ticket>() else { return inactive() };
    let judges = match &application {
        Some(application) => vec![application.judge.clone()],
        None => match api.cache.show(&ticket.handle).await? {
            Some(shown) => api.cache.judges(&shown.session.realm),
            None => return inactive(),
        },
    };
    let purpose = if asked.activity { Purpose::USE } else { Purpose::POLL };
    let Some(found) = found(&api, purpose, &ticket, &judges).await? else { return inactive() };
    if !client.knows(&found.session) {
        return inactive();
    }
    let found = match application.zip(asked.address) {
        Some((application, address)) => {
            from_there(&api, client, &application, ticket, found, address).await?
        }
        None => Some(found),
    };
    let Some(found) = found else { return inactive() };
    Ok(Json(active(&found, api.entries_of(client, &found.session))).into_response())
}

/// The session, if it may be used from an address. It is tied to that as by a visit, and ended where a visit from another one ends it.
async fn from_there(
    api: &Api,
    client: &Client,
    application: &Openings,
    ticket: Ticket,
    found: Found,
    address: IpAddr,
) -> Result<Option<Found>, Problem> {
    let (rule, judge) = (&application.addresses.rule, &application.judge);
    let before = Arc::clone(&found.session);
    let is_elsewhere = match rule.judge(&before.addresses, address) {
        Origin::Known => return Ok(Some(found)),
        Origin::Other => true,
        Origin::New => {
            let credential = Credential::Ticket(ticket);
            match api.cache.tie(&credential, found, address, rule, judge, |_| Fit::Fits).await? {
                Tie::Tied(found) => return Ok(Some(found)),
                Tie::Elsewhere => true,
                Tie::Gone(_) => false,
            }
        }
    };
    if is_elsewhere && application.addresses.ends_elsewhere {
        let ending = Ending::new(api.cache.now(), Why::Address, &client.id);
        let ending = Ending { from: Some(address.to_canonical()), ..ending };
        api.cache.end(&before, ending, judge).await?;
    }
    Ok(None)
}

impl Asked {
    /// The parameters of RFC 7662, 2.1, and ours. Others are ignored, as it wants it.
    ///
    /// # Errors
    /// What is wrong with them.
    fn in_form(body: &[u8]) -> Result<Self, &'static str> {
        let (mut asked, mut has_token) = (Self::default(), false);
        for (name, value) in form_urlencoded::parse(body) {
            match &*name {
                "token" => {
                    asked.token = value.into_owned();
                    has_token = true;
                }
                "application" => asked.application = Some(value.into_owned()),
                "activity" => asked.activity = value == "true",
                "address" => asked.address = Some(value.parse().map_err(|_| "`address` is no IP address")?),
                _ => {}
            }
        }
        if has_token { Ok(asked) } else { Err("the form has no `token`") }
    }
}

/// What the first finds for whom it is not over.
async fn found(
    api: &Api,
    purpose: Purpose,
    ticket: &Ticket,
    judges: &[Application],
) -> Result<Option<Found>, Problem> {
    for judge in judges {
        match api.cache.find_for(purpose, ticket, judge).await? {
            Find::Found(found) => return Ok(Some(found)),
            Find::Absent(Absence::OverHere) => {}
            Find::Absent(_) | Find::Ended(_) => return Ok(None),
        }
    }
    Ok(None)
}

/// The members of RFC 7662, 2.2, whose times are seconds, and ours.
fn active(found: &Found, entries: Map<String, JsonValue>) -> Map<String, JsonValue> {
    let session: &Session = &found.session;
    let seconds = |millis: u64| JsonValue::from(millis / 1000);
    let mut said = Map::new();
    let mut say = |name: &str, value: JsonValue| said.insert(name.to_owned(), value);
    say("active", true.into());
    say("sid", session.handle.to_string().into());
    say("iat", seconds(session.begun.0));
    if let Some(ends) = session.ends {
        say("exp", seconds(ends.0));
    }
    if let Some(principal) = &session.principal {
        say("sub", (*principal.name).into());
        say("iss", (*principal.issuer).into());
    }
    if let Some(authentication) = &session.authentication {
        say("auth_time", seconds(authentication.at.0));
        if !authentication.level.is_empty() {
            say("acr", (*authentication.level).into());
        }
    }
    say("realm", (*session.realm).into());
    say("revision", session.revision.0.into());
    say("entries", entries.into());
    // The visitor has an old one, and proved to have had it: this is what to set instead.
    if let Some(successor) = &found.successor {
        say("successor", successor.expose().to_string().into());
    }
    said
}
