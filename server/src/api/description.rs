//! What the API is, as OpenAPI 3.1: for clients that are made from it, and for people who look things up.
//!
//! It is written by hand in `openapi.json`; tests compare it with the routes, in both directions.

use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};

/// The description.
pub(crate) const DESCRIPTION: &str = include_str!("openapi.json");

/// `GET /v1/openapi.json`, for everybody: it says nothing of this installation.
pub(super) async fn describe() -> Response {
    ([(CONTENT_TYPE, "application/json")], DESCRIPTION).into_response()
}
