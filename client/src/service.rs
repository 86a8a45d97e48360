//! A storage service of another Cloakroom.
//!
//! Each operation is one request. What the service over there answers is given as it is, its own
//! [`Unavailable`] with blame and fate included. What kept us from hearing of it says as exactly what may have become of
//! the request: nothing, where it never left or was turned away before the service saw it; and else nobody knows. An
//! answer that is no answer of the service is never taken for one: above all nothing is `Absent` that it did not say so
//! of.
//!
//! A connection that breaks under an operation which may be repeated is no error yet: it is asked once more, over
//! another one. A write is recognised there by its write id, if it was done.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::unfold;
use http::header::{ACCEPT, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use storage::{
    Applied, Blame, BoxError, Changes, LONGEST_UNNOTICED, Notice, Position, Unavailable, until_silent,
};
use tokio::time::{Instant, timeout, timeout_at};

use crate::error::{NotConnected, NotOffered, SendError};
use crate::link::{Busy, Link, Ready};
use crate::protocol::{self, Decode, Encode, EventReader, Offer, Operation, decode, encode};

/// How often a request is sent, over another connection each time, as long as nothing of it has arrived.
const SENDINGS: usize = 3;

/// How long the change stream may be silent: the other side says each second that it is there.
const SILENCE: Duration = LONGEST_UNNOTICED;

/// The most bytes of what an end point says beside a status.
const MAX_TEXT: usize = 1024;

/// A storage service over there.
#[derive(Debug)]
pub struct StorageService {
    link: Arc<Link>,
    /// What it is called here.
    id: Arc<str>,
    /// How long an operation may take.
    deadline: Duration,
    root: Uri,
    changes: Uri,
    operations: Vec<(Operation, Uri)>,
}

/// A whole answer.
#[derive(Debug)]
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

/// Why there is no whole answer.
enum NoAnswer {
    Send(SendError),
    /// It broke off, or is too large.
    Body(BoxError),
    TooSlow {
        was_sent: bool,
    },
}

impl StorageService {
    /// The service that is called `service` over there, and `id` here. An operation may take `deadline`.
    ///
    /// # Errors
    /// Its name cannot be part of a path.
    pub fn new(
        link: Arc<Link>,
        id: &Arc<str>,
        service: &str,
        deadline: Duration,
    ) -> Result<Self, http::Error> {
        let root = format!("{}/{service}", protocol::PATH);
        let operations = Operation::ALL
            .into_iter()
            .map(|operation| Ok((operation, link.uri(&format!("{root}/{}", operation.as_str()))?)))
            .collect::<Result<_, http::Error>>()?;
        Ok(Self {
            operations,
            root: link.uri(&root)?,
            changes: link.uri(&format!("{root}/changes"))?,
            link,
            id: Arc::clone(id),
            deadline,
        })
    }

    /// What it can do.
    ///
    /// # Errors
    /// It is not offered to us.
    pub async fn offer(&self) -> Result<Offer, NotOffered> {
        let server = || -> Box<str> { self.link.name().into() };
        let deadline = Instant::now() + self.deadline;
        let answer = self.answer(&Method::GET, &self.root, Bytes::new(), deadline).await.map_err(
            |error| match error {
                NoAnswer::Send(error) => NotOffered::Unreachable(error),
                NoAnswer::Body(cause) => {
                    NotOffered::Nonsense { server: server(), says: cause.to_string().into() }
                }
                NoAnswer::TooSlow { .. } => NotOffered::TooSlow { server: server(), after: self.deadline },
            },
        )?;
        if let Some(refused) = self.refused(&answer) {
            return Err(refused);
        }
        decode(&answer.body)
            .map_err(|error| NotOffered::Nonsense { server: server(), says: error.to_string().into() })
    }

    /// Has an operation done.
    ///
    /// # Errors
    /// There is no answer of the service.
    pub async fn ask<A: Decode>(
        &self,
        operation: Operation,
        request: &impl Encode,
    ) -> Result<A, Unavailable> {
        let body = encode(request);
        if body.len() > protocol::MAX_BODY {
            let cause = format!(
                "a request of {} bytes is over the {} of the protocol",
                body.len(),
                protocol::MAX_BODY
            );
            return Err(Unavailable::refused(&self.id, cause));
        }
        let uri =
            self.operations.iter().find(|(known, _)| *known == operation).map_or(&self.root, |(_, uri)| uri);
        let deadline = Instant::now() + self.deadline;
        let mut answer = self.answer(&Method::POST, uri, body.clone(), deadline).await;
        if operation.can_be_repeated()
            && matches!(answer, Err(NoAnswer::Send(SendError::Lost { .. }) | NoAnswer::Body(_)))
        {
            answer = self.answer(&Method::POST, uri, body, deadline).await;
        }
        let answer = answer.map_err(|error| self.unheard(error))?;
        self.understand(&answer)
    }

    /// The change stream, from a position or from now on. It ends when the connection does, or has been silent for too
    /// long: nobody can say then what was missed. Whoever continues it from the last position learns.
    ///
    /// # Errors
    /// There is none now.
    pub async fn watch(&self, from: Option<Position>) -> Result<Changes, Unavailable> {
        let last = from.map(|position| HeaderValue::from(position.0));
        let deadline = Instant::now() + self.deadline;
        let sent = self.send(deadline, || {
            let mut request = self.request(&Method::GET, &self.changes, Bytes::new());
            request.headers_mut().insert(ACCEPT, HeaderValue::from_static(protocol::EVENTS_TYPE));
            if let Some(last) = &last {
                request.headers_mut().insert(protocol::LAST_EVENT_ID, last.clone());
            }
            request
        });
        let (response, busy, ready) = sent.await.map_err(|error| self.unheard(error))?;
        if !is_of_type(response.headers(), protocol::EVENTS_TYPE) || response.status() != StatusCode::OK {
            let answer = timeout_at(deadline, whole(response)).await;
            let answer = answer.unwrap_or(Err(NoAnswer::TooSlow { was_sent: true }));
            return Err(self.not_understood(&answer.map_err(|error| self.unheard(error))?));
        }
        let following = Following {
            body: response.into_body(),
            reader: EventReader::default(),
            notices: Vec::new().into_iter(),
            server: self.link.name().into(),
            silence: Box::pin(self.silence(ready)),
            _busy: busy,
        };
        Ok(following.into_changes())
    }

    /// Sends a request and reads its answer, within the deadline.
    async fn answer(
        &self,
        method: &Method,
        uri: &Uri,
        body: Bytes,
        deadline: Instant,
    ) -> Result<Answer, NoAnswer> {
        let (response, _busy, _) = self.send(deadline, || self.request(method, uri, body.clone())).await?;
        timeout_at(deadline, whole(response)).await.unwrap_or(Err(NoAnswer::TooSlow { was_sent: true }))
    }

    fn request(&self, method: &Method, uri: &Uri, body: Bytes) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method.clone();
        *request.uri_mut() = uri.clone();
        if method == Method::POST {
            let content_type = HeaderValue::from_static(protocol::CONTENT_TYPE);
            request.headers_mut().insert(CONTENT_TYPE, content_type);
        }
        request
    }

    /// Sends a request until something of it may have arrived.
    async fn send(
        &self,
        deadline: Instant,
        request: impl Fn() -> Request<Full<Bytes>>,
    ) -> Result<(Response<Incoming>, Busy, Ready), NoAnswer> {
        let mut failed = None;
        for _ in 0..SENDINGS {
            let ready = timeout_at(deadline, self.link.ready());
            let ready = ready.await.map_err(|_| NoAnswer::TooSlow { was_sent: false })?;
            let mut ready = ready.map_err(NoAnswer::Send)?;
            let mut request = request();
            let left = deadline.saturating_duration_since(Instant::now());
            let left = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
            request.headers_mut().insert(protocol::DEADLINE, HeaderValue::from(left));
            match timeout_at(deadline, ready.send(&self.link, request)).await {
                Err(_) => return Err(NoAnswer::TooSlow { was_sent: true }),
                Ok(Ok((response, busy))) => return Ok((response, busy, ready)),
                Ok(Err(error @ SendError::Lost { .. })) => return Err(NoAnswer::Send(error)),
                Ok(Err(error @ SendError::NotSent(_))) => failed = Some(error),
            }
        }
        Err(failed.map_or(NoAnswer::TooSlow { was_sent: false }, NoAnswer::Send))
    }

    /// Ends when it is not certain any more that what comes over this connection comes in time: an end point that says
    /// each second that it is there may have said so long ago.
    fn silence(&self, ready: Ready) -> impl Future<Output = BoxError> + use<> {
        let question = self.request(&Method::GET, &self.root, Bytes::new());
        let link = Arc::clone(&self.link);
        async move {
            let ask = || {
                let (mut ready, question, link) = (ready.clone(), question.clone(), &link);
                async move {
                    let (response, _busy) = ready.send(link, question).await?;
                    Limited::new(response.into_body(), protocol::MAX_BODY).collect().await.map(drop)
                }
            };
            let silent = || format!("{} was silent for {} s", link.name(), SILENCE.as_secs()).into();
            until_silent(ask).await.unwrap_or_else(silent)
        }
    }

    fn understand<A: Decode>(&self, answer: &Answer) -> Result<A, Unavailable> {
        if answer.status != StatusCode::OK || !is_of_type(&answer.headers, protocol::CONTENT_TYPE) {
            return Err(self.not_understood(answer));
        }
        decode(&answer.body).map_err(|error| {
            Unavailable::unknown(
                &self.id,
                format!("{} answers something that cannot be read: {error}", self.link.name()),
            )
        })
    }

    /// What an answer means that is none of the service.
    fn not_understood(&self, answer: &Answer) -> Unavailable {
        if is_of_type(&answer.headers, protocol::UNAVAILABLE_TYPE)
            && let Ok(theirs) = decode::<Unavailable>(&answer.body)
        {
            let cause = format!("storage {} at {}: {}", theirs.storage, self.link.name(), theirs.cause);
            return Unavailable { storage: Arc::clone(&self.id), cause: cause.into(), ..theirs };
        }
        let refused = self.refused(answer).unwrap_or_else(|| NotOffered::Nonsense {
            server: self.link.name().into(),
            says: "it is of another type than it should be".into(),
        });
        let retry_after = answer.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        let mut unavailable = Unavailable::failed(&self.id, refused);
        unavailable.retry_after = Some(retry_after.map_or(Duration::from_secs(1), Duration::from_secs));
        if !answer.headers.contains_key(&protocol::VERSIONS) {
            // Somebody in between, who may have passed the request on.
            unavailable.blame = Blame::Network;
            unavailable.applied =
                if answer.status.is_client_error() { Applied::No } else { Applied::Unknown };
        } else if matches!(answer.status, StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE) {
            unavailable.blame = Blame::Caller;
            unavailable.retry_after = None;
        } else if answer.status.is_success() || answer.status == StatusCode::INTERNAL_SERVER_ERROR {
            unavailable.applied = Applied::Unknown;
        }
        unavailable
    }

    /// Why an answer is a refusal, unless it is of the service.
    fn refused(&self, answer: &Answer) -> Option<NotOffered> {
        let server: Box<str> = self.link.name().into();
        let Some(versions) = answer.headers.get(&protocol::VERSIONS) else {
            return Some(NotOffered::NoEndPoint { server, status: answer.status });
        };
        let versions = versions.to_str().unwrap_or_default();
        if !versions.split(',').any(|version| version.trim() == protocol::VERSION) {
            return Some(NotOffered::OtherVersion { server, theirs: versions.into() });
        }
        let says = text(&answer.body);
        Some(match answer.status {
            StatusCode::OK => return None,
            StatusCode::UNAUTHORIZED => NotOffered::Unauthenticated { server, says },
            StatusCode::FORBIDDEN => NotOffered::Forbidden { server, says },
            StatusCode::NOT_FOUND => NotOffered::UnknownService { server, says },
            status => NotOffered::Refused { server, status, says },
        })
    }

    fn unheard(&self, error: NoAnswer) -> Unavailable {
        match error {
            NoAnswer::TooSlow { was_sent: true } => {
                Unavailable { blame: Blame::Network, ..Unavailable::deadline(&self.id, self.deadline) }
            }
            NoAnswer::TooSlow { was_sent: false } => {
                let server = self.link.name().into();
                self.network(Applied::No, NotConnected::TooSlow { server, after: self.deadline })
            }
            NoAnswer::Send(error @ SendError::NotSent(_)) => self.network(Applied::No, error),
            NoAnswer::Send(error @ SendError::Lost { .. }) => self.network(Applied::Unknown, error),
            NoAnswer::Body(error) => self.network(Applied::Unknown, error),
        }
    }

    fn network(&self, applied: Applied, cause: impl Into<BoxError>) -> Unavailable {
        Unavailable { applied, blame: Blame::Network, ..Unavailable::failed(&self.id, cause) }
    }
}

async fn whole(response: Response<Incoming>) -> Result<Answer, NoAnswer> {
    let (head, body) = response.into_parts();
    let body = Limited::new(body, protocol::MAX_BODY).collect().await.map_err(NoAnswer::Body)?.to_bytes();
    Ok(Answer { status: head.status, headers: head.headers, body })
}

fn is_of_type(headers: &HeaderMap, expected: &str) -> bool {
    let found = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    found.split(';').next().is_some_and(|found| found.trim().eq_ignore_ascii_case(expected))
}

/// What an end point says beside a status: a line for people.
fn text(body: &Bytes) -> Box<str> {
    let text = String::from_utf8_lossy(body.get(..MAX_TEXT).unwrap_or(body));
    let visible = |character: char| if character.is_control() { ' ' } else { character };
    text.trim().chars().map(visible).collect::<String>().into()
}

/// A change stream, being read.
struct Following {
    body: Incoming,
    reader: EventReader,
    notices: std::vec::IntoIter<Notice>,
    server: Box<str>,
    silence: Pin<Box<dyn Future<Output = BoxError> + Send>>,
    _busy: Busy,
}

impl Following {
    fn into_changes(self) -> Changes {
        Box::pin(unfold(self, |mut following| async move {
            loop {
                if let Some(notice) = following.notices.next() {
                    return Some((notice, following));
                }
                if let Err(error) = following.read().await {
                    tracing::debug!(%error, "a change stream ended");
                    return None;
                }
            }
        }))
    }

    /// Reads the next notices, which may be none.
    async fn read(&mut self) -> Result<(), BoxError> {
        let server = &self.server;
        let frame = tokio::select! {
            frame = timeout(SILENCE, self.body.frame()) => frame,
            error = &mut self.silence => return Err(error),
        };
        let frame = frame.map_err(|_| format!("{server} was silent for {} s", SILENCE.as_secs()))?;
        let frame = frame.ok_or_else(|| format!("{server} ended it"))??;
        if let Some(bytes) = frame.data_ref() {
            let mut notices = Vec::new();
            self.reader.take(bytes, &mut notices)?;
            self.notices = notices.into_iter();
        }
        Ok(())
    }
}
