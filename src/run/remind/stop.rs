//! The breakers of a run: what ended is counted, and what is stopped is held until a person lifts it.

use std::collections::{BTreeMap, HashMap, VecDeque};

use jiff::ToSpan;

use super::super::Night;
use super::address_index;
use crate::calendar::now;
use crate::delivery::breaker::{Breakers, Change, Count, End, Scope};
use crate::delivery::{Class, Code, Outcome, Permit};
use crate::fault::{Explain, Fault, Place};
use crate::language::Language;
use crate::ledger::{Ledger, MessageState, Stop};
use crate::pipeline::Audience;
use crate::reminders::plan::{Plan, Reason, Recipients, Reminder};
use crate::report::FaultLine;

/// Days for which what was sent is counted together with what came back of it.
const RECALLED_DAYS: i64 = 7;

impl Night<'_> {
    /// The breakers as earlier runs left them, with what came back of their messages since.
    pub(super) fn breakers(&mut self, ledger: &mut Ledger, people: Option<&Recipients>) -> Result<Breakers, Fault> {
        let stops = ledger.stops().map_err(|error| error.fault())?;
        for stop in &stops {
            self.report.notes.push(format!(
                "{} is stopped since {}: `chudong ledger breakers` says why and lifts it",
                stop.scope, stop.at
            ));
        }
        let stopped = stops.into_iter().map(|stop| stop.scope);
        let mut breakers = Breakers::new(self.checked.pipeline.attention.breaker, stopped);
        let changes = breakers.recall(self.recalled(ledger, people)?);
        self.tell_changes(ledger, changes)?;
        Ok(breakers)
    }

    /// What the runs of the last days sent, by scope, where reports came back meanwhile.
    fn recalled(&self, ledger: &Ledger, people: Option<&Recipients>) -> Result<BTreeMap<Scope, Count>, Fault> {
        let mut ended = Vec::new();
        let since = self.as_of.date().saturating_sub(RECALLED_DAYS.days());
        ledger.each_ended_since(since, |one| ended.push(one)).map_err(|error| error.fault())?;
        let mut counts: BTreeMap<Scope, Count> = BTreeMap::new();
        if ended.is_empty() {
            return Ok(counts);
        }
        let lifted = ledger.lifted_stops().map_err(|error| error.fault())?;
        let known = people.map(|people| self.by_address(people)).unwrap_or_default();
        for one in ended {
            let person = one.address.as_ref().and_then(|address| known.get(address));
            let domain =
                person.map(|(domain, _)| Scope::Domain { domain: domain.clone(), channel: one.channel.clone() });
            let language = person.map_or(Language::Vi, |(_, language)| *language);
            let template = Scope::Template { item: one.item.clone(), language, channel: one.channel };
            for scope in domain.into_iter().chain([template, Scope::Item(one.item)]) {
                if lifted.get(&scope.to_string()).is_some_and(|entry| one.entry < *entry) {
                    continue;
                }
                let count = counts.entry(scope).or_default();
                count.sent += 1;
                count.refused += u64::from(one.is_refused);
            }
        }
        Ok(counts)
    }

    /// The domain and the language of those who have an address, by its blind index.
    fn by_address(&self, people: &Recipients) -> HashMap<String, (String, Language)> {
        let both = [Audience::Citizen, Audience::Business];
        let addresses = both.into_iter().flat_map(|audience| {
            let of_audience = people.addresses(audience == Audience::Business);
            of_audience.map(move |(subject, email)| (subject, email, audience))
        });
        let known = addresses.filter_map(|(subject, email, audience)| {
            let index = address_index(email.reveal(), &self.key)?;
            let (_, domain) = email.reveal().rsplit_once('@')?;
            let language = people.get(&subject, audience)?.language();
            Some((index, (domain.trim().to_ascii_lowercase(), language)))
        });
        known.collect()
    }

    /// Counts the end of a message. Where something is stopped by it, nothing more begins to leave before that is in the
    /// ledger.
    pub(super) fn count_end(
        &mut self,
        ledger: &mut Ledger,
        (breakers, permit): (&mut Breakers, &Permit),
        scopes: &[Scope],
        end: End,
    ) -> Result<(), Fault> {
        let changes = breakers.count(scopes, end);
        if changes.iter().any(|(.., change)| matches!(change, Change::Stopped { .. })) {
            permit.withdraw();
        }
        self.tell_changes(ledger, changes)
    }

    /// Reports what changed, and writes down what is stopped.
    fn tell_changes(&mut self, ledger: &mut Ledger, changes: Vec<(Scope, Count, Change)>) -> Result<(), Fault> {
        let mut stops = Vec::new();
        for (scope, count, change) in changes {
            let Change::Stopped { is_ours } = change else {
                // A night is not failed by a warning: it would be run again, and warn again.
                self.report.notes.push(warning(&scope, count));
                continue;
            };
            stops.push(Stop {
                scope: scope.to_string(),
                reason: if is_ours { "ours" } else { "refusals" }.to_owned(),
                sent: count.sent,
                refused: count.refused,
                at: now().to_string(),
                run: self.run.clone(),
            });
            self.report.faults.push(FaultLine::from(&told(&scope, count, is_ours)));
        }
        ledger.stop(&self.run, &stops).map_err(|error| error.fault())
    }
}

/// Takes out of the line what is stopped: it stays reserved, and the first run after the stop is lifted sends it.
pub(super) fn hold_stopped<'o>(breakers: &Breakers, line: &mut VecDeque<Reminder<'o>>, plan: &mut Plan<'o>) {
    if breakers.stopped() == 0 {
        return;
    }
    line.retain(|reminder| {
        let is_stopped = breakers.is_stopped(&scopes(reminder));
        if is_stopped {
            plan.hold_back(reminder.obligation, Reason::Stopped);
        }
        !is_stopped
    });
}

/// What a message is counted by.
pub(super) fn scopes(reminder: &Reminder<'_>) -> Vec<Scope> {
    let channel = &reminder.channel.name;
    let item = &reminder.item.id;
    let domain = reminder.domain().map(|domain| Scope::Domain { domain, channel: channel.clone() });
    let template = Scope::Template { item: item.clone(), language: reminder.language, channel: channel.clone() };
    domain.into_iter().chain([template, Scope::Item(item.clone())]).collect()
}

/// What a message is counted by that left under this key, perhaps by a channel after the first.
fn scopes_of(reminder: &Reminder<'_>, key: &str) -> Vec<Scope> {
    match reminder.otherwise.iter().position(|way| way.key == key) {
        Some(way) => scopes(&reminder.clone().by(way + 1)),
        None => scopes(reminder),
    }
}

/// What a letter is counted by: its domain once, and each item that it speaks of.
pub(super) fn scopes_of_message(reminder: &Reminder<'_>, key: &str) -> Vec<Scope> {
    let mut all = scopes_of(reminder, key);
    for scope in reminder.together.iter().flat_map(scopes) {
        if !all.contains(&scope) {
            all.push(scope);
        }
    }
    all
}

/// What an outcome is to a breaker; nothing for what is tried again.
pub(super) fn end(outcome: Outcome, state: MessageState) -> Option<End> {
    let class = outcome.code().map(Code::class);
    match (state, class) {
        // A mail server says of one person what it says of the agency: 554, 5.7.1.
        (_, Some(Class::Ours)) if matches!(outcome.code(), Some(Code::Reply { .. })) => Some(End::Doubtful),
        // A wrong token or address is a fault of the channel, which stops by itself and is told once: there is nothing
        // to lift beside mending it.
        (_, Some(Class::Ours)) if matches!(outcome.code(), Some(Code::Http { .. } | Code::NoToken)) => None,
        (MessageState::Refused | MessageState::Deferred, Some(Class::Ours)) => Some(End::Ours),
        // Who does not want it is no sign that something is broken.
        (MessageState::Refused, Some(Class::OptedOut)) => Some(End::Left),
        (MessageState::Refused, _) => Some(End::Refused),
        (MessageState::Accepted | MessageState::Uncertain, _) => Some(End::Left),
        _ => None,
    }
}

fn warning(scope: &Scope, Count { sent, refused }: Count) -> String {
    format!(
        "{scope}: {refused} of {sent} messages were refused for good; look at the codes in \
         `chudong ledger list --kind messages.settled` before it has to be stopped"
    )
}

fn told(scope: &Scope, Count { sent, refused }: Count, is_ours: bool) -> Fault {
    let lift = format!("then `chudong ledger breakers --lift \"{scope}\"`; the next run sends what was held");
    let (what, next) = match is_ours {
        false => (
            format!("nothing more is sent: {refused} of {sent} messages were refused for good"),
            format!("find out why they are refused and mend it, {lift}"),
        ),
        true => (
            "nothing more is sent: the other side refuses the account, the sender or the template".to_owned(),
            format!("set right what the code in `chudong ledger list --kind messages.settled` names, {lift}"),
        ),
    };
    Fault::new("run.stopped", Place::Thing(scope.to_string()), what, next)
}
