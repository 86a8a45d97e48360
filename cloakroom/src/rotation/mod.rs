//! Keys that follow one another by themselves: made, announced, used, retired and removed, by several nodes at once.
//!
//! [`schedule`] says in which state a key is, from time alone. [`folder`] holds the keys, one file each, in a folder that
//! all nodes share. [`Rotation`] is one node's view of it: what it has read and what is to be done. [`keeper`] lets it
//! look again and again while the program runs.

pub mod folder;
pub mod keeper;
pub mod schedule;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use seal::{Key, KeyRing, KeyState};
use session::Millis;

use self::folder::{Dated, Folder};
use self::schedule::{Dates, Schedule, Stage};
use crate::configuration::{Configuration, KeyRotation};
use crate::key_files::{self, KeyFileError};

/// One node's view of the keys.
#[derive(Debug, Clone)]
pub struct Rotation {
    folder: Folder,
    schedule: Schedule,
    /// Keys that are named in the configuration, or were there before: they open, and seal as long as no key of the
    /// folder does.
    named: Arc<[Key]>,
    keys: Vec<Arc<Dated>>,
}

/// What happened in the folder, for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// This node made the next key.
    Made(Dates),
    /// This node removed a key: what it sealed is dead.
    Removed(Dates),
    /// A file that has the name of a key is none, or not for us. What was known of it is kept.
    Unreadable(String),
    /// All keys are gone from the folder: it is taken for one that is not mounted, and the keys are kept.
    Emptied,
    /// A key was removed by somebody else before its time: it opens nothing any more.
    Revoked(Dates),
    /// The clock of this node is so far from that of the folder that it makes and removes nothing.
    Skewed(Duration),
}

impl Rotation {
    /// A view that has not looked yet.
    #[must_use]
    pub fn new(folder: Folder, schedule: Schedule, named: Vec<Key>) -> Self {
        Self { folder, schedule, named: named.into(), keys: Vec::new() }
    }

    /// The rotation of a configuration, if it has one. Nothing is read but the keys that are named beside it.
    pub fn configured(configuration: &Configuration) -> Result<Option<Self>, KeyFileError> {
        let Some(KeyRotation { folder, schedule }) = configuration.key_rotation.clone() else {
            return Ok(None);
        };
        let before = key_files::default_key(&configuration.data_dir);
        let named = match configuration.keys.as_slice() {
            // What was sealed before there was a rotation still opens.
            [] if before.file.exists() => std::slice::from_ref(&before),
            named => named,
        };
        let named = named.iter().map(key_files::load).collect::<Result<_, _>>()?;
        Ok(Some(Self::new(Folder::at(folder), schedule, named)))
    }

    /// The schedule.
    #[must_use]
    pub const fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    /// The folder.
    #[must_use]
    pub const fn folder(&self) -> &Folder {
        &self.folder
    }

    /// Reads the folder for the first time, and makes the first key if there is none.
    pub fn open(&mut self, now: Millis) -> Result<Vec<Event>, KeyFileError> {
        self.folder.prepare()?;
        let mut events = self.look(now)?;
        if self.keys.is_empty() {
            // Nobody has sealed yet with any key of this folder. Only where another key seals, there is time.
            let wait = if self.can_seal_without() { self.schedule.announce } else { Duration::ZERO };
            events.extend(self.make(Dates { active: now.plus(wait), number: 1, made: now })?);
        }
        Ok(events)
    }

    /// Looks into the folder, and does what is due if the clock can be trusted.
    pub fn attend(&mut self, now: Millis) -> Result<Vec<Event>, KeyFileError> {
        let mut events = self.look(now)?;
        if events.contains(&Event::Emptied) || !self.is_due(now) {
            return Ok(events);
        }
        let skew = self.folder.skew(now)?;
        if skew > self.schedule.skew() {
            events.push(Event::Skewed(skew));
            return Ok(events);
        }
        events.extend(self.maintain(now)?);
        self.folder.tidy(SystemTime::now())?;
        Ok(events)
    }

    /// Reads the folder. What cannot be read is kept as it is known: an outage is no revocation.
    pub fn look(&mut self, now: Millis) -> Result<Vec<Event>, KeyFileError> {
        let found = self.folder.read()?;
        let mut events = Vec::new();
        let mut keys: Vec<Arc<Dated>> = found.keys.into_iter().map(Arc::new).collect();
        for (number, error) in found.unreadable {
            events.push(Event::Unreadable(error.to_string()));
            keys.extend(self.keys.iter().find(|known| known.dates.number == number).cloned());
        }
        keys.sort_by_key(|key| key.dates);
        if keys.is_empty() && !self.keys.is_empty() {
            events.push(Event::Emptied);
            return Ok(events);
        }
        // Another node may have removed what is over a little earlier than this one would have.
        let over = self.over(now.plus(self.schedule.announce));
        let gone = self.keys.iter().map(|known| known.dates);
        let gone = gone.filter(|known| !keys.iter().any(|key| key.dates == *known) && !over.contains(known));
        events.extend(gone.map(Event::Revoked));
        self.keys = keys;
        Ok(events)
    }

    /// Makes the next key if it is time, and removes those that are over.
    pub fn maintain(&mut self, now: Millis) -> Result<Vec<Event>, KeyFileError> {
        let mut events = Vec::new();
        if let Some(next) = self.due(now) {
            events.extend(self.make(next)?);
        }
        for dates in self.over(now) {
            self.folder.remove(dates.number)?;
            self.keys.retain(|key| key.dates != dates);
            events.push(Event::Removed(dates));
        }
        Ok(events)
    }

    /// Whether there is anything to do at `now`: only then the clock matters.
    #[must_use]
    pub fn is_due(&self, now: Millis) -> bool {
        self.due(now).is_some() || !self.over(now).is_empty()
    }

    /// Begins a rotation by hand: staged like every one, or at once. If one is under way, or another node was faster,
    /// that one is the answer, and nothing is made.
    pub fn rotate(&mut self, now: Millis, at_once: bool) -> Result<(Dates, bool), KeyFileError> {
        loop {
            let last = self.keys.last().map(|key| key.dates);
            if let Some(announced) = last.filter(|last| last.active > now && !at_once) {
                return Ok((announced, false));
            }
            let wait = if at_once { Duration::ZERO } else { self.schedule.announce };
            let wanted = Dates { active: now.plus(wait), number: self.next_number(), made: now };
            let made = !self.make(wanted)?.is_empty();
            let there = self.keys.iter().map(|key| key.dates).find(|dates| dates.number == wanted.number);
            match there {
                // Somebody began a staged rotation, and this one cannot wait for it. The next number is free.
                Some(there) if !made && at_once && there.active > now => {}
                there => return Ok((there.unwrap_or(wanted), made)),
            }
        }
    }

    /// The keys with their stages, those of the folder in their order.
    pub fn stages(&self, now: Millis) -> Vec<(&Key, Dates, Stage)> {
        let dates: Vec<Dates> = self.keys.iter().map(|key| key.dates).collect();
        let stages = self.schedule.stages(&dates, now).map(|(_, stage)| stage);
        self.keys.iter().zip(stages).map(|(key, stage)| (&key.key, key.dates, stage)).collect()
    }

    /// The ring of this moment.
    pub fn ring(&self, now: Millis) -> Result<KeyRing, KeyFileError> {
        let mut ring: Vec<Key> = self
            .stages(now)
            .into_iter()
            .filter_map(|(key, _, stage)| stage.state.map(|state| key.in_state(state)))
            .collect();
        let seals = |keys: &[Key]| keys.iter().any(|key| key.state() == KeyState::Active);
        if !seals(&ring) && !self.can_seal_without() {
            // The first key of all, seen by a node whose clock is behind; or somebody removed the one that sealed.
            if let Some(first) = ring.first_mut() {
                *first = first.in_state(KeyState::Active);
            }
        }
        let named = self.named.iter().map(|key| key.in_state(key.state()));
        ring.extend(named);
        Ok(KeyRing::new(ring)?)
    }

    /// When the ring will be another one, if nothing happens in the folder.
    #[must_use]
    pub fn next_change(&self, now: Millis) -> Millis {
        self.stages(now)
            .into_iter()
            .map(|(.., stage)| stage.until)
            .filter(|until| *until > now)
            .min()
            .unwrap_or(Millis::NEVER)
    }

    /// The keys beside the folder.
    #[must_use]
    pub fn named(&self) -> &[Key] {
        &self.named
    }

    fn can_seal_without(&self) -> bool {
        self.named.iter().any(|key| key.state() == KeyState::Active)
    }

    fn due(&self, now: Millis) -> Option<Dates> {
        let last = self.keys.last()?;
        let active = self.schedule.due(&last.dates, now)?;
        Some(Dates { active, number: self.next_number(), made: now })
    }

    fn over(&self, now: Millis) -> Vec<Dates> {
        let over = |(_, dates, stage): (&Key, Dates, Stage)| stage.state.is_none().then_some(dates);
        self.stages(now).into_iter().filter_map(over).collect()
    }

    /// A number is never used again while a key with it, or one after it, is there.
    fn next_number(&self) -> u32 {
        self.keys.iter().map(|key| key.dates.number).max().unwrap_or(0).saturating_add(1)
    }

    /// Makes a key, or finds that another node did, and takes over what is there now.
    fn make(&mut self, wanted: Dates) -> Result<Vec<Event>, KeyFileError> {
        let made = self.folder.make(wanted)?;
        self.look(wanted.made)?;
        Ok(if made { vec![Event::Made(wanted)] } else { Vec::new() })
    }
}
