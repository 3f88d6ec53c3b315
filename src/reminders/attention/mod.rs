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
use crate::personal::Digest;
use crate::pipeline::Pipeline;
use crate::pipeline::attention::Consequence;

pub use schedule::{Job, Limits, WEEK_DAYS, today};

/// Days before the due date from which a reminder comes before those of graver consequence.
pub const URGENT_DAYS: i32 = 7;

/// On which days messages went to each subject, by keyed pseudonym: one date for each message.
pub type Sent = HashMap<String, Vec<Date>>;

/// Keeps in the plan what leaves today, and counts the rest as held; puts what leaves into its order: see [`in_order`].
pub fn arrange(plan: &mut Plan<'_>, sent: &Sent, window: &Window, pipeline: &Pipeline, as_of: AsOf) {
    keep(plan, sent, window, pipeline, as_of);
    in_order(&mut plan.reminders, pipeline.attention.is_digested);
}

/// Keeps in the plan what leaves today, the reminders of each person together, and counts the rest as held.
///
/// Each person is looked at alone: of a plan of some persons this keeps what it would of a plan of all.
pub fn keep(plan: &mut Plan<'_>, sent: &Sent, window: &Window, pipeline: &Pipeline, as_of: AsOf) {
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
    plan.reminders = reminders;
}

/// Puts reminders into the order in which they leave; the reminders of each person stand together when they are given.
///
/// The order is: first what is due within [`URGENT_DAYS`] days, then by consequence, then by days left, then by key.
/// Where digests are made, the reminders of one person stand together, at the place of the first of them. Those of
/// several parts come into the order that they would have had as one.
pub fn in_order(reminders: &mut [Reminder<'_>], is_digested: bool) {
    match is_digested {
        true => by_first(reminders),
        false => reminders.sort_unstable_by(|a, b| rank(a).cmp(&rank(b))),
    }
}

/// Puts the reminders of one of several parts into the order in which a ledger takes them in: by [`lane`], then by key.
///
/// A ledger looks every key up in one index of all that were ever recorded. In the order of leaving a part has a few
/// thousand keys of each day, which lie all over that index, and each commit would write most of its pages again; in
/// the order of keys a commit writes its own stretch of it. They leave in their order all the same: see [`places`].
pub fn by_lane(reminders: &mut [Reminder<'_>]) {
    reminders.sort_unstable_by(|a, b| (lane(a), &a.key).cmp(&(lane(b), &b.key)));
}

/// A place in the order of leaving: the lower leaves first. Two reminders have the same only in a letter of several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct LinePlace {
    is_calm: bool,
    consequence: Consequence,
    days_left: i32,
    key: Digest,
}

impl LinePlace {
    fn of(reminder: &Reminder<'_>) -> Self {
        LinePlace {
            is_calm: reminder.days_left > URGENT_DAYS,
            consequence: reminder.item.consequence,
            days_left: reminder.days_left,
            key: reminder.key,
        }
    }
}

/// The place of each reminder, where those of each person stand together: by these the parts of a night, each
/// [`arrange`]d, are put into one line without standing in memory together.
pub fn places(reminders: &[Reminder<'_>], is_digested: bool) -> Vec<LinePlace> {
    if !is_digested {
        return reminders.iter().map(LinePlace::of).collect();
    }
    let persons = reminders.chunk_by(|a, b| a.subject == b.subject);
    persons
        .flat_map(|of_one| of_one.first().into_iter().flat_map(|first| of_one.iter().map(|_| LinePlace::of(first))))
        .collect()
}

/// Puts those of each person, which stand together, at the place of the first of them.
fn by_first(reminders: &mut [Reminder<'_>]) {
    let mut order: Vec<(LinePlace, usize)> = places(reminders, true).into_iter().zip(0..).collect();
    order.sort_unstable();
    let from: Vec<usize> = order.into_iter().map(|(_, from)| from).collect();
    for to in 0..from.len() {
        // What stood there may have been moved away for an earlier place.
        let follow = |place: &usize| from.get(*place).copied();
        let now = std::iter::successors(follow(&to), follow).find(|place| *place >= to);
        now.into_iter().for_each(|now| reminders.swap(to, now));
    }
}

/// What comes first: see [`in_order`].
fn rank<'r>(reminder: &'r Reminder<'_>) -> (bool, Consequence, i32, &'r Digest) {
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
