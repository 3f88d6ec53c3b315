//! From noisy counts to tables for everybody: pure post-processing, which costs no budget.
//!
//! **Quarters** are sums of three months; **province tables** are sums over the communes. **Counts** are the noisy
//! integers themselves, a negative one written as 0; the total is the sum of the bins before that, so that it is not
//! biased upwards. **Rolling up**: a cell whose noisy total is below the policy's `min_count` keeps its row and loses
//! its figures; a reader finds them included in the quarter, and for a quarter in the parent table.
//!
//! **Intervals** hold the noise alone, at 95 %. With `k` bins, of which `m` make a share, noise of parameter `σ` in each
//! measured count, and `q` measured counts added up in each published one (months, and communes for the province), the
//! total `n` has at most the variance `k q σ²` (that of a discrete Gaussian is at most `σ²`: Canonne, Kamath and
//! Steinke 2020, Cor. 9). The share `p = x / n` of the noisy numbers has, by the delta method, with
//! `var(x) = cov(x, n) = m q σ²`,
//!
//! ```text
//! var(p) ≈ (var(x) − 2 p cov(x, n) + p² var(n)) / n² = q σ² (m − 2 p m + p² k) / n²
//! ```
//!
//! For `σ = 4`, two bins, `p = 0.9` and `n = 100` the standard deviation is 3.6 points. Percentages are rounded to one
//! decimal, half away from zero, and stay within 0 and 100.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};

use super::bins::{Keys, names, shares};
use super::bounding::per_person;
use super::columns;
use super::draws::{Draws, Measured};
use super::released::{Account, Edition, Measurement, NoiseAccount, Provenance, Released};
use super::{Error, Month, Period, budget, request};
use crate::pipeline::{Dimension, Measure, PrivacyPolicy, ProcedureGroup, Rho, Unit};

/// The 97.5th percentile of the normal distribution: an interval of this many standard deviations to each side holds 95 %.
const NORMAL_975: f64 = 1.959_963_984_540_054;

/// The tables of one month, or of a quarter from the draws of its three months: the province, then each measure of the
/// policy, in its order.
pub fn release(
    draws: &[Draws],
    policy: &PrivacyPolicy,
    unit: &Unit,
    groups: &[ProcedureGroup],
) -> Result<Vec<Released>, Error> {
    let mut draws: Vec<&Draws> = draws.iter().collect();
    draws.sort_by_key(|draws| draws.month());
    let period = period_of(&draws)?;
    let keys = Keys::new(unit, groups);
    draws.iter().try_for_each(|draws| belongs(draws, policy, &keys))?;

    let mut released = Vec::new();
    for measure in &policy.measures {
        let Some(figures) = Figures::new(measure, &draws, period, policy) else { continue };
        if let Some(province) = figures.province(policy) {
            released.push(province.release(&draws, policy)?);
        }
        released.push(figures.release(&draws, policy)?);
    }
    Ok(released)
}

/// Whether draws were made by this policy over these code lists, so that they can be released under it.
///
/// # Errors
///
/// [`Error::OtherPolicy`] says what differs.
pub fn fits(draws: &Draws, policy: &PrivacyPolicy, unit: &Unit, groups: &[ProcedureGroup]) -> Result<(), Error> {
    belongs(draws, policy, &Keys::new(unit, groups))
}

fn period_of(draws: &[&Draws]) -> Result<Period, Error> {
    let months: Vec<Month> = draws.iter().map(|draws| draws.month()).collect();
    match months.as_slice() {
        [month] => return Ok(Period::Month(*month)),
        [first, _, _] if first.quarter().months() == months => return Ok(Period::Quarter(first.quarter())),
        _ => {}
    }
    let months: Vec<String> = months.iter().take(5).map(Month::to_string).collect();
    Err(Error::NotAPeriod { months: if months.is_empty() { "no month".into() } else { months.join(", ") } })
}

/// Refuses draws that were made by another policy or over other code lists: their cost and cells would be misstated.
fn belongs(draws: &Draws, policy: &PrivacyPolicy, keys: &Keys) -> Result<(), Error> {
    let other = |what: String| Error::OtherPolicy { month: draws.month(), policy: policy.policy.clone(), what };
    if draws.policy() != policy.policy {
        return Err(other(format!("they were made under {}", draws.policy())));
    }
    if draws.measures.len() != policy.measures.len() {
        return Err(other("another number of tables was measured".into()));
    }
    for measure in &policy.measures {
        let expected = Measured::empty(measure, per_person(measure, policy), keys);
        if !draws.measures.iter().any(|measured| measured.same_shape(&expected)) {
            return Err(other(format!("the table {} was measured otherwise, or over other code lists", measure.table)));
        }
    }
    Ok(())
}

/// The noisy counts of a table for a period.
struct Figures<'a> {
    table: String,
    derived_from: Option<String>,
    measure: &'a Measure,
    by: Vec<Dimension>,
    period: Period,
    keys: Vec<Vec<String>>,
    counts: Vec<Vec<i64>>,
    counts_added: u32,
    rolled_up_to: Option<String>,
}

impl<'a> Figures<'a> {
    /// The sum of the draws.
    fn new(measure: &'a Measure, draws: &[&Draws], period: Period, policy: &PrivacyPolicy) -> Option<Self> {
        let of_measure = |draws: &&'_ Draws| draws.measures.iter().find(|m| m.table == measure.table).cloned();
        let mut months = draws.iter().filter_map(of_measure);
        let Measured { keys, mut counts, .. } = months.next()?;
        for month in months {
            counts.iter_mut().zip(&month.counts).for_each(|(sum, row)| add(sum, row));
        }
        let rolled_up_to = match period {
            Period::Month(_) => Some("quarter".to_owned()),
            Period::Quarter(_) => parent(measure, policy),
        };
        Some(Figures {
            table: measure.table.clone(),
            derived_from: None,
            measure,
            by: measure.by.clone(),
            period,
            keys,
            counts,
            counts_added: u32::try_from(draws.len()).ok()?,
            rolled_up_to,
        })
    }

    /// The sum over the communes, where this is a table by commune and the policy does not measure the province itself.
    fn province(&self, policy: &PrivacyPolicy) -> Option<Self> {
        let table = province_table(self.measure)?;
        if policy.measures.iter().any(|measure| measure.table == table) {
            return None;
        }
        let mut sum = vec![0; names(self.measure.bins).len()];
        self.counts.iter().for_each(|row| add(&mut sum, row));
        let communes = u32::try_from(self.keys.len()).ok()?;
        Some(Figures {
            table,
            derived_from: Some(self.table.clone()),
            measure: self.measure,
            by: Vec::new(),
            period: self.period,
            keys: vec![Vec::new()],
            counts: vec![sum],
            counts_added: self.counts_added.checked_mul(communes)?,
            rolled_up_to: matches!(self.period, Period::Month(_)).then(|| "quarter".to_owned()),
        })
    }

    fn release(&self, draws: &[&Draws], policy: &PrivacyPolicy) -> Result<Released, Error> {
        let account = self.account(draws, policy)?;
        let failed = |source| Error::Build { table: self.table.clone(), period: self.period, source };
        let table = self.batch().map_err(failed)?;
        Ok(Released {
            name: self.table.clone(),
            title: columns::title(self.measure.of, &self.by),
            period: self.period,
            edition: Edition::Final,
            columns: columns::sheets(self.measure.of, &self.by, self.measure.bins, false, false),
            table,
            account: Account::Noise(Box::new(account)),
            provenance: Provenance::default(),
        })
    }

    fn account(&self, draws: &[&Draws], policy: &PrivacyPolicy) -> Result<NoiseAccount, Error> {
        let bound = per_person(self.measure, policy);
        let rho_month = request::cost_of(policy)?;
        let noise = f64::from(self.measure.sigma) * f64::from(self.counts_added).sqrt();
        let bins = names(self.measure.bins).len();
        Ok(NoiseAccount {
            months: draws.iter().map(|draws| draws.month()).collect(),
            release_ids: draws.iter().map(|draws| draws.release_id().to_owned()).collect(),
            policy: policy.policy.clone(),
            of: self.measure.of,
            by: self.by.clone(),
            bins: self.measure.bins,
            is_measured: self.derived_from.is_none(),
            sigma: self.measure.sigma,
            fitted_to: vec![Measurement {
                table: self.measure.table.clone(),
                editions: vec!["whole".into()],
                sigma_squared: vec![Rho::from_integer(i64::from(self.measure.sigma).pow(2))],
                rho: vec![budget::cost(bound, self.measure.sigma)?],
            }],
            bin_noise: vec![up(noise); bins],
            count_noise: up(noise * (bins as f64).sqrt()),
            interval_percent: 95,
            per_person: bound,
            rho_month,
            delta: policy.delta,
            epsilon_month: up(budget::epsilon(rho_month, policy.delta)),
            min_count: self.measure.min_count,
            rolled_up_to: self.rolled_up_to.clone(),
            invariants: Vec::new(),
        })
    }

    fn batch(&self) -> Result<RecordBatch, arrow::error::ArrowError> {
        let rows: Vec<Row> = self.counts.iter().map(|counts| self.row(counts)).collect();
        let mut columns = Columns::default();
        columns.texts("period", false, self.keys.iter().map(|_| Some(self.period.to_string())));
        for (place, dimension) in self.by.iter().enumerate() {
            columns.texts(dimension.column(), false, self.keys.iter().map(|key| key.get(place).cloned()));
        }
        let status = |row: &Row| if row.is_some() { "published" } else { "rolled_up" };
        columns.texts("status", false, rows.iter().map(|row| Some(status(row).to_owned())));
        let rolled_up_to = |row: &Row| if row.is_some() { None } else { self.rolled_up_to.clone() };
        columns.texts("rolled_up_to", true, rows.iter().map(rolled_up_to));

        let counts = ["count", "count_low", "count_high"].iter().chain(names(self.measure.bins));
        for (place, name) in counts.enumerate() {
            let values = rows.iter().map(|row| row.as_ref().and_then(|row| row.counts.get(place)).copied());
            columns.add(name, DataType::Int64, true, Arc::new(Int64Array::from_iter(values)));
        }
        for (share, first) in shares(self.measure.bins).iter().zip((0..).step_by(3)) {
            for (place, end) in (first..).zip(["_percent", "_percent_low", "_percent_high"]) {
                let values = rows.iter().map(|row| row.as_ref().and_then(|row| row.percents.get(place)).copied());
                let name = format!("{}{end}", share.name);
                columns.add(&name, DataType::Float64, true, Arc::new(Float64Array::from_iter(values)));
            }
            let reliability = |row: &Figure| match row.percents.get(first + 1..first + 3) {
                Some([low, high]) if high - low <= 10.0 => "good".to_owned(),
                Some([low, high]) if high - low <= 20.0 => "fair".to_owned(),
                _ => "poor".to_owned(),
            };
            let values = rows.iter().map(|row| row.as_ref().map(reliability));
            columns.texts(&format!("{}_reliability", share.name), true, values);
        }
        RecordBatch::try_new(Arc::new(Schema::new(columns.fields)), columns.arrays)
    }

    /// The figures of a cell; none when it is rolled up.
    fn row(&self, counts: &[i64]) -> Row {
        let total = counts.iter().fold(0_i64, |sum, count| sum.saturating_add(*count));
        if total < i64::from(self.measure.min_count.max(1)) {
            return None;
        }
        let bins = names(self.measure.bins);
        let variance = f64::from(self.measure.sigma).powi(2) * f64::from(self.counts_added);
        let reach = NORMAL_975 * (bins.len() as f64 * variance).sqrt();
        // The ends are rounded outwards: an interval of whole numbers holds at least what it says.
        let low = (total as f64 - reach).floor().max(0.0) as i64;
        let high = (total as f64 + reach).ceil() as i64;
        let mut row = Figure { counts: vec![total, low, high], percents: Vec::new() };
        row.counts.extend(counts.iter().map(|count| (*count).max(0)));
        for share in shares(self.measure.bins) {
            let of_share = bins.iter().zip(counts).filter(|(bin, _)| share.bins.contains(bin));
            let part = of_share.fold(0_i64, |sum, (_, count)| sum.saturating_add(*count));
            row.percents.extend(percents(part, total, share.bins.len(), bins.len(), variance));
        }
        Some(row)
    }
}

/// The figures of a published cell, in the order of the columns.
struct Figure {
    counts: Vec<i64>,
    percents: Vec<f64>,
}

type Row = Option<Figure>;

/// A share in percent, and the ends of its 95 % interval; see the head of this file for the formula.
fn percents(part: i64, total: i64, share_bins: usize, bins: usize, variance: f64) -> [f64; 3] {
    let (total, m, k) = (total as f64, share_bins as f64, bins as f64);
    let p = (part as f64 / total).clamp(0.0, 1.0);
    // m − 2pm + p²k is a sum of squares over the bins, never negative but for rounding.
    let reach = NORMAL_975 * (variance * (m - 2.0 * p * m + p * p * k).max(0.0)).sqrt() / total;
    [p, p - reach, p + reach].map(|share| {
        let percent = (share * 1000.0).round() / 10.0;
        // Adding zero turns a negative zero into a plain one.
        percent.clamp(0.0, 100.0) + 0.0
    })
}

/// Rounded up to two decimals.
fn up(value: f64) -> f64 {
    (value * 100.0).ceil() / 100.0
}

#[derive(Default)]
struct Columns {
    fields: Vec<Field>,
    arrays: Vec<ArrayRef>,
}

impl Columns {
    fn add(&mut self, name: &str, kind: DataType, nullable: bool, array: ArrayRef) {
        self.fields.push(Field::new(name, kind, nullable));
        self.arrays.push(array);
    }

    fn texts(&mut self, name: &str, nullable: bool, values: impl Iterator<Item = Option<String>>) {
        self.add(name, DataType::Utf8, nullable, Arc::new(values.collect::<StringArray>()));
    }
}

fn add(sum: &mut [i64], row: &[i64]) {
    sum.iter_mut().zip(row).for_each(|(sum, count)| *sum = sum.saturating_add(*count));
}

/// The table of the whole unit that is derived from a table by commune.
fn province_table(measure: &Measure) -> Option<String> {
    if measure.by != [Dimension::Commune] {
        return None;
    }
    let stem = measure.table.strip_suffix("_by_commune").unwrap_or(&measure.table);
    Some(format!("{stem}_in_province"))
}

/// The wider table of the same records in which a cell of a quarter is included: by procedure group for a cell of both
/// dimensions, else the whole unit.
fn parent(measure: &Measure, policy: &PrivacyPolicy) -> Option<String> {
    let same = || policy.measures.iter().filter(|other| other.of == measure.of && other.table != measure.table);
    let measured = |by: &[Dimension]| same().find(|other| other.by == by).map(|other| other.table.clone());
    let province = || measured(&[]).or_else(|| province_table(measure)).or_else(|| same().find_map(province_table));
    match measure.by.len() {
        0 => None,
        1 => province(),
        _ => measured(&[Dimension::ProcedureGroup]).or_else(|| measured(&[Dimension::Commune])).or_else(province),
    }
}
