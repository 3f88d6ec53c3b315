//! Writes the message of a reminder, and what the ledger keeps of it.

use std::collections::{BTreeMap, VecDeque};

use super::super::{Night, channels};
use super::{Standing, Unwritten};
use crate::delivery::{self, Envelope, Form, Message};
use crate::fault::{Explain, Fault};
use crate::ledger::{MessageKey, Record};
use crate::personal::{Personal, PseudonymKey, hex};
use crate::pipeline::{Agency, ChannelKind, Reach};
use crate::reminders::letter::{Letter, Occasion, RuleReference};
use crate::reminders::phone::Phone;
use crate::reminders::plan::{Plan, Reason, Reminder};
use crate::report::FaultLine;

impl Night<'_> {
    /// Writes the messages of a batch; one that cannot be written is held and reported.
    pub(in crate::run) fn write(
        &mut self,
        batch: &[Reminder<'_>],
        standing: &BTreeMap<String, Standing>,
        plan: &mut Plan<'_>,
    ) -> Vec<(Record, Message)> {
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

    /// Writes a message; one that cannot be written for its channel takes its next one.
    pub(super) fn write_of(
        &self,
        reminder: &Reminder<'_>,
        standing: &BTreeMap<String, Standing>,
    ) -> Result<(Record, Message), Unwritten> {
        if !reminder.together.is_empty() {
            return self.write_several(reminder, standing);
        }
        let standing = standing.get(&reminder.item.id).ok_or(Unwritten::Held(Reason::NotWritten))?;
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

    /// Holds what could not be written; of a letter of several, each is tried by itself.
    pub(super) fn not_written<'o>(
        &mut self,
        reminder: Reminder<'o>,
        why: Unwritten,
        line: &mut VecDeque<Reminder<'o>>,
        plan: &mut Plan<'o>,
    ) {
        if reminder.together.is_empty() {
            return self.unwritten(&reminder, why, plan);
        }
        if let Unwritten::Fault(fault) = &why {
            self.tell_once(fault);
        }
        for one in reminder.apart().into_iter().rev() {
            line.push_front(Reminder { is_alone: true, ..one });
        }
    }

    /// One fault of a template is every letter's: it is said once.
    fn tell_once(&mut self, fault: &Fault) {
        if !self.report.faults.iter().any(|line| line.what == fault.what) {
            self.report.faults.push(FaultLine::from(fault));
        }
    }

    pub(super) fn unwritten(&mut self, reminder: &Reminder<'_>, why: Unwritten, plan: &mut Plan<'_>) {
        match why {
            Unwritten::Held(reason) => plan.hold_back(reminder.obligation, reason),
            Unwritten::Fault(fault) => {
                plan.hold_back(reminder.obligation, Reason::NotWritten);
                self.tell_once(&fault);
            }
        }
    }

    fn write_one(&self, reminder: &Reminder<'_>, standing: &Standing) -> Result<(Record, Message), Unwritten> {
        let pipeline = &self.checked.pipeline;
        let obligation = reminder.obligation;
        let rules = RuleReference::applied(&pipeline.law, reminder.item, self.day(), &obligation.rule_version);
        let agency = self.agency_to(reminder).map_err(Unwritten::Fault)?;
        let mut facts = obligation.facts.by_name();
        facts.extend(self.dossier_fact(reminder));
        let advice = self.advice(reminder).filter(|_| reminder.unfiled.is_none());
        // What its template says was approved for reminding, and for nothing else.
        if reminder.unfiled.is_some() && matches!(reminder.channel.kind, ChannelKind::Zns(_)) {
            return Err(Unwritten::Held(Reason::DoesNotFit));
        }
        let occasion = Occasion {
            item: reminder.item,
            agency: &agency,
            language: reminder.language,
            as_of: self.now_as_of(),
            name: &reminder.recipient.full_name(),
            due_on: obligation.due_on,
            stage: reminder.stage,
            facts: &facts,
            reasons: &standing.reasons,
            rules: &rules,
            is_late: reminder.is_late,
            options: advice.as_ref(),
            told_before: reminder.told_before,
            assumed_year: self.assumed_year(obligation).filter(|_| reminder.unfiled.is_none()),
        };
        let letter = match reminder.unfiled {
            Some(why) => self.checked.letters.render_unfiled(&occasion, why),
            None => self.checked.letters.render(&occasion),
        };
        let letter = letter.map_err(|error| Unwritten::Fault(error.fault()))?;
        let form = if reminder.channel.carries_letters() {
            self.envelope(reminder, &letter, &agency).map(Form::Letter)?
        } else {
            channels::slip(reminder, &letter, &occasion).map(Form::Slip).map_err(Unwritten::Held)?
        };
        let message = Message { channel: reminder.channel.name.clone(), valid_until: reminder.last_day(), form };
        let (template_version, rendered_hash) = channels::rendered(&message, &letter, &self.key);
        let record = Record {
            template_version,
            rendered_hash,
            explanation: self.sealed(reminder),
            sealed_address: self.sealed_address(reminder),
            ..self.record(reminder, message.message_id().to_owned())
        };
        Ok((record, message))
    }

    /// The letter as a message of RFC 5322.
    fn envelope(&self, reminder: &Reminder<'_>, letter: &Letter, agency: &Agency) -> Result<Envelope, Unwritten> {
        let pipeline = &self.checked.pipeline;
        let email = reminder.recipient.email().ok_or(Unwritten::Held(Reason::NoAddress))?;
        let address = delivery::recipient(email.reveal()).map_err(|_| Unwritten::Held(Reason::BadAddress))?;
        let to = Personal::new(address);
        let as_of = self.now_as_of();
        let head = delivery::Head { key: &reminder.key, channel: reminder.channel, agency, as_of, to: &to };
        // Where nobody answers, the letter alone says how to refuse.
        let refuse = pipeline.serve.as_ref().map(|_| agency.refuse.as_str());
        let post = self.post.get().ok_or(Unwritten::Held(Reason::NotWritten))?;
        post.compose(letter, &head, refuse).map_err(|error| Unwritten::Fault(error.fault()))
    }

    /// What the ledger writes about a reminder, before its message is written.
    pub(super) fn record(&self, reminder: &Reminder<'_>, message_id: String) -> Record {
        let obligation = reminder.obligation;
        let reach = reminder.channel.reach();
        let address = reminder.recipient.address(reach).and_then(|to| index_of(to.reveal(), reach, &self.key));
        Record {
            key: MessageKey(reminder.key.into()),
            subject: reminder.subject.into(),
            obligation: obligation.key.into(),
            item: reminder.item.id.clone(),
            stage_notice_days: reminder.stage_notice_days,
            channel: reminder.channel.name.clone(),
            message_id,
            due_on: obligation.due_on,
            rule_version: obligation.rule_version.to_string(),
            address,
            valid_until: Some(reminder.valid_until),
            ..Record::default()
        }
    }
}

/// The keyed blind index of what a channel writes to; none where nobody can.
pub(in crate::run) fn index_of(address: &str, reach: Reach, key: &PseudonymKey) -> Option<String> {
    match reach {
        Reach::Email => address_index(address, key),
        Reach::Phone => {
            let phone: Phone = address.parse().ok()?;
            Some(hex(key.digest("phone", &[phone.reveal().as_bytes()]).get(..16).unwrap_or_default()))
        }
    }
}

/// The keyed blind index of a mail address, as it goes on the wire; none where nobody writes to it.
///
/// The domain is compared without regard to case, the name before it as it stands: only its server knows better.
pub(in crate::run) fn address_index(email: &str, key: &PseudonymKey) -> Option<String> {
    let address = delivery::recipient(email).ok()?;
    let domain = address.domain().to_ascii_lowercase();
    let parts = [address.user().as_bytes(), domain.as_bytes()];
    Some(hex(key.digest("address", &parts).get(..16).unwrap_or_default()))
}
