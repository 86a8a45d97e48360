//! The description says what there is, and nothing else.

use std::collections::BTreeSet;

use super::*;
use crate::api::description::DESCRIPTION;

/// Where routes are declared.
const ROUTES: &str = include_str!("../../api.rs");
const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

fn description() -> Json {
    serde_json::from_str(DESCRIPTION).unwrap()
}

#[tokio::test]
async fn the_description_is_served_to_everybody() {
    let house = House::new().await;
    let (status, head, served) = house.says("GET /v1/openapi.json", "", "").await;
    assert!(status == 200 && head.contains("content-type: application/json"), "{head}");
    assert_eq!(served, description());
    assert_eq!(served["openapi"], "3.1.0");
}

#[test]
fn every_route_is_described_and_nothing_else() {
    let described: BTreeSet<String> = description()["paths"]
        .as_object()
        .unwrap()
        .keys()
        .filter(|path| *path != "/v1/health")
        .cloned()
        .collect();
    let routes = ROUTES.split(".route(").skip(1).filter_map(|rest| rest.split('"').nth(1));
    let routed: BTreeSet<String> = routes.map(|path| format!("/v1{path}")).collect();
    assert!(routed.len() > 10);
    assert_eq!(described, routed);
}

#[tokio::test]
async fn every_method_is_described_and_no_other_is_there() {
    let house = House::new().await;
    let handle = "0".repeat(32);
    for (path, operations) in description()["paths"].as_object().unwrap() {
        let at = path.replace("{handle}", &handle);
        for method in METHODS {
            let line = format!("{} {at}", method.to_uppercase());
            let (status, ..) = house.says(&line, "", "").await;
            let operation = operations.get(method);
            let expected = match operation {
                None => 405,
                // Whoever has shown nothing is asked who they are before anything else.
                Some(operation) if operation.get("security").is_none() => 401,
                Some(_) => 200,
            };
            assert_eq!(status, expected, "{line}");
        }
    }
}

#[test]
fn every_reference_leads_somewhere() {
    fn follow(whole: &Json, part: &Json) {
        match part {
            Json::Object(members) => {
                if let Some(to) = members.get("$ref") {
                    let pointer = to.as_str().unwrap().strip_prefix('#').unwrap();
                    assert!(whole.pointer(pointer).is_some(), "{to}");
                }
                members.values().for_each(|member| follow(whole, member));
            }
            Json::Array(elements) => elements.iter().for_each(|element| follow(whole, element)),
            _ => {}
        }
    }
    let whole = description();
    follow(&whole, &whole);
}
