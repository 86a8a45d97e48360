//! Tokens that allow something once, within seconds, at whichever node they are shown.
//!
//! A token is a record under a hash of it. Whoever shows it has the record buried, and only the one who finds it live then may do
//! what it allows: of two nodes at once, one.

use std::time::Duration;

use bytes::Bytes;
use session::{Ending, SecretHash, Why};
use storage::{Burial, Bury, Create, Key, NewRecord, Read, Times, Unavailable, Was, WriteId};

use crate::Cache;

pub(crate) const CONTEXT: &str = "token";

impl Cache {
    /// Has the token of this hash be good for so long, once. A hash is of as much randomness as nobody guesses: a second token of
    /// the same one is an error.
    ///
    /// # Errors
    /// Storage has no answer.
    pub async fn issue_token(&self, token: &SecretHash, lifetime: Duration) -> Result<(), Unavailable> {
        let key = self.token_key(token)?;
        let now = self.clock.now();
        let times = Times { touched: now, expires: now.plus(lifetime) };
        let write = WriteId::random().map_err(|error| self.unavailable(error))?;
        match self.storage.create(&key, NewRecord::new(Bytes::new(), times, write)).await? {
            Create::Created(_) => Ok(()),
            Create::Exists | Create::Buried(_) => Err(self.unavailable("there is such a token already")),
        }
    }

    /// Whether the token of this hash is good. It is not from then on, anywhere.
    ///
    /// # Errors
    /// Storage has no answer: it may be used up all the same.
    pub async fn take_token(&self, token: &SecretHash, by: &str) -> Result<bool, Unavailable> {
        let key = self.token_key(token)?;
        // What was never issued leaves nothing behind.
        let Read::Found(record) = self.storage.read(&key, None).await? else { return Ok(false) };
        let ending = Ending::new(self.clock.now(), Why::Revoked, by);
        let burial = Burial { until: Some(record.times.expires), ending, expected: Some(record.version) };
        Ok(matches!(self.storage.bury(&key, burial).await?, Bury::Buried(Was::Live)))
    }

    fn token_key(&self, token: &SecretHash) -> Result<Key, Unavailable> {
        // Storage holds a hash of it, as of every secret, and nobody who reads it there can show the token.
        Key::new(CONTEXT, token.as_bytes()).map_err(|error| self.unavailable(error))
    }
}
