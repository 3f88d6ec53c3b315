//! What becomes of published tables: held for a person, restated, withdrawn; and the catalogue that is written last.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::Night;
use super::build::Built;
use crate::calendar::AsOf;
use crate::check::Checked;
use crate::disclosure::{self, Draws, Edition, Month, Period, Released};
use crate::fault::{Explain, Fault, Place};
use crate::ledger::{Amendment, Ledger, Lock, Publication, Withdrawn};
use crate::publication::gates::{self, Concern, Examined};
use crate::publication::{self, Issued, Labels, Restated, Restatement, Withdrawal};
use crate::report::{CheckLine, ReleaseLine};
use crate::tables::TableName;
use crate::world::World;

/// The words beside figures, and the key that signs their checksums where the pipeline names one.
pub(super) fn labels(checked: &Checked) -> Result<Labels, Fault> {
    let labels = Labels::from(&checked.pipeline);
    match &checked.pipeline.publication.signing_key {
        None => Ok(labels),
        Some(key) => {
            let key = key.resolve().map_err(|error| error.fault())?;
            labels.signed_with(key.reveal()).map_err(|error| error.fault())
        }
    }
}

impl Night<'_> {
    /// What makes a month too stale to be drawn, in working days; empty when it may be, or when a person said so.
    pub(super) fn stale(&self, ledger: Option<&Ledger>, built: &Built, month: Month) -> Result<Vec<Concern>, Fault> {
        let concerns = stale(self.checked, built, month)?;
        let passed = match ledger {
            Some(ledger) => ledger.may_pass(&month.to_string()).map_err(|error| error.fault())?,
            None => BTreeSet::new(),
        };
        Ok(concerns.into_iter().filter(|concern| !passed.contains(&concern.to_string())).collect())
    }

    /// Whether a period waits for a person: the gates found something, and nobody has let just that pass.
    pub(super) fn is_held_by_gates(
        &mut self,
        ledger: &mut Ledger,
        examined: &[Examined],
        (period, edition): (Period, Edition),
        labels: &Labels,
    ) -> Result<bool, Fault> {
        let folder = edition.folder(period);
        let name = period.to_string();
        let (tables, earlier): (Vec<Examined>, Vec<Examined>) =
            examined.iter().cloned().partition(|table| table.period == name);
        let bounds = self.checked.pipeline.publication.gates;
        let concerns = gates::concerns(&tables, &earlier, labels, &bounds).map_err(|error| error.fault())?;
        let passed = ledger.may_pass(&folder).map_err(|error| error.fault())?;
        if concerns.iter().all(|concern| passed.contains(&concern.to_string())) {
            return Ok(false);
        }
        self.hold_for(ledger, &folder, &concerns)?;
        Ok(true)
    }

    /// Holds a period, says why, and writes it down.
    pub(super) fn hold_for(&mut self, ledger: &mut Ledger, period: &str, concerns: &[Concern]) -> Result<(), Fault> {
        let texts: BTreeSet<String> = concerns.iter().map(Concern::to_string).collect();
        ledger.hold_release(&self.run, period, &texts).map_err(|error| error.fault())?;
        let fault = held(period, &texts);
        self.report.checks.push(CheckLine {
            check: fault.code.into(),
            severity: "hold".into(),
            rows: concerns.len() as u64,
            about: format!("{}: {}", fault.what, texts.into_iter().collect::<Vec<_>>().join("; ")),
        });
        self.report.notes.push(format!("{period} is held: {}", fault.next));
        let line = ReleaseLine { period: period.to_owned(), status: "held".into(), ..ReleaseLine::default() };
        self.report.releases.push(line);
        Ok(())
    }

    /// Completes withdrawals that were cut off, then proves that every place of the shelf is as it was recorded.
    pub(super) fn tend_shelf(&self, ledger: &Ledger, labels: &Labels) -> Result<(), Fault> {
        let shelf = self.world.published();
        let newest: BTreeMap<String, Withdrawn> = withdrawals(ledger)?;
        for (_, place) in ledger.published_places().map_err(|error| error.fault())? {
            let proven = publication::is_frozen(&shelf, &place.period, &place.files);
            match newest.get(&place.period) {
                Some(withdrawn) if !matches!(proven, Ok(true)) => {
                    let removal = publication::withdraw(&shelf, &withdrawal(withdrawn)?, labels);
                    removal.and_then(|removal| removal.apply(&shelf)).map_err(|error| error.fault())?;
                    publication::is_frozen(&shelf, &place.period, &place.files).map_err(|error| error.fault())?;
                }
                // A whole period that is gone is made again; what a person decided is not.
                _ if place.period.contains('/') && matches!(proven, Ok(false)) => {
                    return Err(super::figures::not_what_was_published(&shelf, &place.period));
                }
                _ => drop(proven.map_err(|error| error.fault())?),
            }
        }
        Ok(())
    }

    /// The tables that the page may show: of published periods, and not withdrawn.
    pub(super) fn shown<'r>(&self, ledger: &Ledger, released: &'r [Released]) -> Result<Vec<&'r Released>, Fault> {
        standing(ledger, released)
    }

    /// Writes the catalogue and the checksums of the whole shelf: the last thing that touches it.
    pub(super) fn catalogue(&self, ledger: &Ledger, labels: &Labels) -> Result<(), Fault> {
        catalogue(self.world, ledger, labels)
    }
}

/// The tables that stand on the shelf and were not withdrawn.
pub(super) fn standing<'r>(ledger: &Ledger, released: &'r [Released]) -> Result<Vec<&'r Released>, Fault> {
    let published = ledger.published_places().map_err(|error| error.fault())?;
    let places: BTreeSet<String> = published.into_iter().map(|(_, place)| place.period).collect();
    let withdrawn = ledger.withdrawals().map_err(|error| error.fault())?;
    let is_withdrawn = |table: &Released| {
        let folder = table.folder();
        withdrawn.iter().any(|gone| gone.place == folder && gone.amendment.table == table.name())
    };
    let is_shown = |table: &&Released| places.contains(&table.folder()) && !is_withdrawn(table);
    Ok(released.iter().filter(is_shown).collect())
}

fn held(period: &str, concerns: &BTreeSet<String>) -> Fault {
    let what = match concerns.len() {
        1 => format!("{period} is not published, since something in it is not as it should be"),
        many => format!("{period} is not published, since {many} things in it are not as they should be"),
    };
    let next =
        format!("look at it; `chudong release {period} --reason ...` lets it pass, and the next run publishes it");
    Fault::new("publish.held", Place::Thing(format!("period {period}")), what, next)
}

/// Sources whose records end too many working days before the month does.
fn stale(checked: &Checked, built: &Built, month: Month) -> Result<Vec<Concern>, Fault> {
    let Some(reach) = built.tables.get(&TableName::new("quality", "reach")) else {
        return Ok(vec![Concern { check: "stale", about: "quality.reach".into(), what: "it was not computed".into() }]);
    };
    let end = month.last_day();
    let working = checked.pipeline.calendar.known_on(end);
    let mut concerns = Vec::new();
    for (source, column) in [("ratings", "ratings_until"), ("dossiers", "dossiers_until")] {
        let until = reach.dates(column).map_err(|error| error.fault())?.first().copied().flatten();
        concerns.extend(gates::stale(source, until, end, &working, &checked.pipeline.publication.gates));
    }
    Ok(concerns)
}

/// The newest withdrawal from each place: it is what the place was last told to be.
fn withdrawals(ledger: &Ledger) -> Result<BTreeMap<String, Withdrawn>, Fault> {
    let all = ledger.withdrawals().map_err(|error| error.fault())?;
    Ok(all.into_iter().map(|withdrawn| (withdrawn.place.clone(), withdrawn)).collect())
}

fn withdrawal(withdrawn: &Withdrawn) -> Result<Withdrawal, Fault> {
    let amendment = &withdrawn.amendment;
    let unread = |_| {
        let place = Place::Thing("ledger".into());
        let what = format!("the day of the withdrawal from {} cannot be read", withdrawn.place);
        Fault::new("ledger.broken", place, what, "run `chudong ledger verify`")
    };
    Ok(Withdrawal {
        table: amendment.table.clone(),
        place: withdrawn.place.clone(),
        reason: amendment.reason.clone(),
        withdrawn_on: amendment.on.parse().map_err(unread)?,
        files: withdrawn.before.clone(),
    })
}

fn catalogue(world: &World, ledger: &Ledger, labels: &Labels) -> Result<(), Fault> {
    let places = ledger.published_places().map_err(|error| error.fault())?;
    let issued: Issued = places.into_iter().map(|(day, place)| (place.period, day)).collect();
    publication::catalogue(&world.published(), labels, &issued).map(drop).map_err(|error| error.fault())
}

/// A ledger that is open for a person's decision, and the lock that goes with it.
fn decide(world: &World, checked: &Checked) -> Result<(Lock, Ledger), Fault> {
    // Who has no state folder has nothing to decide, and gets none from here.
    Ledger::read(&world.state).map_err(|error| error.fault())?;
    let lock = Lock::take(&world.state).map_err(|error| error.fault())?;
    super::refuse_broken(world)?;
    let ledger = Ledger::open(&world.state, &checked.pipeline.id).map_err(|error| error.fault())?;
    Ok((lock, ledger))
}

/// A table of a period that a person wants restated or withdrawn, and why.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// `2026-10` or `2026-Q3`.
    pub period: &'a str,
    /// The table.
    pub table: &'a str,
    /// Why; without a person in it.
    pub reason: &'a str,
    /// The system account that asks.
    pub account: &'a str,
}

impl Asked<'_> {
    fn amendment(&self, as_of: AsOf) -> Amendment {
        Amendment {
            table: self.table.to_owned(),
            reason: self.reason.to_owned(),
            on: as_of.to_string(),
            account: self.account.to_owned(),
        }
    }
}

/// Puts a table as disclosure control releases it now beside what was published of it, and records why.
///
/// It is made from the draws that the ledger keeps, so that it costs no privacy: nothing is drawn again.
///
/// # Errors
///
/// Where the period was not published, nothing would change, or the shelf or the ledger cannot be written.
pub fn restate(world: &World, checked: &Checked, as_of: AsOf, asked: Asked<'_>) -> Result<Restated, Fault> {
    let (_lock, mut ledger) = decide(world, checked)?;
    let labels = labels(checked)?;
    let shelf = world.published();
    if ledger.publication(asked.period).map_err(|error| error.fault())?.is_none() {
        return Err(not_published(&shelf, asked));
    }
    let released = released(&ledger, checked, asked.period)?;
    let number = ledger.restatements(asked.period).map_err(|error| error.fault())?.saturating_add(1);
    let restatement = Restatement { table: asked.table, number, reason: asked.reason, restated_on: as_of.date() };
    let restated = publication::restate(&shelf, &released, asked.period, &restatement, &labels);
    let restated = restated.map_err(|error| error.fault())?;
    let publication = super::figures::publication(&restated.place, &restated.published);
    ledger
        .mark_restated(asked.period, &asked.amendment(as_of), &publication, restated.changes)
        .map_err(|error| error.fault())?;
    super::figures::renew_page(world, checked, &ledger, &labels)?;
    catalogue(world, &ledger, &labels)?;
    ledger.anchor().map_err(|error| error.fault())?;
    Ok(restated)
}

/// Takes a table off the shelf in every form it has in a period, and leaves a stone in each place. Gives the places.
///
/// # Errors
///
/// Where the table does not stand there, or the shelf or the ledger cannot be written.
pub fn withdraw(world: &World, checked: &Checked, as_of: AsOf, asked: Asked<'_>) -> Result<Vec<String>, Fault> {
    let (_lock, mut ledger) = decide(world, checked)?;
    let labels = labels(checked)?;
    let shelf = world.published();
    let csv = format!("{}.csv", asked.table);
    // The preliminary edition shows the same records: what is taken back is taken back in every edition.
    let preliminary = format!("{}-preliminary", asked.period);
    let is_of = |place: &Publication| {
        let is_of = |base: &str| place.period == base || place.period.starts_with(&format!("{base}/"));
        let is_there = is_of(asked.period) || is_of(&preliminary);
        is_there && place.files.iter().any(|(name, _)| *name == csv)
    };
    let places = ledger.published_places().map_err(|error| error.fault())?;
    let places: Vec<Publication> = places.into_iter().map(|(_, place)| place).filter(is_of).collect();
    if places.is_empty() {
        return Err(not_published(&shelf, asked));
    }
    let mut done = Vec::new();
    for place in places {
        let withdrawn =
            Withdrawn { place: place.period.clone(), amendment: asked.amendment(as_of), before: place.files };
        let removal =
            publication::withdraw(&shelf, &withdrawal(&withdrawn)?, &labels).map_err(|error| error.fault())?;
        // The ledger first: what a crash leaves undone the next night completes.
        let after = Publication { period: place.period.clone(), files: removal.files().to_vec() };
        ledger.mark_withdrawn(&withdrawn, &after).map_err(|error| error.fault())?;
        removal.apply(&shelf).map_err(|error| error.fault())?;
        done.push(place.period);
    }
    super::figures::renew_page(world, checked, &ledger, &labels)?;
    catalogue(world, &ledger, &labels)?;
    ledger.anchor().map_err(|error| error.fault())?;
    Ok(done)
}

/// Lets a held period pass as it was last held. Gives what was found in it.
///
/// # Errors
///
/// Where the period is not held, or the ledger cannot be written.
pub fn let_pass(
    world: &World,
    checked: &Checked,
    period: &str,
    reason: &str,
    account: &str,
) -> Result<BTreeSet<String>, Fault> {
    let (_lock, mut ledger) = decide(world, checked)?;
    let held = ledger.held_release(period).map_err(|error| error.fault())?;
    let Some(concerns) = held else {
        let place = Place::Thing(format!("period {period}"));
        let next = "name a period that the report of a run says is held";
        return Err(Fault::new("publish.not-held", place, format!("{period} is not held by a gate"), next));
    };
    ledger.let_pass(period, &concerns, reason, account).map_err(|error| error.fault())?;
    ledger.anchor().map_err(|error| error.fault())?;
    Ok(concerns)
}

/// All tables of a period, from the draws that the ledger keeps.
fn released(ledger: &Ledger, checked: &Checked, period: &str) -> Result<Vec<Released>, Fault> {
    let pipeline = &checked.pipeline;
    let Some(policy) = &pipeline.privacy else {
        let next = "restore the table [privacy] under which it was published";
        return Err(Fault::new("publish.no-policy", Place::file(&pipeline.path), "nothing is released here", next));
    };
    let period: Period = period.parse().map_err(|error: disclosure::Error| error.fault())?;
    let (week, weekly) = match period {
        Period::Week(week) => (Some(week.place()), disclosure::weekly(policy)),
        Period::Month(_) | Period::Quarter(_) | Period::Year(_) => (None, None),
    };
    let policy = weekly.as_ref().unwrap_or(policy);
    let mut draws = Vec::new();
    for month in period.months() {
        let stored = ledger.stored_parts(&month.to_string()).map_err(|error| error.fault())?;
        for part in stored {
            let part = Draws::from_bytes(&part.draws).map_err(|error| error.fault())?;
            draws.extend((part.part().week() == week).then_some(part));
        }
    }
    disclosure::release(&draws, policy, &pipeline.unit, &pipeline.procedure_groups).map_err(|error| error.fault())
}

fn not_published(shelf: &Path, asked: Asked<'_>) -> Fault {
    let what = format!("{} is not published for {}", asked.table, asked.period);
    let next = "name a period and a table that stand in the published folder";
    Fault::new("publication.not-published", Place::file(shelf), what, next)
}
