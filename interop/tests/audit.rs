//! Who did what to whose session is in a file of its own, and a client is known by its password.

use std::fs;
use std::time::{Duration, Instant};

use interop::Cloakroom;
use interop::raw::{self, Response};

const CONFIGURATION: &str = "\
data_dir = \"data\"
[listen]
gateway = \"{gateway}\"
server = \"{server}\"
[log]
level = \"error\"
[audit]
file = \"audit.log\"
[[application]]
id = \"shop\"
upstream = \"http://127.0.0.1:9\"
[[client]]
id = \"portal\"
from = [\"127.0.0.1\"]
basic = { user = \"portal\", password_file = \"portal.password\" }
may = [\"sessions\", \"admin_sessions\"]
";

/// `portal:open sesame`
const RIGHT: &str = "cG9ydGFsOm9wZW4gc2VzYW1l";
/// `portal:open barley`
const WRONG: &str = "cG9ydGFsOm9wZW4gYmFybGV5";

fn post(cloakroom: &Cloakroom, path: &str, proof: &str, body: &str) -> Response {
    let length = body.len();
    let text = format!(
        "POST {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Basic {proof}\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    raw::exchange(cloakroom.server(), text).unwrap()
}

#[test]
fn every_act_of_a_client_is_in_the_audit_and_its_file_may_be_moved_away() {
    let files = [("portal.password", "open sesame\n")];
    let mut cloakroom = Cloakroom::start_with(CONFIGURATION, &files).unwrap();
    let (audit, old) = (cloakroom.directory().join("audit.log"), cloakroom.directory().join("audit.log.1"));
    let new = r#"{"application": "shop", "principal": {"issuer": "idp", "name": "melisande"}, "entries": {"mail": "melisande@example.org"}}"#;
    assert_eq!(post(&cloakroom, "/v1/sessions", WRONG, new).status, 401);
    let opened = post(&cloakroom, "/v1/sessions", RIGHT, new);
    assert_eq!(opened.status, 201, "{}", opened.text());
    let told: serde_json::Value = serde_json::from_str(&opened.text()).unwrap();
    let text = |name: &str| told.get(name).unwrap().as_str().unwrap().to_owned();
    let (handle, ticket) = (text("handle"), text("ticket"));

    let lines = fs::read_to_string(&audit).unwrap();
    let lines: Vec<serde_json::Value> =
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let [denied, done] = lines.as_slice() else { panic!("{lines:?}") };
    assert!(denied.get("message").unwrap().as_str().unwrap().contains("not let into the API"), "{denied}");
    assert_eq!(denied.get("from").unwrap(), "127.0.0.1");
    for (name, value) in [("client", "portal"), ("from", "127.0.0.1"), ("of", "shop"), ("handle", &*handle)] {
        assert_eq!(done.get(name).unwrap(), value, "{done}");
    }

    fs::rename(&audit, &old).unwrap();
    cloakroom.hang_up().unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    while !audit.exists() {
        assert!(Instant::now() < deadline, "{}", cloakroom.log());
        std::thread::sleep(Duration::from_millis(20));
    }
    let ended = post(&cloakroom, "/v1/end", RIGHT, &format!("{{\"handles\": [\"{handle}\"]}}"));
    assert_eq!(ended.status, 200, "{}", ended.text());
    let after = fs::read_to_string(&audit).unwrap();
    assert!(after.contains("sessions were ended by the API") && after.contains(&handle), "{after}");
    let all = after + &fs::read_to_string(&old).unwrap() + &cloakroom.log();
    for secret in [&*ticket, "open sesame", RIGHT, "melisande"] {
        assert!(!all.contains(secret), "{secret}");
    }
}
