//! The lunar calendar against the published one, and there and back for every day of two centuries.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop at the first surprise")]

use chudong::calendar::lunar::{LunarDay, from_solar, to_solar};
use chudong::calendar::{from_days, to_days};
use jiff::civil::{Date, date};

/// A month as published: its name, its first day, its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Month {
    year: i16,
    month: u8,
    is_leap: bool,
    first: Date,
    length: u8,
}

/// Every month from Tết of 1900 to the end of the lunar year 2100, as published.
fn published() -> Vec<Month> {
    let mut months = Vec::new();
    for line in include_str!("lunar_years.txt").lines().filter(|line| !line.starts_with('#')) {
        let mut words = line.split(' ');
        let mut first: Date = words.next().unwrap().parse().unwrap();
        let leap: u8 = words.next().unwrap().parse().unwrap();
        let (mut number, mut was_leap) = (0, false);
        let year = first.year();
        for length in words.next().unwrap().chars().map(|sign| if sign == '+' { 30 } else { 29 }) {
            let is_leap = number == leap && leap > 0 && !was_leap;
            was_leap |= is_leap;
            number += u8::from(!is_leap);
            months.push(Month { year, month: number, is_leap, first, length });
            first = first.checked_add(jiff::Span::new().days(i64::from(length))).unwrap();
        }
    }
    assert_eq!(months.iter().filter(|month| month.month == 12).count(), 201);
    months
}

fn new_year(year: i16) -> Date {
    from_days(to_solar(LunarDay { year, month: 1, is_leap: false, day: 1 }).unwrap()).unwrap()
}

#[test]
fn every_month_since_1968_is_as_published() {
    let mut different = Vec::new();
    for month in published().into_iter().filter(|month| month.year >= 1968) {
        let Month { year, month: number, is_leap, first, length } = month;
        let day = |day| to_solar(LunarDay { year, month: number, is_leap, day });
        let is_same = day(1) == Some(to_days(first)) && day(length).is_some() && day(length + 1).is_none();
        if !is_same {
            different.push(format!("{year}-{number}"));
        }
    }
    // The new moon of May 2054 is half a minute after midnight, or before it: the one month that is open.
    assert_eq!(different, ["2054-3", "2054-4"]);
}

#[test]
fn before_1968_printed_almanacs_follow_beijing() {
    let (mut later, mut leaps, mut tet) = (0, Vec::new(), Vec::new());
    for month in published().into_iter().filter(|month| month.year < 1968) {
        let Month { year, month: number, is_leap, first, .. } = month;
        match to_solar(LunarDay { year, month: number, is_leap, day: 1 }) {
            None => leaps.push((year, number)),
            Some(ours) => match to_days(first) - ours {
                0 => {}
                1 => {
                    later += 1;
                    if number == 1 {
                        tet.push(year);
                    }
                }
                // The month after a leap month that is placed one month earlier.
                days => assert!(leaps.last() == Some(&(year, number - 1)) && (29..=30).contains(&days), "{month:?}"),
            },
        }
    }
    assert_eq!((later, tet), (24, vec![1903, 1925, 1935, 1965]));
    assert_eq!(leaps, [(1917, 2), (1922, 5), (1938, 7)]);
}

#[test]
fn tet_is_not_the_chinese_new_year() {
    // Beyond the table above, these are what the two countries really kept or have announced.
    let days = [
        (1968, date(1968, 1, 29), date(1968, 1, 30)),
        (1969, date(1969, 2, 16), date(1969, 2, 17)),
        (1985, date(1985, 1, 21), date(1985, 2, 20)),
        (2007, date(2007, 2, 17), date(2007, 2, 18)),
        (2030, date(2030, 2, 2), date(2030, 2, 3)),
        (2053, date(2053, 2, 18), date(2053, 2, 19)),
    ];
    for (year, vietnam, china) in days {
        assert_eq!(new_year(year), vietnam);
        assert_ne!(new_year(year), china);
    }
    // From the notices of the ministries on the holidays of these years.
    assert_eq!(new_year(2024), date(2024, 2, 10));
    assert_eq!(new_year(2025), date(2025, 1, 29));
    assert_eq!(new_year(2026), date(2026, 2, 17));
    let lunar = |day| from_solar(to_days(day)).unwrap().to_string();
    assert_eq!(lunar(date(2025, 1, 25)), "2024-12-26");
    assert_eq!(lunar(date(2026, 2, 14)), "2025-12-27");
    // 1984 has no leap month and 1987 its seventh: in China they are the tenth and the sixth.
    let leap = |year, month| to_solar(LunarDay { year, month, is_leap: true, day: 1 }).is_some();
    assert!((1..=12).all(|month| !leap(1984, month)) && leap(1985, 2) && leap(1987, 7) && !leap(1987, 6));
}

#[test]
fn every_day_of_two_centuries_comes_back() {
    let mut before: Option<LunarDay> = None;
    for day in to_days(date(1900, 1, 1))..=to_days(date(2100, 12, 31)) {
        let lunar = from_solar(day).unwrap_or_else(|| panic!("{day} has no lunar day"));
        assert_eq!(to_solar(lunar), Some(day));
        // The next day of the same month, or the first of another, after the 29th or the 30th.
        if let Some(before) = before {
            let is_next = lunar.day == before.day + 1 && (lunar.year, lunar.month) == (before.year, before.month);
            assert!(is_next || (lunar.day == 1 && (29..=30).contains(&before.day)), "{before} {lunar}");
        }
        before = Some(lunar);
    }
}

#[test]
fn what_is_outside_or_is_no_day_has_no_answer() {
    assert_eq!(from_solar(to_days(date(1899, 12, 31))), None);
    assert_eq!(from_solar(to_days(date(2101, 1, 29))), None);
    assert_eq!(from_solar(to_days(date(2101, 1, 28))).unwrap().to_string(), "2100-12-29");
    assert_eq!(from_solar(i32::MIN).or(from_solar(i32::MAX)), None);
    for (year, month, is_leap, day) in [
        (1899, 1, false, 1),
        (2101, 1, false, 1),
        (2026, 6, true, 1),
        (2026, 1, false, 0),
        (2026, 1, false, 31),
        (2025, 12, false, 30),
        (2026, 0, false, 1),
        (2026, 13, false, 1),
    ] {
        assert_eq!(to_solar(LunarDay { year, month, is_leap, day }), None, "{year}-{month}-{day}");
    }
}
