//! Released tables become files, a catalogue, and one page.
//!
//! [`publish`] puts each table of each period on the *shelf*, a folder that any
//! web server can serve: CSV and Parquet for programs, a JSON sheet that says
//! what the columns mean and how people were protected, the same in the words of
//! CSV on the Web and of Frictionless Data, and a signed list of checksums. A
//! period that is on the shelf is frozen: publishing it again proves that no byte
//! would change. [`restate`] puts a corrected table beside what was published,
//! [`withdraw`] leaves a stone in the place of one. What lives on the shelf is
//! written by [`page`] (`index.html` and the names behind the codes) and by
//! [`catalogue`]. [`gates`] says what a person has to look at first.
//!
//! Only [`Released`] gets in, and only `disclosure`
//! can make one. This chapter must not know where figures come from, how they
//! were protected, or what day it is.

mod catalogue;
mod checksums;
mod csv;
mod csvw;
mod derived;
mod describe;
mod error;
pub mod gates;
mod package;
mod page;
mod parquet;
mod period;
mod restate;
mod sheet;
mod shelf;
mod signature;
mod standing;
mod stock;
mod text;
mod together;

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::disclosure::Released;
use crate::language::Text;
use crate::pipeline::Pipeline;

pub use error::Error;
use period::Period;
pub use restate::{Removal, Restated, Restatement, Withdrawal};
use sheet::Sheet;
pub use signature::Signer;
pub use standing::{Standing, StandingTable, period_of, standing};

/// The civil date on which each place of the shelf (`2026-10`, `2026-10/restated-1`) was published, as it is known.
pub type Issued = BTreeMap<String, String>;

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
    /// What the metrics of score sheets are called.
    pub metrics: Vec<Metric>,
    /// How to reach the agency.
    pub contact: Text,
    /// The agency's own address on the web.
    pub publisher_url: String,
    /// Where the shelf is served, without a slash at the end.
    pub base_url: String,
    /// The code of the unit in the national list.
    pub unit_code: String,
    /// The key with which lists of checksums are signed; none leaves them unsigned.
    pub signer: Option<Signer>,
}

/// A metric of an index: its code in the tables, its name, and the group of the index that it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metric {
    /// The index: the name of its file in `pipelines/indices/`.
    pub definition: String,
    /// `PROCESSED_ON_TIME`.
    pub code: String,
    /// What it is called.
    pub name: Text,
    /// What its group is called.
    pub group: Text,
    /// The most points of its group; none where that gives none.
    pub group_maximum: Option<i64>,
}

impl Labels {
    /// With the key of the pipeline's secret reference, in PEM.
    ///
    /// # Errors
    ///
    /// [`Error::SigningKey`]
    pub fn signed_with(self, pem: &str) -> Result<Self, Error> {
        Ok(Labels { signer: Some(Signer::new(pem)?), ..self })
    }
}

/// The folder under the agency's portal in which the shelf is served, where the pipeline says nothing.
const UNDER_PORTAL: &str = "so-lieu";

impl From<&Pipeline> for Labels {
    fn from(pipeline: &Pipeline) -> Self {
        let communes = pipeline.unit.communes.iter().map(|commune| (commune.code.clone(), commune.name.clone()));
        let groups = pipeline.procedure_groups.iter().map(|group| (group.id.clone(), group.name.clone()));
        Labels {
            agency: pipeline.agency.name.clone(),
            unit: pipeline.unit.name.clone(),
            communes: communes.collect(),
            procedure_groups: groups.collect(),
            metrics: metrics(pipeline),
            contact: pipeline.agency.contact.clone(),
            publisher_url: pipeline.agency.portal.clone(),
            base_url: pipeline
                .publication
                .base_url
                .clone()
                .unwrap_or_else(|| format!("{}/{UNDER_PORTAL}", pipeline.agency.portal)),
            unit_code: pipeline.unit.code.clone(),
            signer: None,
        }
    }
}

/// The metrics of every index, by the newest version that has them.
fn metrics(pipeline: &Pipeline) -> Vec<Metric> {
    let mut all: Vec<Metric> = Vec::new();
    for definition in &pipeline.indices {
        for group in definition.versions.iter().rev().flat_map(|version| &version.groups) {
            for metric in &group.metrics {
                if all.iter().any(|known| known.definition == definition.name && known.code == metric.code) {
                    continue;
                }
                all.push(Metric {
                    definition: definition.name.clone(),
                    code: metric.code.clone(),
                    name: metric.title.clone(),
                    group: group.title.clone(),
                    group_maximum: group.maximum,
                });
            }
        }
    }
    all
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

/// Puts each released table on the shelf, as `<period>/<table>.csv`, `.parquet`, `.json` and `.csv-metadata.json`, and
/// with each period its `datapackage.json` and `SHA256SUMS`, signed where there is a key.
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
    let mut folders: BTreeMap<&str, Vec<&Sheet>> = BTreeMap::new();
    for sheet in &sheets {
        folders.entry(&sheet.folder).or_default().push(sheet);
    }
    let mut shelving = shelf::Shelving::begin(shelf)?;
    for (folder, sheets) in folders {
        let mut files = BTreeMap::new();
        let mut resources = Vec::with_capacity(sheets.len());
        for made in together::map(&sheets, |sheet| table_files(sheet, labels)) {
            let (resource, of_table) = made?;
            resources.push(resource);
            files.extend(of_table);
        }
        if let Some(first) = sheets.first() {
            files.insert(package::NAME.to_owned(), package::bytes(first, resources, labels)?.into_bytes());
        }
        checksums::add(&mut files, folder, labels);
        shelving.period(folder, &files)?;
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

/// Writes the pages, [`index.html`](page) first among them, and `codes.json`, each aside and then renamed into place.
///
/// The pages show the periods they are given and link to their files, so they are
/// written after [`publish`], from the same tables and those of exact counts. Pages of
/// places that are no longer in the lists are taken away.
pub fn page<R: Borrow<Released>>(shelf: &Path, released: &[R], labels: &Labels) -> Result<Published, Error> {
    let sheets = sheets(released)?;
    let mut files = page::site(&sheets, labels, &stock::amendments(shelf)?)?;
    files.push(("codes.json".to_owned(), describe::codes(labels)?.into_bytes()));
    Ok(Published { files: shelf::replace_all(shelf, &files, &page::FOLDERS)? })
}

/// Puts the new form of a table beside its earlier ones, as `<period>/restated-<n>/`, with every value that changed.
///
/// `released` are all tables of the period as they are now; the one that is restated is among them.
///
/// # Errors
///
/// [`Error::NotPublished`] when there is nothing to restate, [`Error::NothingChanged`] when no value would differ.
pub fn restate<R: Borrow<Released>>(
    shelf: &Path,
    released: &[R],
    period: &str,
    restatement: &Restatement<'_>,
    labels: &Labels,
) -> Result<Restated, Error> {
    let sheets = sheets(released)?;
    let found = sheets.iter().find(|sheet| sheet.name == restatement.table && sheet.folder == period);
    let missing = || Error::NotReleased { period: period.to_owned(), table: restatement.table.to_owned() };
    restate::restate(shelf, found.ok_or_else(missing)?, restatement, labels)
}

/// Prepares a withdrawal: what will stand in the place of a table. The ledger is told before it is applied.
///
/// # Errors
///
/// [`Error::NotPublished`] when the table does not stand there.
pub fn withdraw(shelf: &Path, withdrawal: &Withdrawal, labels: &Labels) -> Result<Removal, Error> {
    restate::withdraw(shelf, withdrawal, labels)
}

/// Writes `catalog.jsonld`, `dataset.jsonld`, the public key and `SHA256SUMS` of the whole shelf from what stands on it.
///
/// It is written last: the list is of every file of the shelf.
///
/// # Errors
///
/// [`Error::Stock`] when a sheet on the shelf cannot be read.
pub fn catalogue(shelf: &Path, labels: &Labels, issued: &Issued) -> Result<Published, Error> {
    let stock = stock::read(shelf)?;
    let mut files = vec![
        shelf::replace(shelf, "catalog.jsonld", catalogue::dcat(&stock, labels, issued)?.as_bytes())?,
        shelf::replace(shelf, "dataset.jsonld", catalogue::schema_org(&stock, labels, issued)?.as_bytes())?,
    ];
    if let Some(signer) = &labels.signer {
        // Named after itself: what an earlier key signed is still verified with that one.
        let id = signer.id();
        files.push(shelf::replace(shelf, &format!("keys/{id}.pub"), signer.public_key().as_bytes())?);
        files.push(shelf::replace(shelf, &format!("keys/{id}.pem"), signer.public_key_pem().as_bytes())?);
    }
    let hashes = shelf::hashes(shelf, &[checksums::NAME, checksums::SIGNATURE])?;
    for (name, bytes) in checksums::files(hashes, &labels.base_url, labels) {
        files.push(shelf::replace(shelf, &name, &bytes)?);
    }
    if labels.signer.is_none() {
        shelf::remove(shelf, checksums::SIGNATURE)?;
    }
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
    derived::add(&mut sheets)?;
    Ok(sheets)
}

/// Files by their names.
type Files = BTreeMap<String, Vec<u8>>;

/// What the data package says of a table, and its files under their names in the folder of the period.
fn table_files(sheet: &Sheet, labels: &Labels) -> Result<(package::Resource, Files), Error> {
    let (csv, parquet) = std::thread::scope(|scope| {
        let parquet = scope.spawn(|| parquet::bytes(sheet));
        let csv = csv::bytes(sheet);
        (csv, parquet.join())
    });
    let csv = csv?.into_bytes();
    let parquet = parquet.unwrap_or_else(|panicked| std::panic::resume_unwind(panicked))?;
    let json = describe::bytes(sheet, labels, &csv, &parquet)?;
    let resource = package::resource(sheet, labels, &csv, &parquet);
    let files = [
        (format!("{}.csv-metadata.json", sheet.name), csvw::bytes(sheet, labels)?.into_bytes()),
        (format!("{}.csv", sheet.name), csv),
        (format!("{}.parquet", sheet.name), parquet),
        (format!("{}.json", sheet.name), json.into_bytes()),
    ];
    Ok((resource, files.into_iter().collect()))
}
