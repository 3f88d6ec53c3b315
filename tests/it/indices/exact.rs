//! Scores are exact: computed a second time with whole numbers only.

use std::str::FromStr;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use chudong::calendar::Span;
use chudong::fault::Place;
use chudong::language::Text;
use chudong::pipeline::indices::{Band, Count, Definition, DefinitionVersion, Formula, Fraction, Group, Metric, Zero};
use chudong::quality::index::{Counts, Scope, Sheet, score};
use chudong::tables::{Table, TableName};
use jiff::civil::date;
use proptest::prelude::*;

use super::decision;

const KNOWN_ON: jiff::civil::Date = date(2026, 11, 20);

fn scope() -> Scope {
    Scope { unit: "97".into(), is_root: true, procedure: None }
}

fn october() -> Span {
    "2026-10".parse().unwrap()
}

/// A sheet of Decision 766 of these sums.
fn of_766(sums: &[(&str, i64)]) -> Sheet {
    let mut counts = Counts::default();
    for (column, sum) in sums {
        counts.put(column, *sum);
    }
    score(&decision("decision_766"), october(), KNOWN_ON, &scope(), &counts).unwrap()
}

fn points(sheet: &Sheet, code: &str) -> String {
    sheet.metric(code).unwrap().score.unwrap().to_string()
}

#[test]
fn just_below_the_threshold_and_on_it() {
    // 2 × 79.99 / 80 = 1.99975 is shown as 2.00, as the maximum is; four decimals below, it is not.
    for (reused, shown) in [(8_000, "2.00"), (7_999, "2.00"), (7_980, "2.00"), (7_979, "1.99"), (10_000, "2.00")] {
        let sheet = of_766(&[("reused", reused), ("received", 10_000)]);
        assert_eq!(points(&sheet, "REUSED_DIGITIZED_DATA"), shown, "{reused}");
    }
    // 6 × 89.99 / 90, 6 × 90 / 90, 6 × 50 / 90.
    for (satisfied, shown) in [(8_999, "6.00"), (9_000, "6.00"), (8_992, "5.99"), (5_000, "3.33"), (10_000, "6.00")] {
        let sheet = of_766(&[("satisfied", satisfied), ("received", 10_000)]);
        assert_eq!(points(&sheet, "DOSSIER_RECEIVING_SATISFACTION"), shown, "{satisfied}");
    }
    // More than there are is shown, and gives no more than the maximum.
    let sheet = of_766(&[("synced", 15), ("reported_portal", 10)]);
    assert_eq!(points(&sheet, "DOSSIER_SYNC"), "6.00");
    assert_eq!(sheet.metric("DOSSIER_SYNC").unwrap().percent.unwrap().to_string(), "150.00");
}

#[test]
fn a_half_is_rounded_away_from_zero() {
    // 20 × 1/1600 = 0.0125; binary 20 × 0.000625 would round to 0.01 as well, 20 × 43/800 = 1.075 to 1.07.
    for (on_time, received, shown) in [(1, 1_600, "0.01"), (43, 800, "1.08"), (1, 4_000, "0.01"), (1, 4_001, "0.00")] {
        assert_eq!(points(&of_766(&[("on_time", on_time), ("received", received)]), "PROCESSED_ON_TIME"), shown);
    }
}

#[test]
fn of_those_reminded_the_share_is_shown() {
    let mut counts = Counts::default();
    let of = |counts: &Counts| score(&decision("decree_224_2026"), october(), KNOWN_ON, &scope(), counts).unwrap();
    // Where the ledger was not asked, nothing is known.
    let line = of(&counts).metric("ACTED_IN_TIME").unwrap().clone();
    assert_eq!((line.denominator, line.lacks), (None, vec!["ledger".to_owned()]));
    counts.put("reminded", 4);
    counts.put("acted_in_time", 3);
    let line = of(&counts).metric("ACTED_IN_TIME").unwrap().clone();
    assert_eq!((line.percent.unwrap().to_string().as_str(), line.lacks.len()), ("75.00", 0));
}

/// Counts of one procedure that has everything, and of 10,000 dossiers of which each count is as many as said.
fn full(fewer: &[(&str, i64)]) -> Counts {
    const PROCEDURE: [&str; 11] = [
        "announced",
        "to_publish",
        "published",
        "offered",
        "offered_online",
        "online",
        "with_fee",
        "paid_online",
        "received",
        "for_people",
        "population_data",
    ];
    const DOSSIERS: [&str; 17] = [
        "received",
        "online",
        "paid_online",
        "population_data",
        "on_time",
        "synced",
        "reported_portal",
        "fee_due",
        "petitions",
        "petitions_on_time",
        "petitions_satisfied",
        "satisfied",
        "result_due",
        "result_electronic",
        "digitised",
        "reused",
        "personal_store",
    ];
    let text = |value: &str| -> ArrayRef { Arc::new(StringArray::from(vec![value])) };
    let mut columns = vec![("unit_code", text("97")), ("procedure_code", text("1.000001"))];
    columns.extend(PROCEDURE.map(|name| (name, Arc::new(Int64Array::from(vec![1])) as ArrayRef)));
    let table = Table::from_batch(RecordBatch::try_from_iter(columns).unwrap());
    let name = TableName::new("indices", "procedures");
    let mut counts = Counts::read([(&name, &table)], &scope()).unwrap();
    for column in DOSSIERS {
        let count = fewer.iter().find(|(other, _)| *other == column).map_or(10_000, |(_, count)| *count);
        counts.put(column, count - i64::from(PROCEDURE.contains(&column)));
    }
    counts
}

#[test]
fn the_classes_of_decision_766() {
    let fair = [("on_time", 0), ("personal_store", 0), ("digitised", 0), ("reused", 0)];
    let mut average = fair.to_vec();
    average.extend([
        ("result_electronic", 0),
        ("petitions_on_time", 0),
        ("petitions_satisfied", 0),
        ("satisfied", 6_000),
    ]);
    // 6 × 9,983/10,000 is 5.99: a hundredth less.
    let less = |fewer: &[(&'static str, i64)]| [fewer, &[("synced", 9_983)]].concat();
    for (fewer, total, class) in [
        (vec![], "100.00", "Excellent"),
        (vec![("on_time", 5_000)], "90.00", "Excellent"),
        (vec![("on_time", 4_995)], "89.99", "Good"),
        (vec![("on_time", 0)], "80.00", "Good"),
        (less(&[("on_time", 0)]), "79.99", "Fair"),
        (fair.to_vec(), "70.00", "Fair"),
        (less(&fair), "69.99", "Average"),
        (average.clone(), "50.00", "Average"),
        (less(&average), "49.99", "Weak"),
    ] {
        let sheet = score(&decision("decision_766"), october(), KNOWN_ON, &scope(), &full(&fewer)).unwrap();
        assert_eq!((sheet.total.unwrap().to_string().as_str(), sheet.class.unwrap().en.as_str()), (total, class));
    }
}

#[test]
fn the_classes_of_decree_61() {
    const INDICES: [(&str, &str); 7] = [
        ("time_points", "time_known"),
        ("unit_time_points", "unit_time_known"),
        ("contact_points", "contacts_known"),
        ("agency_points", "agencies_known"),
        ("one_stop_points", "one_stop_known"),
        ("publicity_points", "publicity_known"),
        ("attitude_points", "attitude_known"),
    ];
    for (tenths, class) in [
        (150, "Excellent"),
        (149, "Good"),
        (120, "Good"),
        (119, "Fair"),
        (90, "Fair"),
        (89, "Average"),
        (60, "Average"),
        (59, "Weak"),
        (20, "Weak"),
    ] {
        let mut counts = Counts::default();
        // No petition gives 2; the seven indices share the rest, none more than 2.
        let mut rest: i64 = tenths - 20;
        for (points, known) in INDICES {
            counts.put(points, rest.min(20));
            counts.put(known, 10);
            rest -= rest.min(20);
        }
        assert_eq!(rest, 0);
        let sheet = score(&decision("decree_61_2018"), october(), KNOWN_ON, &scope(), &counts).unwrap();
        let total = format!("{}.{}", tenths / 10, tenths % 10);
        assert_eq!((sheet.total.unwrap().to_string(), sheet.class.unwrap().en.as_str()), (total, class));
    }
}

/// A definition of one metric.
fn made(formula: Formula, decimals: u8, bands: Vec<Band>) -> Definition {
    let text = || Text::new("x", "x");
    let maximum = formula.maximum();
    let place = Place::Thing("a test".into());
    let metric = |code: &str, formula: Formula| Metric {
        code: code.into(),
        title: text(),
        needs: Vec::new(),
        formula,
        is_absent_by_procedure: false,
        place: place.clone(),
    };
    let group = |code: &str| Group {
        code: code.into(),
        title: text(),
        maximum,
        metrics: vec![metric(&format!("{code}_1"), formula.clone())],
    };
    let twice = maximum.map(|maximum| 2 * maximum);
    let version = DefinitionVersion {
        enacted_on: date(2020, 1, 1),
        in_force_from: date(2020, 1, 1),
        in_force_to: None,
        reference: text(),
        confidence: "A".into(),
        decimals,
        maximum: twice,
        groups: vec![group("A"), group("B")],
        bands,
    };
    Definition { name: "made".into(), title: text(), versions: vec![version] }
}

fn fraction() -> Fraction {
    Fraction { numerator: Count::Sum("above".into()), denominator: Count::Sum("below".into()) }
}

proptest! {
    /// A score is the nearest decimal to the raw quotient, a half away from zero, by comparing whole numbers alone.
    #[test]
    fn a_score_is_the_nearest_decimal(
        below in 1_i64..5_000_000_000,
        part in 0_i64..=1_000_000,
        maximum in 1_i64..=100,
        full_at_percent in 1_i64..=100,
        decimals in 0_u8..=4,
    ) {
        let above = i64::try_from(i128::from(below) * i128::from(part) / 1_000_000).unwrap();
        let mut counts = Counts::default();
        counts.put("above", above);
        counts.put("below", below);
        let bands = vec![Band { at_least: 0, name: Text::new("x", "x") }];
        let formula = Formula::Share { of: fraction(), zero: Zero::Null, maximum, full_at_percent };
        let sheet = score(&made(formula, decimals, bands), october(), KNOWN_ON, &scope(), &counts).unwrap();
        let shown = sheet.metric("A_1").unwrap().score.unwrap().to_string();
        let units = i128::from_str(&shown.replace('.', "")).unwrap();
        // max × above × 100 / (below × full), or the maximum; times 10^decimals, it lies within half a unit.
        let scale = 10_i128.pow(decimals.into());
        let top = i128::from(maximum) * i128::from(above) * 100 * scale;
        let bottom = i128::from(below) * i128::from(full_at_percent);
        if top >= i128::from(maximum) * scale * bottom {
            prop_assert_eq!(units, i128::from(maximum) * scale);
        } else {
            prop_assert!(2 * top >= (2 * units - 1) * bottom && 2 * top < (2 * units + 1) * bottom, "{shown}");
        }
        // The total is the sum of the rounded scores, digit for digit.
        let total = i128::from_str(&sheet.total.unwrap().to_string().replace('.', "")).unwrap();
        prop_assert_eq!(total, 2 * units);
        prop_assert_eq!(shown.split_once('.').map_or(0, |(_, rest)| rest.len()), usize::from(decimals));
    }

    /// Every total has the class of the highest band that it reaches; exactly its bound is in it.
    #[test]
    fn exactly_the_bound_is_in_the_band(points in 0_i64..=50, bound in 1_i64..=100) {
        let band = |at_least, name: &str| Band { at_least, name: Text::new(name, name) };
        let bands = vec![band(bound, "upper"), band(0, "lower")];
        let mut counts = Counts::default();
        counts.put("above", points);
        counts.put("below", 50);
        let formula = Formula::Share { of: fraction(), zero: Zero::Null, maximum: 50, full_at_percent: 100 };
        let sheet = score(&made(formula, 1, bands), october(), KNOWN_ON, &scope(), &counts).unwrap();
        let class = sheet.class.unwrap().en;
        prop_assert_eq!(class, if 2 * points >= bound { "upper" } else { "lower" });
    }

    /// A period is read back as it is written, and holds its days.
    #[test]
    fn a_period_is_read_as_it_is_written(year in 1_i16..=9999, month in 1_i8..=12) {
        for text in [format!("{year:04}-{month:02}"), format!("{year:04}-Q{}", (month - 1) / 3 + 1), format!("{year:04}")] {
            let span: Span = text.parse().unwrap();
            prop_assert_eq!(span.to_string(), text);
            let day = jiff::civil::Date::new(year, month, 15).unwrap();
            prop_assert!(span.first_day() <= day && day <= span.last_day());
            prop_assert_eq!(span.first_day().day(), 1);
            prop_assert!(span.last_day() == jiff::civil::Date::MAX || span.last_day().tomorrow().unwrap().day() == 1);
        }
    }

    /// Anything else is refused, whatever it is.
    #[test]
    fn no_text_stops_the_reader(text in ".{0,12}") {
        let _: Result<Span, _> = text.parse();
    }
}

#[test]
fn what_is_no_period_is_refused() {
    for text in [
        "",
        "2026-13",
        "2026-00",
        "2026-1",
        "2026-Q0",
        "2026-Q5",
        "2026-Q",
        "26-10",
        "2026-10-01",
        "0000",
        "+026-10",
        "２０２６",
    ] {
        assert!(text.parse::<Span>().is_err(), "{text}");
    }
}
