//! Sessions, one at a time: opened for somebody, looked at, and why one is over.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Extension, Query, State};
use axum::http::header::{CONTENT_TYPE, ETAG, LOCATION};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use cache::{Asserted, Life, Once, Open, OpenOnce, Opened, Opening, Openings, SessionLimit, Shown};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as JsonValue};
use session::{
    Addresses, Authentication, Ending, Handle, MAX_ENTRIES, Millis, Patch, Principal, Revision, Session,
    Ticket, Why,
};

use super::fields::Fields;
use super::object::Object;
use super::problem::Problem;
use super::value::{read, shown};
use super::versions::{is_known, tag};
use super::whole::Whole;
use super::{Api, is_json};
use crate::audit::{self, Upon};
use crate::clients::{Caller, Client, Right};
use crate::in_path::InPath;

/// draft-ietf-httpapi-idempotency-key-header.
const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// As Shibboleth says of those that it exports.
const ASSERTION_TYPE: &str = "application/samlassertion+xml";

/// A session that is to be opened for somebody.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct New {
    /// The id of the application whose session it is.
    application: String,
    principal: Option<Object<Person>>,
    authentication: Option<Object<Proof>>,
    #[serde(default)]
    entries: Map<String, JsonValue>,
    /// Where the person is: an application with `check_address` wants it used from there first.
    address: Option<IpAddr>,
    #[serde(default)]
    assertions: Vec<Object<Assertion>>,
}

/// Who somebody is, as an issuer names them. Parts that are left out are those that SAML leaves out.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Person {
    issuer: Box<str>,
    name: Box<str>,
    #[serde(default, skip_serializing_if = "str::is_empty")]
    format: Box<str>,
    #[serde(default, skip_serializing_if = "str::is_empty")]
    name_qualifier: Box<str>,
    #[serde(default, skip_serializing_if = "str::is_empty")]
    sp_name_qualifier: Box<str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_index: Option<Box<str>>,
}

/// When, in milliseconds since 1970, and how strongly somebody proved who they are.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Proof {
    at: Whole,
    #[serde(default)]
    level: Box<str>,
}

/// What is to be seen of a session.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    fields: Option<String>,
}

/// Which assertion is meant.
#[derive(Deserialize)]
pub(super) struct Named {
    id: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Assertion {
    id: Box<str>,
    content: String,
}

/// What whoever opened a session is told, once.
#[derive(Serialize)]
pub(super) struct Told {
    handle: String,
    /// What the person's cookie, or the header for it, is to hold.
    ticket: String,
}

/// A live session without what proves it.
#[derive(Serialize)]
pub(super) struct Seen {
    handle: String,
    realm: Box<str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    principal: Option<Person>,
    #[serde(skip_serializing_if = "Option::is_none")]
    authentication: Option<Proof>,
    /// Times are milliseconds since 1970.
    begun: u64,
    last_seen: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    ends: Option<u64>,
    revision: u64,
    entries: Map<String, JsonValue>,
    /// The ids of its assertions.
    assertions: Box<[Box<str>]>,
}

/// What became of a session.
#[derive(Serialize)]
struct Became {
    handle: String,
    life: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    ending: Option<HowItEnded>,
}

#[derive(Serialize)]
struct HowItEnded {
    at: u64,
    why: &'static str,
    by: Box<str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<IpAddr>,
}

/// `POST /v1/sessions`
pub(super) async fn create(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let client = api.admit(&caller, &headers, Right::AdminSessions)?;
    let key = idempotency_key(&headers)?;
    if !is_json(&headers) {
        return Err(Problem::WrongType);
    }
    let (body, _room) = api.body(&headers, body).await?;
    let Object(new) =
        serde_json::from_slice::<Object<New>>(&body).map_err(|error| Problem::malformed(&error))?;
    let id = new.application.clone();
    let application = (api.applications.0)(&id);
    let application = application.ok_or_else(|| Problem::Unfit("no application has this id".to_owned()))?;
    if !client.realms.has(&application.judge.realm.id) {
        return Err(client.not_there());
    }
    if let Some(name) = new.entries.keys().find(|name| !client.attributes.shows(name)) {
        return Err(Problem::NotShown(name.clone()));
    }
    let address = new.address;
    let opening = new.opening(&api)?;
    let limit = application.limit.zip(opening.principal.clone());
    let once = key.map(|key| once(client, key, &body)).transpose()?;
    if limit.is_some() || address.is_some() {
        // What was opened before was counted then, and is there whatever is full by now.
        if let Some(answer) = api.opened_before(once.as_ref()).await? {
            return answer;
        }
        if let Err(full) = api.has_room(&application, limit.as_ref(), address).await {
            // The same request may have taken the last room meanwhile.
            return api.opened_before(once.as_ref()).await?.unwrap_or(Err(full));
        }
    }
    let ticket = match once {
        None => match api.cache.open(opening, &application.judge).await? {
            Open::Opened(opened) => opened.ticket,
            Open::LoggedOut(_) => return Err(Problem::LoggedOut),
        },
        Some(once) => match api.cache.open_once(&once, &opening, &application.judge).await? {
            OpenOnce::Opened(opened) => opened.ticket,
            before => return answer(before),
        },
    };
    let handle = ticket.handle;
    if let Some(address) = address {
        application.newcomers.note(address, handle);
    }
    if let Some((limit, principal)) = &limit {
        let ending = api.ending(client, &caller, Why::Limit);
        match api.cache.hold_to(principal, limit, &application.judge.realm, ending).await {
            Ok(ended) if ended.contains(&handle) => return Err(Problem::TooManyOfPerson),
            Ok(_) => {}
            // Nobody is kept out by an outage (law 3); whoever comes next counts again.
            Err(error) => {
                tracing::warn!(application = id, %error, "it is not certain that a person has no more sessions than they may");
            }
        }
    }
    let upon = Upon { of: Some(&id), ..Upon::one(handle) };
    audit::done(client, &caller, "a session was opened by the API", upon);
    Ok(told(&ticket))
}

impl Api {
    /// The answer to a request that was made before, if it may be repeated.
    async fn opened_before(&self, once: Option<&Once>) -> Result<Option<Result<Response, Problem>>, Problem> {
        let Some(once) = once else { return Ok(None) };
        Ok(self.cache.opened_before(once).await?.map(answer))
    }

    /// Whether an application takes one session more: of this person, and of somebody at this address.
    async fn has_room(
        &self,
        application: &Openings,
        limit: Option<&(SessionLimit, Principal)>,
        address: Option<IpAddr>,
    ) -> Result<(), Problem> {
        if let Some((limit, principal)) = limit
            && !self.cache.has_room(principal, &[], limit, &application.judge.realm).await?
        {
            return Err(Problem::TooManyOfPerson);
        }
        let Some(address) = address else { return Ok(()) };
        let admitted = application.newcomers.admit(address, &self.cache).await;
        admitted.map_err(|wait| Problem::TooManyFromAddress { wait })
    }
}

/// What `client` asks for under a key.
fn once(client: &Client, key: &str, request: &[u8]) -> Result<Once, Problem> {
    let no_proof = || {
        Problem::Unfit("an `Idempotency-Key` needs a client with a token, password or certificate".to_owned())
    };
    let proof = client.proof().ok_or_else(no_proof)?;
    Ok(Once::new(&client.id, proof.as_bytes(), key, request))
}

/// What somebody is told who has asked before.
fn answer(before: OpenOnce) -> Result<Response, Problem> {
    match before {
        OpenOnce::Opened(Opened { ticket, .. }) | OpenOnce::Again(ticket) => Ok(told(&ticket)),
        OpenOnce::LoggedOut(_) => Err(Problem::LoggedOut),
        OpenOnce::Another => Err(Problem::OtherRequest),
        OpenOnce::UnderWay => Err(Problem::UnderWay),
        OpenOnce::Over(_) => Err(Problem::Over),
    }
}

fn told(ticket: &Ticket) -> Response {
    let location = [(LOCATION, format!("/v1/sessions/{}", ticket.handle))];
    (StatusCode::CREATED, location, Json(Told::of(ticket))).into_response()
}

/// The key under which a request may be repeated, quoted (RFC 9651, 3.3.3) or not.
fn idempotency_key(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let Some(said) = headers.get(IDEMPOTENCY_KEY) else { return Ok(None) };
    let said = said.to_str().unwrap_or_default();
    let key = said.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(said);
    if (16..=255).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(Some(key));
    }
    Err(Problem::Malformed("an `Idempotency-Key` has 16 to 255 visible characters: take a UUID".to_owned()))
}

/// `GET /v1/sessions/{handle}`
pub(super) async fn show(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    InPath(handle): InPath<String>,
    wanted: Result<Query<Wanted>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let client = api.admit(&caller, &headers, Right::Sessions)?;
    let handle = named(&handle)?;
    let other = |_| Problem::Malformed("the only query here is `fields`".to_owned());
    let Query(Wanted { fields }) = wanted.map_err(other)?;
    let fields = fields.as_deref().map(Fields::read).transpose()?;
    let Some(shown) = api.cache.show(&handle).await? else { return Err(api.gone(&handle).await) };
    if !client.knows(&shown.session) {
        return Err(Problem::NoSession);
    }
    let tag = [(ETAG, tag(shown.session.revision))];
    if is_known(&headers, shown.session.revision) {
        return Ok((StatusCode::NOT_MODIFIED, tag).into_response());
    }
    let mut seen = api.see(client, &shown).into_map();
    if let Some(fields) = fields {
        fields.select(&mut seen);
    }
    Ok((tag, Json(seen)).into_response())
}

/// `GET /v1/sessions/{handle}/why`
pub(super) async fn why(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    InPath(handle): InPath<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let client = api.admit(&caller, &headers, Right::Sessions)?;
    let handle = named(&handle)?;
    let life = api.cache.why(&handle).await?;
    if life == Life::Live {
        api.check_exists(client, &handle).await?;
    }
    let (life, ending) = match life {
        Life::Live => ("live", None),
        Life::Ended(ending) => ("ended", Some(ending)),
        Life::Idle(ending) => ("idle", Some(ending)),
        Life::Lifetime(ending) => ("lifetime", Some(ending)),
        Life::Unknown => ("unknown", None),
    };
    let ending = ending.map(HowItEnded::from);
    Ok(Json(Became { handle: handle.to_string(), life, ending }).into_response())
}

/// `GET /v1/sessions/{handle}/assertion?id=...`
pub(super) async fn assertion(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    InPath(handle): InPath<String>,
    wanted: Result<Query<Named>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let client = api.admit(&caller, &headers, Right::Secrets)?;
    let handle = named(&handle)?;
    api.check_exists(client, &handle).await?;
    let no_id = |_| Problem::Malformed("the assertion's id is the query `id`".to_owned());
    let Query(Named { id }) = wanted.map_err(no_id)?;
    match api.cache.assertion(&handle, &id).await? {
        Asserted::Found(assertion) => {
            audit::done(client, &caller, "an assertion was fetched by the API", Upon::one(handle));
            Ok(([(CONTENT_TYPE, ASSERTION_TYPE)], assertion).into_response())
        }
        Asserted::Unknown => Err(Problem::NoAssertion),
        Asserted::NoSession => Err(Problem::NoSession),
    }
}

impl Api {
    /// A session as a client sees it.
    pub(super) fn see(&self, client: &Client, seen: &Shown) -> Seen {
        Seen::of(seen, self.entries_of(client, &seen.session))
    }

    /// The entries that a client sees.
    pub(super) fn entries_of(&self, client: &Client, session: &Session) -> Map<String, JsonValue> {
        let entries = session.entries.iter().filter(|(name, _)| self.shows(client, session, name));
        entries.map(|(name, value)| (name.to_owned(), shown(value))).collect()
    }

    /// Why there is no live session of this handle.
    pub(super) async fn gone(&self, handle: &Handle) -> Problem {
        match self.cache.why(handle).await {
            Ok(Life::Live | Life::Unknown) => Problem::NoSession,
            Ok(Life::Ended(_) | Life::Idle(_) | Life::Lifetime(_)) => Problem::Over,
            Err(error) => error.into(),
        }
    }
}

/// The handle that a path names. What is none names nothing.
pub(super) fn named(handle: &str) -> Result<Handle, Problem> {
    handle.parse().map_err(|_| Problem::NoSession)
}

impl New {
    fn opening(self, api: &Api) -> Result<Opening, Problem> {
        if self.entries.len() > MAX_ENTRIES {
            return Err(Problem::Unfit(format!("a session has at most {MAX_ENTRIES} entries")));
        }
        let mut entries = Patch::new(Revision::default());
        for (name, value) in self.entries {
            entries.set(&name, read(value).map_err(|why| Problem::Unfit(why.to_owned()))?);
        }
        let given = self.assertions.into_iter();
        let given = given.map(|Object(assertion)| (assertion.id, Bytes::from(assertion.content))).collect();
        Ok(Opening {
            principal: self.principal.map(|Object(person)| person.into()),
            authentication: self
                .authentication
                .map(|Object(Proof { at, level })| Authentication { at: Millis(at.0), level }),
            entries,
            addresses: self.address.map(Addresses::awaiting).unwrap_or_default(),
            assertions: api.cache.assertions(given).map_err(Problem::Assertions)?,
        })
    }
}

impl From<Person> for Principal {
    fn from(person: Person) -> Self {
        let Person { issuer, name, format, name_qualifier, sp_name_qualifier, session_index } = person;
        Self { issuer, name, format, name_qualifier, sp_name_qualifier, session_index }
    }
}

impl From<Principal> for Person {
    fn from(principal: Principal) -> Self {
        let Principal { issuer, name, format, name_qualifier, sp_name_qualifier, session_index } = principal;
        Self { issuer, name, format, name_qualifier, sp_name_qualifier, session_index }
    }
}

impl From<Ending> for HowItEnded {
    fn from(ending: Ending) -> Self {
        let Ending { at, why, by, from } = ending;
        Self { at: at.0, why: why.as_str(), by, from }
    }
}

impl Seen {
    fn of(seen: &Shown, entries: Map<String, JsonValue>) -> Self {
        let Shown { session, last_seen } = seen;
        let proof = session.authentication.clone();
        Self {
            handle: session.handle.to_string(),
            realm: (*session.realm).into(),
            principal: session.principal.clone().map(Person::from),
            authentication: proof.map(|Authentication { at, level }| Proof { at: Whole(at.0), level }),
            begun: session.begun.0,
            last_seen: last_seen.0,
            ends: session.ends.map(|ends| ends.0),
            revision: session.revision.0,
            entries,
            assertions: session.assertions.clone(),
        }
    }
}

impl Seen {
    /// Its members.
    pub(super) fn into_map(self) -> Map<String, JsonValue> {
        match serde_json::to_value(self) {
            Ok(JsonValue::Object(members)) => members,
            // It has names and values that JSON has as well.
            Ok(_) | Err(_) => Map::new(),
        }
    }
}

impl Told {
    pub(super) fn of(ticket: &Ticket) -> Self {
        Self { handle: ticket.handle.to_string(), ticket: ticket.expose().to_string() }
    }
}
