//! When reminders leave: what the ledger knows of a person's week, and whether the sending window is open.

use std::borrow::Cow;
use std::collections::VecDeque;

use jiff::{Timestamp, ToSpan};

use super::Night;
use crate::calendar::{now, vietnam};
use crate::fault::{Explain, Fault};
use crate::language::Language;
use crate::ledger::{Chosen, Ledger, Shared};
use crate::obligations::life::State;
use crate::personal::links::Links;
use crate::pipeline::attention::Late;
use crate::pipeline::{Agency, ChannelKind};
use crate::reminders::attention::{self, WEEK_DAYS};
use crate::reminders::plan::{self, History, Plan, Reason, Reminder};
use crate::reminders::window::{Hour, Window};

/// What went to people from other agencies.
pub(super) struct Elsewhere {
    shared: Shared,
    /// By the pseudonym that the agencies share.
    sent: attention::Sent,
}

impl Elsewhere {
    /// What went to those who are written to, from here and from the others.
    fn beside(&self, plan: &Plan<'_>, from_here: &attention::Sent) -> attention::Sent {
        let mut both = attention::Sent::new();
        for reminder in &plan.reminders {
            if both.contains_key(&*reminder.subject) {
                continue;
            }
            let mut days = from_here.get(&*reminder.subject).cloned().unwrap_or_default();
            days.extend(self.sent.get(&self.shared.person(&reminder.obligation.subject_id)).into_iter().flatten());
            both.insert(reminder.subject.to_string(), days);
        }
        both
    }
}

impl Night<'_> {
    /// Adds to the history of messages what attention is measured by.
    pub(super) fn attended(&self, ledger: &Ledger, mut history: History) -> Result<History, Fault> {
        let pipeline = &self.checked.pipeline;
        let today = self.today;
        if !pipeline.dossiers.is_empty() {
            history.wished = ledger.postponed_until(today).map_err(|error| error.fault())?;
        }
        let languages = ledger.languages().map_err(|error| error.fault())?;
        for Chosen { subject, item, channel, tag } in languages {
            let language = Language::from_tag(Some(&tag));
            history.languages.entry(subject).or_default().push(plan::Chosen { item, channel, language });
        }
        if pipeline.attention.most_per_week.is_some() {
            let after = today.saturating_sub(WEEK_DAYS.days());
            history.sent = ledger.sent_between(after, today).map_err(|error| error.fault())?;
        }
        for item in pipeline.items.iter().filter(|item| item.late != Late::Send) {
            let known_on = &mut history.known_on;
            let seen = ledger.standings(&item.id, |standing| {
                if standing.state == State::Open {
                    known_on.insert(standing.key, standing.since);
                }
            });
            seen.map_err(|error| error.fault())?;
        }
        Ok(history)
    }

    /// What went to people from the other agencies that share their attention; none where none do.
    pub(super) fn elsewhere(&self) -> Result<Option<Elsewhere>, Fault> {
        let Some(shared) = self.shared()? else { return Ok(None) };
        let after = self.today.saturating_sub(WEEK_DAYS.days());
        let sent = shared.sent_elsewhere(after, self.today).map_err(|error| error.fault())?;
        Ok(Some(Elsewhere { shared, sent }))
    }

    /// Keeps in the plan of some persons what leaves today, by what went to each from here and from other agencies.
    pub(super) fn keep_todays(&self, plan: &mut Plan<'_>, history: &History, elsewhere: Option<&Elsewhere>) {
        let both = elsewhere.map(|elsewhere| elsewhere.beside(plan, &history.sent));
        let sent = both.as_ref().unwrap_or(&history.sent);
        attention::keep(plan, sent, &self.sending_window(), &self.checked.pipeline, self.now_as_of());
    }

    /// Tells the other agencies how many messages are about to go to each person: before the wire, so that a crash
    /// makes nobody's week fuller than it is counted.
    pub(super) fn tell_others(&self, batch: &[Reminder<'_>]) -> Result<(), Fault> {
        let Some(mut shared) = self.shared()? else { return Ok(()) };
        let line = |reminder: &Reminder<'_>| (reminder.key.to_string(), shared.person(&reminder.obligation.subject_id));
        let lines: Vec<(String, String)> = batch.iter().map(line).collect();
        shared.note(self.today, &lines).map_err(|error| error.fault())
    }

    fn shared(&self) -> Result<Option<Shared>, Fault> {
        let pipeline = &self.checked.pipeline;
        let folder = pipeline.attention.shared.as_ref().filter(|_| pipeline.attention.most_per_week.is_some());
        folder.map(|folder| Shared::open(folder, &pipeline.id)).transpose().map_err(|error| error.fault())
    }

    /// Holds what is left where the sending window is closed now, and says until when it waits.
    pub(super) fn hold_for_window<'o>(&mut self, reminders: &mut VecDeque<Reminder<'o>>, plan: &mut Plan<'o>) {
        let Hour::Closed(until) = self.sending_window().at(now()) else { return };
        if reminders.is_empty() {
            return;
        }
        let at = until.to_zoned(vietnam()).strftime("%H:%M").to_string();
        self.report.notes.push(format!("{} reminders wait for {at}, when the sending window opens", reminders.len()));
        for reminder in reminders.drain(..) {
            plan.hold_back(reminder.obligation, Reason::WaitsForWindow);
        }
    }

    /// An instant to wait for, or the one at which the sending window closes, if that comes first.
    pub(super) fn or_closing(&self, at: Timestamp) -> Timestamp {
        match self.sending_window().at(now()) {
            Hour::Open(Some(until)) => at.min(until),
            _ => at,
        }
    }

    /// The agency as one letter names it: where people refuse is the recipient's own link, if somebody answers there.
    pub(super) fn agency_to<'s>(&'s self, reminder: &Reminder<'_>) -> Result<Cow<'s, Agency>, Fault> {
        self.agency_for(reminder, Some(reminder.item.id.as_str()))
    }

    /// The agency as a letter of several names it: its link refuses every item by this channel.
    pub(super) fn agency_to_all(&self, reminder: &Reminder<'_>) -> Result<Cow<'_, Agency>, Fault> {
        self.agency_for(reminder, None)
    }

    fn agency_for(&self, reminder: &Reminder<'_>, item: Option<&str>) -> Result<Cow<'_, Agency>, Fault> {
        let pipeline = &self.checked.pipeline;
        let Some(serve) = &pipeline.serve else { return Ok(Cow::Borrowed(&pipeline.agency)) };
        let links = Links::new(&self.key, &serve.base_url);
        let link = match (&reminder.channel.kind, item) {
            // Every character of a text message is paid for.
            (ChannelKind::Sms(_), Some(_)) => links.brief(&reminder.key),
            _ => links.refuse(&reminder.subject, item, Some(reminder.channel.name()), self.today),
        };
        let refuse = link.map_err(|error| error.fault())?;
        Ok(Cow::Owned(Agency { refuse, ..pipeline.agency.clone() }))
    }

    /// Says how the requests of data subjects stand: which are open, and which past their day.
    pub(super) fn tell_requests(&mut self, ledger: &Ledger) -> Result<(), Fault> {
        let today = self.today;
        let requests = ledger.requests(today).map_err(|error| error.fault())?;
        let open = requests.iter().filter(|request| request.is_open());
        let late = open.clone().filter(|request| request.is_late(today)).count();
        let Some(next) = open.clone().filter_map(|request| request.next_on()).min() else { return Ok(()) };
        let late = if late > 0 { format!("; {late} past their day") } else { String::new() };
        let count = open.count();
        self.report.notes.push(format!(
            "{count} requests under the data law are open, the first due on {next}{late}: see `chudong preferences requests`"
        ));
        Ok(())
    }

    /// When the sending window closes; none where it never does.
    pub(super) fn window_end(&self) -> Option<Timestamp> {
        match self.sending_window().at(now()) {
            Hour::Open(until) => until,
            Hour::Closed(_) => Some(now()),
        }
    }

    fn sending_window(&self) -> Window {
        Window::of(&self.checked.pipeline, self.today)
    }
}
