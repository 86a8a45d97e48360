//! What happens to sessions, as it happens.

use tokio::time::timeout;

use super::*;

/// A stream of events, read line by line.
struct Stream {
    socket: TcpStream,
    text: String,
}

impl Stream {
    async fn of(house: &House, token: &str, headers: &str) -> Self {
        let mut socket = TcpStream::connect(house.address).await.unwrap();
        let request =
            format!("GET /v1/changes HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n{headers}\r\n");
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut stream = Self { socket, text: String::new() };
        // A heartbeat says that it has begun.
        if !headers.contains("Last-Event-ID") {
            stream.until("\n\n:\n").await.unwrap_or_default();
        }
        stream
    }

    /// Reads until `words` have come; what came until then.
    async fn until(&mut self, words: &str) -> Option<String> {
        let reading = async {
            let mut bytes = [0; 4096];
            while !self.text.replace("\r\n", "\n").contains(words) {
                match self.socket.read(&mut bytes).await {
                    Ok(0) | Err(_) => return None,
                    Ok(read) => self.text.push_str(&String::from_utf8_lossy(&bytes[..read])),
                }
            }
            Some(self.text.clone())
        };
        timeout(Duration::from_secs(20), reading).await.ok().flatten()
    }
}

#[tokio::test]
async fn who_follows_is_told_what_happens_and_goes_on_where_they_were() {
    let house = House::new().await;
    let mut stream = Stream::of(&house, READER, "").await;
    let (handle, _) = house.opened(&of_ann()).await;
    let data = format!("data: {{\"handle\":\"{handle}\"}}");
    let text = stream.until(&data).await.unwrap();
    assert!(text.contains(&format!("event: written\n{data}")), "{text}");
    assert!(text.to_lowercase().contains("content-type: text/event-stream"), "{text}");
    let (_, last) = text.rsplit_once("id: ").unwrap();
    let last: String = last.chars().take_while(char::is_ascii_digit).collect();
    drop(stream);
    // What happens meanwhile is told later.
    house.as_admin(&format!("DELETE /v1/sessions/{handle}"), &json!(null)).await;
    house.as_admin("POST /v1/end", &json!({"realm": "shop"})).await;
    let mut stream = Stream::of(&house, READER, &format!("Last-Event-ID: {last}\r\n")).await;
    let text = stream.until("event: revoked\ndata: {}").await.unwrap();
    assert!(text.contains(&format!("event: ended\n{data}")) && !text.contains("event: gap"), "{text}");
    // Nobody who was there before this process knows what was missed.
    let mut stream = Stream::of(&house, READER, "Last-Event-ID: 7\r\n").await;
    assert!(stream.until("event: gap\ndata: {}").await.is_some());
}

#[tokio::test]
async fn who_may_not_look_at_all_sessions_follows_none() {
    let house = House::new().await;
    for (token, status) in [(SHOP, 403), (STRANGER, 403), ("none", 401)] {
        let headers = format!("Authorization: Bearer {token}\r\n");
        is_problem(&house.says("GET /v1/changes", &headers, "").await, status);
    }
}

#[tokio::test]
async fn everybody_learns_whether_it_is_up_and_clients_that_may_look_what_is_there() {
    let house = House::new().await;
    let with = |token: &str| format!("Authorization: Bearer {token}\r\n");
    for path in ["/health", "/v1/health"] {
        // Nobody is turned away: whoever judges by the status would take that for an outage.
        for headers in [String::new(), with(SHOP), with("nobody"), "Authorization: Basic YTpi\r\n".to_owned()]
        {
            let (status, head, health) = house.says(&format!("GET {path}"), &headers, "").await;
            assert_eq!((status, health), (200, json!({"status": "ok"})), "{path} {headers}");
            assert!(head.contains("cache-control: no-store"), "{head}");
        }
        for token in [READER, ADMIN, PARTIAL] {
            let (_, _, health) = house.says(&format!("GET {path}"), &with(token), "").await;
            assert_eq!((&health["status"], &health["version"]), (&json!("ok"), &json!("1.2.3")), "{health}");
            assert_eq!(health["storage"][0]["id"], "local", "{health}");
            assert_eq!(health["nodes"][0]["name"], "here", "{health}");
        }
    }
    house.storage.fail(Which::Any, Fault::Refuse);
    let (status, _, health) = house.says("GET /v1/health", "", "").await;
    assert_eq!((status, health), (503, json!({"status": "degraded"})));
    let (status, _, health) = house.says("GET /v1/health", &with(READER), "").await;
    assert_eq!((status, &health["storage"][0]["status"]), (503, &json!("unavailable")));
    assert!(health["storage"][0]["error"].is_string(), "{health}");
}
