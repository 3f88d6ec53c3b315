//! Years, months and days of a `Date32`, without a detour: for functions that run over whole columns.
//!
//! The proleptic Gregorian calendar by whole-number arithmetic on years that begin in March
//! (a leap day is then the last of its year). A test compares it with `jiff` day by day.

use super::Rounding;

/// Days from 1 March of the year 0 to 1 January 1970.
const EPOCH_SHIFT: i64 = 719_468;
/// Days of 400 years, after which the calendar repeats.
const ERA_DAYS: i64 = 146_097;

/// Year, month (1 to 12) and day (1 to 31) of a `Date32`.
pub fn split(days: i32) -> (i64, i64, i64) {
    let shifted = i64::from(days) + EPOCH_SHIFT;
    let era = shifted.div_euclid(ERA_DAYS);
    let day_of_era = shifted.rem_euclid(ERA_DAYS);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// The `Date32` of a year, a month (1 to 12) and a day that the month has.
/// None outside the years -9999 to 9999, the calendar of [`super::from_days`].
pub fn join(year: i64, month: i64, day: i64) -> Option<i32> {
    if !(-9_999..=9_999).contains(&year) {
        return None;
    }
    let march_year = year - i64::from(month <= 2);
    let era = march_year.div_euclid(400);
    let year_of_era = march_year.rem_euclid(400);
    let march_month = (month + 9) % 12;
    let day_of_year = (153 * march_month + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    i32::try_from(era * ERA_DAYS + day_of_era - EPOCH_SHIFT).ok()
}

/// How many days a month (1 to 12) has.
pub fn month_days(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// [`super::add_months`] on a `Date32`.
pub fn add_months(days: i32, months: i64, rounding: Rounding) -> Option<i32> {
    let (year, month, day) = split(days);
    let counted = (year * 12 + month - 1).checked_add(months)?;
    let (year, month) = (counted.div_euclid(12), counted.rem_euclid(12) + 1);
    let last = month_days(year, month);
    if day <= last {
        return join(year, month, day);
    }
    match rounding {
        Rounding::Clamp => join(year, month, last),
        // Of 31 December there is always one, so that the next month is in the same year.
        Rounding::Roll => join(year, month + 1, 1),
        Rounding::Error => None,
    }
}

/// The last day of the month in which a day lies.
pub fn last_day_of_month(days: i32) -> Option<i32> {
    let (year, month, _) = split(days);
    join(year, month, month_days(year, month))
}

/// Full years of age on a day of a person born on another; who was born on 29 February
/// reaches an age on 28 February where the year has no such day (Civil Code 2015, Art. 148(3)).
/// Negative before birth.
pub fn age_on(birth: i32, on: i32) -> i64 {
    let (birth_year, birth_month, birth_day) = split(birth);
    let (year, month, day) = split(on);
    let birthday = birth_day.min(month_days(year, birth_month));
    year - birth_year - i64::from((month, day) < (birth_month, birthday))
}
