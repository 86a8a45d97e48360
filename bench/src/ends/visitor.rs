//! A visitor who is at all gateways, and logs out at one.

use std::net::SocketAddr;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use interop::raw::{Connection, Response};

use super::site::Site;
use crate::error::{Error, Result};
use crate::gateway::{OPEN, SESSION, SHOW};

/// Between two questions: asked without a pause three gateways would be at full load, and not at half.
const PAUSE: Duration = Duration::from_millis(1);
/// How long all have been asking before the visitor leaves.
const BEFORE: Duration = Duration::from_millis(10);
/// Longer than any gateway may serve what has ended.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a gateway says of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    /// It is there, and was handed to the application.
    Here,
    /// It is not.
    Over,
    /// It cannot say.
    Unknown,
}

/// A connection on which one gateway is asked for one session.
struct Asking {
    address: SocketAddr,
    connection: Connection,
}

impl Asking {
    fn at(address: SocketAddr) -> Result<Self> {
        Ok(Self { address, connection: Connection::open(address)? })
    }

    fn get(&mut self, path: &str, cookie: &str) -> Result<Response> {
        let address = self.address;
        let cookie = if cookie.is_empty() { String::new() } else { format!("Cookie: {cookie}\r\n") };
        self.connection.send(format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n{cookie}\r\n"))?;
        Ok(self.connection.response()?)
    }

    fn show(&mut self, cookie: &str) -> Result<Said> {
        let answer = self.get(SHOW, cookie)?;
        match (answer.status, &*answer.text()) {
            (200, "") => Ok(Said::Over),
            // Where somebody can log in, an application cannot say who did: that entry is not there.
            (200, text) if SESSION.ends_with(text) => Ok(Said::Here),
            (503, _) => Ok(Said::Unknown),
            (status, text) => Err(Error::Load(format!("asked for a session: {status} `{text}`"))),
        }
    }

    /// Asks until it is not there any more, or until it can be told whether it is.
    fn until(&mut self, cookie: &str, is_over: impl Fn(Said) -> bool) -> Result<Instant> {
        let began = Instant::now();
        loop {
            if is_over(self.show(cookie)?) {
                return Ok(Instant::now());
            }
            if began.elapsed() > PATIENCE {
                return Err(Error::Load(format!("{} does not come to an end with a session", self.address)));
            }
            thread::sleep(PAUSE);
        }
    }

    /// Asks until it is not there any more, or until it cannot be told; when it was there for the last time. Somebody may
    /// be kept waiting after that for the answer that it cannot be told.
    fn while_here(&mut self, cookie: &str) -> Result<Option<Instant>> {
        let (began, mut last) = (Instant::now(), None);
        while self.show(cookie)? == Said::Here {
            last = Some(Instant::now());
            if began.elapsed() > PATIENCE {
                return Err(Error::Load(format!("{} does not come to an end with a session", self.address)));
            }
            thread::sleep(PAUSE);
        }
        Ok(last)
    }

    fn log_out(&mut self, cookie: &str) -> Result<Instant> {
        let address = self.address;
        self.connection.send(format!(
            "POST /.cloakroom/logout HTTP/1.1\r\nHost: {address}\r\nSec-Fetch-Site: same-origin\r\nCookie: {cookie}\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 0\r\n\r\n"
        ))?;
        let answer = self.connection.response()?;
        match answer.status {
            303 => Ok(Instant::now()),
            status => Err(Error::Load(format!("a logout: {status} `{}`", answer.text()))),
        }
    }
}

/// Opens a session at that gateway, and gives its cookie.
pub(super) fn arrive(address: SocketAddr) -> Result<String> {
    let answer = Asking::at(address)?.get(OPEN, "")?;
    let cookie = answer.cookie("session").map(str::to_owned);
    cookie.ok_or_else(|| Error::Load(format!("no session was opened: {} `{}`", answer.status, answer.text())))
}

/// From the acknowledgement of a logout at one gateway until the last of them has refused the session.
pub(super) fn leave(site: &Site, number: usize) -> Result<Duration> {
    let mut addresses = site.addresses();
    addresses.rotate_left(number % 3);
    let [here, ..] = addresses;
    let cookie = arrive(here)?;
    let all_ask = Barrier::new(addresses.len() + 1);
    thread::scope(|scope| {
        let (cookie, all_ask) = (&cookie, &all_ask);
        let asking: Vec<_> = addresses
            .iter()
            .map(|address| {
                scope.spawn(move || {
                    let asking = Asking::at(*address).and_then(|mut asking| {
                        // Each has a copy by then.
                        asking.until(cookie, |said| said == Said::Here)?;
                        Ok(asking)
                    });
                    all_ask.wait();
                    asking?.until(cookie, |said| said == Said::Over)
                })
            })
            .collect();
        let leaving = Asking::at(here);
        all_ask.wait();
        thread::sleep(BEFORE);
        let acknowledged = leaving.and_then(|mut leaving| leaving.log_out(cookie));
        let refused = asking.into_iter().map(|asking| {
            asking.join().map_err(|_| Error::Load("a visitor of our own failed".to_owned())).flatten()
        });
        let refused = refused.collect::<Result<Vec<_>>>()?;
        let acknowledged = acknowledged?;
        // The gateway that ends it refuses it a little before it says so.
        let latest = refused.into_iter().max().unwrap_or(acknowledged);
        Ok(latest.saturating_duration_since(acknowledged))
    })
}

/// How long the gateway whose line is cut still serves a session that was ended at another.
pub(super) fn leave_unheard(site: &Site) -> Result<Duration> {
    let [here, _, there] = site.addresses();
    let cookie = arrive(here)?;
    let mut asking = Asking::at(there)?;
    asking.until(&cookie, |said| said == Said::Here)?;
    site.cut(true);
    let acknowledged = Asking::at(here)?.log_out(&cookie)?;
    let served = asking.while_here(&cookie);
    site.cut(false);
    let unheard = served?.map_or(Duration::ZERO, |last| last.saturating_duration_since(acknowledged));
    // Nobody was logged out by that, and nothing came back.
    asking.until(&cookie, |said| said == Said::Over)?;
    Ok(unheard)
}
