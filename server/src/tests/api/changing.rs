//! Sessions that are changed, kept, renewed and introspected by programs.

use super::*;

impl House {
    async fn as_admin_with(&self, line: &str, headers: &str, body: &Json) -> (u16, String, Json) {
        let headers = format!(
            "Authorization: Bearer {ADMIN}\r\nContent-Type: application/merge-patch+json\r\n{headers}"
        );
        self.says(line, &headers, &body.to_string()).await
    }

    async fn entries(&self, handle: &Handle) -> Json {
        let (_, _, seen) =
            self.as_admin(&format!("GET /v1/sessions/{handle}?fields=entries"), &json!(null)).await;
        seen.get("entries").unwrap().clone()
    }

    async fn introspected(&self, body: &Json) -> Json {
        let (status, _, said) = self.as_admin("POST /v1/introspect", body).await;
        assert_eq!(status, 200, "{said}");
        said
    }
}

#[tokio::test]
async fn a_part_of_a_session_is_read_and_what_somebody_has_is_not_sent_again() {
    let house = House::new().await;
    let (handle, _) = house.opened(&of_ann()).await;
    let one = format!("GET /v1/sessions/{handle}");
    let (status, head, seen) =
        house.as_admin(&format!("{one}?fields=revision,entries.mail"), &json!(null)).await;
    assert_eq!((status, seen), (200, json!({"revision": 2, "entries": {"mail": "ann@example.org"}})));
    assert!(head.contains("etag: \"2\""), "{head}");
    for (known, expected) in [("\"2\"", 304), ("W/\"2\"", 304), ("\"1\"", 200)] {
        let (status, head, _) =
            house.as_admin_with(&one, &format!("If-None-Match: {known}\r\n"), &json!(null)).await;
        assert_eq!(status, expected, "{known}");
        assert!(head.contains("etag: \"2\""), "{head}");
    }
    is_problem(&house.as_admin(&format!("{one}?fields=secret"), &json!(null)).await, 400);
    is_problem(&house.as_admin(&format!("{one}?field=realm"), &json!(null)).await, 400);
}

#[tokio::test]
async fn a_merge_patch_changes_what_it_names_and_nothing_else() {
    let house = House::new().await;
    let (handle, _) = house.opened(&of_ann()).await;
    let one = format!("PATCH /v1/sessions/{handle}");
    let patch = json!({"entries": {
        "mail": null, "age": 8, "new": "x", "address": {"city": "Rome", "zip": null}, "none": null
    }});
    let (status, head, seen) = house.as_admin_with(&one, "", &patch).await;
    assert_eq!(status, 200, "{seen}");
    assert!(head.contains("etag: \"3\""), "{head}");
    let mut expected = json!({
        "groups": ["a", {"b": "c"}], "raw": {"$base64": "/wAB"}, "age": "8", "new": "x", "address": {"city": "Rome"}
    });
    assert_eq!(seen.get("entries").unwrap(), &expected);
    // Maps are merged member by member.
    let patch = json!({"entries": {"address": {"street": "Via Appia", "city": null}}});
    assert_eq!(house.as_admin_with(&one, "", &patch).await.0, 200);
    expected["address"] = json!({"street": "Via Appia"});
    assert_eq!(house.entries(&handle).await, expected);
    // What changes nothing is no new revision.
    assert!(house.as_admin_with(&one, "", &patch).await.1.contains("etag: \"4\""));
    let (_, _, seen) = house.as_admin_with(&one, "", &json!({"ends": 1_700_000_060_000_u64})).await;
    assert_eq!(seen.get("ends").unwrap(), 1_700_000_060_000_u64);
}

#[tokio::test]
async fn writers_of_different_entries_both_keep_their_change_and_the_later_of_one_entry_is_told() {
    let house = House::new().await;
    let (handle, _) = house.opened(&of_ann()).await;
    let one = format!("PATCH /v1/sessions/{handle}");
    let with = |name: &str, value: &str| json!({"entries": {name: value}});
    // Both saw revision 2.
    assert_eq!(
        house.as_admin_with(&format!("{one}?seen=2"), "", &with("mail", "first@example.org")).await.0,
        200
    );
    assert_eq!(house.as_admin_with(&format!("{one}?seen=2"), "", &with("phone", "1")).await.0, 200);
    let answer = house.as_admin_with(&format!("{one}?seen=2"), "", &with("mail", "second@example.org")).await;
    is_problem(&answer, 409);
    let conflict = json!([{"name": "mail", "now": "first@example.org", "wanted": "second@example.org"}]);
    assert_eq!(answer.2.get("conflicts").unwrap(), &conflict);
    assert_eq!(
        (answer.2.get("seen").unwrap(), answer.2["session"].get("revision").unwrap()),
        (&json!(2), &json!(4))
    );
    // Equal values never conflict.
    assert_eq!(
        house.as_admin_with(&format!("{one}?seen=2"), "", &with("mail", "first@example.org")).await.0,
        200
    );
    // Who wants nobody to have been faster says so, whatever was changed.
    let answer = house.as_admin_with(&one, "If-Match: \"2\"\r\n", &with("other", "1")).await;
    is_problem(&answer, 412);
    assert_eq!(answer.2.get("expected").unwrap(), &json!([2]));
    assert_eq!(answer.2["session"].get("revision").unwrap(), &json!(4));
    assert_eq!(house.as_admin_with(&one, "If-Match: W/\"4\"\r\n", &with("other", "1")).await.0, 412);
    assert_eq!(house.as_admin_with(&one, "If-Match: \"3\", \"4\"\r\n", &with("other", "1")).await.0, 200);
    assert_eq!(house.as_admin_with(&one, "If-Match: *\r\n", &with("other", "2")).await.0, 200);
    let entries = house.entries(&handle).await;
    assert_eq!((&entries["mail"], &entries["phone"]), (&json!("first@example.org"), &json!("1")));
    assert_eq!(entries["other"], "2");
}

#[tokio::test]
async fn what_cannot_be_changed_stays_as_it_is() {
    let house = House::new().await;
    let (handle, _) = house.opened(&of_ann()).await;
    let one = format!("PATCH /v1/sessions/{handle}");
    let before = house.entries(&handle).await;
    let many: serde_json::Map<_, _> =
        (0..=session::MAX_ENTRIES).map(|n| (n.to_string(), json!("x"))).collect();
    for (body, status) in [
        (json!({"entries": null}), 400),
        (json!({"principal": {}}), 400),
        (json!({"entries": {"a": {"$base64": "?"}}}), 422),
        (json!({"entries": {"a": {"b": [null]}}}), 422),
        (json!({"entries": many}), 422),
    ] {
        is_problem(&house.as_admin_with(&one, "", &body).await, status);
    }
    is_problem(&house.as_admin_with(&format!("{one}?seen=x"), "", &json!({})).await, 400);
    let reader = format!("Authorization: Bearer {READER}\r\nContent-Type: application/json\r\n");
    is_problem(&house.says(&one, &reader, "{}").await, 403);
    let partial = format!("Authorization: Bearer {PARTIAL}\r\nContent-Type: application/json\r\n");
    is_problem(&house.says(&one, &partial, "{\"entries\":{\"age\":\"9\"}}").await, 403);
    let stranger = format!("Authorization: Bearer {STRANGER}\r\nContent-Type: application/json\r\n");
    for line in [
        one.clone(),
        format!("POST /v1/sessions/{handle}/touch"),
        format!("POST /v1/sessions/{handle}/renew"),
    ] {
        is_problem(&house.says(&line, &stranger, "{}").await, 404);
    }
    house.storage.fail(Which::Any, Fault::Refuse);
    is_problem(&house.as_admin_with(&one, "", &json!({"entries": {"a": "b"}})).await, 503);
    house.storage.heal();
    assert_eq!(house.entries(&handle).await, before);
    house.as_admin(&format!("DELETE /v1/sessions/{handle}"), &json!(null)).await;
    is_problem(&house.as_admin_with(&one, "", &json!({"entries": {"a": "b"}})).await, 410);
    is_problem(&house.as_admin(&format!("POST /v1/sessions/{handle}/touch"), &json!(null)).await, 410);
    is_problem(&house.as_admin(&format!("POST /v1/sessions/{handle}/renew"), &json!({})).await, 410);
}

#[tokio::test]
async fn a_touch_keeps_a_session_and_a_look_does_not() {
    let house = House::new().await;
    let (kept, _) = house.opened(&of_ann()).await;
    let (looked_at, _) = house.opened(&of_ann()).await;
    for _ in 0..2 {
        house.clock.advance(Duration::from_mins(45));
        let (status, _, told) =
            house.as_admin(&format!("POST /v1/sessions/{kept}/touch"), &json!(null)).await;
        assert_eq!((status, told.get("last_seen").unwrap()), (200, &json!(house.clock.now().0)));
        house.as_admin(&format!("GET /v1/sessions/{looked_at}"), &json!(null)).await;
    }
    assert_eq!(house.as_admin(&format!("GET /v1/sessions/{kept}"), &json!(null)).await.0, 200);
    is_problem(&house.as_admin(&format!("GET /v1/sessions/{looked_at}"), &json!(null)).await, 410);
}

#[tokio::test]
async fn a_renewed_ticket_is_told_once_and_the_one_before_goes() {
    let house = House::new().await;
    let (handle, first) = house.opened(&of_ann()).await;
    let line = format!("POST /v1/sessions/{handle}/renew");
    let renewed = async |body: Json| -> Ticket {
        let (status, _, told) = house.as_admin(&line, &body).await;
        assert_eq!(status, 200, "{told}");
        told.get("ticket").unwrap().as_str().unwrap().parse().unwrap()
    };
    let second = renewed(json!({})).await;
    assert_eq!(second.handle, handle);
    // Requests under way are served, for a while.
    assert!(house.is_found(&first).await && house.is_found(&second).await);
    house.clock.advance(Duration::from_secs(31));
    assert!(!house.is_found(&first).await && house.is_found(&second).await);
    let third = renewed(json!({"revoke": true})).await;
    assert!(!house.is_found(&second).await && house.is_found(&third).await);
    is_problem(&house.as_admin(&line, &json!({"ticket": "x"})).await, 400);
}

#[tokio::test]
async fn a_gateway_of_others_asks_what_a_ticket_is_worth() {
    let house = House::new().await;
    let (handle, ticket) = house.opened(&of_ann()).await;
    let token = ticket.expose().to_string();
    let active = house.introspected(&json!({"token": token})).await;
    for (name, value) in [
        ("active", json!(true)),
        ("sid", json!(handle.to_string())),
        ("sub", json!("ann")),
        ("iss", json!("idp")),
        ("acr", json!("mfa")),
        ("auth_time", json!(1_700_000_000)),
        ("realm", json!("shop")),
    ] {
        assert_eq!(active.get(name), Some(&value), "{active}");
    }
    assert_eq!(active["entries"]["mail"], "ann@example.org");
    assert_eq!(house.introspected(&json!({"ticket": token, "application": "shop"})).await, active);
    // As OAuth's clients send it.
    let form =
        format!("Authorization: Bearer {READER}\r\nContent-Type: application/x-www-form-urlencoded\r\n");
    let body = format!("token={token}&token_type_hint=access_token");
    assert_eq!(house.says("POST /v1/introspect", &form, &body).await.2, active);
    is_problem(&house.says("POST /v1/introspect", &form, "application=shop").await, 400);
    let inactive = json!({"active": false});
    let wrong = Ticket { handle, secret: Ticket::random().unwrap().secret }.expose().to_string();
    for token in ["", "x", &*Ticket::random().unwrap().expose().to_string(), &*wrong] {
        assert_eq!(house.introspected(&json!({"token": token})).await, inactive);
        assert_eq!(house.introspected(&json!({"token": token, "application": "shop"})).await, inactive);
    }
    let stranger = format!("Authorization: Bearer {STRANGER}\r\nContent-Type: application/json\r\n");
    let body = json!({"token": token}).to_string();
    assert_eq!(house.says("POST /v1/introspect", &stranger, &body).await.2, inactive);
    is_problem(
        &house.as_admin("POST /v1/introspect", &json!({"token": token, "application": "x"})).await,
        422,
    );
    house.storage.fail(Which::Any, Fault::Refuse);
    is_problem(&house.as_admin("POST /v1/introspect", &json!({"token": token})).await, 503);
    house.storage.heal();
    house.as_admin(&format!("DELETE /v1/sessions/{handle}"), &json!(null)).await;
    assert_eq!(house.introspected(&json!({"token": token})).await, inactive);
}

#[tokio::test]
async fn a_ticket_from_another_address_is_worth_what_the_application_says() {
    let house = House::new().await;
    let at = |ticket: &Ticket, application: &str, address: &str| json!({"token": ticket.expose().to_string(), "application": application, "address": address});
    let inactive = json!({"active": false});
    let (_, ticket) = house.opened(&of_ann()).await;
    // It is awaited from where it was opened for.
    assert_eq!(house.introspected(&at(&ticket, "shop", "192.0.2.2")).await, inactive);
    assert_eq!(house.introspected(&at(&ticket, "shop", "::ffff:192.0.2.1")).await["active"], true);
    // Then tied to that, and to the first of the other family.
    for (address, is_active) in
        [("192.0.2.2", false), ("2001:db8::1", true), ("2001:db8::2", false), ("192.0.2.1", true)]
    {
        assert_eq!(house.introspected(&at(&ticket, "shop", address)).await["active"], is_active, "{address}");
    }
    // Who does not say where the visitor is judges that themselves.
    assert_eq!(house.introspected(&json!({"token": ticket.expose().to_string()})).await["active"], true);
    let form =
        format!("Authorization: Bearer {READER}\r\nContent-Type: application/x-www-form-urlencoded\r\n");
    let (token, expect) = (ticket.expose().to_string(), |body: String| (form.clone(), body));
    for (body, is_active) in [("192.0.2.1", true), ("192.0.2.2", false)] {
        let (headers, body) = expect(format!("token={token}&application=shop&address={body}"));
        assert_eq!(house.says("POST /v1/introspect", &headers, &body).await.2["active"], is_active);
    }
    let (headers, body) = expect(format!("token={token}&application=shop&address=here"));
    is_problem(&house.says("POST /v1/introspect", &headers, &body).await, 400);
    let alone = json!({"token": token, "address": "192.0.2.1"});
    is_problem(&house.as_admin("POST /v1/introspect", &alone).await, 422);
    is_problem(&house.as_admin("POST /v1/introspect", &at(&ticket, "shop", "here")).await, 400);
    assert!(house.is_found(&ticket).await, "a thief logs nobody out");
    // Where the application ends what is used from elsewhere, it ends.
    assert_eq!(house.introspected(&at(&ticket, "bank", "192.0.2.2")).await, inactive);
    assert!(!house.is_found(&ticket).await);
    let (_, _, why) = house.as_admin(&format!("GET /v1/sessions/{}/why", ticket.handle), &json!(null)).await;
    assert_eq!((&why["ending"]["why"], &why["ending"]["from"]), (&json!("address"), &json!("192.0.2.2")));
}

#[tokio::test]
async fn an_introspection_is_a_use_if_it_says_so() {
    let house = House::new().await;
    let (_, used) = house.opened(&of_ann()).await;
    let (_, unused) = house.opened(&of_ann()).await;
    let ask =
        |ticket: &Ticket, activity: bool| json!({"token": ticket.expose().to_string(), "activity": activity});
    for _ in 0..3 {
        house.clock.advance(Duration::from_mins(45));
        house.introspected(&ask(&used, true)).await;
        house.introspected(&ask(&unused, false)).await;
    }
    assert_eq!(house.introspected(&ask(&used, false)).await["active"], true);
    assert_eq!(house.introspected(&ask(&unused, false)).await["active"], false);
}
