//! The privacy budget as exact arithmetic: what a measurement costs, and how a cost is said as (epsilon, delta).
//!
//! Costs are zero-concentrated differential privacy (zCDP; Bun and Steinke 2016, Def. 1.1), exact rationals. Only the
//! last step, for readers, is a floating-point number, and it is rounded up.

use super::Error;
use crate::pipeline::Rho;

/// What one table of counts costs a person in one month: `ρ = Δ₂² / (2 σ²)`.
///
/// `Δ₂` is the most by which one person's activity in one month can move the vector of counts, in Euclidean norm. It
/// equals the number of records of a person that count, `per_person`: all of them may fall into the same cell, which
/// moves that one count by `per_person`; spread over several cells they move the vector by less, since the norm of a
/// vector of non-negative whole numbers is at most their sum. Neighbouring data differ by all records of one person in
/// one month, added or removed. The discrete Gaussian with parameter `σ` then is `Δ₂²/(2σ²)`-zCDP (Canonne, Kamath and
/// Steinke 2020, Thm. 14, which needs no independence between the cells of a person).
pub fn cost(per_person: u32, sigma: u32) -> Result<Rho, Error> {
    let square = i64::from(sigma).checked_mul(i64::from(sigma)).ok_or_else(too_long)?;
    cost_of(per_person, Rho::from_integer(square))
}

/// The same for noise whose `σ²` is any fraction.
pub fn cost_of(per_person: u32, sigma_squared: Rho) -> Result<Rho, Error> {
    if *sigma_squared.numer() <= 0 {
        return Err(Error::Cost { what: "sigma is zero, and a count without noise has no finite cost".into() });
    }
    let delta = i128::from(per_person);
    let (numerator, denominator) = (i128::from(*sigma_squared.numer()), i128::from(*sigma_squared.denom()));
    // Each product is under 2^128: a square of 32 bits by 63 bits, and 63 bits by two.
    let exact = num_rational::Ratio::new(delta * delta * denominator, 2 * numerator);
    match (i64::try_from(*exact.numer()), i64::try_from(*exact.denom())) {
        (Ok(numerator), Ok(denominator)) => Ok(Rho::new_raw(numerator, denominator)),
        _ => Err(too_long()),
    }
}

/// The cost of several measurements of the same records: their sum (Bun and Steinke 2016, Lemma 1.7).
///
/// A sum that needs more than 64 bits is refused and never rounded.
pub fn total(costs: impl IntoIterator<Item = Rho>) -> Result<Rho, Error> {
    costs.into_iter().try_fold(Rho::from_integer(0), add)
}

/// The least epsilon for which a cost of `rho` implies (epsilon, delta)-differential privacy, rounded up in its twelfth
/// digit.
///
/// For every `α > 1`, `ε = αρ + ln((α−1)/α) + (ln(1/δ) − ln α)/(α−1)` is a valid answer (Canonne, Kamath and Steinke
/// 2020, Prop. 12 and Cor. 13); the smallest is searched for. It is less than the `ρ + 2√(ρ ln(1/δ))` of Bun and Steinke
/// 2016, Prop. 1.3, by about a tenth. Whatever the search finds is valid, so that one that stops early errs on the safe side.
pub fn epsilon(rho: Rho, delta: f64) -> f64 {
    if *rho.numer() <= 0 {
        return 0.0;
    }
    let rho = as_float(rho);
    let epsilon_at = |log_excess: f64| {
        let excess = log_excess.exp();
        // ln α = ln(1 + (α−1)), which keeps its digits where α is near 1.
        let log_alpha = excess.ln_1p();
        (1.0 + excess) * rho + log_excess - log_alpha + (-delta.ln() - log_alpha) / excess
    };
    // The function has one valley, between α = 1 + e⁻¹² and 1 + e¹⁶ for every budget that anybody would spend.
    let least = epsilon_at(valley(epsilon_at));
    // Each of the few operations rounds by at most one part in 2^52.
    (least * (1.0 + 1e-12)).max(0.0)
}

/// The least delta for which a cost of `rho` implies (epsilon, delta)-differential privacy; the same bound, the other way
/// round: `δ = exp((α−1)(αρ − ε)) (1 − 1/α)^α / (α−1)`. At most 1.
pub fn delta(rho: Rho, epsilon: f64) -> f64 {
    if *rho.numer() <= 0 {
        return 0.0;
    }
    let rho = as_float(rho);
    let log_delta_at = |log_excess: f64| {
        let excess = log_excess.exp();
        let alpha = 1.0 + excess;
        excess * (alpha * rho - epsilon) + alpha * (log_excess - excess.ln_1p()) - log_excess
    };
    (log_delta_at(valley(log_delta_at)).exp() * (1.0 + 1e-12)).min(1.0)
}

/// Where a function with one valley between −12 and 16 is lowest.
fn valley(function: impl Fn(f64) -> f64) -> f64 {
    let (mut low, mut high) = (-12.0_f64, 16.0_f64);
    for _ in 0..200 {
        let third = (high - low) / 3.0;
        if function(low + third) < function(high - third) {
            high -= third;
        } else {
            low += third;
        }
    }
    low
}

/// A cost as the nearest floating-point number, for comparing with a library's and for weighing.
pub(super) fn as_float(rho: Rho) -> f64 {
    *rho.numer() as f64 / *rho.denom() as f64
}

fn add(left: Rho, right: Rho) -> Result<Rho, Error> {
    crate::pipeline::add_rho(left, right).ok_or_else(too_long)
}

pub(super) fn too_long() -> Error {
    Error::Cost { what: "the cost does not fit into a fraction of 64-bit numbers".into() }
}
