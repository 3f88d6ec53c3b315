//! The catalogue: every item with its rules, its select, its messages and its form, whether an agency uses it or not.
//!
//! A case officer proves an item before any agency has switched it on.

use std::collections::BTreeMap;
use std::path::Path;

use super::{Facts, column_names, contract, copies, dossiers, empty, rules, selects, written_for};
use crate::fault::{Explain, Fault};
use crate::obligations;
use crate::pipeline::reader::Faults;
use crate::pipeline::{self, Pipeline};
use crate::reminders::letter::{FactNames, Letters};
use crate::sql::engine::{Bound, given_tables};
use crate::sql::{Engine, Library};
use crate::tables::TableName;

/// Everything that agencies share.
#[derive(Debug)]
pub struct Catalogue {
    /// All items, rules and standard tables, as the pipeline of nobody.
    pub pipeline: Pipeline,
    /// The selects of the items that could be read.
    pub library: Library,
    /// The columns that the select of each item gives, as far as it could be run.
    pub facts: FactNames,
    /// The templates of every item.
    pub letters: Letters,
}

/// Reads and checks the catalogue; what could be read is given beside its faults.
pub async fn catalogue(root: &Path) -> (Catalogue, Vec<Fault>) {
    let faults = Faults::default();
    let pipeline = pipeline::catalogue(root, &faults);
    let library = Library::of_catalogue(root, &pipeline, &faults);
    let facts = dry_run(root, &pipeline, &library, &faults).await.unwrap_or_else(|error| {
        faults.push(error.fault());
        FactNames::new()
    });
    rules::check(root, &pipeline, &faults);
    selects::check(&library, &faults);
    copies::check(root, &pipeline, &faults);
    let letters = Letters::read(root, &pipeline.items, &facts, &faults);
    (Catalogue { pipeline, library, facts, letters }, faults.into_vec())
}

/// Runs the select of every item on empty standard tables; gives the facts of each.
async fn dry_run(
    root: &Path,
    pipeline: &Pipeline,
    library: &Library,
    faults: &Faults,
) -> Result<Facts, crate::sql::Error> {
    let (day, bound): (_, Bound) = written_for();
    let engine = Engine::with_calendar(pipeline.calendar.known_on(day.date()))?;
    for (name, table) in given_tables(pipeline, day) {
        engine.register(&name, &table)?;
    }
    for standard in &pipeline.standard_tables {
        engine.register(&TableName::new("staging", &standard.name), &empty(&standard.columns))?;
    }
    let mut facts = Facts::new();
    let units = rules::units(pipeline);
    for model in &library.models {
        match engine.build(model, &bound, contract(pipeline, model).as_ref()).await {
            Ok(table) => {
                selects::grain(model, &column_names(&table), faults);
                for misuse in engine.misuses(model, &bound, &units).await? {
                    faults.push(misuse.fault(model));
                }
                facts.insert(model.name.table.clone(), obligations::fact_names(&table).into_iter().collect());
            }
            Err(error) => faults.push(error.fault()),
        }
    }
    let forms = Library::of_forms(root, pipeline, faults);
    let mut written = BTreeMap::new();
    // The form of an item whose own select has a fault is looked at when that is mended.
    for model in forms.models.iter().filter(|model| facts.contains_key(&model.name.table)) {
        match engine.build(model, &bound, contract(pipeline, model).as_ref()).await {
            Ok(_) => {
                written.insert(model.name.clone(), engine.lineage(model, &bound).await?);
                for misuse in engine.misuses(model, &bound, &units).await? {
                    faults.push(misuse.fault(model));
                }
            }
            Err(error) => faults.push(error.fault()),
        }
    }
    dossiers::check(root, pipeline, &forms, |name| written.get(name), faults);
    Ok(facts)
}
