//! Nobody else's cache keeps what was made for one visitor.

use crate::application::{status, update};
use crate::house::House;
use crate::plan::{ADA, Plan, plan};

#[tokio::test]
async fn what_shows_a_session_or_sets_a_cookie_is_private() {
    let house = House::with(Plan { login: Some(&["/account"]), ..plan() }).await;
    let (stranger, known, ada) = (house.visitor(), house.visitor(), house.visitor());
    known.get("/").answered(update("a=1")).await;
    ada.log_in(ADA).await;
    let public = || status(200).header("Cache-Control", "public, max-age=600, s-maxage=900");
    let shared = || {
        public().header("Expires", "Thu, 01 Jan 2037 00:00:00 GMT").header("CDN-Cache-Control", "max-age=9")
    };
    for (visitor, answer, cache) in [
        (&stranger, status(200), None),
        (&stranger, public(), Some("public, max-age=600, s-maxage=900")),
        (&known, status(200), Some("private, no-cache")),
        (&known, shared(), Some("private, max-age=600")),
        (&known, status(304), Some("private, no-cache")),
        (&known, status(404), Some("private, no-cache")),
        (&ada, status(200).header("Content-Type", "text/html"), Some("no-store")),
        (&ada, shared(), Some("private, max-age=600")),
    ] {
        let reply = visitor.get("/").answered(answer).await;
        assert_eq!(reply.header("cache-control"), cache);
        assert_eq!(reply.header("vary"), Some("Cookie"));
        assert_eq!(reply.header("cdn-cache-control"), None);
        assert!(cache.is_none_or(|cache| cache.contains("public")) || reply.header("expires").is_none());
    }
    // A cookie that is set, and one that is deleted.
    let opened = stranger.get("/").answered(public().update("a=1")).await;
    assert_eq!(
        (opened.set_cookies().len(), opened.header("cache-control")),
        (1, Some("private, max-age=600"))
    );
    let ended = stranger.get("/").answered(public().update("a=")).await;
    assert_eq!((ended.set_cookies().len(), ended.header("cache-control")), (1, Some("private, max-age=600")));
}

#[tokio::test]
async fn vary_keeps_what_the_application_says() {
    let visitor = House::with(plan()).await.visitor();
    visitor.get("/").answered(update("a=1")).await;
    for (said, expected) in
        [("Accept-Language", "Accept-Language, Cookie"), ("cookie, Accept", "cookie, Accept"), ("*", "*")]
    {
        let reply = visitor.get("/").answered(status(200).header("Vary", said)).await;
        assert_eq!(reply.header("vary"), Some(expected));
    }
}

#[tokio::test]
async fn what_only_who_is_logged_in_may_see_is_private_without_a_session_in_it() {
    let plan = Plan { login: Some(&["/"]), exclude: &["/static"], ..plan() };
    let visitor = House::with(plan).await.visitor();
    visitor.log_in(ADA).await;
    let public = || status(200).header("Cache-Control", "public, max-age=600");
    let reply = visitor.get("/static/plan.pdf").answered(public()).await;
    assert_eq!(reply.session(), None);
    // A shared cache would show it to whoever comes next.
    assert_eq!(reply.header("cache-control"), Some("private, max-age=600"));
    assert_eq!(reply.header("vary"), Some("Cookie"));
}

#[tokio::test]
async fn what_has_nothing_to_do_with_sessions_stays_as_it_is() {
    let visitor = House::with(Plan { exclude: &["/static"], ..plan() }).await.visitor();
    visitor.get("/").answered(update("a=1")).await;
    let answer = status(200).header("Cache-Control", "public, max-age=600").header("Vary", "Accept");
    let reply = visitor.get("/static/x.css").answered(answer).await;
    assert_eq!(reply.header("cache-control"), Some("public, max-age=600"));
    assert_eq!(reply.header("vary"), Some("Accept"));
}
