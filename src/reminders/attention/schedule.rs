//! On which day each message to one person leaves: the least early plan in which nobody is late and no week too full.

use std::collections::BTreeMap;

use jiff::ToSpan;
use jiff::civil::Date;

use crate::pipeline::attention::Consequence;
use crate::reminders::window::Window;

/// The days over which messages to a person are counted.
pub const WEEK_DAYS: i64 = 7;

/// A message to one person, as far as its day is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Job<'a> {
    /// The day of its notice: on it, or before, it is to leave.
    pub planned_on: Date,
    /// When the obligation is due.
    pub due_on: Date,
    /// The graver keeps its own day where one of two has to leave earlier.
    pub consequence: Consequence,
    /// Decides between what is otherwise the same.
    pub key: &'a str,
}

/// How much of a person's attention there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Messages within [`WEEK_DAYS`] days; none where they are not counted.
    pub most_per_week: Option<u16>,
    /// Whether all that leaves on one day is one message.
    pub is_digested: bool,
}

/// Which of these messages to one person leave today; `sent` has a date for each message that went to the person.
pub fn today(jobs: &[Job<'_>], sent: &[Date], window: &Window, limits: Limits, today: Date) -> Vec<bool> {
    if window.is_closed_on(today) {
        let reopens_on = window.open_from(today);
        return jobs.iter().map(|job| job.planned_on <= today && job.due_on <= reopens_on).collect();
    }
    let by: Vec<Date> = jobs.iter().map(|job| window.open_until(job.planned_on).max(today)).collect();
    let days = match limits.most_per_week {
        None => by,
        Some(most) => {
            let week = Week::new(sent, most, today);
            if limits.is_digested { together(jobs, &by, week, window) } else { apart(jobs, &by, week, window) }
        }
    };
    days.into_iter().map(|day| day == today).collect()
}

/// One message for all that leaves on one day.
///
/// From the earliest day on: where the week of a day is full, what is to leave on it joins the last message before it
/// that has not left yet. A message is at most six days earlier than its day, and whatever was known a week before
/// its day finds one that it can join: the week is full by messages that have not left, or that left while it was known.
fn together(jobs: &[Job<'_>], by: &[Date], mut week: Week, window: &Window) -> Vec<Date> {
    let mut days = by.to_vec();
    for at in in_order(jobs, by) {
        let Some(day) = by.get(at).copied() else { continue };
        let joined = match week.is_planned(day) || week.has_room(day) {
            true => None,
            false => week.planned_before(day).filter(|earlier| !window.is_closed_on(*earlier)),
        };
        let day = joined.unwrap_or(day);
        if !week.is_planned(day) {
            week.plan(day);
        }
        days.get_mut(at).into_iter().for_each(|slot| *slot = day);
    }
    days
}

/// A message for each: from the last day back, each on the latest day on which its weeks have room for one more. Where
/// there is none, it leaves on its day, over the budget.
fn apart(jobs: &[Job<'_>], by: &[Date], mut week: Week, window: &Window) -> Vec<Date> {
    let mut days = by.to_vec();
    let mut order = in_order(jobs, by);
    // The latest first; of one day, the gravest first, so that it keeps its day.
    order.reverse();
    order.sort_by(|a, b| by.get(*b).cmp(&by.get(*a)).then_with(|| rank(jobs, *a).cmp(&rank(jobs, *b))));
    for at in order {
        let Some(day) = by.get(at).copied() else { continue };
        let mut earlier = std::iter::successors(Some(day), |day| day.yesterday().ok());
        let found = earlier
            .by_ref()
            .take_while(|day| *day >= week.today)
            .find(|day| !window.is_closed_on(*day) && week.has_room_around(*day));
        let day = found.unwrap_or(day);
        week.plan(day);
        days.get_mut(at).into_iter().for_each(|slot| *slot = day);
    }
    days
}

/// The places of the jobs by day, then by rank: the same whatever order they were given in.
fn in_order(jobs: &[Job<'_>], by: &[Date]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..jobs.len()).collect();
    order.sort_by(|a, b| by.get(*a).cmp(&by.get(*b)).then_with(|| rank(jobs, *a).cmp(&rank(jobs, *b))));
    order
}

fn rank<'j>(jobs: &'j [Job<'_>], at: usize) -> Option<(Consequence, Date, &'j str)> {
    jobs.get(at).map(|job| (job.consequence, job.due_on, job.key))
}

/// How many messages leave on each day: those that went, and those that are planned.
struct Week {
    counts: BTreeMap<Date, usize>,
    planned: BTreeMap<Date, usize>,
    most: usize,
    today: Date,
}

impl Week {
    fn new(sent: &[Date], most: u16, today: Date) -> Self {
        let mut counts = BTreeMap::new();
        sent.iter().filter(|day| **day <= today).for_each(|day| *counts.entry(*day).or_default() += 1);
        Week { counts, planned: BTreeMap::new(), most: most.into(), today }
    }

    fn plan(&mut self, day: Date) {
        *self.counts.entry(day).or_default() += 1;
        *self.planned.entry(day).or_default() += 1;
    }

    fn is_planned(&self, day: Date) -> bool {
        self.planned.contains_key(&day)
    }

    fn planned_before(&self, day: Date) -> Option<Date> {
        self.planned.range(..day).next_back().map(|(day, _)| *day)
    }

    /// Whether one more on this day is within the budget of the seven days that end with it.
    fn has_room(&self, day: Date) -> bool {
        let first = day.saturating_sub((WEEK_DAYS - 1).days());
        self.counts.range(first..=day).map(|(_, count)| count).sum::<usize>() < self.most
    }

    /// Whether one more on this day is within the budget of every seven days that it lies in.
    fn has_room_around(&self, day: Date) -> bool {
        (0..WEEK_DAYS).all(|ahead| self.has_room(day.saturating_add(ahead.days())))
    }
}
