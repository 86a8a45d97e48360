//! Records in MySQL or MariaDB, shared by all nodes that know the database.
//!
//! A change is a short transaction: it locks the row, looks at it, writes what is to be told to others, writes the row. What is
//! to be told has a number that the server hands out, and that number is the version of the record: it is drawn while the
//! row is locked, so it only grows, and drawing it keeps nobody waiting. Others read the numbers beyond those they know,
//! many times a second.
//!
//! Statements are written for READ COMMITTED, in which nothing but rows that are there is locked. Two who create the same
//! key at once meet at its primary key, and the later one tries again.

mod listener;
mod open;
mod read;
mod refusal;
mod schema;
mod statements;
mod write;

use async_trait::async_trait;
use session::Millis;
use sqlx::MySqlConnection;
use sqlx::mysql::MySqlDatabaseError;
use storage::Batch;

use self::listener::MySqlListener;
use self::open::Target;
use super::server::{Backend, Nature, Reply, Request};

/// A MySQL or MariaDB database.
pub(super) struct MySql {
    target: Target,
    max_value: usize,
    is_durable: bool,
}

#[async_trait]
impl Backend for MySql {
    type Connection = MySqlConnection;
    type Listener = MySqlListener;

    /// The server itself commits together what comes at once, and 64 writers were not faster with more of it.
    const SHARES_COMMITS: bool = false;

    fn place(&self) -> &str {
        &self.target.place
    }

    fn max_value(&self) -> usize {
        self.max_value
    }

    fn is_durable(&self) -> bool {
        self.is_durable
    }

    async fn connect(&self) -> Result<MySqlConnection, sqlx::Error> {
        self.target.connect().await
    }

    async fn work(
        &self,
        connection: &mut MySqlConnection,
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
            Request::One(operation) => Reply::One(write::one(connection, now, operation).await?),
            Request::All(operations) => Reply::All(write::several(connection, now, operations, true).await?),
            Request::Each(operations) => match write::several(connection, now, operations, false).await? {
                Batch::Done(outcomes) => Reply::Each(outcomes),
                refused @ Batch::Refused { .. } => Reply::All(refused),
            },
            Request::Reap { now, budget } => Reply::Reaped(write::reap(connection, *now, *budget).await?),
        })
    }

    async fn listen(&self) -> Result<MySqlListener, sqlx::Error> {
        MySqlListener::begin(&self.target).await
    }

    fn nature(&self, error: &dyn sqlx::error::DatabaseError) -> Nature {
        let number = error.try_downcast_ref::<MySqlDatabaseError>().map_or(0, MySqlDatabaseError::number);
        refusal::nature(number)
    }
}
