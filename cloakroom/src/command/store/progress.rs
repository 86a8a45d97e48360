//! How far it is, on a terminal.

use indicatif::{HumanCount, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use super::Told;

/// A line on standard error that says how far it is; nothing where that is no terminal, or nobody wants to know.
#[derive(Debug)]
pub(super) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// Of something whose end nobody knows.
    pub(super) fn counting(told: &Told, what: &str) -> Self {
        Self::of(told, None, &format!("{{spinner}} {what}: {{count}} records, {{rate}}, {{elapsed}}"))
    }

    /// Of a file of so many bytes.
    pub(super) fn through(told: &Told, what: &str, bytes: u64) -> Self {
        let shown = format!("{what} [{{bar:30}}] {{percent}} %, {{msg}}, {{elapsed}}, {{eta}} left");
        let progress = Self::of(told, Some(bytes), &shown);
        // It shows that it began, however little there is to do.
        progress.reach(0, 0);
        progress
    }

    fn of(told: &Told, length: Option<u64>, shown: &str) -> Self {
        let target = if told.quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let bar = ProgressBar::with_draw_target(length, target);
        let style = ProgressStyle::with_template(shown).unwrap_or_else(|_| ProgressStyle::default_bar());
        // Writing to a String does not fail.
        let count = |state: &ProgressState, to: &mut dyn std::fmt::Write| {
            let _ = write!(to, "{}", HumanCount(state.pos()));
        };
        let rate = |state: &ProgressState, to: &mut dyn std::fmt::Write| {
            let _ = write!(to, "{:.0}/s", state.per_sec());
        };
        bar.set_style(style.with_key("count", count).with_key("rate", rate));
        Self { bar }
    }

    /// So much more is done.
    pub(super) fn advance(&self, by: u64) {
        self.bar.inc(by);
    }

    /// So far in the file, with so many records.
    pub(super) fn reach(&self, bytes: u64, records: u64) {
        let rate = records as f64 / self.bar.elapsed().as_secs_f64().max(0.001);
        self.bar.set_message(format!("{} records, {rate:.0}/s", HumanCount(records)));
        self.bar.set_position(bytes);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
