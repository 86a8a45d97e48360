//! The storage end point: storage services of this Cloakroom for others, as [`client::protocol`] describes it.
//!
//! Nobody is let in before it is known who calls. [Bodies] are read only as far as there is room for them. What takes longer than
//! its caller waits is given up.

pub(crate) mod journal;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Extension, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use client::protocol::{
    self, Damaged, Encode, ListRequest, MAX_BODY, MAX_ITEMS, Offer, Operation, ReapRequest, ScanRequest,
    decode, encode,
};
use futures_util::stream::unfold;
use session::{Clock, Millis};
use storage::{Blame, Key, NewRecord, NewValue, Position, Storage, Times, Unavailable, Version};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout_at};

use self::journal::Journal;
use crate::bodies::{Bodies, Unread};
use crate::clients::{Caller, Clients, Denied, Right};
use crate::in_path::InPath;

/// How much all requests together may take, in KiB.
const ROOM: usize = 256 << 10;
/// How long an operation may take whose caller does not say how long they wait, and the longest that one may say.
const DEADLINE: Duration = Duration::from_secs(10);
const LONGEST_DEADLINE: Duration = Duration::from_secs(120);
/// How long a change stream that is asked for may take to begin, while that of the service is being opened.
const STREAM_PATIENCE: Duration = Duration::from_secs(1);

/// Storage services for others.
#[derive(Debug)]
pub(crate) struct EndPoint {
    clients: Arc<Clients>,
    services: Vec<Service>,
    clock: Arc<dyn Clock>,
    bodies: Bodies,
}

#[derive(Debug)]
struct Service {
    storage: Arc<dyn Storage>,
    journal: Arc<Journal>,
}

/// What is answered where the service was not asked.
#[derive(Debug)]
enum Refusal {
    Denied(Denied),
    UnknownService,
    UnknownOperation,
    WrongType,
    TooLarge,
    /// The body broke off.
    Broken,
    Malformed(Damaged),
    /// There was no room in time.
    Busy,
}

impl From<Unread> for Refusal {
    fn from(unread: Unread) -> Self {
        match unread {
            Unread::TooLarge => Self::TooLarge,
            Unread::Busy => Self::Busy,
            Unread::Broken => Self::Broken,
        }
    }
}

impl EndPoint {
    pub(crate) fn new(
        clients: Arc<Clients>,
        storages: &[Arc<dyn Storage>],
        clock: Arc<dyn Clock>,
    ) -> Arc<Self> {
        let service =
            |storage: &Arc<dyn Storage>| Service { storage: Arc::clone(storage), journal: Arc::default() };
        let services = storages.iter().map(service).collect();
        let bodies = Bodies::new(ROOM, MAX_BODY);
        Arc::new(Self { clients, services, clock, bodies })
    }

    /// Follows the changes of all services, until it is dropped.
    pub(crate) async fn keep_journals(self: Arc<Self>) {
        let keeping = self
            .services
            .iter()
            .map(|service| Arc::clone(&service.journal).keep(Arc::clone(&service.storage)));
        futures_util::future::join_all(keeping).await;
    }

    /// Ends all change streams, which nothing else would.
    pub(crate) fn end_streams(&self) {
        self.services.iter().for_each(|service| service.journal.end());
    }

    pub(crate) fn router(self: Arc<Self>) -> Router {
        let versions = |mut response: Response| async move {
            let headers = response.headers_mut();
            headers.insert(protocol::VERSIONS, HeaderValue::from_static(protocol::VERSION));
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
            response
        };
        let unknown = || async { (StatusCode::NOT_FOUND, "there is nothing of that name\n") };
        let below = Router::new()
            .route("/v1/{service}", get(offer))
            .route("/v1/{service}/changes", get(changes))
            .route("/v1/{service}/{operation}", post(operation))
            .fallback(unknown)
            .layer(map_response(versions))
            .with_state(self);
        Router::new().nest(protocol::ROOT, below)
    }

    fn service(&self, id: &str, caller: &Caller, headers: &HeaderMap) -> Result<&Service, Refusal> {
        self.clients.admit(caller, headers, Right::Storage).map_err(|denied| {
            self.clients.note(caller, &denied, self.clock.now(), "the storage");
            Refusal::Denied(denied)
        })?;
        let found = self.services.iter().find(|service| **service.storage.id() == *id);
        found.ok_or(Refusal::UnknownService)
    }

    /// Reads a request, once there is room for it.
    async fn request(
        &self,
        headers: &HeaderMap,
        body: Body,
        deadline: Instant,
    ) -> Result<(Bytes, OwnedSemaphorePermit), Refusal> {
        if !is_of_our_type(headers) {
            return Err(Refusal::WrongType);
        }
        Ok(self.bodies.read_until(headers, body, deadline).await?)
    }
}

async fn offer(
    State(end_point): State<Arc<EndPoint>>,
    Extension(caller): Extension<Caller>,
    InPath(service): InPath<String>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let storage = &end_point.service(&service, &caller, &headers)?.storage;
    let offer = Offer { service: (**storage.id()).into(), capabilities: storage.capabilities() };
    Ok(answer(encode(&offer)))
}

async fn changes(
    State(end_point): State<Arc<EndPoint>>,
    Extension(caller): Extension<Caller>,
    InPath(service): InPath<String>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let service = end_point.service(&service, &caller, &headers)?;
    let from = headers.get(protocol::LAST_EVENT_ID).map(|position| {
        // One that cannot be read is one that is not known: its owner sees a gap.
        Position(position.to_str().ok().and_then(|position| position.parse().ok()).unwrap_or(u64::MAX))
    });
    let journal = Arc::clone(&service.journal);
    let patience = deadline(&headers).min(STREAM_PATIENCE);
    let followed = journal.follow(service.storage.as_ref(), from, patience, protocol::event).await;
    Ok(match followed {
        Ok(follower) => {
            let events = unfold(follower, |mut follower| async {
                follower.next().await.map(|text| (Ok::<_, std::convert::Infallible>(text), follower))
            });
            let content_type = HeaderValue::from_static(protocol::EVENTS_TYPE);
            ([(CONTENT_TYPE, content_type)], Body::from_stream(events)).into_response()
        }
        Err(error) => unavailable(&error),
    })
}

async fn operation(
    State(end_point): State<Arc<EndPoint>>,
    Extension(caller): Extension<Caller>,
    InPath((service, operation)): InPath<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    let storage = &end_point.service(&service, &caller, &headers)?.storage;
    let operation: Operation = operation.parse().map_err(|()| Refusal::UnknownOperation)?;
    let patience = deadline(&headers);
    let deadline = Instant::now() + patience;
    let (request, _room) = end_point.request(&headers, body, deadline).await?;
    let now = end_point.clock.now();
    let performed = timeout_at(deadline, perform(storage.as_ref(), operation, &request, now)).await;
    Ok(match performed {
        Ok(performed) => match performed.map_err(Refusal::Malformed)? {
            Ok(body) => answer(body),
            Err(error) => unavailable(&error),
        },
        Err(_) => unavailable(&Unavailable::deadline(storage.id(), patience)),
    })
}

/// Has the service do what the request asks for.
async fn perform(
    storage: &dyn Storage,
    operation: Operation,
    request: &Bytes,
    now: Millis,
) -> Result<Result<Bytes, Unavailable>, Damaged> {
    Ok(match operation {
        Operation::Create => {
            let (key, new): (Key, NewRecord) = decode(request)?;
            written(storage.create(&key, new).await)
        }
        Operation::Read => {
            let (key, known): (Key, Option<Version>) = decode(request)?;
            written(storage.read(&key, known).await)
        }
        Operation::Update => {
            let (key, new): (Key, NewValue) = decode(request)?;
            written(storage.update(&key, new).await)
        }
        Operation::Touch => {
            let (key, times): (Key, Times) = decode(request)?;
            written(storage.touch(&key, times).await)
        }
        Operation::Bury => {
            let (key, burial) = decode::<(Key, storage::Burial)>(request)?;
            written(storage.bury(&key, burial).await)
        }
        Operation::List => {
            let ListRequest { context, after, limit } = decode(request)?;
            written(storage.list(&context, after.as_deref(), at_most(limit)).await)
        }
        Operation::Scan => {
            let ScanRequest { cursor, budget } = decode(request)?;
            scan(storage, cursor.as_deref(), at_most(budget)).await
        }
        Operation::Batch => {
            let operations: Vec<storage::Operation> = decode(request)?;
            written(storage.batch(operations.into_iter().map(unshared).collect()).await)
        }
        Operation::Reap => {
            let ReapRequest { now: theirs, budget } = decode(request)?;
            // A caller whose clock is ahead must not take away what lives by ours.
            written(storage.reap(theirs.min(now), at_most(budget)).await.map(|reaped| reaped as u64))
        }
    })
}

fn written<T: Encode>(outcome: Result<T, Unavailable>) -> Result<Bytes, Unavailable> {
    outcome.map(|outcome| encode(&outcome))
}

/// As many as fit into one answer.
async fn scan(storage: &dyn Storage, cursor: Option<&[u8]>, mut budget: usize) -> Result<Bytes, Unavailable> {
    loop {
        let scan = storage.scan(cursor, budget).await?;
        let body = encode(&scan);
        if body.len() <= MAX_BODY && scan.found.len() <= MAX_ITEMS || budget <= 1 {
            return Ok(body);
        }
        budget /= 2;
    }
}

/// Its value is no part of the request any more, which would stay in memory as long as the shortest of its values.
fn unshared(operation: storage::Operation) -> storage::Operation {
    match operation {
        storage::Operation::Create(key, new) => {
            storage::Operation::Create(key, NewRecord { value: Bytes::copy_from_slice(&new.value), ..new })
        }
        storage::Operation::Update(key, new) => {
            storage::Operation::Update(key, NewValue { value: Bytes::copy_from_slice(&new.value), ..new })
        }
        other => other,
    }
}

fn at_most(count: u64) -> usize {
    usize::try_from(count).unwrap_or(MAX_ITEMS).min(MAX_ITEMS)
}

fn deadline(headers: &HeaderMap) -> Duration {
    let said = headers.get(protocol::DEADLINE).and_then(|millis| millis.to_str().ok()?.parse().ok());
    said.map_or(DEADLINE, Duration::from_millis).min(LONGEST_DEADLINE)
}

fn is_of_our_type(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|found| found == protocol::CONTENT_TYPE)
}

fn answer(body: Bytes) -> Response {
    ([(CONTENT_TYPE, HeaderValue::from_static(protocol::CONTENT_TYPE))], body).into_response()
}

fn unavailable(error: &Unavailable) -> Response {
    let status = match error.blame {
        Blame::Caller => StatusCode::UNPROCESSABLE_ENTITY,
        Blame::Storage | Blame::Network => StatusCode::SERVICE_UNAVAILABLE,
    };
    let content_type = HeaderValue::from_static(protocol::UNAVAILABLE_TYPE);
    (status, [(CONTENT_TYPE, content_type)], encode(error)).into_response()
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let text = |text: &str| format!("{text}\n");
        match self {
            Self::Denied(denied) => {
                let mut response = (denied.status(), text(denied.why())).into_response();
                denied.tell(response.headers_mut());
                response
            }
            Self::UnknownService => {
                (StatusCode::NOT_FOUND, text("no storage of that id is offered")).into_response()
            }
            Self::UnknownOperation => {
                (StatusCode::NOT_FOUND, text("no operation has that name")).into_response()
            }
            Self::WrongType => {
                let says = format!("a request is of the type {}\n", protocol::CONTENT_TYPE);
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, says).into_response()
            }
            Self::TooLarge => {
                (StatusCode::PAYLOAD_TOO_LARGE, format!("a request has at most {MAX_BODY} bytes\n"))
                    .into_response()
            }
            Self::Broken => {
                (StatusCode::BAD_REQUEST, text("the request broke off, or took too long")).into_response()
            }
            Self::Malformed(why) => {
                (StatusCode::BAD_REQUEST, format!("the request cannot be read: {why}\n")).into_response()
            }
            Self::Busy => {
                let after = [(RETRY_AFTER, HeaderValue::from_static("1"))];
                (StatusCode::TOO_MANY_REQUESTS, after, text("there is no room for another request now"))
                    .into_response()
            }
        }
    }
}
