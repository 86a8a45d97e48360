//! Telling the service manager how things are (systemd's `Type=notify-reload`), where there is one.

use sd_notify::NotifyState;

/// What is told when everything serves.
pub(super) fn ready() {
    tell(&[NotifyState::Ready, NotifyState::Status("serving")]);
}

/// What is told when this process has taken the place of the one that the service manager knows.
pub(super) fn ready_in_the_place_of_another() {
    tell(&[NotifyState::MainPid(std::process::id())]);
    ready();
}

/// What is told before a reload; [`ready`] follows it, whatever came of it.
pub(super) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now, NotifyState::Status("reloading the configuration")]),
        Err(error) => tracing::debug!(%error, "the time of the reload cannot be told"),
    }
}

/// What is told when requests under way come to their end.
pub(super) fn stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("requests under way may end")]);
}

/// Shows that this process lives, as often as the service manager asks for it, until it is dropped.
pub(super) async fn watchdog() {
    let Some(bound) = sd_notify::watchdog_enabled() else { return };
    // Half of it, as the manual advises.
    let mut ticks = tokio::time::interval((bound / 2).max(std::time::Duration::from_millis(1)));
    loop {
        ticks.tick().await;
        tell(&[NotifyState::Watchdog]);
    }
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "the service manager was not told");
    }
}
