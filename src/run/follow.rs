//! Step two and a half: what became of the obligations since the last night.

use std::collections::HashMap;

use jiff::ToSpan;
use jiff::civil::Date;

use super::Night;
use super::build::Built;
use crate::fault::{Explain, Fault};
use crate::ledger::{Followed, Ledger};
use crate::obligations::Obligation;
use crate::obligations::life::{self, Change, Event, Window};
use crate::personal::Personal;
use crate::pipeline::Item;
use crate::report::FaultLine;
use crate::sql::engine::Bound;
use crate::tables::{self, TableName};

impl Night<'_> {
    /// Writes down what arose, moved, was fulfilled, withdrawn or lapsed, and counts it.
    ///
    /// An item that could not be computed tonight, or that is held for a person, is left as it was: nothing is
    /// withdrawn because a table is missing. So is one that was followed for a later night: this run replays an earlier one.
    pub(super) async fn follow(
        &mut self,
        ledger: &mut Ledger,
        built: &Built,
        obligations: &[Obligation],
    ) -> Result<(), Fault> {
        self.world.progress.step("following the obligations".to_owned());
        let followed = self.followed(Some(ledger), built, obligations).await?;
        ledger.follow(&self.run, self.as_of.date(), &followed).map_err(|error| error.fault())
    }

    /// Counts what would be written down; without a ledger, everything is new.
    pub(super) async fn followed(
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
            let mut changes = self.changes(ledger, &item.id, seen, window)?;
            if item.renewed_in_place && changes.iter().any(|change| change.event == Event::Withdrawn) {
                self.renew(built, item, &mut changes, window).await;
            }
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

    /// Fulfils what is gone because the same person's register entry now ends later than it did.
    async fn renew(&mut self, built: &Built, item: &Item, changes: &mut [Change], window: Window) {
        let Some(model) = self.checked.library.model(&TableName::new("obligations", &item.id)) else { return };
        let far = window.as_of.saturating_add(FAR_YEARS.years());
        let bound: Bound = [("$as_of", window.as_of), ("$until", far), ("$since", window.as_of)].into();
        let ends = built.engine.look(model, &bound).await;
        let ends = ends.map_err(|error| error.fault()).and_then(|table| {
            let failed = |error: tables::Error| error.fault();
            Ok(table.texts("subject_id").map_err(failed)?.into_iter().zip(table.dates("due_on").map_err(failed)?))
        });
        let ends = match ends {
            Ok(ends) => ends,
            Err(fault) => return self.report.faults.push(FaultLine::from(&fault)),
        };
        let mut latest: HashMap<String, Date> = HashMap::new();
        for (subject, due_on) in ends.filter_map(|(subject, due_on)| Some((Personal::new(subject?), due_on?))) {
            let known = latest.entry(self.key.pseudonym(&subject)).or_insert(due_on);
            *known = due_on.max(*known);
        }
        for change in changes.iter_mut().filter(|change| change.event == Event::Withdrawn) {
            let standing = &change.standing;
            if latest.get(&standing.subject).is_some_and(|due_on| *due_on > standing.due_on) {
                *change = life::renewed(change.clone(), window);
            }
        }
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

/// Nothing that is extended is extended by more.
const FAR_YEARS: i64 = 30;

/// The word in the summary for those that were fulfilled after their day.
const LATE: &str = "fulfilled late";
