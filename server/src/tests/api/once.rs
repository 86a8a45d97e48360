//! Openings that are repeated.

use super::*;

#[tokio::test]
async fn an_opening_that_is_repeated_answers_the_same_session() {
    let house = House::new().await;
    let with = |key: &str| {
        format!(
            "Authorization: Bearer {ADMIN}\r\nContent-Type: application/json\r\nIdempotency-Key: {key}\r\n"
        )
    };
    let key = "8e03978e-40d5-43dd-bc93-6894a57f9324";
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
