//! The type policy: every declared type from a file and from SQLite, and the golden table of
//! awkward dates, which every kind of source has to keep.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at the first surprise")]

use std::collections::BTreeMap;
use std::sync::Mutex;

use arrow::array::AsArray;
use arrow::datatypes::{
    Decimal128Type, Decimal256Type, IntervalMonthDayNanoType, Time64MicrosecondType, TimestampMicrosecondType, i256,
};
use chudong::landing::{self, Error, Pulled, Store};
use chudong::pipeline::{Column, OnFault, SourceKind, SourceTable, Type};
use chudong::sources::{Batch, Reason, Request, Snapshot};
use jiff::civil::date;
use proptest::prelude::*;

use crate::landing::{column, night, source, table};

/// Awkward dates as their owners mean them: a column, the value in ISO 8601 where it has one, and what must
/// land whatever the source. Each source writes them in its own way into one row of one table, a column each.
pub const AWKWARD_DATES: [(&str, &str, Option<jiff::civil::Date>); 20] = [
    ("no_expiry", "9999-12-31", None),
    ("year_one", "0001-01-01", None),
    ("before_1970", "1969-12-31", Some(date(1969, 12, 31))),
    ("epoch", "1970-01-01", Some(date(1970, 1, 1))),
    ("after_2038", "2038-01-20", Some(date(2038, 1, 20))),
    ("first_day", "1900-01-01", Some(date(1900, 1, 1))),
    ("last_day", "2200-12-31", Some(date(2200, 12, 31))),
    ("too_late", "2201-01-01", None),
    ("zero_date", "0000-00-00", None),
    ("zero_month", "2026-00-10", None),
    ("february_30", "2026-02-30", None),
    ("no_leap_year", "1900-02-29", None),
    ("infinity", "infinity", None),
    ("time_of_day", "2026-11-21 08:30:00", None),
    ("midnight", "2026-11-21 00:00:00", Some(date(2026, 11, 21))),
    ("end_of_day", "2026-11-21 24:00:00", None),
    ("two_digits", "26-11-21", None),
    // The years 44 and 2026 before Christ in words, and 45 before Christ as ISO 8601 counts, which has a year 0.
    ("before_christ", "0044-03-15 BC", None),
    ("bc_2026", "2026-11-21 BC", None),
    ("minus_44", "-0044-03-15", None),
];

/// Moments that a source with zones has beside them: what must land as the date in Vietnam.
pub const AWKWARD_MOMENTS: [(&str, &str, Option<jiff::civil::Date>); 2] = [
    ("other_zone", "2026-11-20 17:00:00+00", Some(date(2026, 11, 21))),
    ("other_zone_evening", "2026-11-21 00:00:00+00", None),
];

/// The table of awkward dates, without the columns that the source cannot write.
pub fn awkward_dates(from: &str, cannot_write: &[&str]) -> SourceTable {
    let mut columns = vec![column("id", Type::Int)];
    for (name, _, _) in AWKWARD_DATES.iter().chain(&AWKWARD_MOMENTS).filter(|(name, ..)| !cannot_write.contains(name)) {
        columns.push(Column { on_fault: OnFault::Null, ..column(name, Type::Date) });
    }
    table(from, columns)
}

/// What became of each awkward date, for reading in a review. What lands is checked here: it is the same
/// for every kind of source, and there is a reason for each that does not land.
pub fn golden(pulled: &Result<Pulled, Error>) -> String {
    let landed = match pulled {
        Ok(pulled) => &pulled.tables[0],
        Err(error) => return error.faults().iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"),
    };
    assert_eq!((landed.rows_read, landed.rows_landed), (1, 1));
    let reasons: BTreeMap<_, _> = landed.findings.iter().map(|f| (f.column.clone().unwrap(), f.reason)).collect();
    let mut text = String::new();
    for (name, iso, expected) in AWKWARD_DATES.iter().chain(&AWKWARD_MOMENTS) {
        let became = match (landed.table().unwrap().has(name), reasons.get(*name)) {
            (false, _) => "cannot be written".to_owned(),
            (true, reason) => {
                let value = landed.table().unwrap().dates(name).unwrap()[0];
                assert_eq!(value, *expected, "{name}");
                assert_eq!(value.is_none(), reason.is_some(), "{name} is empty without a reason");
                reason.map_or_else(|| value.unwrap().to_string(), |reason| reason.words().to_owned())
            }
        };
        text.push_str(&format!("{name:<18} {iso:<22} {became}\n"));
    }
    text
}

fn pull(kind: SourceKind, table: SourceTable) -> Result<Pulled, Error> {
    landing::pull(&source(kind, vec![table]), crate::root(), night(), &Store::Nowhere)
}

#[test]
fn golden_dates_of_csv() {
    let folder = tempfile::tempdir().unwrap();
    let all = || AWKWARD_DATES.iter().chain(&AWKWARD_MOMENTS);
    let iso: Vec<_> = all().map(|(_, iso, _)| *iso).collect();
    let header = format!("id,{}", all().map(|(name, ..)| *name).collect::<Vec<_>>().join(","));
    std::fs::write(folder.path().join("iso.csv"), format!("{header}\n1,{}\n", iso.join(","))).unwrap();
    let kind = || SourceKind::Csv { path: folder.path().into(), delimiter: b',' };
    // A text names no zone that could be relied on: with one it says more than a date.
    let cannot = ["other_zone"];
    insta::assert_snapshot!("csv_iso", golden(&pull(kind(), awkward_dates("iso", &cannot))));

    // 2026-11-21 as 21/11/2026, and with as many digits of the year; what has no such form is as before.
    let local = |iso: &&str| {
        let (day, time) = iso.split_once(' ').unwrap_or((iso, ""));
        match day.rsplitn(3, '-').collect::<Vec<_>>().as_slice() {
            [day, month, year] => format!("{day}/{month}/{year} {time}").trim_end().to_owned(),
            _ => (*iso).to_owned(),
        }
    };
    let rows = iso.iter().map(local).collect::<Vec<_>>().join(",");
    std::fs::write(folder.path().join("local.csv"), format!("{header}\n1,{rows}\n")).unwrap();
    let mut wanted = awkward_dates("local", &["other_zone", "midnight"]);
    wanted.columns.iter_mut().skip(1).for_each(|column| column.format = Some("%d/%m/%Y".into()));
    insta::assert_snapshot!("csv_local", golden(&pull(kind(), wanted)));
}

#[test]
fn golden_dates_of_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dates.sqlite");
    let columns: Vec<_> =
        AWKWARD_DATES.iter().chain(&AWKWARD_MOMENTS).map(|(name, iso, _)| format!("'{iso}' as {name}")).collect();
    let sql = format!("create table dates as select 1 as id, {}", columns.join(", "));
    rusqlite::Connection::open(&path).unwrap().execute_batch(&sql).unwrap();
    let pulled = pull(SourceKind::Sqlite { path }, awkward_dates("dates", &["other_zone"]));
    insta::assert_snapshot!("sqlite", golden(&pulled));
}

/// A CSV file of one column, and the batches that come of it.
fn read_csv(kind: Type, format: Option<&str>, values: &[&str]) -> Vec<Batch> {
    let folder = tempfile::tempdir().unwrap();
    let lines: Vec<_> = values.iter().enumerate().map(|(row, value)| format!("{row};{value}")).collect();
    std::fs::write(folder.path().join("values.csv"), format!("id;v\n{}\n", lines.join("\n"))).unwrap();
    let declared = Column { format: format.map(str::to_owned), ..column("v", kind) };
    let table = table("values", vec![column("id", Type::Int), declared]);
    let source = source(SourceKind::Csv { path: folder.path().into(), delimiter: b';' }, vec![table]);
    let mut snapshot = Snapshot::open(&source, crate::root()).unwrap();
    let batches = Mutex::new(Vec::new());
    let request = Request { table: &source.tables[0], condition: None };
    let answer = snapshot.read(request, &|batch| {
        batches.lock().unwrap().push(batch);
        Ok(())
    });
    assert_eq!(answer.unwrap().received.rows, values.len() as u64);
    batches.into_inner().unwrap()
}

/// Each value as Arrow writes it, or the reason why it is empty.
fn values(kind: Type, format: Option<&str>, given: &[&str]) -> String {
    let batches = read_csv(kind, format, given);
    let batch = &batches[0];
    let column = batch.rows.column(1);
    assert_eq!(column.data_type(), &kind.arrow());
    let mut text = String::new();
    for (row, given) in given.iter().enumerate() {
        let fault: Vec<_> = batch.faults.iter().filter(|fault| fault.row == row).collect();
        assert!(fault.len() <= 1);
        let became = match fault.first() {
            Some(fault) => {
                assert!(column.is_null(row) && fault.column == Some(1));
                fault.reason.words().to_owned()
            }
            None if column.is_null(row) => "empty".to_owned(),
            None => arrow::util::display::array_value_to_string(column, row).unwrap(),
        };
        text.push_str(&format!("{given:<38} {became}\n"));
    }
    text
}

#[test]
fn exact_numbers_are_never_rounded() {
    let money = Type::Decimal { digits: 18, scale: 2 };
    insta::assert_snapshot!(values(
        money,
        None,
        &[
            "0",
            "-0",
            "1",
            "+1",
            "-12.5",
            "804600.00",
            "0.10",
            ".5",
            "5.",
            "1.005",
            "1.0050",
            "9999999999999999.99",
            "10000000000000000",
            "00000000000000000001.5",
            "1e3",
            "1,5",
            "1 000",
            " 1",
            "NaN",
            "-Infinity",
            "",
            "một",
            "-",
            ".",
        ]
    ));
    let wide = Type::Decimal { digits: 76, scale: 10 };
    let nines = format!("{}.{}", "9".repeat(66), "9".repeat(10));
    let batches =
        read_csv(wide, None, &[&nines, &format!("-{nines}"), "1", &format!("1{}", "0".repeat(66)), "0.00000000001"]);
    let column = batches[0].rows.column(1).as_primitive::<Decimal256Type>().clone();
    let largest = i256::from_string(&"9".repeat(76)).unwrap();
    assert_eq!((column.value(0), column.value(1)), (largest, largest.wrapping_neg()));
    assert_eq!(column.value(2), i256::from_i128(10_000_000_000));
    let reasons: Vec<_> = batches[0].faults.iter().map(|fault| (fault.row, fault.reason)).collect();
    assert_eq!(reasons, [(3, Reason::TooLarge), (4, Reason::TooPrecise)]);
}

#[test]
fn times_are_read_by_their_format_or_strictly() {
    insta::assert_snapshot!(
        "timestamps",
        values(
            Type::Timestamp,
            None,
            &[
                "2026-11-21T08:30:00",
                "2026-11-21 08:30",
                "2026-11-21 08:30:00.123456",
                "2026-11-21 08:30:00.1234567",
                "2026-11-21 08:30:00.123456000",
                "2026-11-21",
                "2026-11-21T08:30:00Z",
                "2026-11-21T08:30:00+07:00",
                "2026-11-21 24:00:00",
                "2026-11-21 24:00",
                "0044-03-15 08:30:00 BC",
                "-0044-03-15 08:30:00",
                "26-11-21 08:30:00",
                "2026-11-21 23:59:60",
                "2026-02-30 00:00:00",
                "0000-00-00 00:00:00",
                "9999-12-31 23:59:59",
                "1899-12-31 23:59:59.999999",
                "2200-12-31 23:59:59.999999",
                "21/11/2026 08:30",
                "2026-11-21x08:30:00",
                "2026-11-21T8:30:00",
                "",
            ]
        )
    );
    insta::assert_snapshot!(
        "timestamps_by_format",
        values(
            Type::Timestamp,
            Some("%d/%m/%Y %H:%M"),
            &[
                "21/11/2026 08:30",
                "1/2/2026 8:05",
                "2026-11-21 08:30",
                "30/02/2026 08:30",
                "00/00/0000 00:00",
                "21/11/2026 24:00",
                "21/11/26 08:30",
                "15/03/-0044 08:30",
                "21/11/2026",
            ]
        )
    );
    insta::assert_snapshot!(
        "instants",
        values(
            Type::Instant,
            None,
            &[
                "2026-11-21T08:30:00Z",
                "2026-11-21 08:30:00+07",
                "2026-11-21 08:30:00.5+0700",
                "2026-11-21T08:30:00-11:30",
                "2026-11-21 08:30:00",
                "2026-11-21",
                "1900-01-01T00:00:00+07:00",
                "2026-11-21T08:30:00+7",
                "2026-11-21T08:30:00 +07:00",
                "2026-11-21T24:00:00Z",
                "0044-03-15 08:30:00+00 BC",
                "-0044-03-15T08:30:00Z",
                "now",
            ]
        )
    );
    insta::assert_snapshot!(
        "instants_by_format",
        values(
            Type::Instant,
            Some("%d/%m/%Y %H:%M:%S %z"),
            &["21/11/2026 08:30:00 +0700", "21/11/2026 08:30:00", "30/02/2026 08:30:00 +0700",]
        )
    );
    let without = values(Type::Instant, Some("%d/%m/%Y %H:%M:%S"), &["21/11/2026 08:30:00"]);
    assert!(without.ends_with("moment without a zone\n"), "{without}");
    insta::assert_snapshot!(
        "times",
        values(
            Type::Time,
            None,
            &[
                "08:30",
                "08:30:15",
                "08:30:15.000001",
                "23:59:59.999999",
                "24:00:00",
                "12:60",
                "8:30",
                "08:30:15.0000001",
                "08:30Z",
                "0830",
                "",
            ]
        )
    );
    insta::assert_snapshot!("times_by_format", values(Type::Time, Some("%Hh%M"), &["08h30", "8h30", "25h00", "08:30"]));
    insta::assert_snapshot!(
        "intervals",
        values(
            Type::Interval,
            None,
            &[
                "P1Y2M3DT4H5M6.5S",
                "P2W",
                "-P1D",
                "PT0.000001S",
                "PT0.0000001S",
                "P",
                "1 day",
                "",
                "PT9999999H",
                "P9999Y",
            ]
        )
    );
    let long = format!("2026-11-21 00:00{}", "0".repeat(80));
    insta::assert_snapshot!(
        "dates_with_a_time",
        values(Type::Date, Some("%d/%m/%Y %H:%M"), &["21/11/2026 00:00", "21/11/2026 08:30", &long])
    );
}

#[test]
fn bytes_and_lists_are_not_guessed() {
    insta::assert_snapshot!("bytes", values(Type::Bytes, None, &["00ff", "\\x00FF", "0", "xyz", "", "0x00", "\\x"]));
    let list = Type::List(chudong::pipeline::Family::Int);
    insta::assert_snapshot!("lists", values(list, None, &["1", "{1,2}", ""]));
}

#[test]
fn typed_values_of_sqlite_are_taken_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("types.sqlite");
    let sql = "create table types (id integer, money, hundredths, third, text, huge, photo blob, at text, day text);
        insert into types values (1, 1250, 0.1, 1.0 / 3.0, '12.50', 1e300, x'00ff', '2026-11-21T08:30:00Z', '2026-11-21');
        insert into types values (2, null, 804600.25, 2, 5, 1e15, 'ff', 17, 20261121)";
    rusqlite::Connection::open(&path).unwrap().execute_batch(sql).unwrap();
    let money = Type::Decimal { digits: 18, scale: 2 };
    let mut columns = vec![column("id", Type::Int)];
    for name in ["money", "hundredths", "third", "text", "huge"] {
        columns.push(column(name, money));
    }
    columns.extend([column("photo", Type::Bytes), column("at", Type::Instant), column("day", Type::Date)]);
    columns.iter_mut().skip(1).for_each(|column| column.on_fault = OnFault::Null);
    let pulled = pull(SourceKind::Sqlite { path }, table("types", columns)).unwrap();
    let shown =
        arrow::util::pretty::pretty_format_batches(&pulled.tables[0].table().unwrap().batches).unwrap().to_string();
    insta::assert_snapshot!(format!("{shown}\n{}", crate::landing::said(&Ok(pulled))));
}

#[test]
fn text_that_was_not_in_nfc_is_normalised_and_counted() {
    let nfd = "Ha\u{300} N\u{f4}\u{323}i";
    let composed = "Hà Nội";
    assert_ne!(nfd, composed);
    // A text that the quick check is unsure of, though it is in NFC: a mark that composes with nothing before it.
    let batches = read_csv(Type::Text, None, &[nfd, composed, "Ha Noi", "q\u{0323}", ""]);
    let texts = batches[0].rows.column(1).as_string::<i32>();
    assert_eq!((texts.value(0), texts.value(1), texts.value(3)), (composed, composed, "q\u{0323}"));
    assert_eq!(batches[0].normalised, [(1, 1)]);
}

/// Each character but the control characters, among letters: in the form that the library gives it.
#[test]
fn every_letter_lands_in_nfc() {
    use unicode_normalization::UnicodeNormalization;
    let given: Vec<_> =
        (' '..=char::MAX).filter(|c| !['"', ';', '\u{7f}'].contains(c)).map(|c| format!("a{c}b")).collect();
    let batches = read_csv(Type::Text, None, &given.iter().map(String::as_str).collect::<Vec<_>>());
    let (mut rows, mut normalised) = (0, 0);
    for batch in &batches {
        assert_eq!(batch.faults, vec![]);
        let texts = batch.rows.column(1).as_string::<i32>();
        for row in 0..batch.rows.num_rows() {
            let given = &given[usize::try_from(batch.number_of(row)).unwrap() - 1];
            let composed: String = given.nfc().collect();
            assert_eq!(texts.value(row), composed);
            rows += 1;
            normalised += u64::from(composed != *given);
        }
    }
    let counted: u64 = batches.iter().flat_map(|batch| &batch.normalised).map(|(_, texts)| texts).sum();
    assert_eq!((rows, counted), (given.len(), normalised));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    /// Exact numbers come back as they were written, whatever zeros stand around them.
    #[test]
    fn exact_numbers_come_back(units in -10_i128.pow(38) + 1..10_i128.pow(38), scale in 0_u8..=38, zeros in 0_usize..3) {
        let digits = format!("{:0>width$}", units.unsigned_abs(), width = usize::from(scale) + 1);
        let (whole, fraction) = digits.split_at(digits.len() - usize::from(scale));
        let sign = if units < 0 { "-" } else { "" };
        let mut text = format!("{sign}{}{whole}.{fraction}{}", "0".repeat(zeros), "0".repeat(zeros + 1));
        if scale == 0 { text = text.trim_end_matches('0').trim_end_matches('.').to_owned() + &"0".repeat(whole.len() - whole.trim_end_matches('0').len()) }
        let given = if scale == 0 { format!("{sign}{whole}") } else { text };
        let batches = read_csv(Type::Decimal { digits: 38, scale }, None, &[&given]);
        prop_assert_eq!(batches[0].rows.column(1).as_primitive::<Decimal128Type>().value(0), units);
    }

    /// Moments and times of day come back as they were, from ISO 8601 as jiff writes it.
    #[test]
    fn moments_come_back(micros in -2_208_988_800_000_000_i64..7_289_654_400_000_000, months in -1_000_000..1_000_000_i32, days in -7_000_000..7_000_000_i32) {
        let moment = jiff::Timestamp::from_microsecond(micros).unwrap();
        let civil = moment.to_zoned(jiff::tz::TimeZone::UTC).datetime();
        let kept = (1900..=2200).contains(&civil.year());
        let read = |kind, text: &str| read_csv(kind, None, &[text]).remove(0).rows.column(1).clone();
        let instant = read(Type::Instant, &moment.to_string());
        let instant = instant.as_primitive::<TimestampMicrosecondType>();
        prop_assert_eq!(instant.iter().next().flatten(), kept.then_some(micros));
        let timestamp = read(Type::Timestamp, &civil.to_string());
        prop_assert_eq!(timestamp.as_primitive::<TimestampMicrosecondType>().iter().next().flatten(), kept.then_some(micros));
        let time = read(Type::Time, &civil.time().to_string());
        prop_assert_eq!(time.as_primitive::<Time64MicrosecondType>().value(0), micros.rem_euclid(86_400_000_000));
        // An interval has one sign.
        let (months, days) = (months.abs() % 9_000, days.abs());
        let interval = read(Type::Interval, &format!("P{months}M{days}DT0.5S"));
        let interval = interval.as_primitive::<IntervalMonthDayNanoType>().value(0);
        prop_assert_eq!((interval.months, interval.days, interval.nanoseconds), (months, days, 500_000_000));
    }

    /// Whatever a field holds, of whatever declared type: a value or one reason, and no panic.
    #[test]
    fn any_field_is_a_value_or_a_reason(text in "[-+0-9.:TZPYDMHS/ eà\u{300}]{0,24}|\\PC{0,12}", kind in 0_usize..10) {
        let kinds = [Type::Text, Type::Int, Type::Float, Type::Bool, Type::Date, Type::Decimal { digits: 40, scale: 3 },
            Type::Timestamp, Type::Instant, Type::Time, Type::Interval];
        let text = text.replace([';', '"', '\r', '\n'], "");
        let batches = read_csv(kinds[kind], None, &[&text]);
        let batch = &batches[0];
        let empty = batch.rows.column(1).is_null(0);
        prop_assert_eq!(empty, text.is_empty() || !batch.faults.is_empty());
    }
}
