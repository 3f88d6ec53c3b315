//! The last step: the rating system is told of what is published, once, and what it says is written down.

use std::collections::BTreeSet;

use super::Night;
use crate::check::Checked;
use crate::fault::{Explain, Fault, Place};
use crate::ledger::{Ledger, Lock, Receipt};
use crate::pipeline::publication::Push;
use crate::publication;
use crate::push::{Patience, Portal, Snapshot};
use crate::report::FaultLine;
use crate::world::World;

/// Codes with which the portal refuses a unit for now and not for good.
const FOR_NOW: [&str; 2] = ["BUSY", "RETRY_LATER"];

/// What became of one period.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pushed {
    /// `2026-10` or `2026-Q3`.
    pub period: String,
    /// Units whose figures the portal has.
    pub accepted: usize,
    /// Units whose figures it refused, with its code.
    pub rejected: Vec<(String, String)>,
    /// Whether nothing had to be said.
    pub is_known: bool,
    /// Whether it has a complete snapshot and this one is partial: it was not offered.
    pub is_kept: bool,
    /// Whether all that it was told of the period was withdrawn here since.
    pub is_withdrawn: bool,
}

impl Pushed {
    /// Whether the rating system shows what is not published here any more: its messages know no taking back, so that a
    /// person has to ask for it.
    pub fn is_for_a_person(&self) -> bool {
        self.is_kept || self.is_withdrawn
    }

    /// As a sentence.
    pub fn text(&self) -> String {
        let period = &self.period;
        if self.is_withdrawn {
            return format!(
                "{period}: the rating system still has what was withdrawn here; ask its operator to take it back, since no \
                 message does"
            );
        }
        let refused: BTreeSet<&str> = self.rejected.iter().map(|(_, code)| code.as_str()).collect();
        let refused = refused.into_iter().collect::<Vec<_>>().join(", ");
        match (self.is_kept, self.rejected.len(), self.is_known) {
            (true, _, _) => format!(
                "{period}: the rating system keeps its complete snapshot; what is published now is partial and was \
                 not sent; ask its operator to take back what was withdrawn"
            ),
            (_, 0, true) => format!("{period}: the rating system has it"),
            (_, 0, false) => format!("{period}: the rating system took {} units", self.accepted),
            (_, many, _) => {
                format!("{period}: the rating system has {} units and refuses {many} ({refused})", self.accepted)
            }
        }
    }
}

/// Tells the rating system what it does not know yet of all published periods.
///
/// # Errors
///
/// Where nothing is configured, or the ledger cannot be written. What goes wrong with one period is beside the others.
pub async fn push(world: &World, checked: &Checked, patience: Patience) -> Result<(Vec<Pushed>, Vec<Fault>), Fault> {
    let Some(push) = &checked.pipeline.push else {
        let next = "add the table [push]: url, token_url, client_id, client_secret and department";
        let what = "the pipeline names no rating system";
        return Err(Fault::new("push.none", Place::file(&checked.pipeline.path), what, next));
    };
    Ledger::read(&world.state).map_err(|error| error.fault())?;
    let _lock = Lock::take(&world.state).map_err(|error| error.fault())?;
    super::refuse_broken(world)?;
    let mut ledger = Ledger::open(&world.state, &checked.pipeline.id).map_err(|error| error.fault())?;
    let told = tell_all(world, checked, push, &mut ledger, "-", patience).await;
    ledger.anchor().map_err(|error| error.fault())?;
    told
}

impl Night<'_> {
    /// Tells the rating system what was published; what fails is a fault of this run and told by the next.
    pub(super) async fn push(&mut self, ledger: &mut Ledger) -> Result<(), Fault> {
        let Some(push) = &self.checked.pipeline.push else { return Ok(()) };
        self.world.progress.step("telling the rating system".to_owned());
        let told = tell_all(self.world, self.checked, push, ledger, &self.run, Patience::default()).await;
        let (pushed, faults) = told?;
        self.report.faults.extend(faults.iter().map(FaultLine::from));
        let is_news = |pushed: &&Pushed| !pushed.is_known || pushed.is_for_a_person() || !pushed.rejected.is_empty();
        self.report.notes.extend(pushed.iter().filter(is_news).map(Pushed::text));
        Ok(())
    }
}

async fn tell_all(
    world: &World,
    checked: &Checked,
    push: &Push,
    ledger: &mut Ledger,
    run: &str,
    patience: Patience,
) -> Result<(Vec<Pushed>, Vec<Fault>), Fault> {
    let places = ledger.published_places().map_err(|error| error.fault())?;
    let periods = places.iter().filter_map(|(_, place)| publication::period_of(&place.period));
    // The rating system asks for months, quarters and years.
    let periods: BTreeSet<String> = periods.filter(|period| !period.contains("-w")).collect();
    let communes: Vec<String> = checked.pipeline.unit.communes.iter().map(|commune| commune.code.clone()).collect();
    let (mut pushed, mut faults) = (Vec::new(), Vec::new());
    let mut portal = None;
    for period in periods {
        let standing = publication::standing(&world.published(), &period).map_err(|error| error.fault())?;
        let Some(standing) = standing else {
            let known = ledger.what_was_told(&period).map_err(|error| error.fault())?.unwrap_or_default();
            if !known.accepted.is_empty() {
                pushed.push(Pushed { period, accepted: known.accepted.len(), is_withdrawn: true, ..Pushed::default() });
            }
            continue;
        };
        let snapshot = Snapshot::of(&standing, &push.department, &communes).map_err(|error| error.fault())?;
        match tell(push, &mut portal, ledger, run, &snapshot, patience).await? {
            Ok(told) => pushed.push(told),
            Err(error) => {
                let is_of_all = matches!(
                    error,
                    crate::push::Error::Secret(_)
                        | crate::push::Error::Authority { .. }
                        | crate::push::Error::Service { .. }
                        | crate::push::Error::Token { .. }
                        | crate::push::Error::NoAnswer { .. }
                        | crate::push::Error::Later { .. }
                );
                faults.push(error.fault());
                // What would be the same for each is said once.
                if is_of_all {
                    break;
                }
            }
        }
    }
    Ok((pushed, faults))
}

/// Tells one period. The outer error is the ledger's, the inner one the portal's.
async fn tell(
    push: &Push,
    portal: &mut Option<Portal>,
    ledger: &mut Ledger,
    run: &str,
    snapshot: &Snapshot,
    patience: Patience,
) -> Result<Result<Pushed, crate::push::Error>, Fault> {
    let period = snapshot.period();
    let mut known = ledger.what_was_told(period).map_err(|error| error.fault())?.unwrap_or_default();
    if known.digest != snapshot.digest() {
        (known.accepted, known.rejected) = Default::default();
    }
    let all: BTreeSet<String> = snapshot.units().cloned().collect();
    let for_good = |unit: &String| known.rejected.get(unit).is_some_and(|code| !FOR_NOW.contains(&code.as_str()));
    let units: Vec<String> =
        all.iter().filter(|unit| !known.accepted.contains(*unit) && !for_good(unit)).cloned().collect();
    let rejected: Vec<(String, String)> = known.rejected.clone().into_iter().collect();
    let mut told = Pushed {
        period: period.to_owned(),
        accepted: known.accepted.len(),
        rejected,
        is_known: true,
        ..Pushed::default()
    };
    if !snapshot.is_complete() && known.has_complete {
        return Ok(Ok(Pushed { is_kept: known.digest != snapshot.digest(), ..told }));
    }
    if units.is_empty() {
        return Ok(Ok(told));
    }
    if portal.is_none() {
        match Portal::open(push, patience) {
            Ok(open) => *portal = Some(open),
            Err(error) => return Ok(Err(error)),
        }
    }
    let Some(portal) = portal else { return Ok(Ok(told)) };
    let key = snapshot.idempotency_key(&units);
    // Nothing is told without an entry that says so before it leaves.
    ledger.announce(run, period, snapshot.digest(), &key, &units).map_err(|error| error.fault())?;
    let taken = match portal.tell(snapshot, &units).await {
        Ok(taken) => taken,
        Err(error) => return Ok(Err(error)),
    };
    known.accepted.extend(taken.accepted.iter().cloned());
    taken.accepted.iter().for_each(|unit| drop(known.rejected.remove(unit)));
    known.rejected.extend(taken.rejected.iter().cloned());
    let is_complete = snapshot.is_complete() && known.accepted == all;
    let receipt = Receipt { receipt: taken.receipt, accepted: taken.accepted, rejected: taken.rejected, is_complete };
    ledger.acknowledged(run, period, &key, &receipt).map_err(|error| error.fault())?;
    told.accepted = known.accepted.len();
    told.rejected = known.rejected.into_iter().collect();
    Ok(Ok(Pushed { is_known: false, ..told }))
}
