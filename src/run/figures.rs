//! Step four: close months, draw once, release, publish.
//!
//! A month is drawn once, or in the two parts that the policy declares. With the first part alone its edition is
//! preliminary, with both it is final; a preliminary edition stays on the shelf as it was.

use std::path::Path;

use super::build::Built;
use super::made::{MadeFrom, made_from, name_of, stored};
use super::{Night, shelf};
use crate::check::Checked;
use crate::disclosure::exact::Closing;
use crate::disclosure::gate::Invariant;
use crate::disclosure::{self, Draws, Edition, Month, Part, Period, Released, Request, closed_months};
use crate::fault::{Explain, Fault, Place};
use crate::ledger::{Ledger, Publication, Reservation};
use crate::pipeline::{Counted, PrivacyPolicy, Rho, add_rho};
use crate::publication::gates::{self, Examined};
use crate::publication::{self, Labels};
use crate::report::{FaultLine, ReleaseLine};
use crate::world::World;
use crate::{quality, satisfaction};

impl Night<'_> {
    /// Draws each closed month once, releases months and whole quarters, and puts them on the shelf.
    pub(super) fn publish(&mut self, ledger: &mut Ledger, built: &Built) -> Result<(), Fault> {
        let Some(policy) = self.checked.pipeline.privacy.as_ref() else { return Ok(()) };
        let mut shown = Vec::new();
        let mut waiting = Vec::new();
        let mut is_whole = true;
        for month in months(policy, self) {
            let stored = stored(ledger, month)?;
            if stored.iter().all(|draws| self.fits(policy, draws)) {
                let is_missing = |part: &Part| !stored.iter().any(|draws| draws.part() == *part);
                let due = Part::of(policy).iter().filter(|part| part.is_due(policy, month, self.as_of));
                waiting.extend(due.copied().filter(is_missing).map(|part| (month, part)));
                shown.extend(stored);
                continue;
            }
            // What was begun under one policy is not finished under another.
            is_whole = false;
            if stored.iter().any(|draws| draws.policy() == policy.policy && !self.fits(policy, draws)) {
                self.report.faults.push(FaultLine::from(&policy_changed(&self.checked.pipeline.path, policy)));
                return self.keep(ledger);
            }
        }
        self.tell_late_records(built, policy, &shown)?;
        for (month, part) in waiting {
            let has_first = shown.iter().any(|draws: &Draws| draws.month() == month && draws.part() == Part::First);
            if part == Part::Second && !has_first {
                continue;
            }
            self.world.progress.step(format!("closing {month}"));
            shown.extend(self.draw(ledger, built, policy, (month, part))?);
        }
        shown.sort_by_key(|draws| (draws.month(), draws.part()));
        let made_from = made_from(&shown);
        let released = self.release(policy, &made_from)?;
        let labels = shelf::labels(self.checked)?;
        self.tend_shelf(ledger, &labels)?;
        let examined = gates::examine(&released).map_err(|error| error.fault())?;
        for made in &made_from {
            self.put(ledger, policy, (&released, &examined), made, &labels)?;
        }
        for first in shown.iter().filter(|draws| draws.part() == Part::First) {
            self.keep_preliminary(ledger, policy, first, &labels)?;
        }
        let is_made = |period: &str| made_from.iter().any(|(made, _, _)| made.to_string() == period);
        for (period, _) in ledger.spent().map_err(|error| error.fault())? {
            // A run for an earlier day must not take later months off the page.
            is_whole &= is_made(&period) || ledger.publication(&period).map_err(|error| error.fault())?.is_none();
        }
        if is_whole {
            let exact = super::exact::on_the_shelf(ledger)?;
            let mut shown = self.shown(ledger, &released)?;
            shown.extend(&exact);
            publication::page(&self.world.published(), &shown, &labels).map_err(|error| error.fault())?;
        } else {
            self.report.notes.push(
                "The page was left as it is: it shows months that this run does not, of a later day or an earlier policy."
                    .into(),
            );
        }
        self.publish_weeks(ledger, built, policy, &labels)?;
        self.catalogue(ledger, &labels)
    }

    fn fits(&self, policy: &PrivacyPolicy, draws: &Draws) -> bool {
        let pipeline = &self.checked.pipeline;
        disclosure::fits(draws, policy, &pipeline.unit, &pipeline.procedure_groups).is_ok()
    }

    /// Publishes nothing new; only proves that what was published is as it was.
    fn keep(&mut self, ledger: &Ledger) -> Result<(), Fault> {
        for (period, _) in ledger.spent().map_err(|error| error.fault())? {
            if let Some(known) = ledger.publication(&period).map_err(|error| error.fault())? {
                publication::is_frozen(&self.world.published(), &period, &known.files)
                    .map_err(|error| error.fault())?;
            }
        }
        Ok(())
    }

    /// Says of which published months the records have changed since; the figures stay.
    fn tell_late_records(&mut self, built: &Built, policy: &PrivacyPolicy, shown: &[Draws]) -> Result<(), Fault> {
        let mut changed = Vec::new();
        // What comes late after a first part is what the second is for.
        for draws in shown.iter().filter(|draws| draws.part() != Part::First) {
            let Some(request) = self.request(built, policy, (draws.month(), draws.part()))? else { return Ok(()) };
            if draws.release_id() != request.release_id() {
                changed.push(draws.month().to_string());
            }
        }
        if !changed.is_empty() {
            self.report.notes.push(format!(
                "Records changed after their month was published ({}); what was published stays as it is.",
                changed.join(", ")
            ));
        }
        Ok(())
    }

    /// Draws a part of a month that was never drawn. None when a person must look first.
    fn draw(
        &mut self,
        ledger: &mut Ledger,
        built: &Built,
        policy: &PrivacyPolicy,
        (month, part): (Month, Part),
    ) -> Result<Option<Draws>, Fault> {
        let stale = self.stale(Some(ledger), built, month)?;
        let request = match self.request(built, policy, (month, part))? {
            Some(request) if stale.is_empty() => request,
            Some(_) => {
                self.report.notes.push(format!(
                    "{month} is not drawn: the ratings or the dossiers end before the month does, as if a file were cut short"
                ));
                self.hold_for(ledger, &month.to_string(), &stale)?;
                return Ok(None);
            }
            // The source failed, which is a fault of its own, or a check holds it.
            None => {
                if is_held(built) {
                    self.hold(month);
                }
                return Ok(None);
            }
        };
        self.tell_left_out(&request, month);
        let edition = if part == Part::First { Edition::Preliminary } else { Edition::Final };
        self.refuse_drawn_before(ledger, &edition.folder(Period::Month(month)))?;
        let ids = (request.release_id(), request.spec_id());
        let reservation = ledger
            .reserve(&self.run, &name_of(month, part), ids, &policy.policy, request.cost(), policy.rho_cap)
            .map_err(|error| error.fault())?;
        match reservation {
            Reservation::Stored(release) | Reservation::Changed(release) => {
                Draws::from_bytes(&release.draws).map(Some).map_err(|error| error.fault())
            }
            Reservation::Reserved { attempt } => {
                let draws = request.draw().map_err(|error| error.fault())?;
                let bytes = draws.to_bytes().map_err(|error| error.fault())?;
                ledger.store_draws(&self.run, request.release_id(), attempt, &bytes).map_err(|error| error.fault())?;
                self.spent.push((month.to_string(), request.cost()));
                Ok(Some(draws))
            }
            Reservation::Refused { spent } => {
                self.refuse_period(policy, Period::Month(month), spent);
                Ok(None)
            }
        }
    }

    /// Refuses to draw what stands on the shelf already: the ledger is older than the shelf, and another noise beside the
    /// one that was shown would tell more than the budget counts.
    pub(super) fn refuse_drawn_before(&self, ledger: &Ledger, name: &str) -> Result<(), Fault> {
        let place = self.world.published().join(name);
        let is_known = ledger.publication(name).map_err(|error| error.fault())?.is_some();
        if is_known || std::fs::symlink_metadata(&place).is_err() {
            return Ok(());
        }
        Err(Fault::new(
            "publication.not-in-ledger",
            Place::file(place),
            format!("{name} stands on the shelf and this ledger knows nothing of it: it is not drawn a second time"),
            "restore the ledger that published it, or drawn.journal with drawn.parts; move the folder away only if it was never public",
        ))
    }

    fn hold(&mut self, month: Month) {
        let line = ReleaseLine { period: month.to_string(), status: "held".into(), ..ReleaseLine::default() };
        self.report.releases.push(line);
    }

    /// Says that a month or a week cannot be drawn for want of budget.
    pub(super) fn refuse_period(&mut self, policy: &PrivacyPolicy, period: Period, spent: Rho) {
        self.report.releases.push(ReleaseLine {
            period: period.to_string(),
            status: "refused".into(),
            rho_spent: "0".into(),
            rho_total: format!("{spent} of {}", policy.rho_cap),
            epsilon: disclosure::epsilon(spent, policy.delta),
            tables: 0,
        });
        self.report.notes.push(format!(
            "{period}: the privacy budget is spent ({spent} of {}) and nothing was stored: a person must decide whether to raise rho_cap",
            policy.rho_cap
        ));
    }

    /// Counts of records that are in no figure: for the agency, which is to mend them.
    fn tell_left_out(&mut self, request: &Request, month: Month) {
        for (what, of) in [("ratings", Counted::Ratings), ("dossiers", Counted::Dossiers)] {
            let Some(left_out) = request.left_out(of) else { continue };
            let reasons = [
                (left_out.incomplete, "incomplete"),
                (left_out.unknown_code, "with a commune or procedure outside the public lists"),
                (left_out.repeated, "repeated"),
            ];
            let told: Vec<String> =
                reasons.iter().filter(|(count, _)| *count > 0).map(|(count, why)| format!("{count} {why}")).collect();
            if !told.is_empty() {
                self.report.notes.push(format!("{month}: {what} not counted: {}", told.join(", ")));
            }
        }
    }

    /// Puts one period on the shelf, or proves that it stands there as it was published.
    pub(super) fn put(
        &mut self,
        ledger: &mut Ledger,
        policy: &PrivacyPolicy,
        (released, examined): (&[Released], &[Examined]),
        (period, edition, draws): &MadeFrom<'_>,
        labels: &Labels,
    ) -> Result<(), Fault> {
        let shelf = self.world.published();
        let name = edition.folder(*period);
        let known = ledger.publication(&name).map_err(|error| error.fault())?;
        let is_frozen = match &known {
            Some(known) => publication::is_frozen(&shelf, &name, &known.files).map_err(|error| error.fault())?,
            None => false,
        };
        let tables: Vec<&Released> = released.iter().filter(|table| table.period() == *period).collect();
        if known.is_none() && self.is_held_by_gates(ledger, examined, (*period, *edition), labels)? {
            return Ok(());
        }
        if !is_frozen {
            self.world.progress.step(format!("publishing {name}"));
            let publication = put_on_shelf(&shelf, &name, &tables, labels)?;
            match known {
                Some(known) if known != publication => return Err(not_what_was_published(&shelf, &name)),
                Some(_) => {}
                None => {
                    let release_ids: Vec<String> = draws.iter().map(|draws| draws.release_id().to_owned()).collect();
                    ledger.mark_published(&self.run, &publication, &release_ids).map_err(|error| error.fault())?;
                }
            }
        }
        self.count((*period, *edition), policy, ledger, tables.len() as u64, !is_frozen)
    }

    /// Proves that a preliminary edition stands as it was published, beside the final one; it is made again from its draws
    /// where its whole folder is gone. One that was never published is not put there after the final one.
    fn keep_preliminary(
        &mut self,
        ledger: &Ledger,
        policy: &PrivacyPolicy,
        first: &Draws,
        labels: &Labels,
    ) -> Result<(), Fault> {
        let shelf = self.world.published();
        let period = Period::Month(first.month());
        let name = Edition::Preliminary.folder(period);
        let Some(known) = ledger.publication(&name).map_err(|error| error.fault())? else { return Ok(()) };
        if publication::is_frozen(&shelf, &name, &known.files).map_err(|error| error.fault())? {
            return Ok(());
        }
        let released = self.release(policy, &[(period, Edition::Preliminary, vec![first])])?;
        let tables: Vec<&Released> = released.iter().collect();
        if put_on_shelf(&shelf, &name, &tables, labels)? == known {
            return Ok(());
        }
        Err(not_what_was_published(&shelf, &name))
    }

    fn request(&self, built: &Built, policy: &PrivacyPolicy, asked: (Month, Part)) -> Result<Option<Request>, Fault> {
        let pipeline = &self.checked.pipeline;
        let (Some(ratings), Some(dossiers)) =
            (built.tables.get(&satisfaction::table()), built.tables.get(&quality::table()))
        else {
            return Ok(None);
        };
        let request =
            Request::new(asked, policy, &pipeline.unit, &pipeline.procedure_groups, ratings, dossiers, &self.key)
                .map_err(|error| error.fault())?;
        let request = request.with_invariants(self.invariants(asked.0));
        let with =
            |request: Request, (of, table)| request.with_provenance(of, self.provenance(built, table, &[asked.0]));
        let tables = [(Counted::Ratings, &satisfaction::table()), (Counted::Dossiers, &quality::table())];
        Ok(Some(tables.into_iter().fold(request, with)))
    }

    /// The exact totals that are published beside the noisy figures of a month, by the policies of tonight.
    pub(super) fn invariants(&self, month: Month) -> Vec<Invariant> {
        let pipeline = &self.checked.pipeline;
        let Some(policy) = &pipeline.exact else { return Vec::new() };
        let (privacy, unit, groups) = (pipeline.privacy.as_ref(), &pipeline.unit, &pipeline.procedure_groups);
        Closing { policy, privacy, unit, groups }.beside(month, &pipeline.indices).invariants
    }

    /// The tables of these editions.
    pub(super) fn release(&self, policy: &PrivacyPolicy, made_from: &[MadeFrom<'_>]) -> Result<Vec<Released>, Fault> {
        let pipeline = &self.checked.pipeline;
        let mut released = Vec::new();
        for (_, _, draws) in made_from {
            let draws: Vec<Draws> = draws.iter().map(|draws| (*draws).clone()).collect();
            let tables = disclosure::release(&draws, policy, &pipeline.unit, &pipeline.procedure_groups)
                .map_err(|error| error.fault())?;
            released.extend(tables);
        }
        Ok(released)
    }

    fn count(
        &mut self,
        (period, edition): (Period, Edition),
        policy: &PrivacyPolicy,
        ledger: &Ledger,
        tables: u64,
        is_new: bool,
    ) -> Result<(), Fault> {
        let name = period.to_string();
        let now = self.spent.iter().find(|(month, _)| *month == name).map_or(Rho::from_integer(0), |(_, cost)| *cost);
        let all = ledger.spent().map_err(|error| error.fault())?;
        // A quarter and a year are of no one month's budget; a week spends its month's.
        let month = match period {
            Period::Week(week) => week.month().to_string(),
            Period::Month(_) | Period::Quarter(_) | Period::Year(_) => name.clone(),
        };
        let total = all.iter().find(|(of, _)| *of == month).map(|(_, rho)| *rho);
        self.report.releases.push(ReleaseLine {
            period: edition.folder(period),
            status: if is_new { "published" } else { "unchanged" }.into(),
            tables,
            // A quarter and a year are computed from their months and cost nothing of their own.
            rho_spent: now.to_string(),
            rho_total: total.map(|total| format!("{total} of {}", policy.rho_cap)).unwrap_or_default(),
            epsilon: total.map_or(0.0, |total| disclosure::epsilon(total, policy.delta)),
        });
        Ok(())
    }

    /// What a run would close tonight, for a plan.
    pub(super) fn foresee(&mut self, ledger: Option<&Ledger>, built: &Built) -> Result<(), Fault> {
        let Some(policy) = self.checked.pipeline.privacy.as_ref() else { return Ok(()) };
        let mut published = 0;
        let spent = match ledger {
            Some(ledger) => ledger.spent().map_err(|error| error.fault())?,
            None => Vec::new(),
        };
        let as_of = self.as_of;
        let due = |month: Month| {
            let parts = Part::of(policy).iter().filter(move |part| part.is_due(policy, month, as_of));
            parts.map(move |part| (month, *part))
        };
        let all: Vec<(Month, Part)> = months(policy, self).into_iter().flat_map(due).collect();
        for (month, part) in all {
            let name = month.to_string();
            let is_stored = match ledger {
                Some(ledger) => stored(ledger, month)?.iter().any(|draws| draws.part() == part),
                None => false,
            };
            if is_stored {
                published += 1;
                continue;
            }
            let Some(request) = self.request(built, policy, (month, part))? else { continue };
            let total = spent.iter().find(|(month, _)| *month == name).map_or(request.cost(), |(_, spent)| {
                add_rho(*spent, request.cost()).unwrap_or(Rho::from_integer(i64::MAX))
            });
            let status = match (self.stale(ledger, built, month)?.is_empty(), total <= policy.rho_cap) {
                (false, _) => "held",
                (true, false) => "refused",
                (true, true) => "would publish",
            };
            self.report.releases.push(ReleaseLine {
                period: name_of(month, part),
                status: status.into(),
                rho_spent: request.cost().to_string(),
                ..ReleaseLine::default()
            });
        }
        self.foresee_weeks(ledger, policy)?;
        if published > 0 {
            self.report.notes.push(format!("{published} months are published already and stay as they are."));
        }
        Ok(())
    }
}

fn months(policy: &PrivacyPolicy, night: &Night<'_>) -> Vec<Month> {
    closed_months(Month::of(policy.first_month), night.as_of, policy.close_after_days)
}

/// Writes the pages anew from what was drawn and decided, once a person has changed what stands on the shelf. They are
/// left for the next night where something was drawn under another policy.
pub(super) fn renew_page(world: &World, checked: &Checked, ledger: &Ledger, labels: &Labels) -> Result<(), Fault> {
    let pipeline = &checked.pipeline;
    let Some(policy) = &pipeline.privacy else { return Ok(()) };
    let mut drawn = Vec::new();
    for (month, _) in ledger.spent().map_err(|error| error.fault())? {
        let month: Month = month.parse().map_err(|error: disclosure::Error| error.fault())?;
        drawn.extend(stored(ledger, month)?);
    }
    let fits = |draws: &Draws| disclosure::fits(draws, policy, &pipeline.unit, &pipeline.procedure_groups).is_ok();
    if !drawn.iter().all(fits) {
        return Ok(());
    }
    drawn.sort_by_key(|draws| (draws.month(), draws.part()));
    let mut released = Vec::new();
    for (_, _, draws) in made_from(&drawn) {
        let draws: Vec<Draws> = draws.into_iter().cloned().collect();
        let tables = disclosure::release(&draws, policy, &pipeline.unit, &pipeline.procedure_groups);
        released.extend(tables.map_err(|error| error.fault())?);
    }
    let exact = super::exact::on_the_shelf(ledger)?;
    let mut shown = shelf::standing(ledger, &released)?;
    shown.extend(&exact);
    publication::page(&world.published(), &shown, labels).map(drop).map_err(|error| error.fault())
}

fn is_held(built: &Built) -> bool {
    built.is_held(&satisfaction::table()) || built.is_held(&quality::table())
}

pub(super) fn policy_changed(path: &Path, policy: &PrivacyPolicy) -> Fault {
    Fault::new(
        "disclosure.policy-changed",
        Place::file(path),
        format!("months were published under {}, which now measures otherwise or over other code lists", policy.policy),
        "give the changed policy a new name under privacy.policy; nothing new is drawn until then",
    )
}

/// Publishes one period, and what was published of it.
fn put_on_shelf(shelf: &Path, period: &str, tables: &[&Released], labels: &Labels) -> Result<Publication, Fault> {
    let published = publication::publish(shelf, tables, labels).map_err(|error| error.fault())?;
    Ok(self::publication(period, &published))
}

/// What the ledger is told of a place of the shelf.
pub(super) fn publication(place: &str, published: &publication::Published) -> Publication {
    let files = published.files.iter().map(|file| (name(&file.path), file.sha256.clone())).collect();
    Publication { period: place.to_owned(), files }
}

fn name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

pub(super) fn not_what_was_published(shelf: &Path, period: &str) -> Fault {
    Fault::new(
        "publication.not-as-recorded",
        Place::file(shelf.join(period)),
        format!("the files of {period} are not those that the ledger says were published"),
        "restore them from a backup: a published period is frozen",
    )
}
