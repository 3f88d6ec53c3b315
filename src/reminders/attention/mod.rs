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

use std::collections::{BTreeMap, HashMap};

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
    let mut subjects: BTreeMap<String, Vec<Reminder<'_>>> = BTreeMap::new();
    for reminder in std::mem::take(&mut plan.reminders) {
        subjects.entry(reminder.subject.clone()).or_default().push(reminder);
    }
    let mut groups = Vec::with_capacity(subjects.len());
    for (subject, mut reminders) in subjects {
        reminders.sort_by(|a, b| rank(a).cmp(&rank(b)));
        let jobs: Vec<Job<'_>> = reminders.iter().map(job).collect();
        let before = sent.get(&subject).map_or(&[][..], Vec::as_slice);
        let goes = today(&jobs, before, window, limits, as_of.date());
        let mut group = Vec::new();
        for (reminder, goes) in reminders.into_iter().zip(goes) {
            match goes {
                true => group.push(reminder),
                false => plan.hold_back(reminder.obligation, waits(&reminder, as_of)),
            }
        }
        match attention.is_digested {
            true => groups.extend((!group.is_empty()).then_some(group)),
            false => groups.extend(group.into_iter().map(|reminder| vec![reminder])),
        }
    }
    groups.sort_by(|a, b| a.first().map(rank).cmp(&b.first().map(rank)));
    plan.reminders = groups.into_iter().flatten().collect();
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
