//! Which editions of which periods are made from what was drawn.
//!
//! It must not know how something is drawn or published.

use crate::disclosure::{Draws, Edition, Month, Part, Period, whole_quarters, whole_years};
use crate::fault::{Explain, Fault};
use crate::ledger::Ledger;

/// An edition of a period, and the draws it is made from.
pub(super) type MadeFrom<'d> = (Period, Edition, Vec<&'d Draws>);

/// What was drawn of a month, in the order in which it was drawn.
pub(super) fn stored(ledger: &Ledger, month: Month) -> Result<Vec<Draws>, Fault> {
    let stored = ledger.stored_parts(&month.to_string()).map_err(|error| error.fault())?;
    let draws = stored.iter().map(|release| Draws::from_bytes(&release.draws).map_err(|error| error.fault()));
    // Weeks are increments of their own, and no parts of the month's figures.
    draws.filter(|draws| draws.as_ref().map_or(true, |draws| draws.part().week().is_none())).collect()
}

/// What the ledger calls a part of a month.
pub(super) fn name_of(month: Month, part: Part) -> String {
    match part {
        Part::Whole => month.to_string(),
        part => format!("{month} {}", part.word()),
    }
}

/// The latest edition of each month, then of each quarter and of each year of final months. `shown` is in order of month and part.
pub(super) fn made_from(shown: &[Draws]) -> Vec<MadeFrom<'_>> {
    let mut all: Vec<MadeFrom<'_>> = Vec::new();
    for of_month in shown.chunk_by(|one, other| one.month() == other.month()) {
        let Some(first) = of_month.first() else { continue };
        let is_preliminary = of_month.iter().all(|draws| draws.part() == Part::First);
        let edition = if is_preliminary { Edition::Preliminary } else { Edition::Final };
        all.push((Period::Month(first.month()), edition, of_month.iter().collect()));
    }
    let is_final = |made: &&MadeFrom<'_>| made.1 == Edition::Final;
    let months: Vec<Month> = all.iter().filter(is_final).flat_map(|(period, _, _)| period.months()).collect();
    let quarters = whole_quarters(&months).into_iter().map(Period::Quarter);
    for period in quarters.chain(whole_years(&months).into_iter().map(Period::Year)) {
        let months = period.months();
        let draws = shown.iter().filter(|draws| months.contains(&draws.month())).collect();
        all.push((period, Edition::Final, draws));
    }
    all
}
