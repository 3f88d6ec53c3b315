//! Runs the selects of the indices of service quality on the rows of a case.

use std::collections::BTreeSet;

use super::{Bench, Case, Difference, Row, bench, difference};
use crate::sql::library::INDICES;
use crate::sql::{Engine, Error};
use crate::tables::{Table, TableName};

impl Bench<'_> {
    /// The tables that the indices count, of the rows that a case gives.
    pub async fn counted(&self, case: &Case) -> Result<Vec<(TableName, Table)>, Error> {
        let engine = Engine::of_one_core(self.pipeline.calendar.known_on(case.known_on))?;
        let models: Vec<_> = self.library.folder(INDICES).collect();
        let read: BTreeSet<&TableName> = models.iter().flat_map(|model| &model.reads).collect();
        for name in read {
            if let Some(table) = case.given.get(name).or(self.empty.get(name)) {
                engine.register(name, table)?;
            }
        }
        let mut tables = Vec::new();
        for model in models {
            tables.push((model.name.clone(), engine.build(model, &bench::bound(case), None).await?));
        }
        Ok(tables)
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
