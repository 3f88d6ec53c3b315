//! The pace: never faster than the rate, whoever sends; the urgent first; nobody slower for ever.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at the first surprise")]

use std::collections::BTreeMap;
use std::path::Path;

use chudong::delivery::pace::{Lane, Limit, Pace, Want};
use chudong::fault::Explain;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

const START: i64 = 1_800_000_000_000;

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(START + millis).unwrap()
}

fn want(lane: u8, limits: &[(&str, u32)]) -> Want {
    let limit = |(bucket, per_second): &(&str, u32)| Limit { bucket: (*bucket).to_owned(), per_second: *per_second };
    Want { lane: Lane(lane), limits: limits.iter().map(limit).collect() }
}

fn pace(folder: &Path, agency: &str) -> Pace {
    let mut pace = Pace::open(folder, agency, 1, at(0));
    assert!(pace.trouble().is_none());
    pace
}

/// How many of the instants lie in the busiest time of so many milliseconds.
fn most_within(instants: &[i64], millis: i64) -> usize {
    instants
        .iter()
        .map(|from| instants.iter().filter(|at| (*from..*from + millis).contains(*at)).count())
        .max()
        .unwrap_or(0)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Two processes and two agencies with rates of their own: over any interval no more than the smallest rate ×
    /// time + one second's worth.
    #[test]
    fn never_more_than_rate_and_burst(
        rate in 1_u32..40,
        more in 0_u32..20,
        steps in proptest::collection::vec((0_i64..400, any::<bool>(), 1_usize..60, 0_u8..4), 1..60),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let mut paces = [pace(folder.path(), "an-binh"), pace(folder.path(), "binh-minh")];
        // Each has said its rate before anything leaves.
        for (pace, rate) in paces.iter_mut().zip([rate, rate + more]) {
            pace.take(at(0), 0, &[]);
            pace.take(at(0), 1, &[want(0, &[("said", rate)])]);
        }
        let (mut now, mut left) = (1_000, Vec::new());
        for (wait, which, count, lane) in steps {
            now += wait;
            let (pace, rate) = if which { (&mut paces[0], rate) } else { (&mut paces[1], rate + more) };
            let taken = pace.take(at(now), usize::MAX, &vec![want(lane, &[("provider", rate)]); count]);
            left.extend(taken.granted.iter().filter(|granted| **granted).map(|_| now));
            prop_assert_eq!(taken.again.is_some(), taken.granted.contains(&false));
            // Whoever waits sleeps: there is no instant at once.
            prop_assert!(taken.again.is_none_or(|again| again >= at(now + 250)));
        }
        // The larger rate counts until the smaller one was said, and its burst with it.
        let slack = usize::try_from(more).unwrap();
        for millis in [1, 100, 500, 1_000, 3_000, 10_000, 30_000] {
            let most = (f64::from(rate) * (millis as f64 / 1000.0)).floor() as usize + rate as usize + slack;
            prop_assert!(most_within(&left, millis) <= most + 1, "{millis} ms: {} > {most}", most_within(&left, millis));
        }
    }

    /// A bulk of another process that asks all the time does not keep an urgent message from leaving.
    #[test]
    fn the_urgent_lane_does_not_starve(rate in 1_u32..30, waiting in 1_usize..40, every in 1_i64..200) {
        let folder = tempfile::tempdir().unwrap();
        let (mut bulk, mut urgent) = (pace(folder.path(), "an-binh"), pace(folder.path(), "binh-minh"));
        let limits = [("provider", rate)];
        bulk.take(at(0), usize::MAX, &vec![want(3, &limits); 100]);
        let (mut left, mut next, mut now) = (waiting, 1, 1);
        while left > 0 {
            if now >= next {
                let taken = urgent.take(at(now), usize::MAX, &vec![want(0, &limits); left]);
                left -= taken.granted.iter().filter(|granted| **granted).count();
                next = taken.again.map_or(i64::MAX, |again| again.as_millisecond() - START);
            }
            let of_bulk = bulk.take(at(now), usize::MAX, &vec![want(3, &limits); 100]);
            if left > 0 {
                prop_assert!(!of_bulk.granted.contains(&true), "the bulk took a token of the urgent");
            }
            now += every;
            // As if nobody else were there, and the time between two looks.
            let most = 1_000 * (waiting as i64 + 2) / i64::from(rate) + 2_000 + (every + 260) * (waiting as i64 + 2);
            prop_assert!(now < most, "{left} of {waiting} urgent messages wait after {now} ms");
        }
        // When the urgent are through, the bulk goes on.
        prop_assert!(bulk.take(at(now + 4_000), usize::MAX, &[want(3, &limits)]).granted[0]);
    }
}

#[test]
fn a_full_domain_lets_the_others_pass_and_the_first_in_line_goes_first() {
    let folder = tempfile::tempdir().unwrap();
    let mut pace = pace(folder.path(), "an-binh");
    let (big, small) = ([("provider", 10), ("big", 2)], [("provider", 10), ("small", 5)]);
    let line: Vec<Want> = (0..6).map(|_| want(1, &big)).chain((0..6).map(|_| want(1, &small))).collect();
    let taken = pace.take(at(0), 7, &line);
    assert_eq!(taken.granted.iter().filter(|granted| **granted).count(), 7);
    assert_eq!(taken.granted, [true, true, false, false, false, false, true, true, true, true, true]);
    assert!(taken.again.is_some());
    // A message without limits passes everything.
    assert_eq!(pace.take(at(0), 9, &[want(3, &[])]).granted, [true]);
}

#[test]
fn where_the_state_cannot_be_read_nobody_is_faster_than_the_smallest_rate() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("pace.sqlite"), "this is not a database, and long enough to be seen").unwrap();
    let mut pace = Pace::open(folder.path(), "an-binh", 2, at(0));
    let mut left = Vec::new();
    for millis in (0..5_000).step_by(50) {
        let taken = pace.take(at(millis), 100, &vec![want(0, &[("provider", 1000)]); 100]);
        left.extend(taken.granted.iter().filter(|granted| **granted).map(|_| millis));
    }
    assert_eq!(left.len(), 10, "{left:?}");
    assert_eq!(most_within(&left, 500), 1);
    let trouble = pace.trouble().unwrap();
    assert_eq!(trouble.code(), "delivery.pace");
    assert!(pace.trouble().is_none(), "it is said once");
    // A file that breaks while it is used.
    let folder = tempfile::tempdir().unwrap();
    let mut pace = self::pace(folder.path(), "an-binh");
    let other = rusqlite::Connection::open(folder.path().join("pace.sqlite")).unwrap();
    other.execute_batch("drop table bucket").unwrap();
    assert_eq!(
        pace.take(at(0), 9, &vec![want(0, &[("provider", 9)]); 9]).granted.iter().filter(|one| **one).count(),
        1
    );
    assert!(pace.trouble().is_some());
}

#[test]
fn a_clock_that_was_put_back_stops_nobody_for_long() {
    let folder = tempfile::tempdir().unwrap();
    let mut pace = pace(folder.path(), "an-binh");
    let limits = [("provider", 5)];
    assert_eq!(pace.take(at(3_600_000), 9, &vec![want(0, &limits); 9]).again.map(|_| ()), Some(()));
    let taken = pace.take(at(0), 9, &[want(0, &limits)]);
    let again = taken.again.unwrap();
    assert!(again.duration_since(at(0)) <= SignedDuration::from_millis(1_400), "{again}");
    let counts: BTreeMap<bool, usize> = [(pace.take(again, 9, &[want(0, &limits)]).granted[0], 1)].into();
    assert_eq!(counts, [(true, 1)].into());
}
