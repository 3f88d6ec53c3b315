//! Step four: close months, draw once, release, publish.

use std::path::Path;

use super::Night;
use super::build::Built;
use crate::disclosure::{self, Draws, Month, Period, Released, Request, closed_months, whole_quarters};
use crate::fault::{Explain, Fault, Place};
use crate::ledger::{Ledger, Publication, Reservation};
use crate::pipeline::{PrivacyPolicy, Rho};
use crate::publication::{self, Labels};
use crate::report::ReleaseLine;
use crate::tables::{Table, TableName};

/// A period, and the draws it is made from.
type MadeFrom = (Period, Vec<String>);

impl Night<'_> {
    /// Draws each closed month once, releases months and whole quarters, and puts them on the shelf.
    pub(super) fn publish(&mut self, ledger: &mut Ledger, built: &Built) -> Result<(), Fault> {
        let Some(policy) = self.checked.pipeline.privacy.as_ref() else { return Ok(()) };
        let mut drawn: Vec<Draws> = Vec::new();
        for month in months(policy, self) {
            self.world.progress.step(format!("closing {month}"));
            if let Some(draws) = self.month(ledger, built, policy, month)? {
                drawn.push(draws);
            }
        }
        let (released, made_from) = self.release(policy, &drawn)?;
        let shelf = self.world.published();
        let labels = Labels::from(&self.checked.pipeline);
        for (period, release_ids) in made_from {
            let name = period.to_string();
            let known = ledger.publication(&name).map_err(|error| error.fault())?;
            let is_new = match &known {
                Some(known)
                    if publication::is_frozen(&shelf, &name, &known.files).map_err(|error| error.fault())? =>
                {
                    false
                }
                _ => {
                    self.world.progress.step(format!("publishing {name}"));
                    let tables: Vec<&Released> = released.iter().filter(|table| table.period() == period).collect();
                    let publication = put_on_shelf(&shelf, &name, &tables, &labels)?;
                    match known {
                        Some(known) if known != publication => return Err(not_what_was_published(&shelf, &name)),
                        Some(_) => {}
                        None => ledger
                            .mark_published(&self.run, &publication, &release_ids)
                            .map_err(|error| error.fault())?,
                    }
                    true
                }
            };
            let tables = released.iter().filter(|table| table.period() == period).count() as u64;
            self.count(period, policy, ledger, tables, is_new)?;
        }
        let all: Vec<&Released> = released.iter().collect();
        publication::page(&shelf, &all, &labels).map_err(|error| error.fault())?;
        Ok(())
    }

    /// What was drawn for a month; drawn now if it never was. None when its budget is spent without a draw.
    fn month(
        &mut self,
        ledger: &mut Ledger,
        built: &Built,
        policy: &PrivacyPolicy,
        month: Month,
    ) -> Result<Option<Draws>, Fault> {
        let request = match self.request(built, policy, month)? {
            Some(request) => request,
            // The source failed, or a check holds it: what was published stays, nothing new is drawn.
            None => {
                let stored = stored(ledger, month)?;
                if stored.is_none() && is_held(built) {
                    let line =
                        ReleaseLine { period: month.to_string(), status: "held".into(), ..ReleaseLine::default() };
                    self.report.releases.push(line);
                }
                return Ok(stored);
            }
        };
        let ids = (request.release_id(), request.spec_id());
        let reservation = ledger
            .reserve(&self.run, &month.to_string(), ids, &policy.policy, request.cost(), policy.rho_cap)
            .map_err(|error| error.fault())?;
        match reservation {
            Reservation::Stored(release) => {
                if release.release_id != request.release_id() {
                    self.report.notes.push(format!(
                        "{month}: records or policy changed after the month was closed; what was published stays as it is"
                    ));
                }
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
                self.report.releases.push(ReleaseLine {
                    period: month.to_string(),
                    status: "refused".into(),
                    rho_spent: "0".into(),
                    rho_total: format!("{spent} of {}", policy.rho_cap),
                    epsilon: disclosure::epsilon(spent, policy.delta),
                    tables: 0,
                });
                self.report.notes.push(format!(
                    "{month}: the privacy budget is spent ({spent} of {}) and nothing was stored: a person must decide whether to raise rho_cap",
                    policy.rho_cap
                ));
                Ok(None)
            }
        }
    }

    fn request(&self, built: &Built, policy: &PrivacyPolicy, month: Month) -> Result<Option<Request>, Fault> {
        let pipeline = &self.checked.pipeline;
        let (Some(ratings), Some(dossiers)) =
            (table(built, "satisfaction", "ratings"), table(built, "quality", "dossiers"))
        else {
            return Ok(None);
        };
        Request::new(month, policy, &pipeline.unit, &pipeline.procedure_groups, ratings, dossiers, &self.key)
            .map(Some)
            .map_err(|error| error.fault())
    }

    /// The tables of each month and each whole quarter, and the draws each period was made from.
    fn release(&mut self, policy: &PrivacyPolicy, drawn: &[Draws]) -> Result<(Vec<Released>, Vec<MadeFrom>), Fault> {
        let pipeline = &self.checked.pipeline;
        let current: Vec<&Draws> = drawn.iter().filter(|draws| draws.policy() == policy.policy).collect();
        if current.len() < drawn.len() {
            let count = drawn.len() - current.len();
            self.report
                .notes
                .push(format!("{count} months were published under an earlier policy and stay as they are"));
        }
        let months: Vec<Month> = current.iter().map(|draws| draws.month()).collect();
        let mut periods: Vec<(Period, Vec<Month>)> =
            months.iter().map(|month| (Period::Month(*month), vec![*month])).collect();
        periods.extend(whole_quarters(&months).into_iter().map(|quarter| (Period::Quarter(quarter), quarter.months())));
        let mut released = Vec::new();
        let mut made_from = Vec::new();
        for (period, months) in periods {
            let draws: Vec<Draws> =
                current.iter().filter(|draws| months.contains(&draws.month())).map(|draws| (*draws).clone()).collect();
            let tables = disclosure::release(&draws, policy, &pipeline.unit, &pipeline.procedure_groups)
                .map_err(|error| error.fault())?;
            released.extend(tables);
            made_from.push((period, draws.iter().map(|draws| draws.release_id().to_owned()).collect()));
        }
        Ok((released, made_from))
    }

    fn count(
        &mut self,
        period: Period,
        policy: &PrivacyPolicy,
        ledger: &Ledger,
        tables: u64,
        is_new: bool,
    ) -> Result<(), Fault> {
        let name = period.to_string();
        let now = self.spent.iter().find(|(month, _)| *month == name).map_or(Rho::from_integer(0), |(_, cost)| *cost);
        let all = ledger.spent().map_err(|error| error.fault())?;
        let total = all.iter().find(|(month, _)| *month == name).map(|(_, rho)| *rho);
        self.report.releases.push(ReleaseLine {
            period: name,
            status: if is_new { "published" } else { "unchanged" }.into(),
            tables,
            // A quarter is computed from its months and costs nothing of its own.
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
        for month in months(policy, self) {
            let name = month.to_string();
            let is_stored = match ledger {
                Some(ledger) => ledger.stored_release(&name).map_err(|error| error.fault())?.is_some(),
                None => false,
            };
            if is_stored {
                published += 1;
                continue;
            }
            let Some(request) = self.request(built, policy, month)? else { continue };
            self.report.releases.push(ReleaseLine {
                period: name,
                status: "would publish".into(),
                tables: policy.measures.len() as u64,
                rho_spent: request.cost().to_string(),
                ..ReleaseLine::default()
            });
        }
        if published > 0 {
            self.report.notes.push(format!("{published} months are published already and stay as they are."));
        }
        Ok(())
    }
}

fn months(policy: &PrivacyPolicy, night: &Night<'_>) -> Vec<Month> {
    closed_months(Month::of(policy.first_month), night.as_of, policy.close_after_days)
}

fn table<'b>(built: &'b Built, schema: &str, table: &str) -> Option<&'b Table> {
    built.tables.get(&TableName::new(schema, table))
}

fn is_held(built: &Built) -> bool {
    [("satisfaction", "ratings"), ("quality", "dossiers")].iter().any(|(s, t)| built.is_held(&TableName::new(*s, *t)))
}

fn stored(ledger: &Ledger, month: Month) -> Result<Option<Draws>, Fault> {
    match ledger.stored_release(&month.to_string()).map_err(|error| error.fault())? {
        Some(release) => Draws::from_bytes(&release.draws).map(Some).map_err(|error| error.fault()),
        None => Ok(None),
    }
}

/// Publishes one period, and what was published of it.
fn put_on_shelf(shelf: &Path, period: &str, tables: &[&Released], labels: &Labels) -> Result<Publication, Fault> {
    let published = publication::publish(shelf, tables, labels).map_err(|error| error.fault())?;
    let files = published.files.iter().map(|file| (name(&file.path), file.sha256.clone())).collect();
    Ok(Publication { period: period.to_owned(), files })
}

fn name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn not_what_was_published(shelf: &Path, period: &str) -> Fault {
    Fault::new(
        "publication.not-as-recorded",
        Place::file(shelf.join(period)),
        format!("the files of {period} are not those that the ledger says were published"),
        "restore them from a backup: a published period is frozen",
    )
}
