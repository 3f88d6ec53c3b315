//! What an earlier run had reserved or deferred and nobody is to be sent any more: dropped, with the reason.

use std::collections::{HashMap, HashSet};

use super::super::Night;
use super::super::build::Built;
use crate::calendar::to_days;
use crate::fault::{Explain, Fault};
use crate::ledger::{Ledger, MessageKey, MessageState, OutboxRow};
use crate::obligations::Obligation;
use crate::pipeline::Channel;
use crate::reminders::plan::{self, Plan, Recipients};

impl Night<'_> {
    /// Drops what waits from an earlier run and is not among tonight's reminders, where tonight's data says why.
    pub(super) fn give_up(
        &self,
        ledger: &mut Ledger,
        built: &Built,
        obligations: &[Obligation],
        people: Option<&Recipients>,
        plan: &Plan<'_>,
    ) -> Result<(), Fault> {
        if !ledger.has_waiting().map_err(|error| error.fault())? {
            return Ok(());
        }
        let going: HashSet<&str> = plan.reminders.iter().map(|reminder| reminder.key.as_str()).collect();
        let mut waiting = Vec::new();
        ledger
            .each_message(|row| {
                let waits = matches!(row.state, MessageState::Reserved | MessageState::Deferred);
                if waits && !going.contains(row.key.0.as_str()) && built.is_told(&row.item) {
                    waiting.push(row);
                }
            })
            .map_err(|error| error.fault())?;
        if waiting.is_empty() {
            return Ok(());
        }
        let by_key: HashMap<&str, &Obligation> =
            obligations.iter().map(|obligation| (obligation.key.as_str(), obligation)).collect();
        let dropped: Vec<(MessageKey, String)> = waiting
            .into_iter()
            .filter_map(|row| {
                let obligation = by_key.get(row.obligation.as_str()).copied();
                let reason = self.why(&row, obligation, people)?;
                Some((row.key, reason.to_owned()))
            })
            .collect();
        ledger.drop_messages(&self.run, &dropped).map(drop).map_err(|error| error.fault())
    }

    /// Why a message that waits is not sent any more; none where tonight does not know.
    fn why(
        &self,
        row: &OutboxRow,
        obligation: Option<&Obligation>,
        people: Option<&Recipients>,
    ) -> Option<&'static str> {
        let Some(obligation) = obligation else { return Some("withdrawn") };
        if obligation.fulfilled_on.is_some() {
            return Some("fulfilled");
        }
        if !obligation.is_open(self.now_as_of()) {
            return Some("expired");
        }
        let item = self.checked.pipeline.item(&row.item)?;
        let recipient = people?.get(&obligation.subject_id, item.audience)?;
        let subject = self.key.subject(&obligation.subject_id);
        let refused = self.closed.objection(&subject, &row.item, &row.channel) == Some(plan::Reason::Refuses);
        // Whether there is an address is asked of the channel by which it waits.
        let channel = self.checked.pipeline.channel(&row.channel);
        let has_address = |channel: &Channel| recipient.address(channel.reach()).is_some();
        let reasons = [
            (recipient.is_deceased(), "deceased"),
            (recipient.is_closed(), "business is closed"),
            (refused || recipient.refuses_reminders(), "refuses reminders"),
            (channel.is_some_and(|channel| !has_address(channel)), "no address"),
        ];
        if let Some((_, why)) = reasons.into_iter().find(|(holds, _)| *holds) {
            return Some(why);
        }
        let days_left = to_days(obligation.due_on) - to_days(self.today);
        let stage = plan::stage(&item.notice_days, days_left);
        (stage != Some(row.stage_notice_days)).then_some("another stage takes its place")
    }
}
