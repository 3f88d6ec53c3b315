//! The register of persons, the same rows as CSV and as an SQLite file.
//!
//! Every value is a function of the row's number: the same everywhere, in every
//! run. It is the register with which the peers were first measured, so that the
//! figures can be set beside each other.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use jiff::ToSpan;
use jiff::civil::{Date, date};

use super::{Fallible, say};

/// The columns, with the types of PostgreSQL and SQLite.
pub const COLUMNS: &str = "person_id integer not null, province integer, commune integer, birth_date date, \
                           id_issued date, email text, phone text, language text, consents boolean";

/// A person of the register. Nobody is meant.
struct Person<'a> {
    id: u64,
    birth_date: &'a str,
    id_issued: &'a str,
    email: Option<String>,
    phone: String,
}

impl Person<'_> {
    fn province(&self) -> u64 {
        self.id % 34
    }

    fn commune(&self) -> u64 {
        self.id % 3321
    }

    fn language(&self) -> &'static str {
        if self.id.is_multiple_of(20) { "en" } else { "vi" }
    }

    fn consents(&self) -> bool {
        self.id % 100 >= 3
    }
}

/// The files, made when they are first asked for.
pub struct Data {
    folder: PathBuf,
    /// How many rows each has.
    pub rows: u64,
}

impl Data {
    pub fn new(bench: &Path, rows: u64) -> Fallible<Self> {
        let folder = bench.join(format!("persons-{rows}"));
        std::fs::create_dir_all(&folder)?;
        Ok(Data { folder, rows })
    }

    /// A CSV file with a header, dates in ISO 8601, `true` and `false`.
    pub fn csv(&self) -> Fallible<PathBuf> {
        self.made("persons.csv", |path| {
            let mut out = BufWriter::with_capacity(1 << 20, File::create(path)?);
            writeln!(out, "person_id,province,commune,birth_date,id_issued,email,phone,language,consents")?;
            self.each(|person| {
                let Person { id, birth_date, id_issued, email, phone } = &person;
                let (email, language) = (email.as_deref().unwrap_or_default(), person.language());
                let (province, commune, consents) = (person.province(), person.commune(), person.consents());
                let line = (id, province, commune, birth_date, id_issued, email, phone, language, consents);
                let (a, b, c, d, e, f, g, h, i) = line;
                Ok(writeln!(out, "{a},{b},{c},{d},{e},{f},{g},{h},{i}")?)
            })?;
            Ok(out.flush()?)
        })
    }

    /// An SQLite file with the table `persons`, dates as text, `consents` as 0 and 1.
    pub fn sqlite(&self) -> Fallible<PathBuf> {
        self.made("persons.sqlite", |path| {
            let mut database = rusqlite::Connection::open(path)?;
            database.execute_batch("pragma journal_mode = off; pragma synchronous = off")?;
            database.execute_batch(&format!("create table persons ({COLUMNS}, primary key (person_id))"))?;
            let all = database.transaction()?;
            {
                let mut insert = all.prepare("insert into persons values (?, ?, ?, ?, ?, ?, ?, ?, ?)")?;
                self.each(|person| {
                    let Person { id, birth_date, id_issued, email, phone } = &person;
                    insert.execute(rusqlite::params![
                        id.cast_signed(),
                        person.province().cast_signed(),
                        person.commune().cast_signed(),
                        birth_date,
                        id_issued,
                        email,
                        phone,
                        person.language(),
                        person.consents()
                    ])?;
                    Ok(())
                })?;
            }
            all.commit()?;
            Ok(database.execute_batch("analyze")?)
        })
    }

    /// Makes a file aside and gives it its name, or finds it there.
    fn made(&self, name: &str, make: impl FnOnce(&Path) -> Fallible<()>) -> Fallible<PathBuf> {
        let path = self.folder.join(name);
        if !path.exists() {
            say(&format!("making {}", path.display()))?;
            let aside = self.folder.join(format!(".aside-{name}"));
            drop(std::fs::remove_file(&aside));
            make(&aside)?;
            std::fs::rename(&aside, &path)?;
        }
        Ok(path)
    }

    fn each(&self, mut take: impl FnMut(Person<'_>) -> Fallible<()>) -> Fallible<()> {
        let births = days_from(date(1930, 1, 1), 35_000)?;
        let issues = days_from(date(2015, 1, 1), 4_300)?;
        for id in 1..=self.rows {
            let day = |days: &[String], step: u64| -> Fallible<usize> { Ok(usize::try_from(id * step)? % days.len()) };
            let (Some(birth_date), Some(id_issued)) =
                (births.get(day(&births, 7_919)?), issues.get(day(&issues, 104_729)?))
            else {
                return Err("a day is missing".into());
            };
            let email = (id % 100 < 55).then(|| format!("p{id}@example.vn"));
            let phone = format!("09{:08}", id % 100_000_000);
            take(Person { id, birth_date, id_issued, email, phone })?;
        }
        Ok(())
    }
}

/// So many days one after the other, in ISO 8601.
fn days_from(first: Date, count: i64) -> Fallible<Vec<String>> {
    (0..count).map(|days| Ok(first.checked_add(days.days())?.to_string())).collect()
}
