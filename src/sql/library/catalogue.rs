//! The selects of every item, read without any agency: on the standard tables themselves.

use std::collections::BTreeSet;
use std::path::Path;

use super::{GIVEN, INDICES, INDICES_FOLDER, LAW, Library, check_items, order, read_model, sql_files};
use crate::fault::{Fault, Place};
use crate::pipeline::Pipeline;
use crate::pipeline::reader::Faults;
use crate::tables::TableName;

impl Library {
    /// The models of the items of a catalogue, with all faults. Which agency fills a standard table is not asked.
    pub fn of_catalogue(root: &Path, catalogue: &Pipeline, faults: &Faults) -> Self {
        let folder = Path::new("sql/obligations");
        let (mut found, mut broken) = (Vec::new(), BTreeSet::new());
        for file in sql_files(&root.join(folder)) {
            let table = file.trim_end_matches(".sql");
            if catalogue.item(table).is_none() {
                continue;
            }
            let name = TableName::new("obligations", table);
            match read_model(root, &folder.join(&file), name.clone(), faults) {
                Some(model) if lacks_no_table(catalogue, &model.path, &model.reads, faults) => found.push(model),
                _ => drop(broken.insert(name)),
            }
        }
        let mut given: BTreeSet<TableName> = GIVEN.iter().map(|(s, t)| TableName::new(*s, *t)).collect();
        given.extend(standard_tables(catalogue));
        for rule in &catalogue.law.rules {
            given.extend(LAW.map(|schema| TableName::new(schema, &rule.name)));
        }
        check_items(catalogue, &found, &broken, faults);
        let library = order(found, &given, broken, faults);
        library.check_rules(catalogue, faults);
        library
    }
}

impl Library {
    /// The models of the indices of service quality, on the standard tables themselves.
    pub fn of_indices(root: &Path, catalogue: &Pipeline, faults: &Faults) -> Self {
        let folder = Path::new(INDICES_FOLDER);
        let (mut found, mut broken) = (Vec::new(), BTreeSet::new());
        for file in sql_files(&root.join(folder)) {
            let name = TableName::new(INDICES, file.trim_end_matches(".sql"));
            match read_model(root, &folder.join(&file), name.clone(), faults) {
                Some(model) if lacks_no_table(catalogue, &model.path, &model.reads, faults) => found.push(model),
                _ => drop(broken.insert(name)),
            }
        }
        order(found, &standard_tables(catalogue).collect(), broken, faults)
    }
}

impl Library {
    /// The selects that fill the forms of a catalogue, on the standard tables and the obligations of its items.
    pub fn of_forms(root: &Path, catalogue: &Pipeline, faults: &Faults) -> Self {
        let folder = Path::new("sql/dossiers");
        let (mut found, mut broken) = (Vec::new(), BTreeSet::new());
        for form in &catalogue.dossiers {
            let path = folder.join(format!("{}.sql", form.item));
            if !root.join(&path).exists() {
                continue;
            }
            let name = TableName::new("dossiers", &form.item);
            match read_model(root, &path, name.clone(), faults) {
                Some(model) if lacks_no_table(catalogue, &model.path, &model.reads, faults) => found.push(model),
                _ => drop(broken.insert(name)),
            }
        }
        let of_items = catalogue.items.iter().map(|item| TableName::new("obligations", &item.id));
        order(found, &standard_tables(catalogue).chain(of_items).collect(), broken, faults)
    }
}

fn standard_tables(catalogue: &Pipeline) -> impl Iterator<Item = TableName> {
    catalogue.standard_tables.iter().map(|table| TableName::new("staging", &table.name))
}

/// Whether every standard table that a select reads is there; each that is not is a fault.
fn lacks_no_table(catalogue: &Pipeline, path: &Path, reads: &BTreeSet<TableName>, faults: &Faults) -> bool {
    let is_there = |table: &TableName| catalogue.standard_tables.iter().any(|standard| standard.name == table.table);
    let missing: Vec<_> = reads.iter().filter(|table| table.schema == "staging" && !is_there(table)).collect();
    for table in &missing {
        let next = format!(
            "add [{}] to pipelines/standard-tables.toml: its meaning, its grain, and the columns that this select reads",
            table.table
        );
        let what = format!("there is no standard table {}", table.table);
        faults.push(Fault::new("sql.no-standard-table", Place::file(path), what, next));
    }
    missing.is_empty()
}
