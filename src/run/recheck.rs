//! Just before sending: does the obligation still stand?
//!
//! Sending to a province takes longer than a person takes to renew a card. When what was
//! read of the sources is older than the pipeline allows, it is read again, and a message
//! leaves only if its obligation is still open and due on the same day.

use std::collections::{BTreeSet, HashMap, VecDeque};

use super::Night;
use super::build::filed_dossiers;
use super::change::communes_of_the_due;
use crate::calendar::now;
use crate::fault::{Explain, Fault};
use crate::landing::Store;
use crate::ledger::{Ledger, MessageKey};
use crate::obligations::Obligation;
use crate::personal::Digest;
use crate::pipeline::Source;
use crate::reminders::plan::{self, Plan, Recipients, Reminder};
use crate::report::Report;
use crate::tables::TableName;

/// What a second look found.
struct Fresh {
    obligations: HashMap<Digest, Obligation>,
    /// Items whose obligations could be computed again.
    told: BTreeSet<String>,
    people: Option<Recipients>,
}

impl Night<'_> {
    /// Takes out the reminders whose obligation no longer stands, of those in the line and those that wait for
    /// another try.
    pub(super) async fn recheck<'o>(
        &mut self,
        ledger: &mut Ledger,
        parts: [&mut VecDeque<Reminder<'o>>; 2],
        plan: &mut Plan<'o>,
    ) -> Result<(), Fault> {
        let all = parts.iter().flat_map(|part| part.iter());
        let items: BTreeSet<String> = all.map(|reminder| reminder.item.id.clone()).collect();
        let agency = self.report.agency.clone();
        // What the second look says of tables and items is said once already; only what is new is kept.
        let mut again = std::mem::replace(&mut self.report, Report { agency, ..Report::default() });
        let fresh = self.look_again(ledger, &items).await;
        std::mem::swap(&mut self.report, &mut again);
        self.report.add_second_look(again);
        let fresh = fresh?;
        self.looked_at = now();
        let mut dropped = Vec::new();
        for part in parts {
            part.retain(|reminder| {
                let item = &reminder.item.id;
                let seen = fresh.told.contains(item).then(|| fresh.obligations.get(&reminder.obligation.key));
                let objection = plan::objection(reminder, seen, fresh.people.as_ref());
                if let Some(reason) = objection {
                    plan.hold_back(reminder.obligation, reason);
                    dropped.push((MessageKey(reminder.key.into()), reason.words().to_owned()));
                }
                objection.is_none()
            });
        }
        ledger.drop_messages(&self.run, &dropped).map(drop).map_err(|error| error.fault())
    }

    /// Whether what was read of the sources is too old to send by. A clock that was put back says nothing: look again.
    pub(super) fn is_stale(&self) -> bool {
        let age_seconds = now().duration_since(self.pulled_at).as_secs();
        let most_seconds = i64::from(self.checked.pipeline.recheck_minutes()) * 60;
        !(0..most_seconds).contains(&age_seconds)
    }

    /// Reads the sources of these items again and computes who must do what, in tables that vanish.
    async fn look_again(&mut self, ledger: &mut Ledger, items: &BTreeSet<String>) -> Result<Fresh, Fault> {
        let checked = self.checked;
        let recipients = TableName::new("reminders", "recipients");
        let mut models: BTreeSet<TableName> = checked.library.needs(&recipients);
        let mut origins = checked.library.origins(&recipients);
        // What was filed since counts as what a register says since.
        // What is seen for the first time is written down with its commune.
        let others = [filed_dossiers(), communes_of_the_due()];
        for name in items.iter().map(|item| TableName::new("obligations", item)).chain(others) {
            origins.extend(checked.library.origins(&name));
            models.extend(checked.library.needs(&name));
        }
        let store = Store::beside(self.world.landing());
        let is_read = |source: &&Source| origins.iter().any(|origin| origin.schema == source.name);
        let mut harvest = self.pull_of(checked.pipeline.sources.iter().filter(is_read), &store);
        self.weigh(ledger, &mut harvest)?;
        self.record_pulls(ledger, &harvest)?;
        let stored = harvest.landed.iter().map(|landed| (&landed.name, &landed.stored));
        let mut built = self.stage(stored, (&harvest.blocked, &harvest.held), |model| models.contains(model)).await?;
        let obligations = self.obligations(&mut built, |item| items.contains(item)).await?;
        self.follow(ledger, &built, &obligations).await?;
        Ok(Fresh {
            people: self.recipients(&built)?,
            told: items.iter().filter(|item| built.is_told(item)).cloned().collect(),
            obligations: obligations.into_iter().map(|obligation| (obligation.key, obligation)).collect(),
        })
    }
}
