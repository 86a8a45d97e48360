//! A small shop, to see what Cloakroom does.
//!
//! It has no database, no cookie of its own and no library of ours. All it knows of its visitors comes with each
//! request in the header `X-Session`, and all it wants remembered leaves in `X-Replace-Session`. Any application
//! that can read one header and write another can do the same; the half of it that does so is [`handoff`].
//!
//! It believes these headers. That is right behind a gateway that removes what a client sends under their
//! names, and only there: it is meant to listen on loopback.

pub mod handoff;

mod pages;
mod shop;

use std::future::Future;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tokio::net::TcpListener;

/// The largest form, in bytes.
const MAX_FORM: usize = 16 << 10;

/// Serves the shop until `shutdown` is there, then answers what has begun and returns.
///
/// # Errors
/// The listener fails.
pub async fn serve(
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    axum::serve(listener, router()).with_graceful_shutdown(shutdown).await
}

/// The shop as a service.
fn router() -> Router {
    Router::new()
        .route("/", get(pages::shop))
        .route("/basket", post(shop::change_basket))
        .route("/basket/empty", post(shop::empty_basket))
        .route("/note", post(shop::save_note))
        .route("/whoami", get(pages::who_am_i))
        .route("/account", get(pages::account))
        .route("/healthz", get(async || "ok\n"))
        .route("/static/style.css", get(stylesheet))
        .fallback(pages::nothing_here)
        .layer(DefaultBodyLimit::max(MAX_FORM))
        .layer(middleware::from_fn(own_forms_only))
        .layer(middleware::map_response(careful))
}

async fn stylesheet() -> impl IntoResponse {
    let headers =
        [(header::CONTENT_TYPE, "text/css; charset=utf-8"), (header::CACHE_CONTROL, "public, max-age=300")];
    (headers, include_str!("style.css"))
}

/// A page from elsewhere must not fill somebody's basket.
async fn own_forms_only(request: Request, next: Next) -> Response {
    const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
    let foreign = request.headers().get(SITE).is_some_and(|site| site == "cross-site" || site == "same-site");
    if foreign && !request.method().is_safe() {
        return (StatusCode::FORBIDDEN, "This form was sent from another site.\n").into_response();
    }
    next.run(request).await
}

/// Nothing is loaded from elsewhere, nobody frames us.
async fn careful(mut response: Response) -> Response {
    const POLICY: &str = "default-src 'none'; style-src 'self'; img-src data:; form-action 'self'; \
                          frame-ancestors 'none'; base-uri 'none'";
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    response
}

#[cfg(test)]
mod tests;
