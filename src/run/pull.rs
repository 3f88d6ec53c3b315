//! Step one: every source, in a snapshot of its own.

use std::collections::BTreeMap;

use jiff::ToSpan;

use super::Night;
use crate::fault::{Explain, Fault};
use crate::landing::{self, Landed, Store};
use crate::ledger::{Ledger, PullEntry};
use crate::personal::hex;
use crate::pipeline::filter::Dates;
use crate::report::{CheckLine, FaultLine, TableLine};
use crate::tables::TableName;

/// What landed, and the tables that did not.
pub(super) struct Harvest {
    pub(super) landed: Vec<Landed>,
    /// Tables of sources that could not be pulled: whatever reads them is left out tonight.
    pub(super) blocked: Vec<TableName>,
    /// Tables that came with far fewer rows than before: a person must look first.
    pub(super) held: Vec<TableName>,
}

/// A table that lost more than this share of its rows since the last pull that
/// was not held is held: a drop that was cut short looks like that.
const DROP_PERCENT_MAX: u64 = 20;
/// Small tables change by more than that on any night.
const DROP_ROWS_MIN: u64 = 50;

impl Night<'_> {
    /// Pulls all sources. A source that fails blocks its own tables and no others.
    pub(super) fn pull(&mut self, store: &Store) -> Harvest {
        let notice_days = self.checked.pipeline.items.iter().flat_map(|item| item.notice_days.iter().copied()).max();
        let until = self.as_of.date().saturating_add(i64::from(notice_days.unwrap_or(0)).days());
        let mut harvest = Harvest { landed: Vec::new(), blocked: Vec::new(), held: Vec::new() };
        for source in &self.checked.pipeline.sources {
            self.world.progress.step(format!("pulling {}", source.name));
            let dates = Dates { as_of: self.as_of.date(), until, law: &self.checked.pipeline.law };
            match landing::pull(source, &self.world.root, dates, store) {
                Ok(pulled) => {
                    harvest.landed.extend(pulled.tables);
                    for (table, error) in pulled.failed {
                        self.report.faults.extend(error.faults().iter().map(FaultLine::from));
                        harvest.blocked.push(table);
                    }
                }
                Err(error) => {
                    self.report.faults.extend(error.faults().iter().map(FaultLine::from));
                    let tables = source.tables.iter().map(|table| TableName::new(&source.name, &table.name));
                    harvest.blocked.extend(tables);
                }
            }
        }
        self.report.tables = harvest.landed.iter().map(line).collect();
        harvest
    }

    /// Holds tables that shrank since the last pull that was not held, unless a person accepted it.
    pub(super) fn weigh(&mut self, ledger: &Ledger, harvest: &mut Harvest) -> Result<(), Fault> {
        for landed in &harvest.landed {
            let name = landed.name.to_string();
            let Some(before) = ledger.rows_of_last_pull(&name).map_err(|error| error.fault())? else { continue };
            let lost = before.saturating_sub(landed.rows_landed);
            let is_cut = lost >= DROP_ROWS_MIN && lost.saturating_mul(100) > before.saturating_mul(DROP_PERCENT_MAX);
            if is_cut && !self.accept.contains(&name) {
                self.report.notes.push(format!(
                    "{name} has {} rows and had {before}: it is held, with all that reads it. If that is right, run with --accept {name}",
                    landed.rows_landed
                ));
                self.report.checks.push(CheckLine {
                    check: format!("volume of {name}"),
                    severity: "hold".into(),
                    rows: lost,
                    about: "Rows that are missing since the last pull.".into(),
                });
                harvest.held.push(landed.name.clone());
            }
        }
        Ok(())
    }

    /// Writes down what was asked of whom, on what ground, and how many rows came.
    pub(super) fn record_pulls(&mut self, ledger: &mut Ledger, harvest: &Harvest) -> Result<(), Fault> {
        let entries: Vec<PullEntry> = harvest.landed.iter().filter_map(|landed| self.entry(landed, harvest)).collect();
        ledger.pulled(&self.run, &entries).map_err(|error| error.fault())
    }

    fn entry(&self, landed: &Landed, harvest: &Harvest) -> Option<PullEntry> {
        let authorisation = &self.checked.pipeline.source(&landed.name.schema)?.authorisation;
        Some(PullEntry {
            table: landed.name.to_string(),
            purposes: authorisation.purposes.iter().map(|purpose| purpose.word()).collect(),
            legal_ground: authorisation.legal_ground.vi.clone(),
            columns: landed.columns.clone(),
            asked: landed.asked.clone(),
            rows_read: landed.rows_read,
            rows_landed: landed.rows_landed,
            rows_quarantined: landed.rows_quarantined,
            sha256: landed.generation.as_ref().map(|generation| hex(&generation.digest)),
            is_held: harvest.held.contains(&landed.name),
            seconds: landed.seconds,
        })
    }
}

fn line(landed: &Landed) -> TableLine {
    let mut quarantined = BTreeMap::new();
    for finding in &landed.findings {
        let column = finding.column.as_deref().map(|column| format!("{column}: ")).unwrap_or_default();
        let effect = match finding.effect {
            landing::Effect::Quarantined => "",
            landing::Effect::Nulled => " (left empty)",
        };
        *quarantined.entry(format!("{column}{}{effect}", finding.reason.words())).or_default() += finding.rows;
    }
    TableLine {
        table: landed.name.to_string(),
        rows_read: landed.rows_read,
        rows_landed: landed.rows_landed,
        rows_quarantined: landed.rows_quarantined,
        findings: quarantined,
        seconds: landed.seconds,
    }
}
