//! Log format, progress lines, and the rule that no person appears in a log.
//!
//! A log line names tables, items, runs and keys; it never holds a value of a
//! personal column, an address or a name. Values that belong to a person are
//! [`crate::personal::Personal`], which print as `[personal]`.
//!
//! On a terminal a step is a line that moves; elsewhere it is a log line.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use tracing_subscriber::EnvFilter;

/// Sets up logging to standard error. `CHUDONG_LOG` chooses what is logged.
pub fn init() {
    let is_terminal = std::io::stderr().is_terminal();
    // On a terminal the progress line tells the steps; a log line would tear it.
    let default = if is_terminal { "warn" } else { "warn,chudong=info" };
    let filter = EnvFilter::try_from_env("CHUDONG_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| Quiet(std::io::stderr()))
        // It would speak of a line that it could not write, to the same standard error, and panic there.
        .log_internal_errors(false)
        .with_ansi(is_terminal)
        .with_target(false);
    // A second call, in a test, keeps the first.
    let _ = subscriber.try_init();
}

/// Where log lines go. Nobody may be reading them any more, or the disk may be full: a night is not
/// stopped by that.
struct Quiet(std::io::Stderr);

impl std::io::Write for Quiet {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        Ok(self.0.write(bytes).unwrap_or(bytes.len()))
    }

    fn flush(&mut self) -> std::io::Result<()> {
        drop(self.0.flush());
        Ok(())
    }
}

/// Tells a person which step a run is at.
#[derive(Debug)]
pub struct Progress {
    bar: Option<ProgressBar>,
}

impl Progress {
    /// A moving line where standard error is a terminal, log lines elsewhere.
    pub fn new() -> Self {
        if !std::io::stderr().is_terminal() {
            return Progress { bar: None };
        }
        let bar = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed:>4} {msg}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(120));
        Progress { bar: Some(bar) }
    }

    /// Begins a step; `about` names tables and counts, never people.
    pub fn step(&self, about: impl Into<String>) {
        let about = about.into();
        match &self.bar {
            Some(bar) => bar.set_message(about),
            None => tracing::info!("{about}"),
        }
    }

    /// Removes the line, before the summary.
    pub fn done(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}
