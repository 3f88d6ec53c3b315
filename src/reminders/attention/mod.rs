//! What goes today, what leaves earlier than its notice, and what waits: one budget of attention for each person.
//!
//! A person has a number of messages within seven days, over all items (and over agencies, where they share a
//! folder). What does not fit leaves *earlier* than its notice, never later; only what is due today leaves over the
//! budget. On the days of Tết only that leaves which cannot wait for the first day after them, and what would fall
//! on them leaves before.
//!
//! Pure: it is given tonight's plan, in which each reminder stands that is due within the lead, and when messages
//! went to each person. The answer does not depend on the order in which reminders are given. It must not know a
//! person, a channel or the ledger.

mod schedule;

use std::collections::HashMap;

use jiff::civil::Date;

use super::plan::{Plan, Reason, Reminder};
use super::window::Window;
use crate::calendar::AsOf;
use crate::pipeline::Pipeline;
use crate::pipeline::attention::Consequence;

pub use schedule::{Job, Limits, WEEK_DAYS, today};

/// Days before the due date from which a reminder comes before those of graver consequence.
pub const URGENT_DAYS: i32 = 7;

/// On which days messages went to each subject, by keyed pseudonym: one date for each message.
pub type Sent = HashMap<String, Vec<Date>>;

/// Keeps in the plan what leaves today, and counts the rest as held; puts what leaves into its order.
///
/// The order is: first what is due within [`URGENT_DAYS`] days, then by consequence, then by days left, then by key.
/// Where digests are made, the reminders of one person stand together, at the place of the first of them.
pub fn arrange(plan: &mut Plan<'_>, sent: &Sent, window: &Window, pipeline: &Pipeline, as_of: AsOf) {
    let attention = &pipeline.attention;
    let limits = Limits { most_per_week: attention.most_per_week, is_digested: attention.is_digested };
    let mut reminders = std::mem::take(&mut plan.reminders);
    // Each person's stand together then: they are looked at where they are, and nothing is held twice.
    reminders.sort_unstable_by(|a, b| (&a.subject, rank(a)).cmp(&(&b.subject, rank(b))));
    let mut goes = Vec::with_capacity(reminders.len());
    for of_one in reminders.chunk_by(|a, b| a.subject == b.subject) {
        let jobs: Vec<Job<'_>> = of_one.iter().map(job).collect();
        let before = of_one.first().and_then(|one| sent.get(&*one.subject)).map_or(&[][..], Vec::as_slice);
        goes.extend(today(&jobs, before, window, limits, as_of.date()));
    }
    let mut goes = goes.into_iter();
    reminders.retain(|reminder| {
        let goes = goes.next() == Some(true);
        if !goes {
            plan.hold_back(reminder.obligation, waits(reminder, as_of));
        }
        goes
    });
    match attention.is_digested {
        true => by_first(&mut reminders),
        false => reminders.sort_unstable_by(|a, b| rank(a).cmp(&rank(b))),
    }
    plan.reminders = reminders;
}

/// Puts those of each person, which stand together, at the place of the first of them.
fn by_first(reminders: &mut [Reminder<'_>]) {
    let mut order = Vec::with_capacity(reminders.len());
    for of_one in reminders.chunk_by(|a, b| a.subject == b.subject) {
        let Some(first) = of_one.first() else { continue };
        let place = (first.days_left > URGENT_DAYS, first.item.consequence, first.days_left, first.key);
        order.extend(of_one.iter().map(|_| place).zip(order.len()..).collect::<Vec<_>>());
    }
    order.sort_unstable();
    let from: Vec<usize> = order.into_iter().map(|(_, from)| from).collect();
    for to in 0..from.len() {
        // What stood there may have been moved away for an earlier place.
        let follow = |place: &usize| from.get(*place).copied();
        let now = std::iter::successors(follow(&to), follow).find(|place| *place >= to);
        now.into_iter().for_each(|now| reminders.swap(to, now));
    }
}

/// What comes first: see [`arrange`].
fn rank<'r>(reminder: &'r Reminder<'_>) -> (bool, Consequence, i32, &'r str) {
    let is_calm = reminder.days_left > URGENT_DAYS;
    (is_calm, reminder.item.consequence, reminder.days_left, &reminder.key)
}

/// How urgent a reminder is, for who shares what is scarce: 0 for what is due within [`URGENT_DAYS`] days, then by
/// consequence.
pub fn lane(reminder: &Reminder<'_>) -> u8 {
    match reminder.item.consequence {
        _ if reminder.days_left <= URGENT_DAYS => 0,
        Consequence::LossOfRight => 1,
        Consequence::Fine => 2,
        Consequence::Inconvenience => 3,
    }
}

fn job<'r>(reminder: &'r Reminder<'_>) -> Job<'r> {
    Job {
        planned_on: reminder.planned_on,
        due_on: reminder.obligation.due_on,
        consequence: reminder.item.consequence,
        key: &reminder.key,
    }
}

/// Why a reminder that is not sent today is not: had nobody looked ahead, it would not have been seen.
fn waits(reminder: &Reminder<'_>, as_of: AsOf) -> Reason {
    match (reminder.planned_on > as_of.date(), reminder.stage) {
        (true, 1) => Reason::TooEarly,
        (true, _) => Reason::AlreadySent,
        (false, _) => Reason::WaitsForOpenDay,
    }
}
