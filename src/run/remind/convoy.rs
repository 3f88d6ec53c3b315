//! Groups of messages on their way: while the wire is at work, the ends of some are settled and others recorded in one
//! commit, and the group after them is written, on as many cores as it takes to be ready in time.
//!
//! What is given to the wire was recorded before, so its intent is durable. The wire is seldom without work for want of
//! a commit: it has up to two groups while the next one is recorded, and gives back what ended as it ends. After a crash
//! at most three groups are uncertain: those that were recorded and whose end is not settled yet. It knows neither items
//! nor obligations: `M` is whatever the caller knows a message by.

use std::collections::HashMap;
use std::panic::resume_unwind;
use std::thread;
use std::time::Duration;

use tokio::runtime::{Handle, RuntimeFlavor};

use crate::calendar::now;
use crate::delivery::{Code, Message, Outcome, Outgoing, Sender};
use crate::ledger::{self, Ledger, MessageKey, Record, Recorded, Settlement};
use crate::pipeline::{Channel, ChannelKind};

/// Messages for each connection in one group.
const PER_CONNECTION: usize = 32;

/// Messages in one group of the folder channel, which can be looked into after a crash.
const FOLDER_GROUP: usize = 500;

/// How many groups can be recorded and not settled at once.
pub const GROUPS_IN_FLIGHT: usize = 3;

/// How many messages leave together by a channel: what a crash can leave uncertain is [`GROUPS_IN_FLIGHT`] times as
/// many. Where several channels are open, the largest counts.
pub fn group(channel: &Channel) -> usize {
    let connections = match &channel.kind {
        ChannelKind::Folder => return FOLDER_GROUP,
        ChannelKind::Smtp(smtp) => smtp.connections,
        ChannelKind::Zns(zns) => zns.connections,
        ChannelKind::Sms(gateway) => gateway.connections,
        ChannelKind::Webhook(webhook) => webhook.connections,
    };
    connections.max(1).saturating_mul(PER_CONNECTION)
}

/// What takes recorded messages and says what became of each.
pub trait Wire<P>: Send {
    /// Takes a group, behind those that it has.
    fn feed(&mut self, group: Vec<Recorded<P>>);

    /// Works on what it leaves undone while nobody waits for it.
    fn carry(&mut self) -> impl Future<Output = ()> + Send;

    /// How many of the messages that it was fed have not ended, as far as that is known.
    fn under_way(&self) -> usize;

    /// Works until at most so many are under way, and says what became of those that have ended since this was last
    /// asked.
    fn collect(&mut self, left: usize) -> impl Future<Output = Vec<(MessageKey, Outcome)>> + Send;

    /// Lets nothing more begin to leave: it ends as [`Code::Recalled`].
    fn withdraw(&mut self);
}

impl<P: Outgoing + Send> Wire<P> for Sender {
    fn feed(&mut self, group: Vec<Recorded<P>>) {
        Sender::feed(self, group);
    }

    async fn carry(&mut self) {
        Sender::carry(self).await;
    }

    fn under_way(&self) -> usize {
        Sender::under_way(self)
    }

    async fn collect(&mut self, left: usize) -> Vec<(MessageKey, Outcome)> {
        Sender::collect(self, left).await
    }

    fn withdraw(&mut self) {
        self.permit().withdraw();
    }
}

/// Messages on their way. `P` is the form in which they leave.
#[derive(Debug)]
pub struct Convoy<M, P = Message> {
    settled: Vec<Settlement>,
    /// How many were given to the wire whose end was not heard of.
    on_wire: usize,
    written: Vec<(Record, P)>,
    /// What the caller knows each message by, from its writing to its end.
    known: HashMap<String, M>,
    /// How many threads write the next batch.
    writers: usize,
    /// The messages of the largest batch so far.
    group: usize,
}

/// A message that is no longer on the wire, its key, and what became of it.
pub type Ended<M> = (M, String, Outcome);

/// What one turn has come to.
#[derive(Debug)]
pub struct Turn<M, E> {
    /// What became of those of which the wire said so. The caller settles each.
    pub ended: Vec<Ended<M>>,
    /// Those that could not be written, and why.
    pub unwritten: Vec<(M, E)>,
}

impl<M, P> Default for Convoy<M, P> {
    fn default() -> Self {
        Convoy {
            settled: Vec::new(),
            on_wire: 0,
            written: Vec::new(),
            known: HashMap::new(),
            writers: cores(),
            group: 0,
        }
    }
}

impl<M: Send + Sync, P: Send + Sync> Convoy<M, P> {
    /// Whether nothing is on its way any more and everything is settled.
    pub fn is_empty(&self) -> bool {
        self.settled.is_empty() && self.on_wire == 0 && self.written.is_empty()
    }

    /// How many are on the wire.
    pub fn on_wire(&self) -> usize {
        self.on_wire
    }

    /// Says what became of a message; it is committed with the next turn.
    pub fn settle(&mut self, settlement: Settlement) {
        self.settled.push(settlement);
    }

    /// One turn: settles and records in one commit, and writes at once; gives what was recorded to the wire, and ends
    /// when the wire has room for what was written.
    ///
    /// `write` runs on several threads. Where the ledger fails, what has not begun to leave comes back, and what became
    /// of the others is still journaled.
    pub async fn turn<E: Send>(
        &mut self,
        ledger: &mut Ledger,
        wire: &mut impl Wire<P>,
        run: &str,
        batch: Vec<M>,
        write: &(impl Fn(&M) -> Result<(Record, P), E> + Sync),
    ) -> Result<Turn<M, E>, ledger::Error> {
        let settled = std::mem::take(&mut self.settled);
        let written = std::mem::take(&mut self.written);
        let is_idle = written.is_empty() && batch.is_empty();
        self.group = self.group.max(batch.len());
        let handle = Handle::current();
        let (recorded, letters, pace) = if handle.runtime_flavor() == RuntimeFlavor::MultiThread {
            let begun = now();
            // A clock that is set back says nothing, and only decides how many threads write.
            let elapsed = || Duration::try_from(now().duration_since(begun)).unwrap_or_default();
            tokio::task::block_in_place(|| {
                thread::scope(|scope| {
                    let carried = scope.spawn(|| {
                        handle.block_on(wire.carry());
                        elapsed()
                    });
                    let book = scope.spawn(|| (ledger.turn(run, &settled, written), elapsed()));
                    let letters = write_all(&batch, write, self.writers);
                    let writing = elapsed();
                    let carrying = joined(carried);
                    let (recorded, booking) = joined(book);
                    (recorded, letters, Pace { writing, others: booking.max(carrying) })
                })
            })
        } else {
            wire.carry().await;
            (ledger.turn(run, &settled, written), batch.iter().map(write).collect(), Pace::default())
        };
        match recorded {
            Ok(recorded) => {
                self.on_wire = self.on_wire.saturating_add(recorded.len());
                wire.feed(recorded);
            }
            Err(error) => {
                // The caller gives up with the error: what the wire said is kept for the next run.
                let ended = self.halt(wire).await;
                drop(keep(ledger, run, &ended));
                return Err(error);
            }
        }
        let (size, mut unwritten) = (batch.len(), Vec::new());
        for (message, letter) in batch.into_iter().zip(letters) {
            match letter {
                Ok((record, message_of)) => {
                    self.known.insert(record.key.0.clone(), message);
                    self.written.push((record, message_of));
                }
                Err(error) => unwritten.push((message, error)),
            }
        }
        // Where there is nothing else to do, it waits for the wire.
        let left = if is_idle { 0 } else { self.room() };
        // Where the wire is what everything waits for, letters that come late hold up nothing.
        let is_awaited = wire.under_way() <= left;
        self.writers = if size == 0 { self.writers } else { pace.writers(self.writers, is_awaited) };
        let ended = wire.collect(left).await;
        Ok(Turn { ended: self.ended(ended), unwritten })
    }

    /// How many may be on the wire for those that are written to be recorded.
    fn room(&self) -> usize {
        GROUPS_IN_FLIGHT.saturating_mul(self.group).saturating_sub(self.written.len())
    }

    /// How many are on their way whose end was not heard of.
    pub fn waiting(&self) -> usize {
        self.on_wire.saturating_add(self.written.len())
    }

    /// Lets nothing more leave, and says what became of everything that was on the wire: what had not begun to leave
    /// comes back as [`Code::Recalled`].
    pub async fn halt(&mut self, wire: &mut impl Wire<P>) -> Vec<Ended<M>> {
        wire.withdraw();
        let ended = wire.collect(0).await;
        self.ended(ended)
    }

    /// Takes back what is written and not recorded, in its order.
    pub fn take_back(&mut self) -> Vec<M> {
        let known = &mut self.known;
        self.written.drain(..).filter_map(|(record, _)| known.remove(&record.key.0)).collect()
    }

    /// Commits now what became of messages, so that whatever is decided next is decided about what the ledger says.
    pub fn commit(&mut self, ledger: &mut Ledger, run: &str) -> Result<(), ledger::Error> {
        ledger.settle(run, &self.settled)?;
        self.settled.clear();
        Ok(())
    }

    /// Writes down what is certain when the sender gives up: what became of those that were sent, and that those
    /// which were recorded and had not begun to leave have not left.
    pub async fn leave(
        &mut self,
        ledger: &mut Ledger,
        wire: &mut impl Wire<P>,
        run: &str,
    ) -> Result<(), ledger::Error> {
        let ended = self.halt(wire).await;
        let mut settled = std::mem::take(&mut self.settled);
        settled.extend(ended.iter().map(|(_, key, outcome)| settlement(key, given_up(*outcome))));
        ledger.settle(run, &settled)
    }

    fn ended(&mut self, ended: Vec<(MessageKey, Outcome)>) -> Vec<Ended<M>> {
        self.on_wire = self.on_wire.saturating_sub(ended.len());
        let known = &mut self.known;
        ended.into_iter().filter_map(|(key, outcome)| Some((known.remove(&key.0)?, key.0, outcome))).collect()
    }
}

/// What came back from the wire does not leave in this run.
fn given_up(outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::Deferred { code: Code::Recalled } => Outcome::Deferred { code: Code::Stopped },
        known => known,
    }
}

/// Writes down what is certain, after the ledger has failed: at least the journal may still take it.
fn keep<M>(ledger: &mut Ledger, run: &str, ended: &[Ended<M>]) -> Result<(), ledger::Error> {
    let settlements = ended.iter().map(|(_, key, outcome)| settlement(key, given_up(*outcome)));
    ledger.settle(run, &settlements.collect::<Vec<_>>())
}

/// How the ledger says what became of a message.
pub fn settlement(key: &str, outcome: Outcome) -> Settlement {
    Settlement {
        key: ledger::MessageKey(key.to_owned()),
        state: super::state(outcome),
        reason: outcome.reason().unwrap_or_else(|| "accepted".into()),
        retry_at: None,
    }
}

/// How long the parts of a turn took that go on at once.
#[derive(Default)]
struct Pace {
    writing: Duration,
    /// The commit, or what the wire left undone.
    others: Duration,
}

impl Pace {
    /// How many threads write the next batch: as few as are done a little before the commit. Writing needs no more of
    /// the machine than keeps it from holding up the turn; what it leaves, the wire has. One less where nobody waits
    /// for the letters, because the wire has no room.
    fn writers(&self, writers: usize, is_awaited: bool) -> usize {
        if !is_awaited {
            return writers.saturating_sub(1).max(1);
        }
        let work = self.writing.saturating_mul(u32::try_from(writers).unwrap_or(u32::MAX));
        let room = self.others.saturating_mul(ROOM_PERCENT) / 100;
        let wanted = work.as_nanos().div_ceil(room.as_nanos().max(1));
        usize::try_from(wanted).unwrap_or(usize::MAX).clamp(1, cores())
    }
}

/// How much of the time of a commit the letters may take.
const ROOM_PERCENT: u32 = 85;

fn cores() -> usize {
    thread::available_parallelism().map_or(1, |cores| cores.get())
}

/// Writes each letter, in the order of the batch, on so many threads.
fn write_all<M: Sync, P: Send, E: Send>(
    batch: &[M],
    write: &(impl Fn(&M) -> Result<(Record, P), E> + Sync),
    writers: usize,
) -> Vec<Result<(Record, P), E>> {
    if writers <= 1 {
        return batch.iter().map(write).collect();
    }
    let part = batch.len().div_ceil(writers).max(1);
    thread::scope(|scope| {
        let parts: Vec<_> =
            batch.chunks(part).map(|part| scope.spawn(move || part.iter().map(write).collect::<Vec<_>>())).collect();
        parts.into_iter().flat_map(joined).collect()
    })
}

fn joined<T>(thread: thread::ScopedJoinHandle<'_, T>) -> T {
    // A panic of the thread is that of this one.
    thread.join().unwrap_or_else(|panic| resume_unwind(panic))
}
