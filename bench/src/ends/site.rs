//! Three gateways and the storage that they share.

use std::fmt;
use std::net::SocketAddr;

use interop::{Cloakroom, Condition, FaultProxy, Postgres, Redis};

use crate::error::Result;

/// Where sessions are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Redis,
    Postgres,
    Cloakroom,
}

impl Kind {
    pub(super) const ALL: [Self; 3] = [Self::Redis, Self::Postgres, Self::Cloakroom];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Redis => "Redis",
            Self::Postgres => "PostgreSQL",
            Self::Cloakroom => "another Cloakroom",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Who may log in: nobody does. With a file of users there is a page for logging out.
const USERS: &str = "ada:$apr1$hfT7jp2q$5Qk8b5OQn5HYyhQ9u1Kl71\n";
const TOKEN: &str = "a-token-of-the-benchmark-0123456789abcdef";
const DATABASE: &str = "sessions";

/// Where a server with sessions listens, and how it is stopped when this is dropped.
#[derive(Debug)]
enum Store {
    Redis(Redis),
    Postgres(Postgres),
    Cloakroom(Box<Cloakroom>),
}

impl Store {
    fn start(kind: Kind) -> Result<Self> {
        Ok(match kind {
            Kind::Redis => Self::Redis(Redis::start()?),
            Kind::Postgres => {
                // As it is run, with a disk that is waited for.
                let postgres = Postgres::start_with(&["fsync=on"])?;
                postgres.sql("postgres", &format!("CREATE DATABASE {DATABASE} ENCODING 'UTF8'"))?;
                Self::Postgres(postgres)
            }
            Kind::Cloakroom => {
                let configuration = "data_dir = \"{directory}/data\"\n\
                     [listen]\ngateway = \"{gateway}\"\nserver = \"{server}\"\n\
                     [[storage]]\nid = \"sessions\"\nengine = \"embedded\"\n\
                     [[client]]\nid = \"gateways\"\nbearer_file = \"storage.token\"\nmay = [\"storage\"]\n";
                let keeper = Cloakroom::start_with(configuration, &[("storage.token", TOKEN)])?;
                Self::Cloakroom(Box::new(keeper))
            }
        })
    }

    fn address(&self) -> SocketAddr {
        match self {
            Self::Redis(redis) => redis.address(),
            Self::Postgres(postgres) => postgres.address(),
            Self::Cloakroom(keeper) => keeper.server(),
        }
    }

    /// The lines of `[[storage]]`, for whoever reaches it there.
    fn lines(&self, address: SocketAddr) -> String {
        match self {
            Self::Redis(_) => format!("engine = \"redis\"\nurl = \"redis://{address}\"\n"),
            Self::Postgres(postgres) => {
                let url = postgres.url(DATABASE);
                let url = url.replace(&postgres.address().to_string(), &address.to_string());
                format!("engine = \"sql\"\nurl = \"{url}\"\n")
            }
            Self::Cloakroom(_) => {
                format!(
                    "engine = \"remote\"\nurl = \"http://{address}\"\nservice = \"sessions\"\nbearer_file = \"storage.token\"\n"
                )
            }
        }
    }
}

/// Three gateways on one storage.
#[derive(Debug)]
pub(super) struct Site {
    gateways: [Cloakroom; 3],
    /// On the line of the last of them, once it was put there.
    proxy: Option<FaultProxy>,
    store: Store,
    upstream: SocketAddr,
}

impl Site {
    pub(super) fn start(kind: Kind, upstream: SocketAddr) -> Result<Self> {
        let store = Store::start(kind)?;
        let configuration = configuration(&store.lines(store.address()), upstream);
        let files = [("users.htpasswd", USERS), ("storage.token", TOKEN)];
        let start = || Cloakroom::start_with(&configuration, &files);
        Ok(Self { gateways: [start()?, start()?, start()?], proxy: None, store, upstream })
    }

    /// Where visitors come in.
    pub(super) fn addresses(&self) -> [SocketAddr; 3] {
        self.gateways.each_ref().map(Cloakroom::gateway)
    }

    /// Puts a proxy between the last gateway and the storage.
    pub(super) fn cut_one_off(&mut self) -> Result<()> {
        let proxy = FaultProxy::start(self.store.address())?;
        let [_, _, last] = &mut self.gateways;
        last.configure(&configuration(&self.store.lines(proxy.address()), self.upstream))?;
        last.restart()?;
        self.proxy = Some(proxy);
        Ok(())
    }

    /// Whether packets between the last gateway and the storage vanish.
    pub(super) fn cut(&self, is_cut: bool) {
        if let Some(proxy) = &self.proxy {
            proxy.set(if is_cut { Condition::BlackHole } else { Condition::Passing });
            if !is_cut {
                // What has swallowed bytes stays dead.
                proxy.cut();
            }
        }
    }
}

fn configuration(storage: &str, upstream: SocketAddr) -> String {
    format!(
        "data_dir = \"{{directory}}/data\"\n\
         [listen]\n\
         gateway = \"{{gateway}}\"\n\
         server = \"{{server}}\"\n\
         [[storage]]\n\
         id = \"sessions\"\n\
         {storage}\
         [[application]]\n\
         id = \"measured\"\n\
         upstream = \"http://{upstream}\"\n\
         carrier = \"ticket\"\n\
         idle_timeout = \"30m\"\n\
         lifetime = \"8h\"\n\
         [application.cookie]\n\
         name = \"session\"\n\
         secure = false\n\
         [application.handoff]\n\
         request_header = \"X-Session\"\n\
         update_header = \"X-Replace-Session\"\n\
         [application.login]\n\
         file = \"users.htpasswd\"\n\
         require = [\"/account\"]\n"
    )
}
