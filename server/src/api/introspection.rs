//! What a presented ticket is worth, for gateways of others: as RFC 7662 says it of a token.
//!
//! The ticket is in the body. Whatever opens nothing is `{"active": false}` and no more, so that nobody learns from here which
//! tickets there were. An outage is 503: who takes that for "inactive" logs everybody out.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Extension, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use cache::{Absence, Application, Find, Found, Purpose};
use serde::Deserialize;
use serde_json::{Map, Value as JsonValue, json};
use session::{Session, Ticket};
use url::form_urlencoded;

use super::problem::Problem;
use super::sessions::entries_of;
use super::{Api, is_form};
use crate::clients::{Attributes, Caller, Right};

/// What is asked.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    /// What the visitor presents. RFC 7662 calls it `token`.
    #[serde(alias = "ticket")]
    token: String,
    /// The application by whose time-outs it is judged; without it, the session is active if it is for one of its realm.
    application: Option<String>,
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
        let no_token = || Problem::Malformed("the form has no `token`".to_owned());
        (Asked::in_form(&body).ok_or_else(no_token)?, room)
    } else {
        api.request::<Asked>(&headers, body).await?
    };
    let inactive = || Ok(Json(json!({ "active": false })).into_response());
    let judges =
        asked.application.as_deref().map(|id| (api.applications.0)(id).map(|openings| openings.judge));
    let Ok(ticket) = asked.token.parse::<Ticket>() else { return inactive() };
    let judges = match judges {
        Some(Some(application)) => vec![application],
        Some(None) => return Err(Problem::Unfit("no application has this id".to_owned())),
        None => match api.cache.show(&ticket.handle).await? {
            Some(shown) => api.cache.judges(&shown.session.realm),
            None => return inactive(),
        },
    };
    let purpose = if asked.activity { Purpose::USE } else { Purpose::POLL };
    let Some(found) = found(&api, purpose, &ticket, &judges).await? else { return inactive() };
    if !client.realms.has(&found.session.realm) {
        return inactive();
    }
    Ok(Json(active(&found, &client.attributes)).into_response())
}

impl Asked {
    /// The parameters of RFC 7662, 2.1, and ours; nothing without a token. Others are ignored, as it wants it.
    fn in_form(body: &[u8]) -> Option<Self> {
        let (mut asked, mut has_token) = (Self::default(), false);
        for (name, value) in form_urlencoded::parse(body) {
            match &*name {
                "token" => {
                    asked.token = value.into_owned();
                    has_token = true;
                }
                "application" => asked.application = Some(value.into_owned()),
                "activity" => asked.activity = value == "true",
                _ => {}
            }
        }
        has_token.then_some(asked)
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
fn active(found: &Found, attributes: &Attributes) -> Map<String, JsonValue> {
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
    say("entries", entries_of(session, attributes).into());
    // The visitor has an old one, and proved to have had it: this is what to set instead.
    if let Some(successor) = &found.successor {
        say("successor", successor.expose().to_string().into());
    }
    said
}
