//! Records, and what remains of them, as bytes.

use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;

use session::wire::Writer;
use session::{Ending, Millis, Why};
use storage::{
    Applied, Blame, Burial, Capabilities, Key, Kind, Listed, NewRecord, NewValue, Record, Times, Tombstone,
    Unavailable, Version, Was, WriteId,
};

use super::Offer;
use super::wire::{Damaged, Decode, Encode, Source, UNKNOWN};

/// The parts of a struct, in this order.
macro_rules! parts {
    ($($type:ident { $($part:ident),+ })+) => {$(
        impl Encode for $type {
            fn encode(&self, to: &mut Writer) {
                $(self.$part.encode(to);)+
            }
        }

        impl Decode for $type {
            fn decode(from: &mut Source<'_>) -> Result<Self, Damaged> {
                Ok(Self { $($part: Decode::decode(from)?),+ })
            }
        }
    )+};
}
pub(super) use parts;

/// Variants without content, by their numbers.
macro_rules! variants {
    ($($type:ident { $($variant:ident = $number:literal),+ })+) => {$(
        impl Encode for $type {
            fn encode(&self, to: &mut Writer) {
                to.raw(&[match self { $(Self::$variant => $number),+ }]);
            }
        }

        impl Decode for $type {
            fn decode(from: &mut Source<'_>) -> Result<Self, Damaged> {
                match from.variant()? {
                    $($number => Ok(Self::$variant),)+
                    _ => Err(UNKNOWN),
                }
            }
        }
    )+};
}

parts! {
    Times { touched, expires }
    Record { value, version, times }
    NewRecord { value, times, version, write, is_end }
    NewValue { expected, value, times, write, is_end }
    Burial { until, ending, expected }
    Tombstone { ending, until }
    Listed { key, version, times }
    Offer { service, capabilities }
}

variants! {
    Was { Live = 0, Buried = 1, Absent = 2 }
    Applied { No = 0, Unknown = 1 }
    Blame { Caller = 0, Storage = 1, Network = 2 }
    Kind { Written = 0, Buried = 1 }
}

impl Encode for Ending {
    fn encode(&self, to: &mut Writer) {
        self.at.encode(to);
        self.why.encode(to);
        Box::<str>::from(self.actor()).encode(to);
    }
}

impl Decode for Ending {
    fn decode(from: &mut Source<'_>) -> Result<Self, Damaged> {
        let (at, why, actor) = (Millis::decode(from)?, Why::decode(from)?, Box::<str>::decode(from)?);
        Ok(Self::of_actor(at, why, &actor))
    }
}

impl Encode for Millis {
    fn encode(&self, to: &mut Writer) {
        to.number(self.0);
    }
}

impl Decode for Millis {
    fn decode(from: &mut Source<'_>) -> Result<Self, Damaged> {
        u64::decode(from).map(Self)
    }
}

impl Encode for Version {
    fn encode(&self, to: &mut Writer) {
        to.number(self.0);
    }
}

impl Decode for Version {
    fn decode(from: &mut Source<'_>) -> Result<Self, Damaged> {
        u64::decode(from).map(Self)
    }
}

impl Encode for WriteId {
    fn encode(&self, to: &mut Writer) {
        to.raw(&self.0);
    }
}

impl Decode for WriteId {
    fn decode(from: &mut Source<'_>) -> Result<Self, Damaged> {
        from.reader.array().map(Self)
    }
}

impl Encode for Key {
    fn encode(&self, to: &mut Writer) {
        to.text(self.context());
        to.bytes(self.name());
    }
}

impl Decode for Key {
    fn decode(from: &mut Source<'_>) -> Result<Self, Damaged> {
        let context = from.shared()?;
        let context = std::str::from_utf8(&context).map_err(|_| Damaged("a text is no UTF-8"))?;
        Self::new(context, from.reader.bytes()?).map_err(|_| Damaged("a key is empty or too long"))
    }
}

impl Encode for Why {
    fn encode(&self, to: &mut Writer) {
        to.text(self.as_str());
    }
}

impl Decode for Why {
    fn decode(from: &mut Source<'_>) -> Result<Self, Damaged> {
        let name: Box<str> = Decode::decode(from)?;
        // A reason that only a newer build knows is no reason to let a session come back.
        Ok(Self::from_str(&name).unwrap_or(Self::Revoked))
    }
}

impl Encode for Capabilities {
    fn encode(&self, to: &mut Writer) {
        self.is_durable.encode(to);
        self.is_shared.encode(to);
        self.is_memory.encode(to);
        to.number(self.max_value as u64);
        to.number(u64::try_from(self.unnoticed.as_millis()).unwrap_or(u64::MAX));
    }
}

impl Decode for Capabilities {
    fn decode(from: &mut Source<'_>) -> Result<Self, Damaged> {
        Ok(Self {
            is_durable: Decode::decode(from)?,
            is_shared: Decode::decode(from)?,
            is_memory: Decode::decode(from)?,
            max_value: from.size()?,
            unnoticed: Duration::from_millis(from.reader.number()?),
        })
    }
}

impl Encode for Unavailable {
    fn encode(&self, to: &mut Writer) {
        to.text(&self.storage);
        self.applied.encode(to);
        self.blame.encode(to);
        let millis = |after: Duration| u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
        self.retry_after.map(millis).encode(to);
        to.text(&self.cause.to_string());
    }
}

impl Decode for Unavailable {
    fn decode(from: &mut Source<'_>) -> Result<Self, Damaged> {
        let storage: Box<str> = Decode::decode(from)?;
        Ok(Self {
            storage: Arc::from(storage),
            applied: Decode::decode(from)?,
            blame: Decode::decode(from)?,
            retry_after: Option::<u64>::decode(from)?.map(Duration::from_millis),
            cause: String::from(from.reader.text()?).into(),
        })
    }
}
