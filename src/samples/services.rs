//! What the indices of service quality count beside dossiers and ratings, of the sample agency: what its units offer,
//! what was announced and published, how each dossier was served, fees, supplements, petitions, two reports, and how
//! the one-stop offices were judged.
//!
//! Names and types are those of `pipelines/standard-tables.toml`; a test compares them. The progress of a dossier step
//! by step (`dossier_steps`) is not made: the sheet of Decree 61/2018 shows what becomes of a table that nobody fills.
//! This module must not know where the rows go.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Date32Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use jiff::civil::{Date, date};

use super::dossiers::{Dossier, FIRST, LAST, PROCEDURES, Year};
use super::draw::{Draw, Stream};
use super::world::{Day, months_after, night};
use crate::calendar;

/// A table of the sample agency about its services.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// One row per procedure and unit that settles it.
    Procedures,
    /// One row per announcement of a procedure.
    Publications,
    /// One row per dossier: how it was served.
    Dossiers,
    /// One row per request to supplement a dossier.
    Supplements,
    /// One row per fee of a dossier.
    Fees,
    /// One row per petition.
    Petitions,
    /// One row per unit and month, by two reports.
    Reports,
    /// One row per one-stop office and quarter.
    Offices,
}

/// What the province itself is called where it, and no commune, is who answers.
const PROVINCE: &str = "97";
/// Announcements of procedures in a month.
const ANNOUNCED_A_MONTH: u64 = 6;
/// Months of which the two reports tell: the year of the dossiers, and the one before.
const REPORTED_MONTHS: u64 = 24;
/// Quarters in which offices were judged.
const JUDGED_QUARTERS: u64 = 5;

/// What is known of a procedure in the national catalogue.
struct Known {
    level: Option<&'static str>,
    can_be_full: bool,
    /// In đồng; none where it is free.
    fee_vnd: Option<i64>,
    needs_result: bool,
    is_for_people: bool,
    /// Offered proactively at this level, and the highest that it is fit for (Decree 224/2026 Art. 16).
    proactive: (Option<i64>, Option<i64>),
}

/// In the order of [`PROCEDURES`]: a letter each for the online level (f, p or a dash), fitness for full service, a
/// written result and a person as its subject; the fee; the two levels.
const KNOWN: [(&str, i64, i64, i64); 17] = [
    ("fyyy", 0, 1, 4),
    ("fyyy", 7_000, 1, 2),
    ("fy-y", 0, 2, 4),
    ("fyyy", 7_000, 1, 3),
    ("fyyy", 50_000, 1, 2),
    ("fyyy", 0, 2, 4),
    ("fyyy", 0, 2, 4),
    ("p-yy", 0, 0, 1),
    ("fyyy", 15_000, 0, 2),
    ("pyyy", 0, 3, 4),
    ("pyyy", 0, 0, 3),
    ("pyyy", 0, 0, 2),
    ("--yy", 0, 0, 0),
    ("fyy-", 0, 1, 1),
    ("pyy-", 75_000, 0, 1),
    ("p-y-", 75_000, 0, 0),
    ("--y-", 15_000, 0, 0),
];

fn known(place: usize) -> Known {
    let (letters, fee, offered, fit) = KNOWN.get(place).copied().unwrap_or(("----", 0, 0, 0));
    let letter = |at: usize| letters.as_bytes().get(at).copied().unwrap_or(b'-');
    Known {
        level: match letter(0) {
            b'f' => Some("full"),
            b'p' => Some("partial"),
            _ => None,
        },
        can_be_full: letter(1) == b'y',
        fee_vnd: (fee > 0).then_some(fee),
        needs_result: letter(2) == b'y',
        is_for_people: letter(3) == b'y',
        proactive: ((offered > 0).then_some(offered), (fit > 0).then_some(fit)),
    }
}

fn known_of(procedure: &str) -> Known {
    known(PROCEDURES.iter().position(|((code, _), _)| *code == procedure).unwrap_or(usize::MAX))
}

impl Service {
    /// All of them.
    pub const ALL: [Service; 8] = [
        Service::Procedures,
        Service::Publications,
        Service::Dossiers,
        Service::Supplements,
        Service::Fees,
        Service::Petitions,
        Service::Reports,
        Service::Offices,
    ];

    /// Its name among the standard tables.
    pub fn name(self) -> &'static str {
        match self {
            Service::Procedures => "procedures",
            Service::Publications => "procedure_publications",
            Service::Dossiers => "dossier_services",
            Service::Supplements => "dossier_supplements",
            Service::Fees => "dossier_fees",
            Service::Petitions => "petitions",
            Service::Reports => "reported_dossiers",
            Service::Offices => "one_stop_offices",
        }
    }

    /// Names, types and nullability of its columns.
    pub fn schema(self) -> SchemaRef {
        use DataType::{Boolean, Date32, Int64, Utf8};
        let columns: &[(&str, DataType, bool)] = match self {
            Service::Procedures => &[
                ("unit_code", Utf8, false),
                ("procedure_code", Utf8, false),
                ("online_level", Utf8, true),
                ("can_be_full_online", Boolean, false),
                ("statutory_days", Int64, true),
                ("has_fee", Boolean, false),
                ("needs_result", Boolean, false),
                ("is_for_people", Boolean, false),
                ("proactive_level", Int64, true),
                ("proactive_level_allowed", Int64, true),
            ],
            Service::Publications => &[
                ("publication_id", Utf8, false),
                ("unit_code", Utf8, false),
                ("procedure_code", Utf8, false),
                ("is_of_ministry", Boolean, false),
                ("decided_on", Date32, false),
                ("takes_effect_on", Date32, false),
                ("published_on", Date32, true),
                ("has_all_components", Boolean, false),
                ("is_posted", Boolean, false),
                ("is_electronic", Boolean, false),
            ],
            Service::Dossiers => &[
                ("dossier_id", Utf8, false),
                ("handled_by", Utf8, true),
                ("is_synced", Boolean, false),
                ("has_result_file", Boolean, false),
                ("is_digitised", Boolean, false),
                ("reuses_data", Boolean, false),
                ("is_in_personal_store", Boolean, false),
                ("uses_population_data", Boolean, false),
                ("paid_online", Int64, true),
                ("is_automatic", Boolean, false),
                ("proactive_level", Int64, true),
                ("contacts", Int64, true),
                ("agencies_contacted", Int64, true),
            ],
            Service::Supplements => &[
                ("supplement_id", Utf8, false),
                ("dossier_id", Utf8, false),
                ("requested_on", Date32, false),
                ("completed_on", Date32, true),
            ],
            Service::Fees => &[("fee_id", Utf8, false), ("dossier_id", Utf8, false), ("price_vnd", Int64, false)],
            Service::Petitions => &[
                ("petition_id", Utf8, false),
                ("unit_code", Utf8, false),
                ("procedure_code", Utf8, true),
                ("dossier_id", Utf8, true),
                ("is_about_staff", Boolean, false),
                ("is_unfounded", Boolean, false),
                ("is_repeated", Boolean, false),
                ("received_on", Date32, false),
                ("declined_on", Date32, true),
                ("supplement_requested_on", Date32, true),
                ("handled_on", Date32, true),
                ("published_on", Date32, true),
                ("likes", Int64, true),
                ("dislikes", Int64, true),
            ],
            Service::Reports => &[
                ("unit_code", Utf8, false),
                ("month", Date32, false),
                ("national_report", Int64, true),
                ("portal", Int64, true),
            ],
            Service::Offices => &[("unit_code", Utf8, false), ("quarter", Date32, false), ("points", Int64, false)],
        };
        let fields: Vec<Field> =
            columns.iter().map(|(name, kind, nullable)| Field::new(*name, kind.clone(), *nullable)).collect();
        Arc::new(Schema::new(fields))
    }

    /// How many dossiers, units or announcements its rows are made from.
    pub fn sources(self, year: &Year<'_>) -> u64 {
        let communes = year.world().communes.len() as u64;
        match self {
            Service::Procedures => communes * PROCEDURES.len() as u64,
            Service::Publications => 12 * ANNOUNCED_A_MONTH,
            Service::Dossiers | Service::Supplements | Service::Fees | Service::Petitions => year.world().dossiers,
            Service::Reports => communes * REPORTED_MONTHS,
            Service::Offices => communes * JUDGED_QUARTERS,
        }
    }

    /// Whether its rows are about a person: the applicant of the dossier stands behind their last column.
    pub fn is_of_people(self) -> bool {
        matches!(self, Service::Dossiers | Service::Supplements | Service::Fees | Service::Petitions)
    }

    /// The applicants of the rows made from a range of dossiers.
    pub fn applicants(self, year: &Year<'_>, range: Range<u64>) -> ArrayRef {
        column(&self.rows(year, range), self.schema().fields().len(), &DataType::Utf8)
    }

    /// The rows made from a range of them.
    pub fn batch(self, year: &Year<'_>, range: Range<u64>) -> Result<RecordBatch, ArrowError> {
        let rows = self.rows(year, range);
        let schema = self.schema();
        let columns = schema.fields().iter().enumerate().map(|(at, field)| column(&rows, at, field.data_type()));
        RecordBatch::try_new(schema.clone(), columns.collect())
    }

    fn rows(self, year: &Year<'_>, range: Range<u64>) -> Vec<Vec<Cell>> {
        let dossiers = |range: Range<u64>| range.filter_map(|index| year.dossier(index));
        match self {
            Service::Procedures => range.filter_map(|row| procedure(year, row)).collect(),
            Service::Publications => range.filter_map(|row| publication(year, row)).collect(),
            Service::Dossiers => dossiers(range).map(|dossier| service(year, &dossier)).collect(),
            Service::Supplements => dossiers(range).flat_map(|dossier| supplements(year, &dossier)).collect(),
            Service::Fees => dossiers(range).filter_map(|dossier| fee(year, &dossier)).collect(),
            Service::Petitions => dossiers(range).filter_map(|dossier| petition(year, &dossier)).collect(),
            Service::Reports => reports(year, range),
            Service::Offices => range.filter_map(|row| office(year, row)).collect(),
        }
    }
}

/// A value of a row.
enum Cell {
    Text(Option<String>),
    Int(Option<i64>),
    Yes(bool),
    Day(Option<Day>),
}

impl Cell {
    fn text(text: impl Into<String>) -> Self {
        Cell::Text(Some(text.into()))
    }

    fn date(date: Date) -> Self {
        Cell::Day(Some(calendar::to_days(date)))
    }
}

/// One column of the rows. A cell of another type than its column's would be nothing, which no table allows that a
/// column has to be filled in.
fn column(rows: &[Vec<Cell>], at: usize, kind: &DataType) -> ArrayRef {
    let cells = || rows.iter().map(|row| row.get(at));
    match kind {
        DataType::Int64 => {
            let ints = cells().map(|cell| if let Some(Cell::Int(value)) = cell { *value } else { None });
            Arc::new(ints.collect::<Int64Array>())
        }
        DataType::Boolean => {
            let flags = cells().map(|cell| if let Some(Cell::Yes(value)) = cell { Some(*value) } else { None });
            Arc::new(flags.collect::<BooleanArray>())
        }
        DataType::Date32 => {
            let days = cells().map(|cell| if let Some(Cell::Day(value)) = cell { *value } else { None });
            Arc::new(days.collect::<Date32Array>())
        }
        _ => {
            let texts = cells().map(|cell| if let Some(Cell::Text(value)) = cell { value.as_deref() } else { None });
            Arc::new(texts.collect::<StringArray>())
        }
    }
}

fn unit(year: &Year<'_>, commune: usize) -> Option<String> {
    year.world().communes.get(commune).map(|commune| commune.code.clone())
}

fn procedure(year: &Year<'_>, row: u64) -> Option<Vec<Cell>> {
    let count = PROCEDURES.len() as u64;
    let (commune, place) = ((row / count) as usize, (row % count) as usize);
    let ((code, term), _) = PROCEDURES.get(place)?;
    let known = known(place);
    Some(vec![
        Cell::Text(Some(unit(year, commune)?)),
        Cell::text(*code),
        Cell::Text(known.level.map(str::to_owned)),
        Cell::Yes(known.can_be_full),
        Cell::Int(i64::try_from(*term).ok()),
        Cell::Yes(known.fee_vnd.is_some()),
        Cell::Yes(known.needs_result),
        Cell::Yes(known.is_for_people),
        Cell::Int(known.proactive.0),
        Cell::Int(known.proactive.1),
    ])
}

/// The procedures are announced in turn, so that each comes every few months; the province publishes them.
fn publication(year: &Year<'_>, row: u64) -> Option<Vec<Cell>> {
    let draw = Draw::new(year.world().seed, Stream::Publication, row);
    let ((code, _), _) = PROCEDURES.get((row % PROCEDURES.len() as u64) as usize)?;
    let month = months_after(calendar::to_days(FIRST), (row / ANNOUNCED_A_MONTH) as i64);
    let decided_on = year.working_day_after(month, draw.below(0, 18));
    // Five working days lie between a province's decision and the day of its effect; it has five to publish.
    let ahead = if draw.chance(1, 60) { draw.below(2, 5) } else { 6 + draw.below(2, 15) };
    let taken = if draw.chance(3, 90) { 6 + draw.below(4, 4) } else { draw.below(4, 6) };
    let published_on = year.working_day_after(decided_on, taken);
    Some(vec![
        Cell::text(format!("{}/QĐ-UBND.{code}", 1201 + row / 3)),
        Cell::text(PROVINCE),
        Cell::text(*code),
        Cell::Yes(false),
        Cell::Day(Some(decided_on)),
        Cell::Day(Some(year.working_day_after(decided_on, ahead))),
        Cell::Day((published_on < night()).then_some(published_on)),
        Cell::Yes(!draw.chance(5, 40)),
        Cell::Yes(true),
        Cell::Yes(!draw.chance(6, 80)),
    ])
}

fn service(year: &Year<'_>, dossier: &Dossier) -> Vec<Cell> {
    let draw = Draw::new(year.world().seed, Stream::Service, dossier.index);
    let known = known_of(dossier.procedure);
    let (is_finished, is_online) = (dossier.finished_on.is_some(), dossier.channel == 2);
    let has_result_file = is_finished && known.needs_result && draw.chance(0, 905);
    let is_digitised = is_finished && (has_result_file || !known.needs_result) && draw.chance(1, 880);
    let paid_online = match known.fee_vnd {
        Some(_) if is_online => draw.weighted(2, &[(Some(1), 620), (Some(2), 170), (Some(0), 210)], None),
        _ => None,
    };
    let level = known.proactive.0.filter(|_| draw.chance(3, 140));
    let contacts = draw.weighted(4, &[(0, 620), (1, 300), (2, 80)], 0);
    let agencies = if is_online { draw.weighted(5, &[(0, 850), (1, 140), (2, 10)], 0) } else { 1 };
    vec![
        Cell::text(dossier.number.as_str()),
        // The commune that received it settles it.
        Cell::Text(None),
        Cell::Yes(draw.chance(6, 965)),
        Cell::Yes(has_result_file),
        Cell::Yes(is_digitised),
        Cell::Yes(draw.chance(7, 460)),
        Cell::Yes(draw.chance(8, 310)),
        Cell::Yes(known.is_for_people && draw.chance(9, 760)),
        Cell::Int(paid_online),
        Cell::Yes(is_online && is_finished && known.level == Some("full") && draw.chance(10, 70)),
        Cell::Int(level.map(|level| 1 + draw.below(11, level.unsigned_abs()) as i64)),
        Cell::Int(is_finished.then_some(contacts)),
        Cell::Int(is_finished.then_some(agencies)),
        Cell::text(dossier.applicant.id()),
    ]
}

/// Some wait for their only supplement, some were completed once, and a few were asked twice, which is late.
fn supplements(year: &Year<'_>, dossier: &Dossier) -> Vec<Vec<Cell>> {
    let draw = Draw::new(year.world().seed, Stream::Service, dossier.index);
    let row = |turn: u64, requested_on: Day, completed_on: Option<Day>| {
        vec![
            Cell::text(format!("{}-BS{turn}", dossier.number)),
            Cell::text(dossier.number.as_str()),
            Cell::Day(Some(requested_on)),
            Cell::Day(completed_on),
            Cell::text(dossier.applicant.id()),
        ]
    };
    let requested_on = year.working_day_after(dossier.received_on, draw.below(20, 2));
    match dossier.finished_on {
        // Status 5: a supplement was asked for.
        None if dossier.status == 5 => vec![row(1, requested_on, None)],
        Some(finished_on) if finished_on > requested_on + 2 && draw.chance(21, 45) => {
            let completed_on = draw.day(22, requested_on + 1, finished_on - 1);
            let mut rows = vec![row(1, requested_on, Some(completed_on))];
            if draw.chance(23, 80) {
                rows.push(row(2, completed_on, Some(finished_on)));
            }
            rows
        }
        _ => Vec::new(),
    }
}

fn fee(year: &Year<'_>, dossier: &Dossier) -> Option<Vec<Cell>> {
    let draw = Draw::new(year.world().seed, Stream::Service, dossier.index);
    let price = known_of(dossier.procedure).fee_vnd?;
    let price = if draw.chance(30, 100) { 0 } else { price };
    Some(vec![
        Cell::text(format!("{}-LP1", dossier.number)),
        Cell::text(dossier.number.as_str()),
        Cell::Int(Some(price)),
        Cell::text(dossier.applicant.id()),
    ])
}

/// About one dossier in a hundred gives rise to a petition, most often within a month of its receipt.
fn petition(year: &Year<'_>, dossier: &Dossier) -> Option<Vec<Cell>> {
    let draw = Draw::new(year.world().seed, Stream::Petition, dossier.index);
    let received_on = year.working_day_after(dossier.received_on, 1 + draw.below(0, 20));
    if !draw.chance(1, 11) || received_on >= night() {
        return None;
    }
    let before_night = |day: Day| (day < night()).then_some(day);
    let is_declined = draw.chance(2, 90);
    let declined_on = before_night(year.working_day_after(received_on, draw.below(3, 4))).filter(|_| is_declined);
    let asked_on = before_night(year.working_day_after(received_on, 1 + draw.below(5, 4)));
    let supplement = asked_on.filter(|_| !is_declined && draw.chance(4, 120));
    let taken = if draw.chance(6, 110) { 16 + draw.below(7, 8) } else { 5 + draw.below(7, 11) };
    let handled_on = before_night(year.working_day_after(received_on, taken)).filter(|_| !is_declined);
    let published_on = handled_on.and_then(|day| before_night(year.working_day_after(day, draw.below(8, 3))));
    let (likes, dislikes) = (draw.below(9, 6) as i64, draw.weighted(10, &[(0, 700), (1, 200), (3, 100)], 0));
    Some(vec![
        Cell::text(format!("PAKN-{:09}", dossier.index + 1)),
        Cell::Text(Some(unit(year, dossier.commune)?)),
        Cell::text(dossier.procedure),
        Cell::Text(draw.chance(11, 700).then(|| dossier.number.clone())),
        Cell::Yes(draw.chance(12, 180)),
        Cell::Yes(draw.chance(13, 120)),
        Cell::Yes(draw.chance(14, 40)),
        Cell::Day(Some(received_on)),
        Cell::Day(declined_on),
        Cell::Day(supplement),
        Cell::Day(handled_on),
        Cell::Day(published_on),
        Cell::Int(published_on.map(|_| likes)),
        Cell::Int(published_on.map(|_| dislikes)),
        Cell::text(dossier.applicant.id()),
    ])
}

/// Both reports come close to what was received; of the year before nothing else is known.
fn reports(year: &Year<'_>, range: Range<u64>) -> Vec<Vec<Cell>> {
    let received = year.received();
    let world = year.world();
    let of_month = |row: u64| {
        let (commune, month) = ((row / REPORTED_MONTHS) as usize, (row % REPORTED_MONTHS) as i64);
        let first = calendar::from_days(months_after(calendar::to_days(FIRST), month - 12))?;
        let draw = Draw::new(world.seed, Stream::Report, row);
        let people = world.communes.get(commune)?.people;
        let usual = world.dossiers * people / (12 * world.people.max(1));
        let counted = match first < FIRST {
            true => usual * (820 + draw.below(0, 200)) / 1000,
            false => received.get(&(commune, first)).copied().unwrap_or(0),
        };
        let more = counted * draw.below(1, 16) / 1000;
        let less = counted * draw.below(2, 30) / 1000;
        let count = |number: u64| Cell::Int(i64::try_from(number).ok());
        Some(vec![Cell::Text(unit(year, commune)), Cell::date(first), count(counted + more), count(counted - less)])
    };
    range.filter_map(of_month).collect()
}

fn office(year: &Year<'_>, row: u64) -> Option<Vec<Cell>> {
    let draw = Draw::new(year.world().seed, Stream::Office, row);
    let (commune, quarter) = ((row / JUDGED_QUARTERS) as usize, (row % JUDGED_QUARTERS) as i64);
    let first = calendar::from_days(months_after(calendar::to_days(date(2025, 10, 1)), 3 * quarter))?;
    let points = draw.weighted(0, &[(2, 640), (1, 310), (0, 50)], 2);
    (first <= LAST).then(|| vec![Cell::Text(unit(year, commune)), Cell::date(first), Cell::Int(Some(points))])
}
