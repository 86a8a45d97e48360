//! What others change, as it is written down for us.
//!
//! Numbers are drawn when a change begins and become visible when it is committed, which may be after larger ones: what was
//! left out is looked for again, until it must have been given up.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use sqlx::mysql::MySqlRow;
use sqlx::{AssertSqlSafe, MySqlConnection, Row as _, query};
use storage::{Key, Kind, Version};
use tokio::time::{Instant, sleep_until, timeout};

use super::open::Target;
use super::read::key;
use super::statements::CHANGES;
use crate::sql::ANSWER;
use crate::sql::row::{self, Columns as _, unsigned};
use crate::sql::server::{Listener, Notices};

/// How many are read at once.
const PAGE: i64 = 1000;
/// How many changes may be under way at once: so far back they are looked for when the listening begins.
const LOOK_BACK: i64 = 256;
/// After so long a number that was left out belongs to a change that was given up: no transaction of ours lives longer.
const LATE: Duration = Duration::from_secs(60);
/// More numbers that were left out than this are not looked for.
const MAX_LEFT_OUT: usize = 10_000;
/// How long the server may take to answer.
const PATIENCE: Duration = ANSWER;

pub(in crate::sql) struct MySqlListener {
    connection: MySqlConnection,
    interval: Duration,
    next: Instant,
    /// The largest number that was seen.
    last: i64,
    /// Smaller ones that were not, and since when.
    left_out: BTreeMap<i64, Instant>,
}

impl MySqlListener {
    pub(super) async fn begin(target: &Target) -> Result<Self, sqlx::Error> {
        let mut connection = target.connect().await?;
        let last: Option<i64> =
            sqlx::query_scalar("SELECT MAX(id) FROM cloakroom_change").fetch_one(&mut connection).await?;
        let mut listener = Self {
            connection,
            interval: target.poll_interval,
            next: Instant::now(),
            last: last.unwrap_or(0).saturating_sub(LOOK_BACK).max(0),
            left_out: BTreeMap::new(),
        };
        // What is there already is no news; what is missing in it may be.
        while listener.last < last.unwrap_or(0) {
            if listener.read().await?.is_empty() {
                break;
            }
        }
        Ok(listener)
    }

    /// What has come since, in the order of its numbers.
    async fn read(&mut self) -> Result<Notices, sqlx::Error> {
        let read = self.rows();
        let rows = match timeout(PATIENCE, read).await {
            Ok(rows) => rows?,
            Err(_) => return Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()),
        };
        let now = Instant::now();
        let mut notices = Notices::with_capacity(rows.len());
        for row in rows {
            let number: i64 = row.try_get(0)?;
            self.left_out.remove(&number);
            if number > self.last {
                // When a node starts the numbers jump to the time, and nothing is looked for in the middle of that.
                let before = self.last + 1..number.min(self.last + 1 + LOOK_BACK);
                let behind = (self.last + 1).max(number - LOOK_BACK)..number;
                self.left_out.extend(before.chain(behind).map(|number| (number, now)));
                self.last = number;
            }
            notices.push(notice(&row, number)?);
        }
        self.left_out.retain(|_, since| now.duration_since(*since) < LATE);
        if self.left_out.len() > MAX_LEFT_OUT {
            return Err(sqlx::Error::Protocol("too many changes are under way, or were given up".to_owned()));
        }
        Ok(notices)
    }

    /// In one statement, and so of one moment: two changes of a record are never seen the wrong way round.
    async fn rows(&mut self) -> Result<Vec<MySqlRow>, sqlx::Error> {
        if self.left_out.is_empty() {
            return query(CHANGES).bind(self.last).bind(PAGE).fetch_all(&mut self.connection).await;
        }
        let numbers: Vec<String> = self.left_out.keys().map(i64::to_string).collect();
        let text = CHANGES.replace("id > ?", &format!("(id > ? OR id IN ({}))", numbers.join(",")));
        query(AssertSqlSafe(text))
            .bind(self.last)
            .bind(PAGE)
            .persistent(false)
            .fetch_all(&mut self.connection)
            .await
    }
}

#[async_trait]
impl Listener for MySqlListener {
    async fn next(&mut self) -> Result<Notices, sqlx::Error> {
        loop {
            sleep_until(self.next).await;
            // From the question on, because the answer is of that moment.
            let asked = Instant::now();
            let notices = self.read().await?;
            if notices.len() < PAGE as usize {
                self.next = asked + self.interval;
            }
            if !notices.is_empty() {
                return Ok(notices);
            }
        }
    }
}

fn notice(row: &MySqlRow, number: i64) -> Result<(Key, Version, Kind), sqlx::Error> {
    let version = row.optional_number(3)?.unwrap_or(number);
    let kind = match row.text(4)? {
        "written" => Kind::Written,
        "ended" => Kind::Buried,
        _ => return Err(row::malformed("kind")),
    };
    Ok((key(row, 1, 2)?, Version(unsigned(version)), kind))
}
