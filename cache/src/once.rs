//! Opening a session once, however often it is asked for: whoever did not hear the answer asks again under the same key.
//!
//! A note says what was asked under the key, and which session that opened. It is written before the session, so that
//! whoever repeats finds it, here or on another node. The ticket lies in it sealed under what the client proves itself with, and the key,
//! neither of which is in storage: a stolen database opens no session with it.
//!
//! While somebody is opening it, others who ask the same are told to wait. Whoever finds an opening that was given up looks whether
//! the session is there all the same, and else opens another one in its place.

use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use bytes::Bytes;
use session::{Handle, Millis, Secret, Ticket};
use storage::{
    Applied, Create, Key, NewRecord, NewValue, Read, Times, Unavailable, Update, Version, WriteId,
};
use zeroize::Zeroizing;

use crate::Cache;
use crate::admit::LoggedOut;
use crate::application::Application;
use crate::open::{Begin, Opened, Opening};

/// How long it is remembered what a key has opened.
pub const REMEMBERED: Duration = Duration::from_hours(24);

pub(crate) const CONTEXT: &str = "once";

/// What a ticket is sealed for.
const SEALED_FOR: &str = "opened once";
/// How long somebody may take who opens a session. Nobody waits for storage as long.
const UNDER_WAY: Duration = Duration::from_mins(1);
/// How often it is tried against others.
const MAX_ROUNDS: usize = 8;
/// How notes are written.
const FORMAT: u8 = 1;

/// One request, by whom and under which key. It is not shown.
pub struct Once {
    name: [u8; 32],
    /// What the ticket is sealed under.
    under: Zeroizing<[u8; 32]>,
    request: [u8; 32],
}

/// What became of an opening that may have been asked for before.
#[derive(Debug)]
pub enum OpenOnce {
    /// There is a session, which was opened now.
    Opened(Opened),
    /// There is the one that was opened before; this was its ticket.
    Again(Ticket),
    /// There is none: a logout came before it.
    LoggedOut(LoggedOut),
    /// Something else was asked under this key, or somebody else asks.
    Another,
    /// Somebody is opening it.
    UnderWay,
    /// The one that was opened before is over.
    Over(Handle),
}

/// Whether something was asked under a key.
enum Asked {
    /// It was, and this is the answer.
    Before(OpenOnce),
    /// It was not, or nothing came of it: the version of the note that says so.
    First(Option<Version>),
}

/// What is known of a key.
struct Note {
    is_done: bool,
    /// When the opening began; 0 if nothing came of it.
    since: Millis,
    request: [u8; 32],
    handle: Handle,
    sealed: Vec<u8>,
}

impl Once {
    /// What `client`, who proved itself by what has the hash `proof`, asks for with `request` under `key`.
    #[must_use]
    pub fn new(client: &str, proof: &[u8; 32], key: &str, request: &[u8]) -> Self {
        let (client, key) = (client.as_bytes(), key.as_bytes());
        Self {
            name: hash(&[b"name", client, key]),
            under: Zeroizing::new(hash(&[b"under", proof, client, key])),
            request: hash(&[request]),
        }
    }
}

impl std::fmt::Debug for Once {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Once(..)")
    }
}

impl Cache {
    /// Opens a session, unless that was done before: then it says which one it was.
    pub async fn open_once(
        &self,
        once: &Once,
        opening: &Opening,
        application: &Application,
    ) -> Result<OpenOnce, Unavailable> {
        let key = Key::new(CONTEXT, &once.name).map_err(|error| self.unavailable(error))?;
        for _ in 0..MAX_ROUNDS {
            let now = self.clock.now();
            let before = match self.asked(&key, once, now).await? {
                Asked::Before(answer) => return Ok(answer),
                Asked::First(version) => version,
            };
            let ticket = Ticket::random().map_err(|error| self.unavailable(error))?;
            let mut note = Note::of(&ticket, once, now).map_err(|error| self.unavailable(error))?;
            let Some(version) = self.note(&key, &note, before).await? else { continue };
            let begun = self.begin(&ticket, now, opening, application).await;
            note.is_done = matches!(begun, Ok(Begin::Begun(_)));
            let may_be_there =
                note.is_done || begun.as_ref().is_err_and(|error| error.applied != Applied::No);
            if !may_be_there {
                note.since = Millis(0);
            }
            // Without it, whoever repeats waits a little longer, or finds the session.
            if let Err(error) = self.note(&key, &note, Some(version)).await {
                tracing::debug!(%error, "what became of an opening was not noted");
            }
            match begun? {
                Begin::Begun(session) => return Ok(OpenOnce::Opened(Opened { session, ticket })),
                Begin::LoggedOut(logged_out) => return Ok(OpenOnce::LoggedOut(logged_out)),
                Begin::Taken | Begin::Buried(_) => {}
            }
        }
        Err(self.unavailable(format!("{MAX_ROUNDS} others opened this session meanwhile")))
    }

    /// What comes of this request if it was made before; nothing, if it is the first. For whoever asks something of a new
    /// session that is not to be asked of one that is there.
    pub async fn opened_before(&self, once: &Once) -> Result<Option<OpenOnce>, Unavailable> {
        let key = Key::new(CONTEXT, &once.name).map_err(|error| self.unavailable(error))?;
        Ok(match self.asked(&key, once, self.clock.now()).await? {
            Asked::Before(answer) => Some(answer),
            Asked::First(_) => None,
        })
    }

    /// What the note at `key` says of a request.
    async fn asked(&self, key: &Key, once: &Once, now: Millis) -> Result<Asked, Unavailable> {
        let record = match self.storage.read(key, None).await? {
            Read::Found(record) => record,
            Read::Absent | Read::Buried(_) | Read::Unchanged(_) => return Ok(Asked::First(None)),
        };
        let Some(note) = Note::decode(&record.value) else {
            return Err(self.unavailable("what was opened under this key cannot be read"));
        };
        if note.request != once.request {
            return Ok(Asked::Before(OpenOnce::Another));
        }
        let Some(ticket) = note.ticket(once) else { return Ok(Asked::Before(OpenOnce::Another)) };
        Ok(match self.show(&note.handle).await? {
            Some(_) => Asked::Before(OpenOnce::Again(ticket)),
            None if note.is_done => Asked::Before(OpenOnce::Over(note.handle)),
            None if now.since(note.since) < UNDER_WAY => Asked::Before(OpenOnce::UnderWay),
            None => Asked::First(Some(record.version)),
        })
    }

    /// Writes a note in the place of the one with this version, or of none; its version, if nobody was faster.
    async fn note(
        &self,
        key: &Key,
        note: &Note,
        before: Option<Version>,
    ) -> Result<Option<Version>, Unavailable> {
        let value = Bytes::from(note.encode());
        let now = self.clock.now();
        let times = Times { touched: now, expires: now.plus(REMEMBERED) };
        let write = WriteId::random().map_err(|error| self.unavailable(error))?;
        let Some(expected) = before else {
            return Ok(match self.storage.create(key, NewRecord::new(value, times, write)).await? {
                Create::Created(version) => Some(version),
                Create::Exists | Create::Buried(_) => None,
            });
        };
        let new = NewValue { expected, value, times: Some(times), write, is_end: false };
        Ok(match self.storage.update(key, new).await? {
            Update::Updated(version) => Some(version),
            Update::Conflict(_) | Update::Absent | Update::Buried(_) => None,
        })
    }
}

impl Note {
    fn of(ticket: &Ticket, once: &Once, since: Millis) -> Result<Self, seal::SealError> {
        let sealed = seal::seal_under(&once.under, SEALED_FOR, ticket.secret.expose())?;
        Ok(Self { is_done: false, since, request: once.request, handle: ticket.handle, sealed })
    }

    /// What it opened; none, if it was sealed for somebody else.
    fn ticket(&self, once: &Once) -> Option<Ticket> {
        let secret = Zeroizing::new(seal::open_under(&once.under, SEALED_FOR, &self.sealed).ok()?);
        let secret: [u8; 32] = secret.as_slice().try_into().ok()?;
        Some(Ticket { handle: self.handle, secret: Secret::from_bytes(secret) })
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![FORMAT, u8::from(self.is_done)];
        bytes.extend(self.since.0.to_be_bytes());
        bytes.extend(self.request);
        bytes.extend(self.handle.as_bytes());
        bytes.extend(&self.sealed);
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (&[format, is_done], rest) = bytes.split_first_chunk::<2>()?;
        let (since, rest) = rest.split_first_chunk::<8>()?;
        let (request, rest) = rest.split_first_chunk::<32>()?;
        let (handle, sealed) = rest.split_first_chunk::<16>()?;
        (format == FORMAT).then(|| Self {
            is_done: is_done != 0,
            since: Millis(u64::from_be_bytes(*since)),
            request: *request,
            handle: Handle::from_bytes(*handle),
            sealed: sealed.to_vec(),
        })
    }
}

fn hash(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    hash
}
