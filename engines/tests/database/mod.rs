//! What the tests of all database servers need.

pub(crate) mod faults;
pub(crate) mod refusals;

use std::sync::Arc;
use std::time::Duration;

use cloakroom_engines::OpenError;
use cloakroom_engines::sql::{Address, Settings, open};
use session::Clock;
use storage::Storage;

/// How the database at `url` is reached.
pub(crate) fn settings(url: &str) -> Settings {
    Settings {
        address: Address::parse(url).unwrap(),
        password_file: None,
        ca_file: None,
        max_connections: 8,
        connect_timeout: Duration::from_secs(2),
        poll_interval: Duration::from_millis(20),
    }
}

/// Opens what is at `url`.
pub(crate) async fn opened(url: &str, clock: Arc<dyn Clock>) -> Result<Arc<dyn Storage>, OpenError> {
    open("database", &settings(url), clock).await
}
