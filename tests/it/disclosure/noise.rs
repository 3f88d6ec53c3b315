//! The noise has the distribution that the accounts promise, and every cell gets it.

use std::collections::BTreeMap;

use chudong::disclosure::{Draws, Part, Request};
use chudong::fault::Explain;
use chudong::pipeline::{Commune, Editions, PrivacyPolicy};
use serde_json::Value;

use super::rows::{self, Row, request, row, sample};

/// The noisy counts of each table, as they are stored.
fn counts(draws: &Draws) -> BTreeMap<String, Vec<i64>> {
    let stored: Value = serde_json::from_slice(&draws.to_bytes().unwrap()).unwrap();
    let of = |measured: &Value| {
        let counts = measured["counts"].as_array().unwrap().iter().map(|count| count.as_i64().unwrap()).collect();
        (measured["table"].as_str().unwrap().to_owned(), counts)
    };
    stored["measures"].as_array().unwrap().iter().map(of).collect()
}

/// Pearson's statistic of noise against the exact probabilities of the discrete Gaussian, `exp(−x²/2σ²)` over their sum,
/// and its degrees of freedom. Values beyond three deviations are one class on each side.
fn chi_square(noise: &[i64], sigma_squared: f64) -> (f64, f64) {
    let last = (3.0 * sigma_squared.sqrt()) as i64;
    let weight = |x: i64| (-((x * x) as f64) / (2.0 * sigma_squared)).exp();
    let all: f64 = (-20 * last..=20 * last).map(weight).sum();
    let class = |x: i64| usize::try_from(x.clamp(-last - 1, last + 1) + last + 1).unwrap();
    let mut expected = vec![0.0; class(last + 1) + 1];
    (-20 * last..=20 * last).for_each(|x| expected[class(x)] += weight(x) / all * noise.len() as f64);
    let mut seen = vec![0.0; expected.len()];
    noise.iter().for_each(|x| seen[class(*x)] += 1.0);
    assert!(expected.iter().all(|expected| *expected > 5.0));
    let statistic = seen.iter().zip(&expected).map(|(seen, expected)| (seen - expected).powi(2) / expected).sum();
    (statistic, expected.len() as f64 - 1.0)
}

/// What a right sampler exceeds once in 10^10 runs, by Wilson and Hilferty 1931: 6.36 deviations of a normal.
fn chi_square_limit(freedom: f64) -> f64 {
    let spread = 2.0 / (9.0 * freedom);
    freedom * (1.0 - spread + 6.36 * spread.sqrt()).powi(3)
}

/// Nothing but noise: one count of level 1 to 5 for each of so many communes. They are so many that a shift by one, of
/// noise with a deviation of 7.3, is ten deviations of the statistic beyond its limit.
fn noise_of(policy: &PrivacyPolicy, part: Part) -> Vec<i64> {
    let (_, mut unit, groups) = sample();
    let commune = unit.communes[0].clone();
    unit.communes = (0..6_000).map(|code| Commune { code: format!("{code:05}"), ..commune.clone() }).collect();
    let (ratings, dossiers) = (rows::ratings(&[]), rows::dossiers(&[]));
    let asked = (rows::october(), part);
    let request = Request::new(asked, policy, &unit, &groups, &ratings, &dossiers, &rows::key()).unwrap();
    counts(&request.draw().unwrap()).remove("satisfaction_by_commune").unwrap()
}

#[test]
fn noise_is_the_discrete_gaussian_of_the_policy_and_of_each_edition() {
    let (mut policy, _, _) = sample();
    policy.measures.retain(|measure| measure.table == "satisfaction_by_commune");
    let mut two = policy.clone();
    two.editions = Some(Editions { first_percent: 30, second_after_days: 40 });
    for (policy, part, sigma_squared) in
        [(&policy, Part::Whole, 16.0), (&two, Part::First, 160.0 / 3.0), (&two, Part::Second, 160.0 / 7.0)]
    {
        let noise = noise_of(policy, part);
        let (statistic, freedom) = chi_square(&noise, sigma_squared);
        assert!(statistic < chi_square_limit(freedom), "{part:?}: {statistic} with {freedom} degrees of freedom");
        // The test has teeth: noise of another parameter, or rounded continuous noise of half a unit to one side, is found.
        let shrunk: Vec<i64> = noise.iter().map(|x| x * 9 / 10).collect();
        let shifted: Vec<i64> = noise.iter().map(|x| x + 1).collect();
        for broken in [shrunk, shifted] {
            let (statistic, freedom) = chi_square(&broken, sigma_squared);
            assert!(statistic > chi_square_limit(freedom), "{part:?}: a broken sampler passes with {statistic}");
        }
    }
}

/// Mean and variance of the noise in some thousand cells, against bounds that a right sampler misses less often than
/// once in 10^9 runs: with `n` samples the mean has the deviation 1/√n and the variance √(2/n), in units of sigma.
#[test]
fn noise_has_the_promised_mean_and_variance() {
    let (mut policy, _, _) = sample();
    policy.measures.retain(|measure| measure.table != "satisfaction_by_procedure_group");
    let rows: Vec<Row> = (0..300).map(|person| row(person, person, "97001", "civil_status", 5)).collect();
    let request = request(&policy, &rows, &rows).unwrap();
    let mut noise = Vec::new();
    for _ in 0..8 {
        for (table, noisy) in counts(&request.draw().unwrap()) {
            let sigma = policy.measures.iter().find(|measure| measure.table == table).unwrap().sigma;
            let exact = request.exact_counts(&table).unwrap().reveal();
            assert_eq!(noisy.len(), exact.len());
            noise.extend(noisy.iter().zip(exact).map(|(noisy, exact)| (noisy - exact) as f64 / f64::from(sigma)));
        }
    }
    let n = noise.len() as f64;
    assert!(n > 2000.0);
    let mean = noise.iter().sum::<f64>() / n;
    let variance = noise.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
    let (mean_reach, variance_reach) = (6.5 / n.sqrt(), 8.0 * (2.0 / n).sqrt());
    assert!(mean.abs() < mean_reach, "mean {mean}, at most {mean_reach}");
    assert!((variance - 1.0).abs() < variance_reach, "variance {variance}, 1 within {variance_reach}");
    // A normal distribution has 4.6 % beyond two deviations; without tails or with far ones this fails.
    let tail = noise.iter().filter(|x| x.abs() > 2.0).count() as f64 / n;
    assert!((0.01..0.10).contains(&tail), "{tail} lies beyond two deviations");
}

/// That 40 independent noises of sigma 4 are all zero has a probability under 10^-39.
#[test]
fn absent_cells_get_noise_of_their_own() {
    let (policy, _, _) = sample();
    let request = request(&policy, &[], &[]).unwrap();
    let (one, other) = (counts(&request.draw().unwrap()), counts(&request.draw().unwrap()));
    let cells: Vec<(&str, usize)> = one.iter().map(|(table, counts)| (table.as_str(), counts.len())).collect();
    assert_eq!(
        cells,
        [
            ("satisfaction_by_commune", 8 * 5),
            ("satisfaction_by_commune_and_procedure_group", 8 * 4 * 2),
            ("satisfaction_by_procedure_group", 4 * 5),
            ("service_quality_by_commune", 8 * 4),
            ("service_quality_by_commune_and_procedure_group", 8 * 4 * 4),
            ("service_quality_by_procedure_group", 4 * 4),
        ]
    );
    assert!(one.values().all(|counts| counts.iter().any(|count| *count != 0)));
    assert_ne!(one, other, "each draw is a new one");
}

#[test]
fn noise_of_sigma_zero_is_refused() {
    let (mut policy, _, _) = sample();
    policy.measures[0].sigma = 0;
    assert_eq!(request(&policy, &[], &[]).unwrap_err().code(), "disclosure.cost");
}

#[test]
fn draws_keep_their_bytes() {
    let (policy, _, _) = sample();
    let request = request(&policy, &[row(1, 1, "97001", "civil_status", 5)], &[]).unwrap();
    let draws = request.draw().unwrap();
    let bytes = draws.to_bytes().unwrap();
    let again = Draws::from_bytes(&bytes).unwrap();
    assert_eq!(again, draws);
    assert_eq!(again.to_bytes().unwrap(), bytes);
    assert_eq!(again.release_id(), request.release_id());
    assert_eq!((again.month(), again.policy()), (rows::october(), "an-binh-2026-1"));
    // The keys of every object stand in alphabetical order: serde_json's own map would sort them so.
    let sorted: Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(serde_json::to_vec(&sorted).unwrap(), bytes);
}
