//! What our own API tells of LemonLDAP::NG's sessions: by their kinds, and nothing that is hidden.

use super::*;

impl House {
    /// What our own API says of these sessions.
    async fn api(&self, token: &str, line: &str, body: &str) -> (u16, Json) {
        let headers =
            format!("Authorization: Bearer {token}\r\nContent-Type: application/merge-patch+json\r\n");
        let (status, _, body) = self.answer(line, &headers, body).await;
        (status, serde_json::from_str(&body).unwrap())
    }

    /// The `uid` of each session that a search finds, sorted.
    async fn finds(&self, token: &str, search: Json) -> (u16, Vec<String>) {
        let (status, told) = self.api(token, "POST /v1/find", &search.to_string()).await;
        let sessions = told["sessions"].as_array().cloned().unwrap_or_default();
        let mut found: Vec<_> =
            sessions.iter().map(|session| session["entries"]["uid"].as_str().unwrap().to_owned()).collect();
        found.sort_unstable();
        (status, found)
    }

    /// A session of each of three kinds, called by it; their handles.
    async fn of_three_kinds(&self) -> [String; 3] {
        for (path, kind) in [
            (global(ID), "SSO"),
            (format!("/sessions/saml/{OTHER}"), "SAML"),
            (format!("/sessions/persistent/{PERSISTENT}"), "Persistent"),
        ] {
            let session = json!({"uid": kind, "_password": "tardis"});
            assert_eq!(self.put(&path, session).await, done(), "{path}");
        }
        let mut handles = Vec::new();
        for kind in ["SSO", "SAML", "Persistent"] {
            let search = json!({"kind": kind, "fields": "handle"}).to_string();
            let (_, told) = self.api(READER, "POST /v1/find", &search).await;
            handles.push(told["sessions"][0]["handle"].as_str().unwrap().to_owned());
        }
        handles.try_into().unwrap()
    }
}

#[tokio::test]
async fn sessions_are_found_by_their_kind() {
    let house = House::new().await;
    house.of_three_kinds().await;
    for (kind, found) in
        [("SSO", vec!["SSO"]), ("SAML", vec!["SAML"]), ("Persistent", vec!["Persistent"]), ("CAS", vec![])]
    {
        assert_eq!(house.finds(READER, json!({"kind": kind})).await.1, found);
    }
    assert_eq!(house.finds(READER, json!({"kind": "SSO", "entries": {"uid": "SAML"}})).await, (200, vec![]));
    assert_eq!(house.finds(READER, json!({})).await.1, ["Persistent", "SAML", "SSO"]);
}

#[tokio::test]
async fn a_client_for_some_kinds_sees_and_ends_no_others() {
    let house = House::new().await;
    let [sso, _, persistent] = house.of_three_kinds().await;
    assert_eq!(house.finds(OTHER_KINDS, json!({})).await.1, ["Persistent"]);
    assert_eq!(house.finds(OTHER_KINDS, json!({"kind": "SSO"})).await.0, 403);
    for (line, body, status) in [
        (format!("GET /v1/sessions/{sso}"), "", 404),
        (format!("GET /v1/sessions/{sso}/why"), "", 404),
        (format!("DELETE /v1/sessions/{sso}"), "", 404),
        (format!("PATCH /v1/sessions/{sso}"), "{\"entries\":{\"uid\":\"x\"}}", 404),
        ("POST /v1/end".to_owned(), "{\"realm\":\"llng\"}", 403),
        ("POST /v1/end".to_owned(), "{\"everybody\":true}", 403),
        ("GET /v1/changes".to_owned(), "", 403),
        (format!("GET /v1/sessions/{persistent}"), "", 200),
    ] {
        let headers =
            format!("Authorization: Bearer {OTHER_KINDS}\r\nContent-Type: application/merge-patch+json\r\n");
        let answer = house.answer(&line, &headers, body).await;
        assert_eq!(answer.0, status, "{line} {}", answer.2);
    }
    assert_eq!(house.whole(&global(ID)).await["uid"], "SSO");
}

#[tokio::test]
async fn what_is_hidden_leaves_by_our_own_api_for_nobody_but_who_may_see_secrets() {
    let house = House::new().await;
    let [sso, ..] = house.of_three_kinds().await;
    let path = format!("/v1/sessions/{sso}");
    for name in ["_password", "_session_id"] {
        let (_, told) = house.api(READER, &format!("GET {path}"), "").await;
        assert_eq!((&told["entries"]["uid"], told["entries"].get(name)), (&json!("SSO"), None));
        let (_, told) = house.api(OPERATOR, &format!("GET {path}"), "").await;
        assert!(told["entries"][name].is_string(), "{told}");
    }
    // Nor does anybody find it out by asking whether it is this one, or by a conflict.
    let search = json!({"entries": {"_password": "tardis"}});
    assert_eq!(house.finds(ADMIN, search.clone()).await, (200, vec![]));
    assert_eq!(house.finds(OPERATOR, search).await.1.len(), 3);
    let change = json!({"entries": {"_password": "guess", "uid": "x"}}).to_string();
    let (status, told) = house.api(ADMIN, &format!("PATCH {path}?seen=0"), &change).await;
    assert_eq!(status, 409, "{told}");
    assert!(!told.to_string().contains("tardis") && told.to_string().contains("SSO"), "{told}");
}
