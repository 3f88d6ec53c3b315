//! What a night does with confirmed dossiers: hold those that nobody needs any more, hand the others in, say which wait.
//!
//! A decision is not lost in silence: each night says how many dossiers have not left and by which day they have to, and
//! a night in which one waits ends as held.

use std::collections::HashMap;

use jiff::ToSpan;

use super::Night;
use super::build::Built;
use super::leaving::{dossiers, follow, has_sourced_code, opened, submit_confirmed};
use crate::fault::{Explain, Fault};
use crate::ledger::submissions::{Stage, Submission};
use crate::ledger::{Ledger, Objection, WaitingDossier};
use crate::obligations::Obligation;
use crate::reminders::plan::Recipients;
use crate::report::FaultLine;
use crate::submission::{Becomes, Patience, Status};

impl Night<'_> {
    /// Asks the portal what became of dossiers, so that tonight nobody is written to about what is done.
    pub(super) async fn follow_dossiers(&mut self, ledger: &mut Ledger) -> Result<(), Fault> {
        if let Some(terms) = &self.checked.pipeline.submission
            && !ledger.submissions(&[Stage::Filed]).map_err(|error| error.fault())?.is_empty()
        {
            self.world.progress.step("asking the portal about dossiers");
            let key = self.world.sealing_key().map_err(|error| error.fault())?;
            let (heard, fault) = follow(terms, ledger, &self.run, &key, Patience::default()).await?;
            self.report.notes.extend(heard.texts());
            self.report.faults.extend(fault.as_ref().map(FaultLine::from));
        }
        self.know_waiting(ledger)?;
        self.know_settled(ledger)
    }

    /// Hands in what people have confirmed, before anybody is written to about it, and erases what is over.
    pub(super) async fn leave_dossiers(
        &mut self,
        ledger: &mut Ledger,
        built: &Built,
        obligations: &[Obligation],
    ) -> Result<(), Fault> {
        self.hold_dossiers(ledger, built, obligations)?;
        if let Some(terms) = &self.checked.pipeline.submission
            && !ledger.dossiers_to_leave().map_err(|error| error.fault())?.is_empty()
        {
            self.world.progress.step("handing in dossiers");
            let key = self.world.sealing_key().map_err(|error| error.fault())?;
            let (left, faults) = submit_confirmed(
                (terms, &self.checked.pipeline),
                ledger,
                (&self.run, self.today),
                &key,
                Patience::default(),
            )
            .await?;
            self.report.notes.extend(left.texts());
            self.report.faults.extend(faults.iter().map(FaultLine::from));
        }
        let kept_days = i64::from(self.checked.pipeline.retention.dossiers_days);
        let before = self.today.saturating_sub(kept_days.days());
        let gone = ledger.forget_left_dossiers(&self.run, before).map_err(|error| error.fault())?;
        if gone > 0 {
            self.report.notes.push(format!("{} erased: nothing is left to do with them", dossiers(gone)));
        }
        self.tell_waiting_dossiers(ledger)?;
        self.know_unfiled(ledger)?;
        self.know_settled(ledger)
    }

    /// Holds the dossiers of those whose duty is done meanwhile or who have died, and lets go where that is no longer so.
    fn hold_dossiers(&mut self, ledger: &mut Ledger, built: &Built, obligations: &[Obligation]) -> Result<(), Fault> {
        let waiting = ledger.waiting_dossiers().map_err(|error| error.fault())?;
        if waiting.is_empty() {
            return Ok(());
        }
        let people = self.recipients(built)?;
        let seen: HashMap<&str, &Obligation> = obligations
            .iter()
            .filter(|obligation| self.waiting.contains_key(&*obligation.key))
            .map(|obligation| (obligation.key.as_str(), obligation))
            .collect();
        for one in &waiting {
            let died = seen.get(one.obligation.as_str()).and_then(|seen| self.has_died(seen, people.as_ref()));
            let deceased = || Some(Objection::Deceased).filter(|why| died == Some(true) && one.can_be_held_for(*why));
            let objection = deceased().or_else(|| one.objection());
            match (one.held_for(), objection) {
                (Some(held), Some(objection)) if held == objection => {}
                // Where it is not known tonight whether the person lives, what is held stays so.
                (Some(Objection::Deceased), None) if died.is_none() => {}
                (Some(Objection::Unsourced), None) if self.is_unsourced(ledger, one)? => {}
                (Some(_), None) => {
                    ledger.release_dossier(&self.run, &one.dossier).map_err(|error| error.fault())?;
                }
                (None, Some(objection)) => {
                    ledger.hold_dossier(&self.run, one, objection).map_err(|error| error.fault())?;
                }
                // Held for one reason, and now for another: a clerk looks in any case.
                (Some(_), Some(_)) | (None, None) => {}
            }
        }
        Ok(())
    }

    /// Whether the portal still cannot take a dossier that is held for the code of its procedure.
    fn is_unsourced(&self, ledger: &Ledger, one: &WaitingDossier) -> Result<bool, Fault> {
        if self.checked.pipeline.submission.is_none() {
            return Ok(false);
        }
        let key = self.world.opening_key().map_err(|error| error.fault())?;
        let leaving = opened(ledger, &key, &one.dossier)?;
        let is_sourced = |leaving| has_sourced_code(&self.checked.pipeline, ledger, &leaving, &one.basis);
        Ok(!leaving.map_or(Ok(true), is_sourced)?)
    }

    /// Whether registers say that the person of an obligation has died; none where they say nothing of the person.
    fn has_died(&self, obligation: &Obligation, people: Option<&Recipients>) -> Option<bool> {
        let item = self.checked.pipeline.item(&obligation.item)?;
        people?.get(&obligation.subject_id, item.audience).map(|recipient| recipient.is_deceased())
    }

    /// Says how many confirmed dossiers have not left, why, and by which day they have to.
    fn tell_waiting_dossiers(&mut self, ledger: &Ledger) -> Result<(), Fault> {
        let waiting = ledger.waiting_dossiers().map_err(|error| error.fault())?;
        let to_be_done: Vec<&WaitingDossier> =
            waiting.iter().filter(|one| !one.is_printed || !one.may_leave()).collect();
        self.report.waiting_dossiers = to_be_done.len() as u64;
        let count = |is_so: &dyn Fn(&WaitingDossier) -> bool| waiting.iter().filter(|one| is_so(one)).count();
        let held = |why: Objection| count(&|one: &WaitingDossier| one.held_for() == Some(why));
        let how = match &self.checked.pipeline.submission {
            Some(_) => "not handed in to the portal yet: the next run or `chudong submit` tries again",
            None => "to be printed with `chudong submit --paper DIR` and taken to whoever decides",
        };
        let told = [
            (count(&|one| one.may_leave() && !one.is_printed), how),
            (count(&|one| one.may_leave() && one.is_printed), "printed, until a register says that the duty is done"),
            (count(&|one| one.stage == Some(Stage::Refused)), "refused by the portal: a clerk has to look"),
            (held(Objection::Fulfilled), "held for a clerk: a register says that the duty is done"),
            (held(Objection::Withdrawn), "held for a clerk: registers no longer say that there is anything to do"),
            (held(Objection::Deceased), "held for a clerk: a register says that the person has died"),
            (held(Objection::Unsourced), "held for a clerk: the code of the procedure has no source, to be printed"),
        ];
        let told: Vec<String> = told
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, how)| format!("{} {how}", dossiers(count)))
            .collect();
        if let Some(first) = to_be_done.iter().map(|one| one.due_on).min() {
            let count = to_be_done.len();
            let next = "`chudong submit --again DOSSIER` lets one leave that is held or was refused, `--withdraw` none; \
                        `chudong ledger list --kind submission` names them";
            self.report.notes.push(format!(
                "{count} confirmed dossiers have not left, the first is due on {first}: {}; {next}",
                told.join("; ")
            ));
        } else if !told.is_empty() {
            self.report.notes.push(format!("Confirmed dossiers: {}", told.join("; ")));
        }
        Ok(())
    }

    /// Learns which obligations a dossier has settled, and for which one is with whoever decides it: while nothing is
    /// asked of a person, nobody reminds them of what they have done.
    pub(super) fn know_settled(&mut self, ledger: &Ledger) -> Result<(), Fault> {
        self.settled = ledger.settled_by_dossier().map_err(|error| error.fault())?;
        let filed = ledger.submissions(&[Stage::Filed]).map_err(|error| error.fault())?;
        let is_quiet = |one: &Submission| {
            let status = one.status.and_then(|status| Status::from_number(status.into()));
            status.is_none_or(|status| status.becomes() == Becomes::UnderWay)
        };
        self.closed.handed_in = filed.into_iter().filter(is_quiet).map(|one| one.obligation).collect();
        Ok(())
    }
}
