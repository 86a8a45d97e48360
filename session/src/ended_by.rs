//! What a counter holds: how the sessions behind it ended, and for whom it waits.
//!
//! A counter is the *version* of a record; this is its value. It is only read where a session is opened, and where somebody asks
//! why one ended.
//!
//! ```text
//! value = 0xC1 format(=1) field*      or, as the first builds wrote it, the text of who it was
//! field = tag:varint length:varint content
//! ```
//!
//! No text begins with 0xC1. Tags that are not known are treated as in [the record of a session](crate::record).

use crate::record::Malformed;
use crate::wire::{Reader, Writer};
use crate::{Ending, Late, Millis, Why};

const MAGIC: u8 = 0xC1;
const FORMAT: u8 = 1;

const AT: u64 = 1;
const WHY: u64 = 3;
const ACTOR: u64 = 5;
const LATE: u64 = 7;

/// How many logouts one counter waits with. Each that is not needed beside the others is left out before that.
const MOST_LATE: usize = 16;

/// How all sessions of somebody ended at last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndedBy {
    /// The latest of the ends.
    pub ending: Ending,
    /// The logouts that still refuse late logins.
    late: Vec<Late>,
}

impl EndedBy {
    /// An end that refuses nobody who comes late.
    #[must_use]
    pub const fn new(ending: Ending) -> Self {
        Self { ending, late: Vec::new() }
    }

    /// The logout that refuses a login which was proved at `proved`, if one does: the one that does so for longest.
    #[must_use]
    pub fn refuses(&self, proved: Option<Millis>, now: Millis) -> Option<Late> {
        self.late.iter().copied().filter(|late| late.refuses(proved, now)).max_by_key(|late| late.until)
    }

    /// This end waits for late logins as well, and with what waited before it.
    pub fn wait(&mut self, late: impl IntoIterator<Item = Late>, before: &[Late], now: Millis) {
        for late in before.iter().copied().chain(late) {
            if late.until <= now || self.waits_as(late) {
                continue;
            }
            self.late.retain(|known| known.issued > late.issued || known.until > late.until);
            self.late.push(late);
            if self.late.len() > MOST_LATE {
                // Who is in doubt is refused.
                let issued = self.late.iter().map(|late| late.issued).max().unwrap_or(late.issued);
                let until = self.late.iter().map(|late| late.until).max().unwrap_or(late.until);
                self.late = vec![Late { issued, until }];
            }
        }
    }

    /// The logouts that still wait.
    #[must_use]
    pub fn late(&self) -> &[Late] {
        &self.late
    }

    /// Whether it refuses whom this logout refuses, and for as long.
    #[must_use]
    pub fn waits_as(&self, late: Late) -> bool {
        self.late.iter().any(|known| known.issued >= late.issued && known.until >= late.until)
    }

    /// Until when it waits for somebody: so long its record must stay.
    #[must_use]
    pub fn until(&self) -> Millis {
        self.late.iter().map(|late| late.until).max().unwrap_or(Millis(0))
    }

    /// The bytes of it.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new(&[MAGIC, FORMAT]);
        writer.field(AT, |field| field.number(self.ending.at.0));
        writer.field(WHY, |field| field.raw(self.ending.why.as_str().as_bytes()));
        writer.field(ACTOR, |field| field.raw(self.ending.actor().as_bytes()));
        for late in &self.late {
            writer.field(LATE, |field| {
                field.number(late.issued.0);
                field.number(late.until.0);
            });
        }
        writer.into_bytes()
    }

    /// The end in `bytes`, which were written at `written`.
    pub fn decode(bytes: &[u8], written: Millis) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        if bytes.first() != Some(&MAGIC) {
            return Ok(Self::new(Ending::of_actor(written, Why::Revoked, reader.rest_as_text()?)));
        }
        match (reader.byte()?, reader.byte()?) {
            (_, FORMAT) => {}
            (_, newer) => return Err(Malformed::Newer { what: "format", number: newer.into() }),
        }
        let (mut at, mut why, mut actor, mut late) = (written, Why::Revoked, Box::default(), Vec::new());
        while !reader.is_empty() {
            let tag = reader.number()?;
            let length = reader.number()?;
            let mut field = Reader::new(reader.take(length)?);
            match tag {
                AT => at = Millis(field.number()?),
                // A reason that only a newer build knows is no reason to let a session come back.
                WHY => why = field.rest_as_text()?.parse().unwrap_or(Why::Revoked),
                ACTOR => actor = field.rest_as_text()?.into(),
                LATE if late.len() >= MOST_LATE => return Err(Malformed::Damaged("it waits with too many")),
                LATE => late.push(Late { issued: Millis(field.number()?), until: Millis(field.number()?) }),
                odd if odd % 2 == 1 => return Err(Malformed::Newer { what: "field", number: odd }),
                _ => _ = field.rest(),
            }
            if !field.is_empty() {
                return Err(Malformed::Damaged("a field is longer than its content"));
            }
        }
        Ok(Self { ending: Ending::of_actor(at, why, &actor), late })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn late(issued: u64, until: u64) -> Late {
        Late { issued: Millis(issued), until: Millis(until) }
    }

    #[test]
    fn what_a_counter_holds_is_read_as_it_was_written() {
        let from = Some("192.0.2.7".parse().unwrap());
        let mut end = EndedBy::new(Ending { from, ..Ending::new(Millis(5), Why::Logout, "ops") });
        assert_eq!(EndedBy::decode(&end.encode(), Millis(9)).as_ref(), Ok(&end));
        end.wait([late(10, 90), late(20, 80)], &[], Millis(0));
        assert_eq!(EndedBy::decode(&end.encode(), Millis(9)).as_ref(), Ok(&end));
        assert_eq!(end.until(), Millis(90));
    }

    #[test]
    fn what_the_first_builds_wrote_is_an_end_for_all_that_was_open() {
        for by in ["", "the visitor"] {
            let end = EndedBy::decode(by.as_bytes(), Millis(9)).unwrap();
            assert_eq!(end, EndedBy::new(Ending::new(Millis(9), Why::Revoked, by)));
        }
    }

    proptest! {
        /// Whoever one of them refuses is refused by all of them together.
        #[test]
        fn a_logout_is_not_forgotten_for_the_sake_of_another(
            all in prop::collection::vec((0..100_u64, 1..100_u64), 1..40),
            proved in prop::option::of(0..100_u64),
            now in 0..100_u64,
        ) {
            let mut end = EndedBy::new(Ending::new(Millis(0), Why::Logout, ""));
            for (issued, until) in &all {
                let before = end.late().to_vec();
                end = EndedBy::new(end.ending);
                end.wait([late(*issued, *until)], &before, Millis(0));
            }
            prop_assert!(end.late().len() <= MOST_LATE);
            let proved = proved.map(Millis);
            let is_refused = all.iter().any(|(issued, until)| late(*issued, *until).refuses(proved, Millis(now)));
            if is_refused || all.len() <= MOST_LATE {
                prop_assert_eq!(end.refuses(proved, Millis(now)).is_some(), is_refused);
            }
        }

        #[test]
        fn any_bytes_are_an_end_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = EndedBy::decode(&bytes, Millis(1));
            let _ = EndedBy::decode(&[&[MAGIC, FORMAT][..], &bytes].concat(), Millis(1));
        }
    }
}
