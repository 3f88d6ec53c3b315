//! Weekly increments: each week of a month is drawn once, of its own dossiers, beside the month and from its budget.
//!
//! A week that was published stays as it is, like a month: it is replayed from what was drawn, and a record that comes
//! late is told and changes nothing. The page speaks of months and quarters; weeks are tables on the shelf.

use arrow::array::{Array, AsArray, BooleanArray};
use arrow::compute::{cast, filter_record_batch};
use arrow::datatypes::{DataType, Int64Type};
use jiff::ToSpan;

use super::Night;
use super::build::Built;
use super::made::name_of;
use crate::disclosure::{self, Draws, Edition, Month, Part, Period, Request, Week, closed_weeks};
use crate::fault::{Explain, Fault, Place};
use crate::ledger::{Ledger, Reservation};
use crate::pipeline::{Counted, PrivacyPolicy};
use crate::publication::Labels;
use crate::publication::gates;
use crate::quality;
use crate::report::{FaultLine, ReleaseLine};
use crate::tables::{Table, TableName};

/// How many days before the end of a week the newest dossier may lie: a weekend and a holiday.
const REACH_DAYS: i64 = 3;

impl Night<'_> {
    /// Draws each week that has ended and was never drawn, and puts all weeks on the shelf or proves that they stand there.
    pub(super) fn publish_weeks(
        &mut self,
        ledger: &mut Ledger,
        built: &Built,
        policy: &PrivacyPolicy,
        labels: &Labels,
    ) -> Result<(), Fault> {
        let Some(weekly) = disclosure::weekly(policy) else { return Ok(()) };
        let mut shown: Vec<(Week, Draws)> = Vec::new();
        let mut changed: Vec<String> = Vec::new();
        for week in self.closed_weeks(policy) {
            let name = name_of(week.month(), Part::of_week(week));
            let stored = ledger.stored_release(&name).map_err(|error| error.fault())?;
            let draws = match stored {
                Some(stored) => {
                    let draws = Draws::from_bytes(&stored.draws).map_err(|error| error.fault())?;
                    let pipeline = &self.checked.pipeline;
                    if disclosure::fits(&draws, &weekly, &pipeline.unit, &pipeline.procedure_groups).is_err() {
                        // Under a new name of the policy new weeks are measured, and old ones stay as they are.
                        if draws.policy() == weekly.policy {
                            let fault = super::figures::policy_changed(&pipeline.path, policy);
                            self.report.faults.push(FaultLine::from(&fault));
                            return Ok(());
                        }
                        continue;
                    }
                    let request = self.week_request(built, &weekly, week)?;
                    if request.is_some_and(|request| request.release_id() != draws.release_id()) {
                        changed.push(week.to_string());
                    }
                    draws
                }
                None => match self.draw_week(ledger, built, &weekly, week)? {
                    Some(draws) => draws,
                    None => break,
                },
            };
            shown.push((week, draws));
        }
        if !changed.is_empty() {
            self.report.notes.push(format!(
                "Records changed after their week was published ({}); what was published stays as it is.",
                changed.join(", ")
            ));
        }
        for (week, draws) in &shown {
            let made = (Period::Week(*week), Edition::Final, vec![draws]);
            let released = self.release(&weekly, std::slice::from_ref(&made))?;
            let examined = gates::examine(&released).map_err(|error| error.fault())?;
            self.put(ledger, &weekly, (&released, &examined), &made, labels)?;
        }
        Ok(())
    }

    /// Which weeks a run would draw, for a plan.
    pub(super) fn foresee_weeks(&mut self, ledger: Option<&Ledger>, policy: &PrivacyPolicy) -> Result<(), Fault> {
        let Some(weekly) = disclosure::weekly(policy) else { return Ok(()) };
        let cost = |measure: &crate::pipeline::Measure| {
            disclosure::cost(policy.dossiers_per_person, measure.sigma).map_err(|error| error.fault())
        };
        let costs = weekly.measures.iter().map(cost).collect::<Result<Vec<_>, Fault>>()?;
        let rho = disclosure::total(costs).map_err(|error| error.fault())?;
        for week in self.closed_weeks(policy) {
            let name = name_of(week.month(), Part::of_week(week));
            let stored = ledger.map(|ledger| ledger.stored_release(&name)).transpose();
            if stored.map_err(|error| error.fault())?.flatten().is_none() {
                self.report.releases.push(ReleaseLine {
                    period: week.to_string(),
                    status: "would publish".into(),
                    rho_spent: rho.to_string(),
                    ..ReleaseLine::default()
                });
            }
        }
        Ok(())
    }

    fn closed_weeks(&self, policy: &PrivacyPolicy) -> Vec<Week> {
        let after_days = policy.weekly.as_ref().map_or(0, |weekly| weekly.after_days);
        closed_weeks(Month::of(policy.first_month), self.as_of, after_days)
    }

    /// Draws a week. None when its records are not there yet, or the budget does not hold it.
    fn draw_week(
        &mut self,
        ledger: &mut Ledger,
        built: &Built,
        weekly: &PrivacyPolicy,
        week: Week,
    ) -> Result<Option<Draws>, Fault> {
        let Some(request) = self.week_request(built, weekly, week)? else { return Ok(None) };
        if !reaches(built, week)? {
            self.report.notes.push(format!("{week} is not drawn yet: the dossiers end before it does"));
            return Ok(None);
        }
        self.world.progress.step(format!("closing {week}"));
        self.refuse_drawn_before(ledger, &Edition::Final.folder(Period::Week(week)))?;
        let name = name_of(week.month(), Part::of_week(week));
        let ids = (request.release_id(), request.spec_id());
        let reservation = ledger.reserve(&self.run, &name, ids, &weekly.policy, request.cost(), weekly.rho_cap);
        match reservation.map_err(|error| error.fault())? {
            Reservation::Stored(release) | Reservation::Changed(release) => {
                Draws::from_bytes(&release.draws).map(Some).map_err(|error| error.fault())
            }
            Reservation::Reserved { attempt } => {
                let draws = request.draw().map_err(|error| error.fault())?;
                let bytes = draws.to_bytes().map_err(|error| error.fault())?;
                ledger.store_draws(&self.run, request.release_id(), attempt, &bytes).map_err(|error| error.fault())?;
                self.spent.push((week.to_string(), request.cost()));
                Ok(Some(draws))
            }
            Reservation::Refused { spent } => {
                self.refuse_period(weekly, Period::Week(week), spent);
                Ok(None)
            }
        }
    }

    /// The week's dossiers, bounded and counted; none where the table is not there tonight.
    fn week_request(&self, built: &Built, weekly: &PrivacyPolicy, week: Week) -> Result<Option<Request>, Fault> {
        let pipeline = &self.checked.pipeline;
        let Some(all) = built.tables.get(&quality::weekly_table()) else { return Ok(None) };
        let dossiers = of_week(all, week).map_err(|what| {
            let place = Place::Table(quality::weekly_table().to_string());
            Fault::new("run.weeks", place, what, "correct sql/quality/weekly_dossiers.sql: week is a whole number")
        })?;
        // No day of a rating is known: an increment counts none, and its identity does not depend on any.
        let none = no_ratings();
        let asked = Request::new(week, weekly, &pipeline.unit, &pipeline.procedure_groups, &none, &dossiers, &self.key);
        let request = asked.map_err(|error| error.fault())?.with_invariants(self.invariants(week.month()));
        let provenance = self.provenance(built, &quality::weekly_table(), &[week.month()]);
        Ok(Some(request.with_provenance(Counted::Dossiers, provenance)))
    }
}

/// The rows of a week, whatever their month.
fn of_week(all: &Table, week: Week) -> Result<Table, String> {
    let place = all.schema.index_of("week").map_err(|error| error.to_string())?;
    let mut batches = Vec::with_capacity(all.batches.len());
    for batch in &all.batches {
        let column = batch.columns().get(place).ok_or("a batch has no week")?;
        let weeks = cast(column, &DataType::Int64).map_err(|error| error.to_string())?;
        let weeks = weeks.as_primitive::<Int64Type>();
        let is_it = |row: usize| weeks.is_valid(row) && weeks.value(row) == i64::from(week.place());
        let mask: BooleanArray = (0..weeks.len()).map(|row| Some(is_it(row))).collect();
        batches.push(filter_record_batch(batch, &mask).map_err(|error| error.to_string())?);
    }
    Ok(Table { schema: all.schema.clone(), batches })
}

/// `satisfaction.ratings` without a row.
fn no_ratings() -> Table {
    use arrow::datatypes::{Field, Schema};
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    let int = |name: &str| Field::new(name, DataType::Int64, true);
    let fields = vec![text("month"), text("commune_code"), text("procedure_group"), int("level"), int("ratings")];
    Table { schema: std::sync::Arc::new(Schema::new(fields)), batches: Vec::new() }
}

/// Whether the dossiers speak of days up to the end of the week.
fn reaches(built: &Built, week: Week) -> Result<bool, Fault> {
    let Some(reach) = built.tables.get(&TableName::new("quality", "reach")) else { return Ok(false) };
    let until = reach.dates("dossiers_until").map_err(|error| error.fault())?;
    let enough = week.last_day().saturating_sub(REACH_DAYS.days());
    Ok(until.first().copied().flatten().is_some_and(|until| until >= enough))
}
