//! What else the gateways do meanwhile: visitors read their sessions, and with one request in ten an application changes one.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use interop::raw::Connection;

use super::site::Site;
use super::visitor::arrive;
use crate::error::{Error, Result};
use crate::gateway::{SHOW, UPDATE};

/// How many visitors each gateway has at once.
const VISITORS: usize = 8;
/// Every so many requests one changes the session.
const UPDATE_EVERY: u64 = 10;
/// So long it may be until everything is as warm as it gets.
const WARM_UP: Duration = Duration::from_secs(1);

/// Visitors who come and go until they are told to end.
pub(super) struct Load {
    stop: Arc<AtomicBool>,
    visitors: Vec<JoinHandle<Result<u64>>>,
    began: Instant,
}

/// How many requests a second all gateways of the site answer at most.
pub(super) fn most(site: &Site, length: Duration) -> Result<f64> {
    let warming = Load::with(site, None)?;
    thread::sleep(WARM_UP);
    warming.end()?;
    let load = Load::with(site, None)?;
    thread::sleep(length);
    load.end()
}

impl Load {
    /// So many requests a second, evenly, whether they are answered soon or not.
    pub(super) fn begin(site: &Site, requests_per_second: f64) -> Result<Self> {
        #[expect(clippy::cast_precision_loss, reason = "there are few visitors")]
        let visitors = (site.addresses().len() * VISITORS) as f64;
        let load = Self::with(site, Some(Duration::from_secs_f64(visitors / requests_per_second)))?;
        thread::sleep(WARM_UP);
        Ok(load)
    }

    fn with(site: &Site, interval: Option<Duration>) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let mut visitors = Vec::new();
        for address in site.addresses() {
            for _ in 0..VISITORS {
                let (cookie, connection) = (arrive(address)?, Connection::open(address)?);
                let stop = Arc::clone(&stop);
                visitors.push(thread::spawn(move || visit(address, connection, &cookie, interval, &stop)));
            }
        }
        Ok(Self { stop, visitors, began: Instant::now() })
    }

    /// Has all of them leave; how many requests a second were answered.
    pub(super) fn end(self) -> Result<f64> {
        self.stop.store(true, Ordering::Relaxed);
        let elapsed = self.began.elapsed().as_secs_f64();
        let answered = self.visitors.into_iter().map(|visitor| {
            visitor.join().map_err(|_| Error::Load("a visitor of our own failed".to_owned())).flatten()
        });
        let answered: u64 = answered.collect::<Result<Vec<_>>>()?.iter().sum();
        #[expect(clippy::cast_precision_loss, reason = "none of them comes near 2^52")]
        Ok(answered as f64 / elapsed)
    }
}

fn visit(
    address: SocketAddr,
    mut connection: Connection,
    cookie: &str,
    interval: Option<Duration>,
    stop: &AtomicBool,
) -> Result<u64> {
    let [show, update] = [SHOW, UPDATE]
        .map(|path| format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nCookie: {cookie}\r\n\r\n"));
    let (mut answered, mut due) = (0, Instant::now());
    while !stop.load(Ordering::Relaxed) {
        if let Some(interval) = interval {
            due += interval;
            thread::sleep(due.saturating_duration_since(Instant::now()));
        }
        connection.send(if answered % UPDATE_EVERY == 0 { &update } else { &show })?;
        let answer = connection.response()?;
        if answer.status != 200 {
            return Err(Error::Load(format!("{} `{}`", answer.status, answer.text())));
        }
        answered += 1;
    }
    Ok(answered)
}
