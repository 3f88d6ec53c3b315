//! The sources of the sample agency An Bình, as `pipelines/an-binh/pipeline.toml` reads them:
//! two SQLite databases and three CSV files. In SQLite, dates are ISO 8601 text
//! and yes or no is 1 or 0; in CSV, dates are dd/mm/yyyy.

use std::path::Path;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Field, Schema};
use rusqlite::{Connection, Params, Statement, Transaction, params};

use super::dossiers::Year;
use super::files::{self, Draft, Rows};
use super::papers;
use super::standard::Table;
use super::world::{Day, Person, World, civil};
use super::{Error, WrittenFile};

/// Writes all sources under `out`.
pub fn write(world: &World, out: &Path) -> Result<Vec<WrittenFile>, Error> {
    let mut files = vec![
        database(&out.join("population.sqlite"), |transaction| population(world, transaction))?,
        database(&out.join("transport.sqlite"), |transaction| transport(world, transaction))?,
    ];
    let year = Year::of(world);
    let cards = ["card_number", "citizen_id", "valid_to"];
    let dossiers = [
        "dossier_number",
        "applicant_id",
        "procedure_code",
        "commune_code",
        "channel",
        "status",
        "received_on",
        "due_on",
        "finished_on",
    ];
    let ratings = ["rating_id", "dossier_number", "level", "rated_on"];
    files.extend(csv(&year, Table::HealthInsuranceCards, &cards, &out.join("insurance/household_cards.csv"))?);
    files.extend(csv(&year, Table::Dossiers, &dossiers, &out.join("one-stop/dossiers.csv"))?);
    files.extend(csv(&year, Table::Ratings, &ratings, &out.join("one-stop/ratings.csv"))?);
    Ok(files)
}

/// A standard table under the agency's own column names.
fn csv(year: &Year<'_>, table: Table, names: &[&str], path: &Path) -> Result<Vec<WrittenFile>, Error> {
    let fields: Vec<Field> = table
        .schema()
        .fields()
        .iter()
        .zip(names)
        .map(|(field, name)| Field::new(*name, field.data_type().clone(), field.is_nullable()))
        .collect();
    let schema = Arc::new(Schema::new(fields));
    let batch = |range| RecordBatch::try_new(schema.clone(), table.batch(year, range)?.columns().to_vec());
    let rows = Rows {
        schema: schema.clone(),
        sources: table.sources(year.world()),
        batch: &batch,
        date_format: Some("%d/%m/%Y"),
    };
    files::write(&rows, None, Some(path.to_path_buf()))
}

fn database(
    path: &Path,
    fill: impl FnOnce(&Transaction<'_>) -> Result<u64, rusqlite::Error>,
) -> Result<WrittenFile, Error> {
    let draft = Draft::new(path.to_path_buf())?;
    let filled = Connection::open(draft.draft_path()).and_then(|mut connection| {
        // The file takes its place only when whole, so it needs no journal of its own.
        connection.execute_batch("pragma journal_mode = off; pragma synchronous = off; pragma page_size = 4096;")?;
        let transaction = connection.transaction()?;
        let rows = fill(&transaction)?;
        transaction.commit()?;
        connection.close().map_err(|(_, error)| error)?;
        Ok(rows)
    });
    match filled {
        Ok(rows) => draft.place(rows),
        Err(source) => Err(Error::Database { path: draft.path().to_path_buf(), source }),
    }
}

const POPULATION: &str = "
create table citizens (
    citizen_id text primary key not null,
    full_name text not null,
    birth_date text not null,
    commune_code text not null,
    language text,
    email text,
    deceased_on text,
    refuses_reminders integer not null,
    sex text not null,
    residence text,
    residence_confirmed_on text not null
);
create table identity_cards (
    card_number text primary key not null,
    citizen_id text not null,
    issued_on text not null
);
create table temporary_residences (
    registration_number text primary key not null,
    citizen_id text not null,
    commune_code text not null,
    expires_on text not null,
    ended_on text
);
";

fn population(world: &World, transaction: &Transaction<'_>) -> Result<u64, rusqlite::Error> {
    transaction.execute_batch(POPULATION)?;
    let mut citizens = Insert::into(transaction, "insert into citizens values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")?;
    let mut cards = Insert::into(transaction, "insert into identity_cards values (?, ?, ?)")?;
    let mut residences = Insert::into(transaction, "insert into temporary_residences values (?, ?, ?, ?, ?)")?;
    let code = |commune: usize| world.communes.get(commune).map(|commune| commune.code.as_str());
    for person in everybody(world) {
        let (id, address) = (person.id(), papers::address(world, &person));
        citizens.row(params![
            id,
            person.full_name(),
            iso(person.born),
            code(person.commune),
            person.language(),
            person.email(),
            person.died().map(iso),
            person.refuses(),
            if person.is_female() { "female" } else { "male" },
            address.text,
            iso(address.confirmed_on),
        ])?;
        for card in papers::identity_cards(world, &person).into_iter().flatten() {
            cards.row(params![card.number, id, iso(card.issued_on)])?;
        }
        for residence in papers::residences(world, &person).into_iter().flatten() {
            let (expires, ended) = (iso(residence.expires_on), residence.ended_on.map(iso));
            residences.row(params![residence.number, id, code(residence.commune), expires, ended])?;
        }
    }
    Ok(citizens.rows + cards.rows + residences.rows)
}

const TRANSPORT: &str = "
create table driving_licences (
    licence_number text primary key not null,
    citizen_id text not null,
    class text not null,
    issued_on text not null,
    holder_name text,
    holder_birth_date text
);
create table vehicles (
    plate text primary key not null,
    owner_id text not null,
    kind text not null,
    is_commercial integer not null,
    year_made integer not null,
    last_inspected_on text not null,
    inspections integer not null
);
";

fn transport(world: &World, transaction: &Transaction<'_>) -> Result<u64, rusqlite::Error> {
    transaction.execute_batch(TRANSPORT)?;
    let mut licences = Insert::into(transaction, "insert into driving_licences values (?, ?, ?, ?, ?, ?)")?;
    let mut vehicles = Insert::into(transaction, "insert into vehicles values (?, ?, ?, ?, ?, ?, ?)")?;
    for person in everybody(world) {
        let id = person.id();
        for licence in papers::licences(world, &person).into_iter().flatten() {
            let (holder, born) = papers::holder(world, &person);
            licences.row(params![licence.number, id, licence.class, iso(licence.issued_on), holder, born.map(iso)])?;
        }
        for vehicle in papers::vehicles(world, &person).into_iter().flatten() {
            vehicles.row(params![
                vehicle.plate,
                id,
                vehicle.kind,
                vehicle.is_commercial,
                vehicle.year_made,
                iso(vehicle.last_inspected_on),
                vehicle.inspections,
            ])?;
        }
    }
    Ok(licences.rows + vehicles.rows)
}

fn everybody(world: &World) -> impl Iterator<Item = Person> {
    (0..world.people).map(|row| world.person_in_row(row))
}

/// A date in ISO 8601.
fn iso(day: Day) -> String {
    civil(day).to_string()
}

/// A prepared insertion that counts its rows.
struct Insert<'t> {
    statement: Statement<'t>,
    rows: u64,
}

impl<'t> Insert<'t> {
    fn into(transaction: &'t Transaction<'_>, sql: &str) -> Result<Self, rusqlite::Error> {
        Ok(Insert { statement: transaction.prepare(sql)?, rows: 0 })
    }

    fn row(&mut self, values: impl Params) -> Result<(), rusqlite::Error> {
        self.statement.execute(values)?;
        self.rows += 1;
        Ok(())
    }
}
