//! Openings that are repeated.

use super::*;

const KEY: &str = "8e03978e-40d5-43dd-bc93-6894a57f9324";

/// What an admin says who may ask again.
fn with(key: &str) -> String {
    format!("Authorization: Bearer {ADMIN}\r\nContent-Type: application/json\r\nIdempotency-Key: {key}\r\n")
}

#[tokio::test]
async fn an_opening_that_is_repeated_answers_the_same_session() {
    let house = House::new().await;
    let key = KEY;
    let body = of_ann().to_string();
    let first = house.says("POST /v1/sessions", &with(key), &body).await;
    // Quoted, as the draft has it.
    let second = house.says("POST /v1/sessions", &with(&format!("\"{key}\"")), &body).await;
    assert_eq!((first.0, second.0, &first.2), (201, 201, &second.2));
    assert!(second.1.contains("location: /v1/sessions/"), "{}", second.1);
    is_problem(&house.says("POST /v1/sessions", &with(key), "{\"application\":\"shop\"}").await, 422);
    for wrong in ["short", &"x".repeat(256), "with a space in it, and long"] {
        is_problem(&house.says("POST /v1/sessions", &with(wrong), &body).await, 400);
    }
    let count = house.cache.count(&session::Principal::named("idp", "ann"), 10).await.unwrap().sessions;
    assert_eq!(count, 1);
    let handle = first.2.get("handle").unwrap().as_str().unwrap();
    house.as_admin(&format!("DELETE /v1/sessions/{handle}"), &json!(null)).await;
    is_problem(&house.says("POST /v1/sessions", &with(key), &body).await, 410);
}

#[tokio::test]
async fn an_opening_that_is_repeated_is_not_refused_by_the_limit_that_it_filled_and_counts_once() {
    let house = House::limited(true, Some(1), WhenFull::Refuse).await;
    let body = of_ann().to_string();
    let first = house.says("POST /v1/sessions", &with(KEY), &body).await;
    assert_eq!(first.0, 201, "{}", first.2);
    house.newcomers.close();
    let asked = house.newcomers.asked();
    for _ in 0..3 {
        let again = house.says("POST /v1/sessions", &with(KEY), &body).await;
        assert_eq!((again.0, &again.2), (201, &first.2));
    }
    assert_eq!(house.newcomers.asked(), asked, "a repeated opening is no newcomer");
    assert_eq!(house.newcomers.noted.lock().len(), 1);
    is_problem(&house.says("POST /v1/sessions", &with(KEY), "{\"application\":\"shop\"}").await, 422);
    // Another one is one too many, and its key stays free until there is room.
    let other = "another-key-0123456789";
    for _ in 0..2 {
        let refused = house.says("POST /v1/sessions", &with(other), &body).await;
        is_problem(&refused, 409);
        assert_eq!(refused.2["type"], "/problems/sessions-per-person");
    }
    let mut nobody = of_ann();
    nobody["principal"] = Json::Null;
    is_problem(&house.says("POST /v1/sessions", &with(other), &nobody.to_string()).await, 429);
    house.newcomers.open();
    let handle = first.2["handle"].as_str().unwrap();
    house.as_admin(&format!("DELETE /v1/sessions/{handle}"), &json!(null)).await;
    assert_eq!(house.says("POST /v1/sessions", &with(other), &body).await.0, 201);
    // What the first key opened is over, and opens no second one.
    is_problem(&house.says("POST /v1/sessions", &with(KEY), &body).await, 410);
}

#[tokio::test]
async fn of_openings_under_one_key_at_the_same_moment_one_session_comes_and_none_is_one_too_many() {
    let house = House::limited(true, Some(1), WhenFull::Refuse).await;
    let body = of_ann().to_string();
    let head = with(KEY);
    let all = (0..8).map(|_| house.says("POST /v1/sessions", &head, &body));
    let mut told = Vec::new();
    for (status, _, answer) in futures_util::future::join_all(all).await {
        match status {
            201 => told.push(answer["handle"].to_string()),
            // Another one is opening it at this moment.
            409 => assert_eq!(answer["type"], "about:blank", "{answer}"),
            _ => panic!("{status} {answer}"),
        }
    }
    told.dedup();
    assert_eq!(told.len(), 1, "{told:?}");
    let count = house.cache.count(&session::Principal::named("idp", "ann"), 10).await.unwrap().sessions;
    assert_eq!(count, 1);
}

#[tokio::test]
async fn the_oldest_gives_way_to_an_opening_once_and_not_at_each_repetition() {
    let house = House::limited(true, Some(2), WhenFull::EndOldest).await;
    let (_, oldest) = house.opened(&of_ann()).await;
    house.clock.advance(Duration::from_secs(1));
    let (_, older) = house.opened(&of_ann()).await;
    house.clock.advance(Duration::from_secs(1));
    let body = of_ann().to_string();
    for _ in 0..3 {
        assert_eq!(house.says("POST /v1/sessions", &with(KEY), &body).await.0, 201);
    }
    assert!(!house.is_found(&oldest).await && house.is_found(&older).await);
}
