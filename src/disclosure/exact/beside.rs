//! Exact tables beside noisy ones of the same records, by the policies alone: what the noisy ones have to say of them,
//! and what would be refused when a month closes.

use super::super::gate::{Engine, Invariant, Offer, Refused};
use super::super::{Month, Period};
use super::counted::is_made;
use super::{Closing, DOSSIERS, counted, scores};
use crate::fault::{Explain, Fault};
use crate::pipeline::exact::ExactTable;
use crate::pipeline::indices::Definition;

/// What two policies mean for each other.
#[derive(Debug, Default)]
pub struct Beside {
    /// The totals that are exact beside the noise, since the policy names them.
    pub invariants: Vec<Invariant>,
    /// The exact tables that could not leave, by name, each with why.
    pub refused: Vec<(String, Fault)>,
}

impl Closing<'_> {
    /// What the exact tables of a month, and of its quarter, need beside the noisy tables. A score sheet is read by the
    /// version of its decision that is in force at the end of the month.
    pub fn beside(&self, month: Month, definitions: &[Definition]) -> Beside {
        let mut beside = Beside::default();
        if Month::of(self.policy.first_month) > month {
            return beside;
        }
        for table in &self.policy.tables {
            let periods = [Period::Month(month), Period::Quarter(month.quarter())];
            for period in periods.into_iter().filter(|period| is_made(table, *period)) {
                let found = self.beside_table(table, period);
                if !beside.take(&table.table, found) {
                    break;
                }
            }
        }
        let sheets = scores::outline(self.policy, definitions, month);
        let metrics = scores::dimensions(&sheets);
        for sheet in &sheets {
            beside.take(&sheet.table, self.beside_sheet(sheet, month, &metrics));
        }
        beside
    }

    fn beside_table(&self, table: &ExactTable, period: Period) -> Result<Vec<Invariant>, Refused> {
        let trees = self.due_trees(period)?;
        let noisy = self.noisy(&trees, period);
        self.gate(trees, &[]).pairs(&offers(counted::layouts(table, period)), &noisy)
    }

    fn beside_sheet(&self, sheet: &scores::Sheet, month: Month, metrics: &[String]) -> Result<Vec<Invariant>, Refused> {
        let trees = self.flag_trees(month, &scores::flags(std::slice::from_ref(sheet)))?;
        let noisy = self.noisy(&trees, Period::Month(month));
        self.gate(trees, metrics).pairs(&offers(scores::layouts(sheet, month)), &noisy)
    }
}

impl Beside {
    /// Notes what was found of a table; whether it may leave.
    fn take(&mut self, table: &str, found: Result<Vec<Invariant>, Refused>) -> bool {
        match found {
            Ok(invariants) => {
                for invariant in invariants {
                    if !self.invariants.contains(&invariant) {
                        self.invariants.push(invariant);
                    }
                }
                true
            }
            Err(refused) => {
                self.refused.push((table.to_owned(), refused.fault()));
                false
            }
        }
    }
}

fn offers(layouts: Vec<super::Layout>) -> Vec<Offer> {
    let offer = |layout| Offer { engine: Engine::E, records: DOSSIERS.into(), layout };
    layouts.into_iter().map(offer).collect()
}
