//! Whether the indices of service quality count what the selects give.

use std::collections::BTreeSet;

use crate::fault::Fault;
use crate::pipeline::Pipeline;
use crate::pipeline::indices::{Definition, Metric};
use crate::pipeline::reader::{Faults, distance};
use crate::quality::index::{GIVEN, is_counted};
use crate::sql::library::INDICES;
use crate::sql::{Graph, Library};

/// The most letters in which a column may differ from the one that was meant.
const NEAR: usize = 3;

/// Names every column that a metric counts and that no table gives: it would be 0 for ever, in silence.
pub(super) fn check(pipeline: &Pipeline, library: &Library, graph: &Graph, faults: &Faults) {
    check_needs(pipeline, faults);
    let mut known: BTreeSet<&str> = GIVEN.into_iter().collect();
    let mut is_any = false;
    for model in library.folder(INDICES).filter(|model| is_counted(&model.name)) {
        // What is wrong with a select that gives nothing was said of it.
        let Some(written) = graph.written(&model.name) else { return };
        known.extend(written.columns.iter().map(|(name, _)| name.as_str()));
        is_any = true;
    }
    if !is_any {
        return;
    }
    for metric in pipeline.indices.iter().flat_map(metrics) {
        for column in metric.formula.columns().into_iter().filter(|column| !known.contains(column)) {
            let near = known.iter().map(|known| (distance(known, column), *known)).min();
            let next = match near {
                Some((steps, known)) if steps <= NEAR => format!("did you mean {known}?"),
                _ => "name a column of a file in sql/quality/indices/, or add it to one of them".to_owned(),
            };
            let what = format!("{} counts {column}, which no table of sql/quality/indices/ gives", metric.code);
            faults.push(Fault::new("indices.unknown-column", metric.place.clone(), what, next));
        }
    }
}

fn check_needs(pipeline: &Pipeline, faults: &Faults) {
    for metric in pipeline.indices.iter().flat_map(metrics) {
        let is_there = |name: &&String| pipeline.standard_tables.iter().any(|table| table.name == **name);
        for name in metric.needs.iter().filter(|name| !is_there(name)) {
            let what = format!("{} needs {name}, which is no standard table", metric.code);
            let next = "name a table of pipelines/standard-tables.toml, or add it there";
            faults.push(Fault::new("indices.unknown-table", metric.place.clone(), what, next));
        }
    }
}

fn metrics(definition: &Definition) -> impl Iterator<Item = &Metric> {
    let groups = definition.versions.iter().flat_map(|version| &version.groups);
    groups.flat_map(|group| &group.metrics)
}
