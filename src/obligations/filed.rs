//! Dossiers that people have filed: what is filed need not be reminded of, whatever a register says or not yet.
//!
//! A dossier says whose it is, of which procedure and of which day, and not what it is about. It settles an obligation
//! of the same person and procedure when it was filed inside the time in which it can be of that obligation. Where a
//! person has more obligations of a procedure than dossiers, nobody knows which of them are meant, and all are reminded
//! of: once too often is better than never. This file must not know where dossiers come from.

use std::collections::HashMap;

use jiff::ToSpan;
use jiff::civil::Date;

use super::{Fact, Obligation};
use crate::personal::{Personal, ShortText};
use crate::pipeline::Item;
use crate::tables::{Error, Table};

/// The dossiers of a night that are under way or done: by the procedure and the person, the days on which they were
/// filed.
#[derive(Debug, Default)]
pub struct Filed(HashMap<String, HashMap<Personal<ShortText>, Vec<Date>>>);

/// The fact that says from when a dossier of an obligation is taken, where the law says so: `opens_on`.
const OPENS_ON: &str = "opens_on";

impl Filed {
    /// Reads `subject_id`, `procedure_code`, `status` and `received_on`; `settles` says of which statuses a dossier
    /// settles something. One that was filed after `as_of` is not known yet.
    pub fn read(table: &Table, as_of: Date, settles: impl Fn(i64) -> bool) -> Result<Self, Error> {
        let subjects = table.texts("subject_id")?.into_iter();
        let codes = table.texts("procedure_code")?;
        let statuses = table.ints("status")?;
        let days = table.dates("received_on")?;
        let mut filed = Filed::default();
        for (((subject, code), status), day) in subjects.zip(codes).zip(statuses).zip(days) {
            let (Some(subject), Some(code), Some(status), Some(day)) = (subject, code, status, day) else { continue };
            if day <= as_of && settles(status) {
                filed.0.entry(code).or_default().entry(Personal::new(subject.as_str().into())).or_default().push(day);
            }
        }
        filed.0.values_mut().flat_map(HashMap::values_mut).for_each(|days| days.sort_unstable());
        Ok(filed)
    }

    /// Fulfils what the dossiers of an item settle, on the day on which they were filed. `obligations` are those of the
    /// item, fulfilled or not: a dossier of one that is fulfilled already settles no other.
    pub fn settle(&self, item: &Item, obligations: &mut [Obligation]) {
        let (Some(code), Some(dossier_days)) = (&item.procedure_code, item.dossier_days) else { return };
        let Some(days_by_subject) = self.0.get(code) else { return };
        let mut places: HashMap<Personal<ShortText>, Vec<usize>> = HashMap::new();
        for (at, obligation) in obligations.iter().enumerate() {
            if days_by_subject.contains_key(&obligation.subject_id) {
                places.entry(obligation.subject_id.clone()).or_default().push(at);
            }
        }
        for (subject, places) in places {
            let days = days_by_subject.get(&subject).map(Vec::as_slice).unwrap_or_default();
            settle_subject(days, dossier_days, obligations, &places);
        }
    }
}

fn settle_subject(days: &[Date], dossier_days: u16, obligations: &mut [Obligation], places: &[usize]) {
    // The obligations that a dossier could be of, in order of due date, each with the first day of its time.
    let first = |at: usize| obligations.get(at).map(|obligation| (at, first_day(obligation, dossier_days)));
    let meant: Vec<(usize, Date)> = places
        .iter()
        .filter_map(|at| first(*at))
        .filter(|(_, from)| days.last().is_some_and(|last| last >= from))
        .collect();
    let earliest = meant.iter().map(|(_, from)| *from).min();
    let usable = days.iter().filter(|day| earliest.is_some_and(|from| **day >= from));
    let mut usable: Vec<Date> = usable.copied().collect();
    if usable.len() < meant.len() {
        return;
    }
    for (at, from) in meant {
        let Some(of) = usable.iter().position(|day| *day >= from) else { continue };
        let day = usable.remove(of);
        if let Some(obligation) = obligations.get_mut(at).filter(|obligation| obligation.fulfilled_on.is_none()) {
            obligation.fulfilled_on = Some(day);
        }
    }
}

/// The first day on which a dossier may be filed for an obligation: the one that the law says, or so many days before it
/// is due. What was filed earlier is of an earlier period.
fn first_day(obligation: &Obligation, dossier_days: u16) -> Date {
    match obligation.facts.get(OPENS_ON) {
        Some(Fact::Date(day)) => day,
        _ => obligation.due_on.saturating_sub(i64::from(dossier_days).days()),
    }
}
