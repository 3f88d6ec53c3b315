//! What comes from the wire: the ends of messages, and, where something has happened, what had not begun to leave.

use std::collections::VecDeque;

use super::super::Night;
use super::super::channels::Senders;
use super::admit::put_back;
use super::convoy::Ended;
use super::{Way, stop};
use crate::delivery::breaker::Breakers;
use crate::fault::{Explain, Fault};
use crate::ledger::Ledger;
use crate::reminders::plan::{Plan, Reminder};

impl Night<'_> {
    /// Counts what became of messages, and puts into the line what leaves once more: what never began to leave at the
    /// front, what takes another channel at the end.
    #[expect(clippy::too_many_arguments, reason = "what the loop of sending is made of, each on loan from its caller")]
    pub(super) async fn land<'o>(
        &mut self,
        ledger: &mut Ledger,
        senders: &mut Senders,
        breakers: &mut Breakers,
        line: &mut VecDeque<Reminder<'o>>,
        plan: &mut Plan<'o>,
        way: &mut Way<'o>,
        ended: Vec<Ended<Reminder<'o>>>,
    ) -> Result<(), Fault> {
        let Way { convoy, retries } = way;
        let numbers = senders.numbers();
        let counted = (&mut *breakers, senders.permit());
        let (recalled, again) = self.ended(ledger, (ended, numbers), convoy, retries, counted)?;
        let mut again = VecDeque::from(again);
        stop::hold_stopped(breakers, &mut again, plan);
        if !again.is_empty() {
            line.extend(self.prepare(senders, again.into(), plan).await?);
        }
        // They were before all that is left in the line.
        recalled.into_iter().rev().for_each(|message| put_back(line, message));
        let waiting = std::mem::take(line);
        *line = self.after_trouble(senders, waiting, plan, retries).await?;
        Ok(())
    }

    /// Takes back what has not begun to leave, because something has happened by which it may have to be held: what a
    /// breaker stops of it is held at once. What is decided about it next is decided about what the ledger says.
    pub(super) async fn recall<'o>(
        &mut self,
        ledger: &mut Ledger,
        senders: &mut Senders,
        breakers: &mut Breakers,
        line: &mut VecDeque<Reminder<'o>>,
        plan: &mut Plan<'o>,
        way: &mut Way<'o>,
    ) -> Result<(), Fault> {
        let ended = way.convoy.halt(senders).await;
        // They are behind what comes back from the wire, and before all that is left in the line.
        way.convoy.take_back().into_iter().rev().for_each(|message| put_back(line, message));
        self.land(ledger, senders, breakers, line, plan, way, ended).await?;
        way.convoy.commit(ledger, &self.run).map_err(|error| error.fault())?;
        stop::hold_stopped(breakers, line, plan);
        Ok(())
    }
}
