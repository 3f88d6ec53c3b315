//! What a night says to everybody about the ways to an outcome: public, and written down once.
//!
//! It holds all that the words of an explanation are made of, so that they can be made again when the files have
//! changed. It must not know a person.

use jiff::civil::Date;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::times::Measured;
use crate::calendar::{AsOf, WorkingDays, from_days, to_days};
use crate::fault::{Explain, Place};
use crate::language::Text;
use crate::personal::sha256;
use crate::pipeline::options::{ByDueDay, Confidence, Criterion, Named, Outcome, Via, WayThere};
use crate::tables;

/// The ways to an outcome as they stand on a night.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sheet {
    /// The outcome: the name of the item.
    pub outcome: String,
    /// What it is.
    pub title: Text,
    /// The day on which a dossier would be filed.
    pub as_of: Day,
    /// What has to have happened by the due day.
    pub by_due_day: ByDueDay,
    /// What counts first.
    pub policy: Vec<Criterion>,
    /// Who pays which fee, the ordinary status first.
    pub statuses: Vec<Named>,
    /// Why a way may not be open.
    pub reasons: Vec<Named>,
    /// Rights that may be lost.
    pub rights: Vec<Named>,
    /// The ways that are in force, in the order of their words.
    pub ways: Vec<Offer>,
}

/// A way as it stands on a night.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// Its word.
    pub id: String,
    /// What it is called.
    pub title: Text,
    /// How the dossier gets there.
    pub via: Via,
    /// The procedure whose dossiers show that it was taken.
    pub procedure_code: Option<String>,
    /// How often the person goes somewhere.
    pub visits: u16,
    /// What the person does, in order.
    pub steps: Vec<Text>,
    /// Papers asked for.
    pub documents: Vec<Text>,
    /// Obligations that follow.
    pub duties: Vec<Text>,
    /// How long it takes.
    pub time: Time,
    /// What it costs, by status, in the order of the statuses; none where nobody said.
    pub costs: Vec<Option<Cost>>,
    /// The article.
    pub reference: Text,
    /// How well it is known.
    pub confidence: Confidence,
}

/// How long a way takes, in working days.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Time {
    /// Half of the dossiers take no longer.
    pub median_days: u16,
    /// Nine in ten take no longer.
    pub p90_days: u16,
    /// How many dossiers show it; none where it is what the law gives.
    pub dossiers: Option<u32>,
    /// By when nine in ten are done, of those that are filed on the day of the sheet.
    pub ready_on: Day,
}

/// What a way costs people of one status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    /// VND.
    pub vnd: u32,
    /// The last day of it; none while no end is known.
    pub until: Option<Day>,
    /// How well it is known.
    pub confidence: Confidence,
    /// The article.
    pub reference: Text,
}

/// A civil date, written as in ISO 8601.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Day(pub Date);

impl Serialize for Day {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Day {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Day).map_err(serde::de::Error::custom)
    }
}

/// Ways that cannot be compared tonight.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is not known which days are working days by the time that a way is done.
    #[error("by when the option {option} of {outcome} is done is not known: the holidays of that year are not")]
    NoCalendar {
        /// The outcome.
        outcome: String,
        /// The option.
        option: String,
    },
    /// The select gives a word that the outcome does not declare.
    #[error("sql/options/{outcome}.sql gives \"{column}\" words that the outcome does not declare, in {rows} rows")]
    UnknownWord {
        /// The outcome.
        outcome: String,
        /// The column.
        column: &'static str,
        /// How many.
        rows: usize,
    },
    /// The select closes a way and says nothing.
    #[error("sql/options/{outcome}.sql closes an option without a reason, in {rows} rows")]
    NoReason {
        /// The outcome.
        outcome: String,
        /// How many.
        rows: usize,
    },
    /// The select says two things of one option and person.
    #[error("sql/options/{outcome}.sql says two things of one option and obligation, in {rows} rows")]
    Doubled {
        /// The outcome.
        outcome: String,
        /// How many.
        rows: usize,
    },
    /// The table of the select cannot be read.
    #[error("the options of {outcome} cannot be read")]
    Table {
        /// The outcome.
        outcome: String,
        /// What is wrong.
        #[source]
        source: Box<tables::Error>,
    },
    /// What was written down of an earlier night cannot be read again.
    #[error("what was written down about the options of {outcome} cannot be read")]
    Unreadable {
        /// The outcome.
        outcome: String,
    },
}

impl Explain for Error {
    fn code(&self) -> &'static str {
        match self {
            Error::NoCalendar { .. } => "options.no-calendar",
            Error::UnknownWord { .. } => "options.unknown-word",
            Error::NoReason { .. } => "options.no-reason",
            Error::Doubled { .. } => "options.doubled",
            Error::Table { .. } => "options.table",
            Error::Unreadable { .. } => "options.unreadable",
        }
    }

    fn place(&self) -> Place {
        match self {
            Error::NoCalendar { outcome, .. } => Place::file(format!("pipelines/options/{outcome}.toml")),
            Error::UnknownWord { outcome, .. }
            | Error::NoReason { outcome, .. }
            | Error::Doubled { outcome, .. }
            | Error::Table { outcome, .. } => Place::file(format!("sql/options/{outcome}.sql")),
            Error::Unreadable { outcome } => Place::Thing(format!("the options of {outcome}")),
        }
    }

    fn next(&self) -> String {
        match self {
            Error::NoCalendar { .. } => "add the holidays of that year to pipelines/law/calendar/".into(),
            Error::UnknownWord { outcome, .. } | Error::NoReason { outcome, .. } => {
                format!("correct the select, or declare the word in pipelines/options/{outcome}.toml")
            }
            Error::Table { .. } | Error::Doubled { .. } => "correct the select".into(),
            Error::Unreadable { .. } => "run `chudong ledger verify`; this version reads what it wrote itself".into(),
        }
    }
}

impl Sheet {
    /// The ways of an outcome that are in force on a day, with what they cost and how long they take.
    ///
    /// # Errors
    ///
    /// Where the calendar does not reach to the end of a way.
    pub fn of(
        outcome: &Outcome,
        policy: &[Criterion],
        measured: &Measured,
        as_of: AsOf,
        calendar: &WorkingDays,
    ) -> Result<Sheet, Error> {
        let open = outcome.ways.iter().filter(|way| way.in_force(as_of));
        let mut ways: Vec<Offer> =
            open.map(|way| offer(outcome, way, measured, as_of, calendar)).collect::<Result<_, _>>()?;
        ways.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(Sheet {
            outcome: outcome.id.clone(),
            title: outcome.title.clone(),
            as_of: Day(as_of.date()),
            by_due_day: outcome.by_due_day,
            policy: policy.to_vec(),
            statuses: outcome.statuses.clone(),
            reasons: outcome.reasons.clone(),
            rights: outcome.rights.clone(),
            ways,
        })
    }

    /// It as text, the same for the same sheet.
    pub fn json(&self) -> String {
        // No key of it is anything but a text, so that it can always be written.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads what [`Sheet::json`] wrote.
    ///
    /// # Errors
    ///
    /// Where it is no such text.
    pub fn from_json(text: &str, outcome: &str) -> Result<Sheet, Error> {
        serde_json::from_str(text).map_err(|_| Error::Unreadable { outcome: outcome.to_owned() })
    }

    /// The SHA-256 of its text.
    pub fn digest(&self) -> String {
        sha256(self.json().as_bytes())
    }
}

fn offer(
    outcome: &Outcome,
    way: &WayThere,
    measured: &Measured,
    as_of: AsOf,
    calendar: &WorkingDays,
) -> Result<Offer, Error> {
    let spread = way.procedure_code.as_deref().and_then(|code| measured.spread(code, way.via));
    let (median_days, p90_days) =
        spread.map_or((way.working_days, way.working_days), |spread| (spread.median_days, spread.p90_days));
    let ready_on = calendar.add(to_days(as_of.date()), i64::from(p90_days)).ok().and_then(from_days);
    let ready_on = ready_on.ok_or_else(|| Error::NoCalendar { outcome: outcome.id.clone(), option: way.id.clone() })?;
    let cost = |status: &Named| {
        way.fee(&status.word, as_of).map(|fee| Cost {
            vnd: fee.vnd,
            until: fee.to.map(Day),
            confidence: fee.confidence,
            reference: fee.reference.clone(),
        })
    };
    Ok(Offer {
        id: way.id.clone(),
        title: way.title.clone(),
        via: way.via,
        procedure_code: way.procedure_code.clone(),
        visits: way.visits,
        steps: way.steps.clone(),
        documents: way.documents.clone(),
        duties: way.duties.clone(),
        time: Time { median_days, p90_days, dossiers: spread.map(|spread| spread.dossiers), ready_on: Day(ready_on) },
        costs: outcome.statuses.iter().map(cost).collect(),
        reference: way.reference.clone(),
        confidence: way.confidence,
    })
}
