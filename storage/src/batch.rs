//! Several operations, all or none.

use crate::{Burial, Bury, Create, Key, NewRecord, NewValue, Times, Touch, Update};

/// One operation of a batch.
#[derive(Debug, Clone)]
pub enum Operation {
    /// See [`create`](crate::Storage::create).
    Create(Key, NewRecord),
    /// See [`update`](crate::Storage::update).
    Update(Key, NewValue),
    /// See [`touch`](crate::Storage::touch).
    Touch(Key, Times),
    /// See [`bury`](crate::Storage::bury).
    Bury(Key, Burial),
}

impl Operation {
    /// Which record it is about.
    #[must_use]
    pub const fn key(&self) -> &Key {
        match self {
            Self::Create(key, _) | Self::Update(key, _) | Self::Touch(key, _) | Self::Bury(key, _) => key,
        }
    }
}

/// What one operation of a batch did, or would have done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Of a create.
    Create(Create),
    /// Of an update.
    Update(Update),
    /// Of a touch.
    Touch(Touch),
    /// Of a burial.
    Bury(Bury),
}

impl Outcome {
    /// Whether the operation did what it was for.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        matches!(
            self,
            Self::Create(Create::Created(_))
                | Self::Update(Update::Updated(_))
                | Self::Touch(Touch::Touched)
                | Self::Bury(Bury::Buried(_))
        )
    }
}

/// What [`batch`](crate::Storage::batch) did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Batch {
    /// All of it.
    Done(Vec<Outcome>),
    /// None of it, because of this one.
    Refused {
        /// Which operation, counted from 0.
        index: usize,
        /// What it found.
        outcome: Outcome,
    },
}
