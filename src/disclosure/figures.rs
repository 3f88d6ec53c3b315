//! The columns of a released table: counts, shares, their intervals, how reliable they are, bands.
//!
//! **Intervals** hold the noise alone, at 95 %, from the variances of the fit. Coarse bins are independent of each other
//! after it, with variances `v_b`; so the total `n` has the variance `V = Σ v_b`, and a share `p = x / n` whose bins
//! have the variance `W` has, by the delta method, with `cov(x, n) = W`,
//!
//! ```text
//! var(p) ≈ (var(x) − 2 p cov(x, n) + p² var(n)) / n² = (W − 2 p W + p² V) / n²
//! ```
//!
//! With nothing to fit to, `σ = 4`, two bins, `p = 0.9` and `n = 100` the standard deviation is 3.6 points. An interval
//! lies around the fitted count, which is unbiased, and is widened where the published whole number lies outside.
//! Percentages are rounded to one decimal, half away from zero, the ends of an interval outwards; all stay within 0 and
//! 100.
//!
//! **Bands** rank nobody whom the noise does not tell apart: a new band begins only where every interval of the one
//! before lies wholly above.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};

use super::bins::{Keys, Share, is_fine, names, shares};
use super::fit::{Fitted, Shape, to_coarse};
use super::period::Period;
use crate::pipeline::{Bins, Dimension};

/// The 97.5th percentile of the normal distribution: an interval of this many standard deviations to each side holds 95 %.
const NORMAL_975: f64 = 1.959_963_984_540_054;

/// Points to either side within which an interval is good, and fair.
const GOOD_POINTS: f64 = 5.0;
const FAIR_POINTS: f64 = 10.0;

/// The figures of one table.
pub(super) struct Figures<'a> {
    pub bins: Bins,
    pub by: &'a [Dimension],
    pub period: Period,
    pub keys: &'a Keys,
    pub shape: &'a Shape,
    pub fitted: &'a Fitted,
    /// In the layout of the fitted counts.
    pub whole: &'a [i64],
    /// What was measured, in the bins of the table.
    pub raw: Option<Vec<i64>>,
    pub is_ranked: bool,
    pub min_count: u32,
    pub rolled_up_to: Option<String>,
}

impl Figures<'_> {
    /// The variance of the noise in each bin of the table, and in the total.
    pub fn variances(&self) -> (&[f64], f64) {
        let coarse = &self.fitted.coarse_variances;
        let bins = if is_fine(self.bins) { &self.fitted.variances } else { coarse };
        (bins, coarse.iter().sum())
    }

    /// The table: one row per cell.
    pub fn batch(&self) -> Result<RecordBatch, arrow::error::ArrowError> {
        let bins = names(self.bins);
        let width = bins.len().max(1);
        let whole = if is_fine(self.bins) || !self.fitted.is_fine {
            Cow::Borrowed(self.whole)
        } else {
            Cow::Owned(to_coarse(self.shape, self.whole))
        };
        let totals: Vec<i64> = whole.chunks(width).map(|row| row.iter().sum()).collect();
        let shown: Vec<bool> = totals.iter().map(|total| *total >= i64::from(self.min_count.max(1))).collect();
        let coarse = self.coarse();

        let mut columns = Columns::default();
        self.dimensions(&mut columns, shown.len());
        let status = |shown: &bool| if *shown { "published" } else { "rolled_up" };
        columns.texts("status", shown.iter().map(status));
        let to = |shown: &bool| if *shown { None } else { self.rolled_up_to.as_deref() };
        columns.add("rolled_up_to", DataType::Utf8, true, Arc::new(shown.iter().map(to).collect::<StringArray>()));

        let reach = NORMAL_975 * self.variances().1.sqrt();
        let fitted = coarse.chunks(self.shape.coarse().max(1)).map(|row| row.iter().sum::<f64>());
        let ends = totals.iter().zip(fitted).map(|(total, fitted)| {
            // The ends are rounded outwards: an interval of whole numbers holds at least what it says.
            let (low, high) = ((fitted - reach).floor().max(0.0) as i64, (fitted + reach).ceil() as i64);
            (low.min(*total), high.max(*total))
        });
        let (lows, highs): (Vec<i64>, Vec<i64>) = ends.unzip();
        for (name, values) in [("count", &totals), ("count_low", &lows), ("count_high", &highs)] {
            columns.counts(name, values.iter(), &shown);
        }
        for (bin, name) in bins.iter().enumerate() {
            columns.counts(name, whole.iter().skip(bin).step_by(width), &shown);
        }
        for share in shares(self.bins) {
            self.share(share, &mut columns, (&whole, &coarse), (&totals, &shown));
        }
        for (bin, name) in bins.iter().enumerate().filter(|_| self.raw.is_some()) {
            let values = self.raw.iter().flatten().skip(bin).step_by(width).copied();
            let array = Arc::new(Int64Array::from_iter_values(values));
            columns.add(&format!("{name}_measured"), DataType::Int64, false, array);
        }
        RecordBatch::try_new(Arc::new(Schema::new(columns.fields)), columns.arrays)
    }

    fn dimensions(&self, columns: &mut Columns, rows: usize) {
        let period = self.period.to_string();
        columns.texts("period", std::iter::repeat_n(period.as_str(), rows));
        let (communes, groups) = (&self.keys.communes, &self.keys.groups);
        for dimension in self.by {
            // Of both dimensions the commune changes slowest.
            let each = if *dimension == Dimension::Commune && self.by.len() > 1 { groups.len() } else { 1 };
            let codes = if *dimension == Dimension::Commune { communes } else { groups };
            let once = || codes.iter().flat_map(|code| std::iter::repeat_n(code.as_str(), each));
            columns.texts(dimension.column(), std::iter::repeat_with(once).flatten().take(rows));
        }
    }

    /// The fitted counts in coarse bins.
    fn coarse(&self) -> Cow<'_, [f64]> {
        if !self.fitted.is_fine {
            return Cow::Borrowed(&self.fitted.counts);
        }
        let coarse = self.shape.coarse();
        let mut counts = Vec::with_capacity(self.fitted.counts.len() / self.fitted.width().max(1) * coarse);
        let mut sums = vec![0.0; coarse];
        for row in self.fitted.counts.chunks(self.fitted.width().max(1)) {
            sums.fill(0.0);
            for (count, bin) in row.iter().zip(&self.shape.coarse_of) {
                if let Some(sum) = sums.get_mut(*bin) {
                    *sum += count;
                }
            }
            counts.extend_from_slice(&sums);
        }
        Cow::Owned(counts)
    }

    /// A share of the total with its interval, its reliability, and for ranked tables its band.
    fn share(
        &self,
        share: &Share,
        columns: &mut Columns,
        (whole, fitted): (&[i64], &[f64]),
        (totals, shown): (&[i64], &[bool]),
    ) {
        let bins = names(self.bins);
        let in_share: Vec<bool> = bins.iter().map(|bin| share.bins.contains(bin)).collect();
        let mut coarse_in_share = vec![false; self.shape.coarse()];
        for (place, _) in in_share.iter().enumerate().filter(|(_, is_in)| **is_in) {
            let coarse = if is_fine(self.bins) { self.shape.coarse_of.get(place).copied() } else { Some(place) };
            if let Some(is_in) = coarse.and_then(|coarse| coarse_in_share.get_mut(coarse)) {
                *is_in = true;
            }
        }
        let all = self.variances().1;
        let own: f64 = chosen(&self.fitted.coarse_variances, &coarse_in_share).sum();
        let rows = whole.chunks(bins.len().max(1)).zip(fitted.chunks(coarse_in_share.len().max(1)));
        let percents = rows.zip(totals.iter().zip(shown)).map(|((whole, fitted), (total, shown))| {
            let total = (*total).max(1) as f64;
            let published = chosen(whole, &in_share).sum::<i64>() as f64 / total;
            let part: f64 = chosen(fitted, &coarse_in_share).sum();
            let p = (part / fitted.iter().sum::<f64>().max(1.0)).clamp(0.0, 1.0);
            // W − 2pW + p²V is a sum of squares, never negative but for rounding.
            let reach = NORMAL_975 * (own - 2.0 * p * own + p * p * all).max(0.0).sqrt() / total;
            shown.then(|| percents(published, (p - reach, p + reach)))
        });
        let percents: Vec<Option<[f64; 3]>> = percents.collect();
        for (place, end) in ["_percent", "_percent_low", "_percent_high"].iter().enumerate() {
            let values = percents.iter().map(|row| row.and_then(|row| row.get(place).copied()));
            let array = Arc::new(Float64Array::from_iter(values));
            columns.add(&format!("{}{end}", share.name), DataType::Float64, true, array);
        }
        let reliability = |row: &Option<[f64; 3]>| row.map(reliability);
        let array = Arc::new(percents.iter().map(reliability).collect::<StringArray>());
        columns.add(&format!("{}_reliability", share.name), DataType::Utf8, true, array);
        if self.is_ranked {
            let array = Arc::new(Int64Array::from_iter(bands(&percents)));
            columns.add(&format!("{}_band", share.name), DataType::Int64, true, array);
        }
    }
}

/// Those values that are chosen.
fn chosen<'v, T: Copy>(values: &'v [T], is_chosen: &'v [bool]) -> impl Iterator<Item = T> + 'v {
    values.iter().zip(is_chosen).filter(|(_, is_chosen)| **is_chosen).map(|(value, _)| *value)
}

/// A share in percent, and the ends of its 95 % interval.
fn percents(p: f64, (low, high): (f64, f64)) -> [f64; 3] {
    let tenths = (p * 1000.0).round();
    // What rounding in the last binary digit adds must not widen an interval by a tenth.
    let (low, high) = ((low * 1000.0 + 1e-6).floor().min(tenths), (high * 1000.0 - 1e-6).ceil().max(tenths));
    // Adding zero turns a negative zero into a plain one.
    [tenths, low, high].map(|tenths| (tenths / 10.0).clamp(0.0, 100.0) + 0.0)
}

fn reliability([_, low, high]: [f64; 3]) -> &'static str {
    match (high - low) / 2.0 {
        points if points <= GOOD_POINTS => "good",
        points if points <= FAIR_POINTS => "fair",
        _ => "poor",
    }
}

/// The band of each row, from 1 for the highest; rows without a figure have none.
fn bands(rows: &[Option<[f64; 3]>]) -> Vec<Option<i64>> {
    let mut order: Vec<(f64, f64, usize)> =
        rows.iter().zip(0..).filter_map(|(row, place)| row.map(|[_, low, high]| (high, low, place))).collect();
    // By upper end, the highest first: once one lies wholly below a band, all that follow do.
    order.sort_unstable_by(|one, other| other.0.total_cmp(&one.0).then(one.2.cmp(&other.2)));
    let mut bands = vec![None; rows.len()];
    let (mut band, mut lowest) = (1, f64::NEG_INFINITY);
    for (high, low, place) in order {
        if high < lowest {
            band += 1;
            lowest = low;
        } else {
            lowest = if lowest == f64::NEG_INFINITY { low } else { lowest.min(low) };
        }
        if let Some(of) = bands.get_mut(place) {
            *of = Some(band);
        }
    }
    bands
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

    fn texts<'t>(&mut self, name: &str, values: impl Iterator<Item = &'t str>) {
        self.add(name, DataType::Utf8, false, Arc::new(StringArray::from_iter_values(values)));
    }

    /// Counts, blank where a row is rolled up.
    fn counts<'c>(&mut self, name: &str, values: impl Iterator<Item = &'c i64>, shown: &[bool]) {
        let values = values.zip(shown).map(|(count, shown)| shown.then_some(*count));
        self.add(name, DataType::Int64, true, Arc::new(values.collect::<Int64Array>()));
    }
}
