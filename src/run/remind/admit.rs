//! Which of those that wait leave next: as fast as the buckets allow, and several of one person as one letter.

use std::collections::VecDeque;

use jiff::civil::Date;
use jiff::{Timestamp, ToSpan};

use super::super::Night;
use crate::calendar::{now, vietnam};
use crate::delivery::pace::{Lane, Pace, Want};
use crate::fault::Explain;
use crate::pipeline::Pipeline;
use crate::reminders::attention;
use crate::reminders::plan::{Plan, Reason, Reminder};
use crate::report::FaultLine;

/// How far down the line a message is looked for whose buckets have tokens, while those before it wait for theirs.
const SEEN: usize = 2048;

/// The way from the line of those that wait onto the wire.
#[derive(Debug)]
pub(super) struct Gate {
    pace: Option<Pace>,
    /// The day, by the clock, on which the line was last looked through for what is no longer valid.
    swept_on: Date,
    /// The day on which the run began, by the clock.
    began_on: Date,
}

impl Night<'_> {
    /// Opens the buckets, where the pipeline has any.
    pub(super) fn gate(&self) -> Gate {
        let pipeline = &self.checked.pipeline;
        let folder = pipeline.attention.shared.as_deref().unwrap_or(&self.world.state);
        let open = |smallest| Pace::open(folder, &pipeline.id, smallest, now());
        let today = today();
        Gate { pace: rates(pipeline).min().map(open), swept_on: today, began_on: today }
    }

    /// Takes at most so many messages off the line, the most urgent first; where something waits for tokens, says
    /// until when.
    pub(super) fn admit<'o>(
        &mut self,
        gate: &mut Gate,
        line: &mut VecDeque<Reminder<'o>>,
        most: usize,
    ) -> (Vec<Reminder<'o>>, Option<Timestamp>) {
        let Some(pace) = gate.pace.as_mut().filter(|_| most > 0 && !line.is_empty()) else {
            return (self.next_messages(line, most), None);
        };
        let seen = self.next_messages(line, most.max(SEEN));
        let pipeline = &self.checked.pipeline;
        let wants: Vec<Want> = seen.iter().map(|reminder| want(reminder, pipeline)).collect();
        let taken = pace.take(now(), most, &wants);
        if let Some(trouble) = pace.trouble() {
            self.report.faults.push(FaultLine::from(&trouble.fault()));
        }
        let (mut batch, mut waiting) = (Vec::with_capacity(most), Vec::new());
        for (reminder, granted) in seen.into_iter().zip(taken.granted.into_iter().chain(std::iter::repeat(false))) {
            if granted { batch.push(reminder) } else { waiting.push(reminder) }
        }
        // They keep their place in the line.
        waiting.into_iter().rev().for_each(|reminder| put_back(line, reminder));
        (batch, taken.again)
    }

    /// The next messages of the line: of a person's reminders that stand together and go by letter, one.
    fn next_messages<'o>(&self, line: &mut VecDeque<Reminder<'o>>, most: usize) -> Vec<Reminder<'o>> {
        if !self.checked.pipeline.attention.is_digested {
            return line.drain(..most.min(line.len())).collect();
        }
        let mut messages: Vec<Reminder<'o>> = Vec::with_capacity(most.min(line.len()));
        while let Some(reminder) = line.pop_front() {
            let is_full = messages.len() == most;
            match messages.last_mut().filter(|last| last.goes_with(&reminder)) {
                Some(last) => last.together.push(reminder),
                None if is_full => {
                    line.push_front(reminder);
                    break;
                }
                None => messages.push(reminder),
            }
        }
        messages
    }

    /// Holds what is no longer valid on the day that has begun while the run was at work.
    pub(super) fn hold_expired<'o>(&self, gate: &mut Gate, line: &mut VecDeque<Reminder<'o>>, plan: &mut Plan<'o>) {
        let today = today();
        if gate.swept_on == today {
            return;
        }
        gate.swept_on = today;
        let passed = (today - gate.began_on).get_days().max(0);
        let day = self.as_of.date().saturating_add(i64::from(passed).days());
        line.retain(|reminder| {
            let is_valid = reminder.valid_until >= day;
            if !is_valid {
                plan.hold(&reminder.item.id, Reason::Expired);
            }
            is_valid
        });
    }
}

/// Puts the reminders of a message at the front of the line, in their order.
pub(super) fn put_back<'o>(line: &mut VecDeque<Reminder<'o>>, message: Reminder<'o>) {
    for reminder in message.apart().into_iter().rev() {
        line.push_front(reminder);
    }
}

/// All rates that the pipeline knows.
fn rates(pipeline: &Pipeline) -> impl Iterator<Item = u32> {
    let of_channels = pipeline.channels.iter().flat_map(|channel| channel.pace.rates());
    pipeline.attention.per_second.into_iter().chain(of_channels)
}

fn want(reminder: &Reminder<'_>, pipeline: &Pipeline) -> Want {
    let agency = (pipeline.id.as_str(), pipeline.attention.per_second);
    Want::of(Lane(attention::lane(reminder)), agency, reminder.channel, reminder.domain().as_deref())
}

/// The day by the clock in Vietnam.
pub(in crate::run) fn today() -> Date {
    now().to_zoned(vietnam()).date()
}
