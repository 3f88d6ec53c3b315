//! Step three, before a letter is written: how the due day of each of tonight's reminders came about.
//!
//! The select of each item is asked, for a part of its persons at a time, and what it tells is put [aside] until the
//! letter is written: of a night of a million reminders no more than one part of the accounts stands in memory.
//!
//! [aside]: super::aside

use std::collections::{BTreeMap, VecDeque};

use super::aside::Aside;
use super::build::Built;
use super::explain::{keys, of, provenance};
use crate::fault::{Explain, Fault, Place};
use crate::ledger::Ledger;
use crate::obligations::explain::{self, Due, Night, Provenance};
use crate::obligations::{Obligation, key_of};
use crate::personal::{Digest, SealingKey};
use crate::reminders::plan::Reminder;
use crate::report::FaultLine;
use crate::sql::engine::Bound;
use crate::sql::steps::{KEYS, TOLD};
use crate::tables::{self, TableName};

/// Obligations of which one query tells: their accounts take some twenty megabytes.
const PER_QUERY: usize = 16_384;

/// How the due dates of tonight's reminders came about.
#[derive(Default)]
pub(super) struct Accounts {
    /// The account of the query, by the key of the obligation. It holds personal dates.
    told: Aside,
    provenance: Provenance,
    key: Option<SealingKey>,
}

impl Accounts {
    /// The key of sealing, once there is something to seal.
    pub(super) fn key(&self) -> Option<&SealingKey> {
        self.key.as_ref()
    }
}

impl super::Night<'_> {
    /// Asks the select of each item how it came to the dates of these reminders.
    ///
    /// Where that fails it is said, and the messages leave without their explanation: a duty is not held back by it.
    pub(super) async fn account(&mut self, ledger: &Ledger, built: &Built, reminders: &VecDeque<Reminder<'_>>) {
        let mut wanted: BTreeMap<&str, Vec<&Obligation>> = BTreeMap::new();
        for reminder in reminders {
            wanted.entry(&reminder.item.id).or_default().push(reminder.obligation);
        }
        let pulled = ledger.pulled_at(self.as_of).unwrap_or_default();
        self.accounts.provenance = provenance(self.checked, &pulled);
        match self.world.sealing_key() {
            Ok(key) => self.accounts.key = Some(key),
            Err(error) => return self.report.faults.push(FaultLine::from(&error.fault())),
        }
        let mut told = Aside::default();
        for (item, mut wanted) in wanted {
            self.world.progress.step(format!("explaining {} reminders of {item}", wanted.len()));
            // The rows of persons whose numbers lie together are found without reading those of all others.
            wanted.sort_unstable_by(|a, b| a.subject_id.reveal().as_str().cmp(b.subject_id.reveal().as_str()));
            for part in wanted.chunks(PER_QUERY) {
                if let Err(fault) = self.account_of(built, item, part, &mut told).await {
                    self.report.faults.push(FaultLine::from(&fault));
                    break;
                }
            }
        }
        told.sort();
        self.accounts.told = told;
    }

    async fn account_of(
        &self,
        built: &Built,
        item: &str,
        wanted: &[&Obligation],
        into: &mut Aside,
    ) -> Result<(), Fault> {
        let name = TableName::new("obligations", item);
        let (Some(table), Some(model)) = (built.tables.get(&name), self.checked.library.model(&name)) else {
            return Ok(());
        };
        let Some(item) = self.checked.pipeline.item(item) else { return Ok(()) };
        let failed = |error: tables::Error| error.fault();
        let subjects = table.shared_texts("subject_id").map_err(failed)?;
        let objects = table.shared_texts("object_id").map_err(failed)?;
        let periods = table.shared_texts("period").map_err(failed)?;
        let asked = wanted.iter().filter_map(|obligation| {
            let row = obligation.facts.table_row()?;
            let subject = subjects.get(row).filter(|subject| *subject == obligation.subject_id.reveal().as_str())?;
            Some((subject, objects.get(row), periods.get(row)?))
        });
        let asked: Vec<(&str, Option<&str>, &str)> = asked.collect();
        if asked.is_empty() {
            return Ok(());
        }
        let (since, until) = item.window(self.as_of);
        let bound: Bound = [("$as_of", self.as_of.date()), ("$until", until), ("$since", since)].into();
        let told = built.engine.steps(model, &bound, "due_on", Some(&keys(&asked))).await;
        let told = told.map_err(|error| error.fault())?;
        let [subjects, objects, periods] = KEYS.map(|column| told.shared_texts(column).unwrap_or_default());
        let accounts = told.shared_texts(TOLD).unwrap_or_default();
        let texts = (0..told.rows()).filter_map(|row| {
            let of = [subjects.get(row)?, objects.get(row).unwrap_or_default(), periods.get(row)?];
            let key: Digest = key_of(&item.id, of, &self.key).parse().ok()?;
            Some((key, accounts.get(row)?.to_owned()))
        });
        into.put(&self.world.state, texts).map_err(|error| {
            let what = format!("how due days came about cannot be put aside: {error}");
            let next = "see whether the disk is full; the letters leave, and nothing explains them later";
            Fault::new("run.accounts", Place::file(&self.world.state), what, next)
        })
    }

    /// The year whose holidays are not decreed yet, where a due day rests on them.
    ///
    /// Where it is not known how the day came about, one that lies beside assumed days of rest is taken to rest on them:
    /// a warning too many is better than a day that moves without one.
    pub(super) fn assumed_year(&self, obligation: &Obligation) -> Option<i16> {
        let calendar = &self.checked.pipeline.calendar;
        match self.accounts.told.get(&obligation.key) {
            Some(account) => explain::assumed_year(account.reveal(), calendar, self.known_on),
            None => calendar.awaits_decree(obligation.due_on, self.known_on),
        }
    }

    /// Why a reminder is sent, in the language of the person, sealed under the key of the message.
    pub(super) fn sealed(&self, reminder: &Reminder<'_>) -> Option<Vec<u8>> {
        let obligation = reminder.obligation;
        let account = self.accounts.told.get(&obligation.key)?;
        // Nobody is written to about what is done.
        let (on, rule_version) = (obligation.due_on, &*obligation.rule_version);
        let due = Due { key: &obligation.key, on, rule_version, fulfilled: None };
        let night = Night { known_on: self.known_on, ..of(&self.checked.pipeline, self.as_of) };
        let explanation =
            explain::explain(reminder.item, due, account.reveal(), night, &self.accounts.provenance).ok()?;
        self.accounts.key.as_ref()?.seal(&reminder.key, &explanation.text(reminder.recipient.language()))
    }
}
