//! The sheet of a night: days counted by hand over random holidays, the time that dossiers show, fees on the day of
//! filing; the same whatever the order of the file.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at the first surprise")]

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use chudong::calendar::{AsOf, WorkingDays, from_days, to_days};
use chudong::language::Text;
use chudong::options::{Measured, Sheet};
use chudong::pipeline::options::{ByDueDay, Confidence, Fee, Named, Options, Outcome, Post, Via, WayThere};
use chudong::tables::Table;
use jiff::civil::{Date, Weekday, date};
use proptest::prelude::*;

fn text(what: &str) -> Text {
    Text::new(format!("{what} vi"), format!("{what} en"))
}

fn fee(status: &str, vnd: Option<u32>, from: Date, to: Option<Date>) -> Fee {
    Fee {
        status: status.into(),
        vnd,
        unknown: vnd.is_none().then(|| text("less")),
        from,
        to,
        reference: text("article"),
        confidence: Confidence::Unsourced,
        source: None,
    }
}

fn way(id: &str, via: Via) -> WayThere {
    WayThere {
        id: id.into(),
        title: text(id),
        via,
        procedure_code: Some("1.000001".into()),
        mark: None,
        in_force_from: date(2025, 3, 1),
        in_force_to: None,
        reference: text("article"),
        confidence: Confidence::Unsourced,
        source: None,
        working_days: 5,
        post: None,
        months: None,
        visits: 1,
        steps: Vec::new(),
        documents: Vec::new(),
        duties: Vec::new(),
        fees: vec![fee("standard", Some(135_000), date(2025, 3, 1), None)],
    }
}

fn outcome(ways: Vec<WayThere>) -> Outcome {
    let named = |word: &str| Named { word: word.into(), title: text(word) };
    Outcome {
        id: "outcome".into(),
        title: text("outcome"),
        by_due_day: ByDueDay::Settled,
        statuses: vec![named("standard"), named("digital_citizen")],
        reasons: Vec::new(),
        rights: Vec::new(),
        contributions: Vec::new(),
        ways,
    }
}

fn reading(days: u16) -> Options {
    Options { reading_days: days, ..Options::default() }
}

fn times(rows: &[(&str, i64, &str, i64, i64)]) -> Measured {
    let texts =
        |text: &dyn Fn(usize) -> String| Arc::new(StringArray::from_iter_values((0..rows.len()).map(text))) as ArrayRef;
    let ints =
        |int: &dyn Fn(usize) -> i64| Arc::new(Int64Array::from_iter_values((0..rows.len()).map(int))) as ArrayRef;
    let batch = RecordBatch::try_from_iter([
        ("procedure_code", texts(&|at| rows[at].0.to_owned())),
        ("channel", ints(&|at| rows[at].1)),
        ("received_month", texts(&|at| rows[at].2.to_owned())),
        ("working_days", ints(&|at| rows[at].3)),
        ("dossiers", ints(&|at| rows[at].4)),
    ]);
    let batch = batch.unwrap();
    Measured::of(&Table { schema: batch.schema(), batches: vec![batch] }, 30).unwrap()
}

/// Two years with some days off, and whether a day is one of work, by hand.
fn calendar(off: &[i32]) -> (WorkingDays, impl Fn(i32) -> bool) {
    let first = to_days(date(2026, 1, 1));
    let off: BTreeMap<Date, bool> = off.iter().map(|at| (from_days(first + at).unwrap(), false)).collect();
    let days = WorkingDays::new(2026..=2027, &off);
    let is_working = move |day: i32| {
        let day = from_days(day).unwrap();
        !matches!(day.weekday(), Weekday::Saturday | Weekday::Sunday) && !off.contains_key(&day)
    };
    (days, is_working)
}

proptest! {
    #[test]
    fn days_are_counted_over_days_off(
        off in prop::collection::vec(0_i32..600, 0..60), as_of in 0_i32..365, reading_days in 0_u16..8,
        working_days in 0_u16..20, post_days in prop::option::of(0_u16..6), via in prop::sample::select(vec![Via::Online, Via::Counter, Via::Post]),
    ) {
        let (calendar, is_working) = calendar(&off);
        let as_of = from_days(to_days(date(2026, 1, 1)) + as_of).unwrap();
        let post = post_days.map(|working_days| Post { working_days, vnd: None, confidence: Confidence::Unsourced });
        let ways = vec![WayThere { working_days, post, ..way("one", via) }, way("two", Via::Counter)];
        let sheet = Sheet::of(&outcome(ways), &reading(reading_days), &Measured::nothing(), AsOf::new(as_of), &calendar).unwrap();
        let time = &sheet.ways[0].time;
        let next = |from: i32| (from..).find(|day| is_working(*day)).unwrap();
        let open = |day: i32| if via == Via::Online { day } else { next(day) };
        let filed_on = open(to_days(as_of) + i32::from(reading_days));
        // The agency accepts on a working day; the first day of the term is the next one.
        let mut ready_on = next(filed_on);
        for _ in 0..working_days + post_days.unwrap_or(0) {
            ready_on = next(ready_on + 1);
        }
        prop_assert_eq!(to_days(time.opens_on.0), open(to_days(as_of)));
        prop_assert_eq!(to_days(time.filed_on.0), filed_on);
        prop_assert_eq!(to_days(time.ready_on.0), ready_on);
        prop_assert_eq!(time.median_days, working_days + post_days.unwrap_or(0));
        prop_assert_eq!(sheet.ways[0].amount(0).is_some(), post_days.is_none(), "an unknown postage is an unknown part");
    }

    #[test]
    fn the_order_of_the_file_makes_no_difference(order in Just((0..6_usize).collect::<Vec<_>>()).prop_shuffle()) {
        let (calendar, _) = calendar(&[]);
        let ways: Vec<WayThere> = (0_u16..6)
            .map(|at| WayThere { visits: at % 3, procedure_code: None, ..way(&format!("way_{at}"), Via::Online) })
            .collect();
        let of = |ways: Vec<WayThere>| {
            let as_of = AsOf::new(date(2026, 11, 21));
            Sheet::of(&outcome(ways), &reading(2), &Measured::nothing(), as_of, &calendar).unwrap()
        };
        let shuffled = order.iter().map(|at| ways[*at].clone()).collect();
        prop_assert_eq!(of(shuffled).digest(), of(ways).digest());
    }
}

/// A letter of Saturday, 21 November 2026: nobody accepts a dossier before Monday, and Tuesday is a holiday.
#[test]
fn a_dossier_of_saturday_is_accepted_on_monday() {
    let holiday = to_days(date(2026, 11, 24)) - to_days(date(2026, 1, 1));
    let (calendar, _) = calendar(&[holiday]);
    for reading_days in [0, 1, 2] {
        let ways = vec![way("one", Via::Online), way("two", Via::Counter)];
        let as_of = AsOf::new(date(2026, 11, 21));
        let sheet = Sheet::of(&outcome(ways), &reading(reading_days), &Measured::nothing(), as_of, &calendar).unwrap();
        assert!(sheet.ways.iter().all(|way| way.time.ready_on.0 == date(2026, 12, 1)));
    }
}

/// What dossiers show of a way: those of its procedure and channel, since it is in force, while no other looks alike.
#[test]
fn time_is_measured_on_dossiers_of_the_way_alone() {
    let (calendar, _) = calendar(&[]);
    let measured = times(&[
        // Before the way was in force.
        ("1.000001", 2, "2025-02", 40, 500),
        ("1.000001", 2, "2025-03", 2, 60),
        ("1.000001", 2, "2026-07", 4, 40),
        // Of this month some came by the other way, and nobody knows which.
        ("1.000001", 2, "2026-08", 9, 900),
        ("1.000001", 2, "2027-03", 4, 20),
        ("1.000001", 1, "2026-01", 7, 31),
        ("1.000002", 2, "2026-01", 1, 900),
    ]);
    let vneid = WayThere {
        in_force_from: date(2026, 8, 15),
        in_force_to: Some(date(2027, 2, 28)),
        ..way("vneid", Via::Online)
    };
    let ways = vec![way("counter", Via::Counter), way("online", Via::Online), way("post", Via::Post), vneid];
    let as_of = AsOf::new(date(2026, 11, 20));
    let sheet = Sheet::of(&outcome(ways), &reading(0), &measured, as_of, &calendar).unwrap();
    let shown: Vec<_> = sheet
        .ways
        .iter()
        .map(|way| (way.id.as_str(), way.time.median_days, way.time.p90_days, way.time.dossiers))
        .collect();
    let expected =
        vec![("counter", 7, 7, Some(31)), ("online", 2, 4, Some(120)), ("post", 5, 5, None), ("vneid", 5, 5, None)];
    assert_eq!(shown, expected);
}

/// The fee is that of the day on which the dossier is taken to be filed; a status without a fee pays the ordinary one.
#[test]
fn fees_are_those_of_the_day_of_filing() {
    let (calendar, _) = calendar(&[]);
    let mut one = way("one", Via::Online);
    one.fees.push(fee("digital_citizen", None, date(2026, 8, 15), Some(date(2027, 2, 28))));
    let amounts = |as_of: Date| {
        let ways = vec![one.clone(), way("two", Via::Online)];
        let sheet = Sheet::of(&outcome(ways), &reading(2), &Measured::nothing(), AsOf::new(as_of), &calendar).unwrap();
        [sheet.ways[0].amount(0), sheet.ways[0].amount(1), sheet.ways[1].amount(1)]
    };
    assert_eq!(amounts(date(2027, 2, 26)), [Some(135_000), None, Some(135_000)]);
    assert_eq!(amounts(date(2027, 2, 27)), [Some(135_000); 3]);
}
