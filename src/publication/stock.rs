//! What stands on the shelf, read back: the tables of every period with what their sheets say, restatements, tombstones.
//!
//! The catalogue and the rating system are told of what is published, and so of what stands here: months that were
//! published under an earlier policy as well, and nothing that was withdrawn. This module must not know how a file was made.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde::Deserialize;

use super::{Error, Period};
use crate::language::Text;

/// The folder of a restatement, before its number.
const RESTATED: &str = "restated-";

/// What says of a restatement why it was made.
pub(super) const RESTATEMENT: &str = "restatement.json";

/// How the file ends that stands for a withdrawn table.
pub(super) const TOMBSTONE: &str = ".tombstone.json";

/// How the folder of a preliminary edition ends.
const PRELIMINARY: &str = "-preliminary";

/// Everything that stands on the shelf.
#[derive(Debug, Clone, Default)]
pub(super) struct Stock {
    pub(super) places: Vec<Place>,
}

/// A period as it was first published, or a restatement of one of its tables.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) period: Period,
    /// Whether it is of the final edition, and not of a preliminary one.
    pub(super) is_final: bool,
    /// The folder of its edition: `2026-10`, `2026-10-preliminary`.
    pub(super) base: String,
    /// 0 for what was first published.
    pub(super) restated: u32,
    /// Relative to the shelf: `2026-10`, `2026-10/restated-1`.
    pub(super) path: String,
    pub(super) sheets: Vec<Sheet>,
    pub(super) tombstones: Vec<Tombstone>,
}

/// What the JSON sheet of a table says.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Sheet {
    pub(super) table: String,
    pub(super) title: Words,
    pub(super) rows: u64,
    pub(super) files: Vec<File>,
    pub(super) columns: Vec<Column>,
    #[serde(default)]
    pub(super) edition: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct File {
    pub(super) name: String,
    pub(super) media_type: String,
    pub(super) bytes: u64,
    pub(super) sha256: String,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) unit: Words,
    pub(super) meaning: Words,
}

/// A text in both languages, as a file has it.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Words {
    vi: String,
    en: String,
}

impl Words {
    pub(super) fn text(&self) -> Text {
        Text::new(self.vi.clone(), self.en.clone())
    }
}

/// What stands where a table was withdrawn.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Tombstone {
    pub(super) table: String,
    pub(super) withdrawn_on: String,
    pub(super) reason: String,
}

/// A table that was restated or withdrawn, as the shelf itself says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Amendment {
    pub(super) table: String,
    pub(super) period: Period,
    /// The place in which it stands: `2026-10/restated-1`.
    pub(super) place: String,
    /// The civil date, as it is written.
    pub(super) on: String,
    pub(super) reason: String,
    pub(super) what: What,
    /// The file that shows it, relative to the shelf.
    pub(super) path: String,
}

/// What became of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    Restated { values: u64 },
    Withdrawn,
}

/// What was restated and withdrawn; of the files of the shelf only those are read that say it.
pub(super) fn amendments(shelf: &Path) -> Result<Vec<Amendment>, Error> {
    let mut amendments = Vec::new();
    for base in names(shelf)? {
        let Some(period) = period_of(&base) else { continue };
        let inner = names(&shelf.join(&base))?;
        let restated = inner.iter().filter(|name| restatement_number(name).is_some());
        for place in std::iter::once(base.clone()).chain(restated.map(|name| format!("{base}/{name}"))) {
            for name in names(&shelf.join(&place))? {
                if name == RESTATEMENT || name.ends_with(TOMBSTONE) {
                    amendments.push(amendment(shelf, period, &place, &name)?);
                }
            }
        }
    }
    Ok(amendments)
}

fn amendment(shelf: &Path, period: Period, place: &str, name: &str) -> Result<Amendment, Error> {
    #[derive(Deserialize)]
    struct Restatement {
        table: String,
        reason: String,
        restated_on: String,
        changed_values: u64,
        changes: String,
    }
    let file = shelf.join(place).join(name);
    let bytes = fs::read(&file).map_err(|source| Error::Read { path: file.clone(), source })?;
    let broken = |source| Error::Stock { path: file.clone(), source };
    let at = |name: &str| format!("{place}/{name}");
    let place = place.to_owned();
    if name == RESTATEMENT {
        let said: Restatement = serde_json::from_slice(&bytes).map_err(broken)?;
        let what = What::Restated { values: said.changed_values };
        let path = at(&said.changes);
        return Ok(Amendment {
            table: said.table,
            period,
            place,
            on: said.restated_on,
            reason: said.reason,
            what,
            path,
        });
    }
    let said: Tombstone = serde_json::from_slice(&bytes).map_err(broken)?;
    let (what, path) = (What::Withdrawn, at(name));
    Ok(Amendment { table: said.table, period, place, on: said.withdrawn_on, reason: said.reason, what, path })
}

/// Reads the shelf; one that is not there is empty.
pub(super) fn read(shelf: &Path) -> Result<Stock, Error> {
    let mut places = Vec::new();
    for name in names(shelf)? {
        let Some(period) = period_of(&name) else { continue };
        places.push(place(shelf, period, &name, 0)?);
        for inner in names(&shelf.join(&name))? {
            if let Some(number) = restatement_number(&inner) {
                places.push(place(shelf, period, &name, number)?);
            }
        }
    }
    places.sort_by_key(|place| (place.period, place.is_final, place.restated));
    Ok(Stock { places })
}

/// The period of a folder of the shelf, of whichever edition.
pub(super) fn period_of(folder: &str) -> Option<Period> {
    Period::parse(folder.strip_suffix(PRELIMINARY).unwrap_or(folder))
}

/// 1 of `restated-1`; none for every other name.
pub(super) fn restatement_number(name: &str) -> Option<u32> {
    let digits = name.strip_prefix(RESTATED)?;
    let number = digits.parse().ok()?;
    (number > 0 && !digits.starts_with(['0', '+'])).then_some(number)
}

/// `2026-10/restated-1`.
pub(super) fn restated_place(period: &str, number: u32) -> String {
    format!("{period}/{RESTATED}{number}")
}

impl Stock {
    /// Where each table stands in its newest form: the newest restatement, the final edition, or the preliminary one; none
    /// where that was withdrawn.
    pub(super) fn newest(&self) -> Vec<(&Place, &Sheet)> {
        let mut newest: BTreeMap<(Period, &str), (&Place, &Sheet)> = BTreeMap::new();
        for place in &self.places {
            for stone in &place.tombstones {
                newest.remove(&(place.period, stone.table.as_str()));
            }
            for sheet in &place.sheets {
                newest.insert((place.period, sheet.table.as_str()), (place, sheet));
            }
        }
        newest.into_values().collect()
    }
}

fn place(shelf: &Path, period: Period, base: &str, restated: u32) -> Result<Place, Error> {
    let path = if restated == 0 { base.to_owned() } else { restated_place(base, restated) };
    let folder = shelf.join(&path);
    let (mut sheets, mut tombstones) = (Vec::new(), Vec::new());
    for name in names(&folder)?.into_iter().filter(|name| name.ends_with(".json")) {
        #[derive(Deserialize)]
        struct Kind {
            format: Option<String>,
        }
        let file = folder.join(&name);
        let bytes = fs::read(&file).map_err(|source| Error::Read { path: file.clone(), source })?;
        let broken = |source| Error::Stock { path: file.clone(), source };
        let kind: Kind = serde_json::from_slice(&bytes).map_err(broken)?;
        match kind.format.as_deref() {
            Some("chudong.sheet.1") => sheets.push(serde_json::from_slice(&bytes).map_err(broken)?),
            Some("chudong.tombstone.1") => tombstones.push(serde_json::from_slice(&bytes).map_err(broken)?),
            _ => {}
        }
    }
    let is_final = !base.ends_with(PRELIMINARY);
    Ok(Place { period, is_final, base: base.to_owned(), restated, path, sheets, tombstones })
}

/// The names in a folder, in their order; none where there is no such folder. Hidden files are somebody's lock files.
pub(super) fn names(folder: &Path) -> Result<Vec<String>, Error> {
    let failed = |source| Error::Read { path: folder.to_path_buf(), source };
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(Vec::new()),
        Err(source) => return Err(failed(source)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.map_err(failed)?.file_name().to_string_lossy().into_owned();
        if !name.starts_with('.') {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// The rows of a published table.
pub(super) fn rows(path: &Path) -> Result<RecordBatch, Error> {
    let table = || path.display().to_string();
    let file = fs::File::open(path).map_err(|source| Error::Read { path: path.to_path_buf(), source })?;
    let failed = |source| Error::Parquet { table: table(), source };
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(failed)?;
    let schema = builder.schema().clone();
    let batches = builder.build().map_err(failed)?.collect::<Result<Vec<_>, _>>();
    let batches = batches.map_err(|source| Error::Derive { table: table(), source })?;
    concat_batches(&schema, &batches).map_err(|source| Error::Derive { table: table(), source })
}
