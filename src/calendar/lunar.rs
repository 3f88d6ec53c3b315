//! The Vietnamese lunar calendar (*âm lịch*) of 1900 to 2100, by astronomy.
//!
//! A month begins on the day of the new moon in Vietnam; the month that holds the winter
//! solstice is the eleventh; where thirteen months lie between two eleventh months, the
//! first without a principal term (*trung khí*) is a leap month (*tháng nhuận*) and has the
//! number of the one before. The rules and the order of the computation are those of Hồ Ngọc
//! Đức, *Computing the Vietnamese lunar calendar*; new moons are computed here with the full
//! series of Jean Meeus, *Astronomical Algorithms*, chapter 49, because the short one is
//! minutes off and several new moons of these two centuries fall that near to midnight.
//!
//! **Days are counted at UTC+7 throughout** (Decision 121-CP of 1967, in force from 1968).
//! Almanacs printed before that followed Beijing, and so did the South until 1975. Đức's
//! table, which holds what was printed, begins 24 months of those years a day later, Tết of
//! 1903, 1925, 1935 and 1965 among them, and has the leap month one earlier in 1917, 1922 and
//! 1938; the South kept Tết of 1968 on 30 January, the North on the 29th, as here. From 1968
//! on this calendar is the one of Đức's table save for one month: the new moon of May 2054 is
//! half a minute after midnight by this computation, in the night to the 8th, and his table
//! begins the fourth month on the 7th.

use std::sync::OnceLock;

use jiff::civil::{Date, date};

use super::{civil, to_days};

/// A day of the lunar calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LunarDay {
    /// The year, named after the solar year in which it begins.
    pub year: i16,
    /// 1 to 12.
    pub month: u8,
    /// Whether the month is the leap month after the one of the same number.
    pub is_leap: bool,
    /// 1 to 30.
    pub day: u8,
}

impl std::fmt::Display for LunarDay {
    /// `2025-06-01`, and `2025-06-01L` in a leap month.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:04}-{:02}-{:02}{}", self.year, self.month, self.day, if self.is_leap { "L" } else { "" })
    }
}

/// The lunar day of a solar one (`Date32`), from 1900-01-01 to the last of the lunar year 2100.
pub fn from_solar(day: i32) -> Option<LunarDay> {
    if day < to_days(FIRST) {
        return None;
    }
    let months = months();
    let after = months.partition_point(|month| month.first <= day);
    let month = months.get(after.checked_sub(1)?)?;
    let number = u8::try_from(day - month.first).ok()?;
    (number < month.length).then(|| LunarDay {
        year: month.year,
        month: month.month,
        is_leap: month.is_leap,
        day: number + 1,
    })
}

/// The solar day (`Date32`) of a lunar one; none when there is no such day, or it is not of those years.
pub fn to_solar(day: LunarDay) -> Option<i32> {
    let months = months();
    let wanted = (day.year, day.month, day.is_leap);
    let index = months.binary_search_by_key(&wanted, |month| (month.year, month.month, month.is_leap)).ok()?;
    let month = months.get(index)?;
    let solar = month.first + i32::from(day.day) - 1;
    ((1..=month.length).contains(&day.day) && solar >= to_days(FIRST)).then_some(solar)
}

const FIRST: Date = date(1900, 1, 1);
/// The last lunar year of the table.
const LAST_YEAR: i16 = 2100;

/// A lunar month.
struct Month {
    first: i32,
    length: u8,
    year: i16,
    month: u8,
    is_leap: bool,
}

/// Every month that has a day in those years, in order; computed once.
fn months() -> &'static [Month] {
    static MONTHS: OnceLock<Vec<Month>> = OnceLock::new();
    MONTHS.get_or_init(|| {
        // New moons are numbered from the first of the year 2000.
        let starts: Vec<i32> = (-1_260..=1_300).map(|number| day_in_vietnam(new_moon(number))).collect();
        let spans: Vec<Span> = starts
            .iter()
            .zip(starts.iter().skip(1))
            .map(|(first, next)| Span {
                first: *first,
                next: *next,
                terms: (principal_term(*first), principal_term(*next)),
            })
            .collect();
        let elevenths: Vec<usize> =
            spans.iter().enumerate().filter(|(_, span)| span.holds_solstice()).map(|(index, _)| index).collect();
        let mut months = Vec::new();
        for (from, to) in elevenths.iter().zip(elevenths.iter().skip(1)) {
            name(spans.get(*from..*to).unwrap_or_default(), &mut months);
        }
        months.retain(|month| month.first + i32::from(month.length) > to_days(FIRST) && month.year <= LAST_YEAR);
        months
    })
}

/// A month without a name: its first day, that of the next month, and the last principal term before each.
struct Span {
    first: i32,
    next: i32,
    terms: (u8, u8),
}

impl Span {
    /// Whether the winter solstice, the principal term at 270 degrees, is in it. A month may hold two terms.
    fn holds_solstice(&self) -> bool {
        let (from, to) = self.terms;
        let ahead = (21 - from) % 12;
        (1..=2).contains(&ahead) && (to + 12 - from) % 12 >= ahead
    }
}

/// Names the months from an eleventh one to the one before the next eleventh.
fn name(spans: &[Span], months: &mut Vec<Month>) {
    let Some(eleventh) = spans.first() else { return };
    let (year, _, _) = civil::split(eleventh.first);
    let leap = if spans.len() > 12 { spans.iter().position(|span| span.terms.0 == span.terms.1) } else { None };
    let mut number: i64 = 10;
    for (index, span) in spans.iter().enumerate() {
        let is_leap = leap == Some(index);
        number += i64::from(!is_leap);
        months.push(Month {
            first: span.first,
            length: u8::try_from(span.next - span.first).unwrap_or(0),
            year: i16::try_from(year + i64::from(number > 12)).unwrap_or(0),
            month: u8::try_from((number - 1) % 12 + 1).unwrap_or(0),
            is_leap,
        });
    }
}

/// The Julian day number (of noon) that is 1 January 1970.
const EPOCH_NOON: f64 = 2_440_588.0;
/// Vietnam is seven hours ahead.
const AHEAD_DAYS: f64 = 7.0 / 24.0;

/// The day in Vietnam (`Date32`) of an instant (Julian day, universal time).
fn day_in_vietnam(instant: f64) -> i32 {
    (instant + 0.5 + AHEAD_DAYS - EPOCH_NOON).floor() as i32
}

/// Which of the twelve principal terms was the last before a day began in Vietnam: 0 is the March equinox.
fn principal_term(day: i32) -> u8 {
    let midnight = f64::from(day) + EPOCH_NOON - 0.5 - AHEAD_DAYS;
    (solar_longitude(midnight) / 30.0).floor() as u8
}

/// Apparent longitude of the sun in degrees, 0 to 360 (Meeus, chapter 25, to a hundredth of a degree).
fn solar_longitude(instant: f64) -> f64 {
    let t = (instant - 2_451_545.0) / 36_525.0;
    let anomaly = (357.529_10 + 35_999.050_30 * t - 0.000_155_9 * t * t).to_radians();
    let mean = 280.466_45 + 36_000.769_83 * t + 0.000_303_2 * t * t;
    let centre = (1.914_600 - 0.004_817 * t - 0.000_014 * t * t) * anomaly.sin()
        + (0.019_993 - 0.000_101 * t) * (2.0 * anomaly).sin()
        + 0.000_290 * (3.0 * anomaly).sin();
    let node = (125.04 - 1_934.136 * t).to_radians();
    (mean + centre - 0.005_69 - 0.004_78 * node.sin()).rem_euclid(360.0)
}

/// Periodic terms of the new moon: amplitude in days, then the multiples of the sun's anomaly, the moon's
/// anomaly and the moon's argument of latitude. A term with the sun's anomaly shrinks with the orbit's eccentricity.
const MOON_TERMS: [(f64, i32, i32, i32); 24] = [
    (-0.407_20, 0, 1, 0),
    (0.172_41, 1, 0, 0),
    (0.016_08, 0, 2, 0),
    (0.010_39, 0, 0, 2),
    (0.007_39, -1, 1, 0),
    (-0.005_14, 1, 1, 0),
    (0.002_08, 2, 0, 0),
    (-0.001_11, 0, 1, -2),
    (-0.000_57, 0, 1, 2),
    (0.000_56, 1, 2, 0),
    (-0.000_42, 0, 3, 0),
    (0.000_42, 1, 0, 2),
    (0.000_38, 1, 0, -2),
    (-0.000_24, -1, 2, 0),
    (-0.000_07, 2, 1, 0),
    (0.000_04, 0, 2, -2),
    (0.000_04, 3, 0, 0),
    (0.000_03, 1, 1, -2),
    (0.000_03, 0, 2, 2),
    (-0.000_03, 1, 1, 2),
    (0.000_03, -1, 1, 2),
    (-0.000_02, -1, 1, -2),
    (-0.000_02, 1, 3, 0),
    (0.000_02, 0, 4, 0),
];

/// What the planets do to it: degrees, degrees a month, and the amplitude in days.
const PLANET_TERMS: [(f64, f64, f64); 14] = [
    (299.77, 0.107_408, 0.000_325),
    (251.88, 0.016_321, 0.000_165),
    (251.83, 26.651_886, 0.000_164),
    (349.42, 36.412_478, 0.000_126),
    (84.66, 18.206_239, 0.000_110),
    (141.74, 53.303_771, 0.000_062),
    (207.14, 2.453_732, 0.000_060),
    (154.84, 7.306_860, 0.000_056),
    (34.52, 27.261_239, 0.000_047),
    (207.19, 0.121_824, 0.000_042),
    (291.34, 1.844_379, 0.000_040),
    (161.72, 24.198_154, 0.000_037),
    (239.56, 25.513_099, 0.000_035),
    (331.55, 3.592_518, 0.000_023),
];

/// The instant of a new moon (Julian day, universal time); number 0 is the one of 6 January 2000.
fn new_moon(number: i32) -> f64 {
    let k = f64::from(number);
    let t = k / 1_236.85;
    let (t2, t3, t4) = (t * t, t * t * t, t * t * t * t);
    let mean = 2_451_550.097_66 + 29.530_588_861 * k + 0.000_154_37 * t2 - 0.000_000_150 * t3 + 0.000_000_000_73 * t4;
    let eccentricity = 1.0 - 0.002_516 * t - 0.000_007_4 * t2;
    let sun = 2.553_4 + 29.105_356_70 * k - 0.000_001_4 * t2 - 0.000_000_11 * t3;
    let moon = 201.564_3 + 385.816_935_28 * k + 0.010_758_2 * t2 + 0.000_012_38 * t3 - 0.000_000_058 * t4;
    let latitude = 160.710_8 + 390.670_502_84 * k - 0.001_611_8 * t2 - 0.000_002_27 * t3 + 0.000_000_011 * t4;
    let node = 124.774_6 - 1.563_755_88 * k + 0.002_067_2 * t2 + 0.000_002_15 * t3;
    let mut correction = -0.000_17 * node.to_radians().sin();
    for (amplitude, suns, moons, latitudes) in MOON_TERMS {
        let angle = f64::from(suns) * sun + f64::from(moons) * moon + f64::from(latitudes) * latitude;
        // Meeus gives the shrinking for one and two anomalies; the few terms of more are too small for it.
        let shrink = match (amplitude.abs() > 0.000_1, suns.abs()) {
            (true, 1) => eccentricity,
            (true, 2) => eccentricity * eccentricity,
            _ => 1.0,
        };
        correction += amplitude * shrink * angle.to_radians().sin();
    }
    for (index, (start, monthly, amplitude)) in PLANET_TERMS.iter().enumerate() {
        let bend = if index == 0 { 0.009_173 * t2 } else { 0.0 };
        correction += amplitude * (start + monthly * k - bend).to_radians().sin();
    }
    mean + correction - clock_lag_seconds(2_000.0 + k / 12.368_5) / 86_400.0
}

/// Terrestrial less universal time (ΔT), by the polynomials of Espenak and Meeus for 1900 to 2150.
fn clock_lag_seconds(year: f64) -> f64 {
    let sum = |t: f64, terms: &[f64]| terms.iter().rev().fold(0.0, |sum, term| sum * t + term);
    match year {
        ..1920.0 => sum(year - 1900.0, &[-2.79, 1.494_119, -0.059_893_9, 0.006_196_6, -0.000_197]),
        ..1941.0 => sum(year - 1920.0, &[21.20, 0.844_93, -0.076_100, 0.002_093_6]),
        ..1961.0 => sum(year - 1950.0, &[29.07, 0.407, -1.0 / 233.0, 1.0 / 2_547.0]),
        ..1986.0 => sum(year - 1975.0, &[45.45, 1.067, -1.0 / 260.0, -1.0 / 718.0]),
        ..2005.0 => sum(year - 2000.0, &[63.86, 0.334_5, -0.060_374, 0.001_727_5, 0.000_651_814, 0.000_023_735_99]),
        ..2050.0 => sum(year - 2000.0, &[62.92, 0.322_17, 0.005_589]),
        _ => -20.0 + 32.0 * ((year - 1820.0) / 100.0).powi(2) - 0.562_8 * (2_150.0 - year),
    }
}
