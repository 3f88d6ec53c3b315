//! Groups of messages on their way: while one is on the wire, the one before it is settled, the next is recorded,
//! and the one after that is written, on as many cores as it takes to be ready in time.
//!
//! What leaves in one turn was recorded in the turn before, so its intent is durable before the wire, and one commit
//! serves two groups. After a crash at most three groups are uncertain: the one that waits for its settlement, the
//! one on the wire, and the one that was recorded for the next turn. It knows neither items nor obligations: `M` is
//! whatever the caller knows a message by.

use std::collections::HashMap;
use std::panic::resume_unwind;
use std::thread;

use tokio::runtime::{Handle, RuntimeFlavor};

use crate::delivery::{Code, Message, Outcome, Outgoing, Sender};
use crate::ledger::{self, Ledger, Record, Recorded, Settlement};
use crate::pipeline::{Channel, ChannelKind};

/// Messages for each connection in one group.
const PER_CONNECTION: usize = 32;

/// Messages in one group of the folder channel, which can be looked into after a crash.
const FOLDER_GROUP: usize = 500;

/// How many groups can be on their way at once.
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

/// What takes a group of recorded messages and says, in their order, what became of each.
pub trait Wire<P>: Send {
    /// Sends a group.
    fn carry(&mut self, group: &[Recorded<P>]) -> impl Future<Output = Vec<Outcome>> + Send;
}

impl<P: Outgoing + Send + Sync> Wire<P> for Sender {
    async fn carry(&mut self, group: &[Recorded<P>]) -> Vec<Outcome> {
        self.send(group).await
    }
}

/// Messages on their way. `P` is the form in which they leave.
#[derive(Debug)]
pub struct Convoy<M, P = Message> {
    settled: Vec<Settlement>,
    on_wire: Vec<Recorded<P>>,
    written: Vec<(Record, P)>,
    /// What the caller knows each message by, from its writing to its end.
    known: HashMap<String, M>,
    /// How many threads write the next batch.
    writers: usize,
}

/// What one turn has come to.
#[derive(Debug)]
pub struct Turn<M, E> {
    /// What became of those on the wire, with their keys. The caller settles each.
    pub ended: Vec<(M, String, Outcome)>,
    /// Those that could not be written, and why.
    pub unwritten: Vec<(M, E)>,
}

impl<M, P> Default for Convoy<M, P> {
    fn default() -> Self {
        Convoy {
            settled: Vec::new(),
            on_wire: Vec::new(),
            written: Vec::new(),
            known: HashMap::new(),
            writers: cores(),
        }
    }
}

impl<M: Send + Sync, P: Send + Sync> Convoy<M, P> {
    /// Whether nothing is on its way any more and everything is settled.
    pub fn is_empty(&self) -> bool {
        self.settled.is_empty() && self.on_wire.is_empty() && self.written.is_empty()
    }

    /// How many will be on the wire in the next turn.
    pub fn on_wire(&self) -> usize {
        self.on_wire.len()
    }

    /// Says what became of a message; it is committed with the next turn.
    pub fn settle(&mut self, settlement: Settlement) {
        self.settled.push(settlement);
    }

    /// One turn: sends, settles, records and writes at once, and ends when all four are done.
    ///
    /// `write` runs on several threads. Where the ledger fails, what became of those on the wire is still journaled.
    pub async fn turn<E: Send>(
        &mut self,
        ledger: &mut Ledger,
        wire: &mut impl Wire<P>,
        run: &str,
        batch: Vec<M>,
        write: &(impl Fn(&M) -> Result<(Record, P), E> + Sync),
    ) -> Result<Turn<M, E>, ledger::Error> {
        let on_wire = std::mem::take(&mut self.on_wire);
        let settled = std::mem::take(&mut self.settled);
        let written = std::mem::take(&mut self.written);
        let handle = Handle::current();
        let (outcomes, recorded, letters) = if handle.runtime_flavor() == RuntimeFlavor::MultiThread {
            tokio::task::block_in_place(|| {
                thread::scope(|scope| {
                    let sent = scope.spawn(|| match on_wire.as_slice() {
                        [] => Vec::new(),
                        group => handle.block_on(wire.carry(group)),
                    });
                    let book = scope.spawn(|| ledger.turn(run, &settled, written));
                    let letters = write_all(&batch, write, self.writers);
                    let is_awaited = sent.is_finished() && book.is_finished();
                    self.writers = writers(self.writers, batch.len(), is_awaited);
                    (joined(sent), joined(book), letters)
                })
            })
        } else {
            let outcomes = if on_wire.is_empty() { Vec::new() } else { wire.carry(&on_wire).await };
            (outcomes, ledger.turn(run, &settled, written), batch.iter().map(write).collect())
        };
        let ended = self.ended(on_wire, outcomes);
        // The caller gives up with the error: what the wire said is kept for the next run.
        self.on_wire = recorded.inspect_err(|_| drop(keep(ledger, run, &ended)))?;
        let mut unwritten = Vec::new();
        for (message, letter) in batch.into_iter().zip(letters) {
            match letter {
                Ok((record, message_of)) => {
                    self.known.insert(record.key.0.clone(), message);
                    self.written.push((record, message_of));
                }
                Err(error) => unwritten.push((message, error)),
            }
        }
        Ok(Turn { ended, unwritten })
    }

    /// How many are on their way and not on the wire yet.
    pub fn waiting(&self) -> usize {
        self.on_wire.len().saturating_add(self.written.len())
    }

    /// Takes back everything that is not on the wire, in its order: what was recorded is written down as deferred, and
    /// so is what became of those before, so that whatever is decided next is decided about what the ledger says.
    pub fn recall(&mut self, ledger: &mut Ledger, run: &str) -> Result<Vec<M>, ledger::Error> {
        let recalled = Outcome::Deferred { code: Code::Recalled };
        let mut settlements = self.settled.clone();
        settlements.extend(self.on_wire.iter().map(|message| settlement(&message.key().0, recalled)));
        ledger.settle(run, &settlements)?;
        self.settled.clear();
        let recorded = self.on_wire.drain(..).map(|message| message.key().0.clone());
        let written = self.written.drain(..).map(|(record, _)| record.key.0);
        let known = &mut self.known;
        Ok(recorded.chain(written).filter_map(|key| known.remove(&key)).collect())
    }

    /// Writes down what is certain when the sender gives up: what became of those that were sent, and that those
    /// which were recorded and never given to the wire have not left.
    pub fn leave(&mut self, ledger: &mut Ledger, run: &str) -> Result<(), ledger::Error> {
        let mut settled = std::mem::take(&mut self.settled);
        let stopped = Outcome::Deferred { code: Code::Stopped };
        settled.extend(self.on_wire.drain(..).map(|message| settlement(&message.key().0, stopped)));
        ledger.settle(run, &settled)
    }

    fn ended(&mut self, on_wire: Vec<Recorded<P>>, outcomes: Vec<Outcome>) -> Vec<(M, String, Outcome)> {
        let ends = on_wire.iter().zip(outcomes);
        ends.filter_map(|(message, outcome)| {
            let key = message.key().0.clone();
            Some((self.known.remove(&key)?, key, outcome))
        })
        .collect()
    }
}

/// Writes down what is certain, after the ledger has failed: at least the journal may still take it.
fn keep<M>(ledger: &mut Ledger, run: &str, ended: &[(M, String, Outcome)]) -> Result<(), ledger::Error> {
    let settlements = ended.iter().map(|(_, key, outcome)| settlement(key, *outcome));
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

/// How many threads write the next batch: one more where all waited for the letters, one less where they were done
/// before the wire or the ledger. Writing needs no more of the machine than keeps it from holding up the turn; what it
/// leaves, the wire has.
fn writers(writers: usize, batch: usize, is_awaited: bool) -> usize {
    match (batch, is_awaited) {
        (0, _) => writers,
        (_, true) => writers.saturating_add(1).min(cores()),
        (_, false) => writers.saturating_sub(1).max(1),
    }
}

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
