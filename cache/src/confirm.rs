//! That a new ticket has reached its visitor.
//!
//! The first use of a renewed ticket is written into the session, from where every node learns that the ticket before it
//! is good for one more window. That is one write a renewal, made beside the requests, and a touch is spared by it. If it
//! is lost, the next use asks for it again: the alarm comes later, and never for nothing.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::StreamExt as _;
use futures_util::stream::iter;
use parking_lot::Mutex;
use session::{Handle, SecretHash, Session};
use tokio::sync::Notify;

use crate::Cache;
use crate::application::Application;
use crate::patch::Step;

/// How many sessions may wait for it. In an outage more than that are simply asked for again later.
const MAX_WAITING: usize = 1 << 16;
/// How many are written at once.
const WIDTH: usize = 64;

/// Whose new ticket was used, and by which application.
#[derive(Debug, Default)]
pub(crate) struct Confirmations {
    waiting: Mutex<HashMap<Handle, (SecretHash, Application)>>,
    arrived: Notify,
    /// How many are being written.
    under_way: AtomicUsize,
}

impl Confirmations {
    fn put(&self, session: &Session, application: &Application) {
        let mut waiting = self.waiting.lock();
        if waiting.len() < MAX_WAITING && !waiting.contains_key(&session.handle) {
            waiting.insert(session.handle, (session.secret, application.clone()));
            self.arrived.notify_one();
        }
    }
}

impl Cache {
    /// The current ticket of a session was presented.
    pub(crate) fn note_ticket(&self, session: &Session, application: &Application) {
        if session.awaits_use() {
            self.confirmations.put(session, application);
        }
    }

    /// Whether it is still to be written that some new ticket was used.
    #[must_use]
    pub fn has_notes_waiting(&self) -> bool {
        !self.confirmations.waiting.lock().is_empty()
            || self.confirmations.under_way.load(Ordering::Acquire) > 0
    }

    /// Writes which tickets were used, as often as some were.
    pub(crate) async fn confirm_tickets(&self) {
        loop {
            self.confirmations.arrived.notified().await;
            self.confirm_noted_tickets().await;
        }
    }

    /// Writes which tickets were used until now.
    pub(crate) async fn confirm_noted_tickets(&self) {
        let waiting = {
            let mut waiting = self.confirmations.waiting.lock();
            // Under the lock, so that what is taken out counts as under way.
            self.confirmations.under_way.fetch_add(waiting.len(), Ordering::AcqRel);
            std::mem::take(&mut *waiting)
        };
        iter(waiting)
            .for_each_concurrent(WIDTH, |(handle, (secret, application))| async move {
                self.confirm_ticket(&handle, secret, &application).await;
                self.confirmations.under_way.fetch_sub(1, Ordering::AcqRel);
            })
            .await;
    }

    async fn confirm_ticket(&self, handle: &Handle, secret: SecretHash, application: &Application) {
        let confirm = |current: &Session| {
            if current.secret != secret || !current.awaits_use() {
                return Step::Leave(());
            }
            let mut next = Session::clone(current);
            next.confirm_use(self.clock.now().plus(self.settings.renew_window));
            Step::Write(Box::new(next), ())
        };
        if let Err(error) = self.change(handle, application, confirm).await {
            tracing::debug!(%error, %handle, "the first use of a ticket was not written; the next will be");
        }
    }
}
