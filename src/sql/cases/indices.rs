//! Runs the selects of the indices of service quality on the rows of a case.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};

use super::bench::{Stand, bound};
use super::slots::of_engine;
use super::{Bench, Case, Difference, Row, difference};
use crate::sql::Error;
use crate::sql::library::INDICES;
use crate::tables::{Table, TableName};

impl Bench<'_> {
    /// The tables that the indices count, of the rows that a case gives.
    pub async fn counted(&self, case: &Case) -> Result<Vec<(TableName, Table)>, Error> {
        let stand = self.stand(self.pipeline.calendar.known_on(case.known_on))?;
        let _turn = stand.turn.lock().await;
        let bound = bound(case);
        let mut tables = Vec::new();
        for model in self.library.folder(INDICES) {
            for name in &model.reads {
                if let Some((slot, table)) = stand.slots.get(name).zip(case.given.get(name).or(self.empty.get(name))) {
                    slot.fill(table);
                }
            }
            let failed = |error| Error::model(model, &error);
            let plan = stand.plan(model, &bound, None).await.map_err(failed)?;
            let table = stand.engine.run_prepared(&plan).await.map_err(failed)?;
            stand.put(&model.name, &table)?;
            tables.push((model.name.clone(), table));
        }
        Ok(tables)
    }
}

impl Stand {
    /// Makes a table that a model gave readable for the next, under plans that are kept.
    pub(super) fn put(&self, name: &TableName, table: &Table) -> Result<(), Error> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = match made.get(name) {
            Some(slot) => Arc::clone(slot),
            None => self.engine.slot(name, &table.schema).map_err(of_engine)?,
        };
        slot.fill(table);
        made.insert(name.clone(), slot);
        Ok(())
    }
}

impl Case {
    /// Compares the lines of a sheet with those expected, by `code`; a line that the case does not name may be as it is.
    pub fn differs(&self, came: &[Row]) -> Option<Difference> {
        let named: BTreeSet<&String> = self.expected.iter().filter_map(|row| row.get("code")).collect();
        let came: Vec<Row> =
            came.iter().filter(|row| row.get("code").is_some_and(|code| named.contains(code))).cloned().collect();
        let compared = self.expected.iter().flat_map(Row::keys).map(String::as_str).collect();
        difference::compare(&self.expected, &came, &compared)
    }

    /// Whether it expects anything.
    pub fn expects(&self) -> bool {
        !self.expected.is_empty()
    }
}
