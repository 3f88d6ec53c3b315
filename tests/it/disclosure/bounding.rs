//! One person moves the counts by no more than the noise is made for.

use std::collections::BTreeSet;

use chudong::disclosure::{Request, total};
use chudong::pipeline::{Bins, Counted, Dimension, Measure, PrivacyPolicy, Rho};
use proptest::prelude::*;

use super::rows::{self, Row, request, row, sample};

const COMMUNES: [&str; 4] = ["97001", "97002", "97003", "99999"];
const GROUPS: [&str; 3] = ["civil_status", "identity_and_residence", "no_such_group"];

/// A few people with several records each, some of another month, with an unknown code or an impossible level.
fn any_rows() -> impl Strategy<Value = Vec<Row>> {
    let cell = (0_usize..COMMUNES.len(), 0_usize..GROUPS.len());
    let records = prop::collection::vec((0_u32..4, 0_u32..10, cell, 0_i64..7), 0..24);
    records.prop_map(|records| {
        let one = |(record, (person, month, (commune, group), value)): (usize, (u32, u32, (usize, usize), i64))| Row {
            record: u32::try_from(record).unwrap(),
            person,
            month: if month == 0 { "2026-09" } else { "2026-10" },
            commune: COMMUNES[commune].to_owned(),
            group: GROUPS[group],
            value,
        };
        records.into_iter().enumerate().map(one).collect()
    })
}

fn counts(request: &Request, policy: &PrivacyPolicy) -> Vec<Vec<i64>> {
    let of = |table: &str| request.exact_counts(table).unwrap().reveal().clone();
    policy.measures.iter().map(|measure| of(&measure.table)).collect()
}

fn bound(policy: &PrivacyPolicy, of: Counted) -> u32 {
    match of {
        Counted::Ratings => policy.ratings_per_person,
        Counted::Dossiers => policy.dossiers_per_person,
    }
}

/// For each measure, the most by which leaving out one person moves its counts, squared: by brute force.
fn largest_moves(policy: &PrivacyPolicy, rows: &[Row]) -> Vec<i64> {
    let with = counts(&request(policy, rows, rows).unwrap(), policy);
    let people: BTreeSet<u32> = rows.iter().map(|row| row.person).collect();
    let mut largest = vec![0; with.len()];
    for person in people {
        let others: Vec<Row> = rows.iter().filter(|row| row.person != person).cloned().collect();
        let without = counts(&request(policy, &others, &others).unwrap(), policy);
        for (largest, (with, without)) in largest.iter_mut().zip(with.iter().zip(&without)) {
            let square: i64 = with.iter().zip(without).map(|(one, other)| (one - other).pow(2)).sum();
            *largest = (*largest).max(square);
        }
    }
    largest
}

/// The measures whose counts move further than their noise is made for.
fn violations(policy: &PrivacyPolicy, promised: &PrivacyPolicy, rows: &[Row]) -> Vec<String> {
    let too_far = |(measure, square): &(&chudong::pipeline::Measure, i64)| {
        *square > i64::from(bound(promised, measure.of)).pow(2)
    };
    let moves = policy.measures.iter().zip(largest_moves(policy, rows));
    moves.filter(too_far).map(|(measure, _)| measure.table.clone()).collect()
}

/// Every measure that a policy file can name: each kind of records by nothing, one dimension and both, in all its bins.
fn every_measure() -> PrivacyPolicy {
    let (mut policy, _, _) = sample();
    let all = [
        vec![],
        vec![Dimension::Commune],
        vec![Dimension::ProcedureGroup],
        vec![Dimension::Commune, Dimension::ProcedureGroup],
    ];
    let kinds = [
        (Counted::Ratings, Bins::Level, 4),
        (Counted::Ratings, Bins::Satisfied, 3),
        (Counted::Dossiers, Bins::TimelinessAndChannel, 8),
    ];
    policy.measures = kinds
        .into_iter()
        .flat_map(|kind| all.iter().map(move |by| (kind, by.clone())))
        .enumerate()
        .map(|(place, ((of, bins, sigma), by))| Measure {
            table: format!("t{place:02}"),
            of,
            by,
            bins,
            sigma,
            min_count: 1,
        })
        .collect();
    policy
}

/// A change of one record, and whether what is kept of a rating shows it.
type Edit = (bool, fn(&mut Row));

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// By measure, and all measures together: what one person moves, weighed by the noise, costs no more than is reserved.
    #[test]
    fn leaving_out_one_person_moves_no_measure_further_than_promised(
        rows in any_rows(), ratings in 1_u32..4, dossiers in 1_u32..4,
    ) {
        let mut policy = every_measure();
        (policy.ratings_per_person, policy.dossiers_per_person) = (ratings, dossiers);
        let moves = largest_moves(&policy, &rows);
        let costs = policy.measures.iter().zip(&moves).map(|(measure, square)| {
            prop_assert!(*square <= i64::from(bound(&policy, measure.of)).pow(2), "{}", measure.table);
            Ok(Rho::new(*square, 2 * i64::from(measure.sigma).pow(2)))
        });
        let lost = total(costs.collect::<Result<Vec<_>, TestCaseError>>()?).unwrap();
        prop_assert!(lost <= request(&policy, &[], &[]).unwrap().cost());
    }

    #[test]
    fn each_person_counts_as_often_as_allowed_and_no_more(rows in any_rows(), ratings in 1_u32..4) {
        let (mut policy, _, _) = sample();
        policy.ratings_per_person = ratings;
        let counts_at_all = |row: &&Row| row.month == "2026-10"
            && (1..=5).contains(&row.value) && row.commune != "99999" && row.group != "no_such_group";
        let of_person = |person| rows.iter().filter(counts_at_all).filter(|row| row.person == person).count();
        let expected: usize = (0..4).map(|person| of_person(person).min(ratings as usize)).sum();
        // Every record twice: a repeated record counts once.
        let doubled = [rows.clone(), rows.clone()].concat();
        let request = request(&policy, &doubled, &[]).unwrap();
        for (measure, counts) in policy.measures.iter().zip(counts(&request, &policy)) {
            let expected = if measure.of == Counted::Ratings { expected } else { 0 };
            prop_assert_eq!(counts.iter().sum::<i64>(), i64::try_from(expected).unwrap(), "{}", measure.table);
        }
        // What the intake left out, and what has a code in no public list.
        let taken = rows::ratings_bounded(ratings, (&sample().1, &sample().2), &doubled).1;
        let october = &taken.months["2026-10"];
        let all = usize::try_from(october.counts.sum(|_| true)).unwrap();
        prop_assert_eq!(all, rows.iter().filter(|row| row.month == "2026-10" && (1..=5).contains(&row.value)).count());
        prop_assert_eq!(usize::try_from(october.repeated).unwrap(), all);
        let unknown = october.counts.sum(|cell| cell.is_counted && (cell.commune.is_none() || cell.group.is_none()));
        prop_assert_eq!(unknown, i64::try_from(request.left_out(Counted::Ratings).unwrap().unknown_code).unwrap());
        prop_assert_eq!(all, expected + usize::try_from(unknown).unwrap() + usize::try_from(october.over_bound).unwrap());
    }

    #[test]
    fn the_order_of_rows_changes_nothing(rows in any_rows(), seed in any::<u64>()) {
        let (policy, _, _) = sample();
        let mut shuffled = rows.clone();
        shuffled.sort_by_key(|row| (u64::from(row.record) + 1).wrapping_mul(seed | 1).rotate_left(17));
        let (one, other) = (request(&policy, &rows, &rows).unwrap(), request(&policy, &shuffled, &shuffled).unwrap());
        prop_assert_eq!(one.release_id(), other.release_id());
        prop_assert_eq!(counts(&one, &policy), counts(&other, &policy));
    }

    #[test]
    fn the_identity_changes_with_every_record_that_counts(rows in any_rows(), chosen in any::<prop::sample::Index>()) {
        let (mut policy, _, _) = sample();
        (policy.ratings_per_person, policy.dossiers_per_person) = (100, 100);
        let mut all = rows.clone();
        all.push(row(1000, 9, "97001", "civil_status", 3));
        let counting: Vec<usize> = (0..all.len()).filter(|place| {
            let row = &all[*place];
            row.month == "2026-10" && (1..=5).contains(&row.value) && row.commune != "99999" && row.group != "no_such_group"
        }).collect();
        let place = counting[chosen.index(counting.len())];
        // Of a dossier everything is in it; of a rating only what is kept of it, which is neither person nor number.
        let edits: [Edit; 5] = [
            (true, |row| row.value = if row.value == 5 { 2 } else { row.value + 1 }),
            (false, |row| row.person += 100),
            (false, |row| row.record += 10_000),
            (true, |row| row.commune = "97008".into()),
            (true, |row| row.month = "2026-09"),
        ];
        for (is_kept_of_ratings, edit) in edits {
            let mut changed = all.clone();
            edit(&mut changed[place]);
            for is_rating in [false, true] {
                let of = |rows: &[Row]| match is_rating {
                    true => request(&policy, rows, &[]).unwrap(),
                    false => request(&policy, &[], rows).unwrap(),
                };
                let (before, after) = (of(&all), of(&changed));
                prop_assert_eq!(before.release_id() != after.release_id(), !is_rating || is_kept_of_ratings);
                prop_assert_eq!(before.spec_id(), after.spec_id());
            }
        }
    }
}

/// The property above finds a bound that does not hold: here it is lifted, and the noise is still made for one record.
#[test]
fn without_bounding_the_brute_force_finds_the_violation() {
    let (promised, _, _) = sample();
    let mut broken = promised.clone();
    (broken.ratings_per_person, broken.dossiers_per_person) = (100, 100);
    let rows: Vec<Row> = (0..5).map(|record| row(record, 1, "97001", "civil_status", 5)).collect();
    let all: Vec<String> = promised.measures.iter().map(|measure| measure.table.clone()).collect();
    assert_eq!(violations(&broken, &promised, &rows), all);
    assert_eq!(violations(&promised, &promised, &rows), Vec::<String>::new());
    // All records of a person may fall into one cell: the promise is reached, so that no smaller noise would do.
    assert_eq!(largest_moves(&promised, &rows), [1, 1, 1, 4, 4, 4]);
}

#[test]
fn the_identity_changes_with_the_policy_and_the_code_lists() {
    let (policy, mut unit, groups) = sample();
    let rows = [row(1, 1, "97001", "civil_status", 5)];
    let before = request(&policy, &rows, &rows).unwrap();
    let edits: [fn(&mut PrivacyPolicy); 6] = [
        |policy| policy.policy.push('x'),
        |policy| policy.ratings_per_person += 1,
        |policy| policy.dossiers_per_person += 1,
        |policy| policy.measures[0].sigma += 1,
        |policy| policy.measures[0].table.push('x'),
        |policy| drop(policy.measures.pop()),
    ];
    for edit in edits {
        let mut changed = policy.clone();
        edit(&mut changed);
        let after = request(&changed, &rows, &rows).unwrap();
        assert_ne!(before.release_id(), after.release_id());
        assert_ne!(before.spec_id(), after.spec_id());
    }
    // Neither the order of measures nor of codes is part of it, nor is what only readers see.
    let mut same = policy.clone();
    same.measures.reverse();
    same.measures[0].min_count += 1;
    unit.communes.reverse();
    let again = |unit: &chudong::pipeline::Unit| {
        let (ratings, dossiers) = (rows::ratings(&rows), rows::dossiers(&rows));
        Request::new(rows::october(), &same, unit, &groups, &ratings, &dossiers, &rows::key()).unwrap()
    };
    assert_eq!(again(&unit).release_id(), before.release_id());
    unit.communes.pop();
    assert_ne!(again(&unit).release_id(), before.release_id());
}

/// Whoever knows every record but not the key cannot confirm a guess by computing the identity.
#[test]
fn the_identity_depends_on_the_key() {
    let (policy, unit, groups) = sample();
    let rows = [row(1, 1, "97001", "civil_status", 5)];
    let with = |key: [u8; 32]| {
        let key = chudong::personal::PseudonymKey::new(key);
        let (ratings, dossiers) = (rows::ratings(&rows), rows::dossiers(&[]));
        Request::new(rows::october(), &policy, &unit, &groups, &ratings, &dossiers, &key).unwrap()
    };
    assert_ne!(with([1; 32]).release_id(), with([2; 32]).release_id());
    assert_eq!(with([1; 32]).spec_id(), with([2; 32]).spec_id());
}

#[test]
fn a_request_shows_nothing_of_itself() {
    let (policy, _, _) = sample();
    let rows: Vec<Row> = (0..77).map(|place| row(place, place, "97001", "civil_status", 5)).collect();
    let request = request(&policy, &rows, &rows).unwrap();
    assert_eq!(
        format!("{request:?}"),
        "Request { month: \"2026-10\", part: \"whole\", policy: \"an-binh-2026-1\", .. }"
    );
    assert_eq!(format!("{:?}", request.exact_counts("satisfaction_by_commune").unwrap()), "[personal]");
}
