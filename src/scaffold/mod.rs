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

/// Files by their place; `@ITEM@` is the item in both.
const FILES: [(&str, &str); 6] = [
    ("pipelines/law/@ITEM@_term.toml", include_str!("rule.toml")),
    ("pipelines/items/@ITEM@/item.toml", include_str!("item.toml")),
    ("pipelines/items/@ITEM@/message.vi.md", include_str!("message.vi.md")),
    ("pipelines/items/@ITEM@/message.en.md", include_str!("message.en.md")),
    ("sql/obligations/@ITEM@.sql", include_str!("obligation.sql")),
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
    let files: Vec<(PathBuf, String)> = FILES.iter().map(|(path, text)| (fill(path).into(), fill(text))).collect();
    if let Some((path, _)) = files.iter().find(|(path, _)| root.join(path).exists()) {
        return Err(Error::Exists(path.clone()));
    }
    for (path, text) in &files {
        write(&root.join(path), text).map_err(|source| Error::File { path: path.clone(), source })?;
    }
    let paths = files.into_iter().map(|(path, _)| path).collect();
    Ok(Made { paths, table: known.is_none().then(|| fill(TABLE)) })
}

/// The columns of the table that matter.
struct Columns {
    key: Option<String>,
    date: String,
}

impl Columns {
    fn of(table: &str, known: Option<&StandardTable>) -> Result<Self, Error> {
        let Some(known) = known else {
            return Ok(Columns { key: Some("document_number".into()), date: "issued_on".into() });
        };
        if !known.columns.iter().any(|column| column.name == "subject_id") {
            return Err(Error::NoSubject(table.to_owned()));
        }
        let dates: Vec<&str> = known
            .columns
            .iter()
            .filter(|column| column.kind == Type::Date)
            .map(|column| column.name.as_str())
            .collect();
        // A term mostly runs from the day of issue.
        let date = dates.iter().find(|date| date.starts_with("issued")).or(dates.first());
        let date = (*date.ok_or_else(|| Error::NoDate(table.to_owned()))?).to_owned();
        let key = match known.grain.as_slice() {
            [one] if one != "subject_id" => Some(one.clone()),
            _ => None,
        };
        Ok(Columns { key, date })
    }

    fn fill(&self, wanted: &Wanted, table: &str, text: &str) -> String {
        let is_business = wanted.audience == Audience::Business;
        let audience = Audience::WORDS.iter().find(|(_, audience)| *audience == wanted.audience);
        let object = self.key.as_ref().map_or("cast(null as varchar)".into(), |key| format!("renewed.{key}"));
        let key = self.key.as_ref().map(|key| format!("{key} = \"D1\"\n")).unwrap_or_default();
        let values = [
            ("@ITEM@", wanted.name.as_str()),
            ("@PATH@", &wanted.name.replace('_', "-")),
            ("@TABLE@", table),
            ("@DATE@", &self.date),
            ("@KEY@", &key),
            ("@OBJECT@", &object),
            ("@GRAIN@", if self.key.is_some() { "object_id" } else { "subject_id, period" }),
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

fn write(path: &Path, text: &str) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::File::create_new(path)?.write_all(text.as_bytes())
}
