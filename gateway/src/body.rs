//! Bodies on their way through: streamed, never collected.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::Full;
use hyper::body::Incoming;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::hygiene::Presented;
use crate::patience::Patience;
use crate::phase::{Phase, Receiving, Serving};
use crate::settings::Limits;
use crate::stream::Taking;
use crate::trailers;
use crate::upstream::Download;

/// Why the body of a request did not arrive.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum InboundError {
    /// It stood still.
    #[error("the client stopped sending the body of its request")]
    TooSlow,
    /// It is larger than the configuration allows.
    #[error("the body of the request is larger than {0} bytes (`max_body_bytes`)")]
    TooLarge(u64),
    /// It broke off, or is malformed.
    #[error("the body of the request did not arrive whole: {0}")]
    Broken(Box<str>),
}

/// The most of a body that is kept to be sent again, in bytes.
const MAX_KEPT: usize = 64 << 10;

/// And in pieces, each of which may hold on to a larger one that it is a part of.
const MAX_KEPT_PIECES: usize = 16;

/// For how long a body is waited for that somebody still reads who cannot send it.
const LET_GO: Duration = Duration::from_secs(1);

/// The body of a request on its way to an application: bounded in bytes and patience, without trailers.
#[derive(Debug)]
pub(crate) struct Inbound {
    /// `None` if there is no body, as with most requests.
    flow: Option<Box<Flow>>,
    upload: Arc<Upload>,
}

/// A body that comes.
#[derive(Debug)]
struct Flow {
    /// What was kept and is sent again, before anything else.
    first: VecDeque<Bytes>,
    /// What the client sends; none if all of it was kept.
    source: Option<Incoming>,
    /// Whether what is read is kept.
    keeps: bool,
    patience: Patience,
    received: u64,
    max_bytes: Option<u64>,
    /// Until all of it is read, or nobody reads it any more.
    receiving: Option<Receiving>,
}

/// How far a request has come: its body, and for how long the application was waited for.
#[derive(Debug, Default)]
pub(crate) struct Upload {
    steps: AtomicU64,
    awaits_client: AtomicBool,
    has_ended: AtomicBool,
    /// In nanoseconds.
    waited: AtomicU64,
    visitor_has_left: AtomicBool,
    /// What was read, if that is to be kept and is not too much.
    kept: Mutex<Option<VecDeque<Bytes>>>,
    /// What is to come behind that, once whoever read it has given up.
    left: Mutex<Option<Box<Flow>>>,
    given_up: Notify,
}

impl Upload {
    /// How long the application was waited for.
    pub(crate) fn waited(&self) -> Duration {
        Duration::from_nanos(self.waited.load(Ordering::Relaxed))
    }

    /// The application was waited for, so long.
    pub(crate) fn wait(&self, duration: Duration) {
        self.waited.fetch_add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Changes whenever the body moves.
    pub(crate) fn steps(&self) -> u64 {
        self.steps.load(Ordering::Relaxed)
    }

    /// Whether the application would take more, and the client has not sent it.
    pub(crate) fn awaits_client(&self) -> bool {
        self.awaits_client.load(Ordering::Relaxed)
    }

    /// Whether all of it was read.
    pub(crate) fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::Relaxed)
    }

    /// Nobody waits for the answer any more.
    pub(crate) fn leave(&self) {
        self.visitor_has_left.store(true, Ordering::Relaxed);
    }

    /// Whether nobody waits for the answer any more.
    pub(crate) fn visitor_has_left(&self) -> bool {
        self.visitor_has_left.load(Ordering::Relaxed)
    }

    fn keep(&self, data: &Bytes) {
        let mut kept = self.kept.lock();
        let room = |kept: &VecDeque<Bytes>| {
            let bytes = kept.iter().fold(data.len(), |sum, piece| sum.saturating_add(piece.len()));
            bytes <= MAX_KEPT && kept.len() < MAX_KEPT_PIECES
        };
        match &mut *kept {
            Some(pieces) if room(pieces) => pieces.push_back(data.clone()),
            kept => *kept = None,
        }
    }

    /// What was kept is not needed any more.
    pub(crate) fn forget(&self) {
        *self.kept.lock() = None;
        *self.left.lock() = None;
    }

    /// Waits until whoever read the body has given it up, for a while: an application that ends a connection is heard before the
    /// body is let go.
    pub(crate) async fn given_up(&self) {
        let given_up = async {
            while !self.has_ended() && self.kept.lock().is_some() && self.left.lock().is_none() {
                self.given_up.notified().await;
            }
        };
        // Nobody gives it up: then it cannot be sent again.
        let _ = timeout(LET_GO, given_up).await;
    }

    fn step(&self) {
        self.awaits_client.store(false, Ordering::Relaxed);
        self.steps.fetch_add(1, Ordering::Relaxed);
    }

    fn end(&self) {
        self.has_ended.store(true, Ordering::Relaxed);
        self.step();
    }
}

impl Inbound {
    pub(crate) fn new(body: Incoming, limits: &Limits, phase: &Arc<Phase>) -> Self {
        let is_empty = body.is_end_stream();
        let upload = Arc::new(Upload { has_ended: is_empty.into(), ..Upload::default() });
        if is_empty {
            phase.receives_nothing();
            return Self { flow: None, upload };
        }
        let flow = Flow {
            first: VecDeque::new(),
            source: Some(body),
            keeps: false,
            receiving: Some(phase.receive()),
            patience: Patience::new(limits.body_timeout),
            received: 0,
            max_bytes: limits.max_body_bytes,
        };
        Self { flow: Some(Box::new(flow)), upload }
    }

    /// Other bounds for a body of which nothing was read yet, where a rule has some.
    pub(crate) fn bound(&mut self, timeout: Option<Duration>, max_bytes: Option<Option<u64>>) {
        let Some(flow) = &mut self.flow else { return };
        if let Some(timeout) = timeout {
            flow.patience = Patience::new(timeout);
        }
        if let Some(max_bytes) = max_bytes {
            flow.max_bytes = max_bytes;
        }
    }

    /// The body of a request that has none, once more.
    pub(crate) fn nothing(upload: &Arc<Upload>) -> Self {
        Self { flow: None, upload: Arc::clone(upload) }
    }

    /// Keeps what will be read: see [`Inbound::again`].
    pub(crate) fn keep(&mut self) {
        if let Some(flow) = &mut self.flow
            && flow.source.is_some()
            && flow.received == 0
        {
            *self.upload.kept.lock() = Some(VecDeque::new());
            flow.keeps = true;
        }
    }

    /// A body of which all was kept that was read, once more, and what is to come behind that.
    pub(crate) fn again(upload: &Arc<Upload>) -> Option<Self> {
        let first = upload.kept.lock().clone()?;
        let flow = if upload.has_ended() {
            Box::new(Flow {
                first,
                source: None,
                keeps: false,
                receiving: None,
                patience: Patience::new(Duration::ZERO),
                received: 0,
                max_bytes: None,
            })
        } else {
            let mut left = upload.left.lock().take()?;
            left.first = first;
            left
        };
        Some(Self { flow: Some(flow), upload: Arc::clone(upload) })
    }

    /// Whether there is none.
    pub(crate) fn is_nothing(&self) -> bool {
        self.is_end_stream()
    }

    /// How far it has come, also for whoever does not hold the body.
    pub(crate) const fn upload(&self) -> &Arc<Upload> {
        &self.upload
    }

    /// Whether the client itself says that it will be too large.
    pub(crate) fn announces_too_much(&self) -> Option<InboundError> {
        let max = self.flow.as_ref()?.max_bytes?;
        (self.size_hint().lower() > max).then_some(InboundError::TooLarge(max))
    }
}

/// All of a body was read.
fn end(upload: &Upload, receiving: &mut Option<Receiving>) {
    upload.end();
    if let Some(receiving) = receiving.take() {
        receiving.finish();
    }
}

impl HttpBody for Inbound {
    type Data = Bytes;
    type Error = InboundError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, InboundError>>> {
        let Self { flow, upload } = &mut *self;
        let Some(flow) = flow else { return Poll::Ready(None) };
        if let Some(piece) = flow.first.pop_front() {
            upload.step();
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        let Some(body) = &mut flow.source else {
            upload.step();
            return Poll::Ready(None);
        };
        loop {
            let frame = match Pin::new(&mut *body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => frame,
                Poll::Ready(Some(Err(error))) => {
                    return Poll::Ready(Some(Err(InboundError::Broken(error.to_string().into()))));
                }
                Poll::Ready(None) => {
                    end(upload, &mut flow.receiving);
                    return Poll::Ready(None);
                }
                Poll::Pending => {
                    upload.awaits_client.store(true, Ordering::Relaxed);
                    ready!(flow.patience.poll_exhausted(cx));
                    return Poll::Ready(Some(Err(InboundError::TooSlow)));
                }
            };
            // Trailers are dropped: an application would read them as headers that nobody has looked at.
            let Some(data) = frame.data_ref() else { continue };
            flow.patience.progress(data.len());
            upload.step();
            flow.received = flow.received.saturating_add(data.len() as u64);
            if let Some(max) = flow.max_bytes
                && flow.received > max
            {
                return Poll::Ready(Some(Err(InboundError::TooLarge(max))));
            }
            if flow.keeps {
                upload.keep(data);
            }
            if body.is_end_stream() {
                end(upload, &mut flow.receiving);
            }
            return Poll::Ready(Some(Ok(frame)));
        }
    }

    fn is_end_stream(&self) -> bool {
        self.flow.as_ref().is_none_or(|flow| {
            flow.first.is_empty() && flow.source.as_ref().is_none_or(HttpBody::is_end_stream)
        })
    }

    fn size_hint(&self) -> SizeHint {
        let Some(flow) = &self.flow else { return SizeHint::with_exact(0) };
        let first = flow.first.iter().fold(0, |sum: u64, piece| sum.saturating_add(piece.len() as u64));
        let mut hint = flow.source.as_ref().map_or_else(|| SizeHint::with_exact(0), HttpBody::size_hint);
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper.saturating_add(first));
        }
        hint.set_lower(hint.lower().saturating_add(first));
        hint
    }
}

impl Drop for Inbound {
    fn drop(&mut self) {
        // Nobody waits for the client any more.
        self.upload.step();
        let Some(flow) = self.flow.take_if(|flow| flow.keeps) else { return };
        // Under the lock: what is forgotten meanwhile is not put back.
        let kept = self.upload.kept.lock();
        if kept.is_some() {
            *self.upload.left.lock() = Some(flow);
            self.upload.given_up.notify_one();
        }
    }
}

/// The largest piece of an answer that HTTP/2 gets at once, in bytes. A client that takes less than one of them in its
/// time takes too little.
const PIECE: usize = 16 << 10;

/// The body of an answer: our own, or an application's, which passes as it comes.
#[derive(Debug)]
pub(crate) struct Outbound {
    source: Source,
    /// What came and was too large to be given in one piece.
    rest: Bytes,
    /// Whether a stream of HTTP/2 takes it.
    taking: Option<Arc<Taking>>,
    /// Until the body is gone the connection serves this request.
    _serving: Option<Serving>,
}

#[derive(Debug)]
enum Source {
    Own(Full<Bytes>),
    Application {
        body: Download,
        /// What must not be among the trailers; without it there are none.
        trailers: Option<Arc<Presented>>,
    },
}

impl Outbound {
    /// An application's, with trailers only if names are given that must not be among them.
    pub(crate) const fn application(body: Download, trailers: Option<Arc<Presented>>) -> Self {
        Self::of(Source::Application { body, trailers })
    }

    const fn of(source: Source) -> Self {
        Self { source, rest: Bytes::new(), taking: None, _serving: None }
    }

    /// Whether it is our own, and no application's.
    pub(crate) const fn is_own(&self) -> bool {
        matches!(self.source, Source::Own(_))
    }

    /// Taken by `taking`, if that is a stream of its own, and served until it is gone.
    pub(crate) fn with(self, serving: Serving, taking: Option<Arc<Taking>>) -> Self {
        Self { taking, _serving: Some(serving), ..self }
    }

    /// In pieces that are not too large.
    fn poll_piece(
        &mut self,
        taking: &Taking,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        taking.asked();
        if self.rest.is_empty() {
            match ready!(self.source.poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.rest = data,
                    Err(other) => return Poll::Ready(Some(Ok(other))),
                },
                end => return Poll::Ready(end),
            }
        }
        let piece = self.rest.split_to(self.rest.len().min(PIECE));
        taking.gave(piece.len());
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }
}

impl Source {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match self {
            Self::Own(body) => Pin::new(body).poll_frame(cx).map_err(|never| match never {}),
            Self::Application { body, trailers } => loop {
                let mut frame = match ready!(Pin::new(&mut *body).poll_frame(cx)) {
                    Some(Ok(frame)) => frame,
                    other => return Poll::Ready(other),
                };
                if let Some(fields) = frame.trailers_mut() {
                    let Some(ours) = trailers else { continue };
                    trailers::clean(fields, ours);
                    if fields.is_empty() {
                        continue;
                    }
                }
                return Poll::Ready(Some(Ok(frame)));
            },
        }
    }
}

impl From<Bytes> for Outbound {
    fn from(bytes: Bytes) -> Self {
        Self::of(Source::Own(Full::new(bytes)))
    }
}

impl HttpBody for Outbound {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match self.taking.clone() {
            None => self.source.poll_frame(cx),
            Some(taking) => self.poll_piece(&taking, cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
            && match &self.source {
                Source::Own(body) => body.is_end_stream(),
                Source::Application { body, .. } => body.is_end_stream(),
            }
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = match &self.source {
            Source::Own(body) => body.size_hint(),
            Source::Application { body, .. } => body.size_hint(),
        };
        let rest = self.rest.len() as u64;
        if rest > 0 {
            if let Some(upper) = hint.upper() {
                hint.set_upper(upper.saturating_add(rest));
            }
            hint.set_lower(hint.lower().saturating_add(rest));
        }
        hint
    }
}
