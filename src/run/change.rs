//! Far more or far fewer obligations than on the last night, or many that are due on another day: an item waits for a
//! person.
//!
//! A rule that was changed by mistake, or a source that lost half its rows, shows first in these counts. An item of its
//! first night has none to be measured by: there every obligation counts as one more than before. The counts
//! are kept with each run, by item and commune, and hold no person; how many are due on another day than they were
//! follows from how the ledger knows them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::civil::Date;

use super::Night;
use super::build::Built;
use crate::calendar::AsOf;
use crate::fault::{Explain, Fault};
use crate::ledger::Ledger;
use crate::obligations::Obligation;
use crate::obligations::life::State;
use crate::personal::{Personal, ShortText};
use crate::pipeline::{Audience, ChangeBound};
use crate::reminders::plan::Reminder;
use crate::report::{CheckLine, Counts, HELD_BY_A_CHANGE, ItemLine, Report};
use crate::tables::{self, Table, TableName, Texts};

/// How many runs are looked through for one on which an item was not held.
const RUNS_BACK: u32 = 60;

/// The commune of each person and each business that has something due, as their table has it: beside it they take four
/// bytes each.
#[derive(Default)]
pub(super) struct Communes {
    subjects: Texts,
    kinds: Texts,
    codes: Texts,
    /// The rows in order of kind and subject.
    rows: Vec<u32>,
}

impl Communes {
    fn read(table: &Table) -> Result<Communes, tables::Error> {
        let subjects = table.shared_texts("subject_id")?;
        let (kinds, codes) = (table.shared_texts("kind")?, table.shared_texts("commune_code")?);
        let rows = u32::try_from(table.rows()).unwrap_or(u32::MAX);
        let is_known = |row: &u32| subjects.get(place(*row)).is_some() && codes.get(place(*row)).is_some();
        let mut communes = Communes { rows: (0..rows).filter(is_known).collect(), subjects, kinds, codes };
        let mut rows = std::mem::take(&mut communes.rows);
        rows.sort_unstable_by(|a, b| (communes.whose(*a), a).cmp(&(communes.whose(*b), b)));
        communes.rows = rows;
        Ok(communes)
    }

    fn whose(&self, row: u32) -> (bool, Option<&str>) {
        (self.kinds.get(place(row)) == Some("business"), self.subjects.get(place(row)))
    }

    /// The code of somebody's commune; of two rows of one subject the later one counts.
    pub(super) fn of(&self, is_business: bool, subject: &Personal<ShortText>) -> Option<&str> {
        let wanted = (is_business, Some(subject.reveal().as_str()));
        let after = self.rows.partition_point(|row| self.whose(*row) <= wanted);
        let row = self.rows.get(after.checked_sub(1)?).filter(|row| self.whose(**row) == wanted)?;
        self.codes.get(place(*row))
    }
}

fn place(row: u32) -> usize {
    usize::try_from(row).unwrap_or(usize::MAX)
}

impl Night<'_> {
    /// Counts the obligations of each item by commune, and holds an item of which there are far more or fewer than
    /// when it was last not held, or many on its first night, unless somebody accepted it. Gives the obligations that
    /// go on.
    ///
    /// Of an item that is held, [`Built::is_held`] says so: nothing may be concluded from its obligations.
    pub(super) fn hold_changes(
        &mut self,
        ledger: Option<&Ledger>,
        built: &mut Built,
        mut obligations: Vec<Obligation>,
    ) -> Result<Vec<Obligation>, Fault> {
        let communes = self.communes(built)?;
        let as_of = self.as_of;
        let open = obligations.iter().filter(|obligation| obligation.is_open(as_of));
        self.count_by_commune(&communes, open, |counts| &mut counts.obligations);
        drop(communes);
        let before = match ledger {
            Some(ledger) => before(ledger, self.as_of, self.report.items.len())?,
            None => BTreeMap::new(),
        };
        let checked = self.checked;
        for item in &checked.pipeline.items {
            let name = TableName::new("obligations", &item.id);
            // What could not be counted tonight is blocked or held already.
            let is_counted = built.tables.contains_key(&name) && !built.is_held(&name);
            let now = self.report.items.iter().find(|line| line.item == item.id && is_counted);
            let (Some(now), Some(bound)) = (now, item.hold_change) else { continue };
            let last = before.get(&item.id);
            let moved = match ledger {
                Some(ledger) if last.is_some() => self.moved(ledger, &item.id, &obligations)?,
                _ => 0,
            };
            let Some((what, rows)) = beyond(&name, now, last, moved, bound) else { continue };
            if self.accept.contains(&name.to_string()) {
                self.report.notes.push(format!("{what}: accepted by whoever started this run"));
                continue;
            }
            let held = now.obligations;
            let more_often =
                if last.is_some() { "; if it is so more often, widen hold_change of the item" } else { "" };
            self.report.notes.push(format!(
                "{what}: nothing of it is sent. See whether its rules, its select and its sources are right. If they \
                 are, run with --accept {name}{more_often}"
            ));
            self.report.checks.push(CheckLine {
                check: format!("change of {name}"),
                severity: "hold".into(),
                rows,
                about: match last {
                    Some(_) => {
                        "Obligations more or fewer, or due on another day, than on the last night on which it was \
                                not held."
                    }
                    None => "Obligations of an item that has no night before to be measured by.",
                }
                .into(),
            });
            if let Some(line) = self.report.items.iter_mut().find(|line| line.item == item.id) {
                line.held.insert(HELD_BY_A_CHANGE.into(), held);
            }
            obligations.retain(|obligation| obligation.item != item.id);
            built.hold(name);
        }
        Ok(obligations)
    }

    /// How many open obligations of an item are due on another day than when the ledger last followed them; none on a
    /// night that is replayed, which sees an earlier day.
    fn moved(&self, ledger: &Ledger, item: &str, obligations: &[Obligation]) -> Result<u64, Fault> {
        let newest = ledger.followed_until(item).map_err(|error| error.fault())?;
        if newest.is_none_or(|newest| newest > self.as_of.date()) {
            return Ok(0);
        }
        let open = obligations.iter().filter(|open| open.item == item && open.is_open(self.as_of));
        let due: HashMap<&str, Date> = open.map(|open| (open.key.as_str(), open.due_on)).collect();
        let mut moved = 0;
        let seen = ledger.standings(item, |before| {
            let is_moved = due.get(before.key.as_str()).is_some_and(|due_on| *due_on != before.due_on);
            moved += u64::from(is_moved && before.state == State::Open);
        });
        seen.map_err(|error| error.fault())?;
        Ok(moved)
    }

    /// Counts tonight's reminders by commune.
    pub(super) fn count_reminders(&mut self, built: &Built, reminders: &[Reminder<'_>]) -> Result<(), Fault> {
        let communes = self.communes(built)?;
        let reminded = reminders.iter().map(|reminder| reminder.obligation);
        self.count_by_commune(&communes, reminded, |counts| &mut counts.reminders);
        Ok(())
    }

    /// The communes of `sql/reminders/communes.sql`; none where the installation or the night has no such table.
    pub(super) fn communes(&self, built: &Built) -> Result<Communes, Fault> {
        let Some(table) = built.tables.get(&communes_of_the_due()) else {
            return Ok(Communes::default());
        };
        Communes::read(table).map_err(|error| error.fault())
    }

    /// Counts obligations in the line of their item, under the commune of their person.
    fn count_by_commune<'o>(
        &mut self,
        communes: &Communes,
        obligations: impl Iterator<Item = &'o Obligation>,
        which: impl Fn(&mut Counts) -> &mut u64,
    ) {
        let mut counts: BTreeMap<(&str, &str), u64> = BTreeMap::new();
        for obligation in obligations {
            let item = self.checked.pipeline.item(&obligation.item);
            let is_business = item.is_some_and(|item| item.audience == Audience::Business);
            let commune = communes.of(is_business, &obligation.subject_id).unwrap_or_default();
            *counts.entry((&obligation.item, commune)).or_default() += 1;
        }
        for ((item, commune), count) in counts {
            if let Some(line) = self.report.items.iter_mut().find(|line| line.item == item) {
                *which(line.communes.entry(commune.to_owned()).or_default()) += count;
            }
        }
    }
}

/// The communes of those who have something due.
pub(super) fn communes_of_the_due() -> TableName {
    TableName::new("reminders", "communes")
}

/// The line of each item on the newest run, up to tonight, that ended and on which it was not held; with its night.
fn before(ledger: &Ledger, as_of: AsOf, items: usize) -> Result<BTreeMap<String, (String, ItemLine)>, Fault> {
    let mut found: BTreeMap<String, (String, ItemLine)> = BTreeMap::new();
    for run in ledger.ended_runs(as_of, RUNS_BACK).map_err(|error| error.fault())? {
        let summary = run.summary.as_deref().unwrap_or_default();
        let Ok(report) = serde_json::from_str::<Report>(summary) else { continue };
        for line in report.items.into_iter().filter(|line| !line.is_held()) {
            found.entry(line.item.clone()).or_insert_with(|| (run.as_of.clone(), line));
        }
        if found.len() >= items {
            break;
        }
    }
    Ok(found)
}

/// What of an item is beyond its bound, in words and in obligations; none where it goes on by itself. `last` is the
/// night on which it was last not held, with its line.
fn beyond(
    name: &TableName,
    now: &ItemLine,
    last: Option<&(String, ItemLine)>,
    moved: u64,
    bound: ChangeBound,
) -> Option<(String, u64)> {
    let Some((night, last)) = last else {
        let count = now.obligations;
        let what = || format!("{name} has {count} obligations tonight and no night before it to be measured by");
        return is_beyond(count, 0, bound).then(|| (what(), count));
    };
    if let Some(change) = change(now, last, bound) {
        let what = format!("{name} has {change} and had {} on {night}", change.before);
        return Some((what, change.now.abs_diff(change.before)));
    }
    let of = last.obligations;
    let what = || format!("{name} has {moved} obligations due on another day than before, of {of} on {night}");
    is_beyond(moved, of, bound).then(|| (what(), moved))
}

/// A change that a person must look at.
struct Change {
    /// None for the item as a whole.
    commune: Option<String>,
    before: u64,
    now: u64,
}

impl std::fmt::Display for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let place = match self.commune.as_deref() {
            None => String::new(),
            Some("") => " of no known commune".into(),
            Some(code) => format!(" in the commune {code}"),
        };
        write!(f, "{} obligations{place} tonight", self.now)
    }
}

/// Whether so many are more than a bound lets pass without a person, of as many as there were.
fn is_beyond(by: u64, before: u64, bound: ChangeBound) -> bool {
    // No product of a count and a percentage leaves 128 bits.
    by >= u64::from(bound.least) && u128::from(by) * 100 > u128::from(before) * u128::from(bound.percent)
}

/// The change of an item beyond its bound, or of the commune in which it changed most.
fn change(now: &ItemLine, last: &ItemLine, bound: ChangeBound) -> Option<Change> {
    let is_too_much = |change: &Change| is_beyond(change.now.abs_diff(change.before), change.before, bound);
    let whole = Change { commune: None, before: last.obligations, now: now.obligations };
    if is_too_much(&whole) {
        return Some(whole);
    }
    // Counts of a run before there were any by commune say nothing.
    if last.communes.is_empty() && last.obligations > 0 {
        return None;
    }
    let codes: BTreeSet<&String> = now.communes.keys().chain(last.communes.keys()).collect();
    let counted = |line: &ItemLine, code: &String| line.communes.get(code).map_or(0, |counts| counts.obligations);
    let each = codes.into_iter().map(|code| Change {
        commune: Some(code.clone()),
        before: counted(last, code),
        now: counted(now, code),
    });
    each.filter(is_too_much).max_by_key(|change| change.now.abs_diff(change.before))
}
