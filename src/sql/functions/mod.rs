//! Functions that the law needs and SQL lacks.
//!
//! | function | gives |
//! |---|---|
//! | `add_months(date, n, 'clamp' \| 'roll' \| 'error')` | the same day of another month; where there is none, its last day (Civil Code 2015, Art. 148(3)), the first of the next, or an error |
//! | `last_day_of_month(date)` | the last day of its month |
//! | `age_on(birth_date, date)` | full years; 29 February counts as 28 in common years |
//! | `is_working_day(date)` | whether civil servants work on it |
//! | `next_working_day(date)`, `previous_working_day(date)` | itself if it is one, or the nearest after, before it |
//! | `add_working_days(date, n)` | the n-th working day from the day after (before, if negative); the date itself for 0 |
//! | `working_days_between(a, b)` | the working days after `a` up to and with `b`; negative when `b` is earlier |
//! | `days_from_day(date, n)` | the last of n days of which `date` is the first (*kể từ ngày*) |
//! | `days_from_day_after(date, n)` | the last of n days of which the day after is the first (*kể từ ngày tiếp theo*, Civil Code 2015, Art. 147(2)) |
//! | `before_day(date)`, `on_day(date)` | the last day for what is due before a day (*trước ngày*), on a day |
//! | `lunar_to_solar(year, month, day, is_leap_month)` | the date of a lunar day of 1900 to 2100 |
//! | `solar_to_lunar(date)` | `2026-01-01`, or `2025-06-01L` in a leap month |
//!
//! A comparison of a date function with a date, or of an age with a number, is told to the planner as one of
//! the column, so that sorted files are read as far as the window reaches.
//!
//! Beside them, `ck_count(record_key)` is an aggregate that only an analyst's session has: `sql::analyst`.
//!
//! A null argument gives null. Errors begin with the name of the function and quote no
//! argument, save for a year without a calendar, which is no secret.

mod add_months;
mod ages;
mod args;
pub(super) mod ck_count;
mod counts;
mod days;
mod lunar;
mod preimage;
mod unpack;

use std::sync::Arc;

use datafusion::logical_expr::ScalarUDF;

use crate::calendar::WorkingDays;

pub(super) use ages::Ages;
pub(super) use unpack::unpacked;

/// All of them, for registration, with the working days as they are known.
pub fn all(calendar: &Arc<WorkingDays>) -> Vec<ScalarUDF> {
    let mut all = vec![add_months::function()];
    all.extend(days::functions(calendar));
    all.extend(counts::functions(calendar));
    all.extend(lunar::functions());
    all
}

/// Whether an error is one of our own functions': it begins with its name, and quotes no argument.
pub(super) fn speaks(error: &str) -> bool {
    let calendar = Arc::new(WorkingDays::default());
    all(&calendar).iter().any(|function| error.strip_prefix(function.name()).is_some_and(|rest| rest.starts_with(':')))
}
