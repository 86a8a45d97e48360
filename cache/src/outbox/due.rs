//! What waits in the outbox, and how it is written down.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use session::wire::{Damaged, Reader, Writer};
use session::{Ending, Handle, Late, Millis, Why};
use storage::{Burial, Version};

use crate::end_where::End;
use crate::scope::Scope;

/// What is to be ended. In an order, so that whoever repeats ends can go on behind the one that failed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Target {
    /// A session that was seen.
    Session(Handle),
    /// The session of this ticket, if it is one: nobody could look. What is kept of the secret is its hash.
    Ticket(Handle, [u8; 32]),
    /// All sessions of a scope, such as those of a person.
    Scope(Scope),
}

impl Target {
    /// All tickets lie between these.
    pub(crate) const FIRST_TICKET: Self = Self::Ticket(Handle::from_bytes([0; 16]), [0; 32]);
    pub(crate) const LAST_TICKET: Self = Self::Ticket(Handle::from_bytes([0xff; 16]), [0xff; 32]);

    /// The first and the last that a ticket for this handle could be.
    pub(crate) const fn tickets(handle: Handle) -> (Self, Self) {
        (Self::Ticket(handle, [0; 32]), Self::Ticket(handle, [0xff; 32]))
    }
}

/// For the log: no hash is shown, and a fingerprint says nothing to anybody.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Session(handle) => handle.fmt(f),
            Self::Ticket(handle, _) => write!(f, "{handle}, which nobody could look at"),
            Self::Scope(Scope::Person(_) | Scope::Index(_) | Scope::Issued(_)) => {
                f.write_str("those of one person")
            }
            Self::Scope(Scope::Realm(_)) => f.write_str("those of a realm"),
            Self::Scope(Scope::Everybody) => f.write_str("those of everybody"),
        }
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An end that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Waiting {
    /// Of a session on the server.
    Burial(Burial),
    /// Of one that its visitor carries, whose cookies could come back until then.
    Carried(Ending, Millis),
    /// Of one that nobody could look at.
    Unseen(Unseen),
    /// Of all sessions of a scope that were opened until then.
    All(End),
}

/// A ticket with which somebody left, while nobody could say what it is worth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unseen {
    pub(crate) ending: Ending,
    /// Where it was presented: a session of another realm is not meant.
    pub(crate) realm: Arc<str>,
    /// Whether all other sessions of its owner are meant as well.
    pub(crate) is_everywhere: bool,
    /// Who presented it; not written down.
    pub(crate) from: Option<IpAddr>,
}

impl Waiting {
    pub(crate) const fn ending(&self) -> &Ending {
        match self {
            Self::Burial(burial) => &burial.ending,
            Self::Carried(ending, _) => ending,
            Self::All(end) => &end.ending,
            Self::Unseen(unseen) => &unseen.ending,
        }
    }

    /// Whether this says nothing that `earlier` does not say: the first end of a session counts.
    pub(crate) const fn is_said_by(&self, earlier: &Self) -> bool {
        match (self, earlier) {
            (Self::Burial(_), Self::Burial(_)) | (Self::Carried(..), Self::Carried(..)) => true,
            (Self::Unseen(now), Self::Unseen(earlier)) => earlier.is_everywhere || !now.is_everywhere,
            _ => false,
        }
    }
}

/// A line of the journal.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line {
    Waits(Target, Waiting),
    Done(Target),
}

const DONE: u64 = 0;
const WAITS: u64 = 1;

const SESSION: u64 = 1;
const TICKET: u64 = 2;
const SCOPE: u64 = 3;

const BURIAL: u64 = 1;
const CARRIED: u64 = 2;
const UNSEEN: u64 = 3;
const ALL: u64 = 4;

pub(crate) fn encode_done(target: &Target) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.number(DONE);
    write_target(&mut writer, target);
    writer.into_bytes()
}

pub(crate) fn encode_waiting(target: &Target, waiting: &Waiting) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.number(WAITS);
    write_target(&mut writer, target);
    let ending = waiting.ending();
    writer.number(ending.at.0);
    writer.text(ending.why.as_str());
    writer.text(&ending.actor());
    match waiting {
        Waiting::Burial(burial) => {
            writer.number(BURIAL);
            write_option(&mut writer, burial.until.map(|until| until.0));
            write_option(&mut writer, burial.expected.map(|version| version.0));
        }
        Waiting::Carried(_, until) => {
            writer.number(CARRIED);
            writer.number(until.0);
        }
        Waiting::Unseen(unseen) => {
            writer.number(UNSEEN);
            writer.text(&unseen.realm);
            writer.number(unseen.is_everywhere.into());
        }
        Waiting::All(end) => {
            writer.number(ALL);
            write_option(&mut writer, end.before.map(|before| before.0));
            write_option(&mut writer, end.late.map(|late| late.issued.0));
            write_option(&mut writer, end.late.map(|late| late.until.0));
        }
    }
    writer.into_bytes()
}

/// Reads a line; what a newer build adds to it is skipped.
pub(crate) fn decode(body: &[u8]) -> Result<Line, Damaged> {
    let mut reader = Reader::new(body);
    let kind = reader.number()?;
    let target = read_target(&mut reader)?;
    match kind {
        DONE => return Ok(Line::Done(target)),
        WAITS => {}
        _ => return Err(Damaged("this build does not know such a line")),
    }
    let at = Millis(reader.number()?);
    // A reason of a newer build ends it as well.
    let why = reader.text()?.parse().unwrap_or(Why::Revoked);
    let ending = Ending::of_actor(at, why, &reader.text()?);
    let waiting = match reader.number()? {
        BURIAL => {
            let until = read_option(&mut reader)?.map(Millis);
            let expected = read_option(&mut reader)?.map(Version);
            Waiting::Burial(Burial { until, ending, expected })
        }
        CARRIED => Waiting::Carried(ending, Millis(reader.number()?)),
        UNSEEN => Waiting::Unseen(Unseen {
            ending,
            realm: reader.text()?.into(),
            is_everywhere: reader.number()? != 0,
            from: None,
        }),
        ALL => {
            let before = read_option(&mut reader)?.map(Millis);
            let (issued, until) = (read_option(&mut reader)?, read_option(&mut reader)?);
            let late = issued
                .zip(until)
                .map(|(issued, until)| Late { issued: Millis(issued), until: Millis(until) });
            Waiting::All(End { ending, before, late })
        }
        _ => return Err(Damaged("this build does not know such an end")),
    };
    Ok(Line::Waits(target, waiting))
}

fn write_target(writer: &mut Writer, target: &Target) {
    match target {
        Target::Session(handle) => {
            writer.number(SESSION);
            writer.raw(handle.as_bytes());
        }
        Target::Ticket(handle, hash) => {
            writer.number(TICKET);
            writer.raw(handle.as_bytes());
            writer.raw(hash);
        }
        Target::Scope(scope) => {
            writer.number(SCOPE);
            writer.bytes(&scope.name());
        }
    }
}

fn read_target(reader: &mut Reader<'_>) -> Result<Target, Damaged> {
    Ok(match reader.number()? {
        SESSION => Target::Session(Handle::from_bytes(reader.array()?)),
        TICKET => Target::Ticket(Handle::from_bytes(reader.array()?), reader.array()?),
        SCOPE => Target::Scope(
            Scope::read(reader.bytes()?).ok_or(Damaged("this build does not know such a scope"))?,
        ),
        _ => return Err(Damaged("this build does not know whose end it is")),
    })
}

fn write_option(writer: &mut Writer, number: Option<u64>) {
    writer.number(number.is_some().into());
    if let Some(number) = number {
        writer.number(number);
    }
}

fn read_option(reader: &mut Reader<'_>) -> Result<Option<u64>, Damaged> {
    if reader.number()? == 0 { Ok(None) } else { reader.number().map(Some) }
}
