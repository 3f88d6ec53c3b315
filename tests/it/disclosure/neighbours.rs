//! The privacy loss of a whole month's measurements on neighbouring data, seen as an attacker would: one person is there
//! with all records that count, or is not.
//!
//! Each commune is a trial of its own: in every second one a person is added, who moves each measure of that commune as
//! far as bounding lets a person do. The attacker knows all other rows, computes the likelihood ratio of both worlds from
//! what was drawn, and says which world each commune is in. For Gaussian noise of cost ρ the best attacker's two
//! probabilities of saying "there" differ by `2Φ(√(ρ/2)) − 1` and by no more. By Dvoretzky, Kiefer, Wolfowitz and Massart
//! the difference that is seen in `n` trials of each world is within `2√(ln(2·10¹⁰)/2n)` of the true one for all
//! thresholds at once, but for once in 10¹⁰ runs. A build with half the noise, or one that counts a person twice, must be found.

use chudong::disclosure::{Draws, Request};
use chudong::pipeline::{Commune, PrivacyPolicy, ProcedureGroup, Unit};
use serde_json::Value;

use super::rows::{self, Row, row, sample};

const COMMUNES: u32 = 1_000;
const DRAWS: usize = 12;
const GROUP: &str = "civil_status";

/// Ratings and dossiers by commune, and by commune and group: every level below the unit, without what communes share.
fn small() -> (PrivacyPolicy, Unit, Vec<ProcedureGroup>) {
    let (mut policy, mut unit, mut groups) = sample();
    let commune = unit.communes[0].clone();
    unit.communes = (0..COMMUNES).map(|code| Commune { code: format!("{code:05}"), ..commune.clone() }).collect();
    groups.retain(|group| group.id == GROUP);
    policy.measures.retain(|measure| measure.by.len() != 1 || measure.table.ends_with("_by_commune"));
    (policy, unit, groups)
}

/// What may go wrong in a build.
#[derive(Clone, Copy)]
enum Build {
    Right,
    /// The noise has half the deviation that it should have.
    HalfTheNoise,
    /// A person counts twice as often as the noise is made for.
    CountedTwice,
}

/// Two ratings and four dossiers of one person in a commune: more than counts.
fn person(commune: u32) -> Vec<Row> {
    let code = format!("{commune:05}");
    (0..4).map(|place| row(commune * 10 + place, commune, &code, GROUP, 3)).collect()
}

fn draws(build: Build) -> (PrivacyPolicy, Vec<Draws>) {
    let (promised, unit, groups) = small();
    let mut policy = promised.clone();
    match build {
        Build::Right => {}
        Build::HalfTheNoise => policy.measures.iter_mut().for_each(|measure| measure.sigma /= 2),
        Build::CountedTwice => {
            (policy.ratings_per_person, policy.dossiers_per_person) =
                (2 * promised.ratings_per_person, 2 * promised.dossiers_per_person);
        }
    }
    let there: Vec<Row> = (0..COMMUNES).step_by(2).flat_map(person).collect();
    let ratings = rows::ratings_bounded(policy.ratings_per_person, (&unit, &groups), &there).0;
    let dossiers = rows::dossiers(&there);
    let request = Request::new(rows::october(), &policy, &unit, &groups, &ratings, &dossiers, &rows::key()).unwrap();
    (promised, (0..DRAWS).map(|_| request.draw().unwrap()).collect())
}

/// The attacker's score of each commune: the logarithm of the likelihood ratio under the promised noise, but for a
/// constant. In the world without the person every count of the commune is noise alone.
fn scores(policy: &PrivacyPolicy, draws: &Draws) -> Vec<f64> {
    let stored: Value = serde_json::from_slice(&draws.to_bytes().unwrap()).unwrap();
    let mut scores = vec![0.0; COMMUNES as usize];
    for measured in stored["measures"].as_array().unwrap() {
        let measure =
            policy.measures.iter().find(|measure| measure.table == measured["table"].as_str().unwrap()).unwrap();
        let bins = measured["bins"].as_array().unwrap();
        // Level 3, not satisfied; and by both bits: on time and online.
        let name = ["level_3", "not_satisfied", "on_time_online"];
        let bin = bins.iter().position(|bin| name.contains(&bin.as_str().unwrap())).unwrap();
        let moved = if measured["of"] == "ratings" { policy.ratings_per_person } else { policy.dossiers_per_person };
        let weight = f64::from(moved) / f64::from(measure.sigma * measure.sigma);
        let counts = measured["counts"].as_array().unwrap();
        for (score, count) in scores.iter_mut().zip(counts.iter().skip(bin).step_by(bins.len())) {
            *score += weight * count.as_i64().unwrap() as f64;
        }
    }
    scores
}

/// By how much the shares of "there" differ between the two worlds, at the threshold at which they differ most.
fn advantage(build: Build) -> (f64, f64) {
    let (policy, draws) = draws(build);
    let (mut there, mut gone) = (Vec::new(), Vec::new());
    for draws in &draws {
        for (commune, score) in scores(&policy, draws).into_iter().enumerate() {
            if commune.is_multiple_of(2) { there.push(score) } else { gone.push(score) }
        }
    }
    there.sort_by(f64::total_cmp);
    gone.sort_by(f64::total_cmp);
    let share_above = |sorted: &[f64], threshold: f64| {
        1.0 - sorted.partition_point(|score| *score <= threshold) as f64 / sorted.len() as f64
    };
    let differences = gone.iter().map(|threshold| share_above(&there, *threshold) - share_above(&gone, *threshold));
    let n = there.len().min(gone.len()) as f64;
    (differences.fold(0.0, f64::max), 2.0 * ((2e10_f64).ln() / (2.0 * n)).sqrt())
}

/// `2Φ(√(ρ/2)) − 1` for the four measures of cost 1/32 each: Φ(0.25) = 0.598706.
const ALLOWED: f64 = 2.0 * 0.598_706_325_7 - 1.0;

#[test]
fn nobody_is_found_better_than_the_account_says() {
    let (seen, reach) = advantage(Build::Right);
    assert!(seen <= ALLOWED + reach, "{seen} is more than {ALLOWED} + {reach}");
    // The attacker is the best there is: the promise is used up, so that a weaker attacker would prove nothing.
    assert!(seen >= ALLOWED - reach, "{seen} is less than {ALLOWED} - {reach}");
}

#[test]
fn half_the_noise_is_found() {
    let (seen, reach) = advantage(Build::HalfTheNoise);
    assert!(seen > ALLOWED + reach, "{seen} is not more than {ALLOWED} + {reach}");
}

#[test]
fn a_person_counted_twice_is_found() {
    let (seen, reach) = advantage(Build::CountedTwice);
    assert!(seen > ALLOWED + reach, "{seen} is not more than {ALLOWED} + {reach}");
}
