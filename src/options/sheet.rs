//! What a night says to everybody about the ways to an outcome: public, and written down once.
//!
//! It holds all that the words of an explanation are made of, so that they can be made again when the files have
//! changed. It must not know a person.

use jiff::civil::Date;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::times::{Measured, Spread};
use crate::calendar::{AsOf, WorkingDays, from_days, to_days};
use crate::fault::{Explain, Place};
use crate::language::Text;
use crate::personal::sha256;
use crate::pipeline::options::{
    ByDueDay, Confidence, Contribution, Criterion, Named, Options, Outcome, Post, Via, WayThere,
};
use crate::tables;

/// The ways to an outcome as they stand on a night.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sheet {
    /// The outcome: the name of the item.
    pub outcome: String,
    /// What it is.
    pub title: Text,
    /// The night.
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
    /// What is paid by the month whichever way is taken; none where nothing is.
    #[serde(default)]
    pub contribution: Option<Monthly>,
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
    /// What its dossiers bear, where another way shares that procedure and its channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mark: Option<String>,
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
    /// The last day of the way; none while no end is known.
    #[serde(default)]
    pub until: Option<Day>,
    /// What the post adds; its days are in the time already.
    #[serde(default)]
    pub post: Option<Post>,
    /// How many months of the contribution are paid at once.
    #[serde(default)]
    pub months: Option<u16>,
    /// What it costs without postage, by status, in the order of the statuses; none where nobody said.
    pub costs: Vec<Option<Cost>>,
    /// The article.
    pub reference: Text,
    /// How well it is known.
    pub confidence: Confidence,
}

impl Offer {
    /// What the way itself costs people of a status; none where nobody said.
    pub fn cost(&self, status: u8) -> Option<&Cost> {
        self.costs.get(usize::from(status)).and_then(Option::as_ref)
    }

    /// All that people of a status pay, with postage, VND; none where a part of it is not known.
    pub fn amount(&self, status: u8) -> Option<u32> {
        let postage = self.post.as_ref().map_or(Some(0), |post| post.vnd);
        self.cost(status)?.vnd?.checked_add(postage?)
    }
}

/// What is paid by the month, as it stands on a night.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Monthly {
    /// What the first member of a household pays by the month, VND; none where the base salary is not known.
    pub vnd: Option<u32>,
    /// Thousandths of the base salary that this is.
    pub per_mille: u16,
    /// What each further member pays, in hundredths of it; the last holds for all who follow.
    pub member_percents: Vec<u8>,
    /// How well it is known.
    pub confidence: Confidence,
    /// The article.
    pub reference: Text,
}

impl Monthly {
    /// What the first member pays for some months, VND.
    pub fn amount(&self, months: u16) -> Option<u32> {
        self.vnd?.checked_mul(months.into())
    }
}

impl From<&Contribution> for Monthly {
    fn from(contribution: &Contribution) -> Self {
        let part = |base: u32| u64::from(base) * u64::from(contribution.per_mille) / 1000;
        Monthly {
            vnd: contribution.base_vnd.and_then(|base| u32::try_from(part(base)).ok()),
            per_mille: contribution.per_mille,
            member_percents: contribution.member_percents.clone(),
            confidence: contribution.confidence,
            reference: contribution.reference.clone(),
        }
    }
}

/// How long a way takes, in working days, from the day on which the agency accepts the dossier; days on the road by post
/// are among them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Time {
    /// Half of the dossiers take no longer.
    pub median_days: u16,
    /// Nine in ten take no longer.
    pub p90_days: u16,
    /// How many dossiers show it; none where it is what the law gives.
    pub dossiers: Option<u32>,
    /// The first day on which it can be filed: a counter is closed on days off.
    #[serde(default)]
    pub opens_on: Day,
    /// The day on which it is taken to be filed, when the letter was read.
    #[serde(default)]
    pub filed_on: Day,
    /// By when nine in ten are done, of those that are filed on that day. The term begins when the dossier is accepted, on
    /// that day or the next working day (Decree 309/2026/NĐ-CP, Art. 8(3)).
    pub ready_on: Day,
}

/// What a way costs people of one status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    /// VND; none where the amount is not known.
    pub vnd: Option<u32>,
    /// What is known instead of the amount.
    #[serde(default)]
    pub unknown: Option<Text>,
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

/// What earlier versions did not write down: long ago.
impl Default for Day {
    fn default() -> Self {
        Day(Date::constant(1970, 1, 1))
    }
}

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
        options: &Options,
        measured: &Measured,
        as_of: AsOf,
        calendar: &WorkingDays,
    ) -> Result<Sheet, Error> {
        let open = outcome.ways.iter().filter(|way| way.in_force(as_of));
        let no_calendar = |way: &WayThere| Error::NoCalendar { outcome: outcome.id.clone(), option: way.id.clone() };
        let offer = |way| {
            let time = time(way, measured.spread(outcome, way), (as_of, options.reading_days), calendar);
            Ok(offer(outcome, way, time.ok_or_else(|| no_calendar(way))?))
        };
        let mut ways: Vec<Offer> = open.map(offer).collect::<Result<_, _>>()?;
        ways.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(Sheet {
            outcome: outcome.id.clone(),
            title: outcome.title.clone(),
            as_of: Day(as_of.date()),
            by_due_day: outcome.by_due_day,
            policy: options.policy.clone(),
            statuses: outcome.statuses.clone(),
            reasons: outcome.reasons.clone(),
            rights: outcome.rights.clone(),
            contribution: outcome.contributions.iter().find(|one| one.holds(as_of.date())).map(Monthly::from),
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

/// How long a way takes whoever reads of it tonight; none where the calendar does not reach so far.
fn time(
    way: &WayThere,
    spread: Option<Spread>,
    (as_of, reading_days): (AsOf, u16),
    calendar: &WorkingDays,
) -> Option<Time> {
    let (median_days, p90_days) =
        spread.map_or((way.working_days, way.working_days), |spread| (spread.median_days, spread.p90_days));
    let post_days = way.post.as_ref().map_or(0, |post| post.working_days);
    let (median_days, p90_days) = (median_days.saturating_add(post_days), p90_days.saturating_add(post_days));
    let today = to_days(as_of.date());
    let open = |day: i32| if way.via == Via::Online { Some(day) } else { calendar.next(day).ok() };
    let (opens_on, filed_on) = (open(today)?, open(today.checked_add(reading_days.into())?)?);
    let accepted_on = calendar.next(filed_on).ok()?;
    let ready_on = calendar.add(accepted_on, p90_days.into()).ok()?;
    Some(Time {
        median_days,
        p90_days,
        dossiers: spread.map(|spread| spread.dossiers),
        opens_on: Day(from_days(opens_on)?),
        filed_on: Day(from_days(filed_on)?),
        ready_on: Day(from_days(ready_on)?),
    })
}

fn offer(outcome: &Outcome, way: &WayThere, time: Time) -> Offer {
    // Whoever has a status without a fee of its own on that day, as a waiver is over, pays the ordinary one.
    let ordinary = outcome.statuses.first().and_then(|status| way.fee(&status.word, time.filed_on.0));
    let cost = |status: &Named| {
        way.fee(&status.word, time.filed_on.0).or(ordinary).map(|fee| Cost {
            vnd: fee.vnd,
            unknown: fee.unknown.clone(),
            until: fee.to.map(Day),
            confidence: fee.confidence,
            reference: fee.reference.clone(),
        })
    };
    Offer {
        id: way.id.clone(),
        title: way.title.clone(),
        via: way.via,
        procedure_code: way.procedure_code.clone(),
        mark: way.mark.clone(),
        visits: way.visits,
        steps: way.steps.clone(),
        documents: way.documents.clone(),
        duties: way.duties.clone(),
        costs: outcome.statuses.iter().map(cost).collect(),
        time,
        until: way.in_force_to.map(Day),
        post: way.post.clone(),
        months: way.months,
        reference: way.reference.clone(),
        confidence: way.confidence,
    }
}
