//! The task that keeps the ring of a running program: looks into the folder, moves keys on in time, and tells the log.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use seal::{Keeper, Keys};
use session::Clock;
use tokio::task::{AbortHandle, JoinHandle, spawn_blocking};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::folder::shown;
use super::{Event, Rotation};
use crate::key_files::KeyFileError;

/// The least time between two looks, however many values name keys that are not here.
const PAUSE: Duration = Duration::from_millis(250);
/// A folder that takes longer is out of order; keys move on in time without it.
const PATIENCE: Duration = Duration::from_secs(5);

type Looked = (Rotation, Result<Vec<Event>, KeyFileError>);

/// Ends the keeping when it is dropped.
#[derive(Debug)]
#[must_use = "keys are kept as long as this is held"]
pub struct Keeping {
    task: AbortHandle,
    has_ended: Arc<Mutex<bool>>,
}

impl Drop for Keeping {
    fn drop(&mut self) {
        // From here on it replaces no ring, also if it is in the middle of something.
        *self.has_ended.lock() = true;
        self.task.abort();
    }
}

/// Keeps these keys as `rotation`, which has been opened, goes on.
pub fn keep(rotation: Rotation, keys: &Arc<Keys>, clock: Arc<dyn Clock>) -> Keeping {
    let has_ended = Arc::default();
    let (keeper, ended) = (keys.keeper(), Arc::clone(&has_ended));
    let watch = Watch { rotation, keeper, clock, has_ended: ended, looking: None, trouble: None };
    Keeping { task: tokio::spawn(watch.run()).abort_handle(), has_ended }
}

struct Watch {
    rotation: Rotation,
    keeper: Keeper,
    clock: Arc<dyn Clock>,
    has_ended: Arc<Mutex<bool>>,
    /// A look that takes too long. There is never a second one beside it.
    looking: Option<JoinHandle<Looked>>,
    /// What is wrong, told once.
    trouble: Option<String>,
}

impl Watch {
    async fn run(mut self) {
        loop {
            let began = Instant::now();
            let look = self.keeper.begin();
            // What time alone changes does not wait for a disk.
            self.turn();
            self.look().await;
            self.turn();
            self.keeper.end(look);

            let now = self.clock.now();
            let change = self.rotation.next_change(now).since(now).max(Duration::from_millis(1));
            tokio::select! {
                () = sleep(self.rotation.schedule().interval().min(change)) => {}
                () = self.keeper.wanted() => sleep_until(began + PAUSE).await,
            }
        }
    }

    /// Everybody seals and opens as it is right at this moment.
    fn turn(&mut self) {
        match self.rotation.ring(self.clock.now()) {
            Ok(ring) if ring.keys().eq(self.keeper.keys().ring().keys()) => {}
            Ok(ring) => {
                let sealing = ring.sealing_key().map(|key| tracing::field::display(key.id.clone()));
                tracing::info!(sealing, keys = ring.keys().count(), "the keys have changed");
                let has_ended = self.has_ended.lock();
                if !*has_ended {
                    self.keeper.keys().replace(ring);
                }
            }
            Err(error) => self.is_wrong(format!("the keys make no ring: {error}")),
        }
    }

    async fn look(&mut self) {
        let (mut rotation, clock) = (self.rotation.clone(), Arc::clone(&self.clock));
        let mut looking = self.looking.take().unwrap_or_else(|| {
            spawn_blocking(move || {
                let looked = rotation.attend(clock.now());
                (rotation, looked)
            })
        });
        match timeout(PATIENCE, &mut looking).await {
            Ok(Ok((rotation, looked))) => {
                self.rotation = rotation;
                self.tell(looked);
            }
            Ok(Err(error)) => self.is_wrong(format!("a look for keys failed: {error}")),
            Err(_) => {
                self.looking = Some(looking);
                self.is_wrong(format!("the folder of keys does not answer within {} s", PATIENCE.as_secs()));
            }
        }
    }

    fn tell(&mut self, looked: Result<Vec<Event>, KeyFileError>) {
        let mut trouble = None;
        for event in looked.unwrap_or_else(|error| {
            trouble = Some(with_causes(&error));
            Vec::new()
        }) {
            match event {
                Event::Made(dates) => {
                    let active = shown(dates.active).unwrap_or_default();
                    tracing::info!(key = dates.number, active, "a key was made and is announced");
                }
                Event::Removed(dates) => {
                    tracing::info!(key = dates.number, "a key was removed: what it sealed is dead");
                }
                Event::Revoked(dates) => {
                    tracing::warn!(
                        key = dates.number,
                        "a key was taken out of the folder before its time: it opens nothing any more"
                    );
                }
                Event::Unreadable(error) => trouble = Some(error),
                Event::Emptied => {
                    trouble = Some("all keys are gone from the folder; is it mounted?".to_owned());
                }
                Event::Skewed(skew) => {
                    trouble = Some(format!(
                        "the clock of this machine differs from that of the folder by {} s: this node makes and \
                         removes no keys; set its clock",
                        skew.as_secs()
                    ));
                }
            }
        }
        match trouble {
            Some(trouble) => self.is_wrong(trouble),
            None if self.trouble.take().is_some() => tracing::info!("the folder of keys is in order again"),
            None => {}
        }
    }

    /// Says it once, and again when it is something else.
    fn is_wrong(&mut self, trouble: String) {
        if self.trouble.as_ref() != Some(&trouble) {
            tracing::error!("{trouble}; the keys that are known are kept");
            self.trouble = Some(trouble);
        }
    }
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
