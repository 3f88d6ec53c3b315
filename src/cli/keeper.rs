//! The verb `schedule`: waits for the nights of one agency and runs each at its time.
//!
//! It decides nothing about a night: [`crate::schedule`] says which is due.

use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Date;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{Ended, complain, ended, one, print, read_pipeline, thread_fault};
use crate::calendar::cron::Cron;
use crate::calendar::{AsOf, now, vietnam};
use crate::check::{self, Checked};
use crate::fault::{Explain, Fault, Place};
use crate::ledger::{self, Ledger};
use crate::pipeline::{self, Missed, Pipeline};
use crate::reminders::window::Window;
use crate::world::World;
use crate::{run, schedule};

pub(super) fn list_times(root: &Path) -> Result<Ended, Vec<Fault>> {
    for agency in pipeline::agencies(root) {
        let pipeline = read_pipeline(root, &agency)?;
        let cron = cron(&pipeline)?;
        print(&format!("{agency}  {}\n", pipeline.schedule.cron))?;
        for time in cron.after(now()).take(5) {
            print(&format!("  {}\n", time.to_zoned(vietnam()).strftime("%Y-%m-%d %H:%M %:z")))?;
        }
    }
    Ok(Ended::Done)
}

fn cron(pipeline: &Pipeline) -> Result<Cron, Vec<Fault>> {
    Cron::parse(&pipeline.schedule.cron).map_err(|error| {
        vec![Fault::new("pipeline.cron", Place::file(&pipeline.path), error.to_string(), error.next())]
    })
}

/// After the first failure of a night, the next attempt; each further wait is twice the one before.
const RETRY: Duration = Duration::from_secs(15 * 60);
/// How long at most to sleep: the clock may be set while we do, and a file may be edited.
const NAP: Duration = Duration::from_secs(1);

/// Waiting for the nights of one agency.
///
/// It outlives what people do to its files: what cannot be read is said once, and the
/// pipeline that was read last holds until it can be read again.
struct Keeper<'a> {
    root: &'a Path,
    agency: &'a str,
    state: PathBuf,
    /// What was read last without a fault.
    good: Option<Times>,
    /// When the newest run began that did not fail, when the ledger was last read.
    newest_start: Option<Timestamp>,
    /// The first instant after that at which a message may be tried again.
    next_try: Option<Timestamp>,
    /// What was said to be wrong, so that it is not said again every second.
    said: Vec<Fault>,
    /// The newest night that the ledger proved when it was last read; outer none before it was.
    proven: Option<Option<Date>>,
    /// How often the night of this date has failed.
    failed: Option<(AsOf, u32)>,
    not_before: Timestamp,
}

/// When a pipeline wants its nights, and when people may be written to.
struct Times {
    cron: Cron,
    missed: Missed,
    window: Window,
}

pub(super) async fn keep_running(root: &Path, agency: &str, state: PathBuf) -> Result<Ended, Vec<Fault>> {
    // Before anything else: from here on a signal is kept until it is looked at, also during a night.
    let mut stop = Stop::listen().map_err(|error| vec![thread_fault(&error)])?;
    let alive_since = now();
    let mut keeper = Keeper {
        root,
        agency,
        state,
        good: None,
        newest_start: None,
        next_try: None,
        said: Vec::new(),
        proven: None,
        failed: None,
        not_before: alive_since,
    };
    // A fault at the start is the caller's to mend; later ones must not end a service that waits for the night.
    keeper.good = Some(keeper.times()?);
    tracing::info!(%agency, "waiting for the nights");
    loop {
        if let Some((as_of, is_sending)) = keeper.due(alive_since) {
            // A night is never cut off in the middle: a signal that comes now is obeyed when it
            // has ended, so that no run is left without an outcome and no message in flight.
            let night = keeper.night(as_of, is_sending);
            tokio::pin!(night);
            let is_asked_to_stop = tokio::select! {
                biased;
                () = &mut night => false,
                () = stop.asked() => true,
            };
            if is_asked_to_stop {
                tracing::info!(%as_of, "asked to stop: the night is brought to its end first");
                night.await;
                return Ok(Ended::Done);
            }
        }
        tokio::select! {
            () = stop.asked() => return Ok(Ended::Done),
            () = tokio::time::sleep(NAP) => {}
        }
    }
}

impl Keeper<'_> {
    /// When the pipeline on the disk wants its nights.
    fn times(&self) -> Result<Times, Vec<Fault>> {
        let pipeline = read_pipeline(self.root, self.agency)?;
        let window = Window::of(&pipeline, AsOf::today().date());
        Ok(Times { cron: cron(&pipeline)?, missed: pipeline.schedule.missed, window })
    }

    /// The night to run now, if one is due, and whether it only sends.
    fn due(&mut self, alive_since: Timestamp) -> Option<(AsOf, bool)> {
        let mut faults = Vec::new();
        // Read again each time: an edited pipeline holds from the next night on.
        match self.times() {
            Ok(times) => self.good = Some(times),
            Err(found) => faults.extend(found),
        }
        let due = match self.may_be_due(alive_since) {
            true => {
                let read = Ledger::read(&self.state);
                let known = read.and_then(|ledger| {
                    let start = ledger.newest_start()?;
                    Ok((ledger.newest_proven(AsOf::today())?, start, ledger.next_try(start)?))
                });
                match known {
                    Ok((proven, start, next)) => {
                        (self.proven, self.newest_start, self.next_try) = (Some(proven), start, next);
                    }
                    Err(ledger::Error::None { .. }) => self.proven = Some(None),
                    Err(error) => {
                        // Without the ledger nobody knows which night is done: it is waited for.
                        self.proven = None;
                        faults.push(error.fault());
                    }
                }
                self.proven.and_then(|proven| self.first_due(proven, alive_since))
            }
            false => None,
        };
        self.say(faults);
        due
    }

    /// Whether it is worth looking into the ledger: what was proven stays proven, so that
    /// nothing is due that was not due by what was read last.
    fn may_be_due(&self, alive_since: Timestamp) -> bool {
        let by_last = |proven| self.first_due(proven, alive_since).is_some();
        now() >= self.not_before && self.proven.is_none_or(by_last)
    }

    /// A night that is due comes first: within the window it sends as well.
    fn first_due(&self, proven: Option<Date>, alive_since: Timestamp) -> Option<(AsOf, bool)> {
        let Times { cron, missed, window } = self.good.as_ref()?;
        let night = schedule::due(cron, *missed, proven, alive_since, now()).first().copied();
        let sending = || schedule::sending(window, proven, self.newest_start, now());
        let again = || schedule::again(window, proven, self.newest_start, self.next_try, now());
        night.map(|as_of| (as_of, false)).or_else(|| Some((sending().or_else(again)?, true)))
    }

    /// Says what is wrong when it begins to be, and that it is mended when it is.
    fn say(&mut self, faults: Vec<Fault>) {
        if faults == self.said {
            return;
        }
        for fault in faults.iter().filter(|fault| !self.said.contains(fault)) {
            tracing::error!(code = fault.code, "the schedule waits until this is mended");
            complain(&format!("{fault}\n"));
        }
        if faults.is_empty() {
            tracing::info!("what was wrong is mended");
        }
        self.said = faults;
    }

    /// Runs one night; after one that failed, the next attempt is put off.
    async fn night(&mut self, as_of: AsOf, is_sending: bool) {
        if night(self.root, self.agency, &self.state, as_of, is_sending).await {
            self.failed = None;
            return;
        }
        let before = self.failed.filter(|(date, _)| *date == as_of).map_or(0, |(_, times)| times);
        self.failed = Some((as_of, before.saturating_add(1)));
        let next_fire = self.good.as_ref().and_then(|times| times.cron.next_after(now()));
        // What waits to be sent waits for a server that comes back, and not for ever longer.
        let failed_before = if is_sending { before.min(1) } else { before };
        self.not_before = schedule::retry(RETRY, failed_before, now(), next_fire);
        let at = self.not_before.to_zoned(vietnam()).strftime("%Y-%m-%d %H:%M").to_string();
        tracing::warn!(%as_of, next_attempt = %at, "the night failed");
    }
}

/// Runs one night of the schedule; false when it failed.
async fn night(root: &Path, agency: &str, state: &Path, as_of: AsOf, is_sending: bool) -> bool {
    tracing::info!(%as_of, "{} begins", if is_sending { "sending" } else { "night" });
    let checked: Result<Checked, Vec<Fault>> = check::check(root, agency).await;
    // Whatever night is caught up, people are written to today.
    let today = Some(AsOf::today().date());
    let world = World { today, ..World::new(root.to_path_buf(), state.to_path_buf()) };
    let result = match checked {
        Ok(checked) if is_sending => run::send(&world, &checked, as_of, &[]).await.map_err(one),
        Ok(checked) => run::run(&world, &checked, as_of, &[]).await.map_err(one),
        Err(faults) => Err(faults),
    };
    match result {
        Ok(report) => {
            // The night is done, whether or not its summary found room.
            if let Err(faults) = print(&report.to_string()) {
                ended(Err(faults));
            }
            report.outcome != "failed"
        }
        Err(faults) => {
            ended(Err(faults));
            false
        }
    }
}

/// The signals that ask a service to stop: SIGTERM from systemd, SIGINT from a keyboard.
pub(super) struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    /// From now on a signal no longer ends the process: it waits to be asked for.
    pub(super) fn listen() -> std::io::Result<Self> {
        Ok(Stop { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    pub(super) async fn asked(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
