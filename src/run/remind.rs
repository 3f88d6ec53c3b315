//! Step three: decide, write, record, send, settle.

use std::collections::{BTreeMap, HashMap};

use super::Night;
use super::build::Built;
use super::channels::{self, Senders};
use crate::delivery::{self, Address, Code, Envelope, Form, Message, Outcome};
use crate::fault::{Explain, Fault};
use crate::ledger::{Ledger, MessageKey, MessageState, OutboxRow, Record, Settlement};
use crate::obligations::Obligation;
use crate::personal::Personal;
use crate::pipeline::Uncertain;
use crate::reminders::letter::{self, Letter, Occasion, RuleReference};
use crate::reminders::plan::{self, Before, Circumstances, History, Plan, Reason, Recipients, Reminder};
use crate::report::{FaultLine, ItemLine};
use crate::tables::TableName;

/// Messages recorded in one commit and then sent: what a crash can leave uncertain.
const BATCH: usize = 500;

/// What is the same in every letter of an item.
pub(super) struct Standing {
    reasons: Vec<letter::Reason>,
}

impl Night<'_> {
    /// Sends tonight's reminders, the most urgent first, in batches whose intent is durable before the wire.
    pub(super) async fn send(
        &mut self,
        ledger: &mut Ledger,
        built: &Built,
        obligations: &[Obligation],
    ) -> Result<(), Fault> {
        let people = self.recipients(built)?;
        let history = history(ledger, |_| true)?;
        let mut plan = self.decide(obligations, people.as_ref(), &history);
        self.count_reminders(built, &plan.reminders)?;
        let reminders = std::mem::take(&mut plan.reminders);
        if !reminders.is_empty() {
            self.world.progress.step(format!("opening the channels for {} reminders", reminders.len()));
            let mut senders = Senders::default();
            let mut reminders = self.prepare(&mut senders, reminders, &mut plan).await?;
            let standing = self.standing();
            self.account(ledger, built, &reminders).await;
            loop {
                self.recheck(ledger, &mut reminders, &mut plan).await?;
                let batch: Vec<Reminder<'_>> = reminders.drain(..BATCH.min(reminders.len())).collect();
                if batch.is_empty() {
                    break;
                }
                let written = self.write(&batch, &standing, &mut plan);
                let failed = self.dispatch(ledger, &mut senders, written).await?;
                let again = batch.iter().filter_map(|reminder| elsewhere(reminder, &failed)).collect();
                let again = self.prepare(&mut senders, again, &mut plan).await?;
                reminders.extend(again);
                reminders = self.after_trouble(&mut senders, reminders, &mut plan).await?;
            }
            senders.close().await;
        }
        self.count_held(&plan);
        Ok(())
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
            Some(ledger) => history(ledger, |_| true)?,
            None => History::default(),
        };
        let mut plan = self.decide(obligations, people.as_ref(), &history);
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
    ) -> Plan<'o>
    where
        Self: 'o,
    {
        let pipeline = &self.checked.pipeline;
        let now = Circumstances {
            items: &pipeline.items,
            channels: &pipeline.channels,
            people,
            standing: &self.closed,
            as_of: self.as_of,
            key: &self.key,
        };
        plan::plan(obligations, history, &now)
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

    /// Writes the messages of a batch; one that cannot be written for its channel takes its next one, and without a next
    /// one is held and reported.
    pub(super) fn write(
        &mut self,
        batch: &[Reminder<'_>],
        standing: &BTreeMap<String, Standing>,
        plan: &mut Plan<'_>,
    ) -> Vec<(Record, Message)> {
        self.world.progress.step(format!("writing {} reminders", batch.len()));
        let mut written = Vec::with_capacity(batch.len());
        for reminder in batch {
            let Some(standing) = standing.get(&reminder.item.id) else { continue };
            match self.write_by_any(reminder, standing) {
                Ok(one) => written.push(one),
                Err(Unwritten::Held(reason)) => plan.hold(&reminder.item.id, reason),
                Err(Unwritten::Fault(fault)) => {
                    plan.hold(&reminder.item.id, Reason::NotWritten);
                    // One fault of a template is every letter's: it is said once.
                    if !self.report.faults.iter().any(|line| line.what == fault.what) {
                        self.report.faults.push(FaultLine::from(&fault));
                    }
                }
            }
        }
        written
    }

    fn write_by_any(&self, reminder: &Reminder<'_>, standing: &Standing) -> Result<(Record, Message), Unwritten> {
        let mut refused = match self.write_one(reminder, standing) {
            Err(Unwritten::Held(reason)) => reason,
            written => return written,
        };
        let mut next = reminder.clone().by_next();
        while let Some(reminder) = next {
            match self.write_one(&reminder, standing) {
                // What is wrong with the channel that the agency would rather use is what is told.
                Err(Unwritten::Held(reason)) => refused = refused.min(reason),
                written => return written,
            }
            next = reminder.by_next();
        }
        Err(Unwritten::Held(refused))
    }

    fn write_one(&self, reminder: &Reminder<'_>, standing: &Standing) -> Result<(Record, Message), Unwritten> {
        let pipeline = &self.checked.pipeline;
        let obligation = reminder.obligation;
        let rules = RuleReference::applied(&pipeline.law, reminder.item, self.day(), &obligation.rule_version);
        let occasion = Occasion {
            item: reminder.item,
            agency: &pipeline.agency,
            language: reminder.recipient.language,
            as_of: self.as_of,
            name: &reminder.recipient.full_name,
            due_on: obligation.due_on,
            stage: reminder.stage,
            facts: &obligation.facts,
            reasons: &standing.reasons,
            rules: &rules,
        };
        let letter = self.checked.letters.render(&occasion).map_err(|error| Unwritten::Fault(error.fault()))?;
        let form = if reminder.channel.carries_letters() {
            self.envelope(reminder, &letter).map(Form::Letter)?
        } else {
            channels::slip(reminder, &letter, &occasion).map(Form::Slip).map_err(Unwritten::Held)?
        };
        let message = Message { channel: reminder.channel.name.clone(), form };
        let (template_version, rendered_hash) = channels::rendered(&message, &letter);
        let record = Record {
            key: MessageKey(reminder.key.clone()),
            subject: reminder.subject.clone(),
            obligation: obligation.key.clone(),
            item: reminder.item.id.clone(),
            stage_notice_days: reminder.stage_notice_days,
            channel: reminder.channel.name.clone(),
            message_id: message.message_id().to_owned(),
            due_on: obligation.due_on,
            rule_version: obligation.rule_version.clone(),
            template_version,
            rendered_hash,
            explanation: self.sealed(reminder),
        };
        Ok((record, message))
    }

    /// The letter as a message of RFC 5322.
    fn envelope(&self, reminder: &Reminder<'_>, letter: &Letter) -> Result<Envelope, Unwritten> {
        let email = reminder.recipient.email.as_ref().ok_or(Unwritten::Held(Reason::NoAddress))?;
        let address: Address = email.reveal().parse().map_err(|_| Unwritten::Held(Reason::BadAddress))?;
        let to = Personal::new(address);
        let head = delivery::Head {
            key: &reminder.key,
            channel: reminder.channel,
            agency: &self.checked.pipeline.agency,
            as_of: self.as_of,
            to: &to,
        };
        delivery::build(letter, &head).map_err(|error| Unwritten::Fault(error.fault()))
    }

    /// Records a batch, sends it by its channels, and settles it. Gives the keys of those that are certain not to have
    /// been taken, with their states.
    async fn dispatch(
        &mut self,
        ledger: &mut Ledger,
        senders: &mut Senders,
        written: Vec<(Record, Message)>,
    ) -> Result<HashMap<String, MessageState>, Fault> {
        let items: HashMap<String, String> =
            written.iter().map(|(record, _)| (record.key.0.clone(), record.item.clone())).collect();
        let recorded = ledger.record(&self.run, written).map_err(|error| error.fault())?;
        self.world.progress.step(format!("sending {} reminders", recorded.len()));
        let outcomes = senders.send(&recorded).await;
        let mut settlements = Vec::with_capacity(recorded.len());
        let mut failed = HashMap::new();
        for (message, outcome) in recorded.iter().zip(outcomes) {
            let state = state(outcome);
            if matches!(state, MessageState::Refused | MessageState::Deferred) {
                failed.insert(message.key().0.clone(), state);
            }
            let item = items.get(&message.key().0).cloned().unwrap_or_default();
            self.tally_outcome(&item, state);
            let reason = outcome.reason().unwrap_or_else(|| "accepted".into());
            settlements.push(Settlement { key: message.key().clone(), state, reason });
        }
        ledger.settle(&self.run, &settlements).map_err(|error| error.fault())?;
        Ok(failed)
    }

    fn tally_outcome(&mut self, item: &str, state: MessageState) {
        let policy = self.checked.pipeline.item(item).map(|item| item.uncertain);
        self.tally(item, |line| match (state, policy) {
            (MessageState::Accepted, _) => line.messages += 1,
            (MessageState::Deferred, _) => line.deferred += 1,
            (MessageState::Refused, _) => line.refused += 1,
            (_, Some(Uncertain::Resend)) => line.uncertain += 1,
            // The clerk hears of it tonight, not when the next run finds it.
            _ => *line.held.entry(Reason::LeftToClerk.words().to_owned()).or_default() += 1,
        });
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

/// A reminder by the channel after the one that did not take it: where that one never will, or where a later night is
/// too late. What may have been taken is not sent by another channel.
fn elsewhere<'r>(reminder: &Reminder<'r>, failed: &HashMap<String, MessageState>) -> Option<Reminder<'r>> {
    let keys = std::iter::once(&reminder.key).chain(reminder.otherwise.iter().map(|way| &way.key));
    let (key, state) = keys.filter_map(|key| Some((key, *failed.get(key)?))).next_back()?;
    let is_due = state == MessageState::Refused || reminder.slack_days() == 0;
    is_due.then(|| reminder.after(key)).flatten()
}

enum Unwritten {
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
        MessageState::Accepted => Before::Sent,
        MessageState::Refused => Before::Refused,
        MessageState::Deferred => Before::Deferred,
        // A plan may be made while a run is at work: what is in flight is as good as uncertain.
        MessageState::Uncertain | MessageState::InFlight => Before::Uncertain,
    };
    let mut history = History::default();
    for row in ledger.outbox().map_err(|error| error.fault())?.into_iter().filter(counts) {
        if row.state == MessageState::Accepted {
            let shortest = history.shortest_sent.entry(row.obligation).or_insert(row.stage_notice_days);
            *shortest = row.stage_notice_days.min(*shortest);
        }
        history.messages.insert(row.key.0, before(row.state));
    }
    Ok(history)
}
