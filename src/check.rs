//! Reads everything that an agency wrote and says all that is wrong with it.
//!
//! Pipelines, rules, items, templates and SQL are read together, because a fault
//! often lies between two files. Every select is run on empty tables of the
//! declared shape. Nothing outside `pipelines/`, `sql/` and the engine's memory is
//! touched: no source, no network, no state folder.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};
use jiff::ToSpan;

use crate::calendar::AsOf;
use crate::fault::{Explain, Fault, Place};
use crate::obligations;
use crate::pipeline::authorisation::Class;
use crate::pipeline::filter::Filter;
use crate::pipeline::reader::Faults;
use crate::pipeline::{self, Column, Pipeline};
use crate::reminders::letter::Letters;
use crate::sql::engine::{Bound, given_tables};
use crate::sql::{Engine, Library, Model};
use crate::tables::{Contract, Table, TableName};

/// What an agency asked for, without fault.
#[derive(Debug)]
pub struct Checked {
    /// The pipeline.
    pub pipeline: Pipeline,
    /// The models.
    pub library: Library,
    /// The templates.
    pub letters: Letters,
}

/// Reads and checks everything of one agency under `root`; the error holds every fault.
pub async fn check(root: &Path, agency: &str) -> Result<Checked, Vec<Fault>> {
    let faults = Faults::default();
    if !pipeline::agencies(root).iter().any(|known| known == agency) {
        return Err(vec![unknown_agency(root, agency)]);
    }
    let Some(pipeline) = pipeline::read(root, agency, &faults) else { return Err(faults.into_vec()) };
    let library = Library::read(root, &pipeline, &faults);
    let facts = match dry_run(&pipeline, &library, &faults).await {
        Ok(facts) => facts,
        Err(error) => {
            faults.push(error.fault());
            BTreeMap::new()
        }
    };
    let letters = Letters::read(root, &pipeline.items, &facts, &faults);
    if faults.is_empty() { Ok(Checked { pipeline, library, letters }) } else { Err(faults.into_vec()) }
}

fn unknown_agency(root: &Path, agency: &str) -> Fault {
    let known = pipeline::agencies(root);
    let next = if known.is_empty() {
        "name the installation folder with --root: it holds pipelines/ and sql/".to_owned()
    } else {
        format!("agencies are: {}", known.join(", "))
    };
    let place = Place::file(Path::new("pipelines").join(agency).join("pipeline.toml"));
    Fault::new("pipeline.unknown-agency", place, format!("there is no agency {agency}"), next)
}

/// What is wrong with the request on a certain day: terms that are over, rules not in force.
pub fn faults_on(pipeline: &Pipeline, as_of: AsOf) -> Vec<Fault> {
    let mut faults = Vec::new();
    for source in pipeline.sources.iter().filter(|source| !source.authorisation.holds_on(as_of)) {
        let term = &source.authorisation;
        faults.push(Fault::new(
            "pipeline.authorisation-term",
            Place::file(&pipeline.path),
            format!(
                "the authorisation of the source {} runs from {} to {}, not on {as_of}",
                source.name, term.from, term.to
            ),
            "have it renewed and enter the new term, or run for a day inside it",
        ));
    }
    let filters = pipeline.sources.iter().flat_map(|source| &source.tables).filter_map(|table| table.filter.as_ref());
    let used: BTreeSet<&str> = pipeline
        .items
        .iter()
        .flat_map(|item| &item.rules)
        .map(String::as_str)
        .chain(filters.flat_map(Filter::rules))
        .collect();
    for rule in used.into_iter().filter_map(|name| pipeline.law.rule(name)) {
        if rule.in_force(as_of).is_none() {
            faults.push(Fault::new(
                "pipeline.rule-not-in-force",
                Place::file(format!("pipelines/law/{}.toml", rule.name)),
                format!("no version of the rule {} is in force on {as_of}", rule.name),
                "add the version of that day with its source, or switch off the items and the filters that use it",
            ));
        }
    }
    faults
}

/// Runs every model on empty tables; gives the facts of each item.
async fn dry_run(
    pipeline: &Pipeline,
    library: &Library,
    faults: &Faults,
) -> Result<BTreeMap<String, BTreeSet<String>>, crate::sql::Error> {
    let engine = Engine::new()?;
    // Any day will do: only the shapes matter.
    let day = AsOf::new(jiff::civil::date(2026, 7, 1));
    for (name, table) in given_tables(pipeline, day) {
        engine.register(&name, &table)?;
    }
    engine.register(&due_name(), &due_table(&[]))?;
    for source in &pipeline.sources {
        for table in &source.tables {
            engine.register(&TableName::new(&source.name, &table.name), &empty(&table.columns))?;
        }
    }
    let bound: Bound = [("$as_of", day.date()), ("$until", day.date().saturating_add(60.days()))].into();
    let mut facts = BTreeMap::new();
    for model in &library.models {
        let built = engine.build(model, &bound, contract(pipeline, model).as_ref()).await;
        if let Ok(table) = &built {
            check_private(pipeline, model, table, faults);
        }
        match built {
            Ok(table) if model.name.schema == "obligations" => {
                facts.insert(model.name.table.clone(), obligations::fact_names(&table).into_iter().collect());
            }
            Ok(_) => {}
            Err(error) => {
                faults.push(error.fault());
                // What reads this table is checked against its shape all the same.
                if let Some(standard) = pipeline.standard_tables.iter().find(|table| table.name == model.name.table) {
                    engine.register(&model.name, &empty(&standard.columns))?;
                }
            }
        }
    }
    Ok(facts)
}

/// Columns that tell who somebody is, in whatever table they stand.
const TELLING: [&str; 4] = ["subject_id", "object_id", "full_name", "email"];

/// The line `private:` in a model's head is what people and tools go by: it must be true.
///
/// A staging file lists exactly the columns of its standard table that are not public. For
/// the other tables no class is declared: what is listed must be there, and what tells who
/// somebody is must be listed.
fn check_private(pipeline: &Pipeline, model: &Model, table: &Table, faults: &Faults) {
    let listed: BTreeSet<&str> = model.head.words("private").into_iter().collect();
    let given: BTreeSet<&str> = table.schema.fields().iter().map(|field| field.name().as_str()).collect();
    let standard = pipeline.standard_tables.iter().find(|known| known.name == model.name.table);
    let private: BTreeSet<&str> = match standard.filter(|_| model.name.schema == "staging") {
        Some(standard) => {
            let columns = standard.columns.iter().filter(|column| column.class != Class::Public);
            columns.map(|column| column.name.as_str()).collect()
        }
        None => {
            let told = given.iter().copied().filter(|column| TELLING.contains(column));
            told.chain(listed.intersection(&given).copied()).collect()
        }
    };
    let fault = |columns: Vec<&str>, is: &str, next: &str| {
        if !columns.is_empty() {
            let what = format!("the line private of the head {is} {}", columns.join(", "));
            faults.push(Fault::new("sql.private", Place::file(&model.path), what, next));
        }
    };
    fault(private.difference(&listed).copied().collect(), "leaves out", "add what is left out to `-- private:`");
    let (public, absent): (Vec<&str>, Vec<&str>) =
        listed.difference(&private).partition(|column| given.contains(*column));
    fault(
        public,
        "names what standard-tables.toml calls public:",
        "take it out of `-- private:`, or correct its class",
    );
    fault(absent, "names what the select does not give:", "take it out of `-- private:`, or correct the name");
}

fn empty(columns: &[Column]) -> Table {
    let fields: Vec<Field> = columns.iter().map(|column| Field::new(&column.name, column.kind.arrow(), true)).collect();
    Table { schema: Arc::new(Schema::new(fields)), batches: Vec::new() }
}

/// The table between obligations and recipients: who has something due.
pub fn due_name() -> TableName {
    TableName::new("obligations", "due")
}

/// `obligations.due(subject_id)`.
pub fn due_table(subjects: &[&str]) -> Table {
    let column = arrow::array::StringArray::from_iter_values(subjects);
    let schema = Arc::new(Schema::new(vec![Field::new("subject_id", DataType::Utf8, false)]));
    let batches = arrow::array::RecordBatch::try_new(Arc::clone(&schema), vec![Arc::new(column)]).into_iter().collect();
    Table { schema, batches }
}

/// What the readers of a model expect of it.
pub fn contract(pipeline: &Pipeline, model: &Model) -> Option<Contract> {
    match model.name.schema.as_str() {
        "staging" => {
            let standard = pipeline.standard_tables.iter().find(|table| table.name == model.name.table)?;
            // A row with an empty column that must not be empty is set aside by itself, not its whole table.
            let columns = standard.columns.iter().map(|c| (c.name.clone(), c.kind.arrow(), true)).collect();
            Some(Contract { columns, is_open: false })
        }
        "obligations" => Some(obligations::contract()),
        _ => None,
    }
}
