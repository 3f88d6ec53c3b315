//! Step one: every source, in a snapshot of its own.

use std::collections::BTreeMap;

use super::Night;
use crate::calendar::now;
use crate::fault::{Explain, Fault};
use crate::landing::{self, Landed, Read, Store};
use crate::ledger::{FailedPull, Ledger, PullEntry};
use crate::personal::hex;
use crate::pipeline::filter::Dates;
use crate::pipeline::{Source, SourceTable, VolumeBound};
use crate::report::{CheckLine, FaultLine, TableLine};
use crate::tables::{Table, TableName};

/// What landed, and the tables that did not.
#[derive(Default)]
pub(super) struct Harvest {
    pub(super) landed: Vec<Landed>,
    /// Tables of sources that could not be pulled: whatever reads them is left out tonight.
    pub(super) blocked: Vec<TableName>,
    /// Tables that came with another volume than they usually have: a person must look first.
    pub(super) held: Vec<TableName>,
    /// Tables of which a person has looked at that.
    accepted: Vec<TableName>,
    /// What did not come, and why.
    failed: Vec<(TableName, Fault)>,
    /// The rows of blind tables, which are in memory alone.
    answers: Vec<(TableName, Table)>,
}

impl Harvest {
    /// The rows of blind tables.
    pub(super) fn take_answers(&mut self) -> Vec<(TableName, Table)> {
        std::mem::take(&mut self.answers)
    }
}

impl Night<'_> {
    /// Pulls all sources. A source that fails blocks its own tables and no others.
    pub(super) fn pull(&mut self, store: &Store) -> Harvest {
        let harvest = self.pull_of(&self.checked.pipeline.sources, store);
        let is_blind = |landed: &Landed| self.declared(&landed.name).is_some_and(|table| table.blind.is_some());
        let told = |landed: &Landed| match is_blind(landed) {
            // It was read into memory, to be counted, and stands nowhere.
            true => TableLine { rows_landed: 0, rows_held: 0, mode: COUNTED.into(), ..line(landed) },
            false => line(landed),
        };
        self.report.tables = harvest.landed.iter().map(told).collect();
        harvest
    }

    /// Pulls these sources.
    pub(super) fn pull_of<'s>(&mut self, sources: impl IntoIterator<Item = &'s Source>, store: &Store) -> Harvest {
        let mut harvest = Harvest::default();
        // Before anything is read: what is read may be as old as this.
        self.pulled_at = now();
        let (until, since) = (self.checked.pipeline.until(self.as_of), self.checked.pipeline.since(self.as_of));
        let known_on = self.known_on;
        for source in sources {
            self.world.progress.step(format!("pulling {}", source.name));
            let dates = Dates { as_of: self.as_of.date(), until, since, known_on, law: &self.checked.pipeline.law };
            match landing::pull(source, &self.world.root, dates, store) {
                Ok(pulled) => {
                    harvest.landed.extend(pulled.tables);
                    for (landed, rows) in pulled.blind {
                        harvest.answers.push((landed.name.clone(), rows));
                        harvest.landed.push(landed);
                    }
                    for (table, error) in pulled.failed {
                        self.failed(&mut harvest, [table], &error);
                    }
                }
                Err(error) => {
                    let names = source.tables.iter().map(|table| TableName::new(&source.name, &table.name));
                    self.failed(&mut harvest, names, &error);
                }
            }
        }
        harvest
    }

    /// Blocks tables that could not be had, and keeps why for the report and the ledger.
    fn failed(&mut self, harvest: &mut Harvest, tables: impl IntoIterator<Item = TableName>, error: &landing::Error) {
        let faults = error.faults();
        self.report.faults.extend(faults.iter().map(FaultLine::from));
        for table in tables {
            harvest.failed.extend(faults.first().map(|fault| (table.clone(), fault.clone())));
            harvest.blocked.push(table);
        }
    }

    /// Holds tables with far fewer or far more rows than they usually have, unless a person accepted it.
    pub(super) fn weigh(&mut self, ledger: &Ledger, harvest: &mut Harvest) -> Result<(), Fault> {
        for landed in &harvest.landed {
            let name = landed.name.to_string();
            let Some(table) = self.declared(&landed.name) else { continue };
            let Some(usual) = ledger.usual_rows(&name).map_err(|error| error.fault())? else { continue };
            let Some(change) = out_of_bounds(landed, usual.rows, table.volume) else { continue };
            if self.accept.contains(&name) {
                harvest.accepted.push(landed.name.clone());
                continue;
            }
            self.report.notes.push(format!(
                "{name} has {} rows and had {} ({}): it is held, with all that reads it. See whether the source is whole. \
                 If that is right, run with --accept {name}; if it is so more often, widen its volume in the pipeline",
                held_rows(landed),
                usual.rows,
                if usual.nights == 1 { "one night".to_owned() } else { format!("median of {} nights", usual.nights) },
            ));
            let about = match change {
                Change::Lost(_) => "Rows that are missing, by what the table usually has.",
                Change::Gained(_) => "Rows that are too many, by what the table usually has.",
            };
            let (Change::Lost(rows) | Change::Gained(rows)) = change;
            self.report.checks.push(CheckLine {
                check: format!("volume of {name}"),
                severity: "hold".into(),
                rows,
                about: about.into(),
            });
            harvest.held.push(landed.name.clone());
        }
        Ok(())
    }

    /// Writes down what was asked of whom, on what ground, how many rows came, and what did not come.
    pub(super) fn record_pulls(&mut self, ledger: &mut Ledger, harvest: &Harvest) -> Result<(), Fault> {
        let entries: Vec<PullEntry> = harvest.landed.iter().filter_map(|landed| self.entry(landed, harvest)).collect();
        let failed: Vec<FailedPull> =
            harvest.failed.iter().filter_map(|(name, fault)| self.failed_entry(name, fault)).collect();
        ledger.pulled(&self.run, &entries, &failed).map_err(|error| error.fault())
    }

    fn declared(&self, name: &TableName) -> Option<&SourceTable> {
        self.checked.pipeline.source(&name.schema)?.tables.iter().find(|table| table.name == name.table)
    }

    fn entry(&self, landed: &Landed, harvest: &Harvest) -> Option<PullEntry> {
        let authorisation = &self.checked.pipeline.source(&landed.name.schema)?.authorisation;
        Some(PullEntry {
            table: landed.name.to_string(),
            purposes: authorisation.purposes.iter().map(|purpose| purpose.word()).collect(),
            legal_ground: authorisation.legal_ground.vi.clone(),
            columns: landed.columns.clone(),
            filter: self.declared(&landed.name)?.filter.as_ref().map(|filter| filter.text.clone()),
            asked: landed.asked.clone(),
            mode: mode(landed.read),
            rows_read: landed.rows_read,
            rows_landed: landed.rows_landed,
            rows_quarantined: landed.rows_quarantined,
            rows_held: held_rows(landed),
            rows_changed: changed(landed),
            rows_deleted: gone(landed),
            totals: landed.proven.clone(),
            sha256: landed.generation.as_ref().map(|generation| hex(&generation.digest)),
            is_held: harvest.held.contains(&landed.name),
            is_accepted: harvest.accepted.contains(&landed.name),
            seconds: landed.seconds,
        })
    }

    fn failed_entry(&self, name: &TableName, fault: &Fault) -> Option<FailedPull> {
        let authorisation = &self.checked.pipeline.source(&name.schema)?.authorisation;
        let table = self.declared(name)?;
        Some(FailedPull {
            table: name.to_string(),
            purposes: authorisation.purposes.iter().map(|purpose| purpose.word()).collect(),
            legal_ground: authorisation.legal_ground.vi.clone(),
            columns: table.columns.iter().map(|column| column.name.clone()).collect(),
            filter: table.filter.as_ref().map(|filter| filter.text.clone()),
            code: fault.code.into(),
            what: fault.what.clone(),
        })
    }
}

/// The word of the ledger and of the report for how a table was read.
fn mode(read: Read) -> &'static str {
    match read {
        Read::Whole { .. } => "snapshot",
        Read::Changes { compared: false, .. } => "increment",
        Read::Changes { compared: true, .. } => "comparison",
    }
}

/// The rows that the table has now, however few of them came tonight.
fn held_rows(landed: &Landed) -> u64 {
    match landed.read {
        Read::Whole { .. } => landed.rows_landed,
        Read::Changes { held, .. } => held,
    }
}

fn changed(landed: &Landed) -> Option<u64> {
    matches!(landed.read, Read::Changes { .. }).then_some(landed.rows_landed)
}

fn gone(landed: &Landed) -> Option<u64> {
    match landed.read {
        Read::Changes { gone, compared: true, .. } => Some(gone),
        _ => None,
    }
}

/// How many rows a table lost or gained beyond its bound.
enum Change {
    Lost(u64),
    Gained(u64),
}

/// A drop that was cut short, or a filter that no longer filters, looks like this. Whole tables are compared: of
/// one that was read by its changes, a loss is measured from the most that it may hold, and a gain from the least.
fn out_of_bounds(landed: &Landed, usual: u64, bound: VolumeBound) -> Option<Change> {
    let exceeds = |change: u64, percent: u32| {
        // No product of a count and a percentage leaves 128 bits.
        change >= bound.least_rows.max(1) && u128::from(change) * 100 > u128::from(usual) * u128::from(percent)
    };
    let least = match landed.read {
        Read::Whole { .. } => landed.rows_landed,
        Read::Changes { held_least, .. } => held_least,
    };
    let (lost, gained) = (usual.saturating_sub(held_rows(landed)), least.saturating_sub(usual));
    if exceeds(lost, bound.drop_percent) {
        return Some(Change::Lost(lost));
    }
    bound.rise_percent.filter(|percent| exceeds(gained, *percent)).map(|_| Change::Gained(gained))
}

/// How a blind table was taken in.
const COUNTED: &str = "counted";

fn line(landed: &Landed) -> TableLine {
    let mut quarantined = BTreeMap::new();
    for finding in &landed.findings {
        let column = finding.column.as_deref().map(|column| format!("{column}: ")).unwrap_or_default();
        let effect = match finding.effect {
            landing::Effect::Quarantined => "",
            landing::Effect::Nulled => " (left empty)",
            landing::Effect::Normalised => " (brought to NFC)",
        };
        *quarantined.entry(format!("{column}{}{effect}", finding.reason.words())).or_default() += finding.rows;
    }
    TableLine {
        table: landed.name.to_string(),
        rows_read: landed.rows_read,
        rows_landed: landed.rows_landed,
        rows_quarantined: landed.rows_quarantined,
        mode: mode(landed.read).into(),
        rows_held: held_rows(landed),
        rows_deleted: gone(landed),
        findings: quarantined,
        seconds: landed.seconds,
    }
}
