//! Records in PostgreSQL, shared by all nodes that know the database.
//!
//! An operation is one statement, and so one round trip and one commit; a second one is needed only where something was in
//! the way and must be told. Statements are written for READ COMMITTED: each takes the row as it is when its turn has
//! come, not as it was when the statement began. Changes are announced by `NOTIFY` within the statement that makes them,
//! so that they are heard if and only if they were made, in the order of their commits. The server makes such commits one after the
//! other, each with a synchronisation of its disk: those who write at once share one.

mod listener;
mod open;
mod read;
mod refusal;
mod schema;
mod statements;
mod versions;
mod write;

use async_trait::async_trait;
use session::Millis;
use sqlx::PgConnection;

use self::listener::PostgresListener;
use self::open::Target;
use self::write::Write;
use super::server::{Backend, Nature, Reply, Request};

/// A value is held in memory several times while it is written.
const MAX_VALUE: usize = 16 << 20;

/// A PostgreSQL database.
pub(super) struct Postgres {
    target: Target,
    /// Where changes are announced. Channels belong to the database, and tables to a schema of it, so each has its own.
    channel: String,
    is_durable: bool,
}

#[async_trait]
impl Backend for Postgres {
    type Connection = PgConnection;
    type Listener = PostgresListener;

    /// While one transaction that announces something is being committed, every other one that does waits for it.
    const SHARES_COMMITS: bool = true;

    fn place(&self) -> &str {
        &self.target.place
    }

    fn max_value(&self) -> usize {
        MAX_VALUE
    }

    fn is_durable(&self) -> bool {
        self.is_durable
    }

    async fn connect(&self) -> Result<PgConnection, sqlx::Error> {
        self.target.connect().await
    }

    async fn work(
        &self,
        connection: &mut PgConnection,
        request: &Request,
        now: Millis,
    ) -> Result<Reply, sqlx::Error> {
        Ok(match request {
            Request::Read { key, known } => Reply::Read(read::read(connection, key, *known, now).await?),
            Request::List { context, after, limit } => {
                Reply::List(read::list(connection, context, after, *limit, now).await?)
            }
            Request::Scan { after, budget } => {
                Reply::Scan(read::scan(connection, after.as_ref(), *budget, now).await?)
            }
            Request::One(operation) => {
                Reply::One(Write::new(connection, &self.channel, now).one(operation).await?)
            }
            Request::All(operations) => {
                Reply::All(write::all(connection, &self.channel, now, operations).await?)
            }
            Request::Each(operations) => {
                Reply::Each(write::each(connection, &self.channel, now, operations).await?)
            }
            Request::Reap { now, budget } => Reply::Reaped(write::reap(connection, *now, *budget).await?),
        })
    }

    async fn listen(&self) -> Result<PostgresListener, sqlx::Error> {
        PostgresListener::begin(&self.target, &self.channel).await
    }

    fn nature(&self, error: &dyn sqlx::error::DatabaseError) -> Nature {
        refusal::nature(&error.code().unwrap_or_default())
    }
}
