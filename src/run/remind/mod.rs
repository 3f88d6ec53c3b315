//! Step three: decide, reserve, write, record, send, settle.

mod admit;
mod again;
pub mod convoy;
mod decide;
mod give_up;
mod land;
mod look;
pub mod retry;
mod several;
mod stop;
mod told;
mod write;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;

use self::convoy::{Convoy, Ended, settlement};
use self::retry::Retries;
use super::Night;
use super::build::Built;
use super::channels::Senders;
use crate::calendar::{now, vietnam};
use crate::delivery::breaker::Breakers;
use crate::delivery::{self, Address, Class, Code, Outcome, Permit, Post};
use crate::fault::{Explain, Fault};
use crate::ledger::{self, Ledger, MessageKey, MessageState, Preference, Stance};
use crate::obligations::Obligation;
use crate::pipeline::Uncertain;
use crate::reminders::letter;
use crate::reminders::plan::{History, Plan, Reason, Reminder};
use crate::report::ItemLine;
use crate::tables::TableName;

pub(super) use self::admit::today;
pub(super) use self::decide::history;
pub(super) use self::write::{address_index, index_of};

/// Messages on their way, and those that wait for another try.
struct Way<'o> {
    convoy: Convoy<Reminder<'o>>,
    retries: Retries<Reminder<'o>>,
}

/// What is the same in every letter of an item.
pub(super) struct Standing {
    reasons: Vec<letter::Reason>,
}

impl Night<'_> {
    /// Sends tonight's reminders, the most urgent first, in groups whose intent is durable before the wire.
    pub(super) async fn send(
        &mut self,
        ledger: &mut Ledger,
        built: &mut Built,
        obligations: &[Obligation],
    ) -> Result<(), Fault> {
        let people = self.recipients(built)?;
        let suppressions = self.close_channels(ledger, people.as_ref())?;
        self.list_wrong_addresses(&suppressions, people.as_ref())?;
        self.drop_moved(ledger, people.as_ref())?;
        let history = self.history_of(ledger, obligations)?;
        let mut plan = self.decide(obligations, people.as_ref(), &history)?;
        drop(history);
        let telling = super::unfiled::telling(&plan);
        self.count_reminders(built, &plan.reminders)?;
        self.forget_the_due(built);
        self.give_up(ledger, built, obligations, people.as_ref(), &plan)?;
        let mut reminders = VecDeque::from(std::mem::take(&mut plan.reminders));
        self.hold_for_window(&mut reminders, &mut plan);
        let mut retries = self.retries();
        self.hold_for_try(ledger, &mut reminders, &mut retries, &mut plan)?;
        let mut breakers = self.breakers(ledger, people.as_ref())?;
        stop::hold_stopped(&breakers, &mut reminders, &mut plan);
        if !reminders.is_empty() || retries.first().is_some() {
            self.world.progress.step(format!("opening the channels for {} reminders", reminders.len()));
            self.open_post()?;
            let mut senders = Senders::of(self.today);
            let decided: Vec<&Obligation> = reminders.iter().map(|reminder| reminder.obligation).collect();
            let mut reminders = match self.prepare(&mut senders, reminders.into(), &mut plan).await {
                Ok(reminders) => reminders,
                Err(fault) => {
                    // The only channel: nothing leaves tonight, and each person's trace says why.
                    decided.into_iter().for_each(|obligation| plan.hold_back(obligation, Reason::ChannelFailed));
                    drop(self.remember_unsent(ledger, built, &plan));
                    self.count_held(&plan);
                    return Err(fault);
                }
            };
            let standing = self.standing();
            self.account(ledger, built, &reminders).await;
            self.compare_options(Some(ledger), built, reminders.iter()).await;
            self.prepare_dossiers(ledger, built, &reminders).await;
            self.record_options(ledger)?;
            self.reserve(ledger, &reminders)?;
            let mut way = Way { convoy: Convoy::default(), retries };
            let sent = self
                .send_all(ledger, &mut senders, &standing, &mut breakers, &mut reminders, &mut plan, &mut way)
                .await;
            if sent.is_err() {
                // The first error is the one to report. What the wire said is kept, or it would leave again, and what
                // is known of the others.
                drop(way.convoy.leave(ledger, &mut senders, &self.run).await);
                drop(self.remember_unsent(ledger, built, &plan));
            }
            sent?;
            senders.close().await;
        }
        self.remember_unsent(ledger, built, &plan)?;
        self.list_unfiled(ledger, &plan, &telling)?;
        self.tell_waiting(ledger)?;
        self.count_held(&plan);
        Ok(())
    }

    /// Reads the keys of signatures, once for a run and before anything is reserved.
    pub(super) fn open_post(&self) -> Result<(), Fault> {
        let post = Post::open(&self.checked.pipeline.mail, &self.key).map_err(|error| error.fault())?;
        // A second look at the sources finds it open, with the same keys.
        let _ = self.post.set(post);
        Ok(())
    }

    /// Writes down what is to be sent tonight, with the number of each message, before any of it leaves.
    fn reserve(&self, ledger: &mut Ledger, reminders: &VecDeque<Reminder<'_>>) -> Result<(), Fault> {
        self.world.progress.step(format!("reserving {} reminders", reminders.len()));
        let mut senders_of: HashMap<&str, Address> = HashMap::new();
        for channel in self.checked.pipeline.channels.iter().filter(|channel| channel.carries_letters()) {
            let from = channel.from.parse().map_err(|error| delivery::Error::From(error).fault())?;
            senders_of.insert(&channel.name, from);
        }
        let record = |reminder: &Reminder<'_>| {
            let message_id = match senders_of.get(reminder.channel.name()) {
                Some(from) => delivery::message_id(&reminder.key, from),
                None => delivery::slip_id(&reminder.key),
            };
            self.record(reminder, message_id)
        };
        let (first, rest) = reminders.as_slices();
        for part in [first, rest] {
            ledger.reserve_made(&self.run, part, &record).map_err(|error| error.fault())?;
        }
        Ok(())
    }

    /// Sends until nothing waits, or what was deferred cannot be tried again in this run.
    #[expect(clippy::too_many_arguments, reason = "what the loop of sending is made of, each on loan from its caller")]
    async fn send_all<'o>(
        &mut self,
        ledger: &mut Ledger,
        senders: &mut Senders,
        standing: &BTreeMap<String, Standing>,
        breakers: &mut Breakers,
        reminders: &mut VecDeque<Reminder<'o>>,
        plan: &mut Plan<'o>,
        way: &mut Way<'o>,
    ) -> Result<(), Fault> {
        let mut gate = self.gate();
        senders.listen_to(&self.world.state);
        let (mut stopped, mut looked_at) = (breakers.stopped(), now());
        loop {
            self.try_again(senders, breakers, reminders, plan, &mut way.retries).await?;
            let is_stale = self.is_stale();
            let is_news = self.hears(ledger)?;
            if is_news || !senders.permit().holds() || breakers.stopped() != stopped {
                self.recall(ledger, senders, breakers, reminders, plan, way).await?;
                stopped = breakers.stopped();
            }
            self.last_look(ledger, senders, &mut gate, is_news, reminders, plan, way).await?;
            let Way { convoy, retries } = &mut *way;
            // What is stale is looked at again when those before it have left.
            let most = senders.group(&self.checked.pipeline.channels);
            let room = gate.room(self.may_leave_until(&gate), convoy.waiting());
            let size = if is_stale && !convoy.is_empty() { 0 } else { most.min(room) };
            let (batch, has_token_at) = self.admit(&mut gate, reminders, size);
            self.tell_others(&batch)?;
            if batch.is_empty() && convoy.is_empty() {
                match retries.first().into_iter().chain(has_token_at).min() {
                    Some(at) => pause_until(self.or_closing(at)).await,
                    None => return Ok(()),
                }
                continue;
            }
            self.tell_progress(convoy.on_wire(), batch.len());
            let left = Mutex::new(Vec::new());
            let (night, run) = (&*self, self.run.clone());
            let write = |reminder: &Reminder<'o>| {
                let written = night.write_of(reminder, standing)?;
                if written.0.key.0 != reminder.key {
                    let key = MessageKey(reminder.key.into());
                    left.lock().unwrap_or_else(PoisonError::into_inner).push((key, OTHER_CHANNEL.to_owned()));
                }
                Ok(written)
            };
            // Where nothing was on the wire, it begins now; otherwise it goes on since the last look.
            let began_at = if convoy.on_wire() == 0 { now() } else { looked_at };
            let turn = convoy.turn(ledger, senders, &run, batch, &write).await.map_err(|error| error.fault())?;
            let is_sent = |(_, _, outcome): &&(_, _, Outcome)| outcome.code() != Some(Code::Recalled);
            gate.has_sent(turn.ended.iter().filter(is_sent).count(), began_at);
            looked_at = now();
            let left = left.into_inner().unwrap_or_else(PoisonError::into_inner);
            if !left.is_empty() {
                ledger.drop_messages(&run, &left).map_err(|error| error.fault())?;
            }
            turn.unwritten.into_iter().for_each(|(reminder, why)| self.not_written(reminder, why, reminders, plan));
            self.land(ledger, senders, breakers, reminders, plan, way, turn.ended).await?;
        }
    }

    fn tell_progress(&self, on_wire: usize, in_batch: usize) {
        if on_wire > 0 {
            self.world.progress.step(format!("sending {on_wire} reminders"));
        }
        if in_batch > 0 {
            self.world.progress.step(format!("writing {in_batch} reminders"));
        }
    }

    /// Counts what became of messages, lets those wait that are tried again in this run, and gives back those that
    /// never began to leave, and those that take another channel. `numbers` are those that peers gave, by key.
    fn ended<'o>(
        &mut self,
        ledger: &mut Ledger,
        (ended, numbers): (Vec<Ended<Reminder<'o>>>, HashMap<String, String>),
        convoy: &mut Convoy<Reminder<'o>>,
        retries: &mut Retries<Reminder<'o>>,
        (breakers, permit): (&mut Breakers, &Permit),
    ) -> Result<(Vec<Reminder<'o>>, Vec<Reminder<'o>>), Fault> {
        let (mut again, mut opted_out, mut unreached) = (Vec::new(), Vec::new(), Vec::new());
        let (mut recalled, mut back) = (Vec::new(), Vec::new());
        for (reminder, key, outcome) in ended {
            let mut settlement = settlement(&key, outcome);
            if outcome.code() == Some(Code::Recalled) {
                // It never began to leave: it goes back to the line, and is looked at again there.
                recalled.push(settlement);
                back.push(reminder);
                continue;
            }
            let last = end_of(reminder.last_day());
            // Where this run does not wait for it, a later one knows when.
            settlement.retry_at = retries.later(&key, outcome, now(), last);
            let retry_at = settlement.retry_at.filter(|at| retries.reaches(*at));
            let state = settlement.state;
            let number = numbers.get(&key).filter(|_| state == MessageState::Accepted);
            settlement.reason = number.and_then(|number| ledger::accepted_as(number)).unwrap_or(settlement.reason);
            convoy.settle(settlement);
            if let Some(end) = stop::end(outcome, state) {
                self.count_end(ledger, (breakers, permit), &stop::scopes_of_message(&reminder, &key), end)?;
            }
            if let Some(at) = retry_at {
                retries.wait(at, reminder);
                continue;
            }
            retries.forget(&key);
            for (place, one) in reminder.apart().into_iter().enumerate() {
                // Only what leaves by itself may have taken another channel than its first.
                let key = if place == 0 { key.as_str() } else { &one.key };
                self.tally_outcome(&one, state);
                if outcome.code().is_some_and(|code| code.class() == Class::OptedOut) {
                    opted_out.extend(self.opting_out(&one, key));
                }
                unreached.extend(self.refused_number(&one, key, outcome));
                again.extend(elsewhere(&one, key, state));
            }
        }
        // Whatever is decided about them next is decided about what the ledger says.
        ledger.settle(&self.run, &recalled).map_err(|error| error.fault())?;
        ledger.suppress_refused(&self.run, self.today, &unreached).map_err(|error| error.fault())?;
        if !opted_out.is_empty() {
            ledger.prefer(&opted_out, &[]).map_err(|error| error.fault())?;
        }
        Ok((back, again))
    }

    /// The refusal that a provider reports for the channel of a message.
    fn opting_out(&self, reminder: &Reminder<'_>, key: &str) -> Option<Preference> {
        let channel = reminder.channel_of(key)?;
        Some(Preference {
            subject: reminder.subject.into(),
            item: ledger::ALL.to_owned(),
            channel: channel.name().to_owned(),
            stance: Some(Stance::Refused),
            language: None,
            since: self.today,
            how: "provider",
        })
    }

    fn tally_outcome(&mut self, reminder: &Reminder<'_>, state: MessageState) {
        let policy = reminder.item.uncertain;
        self.tally(&reminder.item.id, |line| match (state, policy) {
            (MessageState::Accepted, _) => line.messages += 1,
            (MessageState::Deferred, _) => line.deferred += 1,
            (MessageState::Refused, _) => line.refused += 1,
            (_, Uncertain::Resend) => line.uncertain += 1,
            // The clerk hears of it tonight, not when the next run finds it.
            _ => *line.held.entry(Reason::LeftToClerk.words().to_owned()).or_default() += 1,
        });
    }

    /// Decides and writes like [`Night::send`], and only counts.
    pub(super) async fn preview(
        &mut self,
        ledger: Option<&Ledger>,
        built: &Built,
        obligations: &[Obligation],
    ) -> Result<(), Fault> {
        let people = self.recipients(built)?;
        if let Some(ledger) = ledger {
            self.close_channels(ledger, people.as_ref())?;
        }
        let history = match ledger {
            Some(ledger) => self.history_of(ledger, obligations)?,
            None => History::default(),
        };
        let mut plan = self.decide(obligations, people.as_ref(), &history)?;
        self.open_post()?;
        self.count_reminders(built, &plan.reminders)?;
        let reminders = std::mem::take(&mut plan.reminders);
        self.compare_options(ledger, built, reminders.iter()).await;
        let standing = self.standing();
        for (record, _) in self.write(&reminders, &standing, &mut plan) {
            self.tally(&record.item, |line| line.messages += 1);
        }
        self.count_held(&plan);
        Ok(())
    }

    pub(super) fn standing(&self) -> BTreeMap<String, Standing> {
        let pipeline = &self.checked.pipeline;
        let people = self.checked.library.origins(&TableName::new("staging", "people"));
        let mut standing = BTreeMap::new();
        for item in &pipeline.items {
            let mut origins = self.checked.library.origins(&TableName::new("obligations", &item.id));
            origins.extend(self.checked.library.origins(&TableName::new("options", &item.id)));
            origins.extend(people.iter().cloned());
            let sources = pipeline.sources.iter().filter(|source| origins.iter().any(|o| o.schema == source.name));
            let reasons = sources.map(letter::Reason::of).collect();
            standing.insert(item.id.clone(), Standing { reasons });
        }
        standing
    }

    /// Changes the line of an item; every item that is switched on has one.
    pub(super) fn tally(&mut self, item: &str, change: impl FnOnce(&mut ItemLine)) {
        if let Some(line) = self.report.items.iter_mut().find(|line| line.item == item) {
            change(line);
        }
    }

    pub(super) fn count_held(&mut self, plan: &Plan<'_>) {
        for ((item, reason), count) in &plan.held {
            self.tally(item, |line| *line.held.entry(reason.words().to_owned()).or_default() += count);
        }
    }
}

/// The last instant of a day in Vietnam: what is not sent by then is sent no more.
pub(super) fn end_of(day: jiff::civil::Date) -> Timestamp {
    let next = day.tomorrow().ok().and_then(|next| next.to_zoned(vietnam()).ok());
    next.map_or(Timestamp::MAX, |next| next.timestamp())
}

/// How long nobody looks at the clock. It may be set meanwhile, and a machine that slept wakes up hours later.
const LOOK: jiff::SignedDuration = jiff::SignedDuration::from_millis(250);

async fn pause_until(at: Timestamp) {
    loop {
        let left = at.duration_since(now());
        if !left.is_positive() {
            return;
        }
        tokio::time::sleep(left.min(LOOK).try_into().unwrap_or_default()).await;
    }
}

/// Why a row that was reserved is dropped.
const OTHER_CHANNEL: &str = "another channel takes its place";

/// A reminder by the channel after the one that did not take it: where that one never will, or where a later night is
/// too late. What may have been taken is not sent by another channel.
fn elsewhere<'r>(reminder: &Reminder<'r>, key: &str, state: MessageState) -> Option<Reminder<'r>> {
    let is_due = match state {
        MessageState::Refused => true,
        MessageState::Deferred => reminder.slack_days() == 0,
        _ => false,
    };
    is_due.then(|| reminder.after(key)).flatten()
}

pub(super) enum Unwritten {
    Held(Reason),
    Fault(Fault),
}

fn state(outcome: Outcome) -> MessageState {
    match outcome {
        // A file of this key in the folder is this message as it left on an earlier night.
        Outcome::Accepted | Outcome::Refused { code: Code::AnotherInPlace } => MessageState::Accepted,
        Outcome::Deferred { .. } => MessageState::Deferred,
        // A mail server that refuses us (reputation, signature, relaying) says nothing about the person: one wrong
        // setting there must not end everybody's stage.
        Outcome::Refused { code: code @ Code::Reply { .. } } if code.class() == Class::Ours => MessageState::Deferred,
        Outcome::Refused { .. } => MessageState::Refused,
        Outcome::Uncertain { .. } => MessageState::Uncertain,
    }
}
