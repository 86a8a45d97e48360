//! From a URL to a database that can be used.

use std::path::PathBuf;
use std::str::FromStr as _;
use std::sync::Arc;

use async_trait::async_trait;
use session::Millis;
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx::{ConnectOptions as _, Connection as _, Executor as _, PgConnection};

use super::{Postgres, refusal, schema};
use crate::Problem;
use crate::sql::Settings;
use crate::sql::server::{Connect, password};

/// What every connection is told first. Statements are written for READ COMMITTED; what is acknowledged must be on the
/// disk, whatever the default of the database; and whoever vanished in the middle of a batch must not hold its locks for
/// long.
const GREETING: &str = "\
    SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED; \
    SET statement_timeout = '30s'; \
    SET idle_in_transaction_session_timeout = '10s'; \
    SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'";

/// How the database is reached.
pub(super) struct Target {
    /// For people; without a password.
    pub(super) place: Arc<str>,
    options: PgConnectOptions,
    password_file: Option<PathBuf>,
}

impl Target {
    fn new(settings: &Settings) -> Result<Self, Problem> {
        let address = &settings.address;
        let place: Arc<str> = address.to_string().into();
        let mut options = PgConnectOptions::from_str(address.as_str())
            .map_err(|error| Problem::database(&*place, error.to_string(), "mend the `url`"))?
            .application_name("cloakroom")
            .disable_statement_logging();
        // Nobody on the way passes for the server, unless the URL asks for less.
        if address.tls_mode().is_none() && !address.is_local() {
            options = options.ssl_mode(PgSslMode::VerifyFull);
        }
        if let Some(file) = &settings.ca_file {
            options = options.ssl_root_cert(file);
        }
        Ok(Self { place, options, password_file: settings.password_file.clone() })
    }

    pub(super) async fn connect(&self) -> Result<PgConnection, sqlx::Error> {
        let mut connection = self.options().await?.connect().await?;
        connection.execute(GREETING).await?;
        Ok(connection)
    }

    /// How to connect, with the password that is in the file now.
    pub(super) async fn options(&self) -> Result<PgConnectOptions, sqlx::Error> {
        let options = self.options.clone();
        Ok(match &self.password_file {
            Some(file) => options.password(&password(file).await?),
            None => options,
        })
    }
}

#[async_trait]
impl Connect for Postgres {
    async fn open(settings: &Settings, now: Millis) -> Result<Self, Problem> {
        let target = Target::new(settings)?;
        let mut connection =
            target.connect().await.map_err(|error| refusal::at_start(&target.place, &error))?;
        let failed = |error| refusal::at_start(&target.place, &error);
        let schema = schema::prepare(&mut connection, &target.place, now).await?;
        let is_durable: bool = sqlx::query_scalar("SELECT current_setting('fsync')::boolean")
            .fetch_one(&mut connection)
            .await
            .map_err(failed)?;
        if !is_durable {
            tracing::warn!(place = %target.place, "the server has `fsync = off`: a crash can bring back what was ended");
        }
        // It says goodbye; whether that is heard makes no difference.
        let _ = connection.close().await;
        Ok(Self { target, channel: format!("cloakroom_{schema}"), is_durable })
    }
}
