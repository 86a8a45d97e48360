//! Several operations, all or none.

use std::sync::Arc;

use crate::{Burial, Bury, Create, Key, NewRecord, NewValue, Times, Touch, Unavailable, Update};

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

    /// Whether the engine `id`, whose values have at most `max_value` bytes, can do it at all.
    ///
    /// # Errors
    /// What it would write is too large: the caller is to blame.
    pub fn admit(&self, max_value: usize, id: &Arc<str>) -> Result<(), Unavailable> {
        match self {
            Self::Create(_, new) => new.admit(max_value, id),
            Self::Update(_, new) => new.admit(max_value, id),
            Self::Touch(..) | Self::Bury(..) => Ok(()),
        }
    }

    /// Whether it ends something: it is acknowledged only when it is as safe as the engine can make it.
    #[must_use]
    pub const fn is_end(&self) -> bool {
        match self {
            Self::Create(_, new) => new.is_end,
            Self::Update(_, new) => new.is_end,
            Self::Touch(..) => false,
            Self::Bury(..) => true,
        }
    }

    /// The context of a batch for the engine `id`; none of an empty one.
    ///
    /// # Errors
    /// There are more than `most`, or they are of several contexts: the caller is to blame.
    pub fn context_of_all<'o>(
        operations: &'o [Self],
        most: usize,
        id: &Arc<str>,
    ) -> Result<Option<&'o str>, Unavailable> {
        let mut contexts = operations.iter().map(|operation| operation.key().context());
        let first = contexts.next();
        if contexts.any(|context| first != Some(context)) {
            return Err(Unavailable::refused(id, "the operations of a batch must be of one context"));
        }
        if operations.len() > most {
            let cause = format!("a batch of {} operations is over the engine's {most}", operations.len());
            return Err(Unavailable::refused(id, cause));
        }
        Ok(first)
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

    /// What a create did; `None` if it is of something else, as with the three that follow.
    #[must_use]
    pub fn into_create(self) -> Option<Create> {
        if let Self::Create(create) = self { Some(create) } else { None }
    }

    /// What an update did.
    #[must_use]
    pub fn into_update(self) -> Option<Update> {
        if let Self::Update(update) = self { Some(update) } else { None }
    }

    /// What a touch did.
    #[must_use]
    pub fn into_touch(self) -> Option<Touch> {
        if let Self::Touch(touch) = self { Some(touch) } else { None }
    }

    /// What a burial did.
    #[must_use]
    pub fn into_bury(self) -> Option<Bury> {
        if let Self::Bury(bury) = self { Some(bury) } else { None }
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
