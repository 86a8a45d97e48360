//! How the keys in Redis are called.
//!
//! ```text
//! PREFIX:{CONTEXT}:r:NAME   a record: see record.rs
//! PREFIX:{CONTEXT}:n        a sorted set of the names of its live records, in bytewise order
//! PREFIX:{CONTEXT}:e        a sorted set of the names of what expires, by when
//! PREFIX:head               the last number that was drawn, for versions and for the change stream
//! PREFIX:due                a sorted set of the contexts, by when something in them expires first
//! ```
//!
//! A script needs all of its keys in one slot of a Cluster. The context is the hash tag of what belongs to it. The last two
//! are there for each slot of a Cluster, as `PREFIX:{TAG}:head` and `PREFIX:{TAG}:due`, where the tag is the least number
//! that falls into that slot: so a context has company in the slot where it lies, however many contexts there are.

use std::sync::LazyLock;

use crc16::{State, XMODEM};
use percent_encoding::{AsciiSet, CONTROLS, percent_decode, percent_encode};
use storage::{Key, KeyError};

/// How many slots a Cluster has.
pub(super) const SLOTS: u16 = 16_384;

/// What would end a hash tag too early, and what says that something is written otherwise.
const ESCAPED: &AsciiSet = &CONTROLS.add(b'%').add(b'{').add(b'}');

/// For each slot the least number that, written as a hash tag, falls into it.
static TAGS: LazyLock<Vec<u32>> = LazyLock::new(|| {
    let mut tags = vec![u32::MAX; usize::from(SLOTS)];
    let mut missing = tags.len();
    for number in 0..u32::MAX {
        if missing == 0 {
            break;
        }
        let slot = slot_of(number.to_string().as_bytes());
        if let Some(tag) = tags.get_mut(usize::from(slot)).filter(|tag| **tag == u32::MAX) {
            *tag = number;
            missing -= 1;
        }
    }
    tags
});

/// How keys are called in one storage service.
#[derive(Debug, Clone)]
pub(super) struct Keys {
    prefix: Box<str>,
    channel: Box<str>,
    is_cluster: bool,
}

/// Where a context lies.
#[derive(Debug, Clone)]
pub(super) struct Place<'k> {
    keys: &'k Keys,
    /// The slot of a Cluster; 0 where there is none.
    pub(super) slot: u16,
    /// The context as it is written in keys.
    pub(super) context: String,
}

/// Contexts that draw their numbers from one counter: all of a server, or all of a slot.
#[derive(Debug, Clone)]
pub(super) struct Bucket {
    pub(super) slot: u16,
    pub(super) number: u32,
    pub(super) head: Vec<u8>,
    pub(super) due: Vec<u8>,
}

impl Keys {
    pub(super) fn new(prefix: &str, database: i64, is_cluster: bool) -> Self {
        let channel = format!("{prefix}:{database}:changes").into();
        Self { prefix: prefix.into(), channel, is_cluster }
    }

    /// The channel of the change stream. Channels are common to all databases of a server, so that its number is part of the
    /// name.
    pub(super) const fn channel(&self) -> &str {
        &self.channel
    }

    pub(super) fn place(&self, context: &str) -> Place<'_> {
        self.written(percent_encode(context.as_bytes(), ESCAPED).to_string())
    }

    /// The place of a context as it is written in keys.
    pub(super) fn written(&self, context: String) -> Place<'_> {
        let slot = if self.is_cluster { slot_of(context.as_bytes()) } else { 0 };
        Place { keys: self, slot, context }
    }

    /// All buckets that there may be.
    pub(super) fn buckets(&self) -> impl Iterator<Item = Bucket> + '_ {
        (0..if self.is_cluster { SLOTS } else { 1 }).map(|slot| self.bucket(slot))
    }

    fn bucket(&self, slot: u16) -> Bucket {
        if !self.is_cluster {
            let key = |last: &str| format!("{}:{last}", self.prefix).into_bytes();
            return Bucket { slot, number: 0, head: key("head"), due: key("due") };
        }
        let tag = TAGS.get(usize::from(slot)).copied().unwrap_or_default();
        let key = |last: &str| format!("{}:{{{tag}}}:{last}", self.prefix).into_bytes();
        Bucket { slot, number: slot.into(), head: key("head"), due: key("due") }
    }

    /// What all records are called, as SCAN takes it.
    pub(super) fn all_records(&self) -> String {
        format!("{}:{{*}}:r:*", self.prefix)
    }

    /// Whose record this is; nothing for a key that is none of ours.
    pub(super) fn read(&self, key: &[u8]) -> Option<Key> {
        let rest = key.strip_prefix(self.prefix.as_bytes())?.strip_prefix(b":{")?;
        let end = rest.iter().position(|byte| *byte == b'}')?;
        let (context, rest) = rest.split_at_checked(end)?;
        let name = rest.strip_prefix(b"}:r:")?;
        self::key(context, name)?.ok()
    }
}

impl Place<'_> {
    /// The key of the record with that name.
    pub(super) fn record(&self, name: &[u8]) -> Vec<u8> {
        self.key(b":r:", name)
    }

    /// The names of the live records.
    pub(super) fn names(&self) -> Vec<u8> {
        self.key(b":n", b"")
    }

    /// The names of what expires.
    pub(super) fn expiry(&self) -> Vec<u8> {
        self.key(b":e", b"")
    }

    pub(super) fn bucket(&self) -> Bucket {
        self.keys.bucket(self.slot)
    }

    fn key(&self, kind: &[u8], name: &[u8]) -> Vec<u8> {
        [self.keys.prefix.as_bytes(), b":{", self.context.as_bytes(), b"}", kind, name].concat()
    }
}

/// A key of ours, from a context as it is written in keys.
pub(super) fn key(context: &[u8], name: &[u8]) -> Option<Result<Key, KeyError>> {
    let context = percent_decode(context).decode_utf8().ok()?;
    Some(Key::new(&context, name))
}

/// The slot of a key whose hash tag this is (<https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/>).
fn slot_of(tag: &[u8]) -> u16 {
    State::<XMODEM>::calculate(tag) % SLOTS
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the server finds the slot of a whole key.
    fn slot_of_key(key: &[u8]) -> u16 {
        let open = key.iter().position(|byte| *byte == b'{').unwrap();
        let close = open + key[open..].iter().position(|byte| *byte == b'}').unwrap();
        assert!(close > open + 1, "the tag is empty");
        slot_of(&key[open + 1..close])
    }

    #[test]
    fn slots_are_counted_as_the_server_counts_them() {
        // As CLUSTER KEYSLOT says.
        for (tag, slot) in [("123456789", 12_739), ("foo", 12_182), ("bar", 5_061)] {
            assert_eq!(slot_of(tag.as_bytes()), slot);
        }
    }

    #[test]
    fn the_keys_of_a_context_and_of_its_bucket_are_in_one_slot() {
        let keys = Keys::new("cloakroom", 0, true);
        for context in ["s00", "sff", "principal:llng:dwho", "}", "{}", "a}b{c", "%7D", "é"] {
            let place = keys.place(context);
            let bucket = place.bucket();
            for key in [place.record(b"a}{b"), place.names(), place.expiry(), bucket.head, bucket.due] {
                assert_eq!(slot_of_key(&key), place.slot, "{context}: {}", String::from_utf8_lossy(&key));
            }
        }
    }

    #[test]
    fn every_slot_has_a_bucket_of_its_own() {
        let keys = Keys::new("cloakroom", 0, true);
        let slots: Vec<_> = keys.buckets().map(|bucket| slot_of_key(&bucket.head)).collect();
        assert_eq!(slots, (0..SLOTS).collect::<Vec<_>>());
    }

    #[test]
    fn the_key_of_a_record_is_read_back() {
        let keys = Keys::new("cloakroom", 0, false);
        for (context, name) in [("s00", &b"a"[..]), ("}:r:", b"}:r:"), ("a{b}%", b"\0\xff{}"), ("é", b":")] {
            let written = keys.place(context).record(name);
            assert_eq!(keys.read(&written), Some(Key::new(context, name).unwrap()));
        }
        for other in ["cloakroom:head", "cloakroom:{s00}:n", "other:{s00}:r:a", "cloakroom:{s00}:r:", "x"] {
            assert_eq!(keys.read(other.as_bytes()), None, "{other}");
        }
    }
}
