//! Several sessions, or a new one: `/sessions/<type>`.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Extension, RawQuery, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use dialects::llng::json::{self, Search, Wanted};
use dialects::llng::{Id, StorageType};

use super::answers::{self, Failure};
use super::{Asked, Rest, content_type};
use crate::audit::{self, Upon};
use crate::clients::{Caller, Right};
use crate::in_path::InPath;
use crate::llng::kept::{By, Listed, Made, View};
use crate::llng::lists::MAX_LISTING;

pub(super) async fn call(
    State(rest): State<Arc<Rest>>,
    Extension(caller): Extension<Caller>,
    InPath(kind): InPath<String>,
    RawQuery(query): RawQuery,
    method: Method,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let asked = Asked::of(query.as_deref());
    rest.answer_several(&caller, &method, &kind, asked, &headers, body)
        .await
        .unwrap_or_else(|failure| failure.into_response(&headers))
}

impl Rest {
    async fn answer_several(
        &self,
        caller: &Caller,
        method: &Method,
        storage: &str,
        asked: Asked,
        headers: &HeaderMap,
        body: Body,
    ) -> Result<Response, Failure> {
        let client = self.admit(caller, headers, Right::AdminSessions)?;
        if *method == Method::OPTIONS {
            return Ok(StatusCode::NO_CONTENT.into_response());
        }
        let storage: StorageType = storage.parse().map_err(|_| Failure::NoType)?;
        let by = By { client, caller };
        match *method {
            Method::POST => {}
            Method::GET | Method::PUT | Method::DELETE => return Err(Failure::NoId),
            _ => return Err(Failure::NoMethod),
        }
        let (body, _room) = self.bodies.read(headers, body).await?;
        if asked.is_all {
            let (wanted, secret) = json::read_list(content_type(headers), &body)?;
            drop(body);
            if !self.is_secret(secret.as_deref()) {
                return Err(Failure::NoSecret);
            }
            return self.list(by, storage, asked.search.as_deref(), &wanted).await;
        }
        let update = json::read_update(content_type(headers), &body)?;
        drop(body);
        if let Some(name) = by.missing(&update.changes) {
            return Err(Failure::NotShown(name.to_owned()));
        }
        match self.sessions.make(by, None, storage.default_kind(), update.changes).await? {
            Made::Made(kept) => Ok(answers::json(json::created(self.shown(client, kept.view())))),
            Made::Refused => Err(Failure::NoSession),
        }
    }

    async fn list(
        &self,
        by: By<'_>,
        storage: StorageType,
        search: Option<&str>,
        wanted: &Wanted,
    ) -> Result<Response, Failure> {
        let search = match search {
            Some(text) => Some(Search::parse(text).ok_or(json::Unread::NoObject)?),
            None => None,
        };
        let is_chosen = |view: View<'_>| {
            // What a client may not see it cannot look for either.
            let is_found = |search: &Search| search.finds(self.attribute(by.client, view, &search.name));
            storage.may_hold(view.kind) && search.as_ref().is_none_or(is_found)
        };
        let names = match wanted {
            Wanted::All => None,
            Wanted::One(name) => Some(std::slice::from_ref(name)),
            Wanted::These(names) => Some(&**names),
        };
        let mut room = self.sessions.lists().begin().await.ok_or(Failure::Busy)?;
        let (mut listing, mut has_room) = (json::Listing::new(), true);
        let mut each = |id: &Id, view: View<'_>| {
            match names {
                None => {
                    let shown = self.shown(by.client, view).map(|(name, value)| (name, Some(value)));
                    listing.push(id.as_str(), shown);
                }
                Some(names) => {
                    let attributes =
                        names.iter().map(|name| (&**name, self.attribute(by.client, view, name)));
                    listing.push(id.as_str(), attributes);
                }
            }
            has_room = room.is_enough_for(listing.len());
            has_room && listing.len() <= MAX_LISTING
        };
        let listed = Listed { search: search.as_ref(), names, is_chosen: &is_chosen };
        self.sessions.list(by, listed, &mut each).await?;
        if listing.len() > MAX_LISTING {
            return Err(Failure::TooMany);
        }
        if !has_room {
            return Err(Failure::Busy);
        }
        let upon = Upon { of: Some(storage.as_str()), ..Upon::default() };
        audit::done(by.client, by.caller, "sessions of LemonLDAP::NG were listed", upon);
        Ok(answers::json(room.hold(listing.finish())))
    }
}
