//! Whole numbers that are not negative and add up, from the root down.
//!
//! A total is shared out among its parts so that they are as near to their fitted counts as non-negative numbers with
//! that sum can be (least squares: the same amount is taken off every part, and what would fall below zero is zero), and
//! then by the method of the largest remainder. Order decides between equal remainders, so that the same input always
//! gives the same numbers. The tables stand in two trees of one root: unit → commune → cell, and unit → group. Within
//! each they add up; the cells of a group do not add up to the group, since clearing negative numbers in thousands of
//! nearly empty cells would then move every group that was measured far better by itself.

use super::crossing::TABLES;
use super::{Fitted, Shape};

/// Parts worth a thread of their own.
const PARTS_PER_THREAD_MIN: usize = 20_000;

/// The most threads at once.
const THREADS_MAX: usize = 64;

/// Shares out a whole `total` among parts with these fitted counts: non-negative whole numbers with that sum.
///
/// A total below zero counts as zero. Without parts there is nothing to share out.
pub fn share_out(total: i64, fitted: &[f64]) -> Vec<i64> {
    let total = total.max(0);
    let real = projected(total as f64, fitted);
    let mut whole: Vec<i64> = real.iter().map(|value| value.floor() as i64).collect();
    let mut left = total - whole.iter().sum::<i64>();
    let mut order: Vec<(f64, usize)> =
        real.iter().zip(0..).map(|(value, place)| (value.floor() - value, place)).collect();
    order.sort_unstable_by(|one, other| one.0.total_cmp(&other.0).then(one.1.cmp(&other.1)));
    // Rounding of floating-point sums may leave more or less than one for each part; then another round is made.
    while left != 0 && !order.is_empty() {
        let before = left;
        for (_, place) in &order {
            let Some(count) = whole.get_mut(*place) else { continue };
            match left {
                1.. => (*count, left) = (*count + 1, left - 1),
                0 => break,
                _ if *count > 0 => (*count, left) = (*count - 1, left + 1),
                _ => {}
            }
        }
        if left == before {
            break;
        }
    }
    whole
}

/// The nearest point with this sum and no negative number.
fn projected(total: f64, fitted: &[f64]) -> Vec<f64> {
    let mut sorted: Vec<f64> = fitted.to_vec();
    sorted.sort_unstable_by(|one, other| other.total_cmp(one));
    let (mut sum, mut off) = (0.0, 0.0);
    for (count, value) in (1_u32..).zip(&sorted) {
        sum += value;
        let candidate = (sum - total) / f64::from(count);
        if value - candidate <= 0.0 {
            break;
        }
        off = candidate;
    }
    fitted.iter().map(|value| (value - off).max(0.0)).collect()
}

/// The whole numbers of each table that was fitted, in the layout of its fitted counts.
pub fn whole(shape: &Shape, fitted: &[Option<Fitted>; TABLES]) -> [Option<Vec<i64>>; TABLES] {
    let [unit, communes, groups, cells] = fitted;
    let Some(unit) = unit else { return [const { None }; TABLES] };
    let all = unit.counts.iter().sum::<f64>().round().max(0.0) as i64;
    let of_unit = share_out(all, &unit.counts);
    let below = |table: &Option<Fitted>| {
        table.as_ref().map(|table| table_below(&in_bins_of(shape, &of_unit, unit, table), table))
    };
    let (of_communes, of_groups) = (below(communes), below(groups));
    let of_cells = cells.as_ref().zip(communes.as_ref().zip(of_communes.as_ref())).map(|(cells, (communes, known))| {
        let parents = in_bins_of(shape, known, communes, cells);
        let parents: Vec<&[i64]> = parents.chunks(cells.width().max(1)).collect();
        let rows: Vec<&[f64]> = cells.counts.chunks((shape.crossing.groups * cells.width()).max(1)).collect();
        in_parallel(&parents, &rows, cells.width())
    });
    [Some(of_unit.clone()), of_communes, of_groups, of_cells]
}

/// The counts of a table in the bins of the one below it: fine bins added up where that one knows coarse ones only.
fn in_bins_of(shape: &Shape, counts: &[i64], table: &Fitted, below: &Fitted) -> Vec<i64> {
    if table.is_fine == below.is_fine {
        return counts.to_vec();
    }
    to_coarse(shape, counts)
}

/// Fine bins added up to coarse ones, row by row.
pub(in crate::disclosure) fn to_coarse(shape: &Shape, counts: &[i64]) -> Vec<i64> {
    let width = shape.coarse();
    let rows = counts.chunks(shape.coarse_of.len().max(1));
    rows.flat_map(|row| {
        let mut sums = vec![0_i64; width];
        for (count, bin) in row.iter().zip(&shape.coarse_of) {
            if let Some(sum) = sums.get_mut(*bin) {
                *sum = sum.saturating_add(*count);
            }
        }
        sums
    })
    .collect()
}

/// The rows of a table that lie below one row, bin by bin.
fn table_below(parent: &[i64], table: &Fitted) -> Vec<i64> {
    let mut counts = vec![0; table.counts.len()];
    below_row(parent, &table.counts, table.width(), &mut counts);
    counts
}

fn below_row(parent: &[i64], fitted: &[f64], width: usize, counts: &mut [i64]) {
    for (bin, total) in parent.iter().enumerate() {
        let parts = share_out(*total, &super::column(fitted, bin, width));
        counts.iter_mut().skip(bin).step_by(width.max(1)).zip(parts).for_each(|(to, from)| *to = from);
    }
}

/// The rows below each of many parents. Each is shared out by itself, so that how many threads there are changes nothing.
fn in_parallel(parents: &[&[i64]], rows: &[&[f64]], width: usize) -> Vec<i64> {
    let parts: usize = rows.iter().map(|row| row.len()).sum();
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(THREADS_MAX);
    let threads = threads.min(parts / PARTS_PER_THREAD_MIN).max(1);
    let stretch = rows.len().div_ceil(threads).max(1);
    let shared = |parents: &[&[i64]], rows: &[&[f64]]| -> Vec<i64> {
        let one = |(parent, row): (&&[i64], &&[f64])| {
            let mut counts = vec![0; row.len()];
            below_row(parent, row, width, &mut counts);
            counts
        };
        parents.iter().zip(rows).flat_map(one).collect()
    };
    let pieces: Vec<_> = parents.chunks(stretch).zip(rows.chunks(stretch)).collect();
    std::thread::scope(|scope| {
        let handles: Vec<_> = pieces.iter().map(|(parents, rows)| scope.spawn(move || shared(parents, rows))).collect();
        // A thread that ended badly is made up for here; it has nothing that could fail twice.
        let pieces = pieces.iter().zip(handles);
        pieces.flat_map(|((parents, rows), handle)| handle.join().unwrap_or_else(|_| shared(parents, rows))).collect()
    })
}
