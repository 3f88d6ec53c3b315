//! Where landed tables are kept: `<source>.<table>/`.
//!
//! A generation is a manifest, `<date>.<number>.<digest>.json`, over immutable
//! Parquet files that are named for their bytes. Files are written aside, made
//! durable, and then take their names; the manifest is last, so that a reader
//! sees a whole generation or none. The same content pulled again for the same
//! date is the same generation. Rows set aside are beside it, by number and
//! reason, without their values. Folders are 0700, files 0600.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{RecordBatch, StringArray, UInt64Array};
use arrow::datatypes::{DataType, Field, Schema};
use sha2::{Digest as _, Sha256};
use tempfile::{NamedTempFile, TempDir};

use super::file::{Digest, write_quickly};
use super::manifest::Manifest;
use super::planned::{self, Beside, Planned};
use super::{Error, Quarantined};
use crate::calendar::AsOf;
use crate::files::{FileLock, private_folder, sync_folder};
use crate::tables::{Table, TableName};

/// Files still being written begin with this; those of a run that was killed are removed by the next.
const ASIDE: &str = ".aside-";

/// Where landed tables are kept.
#[derive(Debug, Clone)]
pub enum Store {
    /// In this folder (`var/landing`).
    Folder(PathBuf),
    /// As in this folder, but what is landed goes into a private folder in it that vanishes again: `plan`.
    Beside(Beside),
    /// As if there had been no night before, in a private folder of the system's that vanishes.
    Nowhere,
}

/// A folder that is there as long as the landed tables are read.
#[derive(Debug)]
pub(super) enum Temporary {
    Planned(#[expect(dead_code, reason = "it is held, and removed when it is dropped")] Planned),
    Nowhere(#[expect(dead_code, reason = "it is held, and removed when it is dropped")] TempDir),
}

/// A table as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generation {
    /// Its manifest.
    pub path: PathBuf,
    /// The rows set aside: `row_number`, `reason`, `column`.
    pub quarantine: PathBuf,
    /// SHA-256 of the manifest, which holds those of the Parquet files.
    pub digest: Digest,
    /// Whether this very generation was there already.
    pub unchanged: bool,
}

/// A store held by one run for one source.
#[derive(Debug)]
pub(super) struct Shelf {
    /// Where earlier generations are.
    before: Option<PathBuf>,
    /// Where tonight's goes.
    folder: PathBuf,
    temporary: Option<Arc<Temporary>>,
    /// Released with the file handle, also when the process is killed.
    _lock: Option<FileLock>,
}

/// A Parquet file written aside, or one that is there already.
pub(super) struct Aside {
    pub(super) folder: PathBuf,
    /// New files, with the names that they will have.
    pub(super) files: Vec<(NamedTempFile, String)>,
    pub(super) manifest: Manifest,
    pub(super) quarantine: NamedTempFile,
}

/// A generation that is there.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    pub(super) folder: PathBuf,
    pub(super) name: Name,
    pub(super) manifest: Manifest,
}

impl Kept {
    /// Why nothing may be built on it: a file is gone, or is not what was written. `thoroughly` reads the files, at
    /// some 2 GB a second. Otherwise only those are read that were touched after the manifest, which is written last:
    /// put back from a backup they are the same, and edited they are not.
    pub(super) fn is_spoiled(&self, thoroughly: bool) -> Option<&'static str> {
        let modified = |file: &str| self.folder.join(file).metadata().and_then(|found| found.modified());
        let written = modified(&self.name.manifest());
        for part in self.manifest.parts() {
            let Ok(touched) = modified(&part.file) else { return Some("a file of the last generation is gone") };
            let is_touched = written.as_ref().map_or(true, |written| touched > *written);
            if (thoroughly || is_touched) && !holds(&self.folder.join(&part.file), &part.sha256) {
                return Some("a file of the last generation is not what was written");
            }
        }
        None
    }
}

/// Whether the bytes of a file have this SHA-256.
fn holds(path: &Path, sha256: &str) -> bool {
    let digest = || -> std::io::Result<Digest> {
        let (mut file, mut digest, mut buffer) = (File::open(path)?, Sha256::new(), vec![0; 1 << 20]);
        loop {
            let read = file.read(&mut buffer)?;
            match buffer.get(..read) {
                Some(bytes) if read > 0 => digest.update(bytes),
                _ => return Ok(digest.finalize().into()),
            }
        }
    };
    digest().is_ok_and(|digest| crate::personal::hex(&digest) == sha256)
}

/// The name of a generation: in the order of nights, and of pulls within one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Name {
    pub(super) date: jiff::civil::Date,
    pub(super) number: u32,
    pub(super) digest: String,
}

impl Name {
    fn parse(file: &str) -> Option<Self> {
        let mut parts = file.strip_suffix(".json")?.split('.');
        let (date, number, digest) = (parts.next()?, parts.next()?, parts.next()?);
        let name = Name { date: date.parse().ok()?, number: number.parse().ok()?, digest: digest.to_owned() };
        (parts.next().is_none() && name.manifest() == file).then_some(name)
    }

    /// Its manifest's file.
    pub(super) fn manifest(&self) -> String {
        format!("{self}.json")
    }

    pub(super) fn quarantine(&self) -> String {
        format!("{self}.quarantine.parquet")
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{:03}.{}", self.date, self.number, self.digest)
    }
}

impl Store {
    /// A store for a plan, beside the generations in this folder (`var/landing`).
    pub fn beside(landing: PathBuf) -> Self {
        Store::Beside(Beside::new(landing))
    }

    /// Takes the store for a source.
    pub(super) fn shelf(&self, source: &str) -> Result<Shelf, Error> {
        match self {
            Store::Folder(folder) => {
                private_folder(folder).map_err(|source| Error::io(folder, source))?;
                let lock = Some(lock(folder, source)?);
                planned::sweep(folder)?;
                Ok(Shelf { before: Some(folder.clone()), folder: folder.clone(), temporary: None, _lock: lock })
            }
            Store::Beside(beside) => {
                let made = Planned::make(beside)?;
                let (before, folder) = (Some(beside.path().to_path_buf()), made.path());
                Ok(Shelf { before, folder, temporary: Some(Arc::new(Temporary::Planned(made))), _lock: None })
            }
            Store::Nowhere => {
                let made = tempfile::Builder::new().prefix("chudong-").tempdir();
                let made = made.map_err(|source| Error::io(&std::env::temp_dir(), source))?;
                let folder = made.path().to_path_buf();
                Ok(Shelf { before: None, folder, temporary: Some(Arc::new(Temporary::Nowhere(made))), _lock: None })
            }
        }
    }

    /// The manifest of the newest generation of a table; none when it was never landed.
    pub fn newest(&self, table: &TableName) -> Result<Option<PathBuf>, Error> {
        let folder = match self {
            Store::Folder(folder) => folder,
            Store::Beside(beside) => beside.path(),
            Store::Nowhere => return Ok(None),
        };
        let folder = folder.join(table.to_string());
        Ok(names(&folder)?.pop().map(|name| folder.join(name.manifest())))
    }
}

/// Takes the lock of a source.
pub(super) fn lock(folder: &Path, source: &str) -> Result<FileLock, Error> {
    let path = folder.join(format!("{source}.lock"));
    let lock = FileLock::take(&path).map_err(|source| Error::io(&path, source))?;
    lock.ok_or_else(|| Error::Busy { source_name: source.to_owned() })
}

impl Shelf {
    /// What must live as long as the landed tables are read.
    pub(super) fn temporary(&self) -> Option<Arc<Temporary>> {
        self.temporary.clone()
    }

    /// The folder of a table, without what a killed run left there.
    pub(super) fn room(&self, name: &TableName) -> Result<PathBuf, Error> {
        let folder = self.folder.join(name.to_string());
        private_folder(&folder).map_err(|source| Error::io(&folder, source))?;
        sweep(&folder)?;
        Ok(folder)
    }

    /// Removes what landed of a table that must not land any more. A plan removes nothing.
    pub(super) fn forget(&self, name: &TableName) -> Result<(), Error> {
        let folder = self.folder.join(name.to_string());
        if self.temporary.is_some() || !folder.is_dir() {
            return Ok(());
        }
        std::fs::remove_dir_all(&folder).map_err(|source| Error::io(&folder, source))
    }

    /// The newest generation of a table that can be read.
    pub(super) fn last(&self, name: &TableName) -> Result<Option<Kept>, Error> {
        let Some(before) = &self.before else { return Ok(None) };
        let folder = before.join(name.to_string());
        Ok(names(&folder)?.pop().and_then(|name| kept(&folder, name)))
    }

    /// Gives a table its names, the manifest last, and lets old generations go.
    pub(super) fn put_in_place(&self, aside: Aside, as_of: AsOf, keep: u16) -> Result<Generation, Error> {
        let Aside { folder, files, manifest, quarantine } = aside;
        let failed = |source| Error::io(&folder, source);
        let bytes = manifest.bytes().map_err(|error| failed(error.into()))?;
        let name = next_name(&folder, as_of, &bytes.1)?;
        let path = folder.join(name.manifest());
        let unchanged = path.exists();
        let mut said = self::aside(&folder)?;
        said.write_all(&bytes.0).map_err(failed)?;
        let written = files.iter().map(|(file, _)| file).chain([&quarantine, &said]);
        sync(written.map(NamedTempFile::as_file)).map_err(failed)?;
        for (file, name) in files {
            persist(file, &folder.join(name))?;
        }
        // The reasons before the manifest: who sees the generation finds them beside it.
        let reasons = folder.join(name.quarantine());
        persist(quarantine, &reasons)?;
        persist(said, &path)?;
        // Once for all names: were a manifest kept in a crash and a file of it not, the generation would be spoiled,
        // and found to be so.
        sync_folder(&folder).map_err(failed)?;
        if self.temporary.is_none() {
            prune(&folder, &name, keep)?;
        }
        Ok(Generation { path, quarantine: reasons, digest: bytes.1, unchanged })
    }
}

/// Makes files durable, all at once: the disk's journal is then waited for once.
fn sync<'f>(files: impl Iterator<Item = &'f File>) -> std::io::Result<()> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = files.map(|file| scope.spawn(|| file.sync_all())).collect();
        let crashed = |_| Err(std::io::Error::other("a thread crashed"));
        threads.into_iter().try_for_each(|thread| thread.join().unwrap_or_else(crashed))
    })
}

/// Puts a manifest in its place.
pub(super) fn write_manifest(folder: &Path, path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let mut file = aside(folder)?;
    file.write_all(bytes).and_then(|()| file.as_file().sync_all()).map_err(|source| Error::io(folder, source))?;
    persist(file, path)?;
    sync_folder(folder).map_err(|source| Error::io(folder, source))
}

/// Gives a file its name.
pub(super) fn persist(file: NamedTempFile, path: &Path) -> Result<(), Error> {
    file.persist(path).map(|_| ()).map_err(|error| Error::io(path, error.error))
}

/// Removes what a killed run left aside. The lock makes sure that nobody is still writing it.
pub(super) fn sweep(folder: &Path) -> Result<(), Error> {
    for name in file_names(folder)?.iter().filter(|name| name.starts_with(ASIDE)) {
        let path = folder.join(name);
        std::fs::remove_file(&path).map_err(|source| Error::io(&path, source))?;
    }
    Ok(())
}

/// A file with a name that nobody reads; it is removed when it is dropped.
pub(super) fn aside(folder: &Path) -> Result<NamedTempFile, Error> {
    // tempfile opens with mode 0600.
    let file = tempfile::Builder::new().prefix(ASIDE).suffix(".parquet").tempfile_in(folder);
    file.map_err(|source| Error::io(folder, source))
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

/// The generations in a folder, the oldest first.
pub(super) fn names(folder: &Path) -> Result<Vec<Name>, Error> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let mut names: Vec<_> = file_names(folder)?.iter().filter_map(|file| Name::parse(file)).collect();
    names.sort();
    Ok(names)
}

/// A generation with its manifest; none when that cannot be read.
pub(super) fn kept(folder: &Path, name: Name) -> Option<Kept> {
    let manifest = Manifest::parse(&std::fs::read(folder.join(name.manifest())).ok()?)?;
    Some(Kept { folder: folder.to_path_buf(), name, manifest })
}

/// The name of tonight's generation: the newest of the same night where it has the same content, or the next number.
fn next_name(folder: &Path, as_of: AsOf, digest: &Digest) -> Result<Name, Error> {
    let digest: String = crate::personal::hex(digest).chars().take(16).collect();
    let tonight: Vec<Name> = names(folder)?.into_iter().filter(|name| name.date == as_of.date()).collect();
    let number = tonight.last().map_or(1, |name| name.number.saturating_add(1));
    // Only the newest: what was there before another content came is not what is there now.
    let known = tonight.into_iter().next_back().filter(|name| name.digest == digest);
    Ok(known.unwrap_or(Name { date: as_of.date(), number, digest }))
}

/// Keeps the generation just landed, so many before it that `keep` are there, and the `keep` newest of later nights:
/// a clock that goes back, or a night that is run again, takes away none of those that the newest night needs. Then
/// lets go the Parquet files that nobody names any more.
pub(super) fn prune(folder: &Path, landed: &Name, keep: u16) -> Result<(), Error> {
    let (keep, names) = (usize::from(keep.max(1)), names(folder)?);
    let earlier = names.iter().take_while(|name| *name < landed).count();
    let first_later = names.iter().take_while(|name| *name <= landed).count();
    let last_to_go = names.len().saturating_sub(keep).max(first_later);
    let go = names.iter().take(earlier.saturating_sub(keep - 1));
    let go = go.chain(names.iter().take(last_to_go).skip(first_later));
    let remove = |file: &str| {
        let path = folder.join(file);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::io(&path, error)),
            _ => Ok(()),
        }
    };
    // The manifest first: a generation is there whole or not at all.
    for name in go {
        remove(&name.manifest())?;
        remove(&name.quarantine())?;
    }
    clear(folder)
}

/// Removes Parquet files that no manifest names.
pub(super) fn clear(folder: &Path) -> Result<(), Error> {
    let mut named: BTreeSet<String> = BTreeSet::new();
    for name in names(folder)? {
        named.insert(name.quarantine());
        // Where a manifest cannot be read, nobody knows what it needs.
        let Some(kept) = kept(folder, name) else { return Ok(()) };
        named.extend(kept.manifest.files().map(str::to_owned));
    }
    for file in file_names(folder)? {
        if file.ends_with(".parquet") && !file.starts_with('.') && !named.contains(&file) {
            let path = folder.join(&file);
            std::fs::remove_file(&path).map_err(|source| Error::io(&path, source))?;
        }
    }
    Ok(())
}

/// Writes the rows set aside as a table: by number and reason, never by value. It is not yet durable.
pub(super) fn write_reasons(folder: &Path, table: &TableName, rows: &[Quarantined]) -> Result<NamedTempFile, Error> {
    let schema = Arc::new(Schema::new(vec![
        Field::new("row_number", DataType::UInt64, false),
        Field::new("reason", DataType::Utf8, false),
        Field::new("column", DataType::Utf8, true),
    ]));
    let batch = RecordBatch::try_new(
        schema,
        vec![
            Arc::new(rows.iter().map(|row| Some(row.row)).collect::<UInt64Array>()),
            Arc::new(rows.iter().map(|row| Some(row.reason.words())).collect::<StringArray>()),
            Arc::new(rows.iter().map(|row| row.column.as_deref()).collect::<StringArray>()),
        ],
    );
    let batch = batch.map_err(|source| Error::Arrow { table: table.clone(), source })?;
    let file = aside(folder)?;
    write_quickly(&Table::from_batch(batch), file.as_file(), folder)?;
    Ok(file)
}

/// A file in which rows are written, and the handle on it.
pub(super) fn handle(file: &NamedTempFile) -> &File {
    file.as_file()
}
