//! Samples: the same seed gives the same rows, the committed files are the
//! generator's, and the night of the samples has something for every item.
#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]
#![expect(clippy::indexing_slicing, reason = "a test may stop at the first surprise")]
#![expect(clippy::panic, reason = "a test may stop at the first surprise")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use arrow::array::{RecordBatch, RecordBatchReader};
use arrow::compute::concat_batches;
use chudong::calendar;
use chudong::fault::Explain;
use chudong::pipeline::{self, Pipeline, SourceKind, reader::Faults};
use chudong::samples::{self, DEFAULT_PEOPLE, DEFAULT_SEED, Format, NIGHT, Options};
use chudong::tables::Table;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use proptest::prelude::*;
use rusqlite::Connection;
use rusqlite::types::Value;
use unicode_normalization::is_nfc;

const CSV_FILES: [&str; 3] = ["insurance/household_cards.csv", "one-stop/dossiers.csv", "one-stop/ratings.csv"];

fn make(people: u64, seed: u64, format: Format) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    samples::write(&Options { people, seed, out: folder.path().to_path_buf(), format }).unwrap();
    folder
}

fn agency(id: &str) -> Pipeline {
    let faults = Faults::default();
    let pipeline = pipeline::read(crate::root(), id, &faults).unwrap();
    let said: Vec<String> = faults.into_vec().iter().map(ToString::to_string).collect();
    assert!(said.is_empty(), "{}", said.join("\n"));
    pipeline
}

/// All rows of an SQLite database: table, then rows in the order of their key.
fn rows_of(database: &Path) -> Vec<(String, Vec<Vec<Value>>)> {
    let connection = Connection::open(database).unwrap();
    let mut names = connection.prepare("select name from sqlite_master where type = 'table' order by name").unwrap();
    let names: Vec<String> = names.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    names
        .into_iter()
        .map(|name| (name.clone(), query(&connection, &format!("select * from {name} order by 1"))))
        .collect()
}

fn query(connection: &Connection, sql: &str) -> Vec<Vec<Value>> {
    let mut statement = connection.prepare(sql).unwrap();
    let width = statement.column_count();
    let rows = statement.query_map([], |row| (0..width).map(|at| row.get(at)).collect()).unwrap();
    rows.map(Result::unwrap).collect()
}

fn count(connection: &Connection, sql: &str) -> i64 {
    connection.query_row(sql, [], |row| row.get(0)).unwrap()
}

/// A standard table that was written as Parquet.
fn parquet(folder: &Path, table: &str) -> Table {
    let file = fs::File::open(folder.join(table).with_extension("parquet")).unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
    let schema = reader.schema();
    let batches: Vec<RecordBatch> = reader.map(Result::unwrap).collect();
    Table::from_batch(concat_batches(&schema, &batches).unwrap())
}

/// UPDATE_EXPECT=1 writes the committed samples anew.
#[test]
fn the_committed_samples_are_the_generators() {
    let committed = crate::root().join("data-samples/an-binh");
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        let options =
            Options { people: DEFAULT_PEOPLE, seed: DEFAULT_SEED, out: committed.clone(), format: Format::Agency };
        samples::write(&options).unwrap();
    }
    let made = make(DEFAULT_PEOPLE, DEFAULT_SEED, Format::Agency);
    for file in CSV_FILES {
        let same = fs::read(committed.join(file)).unwrap() == fs::read(made.path().join(file)).unwrap();
        assert!(same, "{file} differs");
    }
    for file in ["population.sqlite", "transport.sqlite"] {
        assert!(rows_of(&committed.join(file)) == rows_of(&made.path().join(file)), "{file} differs");
    }
}

#[test]
fn the_standard_tables_are_those_of_the_file() {
    let declared: BTreeMap<String, BTreeSet<_>> = agency("an-binh")
        .standard_tables
        .into_iter()
        .map(|table| {
            let columns = table.columns.into_iter();
            (table.name, columns.map(|column| (column.name, column.kind.arrow(), column.nullable)).collect())
        })
        .collect();
    let written: BTreeMap<String, BTreeSet<_>> = samples::standard_tables()
        .into_iter()
        .map(|(name, schema)| {
            let fields = schema.fields().iter();
            let columns = fields.map(|field| (field.name().clone(), field.data_type().clone(), field.is_nullable()));
            (name.to_owned(), columns.collect())
        })
        .collect();
    // The catalogue has more tables than the sample agencies fill: theirs are written, and as they are declared. Ratings
    // are written as a portal exports them, and land as counts.
    let is_standard = |name: &String| name != "ratings";
    for (name, columns) in written.iter().filter(|(name, _)| is_standard(name)) {
        assert_eq!(Some(columns), declared.get(name), "{name}");
    }
    let filled = fs::read_dir(crate::root().join("sql/staging/an-binh")).unwrap();
    let filled: BTreeSet<String> =
        filled.map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    // What only dossiers are prepared from is in the agency's own sources, and in no standard form.
    let for_dossiers = ["licence_holders", "residents"].map(str::to_owned);
    let expected = written.into_keys().filter(is_standard).chain(for_dossiers);
    assert_eq!(expected.collect::<BTreeSet<_>>(), filled);
}

/// Every file, table and column that a pipeline reads is in its data, and nothing else.
#[test]
fn the_data_is_what_the_pipelines_read() {
    for id in ["an-binh", "binh-minh"] {
        for source in agency(id).sources {
            for table in source.tables {
                let granted: BTreeSet<String> = table.columns.into_iter().map(|column| column.name).collect();
                let there: BTreeSet<String> = match &source.kind {
                    SourceKind::Sqlite { path } => {
                        let connection = Connection::open(crate::root().join(path)).unwrap();
                        let info = format!("select name, 1 from pragma_table_info('{}')", table.from);
                        query(&connection, &info)
                            .into_iter()
                            .map(|row| match &row[0] {
                                Value::Text(name) => name.clone(),
                                other => panic!("a column's name is {other:?}"),
                            })
                            .collect()
                    }
                    SourceKind::Csv { path, delimiter } => {
                        let text = fs::read_to_string(crate::root().join(path).join(&table.from)).unwrap();
                        let head = text.lines().next().unwrap();
                        head.split(char::from(*delimiter)).map(str::to_owned).collect()
                    }
                    other => panic!("no sample has {other:?}"),
                };
                assert_eq!(there, granted, "{}.{}", source.name, table.name);
            }
        }
    }
}

#[test]
fn communes_and_procedures_are_in_the_public_lists() {
    let pipeline = agency("an-binh");
    let communes: BTreeSet<&str> = pipeline.unit.communes.iter().map(|commune| commune.code.as_str()).collect();
    let procedures: BTreeSet<&str> =
        pipeline.procedure_groups.iter().flat_map(|group| &group.procedures).map(String::as_str).collect();
    let text = fs::read_to_string(crate::root().join("data-samples/an-binh/one-stop/dossiers.csv")).unwrap();
    let cells: Vec<(&str, &str)> = text
        .lines()
        .skip(1)
        .map(|line| {
            let fields: Vec<&str> = line.split(',').collect();
            (fields[2], fields[3])
        })
        .collect();
    assert_eq!(cells.iter().map(|cell| cell.0).collect::<BTreeSet<_>>(), procedures);
    assert_eq!(cells.iter().map(|cell| cell.1).collect::<BTreeSet<_>>(), communes);
}

/// How much there is to find on the night, by the rules as they stand in `pipelines/law/`, roughly.
#[test]
fn the_night_has_something_for_every_item() {
    let folder = crate::root().join("data-samples/an-binh");
    let population = Connection::open(folder.join("population.sqlite")).unwrap();
    let transport = Connection::open(folder.join("transport.sqlite")).unwrap();
    let reaching_an_age =
        "select count(*) from citizens c, (select 14 as age union select 25 union select 40 union select 60)
        where date(birth_date, '+' || age || ' years') between '2026-11-21' and '2027-01-20'
        and not exists (select 1 from identity_cards i where i.citizen_id = c.citizen_id
            and i.issued_on >= date(birth_date, '+' || (age - 2) || ' years'))";
    let licences = "select count(*) from driving_licences where date(issued_on, '+' ||
        case when class in ('B', 'C1') then 10 else 5 end || ' years') between '2026-11-21' and '2027-01-20'
        and class not in ('A1', 'A', 'B1')";
    let exchanged = "select count(*) from driving_licences o join driving_licences n using (citizen_id, class)
        where n.issued_on > o.issued_on";
    let cars = "select count(*) from vehicles where kind = 'passenger_car' and not is_commercial
        and inspections = 1 and date(last_inspected_on, '+36 months') between '2026-11-21' and '2026-12-21'";
    let residences = "select count(*) from temporary_residences
        where ended_on is null and expires_on between '2026-11-21' and '2026-12-06'";
    let found = [
        ("identity cards", count(&population, reaching_an_age), 60..300),
        ("licences", count(&transport, licences), 50..200),
        ("licences exchanged already", count(&transport, exchanged), 10..80),
        ("new cars", count(&transport, cars), 4..60),
        ("temporary residences", count(&population, residences), 24..100),
        ("temporary residences ended", count(&population, "select count(ended_on) from temporary_residences"), 20..80),
        ("deceased", count(&population, "select count(deceased_on) from citizens"), 30..80),
        ("who refuse", count(&population, "select sum(refuses_reminders) from citizens"), 60..140),
        ("addresses", count(&population, "select count(email) from citizens"), 2500..3500),
        ("vehicles", count(&transport, "select count(*) from vehicles"), 2800..3200),
        ("driving licences", count(&transport, "select count(*) from driving_licences"), 2300..2700),
        (
            "born on a leap day",
            count(&population, "select count(*) from citizens where birth_date like '%-02-29'"),
            8..40,
        ),
    ];
    for (what, number, expected) in found {
        assert!(expected.contains(&number), "{what}: {number}");
    }
    let insurance = fs::read_to_string(folder.join("insurance/household_cards.csv")).unwrap();
    let soon = insurance.lines().filter(|line| line.ends_with("/12/2026")).count();
    assert!((60..400).contains(&soon), "insurance cards that end in December: {soon}");
}

/// By commune and month of rating, one rating per person and month as bounding leaves it:
/// most can be published, and the two small communes must be rolled up.
#[test]
fn most_cells_of_ratings_are_large_and_some_are_not() {
    let folder = crate::root().join("data-samples/an-binh/one-stop");
    let dossiers = fs::read_to_string(folder.join("dossiers.csv")).unwrap();
    let ratings = fs::read_to_string(folder.join("ratings.csv")).unwrap();
    let commune_of: BTreeMap<&str, (&str, &str)> = dossiers
        .lines()
        .skip(1)
        .map(|line| {
            let fields: Vec<&str> = line.split(',').collect();
            (fields[0], (fields[1], fields[3]))
        })
        .collect();
    assert_eq!(commune_of.len(), 15_000);
    let mut cells: BTreeMap<(&str, &str), u32> = BTreeMap::new();
    let mut counted: BTreeSet<(&str, &str)> = BTreeSet::new();
    let mut total = 0;
    for line in ratings.lines().skip(1) {
        let fields: Vec<&str> = line.split(',').collect();
        let ((person, commune), month) = (commune_of[fields[1]], &fields[3][3..]);
        total += 1;
        if counted.insert((person, month)) {
            *cells.entry((commune, month)).or_default() += 1;
        }
    }
    assert!((11_800..12_300).contains(&total), "{total} ratings");
    // November 2026 is not over on the night.
    let closed: Vec<(&str, u32)> = cells
        .iter()
        .filter(|((_, month), _)| *month != "11/2026")
        .map(|((commune, _), count)| (*commune, *count))
        .collect();
    let of = |commune: &str| closed.iter().filter(|(code, count)| *code == commune && *count >= 100).count();
    let large = ["97001", "97002", "97003", "97004", "97005", "97006"].map(of);
    assert_eq!(large, [12; 6]);
    assert_eq!([of("97007"), of("97008")], [0, 0]);
    assert!(closed.iter().all(|(_, count)| (25..200).contains(count)));
}

fn unique(table: &Table, column: &str) -> BTreeSet<String> {
    let values = table.texts(column).unwrap();
    let set: BTreeSet<String> = values.iter().flatten().cloned().collect();
    assert_eq!(set.len(), values.len(), "{column} is not unique");
    set
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// What holds for any seed and any number of people.
    #[test]
    fn every_table_is_sound(people in 1_u64..700, seed: u64) {
        let folder = make(people, seed, Format::Parquet);
        let read = |name| parquet(folder.path(), name);
        let register = read("people");
        prop_assert_eq!(register.rows() as u64, people);
        let ids = unique(&register, "subject_id");
        let born = register.dates("birth_date").unwrap();
        for (id, born) in register.texts("subject_id").unwrap().iter().flatten().zip(born.iter().flatten()) {
            prop_assert!(id.len() == 12 && id.bytes().all(|b| b.is_ascii_digit()));
            prop_assert!(id.starts_with('9'), "a number of a real province");
            let century = id[3..4].parse::<i16>().unwrap() / 2;
            prop_assert_eq!(1900 + 100 * century + id[4..6].parse::<i16>().unwrap(), born.year());
            prop_assert!((1930..=2026).contains(&born.year()) && *born <= NIGHT);
        }
        for name in register.texts("full_name").unwrap().iter().flatten() {
            prop_assert!(is_nfc(name) && name.split(' ').count() >= 3);
        }
        for address in register.texts("email").unwrap().iter().flatten() {
            let (local, host) = address.split_once('@').unwrap();
            prop_assert!(["example.com", "example.org", "example.net"].contains(&host));
            prop_assert!(local.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'.'));
        }
        let keys = [
            ("identity_cards", "card_number"),
            ("driving_licences", "licence_number"),
            ("vehicles", "vehicle_id"),
            ("temporary_residences", "registration_number"),
            ("health_insurance_cards", "card_number"),
            ("dossiers", "dossier_id"),
        ];
        for (name, key) in keys {
            let table = read(name);
            unique(&table, key);
            for holder in table.texts("subject_id").unwrap().iter().flatten() {
                prop_assert!(ids.contains(holder), "{} of nobody", name);
            }
        }
        dossiers_are_sound(&read("dossiers"), &read("ratings"));
    }

    /// Nobody is there twice, no card is older than its holder, and nobody is temporary at home.
    #[test]
    fn rows_come_once_each(people in 1_u64..400, seed: u64) {
        let made = make(people, seed, Format::Agency);
        let connection = Connection::open(made.path().join("population.sqlite")).unwrap();
        prop_assert_eq!(count(&connection, "select count(distinct citizen_id) from citizens") as u64, people);
        let unborn = "select count(*) from identity_cards join citizens using (citizen_id)
            where issued_on <= birth_date or issued_on >= '2026-11-21'";
        prop_assert_eq!(count(&connection, unborn), 0);
        let home = "select count(*) from temporary_residences t join citizens c using (citizen_id)
            where t.commune_code = c.commune_code";
        prop_assert_eq!(count(&connection, home), 0);
    }
}

fn dossiers_are_sound(dossiers: &Table, ratings: &Table) {
    let night = calendar::to_days(NIGHT);
    let days = |table: &Table, column: &str| -> Vec<Option<i32>> {
        table.dates(column).unwrap().into_iter().map(|date| date.map(calendar::to_days)).collect()
    };
    let numbers = dossiers.texts("dossier_id").unwrap();
    let (received, due, finished) =
        (days(dossiers, "received_on"), days(dossiers, "due_on"), days(dossiers, "finished_on"));
    let received_dates = dossiers.dates("received_on").unwrap();
    let mut finished_of = BTreeMap::new();
    for (at, status) in dossiers.ints("status").unwrap().into_iter().flatten().enumerate() {
        assert!((2..=10).contains(&status));
        assert_eq!(finished[at].is_some(), status >= 9, "row {at}");
        assert!(due[at].is_some() || status == 3, "row {at}");
        assert!(finished[at].is_none_or(|day| day >= received[at].unwrap() && day < night), "row {at}");
        assert!(due[at].is_none_or(|day| day >= received[at].unwrap()), "row {at}");
        let number = numbers[at].clone().unwrap();
        let day = received_dates[at].unwrap().strftime("%y%m%d").to_string();
        assert_eq!(number.split('-').nth(1), Some(day.as_str()), "row {at}");
        finished_of.insert(number, finished[at]);
    }
    let (rated, levels) = (days(ratings, "rated_on"), ratings.ints("level").unwrap());
    for (at, dossier) in ratings.texts("dossier_id").unwrap().into_iter().flatten().enumerate() {
        let finished = finished_of[&dossier].unwrap();
        assert!((finished..finished + 14).contains(&rated[at].unwrap()) && rated[at].unwrap() < night);
        assert!((1..=5).contains(&levels[at].unwrap()));
    }
}

#[test]
fn the_same_seed_gives_the_same_files_and_another_seed_others() {
    let (one, again, other) =
        (make(3000, 7, Format::Parquet), make(3000, 7, Format::Parquet), make(3000, 8, Format::Parquet));
    for (table, _) in samples::standard_tables() {
        let file = |folder: &Path| fs::read(folder.join(table).with_extension("parquet")).unwrap();
        assert!(file(one.path()) == file(again.path()), "{table} differs from run to run");
        assert!(file(one.path()) != file(other.path()), "{table} does not depend on the seed");
    }
}

/// CSV and Parquet hold the same, and a table of several chunks is whole and in order.
#[test]
fn large_tables_are_the_same_in_both_formats() {
    let people = 132_000;
    let both = make(people, 7, Format::Both);
    let register = parquet(both.path(), "people");
    assert_eq!(register.rows() as u64, people);
    let ids = unique(&register, "subject_id");
    let text = fs::read_to_string(both.path().join("people.csv")).unwrap();
    assert_eq!(
        text.lines().next().unwrap(),
        "subject_id,full_name,birth_date,commune_code,language,email,phone,is_deceased,refuses_reminders"
    );
    let in_csv: Vec<&str> = text.lines().skip(1).map(|line| line.split(',').next().unwrap()).collect();
    let in_parquet = register.texts("subject_id").unwrap();
    assert!(in_csv.iter().copied().eq(in_parquet.iter().flatten().map(String::as_str)));
    assert_eq!(ids.len(), in_csv.len());
    for (table, _) in samples::standard_tables() {
        let lines = fs::read_to_string(both.path().join(table).with_extension("csv")).unwrap().lines().count();
        assert_eq!(lines, parquet(both.path(), table).rows() + 1, "{table}");
    }
    let share = |table: &str| parquet(both.path(), table).rows() as f64 / people as f64;
    assert!((0.57..0.63).contains(&share("vehicles")), "{}", share("vehicles"));
    assert!((0.47..0.53).contains(&share("driving_licences")), "{}", share("driving_licences"));
    assert_eq!(share("dossiers"), 0.4);
    let rated = share("ratings") / share("dossiers");
    assert!((0.54..0.61).contains(&rated), "{rated}");
}

#[test]
fn refusals_say_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "not a folder").unwrap();
    let refuse = |people, out: &Path, format| {
        let options = Options { people, seed: 1, out: out.to_path_buf(), format };
        samples::write(&options).unwrap_err().fault()
    };
    assert_eq!(refuse(0, folder.path(), Format::Agency).code, "samples.people");
    let too_many = refuse(Format::Csv.people_max() + 1, folder.path(), Format::Csv);
    assert_eq!((too_many.code, too_many.next.as_str()), ("samples.people", "ask for 1 to 100000000 people"));
    for format in [Format::Agency, Format::Parquet, Format::Csv, Format::Both] {
        let fault = refuse(10, &file, format);
        assert_eq!(fault.code, "samples.write");
        assert!(fault.next.contains("choose a folder"));
    }
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
    assert_eq!(left.len(), 1, "something was left behind");
}

/// Each item that an agency uses, and figures where it has a privacy policy, find their staging files.
#[test]
fn every_standard_column_is_selected_by_the_staging_files() {
    for id in ["an-binh", "binh-minh"] {
        let standard = agency(id).standard_tables;
        let folder = crate::root().join("sql/staging").join(id);
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            let table = standard.iter().find(|table| table.name == name).unwrap();
            let sql = fs::read_to_string(&path).unwrap();
            let (head, select) = sql.split_once("\nselect\n").unwrap();
            assert!(head.contains(&format!("-- grain:   {}", table.grain.join(", "))), "{id}/{name}");
            let selected: BTreeSet<&str> = select
                .split_once("\nfrom ")
                .unwrap()
                .0
                .lines()
                .map(|line| line.trim_end_matches(',').split(' ').next_back().unwrap())
                .collect();
            let columns: BTreeSet<&str> = table.columns.iter().map(|column| column.name.as_str()).collect();
            assert_eq!(selected, columns, "{id}/{name}");
            let private = head.lines().find_map(|line| line.strip_prefix("-- private: ")).unwrap();
            let private: BTreeSet<&str> = private.split(", ").collect();
            let classified: BTreeSet<&str> = table
                .columns
                .iter()
                .filter(|column| column.class != pipeline::authorisation::Class::Public)
                .map(|column| column.name.as_str())
                .collect();
            assert_eq!(private, classified, "{id}/{name}");
        }
    }
}
