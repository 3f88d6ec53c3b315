//! Which runs are due, from the schedule and the nights that are proven; pure.

use jiff::Timestamp;
use jiff::civil::Date;

use crate::calendar::cron::Cron;
use crate::calendar::{AsOf, vietnam};
use crate::pipeline::Missed;

/// The dates for which a run is due now, the earliest first.
///
/// A date is due when the schedule fired on it at or before `now` and after the
/// newest proven night. What was missed before `alive_since` (when the scheduler
/// started) follows the policy: none of it, the last of it, or all of it. A night
/// that failed is not proven and so stays due. Without any proven night, nothing
/// before the start is missed.
pub fn due(
    cron: &Cron,
    missed: Missed,
    newest_proven: Option<Date>,
    alive_since: Timestamp,
    now: Timestamp,
) -> Vec<AsOf> {
    let from = match newest_proven {
        Some(date) => end_of(date),
        None => alive_since,
    };
    let mut fired: Vec<Timestamp> = cron.after(from).take_while(|instant| *instant <= now).take(MOST).collect();
    match missed {
        Missed::All => {}
        Missed::Last => fired = fired.split_off(fired.len().saturating_sub(1)),
        Missed::None => fired.retain(|instant| *instant > alive_since),
    }
    let mut dates: Vec<AsOf> = fired.into_iter().map(|instant| AsOf::new(instant.to_zoned(vietnam()).date())).collect();
    dates.dedup();
    dates
}

/// A year of nights: nobody catches up with more.
const MOST: usize = 366;

/// The last second of a day in Vietnam.
fn end_of(date: Date) -> Timestamp {
    match date.at(23, 59, 59, 0).to_zoned(vietnam()) {
        Ok(zoned) => zoned.timestamp(),
        Err(_) => Timestamp::MAX,
    }
}
