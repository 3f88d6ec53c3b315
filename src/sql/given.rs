//! The tables that are there before any source is read: the law, the code lists, the periods of a calendar.
//!
//! This file must not know what a select makes of them.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Date32Array, Int64Array, RecordBatch, StringArray};
use datafusion::arrow::datatypes::{Field, Schema};
use jiff::civil::Date;

use crate::calendar::{Day, civil, to_days};
use crate::pipeline::Pipeline;
use crate::pipeline::law::{Rule, Term};
use crate::tables::{Table, TableName};

/// The tables that exist before any source is read: the law of a day as known on a day, the public code lists,
/// the months, quarters and years around it, and the standard tables that may be left out, empty until a staging
/// file fills them.
///
/// A rule is two tables. `law.<rule>(key, value, unit, rule_version)` is in force on the day; a rule that is not is
/// an empty table. `law_versions.<rule>(key, value, rule_version, in_force_from, in_force_to)` has every term;
/// they do not overlap, and the last day of one without an end is 9999-12-31.
pub fn given_tables(pipeline: &Pipeline, day: impl Into<Day>) -> Vec<(TableName, Table)> {
    let day = day.into();
    let mut tables = Vec::new();
    for rule in &pipeline.law.rules {
        tables.extend(in_force(rule, day));
        tables.extend(terms(rule, day));
    }
    for standard in pipeline.standard_tables.iter().filter(|standard| standard.optional) {
        let columns = standard.columns.iter();
        let fields: Vec<Field> = columns.map(|column| Field::new(&column.name, column.kind.arrow(), true)).collect();
        let empty = Table { schema: Arc::new(Schema::new(fields)), batches: Vec::new() };
        tables.push((TableName::new("staging", &standard.name), empty));
    }
    let communes = &pipeline.unit.communes;
    let codes: StringArray = communes.iter().map(|commune| Some(commune.code.clone())).collect();
    let names: StringArray = communes.iter().map(|commune| Some(commune.name.vi.clone())).collect();
    let columns: Vec<(&str, ArrayRef)> = vec![("commune_code", Arc::new(codes)), ("name", Arc::new(names))];
    tables.extend(table("codes", "communes", columns));
    let pairs =
        pipeline.procedure_groups.iter().flat_map(|group| group.procedures.iter().map(move |code| (code, &group.id)));
    let (codes, groups): (Vec<_>, Vec<_>) = pairs.map(|(code, id)| (Some(code.clone()), Some(id.clone()))).unzip();
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("procedure_code", Arc::new(StringArray::from(codes))),
        ("procedure_group", Arc::new(StringArray::from(groups))),
    ];
    tables.extend(table("codes", "procedures", columns));
    tables.extend(options(pipeline, day));
    tables.extend(periods(day.as_of.date(), pipeline.until(day.as_of)));
    tables
}

/// `codes.options(outcome, option_id, via, procedure_code)`: the ways that are in force on the day.
fn options(pipeline: &Pipeline, day: Day) -> Option<(TableName, Table)> {
    let outcomes = pipeline.options.outcomes.iter();
    let open: Vec<_> = outcomes
        .flat_map(|outcome| outcome.ways.iter().map(move |way| (outcome, way)))
        .filter(|(_, way)| way.in_force(day.as_of))
        .collect();
    let words = |word: &dyn Fn(usize) -> Option<String>| (0..open.len()).map(word).collect::<StringArray>();
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("outcome", Arc::new(words(&|at| open.get(at).map(|(outcome, _)| outcome.id.clone())))),
        ("option_id", Arc::new(words(&|at| open.get(at).map(|(_, way)| way.id.clone())))),
        ("via", Arc::new(words(&|at| open.get(at).map(|(_, way)| way.via.word().to_owned())))),
        ("procedure_code", Arc::new(words(&|at| open.get(at).and_then(|(_, way)| way.procedure_code.clone())))),
    ];
    table("codes", "options", columns)
}

/// The tables of the schema `calendar`, with the length of their periods.
pub const PERIODS: [(&str, i64); 3] = [("months", 1), ("quarters", 3), ("years", 12)];

/// `calendar.months`, `calendar.quarters` and `calendar.years(first_day, last_day)`: every one from three
/// years before the year of `as_of` to two years after the year of `until`. They need no holidays.
fn periods(as_of: Date, until: Date) -> Vec<(TableName, Table)> {
    let (first, last) = (i64::from(as_of.year()) - 3, i64::from(until.year()) + 2);
    let made = PERIODS.iter().filter_map(|(name, months)| {
        let firsts = (first * 12..(last + 1) * 12).filter(|month| month.rem_euclid(*months) == 0);
        let days = firsts.filter_map(|month| {
            let day = |month: i64| civil::join(month.div_euclid(12), month.rem_euclid(12) + 1, 1);
            Some((day(month)?, day(month + months)?.checked_sub(1)?))
        });
        let (firsts, lasts): (Vec<i32>, Vec<i32>) = days.unzip();
        let columns: Vec<(&str, ArrayRef)> =
            vec![("first_day", Arc::new(Date32Array::from(firsts))), ("last_day", Arc::new(Date32Array::from(lasts)))];
        table("calendar", name, columns)
    });
    made.collect()
}

fn in_force(rule: &Rule, day: Day) -> Option<(TableName, Table)> {
    let version = rule.in_force(day);
    let values = version.map(|version| version.values.as_slice()).unwrap_or_default();
    let name = version.map(|version| rule.version_name(version));
    let keys: StringArray = values.iter().map(|(key, _)| key.clone()).collect();
    let numbers: Int64Array = values.iter().map(|(_, value)| Some(*value)).collect();
    let units: StringArray = values.iter().map(|_| Some(rule.unit.clone())).collect();
    let versions: StringArray = values.iter().map(|_| name.clone()).collect();
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("key", Arc::new(keys)),
        ("value", Arc::new(numbers)),
        ("unit", Arc::new(units)),
        ("rule_version", Arc::new(versions)),
    ];
    table("law", &rule.name, columns)
}

fn terms(rule: &Rule, day: Day) -> Option<(TableName, Table)> {
    let terms = rule.terms(day.known_on);
    let rows: Vec<_> =
        terms.iter().flat_map(|term| term.version.values.iter().map(move |value| (term, value))).collect();
    let keys: StringArray = rows.iter().map(|(_, (key, _))| key.clone()).collect();
    let numbers: Int64Array = rows.iter().map(|(_, (_, value))| Some(*value)).collect();
    let versions: StringArray = rows.iter().map(|(term, _)| Some(rule.version_name(term.version))).collect();
    let dates = |date: fn(&Term<'_>) -> Date| -> Date32Array {
        rows.iter().map(|(term, _)| Some(to_days(date(term)))).collect()
    };
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("key", Arc::new(keys)),
        ("value", Arc::new(numbers)),
        ("rule_version", Arc::new(versions)),
        ("in_force_from", Arc::new(dates(|term| term.from))),
        ("in_force_to", Arc::new(dates(|term| term.to))),
    ];
    table("law_versions", &rule.name, columns)
}

fn table(schema: &str, name: &str, columns: Vec<(&str, ArrayRef)>) -> Option<(TableName, Table)> {
    let fields: Vec<Field> =
        columns.iter().map(|(name, array)| Field::new(*name, array.data_type().clone(), true)).collect();
    let arrays = columns.into_iter().map(|(_, array)| array).collect();
    let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).ok()?;
    Some((TableName::new(schema, name), Table::from_batch(batch)))
}
