//! The lineage of a model as text: its columns, its rows, the sources and rules at the far end.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use super::{class_word, purpose_words};
use crate::check::Checked;
use crate::check::grants::{self, Exit, Need};
use crate::pipeline::Source;
use crate::sql::library;
use crate::sql::lineage::{ColumnName, Flow, Reach, Way};
use crate::tables::TableName;

/// What reaches a model, down to the tables that no model makes; none when there is no such model.
pub fn text(checked: &Checked, model: &TableName) -> Option<String> {
    let known = checked.library.model(model)?;
    let reach = checked.graph.reach(model)?;
    let mut text = format!("{model}  {}\n", known.path.display());
    if !known.head.about.is_empty() {
        line(&mut text, &format!("  {}", known.head.about));
    }
    let purpose = match grants::need(model) {
        Some(Need::Purpose(purpose)) => purpose.word(),
        Some(Need::Any) => "any, it proves the data",
        None => "that of whoever reads it",
    };
    line(&mut text, &format!("  purpose: {purpose}"));
    if !reach.through.is_empty() {
        line(&mut text, &format!("  through: {}", list(&reach.through)));
    }
    line(&mut text, "\ncolumns");
    columns(&mut text, checked, model, reach);
    if !reach.lineage.rows.is_empty() {
        line(&mut text, "\nrows");
        rows(&mut text, &reach.lineage.rows);
    }
    exits(&mut text, model, reach);
    sources(&mut text, checked, reach);
    rules(&mut text, checked, reach);
    Some(text)
}

fn line(text: &mut String, line: &str) {
    text.push_str(line.trim_end());
    text.push('\n');
}

fn list(names: &BTreeSet<TableName>) -> String {
    names.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// How a column takes part, in words.
fn how(way: Way) -> &'static str {
    match way {
        Way::Identity => "is",
        Way::Transformation => "from",
        Way::Aggregation => "over",
        Way::Conditional => "decided by",
        Way::Window => "window",
        Way::Filter => "filter",
        Way::Join => "join",
        Way::GroupBy => "group by",
        Way::Sort => "sort",
    }
}

/// The columns of a flow, by way.
fn by_way(flow: &Flow) -> Vec<(Way, Vec<String>)> {
    let mut ways: BTreeMap<Way, Vec<String>> = BTreeMap::new();
    for (column, by) in flow.iter() {
        for way in by {
            ways.entry(*way).or_default().push(column.to_string());
        }
    }
    ways.into_iter().collect()
}

fn columns(text: &mut String, checked: &Checked, model: &TableName, reach: &Reach) {
    let width = reach.lineage.columns.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    for (name, flow) in &reach.lineage.columns {
        let class = class_word(grants::class(&checked.pipeline, flow));
        let parts = by_way(flow).into_iter().map(|(way, columns)| format!("{} {}", how(way), columns.join(", ")));
        let parts: Vec<String> = parts.collect();
        let made = match (parts.is_empty(), checked.graph.written(model).and_then(|written| written.column(name))) {
            (true, Some(_)) => "the same for every row, or a count of rows".to_owned(),
            _ => parts.join("; "),
        };
        line(text, &format!("  {name:width$}  {class:9}  {made}"));
    }
}

fn rows(text: &mut String, flow: &Flow) {
    for (way, columns) in by_way(flow) {
        line(text, &format!("  {:10}  {}", how(way), columns.join(", ")));
    }
}

fn exits(text: &mut String, model: &TableName, reach: &Reach) {
    let mut exits: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    for (name, _) in &reach.lineage.columns {
        let (exit, reason) = grants::exit(model, name);
        let word = match exit {
            Exit::Stays => "stays here",
            Exit::ToThePerson => "goes to the person",
            Exit::ThroughTheGate => "goes through disclosure control",
            Exit::AsItIs => "leaves as it is",
        };
        exits.entry((word, reason)).or_default().push(name);
    }
    line(text, "\nwhere it goes");
    let is_one = exits.len() == 1;
    for ((word, reason), names) in exits {
        let names = if is_one { "all of it".to_owned() } else { names.join(", ") };
        line(text, &format!("  {names}: {word}; {reason}"));
    }
}

fn sources(text: &mut String, checked: &Checked, reach: &Reach) {
    let reads = reach.lineage.reads();
    let mut told: BTreeMap<&str, (&Source, BTreeMap<&TableName, Vec<&ColumnName>>)> = BTreeMap::new();
    for table in &reach.lineage.tables {
        let Some(source) = checked.pipeline.source(&table.schema) else { continue };
        let columns = reads.columns().filter(|column| column.table == *table).collect();
        told.entry(&source.name).or_insert_with(|| (source, BTreeMap::new())).1.insert(table, columns);
    }
    for (source, tables) in told.into_values() {
        let grant = &source.authorisation;
        line(text, &format!("\nsource {}: {}", source.name, source.title.en));
        line(text, &format!("  owner:    {}", grant.owner.en));
        line(text, &format!("  ground:   {}", grant.legal_ground.en));
        line(text, &format!("  purposes: {}", purpose_words(&grant.purposes)));
        line(text, &format!("  term:     {} to {}", grant.from, grant.to));
        for (table, columns) in tables {
            let told = columns.iter().map(|name| {
                let Some((_, column)) = grants::granted(&checked.pipeline, name) else { return name.column.clone() };
                let narrowed = column.purposes.as_deref().map(|p| format!(", only {}", purpose_words(p)));
                format!("{} ({}{})", name.column, class_word(column.class), narrowed.unwrap_or_default())
            });
            let told: Vec<String> = told.collect();
            let told = if told.is_empty() { "how many rows it has".to_owned() } else { told.join(", ") };
            line(text, &format!("  {table}: {told}"));
        }
    }
}

fn rules(text: &mut String, checked: &Checked, reach: &Reach) {
    let names = reach.lineage.tables.iter().filter(|table| library::LAW.contains(&table.schema.as_str()));
    for (table, rule) in names.filter_map(|table| Some((table, checked.pipeline.law.rule(&table.table)?))) {
        // Writing into a text does not fail.
        let _ = writeln!(text, "\nrule {table}: {}", rule.title.en);
        for version in &rule.versions {
            line(text, &format!("  from {}: {}", version.in_force_from, version.reference.en));
        }
    }
}
