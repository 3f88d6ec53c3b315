//! Reads everything that an agency wrote and says all that is wrong with it.
//!
//! Pipelines, rules, items, templates and SQL are read together, because a fault
//! often lies between two files. Every select is run on empty tables of the
//! declared shape. Nothing outside `pipelines/`, `sql/` and the engine's memory is
//! touched: no source, no network, no state folder.

pub mod catalogue;
mod copies;
pub mod dossiers;
pub mod exact;
pub mod grants;
mod indices;
pub mod missing;
mod options;
mod rules;
mod selects;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};
use jiff::ToSpan;

use crate::calendar::{AsOf, Day};
use crate::fault::{Explain, Fault, Place};
use crate::obligations;
use crate::pipeline::filter::Filter;
use crate::pipeline::reader::Faults;
use crate::pipeline::{self, Column, Pipeline};
use crate::reminders::letter::Letters;
use crate::reminders::short;
use crate::sql::engine::{Bound, given_tables};
use crate::sql::lineage::{ColumnName, Flow, Way};
use crate::sql::{Engine, Graph, Library, Lineage, Model};
use crate::tables::{Contract, Table, TableName};

/// What an agency asked for, without fault.
#[derive(Debug)]
pub struct Checked {
    /// The pipeline.
    pub pipeline: Pipeline,
    /// The models.
    pub library: Library,
    /// Which column of a source reaches which column of a model.
    pub graph: Graph,
    /// The templates.
    pub letters: Letters,
}

/// Reads and checks everything of one agency under `root`; the error holds every fault.
pub async fn check(root: &Path, agency: &str) -> Result<Checked, Vec<Fault>> {
    match read(root, agency).await {
        (Some(checked), faults) if faults.is_empty() => Ok(checked),
        (_, faults) => Err(faults),
    }
}

/// Like [`check`], but gives what could be read beside its faults: for looking at, never for acting on.
pub async fn read(root: &Path, agency: &str) -> (Option<Checked>, Vec<Fault>) {
    let faults = Faults::default();
    if !pipeline::agencies(root).iter().any(|known| known == agency) {
        return (None, vec![unknown_agency(root, agency)]);
    }
    let Some(pipeline) = pipeline::read(root, agency, &faults) else { return (None, faults.into_vec()) };
    let library = Library::read(root, &pipeline, &faults);
    let (facts, graph) = match dry_run(&pipeline, &library, &faults).await {
        Ok(found) => found,
        Err(error) => {
            faults.push(error.fault());
            (BTreeMap::new(), Graph::default())
        }
    };
    grants::check(&pipeline, &library, &graph, &faults);
    indices::check(&pipeline, &library, &graph, &faults);
    exact::check(&pipeline, &library, &graph, &faults);
    dossiers::check(root, &pipeline, &library, |name| graph.written(name), &faults);
    options::check(root, &pipeline, &faults);
    options::words(&pipeline, &library, &faults);
    rules::check(root, &pipeline, &faults);
    selects::check(&library, &faults);
    let letters = Letters::read(root, &pipeline.items, &facts, &faults);
    short::check(&pipeline, &facts, &faults);
    missing::check(root, &pipeline, &faults);
    (Some(Checked { pipeline, library, graph, letters }), faults.into_vec())
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

/// What stops the night of a certain day before it begins: authorisations whose term it is not in.
pub fn faults_on(pipeline: &Pipeline, day: impl Into<Day>) -> Vec<Fault> {
    let as_of = day.into().as_of;
    let closed = pipeline.sources.iter().filter(|source| !source.authorisation.holds_on(as_of));
    let fault = |source: &pipeline::Source| {
        let term = &source.authorisation;
        let (name, from, to) = (&source.name, term.from, term.to);
        Fault::new(
            "pipeline.authorisation-term",
            Place::file(&pipeline.path),
            format!("the authorisation of the source {name} runs from {from} to {to}, not on {as_of}"),
            "have it renewed and enter the new term, or run for a day inside it",
        )
    };
    closed.map(fault).collect()
}

/// What the law of a day leaves open, and what of a night cannot be done without it.
#[derive(Debug, Clone)]
pub struct Gap {
    /// The rule and the day on which it says nothing, and what to do.
    pub fault: Fault,
    /// The items that are left out for it; none where a table of a source is, with whatever reads that table.
    pub items: Vec<String>,
}

/// What the law leaves open on a certain day: rules not in force, or not known yet. The night leaves out what needs
/// them, and does the rest.
///
/// A rule must be in force for the items that read `law.<rule>`; one that is read as `law_versions.<rule>` speaks for
/// other days than tonight. Filters take their times from all terms that are known.
pub fn gaps_on(pipeline: &Pipeline, library: &Library, day: impl Into<Day>) -> Vec<Gap> {
    let day = day.into();
    let mut items: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for item in &pipeline.items {
        for rule in library.rules_of_tonight(&item.id) {
            items.entry(rule).or_default().push(item.id.clone());
        }
    }
    let is_open = |name: &str| pipeline.law.rule(name).is_some_and(|rule| rule.in_force(day).is_none());
    items.retain(|rule, _| is_open(rule));
    let of_items = items.into_iter().map(|(rule, items)| Gap { fault: not_in_force(&rule, &items, day), items });
    let filters = pipeline.sources.iter().flat_map(|source| &source.tables).filter_map(|table| table.filter.as_ref());
    let of_filters: BTreeSet<&str> = filters.flat_map(Filter::rules).collect();
    let unknown = of_filters.into_iter().filter_map(|name| pipeline.law.rule(name));
    let unknown = unknown.filter(|rule| rule.longest(day.known_on).is_none());
    let unknown = unknown.map(|rule| Gap { fault: not_known(&rule.name, day), items: Vec::new() });
    of_items.chain(unknown).collect()
}

fn not_in_force(rule: &str, items: &[String], day: Day) -> Fault {
    let left_out = match items {
        [item] => format!("the item {item} is left out"),
        items => format!("the items {} are left out", items.join(", ")),
    };
    Fault::new(
        "pipeline.rule-not-in-force",
        Place::file(format!("pipelines/law/{rule}.toml")),
        format!("no version of the rule {rule} is in force on the day of the night{}: {left_out}", as_known(day)),
        "add the version of that day with its source, or switch off the items that use it",
    )
}

fn not_known(rule: &str, day: Day) -> Fault {
    Fault::new(
        "pipeline.rule-not-known",
        Place::file(format!("pipelines/law/{rule}.toml")),
        format!("no version of the rule {rule}, from which a filter takes a time, was enacted by {}", day.known_on),
        "add the version that was known then with its source, or take the rule out of the filter",
    )
}

/// The years into which the notices of a night reach and of which there is no calendar: an item that counts working
/// days in one of them is left out.
pub fn years_without_calendar(pipeline: &Pipeline, as_of: AsOf) -> Vec<Fault> {
    let years = as_of.date().year()..=pipeline.until(as_of).year();
    let missing = years.filter(|year| !pipeline.calendar.years.iter().any(|known| known.year == *year));
    let fault = |year: i16| {
        Fault::new(
            "calendar.no-year",
            Place::file(format!("pipelines/law/calendar/{year}.toml")),
            format!("there is no calendar of {year}, into which the notices of the night of {as_of} reach"),
            "write the file of that year; what no act says yet has confidence = \"assumed\"",
        )
    };
    missing.map(fault).collect()
}

fn as_known(day: Day) -> String {
    if day.known_on == day.as_of.date() { String::new() } else { format!(", as known on {}", day.known_on) }
}

/// The names of the facts of each item.
type Facts = BTreeMap<String, BTreeSet<String>>;

/// Runs every model on empty tables; gives the facts of each item, and the lineage of all.
async fn dry_run(pipeline: &Pipeline, library: &Library, faults: &Faults) -> Result<(Facts, Graph), crate::sql::Error> {
    let (day, bound) = written_for();
    let engine = Engine::with_calendar(pipeline.calendar.known_on(day.date()))?;
    for (name, table) in given_tables(pipeline, day) {
        engine.register(&name, &table)?;
    }
    engine.register(&due_name(), &due_table(&[]))?;
    for source in &pipeline.sources {
        // A blind table is in no select: nothing but its counts is ever seen.
        for table in source.tables.iter().filter(|table| table.blind.is_none()) {
            engine.register(&TableName::new(&source.name, &table.name), &empty(&table.columns))?;
        }
    }
    let units = rules::units(pipeline);
    let mut facts = Facts::new();
    let mut written = BTreeMap::new();
    for model in &library.models {
        let built = engine.build(model, &bound, contract(pipeline, model).as_ref()).await;
        if built.is_ok() {
            match engine.lineage(model, &bound).await {
                Ok(lineage) => drop(written.insert(model.name.clone(), lineage)),
                Err(error) => faults.push(error.fault()),
            }
            match engine.misuses(model, &bound, &units).await {
                Ok(misuses) => misuses.into_iter().for_each(|misuse| faults.push(misuse.fault(model))),
                Err(error) => faults.push(error.fault()),
            }
        }
        match built {
            Ok(table) if model.name.schema == "obligations" => {
                selects::grain(model, &column_names(&table), faults);
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
    written.insert(due_name(), due_lineage(&written));
    Ok((facts, Graph::new(written, &grants::row_filters(pipeline))))
}

/// The names of a table's columns.
fn column_names(table: &Table) -> BTreeSet<String> {
    table.schema.fields().iter().map(|field| field.name().clone()).collect()
}

/// The dates of a run on empty tables. Any day will do: only the shapes matter.
fn written_for() -> (AsOf, Bound) {
    let day = AsOf::new(jiff::civil::date(2026, 7, 1));
    let days = |count: i64| day.date().saturating_add(count.days());
    (day, [("$as_of", days(0)), ("$until", days(60)), ("$since", days(-30))].into())
}

fn empty(columns: &[Column]) -> Table {
    let fields: Vec<Field> = columns.iter().map(|column| Field::new(&column.name, column.kind.arrow(), true)).collect();
    Table { schema: Arc::new(Schema::new(fields)), batches: Vec::new() }
}

/// The table between obligations and recipients: who has something due.
pub fn due_name() -> TableName {
    TableName::new("obligations", "due")
}

/// What `obligations.due` is made from: the persons of all obligations.
fn due_lineage(written: &BTreeMap<TableName, Lineage>) -> Lineage {
    let mut due = Lineage::default();
    let mut subjects = Flow::default();
    for name in written.keys().filter(|name| name.schema == due_name().schema) {
        subjects.extend(&Flow::one(ColumnName::new(name.clone(), "subject_id"), Way::Identity));
        due.tables.insert(name.clone());
    }
    due.columns.push(("subject_id".into(), subjects));
    due
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
        "dossiers" => {
            let columns = dossiers::KEYS.map(|name| (name.to_owned(), DataType::Utf8, true)).to_vec();
            Some(Contract { columns, is_open: true })
        }
        "options" => Some(crate::options::contract()),
        _ => None,
    }
}
