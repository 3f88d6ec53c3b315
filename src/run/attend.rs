//! When reminders leave: what the ledger knows of a person's week, and whether the sending window is open.

use std::collections::VecDeque;

use jiff::ToSpan;

use super::Night;
use crate::calendar::{now, vietnam};
use crate::fault::{Explain, Fault};
use crate::ledger::Ledger;
use crate::obligations::life::State;
use crate::pipeline::attention::Late;
use crate::reminders::attention::{self, WEEK_DAYS};
use crate::reminders::plan::{History, Plan, Reason, Reminder};
use crate::reminders::window::{Hour, Window};

impl Night<'_> {
    /// Adds to the history of messages what attention is measured by.
    pub(super) fn attended(&self, ledger: &Ledger, mut history: History) -> Result<History, Fault> {
        let pipeline = &self.checked.pipeline;
        let today = self.as_of.date();
        if pipeline.attention.most_per_week.is_some() {
            let after = today.saturating_sub(WEEK_DAYS.days());
            history.sent = ledger.sent_between(after, today).map_err(|error| error.fault())?;
        }
        for item in pipeline.items.iter().filter(|item| item.late != Late::Send) {
            let known_on = &mut history.known_on;
            let seen = ledger.standings(&item.id, |standing| {
                if standing.state == State::Open {
                    known_on.insert(standing.key, standing.since);
                }
            });
            seen.map_err(|error| error.fault())?;
        }
        Ok(history)
    }

    /// Keeps in the plan what leaves today.
    pub(super) fn arrange(&self, plan: &mut Plan<'_>, history: &History) {
        attention::arrange(plan, &history.sent, &self.sending_window(), &self.checked.pipeline, self.as_of);
    }

    /// Holds what is left where the sending window is closed now, and says until when it waits.
    pub(super) fn hold_for_window<'o>(&mut self, reminders: &mut VecDeque<Reminder<'o>>, plan: &mut Plan<'o>) {
        let Hour::Closed(until) = self.sending_window().at(now()) else { return };
        if reminders.is_empty() {
            return;
        }
        let at = until.to_zoned(vietnam()).strftime("%H:%M").to_string();
        self.report.notes.push(format!("{} reminders wait for {at}, when the sending window opens", reminders.len()));
        for reminder in reminders.drain(..) {
            plan.hold(&reminder.item.id, Reason::WaitsForWindow);
        }
    }

    fn sending_window(&self) -> Window {
        Window::of(&self.checked.pipeline, self.known_on)
    }
}
