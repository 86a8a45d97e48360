use proptest::prelude::*;

use super::*;

fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers
            .append(name.parse::<HeaderName>().unwrap(), HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    headers
}

/// The `Cache-Control` that a visitor gets.
fn safe(values: &[&str], audience: Audience) -> String {
    let sent: Vec<_> = values.iter().map(|value| ("cache-control", *value)).collect();
    let mut headers = headers(&sent);
    make_safe(&mut headers, audience);
    let values: Vec<_> = headers.get_all(CACHE_CONTROL).iter().map(|value| value.to_str().unwrap()).collect();
    values.join(" | ")
}

#[test]
fn what_was_made_for_one_visitor_is_private() {
    for (values, expected) in [
        (&[][..], "private, no-cache"),
        (&["public, max-age=60"], "private, max-age=60"),
        (&["PUBLIC,S-MaxAge=60,max-age=5"], "private, max-age=5"),
        (&["max-age=31536000, immutable"], "private, max-age=31536000, immutable"),
        (&["max-age=5", "public"], "private, max-age=5"),
        (&["private, max-age=5"], "private, max-age=5"),
        (&["max-age=5 ,Private"], "max-age=5 ,Private"),
        (&["private, public"], "private"),
        (&["private=\"Set-Cookie, X-A\", max-age=5"], "private, max-age=5"),
        (&["no-cache=\"Set-Cookie\", max-age=5"], "private, no-cache=\"Set-Cookie\", max-age=5"),
        (&["no-store"], "no-store"),
        (&["no-store=1"], "private, no-store=1"),
        (&["no-store, public"], "private, no-store"),
        (&["must-understand, no-store"], "private, must-understand, no-store"),
        (&["proxy-revalidate, must-revalidate"], "private, must-revalidate"),
        (&["s-maxage=60"], "private"),
        (&["s-maxage = 60"], "private"),
        (&["ext=\"public, s-maxage=9\""], "private, ext=\"public, s-maxage=9\""),
        (&[""], "private, no-cache"),
        (&[" , ,"], "private, no-cache"),
        // Nobody can say what these mean.
        (&["max-age=\"5"], "no-store"),
        (&["ext=\"a, private"], "no-store"),
        (&["max-age=5 public"], "private, max-age=5 public"),
        (&["max-age public"], "no-store"),
        (&["private, é"], "no-store"),
    ] {
        assert_eq!(safe(values, Audience::Visitor), expected, "{values:?}");
    }
}

#[test]
fn what_was_made_for_anybody_only_varies() {
    assert_eq!(safe(&["public, max-age=60"], Audience::Anybody), "public, max-age=60");
    assert_eq!(safe(&[], Audience::Anybody), "");
    let mut response =
        headers(&[("Expires", "Thu, 01 Jan 2099 00:00:00 GMT"), ("Surrogate-Control", "max-age=9")]);
    make_safe(&mut response, Audience::Anybody);
    assert_eq!(response.len(), 3);
    assert_eq!(response.get(VARY).unwrap(), "Cookie");
}

#[test]
fn back_shows_nothing_after_a_logout() {
    for (audience, sent, expected) in [
        (Audience::Person, &[("Content-Type", "text/html; charset=utf-8")][..], "no-store"),
        (Audience::Person, &[("Content-Type", "Text/HTML")], "no-store"),
        (Audience::Person, &[("Content-Type", "application/xhtml+xml")], "no-store"),
        (
            Audience::Person,
            &[("Content-Type", "text/html"), ("Cache-Control", "max-age=5")],
            "private, max-age=5",
        ),
        (Audience::Person, &[("Content-Type", "text/html"), ("Pragma", "no-cache")], "private, no-cache"),
        (Audience::Person, &[("Content-Type", "text/htmlx")], "private, no-cache"),
        (Audience::Person, &[], "private, no-cache"),
        (Audience::Visitor, &[("Content-Type", "text/html")], "private, no-cache"),
    ] {
        let mut headers = headers(sent);
        make_safe(&mut headers, audience);
        assert_eq!(headers.get(CACHE_CONTROL).unwrap(), expected, "{audience:?} {sent:?}");
    }
}

#[test]
fn caches_that_believe_other_headers_get_none() {
    let mut response = headers(&[
        ("Expires", "Thu, 01 Jan 2099 00:00:00 GMT"),
        ("Surrogate-Control", "max-age=9"),
        ("CDN-Cache-Control", "max-age=9"),
        ("Some-CDN-Cache-Control", "max-age=9"),
        ("X-Accel-Expires", "9"),
        ("Cache-Control", "max-age=5"),
        ("ETag", "\"1\""),
    ]);
    make_safe(&mut response, Audience::Visitor);
    let mut names: Vec<&str> = response.keys().map(HeaderName::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["cache-control", "etag", "vary"]);
}

#[test]
fn vary_names_cookie_once() {
    for (values, expected) in [
        (&[][..], "Cookie"),
        (&["Accept"], "Accept, Cookie"),
        (&["Accept,Accept-Language", "Origin"], "Accept, Accept-Language, Origin, Cookie"),
        (&["Accept, cookie"], "Accept, cookie"),
        (&["*"], "*"),
        (&["Accept, *"], "Accept, *"),
        (&["Cookies"], "Cookies, Cookie"),
        (&[""], "Cookie"),
    ] {
        let sent: Vec<_> = values.iter().map(|value| ("vary", *value)).collect();
        let mut headers = headers(&sent);
        make_safe(&mut headers, Audience::Anybody);
        let values: Vec<_> = headers.get_all(VARY).iter().map(|value| value.to_str().unwrap()).collect();
        assert_eq!(values, [expected]);
    }
}

proptest! {
    /// No shared cache may keep it, whatever the application says; and to make it safe again changes nothing.
    #[test]
    fn no_shared_cache_may_keep_it(
        values in prop::collection::vec("((public|s-maxage=9|private|max-age=5|x=\"|private=\"a\"|é|no-store|\"|\\\\|=)[, ]{0,2}){0,5}", 0..3),
        person in any::<bool>(),
    ) {
        let sent: Vec<_> = values.iter().map(|value| ("cache-control", &**value)).collect();
        let mut response = headers(&sent);
        let audience = if person { Audience::Person } else { Audience::Visitor };
        make_safe(&mut response, audience);
        let found: Vec<_> = directives(&response).map(|directive| directive.unwrap()).collect();
        prop_assert!(found.iter().all(|directive| directive.audience() != Meant::Shared));
        prop_assert!(found.iter().any(|directive| directive.audience() == Meant::Private || directive.is("no-store")));
        let once = response.clone();
        make_safe(&mut response, audience);
        prop_assert_eq!(response, once);
    }
}
