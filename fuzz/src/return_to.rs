//! Where a login leads back to: never out of this origin, as browsers read addresses (the URL standard).

use gateway::fuzzing::ReturnTo;
use http::HeaderValue;
use url::Url;

/// Inputs to begin with.
pub const SEEDS: &[&[u8]] = &[
    b"/account?tab=1#top",
    b"//evil.example/",
    b"/\\evil.example",
    b"/\t/evil.example",
    b"\\/evil.example",
    b"/.//evil.example",
    b"/..//evil.example",
    b"/%2e%2e//evil.example",
    b"/a/..;//evil.example",
    b"https:evil.example",
    b"/%2f%2fevil.example",
    b"/%09/evil.example",
    b"/?//evil.example\\",
    b"/a b\"<>`{}|^\xc3\xa9",
    b"return=%2F%2Fevil.example&return=/a",
    b"return=/a%0d%0aSet-Cookie:x=1",
    b"return=/caf%C3%A9+x&return=",
    b"javascript:alert(1)//",
    "/\u{2028}/\u{ff0f}\u{ff0f}evil.example".as_bytes(),
    b"/#/\\evil",
];

/// What it is made of.
pub const WORDS: &[&[u8]] = &[
    b"//",
    b"/",
    b"\\",
    b"return=",
    b"%2F",
    b"%5C",
    b"%2e",
    b"..",
    b"evil.example",
    b"?",
    b"#",
    b"@",
    b"http:",
    b"%0d%0a",
];

/// Checks the laws.
pub fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    for kept in [ReturnTo::parse(text), ReturnTo::from_query(text)].into_iter().flatten() {
        it_stays_at_home(&kept);
        it_stays_what_it_is(&kept);
    }
}

fn it_stays_at_home(kept: &ReturnTo) {
    for page in ["https://shop.example/login?return=x", "http://shop.example:8080/a/b/c", "https://[::1]/"] {
        let page = Url::parse(page).expect("an address");
        let target = page.join(kept.as_str()).expect("an address of ours");
        assert_eq!(target.origin(), page.origin(), "{kept:?}");
        assert_eq!(target.username(), "");
    }
    assert!(HeaderValue::from_str(kept.as_str()).is_ok() && kept.as_str().is_ascii());
}

fn it_stays_what_it_is(kept: &ReturnTo) {
    assert!(kept.as_str().len() <= ReturnTo::MAX_LENGTH && kept.as_str().starts_with(kept.path()));
    assert_eq!(ReturnTo::parse(kept.as_str()).as_ref(), Some(kept));
    let page = kept.carried_by("/.cloakroom/login");
    let query = page.split_once('?').map(|(_, query)| query).expect("it is carried in the query");
    assert_eq!(ReturnTo::from_query(query).as_ref(), Some(kept));
}
