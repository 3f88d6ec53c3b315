//! What is decided about tonight's obligations, by what was recorded of earlier nights, before anything is written down.

use std::collections::HashSet;

use super::super::Night;
use super::super::build::Built;
use super::super::change::communes_of_the_due;
use crate::check::due_name;
use crate::fault::{Explain, Fault};
use crate::ledger::{Ledger, MessageState, OutboxRow};
use crate::obligations::Obligation;
use crate::reminders::attention;
use crate::reminders::plan::{self, Before, Circumstances, History, Parts, Plan, Reason, Recipients};
use crate::tables::TableName;

impl Night<'_> {
    /// Lets go of what was needed to see who is written to, and where they live: sending takes long.
    pub(super) fn forget_the_due(&self, built: &mut Built) {
        let later = ["dossiers", "options", "quality", "satisfaction"];
        for name in [due_name(), communes_of_the_due()] {
            built.forget(&name, &self.checked.library, &later);
        }
    }

    /// What was recorded earlier of the obligations that are open tonight: of all others nothing is asked, however many
    /// years of nights lie in the ledger.
    pub(super) fn history_of(&self, ledger: &Ledger, obligations: &[Obligation]) -> Result<History, Fault> {
        let is_told = |obligation: &&Obligation| {
            obligation.is_open(self.as_of) || self.unfiled.contains_key(obligation.key.as_str())
        };
        let open: HashSet<&str> = obligations.iter().filter(is_told).map(|open| open.key.as_str()).collect();
        let has_form = |item: &str| self.checked.pipeline.form(item).is_some();
        let mut adopted = Vec::new();
        let mut history = history(ledger, |row| {
            let is_open = open.contains(row.obligation.as_str());
            if is_open && row.is_adopted() && has_form(&row.item) {
                adopted.push(row.obligation.clone());
            }
            is_open
        })?;
        drop(open);
        history.unlinked = self.unlinked(ledger, adopted)?;
        Ok(self.with_unfiled(self.told(ledger, obligations, self.attended(ledger, history)?)?))
    }

    /// Those who have something due; none when their table is blocked or held.
    pub(in crate::run) fn recipients(&self, built: &Built) -> Result<Option<Recipients>, Fault> {
        let table = built.tables.get(&TableName::new("reminders", "recipients"));
        table.map(plan::recipients).transpose().map_err(|error| error.fault())
    }

    pub(in crate::run) fn decide<'o>(
        &self,
        obligations: &'o [Obligation],
        people: Option<&'o Recipients>,
        history: &History,
    ) -> Result<Plan<'o>, Fault>
    where
        Self: 'o,
    {
        let pipeline = &self.checked.pipeline;
        let circumstances = Circumstances {
            items: &pipeline.items,
            channels: &pipeline.channels,
            people,
            standing: &self.closed,
            as_of: self.now_as_of(),
            key: &self.key,
        };
        let elsewhere = self.elsewhere()?;
        let mut plan = Plan::default();
        // Each person is decided alone. What deciding takes beside the reminders is there for one part at a time.
        let parts = Parts::of_obligations(obligations.len());
        if parts.number() > 1 {
            plan.reminders.reserve_exact(obligations.len());
        }
        for part in parts.split(obligations, &self.key) {
            let mut of_part = plan::plan_of(&part, history, &circumstances);
            self.keep_todays(&mut of_part, history, elsewhere.as_ref());
            plan.take_in(of_part);
        }
        attention::in_order(&mut plan.reminders, pipeline.attention.is_digested);
        // What was open on the day of a night that is caught up, and is past its day now.
        let is_over =
            |obligation: &&Obligation| obligation.is_open(self.as_of) && !obligation.is_open(self.now_as_of());
        obligations.iter().filter(is_over).for_each(|obligation| plan.hold_back(obligation, Reason::Expired));
        Ok(plan)
    }
}

/// What became of every message that was ever recorded, of those to be counted; the others are passed over one by one.
pub(in crate::run) fn history(ledger: &Ledger, mut counts: impl FnMut(&OutboxRow) -> bool) -> Result<History, Fault> {
    let before = |state| match state {
        MessageState::Accepted => Some(Before::Sent),
        MessageState::Refused => Some(Before::Refused),
        MessageState::Deferred => Some(Before::Deferred),
        // It was never on its way: it is decided anew.
        MessageState::Reserved | MessageState::Dropped => None,
        // A plan may be made while a run is at work: what is in flight is as good as uncertain.
        MessageState::Uncertain | MessageState::InFlight => Some(Before::Uncertain),
    };
    let mut history = History::default();
    let read = ledger.each_message(|row| {
        if !counts(&row) {
            return;
        }
        if row.state == MessageState::Accepted {
            let shortest = history.shortest_sent.entry(row.obligation).or_insert(row.stage_notice_days);
            *shortest = row.stage_notice_days.min(*shortest);
        }
        if let Some(before) = before(row.state) {
            history.messages.insert(row.key.0, before);
        }
    });
    read.map(|()| history).map_err(|error| error.fault())
}
