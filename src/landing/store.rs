//! Landed tables as immutable Parquet files: `<source>.<table>/<generation>.parquet`.
//!
//! A generation is written aside, made durable, and then takes its name in one
//! step, so that a reader sees a whole file or none. Its name is the date for
//! which it was pulled, a counter within that date, and the first 16 hexadecimal
//! digits of the SHA-256 of its bytes: the same content pulled again for the
//! same date is the same generation. Rows set aside are beside it, by number and
//! reason, without their values. Folders are 0700, files 0600.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{RecordBatch, StringArray, UInt64Array};
use arrow::datatypes::{DataType, Field, Schema};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;

use super::{Error, Quarantined, shown};
use crate::calendar::AsOf;
use crate::files::FileLock;
use crate::sources::BATCH_ROWS;
use crate::tables::{Table, TableName};

/// How many generations of a table are kept: tonight's and the one before.
const GENERATIONS_KEPT: usize = 2;

/// Files still being written begin with this; those of a run that was killed are removed by the next.
const ASIDE: &str = ".aside-";

/// Where landed tables are kept.
#[derive(Debug, Clone)]
pub enum Store {
    /// In this folder (`var/landing`).
    Folder(PathBuf),
    /// Nowhere: `plan` reads and writes nothing.
    Nowhere,
}

/// SHA-256 of a file.
pub type Digest = [u8; 32];

/// A table as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generation {
    /// The Parquet file.
    pub path: PathBuf,
    /// The rows set aside: `row_number`, `reason`, `column`.
    pub quarantine: PathBuf,
    /// SHA-256 of the Parquet file.
    pub digest: Digest,
    /// Whether this very generation was there already.
    pub unchanged: bool,
}

/// A store held by one run for one source.
pub(super) struct Shelf {
    folder: PathBuf,
    /// Released with the file handle, also when the process is killed.
    _lock: FileLock,
}

/// A table written aside.
pub(super) struct Aside {
    folder: PathBuf,
    digest: Digest,
    rows: NamedTempFile,
    quarantine: NamedTempFile,
}

impl Store {
    /// Takes the store for a source; none where nothing is kept.
    pub(super) fn shelf(&self, source: &str) -> Result<Option<Shelf>, Error> {
        let Store::Folder(folder) = self else { return Ok(None) };
        create_folder(folder)?;
        let path = folder.join(format!("{source}.lock"));
        match FileLock::take(&path).map_err(|source| Error::io(&path, source))? {
            Some(lock) => Ok(Some(Shelf { folder: folder.clone(), _lock: lock })),
            None => Err(Error::Busy { source_name: source.to_owned() }),
        }
    }

    /// The newest generation of a table, by its name; none when it was never landed.
    pub fn newest(&self, table: &TableName) -> Result<Option<PathBuf>, Error> {
        let Store::Folder(folder) = self else { return Ok(None) };
        let folder = folder.join(table.to_string());
        if !folder.is_dir() {
            return Ok(None);
        }
        Ok(generations(&folder)?.pop().map(|name| folder.join(format!("{name}.parquet"))))
    }
}

/// Reads a generation back.
pub fn read_generation(path: &Path) -> Result<Table, Error> {
    let failed = |source| Error::Parquet { path: shown(path), source };
    let file = File::open(path).map_err(|source| Error::io(path, source))?;
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(failed)?.with_batch_size(BATCH_ROWS);
    let schema = Arc::clone(builder.schema());
    let batches = builder.build().map_err(failed)?.collect::<Result<Vec<_>, _>>();
    Ok(Table { schema, batches: batches.map_err(|error| failed(error.into()))? })
}

/// Writes a table as Parquet (zstd, statistics per row group) and makes it durable. `path` is for messages.
pub fn write_parquet(table: &Table, file: &File, path: &Path) -> Result<Digest, Error> {
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_max_row_group_row_count(Some(BATCH_ROWS))
        .set_created_by("chudong".to_owned())
        .build();
    let mut sink = Sink { file, hash: Sha256::new(), failure: None };
    let written = write_batches(table, &mut sink, properties);
    // The library wraps what the system said in words of its own; the sink has kept it.
    if let Some(source) = sink.failure.take() {
        return Err(Error::io(path, source));
    }
    written.map_err(|source| Error::Parquet { path: shown(path), source })?;
    file.sync_all().map_err(|source| Error::io(path, source))?;
    Ok(sink.hash.finalize().into())
}

fn write_batches(
    table: &Table,
    sink: &mut Sink<'_>,
    properties: WriterProperties,
) -> Result<(), parquet::errors::ParquetError> {
    let mut writer = ArrowWriter::try_new(sink, Arc::clone(&table.schema), Some(properties))?;
    for batch in &table.batches {
        writer.write(batch)?;
    }
    writer.close().map(|_| ())
}

/// Writes to a file, hashes what it writes, and remembers what the system said.
struct Sink<'a> {
    file: &'a File,
    hash: Sha256,
    failure: Option<std::io::Error>,
}

impl Write for Sink<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self.file.write(bytes) {
            Ok(count) => {
                self.hash.update(bytes.get(..count).unwrap_or_default());
                Ok(count)
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => Err(error),
            Err(error) => {
                let copy = std::io::Error::from(error.kind());
                self.failure = Some(error);
                Err(copy)
            }
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}

impl Shelf {
    /// Writes a table and its quarantined rows next to where they will be, unseen.
    pub(super) fn write_aside(
        &self,
        name: &TableName,
        table: &Table,
        quarantined: &[Quarantined],
    ) -> Result<Aside, Error> {
        let folder = self.folder.join(name.to_string());
        create_folder(&folder)?;
        self.sweep(&folder)?;
        let rows = aside(&folder)?;
        let digest = write_parquet(table, rows.as_file(), &folder)?;
        let quarantine = aside(&folder)?;
        let reasons = reasons(quarantined).map_err(|source| Error::Arrow { table: name.clone(), source })?;
        write_parquet(&reasons, quarantine.as_file(), &folder)?;
        Ok(Aside { folder, digest, rows, quarantine })
    }

    /// Gives a table its name, and lets old generations go.
    pub(super) fn put_in_place(&self, aside: Aside, as_of: AsOf) -> Result<Generation, Error> {
        let folder = aside.folder;
        let names = generations(&folder)?;
        let hash: String = crate::personal::hex(&aside.digest).chars().take(16).collect();
        let of_today = format!("{as_of}.");
        let known = names.iter().find(|name| name.starts_with(&of_today) && name.ends_with(&hash)).cloned();
        let unchanged = known.is_some();
        let name = known.unwrap_or_else(|| format!("{of_today}{:03}.{hash}", next_number(&names, &of_today)));
        let path = folder.join(format!("{name}.parquet"));
        let quarantine = folder.join(format!("{name}.quarantine.parquet"));
        // The reasons first: who sees the generation finds them beside it.
        for (file, path) in [(aside.quarantine, &quarantine), (aside.rows, &path)] {
            file.persist(path).map_err(|error| Error::io(path, error.error))?;
        }
        sync_folder(&folder)?;
        prune(&folder, &name)?;
        Ok(Generation { path, quarantine, digest: aside.digest, unchanged })
    }

    /// The names of a table's generations, the oldest first; what a killed run left aside is removed.
    pub(super) fn generations(&self, table: &TableName) -> Result<Vec<String>, Error> {
        let folder = self.folder.join(table.to_string());
        if !folder.is_dir() {
            return Ok(Vec::new());
        }
        self.sweep(&folder)?;
        generations(&folder)
    }

    /// Where a generation is.
    pub(super) fn path(&self, table: &TableName, name: &str) -> PathBuf {
        self.folder.join(table.to_string()).join(format!("{name}.parquet"))
    }

    /// Puts a table in the place of a generation, under the name that its bytes ask for; the digests before and after.
    pub(super) fn put_instead(&self, table: &TableName, name: &str, kept: &Table) -> Result<(Digest, Digest), Error> {
        let folder = self.folder.join(table.to_string());
        let old = self.path(table, name);
        let bytes = std::fs::read(&old).map_err(|source| Error::io(&old, source))?;
        let before: Digest = Sha256::digest(&bytes).into();
        let file = aside(&folder)?;
        let after = write_parquet(kept, file.as_file(), &folder)?;
        let hash: String = crate::personal::hex(&after).chars().take(16).collect();
        let day = name.rsplit_once('.').map_or(name, |(day, _)| day);
        let new = format!("{day}.{hash}");
        let reasons = |name: &str| folder.join(format!("{name}.quarantine.parquet"));
        // The reasons first, as when it was landed. They hold numbers of rows and no value.
        let moved = std::fs::rename(reasons(name), reasons(&new));
        moved.or_else(not_found).map_err(|source| Error::io(&folder, source))?;
        let path = self.path(table, &new);
        file.persist(&path).map_err(|error| Error::io(&path, error.error))?;
        std::fs::remove_file(&old).map_err(|source| Error::io(&old, source))?;
        sync_folder(&folder)?;
        Ok((before, after))
    }

    /// Removes what a killed run left aside. The lock makes sure that nobody is still writing it.
    fn sweep(&self, folder: &Path) -> Result<(), Error> {
        for name in file_names(folder)? {
            if name.starts_with(ASIDE) {
                let path = folder.join(name);
                std::fs::remove_file(&path).map_err(|source| Error::io(&path, source))?;
            }
        }
        Ok(())
    }
}

/// What is gone already need not be moved.
fn not_found(error: std::io::Error) -> Result<(), std::io::Error> {
    if error.kind() == std::io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

fn create_folder(path: &Path) -> Result<(), Error> {
    let created = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    created.map_err(|source| Error::io(path, source))
}

/// A file with a name that nobody reads; it is removed when it is dropped.
fn aside(folder: &Path) -> Result<NamedTempFile, Error> {
    // tempfile opens with mode 0600.
    let file = tempfile::Builder::new().prefix(ASIDE).suffix(".parquet").tempfile_in(folder);
    file.map_err(|source| Error::io(folder, source))
}

/// Makes the names in a folder durable, not only the files behind them.
fn sync_folder(folder: &Path) -> Result<(), Error> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|source| Error::io(folder, source))
}

fn file_names(folder: &Path) -> Result<Vec<String>, Error> {
    let failed = |source| Error::io(folder, source);
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        // A name that is not UTF-8 is not one of ours.
        names.extend(entry.map_err(failed)?.file_name().into_string());
    }
    Ok(names)
}

/// The names of the generations in a folder, the oldest first.
fn generations(folder: &Path) -> Result<Vec<String>, Error> {
    let name = |file: String| {
        let name = file.strip_suffix(".parquet")?;
        (!name.starts_with('.') && !name.ends_with(".quarantine")).then(|| name.to_owned())
    };
    let mut names: Vec<_> = file_names(folder)?.into_iter().filter_map(name).collect();
    names.sort();
    Ok(names)
}

fn next_number(names: &[String], of_today: &str) -> u32 {
    let number = |name: &String| name.strip_prefix(of_today)?.split('.').next()?.parse::<u32>().ok();
    names.iter().filter_map(number).max().map_or(1, |number| number.saturating_add(1))
}

/// Keeps the generation just landed and the newest others, whatever day it speaks for.
fn prune(folder: &Path, landed: &str) -> Result<(), Error> {
    let mut keep = vec![landed.to_owned()];
    keep.extend(generations(folder)?.into_iter().rev().filter(|name| name != landed).take(GENERATIONS_KEPT - 1));
    for file in file_names(folder)? {
        let Some(name) = file.strip_suffix(".parquet") else { continue };
        let name = name.strip_suffix(".quarantine").unwrap_or(name);
        if !name.starts_with('.') && !keep.iter().any(|kept| kept == name) {
            let path = folder.join(&file);
            std::fs::remove_file(&path).map_err(|source| Error::io(&path, source))?;
        }
    }
    Ok(())
}

/// The rows set aside as a table: by number and reason, never by value.
fn reasons(quarantined: &[Quarantined]) -> Result<Table, arrow::error::ArrowError> {
    let schema = Arc::new(Schema::new(vec![
        Field::new("row_number", DataType::UInt64, false),
        Field::new("reason", DataType::Utf8, false),
        Field::new("column", DataType::Utf8, true),
    ]));
    let batch = RecordBatch::try_new(
        schema,
        vec![
            Arc::new(quarantined.iter().map(|row| Some(row.row)).collect::<UInt64Array>()),
            Arc::new(quarantined.iter().map(|row| Some(row.reason.words())).collect::<StringArray>()),
            Arc::new(quarantined.iter().map(|row| row.column.as_deref()).collect::<StringArray>()),
        ],
    )?;
    Ok(Table::from_batch(batch))
}
