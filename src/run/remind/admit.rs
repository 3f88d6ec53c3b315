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
use crate::reminders::plan::Reminder;
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
    /// How many messages left in how many milliseconds, when some last did.
    tempo: Option<(usize, i64)>,
}

impl Gate {
    /// Whether a day has begun since the line was last looked through.
    pub(super) fn is_new_day(&self) -> bool {
        self.swept_on != today()
    }

    /// The day on which the line was last looked through, by the clock.
    pub(super) fn day(&self) -> Date {
        self.swept_on
    }

    /// From now on the line was looked through today. Says which day of the run that is, which began on `first`.
    pub(super) fn sweep(&mut self, first: Date) -> Date {
        self.swept_on = today();
        let passed = (self.swept_on - self.began_on).get_days().max(0);
        first.saturating_add(i64::from(passed).days())
    }

    /// Learns how fast messages leave.
    pub(super) fn has_sent(&mut self, messages: usize, since: Timestamp) {
        let millis = i64::try_from(now().duration_since(since).as_millis()).unwrap_or(i64::MAX).max(1);
        self.tempo = (messages > 0).then_some((messages, millis)).or(self.tempo);
    }

    /// How many more messages can be expected to leave until an instant, beside those that are on their way: what
    /// cannot is not written down as leaving.
    pub(super) fn room(&self, until: Option<Timestamp>, on_way: usize) -> usize {
        let (Some(until), Some((messages, millis))) = (until, self.tempo) else { return usize::MAX };
        let left_millis = usize::try_from(until.duration_since(now()).as_millis()).unwrap_or(0);
        let millis = usize::try_from(millis).unwrap_or(usize::MAX);
        // One goes in any case: how fast it was says not for sure how fast it is.
        (messages.saturating_mul(left_millis) / millis.max(1)).saturating_sub(on_way).max(usize::from(on_way == 0))
    }
}

impl Night<'_> {
    /// Opens the buckets, where the pipeline has any.
    pub(super) fn gate(&self) -> Gate {
        let pipeline = &self.checked.pipeline;
        let folder = pipeline.attention.shared.as_deref().unwrap_or(&self.world.state);
        let open = |smallest| Pace::open(folder, &pipeline.id, smallest, now());
        let today = today();
        Gate { pace: rates(pipeline).min().map(open), swept_on: today, began_on: today, tempo: None }
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

/// The day, by the clock in Vietnam.
pub(in crate::run) fn today() -> Date {
    now().to_zoned(vietnam()).date()
}
