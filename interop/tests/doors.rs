//! The API by every door of the session server: in the clear, over TLS and by a socket in the file system, with HTTP/1.1 and HTTP/2.

use std::path::Path;
use std::process::Command;

use interop::{Authority, Cloakroom, available, find};
use serde_json::Value;

const CONFIGURATION: &str = "\
data_dir = \"data\"
[listen]
gateway = \"{gateway}\"
server = \"{server}\"
server_socket = \"server.sock\"
TLS
[[application]]
id = \"shop\"
upstream = \"http://127.0.0.1:9\"
[[client]]
id = \"broker\"
bearer_file = \"broker.token\"
may = [\"sessions\", \"admin_sessions\"]
";
const TLS: &str = "\
[listen.server_tls]
certificates = [{ certificate = \"tls/server.pem\", key = \"tls/server.key\" }]
client_ca = \"tls/authority.pem\"
client_certificate = \"optional\"
";
/// Whoever has this certificate.
const ADA: &str = "\
[[client]]
id = \"ada\"
tls_subject = \"CN=ada,O=Example\\\\, Inc.\"
may = [\"sessions\"]
";
const TOKEN: &str = "the-token-of-the-broker-0123456789";

/// How curl comes in: what it is told, and where it asks.
struct Door {
    options: Vec<String>,
    origin: String,
}

impl Door {
    fn new(origin: &str, options: &[&str]) -> Self {
        Self { options: options.iter().map(ToString::to_string).collect(), origin: origin.to_owned() }
    }

    /// The version of HTTP, the status, and the body of an answer.
    fn asks(&self, curl: &Path, method: &str, path: &str, body: &str) -> (String, u16, Value) {
        let mut command = Command::new(curl);
        command.args(["-sS", "--max-time", "30", "-w", "\n%{http_version} %{http_code}", "-X", method]);
        command.args(&self.options).arg(format!("{}{path}", self.origin));
        if !body.is_empty() {
            command.args(["-H", "Content-Type: application/json", "-d", body]);
        }
        let output = command.output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        let (body, result) = text.rsplit_once('\n').unwrap_or_else(|| panic!("{text} {error}"));
        let (version, status) = result.split_once(' ').unwrap();
        (version.to_owned(), status.parse().unwrap(), serde_json::from_str(body).unwrap_or_default())
    }

    /// Opens a session, changes, finds and ends it.
    fn is_whole(&self, curl: &Path, version: &str) {
        let (spoken, status, told) = self.asks(curl, "POST", "/v1/sessions", "{\"application\":\"shop\"}");
        assert_eq!((&*spoken, status), (version, 201), "{} {told}", self.origin);
        let one = format!("/v1/sessions/{}", told["handle"].as_str().unwrap());
        for (method, path, body, expected) in [
            ("PATCH", &*one, "{\"entries\":{\"mail\":\"ann@example.org\"}}", 200),
            ("GET", &one, "", 200),
            ("POST", "/v1/find", "{\"entries\":{\"mail\":\"ann@example.org\"}}", 200),
            ("DELETE", &one, "", 200),
            ("GET", &one, "", 410),
            ("GET", "/v1/none", "", 404),
        ] {
            let (spoken, status, told) = self.asks(curl, method, path, body);
            assert_eq!((&*spoken, status), (version, expected), "{method} {} {told}", self.origin);
        }
    }
}

#[test]
fn the_api_is_whole_in_the_clear_and_by_a_socket_with_either_version_of_http() {
    let Some(curl) = available(find("curl", "curl")).unwrap() else { return };
    let configuration = CONFIGURATION.replace("TLS\n", "");
    let cloakroom = Cloakroom::start_with(&configuration, &[("broker.token", TOKEN)]).unwrap();
    let proof = format!("Authorization: Bearer {TOKEN}");
    let socket = cloakroom.directory().join(Cloakroom::SOCKET).display().to_string();
    let network = format!("http://{}", cloakroom.server());
    for (option, version) in [("--http1.1", "1.1"), ("--http2-prior-knowledge", "2")] {
        Door::new(&network, &[option, "-H", &proof]).is_whole(&curl, version);
        Door::new("http://there", &[option, "-H", &proof, "--unix-socket", &socket]).is_whole(&curl, version);
    }
    let (_, status, _) =
        Door::new("http://there", &["--unix-socket", &socket]).asks(&curl, "GET", "/v1/changes", "");
    assert_eq!(status, 401, "the socket alone is no proof");
}

#[test]
fn the_api_is_whole_over_tls_and_a_certificate_is_a_proof() {
    let Some(curl) = available(find("curl", "curl")).unwrap() else { return };
    let authority = Authority::new().unwrap();
    let (server, ada, bob) = (
        authority.server(&["sessions.example"]).unwrap(),
        authority.client("ada").unwrap(),
        authority.client("bob").unwrap(),
    );
    let files = [
        ("broker.token", TOKEN),
        ("tls/authority.pem", &*authority.certificate()),
        ("tls/server.pem", &server.certificate),
        ("tls/server.key", &server.key),
        ("tls/ada.pem", &ada.certificate),
        ("tls/ada.key", &ada.key),
        ("tls/bob.pem", &bob.certificate),
        ("tls/bob.key", &bob.key),
    ];
    let configuration = CONFIGURATION.replace("TLS\n", TLS) + ADA;
    let cloakroom = Cloakroom::start_with(&configuration, &files).unwrap();
    let place = |name: &str| cloakroom.directory().join("tls").join(name).display().to_string();
    let port = cloakroom.server().port();
    let (origin, resolve) =
        (format!("https://sessions.example:{port}"), format!("sessions.example:{port}:127.0.0.1"));
    let (proof, believed) = (format!("Authorization: Bearer {TOKEN}"), place("authority.pem"));
    let there = ["--resolve", &*resolve, "--cacert", &*believed];
    for (option, version) in [("--http1.1", "1.1"), ("--http2", "2")] {
        Door::new(&origin, &[&there[..], &[option, "-H", &proof]].concat()).is_whole(&curl, version);
    }
    let asked_by = |name: &str, method: &str| {
        let (certificate, key) = (place(&format!("{name}.pem")), place(&format!("{name}.key")));
        let door = Door::new(&origin, &[&there[..], &["--cert", &certificate, "--key", &key]].concat());
        door.asks(&curl, method, "/v1/sessions/00010f10a9fb5c7e8d9099a0af0affff", "").1
    };
    assert_eq!((asked_by("ada", "GET"), asked_by("ada", "DELETE"), asked_by("bob", "GET")), (404, 403, 401));
    assert_eq!(Door::new(&origin, &there).asks(&curl, "GET", "/v1/changes", "").1, 401);
}
