//! Score sheets by a decision, as their released tables give them: one unit's metrics, by group of the index.
//!
//! Only what may be published exactly is in such a table: beside each sum stands how many of the group's points it is of.
//! A sheet of the whole unit alone is an overview, in which a group without any such point has its place too.

use std::collections::BTreeMap;

use serde::Serialize;

use super::markup::short;
use super::words::{self, Words};
use crate::language::Language;
use crate::publication::period::Period;
use crate::publication::{Error, Labels, Metric, Sheet};
use crate::tables::{self, Table};

/// What stands where there is nothing to be counted.
const NOTHING: &str = "–";

/// The latest sheet of each table of scores.
pub(super) struct Sheets<'s> {
    sheets: Vec<(&'s Sheet<'s>, BTreeMap<String, Vec<Row>>)>,
}

/// One metric of one unit.
struct Row {
    metric: String,
    is_withheld: bool,
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
    /// How many points of the whole index are published, and how many of them were reached.
    reading: Option<String>,
    groups: Vec<Group>,
}

/// The metrics of one group of the index.
#[derive(Serialize)]
struct Group {
    title: String,
    /// How many of the group's points are published, where these are not all.
    note: Option<String>,
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
            let definition = sheet.provenance.definition.as_str();
            let known: Vec<&Metric> = labels.metrics.iter().filter(|metric| metric.definition == definition).collect();
            let (groups, reading) = groups(rows, &known, units.len() == 1, language);
            Some(Shown {
                title: sheet.title().get(language).to_owned(),
                period: words::capital(&period.words(language)),
                id: format!("scores-{}", sheet.name),
                reading,
                groups,
            })
        };
        self.sheets.iter().filter_map(of).collect()
    }
}

fn rows(sheet: &Sheet) -> Result<BTreeMap<String, Vec<Row>>, tables::Error> {
    let table = Table::from_batch(sheet.table.clone());
    let (units, metrics) = (table.texts("commune_code")?, table.texts("metric")?);
    let (numerators, denominators) = (table.ints("numerator")?, table.ints("denominator")?);
    let status = table.texts("status")?;
    let (percents, scores, maxima) = (table.floats("percent")?, table.floats("score")?, table.floats("maximum")?);
    let mut rows: BTreeMap<String, Vec<Row>> = BTreeMap::new();
    for (at, (unit, metric)) in units.into_iter().zip(metrics).enumerate() {
        let count = |counts: &[Option<i64>]| counts.get(at).copied().flatten();
        let number = |numbers: &[Option<f64>]| numbers.get(at).copied().flatten();
        rows.entry(unit.unwrap_or_default()).or_default().push(Row {
            metric: metric.unwrap_or_default(),
            is_withheld: status.get(at).and_then(Option::as_deref) == Some("withheld"),
            counts: count(&numerators).zip(count(&denominators)),
            percent: number(&percents),
            score: number(&scores),
            maximum: number(&maxima),
        });
    }
    Ok(rows)
}

/// The groups in the order of the index, and the reading of an overview.
fn groups(rows: &[Row], known: &[&Metric], is_overview: bool, language: Language) -> (Vec<Group>, Option<String>) {
    let mut titles: Vec<(&str, Option<i64>)> = Vec::new();
    for metric in known {
        let title = metric.group.get(language);
        if !titles.iter().any(|(other, _)| *other == title) {
            titles.push((title, metric.group_maximum));
        }
    }
    let title_of = |row: &Row| {
        known.iter().find(|metric| metric.code == row.metric).map_or("", |metric| metric.group.get(language))
    };
    if rows.iter().any(|row| title_of(row).is_empty()) {
        titles.push(("", None));
    }
    let (mut groups, mut reached, mut published, mut whole) = (Vec::new(), 0.0, 0.0, 0);
    for (title, maximum) in titles {
        let own: Vec<&Row> = rows.iter().filter(|row| title_of(row) == title).collect();
        let scored = own.iter().filter_map(|row| row.score.zip(row.maximum));
        let (sum, most) = scored.fold((0.0, 0.0), |(sum, most), (score, maximum)| (sum + score, most + maximum));
        let all = maximum.unwrap_or(0);
        (reached, published, whole) = (reached + sum, published + most, whole + all);
        if own.is_empty() && !(is_overview && all > 0) {
            continue;
        }
        let metrics = own.iter().map(|row| {
            let name = known.iter().find(|metric| metric.code == row.metric);
            shape(row, name.map_or(row.metric.as_str(), |metric| metric.name.get(language)), language)
        });
        groups.push(Group {
            title: title.to_owned(),
            note: (is_overview && most < all as f64).then(|| words::part_of_points(most, all, language)),
            points: (most > 0.0).then(|| of_most(sum, most, language)),
            metrics: metrics.collect(),
        });
    }
    let reading = (is_overview && whole > 0).then(|| words::points_reached(reached, published, whole, language));
    (groups, reading)
}

fn shape(row: &Row, name: &str, language: Language) -> Shape {
    let t = Words::of(language);
    // What is given and not counted has points and nothing else.
    let is_given = row.score.is_some() && row.counts.is_none() && !row.is_withheld;
    let said = |value: Option<String>| value.unwrap_or_else(|| t.not_published_short.to_owned());
    Shape {
        name: name.to_owned(),
        percent: match row.percent {
            Some(percent) => Some(words::percent(percent, language)),
            None => is_given.then(|| NOTHING.to_owned()),
        },
        bar: row.percent.map(|percent| short(percent.clamp(0.0, 100.0))),
        counts: match row.counts {
            Some((part, whole)) => format!("{} / {}", words::whole(part, language), words::whole(whole, language)),
            None if is_given => NOTHING.to_owned(),
            None => t.withheld.to_owned(),
        },
        points: said(row.score.zip(row.maximum).map(|(score, most)| of_most(score, most, language))),
    }
}

/// "7,25 / 8".
fn of_most(score: f64, most: f64, language: Language) -> String {
    format!("{} / {}", words::decimal(score, 2, language), words::decimal(most, 0, language))
}
