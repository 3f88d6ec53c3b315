//! One table of counts for all measurements of the same records: weighted least squares, and whole numbers that add up.
//!
//! The same records are measured several times: by commune in five bins, by procedure group in five, by both in two.
//! Each measurement has noise of its own, so that they contradict each other, and each knows something of the others.
//! [`fit`] gives the counts that agree with all of them best, each weighted by its precision. They are consistent: the
//! communes add up to the unit, so do the groups, the cells of a commune add up to it, and the fine bins to the coarse.
//! This is the best linear unbiased estimate (Gauss-Markov), and its variances are exact up to the variance of the
//! discrete Gaussian, which is at most `σ²` (Canonne, Kamath and Steinke 2020, Cor. 9).
//!
//! Hay et al. 2010 solve this for a tree in two passes, one up that collects sums and one down that spreads what is left.
//! Here unit → commune → cell is such a tree, unit → group is another, and they share the root and the cells: a
//! crossing. Its code lists are complete and every table has one variance, so that the problem falls apart into
//! directions that no measurement mixes ([`crossing`]): the unit, what tells communes apart, what tells groups apart, and
//! the rest. In each direction the estimate is a mean weighted by precision, which again takes one pass up and one down.
//! The bins fall apart in the same way: sums over the fine bins of one coarse bin, and what tells fine bins apart.
//!
//! Then [`whole`] makes non-negative integers of them from the root down. Everything here is a function of noisy counts
//! and public facts: it costs no budget and must not know a row.

pub mod crossing;
mod integers;

use crossing::{Crossing, Reading, TABLES};
pub(super) use integers::to_coarse;
pub use integers::{share_out, whole};

/// Which table of a crossing, by its place in [`crossing::TABLES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// One row: everything.
    Unit,
    /// A row for each commune.
    Commune,
    /// A row for each procedure group.
    Group,
    /// A row for each group of each commune, the commune changing slowest.
    Cell,
}

impl Level {
    /// All of them, in the order of [`crossing::TABLES`].
    pub const ALL: [Level; TABLES] = [Level::Unit, Level::Commune, Level::Group, Level::Cell];

    /// Its place.
    pub fn place(self) -> usize {
        match self {
            Level::Unit => 0,
            Level::Commune => 1,
            Level::Group => 2,
            Level::Cell => 3,
        }
    }
}

/// How many communes and groups there are, and which fine bins make a coarse one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    /// Communes and groups.
    pub crossing: Crossing,
    /// For each fine bin, its coarse bin. Coarse bins count from 0 without a gap.
    pub coarse_of: Vec<usize>,
}

impl Shape {
    /// How many coarse bins there are.
    pub fn coarse(&self) -> usize {
        self.coarse_of.iter().max().map_or(0, |last| last + 1)
    }

    /// Whether every coarse bin is a fine one.
    fn is_identity(&self) -> bool {
        self.coarse() == self.coarse_of.len()
    }

    /// The fine bins of a coarse one.
    fn of(&self, coarse: usize) -> impl Iterator<Item = usize> + '_ {
        self.coarse_of.iter().enumerate().filter(move |(_, of)| **of == coarse).map(|(fine, _)| fine)
    }
}

/// A measured table.
#[derive(Debug, Clone, PartialEq)]
pub struct Measured {
    /// By what.
    pub level: Level,
    /// Whether its bins are the fine ones.
    pub is_fine: bool,
    /// The noisy counts, row by row, the bins changing fastest.
    pub counts: Vec<f64>,
    /// The variance of the noise in each.
    pub variance: f64,
}

/// What is known of a table after the fit.
#[derive(Debug, Clone, PartialEq)]
pub struct Fitted {
    /// Whether its bins are the fine ones; else the coarse.
    pub is_fine: bool,
    /// The counts, row by row, the bins changing fastest. Not rounded, negative at times.
    pub counts: Vec<f64>,
    /// The variance of the noise in each bin, the same in every row.
    pub variances: Vec<f64>,
    /// The same of each coarse bin; different coarse bins are independent.
    pub coarse_variances: Vec<f64>,
}

impl Fitted {
    /// How many bins a row has.
    pub fn width(&self) -> usize {
        self.variances.len()
    }
}

/// Fits all measurements of the same records. A table is there as far as the measurements determine it: in fine bins,
/// in coarse ones, or not at all.
pub fn fit(shape: &Shape, measured: &[Measured]) -> [Option<Fitted>; TABLES] {
    let coarse: Vec<_> =
        (0..shape.coarse()).map(|bin| shape.crossing.solve(&coarse_readings(shape, measured, bin))).collect();
    // Where the bins are the same, there is nothing to tell them apart.
    let fine_bins = if shape.is_identity() { 0 } else { shape.coarse_of.len() };
    let fine: Vec<_> = (0..fine_bins).map(|bin| shape.crossing.solve(&fine_readings(shape, measured, bin))).collect();
    Level::ALL.map(|level| {
        let coarse: Vec<&Reading> = coarse.iter().filter_map(|solved| solved.get(level.place())?.as_ref()).collect();
        let fine: Vec<&Reading> = fine.iter().filter_map(|solved| solved.get(level.place())?.as_ref()).collect();
        if coarse.len() < shape.coarse() {
            return None;
        }
        let coarse_variances = coarse.iter().map(|reading| reading.variance).collect();
        if shape.is_identity() || fine.len() < fine_bins {
            let counts = interleave(&coarse.iter().map(|reading| reading.counts.as_slice()).collect::<Vec<_>>());
            return Some(Fitted {
                is_fine: shape.is_identity(),
                counts,
                variances: coarse_variances_of(&coarse),
                coarse_variances,
            });
        }
        let (columns, variances) = spread(shape, &coarse, &fine);
        let counts = interleave(&columns.iter().map(Vec::as_slice).collect::<Vec<_>>());
        Some(Fitted { is_fine: true, counts, variances, coarse_variances })
    })
}

fn coarse_variances_of(coarse: &[&Reading]) -> Vec<f64> {
    coarse.iter().map(|reading| reading.variance).collect()
}

/// Fine bins: their share of the coarse bin, and by how much each differs from that share. The two are independent.
fn spread(shape: &Shape, coarse: &[&Reading], fine: &[&Reading]) -> (Vec<Vec<f64>>, Vec<f64>) {
    let mut columns: Vec<Vec<f64>> = fine.iter().map(|reading| reading.counts.clone()).collect();
    let mut variances: Vec<f64> = fine.iter().map(|reading| reading.variance).collect();
    for (bin, known) in coarse.iter().enumerate() {
        let of: Vec<usize> = shape.of(bin).collect();
        let size = of.len().max(1) as f64;
        // By how much the fine bins miss the coarse one, row by row; shared out evenly among them.
        let mut missing = known.counts.clone();
        for column in of.iter().filter_map(|fine| columns.get(*fine)) {
            missing.iter_mut().zip(column).for_each(|(missing, count)| *missing -= count);
        }
        for fine in &of {
            let Some(column) = columns.get_mut(*fine) else { continue };
            column.iter_mut().zip(&missing).for_each(|(count, missing)| *count += missing / size);
            if let Some(variance) = variances.get_mut(*fine) {
                *variance = known.variance / (size * size) + *variance * (1.0 - 1.0 / size);
            }
        }
    }
    (columns, variances)
}

/// One coarse bin of each table: measured as such, or as the sum of its fine bins, or both, weighted by precision.
fn coarse_readings(shape: &Shape, measured: &[Measured], bin: usize) -> [Option<Reading>; TABLES] {
    Level::ALL.map(|level| {
        let readings = measured.iter().filter(|table| table.level == level).map(|table| {
            if !table.is_fine {
                return Reading { counts: column(&table.counts, bin, shape.coarse()), variance: table.variance };
            }
            let mut counts = vec![0.0; table.counts.len() / shape.coarse_of.len().max(1)];
            let mut size = 0.0;
            for fine in shape.of(bin) {
                size += 1.0;
                let of_bin = column(&table.counts, fine, shape.coarse_of.len());
                counts.iter_mut().zip(of_bin).for_each(|(sum, count)| *sum += count);
            }
            Reading { counts, variance: table.variance * size }
        });
        combined(readings)
    })
}

/// One fine bin of each table in which it was measured.
fn fine_readings(shape: &Shape, measured: &[Measured], bin: usize) -> [Option<Reading>; TABLES] {
    Level::ALL.map(|level| {
        let of_level = measured.iter().filter(|table| table.level == level && table.is_fine);
        combined(of_level.map(|table| Reading {
            counts: column(&table.counts, bin, shape.coarse_of.len()),
            variance: table.variance,
        }))
    })
}

/// Independent readings of the same counts, as one.
fn combined(readings: impl Iterator<Item = Reading>) -> Option<Reading> {
    readings.reduce(|one, other| {
        let (weight, of_other) = (1.0 / one.variance, 1.0 / other.variance);
        let mean = |(one, other): (&f64, &f64)| (one * weight + other * of_other) / (weight + of_other);
        let counts = one.counts.iter().zip(&other.counts).map(mean).collect();
        Reading { counts, variance: 1.0 / (weight + of_other) }
    })
}

/// Every `width`-th value, from `bin` on.
fn column(counts: &[f64], bin: usize, width: usize) -> Vec<f64> {
    counts.iter().skip(bin).step_by(width.max(1)).copied().collect()
}

/// Columns as rows.
fn interleave(columns: &[&[f64]]) -> Vec<f64> {
    let rows = columns.first().map_or(0, |column| column.len());
    let mut counts = vec![0.0; rows * columns.len()];
    for (bin, column) in columns.iter().enumerate() {
        counts.iter_mut().skip(bin).step_by(columns.len()).zip(*column).for_each(|(to, from)| *to = *from);
    }
    counts
}
