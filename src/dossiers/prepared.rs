//! One prepared dossier: what every register said of each field, and how the field stands.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::Deserialize;

use super::{Basis, ColumnOrigin, Error};
use crate::personal::Personal;
use crate::pipeline::form::FormField;

/// A dossier as it was prepared: by field, what each source said.
#[derive(Clone, PartialEq, Eq)]
pub struct Prepared {
    /// The obligation's day.
    pub due_on: Date,
    /// The year whose days of rest are not decreed yet, where that day rests on them and may still move.
    pub assumed_year: Option<i16>,
    values: BTreeMap<String, Vec<Value>>,
}

/// What one source said: the word that tells it apart, the value, and the day it speaks of, where it says one.
#[derive(Clone, PartialEq, Eq)]
struct Value {
    label: String,
    value: Personal<String>,
    as_of: Option<Date>,
}

impl std::fmt::Debug for Prepared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Prepared").field("due_on", &self.due_on).finish_non_exhaustive()
    }
}

/// A field of a dossier, with what is known of it.
#[derive(Debug, Clone)]
pub struct Shown<'d> {
    /// The field.
    pub field: &'d FormField,
    /// What the sources said, in the order of the select; those that knew nothing are not among them.
    pub said: Vec<Said<'d>>,
    /// How it stands.
    pub standing: Standing,
}

/// What one source said of a field.
#[derive(Debug, Clone)]
pub struct Said<'d> {
    /// The value.
    pub value: &'d Personal<String>,
    /// Where it comes from.
    pub origin: &'d ColumnOrigin,
    /// The day of which the source says that it was right; else the day on which it was pulled.
    pub as_of: Option<Date>,
    /// Whether it is older than the form wants.
    pub is_stale: bool,
}

/// How a field stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Every source that knows it says the same.
    Agreed,
    /// Sources say different things: the person chooses.
    Conflict,
    /// No source knows it: the person is asked.
    Missing,
}

#[derive(Deserialize)]
struct Kept {
    due_on: String,
    assumed_year: Option<i16>,
    values: BTreeMap<String, Vec<Vec<String>>>,
}

impl Prepared {
    /// Reads what [`Sheet::text`](super::Sheet::text) wrote.
    ///
    /// # Errors
    ///
    /// Where it is not that.
    pub fn read(text: &Personal<String>) -> Result<Self, Error> {
        let kept: Kept = serde_json::from_str(text.reveal()).map_err(|_| Error::Kept)?;
        let mut values = BTreeMap::new();
        for (field, said) in kept.values {
            let said: Option<Vec<Value>> = said.into_iter().map(value).collect();
            values.insert(field, said.ok_or(Error::Kept)?);
        }
        let due_on = kept.due_on.parse().map_err(|_| Error::Kept)?;
        Ok(Prepared { due_on, assumed_year: kept.assumed_year, values })
    }

    /// The fields of the form in their order, with what is known of each on a day.
    pub fn shown<'d>(&'d self, basis: &'d Basis, today: Date) -> Vec<Shown<'d>> {
        basis.form.fields.iter().map(|field| self.field(basis, field, today)).collect()
    }

    fn field<'d>(&'d self, basis: &'d Basis, field: &'d FormField, today: Date) -> Shown<'d> {
        let values = self.values.get(&field.id).map(Vec::as_slice).unwrap_or_default();
        let said: Vec<Said<'d>> = values
            .iter()
            .filter_map(|known| {
                let name = match known.label.as_str() {
                    "" => field.id.clone(),
                    label => format!("{}__{label}", field.id),
                };
                let origin = basis.origins.get(&name)?;
                let as_of = known.as_of.or_else(|| origin.pulled_on.parse().ok());
                let age_days = as_of.map(|as_of| (today - as_of).get_days());
                let is_stale = field.stale_after_days.zip(age_days).is_some_and(|(most, age)| age > i32::from(most));
                Some(Said { value: &known.value, origin, as_of, is_stale })
            })
            .collect();
        let standing = match said.as_slice() {
            [] => Standing::Missing,
            [first, rest @ ..] if rest.iter().all(|other| other.value == first.value) => Standing::Agreed,
            _ => Standing::Conflict,
        };
        Shown { field, said, standing }
    }
}

fn value(cells: Vec<String>) -> Option<Value> {
    let mut cells = cells.into_iter();
    let (label, value, as_of) = (cells.next()?, cells.next()?, cells.next());
    let is_whole = cells.next().is_none();
    // A day that cannot be read is not known: the day of the pull takes its place.
    let as_of = as_of.and_then(|day| day.get(..10)?.parse().ok());
    is_whole.then_some(Value { label, value: Personal::new(value), as_of })
}
