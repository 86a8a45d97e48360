//! Sessions that are searched for.

use super::*;

impl House {
    async fn finds(&self, body: &Json) -> (Vec<String>, Json) {
        let (status, _, told) = self.as_admin("POST /v1/find", body).await;
        assert_eq!(status, 200, "{told}");
        let handle = |seen: &Json| seen.get("handle").unwrap().as_str().unwrap().to_owned();
        let mut handles: Vec<_> = told["sessions"].as_array().unwrap().iter().map(handle).collect();
        handles.sort_unstable();
        (handles, told["next"].clone())
    }
}

#[tokio::test]
async fn sessions_are_found_by_whose_they_are_and_what_they_hold() {
    let house = House::new().await;
    let of = |name: &str, mail: &str| {
        json!({"application": "shop", "principal": {"issuer": "idp", "name": name}, "entries": {"mail": mail, "age": 7},
               "address": "192.0.2.7"})
    };
    let (ann, _) = house.opened(&of("ann", "ann@x")).await;
    let start = house.clock.now().0;
    house.clock.advance(Duration::from_secs(1));
    let (bob, _) = house.opened(&of("bob", "bob@x")).await;
    let only = |handle: Handle| vec![handle.to_string()];
    let mut both = vec![ann.to_string(), bob.to_string()];
    both.sort_unstable();
    for (body, expected) in [
        (json!({}), both.clone()),
        (json!({"person": {"issuer": "idp", "name": "ann"}}), only(ann)),
        (json!({"entries": {"mail": "bob@x"}}), only(bob)),
        (json!({"entries": {"age": 7}}), both.clone()),
        (json!({"entries": {"age": "7", "mail": "none"}}), vec![]),
        (json!({"application": "shop", "begun": {"after": start + 1}}), only(bob)),
        (json!({"realm": "shop", "last_seen": {"before": start + 1}}), only(ann)),
        (json!({"address": "::ffff:192.0.2.7"}), both.clone()),
        (json!({"address": "192.0.2.8"}), vec![]),
        (json!({"realm": "wiki"}), vec![]),
    ] {
        assert_eq!(house.finds(&body).await, (expected, Json::Null), "{body}");
    }
    let (_, _, told) = house
        .as_admin("POST /v1/find", &json!({"entries": {"mail": "bob@x"}, "fields": "handle,entries.age"}))
        .await;
    assert_eq!(told["sessions"], json!([{"handle": bob.to_string(), "entries": {"age": "7"}}]));
    // Page by page.
    let (mut all, mut cursor) = (Vec::new(), Json::Null);
    loop {
        let (page, next) = house.finds(&json!({"limit": 1, "cursor": cursor})).await;
        assert!(page.len() <= 1);
        all.extend(page);
        cursor = next;
        if cursor.is_null() {
            break;
        }
    }
    assert_eq!(all, both);
}

#[tokio::test]
async fn a_search_shows_a_client_no_more_than_a_look_does() {
    let house = House::new().await;
    let (handle, _) = house.opened(&of_ann()).await;
    let with = |token: &str| format!("Authorization: Bearer {token}\r\nContent-Type: application/json\r\n");
    let (_, _, told) = house.says("POST /v1/find", &with(PARTIAL), "{\"fields\":\"handle,entries\"}").await;
    assert_eq!(
        told["sessions"],
        json!([{"handle": handle.to_string(), "entries": {"mail": "ann@example.org"}}])
    );
    is_problem(&house.says("POST /v1/find", &with(PARTIAL), "{\"entries\":{\"age\":\"7\"}}").await, 403);
    let (_, _, told) = house.says("POST /v1/find", &with(STRANGER), "{}").await;
    assert_eq!(told["sessions"], json!([]));
    is_problem(&house.says("POST /v1/find", &with(STRANGER), "{\"realm\":\"shop\"}").await, 403);
    is_problem(&house.says("POST /v1/find", &with(SHOP), "{}").await, 403);
    for (body, status) in [
        (json!({"limit": 0}), 422),
        (json!({"limit": 1001}), 422),
        (json!({"cursor": "x"}), 422),
        (json!({"application": "none"}), 422),
        (json!({"application": "shop", "realm": "shop"}), 422),
        (json!({"kind": "SSO", "realm": "shop"}), 422),
        (json!({"kind": "sso"}), 422),
        (json!({"entries": {"mail": {}}}), 422),
        (json!({"mail": "x"}), 400),
        (json!({"fields": "ticket"}), 400),
    ] {
        is_problem(&house.as_admin("POST /v1/find", &body).await, status);
    }
    house.storage.fail(Which::Any, Fault::Refuse);
    is_problem(&house.as_admin("POST /v1/find", &json!({})).await, 503);
    house.storage.heal();
}
