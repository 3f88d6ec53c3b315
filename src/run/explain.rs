//! Why an obligation is due on its day: for whoever asks, and for keeping with each message.
//!
//! Who asks later gets it from what is kept of the night, touching no source: its landed generations
//! are read again with the law and the calendar as they were known then; the select of the item tells how
//! it came to the date, for that one obligation. What a night that sends keeps with each message is made in
//! [`accounts`](super::accounts).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::StringArray;
use arrow::datatypes::{DataType, Field, Schema};
use jiff::Timestamp;
use jiff::civil::Date;
use serde_json::Value;

use crate::calendar::{AsOf, vietnam};
use crate::check::{Checked, contract};
use crate::fault::{Explain, Fault, Place};
use crate::landing;
use crate::ledger::Ledger;
use crate::obligations::explain::{self, Due, Explanation, Night, Provenance, SourceField};
use crate::obligations::{self, key_of};
use crate::personal::{Personal, PseudonymKey};
use crate::pipeline::{Item, Pipeline};
use crate::sql::Engine;
use crate::sql::cases::{Bench, Case};
use crate::sql::engine::{Bound, given_tables};
use crate::sql::steps::{KEYS, TOLD};
use crate::tables::{Table, TableName};
use crate::world::World;

/// The fewest signs of a key that name an obligation.
const PREFIX_MIN: usize = 4;

/// What ends a fault of a key: where keys are printed.
const WHERE_KEYS_ARE: &str =
    "look for it with `chudong ledger list --kind messages.recorded`: key of the message, and obligation";

/// Explains the one obligation whose key begins so, by the night of a date, or by the last that ended.
pub async fn explain(
    world: &World,
    checked: &Checked,
    prefix: &str,
    night: Option<AsOf>,
) -> Result<Explanation, Fault> {
    let prefix = key_prefix(prefix)?;
    let ledger = super::ledger_of(world, checked)?.ok_or_else(|| none_yet(world))?;
    let night = match night {
        Some(night) => night,
        None => last_night(&ledger)?.ok_or_else(|| none_yet(world))?,
    };
    let key = world.pseudonym_key_or_new().map_err(|error| error.fault())?;
    let known = ledger.obligations_like(&prefix, 2).map_err(|error| error.fault())?;
    let items: BTreeSet<&str> = known.iter().map(|(item, _)| item.as_str()).collect();
    let kept = Kept::new(world, checked, night)?;
    let mut found: Vec<(&Item, Row)> = Vec::new();
    for item in &checked.pipeline.items {
        if items.is_empty() || items.contains(item.id.as_str()) {
            found.extend(kept.rows(item, &prefix, &key).await?.into_iter().map(|row| (item, row)));
        }
    }
    let keys: BTreeSet<&str> = found.iter().map(|(_, row)| row.key.as_str()).collect();
    let place = || Place::Thing("the key".into());
    let (item, row) = match (keys.len(), found.first()) {
        (1, Some(found)) => found,
        (0, _) | (_, None) => {
            let what = match kept.missing.is_empty() {
                true => format!("no obligation of the night of {night} has a key that begins so"),
                false => format!(
                    "no obligation of the night of {night} has a key that begins so, in what is kept of it: {} is not",
                    kept.missing.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
                ),
            };
            let next = format!("{WHERE_KEYS_ARE}; name its night with --as-of; what was stored is --message KEY");
            return Err(Fault::new("explain.unknown-key", place(), what, next));
        }
        (several, _) => {
            let what = format!("{several} obligations have a key that begins so");
            return Err(Fault::new("explain.ambiguous-key", place(), what, "give more of the key"));
        }
    };
    let pulled = ledger.pulled_at(night).map_err(|error| error.fault())?;
    let mut explanation = kept.explain(item, row, &provenance(checked, &pulled)).await?;
    let recorded = recorded_due_on(&ledger, &item.id, &row.key, night)?;
    explanation.recorded_due_on = recorded.filter(|recorded| *recorded != explanation.due_on);
    Ok(explanation)
}

/// The due day of an obligation as the ledger knew it after a night; none where it was not followed by then.
fn recorded_due_on(ledger: &Ledger, item: &str, key: &str, night: AsOf) -> Result<Option<Date>, Fault> {
    let life = ledger.life(item, key).map_err(|error| error.fault())?;
    let date = |line: &Value, at: &str| line.pointer(at).and_then(Value::as_str).and_then(|text| text.parse().ok());
    let mut until = life.iter().filter(|line| date(line, "/as_of").is_some_and(|as_of: Date| as_of <= night.date()));
    // The fourth cell of a change is the due day.
    Ok(until.next_back().and_then(|line| date(line, "/change/3")))
}

/// Whether the obligations that a case gives are what a night takes: each once, and each by versions of its item's own
/// rules. A case of another table has none.
pub async fn is_taken(pipeline: &Pipeline, bench: &Bench<'_>, case: &Case) -> Result<(), Fault> {
    let Some(item) = pipeline.item(&case.model.table).filter(|_| case.model.schema == "obligations") else {
        return Ok(());
    };
    let told = bench.told(case).await.map_err(|error| error.fault())?;
    obligations::names_own_rules(item, &pipeline.law, &told).map_err(|error| error.fault())?;
    obligations::once_each(item, &bench.grain(case), &told).map_err(|error| error.fault())
}

/// The explanation that was stored with the one message whose key begins so, and was not erased since.
pub fn stored(world: &World, prefix: &str) -> Result<Personal<String>, Fault> {
    let prefix = key_prefix(prefix)?;
    let ledger = Ledger::read(&world.state).map_err(|error| error.fault())?;
    let found = ledger.explanations_like(&prefix, 2).map_err(|error| error.fault())?;
    let place = || Place::Thing("the key".into());
    let (message, sealed) = match found.as_slice() {
        [one] => one,
        [] => {
            let what = "no message has a key that begins so and an explanation: it had none, or it was erased";
            return Err(Fault::new("explain.not-stored", place(), what, WHERE_KEYS_ARE));
        }
        _ => {
            let what = "several messages have a key that begins so";
            return Err(Fault::new("explain.ambiguous-key", place(), what, "give more of the key"));
        }
    };
    let key = world.opening_key().map_err(|error| error.fault())?;
    key.open(&message.0, sealed).ok_or_else(|| {
        let what = "the stored explanation cannot be opened: it was sealed with another key, or changed since";
        let next = "restore keys/sealing.key from your backup, and run chudong ledger verify";
        Fault::new("explain.sealed", Place::file(ledger.path()), what, next)
    })
}

/// The last night that ended.
pub(super) fn last_night(ledger: &Ledger) -> Result<Option<AsOf>, Fault> {
    let runs = ledger.runs().map_err(|error| error.fault())?;
    let ended = runs.iter().filter(|run| run.outcome.is_some()).filter_map(|run| run.as_of.parse().ok());
    Ok(ended.max())
}

pub(super) fn none_yet(world: &World) -> Fault {
    let next = "run a night first; what it decides can be explained";
    Fault::new("explain.no-night", Place::file(&world.state), "no night has ended here", next)
}

pub(super) fn key_prefix(prefix: &str) -> Result<String, Fault> {
    let prefix = prefix.trim().to_ascii_lowercase();
    let is_key = (PREFIX_MIN..=32).contains(&prefix.len()) && prefix.chars().all(|c| c.is_ascii_hexdigit());
    is_key.then_some(prefix).ok_or_else(|| {
        let what = format!("the key is not {PREFIX_MIN} to 32 hexadecimal digits");
        Fault::new("explain.key", Place::Thing("the key".into()), what, WHERE_KEYS_ARE)
    })
}

/// One obligation as its night gave it.
pub(super) struct Row {
    pub(super) key: String,
    subject: String,
    object: Option<String>,
    period: String,
}

/// What is kept of a night: its tables, readable.
pub(super) struct Kept<'a> {
    checked: &'a Checked,
    night: AsOf,
    pub(super) engine: Engine,
    /// Landed tables of which nothing is kept, and what is made from them.
    missing: BTreeSet<TableName>,
}

impl<'a> Kept<'a> {
    pub(super) fn new(world: &World, checked: &'a Checked, night: AsOf) -> Result<Self, Fault> {
        let pipeline = &checked.pipeline;
        let calendar = pipeline.calendar.known_on(night.date());
        let engine = Engine::with_calendar(calendar).map_err(|error| error.fault())?;
        for (name, table) in given_tables(pipeline, night) {
            engine.register(&name, &table).map_err(|error| error.fault())?;
        }
        let (mut missing, mut found) = (BTreeSet::new(), 0);
        for source in &pipeline.sources {
            for table in &source.tables {
                let name = TableName::new(&source.name, &table.name);
                let stored =
                    landing::of_night(&world.landing(), source, table, night).map_err(|error| error.fault())?;
                match stored {
                    Some(stored) => {
                        engine.register_stored(&name, &stored).map_err(|error| error.fault())?;
                        found += 1;
                    }
                    None => drop(missing.insert(name)),
                }
            }
        }
        if found == 0 {
            let what = format!("nothing that was landed for the night of {night} is kept any more");
            let next = "ask for what was stored with the message: chudong explain --message KEY";
            return Err(Fault::new("explain.not-kept", Place::file(world.landing()), what, next));
        }
        Ok(Kept { checked, night, engine, missing })
    }

    /// The obligations of an item whose key begins so; none where its tables are not kept.
    async fn rows(&self, item: &Item, prefix: &str, key: &PseudonymKey) -> Result<Vec<Row>, Fault> {
        let name = TableName::new("obligations", &item.id);
        let Some(model) = self.checked.library.model(&name) else { return Ok(Vec::new()) };
        if !self.stage(&model.reads).await? {
            return Ok(Vec::new());
        }
        let bound = self.bound(Some(item));
        let table = self.engine.build(model, &bound, contract(&self.checked.pipeline, model).as_ref()).await;
        let table = table.map_err(|error| error.fault())?;
        Ok(rows(item, &table, key, |key| key.starts_with(prefix)))
    }

    async fn explain(&self, item: &Item, row: &Row, provenance: &Provenance) -> Result<Explanation, Fault> {
        let name = TableName::new("obligations", &item.id);
        let lost = || explain::Error::Account { item: item.id.clone() }.fault();
        let model = self.checked.library.model(&name).ok_or_else(lost)?;
        let keys = keys(&[(row.subject.as_str(), row.object.as_deref(), row.period.as_str())]);
        let told = self.engine.steps(model, &self.bound(Some(item)), "due_on", Some(&keys)).await;
        let told = told.map_err(|error| error.fault())?;
        let one = |column: &str| told.texts(column).ok().and_then(|texts| texts.into_iter().next().flatten());
        let on = told.dates("due_on").ok().and_then(|dates| dates.into_iter().next().flatten());
        let (on, rule_version, account) = match (on, one("rule_version"), one(TOLD)) {
            (Some(on), Some(rule_version), Some(account)) => (on, rule_version, account),
            _ => return Err(lost()),
        };
        let done_on = told.dates("fulfilled_on").ok().and_then(|dates| dates.into_iter().next().flatten());
        let done = match done_on {
            Some(on) => {
                let told = self.engine.steps(model, &self.bound(Some(item)), "fulfilled_on", Some(&keys)).await;
                let told = told.map_err(|error| error.fault())?.texts(TOLD).unwrap_or_default();
                Some((on, told.into_iter().next().flatten().ok_or_else(lost)?))
            }
            None => None,
        };
        let fulfilled = done.as_ref().map(|(on, told)| (*on, told.as_str()));
        let due = Due { key: &row.key, on, rule_version: &rule_version, fulfilled };
        let night = of(&self.checked.pipeline, self.night);
        explain::explain(item, due, &account, night, provenance).map_err(|error| error.fault())
    }

    /// Makes these standard tables; whether all of them can be made from what is kept.
    pub(super) async fn stage(&self, wanted: &BTreeSet<TableName>) -> Result<bool, Fault> {
        let mut is_whole = true;
        for staging in self.checked.library.folder("staging").filter(|staging| wanted.contains(&staging.name)) {
            if staging.reads.iter().any(|table| self.missing.contains(table)) {
                is_whole = false;
                continue;
            }
            let pipeline = &self.checked.pipeline;
            let made = self.engine.build(staging, &self.bound(None), contract(pipeline, staging).as_ref()).await;
            let made = made.map_err(|error| error.fault())?;
            let standard = pipeline.standard_tables.iter().find(|table| table.name == staging.name.table);
            let Some(standard) = standard else { continue };
            // As on the night: rows on which nobody may rely are left out.
            let required = standard.columns.iter().filter(|column| !column.nullable);
            let required: Vec<&str> = required.map(|column| column.name.as_str()).collect();
            let sifted = made.sift(&required, &standard.grain).map_err(|error| {
                let next = "report this, with the lines above";
                Fault::new("explain.sift", Place::Table(staging.name.to_string()), error.to_string(), next)
            })?;
            self.engine.register(&staging.name, &sifted.0).map_err(|error| error.fault())?;
        }
        Ok(is_whole)
    }

    pub(super) fn bound(&self, item: Option<&Item>) -> Bound {
        let pipeline = &self.checked.pipeline;
        let everything = (pipeline.since(self.night), pipeline.until(self.night));
        let (since, until) = item.map_or(everything, |item| item.window(self.night));
        [("$as_of", self.night.date()), ("$until", until), ("$since", since)].into()
    }
}

/// The rows of an obligation table with their keys, in its order; none for a row without subject or period.
fn keyed<'t>(item: &'t Item, table: &Table, key: &'t PseudonymKey) -> impl Iterator<Item = Option<Row>> + use<'t> {
    let [subjects, objects, periods] = KEYS.map(|column| table.texts(column).unwrap_or_default());
    subjects.into_iter().zip(objects).zip(periods).map(|((subject, object), period)| {
        let (subject, period) = (subject?, period?);
        let key = key_of(&item.id, [&subject, object.as_deref().unwrap_or_default(), &period], key);
        Some(Row { key, subject, object, period })
    })
}

/// Those of which the key is wanted.
fn rows(item: &Item, table: &Table, key: &PseudonymKey, is_wanted: impl Fn(&str) -> bool) -> Vec<Row> {
    keyed(item, table, key).flatten().filter(|row| is_wanted(&row.key)).collect()
}

/// What the words of a night need of its installation.
pub(super) fn of(pipeline: &Pipeline, night: AsOf) -> Night<'_> {
    Night { as_of: night.date(), known_on: night.date(), law: &pipeline.law, calendar: &pipeline.calendar }
}

/// The rows of these subjects, objects and periods, as `sql::steps` asks for them.
pub(super) fn keys(rows: &[(&str, Option<&str>, &str)]) -> Table {
    let columns: [StringArray; 3] = [
        rows.iter().map(|(subject, _, _)| Some(*subject)).collect(),
        rows.iter().map(|(_, object, _)| *object).collect(),
        rows.iter().map(|(_, _, period)| Some(*period)).collect(),
    ];
    let fields: Vec<Field> = KEYS.iter().map(|name| Field::new(*name, DataType::Utf8, true)).collect();
    let schema = Arc::new(Schema::new(fields));
    let columns = columns.into_iter().map(|column| Arc::new(column) as _).collect();
    let batch = arrow::array::RecordBatch::try_new(Arc::clone(&schema), columns);
    Table { schema, batches: batch.into_iter().collect() }
}

/// Where each column of the standard tables comes from, and on what ground it was read.
pub(super) fn provenance(checked: &Checked, pulled: &BTreeMap<String, Timestamp>) -> Provenance {
    let mut provenance = Provenance::new();
    for model in checked.library.folder("staging") {
        let Some(reach) = checked.graph.reach(&model.name) else { continue };
        for (column, flow) in &reach.lineage.columns {
            let sources = flow.values().filter_map(|from| {
                let source = checked.pipeline.source(&from.table.schema)?;
                let at = pulled.get(&from.table.to_string()).map(|at| at.to_zoned(vietnam()).datetime());
                Some(SourceField {
                    column: from.to_string(),
                    source: source.title.clone(),
                    owner: source.authorisation.owner.clone(),
                    legal_ground: source.authorisation.legal_ground.clone(),
                    authorised_to: source.authorisation.to,
                    pulled_at: at,
                })
            });
            provenance.insert(format!("{}.{column}", model.name), sources.collect());
        }
    }
    provenance
}
