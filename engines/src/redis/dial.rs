//! How a connection to one server is made, and what is seen of the server then.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, IntoConnectionInfo as _, Pipeline, ProtocolVersion,
    PushInfo, RedisConnectionInfo, TlsCertificates, Value, pipe,
};
use storage::Blame;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::fault::{Fault, Kind};
use super::script;
use super::url::{Address, Url};

/// The oldest Redis that is used.
const OLDEST: (u32, u32) = (6, 2);

/// How a connection is made.
#[derive(Clone)]
pub(super) struct Dial {
    user: Option<String>,
    password: Option<Zeroizing<String>>,
    is_encrypted: bool,
    authority: Option<Vec<u8>>,
    database: u16,
}

/// What a server says of itself when we connect.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) version: (u32, u32),
    pub(super) is_primary: bool,
    pub(super) is_cluster: bool,
    pub(super) replicas: usize,
    /// Whether what was acknowledged is on its disk. Not known where CONFIG may not be asked.
    pub(super) is_durable: Option<bool>,
    /// What it throws away when its memory is full, if it ever is.
    pub(super) eviction: Option<String>,
}

impl std::fmt::Debug for Dial {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dial").field("is_encrypted", &self.is_encrypted).finish_non_exhaustive()
    }
}

impl Dial {
    /// With the password of a file in the place of the one in the URL, and certificates by this authority, in PEM, in the
    /// place of those that the system trusts.
    pub(super) fn new(url: &Url, password: Option<Zeroizing<String>>, authority: Option<Vec<u8>>) -> Self {
        Self {
            user: url.user.clone(),
            password: password.or_else(|| url.password.clone()),
            is_encrypted: url.is_encrypted,
            authority,
            database: url.database,
        }
    }

    /// The same for another kind of server: it has one database, and its own password.
    pub(super) fn for_sentinels(&self, password: Option<Zeroizing<String>>) -> Self {
        Self { user: None, password, database: 0, ..self.clone() }
    }

    /// A connection, and what is heard on it beside answers: messages, and at last that it broke.
    pub(super) async fn connect(
        &self,
        address: &Address,
        pushes: UnboundedSender<PushInfo>,
        patience: Duration,
    ) -> Result<MultiplexedConnection, Fault> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            .set_response_timeout(None)
            .set_push_sender(pushes);
        let client = self.client(address)?;
        let connecting = client.get_multiplexed_async_connection_with_config(&config);
        match timeout(patience, connecting).await {
            Ok(connected) => connected.map_err(|error| Fault::of_connecting(address, &error)),
            Err(_) => Err(Fault::unconnected(address, patience)),
        }
    }

    /// What the server says of itself; our scripts are loaded on the way.
    pub(super) async fn look(
        &self,
        address: &Address,
        connection: &mut MultiplexedConnection,
        patience: Duration,
    ) -> Result<Seen, Fault> {
        let mut questions = pipe();
        questions.ignore_errors().cmd("INFO").cmd("CONFIG").arg("GET").arg("appendfsync");
        for script in script::ALL {
            questions.cmd("SCRIPT").arg("LOAD").arg(script.source());
        }
        let answers = ask(connection, &questions, address, patience).await;
        let mut answers = answers.map_err(before_anything)?.into_iter();
        let info = match answers.next() {
            Some(Value::BulkString(text)) => String::from_utf8_lossy(&text).into_owned(),
            Some(Value::VerbatimString { text, .. }) => text,
            Some(Value::ServerError(error)) => return Err(Fault::of(address, &error.into())),
            _ => return Err(Fault::nonsense(address, "INFO was not answered with a text")),
        };
        let settings: Option<HashMap<String, String>> =
            answers.next().and_then(|answer| redis::from_redis_value(answer).ok());
        let appendfsync = settings.as_ref().and_then(|settings| settings.get("appendfsync"));
        let seen = Seen::read(&info, appendfsync.map(String::as_str));
        seen.admit(address)?;
        for answer in answers {
            if let Value::ServerError(error) = answer {
                return Err(Fault::of(address, &error.into()));
            }
        }
        Ok(seen)
    }

    fn client(&self, address: &Address) -> Result<Client, Fault> {
        let lasting = |error| Fault::of(address, &error);
        let server = match address {
            Address::Unix(path) => ConnectionAddr::Unix(path.clone()),
            Address::Tcp(host, port) if self.is_encrypted => {
                ConnectionAddr::TcpTls { host: host.clone(), port: *port, insecure: false, tls_params: None }
            }
            Address::Tcp(host, port) => ConnectionAddr::Tcp(host.clone(), *port),
        };
        let is_encrypted = matches!(server, ConnectionAddr::TcpTls { .. });
        let mut settings = RedisConnectionInfo::default()
            .set_protocol(ProtocolVersion::RESP3)
            .set_lib_name("cloakroom", env!("CARGO_PKG_VERSION"))
            .set_db(self.database.into());
        if let Some(user) = &self.user {
            settings = settings.set_username(user);
        }
        if let Some(password) = &self.password {
            settings = settings.set_password(password.as_str());
        }
        let info = server.into_connection_info().map_err(lasting)?.set_redis_settings(settings);
        match &self.authority {
            Some(authority) if is_encrypted => {
                let certificates = TlsCertificates { client_tls: None, root_cert: Some(authority.clone()) };
                Client::build_with_tls(info, certificates).map_err(lasting)
            }
            _ => Client::open(info).map_err(lasting),
        }
    }
}

impl Seen {
    /// From what INFO says, and CONFIG, where it may be asked.
    pub(super) fn read(info: &str, appendfsync: Option<&str>) -> Self {
        let of = |name: &str| {
            info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
        };
        let number = |name: &str| of(name).and_then(|text| text.parse::<usize>().ok()).unwrap_or_default();
        let mut version = of("redis_version").unwrap_or_default().split('.').map(|part| part.parse().ok());
        let mut part = || version.next().flatten().unwrap_or_default();
        let is_appending = of("aof_enabled") == Some("1");
        let policy = of("maxmemory_policy").unwrap_or("noeviction");
        Self {
            version: (part(), part()),
            is_primary: of("role") == Some("master"),
            is_cluster: of("cluster_enabled") == Some("1"),
            replicas: number("connected_slaves"),
            is_durable: if is_appending { appendfsync.map(|when| when == "always") } else { Some(false) },
            eviction: (number("maxmemory") > 0 && policy != "noeviction").then(|| policy.to_owned()),
        }
    }

    /// Whether it is new enough. What is asked of a server is what Redis 6.2 can; Valkey says as `redis_version` which Redis
    /// it is like.
    fn admit(&self, address: &Address) -> Result<(), Fault> {
        if self.version >= OLDEST {
            return Ok(());
        }
        let what = format!("it is version {}.{}", self.version.0, self.version.1);
        let fault = Fault::new(address, Kind::Lasting, what);
        Err(fault.with_cure("Cloakroom needs Redis 6.2 or newer, or Valkey"))
    }
}

/// The answers to several questions, errors among them.
pub(super) async fn ask(
    connection: &mut MultiplexedConnection,
    questions: &Pipeline,
    address: &Address,
    patience: Duration,
) -> Result<Vec<Value>, Fault> {
    match timeout(patience, connection.send_packed_commands(questions, 0, questions.len())).await {
        Ok(answers) => answers.map_err(|error| Fault::of(address, &error)),
        Err(_) => Err(Fault::silent(address, patience)),
    }
}

/// Nothing was asked yet that could have been done.
pub(super) fn before_anything(fault: Fault) -> Fault {
    if fault.is_of_connection() { fault.of_kind(Kind::Unreachable(Blame::Network)) } else { fault }
}

/// Nobody listens to what else is said.
pub(super) fn unheard() -> UnboundedSender<PushInfo> {
    tokio::sync::mpsc::unbounded_channel().0
}

/// Shared by all connections of a storage service.
pub(super) type Dialling = Arc<Dial>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_says_of_itself_is_read() {
        let info = "# Server\r\nredis_version:7.0.15\r\n# Memory\r\nmaxmemory:1048576\r\nmaxmemory_policy:allkeys-lru\r\n\
                    # Persistence\r\naof_enabled:1\r\n# Replication\r\nrole:master\r\nconnected_slaves:2\r\n\
                    # Cluster\r\ncluster_enabled:0\r\n";
        let seen = Seen::read(info, Some("everysec"));
        assert_eq!((seen.version, seen.is_primary, seen.is_cluster, seen.replicas), ((7, 0), true, false, 2));
        assert_eq!((seen.is_durable, seen.eviction.as_deref()), (Some(false), Some("allkeys-lru")));
        assert!(seen.admit(&Address::Tcp("here".to_owned(), 1)).is_ok());
        assert_eq!(Seen::read(info, Some("always")).is_durable, Some(true));
        assert_eq!(Seen::read(info, None).is_durable, None);
        let unbounded = info.replace("1048576", "0").replace("aof_enabled:1", "aof_enabled:0");
        let seen = Seen::read(&unbounded, Some("always"));
        assert_eq!((seen.eviction, seen.is_durable), (None, Some(false)));
    }

    #[test]
    fn a_server_that_is_too_old_or_says_no_version_is_refused() {
        for (version, is_new_enough) in [
            ("5.0.14", false),
            ("6.0.20", false),
            ("6.2.0", true),
            ("7.2.4", true),
            ("", false),
            ("x", false),
        ] {
            let seen = Seen::read(&format!("redis_version:{version}\r\n"), None);
            match seen.admit(&Address::Tcp("here".to_owned(), 6379)) {
                Ok(()) => assert!(is_new_enough, "{version}"),
                Err(fault) => {
                    assert!(!is_new_enough, "{version}");
                    assert!(fault.to_string().contains("needs Redis 6.2"), "{fault}");
                }
            }
        }
    }
}
