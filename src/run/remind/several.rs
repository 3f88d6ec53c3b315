//! One letter for several reminders of a person: what each of them says, and the rows of all in the ledger.

use std::collections::BTreeMap;

use super::super::{Night, channels};
use super::{Standing, Unwritten};
use crate::delivery::{self, Address, Envelope, Form, Message};
use crate::fault::Explain;
use crate::ledger::Record;
use crate::obligations::Fact;
use crate::personal::Personal;
use crate::pipeline::Agency;
use crate::reminders::letter::{Advice, Letter, Occasion, Reason as Source, RuleReference};
use crate::reminders::plan::{Reason, Reminder};

impl Night<'_> {
    /// Writes the letter of a reminder and of those that leave together with it.
    pub(super) fn write_several(
        &self,
        reminder: &Reminder<'_>,
        standing: &BTreeMap<String, Standing>,
    ) -> Result<(Record, Message), Unwritten> {
        let members: Vec<&Reminder<'_>> = std::iter::once(reminder).chain(&reminder.together).collect();
        let agency = self.agency_to_all(reminder).map_err(Unwritten::Fault)?;
        let (sources, rules) = self.shared_by(&members, standing);
        let facts: Vec<BTreeMap<String, Fact>> = members
            .iter()
            .map(|member| member.obligation.facts.by_name().into_iter().chain(self.dossier_fact(member)).collect())
            .collect();
        let advice: Vec<Option<Advice>> = members.iter().map(|member| self.advice(member)).collect();
        let name = &reminder.recipient.full_name();
        let occasions: Vec<Occasion<'_>> = members
            .iter()
            .zip(&facts)
            .zip(&advice)
            .map(|((member, facts), advice)| Occasion {
                item: member.item,
                agency: &agency,
                language: member.language,
                as_of: self.now_as_of(),
                name,
                due_on: member.obligation.due_on,
                stage: member.stage,
                facts,
                reasons: &sources,
                rules: &rules,
                is_late: member.is_late,
                options: advice.as_ref(),
                told_before: member.told_before,
                assumed_year: self.assumed_year(member.obligation),
            })
            .collect();
        let letter = self.checked.letters.render_several(&occasions);
        let letter = letter.map_err(|error| Unwritten::Fault(error.fault()))?;
        let envelope = self.envelope_of(reminder, &letter, &agency)?;
        let from: Address = reminder.channel.from.parse().map_err(|_| Unwritten::Held(Reason::NotWritten))?;
        let record = |member: &Reminder<'_>| Record {
            template_version: letter.template_version.clone(),
            rendered_hash: channels::rendered_mark(&letter.rendered_hash, &self.key),
            explanation: self.sealed(member),
            sealed_address: self.sealed_address(member),
            message: Some(envelope.message_id.clone()),
            ..self.record(member, delivery::message_id(&member.key, &from))
        };
        let others = reminder.together.iter().map(record).collect();
        let record = Record { others, ..record(reminder) };
        Ok((
            record,
            Message {
                channel: reminder.channel.name.clone(),
                valid_until: reminder.last_day(),
                form: Form::Letter(envelope),
            },
        ))
    }

    /// The sources and the rules of all, each once.
    fn shared_by(
        &self,
        members: &[&Reminder<'_>],
        standing: &BTreeMap<String, Standing>,
    ) -> (Vec<Source>, Vec<RuleReference>) {
        let (mut sources, mut rules) = (Vec::new(), Vec::new());
        for member in members {
            let of_item = standing.get(&member.item.id).map(|standing| standing.reasons.as_slice()).unwrap_or_default();
            for source in of_item {
                if !sources.contains(source) {
                    sources.push(source.clone());
                }
            }
            let law = &self.checked.pipeline.law;
            for rule in RuleReference::applied(law, member.item, self.day(), &member.obligation.rule_version) {
                if !rules.contains(&rule) {
                    rules.push(rule);
                }
            }
        }
        (sources, rules)
    }

    /// The letter as a message of RFC 5322, under the number that was reserved for the first of its reminders: fixed
    /// before the wire, and the same in a further try of which that one is the first again.
    fn envelope_of(&self, reminder: &Reminder<'_>, letter: &Letter, agency: &Agency) -> Result<Envelope, Unwritten> {
        let email = reminder.recipient.email().ok_or(Unwritten::Held(Reason::NoAddress))?;
        let address = delivery::recipient(email.reveal()).map_err(|_| Unwritten::Held(Reason::BadAddress))?;
        let to = Personal::new(address);
        let key = reminder.key.as_str();
        let head = delivery::Head { key, channel: reminder.channel, agency, as_of: self.now_as_of(), to: &to };
        let refuse = self.checked.pipeline.serve.as_ref().map(|_| agency.refuse.as_str());
        let post = self.post.get().ok_or(Unwritten::Held(Reason::NotWritten))?;
        post.compose(letter, &head, refuse).map_err(|error| Unwritten::Fault(error.fault()))
    }
}
