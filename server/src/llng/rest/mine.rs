//! The session of whoever asks, by their cookie: `/session/my`, `/sessions/my`, `/mysession`.

use std::sync::Arc;

use axum::extract::{Extension, RawQuery, State};
use axum::http::header::COOKIE;
use axum::http::{HeaderMap, Method};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use dialects::llng::json::{self, Wanted};
use dialects::llng::soap::Uri;
use dialects::llng::{Id, Kind, StorageType, WHOSE};

use super::Rest;
use super::answers::{self, Failure};
use crate::clients::{Caller, Client, Right};
use crate::in_path::InPath;
use crate::llng::kept::{By, Kept};
use crate::llng::rules;

type Answer = Result<Response, Failure>;

/// `GET /session/my`: the attributes that are exported.
pub(super) async fn show(
    State(rest): State<Arc<Rest>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
) -> Response {
    let answer: Answer = async {
        let (client, _, kept) = rest.of_cookie(&caller, &headers).await?;
        let wanted = match rest.settings.exported.names() {
            Some(names) => Wanted::These(names.to_vec()),
            None => Wanted::All,
        };
        Ok(answers::json(rest.written(client, &kept, &wanted)))
    }
    .await;
    answer.unwrap_or_else(|failure| failure.into_response(&headers))
}

/// `GET /session/my/<type>/<key>`: one attribute, exported or not. The type is not looked at.
pub(super) async fn show_key(
    State(rest): State<Arc<Rest>>,
    Extension(caller): Extension<Caller>,
    InPath((_, key)): InPath<(String, String)>,
    headers: HeaderMap,
) -> Response {
    let answer: Answer = async {
        let (client, _, kept) = rest.of_cookie(&caller, &headers).await?;
        Ok(answers::json(rest.written(client, &kept, &Wanted::of_path(&key))))
    }
    .await;
    answer.unwrap_or_else(|failure| failure.into_response(&headers))
}

/// `DELETE /session/my`: a logout.
pub(super) async fn end(
    State(rest): State<Arc<Rest>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
) -> Response {
    let answer: Answer = async {
        let (client, id, kept) = rest.of_cookie(&caller, &headers).await?;
        rest.sessions.end(By { client, caller: &caller }, &id, kept.kind).await?;
        Ok(rest.settings.cookie.take(answers::json(json::DELETED)))
    }
    .await;
    answer.unwrap_or_else(|failure| failure.into_response(&headers))
}

/// `DELETE /sessions/my`: a logout from everywhere else.
pub(super) async fn end_others(
    State(rest): State<Arc<Rest>>,
    Extension(caller): Extension<Caller>,
    method: Method,
    headers: HeaderMap,
) -> Response {
    let answer: Answer = async {
        let (client, _, kept) = rest.of_cookie(&caller, &headers).await?;
        if method != Method::DELETE {
            return Err(Failure::NoType);
        }
        let ended = rest.sessions.end_others(By { client, caller: &caller }, &kept.session).await?;
        Ok(answers::json(format!("{{\"result\":{ended}}}")))
    }
    .await;
    answer.unwrap_or_else(|failure| failure.into_response(&headers))
}

/// `GET /mysession/?whoami`, `?authorizationfor=<address in base64>`.
pub(super) async fn ask(
    State(rest): State<Arc<Rest>>,
    Extension(caller): Extension<Caller>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let answer: Answer = async {
        let (_, _, kept) = rest.of_cookie(&caller, &headers).await?;
        let query = query.unwrap_or_default();
        let asked = url::form_urlencoded::parse(query.as_bytes());
        for (name, value) in asked {
            match &*name {
                "whoami" => {
                    let name = json::keys([("result", kept.view().attribute(WHOSE))].into_iter());
                    return Ok(answers::json(name));
                }
                "authorizationfor" => {
                    let address = decoded(&value).ok_or(json::Unread::NoObject)?;
                    let is_allowed = Uri::parse(&address).is_some_and(|address| {
                        rules::allows(&rest.settings.rules, &address, |name| kept.view().attribute(name))
                    });
                    let answer = if is_allowed { r#"{"result":"1"}"# } else { r#"{"result":"0"}"# };
                    return Ok(answers::json(answer));
                }
                _ => {}
            }
        }
        Err(Failure::NotHere)
    }
    .await;
    answer.unwrap_or_else(|failure| failure.into_response(&headers))
}

impl Rest {
    /// The session of whoever asks.
    async fn of_cookie(&self, caller: &Caller, headers: &HeaderMap) -> Result<(&Client, Id, Kept), Failure> {
        let client = self.admit(caller, headers, Right::Sessions)?;
        let id = cookie(headers, &self.settings.cookie.name).ok_or(Failure::Nobody)?;
        let id: Id = id.parse().map_err(|_| Failure::Nobody)?;
        let id = self.sessions.id_in(&id);
        let by = By { client, caller };
        let kept = self.find(by, StorageType::Global, &id).await?;
        let kept = kept.filter(|kept| kept.kind == Kind::Sso).ok_or(Failure::Nobody)?;
        Ok((client, id, kept))
    }
}

/// The value of a cookie (RFC 6265 section 4.2).
fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let pairs = headers.get_all(COOKIE).into_iter().filter_map(|header| header.to_str().ok());
    let mut pairs = pairs.flat_map(|header| header.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(found, _)| *found == name).map(|(_, value)| value)
}

/// An address in either base64.
fn decoded(text: &str) -> Option<String> {
    let bytes = STANDARD.decode(text).or_else(|_| URL_SAFE_NO_PAD.decode(text.trim_end_matches('='))).ok()?;
    String::from_utf8(bytes).ok()
}
