//! Which runs are due, from the schedule and the nights that are proven; pure.

use std::time::Duration;

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};

use crate::calendar::cron::Cron;
use crate::calendar::{AsOf, vietnam};
use crate::pipeline::Missed;
use crate::reminders::window::{Hour, Window};

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
    let earliest = now.saturating_sub(MOST).unwrap_or(Timestamp::MIN);
    let proven = newest_proven.map_or(alive_since, end_of);
    let from = match missed {
        Missed::None => proven.max(alive_since),
        Missed::Last | Missed::All => proven.max(earliest),
    };
    // The first time of each day is enough: a day is due once, however often the schedule fires on it.
    let mut dates = Vec::new();
    let mut next = cron.next_after(from);
    while let Some(instant) = next.filter(|instant| *instant <= now) {
        let date = instant.to_zoned(vietnam()).date();
        dates.push(AsOf::new(date));
        next = cron.next_after(end_of(date));
    }
    if missed == Missed::Last {
        dates = dates.split_off(dates.len().saturating_sub(1));
    }
    dates
}

/// The date for which a sending run is due now: the window is open, and no run has begun since it opened.
///
/// A night outside the window decides and sends nothing; this run looks again and sends what stands. Before the first
/// proven night there is nothing that it could send, and where the window never closes every night sends by itself.
pub fn sending(
    window: &Window,
    newest_proven: Option<Date>,
    newest_start: Option<Timestamp>,
    now: Timestamp,
) -> Option<AsOf> {
    newest_proven?;
    let opened = window.opened(now)?;
    let is_done = newest_start.is_some_and(|start| (opened..=now).contains(&start));
    (!is_done).then(|| AsOf::new(now.to_zoned(vietnam()).date()))
}

/// The date for which a sending run is due now because messages that were put off wait for their time, which has come.
///
/// `next_try` is the first of these instants that lies after the newest run began: whatever waited before had its
/// chance in it. Between two runs lie at least [`AGAIN`]: what waits for the second minute after the first goes with
/// it.
pub fn again(
    window: &Window,
    newest_proven: Option<Date>,
    newest_start: Option<Timestamp>,
    next_try: Option<Timestamp>,
    now: Timestamp,
) -> Option<AsOf> {
    newest_proven?;
    let last = newest_start.and_then(|start| start.checked_add(AGAIN).ok());
    let is_due = next_try?.max(last.unwrap_or(Timestamp::MIN)) <= now;
    let is_open = matches!(window.at(now), Hour::Open(_));
    (is_due && is_open).then(|| AsOf::new(now.to_zoned(vietnam()).date()))
}

/// The least time between two runs that try again: each looks at the sources first.
pub const AGAIN: SignedDuration = SignedDuration::from_mins(2);

/// When a night that failed is tried again: after `first`, then each time after twice as long,
/// and at the latest when the schedule fires next.
///
/// What failed of a passing fault is soon tried again; what failed of one that somebody has to
/// mend does not pull the sources a hundred times a day.
pub fn retry(first: Duration, failed_before: u32, now: Timestamp, next_fire: Option<Timestamp>) -> Timestamp {
    let wait = first.saturating_mul(2_u32.saturating_pow(failed_before));
    let wait = SignedDuration::try_from(wait).unwrap_or(SignedDuration::MAX);
    let again = now.saturating_add(wait).unwrap_or(Timestamp::MAX);
    next_fire.map_or(again, |fire| again.min(fire))
}

/// A year of nights: nobody catches up with more.
const MOST: SignedDuration = SignedDuration::from_hours(366 * 24);

/// The last second of a day in Vietnam.
fn end_of(date: Date) -> Timestamp {
    match date.at(23, 59, 59, 0).to_zoned(vietnam()) {
        Ok(zoned) => zoned.timestamp(),
        Err(_) => Timestamp::MAX,
    }
}
