//! What was counted, by unit and procedure, and what a unit's sheet takes of it.

use std::collections::{BTreeMap, BTreeSet};

use super::Error;
use super::exact::Exact;
use crate::pipeline::indices::{Count, Metric};
use crate::tables::{Table, TableName};

/// The columns that name a row, and are no counts.
const NAMES: [&str; 2] = ["unit_code", "procedure_code"];

/// The table of settled dossiers by working days: not summed as the others are.
const WORKING_DAYS: &str = "working_days";

/// The table of single dossiers, from which the others are counted.
const SETTLED: &str = "settled";

/// The columns that no table gives: what became of reminders, from the ledger.
pub const GIVEN: [&str; 2] = ["reminded", "acted_in_time"];

/// What lacks where they were not given: it does not know which department settles what.
const LEDGER: &str = "ledger";

/// Whether the columns of a table of the schema `indices` are summed by a sheet.
pub fn is_counted(table: &TableName) -> bool {
    table.table != SETTLED && table.table != WORKING_DAYS
}

/// Whose sheet it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// The unit: the agency's own, a commune, or a department.
    pub unit: String,
    /// Whether the unit is the agency's own, of which all rows are.
    pub is_root: bool,
    /// One procedure; none means all.
    pub procedure: Option<String>,
}

impl Scope {
    /// Whether a row is of this sheet. A unit holds those below it, whose codes go on after a dot (`H21.17`).
    fn holds(&self, unit: Option<&str>, procedure: Option<&str>) -> bool {
        let is_of_unit = self.is_root
            || unit
                .and_then(|unit| unit.strip_prefix(&self.unit))
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
        is_of_unit && self.procedure.as_deref().is_none_or(|wanted| procedure == Some(wanted))
    }
}

/// The counts of one unit in one period. They are exact and private: for the agency itself.
#[derive(Debug, Clone, Default)]
pub struct Counts {
    /// The sum of each column.
    sums: BTreeMap<String, i128>,
    /// The columns that are more than 0, by procedure.
    procedures: BTreeMap<String, BTreeSet<String>>,
    /// How many dossiers were settled in so many working days.
    days: BTreeMap<i64, i128>,
    /// Whether there was any row.
    pub is_any: bool,
    /// Standard tables that the agency does not fill: what needs one is not known, which is not 0.
    pub unfilled: BTreeSet<String>,
    /// The first month of which ratings are known, `2026-07`, where the period begins before it.
    pub ratings_from: Option<String>,
    /// The smallest number of ratings of which anything is said, where there are fewer: they count as not known.
    pub few_ratings: Option<u32>,
}

impl Counts {
    /// Reads the rows of a unit out of the tables in the schema `indices`.
    pub fn read<'t>(
        tables: impl IntoIterator<Item = (&'t TableName, &'t Table)>,
        scope: &Scope,
    ) -> Result<Self, Error> {
        let mut counts = Counts::default();
        for (name, table) in tables.into_iter().filter(|(name, _)| name.table != SETTLED) {
            let failed = |source| Error::Table { table: name.to_string(), source };
            let names = |column: &str| match table.has(column) {
                true => table.texts(column).map_err(failed),
                false => Ok(vec![None; table.rows()]),
            };
            let [units, procedures] = NAMES.map(names);
            let rows = units?.into_iter().zip(procedures?).enumerate();
            let kept: Vec<(usize, Option<String>)> = rows
                .filter(|(_, (unit, procedure))| scope.holds(unit.as_deref(), procedure.as_deref()))
                .map(|(row, (_, procedure))| (row, procedure))
                .collect();
            counts.is_any |= !kept.is_empty();
            match name.table.as_str() {
                WORKING_DAYS => counts.add_days(table, &kept).map_err(failed)?,
                _ => counts.add(table, &kept).map_err(failed)?,
            }
        }
        Ok(counts)
    }

    /// Adds a number that no table gives.
    pub fn put(&mut self, column: &str, count: i64) {
        let sum = self.sums.entry(column.to_owned()).or_default();
        *sum = sum.saturating_add(count.into());
    }

    /// The sum of a column; 0 where no row has it. Exact, and so private.
    pub fn total(&self, column: &str) -> u64 {
        u64::try_from(self.sum(column)).unwrap_or(0)
    }

    /// The tables that are not filled and without which nothing can be said of a metric.
    pub(super) fn lacks(&self, metric: &Metric) -> Vec<String> {
        let lacking = metric.needs.iter().filter(|table| self.unfilled.contains(*table)).cloned();
        let columns = metric.formula.columns();
        let is_given = columns.iter().any(|column| GIVEN.contains(column) && !self.sums.contains_key(*column));
        lacking.chain(is_given.then(|| LEDGER.to_owned())).collect()
    }

    fn add(&mut self, table: &Table, kept: &[(usize, Option<String>)]) -> Result<(), crate::tables::Error> {
        for field in table.schema.fields().iter().filter(|field| !NAMES.contains(&field.name().as_str())) {
            let values = table.ints(field.name())?;
            let sum = self.sums.entry(field.name().clone()).or_default();
            let mut found: BTreeMap<&str, i128> = BTreeMap::new();
            for (row, procedure) in kept {
                let value = i128::from(values.get(*row).copied().flatten().unwrap_or(0));
                *sum = sum.saturating_add(value);
                if let Some(procedure) = procedure {
                    *found.entry(procedure).or_default() += value;
                }
            }
            for (procedure, _) in found.into_iter().filter(|(_, sum)| *sum > 0) {
                self.procedures.entry(procedure.to_owned()).or_default().insert(field.name().clone());
            }
        }
        Ok(())
    }

    fn add_days(&mut self, table: &Table, kept: &[(usize, Option<String>)]) -> Result<(), crate::tables::Error> {
        let (days, dossiers) = (table.ints(WORKING_DAYS)?, table.ints("dossiers")?);
        for (row, _) in kept {
            if let (Some(Some(days)), Some(Some(dossiers))) = (days.get(*row), dossiers.get(*row)) {
                let sum = self.days.entry(*days).or_default();
                *sum = sum.saturating_add((*dossiers).into());
            }
        }
        Ok(())
    }

    /// The sum of a column; 0 where nothing was counted, and where more was taken off than there was.
    pub(super) fn sum(&self, column: &str) -> i128 {
        self.sums.get(column).copied().unwrap_or(0).max(0)
    }

    /// What a definition counts. `per_year` is how many periods of this length a year has.
    pub(super) fn count(&self, count: &Count, per_year: i64) -> Exact {
        match count {
            Count::Sum(column) => Exact::from_integer(self.sum(column)),
            Count::Greatest { columns, or_last_year } => {
                let greatest = columns.iter().map(|column| self.sum(column)).max().unwrap_or(0);
                match or_last_year {
                    Some(column) if greatest == 0 => Exact::new(self.sum(column), i128::from(per_year.max(1))),
                    _ => Exact::from_integer(greatest),
                }
            }
            Count::Procedures { with, without } => {
                let fits = |columns: &&BTreeSet<String>| {
                    with.iter().all(|column| columns.contains(column))
                        && !without.iter().any(|column| columns.contains(column))
                };
                let found = self.procedures.values().filter(fits).count();
                Exact::from_integer(i128::try_from(found).unwrap_or(i128::MAX))
            }
        }
    }

    /// The smallest number of working days in which at least this share of the dossiers was settled (the nearest
    /// rank), and how many dossiers that is of; none without any.
    pub(super) fn working_days(&self, percent: i64) -> Option<(i64, i128)> {
        let all: i128 = self.days.values().sum();
        let mut seen = 0_i128;
        for (days, dossiers) in &self.days {
            seen += dossiers;
            if seen.saturating_mul(100) >= all.saturating_mul(percent.into()) {
                return Some((*days, all));
            }
        }
        None
    }
}
