//! The files of a new obligation, with a mark wherever a person has to say something.
//!
//! What is made is sound as it stands, so that `check` and `test` have something to say from the first minute,
//! and it is of no use until the marks are filled in: `check` lists them, and no agency may switch on an item
//! that has one. Nothing that is there is written over. This module must not know what the law says.

use std::io::Write;
use std::path::{Path, PathBuf};

use crate::check::missing::MARK;
use crate::fault::{Explain, Place};
use crate::pipeline::reader::Faults;
use crate::pipeline::{self, Audience, StandardTable, Type};

/// Files by their place; `@ITEM@` is the item in both. In place of an empty one stands the select of the table's shape.
const FILES: [(&str, &str); 6] = [
    ("pipelines/law/@ITEM@_term.toml", include_str!("rule.toml")),
    ("pipelines/items/@ITEM@/item.toml", include_str!("item.toml")),
    ("pipelines/items/@ITEM@/message.vi.md", include_str!("message.vi.md")),
    ("pipelines/items/@ITEM@/message.en.md", include_str!("message.en.md")),
    ("sql/obligations/@ITEM@.sql", ""),
    ("tests/cases/obligations/@ITEM@/first.toml", include_str!("case.toml")),
];

/// What a standard table that is not there yet may look like.
const TABLE: &str = include_str!("table.toml");

/// An item that somebody wants.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Its name.
    pub name: String,
    /// Whose duty it is.
    pub audience: Audience,
    /// The standard table that it reads; `<name>_documents` where nobody says.
    pub reads: Option<String>,
}

/// What was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// The new files, relative to the installation folder.
    pub paths: Vec<PathBuf>,
    /// A standard table to be described, where the item reads one that there is not: as TOML.
    pub table: Option<String>,
}

/// An item that cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Its name is no word.
    #[error("\"{0}\" cannot be the name of an item or of its table")]
    Name(String),
    /// It is there already, at least in part.
    #[error("there is something of this item already")]
    Exists(PathBuf),
    /// Nobody is named in the table.
    #[error("the standard table {0} has no subject_id, so nobody can be reminded of its rows")]
    NoSubject(String),
    /// No date is in the table.
    #[error("the standard table {0} has no date, so nothing can fall due by its rows")]
    NoDate(String),
    /// A file cannot be written.
    #[error("the file cannot be written")]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

impl Explain for Error {
    fn code(&self) -> &'static str {
        match self {
            Error::Name(_) => "scaffold.name",
            Error::Exists(_) => "scaffold.exists",
            Error::NoSubject(_) => "scaffold.no-subject",
            Error::NoDate(_) => "scaffold.no-date",
            Error::File { .. } => "scaffold.file",
        }
    }

    fn place(&self) -> Place {
        match self {
            Error::Name(name) => Place::Thing(format!("the name {name}")),
            Error::Exists(path) | Error::File { path, .. } => Place::file(path),
            Error::NoSubject(_) | Error::NoDate(_) => Place::file("pipelines/standard-tables.toml"),
        }
    }

    fn next(&self) -> String {
        match self {
            Error::Name(_) => "use lower-case letters, digits and _, beginning with a letter".into(),
            Error::Exists(_) => {
                "choose another name, or go on with what is there: `chudong check` says what is missing".into()
            }
            Error::NoSubject(_) | Error::NoDate(_) => {
                "name another table with --reads, or leave it out for a new one".into()
            }
            Error::File { .. } => "let your account write there, and remove what was made of the item".into(),
        }
    }
}

/// Makes the files of an item below `root`; when one of them is there already, none is written.
pub fn item(root: &Path, wanted: &Wanted) -> Result<Made, Error> {
    let table = wanted.reads.clone().unwrap_or_else(|| format!("{}_documents", wanted.name));
    for name in [&wanted.name, &table] {
        if !pipeline::is_word(name) {
            return Err(Error::Name(name.clone()));
        }
    }
    // What is wrong elsewhere in the installation is said by `check`.
    let catalogue = pipeline::catalogue(root, &Faults::default());
    let known = catalogue.standard_tables.iter().find(|standard| standard.name == table);
    let columns = Columns::of(&table, known)?;
    let fill = |text: &str| columns.fill(wanted, &table, text);
    let select = columns.shape.select();
    let text_of = |text: &'static str| if text.is_empty() { select } else { text };
    let files: Vec<(PathBuf, String)> =
        FILES.iter().map(|(path, text)| (fill(path).into(), fill(text_of(text)))).collect();
    if let Some((path, _)) = files.iter().find(|(path, _)| root.join(path).exists()) {
        return Err(Error::Exists(path.clone()));
    }
    for (path, text) in &files {
        write(&root.join(path), text).map_err(|source| Error::File { path: path.clone(), source })?;
    }
    let paths = files.into_iter().map(|(path, _)| path).collect();
    Ok(Made { paths, table: known.is_none().then(|| fill(TABLE)) })
}

/// What falls due by the rows of a table, as far as its columns tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// A document that is issued, and renewed some months later: `issued_on`.
    Document,
    /// Something that ends on a day: `expires_on`, `valid_to`.
    Expiry,
    /// People, who reach an age: `birth_date`.
    Age,
    /// A thing of which something has to be done again: `last_inspected_on`.
    Thing,
    /// Something that happened, and has to be told: `born_on`, `registered_on`.
    Event,
}

/// The days that end something.
const ENDS: [&str; 2] = ["expires_on", "valid_to"];

/// The days on which what is asked for was done, as far as their names tell.
const DONE: [&str; 9] = [
    "registered_on",
    "filed_on",
    "paid_on",
    "notified_on",
    "restored_on",
    "retired_on",
    "finished_on",
    "capital_contributed_on",
    "started_on",
];

impl Shape {
    /// The select, its marks not yet filled.
    fn select(self) -> &'static str {
        match self {
            Shape::Document => include_str!("obligation.sql"),
            Shape::Expiry => include_str!("expiry.sql"),
            Shape::Age => include_str!("age.sql"),
            Shape::Thing => include_str!("thing.sql"),
            Shape::Event => include_str!("event.sql"),
        }
    }

    /// The unit and the number of its rule, and the day of its first case that is due on 1 December 2026.
    fn rule(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Shape::Document | Shape::Thing => ("months", "12", "2025-12-01"),
            Shape::Expiry => ("days", "15", "2026-12-01"),
            Shape::Age => ("years", "18", "2008-12-01"),
            Shape::Event => ("days", "60", "2026-10-02"),
        }
    }

    /// What its letter says of the day, in Vietnamese and in English.
    fn sentences(self) -> (&'static str, &'static str) {
        match self {
            Shape::Document => (
                "Giấy tờ của @YOU_VI@ được cấp ngày {{ @DATE@|short_date }} và phải được đổi chậm nhất vào **{{ due_on|date }}**.",
                "Your document was issued on {{ @DATE@|short_date }} and must be renewed by **{{ due_on|date }}**.",
            ),
            Shape::Expiry => (
                "Giấy tờ của @YOU_VI@ hết hạn vào **{{ due_on|date }}** và có thể được gia hạn từ ngày {{ opens_on|short_date }}.",
                "Your document ends on **{{ due_on|date }}** and can be extended from {{ opens_on|short_date }} on.",
            ),
            Shape::Age => (
                "Theo ngày sinh {{ @DATE@|short_date }}, việc này đến hạn vào **{{ due_on|date }}**.",
                "By the date of birth, {{ @DATE@|short_date }}, this is due by **{{ due_on|date }}**.",
            ),
            Shape::Thing => (
                "Lần gần nhất là ngày {{ @DATE@|short_date }}; lần tiếp theo chậm nhất vào **{{ due_on|date }}**.",
                "It was last done on {{ @DATE@|short_date }} and has to be done again by **{{ due_on|date }}**.",
            ),
            Shape::Event => (
                "Sự việc ngày {{ @DATE@|short_date }} phải được đăng ký hoặc thông báo chậm nhất vào **{{ due_on|date }}**.",
                "What happened on {{ @DATE@|short_date }} has to be registered or notified by **{{ due_on|date }}**.",
            ),
        }
    }
}

/// The columns of the table that matter.
struct Columns {
    shape: Shape,
    key: Option<String>,
    date: String,
    /// The day on which it was done.
    done: Option<String>,
    /// Whether a row may be of somebody who has died.
    has_deceased: bool,
}

impl Columns {
    fn of(table: &str, known: Option<&StandardTable>) -> Result<Self, Error> {
        let Some(known) = known else {
            let (key, date) = (Some("document_number".into()), "issued_on".into());
            return Ok(Columns { shape: Shape::Document, key, date, done: None, has_deceased: false });
        };
        if !known.columns.iter().any(|column| column.name == "subject_id") {
            return Err(Error::NoSubject(table.to_owned()));
        }
        let dates: Vec<(&str, bool)> = known
            .columns
            .iter()
            .filter(|column| column.kind == Type::Date)
            .map(|column| (column.name.as_str(), column.nullable))
            .collect();
        let (shape, date) = shape_of(&dates).ok_or_else(|| Error::NoDate(table.to_owned()))?;
        let done = DONE.iter().find(|done| **done != date && dates.contains(&(**done, true)));
        let key = match known.grain.as_slice() {
            [one] if one != "subject_id" => Some(one.clone()),
            _ => None,
        };
        let has_deceased = known.columns.iter().any(|column| column.name == "is_deceased");
        Ok(Columns { shape, key, date: date.to_owned(), done: done.map(|done| (*done).to_owned()), has_deceased })
    }

    fn fill(&self, wanted: &Wanted, table: &str, text: &str) -> String {
        let is_business = wanted.audience == Audience::Business;
        let audience = Audience::WORDS.iter().find(|(_, audience)| *audience == wanted.audience);
        let rows = match self.shape {
            Shape::Document | Shape::Expiry => "renewed",
            Shape::Age => "people",
            Shape::Thing => "things",
            Shape::Event => "events",
        };
        let object = self.key.as_ref().map_or("cast(null as varchar)".into(), |key| format!("{rows}.{key}"));
        let key = self.key.as_ref().map(|key| format!("{key} = \"D1\"\n")).unwrap_or_default();
        let living = if self.has_deceased { " where not is_deceased" } else { "" };
        // A mark in front of it says what is missing, where no column tells.
        let done = self.done.as_ref().map_or_else(
            || {
                format!(
                    "-- TODO: nothing in {table} says that it is done: join the table that does, and give its day here\n        \
                     cast(null as date)"
                )
            },
            |done| format!("events.{done}"),
        );
        let grain = match (self.shape, self.key.is_some()) {
            (Shape::Age, true) => "object_id, period",
            (_, true) => "object_id",
            (_, false) => "subject_id, period",
        };
        let ((unit, value, given), (vi, en)) = (self.shape.rule(), self.shape.sentences());
        let values = [
            ("@SENTENCE_VI@", vi),
            ("@SENTENCE_EN@", en),
            ("@ITEM@", wanted.name.as_str()),
            ("@PATH@", &wanted.name.replace('_', "-")),
            ("@ROWS@", &format!("select * from staging.@TABLE@{living}")),
            ("@TABLE@", table),
            ("@DATE@", &self.date),
            ("@DONE@", &done),
            ("@KEY@", &key),
            ("@OBJECT@", &object),
            ("@GRAIN@", grain),
            ("@UNIT@", unit),
            ("@VALUE@", value),
            ("@GIVEN@", given),
            ("@AUDIENCE@", audience.map_or("citizen", |(word, _)| word)),
            ("@WHO@", if is_business { "business" } else { "person" }),
            ("@DEAR_VI@", if is_business { "Quý đơn vị" } else { "ông/bà" }),
            ("@YOU_VI@", if is_business { "đơn vị" } else { "ông/bà" }),
        ];
        let filled = values.iter().fold(text.to_owned(), |text, (word, value)| text.replace(word, value));
        // The templates are written with the mark that `check` looks for.
        filled.replace("TODO", MARK)
    }
}

/// What falls due by a table of these dates, each with whether it may be empty, and the one that it runs from.
fn shape_of<'d>(dates: &[(&'d str, bool)]) -> Option<(Shape, &'d str)> {
    let named = |fits: &dyn Fn(&str) -> bool| dates.iter().map(|(name, _)| *name).find(|name| fits(name));
    let always = dates.iter().find(|(_, nullable)| !nullable).or(dates.first()).map(|(name, _)| *name);
    let age = named(&|name| name == "birth_date").map(|date| (Shape::Age, date));
    let expiry = || named(&|name| ENDS.contains(&name)).map(|date| (Shape::Expiry, date));
    let document = || named(&|name| name.starts_with("issued")).map(|date| (Shape::Document, date));
    let thing = || named(&|name| name.starts_with("last_")).map(|date| (Shape::Thing, date));
    age.or_else(expiry).or_else(document).or_else(thing).or_else(|| always.map(|date| (Shape::Event, date)))
}

fn write(path: &Path, text: &str) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::File::create_new(path)?.write_all(text.as_bytes())
}
