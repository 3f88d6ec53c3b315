//! What an earlier run could not give away: it is tried again when its time has come, and a night says what waits.

use std::collections::VecDeque;

use jiff::{SignedDuration, Timestamp};

use super::super::channels::Senders;
use super::super::{Night, Purpose};
use super::retry::Retries;
use super::stop;
use crate::calendar::{now, vietnam};
use crate::delivery::breaker::Breakers;
use crate::fault::{Explain, Fault};
use crate::ledger::Ledger;
use crate::reminders::plan::{Plan, Reason, Reminder};

impl Night<'_> {
    /// Those that wait for another try in this run: for as long as it has patience, and never beyond the window.
    pub(super) fn retries<'o>(&self) -> Retries<Reminder<'o>> {
        let patience = SignedDuration::from_mins(i64::from(self.world.retry_minutes));
        let until = (!patience.is_zero()).then(|| now().checked_add(patience).unwrap_or(Timestamp::MAX));
        // Nothing waits beyond the sending window: the next run looks again first.
        let until = until.map(|until| self.window_end().map_or(until, |end| until.min(end)));
        Retries::until(until).paced(self.world.pauses_percent)
    }

    /// Puts those whose time has come before the line: they were more urgent than what is left in it.
    pub(super) async fn try_again<'o>(
        &mut self,
        senders: &mut Senders,
        breakers: &Breakers,
        line: &mut VecDeque<Reminder<'o>>,
        plan: &mut Plan<'o>,
        retries: &mut Retries<Reminder<'o>>,
    ) -> Result<(), Fault> {
        let again = retries.due(now());
        if again.is_empty() {
            return Ok(());
        }
        let again = self.reopen(senders, again, retries).await?;
        let mut again = again.into_iter().flat_map(Reminder::apart).collect();
        stop::hold_stopped(breakers, &mut again, plan);
        let again = self.prepare(senders, again.into(), plan).await?;
        again.into_iter().rev().for_each(|reminder| line.push_front(reminder));
        Ok(())
    }

    /// In a run that only sends, what the other side put off waits until its time has come; a night tries everything.
    pub(super) fn hold_for_try<'o>(
        &self,
        ledger: &Ledger,
        line: &mut VecDeque<Reminder<'o>>,
        retries: &mut Retries<Reminder<'o>>,
        plan: &mut Plan<'o>,
    ) -> Result<(), Fault> {
        let deferred = ledger.deferred().map_err(|error| error.fault())?;
        if deferred.is_empty() {
            return Ok(());
        }
        for reminder in std::mem::take(line) {
            let Some(known) = deferred.get(&*reminder.key) else {
                line.push_back(reminder);
                continue;
            };
            retries.was_tried(&reminder.key, known.attempts);
            match known.retry_at.filter(|at| self.purpose == Purpose::Send && *at > now()) {
                None => line.push_back(reminder),
                Some(at) if retries.reaches(at) => retries.wait(at, reminder),
                Some(_) => plan.hold_back(reminder.obligation, Reason::WaitsForTry),
            }
        }
        Ok(())
    }

    /// Says what still waits to be tried again.
    pub(super) fn tell_waiting(&mut self, ledger: &Ledger) -> Result<(), Fault> {
        let deferred = ledger.deferred().map_err(|error| error.fault())?;
        let Some(first) = deferred.values().filter_map(|one| one.retry_at).min() else { return Ok(()) };
        let at = first.to_zoned(vietnam()).strftime("%H:%M").to_string();
        self.report.notes.push(format!("{} messages wait to be tried again, the first at {at}", deferred.len()));
        Ok(())
    }
}
