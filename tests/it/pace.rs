//! The pace: never faster than the rate, whoever sends; the urgent first; nobody slower for ever.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at the first surprise")]

use std::collections::BTreeMap;
use std::path::Path;

use chudong::calendar::AsOf;
use chudong::delivery::breaker::{Breakers, Change, Count, DOUBTFUL_MAX, End, Scope};
use chudong::delivery::pace::{Lane, Limit, Pace, Want};
use chudong::fault::Explain;
use chudong::language::Language;
use chudong::ledger::verify::verify;
use chudong::ledger::{AddressAct, Ledger, MessageKey, MessageState, Origin, Record, Returned, Settlement, Stop};
use chudong::pipeline::attention::Breaker;
use jiff::civil::date;
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

#[test]
fn agencies_whose_first_nights_begin_at_the_same_moment_share_one_folder() {
    for _ in 0..40 {
        let folder = tempfile::tempdir().unwrap();
        let (path, gate) = (folder.path(), std::sync::Barrier::new(4));
        std::thread::scope(|scope| {
            for agency in ["police", "tax", "insurance", "justice"] {
                let gate = &gate;
                scope.spawn(move || {
                    gate.wait();
                    pace(path, agency);
                    chudong::ledger::Shared::open(path, agency).unwrap();
                });
            }
        });
    }
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
            pace.take(at(0), 1, &[want(0, &[("provider", rate)])]);
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
        for millis in [1, 100, 500, 1_000, 3_000, 10_000, 30_000] {
            let most = (f64::from(rate) * (millis as f64 / 1000.0)).floor() as usize + rate as usize;
            prop_assert!(most_within(&left, millis) <= most, "{millis} ms: {} > {most}", most_within(&left, millis));
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

// ---- breakers ------------------------------------------------------------------

fn to(domain: &str, item: &str) -> Vec<Scope> {
    let (item, channel) = (item.to_owned(), "smtp".to_owned());
    let template = Scope::Template { item: item.clone(), language: Language::Vi, channel: channel.clone() };
    vec![Scope::Domain { domain: domain.into(), channel }, template, Scope::Item(item)]
}

#[test]
fn a_domain_is_warned_of_and_stopped_and_the_rest_goes_on() {
    let mut breakers = Breakers::new(Breaker::USUAL, []);
    let mut changes = Vec::new();
    for number in 0..3_000_u64 {
        // Of the big domain every ninth is refused, of the other nobody.
        let end = if number % 9 == 0 { End::Refused } else { End::Left };
        changes.extend(breakers.count(&to("big.example", "a"), end));
        for _ in 0..4 {
            changes.extend(breakers.count(&to("small.example", "a"), End::Left));
        }
    }
    let domain = to("big.example", "a")[0].clone();
    assert_eq!(changes.len(), 1, "{changes:?}");
    assert_eq!((&changes[0].0, changes[0].2), (&domain, Change::Stopped { is_ours: false }));
    assert!(changes[0].1.sent >= 1_000 && changes[0].1.refused * 10 >= changes[0].1.sent);
    assert!(breakers.is_stopped(&to("big.example", "b")) && !breakers.is_stopped(&to("small.example", "a")));
    // Too few say nothing; what came back of earlier runs counts.
    let mut breakers = Breakers::new(Breaker::USUAL, []);
    assert!((0..900).all(|_| breakers.count(&to("x.example", "a"), End::Refused).is_empty()));
    let late = breakers.recall([(to("y.example", "a")[0].clone(), Count { sent: 2_000, refused: 120 })]);
    assert_eq!(late[0].2, Change::Warned);
}

#[test]
fn a_failure_of_our_side_stops_the_template_at_once() {
    let mut breakers = Breakers::new(Breaker::USUAL, ["item c".to_owned()]);
    let changes = breakers.count(&to("x.example", "a"), End::Ours);
    assert_eq!(changes.iter().map(|change| change.0.to_string()).collect::<Vec<_>>(), ["template a vi smtp"]);
    assert!(breakers.count(&to("x.example", "a"), End::Ours).is_empty(), "it is said once");
    assert!(breakers.is_stopped(&to("x.example", "a")) && !breakers.is_stopped(&to("x.example", "b")));
    // What an earlier run stopped is stopped.
    assert!(breakers.is_stopped(&to("x.example", "c")));
}

#[test]
fn what_a_mail_server_says_of_single_people_stops_nobody_else() {
    let code = |reply, enhanced| chudong::delivery::Code::Reply { reply, enhanced }.class();
    // Exchange's unknown recipient, a domain that nobody serves, a mailbox that is closed.
    for enhanced in [[5, 4, 1], [5, 4, 4], [5, 7, 13]] {
        assert_eq!(code(550, Some(enhanced)), chudong::delivery::Class::Recipient);
    }
    let mut breakers = Breakers::new(Breaker::USUAL, []);
    for number in 0..1_000 {
        let end = if number % 4 == 0 { End::Left } else { End::Doubtful };
        let stopped: Vec<_> = breakers.count(&to("x.example", "a"), end).into_iter().map(|change| change.2).collect();
        assert!(stopped.iter().all(|change| *change != Change::Stopped { is_ours: true }), "{number}");
    }
    // A server that takes nothing any more says it of everybody.
    let mut breakers = Breakers::new(Breaker::USUAL, []);
    let mut stops = (1..=DOUBTFUL_MAX).filter(|_| !breakers.count(&to("x.example", "a"), End::Doubtful).is_empty());
    assert_eq!((stops.next(), stops.next()), (Some(DOUBTFUL_MAX), None));
    assert!(breakers.is_stopped(&to("y.example", "a")));
}

// ---- one letter for several ------------------------------------------------------

fn record(key: &str, message: Option<&str>) -> Record {
    Record {
        key: MessageKey(key.into()),
        subject: "subject".into(),
        obligation: format!("obligation-of-{key}"),
        item: "driving_licence".into(),
        channel: "smtp".into(),
        message_id: format!("{key}@an-binh.example"),
        message: message.map(str::to_owned),
        ..Record::default()
    }
}

#[test]
fn a_letter_of_several_is_recorded_settled_and_comes_back_as_one() {
    let folder = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::open(folder.path(), "an-binh").unwrap();
    let run = ledger.begin_run(AsOf::new(date(2026, 11, 21))).unwrap();
    let letter = |keys: [&str; 3], id: &str| {
        let [first, second, third] = keys.map(|key| record(key, Some(id)));
        Record { others: vec![second, third], ..first }
    };
    let all =
        |ledger: &Ledger, state: MessageState| ledger.outbox().unwrap().iter().filter(|row| row.state == state).count();
    let settle = |ledger: &mut Ledger, state| {
        let end = Settlement { key: MessageKey("a".into()), state, reason: "250".into(), retry_at: None };
        ledger.settle(&run, &[end]).unwrap();
    };
    let reserved = ["a", "b", "c"].map(|key| record(key, None));
    assert_eq!(ledger.reserve_messages(&run, &reserved).unwrap(), 3);
    assert_eq!(ledger.record(&run, vec![(letter(["a", "b", "c"], "one@x"), ())]).unwrap().len(), 1);
    assert_eq!(all(&ledger, MessageState::InFlight), 3);
    settle(&mut ledger, MessageState::Deferred);
    assert_eq!(all(&ledger, MessageState::Deferred), 3);
    // A process that dies leaves all of them uncertain, and none is accepted by itself.
    ledger.record(&run, vec![(letter(["a", "b", "c"], "one@x"), ())]).unwrap();
    drop(ledger);
    let mut ledger = Ledger::open(folder.path(), "an-binh").unwrap();
    assert_eq!(ledger.recover(&run).unwrap().uncertain, 3);
    // One of them is taken out before the next try: another letter, and the third leaves by itself.
    let two = Record { others: vec![record("b", Some("two@x"))], ..record("a", Some("two@x")) };
    assert_eq!(ledger.record(&run, vec![(two, ()), (record("c", None), ())]).unwrap().len(), 2);
    settle(&mut ledger, MessageState::Accepted);
    assert_eq!((all(&ledger, MessageState::Accepted), all(&ledger, MessageState::InFlight)), (2, 1));
    // A letter with one that has left is not sent: the next run puts together what is left.
    let late = Record { others: vec![record("b", Some("three@x"))], ..record("c", Some("three@x")) };
    assert!(ledger.record(&run, vec![(late, ())]).unwrap().is_empty());
    let sent = ledger.sent_between(date(2026, 11, 20), date(2026, 11, 21)).unwrap();
    assert_eq!(sent["subject"].len(), 2, "a letter of two, and one by itself");
    // What comes back comes back for both.
    let back = Returned {
        report: "r".into(),
        message: "two".into(),
        verdict: "address_wrong",
        code: None,
        state: Some((MessageState::Refused, &[MessageState::Accepted])),
        address: AddressAct::Nothing,
    };
    ledger.take_returned(&run, date(2026, 11, 21), &[back], &Origin::ByHand).unwrap();
    assert_eq!(all(&ledger, MessageState::Refused), 2);
    ledger.anchor().unwrap();
    assert_eq!(verify(folder.path()).unwrap().faults.len(), 0);
}

#[test]
fn a_stop_is_kept_until_it_is_lifted_and_the_chain_knows() {
    let folder = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::open(folder.path(), "an-binh").unwrap();
    let run = ledger.begin_run(AsOf::new(date(2026, 11, 21))).unwrap();
    let stop = Stop {
        scope: "domain big.example smtp".into(),
        reason: "refusals".into(),
        sent: 1_000,
        refused: 100,
        at: "2026-11-21T01:00:00Z".into(),
        run: run.clone(),
    };
    ledger.stop(&run, std::slice::from_ref(&stop)).unwrap();
    ledger.stop(&run, &[Stop { sent: 2_000, ..stop.clone() }]).unwrap();
    assert_eq!(ledger.stops().unwrap(), std::slice::from_ref(&stop));
    ledger.anchor().unwrap();
    assert_eq!(verify(folder.path()).unwrap().faults.len(), 0);
    assert!(ledger.lift_stop(&stop.scope, "clerk").unwrap() && !ledger.lift_stop(&stop.scope, "clerk").unwrap());
    assert!(ledger.lifted_stops().unwrap().contains_key(&stop.scope));
    ledger.anchor().unwrap();
    assert_eq!((ledger.stops().unwrap().len(), verify(folder.path()).unwrap().faults.len()), (0, 0));
}
