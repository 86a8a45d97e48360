//! `[key_rotation]`: keys that follow one another by themselves.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::application::{Application, Carrier};
use super::document::Place;
use super::form::{Span, Text, shown_duration};
use super::key_file::KeyFile;
use super::names::FileName;
use super::section::Section;
use crate::rotation::folder::number;
use crate::rotation::schedule::Schedule;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

/// How long the form of a login can be sent after it was shown, which is sealed too.
const LOGIN_FORM: Duration = HOUR;
/// So much longer than its session a record can be there.
const RECORD_OUTLIVES: Duration = HOUR;
/// More keys than this at a time are a mistake: each value names one of them.
const MAX_KEYS: u32 = 200;

/// How keys are made and retired.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRotation {
    /// The folder of the keys, shared by all nodes.
    pub folder: PathBuf,
    /// When keys are made, used and removed.
    pub schedule: Schedule,
}

/// What is sealed, as far as it says how long keys must be kept.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SealedUse<'a> {
    pub(crate) applications: &'a [Application],
    /// Whether the storage of the sessions has `seal = true`.
    pub(crate) is_storage_sealed: bool,
    pub(crate) data_dir: &'a Path,
    pub(crate) keys: &'a [(KeyFile, Place, Place)],
}

impl KeyRotation {
    pub(crate) fn read(section: &mut Section<'_>, sealed: SealedUse<'_>) -> Self {
        let folder = section.optional(
            "folder",
            &Text(FileName),
            PathBuf::from("keys"),
            "The folder of the keys. Several nodes share one, and none starts before it is mounted. Relative to the folder of \
             this file. Left out: `keys` in `data_dir`.",
        );
        let every = section.value(
            "every",
            &Span::between(SECOND * 10, DAY * 3650),
            DAY * 30,
            "How long a key seals before the next one does.",
        );
        let announce = section.value(
            "announce",
            &Span::between(SECOND * 2, DAY * 30),
            HOUR,
            "How long every node can open with a key before the first one seals with it. The clocks of two nodes may differ by \
             half of it.",
        );
        let longest = sealed.longest_life();
        let keep = section.following(
            "keep",
            &Span::between(SECOND, DAY * 3650).or_zero("keys are never removed"),
            longest.unwrap_or(Duration::ZERO),
            "the longest life of what is sealed",
            "How long a key still opens after it has sealed its last value. At least the longest `lifetime` of what is sealed.",
        );
        let schedule = Schedule { every, announce, keep };
        sealed.check(section, longest, &schedule);
        let folder = match folder {
            Some(folder) => section.document().folder.join(folder),
            None => sealed.data_dir.join("keys"),
        };
        Self { folder, schedule }
    }
}

impl SealedUse<'_> {
    /// How long a sealed value can be alive; nothing: without an end.
    fn longest_life(&self) -> Option<Duration> {
        self.applications.iter().try_fold(LOGIN_FORM, |longest, application| {
            let life = match application.carrier {
                Carrier::None => Duration::ZERO,
                Carrier::Ticket if !self.is_storage_sealed && application.recovery.is_empty() => {
                    Duration::ZERO
                }
                Carrier::Ticket | Carrier::Sealed
                    if !application.idle_timeout.is_zero() && !self.is_storage_sealed =>
                {
                    // A cookie is sealed anew while it is used.
                    application.idle_timeout + application.touch_interval * 2
                }
                // The record is not written when its session is only used: it keeps its seal from the first day on.
                Carrier::Ticket | Carrier::Sealed if application.lifetime.is_zero() => return None,
                Carrier::Ticket | Carrier::Sealed => application.lifetime + RECORD_OUTLIVES,
            };
            Some(longest.max(life))
        })
    }

    fn check(&self, section: &Section<'_>, longest: Option<Duration>, schedule: &Schedule) {
        let Schedule { every, announce, keep } = *schedule;
        if every < announce * 2 {
            let message = format!(
                "a key would seal for {} and be announced for {}",
                shown_duration(every),
                shown_duration(announce)
            );
            section.wrong("every", message, "let `every` be at least twice `announce`");
        }
        match longest {
            _ if keep.is_zero() => {}
            Some(longest) if keep >= longest => {
                let keys = (keep + announce * 2).as_millis() / every.as_millis().max(1);
                if keys >= u128::from(MAX_KEYS) {
                    let message = format!("there would be {keys} keys at a time");
                    section.wrong(
                        "every",
                        message,
                        format!("let there be at most {MAX_KEYS}: say a longer `every`"),
                    );
                }
            }
            Some(longest) => {
                let message = format!(
                    "keys would be removed after {}, and what they sealed can live for {}",
                    shown_duration(keep),
                    shown_duration(longest)
                );
                section.wrong(
                    "keep",
                    message,
                    format!("say `keep = \"{}\"` or more", shown_duration(longest)),
                );
            }
            None => {
                let message = "keys would be removed, and sessions without a `lifetime` that lie sealed in storage can live \
                               for ever";
                section.wrong("keep", message, "give every application a `lifetime`, or say `keep = \"0s\"`");
            }
        }
        for (key, place, _) in
            self.keys.iter().filter(|(key, ..)| number(&format!("{}.key", key.id)).is_some())
        {
            let message = format!("`{}` is how keys are named that follow one another", key.id);
            section.document().wrong(place, message, "give this key another id");
        }
    }
}
