//! The score sheet of a unit: from what the last night landed, touching no source.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;

use super::explain::{Kept, last_night, none_yet};
use crate::calendar::{AsOf, Span};
use crate::check::Checked;
use crate::disclosure::exact::scores;
use crate::disclosure::{Month, Provenance};
use crate::fault::{Explain, Fault, Place};
use crate::ledger::{Ledger, Outcomes, OutcomesOf};
use crate::pipeline::exact::{ExactPolicy, ExactScores};
use crate::pipeline::indices::Definition;
use crate::pipeline::{Counted, Item, Pipeline};
use crate::quality::index::{Counts, Decimal, Scope, Sheet, flags, score};
use crate::satisfaction::standard_table;
use crate::sql::cases::{Bench, Case, Difference};
use crate::sql::engine::Bound;
use crate::sql::library::INDICES;
use crate::tables::{Table, TableName};
use crate::world::World;

/// Whose sheet, of which period, by which decision.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The decision: the name of its file, or a part of it that no other has (`766`).
    pub decision: String,
    /// The agency's own unit, a commune or a department; none means the agency's own.
    pub unit: Option<String>,
    /// One procedure; none means all.
    pub procedure: Option<String>,
    /// The month, quarter or year.
    pub period: Span,
    /// The night from whose tables it is counted; the last one that ended if none.
    pub night: Option<AsOf>,
}

/// What to do where the tables of a night are gone.
const ANOTHER_NIGHT: &str = "name another night with --as-of, or run one";

/// The score sheet. A quarter and a year are counted from dossiers, never from the months' ratios.
pub async fn quality(world: &World, checked: &Checked, asked: &Asked) -> Result<Sheet, Fault> {
    let pipeline = &checked.pipeline;
    let definition = definition(pipeline, &asked.decision)?;
    let ledger = super::ledger_of(world, checked)?.ok_or_else(|| of_a_sheet(none_yet(world)))?;
    let night = match asked.night {
        Some(night) => night,
        None => last_night(&ledger)?.ok_or_else(|| of_a_sheet(none_yet(world)))?,
    };
    let period = asked.period;
    if period.first_day() > night.date() {
        let what = format!("{period} begins after the night of {night}, from whose tables it would be counted");
        let place = Place::Thing("the period".into());
        return Err(Fault::new("quality.period-to-come", place, what, "ask for a period that has begun"));
    }
    let scope = scope(pipeline, asked);
    let last_day = period.last_day().min(night.date());
    let bound: Bound = [("$as_of", night.date()), ("$until", last_day), ("$since", period.first_day())].into();
    let kept = Kept::new(world, checked, night).map_err(of_a_sheet)?;
    let rated = super::ratings::rows(&super::ratings::kept(world, &ledger)?, &[])?;
    kept.engine.register(&standard_table(), &rated).map_err(|error| error.fault())?;
    let models: Vec<_> = checked.library.folder(INDICES).collect();
    if models.is_empty() {
        let next = "add [privacy] to the pipeline, whose figures of service quality are made from the same dossiers";
        let place = Place::file(&pipeline.path);
        return Err(Fault::new("quality.no-figures", place, "this agency makes no figures of service quality", next));
    }
    let read: BTreeSet<TableName> = models.iter().flat_map(|model| model.reads.iter().cloned()).collect();
    if !kept.stage(&read).await? {
        let what = format!("not all that was landed for the night of {night} is kept");
        return Err(Fault::new("quality.not-kept", Place::file(world.landing()), what, ANOTHER_NIGHT));
    }
    let mut tables = Vec::new();
    for model in models {
        world.progress.step(format!("building {}", model.name));
        let table = kept.engine.build(model, &bound, None).await.map_err(|error| error.fault())?;
        tables.push((&model.name, table));
    }
    world.progress.done();
    let tables = tables.iter().map(|(name, table)| (*name, table));
    let mut counts = Counts::read(tables, &scope).map_err(|error| error.fault())?;
    counts.unfilled = unfilled(checked, &scope);
    // Ratings are taken in from the policy's first month on: of the months before nobody has asked.
    let first = pipeline.privacy.as_ref().map(|policy| policy.first_month);
    let first = first.filter(|first| period.first_day() < *first && !counts.unfilled.contains(&standard_table().table));
    counts.ratings_from = first.map(|first| Month::of(first).to_string());
    if !scope.is_root && few_ratings(pipeline).is_some_and(|least| counts.total("rated") < u64::from(least)) {
        counts.few_ratings = few_ratings(pipeline);
        counts.unfilled.insert(standard_table().table);
    }
    if !counts.is_any && !is_known(pipeline, &scope) {
        return Err(unknown_unit(pipeline, &scope));
    }
    if let Some(outcomes) = outcomes(pipeline, &ledger, &scope, (period.first_day(), last_day))? {
        counts.put("reminded", outcomes.reminded);
        counts.put("acted_in_time", outcomes.acted_in_time);
    }
    score(definition, period, night.date(), &scope, &counts).map_err(|error| error.fault())
}

/// What became of the reminders of a unit or of a procedure; none where the ledger cannot tell: of a department, since no
/// obligation names the one that will settle its dossier.
fn outcomes(
    pipeline: &Pipeline,
    ledger: &Ledger,
    scope: &Scope,
    (first, last): (Date, Date),
) -> Result<Option<Outcomes>, Fault> {
    let is_commune = pipeline.unit.communes.iter().any(|commune| commune.code == scope.unit);
    if !scope.is_root && !is_commune {
        return Ok(None);
    }
    let is_of = |item: &&Item| scope.procedure.is_none() || item.procedure_code == scope.procedure;
    let items: Vec<&str> = pipeline.items.iter().filter(is_of).map(|item| item.id.as_str()).collect();
    let of = OutcomesOf {
        unit: (!scope.is_root).then_some(scope.unit.as_str()),
        // What was followed of an item that is no longer in the pipeline counts for the unit as well.
        items: scope.procedure.is_some().then_some(&items),
    };
    ledger.outcomes(first, last, of).map_err(|error| error.fault())
}

/// Notes in the ledger who is about to see a sheet of exact figures. Call it before the sheet is shown.
pub fn note_look(world: &World, checked: &Checked, sheet: &Sheet, account: &str) -> Result<(), Fault> {
    let mut ledger = Ledger::open(&world.state, &checked.pipeline.id).map_err(|error| error.fault())?;
    ledger.record_look(account, &sheet.unit, &sheet.period, &sheet.version).map_err(|error| error.fault())
}

/// The smallest count of ratings that the policy shows of a cell: below the province nobody is told of fewer, by whom
/// they were given being easy to guess.
fn few_ratings(pipeline: &Pipeline) -> Option<u32> {
    let measures = pipeline.privacy.iter().flat_map(|policy| &policy.measures);
    measures.filter(|measure| measure.of == Counted::Ratings).map(|measure| measure.min_count).min()
}

/// Whether a case gives the sheet that it expects; none when it does.
pub async fn prove(pipeline: &Pipeline, bench: &Bench<'_>, case: &Case) -> Result<Option<Difference>, Fault> {
    let tables = bench.counted(case).await.map_err(|error| error.fault())?;
    judge(pipeline, &tables, case)
}

/// Like [`prove`], of tables that were counted already.
pub fn judge(pipeline: &Pipeline, tables: &[(TableName, Table)], case: &Case) -> Result<Option<Difference>, Fault> {
    let fault = |what: &str, next: &str| Fault::new("case.sheet", Place::file(&case.path), what, next);
    let Some(sheet) = case.sheet.as_ref().filter(|_| case.expects()) else {
        let what = "the case names no period or expects nothing";
        return Err(fault(what, "write period = \"2026-10\" and at least one [[expected]] with its code"));
    };
    let Some(definition) = pipeline.indices.iter().find(|definition| definition.name == case.model.table) else {
        let what = format!("there is no decision {}", case.model.table);
        return Err(fault(&what, "name its folder after a file of pipelines/indices/"));
    };
    let scope = Scope {
        unit: sheet.unit.clone().unwrap_or_default(),
        is_root: sheet.unit.is_none(),
        procedure: sheet.procedure.clone(),
    };
    let tables = tables.iter().map(|(name, table)| (name, table));
    let counts = Counts::read(tables, &scope).map_err(|error| error.fault())?;
    let came = score(definition, sheet.period, case.known_on, &scope, &counts).map_err(|error| error.fault())?;
    Ok(case.differs(&came.rows()))
}

fn definition<'p>(pipeline: &'p Pipeline, asked: &str) -> Result<&'p Definition, Fault> {
    let exact = pipeline.indices.iter().find(|definition| definition.name == asked);
    let mut alike = pipeline.indices.iter().filter(|definition| {
        // Whole words only: 61 is of decree_61_2018 and not of decision_661.
        format!("_{}_", definition.name).contains(&format!("_{}_", asked.replace('/', "_")))
    });
    match (exact, alike.next(), alike.next()) {
        (Some(definition), _, _) | (None, Some(definition), None) => Ok(definition),
        _ => {
            let names: Vec<&str> = pipeline.indices.iter().map(|definition| definition.name.as_str()).collect();
            let place = Place::Thing("the decision".into());
            let what = format!("\"{asked}\" is not one decision of pipelines/indices/");
            Err(Fault::new("quality.unknown-decision", place, what, format!("name one of {}", names.join(", "))))
        }
    }
}

/// What is said of a night that is not there, for whoever asks for a sheet and not for an explanation.
fn of_a_sheet(fault: Fault) -> Fault {
    match fault.code {
        "explain.not-kept" => Fault::new("quality.not-kept", fault.place, fault.what, ANOTHER_NIGHT),
        "explain.no-night" => Fault::new(
            "quality.no-night",
            fault.place,
            fault.what,
            "run a night first: a sheet is counted from its tables",
        ),
        _ => fault,
    }
}

fn scope(pipeline: &Pipeline, asked: &Asked) -> Scope {
    let unit = asked.unit.clone().unwrap_or_else(|| pipeline.unit.code.clone());
    let is_root = unit == pipeline.unit.code;
    Scope { unit, is_root, procedure: asked.procedure.clone() }
}

/// The standard tables that may be left out and that the agency does not fill. Ratings are counted by procedure group,
/// so that nothing is known of them for a single procedure.
fn unfilled(checked: &Checked, scope: &Scope) -> BTreeSet<String> {
    let optional = checked.pipeline.standard_tables.iter().filter(|table| table.optional);
    let has_page = checked.pipeline.serve.as_ref().is_some_and(|serve| serve.ratings.is_some());
    let has_tables = super::ratings::blind_tables(&checked.pipeline).next().is_some();
    let has_ratings = (has_page || has_tables) && scope.procedure.is_none();
    let is_filled = |name: &str| match TableName::new("staging", name) {
        name if name == standard_table() => has_ratings,
        name => checked.library.model(&name).is_some(),
    };
    optional.map(|table| table.name.clone()).filter(|name| !is_filled(name)).collect()
}

/// Whether there is such a unit although nothing was counted of it.
fn is_known(pipeline: &Pipeline, scope: &Scope) -> bool {
    let is_commune = pipeline.unit.communes.iter().any(|commune| commune.code == scope.unit);
    let is_reminded_of = || pipeline.items.iter().any(|item| item.procedure_code == scope.procedure);
    (scope.is_root || is_commune) && (scope.procedure.is_none() || is_reminded_of())
}

fn unknown_unit(pipeline: &Pipeline, scope: &Scope) -> Fault {
    let place = Place::Thing("the unit".into());
    let what = match &scope.procedure {
        Some(procedure) => format!("nothing was counted of the procedure {procedure} in the unit {}", scope.unit),
        None => format!("there is no unit {}: nothing was counted of it", scope.unit),
    };
    let next =
        format!("name {}, one of its communes in {}, or a department", pipeline.unit.code, pipeline.path.display());
    Fault::new("quality.unknown-unit", place, what, next)
}

impl super::Night<'_> {
    /// The score sheets of a month that the policy publishes, by the version of each decision that was in force, and
    /// the sums of the columns that they are computed from.
    pub(super) async fn score_sheets(
        &self,
        built: &super::build::Built,
        policy: &ExactPolicy,
        month: Month,
    ) -> Result<(Vec<scores::Sheet>, scores::Sums), Fault> {
        let pipeline = &self.checked.pipeline;
        let (since, until) = (month.first_day(), month.last_day());
        let bound: Bound = [("$as_of", self.as_of.date()), ("$until", until), ("$since", since)].into();
        let mut tables = Vec::new();
        for model in self.checked.library.folder(INDICES) {
            if model.reads.iter().any(|table| built.is_blocked(table) || built.is_held(table)) {
                let what = format!("{} cannot be counted tonight: a table that it reads is not there", model.name);
                return Err(Fault::new("run.blocked", Place::file(&model.path), what, "see the fault of that table"));
            }
            let table = built.engine.build(model, &bound, None).await.map_err(|error| error.fault())?;
            tables.push((&model.name, table));
        }
        let read = |scope: &Scope| -> Result<Counts, Fault> {
            let tables = tables.iter().map(|(name, table)| (*name, table));
            let mut counts = Counts::read(tables, scope).map_err(|error| error.fault())?;
            counts.unfilled = unfilled(self.checked, scope);
            Ok(counts)
        };
        let communes = pipeline.unit.communes.iter().map(|commune| (commune.code.clone(), false));
        let units = std::iter::once((pipeline.unit.code.clone(), true)).chain(communes);
        let mut by_unit = Vec::new();
        for (unit, is_root) in units {
            let scope = Scope { unit, is_root, procedure: None };
            let counts = read(&scope)?;
            by_unit.push((scope, counts));
        }
        // Where its columns come from, and nothing else: what a sheet does not count, ratings above all, its files do not
        // depend on.
        let source = |wanted: &ExactScores| -> Result<Provenance, Fault> {
            let version = definition(pipeline, &wanted.decision)?.in_force(month.last_day(), self.known_on);
            let metrics = version.into_iter().flat_map(|version| &version.groups).flat_map(|group| &group.metrics);
            let metrics = metrics.filter(|metric| wanted.metrics.contains(&metric.code));
            let columns: BTreeSet<&str> = metrics.flat_map(|metric| metric.formula.columns()).collect();
            let mut source = Provenance::default();
            for (name, _) in tables.iter().filter(|(_, table)| columns.iter().any(|column| table.has(column))) {
                let own = self.provenance(built, name, &[month]);
                source.inputs.extend(own.inputs);
                source.queries.extend(own.queries);
            }
            for hashed in [&mut source.inputs, &mut source.queries] {
                hashed.sort();
                hashed.dedup();
            }
            Ok(source)
        };
        let sheets = policy.scores.iter().map(|wanted| self.score_sheet(wanted, month, &by_unit, source(wanted)?));
        let sheets = sheets.collect::<Result<Vec<_>, Fault>>()?;
        let columns = sheets.iter().flat_map(|sheet| &sheet.metrics).filter_map(scores::Metric::columns);
        let columns: BTreeSet<&str> = columns.flat_map(|(part, whole)| [part, whole]).chain([flags::BASE]).collect();
        let sums = by_unit.iter().map(|(scope, counts)| {
            let sums = columns.iter().map(|column| ((*column).to_owned(), counts.total(column)));
            (scope.unit.clone(), sums.collect())
        });
        let sums = sums.collect();
        Ok((sheets, sums))
    }

    fn score_sheet(
        &self,
        wanted: &ExactScores,
        month: Month,
        by_unit: &[(Scope, Counts)],
        source: Provenance,
    ) -> Result<scores::Sheet, Fault> {
        let definition = definition(&self.checked.pipeline, &wanted.decision)?;
        let period: Span = month.to_string().parse().map_err(|_| unknown_month(month))?;
        let mut found: BTreeMap<String, scores::Metric> = BTreeMap::new();
        let mut version = String::new();
        for (scope, counts) in by_unit {
            let sheet = score(definition, period, self.known_on, scope, counts);
            let sheet = sheet.map_err(|error| error.fault())?;
            version.clone_from(&sheet.version);
            let metrics = definition.in_force(month.last_day(), self.known_on).into_iter();
            let formulas: Vec<_> = metrics.flat_map(|v| &v.groups).flat_map(|group| &group.metrics).collect();
            for line in sheet.groups.iter().flat_map(|group| &group.metrics) {
                let parts = formulas.iter().find(|metric| metric.code == line.code);
                let of = parts.and_then(|metric| scores::Of::by(&metric.formula));
                let Some(of) = of.filter(|_| wanted.metrics.contains(&line.code)) else { continue };
                // Of what an agency does not fill nothing is known, and nothing is published.
                if !line.lacks.is_empty() {
                    continue;
                }
                let metric = found.entry(line.code.clone()).or_insert_with(|| scores::Metric {
                    code: line.code.clone(),
                    of,
                    maximum: line.maximum,
                    shown: BTreeMap::new(),
                });
                let text = |value: Option<Decimal>| value.map(|value| value.to_string());
                let whole = |value: Option<Decimal>| value?.to_string().parse().ok();
                let counts = whole(line.numerator).zip(whole(line.denominator));
                let shown = scores::Shown { counts, percent: text(line.percent), score: text(line.score) };
                metric.shown.insert(scope.unit.clone(), shown);
            }
        }
        let metrics = wanted.metrics.iter().filter_map(|code| found.remove(code)).collect();
        let provenance = Provenance { definition: definition.name.clone(), version, ..source };
        let (table, title, is_by_commune) = (wanted.table.clone(), wanted.title.clone(), wanted.is_by_commune);
        Ok(scores::Sheet { table, title, is_by_commune, metrics, provenance })
    }
}

fn unknown_month(month: Month) -> Fault {
    let place = Place::Thing("the month".into());
    Fault::new("quality.period-to-come", place, format!("{month} is no month of the calendar"), "ask for another month")
}
