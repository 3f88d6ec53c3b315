//! Which exact counts are published, and what analysts may ask: the tables `[exact]` and `[analysts]`.

use super::super::Dimension;
use super::super::exact::{
    AnalystTable, Analysts, Beside, ExactDimension, ExactMeasure, ExactOptions, ExactPolicy, ExactRules, ExactScores,
    ExactTable, OptionGroup,
};
use super::super::indices::{Definition, Formula};
use super::super::reader::Node;
use super::super::{Pipeline, ProcedureGroup};
use super::channel::secret_at;
use super::{done, in_range, is_word};

/// Bases to which small counts may be rounded.
const BASES: std::ops::RangeInclusive<i64> = 3..=100;

pub(super) fn exact(node: &Node<'_>, groups: &[ProcedureGroup], indices: &[Definition]) -> Option<ExactPolicy> {
    let policy = node.text("policy");
    let first_month = node.date("first_month");
    if first_month.is_some_and(|date| date.day() != 1) {
        let what = "first_month is not the first day of a month";
        node.fault("first_month", "pipeline.first-month", what, "write it like 2026-01-01");
    }
    let close_after_days = in_range(node, "close_after_days", node.int_or("close_after_days", 10), 0, 365);
    let rules = rules(node, groups);
    let rounding = if node.has("rounding") {
        let base = node.int("rounding").and_then(|base| in_range(node, "rounding", base, *BASES.start(), *BASES.end()));
        Some(u64::try_from(base?).ok()?)
    } else {
        None
    };
    let invariants = node.array("invariants");
    let invariants = invariants.iter().map(|node| done(node, |node| Some(dimensions(node, "by")))).collect();
    let tables: Vec<Option<ExactTable>> = node.array("tables").iter().map(|node| done(node, table)).collect();
    let scores = node.array("scores");
    let scores: Vec<Option<ExactScores>> = scores.iter().map(|node| done(node, |node| sheet(node, indices))).collect();
    let watched: Vec<Option<ExactOptions>> =
        node.array("options").iter().map(|node| done(node, self::watched)).collect();
    if rounding.is_some() && !watched.is_empty() {
        let what = "shares of options are computed from exact counts, and these are rounded";
        node.fault("rounding", "pipeline.exact-rounding", what, "publish them without rounding");
    }
    if rounding.is_some() && !scores.is_empty() {
        let what = "scores are computed from exact counts, and these are rounded";
        node.fault("rounding", "pipeline.exact-rounding", what, "publish scores without rounding");
    }
    let has_quarters = |table: &Option<ExactTable>| table.as_ref().is_some_and(|table| table.has_quarters);
    if rounding.is_some() && tables.iter().any(has_quarters) {
        let what = "a rounded quarter beside its rounded months would give some of what was rounded away";
        node.fault(
            "rounding",
            "pipeline.exact-rounding",
            what,
            "publish months alone, or withhold instead of rounding",
        );
    }
    if tables.is_empty() && scores.is_empty() && watched.is_empty() {
        let next = "add [[exact.tables]], [[exact.scores]] or [[exact.options]], or take [exact] out";
        node.fault("", "toml.empty", "the policy publishes no exact count", next);
    }
    let (tables, scores) =
        (tables.into_iter().collect::<Option<Vec<_>>>(), scores.into_iter().collect::<Option<Vec<_>>>());
    let (tables, scores, options) = (tables?, scores?, watched.into_iter().collect::<Option<Vec<_>>>()?);
    let names = tables.iter().map(|t| &t.table).chain(scores.iter().map(|s| &s.table));
    let names: Vec<&String> = names.chain(options.iter().map(|o| &o.table)).collect();
    for (place, name) in names.iter().enumerate() {
        if names.iter().take(place).any(|other| other == name) {
            node.fault("", "pipeline.twice", format!("the exact table {name} is named twice"), "rename one");
        }
    }
    Some(ExactPolicy {
        policy: policy?,
        first_month: first_month?,
        close_after_days: u16::try_from(close_after_days?).ok()?,
        rules: rules?,
        rounding,
        invariants: invariants_of(invariants)?,
        tables,
        scores,
        options,
        place: node.place(),
    })
}

fn invariants_of(invariants: Vec<Option<Vec<ExactDimension>>>) -> Option<Vec<Vec<ExactDimension>>> {
    invariants.into_iter().collect()
}

fn rules(node: &Node<'_>, groups: &[ProcedureGroup]) -> Option<ExactRules> {
    let small_below = in_range(node, "small_below", node.int_or("small_below", 5), 2, 1000);
    let interval_min = in_range(node, "interval_min", node.int_or("interval_min", 3), 1, 1000);
    let sensitive_groups = node.texts_or_none("sensitive_groups");
    for name in sensitive_groups.iter().flatten() {
        if !groups.iter().any(|group| group.id == *name) {
            let what = format!("there is no procedure group {name}");
            let next = "name a group of pipelines/procedure-groups.toml, or leave the key out: then all are sensitive";
            node.fault("sensitive_groups", "pipeline.unknown-group", what, next);
        }
    }
    let unanimous_by = if node.has("unanimous_by") {
        let categories = [("timeliness", ExactDimension::Timeliness), ("channel", ExactDimension::Channel)];
        Some(node.word("unanimous_by", &categories)?)
    } else {
        None
    };
    Some(ExactRules {
        small_below: u64::try_from(small_below?).ok()?,
        sensitive_groups,
        unanimous_by,
        interval_min: u64::try_from(interval_min?).ok()?,
    })
}

fn dimensions(node: &Node<'_>, key: &str) -> Vec<ExactDimension> {
    let mut found = Vec::new();
    // Nothing is the whole unit.
    for word in node.texts_or_empty(key).unwrap_or_default() {
        match ExactDimension::WORDS.iter().find(|(known, _)| *known == word) {
            Some((_, dimension)) if !found.contains(dimension) => found.push(*dimension),
            Some(_) => node.fault(key, "pipeline.twice", format!("{word} is named twice"), "remove one"),
            None => {
                let words = ExactDimension::WORDS.map(|(word, _)| word).join(", ");
                let what = format!("\"{word}\" is not a dimension");
                node.fault(key, "toml.unknown-word", what, format!("write one of {words}"));
            }
        }
    }
    found
}

fn name(node: &Node<'_>) -> Option<String> {
    let table = node.text("table");
    if table.as_deref().is_some_and(|table| !is_word(table)) {
        let next = "use lower-case letters, digits and _";
        node.fault("table", "pipeline.bad-name", "this cannot be the name of a table", next);
    }
    table
}

fn table(node: &Node<'_>) -> Option<ExactTable> {
    let table = name(node);
    let title = node.both("title");
    let mut by = Vec::new();
    for dimension in dimensions(node, "by") {
        match dimension {
            ExactDimension::Commune => by.push(Dimension::Commune),
            ExactDimension::ProcedureGroup => by.push(Dimension::ProcedureGroup),
            ExactDimension::Timeliness | ExactDimension::Channel | ExactDimension::Metric => {
                let what = format!("{} is counted in columns, not in rows", dimension.word());
                node.fault("by", "pipeline.exact-rows", what, "name it by its measures: on_time, late, online");
            }
        }
    }
    by.sort();
    let mut measures = Vec::new();
    for word in node.texts("measures").unwrap_or_default() {
        match ExactMeasure::WORDS.iter().find(|(known, _)| *known == word) {
            Some((_, measure)) if !measures.contains(measure) => measures.push(*measure),
            Some(_) => node.fault("measures", "pipeline.twice", format!("{word} is named twice"), "remove one"),
            None => {
                let words = ExactMeasure::WORDS.map(|(word, _)| word).join(", ");
                let what = format!("\"{word}\" is not counted");
                node.fault("measures", "toml.unknown-word", what, format!("write one of {words}"));
            }
        }
    }
    if measures.is_empty() {
        node.fault("measures", "toml.empty", "the table counts nothing", "name at least \"dossiers\"");
    }
    let has_quarters = node.bool_or("quarters", false);
    Some(ExactTable { table: table?, title: title?, by, measures, has_quarters })
}

/// A score sheet. That its metrics are shares of counted dossiers, and which those are, is checked with the selects.
fn sheet(node: &Node<'_>, indices: &[Definition]) -> Option<ExactScores> {
    let table = name(node);
    let title = node.both("title");
    // Without the key, as it was before there was one.
    let is_by_commune = match node.has("by").then(|| dimensions(node, "by")).as_deref() {
        None | Some([ExactDimension::Commune]) => true,
        Some([]) => false,
        Some(_) => {
            let what = "a score sheet is by commune, or of the whole unit";
            node.fault("by", "pipeline.exact-rows", what, "write by = [\"commune\"], or by = [] for the whole unit");
            true
        }
    };
    let decision = node.text("decision");
    let metrics = node.texts("metrics");
    let definition = indices.iter().find(|definition| Some(&definition.name) == decision.as_ref());
    if let (Some(decision), None) = (&decision, definition) {
        let names: Vec<&str> = indices.iter().map(|definition| definition.name.as_str()).collect();
        let what = format!("there is no decision {decision}");
        node.fault("decision", "pipeline.unknown-decision", what, format!("write one of {}", names.join(", ")));
    }
    for code in metrics.iter().flatten() {
        let Some(definition) = definition else { break };
        let mut known = definition.versions.iter().flat_map(|version| &version.groups).flat_map(|group| &group.metrics);
        match known.find(|metric| metric.code == *code).map(|metric| &metric.formula) {
            Some(Formula::Share { .. } | Formula::Information { .. } | Formula::Constant { .. }) => {}
            Some(_) => {
                let what = format!("{code} is no share of one count in another");
                let next = "publish metrics that are a share: of others, neither the parts nor the score can be protected here";
                node.fault("metrics", "pipeline.exact-metric", what, next);
            }
            None => {
                let what = format!("{} has no metric {code}", definition.name);
                node.fault(
                    "metrics",
                    "pipeline.unknown-metric",
                    what,
                    "write a code of its file in pipelines/indices/",
                );
            }
        }
    }
    if metrics.as_ref().is_some_and(Vec::is_empty) {
        node.fault("metrics", "toml.empty", "the score sheet has no metric", "name at least one of the decision");
    }
    Some(ExactScores { table: table?, title: title?, is_by_commune, decision: decision?, metrics: metrics? })
}

/// A table of recommended options that were taken.
fn watched(node: &Node<'_>) -> Option<ExactOptions> {
    let (table, title) = (name(node), node.both("title"));
    let mut by = Vec::new();
    for word in node.texts_or_none("by").unwrap_or_default() {
        match OptionGroup::WORDS.iter().find(|(known, _)| *known == word) {
            Some((_, group)) if !by.contains(group) => by.push(*group),
            Some(_) => node.fault("by", "pipeline.twice", format!("{word} is named twice"), "remove one"),
            None => {
                let words = OptionGroup::WORDS.map(|(word, _)| word).join(", ");
                let what = format!("\"{word}\" is no group of people to whom options are recommended");
                node.fault("by", "toml.unknown-word", what, format!("write some of {words}"));
            }
        }
    }
    by.sort();
    Some(ExactOptions { table: table?, title: title?, by })
}

pub(super) fn analysts(node: &Node<'_>) -> Option<Analysts> {
    let names = node.texts("names");
    for name in names.iter().flatten().filter(|name| !is_word(name)) {
        let next = "use lower-case letters, digits and _: an account's name, not a person's";
        node.fault("names", "pipeline.bad-name", format!("\"{name}\" cannot be an analyst's name"), next);
    }
    let key = secret_at(node, "key");
    let mut tables: Vec<AnalystTable> = Vec::new();
    for (name, table) in node.named("tables") {
        if !is_word(&name) {
            let next = "use lower-case letters, digits and _, beginning with a letter";
            table.fault("", "pipeline.bad-name", format!("\"{name}\" cannot be the name of a table"), next);
        }
        let of = table.text("of");
        let dimensions = table.texts("dimensions");
        let beside = table.texts_or_none("beside").unwrap_or_default();
        let beside = beside.iter().filter_map(|word| table.one_of("beside", word, &Beside::WORDS)).collect();
        table.done();
        tables.push(AnalystTable { name, of: of?, dimensions: dimensions?, beside });
    }
    Some(Analysts { names: names?, key: key?, tables })
}

/// The tables of the shelf must not meet under one name, and what is watched must be recommended.
pub(super) fn together(node: &Node<'_>, pipeline: &Pipeline) {
    let is_watched = pipeline.exact.as_ref().is_some_and(|exact| !exact.options.is_empty());
    let mut ways = pipeline.options.outcomes.iter().flat_map(|outcome| &outcome.ways);
    if is_watched && ways.all(|way| way.procedure_code.is_none()) {
        let what = "nothing that is recommended can be watched: no option names the procedure of its dossiers";
        let next = "switch on outcomes in [options] whose options have a procedure_code, or take [[exact.options]] out";
        node.fault("exact", "options.nothing-watched", what, next);
    }
    let (Some(privacy), Some(exact)) = (&pipeline.privacy, &pipeline.exact) else { return };
    let names = exact.tables.iter().map(|t| &t.table).chain(exact.scores.iter().map(|s| &s.table));
    let names = names.chain(exact.options.iter().map(|o| &o.table));
    for name in names.filter(|name| privacy.measures.iter().any(|measure| measure.table == **name)) {
        let what = format!("the table {name} is published with noise and without");
        node.fault("exact", "pipeline.twice", what, "rename one");
    }
}
