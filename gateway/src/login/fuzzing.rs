//! See [`crate::fuzzing`].

use super::{form, passwords, return_to};

pub use passwords::fuzzing::Users;

/// Where one goes back to after a login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReturnTo(return_to::ReturnTo);

impl ReturnTo {
    /// The longest one, in bytes.
    pub const MAX_LENGTH: usize = return_to::MAX_LENGTH;

    /// The place that `text` names, if it is one of ours.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        return_to::ReturnTo::parse(text).map(Self)
    }

    /// The place that the query of a login page names.
    #[must_use]
    pub fn from_query(query: &str) -> Option<Self> {
        return_to::ReturnTo::from_query(Some(query)).map(Self)
    }

    /// The address of `page`, carrying this along.
    #[must_use]
    pub fn carried_by(&self, page: &str) -> String {
        self.0.carried_by(page)
    }

    /// As it goes into `Location`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Without query and fragment.
    #[must_use]
    pub fn path(&self) -> &str {
        self.0.path()
    }
}

/// The body of a login form.
pub struct LoginForm(form::Form);

impl LoginForm {
    /// The form, if it is one.
    #[must_use]
    pub fn parse(body: &[u8]) -> Option<Self> {
        form::Form::parse(body).ok().map(Self)
    }

    /// The first value of the field, or nothing.
    #[must_use]
    pub fn field(&self, name: &str) -> &str {
        self.0.field(name)
    }
}
