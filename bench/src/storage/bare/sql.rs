//! SQL databases, asked through their driver: a prepared statement an operation, on a plain table.

use std::sync::Arc;

use session::{Clock, SystemClock};
use sqlx::pool::PoolOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions as _, MySql, Pool, Postgres, Row as _, Sqlite};

use crate::engine::CONNECTIONS;
use crate::error::{Error, Result};
use crate::storage::sessions::{VALUE_BYTES, place, times, value};
use crate::storage::work::{Operation, Work};

/// What is said to a database.
struct Statements {
    table: &'static str,
    create: &'static str,
    read: &'static str,
    unchanged: &'static str,
    update: &'static str,
    touch: &'static str,
    bury: &'static str,
}

const POSTGRES: Statements = Statements {
    table: "CREATE TABLE bare (context text COLLATE \"C\", name bytea, touched bigint, expires bigint, value bytea, \
            PRIMARY KEY (context, name))",
    create: "INSERT INTO bare (touched, expires, value, context, name) VALUES ($1, $2, $3, $4, $5)",
    read: "SELECT touched, expires, value FROM bare WHERE context = $1 AND name = $2",
    unchanged: "SELECT touched, expires FROM bare WHERE context = $1 AND name = $2",
    update: "UPDATE bare SET touched = $1, expires = $2, value = $3 WHERE context = $4 AND name = $5",
    touch: "UPDATE bare SET touched = $1, expires = $2 WHERE context = $3 AND name = $4",
    bury: "DELETE FROM bare WHERE context = $1 AND name = $2",
};

/// SQLite understands the same.
const MYSQL: Statements = Statements {
    table: "CREATE TABLE bare (context varbinary(255), name varbinary(255), touched bigint, expires bigint, \
            value mediumblob, PRIMARY KEY (context, name))",
    create: "INSERT INTO bare (touched, expires, value, context, name) VALUES (?, ?, ?, ?, ?)",
    read: "SELECT touched, expires, value FROM bare WHERE context = ? AND name = ?",
    unchanged: "SELECT touched, expires FROM bare WHERE context = ? AND name = ?",
    update: "UPDATE bare SET touched = ?, expires = ?, value = ? WHERE context = ? AND name = ?",
    touch: "UPDATE bare SET touched = ?, expires = ? WHERE context = ? AND name = ?",
    bury: "DELETE FROM bare WHERE context = ? AND name = ?",
};

/// A database with a plain table.
pub(in crate::storage) struct Table<D: sqlx::Database> {
    readers: Pool<D>,
    writers: Pool<D>,
    clock: SystemClock,
    statements: &'static Statements,
}

macro_rules! works {
    ($database:ty) => {
        impl Work for Table<$database> {
            async fn work(&self, operation: Operation, number: u64) -> Result<()> {
                let (context, name) = place(number);
                let times = times(self.clock.now());
                let (touched, expires) = (times.touched.0 as i64, times.expires.0 as i64);
                let name = name.into_bytes();
                let Self { statements, readers, writers, .. } = self;
                let write = match operation {
                    Operation::Read => {
                        let read = sqlx::query(statements.read).bind(context).bind(name);
                        let row = read.fetch_one(readers).await.map_err(failed)?;
                        let value: Vec<u8> = row.try_get(2).map_err(failed)?;
                        let times = row.try_get::<i64, _>(0).and_then(|_| row.try_get::<i64, _>(1));
                        times.map_err(failed)?;
                        return if value.len() == VALUE_BYTES { Ok(()) } else { Err(lost(number)) };
                    }
                    Operation::Unchanged => {
                        let read = sqlx::query(statements.unchanged).bind(context).bind(name);
                        let row = read.fetch_one(readers).await.map_err(failed)?;
                        let times = row.try_get::<i64, _>(0).and_then(|_| row.try_get::<i64, _>(1));
                        return times.map(drop).map_err(failed);
                    }
                    Operation::Create => {
                        sqlx::query(statements.create).bind(touched).bind(expires).bind(value().to_vec())
                    }
                    Operation::Update => {
                        sqlx::query(statements.update).bind(touched).bind(expires).bind(value().to_vec())
                    }
                    Operation::Touch => sqlx::query(statements.touch).bind(touched).bind(expires),
                    Operation::Bury => sqlx::query(statements.bury),
                };
                let done = write.bind(context).bind(name).execute(writers).await.map_err(failed)?;
                if done.rows_affected() == 1 { Ok(()) } else { Err(lost(number)) }
            }
        }
    };
}

works!(Postgres);
works!(MySql);
works!(Sqlite);

pub(in crate::storage) async fn postgres(url: &str) -> Result<Arc<Table<Postgres>>> {
    let options = url.parse::<sqlx::postgres::PgConnectOptions>().map_err(failed)?;
    let pool = pool(CONNECTIONS).connect_with(options.disable_statement_logging()).await.map_err(failed)?;
    sqlx::query(POSTGRES.table).execute(&pool).await.map_err(failed)?;
    Ok(Arc::new(Table::new(pool.clone(), pool, &POSTGRES)))
}

pub(in crate::storage) async fn mysql(url: &str) -> Result<Arc<Table<MySql>>> {
    let options = url.parse::<sqlx::mysql::MySqlConnectOptions>().map_err(failed)?;
    let pool = pool(CONNECTIONS).connect_with(options.disable_statement_logging()).await.map_err(failed)?;
    sqlx::query(MYSQL.table).execute(&pool).await.map_err(failed)?;
    Ok(Arc::new(Table::new(pool.clone(), pool, &MYSQL)))
}

/// As the engine has it: one connection writes, and each write is on the disk when it is answered; the others read.
pub(in crate::storage) async fn sqlite(file: &std::path::Path, readers: u32) -> Result<Arc<Table<Sqlite>>> {
    let options = SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .disable_statement_logging();
    let writers = pool(1).connect_with(options.clone()).await.map_err(failed)?;
    sqlx::query(MYSQL.table).execute(&writers).await.map_err(failed)?;
    let readers = pool(readers).connect_with(options.read_only(true)).await.map_err(failed)?;
    Ok(Arc::new(Table::new(readers, writers, &MYSQL)))
}

/// The least that a pool can do: it does not ask a connection whether it still lives before each use.
fn pool<D: sqlx::Database>(connections: u32) -> PoolOptions<D> {
    PoolOptions::new().max_connections(connections).test_before_acquire(false)
}

impl<D: sqlx::Database> Table<D> {
    fn new(readers: Pool<D>, writers: Pool<D>, statements: &'static Statements) -> Self {
        Self { readers, writers, clock: SystemClock::default(), statements }
    }
}

fn failed(error: sqlx::Error) -> Error {
    Error::Load(format!("the driver: {error}"))
}

fn lost(number: u64) -> Error {
    Error::Load(format!("the driver: session {number} is not there as it was written"))
}
