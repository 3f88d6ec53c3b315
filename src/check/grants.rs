//! What may be made of a column, and where it may go: decided from lineage.
//!
//! A source is granted for purposes, and a column of it may be granted for fewer. What
//! counts is what a model that has a purpose takes part of, directly or through others,
//! as a value or as what decides its rows; a standard table has no purpose of its own.
//! Rows that landing or a contract sets aside because nobody may rely on them are no
//! use of a column.

use std::collections::{BTreeMap, BTreeSet};

use crate::fault::{Fault, Place};
use crate::pipeline::authorisation::{Class, Purpose};
use crate::pipeline::reader::Faults;
use crate::pipeline::{Column, Pipeline, Source};
use crate::sql::lineage::{ColumnName, Flow, Graph, Way};
use crate::sql::{Library, Model};
use crate::tables::TableName;

/// What a model needs of the columns that it reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// This purpose.
    Purpose(Purpose),
    /// Any purpose: it proves the data on behalf of all who use them.
    Any,
}

/// What each folder of `sql/` is made for. A standard table, in `staging`, is made for whoever reads it.
const NEEDS: [(&str, Need); 7] = [
    ("obligations", Need::Purpose(Purpose::Reminders)),
    ("reminders", Need::Purpose(Purpose::Reminders)),
    ("dossiers", Need::Purpose(Purpose::Dossiers)),
    ("satisfaction", Need::Purpose(Purpose::ServiceQuality)),
    ("quality", Need::Purpose(Purpose::ServiceQuality)),
    ("indices", Need::Purpose(Purpose::ServiceQuality)),
    ("checks", Need::Any),
];

/// What a model of this table needs; none when it has no purpose of its own.
pub fn need(model: &TableName) -> Option<Need> {
    NEEDS.iter().find(|(folder, _)| *folder == model.schema).map(|(_, need)| *need)
}

impl Need {
    /// Whether a column may be used for it; without a column, the count of a table's rows.
    fn is_met(self, source: &Source, column: Option<&Column>) -> bool {
        let narrowed = column.and_then(|column| column.purposes.as_ref());
        let is_granted = |purpose: &Purpose| {
            source.authorisation.purposes.contains(purpose)
                && narrowed.is_none_or(|narrowed| narrowed.contains(purpose))
        };
        match self {
            Need::Purpose(purpose) => is_granted(&purpose),
            Need::Any => Purpose::WORDS.iter().any(|(_, purpose)| is_granted(purpose)),
        }
    }

    fn says(self) -> String {
        match self {
            Need::Purpose(purpose) => format!("the purpose {}", purpose.word()),
            Need::Any => "any purpose".into(),
        }
    }
}

/// How what a model gives leaves the building.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Not at all.
    Stays,
    /// To the person whom it is about.
    ToThePerson,
    /// Through disclosure control.
    ThroughTheGate,
    /// As it is: nothing personal may stand in it.
    AsItIs,
}

/// A rule about leaving: the folder of `sql/`, the table and the column it speaks of (none means all), and why.
struct ExitRule {
    folder: &'static str,
    table: Option<&'static str>,
    column: Option<&'static str>,
    exit: Exit,
    reason: &'static str,
}

const fn rule(
    folder: &'static str,
    table: Option<&'static str>,
    column: Option<&'static str>,
    exit: Exit,
    reason: &'static str,
) -> ExitRule {
    ExitRule { folder, table, column, exit, reason }
}

/// Where everything that a model gives goes. The first rule that fits holds.
const EXITS: [ExitRule; 12] = [
    rule("staging", None, None, Exit::Stays, "only other models read it"),
    rule("checks", None, None, Exit::Stays, "only the number of its rows is told"),
    rule(
        "obligations",
        None,
        Some("rule_version"),
        Exit::AsItIs,
        "the ledger keeps it in clear, for ever, and history shows it",
    ),
    rule(
        "obligations",
        None,
        None,
        Exit::ToThePerson,
        "it stands in the letter to the person; the ledger keeps a keyed digest of it, and the day it is due",
    ),
    rule("reminders", None, None, Exit::ToThePerson, "it says where the letter to the person goes"),
    rule(
        "dossiers",
        None,
        None,
        Exit::ToThePerson,
        "the person sees it behind a link of their own and decides; the ledger keeps it sealed",
    ),
    rule("satisfaction", Some("ratings"), None, Exit::ThroughTheGate, "disclosure counts it and protects the counts"),
    rule("quality", Some("dossiers"), None, Exit::ThroughTheGate, "disclosure counts it and protects the counts"),
    rule("quality", Some("counts"), None, Exit::ThroughTheGate, "exact tables are made of it, some cells withheld"),
    rule("indices", None, None, Exit::Stays, "the agency's own score sheet counts it, which is not published"),
    rule("satisfaction", None, None, Exit::Stays, "only other models read it"),
    rule("quality", None, None, Exit::Stays, "other models read it, and the night, to know which months are over"),
];

/// How a column of a model leaves the building, and why; one of which nobody said anything leaves as it is.
pub fn exit(model: &TableName, column: &str) -> (Exit, &'static str) {
    let fits = |rule: &&ExitRule| {
        rule.folder == model.schema
            && rule.table.is_none_or(|table| table == model.table)
            && rule.column.is_none_or(|known| known == column)
    };
    let unknown = (Exit::AsItIs, "nobody wrote down where it goes");
    EXITS.iter().find(fits).map_or(unknown, |rule| (rule.exit, rule.reason))
}

/// The source and the column that a landed column is; none for what is not landed.
pub fn granted<'p>(pipeline: &'p Pipeline, name: &ColumnName) -> Option<(&'p Source, &'p Column)> {
    let source = pipeline.source(&name.table.schema)?;
    let table = source.tables.iter().find(|table| table.name == name.table.table)?;
    Some((source, table.column(&name.column)?))
}

/// The class of what is made from these columns: the strictest of those whose value arrives.
pub fn class(pipeline: &Pipeline, flow: &Flow) -> Class {
    flow.values().filter_map(|name| granted(pipeline, name)).map(|(_, c)| c.class).max().unwrap_or(Class::Public)
}

/// The columns that decide which rows of a landed table there are: those of its row filter.
pub(super) fn row_filters(pipeline: &Pipeline) -> BTreeMap<TableName, Flow> {
    let mut filters = BTreeMap::new();
    for source in &pipeline.sources {
        for table in &source.tables {
            let name = TableName::new(&source.name, &table.name);
            let mut flow = Flow::default();
            for column in table.filter.iter().flat_map(|filter| filter.columns()) {
                flow.extend(&Flow::one(ColumnName::new(name.clone(), column), Way::Filter));
            }
            filters.insert(name, flow);
        }
    }
    filters
}

/// Says every use that was not granted, every personal column that leaves as it is, every wrong head.
pub(super) fn check(pipeline: &Pipeline, library: &Library, graph: &Graph, faults: &Faults) {
    let refused: BTreeMap<&TableName, BTreeSet<ColumnName>> =
        library.models.iter().map(|model| (&model.name, refused(pipeline, graph, &model.name))).collect();
    for model in &library.models {
        tell_refused(pipeline, graph, model, &refused, faults);
        check_exits(pipeline, graph, model, faults);
        check_private(pipeline, graph, model, faults);
    }
}

/// The word for a table of which no column is used: how many rows it has is used all the same.
const ITS_ROWS: &str = "*";

/// The landed columns that take part in a model and are not granted for what it is made for.
fn refused(pipeline: &Pipeline, graph: &Graph, model: &TableName) -> BTreeSet<ColumnName> {
    let (Some(need), Some(reach)) = (need(model), graph.reach(model)) else { return BTreeSet::new() };
    let reads = reach.lineage.reads();
    let is_refused =
        |name: &&ColumnName| granted(pipeline, name).is_some_and(|(source, column)| !need.is_met(source, Some(column)));
    let mut refused: BTreeSet<ColumnName> = reads.columns().filter(is_refused).cloned().collect();
    for table in &reach.lineage.tables {
        let is_used = reads.columns().any(|column| column.table == *table);
        let is_granted = pipeline.source(&table.schema).is_none_or(|source| need.is_met(source, None));
        if !is_used && !is_granted {
            refused.insert(ColumnName::new(table.clone(), ITS_ROWS));
        }
    }
    refused
}

/// One fault per source. What a model below is refused already, for the same purpose, is not said again.
fn tell_refused(
    pipeline: &Pipeline,
    graph: &Graph,
    model: &Model,
    refused: &BTreeMap<&TableName, BTreeSet<ColumnName>>,
    faults: &Faults,
) {
    let Some((need, reach)) = need(&model.name).zip(graph.reach(&model.name)) else { return };
    let below = reach.through.iter().filter(|name| **name != model.name && self::need(name) == Some(need));
    let told: BTreeSet<&ColumnName> = below.filter_map(|name| refused.get(name)).flatten().collect();
    let own = refused.get(&model.name).into_iter().flatten().filter(|column| !told.contains(column));
    let mut by_source: BTreeMap<&str, Vec<&ColumnName>> = BTreeMap::new();
    for column in own {
        by_source.entry(&column.table.schema).or_default().push(column);
    }
    for (source, columns) in by_source {
        let Some(source) = pipeline.source(source) else { continue };
        let list: Vec<String> = columns
            .iter()
            .map(|column| match column.column.as_str() {
                ITS_ROWS => format!("the number of rows of {}", column.table),
                _ => column.to_string(),
            })
            .collect();
        let is_direct = |table| graph.written(&model.name).is_some_and(|written| written.tables.contains(table));
        let through: BTreeSet<String> = match columns.iter().any(|column| !is_direct(&column.table)) {
            true => bridges(graph, &model.name, &columns).map(ToString::to_string).collect(),
            false => BTreeSet::new(),
        };
        let through = match through.is_empty() {
            true => String::new(),
            false => format!(" through {}", through.into_iter().collect::<Vec<_>>().join(", ")),
        };
        let what = format!(
            "{} reads {}{through}: the authorisation of the source {} ({}) does not grant that for {}",
            model.name,
            list.join(", "),
            source.name,
            source.authorisation.legal_ground.en,
            need.says(),
        );
        let next = "have the purpose granted and enter it, or leave the column out; `chudong lineage` shows its way";
        faults.push(Fault::new("sql.purpose", Place::file(&model.path), what, next));
    }
}

/// The models that the select names and through which it reads one of these columns.
fn bridges<'g>(graph: &'g Graph, model: &TableName, columns: &'g [&ColumnName]) -> impl Iterator<Item = &'g TableName> {
    let named = graph.written(model).into_iter().flat_map(|written| &written.tables);
    named.filter(|table| {
        let tables = graph.reach(table).map(|reach| &reach.lineage.tables);
        tables.is_some_and(|tables| columns.iter().any(|column| tables.contains(&column.table)))
    })
}

fn check_exits(pipeline: &Pipeline, graph: &Graph, model: &Model, faults: &Faults) {
    let columns = graph.reach(&model.name).into_iter().flat_map(|reach| &reach.lineage.columns);
    for (column, flow) in columns {
        let (Exit::AsItIs, reason) = exit(&model.name, column) else { continue };
        let personal: Vec<String> = personal(pipeline, flow).map(ToString::to_string).collect();
        if !personal.is_empty() {
            let what = format!(
                "{}.{column} leaves the building as it is ({reason}), and holds personal data from {}",
                model.name,
                personal.join(", ")
            );
            let next = match column.as_str() {
                "rule_version" => "take it from the table law.<rule> that the due day is computed with",
                _ => "take it from columns that are public",
            };
            faults.push(Fault::new("sql.exit", Place::file(&model.path), what, next));
        }
    }
}

/// The landed columns whose value arrives and that are not public.
fn personal<'f>(pipeline: &Pipeline, flow: &'f Flow) -> impl Iterator<Item = &'f ColumnName> {
    flow.values().filter(|name| granted(pipeline, name).is_some_and(|(_, column)| column.class != Class::Public))
}

/// The line `private:` in a model's head is what people and tools go by: it must be true.
///
/// It lists every column into which a personal column of a source arrives. A staging file
/// lists exactly those, and the columns that its standard table does not call public; another
/// file may list more, for a row about one person is private whatever a column of it says.
fn check_private(pipeline: &Pipeline, graph: &Graph, model: &Model, faults: &Faults) {
    let Some(reach) = graph.reach(&model.name) else { return };
    let listed: BTreeSet<&str> = model.head.words("private").into_iter().collect();
    let columns = || reach.lineage.columns.iter();
    let given: BTreeSet<&str> = columns().map(|(name, _)| name.as_str()).collect();
    // What may not be personal at all is a fault of its own.
    let may_be = |name: &str| exit(&model.name, name).0 != Exit::AsItIs;
    let made = columns().filter(|(name, flow)| may_be(name) && personal(pipeline, flow).next().is_some());
    let made = made.map(|(name, _)| name.as_str());
    let mut private: BTreeSet<&str> = made.collect();
    let standard = pipeline.standard_tables.iter().find(|known| known.name == model.name.table);
    match standard.filter(|_| model.name.schema == "staging") {
        Some(standard) => {
            let declared = standard.columns.iter().filter(|column| column.class != Class::Public);
            private.extend(declared.map(|column| column.name.as_str()));
        }
        None => private.extend(listed.intersection(&given)),
    }
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
