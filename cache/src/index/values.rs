//! The index by values: which sessions hold a value in an entry that is named by `index_entries`.
//!
//! An entry of it is as one of the index by principal ([`super`]): a record without a value, in a context for the name and the
//! value, under the handle of the session; written before the session has the value, removed after the session's end,
//! prolonged with it, and verified by whoever reads it. When a session takes another value, the entry of the old one stays until
//! a reader finds it stale, or its time passes: who removed it at once could meet somebody who is just giving the value back.

use aws_lc_rs::digest::{Context, SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::stream::iter;
use futures_util::{StreamExt as _, TryStreamExt as _};
use session::{Millis, Session, Value};
use storage::{Key, Times, Unavailable};

use super::{CONTEXT, Index, context, covering};
use crate::Cache;
use crate::application::Realm;

/// How many values of one session are indexed at most; of a list, each text in it is one.
const MAX_VALUES: usize = 64;
/// How many entries are written at once.
const WIDTH: usize = 16;

impl Index {
    /// Whether sessions are found by what they hold under this name.
    pub(crate) fn has_values_of(&self, name: &str) -> bool {
        self.values_of.iter().any(|known| **known == *name)
    }

    /// The contexts of what a session holds.
    fn value_contexts(&self, session: &Session) -> Vec<String> {
        let mut contexts = Vec::new();
        for name in &self.values_of {
            let Some(value) = session.entries.get(name) else { continue };
            // A long list under one name keeps no other from being found.
            let room = MAX_VALUES.saturating_sub(contexts.len()).max(1);
            contexts.extend(texts(value).take(room).map(|text| value_context(name, text)));
        }
        contexts.sort_unstable();
        contexts.dedup();
        contexts
    }

    /// Where the entries of a session are: by whose it is, and by what it holds.
    pub(super) fn keys(&self, session: &Session) -> Result<Vec<Key>, storage::KeyError> {
        let principal = session.principal.as_ref().filter(|principal| self.has(principal)).map(context);
        let name = session.handle.to_string();
        let contexts = principal.into_iter().chain(self.value_contexts(session));
        contexts.map(|context| Key::new(&context, name.as_bytes())).collect()
    }

    /// Whether an entry at `key` says the truth of a session.
    pub(crate) fn is_entered(&self, session: &Session, key: &Key) -> bool {
        session.principal.as_ref().is_some_and(|principal| context(principal) == key.context())
            || self.value_contexts(session).iter().any(|context| context == key.context())
    }
}

impl Cache {
    /// The same cache, which finds sessions quickly by what they hold under these names.
    #[must_use]
    pub fn with_index_of_entries(mut self, names: impl IntoIterator<Item = Box<str>>) -> Self {
        let old = &self.index;
        let index = Index {
            storage: old.storage.clone(),
            is_kept: old.is_kept,
            excluded: old.excluded.clone(),
            values_of: names.into_iter().collect(),
        };
        self.index = index.into();
        self
    }

    /// Enters what a session is about to hold, and did not hold `before`.
    pub(crate) async fn enter_values(
        &self,
        session: &Session,
        before: Option<&Session>,
        realm: &Realm,
        expires: Millis,
    ) -> Result<(), Unavailable> {
        // Most changes are of something else: then nothing is made of the values at all.
        let is_as_before =
            |name: &str| before.is_some_and(|before| before.entries.get(name) == session.entries.get(name));
        if self.index.values_of.iter().all(|name| is_as_before(name)) {
            return Ok(());
        }
        let known = before.map(|before| self.index.value_contexts(before)).unwrap_or_default();
        let slack = realm.index_slack();
        let times = Times { touched: self.clock.now(), expires: covering(&session.handle, expires, slack) };
        let name = session.handle.to_string();
        let contexts = self.index.value_contexts(session).into_iter();
        let keys = contexts
            .filter(|context| !known.contains(context))
            .map(|context| Key::new(&context, name.as_bytes()).map_err(|error| self.unavailable(error)));
        // All at once, so that they are one write where the engine puts writes together.
        let entered = iter(keys).map(|key| async move { self.index.enter(&key?, times).await });
        entered.buffer_unordered(WIDTH).try_collect().await
    }
}

/// The context of a value under a name.
pub(crate) fn value_context(name: &str, value: &str) -> String {
    let mut hash = Context::new(&SHA256);
    hash.update(&(name.len() as u64).to_be_bytes());
    hash.update(name.as_bytes());
    hash.update(value.as_bytes());
    // A mark that no context of a principal has: those are shorter.
    format!("{CONTEXT}.~{}", URL_SAFE_NO_PAD.encode(hash.finish()))
}

/// The texts by which a value is found.
pub(crate) fn texts(value: &Value) -> impl Iterator<Item = &str> {
    let list: &[Value] = match value {
        Value::Text(_) => std::slice::from_ref(value),
        Value::List(values) => values,
        Value::Bytes(_) | Value::Map(_) => &[],
    };
    list.iter().filter_map(Value::as_text)
}
