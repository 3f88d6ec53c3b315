//! Score sheets by a decision, as their released tables give them: one unit's metrics, by group of the index.
//!
//! Only what may be published exactly is in such a table, so that no sum is shown of a whole index.

use std::collections::BTreeMap;

use serde::Serialize;

use super::markup::short;
use super::words::{self, Words};
use crate::language::Language;
use crate::publication::period::Period;
use crate::publication::{Error, Labels, Sheet};
use crate::tables::{self, Table};

/// The latest sheet of each table of scores.
pub(super) struct Sheets<'s> {
    sheets: Vec<(&'s Sheet<'s>, BTreeMap<String, Vec<Row>>)>,
}

/// One metric of one unit.
struct Row {
    metric: String,
    counts: Option<(i64, i64)>,
    percent: Option<f64>,
    score: Option<f64>,
    maximum: Option<f64>,
}

/// The sheet of one unit.
#[derive(Serialize)]
pub(super) struct Shown {
    title: String,
    period: String,
    id: String,
    groups: Vec<Group>,
}

/// The metrics of one group of the index.
#[derive(Serialize)]
struct Group {
    title: String,
    /// The sum of the points that are shown, and the most that these metrics could give.
    points: Option<String>,
    metrics: Vec<Shape>,
}

#[derive(Serialize)]
struct Shape {
    name: String,
    percent: Option<String>,
    /// Where the bar ends, in per cent of its width.
    bar: Option<String>,
    counts: String,
    points: String,
}

impl<'s> Sheets<'s> {
    /// Reads what has the columns of a score sheet.
    pub(super) fn read(sheets: &'s [Sheet<'s>]) -> Result<Self, Error> {
        let mut latest: BTreeMap<&str, &Sheet> = BTreeMap::new();
        for sheet in sheets.iter().filter(|sheet| sheet.noise.is_none() && sheet.has("metric") && sheet.has("maximum"))
        {
            latest.insert(sheet.name, sheet);
        }
        let mut all = Vec::new();
        for sheet in latest.into_values() {
            let rows = rows(sheet).map_err(|source| Error::Column { table: sheet.name.to_owned(), source })?;
            all.push((sheet, rows));
        }
        Ok(Sheets { sheets: all })
    }

    /// The sheets themselves, for the account of them.
    pub(super) fn sources(&self) -> impl Iterator<Item = &'s Sheet<'s>> {
        self.sheets.iter().map(|(sheet, _)| *sheet)
    }

    /// Whether they say anything of a unit.
    pub(super) fn knows(&self, unit: &str) -> bool {
        self.sheets.iter().any(|(_, units)| units.contains_key(unit))
    }

    /// What they say of a unit.
    pub(super) fn shown(&self, unit: &str, labels: &Labels, language: Language) -> Vec<Shown> {
        let of = |(sheet, units): &(&Sheet, BTreeMap<String, Vec<Row>>)| {
            let rows = units.get(unit)?;
            let period: Period = sheet.period;
            Some(Shown {
                title: sheet.title().get(language).to_owned(),
                period: words::capital(&period.words(language)),
                id: format!("scores-{}", sheet.name),
                groups: groups(rows, labels, language),
            })
        };
        self.sheets.iter().filter_map(of).collect()
    }
}

fn rows(sheet: &Sheet) -> Result<BTreeMap<String, Vec<Row>>, tables::Error> {
    let table = Table::from_batch(sheet.table.clone());
    let (units, metrics) = (table.texts("commune_code")?, table.texts("metric")?);
    let (numerators, denominators) = (table.ints("numerator")?, table.ints("denominator")?);
    let (percents, scores, maxima) = (table.floats("percent")?, table.floats("score")?, table.floats("maximum")?);
    let mut rows: BTreeMap<String, Vec<Row>> = BTreeMap::new();
    for (at, (unit, metric)) in units.into_iter().zip(metrics).enumerate() {
        let count = |counts: &[Option<i64>]| counts.get(at).copied().flatten();
        let number = |numbers: &[Option<f64>]| numbers.get(at).copied().flatten();
        rows.entry(unit.unwrap_or_default()).or_default().push(Row {
            metric: metric.unwrap_or_default(),
            counts: count(&numerators).zip(count(&denominators)),
            percent: number(&percents),
            score: number(&scores),
            maximum: number(&maxima),
        });
    }
    Ok(rows)
}

fn groups(rows: &[Row], labels: &Labels, language: Language) -> Vec<Group> {
    let mut groups: Vec<(Group, f64, f64)> = Vec::new();
    for row in rows {
        let known = labels.metrics.iter().find(|metric| metric.code == row.metric);
        let title = known.map(|metric| metric.group.get(language).to_owned()).unwrap_or_default();
        if !groups.iter().any(|(group, _, _)| group.title == title) {
            groups.push((Group { title: title.clone(), points: None, metrics: Vec::new() }, 0.0, 0.0));
        }
        let Some((group, sum, most)) = groups.iter_mut().find(|(group, _, _)| group.title == title) else { continue };
        if let (Some(score), Some(maximum)) = (row.score, row.maximum) {
            *sum += score;
            *most += maximum;
        }
        let name = known.map_or(row.metric.as_str(), |metric| metric.name.get(language));
        group.metrics.push(shape(row, name, language));
    }
    let close = |(mut group, sum, most): (Group, f64, f64)| {
        group.points = (most > 0.0).then(|| of_most(sum, most, language));
        group
    };
    groups.into_iter().map(close).collect()
}

fn shape(row: &Row, name: &str, language: Language) -> Shape {
    let t = Words::of(language);
    let said = |value: Option<String>| value.unwrap_or_else(|| t.not_published_short.to_owned());
    Shape {
        name: name.to_owned(),
        percent: row.percent.map(|percent| words::percent(percent, language)),
        bar: row.percent.map(|percent| short(percent.clamp(0.0, 100.0))),
        counts: match row.counts {
            Some((part, whole)) => format!("{} / {}", words::whole(part, language), words::whole(whole, language)),
            None => t.withheld.to_owned(),
        },
        points: said(row.score.zip(row.maximum).map(|(score, most)| of_most(score, most, language))),
    }
}

/// "7,25 / 8".
fn of_most(score: f64, most: f64, language: Language) -> String {
    format!("{} / {}", words::decimal(score, 2, language), words::decimal(most, 0, language))
}
