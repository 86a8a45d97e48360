//! Spellings of a path that pass by what protects it, at each kind of path that is protected (spec/llng.md 13, CVE-2019-19791).

use serde_json::{Value as Json, json};

use super::house::{House, client};
use super::rest::{ID, done, global};
use super::soap::{NOW, OPERATOR, message, of_tests, string};
use super::*;

/// A request that is answered with what nobody else may see.
struct Protected {
    method: &'static str,
    path: String,
    query: &'static str,
    headers: String,
    body: String,
    shows: &'static str,
}

/// What no spelling may show.
const SHOWN: &str = "only-for-those-who-may";

async fn house() -> House {
    House::open(NOW, |_, server| {
        let all = vec![Right::Storage, Right::Sessions, Right::AdminSessions, Right::Secrets];
        server.clients = vec![client("operator", OPERATOR, all)];
        server.llng = Some(of_tests());
    })
    .await
}

fn protected(handle: &str) -> Vec<Protected> {
    let of = |method, path: &str, query, headers: &str, body: &str, shows| Protected {
        method,
        path: path.to_owned(),
        query,
        headers: headers.to_owned(),
        body: body.to_owned(),
        shows,
    };
    let soap = "Content-Type: text/xml\r\nSOAPAction: \"\"\r\n";
    let get_attributes = message("getAttributes", &string(ID));
    let json = "Content-Type: application/json\r\n";
    let cookie = format!("Cookie: lemonldap={ID}\r\n");
    vec![
        of("POST", "/sessions", "", soap, &get_attributes, SHOWN),
        of("POST", "/adminSessions", "", soap, &get_attributes, SHOWN),
        of("POST", "/adminSessions/below", "", soap, &get_attributes, SHOWN),
        of("GET", "/portal.wsdl", "", "", "", "definitions"),
        of("GET", &global(ID), "", "", "", SHOWN),
        of("GET", &format!("{}/uid", global(ID)), "", "", "", SHOWN),
        of("PUT", &global(ID), "", json, "{\"touched\":\"1\"}", "result"),
        of("GET", "/session/my/global", "", &cookie, "", SHOWN),
        of("GET", "/mysession/", "?whoami", &cookie, "", SHOWN),
        of("GET", &format!("/v1/sessions/{handle}"), "", "", "", SHOWN),
        of("POST", "/v1/find", "", json, "{}", SHOWN),
        of("GET", "/storage/v1/local", "", "", "", "local"),
    ]
}

/// Each way in which somebody could write a path so that one reader takes it for another than the next.
fn spellings(path: &str) -> Vec<String> {
    let rest = path.strip_prefix('/').unwrap();
    let (first, behind) =
        rest.split_once('/').map_or((rest, String::new()), |(first, behind)| (first, format!("/{behind}")));
    let (before, last) = path.rsplit_once('/').unwrap();
    let (letter, others) = first.split_at(1);
    let mut all = Vec::new();
    for before in [
        "/",
        "//",
        "/.",
        "/x/..",
        "/%2e",
        "/%2E",
        "/x/%2e%2e",
        "/x/%2E%2E",
        "/x/.%2e",
        "/x/..;",
        "/;",
        "/;x",
        "/%2f",
        "/%5c",
        "/\\",
        "/index.fcgi/",
        "/index.fcgi/index.fcgi",
        "/index.fcgi/index.psgi",
        "/index.fcgi/.",
        "/index.fcgi/x/..",
        "/INDEX.FCGI",
        "/index.fcgi.",
        "/index.fcgi%2f..",
        "/index.fcgi;",
        "/x/../index.fcgi",
        "//index.fcgi",
        "/index.fcgi%00",
    ] {
        all.push(format!("{before}{path}"));
    }
    for divider in ["%2f", "%2F", "%5c", "\\", "//", "/./", "/x/../", "/%2e/", "/x/%2e%2e/", "/;/", "/x/..;/"]
    {
        all.push(format!("{before}{divider}{last}"));
    }
    for spelt in [
        format!("{first};"),
        format!("{first};x=y"),
        format!("{first}."),
        format!("{first}..."),
        format!("{first}%00"),
        format!("{first}%20"),
        format!("{first}%2e"),
        first.to_uppercase(),
        format!("{}{others}", letter.to_uppercase()),
        format!("%{:02x}{others}", letter.as_bytes()[0]),
        format!("%25{:02x}{others}", letter.as_bytes()[0]),
    ] {
        all.push(format!("/{spelt}{behind}"));
    }
    for behind in ["//", "/.", "/..", "/../", "/%2e", "/%2e%2e/", "/%2f", "/..;/", "\\", "%00", "/x/../.."] {
        all.push(format!("{path}{behind}"));
    }
    all
}

#[tokio::test]
async fn no_spelling_passes_by_what_protects_a_path() {
    let house = house().await;
    let proof = format!("Authorization: Bearer {OPERATOR}\r\n");
    let put = json!({"uid": SHOWN, "_whatToTrace": SHOWN, "__secret": house.secret()});
    let headers = format!("{proof}Content-Type: application/json\r\n");
    let (status, _, told) = house.answer(&format!("PUT {}", global(ID)), &headers, &put.to_string()).await;
    assert_eq!((status, told), done());
    let (_, _, found) = house.answer("POST /v1/find", &headers, "{}").await;
    let found: Json = serde_json::from_str(&found).unwrap();
    let handle = found["sessions"][0]["handle"].as_str().unwrap().to_owned();

    for asked in protected(&handle) {
        let Protected { method, path, query, headers, body, shows } = asked;
        let ask = async |path: &str, proof: &str| {
            let (status, _, told) =
                house.answer(&format!("{method} {path}{query}"), &format!("{proof}{headers}"), &body).await;
            (status, told)
        };
        let (status, told) = ask(&path, &proof).await;
        assert!(status == 200 && told.contains(shows), "{method} {path}: {status} {told}");
        assert_eq!(ask(&path, "").await.0, 401, "{method} {path}");
        for spelling in spellings(&path) {
            for proof in [&*proof, ""] {
                let (status, told) = ask(&spelling, proof).await;
                // Whoever has no proof may be told so first.
                let is_refused = matches!(status, 400 | 404 | 405) || (status == 401 && proof.is_empty());
                assert!(is_refused, "{method} {spelling}: {status} {told}");
                assert!(!told.contains(SHOWN), "{method} {spelling}: {told}");
            }
        }
    }
}
