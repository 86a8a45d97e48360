//! See [`crate::fuzzing`].

use super::{Fault, users};

/// The users of an htpasswd file.
#[derive(Debug)]
pub struct Users(users::Users);

impl Users {
    /// The file, or its faults.
    ///
    /// # Errors
    /// The lines that cannot be used, each with its reason; a bounded number of them.
    pub fn parse(text: &str) -> Result<Self, Vec<Fault>> {
        users::Users::parse(text).map(Self)
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// How many have a hash that a thief would break quickly.
    #[must_use]
    pub fn weak(&self) -> usize {
        self.0.weak().map_or(0, std::num::NonZeroUsize::get)
    }

    /// Whether this is the user's password. Costs what the hash says, within its bounds.
    #[must_use]
    pub fn verify(&self, user: &str, password: &str) -> bool {
        self.0.verify(user, password)
    }
}
