//! Records in SQL databases.
//!
//! One table holds a row for each key, a live record or what an ended one left; something beside it keeps the versions
//! growing. What differs from one database to the next lies in a folder for it: its schema, its statements, how it is
//! reached, and how writers come together. What database servers have in common lies in [`server`].
//!
//! [`sqlite`] is a file of this machine. PostgreSQL, MySQL and MariaDB are servers that several nodes share: [`open`] opens
//! whatever the URL names.

mod address;
mod grouping;
#[cfg(feature = "mysql")]
mod mysql;
#[cfg(feature = "postgres")]
mod postgres;
mod row;
#[cfg(any(feature = "postgres", feature = "mysql"))]
mod server;
pub mod sqlite;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use session::Clock;
use storage::{LONGEST_UNNOTICED, Storage};

pub use self::address::{Address, AddressError, Product};
use crate::OpenError;

/// How long a server may take to answer whether there is something new, one question at a time. Twice that is the longest that
/// its death goes unnoticed, for an answer says that it lived when it was asked.
const ANSWER: Duration = Duration::from_secs(LONGEST_UNNOTICED.as_secs() / 2);

/// Where a database is, and how it is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Which database.
    pub address: Address,
    /// A file whose first line is the password. It is read whenever a connection is opened, so a new password needs no
    /// restart.
    pub password_file: Option<PathBuf>,
    /// Certificates of the authorities that the server's certificate must come from; none: those of the public web.
    pub ca_file: Option<PathBuf>,
    /// How many connections there may be at most, beside the one that hears of changes.
    pub max_connections: u32,
    /// How long the opening of a connection may take.
    pub connect_timeout: Duration,
    /// How often changes of other nodes are looked for, where the database does not tell them.
    pub poll_interval: Duration,
}

impl Settings {
    /// How long changes may not be heard before the change stream ends for it.
    #[must_use]
    pub fn unnoticed(&self) -> Duration {
        match self.address.product() {
            Product::Sqlite => Duration::ZERO,
            #[cfg(feature = "postgres")]
            Product::Postgres => LONGEST_UNNOTICED,
            // It may have died right after it was asked, and the next question comes an interval later.
            #[cfg(feature = "mysql")]
            Product::MySql => LONGEST_UNNOTICED.max(self.poll_interval + ANSWER),
        }
    }
}

/// Opens the records in a database for the storage service `id`, and makes the tables if they are not there. Must be
/// called within a tokio runtime.
pub async fn open(
    id: &str,
    settings: &Settings,
    clock: Arc<dyn Clock>,
) -> Result<Arc<dyn Storage>, OpenError> {
    match settings.address.product() {
        Product::Sqlite => {
            Ok(Arc::new(sqlite::Sqlite::open_file(id, &settings.address.file(), clock).await?))
        }
        #[cfg(feature = "postgres")]
        Product::Postgres => server::open::<postgres::Postgres>(id, settings, clock).await,
        #[cfg(feature = "mysql")]
        Product::MySql => server::open::<mysql::MySql>(id, settings, clock).await,
    }
}
