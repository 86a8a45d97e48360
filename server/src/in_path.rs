//! What a path names in its variable parts.
//!
//! What is no UTF-8 when it is decoded names nothing that there is. It is taken for the empty name, and refused as any other that is not
//! known: in the form of the protocol that is spoken, and by whoever first asks who calls.

use std::convert::Infallible;

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

/// The parts, decoded.
#[derive(Debug)]
pub(crate) struct InPath<T>(pub(crate) T);

impl<S, T> FromRequestParts<S> for InPath<T>
where
    S: Send + Sync,
    T: DeserializeOwned + Default + Send,
{
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        let decoded = Path::<T>::from_request_parts(parts, state).await;
        Ok(Self(decoded.map(|Path(decoded)| decoded).unwrap_or_default()))
    }
}
