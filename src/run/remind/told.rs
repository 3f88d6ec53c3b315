//! Which due day a person was told last, where it is another than tonight's.

use std::collections::{HashMap, HashSet};

use jiff::ToSpan;
use jiff::civil::Date;

use crate::fault::{Explain, Fault};
use crate::ledger::{Ledger, SentMessage};
use crate::obligations::Obligation;
use crate::reminders::plan::{History, Told};
use crate::run::Night;

impl Night<'_> {
    /// Puts into the history what people were told of open obligations whose due day has moved since.
    ///
    /// The outbox knows the last day of each message, which follows from its due day: where it is the one that tonight
    /// gives, nothing has moved. Only for the others is it looked up which day was recorded with the message.
    pub(super) fn told(
        &self,
        ledger: &Ledger,
        obligations: &[Obligation],
        mut history: History,
    ) -> Result<History, Fault> {
        if history.shortest_sent.is_empty() {
            return Ok(history);
        }
        // A night that is replayed sees an earlier day than was told since; it is no news.
        let mut replayed: HashSet<&str> = HashSet::new();
        for item in &self.checked.pipeline.items {
            let newest = ledger.followed_until(&item.id).map_err(|error| error.fault())?;
            if newest.is_some_and(|newest| newest > self.as_of.date()) {
                replayed.insert(&item.id);
            }
        }
        let open = obligations.iter().filter(|obligation| obligation.is_open(self.as_of));
        let open = open.filter(|open| !replayed.contains(open.item.as_str()));
        let open: HashMap<&str, &Obligation> = open.map(|open| (open.key.as_str(), open)).collect();
        if open.is_empty() {
            return Ok(history);
        }
        let mut newest: HashMap<&str, SentMessage> = HashMap::new();
        let seen = ledger.each_sent(|sent| {
            let Some((key, _)) = open.get_key_value(sent.obligation.as_str()) else { return };
            if newest.get(key).is_none_or(|known| (known.entry, &known.key) < (sent.entry, &sent.key)) {
                newest.insert(key, sent);
            }
        });
        seen.map_err(|error| error.fault())?;
        newest.retain(|key, sent| open.get(key).is_some_and(|open| self.valid_until(open, sent) != sent.valid_until));
        let mut by_run: HashMap<&str, HashSet<&str>> = HashMap::new();
        for sent in newest.values() {
            by_run.entry(&sent.run).or_default().insert(&sent.key);
        }
        let mut days: HashMap<String, Date> = HashMap::new();
        for (run, keys) in by_run {
            days.extend(ledger.told_in(run, &keys).map_err(|error| error.fault())?);
        }
        for (key, sent) in newest {
            // What was recorded otherwise is not known to have told another day.
            let Some(due_on) = days.get(&sent.key).copied() else { continue };
            history.told.insert(key.to_owned(), Told { due_on, message: sent.key });
        }
        Ok(history)
    }

    /// The last day of a message of that stage about an obligation as it is due now.
    fn valid_until(&self, obligation: &Obligation, sent: &SentMessage) -> Date {
        let item = self.checked.pipeline.item(&obligation.item);
        let planned_on = obligation.due_on.saturating_sub(i64::from(sent.stage_notice_days).days());
        let valid_days = item.and_then(|item| item.valid_days);
        let valid = valid_days.map(|days| planned_on.saturating_add(i64::from(days).days()));
        valid.map_or(obligation.due_on, |valid| valid.min(obligation.due_on))
    }
}
