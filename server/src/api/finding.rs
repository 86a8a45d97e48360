//! Sessions that are searched for, a page at a time.
//!
//! What is asked for is in the body, for it may say who somebody is, and addresses of requests are in logs everywhere. The
//! cursor is the handle behind which to go on.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Extension, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use cache::{Between, Search, Shown};
use dialects::llng::kind::UnknownKind;
use dialects::llng::{Kind, SESSION_KIND};
use serde::Deserialize;
use serde_json::{Map, Value as JsonValue, json};
use session::{Handle, Millis, Principal};

use super::Api;
use super::fields::Fields;
use super::object::Object;
use super::problem::Problem;
use super::sessions::Person;
use super::whole::Whole;
use crate::audit::{self, Upon};
use crate::clients::{Caller, Right};
use crate::llng::{has_kinds, realm_of};

/// How many sessions a page has, where nothing is said.
const USUAL: usize = 100;
/// And at most.
const MOST: usize = 1_000;
/// How many entries may be asked for at once.
const MAX_ENTRIES: usize = 16;

/// What is searched for; all that is said must hold.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    person: Option<Object<Person>>,
    /// The realm, or an application of it.
    realm: Option<Box<str>>,
    application: Option<String>,
    /// A kind of LemonLDAP::NG's sessions, such as `SSO`.
    kind: Option<String>,
    address: Option<IpAddr>,
    #[serde(default)]
    begun: Object<Stretch>,
    #[serde(default)]
    last_seen: Object<Stretch>,
    /// Texts, by the names of the entries that hold them.
    #[serde(default)]
    entries: Map<String, JsonValue>,
    fields: Option<String>,
    limit: Option<Whole>,
    cursor: Option<String>,
}

/// A stretch of time, in milliseconds since 1970.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stretch {
    after: Option<Whole>,
    before: Option<Whole>,
}

/// `POST /v1/find`
pub(super) async fn find(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let client = api.admit(&caller, &headers, Right::Sessions)?;
    let (wanted, _room) = api.request::<Wanted>(&headers, body).await?;
    if let Some(name) = wanted.entries.keys().find(|name| !client.attributes.shows(name)) {
        return Err(Problem::NotShown(name.clone()));
    }
    let limit = wanted.limit.map_or(USUAL, |Whole(limit)| usize::try_from(limit).unwrap_or(usize::MAX));
    if !(1..=MOST).contains(&limit) {
        return Err(Problem::Unfit(format!("`limit` is from 1 to {MOST}")));
    }
    let after = wanted.cursor.as_deref().map(str::parse::<Handle>).transpose();
    let after =
        after.map_err(|_| Problem::Unfit("`cursor` is what the page before has as `next`".to_owned()))?;
    let fields = wanted.fields.clone();
    let fields = fields.as_deref().map(Fields::read).transpose()?;
    if wanted.kind.as_ref().is_some_and(|kind| !client.kinds.has(kind)) {
        return Err(client.not_there());
    }
    let seeks_hidden = wanted.entries.keys().any(|name| api.hides(client, name));
    let search = wanted.search(&api)?;
    if search.realm.as_ref().is_some_and(|realm| !client.realms.has(realm)) {
        return Err(client.not_there());
    }
    let hits = api.cache.search(&search, after, limit).await?;
    let is_told = |shown: &&Shown| {
        let session = &shown.session;
        // Whoever may not see a value does not find it out by asking for it either.
        client.knows(session) && !(seeks_hidden && has_kinds(&session.realm))
    };
    let there = hits.sessions.iter().filter(is_told);
    let sessions: Vec<_> = there
        .map(|shown| {
            let mut seen = api.see(client, shown).into_map();
            if let Some(fields) = &fields {
                fields.select(&mut seen);
            }
            seen
        })
        .collect();
    let count = sessions.len();
    audit::done(
        client,
        &caller,
        "sessions were searched by the API",
        Upon { sessions: Some(&count), ..Upon::default() },
    );
    let next = hits.next.map(|handle| handle.to_string());
    Ok(Json(json!({ "sessions": sessions, "next": next, "is_indexed": hits.is_indexed })).into_response())
}

impl Wanted {
    fn search(self, api: &Api) -> Result<Search, Problem> {
        let unfit = |why: &str| Problem::Unfit(why.to_owned());
        let mut entries = Vec::new();
        let realm = match (self.realm, self.application, self.kind) {
            (realm, None, None) => realm,
            (None, Some(id), None) => {
                let application = (api.applications.0)(&id);
                Some((*application.ok_or_else(|| unfit("no application has this id"))?.judge.realm.id).into())
            }
            (None, None, Some(kind)) => {
                let kind: Kind = kind.parse().map_err(|error: UnknownKind| unfit(&error.to_string()))?;
                entries.push((SESSION_KIND.into(), kind.as_str().into()));
                Some(realm_of(kind).into())
            }
            _ => return Err(unfit("say one of `realm`, `application` and `kind`")),
        };
        if self.entries.len() > MAX_ENTRIES {
            return Err(Problem::Unfit(format!("at most {MAX_ENTRIES} entries are asked for at once")));
        }
        for (name, value) in self.entries {
            let text = match value {
                JsonValue::String(text) => text.into(),
                JsonValue::Number(number) => number.to_string().into(),
                JsonValue::Bool(is_so) => is_so.to_string().into(),
                _ => return Err(unfit("an entry is searched by a text")),
            };
            entries.push((name.into(), text));
        }
        Ok(Search {
            principal: self.person.map(|Object(person)| Principal::from(person)),
            realm,
            address: self.address,
            begun: self.begun.0.into(),
            seen: self.last_seen.0.into(),
            entries,
        })
    }
}

impl From<Stretch> for Between {
    fn from(Stretch { after, before }: Stretch) -> Self {
        let moment = |Whole(moment)| Millis(moment);
        Self { after: after.map(moment), before: before.map(moment) }
    }
}
