//! Which requests a line of a configuration is about.

use std::cmp::Reverse;
use std::sync::Arc;

use http::Method;

use crate::path::{NormalPath, Prefix, Standing};

/// The requests for a path, or for it and all below, by any method or by some.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    prefix: Prefix,
    is_exact: bool,
    /// None: any.
    methods: Arc<[Method]>,
}

/// Whether a request is meant by a scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Match {
    /// It is.
    Yes,
    /// By the letters of its path it is not; an application that decodes more, or cuts parameters off, may read it so.
    InSomeReading,
    /// It has another path.
    OtherPath,
    /// It lies below a path that is meant alone.
    Below,
    /// It has another method.
    OtherMethod,
}

impl Scope {
    /// A path and all below.
    #[must_use]
    pub fn below(prefix: Prefix, methods: &Arc<[Method]>) -> Self {
        Self { prefix, is_exact: false, methods: Arc::clone(methods) }
    }

    /// A path alone.
    #[must_use]
    pub fn exactly(prefix: Prefix, methods: &Arc<[Method]>) -> Self {
        Self { prefix, is_exact: true, methods: Arc::clone(methods) }
    }

    /// The path that it names.
    #[must_use]
    pub const fn prefix(&self) -> &Prefix {
        &self.prefix
    }

    /// Whether the path is meant alone.
    #[must_use]
    pub const fn is_exact(&self) -> bool {
        self.is_exact
    }

    /// The methods that are meant; none is any.
    #[must_use]
    pub fn methods(&self) -> &[Method] {
        &self.methods
    }

    /// Whether a request with this method and path is meant. Allocates nothing.
    #[must_use]
    pub fn judge(&self, method: &Method, path: &NormalPath<'_>) -> Match {
        let by_path = match (self.prefix.literally(path), self.prefix.at_widest(path)) {
            (Standing::Same, _) => Match::Yes,
            (Standing::Below, _) if !self.is_exact => Match::Yes,
            (_, Standing::Same) => Match::InSomeReading,
            (Standing::Below, _) | (_, Standing::Below) if self.is_exact => Match::Below,
            (_, Standing::Below) => Match::InSomeReading,
            (_, Standing::Outside) => Match::OtherPath,
        };
        match by_path {
            Match::Yes | Match::InSomeReading if !self.takes(method) => Match::OtherMethod,
            by_path => by_path,
        }
    }

    /// The more of a path is said the earlier it comes; at the same path what means it alone, then what names methods.
    pub(super) fn precedence(&self) -> (Reverse<usize>, bool, bool) {
        (Reverse(self.prefix.depth()), !self.is_exact, self.methods.is_empty())
    }

    /// Whether two scopes have the same precedence and a request in common, so that neither decides before the other.
    #[must_use]
    pub fn collides(&self, other: &Self) -> bool {
        let share_a_method =
            self.methods.is_empty() || self.methods.iter().any(|method| other.methods.contains(method));
        self.prefix == other.prefix
            && self.is_exact == other.is_exact
            && self.methods.is_empty() == other.methods.is_empty()
            && share_a_method
    }

    /// Whether it matches in each reading in which `other`, which it precedes, does: then that one never decides.
    pub(super) fn goes_before(&self, other: &Self) -> bool {
        self.prefix == other.prefix && (!self.is_exact || other.is_exact)
    }

    /// Who may GET may HEAD: applications answer both by the same code.
    fn takes(&self, method: &Method) -> bool {
        self.methods.is_empty()
            || self.methods.contains(method)
            || (*method == Method::HEAD && self.methods.contains(&Method::GET))
    }
}
