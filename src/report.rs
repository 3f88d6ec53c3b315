//! What a run did, for a clerk and for a program.
//!
//! The same facts as text and as JSON. Counts only: no person is in a report.

pub mod change;
pub mod window;

use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::fault::Fault;
use crate::ledger::RunOutcome;

/// The summary of a run or of a plan.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Report {
    /// The agency's folder.
    pub agency: String,
    /// The date it speaks for.
    pub as_of: String,
    /// The run's name in the ledger; none for a plan.
    pub run: Option<String>,
    /// `done`, `held` or `failed`.
    pub outcome: String,
    /// One line per landed table.
    pub tables: Vec<TableLine>,
    /// One line per item.
    pub items: Vec<ItemLine>,
    /// One line per closed month or quarter.
    pub releases: Vec<ReleaseLine>,
    /// What became of exact tables, by month.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exact: Vec<ExactLine>,
    /// Checks that found something.
    pub checks: Vec<CheckLine>,
    /// Confirmed dossiers that have not left and need somebody to see to it.
    #[serde(default)]
    pub waiting_dossiers: u64,
    /// What went wrong.
    pub faults: Vec<FaultLine>,
    /// Things that a person should know.
    pub notes: Vec<String>,
    /// Where to look.
    pub look: BTreeMap<String, PathBuf>,
}

/// What was pulled of one table.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct TableLine {
    /// `<source>.<table>`.
    pub table: String,
    /// Rows the source had.
    pub rows_read: u64,
    /// Rows that landed.
    pub rows_landed: u64,
    /// Rows set aside.
    pub rows_quarantined: u64,
    /// `snapshot`, `increment` or `comparison`; `counted` for answers of which no row lands; nothing where a table was
    /// made here.
    #[serde(default)]
    pub mode: String,
    /// Rows that the table has now.
    #[serde(default)]
    pub rows_held: u64,
    /// Rows found to be gone from the source; none where nobody looked.
    #[serde(default)]
    pub rows_deleted: Option<u64>,
    /// What was wrong, and in how many rows; a row with two faults counts under both.
    pub findings: BTreeMap<String, u64>,
    /// Seconds it took.
    pub seconds: f64,
}

/// What became of one item.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ItemLine {
    /// The item.
    pub item: String,
    /// Obligations in the notice window.
    pub obligations: u64,
    /// Messages that left (for a plan: that would leave).
    pub messages: u64,
    /// Messages the server asked to bring later.
    pub deferred: u64,
    /// Messages the server refused.
    pub refused: u64,
    /// Messages of which it is not known whether they were taken, and which the next run sends again.
    pub uncertain: u64,
    /// Obligations without a message today, by reason.
    pub held: BTreeMap<String, u64>,
    /// Open obligations and tonight's reminders by commune; under an empty code where none is known.
    #[serde(default)]
    pub communes: BTreeMap<String, Counts>,
    /// What happened to its obligations since the last night: how many arose, moved, were fulfilled, withdrawn, lapsed
    /// or returned; how many of those that were fulfilled were late.
    #[serde(default)]
    pub life: BTreeMap<String, u64>,
}

/// What there is of an item in one commune.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Obligations in the notice window.
    pub obligations: u64,
    /// Those that are written to tonight.
    pub reminders: u64,
}

/// What became of one period.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ReleaseLine {
    /// `2026-10` or `2026-Q3`.
    pub period: String,
    /// `published`, `unchanged`, `would publish`, `refused`, `held`.
    pub status: String,
    /// Tables in it.
    pub tables: u64,
    /// What this run spent on it, in zCDP; exact.
    pub rho_spent: String,
    /// What is spent on it in all, and the cap.
    pub rho_total: String,
    /// Epsilon of that total at the policy's delta.
    pub epsilon: f64,
}

/// What became of exact tables of one month.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ExactLine {
    /// `2026-10`.
    pub period: String,
    /// `published`, `unchanged`, `would decide`, `refused`, `held`.
    pub status: String,
    /// Tables of which this is so.
    pub tables: u64,
    /// Their cells that are published.
    pub published: u64,
    /// Their cells that are withheld.
    pub withheld: u64,
}

/// A check that found something.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct CheckLine {
    /// Its name.
    pub check: String,
    /// `warn` or `hold`.
    pub severity: String,
    /// Rows it found.
    pub rows: u64,
    /// What they are.
    pub about: String,
}

/// Something that went wrong.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct FaultLine {
    /// Stable code.
    pub code: String,
    /// Where.
    pub place: String,
    /// What.
    pub what: String,
    /// What to do.
    pub next: String,
}

impl From<&Fault> for FaultLine {
    fn from(fault: &Fault) -> Self {
        FaultLine {
            code: fault.code.into(),
            place: fault.place.to_string(),
            what: fault.what.clone(),
            next: fault.next.clone(),
        }
    }
}

impl Report {
    /// How the run ended: a fault fails it, something for a person holds it.
    pub fn settle(&mut self) -> RunOutcome {
        let is_held = self.checks.iter().any(|check| check.severity == "hold")
            || self.releases.iter().any(|release| release.status == "refused" || release.status == "held")
            || self.exact.iter().any(|line| line.status == "refused" || line.status == "held")
            || self.items.iter().any(|item| item.held.contains_key(HELD_BY_A_CHECK))
            || self.items.iter().any(|item| item.held.contains_key(HELD_BY_A_CHANGE))
            || self.items.iter().any(|item| item.held.contains_key(HELD_FOR_A_PERSON))
            || self.waiting_dossiers > 0;
        let outcome = match (self.faults.is_empty(), is_held) {
            (false, _) => RunOutcome::Failed,
            (true, true) => RunOutcome::Held,
            (true, false) => RunOutcome::Done,
        };
        self.outcome = outcome.word().into();
        outcome
    }

    /// Whether no message left and nothing was published: a night that was run before.
    pub fn did_nothing_new(&self) -> bool {
        let is_quiet = |item: &ItemLine| item.messages + item.deferred + item.refused + item.uncertain == 0;
        self.faults.is_empty()
            && self.items.iter().all(is_quiet)
            && self.releases.iter().all(|release| release.status == "unchanged")
            && self.exact.iter().all(|line| line.status == "unchanged")
    }

    /// Adds what a second look at the sources, in the middle of sending, found: what went wrong, what waits for a
    /// person, and what happened to obligations. Its tables and items are those that are here already.
    pub fn add_second_look(&mut self, again: Report) {
        self.faults.extend(again.faults);
        self.notes.extend(again.notes);
        let is_known = |check: &CheckLine| self.checks.iter().any(|known| known.check == check.check);
        let new: Vec<CheckLine> = again.checks.into_iter().filter(|check| !is_known(check)).collect();
        self.checks.extend(new);
        for seen in again.items {
            let Some(line) = self.items.iter_mut().find(|line| line.item == seen.item) else { continue };
            for (word, count) in seen.life {
                *line.life.entry(word).or_default() += count;
            }
        }
    }

    /// Two runs of one night as one: the obligations of the later, the messages of both.
    pub fn together(self, mut later: Report) -> Report {
        for item in &mut later.items {
            if let Some(earlier) = self.items.iter().find(|earlier| earlier.item == item.item) {
                item.messages += earlier.messages;
                for (commune, counts) in &earlier.communes {
                    item.communes.entry(commune.clone()).or_default().reminders += counts.reminders;
                }
                for (word, count) in &earlier.life {
                    *item.life.entry(word.clone()).or_default() += count;
                }
            }
        }
        later
    }

    /// What differs from an earlier report, item by item.
    pub fn difference(&self, earlier: &Report) -> Vec<String> {
        let mut lines = Vec::new();
        for item in &self.items {
            let before = earlier.items.iter().find(|other| other.item == item.item);
            let (obligations, messages) = before.map_or((0, 0), |other| (other.obligations, other.messages));
            lines.push(format!(
                "{}: obligations {obligations} → {} ({:+}), messages {messages} → {} ({:+})",
                item.item,
                item.obligations,
                difference(obligations, item.obligations),
                item.messages,
                difference(messages, item.messages),
            ));
        }
        for gone in earlier.items.iter().filter(|other| !self.items.iter().any(|item| item.item == other.item)) {
            lines.push(format!("{}: no longer switched on", gone.item));
        }
        lines
    }
}

fn difference(before: u64, now: u64) -> i64 {
    i64::try_from(now).unwrap_or(i64::MAX).saturating_sub(i64::try_from(before).unwrap_or(i64::MAX))
}

/// The reason under which an item waits for a person who looks at a check.
pub const HELD_BY_A_CHECK: &str = "held by a check";

/// The reason under which an item waits for a person because its obligations are far more or fewer than before.
pub const HELD_BY_A_CHANGE: &str = "held: far more or fewer than on the last night";

/// The reason under which messages wait for a clerk.
pub const HELD_FOR_A_PERSON: &str = "uncertain after a crash, left to a clerk";

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = self.run.as_ref().map_or_else(|| "plan".to_owned(), |run| format!("run {run}"));
        writeln!(f, "{}, {what}, as of {}: {}", self.agency, self.as_of, self.outcome)?;
        self.tables(f)?;
        self.items(f)?;
        self.releases(f)?;
        self.exact(f)?;
        self.rest(f)
    }
}

impl TableLine {
    /// What an increment changed; nothing where all rows were read, as is usual.
    fn increment(&self) -> String {
        let held = number(self.rows_held);
        match (self.mode.as_str(), self.rows_deleted) {
            ("counted", _) => "counted and not kept".to_owned(),
            ("increment", _) => format!("changes, of {held}"),
            ("comparison", gone) => format!("changes, of {held}; keys compared, {} gone", number(gone.unwrap_or(0))),
            _ => String::new(),
        }
    }
}

impl Report {
    fn tables(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.tables.is_empty() {
            return Ok(());
        }
        let mut rows = vec![row(["table", "read", "landed", "quarantined", "seconds", ""])];
        for line in &self.tables {
            let why = [line.increment(), counts(&line.findings)];
            let why = why.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("; ");
            let seconds = format!("{:.2}", line.seconds);
            rows.push(row([
                &line.table,
                &number(line.rows_read),
                &number(line.rows_landed),
                &number(line.rows_quarantined),
                &seconds,
                &why,
            ]));
        }
        writeln!(f, "\nPulled\n{}", aligned(&rows))
    }

    fn items(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.items.is_empty() {
            return Ok(());
        }
        let verb = if self.run.is_some() { "messages" } else { "would send" };
        let mut rows = vec![row(["item", "obligations", verb, "held", "", ""])];
        for line in &self.items {
            let held: u64 = line.held.values().sum();
            let mut why = counts(&line.held);
            for (count, word) in [(line.deferred, "deferred"), (line.refused, "refused"), (line.uncertain, "uncertain")]
            {
                if count > 0 {
                    let _ = write!(why, "{}{count} {word}", if why.is_empty() { "" } else { ", " });
                }
            }
            rows.push(row([&line.item, &number(line.obligations), &number(line.messages), &number(held), "", &why]));
        }
        writeln!(f, "\nReminders\n{}", aligned(&rows))?;
        let changed: Vec<&ItemLine> = self.items.iter().filter(|line| !line.life.is_empty()).collect();
        if !changed.is_empty() {
            writeln!(f, "\nObligations since the last night")?;
            let width = changed.iter().map(|line| line.item.chars().count()).max().unwrap_or(0);
            for line in changed {
                writeln!(f, "  {:<width$}  {}", line.item, counts(&line.life))?;
            }
        }
        Ok(())
    }

    fn releases(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.releases.is_empty() {
            return Ok(());
        }
        let mut rows = vec![row(["period", "status", "tables", "spent now", "spent in all", "epsilon"])];
        for line in &self.releases {
            let epsilon = if line.rho_total.is_empty() { String::new() } else { format!("{:.2}", line.epsilon) };
            rows.push(row([
                &line.period,
                &line.status,
                &if line.tables == 0 { String::new() } else { number(line.tables) },
                &line.rho_spent,
                &line.rho_total,
                &epsilon,
            ]));
        }
        writeln!(f, "\nFigures (privacy budget in zCDP)\n{}", aligned(&rows))
    }

    fn exact(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.exact.is_empty() {
            return Ok(());
        }
        let mut rows = vec![row(["month", "status", "tables", "cells published", "withheld", ""])];
        for line in &self.exact {
            let cells = [number(line.published), number(line.withheld)];
            let [published, withheld] = if line.published == 0 { Default::default() } else { cells };
            let tables = if line.tables == 0 { String::new() } else { number(line.tables) };
            rows.push(row([&line.period, &line.status, &tables, &published, &withheld, ""]));
        }
        writeln!(f, "\nExact figures\n{}", aligned(&rows))
    }

    fn rest(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.checks.is_empty() {
            writeln!(f, "\nChecks that found something")?;
            for line in &self.checks {
                writeln!(f, "  {} [{}]: {} rows. {}", line.check, line.severity, line.rows, line.about)?;
            }
        }
        if !self.faults.is_empty() {
            writeln!(f, "\nFaults")?;
            for line in &self.faults {
                writeln!(
                    f,
                    "  error[{}]: {}\n    at:   {}\n    next: {}",
                    line.code, line.what, line.place, line.next
                )?;
            }
        }
        if !self.notes.is_empty() {
            writeln!(f)?;
            for note in &self.notes {
                writeln!(f, "{note}")?;
            }
        }
        if !self.look.is_empty() {
            writeln!(f, "\nWhere to look")?;
            for (what, path) in &self.look {
                writeln!(f, "  {what:<10} {}", path.display())?;
            }
        }
        Ok(())
    }
}

fn row(cells: [&str; 6]) -> [String; 6] {
    cells.map(str::to_owned)
}

/// Thousands apart, so that a clerk can read a million.
fn number(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

fn counts(reasons: &BTreeMap<String, u64>) -> String {
    reasons.iter().map(|(reason, count)| format!("{count} {reason}")).collect::<Vec<_>>().join(", ")
}

/// First column to the left, numbers to the right, the last as it is.
fn aligned(rows: &[[String; 6]]) -> String {
    let mut widths = [0; 6];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for row in rows {
        let mut line = String::from(" ");
        for (index, (cell, width)) in row.iter().zip(widths).enumerate() {
            if width == 0 {
                continue;
            }
            let pad = " ".repeat(width - cell.chars().count());
            let is_left = index == 0 || index == 5 || cell.chars().any(char::is_alphabetic);
            line.push_str(&if is_left { format!(" {cell}{pad} ") } else { format!(" {pad}{cell} ") });
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text.pop();
    text
}
