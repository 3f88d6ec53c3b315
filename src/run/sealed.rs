//! What a night keeps about each message beside its entry, and for how long: the address it goes to, sealed, and why
//! nothing went where nothing did.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::ToSpan;

use super::Night;
use super::build::Built;
use super::remind::index_of;
use crate::calendar::AsOf;
use crate::delivery::{Class, Outcome};
use crate::fault::{Explain, Fault};
use crate::ledger::{self, Ledger, RefusedAddress};
use crate::pipeline::{Reach, Uncertain};
use crate::reminders::plan::{Plan, Recipients, Reminder};

impl Night<'_> {
    /// The address that a reminder goes to, sealed under the name of its message.
    pub(super) fn sealed_address(&self, reminder: &Reminder<'_>) -> Option<Vec<u8>> {
        let address = reminder.recipient.address(reminder.channel.reach())?;
        self.accounts.key()?.seal(&ledger::sealed_name(&reminder.key), address.reveal())
    }

    /// Drops what waits for an address that is no longer its person's: it is decided anew tonight, for the new one.
    pub(super) fn drop_moved(&mut self, ledger: &mut Ledger, people: Option<&Recipients>) -> Result<(), Fault> {
        let Some(people) = people else { return Ok(()) };
        if !ledger.has_waiting().map_err(|error| error.fault())? {
            return Ok(());
        }
        let mut now: HashMap<(String, String), String> = HashMap::new();
        for reach in [Reach::Email, Reach::Phone] {
            let channels = || self.checked.pipeline.channels.iter().filter(move |channel| channel.reach() == reach);
            // A person of whom both registers know may have either address: which one is meant is not known here.
            let mut several = BTreeSet::new();
            for (subject, address) in people.addresses_by(reach, false).chain(people.addresses_by(reach, true)) {
                let Some(index) = index_of(address.reveal(), reach, &self.key) else { continue };
                let pseudonym = self.key.subject(&subject);
                for channel in channels() {
                    let of = (pseudonym.to_string(), channel.name.clone());
                    if now.insert(of.clone(), index.clone()).is_some_and(|other| other != index) {
                        several.insert(of);
                    }
                }
            }
            now.retain(|of, _| !several.contains(of));
        }
        let items = self.checked.pipeline.items.iter();
        let left = items.filter(|item| item.uncertain == Uncertain::LeaveToClerk).map(|item| item.id.clone());
        let dropped = ledger.drop_moved(&self.run, &now, &left.collect()).map_err(|error| error.fault())?;
        if dropped > 0 {
            self.report.notes.push(format!("{dropped} messages waited for an address that has changed since"));
        }
        Ok(())
    }

    /// Writes down for whom nothing was sent tonight, and why.
    pub(super) fn remember_unsent(&self, ledger: &mut Ledger, built: &Built, plan: &Plan<'_>) -> Result<(), Fault> {
        let items = self.checked.pipeline.items.iter().map(|item| item.id.clone());
        let told: BTreeSet<String> = items.filter(|item| built.is_told(item)).collect();
        let words = plan
            .unsent
            .iter()
            .map(|(key, (item, reason))| (key.to_string(), (item.to_string(), reason.words().to_owned())));
        let unsent: BTreeMap<String, (String, String)> = words.collect();
        let written = ledger.not_sent(&self.run, self.as_of.date(), &told, &unsent);
        written.map(drop).map_err(|error| error.fault())
    }

    /// Removes sealed addresses and explanations whose term is over.
    pub(super) fn forget_sealed(&mut self, ledger: &mut Ledger) -> Result<(), Fault> {
        let retention = self.checked.pipeline.retention;
        // A night for a day to come removes nothing that today keeps.
        let night = self.as_of.date().min(AsOf::today().date());
        let first = |days: u16| night.saturating_sub(i64::from(days).days());
        let (addresses, explanations) = (first(retention.addresses_days), first(retention.explanations_days));
        let forgotten = ledger.forget_sealed(&self.run, addresses, explanations).map_err(|error| error.fault())?;
        if forgotten != ledger::Forgotten::default() {
            let (addresses, explanations) = (forgotten.addresses, forgotten.explanations);
            let recommendations = match forgotten.recommendations {
                0 => String::new(),
                count => format!(", {count} recommendations"),
            };
            self.report.notes.push(format!(
                "Removed after their term: {addresses} sealed addresses, {explanations} explanations{recommendations}"
            ));
        }
        Ok(())
    }

    /// The number that a channel cannot reach, where that is what it said of a message.
    pub(super) fn refused_number(
        &self,
        reminder: &Reminder<'_>,
        key: &str,
        outcome: Outcome,
    ) -> Option<RefusedAddress> {
        let code = outcome.code().filter(|code| code.class() == Class::Recipient)?;
        let channel = reminder.channel_of(key).filter(|channel| channel.reach() == Reach::Phone)?;
        let number = reminder.recipient.address(Reach::Phone)?;
        Some(RefusedAddress {
            address: index_of(number.reveal(), Reach::Phone, &self.key)?,
            channel: channel.name().to_owned(),
            code: code.to_string(),
            message: key.to_owned(),
        })
    }
}
