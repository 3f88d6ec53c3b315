//! Dossiers that people confirmed and that are not handed in: their persons are told, once, and the clerk is given a list.
//!
//! A person who confirmed relies on it. Where a dossier is held, refused or withdrawn, they are written to as of anything
//! else, by the outbox and within the same budget; only where they have died is nobody written to. What is due no longer
//! is not among tonight's obligations: whose it was is read from the sealed dossier.

use std::collections::{BTreeMap, HashMap, HashSet};

use jiff::ToSpan;
use jiff::civil::Date;

use super::Night;
use super::build::Built;
use super::leaving::dossiers;
use crate::fault::{Explain, Fault};
use crate::ledger::submissions::Stage;
use crate::ledger::{ConfirmedDossier, Ledger, Objection};
use crate::obligations::{Facts, Obligation};
use crate::personal::{Digest, Personal};
use crate::pipeline::Item;
use crate::reminders::plan::{History, Plan, Reason, Unfiled, WhyUnfiled};
use crate::report::FaultLine;

/// For how many days what a clerk withdrew is kept so that its person can be told.
const KEPT_DAYS: i64 = 7;

/// So many dossiers are named in a report; the others are in the ledger's list.
const NAMED: usize = 50;

/// A dossier that was confirmed and is not handed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NotFiled {
    dossier: String,
    item: String,
    due_on: Date,
    /// None where the person has died: nobody is told.
    why: Option<WhyUnfiled>,
    /// Whether a clerk withdrew it, so that it goes once its person has been told.
    is_withdrawn: bool,
    /// The day that tells this occasion from a later one of the same dossier.
    since: Option<Date>,
}

impl NotFiled {
    /// What the person is to learn; none where nobody is told.
    fn unfiled(&self) -> Option<Unfiled> {
        let why = self.why?;
        // It stays the same on every night, and in a ledger that was restored: it is told once.
        let since = self.since.map(|since| since.to_string()).unwrap_or_default();
        Some(Unfiled { why, message: format!("dossier {} of {since} is not handed in: {}", self.dossier, why.word()) })
    }
}

/// Whose obligations are looked up tonight although nothing may be due: the dossier of each, by the obligation's key.
pub(super) type Waiting = HashMap<String, String>;

impl Night<'_> {
    /// Learns which confirmed dossiers have not left, so that their persons are looked up tonight.
    pub(super) fn know_waiting(&mut self, ledger: &Ledger) -> Result<(), Fault> {
        let waiting = ledger.waiting_dossiers().map_err(|error| error.fault())?;
        self.waiting = waiting.into_iter().map(|one| (one.obligation, one.dossier)).collect();
        let withdrawn = ledger.withdrawn_dossiers().map_err(|error| error.fault())?;
        self.waiting.extend(withdrawn.into_iter().map(|(one, _)| (one.obligation, one.dossier)));
        Ok(())
    }

    /// Learns which confirmed dossiers are not handed in, and why.
    pub(super) fn know_unfiled(&mut self, ledger: &Ledger) -> Result<(), Fault> {
        let mut found = BTreeMap::new();
        for one in ledger.waiting_dossiers().map_err(|error| error.fault())? {
            let why = match (one.stage, one.held_for()) {
                (Some(Stage::Refused), _) => Some(WhyUnfiled::Refused),
                (_, Some(Objection::Fulfilled)) => Some(WhyUnfiled::Fulfilled),
                (_, Some(Objection::Withdrawn)) => Some(WhyUnfiled::Gone),
                (_, Some(Objection::Unsourced)) => Some(WhyUnfiled::Unsourced),
                (_, Some(Objection::Deceased)) => None,
                (_, None) => continue,
            };
            let (dossier, item, due_on, since) = (one.dossier, one.item, one.due_on, one.decided_on);
            found.insert(one.obligation, NotFiled { dossier, item, due_on, why, is_withdrawn: false, since });
        }
        for (one, on) in ledger.withdrawn_dossiers().map_err(|error| error.fault())? {
            let why = Some(WhyUnfiled::Withdrawn);
            let (dossier, item, due_on, since) = (one.dossier, one.item, one.due_on, Some(on));
            found.insert(one.obligation, NotFiled { dossier, item, due_on, why, is_withdrawn: true, since });
        }
        self.unfiled = found;
        Ok(())
    }

    /// Of the obligations of messages that only the journal knew, those without a dossier: what was prepared for them is
    /// gone with the ledger that was restored, and the link that their persons have leads nowhere.
    pub(super) fn unlinked(&self, ledger: &Ledger, adopted: Vec<String>) -> Result<HashSet<String>, Fault> {
        let known = ledger.dossiers_of(adopted.iter().map(String::as_str)).map_err(|error| error.fault())?;
        Ok(adopted.into_iter().filter(|obligation| !known.contains_key(obligation)).collect())
    }

    /// Puts into the history what people are to learn about dossiers that are not handed in.
    pub(super) fn with_unfiled(&self, mut history: History) -> History {
        let told = self.unfiled.iter().filter_map(|(obligation, one)| Some((obligation.clone(), one.unfiled()?)));
        history.unfiled.extend(told);
        history
    }

    /// The obligations of waiting dossiers that are not among tonight's: nothing is due any more, and their persons are
    /// known from what they confirmed. They are done as of tonight, so that nobody is reminded of them.
    pub(super) fn absent(&mut self, built: &Built, all: &[(&Item, Vec<Obligation>)]) -> Vec<Obligation> {
        if self.waiting.is_empty() {
            return Vec::new();
        }
        let mut missing = self.waiting.clone();
        for found in all.iter().flat_map(|(_, found)| found) {
            missing.remove(found.key.as_str());
        }
        let opened = if missing.is_empty() { Ok(Vec::new()) } else { self.opened_absent(built, &missing) };
        opened.unwrap_or_else(|fault| {
            self.report.faults.push(FaultLine::from(&fault));
            Vec::new()
        })
    }

    fn opened_absent(&self, built: &Built, missing: &Waiting) -> Result<Vec<Obligation>, Fault> {
        let ledger = Ledger::read(&self.world.state).map_err(|error| error.fault())?;
        let key = self.world.opening_key().map_err(|error| error.fault())?;
        let mut found = Vec::new();
        for dossier in missing.values() {
            let Some(kept) = ledger.dossier(dossier).map_err(|error| error.fault())? else { continue };
            let parts = ledger.confirmed_parts(dossier).map_err(|error| error.fault())?;
            let (Ok(of), due_on, item) = (kept.obligation.parse::<Digest>(), kept.due_on, kept.item.clone()) else {
                continue;
            };
            // Of an item that could not be computed tonight nothing is known.
            if parts.is_empty() || !built.is_told(&item) {
                continue;
            }
            let confirmed = super::dossiers::open(&ledger, &key, &ConfirmedDossier { dossier: kept, parts })?;
            found.push(Obligation {
                key: of,
                item: item.into(),
                subject_id: Personal::new(confirmed.identity_number.reveal().as_str().into()),
                due_on,
                fulfilled_on: Some(self.as_of.date()),
                rule_version: "".into(),
                facts: Facts::default(),
            });
        }
        Ok(found)
    }

    /// Lists the dossiers that are not handed in, with what becomes of telling their persons, and lets go of those that
    /// were withdrawn and told of. `telling` are the obligations of those who were to be written to tonight.
    pub(super) fn list_unfiled(
        &mut self,
        ledger: &mut Ledger,
        plan: &Plan<'_>,
        telling: &HashSet<Digest>,
    ) -> Result<(), Fault> {
        let (mut lines, mut gone) = (Vec::new(), Vec::new());
        for (obligation, one) in &self.unfiled {
            let Ok(key) = obligation.parse::<Digest>() else { continue };
            let untold = plan.untold.get(&key).copied();
            let held = plan.unsent.get(&key).map(|(_, reason)| *reason).filter(|_| telling.contains(&key)).or(untold);
            let is_old = one.since.is_some_and(|since| since < self.today.saturating_sub(KEPT_DAYS.days()));
            let is_over = is_old || matches!(held, Some(Reason::AlreadySent | Reason::Deceased));
            if one.is_withdrawn && is_over {
                gone.push(one.dossier.clone());
                continue;
            }
            let told = match held {
                _ if one.why.is_none() => "nobody is written to".to_owned(),
                Some(Reason::AlreadySent) => "its person was told".to_owned(),
                Some(reason) => format!("its person is not told: {}", reason.words()),
                None if telling.contains(&key) => "its person is written to".to_owned(),
                None => "its person could not be looked up tonight".to_owned(),
            };
            lines.push(format!("{} of {}, due on {}: {}; {told}", one.dossier, one.item, one.due_on, words(one.why)));
        }
        let count = lines.len();
        lines.truncate(NAMED);
        if count > 0 {
            let more = if count > NAMED { ", of which these are the first" } else { "" };
            self.report.notes.push(format!("{} confirmed and not handed in{more}:", dossiers(count)));
            self.report.notes.extend(lines.into_iter().map(|line| format!("  {line}")));
        }
        let erased = ledger.forget_withdrawn(&self.run, &gone).map_err(|error| error.fault())?;
        if erased > 0 {
            self.report
                .notes
                .push(format!("{} erased: a clerk withdrew them, and their persons know", dossiers(erased)));
        }
        Ok(())
    }
}

/// The obligations of those who are written to tonight about a dossier that is not handed in.
pub(super) fn telling(plan: &Plan<'_>) -> HashSet<Digest> {
    let unfiled = plan.reminders.iter().filter(|reminder| reminder.unfiled.is_some());
    unfiled.map(|reminder| reminder.obligation.key).collect()
}

/// Why a dossier is not handed in, for a clerk.
fn words(why: Option<WhyUnfiled>) -> &'static str {
    match why {
        Some(WhyUnfiled::Fulfilled) => "a register says that the duty is done",
        Some(WhyUnfiled::Gone) => "registers no longer say that there is anything to do",
        Some(WhyUnfiled::Refused) => "the portal refused it",
        Some(WhyUnfiled::Unsourced) => "the code of its procedure has no source: take it on paper",
        Some(WhyUnfiled::Withdrawn) => "a clerk withdrew it",
        None => "a register says that the person has died",
    }
}
