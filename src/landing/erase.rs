//! Taking one person out of every generation that is kept.
//!
//! Files never change: those that hold the person are written again without the
//! person's rows, then a manifest that names the new ones takes its place, then
//! the old manifest goes, and last the files that nobody names. At each moment
//! every generation can be read, and a call that was cut off is finished by the
//! next. This module must not know why a person is erased.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use arrow::array::{ArrayRef, AsArray, BooleanArray, RecordBatch};
use arrow::compute::{cast, filter_record_batch};
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use arrow::row::{RowConverter, SortField};

use super::file::{Digest, Rewrite};
use super::manifest::{Manifest, Part};
use super::planned;
use super::store::{self, Kept, Name};
use super::{Error, Store, shown, view};
use crate::personal::Personal;
use crate::tables::TableName;

/// A table out of which a person was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Erased {
    /// `<source>.<table>`.
    pub table: TableName,
    /// The generations that held the person: the digest of each before and after.
    pub generations: Vec<(Digest, Digest)>,
    /// Rows taken out, over all files that were written again: a row that several generations have counts for each.
    pub rows: u64,
}

/// Takes a person out of all generations of these tables; with each table, the columns that hold the
/// person's number. Tables that held nothing of the person are not in the answer.
///
/// Nothing is pulled meanwhile: a source that is being pulled is busy.
pub fn erase(
    store: &Store,
    tables: &[(TableName, Vec<String>)],
    subject: &Personal<String>,
) -> Result<Vec<Erased>, Error> {
    let Store::Folder(root) = store else { return Ok(Vec::new()) };
    // What a plan that was killed had read holds the person, too.
    planned::sweep(root)?;
    let mut all = Vec::new();
    for (table, columns) in tables {
        let folder = root.join(table.to_string());
        if !folder.is_dir() {
            continue;
        }
        let _lock = store::lock(root, &table.schema)?;
        store::sweep(&folder)?;
        let mut work = Work { table, folder: &folder, columns, subject, rewritten: BTreeMap::new(), rows: 0 };
        let mut generations = Vec::new();
        for name in store::names(&folder)? {
            generations.extend(work.generation(name)?);
        }
        // Also what a call that was cut off had left to remove.
        store::clear(&folder)?;
        let rows = work.rows;
        if !generations.is_empty() {
            all.push(Erased { table: table.clone(), generations, rows });
        }
    }
    Ok(all)
}

/// One table out of which a person is taken.
struct Work<'a> {
    table: &'a TableName,
    folder: &'a Path,
    columns: &'a [String],
    subject: &'a Personal<String>,
    /// Files that were looked through: what stands in their place; none where the person was not in them.
    rewritten: BTreeMap<String, Option<Part>>,
    rows: u64,
}

/// Keys, as bytes.
type Keys = HashSet<Box<[u8]>>;

impl Work<'_> {
    /// Takes the person out of a generation; its digests before and after, if it held the person.
    fn generation(&mut self, name: Name) -> Result<Option<(Digest, Digest)>, Error> {
        let path = self.folder.join(name.manifest());
        let unreadable = || Error::Manifest { path: shown(&path) };
        let Kept { name, manifest, .. } = store::kept(self.folder, name).ok_or_else(unreadable)?;
        let mut next = manifest.clone();
        let mut gone = Keys::new();
        if let Some(part) = &manifest.changes {
            gone = self.keys_in(part, &manifest)?;
            if let Some(part) = self.without(part, &manifest, &Keys::new())? {
                next.changes = Some(part).filter(|part| part.rows > 0);
            }
        }
        // What a change of the person replaced is as old as it is theirs: it must not come back.
        if let Some(part) = self.without(&manifest.base, &manifest, &gone)? {
            next.base = part;
        }
        if next == manifest {
            return Ok(None);
        }
        let io = |error: serde_json::Error| Error::io(self.folder, error.into());
        let (before, (bytes, after)) = (manifest.bytes().map_err(io)?.1, next.bytes().map_err(io)?);
        let digest: String = crate::personal::hex(&after).chars().take(16).collect();
        let place = Name { digest, ..name.clone() };
        let (old, new) = (self.folder.join(name.quarantine()), self.folder.join(place.quarantine()));
        // Reasons hold numbers of rows and nothing of a person: the same file under the new name.
        if old.exists() && !new.exists() {
            std::fs::hard_link(&old, &new).map_err(|source| Error::io(&new, source))?;
        }
        store::write_manifest(self.folder, &self.folder.join(place.manifest()), &bytes)?;
        std::fs::remove_file(&path).map_err(|source| Error::io(&path, source))?;
        Ok(Some((before, after)))
    }

    /// The file without the person and without these keys; none where it holds neither.
    fn without(&mut self, part: &Part, manifest: &Manifest, keys: &Keys) -> Result<Option<Part>, Error> {
        // Which keys go besides depends on the generation; without any, a file is looked through once.
        if keys.is_empty()
            && let Some(known) = self.rewritten.get(&part.file)
        {
            return Ok(known.clone());
        }
        let path = self.folder.join(&part.file);
        // Looked through before anything is written: most files hold nothing of the person.
        let mut finds = false;
        view::each(&path, None, &mut |batch| {
            finds |= self.stays(&batch, manifest, keys)?.0.false_count() > 0;
            Ok(())
        })?;
        let mut rows = 0;
        let next = if finds {
            let aside = store::aside(self.folder)?;
            let mut rewrite = Rewrite::new(store::handle(&aside), self.folder, &path, &manifest.sorted_by)?;
            let mut left = 0;
            view::each(&path, None, &mut |batch| {
                let (stays, theirs) = self.stays(&batch, manifest, keys)?;
                let batch = filter_record_batch(&batch, &stays).map_err(|source| self.arrow(source))?;
                rows += theirs;
                left += batch.num_rows() as u64;
                rewrite.write(&batch)
            })?;
            let part = Part::new(&rewrite.finish()?, left);
            store::persist(aside, &self.folder.join(&part.file))?;
            Some(part)
        } else {
            None
        };
        self.rows += rows;
        if keys.is_empty() {
            self.rewritten.insert(part.file.clone(), next.clone());
        }
        Ok(next)
    }

    /// Which rows stay, and how many of the others are the person's.
    fn stays(&self, batch: &RecordBatch, manifest: &Manifest, keys: &Keys) -> Result<(BooleanArray, u64), Error> {
        let theirs = self.theirs(batch).map_err(|source| self.arrow(source))?;
        let bytes = if keys.is_empty() { Vec::new() } else { self.keys(batch, manifest)? };
        let is_other = |row: usize| bytes.get(row).is_some_and(|key| keys.contains(key));
        let stays = theirs.iter().enumerate().map(|(row, theirs)| Some(!theirs && !is_other(row))).collect();
        Ok((stays, theirs.iter().filter(|theirs| **theirs).count() as u64))
    }

    /// The keys of the person's rows in a file.
    fn keys_in(&self, part: &Part, manifest: &Manifest) -> Result<Keys, Error> {
        let mut keys = Keys::new();
        view::each(&self.folder.join(&part.file), None, &mut |batch| {
            let theirs = self.theirs(&batch).map_err(|source| self.arrow(source))?;
            if theirs.contains(&true) {
                let all = self.keys(&batch, manifest)?;
                keys.extend(all.into_iter().zip(theirs).filter(|(_, theirs)| *theirs).map(|(key, _)| key));
            }
            Ok(())
        })?;
        Ok(keys)
    }

    /// Which rows are the person's.
    fn theirs(&self, batch: &RecordBatch) -> Result<Vec<bool>, ArrowError> {
        let mut theirs = vec![false; batch.num_rows()];
        for column in self.columns.iter().filter_map(|name| batch.column_by_name(name)) {
            let texts = cast(column, &DataType::Utf8)?;
            for (theirs, text) in theirs.iter_mut().zip(texts.as_string::<i32>()) {
                *theirs |= text == Some(self.subject.reveal().as_str());
            }
        }
        Ok(theirs)
    }

    fn keys(&self, batch: &RecordBatch, manifest: &Manifest) -> Result<Vec<Box<[u8]>>, Error> {
        let columns: Vec<ArrayRef> =
            manifest.key.iter().filter_map(|name| batch.column_by_name(name).cloned()).collect();
        let fields = columns.iter().map(|column| SortField::new(column.data_type().clone())).collect();
        let rows = RowConverter::new(fields).and_then(|converter| converter.convert_columns(&columns));
        Ok(rows.map_err(|source| self.arrow(source))?.iter().map(|row| Box::from(row.data())).collect())
    }

    fn arrow(&self, source: ArrowError) -> Error {
        Error::Arrow { table: self.table.clone(), source }
    }
}
