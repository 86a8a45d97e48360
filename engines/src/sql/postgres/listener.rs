//! `LISTEN`: what others change, as they tell it.
//!
//! A connection on which nothing comes may be a dead one, so it is asked now and then whether it lives.

use std::time::Duration;

use async_trait::async_trait;
use sqlx::postgres::{PgListener, PgNotification, PgPoolOptions};
use storage::{Key, Kind, Version};
use tokio::time::{Instant, sleep_until, timeout};

use super::open::Target;
use super::read::untext;
use crate::sql::server::{Listener, Notices};
use crate::sql::{ANSWER, row};

/// How often the server is asked. What comes by itself does not put that off, for it may be old when it comes.
const ASK_EVERY: Duration = Duration::from_secs(1);
/// How long it may take to answer.
const PATIENCE: Duration = ANSWER;

pub(in crate::sql) struct PostgresListener {
    listener: PgListener,
    ask_at: Instant,
}

impl PostgresListener {
    pub(super) async fn begin(target: &Target, channel: &str) -> Result<Self, sqlx::Error> {
        // A pool, because the listener wants one; of one connection that is never given back.
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .acquire_timeout(PATIENCE)
            .connect_lazy_with(target.options().await?);
        let mut listener = PgListener::connect_with(&pool).await?;
        listener.eager_reconnect(false);
        listener.listen(channel).await?;
        Ok(Self { listener, ask_at: Instant::now() + ASK_EVERY })
    }

    async fn is_alive(&mut self) -> Result<(), sqlx::Error> {
        match timeout(PATIENCE, sqlx::query("SELECT 1").execute(&mut self.listener)).await {
            Ok(answer) => answer.map(drop),
            Err(_) => Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()),
        }
    }
}

#[async_trait]
impl Listener for PostgresListener {
    async fn next(&mut self) -> Result<Notices, sqlx::Error> {
        loop {
            let heard = tokio::select! {
                heard = self.listener.try_recv() => heard?,
                () = sleep_until(self.ask_at) => {
                    let asked = Instant::now();
                    self.is_alive().await?;
                    self.ask_at = asked + ASK_EVERY;
                    continue;
                }
            };
            let Some(first) = heard else {
                return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into());
            };
            let mut notices = vec![notice(&first)?];
            while let Some(next) = self.listener.next_buffered() {
                notices.push(notice(&next)?);
            }
            return Ok(notices);
        }
    }
}

/// Reads `w17 616263 context`: what happened, the version, the name in hexadecimal digits, the context.
fn notice(notification: &PgNotification) -> Result<(Key, Version, Kind), sqlx::Error> {
    read(notification.payload()).ok_or_else(|| row::malformed("a notice"))
}

fn read(payload: &str) -> Option<(Key, Version, Kind)> {
    let mut parts = payload.splitn(3, ' ');
    let (head, name, context) = (parts.next()?, parts.next()?, parts.next()?);
    let (kind, version) = match (head.strip_prefix('w'), head.strip_prefix('e')) {
        (Some(version), _) => (Kind::Written, version),
        (_, Some(version)) => (Kind::Buried, version),
        (None, None) => return None,
    };
    let key = Key::new(&untext(context), &bytes(name)?).ok()?;
    Some((key, Version(version.parse().ok()?), kind))
}

fn bytes(hexadecimal: &str) -> Option<Vec<u8>> {
    let digit = |digit: &u8| char::from(*digit).to_digit(16);
    hexadecimal
        .as_bytes()
        .chunks(2)
        .map(|pair| match pair {
            [high, low] => u8::try_from(digit(high)? << 4 | digit(low)?).ok(),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_is_read_as_it_was_made_and_nonsense_is_none() {
        let (key, version, kind) = read("e17 00ff20 a context\\0").unwrap();
        assert_eq!((key.context(), key.name()), ("a context\0", &b"\0\xff "[..]));
        assert_eq!((version, kind), (Version(17), Kind::Buried));
        for nonsense in ["", "w", "w1", "w1 61", "x1 61 c", "w1 6 c", "w1 6g c", "wx 61 c", "w1  c", "w1 61 "]
        {
            assert_eq!(read(nonsense), None, "{nonsense:?}");
        }
    }
}
