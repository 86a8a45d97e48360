//! Tokens with which the list of all sessions can be asked for: each once, within seconds, at whichever node.
//!
//! A token leaves ciphered with the shared key, and comes back deciphered: that is the proof that the client knows the key.

use std::fmt::Write as _;
use std::time::Duration;

use cache::Cache;
use session::{Secret, SecretHash};
use storage::Unavailable;

use super::answers::Failure;
use super::no_cipher;
use crate::clients::Client;

/// For how long a token is good.
const LIFETIME: Duration = Duration::from_secs(5);

/// A new token.
pub(super) async fn issue(cache: &Cache) -> Result<String, Failure> {
    let mut token = String::with_capacity(64);
    for byte in Secret::random().map_err(|_| no_cipher())?.expose() {
        // Writing into a string does not fail.
        let _ = write!(token, "{byte:02x}");
    }
    cache.issue_token(&hash(&token), LIFETIME).await?;
    Ok(token)
}

/// Whether this is a token that is good. It is not from then on.
pub(super) async fn take(cache: &Cache, token: &str, by: &Client) -> Result<bool, Unavailable> {
    cache.take_token(&hash(token), &by.id).await
}

fn hash(token: &str) -> SecretHash {
    SecretHash::of(token.as_bytes())
}
