//! The last look: what everything passes that is about to leave, whether it comes from the line, waited for another
//! try, or was on its way to the wire already.
//!
//! Nothing leaves that was refused, that no longer stands by a second look at the sources, whose last day is over by
//! the clock, or outside the sending window. While messages are on the wire their [`Permit`](crate::delivery::Permit)
//! sees to it: it ends when there is something to look at, and what has not begun to leave comes back.

use std::collections::{HashMap, VecDeque};

use jiff::{SignedDuration, Timestamp};

use super::super::Night;
use super::super::channels::Senders;
use super::admit::Gate;
use super::{OTHER_CHANNEL, Way, end_of};
use crate::fault::{Explain, Fault};
use crate::ledger::{Ledger, MessageKey};
use crate::reminders::plan::{Plan, Reason, Reminder};

/// What was looked at may leave for so long, however short the time is that the pipeline gives it: where a look takes
/// longer than that time, nothing would ever leave.
const LEAST: SignedDuration = SignedDuration::from_secs(15);

/// What waits for another try, apart, and the instant of each by its key.
type Waiting<'o> = (VecDeque<Reminder<'o>>, HashMap<String, Timestamp>);

impl Night<'_> {
    /// Looks at everything that has not begun to leave, where something has happened since it was last looked at: by
    /// then it is in the line again. `is_news` says whether somebody has said something.
    #[expect(clippy::too_many_arguments, reason = "what the loop of sending is made of, each on loan from its caller")]
    pub(super) async fn last_look<'o>(
        &mut self,
        ledger: &mut Ledger,
        senders: &mut Senders,
        gate: &mut Gate,
        is_news: bool,
        line: &mut VecDeque<Reminder<'o>>,
        plan: &mut Plan<'o>,
        way: &mut Way<'o>,
    ) -> Result<(), Fault> {
        self.hold_for_window(line, plan);
        let is_new_day = gate.is_new_day();
        let is_due = self.is_stale() && way.convoy.is_empty() && !line.is_empty();
        if is_news || is_new_day || is_due {
            let (mut waiting, instants) = apart(way);
            if is_new_day {
                self.hold_expired(ledger, gate, [line, &mut waiting], plan)?;
            }
            if is_due {
                self.recheck(ledger, [line, &mut waiting], plan).await?;
            }
            if is_news {
                self.hold_refused(ledger, [line, &mut waiting], plan)?;
            }
            wait_again(way, line, (waiting, instants));
            if is_news {
                // Another channel than the first may not be open yet.
                let open = std::mem::take(line);
                *line = self.prepare(senders, open.into(), plan).await?;
            }
        }
        senders.renew_permit(self.may_leave_until(gate), self.heard_until);
        Ok(())
    }

    /// When there is something to look at again: the window closes, a day begins, or what was read is too old.
    pub(super) fn may_leave_until(&self, gate: &Gate) -> Option<Timestamp> {
        let most = SignedDuration::from_mins(i64::from(self.checked.pipeline.recheck_minutes()));
        let fresh = self.pulled_at.saturating_add(most).unwrap_or(Timestamp::MAX);
        let fresh = fresh.max(self.looked_at.saturating_add(LEAST).unwrap_or(Timestamp::MAX));
        let closes = self.window_end().unwrap_or(Timestamp::MAX);
        Some(fresh.min(closes).min(end_of(gate.day())))
    }

    /// Whether somebody has said something since this was last asked; what was refused is known then.
    pub(super) fn hears(&mut self, ledger: &Ledger) -> Result<bool, Fault> {
        let newest = ledger.newest_preference().map_err(|error| error.fault())?;
        if newest == self.heard_until {
            return Ok(false);
        }
        self.heard_until = newest;
        self.closed.refused = ledger.refused().map_err(|error| error.fault())?;
        Ok(true)
    }

    /// Takes out what was refused since it was decided: a person who refuses while a run is at work is heard by it.
    fn hold_refused<'o>(
        &mut self,
        ledger: &mut Ledger,
        parts: [&mut VecDeque<Reminder<'o>>; 2],
        plan: &mut Plan<'o>,
    ) -> Result<(), Fault> {
        let mut dropped = Vec::new();
        for part in parts {
            let closed = &self.closed;
            if !part.iter().any(|reminder| reminder.is_closed(closed)) {
                continue;
            }
            for reminder in std::mem::take(part) {
                let (obligation, key) = (reminder.obligation, reminder.key);
                match reminder.by_open(closed) {
                    Some(reminder) => {
                        if reminder.key != key {
                            dropped.push((MessageKey(key.into()), OTHER_CHANNEL.to_owned()));
                        }
                        part.push_back(reminder);
                    }
                    None => {
                        plan.hold_back(obligation, Reason::Refuses);
                        dropped.push((MessageKey(key.into()), Reason::Refuses.words().to_owned()));
                    }
                }
            }
        }
        ledger.drop_messages(&self.run, &dropped).map(drop).map_err(|error| error.fault())
    }

    /// Holds what is no longer valid on the day that has begun while the run was at work.
    fn hold_expired<'o>(
        &mut self,
        ledger: &mut Ledger,
        gate: &mut Gate,
        parts: [&mut VecDeque<Reminder<'o>>; 2],
        plan: &mut Plan<'o>,
    ) -> Result<(), Fault> {
        let day = gate.sweep(self.today);
        let mut dropped = Vec::new();
        for part in parts {
            part.retain(|reminder| {
                let is_valid = reminder.valid_until >= day;
                if !is_valid {
                    plan.hold_back(reminder.obligation, Reason::Expired);
                    dropped.push((MessageKey(reminder.key.into()), Reason::Expired.words().to_owned()));
                }
                is_valid
            });
        }
        ledger.drop_messages(&self.run, &dropped).map(drop).map_err(|error| error.fault())
    }
}

/// Takes out those that wait for another try, the reminders of each letter by themselves.
fn apart<'o>(way: &mut Way<'o>) -> Waiting<'o> {
    let (mut waiting, mut instants) = (VecDeque::new(), HashMap::new());
    for (at, message) in way.retries.take() {
        for reminder in message.apart() {
            instants.insert(reminder.key.to_string(), at);
            waiting.push_back(reminder);
        }
    }
    (waiting, instants)
}

/// Lets those wait again that are to wait; what takes another channel now has no try behind it.
fn wait_again<'o>(way: &mut Way<'o>, line: &mut VecDeque<Reminder<'o>>, (waiting, instants): Waiting<'o>) {
    for reminder in waiting {
        match instants.get(&*reminder.key) {
            Some(at) => way.retries.wait(*at, reminder),
            None => line.push_front(reminder),
        }
    }
}
