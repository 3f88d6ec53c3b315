//! Step two and a half: what became of the obligations since the last night.

use std::collections::{BTreeMap, HashMap, HashSet};

use jiff::ToSpan;
use jiff::civil::Date;

use super::Night;
use super::build::Built;
use super::change::communes_of_the_due;
use crate::fault::{Explain, Fault};
use crate::ledger::{self, Ledger};
use crate::obligations::Obligation;
use crate::obligations::life::{self, Change, Event, Window};
use crate::personal::Personal;
use crate::pipeline::{Audience, Item};
use crate::report::FaultLine;
use crate::sql::engine::Bound;
use crate::tables::{self, TableName};

/// What is followed of an item tonight.
pub(super) struct Life<'n> {
    item: &'n Item,
    /// Its obligations as they are seen, in the order of their keys.
    seen: Vec<&'n Obligation>,
    window: Window,
    /// Up to which day the register has something of those of whom something was withdrawn, by pseudonym; of an item that
    /// is renewed in place.
    latest: HashMap<String, Date>,
}

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
        // What was known is read as it stood before, while what became of it is written: a first night has a million
        // changes, which do not stand in memory together.
        let before = Ledger::read(&self.world.state).map_err(|error| error.fault())?;
        let communes = self.communes(built)?;
        let subject = |obligation: &Obligation| self.key.subject(&obligation.subject_id).into();
        let is_looked_up = built.tables.contains_key(&communes_of_the_due());
        let units: HashSet<&str> = self.checked.pipeline.unit.communes.iter().map(|one| one.code.as_str()).collect();
        let unit = |item: &Item, obligation: &Obligation| {
            let code = communes.of(item.audience == Audience::Business, &obligation.subject_id);
            is_looked_up.then(|| code.filter(|code| units.contains(code)).unwrap_or_default().to_owned())
        };
        let mut lives = followed.iter();
        let items = followed.iter().map(|life| life.item.id.as_str());
        let written = ledger.follow_made(&self.run, self.as_of.date(), items, |_, take| match lives.next() {
            Some(life) => life.each_change(Some(&before), Whose { subject: &subject, unit: &unit }, take),
            None => Ok(()),
        });
        written.map_err(|error| error.fault())
    }

    /// Counts what would be written down; without a ledger, everything is new.
    pub(super) async fn followed<'n>(
        &mut self,
        ledger: Option<&Ledger>,
        built: &Built,
        obligations: &'n [Obligation],
    ) -> Result<Vec<Life<'n>>, Fault>
    where
        Self: 'n,
    {
        let mut by_item: HashMap<&str, Vec<&Obligation>> = HashMap::new();
        for obligation in obligations {
            by_item.entry(&obligation.item).or_default().push(obligation);
        }
        let mut followed = Vec::new();
        let checked = self.checked;
        for item in &checked.pipeline.items {
            let newest = ledger.map(|ledger| ledger.followed_until(&item.id)).transpose();
            let newest = newest.map_err(|error| error.fault())?.flatten();
            let is_held = built.is_held(&TableName::new("obligations", &item.id));
            if is_held || !built.is_told(&item.id) || newest.is_some_and(|newest| newest > self.as_of.date()) {
                continue;
            }
            let (since, until) = item.window(self.as_of);
            let window = Window { as_of: self.as_of.date(), since, until };
            let mut seen = by_item.remove(item.id.as_str()).unwrap_or_default();
            seen.sort_unstable_by_key(|obligation| obligation.key);
            let mut life = Life { item, seen, window, latest: HashMap::new() };
            if item.renewed_in_place {
                life.latest = self.latest(ledger, built, &life).await?;
            }
            self.count_life(ledger, &life)?;
            followed.push(life);
        }
        Ok(followed)
    }

    /// Up to which day the register has something of those of whom something is gone tonight.
    async fn latest(
        &mut self,
        ledger: Option<&Ledger>,
        built: &Built,
        life: &Life<'_>,
    ) -> Result<HashMap<String, Date>, Fault> {
        let mut gone: HashSet<String> = HashSet::new();
        life.each_change(ledger, Whose::NOBODY, &mut |change| {
            if change.event == Event::Withdrawn {
                gone.insert(change.standing.subject);
            }
        })
        .map_err(|error| error.fault())?;
        let mut latest = HashMap::new();
        let model = self.checked.library.model(&TableName::new("obligations", &life.item.id));
        let Some(model) = model.filter(|_| !gone.is_empty()) else { return Ok(latest) };
        let as_of = life.window.as_of;
        let bound: Bound =
            [("$as_of", as_of), ("$until", as_of.saturating_add(FAR_YEARS.years())), ("$since", as_of)].into();
        let ends = built.engine.look(model, &bound).await;
        let ends = ends.map_err(|error| error.fault()).and_then(|table| {
            let failed = |error: tables::Error| error.fault();
            Ok((table.shared_texts("subject_id").map_err(failed)?, table.dates("due_on").map_err(failed)?))
        });
        let (subjects, days) = match ends {
            Ok(ends) => ends,
            Err(fault) => {
                self.report.faults.push(FaultLine::from(&fault));
                return Ok(latest);
            }
        };
        for (row, due_on) in days.into_iter().enumerate() {
            let (Some(subject), Some(due_on)) = (subjects.get(row), due_on) else { continue };
            let subject = self.key.subject(&Personal::new(subject));
            if gone.contains(subject.as_str()) {
                let known = latest.entry(subject.into()).or_insert(due_on);
                *known = due_on.max(*known);
            }
        }
        Ok(latest)
    }

    fn count_life(&mut self, ledger: Option<&Ledger>, life: &Life<'_>) -> Result<(), Fault> {
        let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
        // Whose it is does not count.
        let counted = life.each_change(ledger, Whose::NOBODY, &mut |change| {
            *counts.entry(change.event.word()).or_default() += 1;
            if change.event == Event::Fulfilled && change.standing.is_late() {
                *counts.entry(LATE).or_default() += 1;
            }
        });
        counted.map_err(|error| error.fault())?;
        self.tally(&life.item.id, |line| {
            for (word, count) in counts {
                *line.life.entry(word.to_owned()).or_default() += count;
            }
        });
        Ok(())
    }
}

/// How it is known whose an obligation is.
#[derive(Clone, Copy)]
struct Whose<'w> {
    /// The keyed pseudonym.
    subject: &'w dyn Fn(&Obligation) -> String,
    /// Where the person lives, as [`life::Standing::unit`] says it.
    unit: &'w dyn Fn(&Item, &Obligation) -> Option<String>,
}

impl Whose<'_> {
    /// For counting: whose it is does not matter.
    const NOBODY: Whose<'static> = Whose { subject: &|_| String::new(), unit: &|_, _| None };
}

impl Life<'_> {
    /// Gives each change, in the order of the keys of obligations: of what the ledger knows, and of what is new.
    fn each_change(
        &self,
        ledger: Option<&Ledger>,
        whose: Whose<'_>,
        give: &mut dyn FnMut(Change),
    ) -> Result<(), ledger::Error> {
        let mut fresh = self.seen.iter().copied().peekable();
        let unit = |seen: &Obligation| (whose.unit)(self.item, seen);
        let first = |new: &Obligation| life::first(new, || (whose.subject)(new), || unit(new), self.window);
        if let Some(ledger) = ledger {
            ledger.standings(&self.item.id, |mut before| {
                while let Some(new) = fresh.next_if(|next| *next.key < *before.key) {
                    first(new).into_iter().for_each(&mut *give);
                }
                let seen = fresh.next_if(|next| *next.key == *before.key);
                // What an earlier version wrote down gets its place with the next thing that happens to it.
                before.unit = before.unit.or_else(|| seen.and_then(unit));
                life::next(&before, seen, self.window).into_iter().for_each(|change| give(self.renewed(change)));
            })?;
        }
        fresh.filter_map(first).for_each(give);
        Ok(())
    }

    /// Fulfils what is gone because the same person's register entry now ends later than it did.
    fn renewed(&self, change: Change) -> Change {
        let standing = &change.standing;
        let is_gone = change.event == Event::Withdrawn;
        match self.latest.get(&standing.subject).is_some_and(|due_on| is_gone && *due_on > standing.due_on) {
            true => life::renewed(change, self.window),
            false => change,
        }
    }
}

/// Nothing that is extended is extended by more.
const FAR_YEARS: i64 = 30;

/// The word in the summary for those that were fulfilled after their day.
const LATE: &str = "fulfilled late";
