//! The standard tables as Arrow batches, a range of rows at a time.
//!
//! Names, types and order of the columns are those of
//! `pipelines/standard-tables.toml`; a test compares them. This module must not
//! know where the batches go.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanBuilder, Date32Builder, Int64Builder, RecordBatch, StringBuilder};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;

use super::dossiers::Year;
use super::papers::{self, Few};
use super::world::{Person, World};

/// A standard table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    /// One row per person.
    People,
    /// One row per identity card.
    IdentityCards,
    /// One row per driving licence.
    DrivingLicences,
    /// One row per vehicle.
    Vehicles,
    /// One row per temporary residence that has not been ended.
    TemporaryResidences,
    /// One row per household health insurance card.
    HealthInsuranceCards,
    /// One row per dossier.
    Dossiers,
    /// One row per rating.
    Ratings,
}

impl Table {
    /// All of them.
    pub const ALL: [Table; 8] = [
        Table::People,
        Table::IdentityCards,
        Table::DrivingLicences,
        Table::Vehicles,
        Table::TemporaryResidences,
        Table::HealthInsuranceCards,
        Table::Dossiers,
        Table::Ratings,
    ];

    /// Its name, and that of its file.
    pub fn name(self) -> &'static str {
        match self {
            Table::People => "people",
            Table::IdentityCards => "identity_cards",
            Table::DrivingLicences => "driving_licences",
            Table::Vehicles => "vehicles",
            Table::TemporaryResidences => "temporary_residences",
            Table::HealthInsuranceCards => "health_insurance_cards",
            Table::Dossiers => "dossiers",
            Table::Ratings => "ratings",
        }
    }

    /// Names, types and nullability of its columns.
    pub fn schema(self) -> SchemaRef {
        use DataType::{Boolean, Date32, Int64, Utf8};
        let columns: &[(&str, DataType, bool)] = match self {
            Table::People => &[
                ("subject_id", Utf8, false),
                ("full_name", Utf8, false),
                ("birth_date", Date32, true),
                ("commune_code", Utf8, true),
                ("language", Utf8, true),
                ("email", Utf8, true),
                ("phone", Utf8, true),
                ("is_deceased", Boolean, false),
                ("refuses_reminders", Boolean, false),
            ],
            Table::IdentityCards => {
                &[("card_number", Utf8, false), ("subject_id", Utf8, false), ("issued_on", Date32, false)]
            }
            Table::DrivingLicences => &[
                ("licence_number", Utf8, false),
                ("subject_id", Utf8, false),
                ("licence_class", Utf8, false),
                ("issued_on", Date32, false),
            ],
            Table::Vehicles => &[
                ("vehicle_id", Utf8, false),
                ("subject_id", Utf8, false),
                ("kind", Utf8, false),
                ("is_commercial", Boolean, false),
                ("year_made", Int64, false),
                ("last_inspected_on", Date32, false),
                ("inspections", Int64, false),
            ],
            Table::TemporaryResidences => {
                &[("registration_number", Utf8, false), ("subject_id", Utf8, false), ("expires_on", Date32, false)]
            }
            Table::HealthInsuranceCards => {
                &[("card_number", Utf8, false), ("subject_id", Utf8, false), ("valid_to", Date32, false)]
            }
            Table::Dossiers => &[
                ("dossier_id", Utf8, false),
                ("subject_id", Utf8, false),
                ("procedure_code", Utf8, false),
                ("commune_code", Utf8, false),
                ("channel", Int64, true),
                ("status", Int64, false),
                ("received_on", Date32, false),
                ("due_on", Date32, true),
                ("finished_on", Date32, true),
            ],
            Table::Ratings => &[
                ("rating_id", Utf8, false),
                ("dossier_id", Utf8, false),
                ("level", Int64, false),
                ("rated_on", Date32, false),
            ],
        };
        let fields: Vec<Field> =
            columns.iter().map(|(name, kind, nullable)| Field::new(*name, kind.clone(), *nullable)).collect();
        Arc::new(Schema::new(fields))
    }

    /// How many people or dossiers its rows are made from.
    pub fn sources(self, world: &World) -> u64 {
        match self {
            Table::Dossiers | Table::Ratings => world.dossiers,
            _ => world.people,
        }
    }

    /// The rows made from a range of people, or of dossiers.
    pub fn batch(self, year: &Year<'_>, range: Range<u64>) -> Result<RecordBatch, ArrowError> {
        let columns = match self {
            Table::People => people(year.world(), range),
            Table::IdentityCards => identity_cards(year.world(), range),
            Table::DrivingLicences => driving_licences(year.world(), range),
            Table::Vehicles => vehicles(year.world(), range),
            Table::TemporaryResidences => temporary_residences(year.world(), range),
            Table::HealthInsuranceCards => health_insurance_cards(year.world(), range),
            Table::Dossiers => dossiers(year, range),
            Table::Ratings => ratings(year, range),
        };
        RecordBatch::try_new(self.schema(), columns)
    }
}

fn people(world: &World, range: Range<u64>) -> Vec<ArrayRef> {
    let mut ids = StringBuilder::new();
    let mut names = StringBuilder::new();
    let mut born = Date32Builder::new();
    let mut communes = StringBuilder::new();
    let mut languages = StringBuilder::new();
    let mut emails = StringBuilder::new();
    let mut phones = StringBuilder::new();
    let mut deceased = BooleanBuilder::new();
    let mut refuses = BooleanBuilder::new();
    for row in range {
        let person = world.person_in_row(row);
        ids.append_value(person.id());
        names.append_value(person.full_name());
        born.append_value(person.born);
        communes.append_option(world.communes.get(person.commune).map(|commune| &commune.code));
        languages.append_option(person.language());
        emails.append_option(person.email());
        // No mobile numbers of Vietnam are set aside for examples: any that we made up might be somebody's.
        phones.append_null();
        deceased.append_value(person.died().is_some());
        refuses.append_value(person.refuses());
    }
    vec![
        Arc::new(ids.finish()),
        Arc::new(names.finish()),
        Arc::new(born.finish()),
        Arc::new(communes.finish()),
        Arc::new(languages.finish()),
        Arc::new(emails.finish()),
        Arc::new(phones.finish()),
        Arc::new(deceased.finish()),
        Arc::new(refuses.finish()),
    ]
}

/// Everything of one kind that the people of these rows hold, with the holder's number.
fn held<T>(world: &World, range: Range<u64>, of: fn(&World, &Person) -> Few<T>, mut take: impl FnMut(&str, T)) {
    for row in range {
        let person = world.person_in_row(row);
        let papers = of(world, &person);
        if papers.iter().any(Option::is_some) {
            let holder = person.id();
            papers.into_iter().flatten().for_each(|paper| take(&holder, paper));
        }
    }
}

fn identity_cards(world: &World, range: Range<u64>) -> Vec<ArrayRef> {
    let (mut numbers, mut holders, mut issued) = (StringBuilder::new(), StringBuilder::new(), Date32Builder::new());
    held(world, range, papers::identity_cards, |holder, card| {
        numbers.append_value(card.number);
        holders.append_value(holder);
        issued.append_value(card.issued_on);
    });
    vec![Arc::new(numbers.finish()), Arc::new(holders.finish()), Arc::new(issued.finish())]
}

fn driving_licences(world: &World, range: Range<u64>) -> Vec<ArrayRef> {
    let (mut numbers, mut holders) = (StringBuilder::new(), StringBuilder::new());
    let (mut classes, mut issued) = (StringBuilder::new(), Date32Builder::new());
    held(world, range, papers::licences, |holder, licence| {
        numbers.append_value(licence.number);
        holders.append_value(holder);
        classes.append_value(licence.class);
        issued.append_value(licence.issued_on);
    });
    vec![Arc::new(numbers.finish()), Arc::new(holders.finish()), Arc::new(classes.finish()), Arc::new(issued.finish())]
}

fn vehicles(world: &World, range: Range<u64>) -> Vec<ArrayRef> {
    let (mut plates, mut owners, mut kinds) = (StringBuilder::new(), StringBuilder::new(), StringBuilder::new());
    let (mut commercial, mut years) = (BooleanBuilder::new(), Int64Builder::new());
    let (mut inspected, mut inspections) = (Date32Builder::new(), Int64Builder::new());
    held(world, range, papers::vehicles, |owner, vehicle| {
        plates.append_value(vehicle.plate);
        owners.append_value(owner);
        kinds.append_value(vehicle.kind);
        commercial.append_value(vehicle.is_commercial);
        years.append_value(vehicle.year_made);
        inspected.append_value(vehicle.last_inspected_on);
        inspections.append_value(vehicle.inspections);
    });
    vec![
        Arc::new(plates.finish()),
        Arc::new(owners.finish()),
        Arc::new(kinds.finish()),
        Arc::new(commercial.finish()),
        Arc::new(years.finish()),
        Arc::new(inspected.finish()),
        Arc::new(inspections.finish()),
    ]
}

fn temporary_residences(world: &World, range: Range<u64>) -> Vec<ArrayRef> {
    let (mut numbers, mut residents, mut expires) = (StringBuilder::new(), StringBuilder::new(), Date32Builder::new());
    held(world, range, papers::residences, |resident, residence| {
        if residence.ended_on.is_none() {
            numbers.append_value(residence.number);
            residents.append_value(resident);
            expires.append_value(residence.expires_on);
        }
    });
    vec![Arc::new(numbers.finish()), Arc::new(residents.finish()), Arc::new(expires.finish())]
}

fn health_insurance_cards(world: &World, range: Range<u64>) -> Vec<ArrayRef> {
    let (mut numbers, mut holders, mut valid) = (StringBuilder::new(), StringBuilder::new(), Date32Builder::new());
    held(world, range, papers::insurance_cards, |holder, card| {
        numbers.append_value(card.number);
        holders.append_value(holder);
        valid.append_value(card.valid_to);
    });
    vec![Arc::new(numbers.finish()), Arc::new(holders.finish()), Arc::new(valid.finish())]
}

fn dossiers(year: &Year<'_>, range: Range<u64>) -> Vec<ArrayRef> {
    let (mut numbers, mut applicants) = (StringBuilder::new(), StringBuilder::new());
    let (mut procedures, mut communes) = (StringBuilder::new(), StringBuilder::new());
    let (mut channels, mut statuses) = (Int64Builder::new(), Int64Builder::new());
    let (mut received, mut due, mut finished) = (Date32Builder::new(), Date32Builder::new(), Date32Builder::new());
    for dossier in range.filter_map(|index| year.dossier(index)) {
        numbers.append_value(&dossier.number);
        applicants.append_value(dossier.applicant.id());
        procedures.append_value(dossier.procedure);
        communes.append_value(year.world().communes.get(dossier.commune).map_or("", |commune| &commune.code));
        channels.append_value(dossier.channel);
        statuses.append_value(dossier.status);
        received.append_value(dossier.received_on);
        due.append_option(dossier.due_on);
        finished.append_option(dossier.finished_on);
    }
    vec![
        Arc::new(numbers.finish()),
        Arc::new(applicants.finish()),
        Arc::new(procedures.finish()),
        Arc::new(communes.finish()),
        Arc::new(channels.finish()),
        Arc::new(statuses.finish()),
        Arc::new(received.finish()),
        Arc::new(due.finish()),
        Arc::new(finished.finish()),
    ]
}

fn ratings(year: &Year<'_>, range: Range<u64>) -> Vec<ArrayRef> {
    let (mut ids, mut dossiers) = (StringBuilder::new(), StringBuilder::new());
    let (mut levels, mut rated) = (Int64Builder::new(), Date32Builder::new());
    let dossiers_of_range = range.filter_map(|index| year.dossier(index));
    for rating in dossiers_of_range.filter_map(|dossier| year.rating(&dossier)) {
        ids.append_value(rating.id);
        dossiers.append_value(rating.dossier);
        levels.append_value(rating.level);
        rated.append_value(rating.rated_on);
    }
    vec![Arc::new(ids.finish()), Arc::new(dossiers.finish()), Arc::new(levels.finish()), Arc::new(rated.finish())]
}
