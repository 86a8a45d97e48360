//! The pages, and what they say about the headers that made them.
//!
//! Values from the header are somebody's input: they are escaped by the templates and bounded here.

use std::sync::LazyLock;

use axum::extract::Query;
use axum::http::{StatusCode, Uri};
use axum::response::{Html, IntoResponse, Response};
use minijinja::{AutoEscape, Environment, context};
use serde::{Deserialize, Serialize};

use crate::handoff::{Session, Update};
use crate::shop::{ARTICLES, Article, MAX_AMOUNT, MAX_NOTE, NOTE};

/// The key under which the gateway tells who is logged in.
const USER: &str = "user";

/// How much of a value or a header is shown, in characters.
const MAX_SHOWN: usize = 2000;

const TEMPLATES: [(&str, &str); 5] = [
    ("layout.html", include_str!("templates/layout.html")),
    ("shop.html", include_str!("templates/shop.html")),
    ("whoami.html", include_str!("templates/whoami.html")),
    ("account.html", include_str!("templates/account.html")),
    ("nothing.html", include_str!("templates/nothing.html")),
];

static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    for (name, text) in TEMPLATES {
        // A template with a fault is missing, and each test of a page finds that.
        let _ = environment.add_template(name, text);
    }
    environment
});

#[derive(Debug, Deserialize)]
pub(crate) struct Changed {
    /// The keys that the form before this page changed, with commas between them.
    #[serde(default)]
    changed: String,
}

pub(crate) async fn shop(session: Session, Query(query): Query<Changed>) -> Response {
    let articles: Vec<Line> = ARTICLES.iter().map(|article| Line::of(article, &session)).collect();
    let total: u32 = ARTICLES.iter().map(|article| article.cents * article.amount(&session)).sum();
    let pieces: u32 = articles.iter().map(|line| line.amount).sum();
    let note = session.value(NOTE).unwrap_or_default();
    let answered = answered(&session, &query.changed);
    let page = context! {
        here => "shop", articles, pieces, total => price(total), note => shortened(note),
        answered => answered.as_ref().map(|update| shortened(update.as_str())),
        max_note => MAX_NOTE, max_amount => MAX_AMOUNT,
        ..common(&session)
    };
    render(StatusCode::OK, "shop.html", page)
}

pub(crate) async fn who_am_i(session: Session) -> Response {
    let pairs: Vec<_> = session.pairs().map(|(key, value)| (shortened(key), shortened(value))).collect();
    render(StatusCode::OK, "whoami.html", context! { here => "whoami", pairs, ..common(&session) })
}

pub(crate) async fn account(session: Session) -> Response {
    let pieces: u32 = ARTICLES.iter().map(|article| article.amount(&session)).sum();
    render(StatusCode::OK, "account.html", context! { here => "account", pieces, ..common(&session) })
}

pub(crate) async fn nothing_here(session: Session, uri: Uri) -> Response {
    let page = context! { here => "", path => shortened(uri.path()), ..common(&session) };
    render(StatusCode::NOT_FOUND, "nothing.html", page)
}

/// An article and how many of it are in the basket.
#[derive(Debug, Serialize)]
struct Line {
    #[serde(flatten)]
    article: &'static Article,
    price: String,
    sum: String,
    amount: u32,
}

impl Line {
    fn of(article: &'static Article, session: &Session) -> Self {
        let amount = article.amount(session);
        Self { article, price: price(article.cents), sum: price(article.cents * amount), amount }
    }
}

/// What the form before this page answered: the keys come from the address, the values from the session as it
/// is now, so that an address that somebody made up shows nothing of theirs.
fn answered(session: &Session, changed: &str) -> Option<Update> {
    let ours = |key: &&str| *key == NOTE || ARTICLES.iter().any(|article| article.key() == *key);
    let update = changed
        .split(',')
        .take(ARTICLES.len() + 1)
        .filter(ours)
        .fold(Update::default(), |update, key| update.set(key, session.value(key).unwrap_or_default()));
    (!update.as_str().is_empty()).then_some(update)
}

/// What each page shows.
fn common(session: &Session) -> minijinja::Value {
    context! {
        came => session.raw().map(shortened),
        user => session.value(USER).filter(|user| !user.is_empty()).map(shortened),
    }
}

fn render(status: StatusCode, name: &str, page: minijinja::Value) -> Response {
    match ENVIRONMENT.get_template(name).and_then(|template| template.render(page)) {
        Ok(text) => (status, Html(text)).into_response(),
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, "This page is broken.\n").into_response(),
    }
}

fn price(cents: u32) -> String {
    format!("{}.{:02}", cents / 100, cents % 100)
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(MAX_SHOWN) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}
