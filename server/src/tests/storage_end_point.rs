//! The storage end point, by the byte: what it answers to those who are not its client, or a broken one.

use client::protocol::{self, Operation, encode};
use storage::kit::{burial, key, record};
use storage::{Memory, Read};

use super::house::{bare, client, serve};
use super::*;

const TOKEN: &str = "the-token-of-this-test-0123456789abcdef";
const TYPE: &str = "Content-Type: application/vnd.cloakroom.storage\r\n";

struct EndPointAt(std::net::SocketAddr, Arc<dyn Storage>);

async fn offered(may: Vec<Right>) -> EndPointAt {
    let clock = Arc::new(ManualClock::at(Millis(1_000)));
    let storage: Arc<dyn Storage> = Arc::new(Memory::new("local", Arc::clone(&clock) as _, usize::MAX));
    let mut server = bare(vec![Arc::clone(&storage)], clock);
    server.clients = vec![client("gateway", TOKEN, may)];
    EndPointAt(serve(server).await, storage)
}

impl EndPointAt {
    /// Sends these bytes, and then nothing more; the answer, as far as there is one.
    async fn says(&self, request: &[u8]) -> String {
        let mut socket = TcpStream::connect(self.0).await.unwrap();
        socket.write_all(request).await.unwrap();
        socket.shutdown().await.unwrap();
        let mut answer = Vec::new();
        // It may hang up on what is none.
        let _ = socket.read_to_end(&mut answer).await;
        String::from_utf8_lossy(&answer).into_owned()
    }

    async fn post(&self, path: &str, headers: &str, body: &[u8]) -> String {
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Bearer {TOKEN}\r\n{headers}Content-Length: {}\r\n\r\n",
            body.len()
        );
        self.says(&[head.as_bytes(), body].concat()).await
    }
}

#[track_caller]
fn refused(answer: &str, status: u16, says: &str) {
    assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{status} is not in {answer}");
    assert!(
        answer.contains("cloakroom-storage: 1\r\n") && answer.contains(says),
        "{says} is not in {answer}"
    );
}

#[tokio::test]
async fn without_a_client_that_may_there_is_no_end_point() {
    let end_point = offered(Vec::new()).await;
    let answer = end_point.post("/storage/v1/local/read", TYPE, b"").await;
    assert!(answer.starts_with("HTTP/1.1 404 ") && !answer.contains("cloakroom-storage"), "{answer}");
    assert!(get(end_point.0, "/health").await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn nobody_learns_anything_without_a_proof() {
    let end_point = offered(vec![Right::Storage]).await;
    let guesses =
        ["", "Authorization: Bearer x\r\n", "Authorization: Basic eDp5\r\n", "Authorization: Bearer \r\n"];
    for path in ["/storage/v1/local", "/storage/v1/none", "/storage/v1/local/changes"] {
        for guess in guesses {
            let answer = get_with(end_point.0, path, guess).await;
            refused(&answer, 401, "www-authenticate: Bearer");
        }
    }
    // The scheme is in any case.
    let request = format!(
        "GET /storage/v1/local HTTP/1.1\r\nHost: a\r\nConnection: close\r\nauthorization: bEARER {TOKEN}\r\n\r\n"
    );
    refused(&end_point.says(request.as_bytes()).await, 200, "application/vnd.cloakroom.storage");
}

#[tokio::test]
async fn what_is_no_request_is_refused_and_does_nothing() {
    let end_point = offered(vec![Right::Storage]).await;
    let created = end_point.1.create(&key("a"), record(b"1", Millis::NEVER)).await.unwrap();
    let bury = encode(&(key("a"), burial(None)));
    for (path, headers, body, status, says) in [
        ("/storage/v1/local/bury", "", &bury[..], 415, "of the type application/vnd.cloakroom.storage"),
        ("/storage/v1/local/bury", "Content-Type: application/json\r\n", &bury, 415, "of the type"),
        ("/storage/v1/local/bury", TYPE, &bury[..bury.len() - 1], 400, "cannot be read"),
        ("/storage/v1/local/bury", TYPE, b"", 400, "cannot be read: it is cut off"),
        ("/storage/v1/local/drop", TYPE, &bury, 404, "no operation has that name"),
        ("/storage/v1/other/bury", TYPE, &bury, 404, "no storage of that id"),
        ("/storage/v2/local/bury", TYPE, &bury, 404, "nothing of that name"),
        ("/storage/v1/local/bury/a", TYPE, &bury, 404, "nothing of that name"),
    ] {
        refused(&end_point.post(path, headers, body).await, status, says);
    }
    let longer = [&bury[..], b"x"].concat();
    refused(&end_point.post("/storage/v1/local/bury", TYPE, &longer).await, 400, "something follows its end");
    assert!(matches!(end_point.1.read(&key("a"), None).await.unwrap(), Read::Found(_)), "{created:?}");
}

#[tokio::test]
async fn nobody_makes_it_read_more_than_it_can_bear() {
    let end_point = offered(vec![Right::Storage]).await;
    let head = |length: &str| {
        format!(
            "POST /storage/v1/local/create HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{TYPE}Authorization: Bearer {TOKEN}\r\n{length}\r\n\r\n"
        )
    };
    let answer =
        end_point.says(head(&format!("Content-Length: {}", protocol::MAX_BODY + 1)).as_bytes()).await;
    refused(&answer, 413, "a request has at most");
    // The library does not even count so far.
    let answer = end_point.says(head(&format!("Content-Length: {}", u64::MAX)).as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
    // One that does not say how long it is, and does not end.
    let mut endless = head("Transfer-Encoding: chunked").into_bytes();
    let mut chunk = b"100000\r\n".to_vec();
    chunk.extend(vec![b'x'; 1 << 20]);
    chunk.extend(b"\r\n");
    endless.extend(chunk.repeat(33));
    refused(&end_point.says(&endless).await, 413, "a request has at most");
    // One that breaks off.
    let whole = encode(&(key("a"), record(b"1", Millis::NEVER)));
    let head = head(&format!("Content-Length: {}", whole.len()));
    end_point.says(&[head.as_bytes(), &whole[..whole.len() - 1]].concat()).await;
    assert_eq!(end_point.1.read(&key("a"), None).await.unwrap(), Read::Absent);
}

#[tokio::test]
async fn a_clock_that_is_ahead_takes_nothing_away() {
    let end_point = offered(vec![Right::Storage]).await;
    end_point.1.create(&key("a"), record(b"1", Millis(2_000))).await.unwrap();
    let reap = encode(&protocol::ReapRequest { now: Millis(9_000), budget: 10 });
    let path = format!("/storage/v1/local/{}", Operation::Reap.as_str());
    let answer = end_point.post(&path, TYPE, &reap).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("\r\n\r\n\0"), "{answer:?}");
    assert!(matches!(end_point.1.read(&key("a"), None).await.unwrap(), Read::Found(_)));
}

#[tokio::test]
async fn the_change_stream_is_one_that_a_browser_could_read() {
    let end_point = offered(vec![Right::Storage]).await;
    let mut socket = TcpStream::connect(end_point.0).await.unwrap();
    let request = format!(
        "GET /storage/v1/local/changes HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {TOKEN}\r\nLast-Event-ID: none\r\n\r\n"
    );
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut said = String::new();
    let mut bytes = [0; 4096];
    // A position that is none is one that nobody knows; then it waits, and says so.
    while !(said.contains("event: gap\ndata: -\n\n") && said.contains("\n:\n\n")) {
        let read = timeout(Duration::from_secs(20), socket.read(&mut bytes)).await.unwrap().unwrap();
        assert!(read > 0, "it ended: {said}");
        said.push_str(&String::from_utf8_lossy(&bytes[..read]));
    }
    assert!(said.starts_with("HTTP/1.1 200") && said.contains("content-type: text/event-stream"), "{said}");
    end_point.1.create(&key("a"), record(b"1", Millis::NEVER)).await.unwrap();
    while !said.contains("event: change\ndata: ") {
        let read = timeout(Duration::from_secs(20), socket.read(&mut bytes)).await.unwrap().unwrap();
        said.push_str(&String::from_utf8_lossy(&bytes[..read]));
    }
}
