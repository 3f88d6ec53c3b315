//! Taking one person out of every generation that is kept.
//!
//! A file is never changed: one without the person's rows is written aside and
//! takes a name of its own, then a manifest that names it, and then the old
//! manifest and the files that nobody names any more leave. Whoever reads
//! meanwhile sees a whole generation. A call that was cut off leaves each
//! generation readable, and the next call finishes what is left.
//!
//! A changed row hides the earlier one of its key. When the changed one is the
//! person's, both go: the earlier one would come to light again, and it is no
//! longer true. The next comparison of keys finds that the key is missing.

use std::collections::HashSet;
use std::path::Path;

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use arrow::compute::{cast, filter_record_batch};
use arrow::datatypes::DataType;
use arrow::row::{RowConverter, SortField};

use super::file::{self, Digest};
use super::manifest::{Manifest, Part};
use super::store::{Kept, Name, aside, clear, kept, lock, names, persist, sweep, write_manifest};
use super::{Error, Store};
use crate::files::sync_folder;
use crate::personal::Personal;
use crate::tables::{DELETED, TableName};

/// The digests of a generation before and after it was written anew.
pub type Rewritten = (Digest, Digest);

/// A table out of which a person was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Erased {
    /// `<source>.<table>`.
    pub table: TableName,
    /// The generations that held the person: SHA-256 before and after.
    pub generations: Vec<Rewritten>,
    /// Rows of the person, over all generations.
    pub rows: u64,
}

/// Takes a person out of all generations of these tables; with each table, the columns that hold the
/// person's number. Tables that held nothing of the person are not in the answer.
pub fn erase(
    store: &Store,
    tables: &[(TableName, Vec<String>)],
    subject: &Personal<String>,
) -> Result<Vec<Erased>, Error> {
    // Only what is kept holds anybody; a plan leaves nothing.
    let Store::Folder(landing) = store else { return Ok(Vec::new()) };
    let mut all = Vec::new();
    for (table, columns) in tables {
        let folder = landing.join(table.to_string());
        if !folder.is_dir() {
            continue;
        }
        // No pull of the source lands a generation beside the ones being rewritten.
        let _lock = lock(landing, &table.schema)?;
        sweep(&folder)?;
        let search = Search { table, folder: &folder, columns, subject };
        let mut erased = Erased { table: table.clone(), generations: Vec::new(), rows: 0 };
        for name in names(&folder)? {
            // One that cannot be read is not passed over: the person may be in it.
            let path = folder.join(name.manifest());
            let unreadable = || Error::io(&path, std::io::Error::other("the manifest of the generation is damaged"));
            let generation = kept(&folder, name).ok_or_else(unreadable)?;
            if let Some((digests, rows)) = search.take_out(&generation)? {
                erased.generations.push(digests);
                erased.rows += rows;
            }
        }
        // Also files that a killed call left unnamed.
        clear(&folder)?;
        if erased.rows > 0 {
            all.push(erased);
        }
    }
    Ok(all)
}

struct Search<'a> {
    table: &'a TableName,
    folder: &'a Path,
    columns: &'a [String],
    subject: &'a Personal<String>,
}

/// Keys in a form in which they are compared.
type Keys = HashSet<Vec<u8>>;

impl Search<'_> {
    /// Rewrites a generation that holds the person; none when it does not.
    fn take_out(&self, generation: &Kept) -> Result<Option<(Rewritten, u64)>, Error> {
        let manifest = &generation.manifest;
        let (in_base, base_rows) = self.keys(&manifest.base, &manifest.key)?;
        let (in_changes, changed_rows) = match &manifest.changes {
            Some(part) => self.keys(part, &manifest.key)?,
            None => (Keys::new(), 0),
        };
        if base_rows + changed_rows == 0 {
            return Ok(None);
        }
        let mut rest = manifest.clone();
        rest.base = self.rewrite(manifest, &manifest.base, |key, _| in_changes.contains(key))?;
        if let Some(part) = &manifest.changes {
            // That a row of the person is gone tells of the person as well.
            rest.changes = Some(self.rewrite(manifest, part, |key, is_deleted| is_deleted && in_base.contains(key))?);
        }
        sync_folder(self.folder).map_err(|source| Error::io(self.folder, source))?;
        let digests = self.put_instead(generation, &rest)?;
        Ok(Some((digests, base_rows + changed_rows)))
    }

    /// The keys of the person's rows in a file, and how many rows they are.
    fn keys(&self, part: &Part, key: &[String]) -> Result<(Keys, u64), Error> {
        let path = self.folder.join(&part.file);
        let columns: Vec<&str> = key.iter().chain(self.columns).map(String::as_str).collect();
        let (_, batches) = file::open(&path, Some(&columns))?;
        let (mut keys, mut rows) = (Keys::new(), 0);
        for batch in batches {
            let batch = batch.map_err(|source| self.arrow(source))?;
            let is_theirs = self.is_theirs(&batch)?;
            if !is_theirs.contains(&true) {
                continue;
            }
            for (key, _) in self.keys_of(&batch, key)?.into_iter().zip(is_theirs).filter(|(_, is)| *is) {
                keys.insert(key);
                rows += 1;
            }
        }
        Ok((keys, rows))
    }

    /// Writes a file without the person's rows, and without those that `goes` names by key and by whether they are deleted.
    fn rewrite(&self, of: &Manifest, part: &Part, goes: impl Fn(&[u8], bool) -> bool) -> Result<Part, Error> {
        let path = self.folder.join(&part.file);
        let (schema, batches) = file::open(&path, None)?;
        let kept = batches.map(|batch| {
            let batch = batch.map_err(|source| self.arrow(source))?;
            let deleted = batch.column_by_name(DELETED).and_then(|column| column.as_boolean_opt()).cloned();
            let is_deleted = |row| deleted.as_ref().is_some_and(|deleted| deleted.is_valid(row) && deleted.value(row));
            let keys = self.keys_of(&batch, &of.key)?;
            let is_theirs = self.is_theirs(&batch)?;
            let stays =
                keys.iter().zip(is_theirs).enumerate().map(|(row, (key, is))| !is && !goes(key, is_deleted(row)));
            let stays: BooleanArray = stays.map(Some).collect();
            filter_record_batch(&batch, &stays).map_err(|source| self.arrow(source))
        });
        let aside = aside(self.folder)?;
        let (digest, rows) = file::write_sorted(&schema, &of.sorted_by, kept, aside.as_file(), self.folder)?;
        let part = Part::new(&digest, rows);
        persist(aside, &self.folder.join(&part.file))?;
        Ok(part)
    }

    /// Puts a manifest in the place of another one of the same night.
    fn put_instead(&self, generation: &Kept, rest: &Manifest) -> Result<Rewritten, Error> {
        let io = |source| Error::io(self.folder, source);
        let (_, before) = generation.manifest.bytes().map_err(|error| io(error.into()))?;
        let (bytes, after) = rest.bytes().map_err(|error| io(error.into()))?;
        let digest = crate::personal::hex(&after).chars().take(16).collect();
        let name = Name { digest, ..generation.name.clone() };
        // The reasons first, as when it was landed. They hold numbers of rows and no value.
        let reasons = |name: &Name| self.folder.join(name.quarantine());
        match std::fs::copy(reasons(&generation.name), reasons(&name)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(io(error)),
            _ => {}
        }
        write_manifest(self.folder, &self.folder.join(name.manifest()), &bytes)?;
        let old = self.folder.join(generation.name.manifest());
        std::fs::remove_file(&old).map_err(|source| Error::io(&old, source))?;
        clear(self.folder)?;
        sync_folder(self.folder).map_err(io)?;
        Ok((before, after))
    }

    /// Which rows are the person's.
    fn is_theirs(&self, batch: &RecordBatch) -> Result<Vec<bool>, Error> {
        let mut is_theirs = vec![false; batch.num_rows()];
        for column in self.columns.iter().filter_map(|name| batch.column_by_name(name)) {
            let texts = cast(column, &DataType::Utf8).map_err(|source| self.arrow(source))?;
            for (is, text) in is_theirs.iter_mut().zip(texts.as_string::<i32>()) {
                *is |= text == Some(self.subject.reveal().as_str());
            }
        }
        Ok(is_theirs)
    }

    fn keys_of(&self, batch: &RecordBatch, key: &[String]) -> Result<Vec<Vec<u8>>, Error> {
        let columns: Vec<_> = key.iter().filter_map(|name| batch.column_by_name(name).cloned()).collect();
        let fields = columns.iter().map(|column| SortField::new(column.data_type().clone())).collect();
        let rows = RowConverter::new(fields).and_then(|converter| converter.convert_columns(&columns));
        Ok(rows.map_err(|source| self.arrow(source))?.iter().map(|row| row.data().to_vec()).collect())
    }

    fn arrow(&self, source: arrow::error::ArrowError) -> Error {
        Error::Arrow { table: self.table.clone(), source }
    }
}
