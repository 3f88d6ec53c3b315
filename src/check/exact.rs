//! Whether the metrics of published score sheets are shares that can be protected, and what analysts may ask.

use std::collections::BTreeSet;

use super::grants::granted;
use crate::disclosure::exact::Closing;
use crate::disclosure::{Month, Week, cost, total};
use crate::fault::{Fault, Place};
use crate::pipeline::authorisation::Class;
use crate::pipeline::exact::{AnalystTable, Beside};
use crate::pipeline::reader::Faults;
use crate::pipeline::{Counted, Measure, Pipeline};
use crate::quality::index::flags;
use crate::sql::Library;
use crate::sql::lineage::{Graph, Way};
use crate::tables::TableName;

/// Columns by which nobody may count: each names a record or a person.
const NAMES: [&str; 3] = ["record_id", "subject_id", "dossier_id"];

pub(super) fn check(pipeline: &Pipeline, library: &Library, graph: &Graph, faults: &Faults) {
    check_scores(pipeline, faults);
    for table in pipeline.analysts.iter().flat_map(|analysts| &analysts.tables) {
        check_table(pipeline, library, graph, table, faults);
        check_beside(pipeline, table, faults);
    }
}

/// Answers by cell key are a further view of records that are published otherwise: an analyst could take away what the
/// other engine hides. What overlaps is refused unless somebody has decided that it may. Tables for analysts hold
/// dossiers, since no rating lands.
fn check_beside(pipeline: &Pipeline, table: &AnalystTable, faults: &Faults) {
    let counts_dossiers = |measure: &Measure| measure.of == Counted::Dossiers;
    let has_noise = pipeline.privacy.as_ref().is_some_and(|policy| policy.measures.iter().any(counts_dossiers));
    let published = [(Beside::Noise, has_noise), (Beside::Exact, pipeline.exact.is_some())];
    for (engine, _) in published.into_iter().filter(|(engine, is_there)| *is_there && !table.beside.contains(engine)) {
        let (how, word) = match engine {
            Beside::Noise => ("with noise", engine.word()),
            Beside::Exact => ("exactly, without the small ones", engine.word()),
        };
        let what = format!(
            "analysts could count by cell key in analysts.tables.{} the dossiers whose figures are published {how}",
            table.name
        );
        let next = format!(
            "take the table out, or write \"{word}\" into its `beside` where somebody has decided that analysts may; each \
             question then says so in the ledger"
        );
        faults.push(Fault::new("disclosure.two-engines", Place::file(&pipeline.path), what, next));
    }
}

/// The most metrics of dossiers in one score sheet: each doubles the combinations that are decided together.
const METRICS_MAX: usize = 10;

/// A metric whose parts are no flags of dossiers cannot be protected as a share, in any version of its decision.
fn check_scores(pipeline: &Pipeline, faults: &Faults) {
    let Some(policy) = &pipeline.exact else { return };
    for sheet in &policy.scores {
        let place = || policy.place.clone();
        let Some(definition) = pipeline.indices.iter().find(|known| known.name == sheet.decision) else { continue };
        let metrics = definition.versions.iter().flat_map(|version| &version.groups).flat_map(|group| &group.metrics);
        let wanted = || metrics.clone().filter(|metric| sheet.metrics.contains(&metric.code));
        let of_dossiers = wanted().filter(|metric| flags::share(&metric.formula).is_some());
        if of_dossiers.map(|metric| &metric.code).collect::<BTreeSet<_>>().len() > METRICS_MAX {
            let what = format!("the score sheet {} has more than {METRICS_MAX} metrics of dossiers", sheet.table);
            faults.push(Fault::new("pipeline.out-of-range", place(), what, "name fewer, or make two tables"));
        }
        for metric in wanted() {
            if flags::share(&metric.formula).is_none() && !flags::is_public(&metric.formula) {
                let what = format!(
                    "{} of {} is neither a share of dossiers that can be published exactly nor one of procedures",
                    metric.code, sheet.decision
                );
                let next = "take it out of metrics: its parts are neither counts of which each dossier has at most one, nor what \
                            everybody sees of procedures";
                faults.push(Fault::new("pipeline.exact-metric", place(), what, next));
            }
        }
    }
}

/// The exact tables that could not leave beside the noisy figures of the same records. They hold nobody else's figures up,
/// so that a night goes on without them; whoever asks for a check is told before the month closes.
pub fn faults_beside_noise(pipeline: &Pipeline) -> Vec<Fault> {
    let (Some(policy), Some(privacy)) = (&pipeline.exact, &pipeline.privacy) else { return Vec::new() };
    let month = Month::of(policy.first_month.max(privacy.first_month));
    let closing = Closing { policy, privacy: Some(privacy), unit: &pipeline.unit, groups: &pipeline.procedure_groups };
    let refused = closing.beside(month, &pipeline.indices).refused;
    let told = |(table, fault): (String, Fault)| {
        let what = format!("{table} would be held when a month closes: {}", fault.what);
        Fault::new(fault.code, policy.place.clone(), what, fault.next)
    };
    refused.into_iter().map(told).collect()
}

/// Whether a month costs more than the cap allows: its first draws would go, and the last be refused for good.
pub fn fault_of_budget(pipeline: &Pipeline) -> Option<Fault> {
    let policy = pipeline.privacy.as_ref()?;
    let per_person = |measure: &Measure| match measure.of {
        Counted::Ratings => policy.ratings_per_person,
        Counted::Dossiers => policy.dossiers_per_person,
    };
    let weeks = policy.weekly.iter().flat_map(|weekly| &weekly.measures);
    let weeks = weeks.flat_map(|measure| Week::PLACES.map(|_| measure));
    let costs = policy.measures.iter().chain(weeks).map(|measure| cost(per_person(measure), measure.sigma));
    let month = total(costs.collect::<Result<Vec<_>, _>>().ok()?).ok()?;
    (month > policy.rho_cap).then(|| {
        let what = format!("a month costs {month} in all, more than rho_cap, which is {}", policy.rho_cap);
        let next =
            "raise rho_cap, or sigma; a person has to decide how much may be known of whoever was active in a month";
        Fault::new("pipeline.rho-cap", Place::file(&pipeline.path), what, next)
    })
}

/// A table for analysts is private, has a record id, and is counted by columns that hold no person's own values.
fn check_table(pipeline: &Pipeline, library: &Library, graph: &Graph, table: &AnalystTable, faults: &Faults) {
    let place = || Place::file(&pipeline.path);
    let of = model_name(table);
    let Some(written) = library.model(&of).and_then(|_| graph.written(&of)) else {
        let what = format!("analysts.tables.{} is made of {}, which there is not", table.name, table.of);
        let next = "write a table that the figures are made of: quality.dossiers or satisfaction.ratings";
        faults.push(Fault::new("pipeline.unknown-table", place(), what, next));
        return;
    };
    if !written.columns.iter().any(|(name, _)| name == "record_id") {
        let what = format!("{} has no record_id, from which the keys of its records are made", table.of);
        faults.push(Fault::new("pipeline.analyst-table", place(), what, "choose a table with one row per record"));
    }
    for dimension in &table.dimensions {
        let fault =
            |what: String, next: &str| faults.push(Fault::new("pipeline.analyst-dimension", place(), what, next));
        if NAMES.contains(&dimension.as_str()) {
            fault(format!("nobody may count by {dimension}, which names a record or a person"), "take it out");
            continue;
        }
        let flow = graph.reach(&of).and_then(|reach| reach.lineage.column(dimension));
        let Some(flow) = flow else {
            fault(format!("{} has no column {dimension}", table.of), "write a column of the table");
            continue;
        };
        // A month that was cut out of a day, or a group of procedures, is fit to count by; the day itself is not.
        let is_identity = |ways: &BTreeSet<Way>| ways.contains(&Way::Identity);
        let is_personal = |column| granted(pipeline, column).is_some_and(|(_, column)| column.class == Class::Personal);
        if flow.iter().any(|(column, ways)| is_identity(ways) && is_personal(column)) {
            fault(format!("{dimension} shows what a person's row holds, as it stands there"), "count by a public code");
        }
    }
}

/// The model that a table for analysts is made of.
fn model_name(table: &AnalystTable) -> TableName {
    let (schema, name) = table.of.split_once('.').unwrap_or(("", &table.of));
    TableName::new(schema, name)
}
