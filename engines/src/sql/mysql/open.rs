//! From a URL to a database that can be used.

use std::path::PathBuf;
use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use session::Millis;
use sqlx::mysql::{MySqlConnectOptions, MySqlSslMode};
use sqlx::{ConnectOptions as _, Connection as _, Executor as _, MySqlConnection, query_scalar};

use super::{MySql, refusal, schema};
use crate::Problem;
use crate::sql::Settings;
use crate::sql::server::{Connect, password};

/// What every connection is told first. Statements are written for READ COMMITTED; nothing is cut to fit; and whoever
/// vanished in the middle of a change must not hold its locks for long.
const GREETING: &str = "\
    SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED; \
    SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION', innodb_lock_wait_timeout = 10, wait_timeout = 600; \
    /*M! SET SESSION idle_transaction_timeout = 10, max_statement_time = 30 */";

const MAX_VALUE: u64 = 16 << 20;
/// What a statement holds besides the value.
const REST: u64 = 64 << 10;

/// How the database is reached.
pub(super) struct Target {
    /// For people; without a password.
    pub(super) place: Arc<str>,
    pub(super) poll_interval: Duration,
    options: MySqlConnectOptions,
    password_file: Option<PathBuf>,
}

impl Target {
    fn new(settings: &Settings) -> Result<Self, Problem> {
        let address = &settings.address;
        let place: Arc<str> = address.to_string().into();
        let mut options = MySqlConnectOptions::from_str(address.as_str())
            .map_err(|error| Problem::database(&*place, error.to_string(), "mend the `url`"))?
            .disable_statement_logging();
        // Nobody on the way passes for the server, unless the URL asks for less.
        if address.tls_mode().is_none() && !address.is_local() {
            options = options.ssl_mode(MySqlSslMode::VerifyIdentity);
        }
        if let Some(file) = &settings.ca_file {
            options = options.ssl_ca(file);
        }
        let password_file = settings.password_file.clone();
        Ok(Self { place, poll_interval: settings.poll_interval, options, password_file })
    }

    pub(super) async fn connect(&self) -> Result<MySqlConnection, sqlx::Error> {
        let options = self.options.clone();
        let options = match &self.password_file {
            Some(file) => options.password(&password(file).await?),
            None => options,
        };
        let mut connection = options.connect().await?;
        connection.execute(GREETING).await?;
        Ok(connection)
    }
}

#[async_trait]
impl Connect for MySql {
    async fn open(settings: &Settings, now: Millis) -> Result<Self, Problem> {
        let target = Target::new(settings)?;
        let failed = |error| refusal::at_start(&target.place, &error);
        let mut connection = target.connect().await.map_err(failed)?;
        schema::prepare(&mut connection, &target.place, now).await?;
        let packet: u64 =
            query_scalar("SELECT @@max_allowed_packet").fetch_one(&mut connection).await.map_err(failed)?;
        let flush: i64 = query_scalar("SELECT CAST(@@innodb_flush_log_at_trx_commit AS SIGNED)")
            .fetch_one(&mut connection)
            .await
            .map_err(failed)?;
        let is_durable = flush == 1;
        if !is_durable {
            tracing::warn!(
                place = %target.place,
                "the server has `innodb_flush_log_at_trx_commit = {flush}`: a crash can bring back what was ended; set it to 1"
            );
        }
        // It says goodbye; whether that is heard makes no difference.
        let _ = connection.close().await;
        let max_value = MAX_VALUE.min(packet.saturating_sub(REST)) as usize;
        Ok(Self { target, max_value, is_durable })
    }
}
