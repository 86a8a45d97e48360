//! How Redis is reached, and what is said when it cannot be used.

use std::io::Write as _;
use std::net::TcpListener;
use std::sync::Arc;

use interop::{Authority, Redis, available};
use storage::kit::{key, manual_clock, record};
use storage::{Create, Storage};
use zeroize::Zeroizing;

use super::{Engine, Settings, opened, settings};

/// Why it is not opened.
async fn refused(settings: Settings) -> String {
    let error = Engine::open("shared", settings, Arc::new(manual_clock())).await;
    error.expect_err("it was opened").to_string()
}

async fn works(settings: Settings) {
    let engine = opened(settings, Arc::new(manual_clock())).await;
    let new = record(b"1", session::Millis::NEVER);
    assert!(matches!(engine.create(&key("a"), new).await.unwrap(), Create::Created(_)));
}

#[tokio::test]
async fn what_must_be_mended_is_said_with_the_cure() {
    let Some(server) = available(Redis::start()).unwrap() else { return };
    let nobody = interop::Port::claim().unwrap();
    let http = TcpListener::bind("127.0.0.1:0").unwrap();
    let web = http.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in http.incoming() {
            let _ = stream.unwrap().write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    let old = format!("redis://{}", nobody.address());
    for (url, what, cure) in [
        (old, "refused", "see whether it runs, and that host and port are right"),
        (format!("redis://{web}"), "", "see that host and port are those of Redis"),
        (format!("{}/99", server.url()), "", "0 to 15"),
        (server.url().replace("redis://", "redis://somebody:secret@"), "", "see `password_file`"),
        (
            server.url().replace("redis://", "redis-cluster://"),
            "no node of a Cluster",
            "say `redis://` in `url`",
        ),
        (format!("redis-sentinel://{}/sessions", server.address()), "it is no Sentinel", "usually 26379"),
        ("unix:///nowhere/redis.sock".to_owned(), "", "see whether it runs"),
    ] {
        let said = refused(settings(&url)).await;
        assert!(said.starts_with("storage shared cannot be opened: redis "), "{url}: {said}");
        assert!(said.to_lowercase().contains(&what.to_lowercase()) && said.contains(cure), "{url}: {said}");
        assert!(!said.contains("secret"), "{said}");
    }
}

#[tokio::test]
async fn a_replica_is_not_written_to() {
    let Some(primary) = available(Redis::start()).unwrap() else { return };
    let replica = primary.replica().unwrap();
    let said = refused(settings(&replica.url())).await;
    assert!(said.contains("it is a replica") && said.contains("name the primary in `url`"), "{said}");
}

#[tokio::test]
async fn a_server_that_throws_sessions_away_is_refused_unless_that_is_accepted() {
    let lines = "maxmemory 50mb\nmaxmemory-policy volatile-lru\n";
    let Some(server) = available(Redis::start_with(lines)).unwrap() else { return };
    let said = refused(settings(&server.url())).await;
    assert!(said.contains("(`maxmemory-policy volatile-lru`)"), "{said}");
    assert!(said.contains("set `maxmemory-policy noeviction` there"), "{said}");
    works(Settings { danger_accept_eviction: true, ..settings(&server.url()) }).await;
}

#[tokio::test]
async fn a_password_is_needed_and_never_shown() {
    let Some(server) = available(Redis::start_closed("geheim")).unwrap() else { return };
    let said = refused(settings(&server.url())).await;
    assert!(said.contains("see `password_file`"), "{said}");
    let with = |password: &str| Settings {
        password: Some(Zeroizing::new(password.to_owned())),
        ..settings(&server.url())
    };
    let said = refused(with("geheimer")).await;
    assert!(said.contains("see `password_file`") && !said.contains("geheim"), "{said}");
    assert!(!format!("{:?}", with("geheim")).contains("geheim"));
    works(with("geheim")).await;
}

#[tokio::test]
async fn a_user_may_have_no_more_than_the_book_says() {
    let Some(server) = available(Redis::start()).unwrap() else { return };
    let page = include_str!("../../../docs/src/storage/redis.md");
    let rules = page.split("ACL SETUSER ").nth(1).unwrap().split("```").next().unwrap();
    let rules = rules.replace(">PASSWORD", ">geheim");
    let words: Vec<&str> = ["ACL", "SETUSER"].into_iter().chain(rules.split_whitespace()).collect();
    assert_eq!(server.say(&words).unwrap().trim(), "OK");
    let url = server.url().replace("redis://", "redis://sessions@");
    let settings = Settings { password: Some(Zeroizing::new("geheim".to_owned())), ..settings(&url) };
    let engine = opened(settings, Arc::new(manual_clock())).await;
    let mut changes = engine.watch(None).await.unwrap();
    let new = record(b"1", session::Millis::NEVER);
    assert!(matches!(engine.create(&key("a"), new).await.unwrap(), Create::Created(_)));
    engine.bury(&key("a"), storage::kit::burial(None)).await.unwrap();
    engine.list("kit", None, 10).await.unwrap();
    engine.scan(None, 10).await.unwrap();
    engine.reap(storage::kit::START, 10).await.unwrap();
    assert!(futures_util::StreamExt::next(&mut changes).await.is_some());
}

#[tokio::test]
async fn a_socket_and_another_database_will_do() {
    let Some(server) = available(Redis::start()).unwrap() else { return };
    works(settings(&format!("unix://{}?db=3", server.socket().display()))).await;
    let there = server.say(&["-n", "3", "EXISTS", "cloakroom:{kit}:r:a"]).unwrap();
    assert_eq!(there.trim(), "1");
}

#[tokio::test]
async fn connections_are_encrypted_to_whom_we_believe() {
    let authority = Authority::new().unwrap();
    let identity = authority.server(&["localhost", "127.0.0.1"]).unwrap();
    let Some(server) = available(Redis::start_encrypted(&identity)).unwrap() else { return };
    let url = server.url().replace("redis://", "rediss://");
    let believing = |authority: &Authority| Settings {
        authority: Some(authority.certificate().into_bytes()),
        ..settings(&url)
    };
    works(believing(&authority)).await;
    for settings in [believing(&Authority::new().unwrap()), settings(&url)] {
        let said = refused(settings).await;
        assert!(said.contains("see `ca_file`"), "{said}");
    }
}
