//! What is for sale, the basket, and the forms that change it.
//!
//! A form is answered with 303 and `X-Replace-Session`, so that reloading the page repeats nothing. The
//! address says which keys changed, and the page shows them: not their values, which are the visitor's own.

use axum::extract::Form;
use axum::http::header::LOCATION;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use crate::handoff::{REPLACE_SESSION, Session, Update};

/// The key of a note.
pub(crate) const NOTE: &str = "note";

/// The longest note, in characters: escaped it still fits into a header.
pub(crate) const MAX_NOTE: usize = 500;

/// The most of one thing in a basket.
pub(crate) const MAX_AMOUNT: u32 = 99;

/// Something for sale.
#[derive(Debug, Serialize)]
pub(crate) struct Article {
    /// Its name in the session, after `basket.`.
    pub(crate) id: &'static str,
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) cents: u32,
    /// The path of its picture.
    pub(crate) picture: &'static str,
}

pub(crate) const ARTICLES: [Article; 4] = [
    Article {
        id: "tea",
        name: "A pot of tea",
        about: "while you wait for your coat",
        cents: 350,
        picture: "M8 15h19v9a7 7 0 0 1-7 7h-5a7 7 0 0 1-7-7zM27 18h2.5a3.5 3.5 0 0 1 0 7H26.5M13 11c0-2 1.5-2 1.5-4M19 11c0-2 1.5-2 1.5-4",
    },
    Article {
        id: "hat",
        name: "A felt hat",
        about: "nobody came back for it",
        cents: 2400,
        picture: "M4 27c5 3.5 27 3.5 32 0M10 26.5c0-8 2-14 5-15 2-.7 3 1 5 1s3-1.7 5-1c3 1 5 7 5 15M10.2 23c6 2 13.6 2 19.6 0",
    },
    Article {
        id: "umbrella",
        name: "An umbrella",
        about: "it was here when we opened",
        cents: 1250,
        picture: "M5 21a15 15 0 0 1 30 0c-3-2.5-7-2.5-10 0-3-2.5-7-2.5-10 0-3-2.5-7-2.5-10 0zM20 6V4M20 20v10a3 3 0 0 0 6 0",
    },
    Article {
        id: "scarf",
        name: "A wool scarf",
        about: "two metres, hardly worn",
        cents: 1800,
        picture: "M8 12c0-3.5 5-6 12-6s12 2.5 12 6-5 6.5-12 6.5S8 15.5 8 12zM14 12.5c2-2.5 10-2.5 12 0M13.5 18v14h8.5V18.5M13.5 27.5H22M13.5 32v3M17.8 32v3M22 32v3",
    },
];

impl Article {
    fn find(id: &str) -> Option<&'static Self> {
        ARTICLES.iter().find(|article| article.id == id)
    }

    pub(crate) fn key(&self) -> String {
        format!("basket.{}", self.id)
    }

    /// How many of it are in the basket. Whatever the session says, it is a number that makes sense.
    pub(crate) fn amount(&self, session: &Session) -> u32 {
        session
            .value(&self.key())
            .and_then(|text| text.parse().ok())
            .map_or(0, |amount: u32| amount.min(MAX_AMOUNT))
    }
}

/// Either one more or less of an article, or so many.
#[derive(Debug, Deserialize)]
pub(crate) struct BasketForm {
    article: String,
    add: Option<i32>,
    amount: Option<u32>,
}

pub(crate) async fn change_basket(session: Session, Form(form): Form<BasketForm>) -> Response {
    let Some(article) = Article::find(&form.article) else {
        return (StatusCode::NOT_FOUND, "There is no such article.\n").into_response();
    };
    let amount = match (form.amount, form.add) {
        (Some(amount), _) => amount,
        (None, Some(more)) => article.amount(&session).saturating_add_signed(more),
        (None, None) => return (StatusCode::BAD_REQUEST, "How many?\n").into_response(),
    };
    let value = match amount.min(MAX_AMOUNT) {
        0 => String::new(),
        amount => amount.to_string(),
    };
    changed(&Update::default().set(&article.key(), &value), "basket", &[&article.key()])
}

pub(crate) async fn empty_basket(session: Session) -> Response {
    let keys: Vec<String> =
        ARTICLES.iter().map(Article::key).filter(|key| session.value(key).is_some()).collect();
    let update = keys.iter().fold(Update::default(), |update, key| update.remove(key));
    changed(&update, "basket", &keys.iter().map(String::as_str).collect::<Vec<_>>())
}

#[derive(Debug, Deserialize)]
pub(crate) struct NoteForm {
    note: String,
}

pub(crate) async fn save_note(Form(form): Form<NoteForm>) -> Response {
    // Browsers send CR LF for each line end and count it as one character.
    let note: String = form.note.replace("\r\n", "\n").trim().chars().take(MAX_NOTE).collect();
    changed(&Update::default().set(NOTE, &note), "note", &[NOTE])
}

/// Back to the shop, with the change for Cloakroom to make.
fn changed(update: &Update, place: &str, keys: &[&str]) -> Response {
    // The keys are our own: none needs an escape.
    let location = format!("/?changed={}#{place}", keys.join(","));
    let location = HeaderValue::from_str(&location).unwrap_or(HeaderValue::from_static("/"));
    let mut response = (StatusCode::SEE_OTHER, [(LOCATION, location)]).into_response();
    if !update.as_str().is_empty() {
        response.headers_mut().insert(REPLACE_SESSION, update.header());
    }
    response
}
