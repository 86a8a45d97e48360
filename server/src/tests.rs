mod api;
mod bad_input;
mod bypasses;
mod house;
mod logins;
mod rest;
mod soap;
mod storage_end_point;
mod who_may;

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use session::{ManualClock, Millis};
use storage::Memory;
use storage::faulty::{Fault, Faulty, Which};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::*;

async fn started() -> (std::net::SocketAddr, Arc<Faulty>) {
    let clock = Arc::new(ManualClock::at(Millis(0)));
    let storage = Arc::new(Faulty::new(Arc::new(Memory::new("local", Arc::clone(&clock) as _, usize::MAX))));
    let mut registry = Registry::with_prefix("cloakroom");
    registry.register("tests", "Tests", Counter::<u64>::default());
    let server = Server { registry, ..house::bare(vec![Arc::clone(&storage) as _], clock) };
    (house::serve(server).await, storage)
}

async fn get(address: std::net::SocketAddr, path: &str) -> String {
    get_with(address, path, "").await
}

async fn get_with(address: std::net::SocketAddr, path: &str, headers: &str) -> String {
    let mut socket = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{headers}\r\n");
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut response = String::new();
    socket.read_to_string(&mut response).await.unwrap();
    response
}

#[tokio::test]
async fn health_is_that_of_storage() {
    let (address, storage) = started().await;
    let well = get(address, "/health").await;
    assert!(well.starts_with("HTTP/1.1 200") && well.ends_with("\r\n\r\n{\"status\":\"ok\"}"), "{well}");
    storage.fail(Which::Any, Fault::Refuse);
    let ill = get(address, "/health").await;
    assert!(ill.starts_with("HTTP/1.1 503") && ill.ends_with("\r\n\r\n{\"status\":\"degraded\"}"), "{ill}");
    storage.heal();
    assert!(get(address, "/health").await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn who_asks_for_open_metrics_gets_them_and_everybody_else_the_older_format() {
    let (address, _storage) = started().await;
    let open =
        get_with(address, "/metrics", "Accept: application/openmetrics-text;version=1.0.0,*/*;q=0.1\r\n")
            .await;
    assert!(open.contains("content-type: application/openmetrics-text; version=1.0.0"), "{open}");
    assert!(open.contains("# TYPE cloakroom_tests counter") && open.ends_with("# EOF\n"), "{open}");
    let classic = get(address, "/metrics").await;
    assert!(classic.contains("content-type: text/plain; version=0.0.4"), "{classic}");
    assert!(
        classic.ends_with("# TYPE cloakroom_tests_total counter\ncloakroom_tests_total 0\n"),
        "{classic}"
    );
}
