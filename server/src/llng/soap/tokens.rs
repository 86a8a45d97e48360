//! Tokens with which the list of all sessions can be asked for: each once, and within seconds.
//!
//! A token leaves ciphered with the shared key, and comes back deciphered: that is the proof that the client knows the key.
//! It is good at the node that issued it.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::time::Duration;

use parking_lot::Mutex;
use session::{Millis, NoRandomness, Secret, SecretHash};

/// For how long a token is good.
const LIFETIME: Duration = Duration::from_secs(5);

/// How many may be good at once. The oldest makes room.
const MAX_TOKENS: usize = 1024;

/// Those that were issued and not used yet, the oldest first, as hashes.
#[derive(Debug, Default)]
pub(super) struct Tokens(Mutex<VecDeque<(SecretHash, Millis)>>);

impl Tokens {
    /// A new token.
    pub(super) fn issue(&self, now: Millis) -> Result<String, NoRandomness> {
        let mut token = String::with_capacity(64);
        for byte in Secret::random()?.expose() {
            // Writing into a string does not fail.
            let _ = write!(token, "{byte:02x}");
        }
        let mut issued = self.0.lock();
        if issued.len() >= MAX_TOKENS {
            issued.pop_front();
        }
        issued.push_back((SecretHash::of(token.as_bytes()), now.plus(LIFETIME)));
        Ok(token)
    }

    /// Whether this is a token that is good. It is not from then on.
    pub(super) fn take(&self, token: &str, now: Millis) -> bool {
        let hash = SecretHash::of(token.as_bytes());
        let mut issued = self.0.lock();
        issued.retain(|(_, until)| *until >= now);
        let found = issued.iter().position(|(known, _)| *known == hash);
        found.is_some_and(|at| issued.remove(at).is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Millis = Millis(1_000_000);

    #[test]
    fn a_token_is_good_once() {
        let tokens = Tokens::default();
        let (first, second) = (tokens.issue(NOW).unwrap(), tokens.issue(NOW).unwrap());
        assert!(tokens.take(&second, NOW));
        assert!(!tokens.take(&second, NOW));
        assert!(tokens.take(&first, NOW.plus(LIFETIME)));
        assert!(!tokens.take("", NOW) && !tokens.take("bad", NOW));
    }

    #[test]
    fn a_token_is_good_for_five_seconds() {
        let tokens = Tokens::default();
        let token = tokens.issue(NOW).unwrap();
        assert!(!tokens.take(&token, NOW.plus(Duration::from_millis(5001))));
    }

    #[test]
    fn so_many_are_good_and_no_more() {
        let tokens = Tokens::default();
        let first = tokens.issue(NOW).unwrap();
        for _ in 0..MAX_TOKENS {
            tokens.issue(NOW).unwrap();
        }
        assert!(!tokens.take(&first, NOW));
        assert_eq!(tokens.0.lock().len(), MAX_TOKENS);
    }
}
