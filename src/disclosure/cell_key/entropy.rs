//! The most even distribution over some whole numbers, of mean 0 and bounded variance.
//!
//! Maximise `−Σ p ln p` subject to `Σ p = 1`, `Σ p v = 0`, `Σ p v² ≤ V`. Where the bound does not bind, the solution is
//! `p ∝ e^(−a v)`; where it does, `p ∝ e^(−a v − b v²)` with `b > 0`. The multipliers are the minimum of the convex
//! function `ln Σ e^(−a v − b v²) + b V`, found by Newton's method with halved steps. Its gradient is the mean and the
//! variance that are missing, so that a solution is checked by looking at it.

/// The probabilities, in the order of the values. None when there is no distribution like that.
pub(super) fn most_even(values: &[i64], variance_max: f64) -> Option<Vec<f64>> {
    let values: Vec<f64> = values.iter().map(|value| *value as f64).collect();
    // First without the bound: what is even enough then needs none.
    let free = solve(&values, None)?;
    let variance: f64 = free.iter().zip(&values).map(|(chance, value)| chance * value * value).sum();
    if variance <= variance_max { Some(free) } else { solve(&values, Some(variance_max)) }
}

/// Newton's method; `variance` is the one to be met, if any.
fn solve(values: &[f64], variance: Option<f64>) -> Option<Vec<f64>> {
    let (mut a, mut b) = (0.0, 0.0);
    for _ in 0..STEPS_MAX {
        let chances = chances(values, a, b);
        let moment = |power: i32| -> f64 { chances.iter().zip(values).map(|(p, v)| p * v.powi(power)).sum() };
        let (m1, m2, m3, m4) = (moment(1), moment(2), moment(3), moment(4));
        let (ga, gb) = (-m1, variance.map_or(0.0, |variance| variance - m2));
        if ga.abs() < SOLVED && gb.abs() < SOLVED {
            return Some(chances);
        }
        // The second derivatives are the covariances of v and v².
        let (haa, hab, hbb) = (m2 - m1 * m1, m3 - m1 * m2, m4 - m2 * m2);
        let (da, db) = match variance {
            None => (-ga / haa, 0.0),
            Some(_) => {
                let determinant = haa * hbb - hab * hab;
                ((hab * gb - hbb * ga) / determinant, (hab * ga - haa * gb) / determinant)
            }
        };
        if !da.is_finite() || !db.is_finite() {
            return None;
        }
        let height = |a: f64, b: f64| partition(values, a, b).ln() + variance.map_or(0.0, |variance| b * variance);
        let here = height(a, b);
        let slope = ga * da + gb * db;
        let mut step = 1.0;
        while step > STEP_MIN && height(a + step * da, b + step * db) > here + 1e-4 * step * slope + f64::EPSILON {
            step /= 2.0;
        }
        (a, b) = (a + step * da, b + step * db);
    }
    None
}

fn partition(values: &[f64], a: f64, b: f64) -> f64 {
    values.iter().map(|v| (-a * v - b * v * v).exp()).sum()
}

fn chances(values: &[f64], a: f64, b: f64) -> Vec<f64> {
    let all = partition(values, a, b);
    values.iter().map(|v| (-a * v - b * v * v).exp() / all).collect()
}

const STEPS_MAX: usize = 200;
const SOLVED: f64 = 1e-12;
const STEP_MIN: f64 = 1e-9;
