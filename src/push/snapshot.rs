//! What the rating system is told of a period: published figures in the portal's shape, by unit.
//!
//! Scores are left to the portal, which computes them by its own decision; `score` and `maxScore` are there and null. A
//! figure that disclosure control does not show is null with a flag that says why: that is no gap in the snapshot. A unit
//! of the list that lacks a metric is one, and makes the snapshot `partial`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::Error;
use crate::personal::sha256;
use crate::publication::{Standing, StandingTable};
use crate::tables::Table;

/// The version of the payload.
pub const VERSION: &str = "1.0";

/// A share that the portal is told: its stem in our tables, its code and group there, and the columns that make its
/// numerator, of which the first set that a table has is taken.
struct Metric {
    stem: &'static str,
    code: &'static str,
    group: &'static str,
    numerators: &'static [&'static [&'static str]],
}

/// Groups as on the portal: satisfaction, progress, online services.
const METRICS: [Metric; 3] = [
    Metric {
        stem: "satisfied",
        code: "RATING_SATISFIED",
        group: "MDHL",
        numerators: &[&["satisfied"], &["level_4", "level_5"]],
    },
    Metric {
        stem: "on_time",
        code: "DOSSIER_ON_TIME",
        group: "TDGQ",
        numerators: &[&["on_time"], &["on_time_online", "on_time_offline"]],
    },
    Metric {
        stem: "online",
        code: "DOSSIER_ONLINE",
        group: "CLGQ",
        numerators: &[&["online"], &["on_time_online", "late_online"]],
    },
];

/// What is published of one period, as the rating system takes it.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    period: String,
    head: Map<String, Value>,
    units: BTreeMap<String, Value>,
    is_complete: bool,
    digest: String,
}

impl Snapshot {
    /// From what stands on the shelf. `department` is the agency's code in the national list, `communes` are the codes of
    /// its units; a commune is `department.code`.
    ///
    /// # Errors
    ///
    /// [`Error::Table`] where a published table has a column of another type.
    pub fn of(standing: &Standing, department: &str, communes: &[String]) -> Result<Snapshot, Error> {
        let expected: BTreeSet<String> =
            communes.iter().map(|code| format!("{department}.{code}")).chain([department.to_owned()]).collect();
        let mut units: BTreeMap<String, BTreeMap<&str, Value>> = BTreeMap::new();
        let mut sources = Vec::new();
        for table in &standing.tables {
            let told = metrics_of(table, department)?;
            if !told.is_empty() {
                sources.push(json!({ "table": table.name, "place": table.place, "edition": table.edition }));
            }
            for (unit, code, metric) in told.into_iter().filter(|(unit, ..)| expected.contains(unit)) {
                // Two tables may show the same share: the first in the order of their names is told.
                units.entry(unit).or_default().entry(code).or_insert(metric);
            }
        }
        let is_whole = |unit: &String| units.get(unit).is_some_and(|metrics| metrics.len() == METRICS.len());
        let is_complete = expected.iter().all(is_whole);
        let units: BTreeMap<String, Value> = units
            .into_iter()
            .map(|(unit, metrics)| {
                let metrics: Vec<Value> = metrics.into_values().collect();
                (unit.clone(), json!({ "departmentCode": unit, "metrics": metrics }))
            })
            .collect();
        let head = json!({
            "version": VERSION, "departmentCode": department, "timeType": standing.kind, "year": standing.year,
            standing.kind: standing.number, "revision": standing.restated, "sources": sources,
        });
        let head = head.as_object().cloned().unwrap_or_default();
        // serde_json keeps the keys of an object in alphabetical order: the text is canonical.
        let digest = sha256(json!({ "head": head, "units": units, "complete": is_complete }).to_string().as_bytes());
        Ok(Snapshot { period: standing.period.clone(), head, units, is_complete, digest })
    }

    /// `2026-10` or `2026-Q3`.
    pub fn period(&self) -> &str {
        &self.period
    }

    /// SHA-256 of what it says: another one is another snapshot.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Whether every unit of the list has every metric.
    pub fn is_complete(&self) -> bool {
        self.is_complete
    }

    /// The units it speaks of, by their codes.
    pub fn units(&self) -> impl Iterator<Item = &String> {
        self.units.keys()
    }

    /// The key by which the portal knows a message of these units of this snapshot, whenever it comes again.
    pub fn idempotency_key(&self, units: &[String]) -> String {
        sha256(format!("{}\n{}", self.digest, units.join("\n")).as_bytes())
    }

    /// The message about these units, as bytes of JSON.
    ///
    /// # Errors
    ///
    /// [`Error::Json`]
    pub fn body(&self, units: &[String]) -> Result<Vec<u8>, Error> {
        let evaluations: Vec<&Value> = units.iter().filter_map(|unit| self.units.get(unit)).collect();
        let mut body = self.head.clone();
        let status = if self.is_complete { "complete" } else { "partial" };
        let about = json!({ "digest": self.digest, "status": status, "units": self.units.len() });
        body.insert("snapshot".into(), about);
        body.insert("evaluations".into(), json!(evaluations));
        serde_json::to_vec(&body).map_err(|source| Error::Json { period: self.period.clone(), source })
    }
}

/// Unit, code and metric of every row of a table that speaks of units alone.
fn metrics_of(table: &StandingTable, department: &str) -> Result<Vec<(String, &'static str, Value)>, Error> {
    let rows = Table::from_batch(table.rows.clone());
    let is_of_units = !rows.has("procedure_group") && rows.has("count") && rows.has("status");
    let mut told = Vec::new();
    if !is_of_units {
        return Ok(told);
    }
    let failed = |source| Error::Table { table: table.name.clone(), source };
    let units: Vec<String> = match rows.has("commune_code") {
        true => {
            let codes = rows.texts("commune_code").map_err(failed)?;
            codes.into_iter().map(|code| format!("{department}.{}", code.unwrap_or_default())).collect()
        }
        false => vec![department.to_owned(); rows.rows()],
    };
    let flags = rows.texts("status").map_err(failed)?;
    let counts = rows.ints("count").map_err(failed)?;
    for metric in &METRICS {
        let percent = format!("{}_percent", metric.stem);
        let Some(numerator) = metric.numerators.iter().find(|columns| columns.iter().all(|column| rows.has(column)))
        else {
            continue;
        };
        if !rows.has(&percent) {
            continue;
        }
        let column = |end: &str| rows.floats(&format!("{percent}{end}")).map_err(failed);
        let (ratios, lows, highs) = (column("")?, column("_low")?, column("_high")?);
        let mut parts = vec![Some(0_i64); rows.rows()];
        for column in *numerator {
            let values = rows.ints(column).map_err(failed)?;
            parts.iter_mut().zip(values).for_each(|(sum, value)| *sum = sum.and_then(|sum| sum.checked_add(value?)));
        }
        let figures = units.iter().zip(&flags).zip(&counts).zip(parts).zip(ratios).zip(lows).zip(highs);
        for ((((((unit, flag), count), part), ratio), low), high) in figures {
            let share = |percent: Option<f64>| percent.map(|percent| (percent * 10.0).round() / 1000.0);
            let value = json!({
                "code": metric.code, "group": metric.group, "flag": flag, "numerator": ratio.and(part),
                "denominator": count, "ratio": share(ratio), "ratioLow": share(low), "ratioHigh": share(high),
                "score": null, "maxScore": null,
            });
            told.push((unit.clone(), metric.code, value));
        }
    }
    Ok(told)
}
