//! What all models say of themselves, joined.

use std::collections::{BTreeMap, BTreeSet};

use super::{Flow, Lineage, Way};
use crate::tables::TableName;

/// The lineage of every model: as written, and down to the tables that no model makes.
#[derive(Debug, Clone, Default)]
pub struct Graph {
    written: BTreeMap<TableName, Lineage>,
    reaches: BTreeMap<TableName, Reach>,
}

/// What a model takes from the tables that no model makes, through all that stand between.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reach {
    /// Its columns and rows, and the tables at the far end.
    pub lineage: Lineage,
    /// The models that it reads, directly or through others.
    pub through: BTreeSet<TableName>,
}

impl Graph {
    /// Joins the models. `given` says what decides the rows of tables that no model makes: their row filters.
    pub fn new(written: BTreeMap<TableName, Lineage>, given: &BTreeMap<TableName, Flow>) -> Self {
        let mut reaches: BTreeMap<TableName, Reach> = BTreeMap::new();
        // Each round adds one step. The sets only grow and are finite, so this ends, even where
        // somebody wrote a circle.
        loop {
            let next: BTreeMap<TableName, Reach> = written
                .iter()
                .map(|(name, lineage)| (name.clone(), join(lineage, &written, &reaches, given)))
                .collect();
            if next == reaches {
                return Graph { written, reaches };
            }
            reaches = next;
        }
    }

    /// What a model takes from the tables that its own select names.
    pub fn written(&self, model: &TableName) -> Option<&Lineage> {
        self.written.get(model)
    }

    /// What a model takes from the tables that no model makes.
    pub fn reach(&self, model: &TableName) -> Option<&Reach> {
        self.reaches.get(model)
    }
}

fn join(
    lineage: &Lineage,
    written: &BTreeMap<TableName, Lineage>,
    reaches: &BTreeMap<TableName, Reach>,
    given: &BTreeMap<TableName, Flow>,
) -> Reach {
    let mut joined = Reach::default();
    let columns = lineage.columns.iter().map(|(name, flow)| (name.clone(), resolve(flow, written, reaches)));
    joined.lineage.columns = columns.collect();
    joined.lineage.rows = resolve(&lineage.rows, written, reaches);
    for table in &lineage.tables {
        if !written.contains_key(table) {
            joined.lineage.tables.insert(table.clone());
            joined.lineage.rows.extend(&given.get(table).map(|flow| flow.then(Way::Filter)).unwrap_or_default());
            continue;
        }
        joined.through.insert(table.clone());
        if let Some(reach) = reaches.get(table) {
            joined.lineage.rows.extend(&reach.lineage.rows);
            joined.lineage.tables.extend(reach.lineage.tables.iter().cloned());
            joined.through.extend(reach.through.iter().cloned());
        }
    }
    joined
}

/// Puts what reaches a model's column in the place of that column.
fn resolve(flow: &Flow, written: &BTreeMap<TableName, Lineage>, reaches: &BTreeMap<TableName, Reach>) -> Flow {
    let mut resolved = Flow::default();
    for (column, ways) in flow.iter() {
        // Before the first round nothing is known of a model; the next round adds it.
        let is_model = written.contains_key(&column.table);
        let below = reaches.get(&column.table).and_then(|reach| reach.lineage.column(&column.column));
        for way in ways {
            match below {
                Some(below) => resolved.extend(&below.then(*way)),
                None if is_model => {}
                None => resolved.add(column.clone(), *way),
            }
        }
    }
    resolved
}
