//! A session server over memory that fails when a test wants it, and how it is spoken to.

use std::net::SocketAddr;

use cache::Settings;
use session::SecretHash;

use super::*;

pub(super) struct House {
    pub(super) address: SocketAddr,
    pub(super) cache: Arc<Cache>,
    pub(super) storage: Arc<Faulty>,
    pub(super) clock: Arc<ManualClock>,
}

impl House {
    /// One at this time, in milliseconds; `furnish` says what is particular about it.
    pub(super) async fn open(now: u64, furnish: impl FnOnce(&Arc<Cache>, &mut Server)) -> Self {
        let clock = Arc::new(ManualClock::at(Millis(now)));
        let memory = Memory::new("local", Arc::clone(&clock) as _, 64 << 20);
        Self::over(Arc::new(Faulty::new(Arc::new(memory))), clock, |cache| cache, furnish).await
    }

    /// One over this storage; `keep` says what is particular about its cache.
    pub(super) async fn over(
        storage: Arc<Faulty>,
        clock: Arc<ManualClock>,
        keep: impl FnOnce(Cache) -> Cache,
        furnish: impl FnOnce(&Arc<Cache>, &mut Server),
    ) -> Self {
        let (shared, of_time) = (Arc::clone(&storage) as _, Arc::clone(&clock) as _);
        let cache = Cache::new(shared, of_time, SETTINGS, &mut Registry::default());
        let cache = Arc::new(keep(cache).named("here", "1.2.3").unwrap());
        let mut server = bare(vec![Arc::clone(&storage) as _], Arc::clone(&clock) as _);
        server.cache = Some(Arc::clone(&cache));
        furnish(&cache, &mut server);
        Self { address: serve(server).await, cache, storage, clock }
    }

    /// All of an answer.
    pub(super) async fn exchange(&self, line: &str, headers: &str, body: &str) -> String {
        let mut socket = TcpStream::connect(self.address).await.unwrap();
        let length = body.len();
        let request = format!(
            "{line} HTTP/1.1\r\nHost: house.example\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
        );
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer).await.unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// The status, the head and the body of an answer.
    pub(super) async fn answer(&self, line: &str, headers: &str, body: &str) -> (u16, String, String) {
        let answer = self.exchange(line, headers, body).await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), head.to_owned(), body.to_owned())
    }
}

/// A server without sessions, clients and protocols.
pub(super) fn bare(storages: Vec<Arc<dyn Storage>>, clock: Arc<dyn Clock>) -> Server {
    Server {
        registry: Registry::default(),
        storages,
        cache: None,
        applications: Applications::none(),
        version: "1.2.3",
        clients: Vec::new(),
        clock,
        llng: None,
    }
}

/// Serves it, for as long as the test takes.
pub(super) async fn serve(server: Server) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(server.serve(vec![listener.into()], std::future::pending()));
    address
}

/// A client that has this token.
pub(super) fn client(id: &str, token: &str, may: Vec<Right>) -> Client {
    Client { token: Some(SecretHash::of(token.as_bytes())), ..Client::new(id, may) }
}

const SETTINGS: Settings = Settings {
    inproc_timeout: Duration::from_mins(15),
    inproc_bytes: 8 << 20,
    trust_window: Duration::from_secs(10),
    outage_window: Duration::ZERO,
    renew_window: Duration::from_secs(30),
    cleanup_interval: Duration::ZERO,
    gather_touches: Duration::ZERO,
    maintain_index: true,
};
