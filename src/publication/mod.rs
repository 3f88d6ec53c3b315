//! Released tables become files, and one page.
//!
//! [`publish`] puts each table of each period on the *shelf*, a folder that any
//! web server can serve: CSV and Parquet for programs, a JSON sheet that says
//! what the columns mean and how people were protected. A period that is on the
//! shelf is frozen: publishing it again proves that no byte would change.
//! [`page`] writes the two things on the shelf that live, `index.html` and the
//! names behind the codes.
//!
//! Only [`Released`] gets in, and only `disclosure`
//! can make one. This chapter must not know where figures come from, how they
//! were protected, or what day it is.

mod csv;
mod describe;
mod error;
mod page;
mod parquet;
mod period;
mod sheet;
mod shelf;

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::disclosure::Released;
use crate::language::Text;
use crate::pipeline::Pipeline;

pub use error::Error;
use period::Period;
use sheet::Sheet;

/// The words that go beside figures: who publishes, and what the codes are called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Labels {
    /// The agency that publishes.
    pub agency: Text,
    /// The unit that the figures are about: a province.
    pub unit: Text,
    /// Communes: code and name, in the order of the public list.
    pub communes: Vec<(String, Text)>,
    /// Procedure groups: id and name, in the order of the public list.
    pub procedure_groups: Vec<(String, Text)>,
    /// How to reach the agency.
    pub contact: Text,
}

impl From<&Pipeline> for Labels {
    fn from(pipeline: &Pipeline) -> Self {
        let communes = pipeline.unit.communes.iter().map(|commune| (commune.code.clone(), commune.name.clone()));
        let groups = pipeline.procedure_groups.iter().map(|group| (group.id.clone(), group.name.clone()));
        Labels {
            agency: pipeline.agency.name.clone(),
            unit: pipeline.unit.name.clone(),
            communes: communes.collect(),
            procedure_groups: groups.collect(),
            contact: pipeline.agency.contact.clone(),
        }
    }
}

/// What stands on the shelf after publishing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Published {
    /// Each file, in the order of its path.
    pub files: Vec<PublishedFile>,
}

impl Published {
    /// How many files are in this state.
    pub fn count(&self, status: Status) -> usize {
        self.files.iter().filter(|file| file.status == status).count()
    }
}

/// One file on the shelf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishedFile {
    /// Relative to the shelf, `2026-10/satisfaction_by_commune.csv`.
    pub path: PathBuf,
    /// Length in bytes.
    pub bytes: u64,
    /// SHA-256, in lower-case hexadecimal.
    pub sha256: String,
    /// Whether this run wrote it.
    pub status: Status,
}

/// Whether a run wrote a file or found it as it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// This run put it there.
    Written,
    /// It was there, with the same bytes.
    Unchanged,
}

/// Puts each released table on the shelf, as `<period>/<table>.csv`, `.parquet` and `.json`.
///
/// New periods are written into a staging folder beside the shelf, made durable,
/// and renamed into place one whole period at a time, after every period that is
/// already there has been compared byte for byte. A crash leaves the shelf with
/// whole periods only; the next run removes what is left of the staging folder.
///
/// # Errors
///
/// [`Error::WouldChange`] when a published period would differ: nothing is
/// written then. Any other error leaves the shelf as it was, unless it arose
/// between two renames, when some periods are there and the rest are not.
pub fn publish<R: Borrow<Released>>(shelf: &Path, released: &[R], labels: &Labels) -> Result<Published, Error> {
    let sheets = sheets(released)?;
    let mut periods: BTreeMap<&str, Vec<&Sheet>> = BTreeMap::new();
    for sheet in &sheets {
        periods.entry(&sheet.folder).or_default().push(sheet);
    }
    let mut shelving = shelf::Shelving::begin(shelf)?;
    for (period, sheets) in periods {
        let mut files = BTreeMap::new();
        for sheet in sheets {
            add_files(sheet, labels, &mut files)?;
        }
        shelving.period(period, &files)?;
    }
    Ok(Published { files: shelving.commit()? })
}

/// Whether a period that was published stands on the shelf with just these files.
///
/// `files` are names and SHA-256 as they were recorded when it was published.
/// False when the whole period is gone, and may be published again.
///
/// # Errors
///
/// [`Error::WouldChange`] when a file is missing, differs, or was added.
pub fn is_frozen(shelf: &Path, period: &str, files: &[(String, String)]) -> Result<bool, Error> {
    shelf::is_frozen(shelf, period, files)
}

/// Writes `index.html` and `codes.json`, each aside and then renamed into place.
///
/// The page shows the periods it is given and links to their files, so it is
/// written after [`publish`], from the same tables.
pub fn page<R: Borrow<Released>>(shelf: &Path, released: &[R], labels: &Labels) -> Result<Published, Error> {
    let sheets = sheets(released)?;
    let html = page::html(&sheets, labels)?;
    let codes = describe::codes(labels)?;
    let files = vec![
        shelf::replace(shelf, "codes.json", codes.as_bytes())?,
        shelf::replace(shelf, "index.html", html.as_bytes())?,
    ];
    Ok(Published { files })
}

/// All released tables as sheets, by period and name; no two under one name.
fn sheets<R: Borrow<Released>>(released: &[R]) -> Result<Vec<Sheet<'_>>, Error> {
    let mut sheets = released.iter().map(|released| Sheet::new(released.borrow())).collect::<Result<Vec<_>, _>>()?;
    sheets.sort_by(|a, b| (a.period, a.name).cmp(&(b.period, b.name)));
    for pair in sheets.windows(2) {
        if let [a, b] = pair
            && (a.period, a.name) == (b.period, b.name)
        {
            return Err(Error::Twice { table: a.name.to_owned(), period: a.period.to_string() });
        }
    }
    Ok(sheets)
}

/// The three files of a table, under their names in the folder of the period.
fn add_files(sheet: &Sheet, labels: &Labels, files: &mut BTreeMap<String, Vec<u8>>) -> Result<(), Error> {
    let csv = csv::bytes(sheet)?.into_bytes();
    let parquet = parquet::bytes(sheet)?;
    let json = describe::bytes(sheet, labels, &csv, &parquet)?;
    files.insert(format!("{}.csv", sheet.name), csv);
    files.insert(format!("{}.parquet", sheet.name), parquet);
    files.insert(format!("{}.json", sheet.name), json.into_bytes());
    Ok(())
}
