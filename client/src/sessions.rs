//! The API of a session server, `/v1`: sessions of others, searched, looked at, and ended.
//!
//! What it answers is given as the JSON that it is, for whoever shows it. What it refuses is a [`ApiError::Refused`] with the words of its
//! problem (RFC 9457), which say what to do.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use serde::Deserialize;
use serde_json::{Value, json};
use session::Handle;
use tokio::time::timeout;

use crate::error::SendError;
use crate::link::Link;

/// The most bytes of an answer: a page of sessions, each as large as one may be.
const MAX_ANSWER: usize = 256 << 20;

/// The sessions of a server.
#[derive(Debug)]
pub struct Sessions {
    link: Arc<Link>,
    /// How long an answer may take.
    patience: Duration,
}

/// A page of what was searched.
#[derive(Debug, Deserialize)]
pub struct Page {
    /// The sessions, as the API shows them.
    pub sessions: Vec<Value>,
    /// The cursor of the next page; nothing at the end.
    pub next: Option<String>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// Nobody answers.
    #[error(transparent)]
    Unreachable(#[from] SendError),
    /// Nobody answers in time.
    #[error("{server} did not answer within {} s", .after.as_secs())]
    TooSlow {
        /// Which server.
        server: Box<str>,
        /// How long it was waited for.
        after: Duration,
    },
    /// It does not do it.
    #[error("{server} says {status}: {says}")]
    Refused {
        /// Which server.
        server: Box<str>,
        /// Its status.
        status: StatusCode,
        /// Why, and what to do.
        says: Box<str>,
    },
    /// It is no server of sessions, or one of another version.
    #[error("{server} answers something that cannot be read: {says}")]
    Nonsense {
        /// Which server.
        server: Box<str>,
        /// What is wrong with it.
        says: Box<str>,
    },
}

/// What is read of a problem.
#[derive(Deserialize)]
struct Problem {
    detail: Box<str>,
}

impl Sessions {
    /// Those of the server at the end of `link`, each of whose answers may take `patience`.
    #[must_use]
    pub const fn new(link: Arc<Link>, patience: Duration) -> Self {
        Self { link, patience }
    }

    /// A page of what `search` selects, as `POST /v1/find` takes it.
    ///
    /// # Errors
    /// There is no answer, or it is refused.
    pub async fn find(&self, search: &Value) -> Result<Page, ApiError> {
        let found = self.ask(Method::POST, "/v1/find", Some(search)).await?;
        serde_json::from_value(found).map_err(|error| self.nonsense(&error))
    }

    /// A live session.
    ///
    /// # Errors
    /// There is no answer, or no live session of this handle.
    pub async fn show(&self, handle: &Handle) -> Result<Value, ApiError> {
        self.ask(Method::GET, &format!("/v1/sessions/{handle}"), None).await
    }

    /// What became of a session.
    ///
    /// # Errors
    /// There is no answer, or it is refused.
    pub async fn why(&self, handle: &Handle) -> Result<Value, ApiError> {
        self.ask(Method::GET, &format!("/v1/sessions/{handle}/why"), None).await
    }

    /// Ends what `selector` selects, as `POST /v1/end` takes it, and gives the receipt.
    ///
    /// # Errors
    /// There is no answer, or it is refused.
    pub async fn end(&self, selector: &Value) -> Result<Value, ApiError> {
        self.ask(Method::POST, "/v1/end", Some(selector)).await
    }

    async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, ApiError> {
        let too_slow = || ApiError::TooSlow { server: self.link.name().into(), after: self.patience };
        let uri = self.link.uri(path).map_err(|error| self.nonsense(&error))?;
        let body = body.map(Value::to_string).unwrap_or_default();
        let mut request = Request::new(Full::new(Bytes::from(body)));
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let asking = async {
            let mut ready = self.link.ready().await?;
            let (response, _busy) = ready.send(&self.link, request).await?;
            let status = response.status();
            let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
            let body = body.map_err(|error| self.nonsense(&*error))?.to_bytes();
            self.answer(status, &body)
        };
        timeout(self.patience, asking).await.map_err(|_| too_slow())?
    }

    fn answer(&self, status: StatusCode, body: &[u8]) -> Result<Value, ApiError> {
        if status.is_success() {
            return serde_json::from_slice(body).map_err(|error| self.nonsense(&error));
        }
        let says = match serde_json::from_slice::<Problem>(body) {
            Ok(problem) => problem.detail,
            Err(_) => "it is no session server, or has no `[[client]]` that may use its API".into(),
        };
        Err(ApiError::Refused { server: self.link.name().into(), status, says })
    }

    fn nonsense(&self, error: &dyn std::fmt::Display) -> ApiError {
        ApiError::Nonsense { server: self.link.name().into(), says: error.to_string().into() }
    }
}

/// A selector of single sessions.
#[must_use]
pub fn of_handles(handles: &[Handle]) -> Value {
    let handles: Vec<_> = handles.iter().map(ToString::to_string).collect();
    json!({ "handles": handles })
}
