//! Step two and a half: what became of the obligations since the last night.

use std::collections::HashMap;

use super::Night;
use super::build::Built;
use crate::fault::{Explain, Fault};
use crate::ledger::{Followed, Ledger};
use crate::obligations::Obligation;
use crate::obligations::life::{self, Change, Event, Window};
use crate::tables::TableName;

impl Night<'_> {
    /// Writes down what arose, moved, was fulfilled, withdrawn or lapsed, and counts it.
    ///
    /// An item that could not be computed tonight, or that is held for a person, is left as it was: nothing is
    /// withdrawn because a table is missing. So is one that was followed for a later night: this run replays an earlier one.
    pub(super) fn follow(
        &mut self,
        ledger: &mut Ledger,
        built: &Built,
        obligations: &[Obligation],
    ) -> Result<(), Fault> {
        self.world.progress.step("following the obligations".to_owned());
        let followed = self.followed(Some(ledger), built, obligations)?;
        ledger.follow(&self.run, self.as_of.date(), &followed).map_err(|error| error.fault())
    }

    /// Counts what would be written down; without a ledger, everything is new.
    pub(super) fn followed(
        &mut self,
        ledger: Option<&Ledger>,
        built: &Built,
        obligations: &[Obligation],
    ) -> Result<Vec<Followed>, Fault> {
        let mut by_item: HashMap<&str, HashMap<&str, &Obligation>> = HashMap::new();
        for obligation in obligations {
            by_item.entry(&obligation.item).or_default().insert(&obligation.key, obligation);
        }
        let mut followed = Vec::new();
        for item in &self.checked.pipeline.items {
            let newest = ledger.map(|ledger| ledger.followed_until(&item.id)).transpose();
            let newest = newest.map_err(|error| error.fault())?.flatten();
            let is_held = built.is_held(&TableName::new("obligations", &item.id));
            if is_held || !built.is_told(&item.id) || newest.is_some_and(|newest| newest > self.as_of.date()) {
                continue;
            }
            let (since, until) = item.window(self.as_of);
            let window = Window { as_of: self.as_of.date(), since, until };
            let seen = by_item.remove(item.id.as_str()).unwrap_or_default();
            let changes = self.changes(ledger, &item.id, seen, window)?;
            self.count_life(&item.id, &changes);
            followed.push(Followed { item: item.id.clone(), changes });
        }
        Ok(followed)
    }

    fn changes(
        &self,
        ledger: Option<&Ledger>,
        item: &str,
        mut seen: HashMap<&str, &Obligation>,
        window: Window,
    ) -> Result<Vec<Change>, Fault> {
        let mut changes = Vec::new();
        let known = ledger.map_or(Ok(()), |ledger| {
            ledger.standings(item, |before| {
                let seen = seen.remove(before.key.as_str());
                changes.extend(life::next(&before, seen, window));
            })
        });
        known.map_err(|error| error.fault())?;
        for obligation in seen.into_values() {
            let subject = || self.key.subject(&obligation.subject_id).into();
            changes.extend(life::first(obligation, subject, window));
        }
        Ok(changes)
    }

    fn count_life(&mut self, item: &str, changes: &[Change]) {
        let mut counts = std::collections::BTreeMap::<String, u64>::new();
        for change in changes {
            *counts.entry(change.event.word().to_owned()).or_default() += 1;
            if change.event == Event::Fulfilled && change.standing.is_late() {
                *counts.entry(LATE.to_owned()).or_default() += 1;
            }
        }
        self.tally(item, |line| {
            for (word, count) in counts {
                *line.life.entry(word).or_default() += count;
            }
        });
    }
}

/// The word in the summary for those that were fulfilled after their day.
const LATE: &str = "fulfilled late";
