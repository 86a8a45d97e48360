//! Who comes, stays and goes, and what they are shown.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, Scope};
use std::time::{Duration, Instant};

use interop::raw::{self, Response};

use crate::tally::{Moment, Tally};

/// How many open sessions at the same time, and how many read what others opened, for each gateway.
const COMING: usize = 2;
/// Between two steps of a visitor: a load that leaves room on a machine that does other things too.
const PAUSE: Duration = Duration::from_millis(10);
/// So many stay; whoever comes later logs out.
const STAYING: usize = 600;
/// Another gateway may show an ended session for so long at most: the default `trust_window`.
const TRUST_WINDOW: Duration = Duration::from_secs(10);
/// How long it may take until a logout that was refused during the failover succeeds.
const SETTLED: Duration = Duration::from_secs(60);

/// A visitor's session.
#[derive(Debug, Clone)]
struct Session {
    cookie: String,
    basket: String,
}

/// What a gateway says about a session.
#[derive(Debug, PartialEq, Eq)]
enum Shown {
    Session,
    Nothing,
    Unavailable,
}

/// Everybody, and what happened to them.
pub(crate) struct World {
    gateways: Vec<SocketAddr>,
    staying: Mutex<Vec<Session>>,
    /// Whose logout was acknowledged, and when.
    gone: Mutex<Vec<(Session, Instant)>>,
    /// Whose logout was refused, for now.
    unsure: Mutex<Vec<Session>>,
    tally: Tally,
    is_over: AtomicBool,
}

impl World {
    pub(crate) fn new(gateways: Vec<SocketAddr>) -> Self {
        Self {
            gateways,
            staying: Mutex::default(),
            gone: Mutex::default(),
            unsure: Mutex::default(),
            tally: Tally::new(),
            is_over: AtomicBool::new(false),
        }
    }

    /// Everybody begins.
    pub(crate) fn enter<'scope>(&'scope self, scope: &'scope Scope<'scope, '_>) {
        for number in 0..self.gateways.len() {
            for visitor in 0..COMING {
                scope.spawn(move || self.come_and_go(number, visitor));
            }
            scope.spawn(move || self.stay(number));
            scope.spawn(move || self.try_again(number));
        }
    }

    /// Everybody ends.
    pub(crate) fn leave(&self) {
        self.is_over.store(true, Ordering::Relaxed);
    }

    pub(crate) fn mark_kill(&self) {
        self.tally.mark(Moment::Killed);
    }

    pub(crate) fn mark_whole(&self) {
        self.tally.mark(Moment::Whole);
    }

    pub(crate) fn told(&self) -> String {
        self.tally.told()
    }

    pub(crate) fn wrong(&self) -> Vec<String> {
        self.tally.wrong()
    }

    /// Opens at one gateway, reads at the next, and logs out at the third or stays.
    fn come_and_go(&self, number: usize, visitor: usize) {
        for round in 0.. {
            if self.is_over() {
                return;
            }
            let basket = format!("{number}-{visitor}-{round}");
            if let Some(session) = self.open(number, &basket) {
                self.expect(&session, number + 1);
                let mut staying = held(&self.staying);
                if round % 2 == 0 && staying.len() < STAYING {
                    staying.push(session);
                } else {
                    drop(staying);
                    self.log_out(session, number + 2);
                }
            }
            thread::sleep(PAUSE);
        }
    }

    /// Those who stay come to this gateway again and again.
    fn stay(&self, number: usize) {
        for round in number.. {
            if self.is_over() {
                return;
            }
            let staying = held(&self.staying);
            // Spread over all that there are, without chance.
            let session = staying.get(round.wrapping_mul(7919) % staying.len().max(1)).cloned();
            drop(staying);
            if let Some(session) = session {
                self.expect(&session, number);
            }
            thread::sleep(PAUSE / 2);
        }
    }

    /// Those who left try their old cookie at this gateway.
    fn try_again(&self, number: usize) {
        for round in number.. {
            if self.is_over() {
                return;
            }
            let gone = held(&self.gone);
            let session = gone.get(round.wrapping_mul(7919) % gone.len().max(1)).cloned();
            drop(gone);
            if let Some((session, since)) = session {
                // What was asked for before the answer to the logout came does not count.
                let asked = since.elapsed();
                match self.ask(&session, number) {
                    Shown::Session if asked > TRUST_WINDOW => self.tally.undone(asked),
                    Shown::Session => self.tally.late(asked),
                    Shown::Nothing => self.tally.refused(),
                    Shown::Unavailable => self.tally.unavailable(),
                }
            }
            thread::sleep(PAUSE / 2);
        }
    }

    fn open(&self, at: usize, basket: &str) -> Option<Session> {
        let answer = self.get(at, &format!("/put/{basket}"), "")?;
        match (answer.status, answer.cookie("session")) {
            (200, Some(cookie)) => {
                self.tally.opened();
                Some(Session { cookie: cookie.to_owned(), basket: basket.to_owned() })
            }
            (503, None) => {
                self.tally.unavailable();
                None
            }
            (status, cookie) => {
                self.tally.strange(format!("{status} to who opens a session, cookie: {}", cookie.is_some()));
                None
            }
        }
    }

    fn expect(&self, session: &Session, at: usize) {
        match self.ask(session, at) {
            Shown::Session => self.tally.found(),
            Shown::Nothing => self.tally.logged_out(),
            Shown::Unavailable => self.tally.unavailable(),
        }
    }

    /// Logs out; somebody who is told that it is not certain tries again later.
    fn log_out(&self, session: Session, at: usize) {
        match self.ask_to_log_out(&session, at) {
            Some(true) => {
                self.tally.ended();
                held(&self.gone).push((session, Instant::now()));
            }
            Some(false) => {
                self.tally.end_refused();
                held(&self.unsure).push(session);
            }
            None => {}
        }
    }

    /// Whether a logout was acknowledged, or refused for now.
    fn ask_to_log_out(&self, session: &Session, at: usize) -> Option<bool> {
        let address = self.at(at);
        let request = format!(
            "POST /.cloakroom/logout HTTP/1.1\r\nHost: {address}\r\nSec-Fetch-Site: same-origin\r\nCookie: {}\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            session.cookie
        );
        match raw::exchange(address, request) {
            Ok(answer) if answer.status == 303 => return Some(true),
            Ok(answer) if answer.status == 503 && answer.all("set-cookie").is_empty() => return Some(false),
            Ok(answer) => self.tally.strange(format!("{} to a logout", answer.status)),
            Err(error) => self.tally.strange(error.to_string()),
        }
        None
    }

    /// Those whose logout was refused try again. Then every session is asked for at every gateway.
    pub(crate) fn settle(&self) {
        let began = Instant::now();
        let unsure = std::mem::take(&mut *held(&self.unsure));
        let refused = unsure.len();
        for session in unsure {
            while self.ask_to_log_out(&session, 0) == Some(false) && began.elapsed() < SETTLED {
                thread::sleep(PAUSE);
            }
            held(&self.gone).push((session, Instant::now()));
        }
        // Whoever was told last may be told by the change stream only now.
        thread::sleep(PAUSE * 50);
        for at in 0..self.gateways.len() {
            for session in held(&self.staying).iter() {
                self.expect(session, at);
            }
            for (session, since) in held(&self.gone).iter() {
                match self.ask(session, at) {
                    Shown::Nothing => self.tally.refused(),
                    Shown::Session => self.tally.undone(since.elapsed()),
                    Shown::Unavailable => self.tally.strange("503 when everything is whole".to_owned()),
                }
            }
        }
        self.tally.settled(held(&self.staying).len(), held(&self.gone).len(), refused);
    }

    fn ask(&self, session: &Session, at: usize) -> Shown {
        let Some(answer) = self.get(at, "/", &format!("Cookie: {}\r\n", session.cookie)) else {
            return Shown::Unavailable;
        };
        match answer.status {
            200 if answer.text() == format!("basket={}", session.basket) => Shown::Session,
            200 => Shown::Nothing,
            503 if answer.all("set-cookie").is_empty() => Shown::Unavailable,
            status => {
                self.tally.strange(format!("{status} to who brings a session"));
                Shown::Nothing
            }
        }
    }

    fn get(&self, at: usize, path: &str, more: &str) -> Option<Response> {
        match raw::get(self.at(at), path, &format!("{more}Connection: close\r\n")) {
            Ok(answer) => Some(answer),
            Err(error) => {
                self.tally.strange(error.to_string());
                None
            }
        }
    }

    fn at(&self, number: usize) -> SocketAddr {
        let all = &self.gateways;
        all.get(number % all.len().max(1)).copied().unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 0)))
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }
}

fn held<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
