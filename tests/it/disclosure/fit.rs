//! The fit against a dense solver, its intervals against simulation, its whole numbers against what they must add up to.

use chudong::disclosure::fit::crossing::Crossing;
use chudong::disclosure::fit::{Fitted, Level, Measured, Shape, fit, share_out, whole};
use proptest::prelude::*;

/// How many rows a table has.
fn rows(shape: &Shape, level: Level) -> usize {
    let Crossing { communes, groups } = shape.crossing;
    [1, communes, groups, communes * groups][level.place()]
}

fn coarse_bins(shape: &Shape) -> usize {
    shape.coarse_of.iter().max().unwrap() + 1
}

/// For each count of a table the atoms (commune, group, fine bin) that it adds up, as a vector of zeros and ones.
fn queries(shape: &Shape, level: Level, is_fine: bool) -> Vec<Vec<f64>> {
    let Crossing { communes, groups } = shape.crossing;
    let bins = if is_fine { shape.coarse_of.len() } else { coarse_bins(shape) };
    let mut all = vec![vec![0.0; communes * groups * shape.coarse_of.len()]; rows(shape, level) * bins];
    for commune in 0..communes {
        for group in 0..groups {
            for (fine, coarse) in shape.coarse_of.iter().enumerate() {
                let row = [0, commune, group, commune * groups + group][level.place()];
                let bin = if is_fine { fine } else { *coarse };
                all[row * bins + bin][(commune * groups + group) * shape.coarse_of.len() + fine] = 1.0;
            }
        }
    }
    all
}

/// What nobody measured gets this precision, so that the normal equations can be solved; it changes what was measured
/// by less than a millionth.
const RIDGE: f64 = 1e-8;

/// Weighted least squares the plain way: the inverse of the normal equations, by elimination with pivoting, and the
/// estimate.
fn dense(shape: &Shape, measured: &[Measured]) -> (Vec<Vec<f64>>, Vec<f64>) {
    let size = shape.crossing.communes * shape.crossing.groups * shape.coarse_of.len();
    let mut normal = vec![vec![0.0; 2 * size]; size];
    let mut right = vec![0.0; size];
    for (place, row) in normal.iter_mut().enumerate() {
        row[place] = RIDGE;
        row[size + place] = 1.0;
    }
    for table in measured {
        for (query, count) in queries(shape, table.level, table.is_fine).iter().zip(&table.counts) {
            for (one, _) in query.iter().enumerate().filter(|(_, weight)| **weight > 0.0) {
                right[one] += count / table.variance;
                for (other, weight) in query.iter().enumerate() {
                    normal[one][other] += weight / table.variance;
                }
            }
        }
    }
    for column in 0..size {
        let pivot =
            (column..size).max_by(|a, b| normal[*a][column].abs().total_cmp(&normal[*b][column].abs())).unwrap();
        normal.swap(column, pivot);
        let scale = normal[column][column];
        normal[column].iter_mut().for_each(|value| *value /= scale);
        let row = normal[column].clone();
        for (place, other) in normal.iter_mut().enumerate().filter(|(place, _)| *place != column) {
            let factor = other[column];
            assert!(place != column);
            other.iter_mut().zip(&row).for_each(|(value, pivot)| *value -= factor * pivot);
        }
    }
    let inverse: Vec<Vec<f64>> = normal.into_iter().map(|row| row[size..].to_vec()).collect();
    let estimate = inverse.iter().map(|row| dot(row, &right)).collect();
    (inverse, estimate)
}

fn dot(one: &[f64], other: &[f64]) -> f64 {
    one.iter().zip(other).map(|(one, other)| one * other).sum()
}

fn any_shape() -> impl Strategy<Value = Shape> {
    let bins = prop_oneof![Just(vec![1, 1, 1, 0, 0]), Just(vec![0, 1, 2]), Just(vec![0]), Just(vec![0, 0]),];
    (1_usize..4, 1_usize..4, bins)
        .prop_map(|(communes, groups, coarse_of)| Shape { crossing: Crossing { communes, groups }, coarse_of })
}

/// Up to five measured tables of any level, in fine or coarse bins, twice the same at times.
fn any_measured() -> impl Strategy<Value = (Shape, Vec<Measured>)> {
    any_shape().prop_flat_map(|shape| {
        let table = (0_usize..4, any::<bool>(), 1_u32..60, any::<u64>());
        let of_shape = shape.clone();
        let tables = prop::collection::vec(table, 1..6).prop_map(move |tables| {
            let one = |(level, is_fine, variance, seed): &(usize, bool, u32, u64)| {
                let level = Level::ALL[*level];
                let bins = if *is_fine { of_shape.coarse_of.len() } else { coarse_bins(&of_shape) };
                let mut random = Random(*seed);
                let counts = (0..rows(&of_shape, level) * bins).map(|_| (random.next() % 200) as f64 - 40.0).collect();
                Measured { level, is_fine: *is_fine, counts, variance: f64::from(*variance) }
            };
            tables.iter().map(one).collect()
        });
        (Just(shape), tables)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Estimates and variances are those of the dense solver, wherever the fit gives any; and it gives a table as far as
    /// the measurements determine it.
    #[test]
    fn the_fit_is_that_of_a_dense_solver((shape, measured) in any_measured()) {
        let (inverse, estimate) = dense(&shape, &measured);
        let variance_of = |query: &[f64]| {
            let spread: Vec<f64> = inverse.iter().map(|row| dot(row, query)).collect();
            dot(query, &spread)
        };
        let fitted = fit(&shape, &measured);
        for level in Level::ALL {
            let Some(Fitted { is_fine, counts, variances, coarse_variances }) = &fitted[level.place()] else {
                // Nothing was measured at this level or below it; a single commune or group may be known all the same.
                let below = |table: &Measured| [true, table.level == Level::Commune || table.level == Level::Cell,
                    table.level == Level::Group || table.level == Level::Cell, table.level == Level::Cell][level.place()];
                prop_assert!(!measured.iter().any(below));
                continue;
            };
            let own = queries(&shape, level, *is_fine);
            prop_assert_eq!(own.len(), counts.len());
            for (place, (query, count)) in own.iter().zip(counts).enumerate() {
                prop_assert!((dot(query, &estimate) - count).abs() < 1e-3, "{level:?} {place}");
                let variance = variances[place % variances.len()];
                prop_assert!((variance_of(query) - variance).abs() < 1e-3 * (1.0 + variance), "{level:?} {place}");
            }
            let coarse = queries(&shape, level, false);
            for (query, variance) in coarse.iter().zip(coarse_variances.iter().cycle()) {
                prop_assert!((variance_of(query) - variance).abs() < 1e-3 * (1.0 + variance), "{level:?}");
            }
            // Coarse bins are independent of each other: the variance of the total is the sum of theirs.
            let total: Vec<f64> = (0..estimate.len()).map(|atom| coarse[..coarse_bins(&shape)].iter().map(|query| query[atom]).sum()).collect();
            prop_assert!((variance_of(&total) - coarse_variances.iter().sum::<f64>()).abs() < 1e-2);
        }
    }

    #[test]
    fn whole_numbers_add_up_and_are_not_negative((shape, measured) in any_measured()) {
        let fitted = fit(&shape, &measured);
        let numbers = whole(&shape, &fitted);
        let Crossing { groups, .. } = shape.crossing;
        let sums = |level: Level, bins: usize| -> Option<Vec<i64>> {
            let of_level = numbers[level.place()].as_ref()?;
            let width = fitted[level.place()].as_ref()?.variances.len();
            let to = |bin: usize| if width == bins { bin } else { shape.coarse_of[bin] };
            let mut sums = vec![0; of_level.len() / width * bins];
            of_level.iter().enumerate().for_each(|(place, count)| sums[place / width * bins + to(place % width)] += count);
            Some(sums)
        };
        let bins = coarse_bins(&shape);
        let unit = sums(Level::Unit, bins).unwrap();
        prop_assert!(numbers.iter().flatten().flatten().all(|count| *count >= 0));
        let add_up = |rows: &[i64]| (0..bins).map(|bin| rows.iter().skip(bin).step_by(bins).sum::<i64>()).collect::<Vec<_>>();
        for level in [Level::Commune, Level::Group] {
            if let Some(rows) = sums(level, bins) {
                prop_assert_eq!(add_up(&rows), unit.clone());
            }
        }
        if let (Some(cells), Some(communes)) = (sums(Level::Cell, bins), sums(Level::Commune, bins)) {
            for (cells, commune) in cells.chunks(groups * bins).zip(communes.chunks(bins)) {
                prop_assert_eq!(add_up(cells), commune);
            }
        }
        prop_assert_eq!(whole(&shape, &fitted), numbers);
    }

    /// No other non-negative numbers with that sum are nearer, and no part moves by one or more from the real ones.
    #[test]
    fn a_total_is_shared_out_nearest(total in 0_i64..400, parts in prop::collection::vec(-30.0_f64..60.0, 1..12)) {
        let shared = share_out(total, &parts);
        prop_assert_eq!(shared.iter().sum::<i64>(), total);
        prop_assert!(shared.iter().all(|part| *part >= 0));
        // There is one amount that comes off every part: between what it is for parts above zero, within the rounding.
        let off = |place: usize| parts[place] - shared[place] as f64;
        let most = (0..parts.len()).filter(|place| shared[*place] > 0).map(off).fold(f64::NEG_INFINITY, f64::max);
        let least = (0..parts.len()).filter(|place| shared[*place] > 0).map(off).fold(f64::INFINITY, f64::min);
        prop_assert!(most - least < 2.0, "{shared:?}");
        for place in (0..parts.len()).filter(|place| shared[*place] == 0) {
            prop_assert!(parts[place] < least + 2.0, "{shared:?}");
        }
    }
}

#[test]
fn the_largest_remainders_get_what_is_left_and_order_decides_between_equals() {
    assert_eq!(share_out(10, &[3.4, 3.4, 3.2]), [4, 3, 3]);
    assert_eq!(share_out(2, &[1.0, 1.0, 1.0, 1.0]), [1, 1, 0, 0]);
    assert_eq!(share_out(5, &[-3.0, 7.0, 1.0]), [0, 5, 0]);
    assert_eq!(share_out(-4, &[-3.0, -1.0]), [0, 0]);
    assert_eq!(share_out(7, &[]), Vec::<i64>::new());
}

/// A generator with a seed of its own, so that a simulation is the same on every machine (Steele et al. 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A standard normal value, by Box and Muller.
    fn normal(&mut self) -> f64 {
        let mut unit = || (self.next() >> 11) as f64 / (1_u64 << 53) as f64;
        let (radius, angle) = (1.0 - unit(), unit());
        (-2.0 * radius.ln()).sqrt() * (2.0 * std::f64::consts::PI * angle).cos()
    }
}

/// Ten thousand simulated months of the proposal of privacy.md: the intervals hold what they promise, at every level.
#[test]
fn ninety_five_percent_of_intervals_hold_the_truth() {
    let shape = Shape { crossing: Crossing { communes: 4, groups: 3 }, coarse_of: vec![1, 1, 1, 0, 0] };
    let mut random = Random(766);
    let atoms: Vec<f64> = (0..4 * 3 * 5).map(|_| (random.next() % 60) as f64).collect();
    let tables = [(Level::Commune, true), (Level::Group, true), (Level::Cell, false)];
    let (mut inside, mut all) = ([0_u32; 4], [0_u32; 4]);
    for _ in 0..2_500 {
        let measured = tables.map(|(level, is_fine)| {
            let noisy = |query: &Vec<f64>| dot(query, &atoms) + 4.0 * random.normal();
            let counts = queries(&shape, level, is_fine).iter().map(noisy).collect();
            Measured { level, is_fine, counts, variance: 16.0 }
        });
        let fitted = fit(&shape, &measured);
        for level in Level::ALL {
            let fitted = fitted[level.place()].as_ref().unwrap();
            let truth = queries(&shape, level, fitted.is_fine);
            for (place, (count, query)) in fitted.counts.iter().zip(&truth).enumerate() {
                let reach = 1.959_964 * fitted.variances[place % fitted.variances.len()].sqrt();
                all[level.place()] += 1;
                inside[level.place()] += u32::from((count - dot(query, &atoms)).abs() <= reach);
            }
        }
    }
    for level in Level::ALL {
        let share = f64::from(inside[level.place()]) / f64::from(all[level.place()]);
        assert!((0.945..0.955).contains(&share), "{level:?}: {share}");
    }
}

/// What all measurements together know is more than each alone: the fit is never less exact, and much more for totals.
#[test]
fn the_fit_is_more_exact_than_what_was_measured() {
    let shape = Shape { crossing: Crossing { communes: 100, groups: 20 }, coarse_of: vec![1, 1, 1, 0, 0] };
    let table = |level, is_fine: bool| {
        let bins = if is_fine { 5 } else { 2 };
        Measured { level, is_fine, counts: vec![10.0; rows(&shape, level) * bins], variance: 16.0 }
    };
    let fitted = fit(&shape, &[table(Level::Commune, true), table(Level::Group, true), table(Level::Cell, false)]);
    let variances = Level::ALL.map(|level| fitted[level.place()].as_ref().unwrap().coarse_variances.clone());
    // Satisfied is two fine bins: measured with 2 · 16 for each commune and each group.
    assert!(variances[1][0] < 32.0 && variances[2][0] < 32.0);
    assert!(variances[3][0] < 16.0 && variances[3][0] > 15.0);
    // The unit: from 20 groups 640, from 100 communes 3200, from 2000 cells 32000; together 1 / (1/640 + 1/3200 + 1/32000).
    assert!((variances[0][0] - 1.0 / (1.0 / 640.0 + 1.0 / 3200.0 + 1.0 / 32_000.0)).abs() < 1e-9);
}
