//! Step three: decide, reserve, write, record, send, settle.

pub mod convoy;
mod give_up;
pub mod retry;

use std::collections::{BTreeMap, VecDeque};

use jiff::{SignedDuration, Timestamp};

use self::convoy::{Convoy, settlement};
use self::retry::Retries;
use super::Night;
use super::build::Built;
use crate::calendar::{now, vietnam};
use crate::delivery::{self, Address, Code, Envelope, Outcome, Post, Sender, Timeouts};
use crate::fault::{Explain, Fault};
use crate::ledger::{Ledger, MessageKey, MessageState, OutboxRow, Record};
use crate::obligations::Obligation;
use crate::personal::{Personal, PseudonymKey, hex};
use crate::pipeline::Uncertain;
use crate::reminders::letter::{self, Occasion, RuleReference};
use crate::reminders::plan::{self, Before, History, Plan, Reason, Recipients, Reminder};
use crate::report::{FaultLine, ItemLine};
use crate::tables::TableName;

/// What is the same in every letter of an item.
pub(super) struct Standing {
    reasons: Vec<letter::Reason>,
}

impl Night<'_> {
    /// Sends tonight's reminders, the most urgent first, in groups whose intent is durable before the wire.
    pub(super) async fn send(
        &mut self,
        ledger: &mut Ledger,
        built: &Built,
        obligations: &[Obligation],
    ) -> Result<(), Fault> {
        let people = self.recipients(built)?;
        let history = self.attended(ledger, history(ledger, |_| true)?)?;
        let mut plan = self.decide(obligations, people.as_ref(), &history)?;
        drop(history);
        let suppressions = self.hold_suppressed(ledger, &mut plan)?;
        self.list_wrong_addresses(&suppressions, people.as_ref())?;
        self.count_reminders(built, &plan.reminders)?;
        self.give_up(ledger, built, obligations, people.as_ref(), &plan)?;
        let mut reminders = VecDeque::from(std::mem::take(&mut plan.reminders));
        self.hold_for_window(&mut reminders, &mut plan);
        if !reminders.is_empty() {
            self.world.progress.step(format!("opening the channel for {} reminders", reminders.len()));
            let outbox = self.world.outbox();
            let mut sender = Sender::open(&self.checked.pipeline.channel, &outbox, Timeouts::default())
                .await
                .map_err(|error| error.fault())?;
            self.open_post()?;
            let standing = self.standing();
            self.account(ledger, built, &reminders).await;
            self.reserve(ledger, &reminders)?;
            self.send_all(ledger, &mut sender, &standing, &mut reminders, &mut plan).await?;
            sender.close().await;
        }
        self.count_held(&plan);
        Ok(())
    }

    /// Reads the keys of signatures, once for a run and before anything is reserved.
    fn open_post(&self) -> Result<(), Fault> {
        let post = Post::open(&self.checked.pipeline.mail, &self.key).map_err(|error| error.fault())?;
        // A second look at the sources finds it open, with the same keys.
        let _ = self.post.set(post);
        Ok(())
    }

    /// Writes down what is to be sent tonight, with the Message-ID of each, before any of it leaves.
    fn reserve(&self, ledger: &mut Ledger, reminders: &VecDeque<Reminder<'_>>) -> Result<(), Fault> {
        self.world.progress.step(format!("reserving {} reminders", reminders.len()));
        let from: Address =
            self.checked.pipeline.channel.from.parse().map_err(|error| delivery::Error::From(error).fault())?;
        // A part at a time: a whole province of records would stand in memory beside its reminders.
        let mut left = reminders.iter().peekable();
        while left.peek().is_some() {
            let records: Vec<Record> =
                left.by_ref().take(10_000).map(|reminder| self.record(reminder, &from)).collect();
            ledger.reserve_messages(&self.run, &records).map_err(|error| error.fault())?;
        }
        Ok(())
    }

    /// Sends until nothing waits, the channel fails, or what was deferred cannot be tried again in this run.
    async fn send_all<'o>(
        &mut self,
        ledger: &mut Ledger,
        sender: &mut Sender,
        standing: &BTreeMap<String, Standing>,
        reminders: &mut VecDeque<Reminder<'o>>,
        plan: &mut Plan<'o>,
    ) -> Result<(), Fault> {
        let group = convoy::group(&self.checked.pipeline.channel);
        let patience = SignedDuration::from_mins(i64::from(self.world.retry_minutes));
        let until = (!patience.is_zero()).then(|| now().checked_add(patience).unwrap_or(Timestamp::MAX));
        let mut retries = Retries::until(until);
        let mut convoy: Convoy<Reminder<'o>> = Convoy::default();
        loop {
            reminders.extend(retries.due(now()));
            self.hold_for_window(reminders, plan);
            let is_stale = self.is_stale();
            if is_stale && convoy.is_empty() {
                self.recheck(ledger, reminders, plan).await?;
            }
            self.hold_refused(ledger, reminders, plan)?;
            // What is stale is looked at again when those before it have left.
            let size = if is_stale && !convoy.is_empty() { 0 } else { group.min(reminders.len()) };
            let batch: Vec<Reminder<'o>> = reminders.drain(..size).collect();
            self.tell_others(&batch)?;
            if batch.is_empty() && convoy.is_empty() {
                match retries.first() {
                    Some(at) => pause_until(at).await,
                    None => return Ok(()),
                }
                continue;
            }
            if convoy.on_wire() > 0 {
                self.world.progress.step(format!("sending {} reminders", convoy.on_wire()));
            }
            if !batch.is_empty() {
                self.world.progress.step(format!("writing {} reminders", batch.len()));
            }
            let (night, run) = (&*self, self.run.clone());
            let write = |reminder: &Reminder<'o>| night.write_of(reminder, standing);
            let turn = convoy.turn(ledger, sender, &run, batch, &write).await.map_err(|error| error.fault())?;
            turn.unwritten.into_iter().for_each(|(reminder, why)| self.unwritten(&reminder, why, plan));
            self.ended(turn.ended, &mut convoy, &mut retries);
            if let Some(trouble) = sender.trouble() {
                self.report.faults.push(FaultLine::from(&trouble.fault()));
                let back = convoy.give_back();
                self.ended(back, &mut convoy, &mut Retries::until(None));
                let nothing = |_: &Reminder<'o>| Err::<(Record, Envelope), _>(Unwritten::Held(Reason::NotWritten));
                convoy.turn(ledger, sender, &run, Vec::new(), &nothing).await.map_err(|error| error.fault())?;
                return Ok(());
            }
        }
    }

    /// Counts what became of messages, and lets those wait that are tried again in this run.
    fn ended<'o>(
        &mut self,
        ended: Vec<(Reminder<'o>, String, Outcome)>,
        convoy: &mut Convoy<Reminder<'o>>,
        retries: &mut Retries<Reminder<'o>>,
    ) {
        for (reminder, key, outcome) in ended {
            let mut settlement = settlement(&key, outcome);
            let last = end_of(reminder.valid_until);
            settlement.retry_at = retries.next(&key, outcome, now(), last);
            let retry_at = settlement.retry_at;
            let state = settlement.state;
            convoy.settle(settlement);
            if let Some(at) = retry_at {
                retries.wait(at, reminder);
                continue;
            }
            retries.forget(&key);
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
    }

    /// Decides and writes like [`Night::send`], and only counts.
    pub(super) fn preview(
        &mut self,
        ledger: Option<&Ledger>,
        built: &Built,
        obligations: &[Obligation],
    ) -> Result<(), Fault> {
        let people = self.recipients(built)?;
        let history = match ledger {
            Some(ledger) => self.attended(ledger, history(ledger, |_| true)?)?,
            None => History::default(),
        };
        let mut plan = self.decide(obligations, people.as_ref(), &history)?;
        if let Some(ledger) = ledger {
            self.hold_suppressed(ledger, &mut plan)?;
        }
        self.open_post()?;
        self.count_reminders(built, &plan.reminders)?;
        let reminders = std::mem::take(&mut plan.reminders);
        let standing = self.standing();
        for (record, _) in self.write(&reminders, &standing, &mut plan) {
            self.tally(&record.item, |line| line.messages += 1);
        }
        self.count_held(&plan);
        Ok(())
    }

    /// Those who have something due; none when their table is blocked or held.
    pub(super) fn recipients(&self, built: &Built) -> Result<Option<Recipients>, Fault> {
        let table = built.tables.get(&TableName::new("reminders", "recipients"));
        table.map(plan::recipients).transpose().map_err(|error| error.fault())
    }

    pub(super) fn decide<'o>(
        &self,
        obligations: &'o [Obligation],
        people: Option<&'o Recipients>,
        history: &History,
    ) -> Result<Plan<'o>, Fault>
    where
        Self: 'o,
    {
        let pipeline = &self.checked.pipeline;
        let mut plan =
            plan::plan(obligations, &pipeline.items, people, history, &pipeline.channel, self.as_of, &self.key);
        self.arrange(&mut plan, history)?;
        Ok(plan)
    }

    pub(super) fn standing(&self) -> BTreeMap<String, Standing> {
        let pipeline = &self.checked.pipeline;
        let people = self.checked.library.origins(&TableName::new("staging", "people"));
        let mut standing = BTreeMap::new();
        for item in &pipeline.items {
            let mut origins = self.checked.library.origins(&TableName::new("obligations", &item.id));
            origins.extend(people.iter().cloned());
            let sources = pipeline.sources.iter().filter(|source| origins.iter().any(|o| o.schema == source.name));
            let reasons = sources.map(letter::Reason::of).collect();
            standing.insert(item.id.clone(), Standing { reasons });
        }
        standing
    }

    /// Writes the letters of a batch; one that cannot be written is held and reported.
    pub(super) fn write(
        &mut self,
        batch: &[Reminder<'_>],
        standing: &BTreeMap<String, Standing>,
        plan: &mut Plan<'_>,
    ) -> Vec<(Record, Envelope)> {
        self.world.progress.step(format!("writing {} reminders", batch.len()));
        let mut written = Vec::with_capacity(batch.len());
        for reminder in batch {
            match self.write_of(reminder, standing) {
                Ok(one) => written.push(one),
                Err(why) => self.unwritten(reminder, why, plan),
            }
        }
        written
    }

    fn write_of(
        &self,
        reminder: &Reminder<'_>,
        standing: &BTreeMap<String, Standing>,
    ) -> Result<(Record, Envelope), Unwritten> {
        let standing = standing.get(&reminder.item.id).ok_or(Unwritten::Held(Reason::NotWritten))?;
        self.write_one(reminder, standing)
    }

    fn unwritten(&mut self, reminder: &Reminder<'_>, why: Unwritten, plan: &mut Plan<'_>) {
        match why {
            Unwritten::Held(reason) => plan.hold(&reminder.item.id, reason),
            Unwritten::Fault(fault) => {
                plan.hold(&reminder.item.id, Reason::NotWritten);
                // One fault of a template is every letter's: it is said once.
                if !self.report.faults.iter().any(|line| line.what == fault.what) {
                    self.report.faults.push(FaultLine::from(&fault));
                }
            }
        }
    }

    fn write_one(&self, reminder: &Reminder<'_>, standing: &Standing) -> Result<(Record, Envelope), Unwritten> {
        let pipeline = &self.checked.pipeline;
        let email = reminder.recipient.email.as_ref().ok_or(Unwritten::Held(Reason::NoAddress))?;
        let address = delivery::recipient(email.reveal()).map_err(|_| Unwritten::Held(Reason::BadAddress))?;
        let to = Personal::new(address);
        let obligation = reminder.obligation;
        let rules = RuleReference::applied(&pipeline.law, reminder.item, self.day(), &obligation.rule_version);
        let agency = self.agency_to(reminder).map_err(Unwritten::Fault)?;
        let occasion = Occasion {
            item: reminder.item,
            agency: &agency,
            language: reminder.language,
            as_of: self.as_of,
            name: &reminder.recipient.full_name,
            due_on: obligation.due_on,
            stage: reminder.stage,
            facts: &obligation.facts,
            reasons: &standing.reasons,
            rules: &rules,
        };
        let letter = self.checked.letters.render(&occasion).map_err(|error| Unwritten::Fault(error.fault()))?;
        let head = delivery::Head {
            key: &reminder.key,
            channel: &pipeline.channel,
            agency: &agency,
            as_of: self.as_of,
            to: &to,
        };
        // Where nobody answers, the letter alone says how to refuse.
        let refuse = pipeline.serve.as_ref().map(|_| agency.refuse.as_str());
        let post = self.post.get().ok_or(Unwritten::Held(Reason::NotWritten))?;
        let envelope = post.compose(&letter, &head, refuse);
        let envelope = envelope.map_err(|error| Unwritten::Fault(error.fault()))?;
        let from = pipeline.channel.from.parse();
        let from = from.map_err(|error| Unwritten::Fault(delivery::Error::From(error).fault()))?;
        let record = Record {
            template_version: letter.template_version.clone(),
            rendered_hash: letter.rendered_hash.clone(),
            explanation: self.sealed(reminder),
            ..self.record(reminder, &from)
        };
        Ok((record, envelope))
    }

    /// What the ledger writes about a reminder, before its letter is written.
    fn record(&self, reminder: &Reminder<'_>, from: &Address) -> Record {
        let obligation = reminder.obligation;
        let address = reminder.recipient.email.as_ref().and_then(|email| address_index(email.reveal(), &self.key));
        Record {
            key: MessageKey(reminder.key.clone()),
            subject: reminder.subject.clone(),
            obligation: obligation.key.clone(),
            item: reminder.item.id.clone(),
            stage_notice_days: reminder.stage_notice_days,
            channel: self.checked.pipeline.channel.name(),
            message_id: delivery::message_id(&reminder.key, from),
            due_on: obligation.due_on,
            rule_version: obligation.rule_version.clone(),
            address,
            valid_until: Some(reminder.valid_until),
            ..Record::default()
        }
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

/// The keyed blind index of a mail address, as it goes on the wire; none where nobody writes to it.
///
/// The domain is compared without regard to case, the name before it as it stands: only its server knows better.
pub(super) fn address_index(email: &str, key: &PseudonymKey) -> Option<String> {
    let address = delivery::recipient(email).ok()?;
    let domain = address.domain().to_ascii_lowercase();
    let parts = [address.user().as_bytes(), domain.as_bytes()];
    Some(hex(key.digest("address", &parts).get(..16).unwrap_or_default()))
}

/// The last instant of a day in Vietnam: what is not sent by then is sent no more.
fn end_of(day: jiff::civil::Date) -> Timestamp {
    let next = day.tomorrow().ok().and_then(|next| next.to_zoned(vietnam()).ok());
    next.map_or(Timestamp::MAX, |next| next.timestamp())
}

async fn pause_until(at: Timestamp) {
    let left = at.duration_since(now());
    tokio::time::sleep(left.try_into().unwrap_or_default()).await;
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
        Outcome::Refused { .. } => MessageState::Refused,
        Outcome::Uncertain { .. } => MessageState::Uncertain,
    }
}

/// What became of every message that was ever recorded, of those to be counted.
pub(super) fn history(ledger: &Ledger, counts: impl Fn(&OutboxRow) -> bool) -> Result<History, Fault> {
    let before = |state| match state {
        MessageState::Accepted => Some(Before::Sent),
        MessageState::Refused => Some(Before::Refused),
        MessageState::Deferred => Some(Before::Deferred),
        // It was never on its way: it is decided anew.
        MessageState::Reserved | MessageState::Dropped => None,
        // A plan may be made while a run is at work: what is in flight is as good as uncertain.
        MessageState::Uncertain | MessageState::InFlight => Some(Before::Uncertain),
    };
    let mut history = History::default();
    for row in ledger.outbox().map_err(|error| error.fault())?.into_iter().filter(counts) {
        if row.state == MessageState::Accepted {
            let shortest = history.shortest_sent.entry(row.obligation).or_insert(row.stage_notice_days);
            *shortest = row.stage_notice_days.min(*shortest);
        }
        if let Some(before) = before(row.state) {
            history.messages.insert(row.key.0, before);
        }
    }
    Ok(history)
}
