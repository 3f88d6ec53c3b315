//! Two declared editions of a month: an exact split of the budget, what is combined, what is refused.

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use chudong::disclosure::{Draws, Edition, Error, Part, Released, Request, cost, release, total};
use chudong::fault::Explain;
use chudong::pipeline::{Editions, PrivacyPolicy, Rho};
use proptest::prelude::*;

use super::rows::{self, Row, row, sample};

fn two(first_percent: u8) -> PrivacyPolicy {
    let (mut policy, _, _) = sample();
    policy.editions = Some(Editions { first_percent, second_after_days: 40 });
    policy
}

fn request(policy: &PrivacyPolicy, part: Part, rows: &[Row]) -> Result<Request, Error> {
    let (_, unit, groups) = sample();
    let (ratings, dossiers) = (rows::ratings(rows), rows::dossiers(&[]));
    Request::new((rows::october(), part), policy, &unit, &groups, &ratings, &dossiers, &rows::key())
}

fn released(draws: &[Draws], policy: &PrivacyPolicy) -> Result<Vec<Released>, Error> {
    let (_, unit, groups) = sample();
    release(draws, policy, &unit, &groups)
}

fn raw(released: &[Released], table: &str, column: &str) -> Vec<i64> {
    let table = released.iter().find(|released| released.name() == table).unwrap().table();
    table.column_by_name(column).unwrap().as_primitive::<Int64Type>().iter().flatten().collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Both parts cost together what one measurement costs, to the last fraction, and are as exact.
    #[test]
    fn two_editions_split_the_budget_exactly(first_percent in 1_u8..100, sigma in 1_u32..40) {
        let mut policy = two(first_percent);
        policy.measures.iter_mut().for_each(|measure| measure.sigma = sigma);
        let costs = [Part::First, Part::Second].map(|part| request(&policy, part, &[]).unwrap().cost());
        let whole = total([cost(1, sigma).unwrap(), cost(2, sigma).unwrap()]).unwrap();
        prop_assert_eq!(total(costs).unwrap(), whole * Rho::from_integer(3));
        prop_assert_eq!(costs[0] / (costs[0] + costs[1]), Rho::new(i64::from(first_percent), 100));
        let variances = [Part::First, Part::Second].map(|part| part.sigma_squared(&policy, sigma).unwrap());
        prop_assert_eq!(variances[0].recip() + variances[1].recip(), Rho::new(1, i64::from(sigma * sigma)));
    }
}

#[test]
fn the_first_part_is_preliminary_and_both_are_final() {
    let policy = two(30);
    let people: Vec<Row> = (0..4_000).map(|person| row(person, person, "97001", "civil_status", 5)).collect();
    let first = request(&policy, Part::First, &people[..3_000]).unwrap();
    let second = request(&policy, Part::Second, &people).unwrap();
    let (first, second) = (first.draw().unwrap(), second.draw().unwrap());
    let preliminary = released(std::slice::from_ref(&first), &policy).unwrap();
    let both = released(&[second.clone(), first.clone()], &policy).unwrap();
    for (released, edition, folder) in
        [(&preliminary, Edition::Preliminary, "2026-10-preliminary"), (&both, Edition::Final, "2026-10")]
    {
        assert!(released.iter().all(|table| table.edition() == edition && table.folder() == folder));
    }
    let account = |released: &[Released]| {
        let account = released[1].noise().unwrap();
        (account.rho_month, account.fitted_to[0].editions.join(" "), account.release_ids.len())
    };
    assert_eq!(account(&preliminary), (Rho::new(9, 160), "first".into(), 1));
    assert_eq!(account(&both), (Rho::new(3, 16), "first second".into(), 2));
    // Noise of one measurement with sigma 4 in the end; before that of sigma 7.3.
    let noise = |released: &[Released]| released[1].noise().unwrap().bin_noise[0];
    assert!(noise(&both) < 4.0 && noise(&preliminary) > 6.0 && noise(&preliminary) < 7.31);
    // The final edition shows what was drawn for it; what was drawn for the first stands in the first.
    let (table, column) = ("satisfaction_by_commune", "level_5_measured");
    assert!((raw(&both, table, column)[0] - 4_000).abs() < 60);
    assert!((raw(&preliminary, table, column)[0] - 3_000).abs() < 90);
    // 30 % of the precision is of the first, which saw 3,000: 3,700, and far from what either part or their mean says. That
    // no count is negative moves the largest by some deviations more.
    assert!((raw(&both, table, "level_5")[0] - 3_700).abs() < 100, "{}", raw(&both, table, "level_5")[0]);
    // Nothing in the record ids of the parts is the same: each is an identity of its own.
    assert_ne!(first.release_id(), second.release_id());
}

#[test]
fn a_month_that_is_not_whole_makes_no_quarter_and_no_other_period() {
    let policy = two(30);
    let draw = |month: &str, part: Part| {
        let (_, unit, groups) = sample();
        let (ratings, dossiers) = (rows::ratings(&[]), rows::dossiers(&[]));
        let asked = (month.parse().unwrap(), part);
        Request::new(asked, &policy, &unit, &groups, &ratings, &dossiers, &rows::key()).unwrap().draw().unwrap()
    };
    let months = ["2026-07", "2026-08", "2026-09"];
    let all: Vec<Draws> =
        months.iter().flat_map(|month| [Part::First, Part::Second].map(|part| draw(month, part))).collect();
    assert!(released(&all, &policy).unwrap().iter().all(|table| table.period().to_string() == "2026-Q3"));
    for wrong in [&all[1..], &all[..5], &all[1..2], &[all[0].clone(), all[0].clone()]] {
        assert_eq!(released(wrong, &policy).unwrap_err().code(), "disclosure.not-a-period");
    }
}

#[test]
fn twelve_final_months_make_a_year_that_costs_nothing_of_its_own() {
    let (policy, unit, groups) = sample();
    let people: Vec<Row> = (0..400).map(|person| row(person, person, "97001", "civil_status", 5)).collect();
    let draw = |month: u8| {
        let (ratings, dossiers) = (rows::ratings(&people), rows::dossiers(&[]));
        let asked = (format!("2026-{month:02}").parse().unwrap(), Part::Whole);
        Request::new(asked, &policy, &unit, &groups, &ratings, &dossiers, &rows::key()).unwrap().draw().unwrap()
    };
    let months: Vec<Draws> = (1..=12).map(draw).collect();
    let year = released(&months, &policy).unwrap();
    assert!(year.iter().all(|table| table.period().to_string() == "2026" && table.folder() == "2026"));
    assert!(year.iter().all(|table| table.edition() == Edition::Final));
    let account = year[1].noise().unwrap();
    assert_eq!((account.months.len(), account.release_ids.len()), (12, 12));
    // What one month costs, and no more for the year.
    assert_eq!(account.rho_month, released(&months[..1], &policy).unwrap()[1].noise().unwrap().rho_month);
    // The measurements are summed. All 400 rated in October: within eight deviations of twelve draws.
    let table = "satisfaction_by_commune";
    let sum: i64 = months
        .iter()
        .map(|draws| raw(&released(std::slice::from_ref(draws), &policy).unwrap(), table, "level_5_measured")[0])
        .sum();
    assert_eq!(raw(&year, table, "level_5_measured")[0], sum);
    assert!((raw(&year, table, "level_5")[0] - 400).abs() < 120, "{}", raw(&year, table, "level_5")[0]);
    // Its period is explained as a year.
    let period = year[1].columns().iter().find(|column| column.name == "period").unwrap();
    assert_eq!(period.meaning.en, "Year (2026)");
    for wrong in [&months[..11], &months[1..]] {
        assert_eq!(released(wrong, &policy).unwrap_err().code(), "disclosure.not-a-period");
    }
}

#[test]
fn a_part_that_the_policy_does_not_declare_is_refused() {
    let (one, _, _) = sample();
    for (policy, part) in [(one.clone(), Part::First), (one.clone(), Part::Second), (two(30), Part::Whole)] {
        assert_eq!(request(&policy, part, &[]).unwrap_err().code(), "disclosure.cost");
    }
    // Draws of one form do not pass for the other.
    let whole = request(&one, Part::Whole, &[]).unwrap().draw().unwrap();
    let refused = released(&[whole], &two(30)).unwrap_err();
    assert_eq!(refused.code(), "disclosure.other-policy");
}

#[test]
fn parts_fall_due_on_their_days() {
    let policy = two(30);
    let due = |as_of: &str| {
        let as_of = as_of.parse().unwrap();
        Part::of(&policy).iter().map(|part| part.is_due(&policy, rows::october(), as_of)).collect::<Vec<_>>()
    };
    assert_eq!(due("2026-11-10"), [false, false]);
    assert_eq!(due("2026-11-11"), [true, false]);
    assert_eq!(due("2026-12-10"), [true, false]);
    assert_eq!(due("2026-12-11"), [true, true]);
}
