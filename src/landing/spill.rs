//! Rows that do not fit in memory: a few files without names, in the folder where
//! the table will be kept.
//!
//! They are gone when they are closed, also when the process is killed; nobody
//! else can open them. What is appended is read back by its place. This module must not
//! know what the rows are.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::Error;

/// Threads that write to one file wait for each other; to several, hardly.
const FILES: usize = 8;

/// Files without a name, each made when it is first needed.
#[derive(Debug)]
pub(super) struct Spill {
    folder: PathBuf,
    files: [Part; FILES],
    /// The file that is written to next.
    next: AtomicUsize,
}

#[derive(Debug, Default)]
struct Part {
    file: Mutex<Option<Arc<File>>>,
    end: AtomicU64,
}

/// Where bytes stand.
#[derive(Debug, Clone, Copy)]
pub(super) struct Offset {
    file: u8,
    offset: u64,
}

impl Offset {
    /// So many bytes behind.
    pub(super) fn behind(self, bytes: usize) -> Self {
        Offset { offset: self.offset + bytes as u64, ..self }
    }
}

impl Spill {
    /// Files in this folder; nothing is made yet.
    pub(super) fn new(folder: &Path) -> Self {
        let (files, next) = (std::array::from_fn(|_| Part::default()), AtomicUsize::new(0));
        Spill { folder: folder.into(), files, next }
    }

    fn file(&self, index: u8) -> Result<Arc<File>, Error> {
        let part =
            self.files.get(usize::from(index)).ok_or_else(|| self.failed(std::io::ErrorKind::NotFound.into()))?;
        let mut file = part.file.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = file.as_ref() {
            return Ok(Arc::clone(file));
        }
        // tempfile opens with mode 0600, and without a name where the file system can.
        let made = tempfile::tempfile_in(&self.folder).map_err(|source| self.failed(source))?;
        Ok(Arc::clone(file.insert(Arc::new(made))))
    }

    fn failed(&self, source: std::io::Error) -> Error {
        Error::io(&self.folder, source)
    }

    /// Room for so many bytes.
    fn reserve(&self, bytes: u64) -> Offset {
        let file = self.next.fetch_add(1, Ordering::Relaxed) % FILES;
        let end = self.files.get(file).map(|part| part.end.fetch_add(bytes, Ordering::Relaxed));
        Offset { file: file as u8, offset: end.unwrap_or(0) }
    }

    /// How many bytes were appended so far.
    pub(super) fn bytes(&self) -> u64 {
        self.files.iter().map(|part| part.end.load(Ordering::Relaxed)).sum()
    }

    /// Closes the files, and with that removes them.
    pub(super) fn clear(&self) {
        self.files.iter().for_each(|part| drop(part.file.lock().unwrap_or_else(PoisonError::into_inner).take()));
    }

    /// Appends bytes, from any thread, and says where they stand.
    pub(super) fn append(&self, bytes: &[u8]) -> Result<Offset, Error> {
        let at = self.reserve(bytes.len() as u64);
        self.file(at.file)?.write_all_at(bytes, at.offset).map_err(|source| self.failed(source))?;
        Ok(at)
    }

    /// Reads bytes back, behind those that are there.
    pub(super) fn read(&self, at: Offset, count: usize, into: &mut Vec<u8>) -> Result<(), Error> {
        let from = into.len();
        into.resize(from + count, 0);
        let read = self.file(at.file)?.read_exact_at(into.get_mut(from..).unwrap_or_default(), at.offset);
        read.map_err(|source| self.failed(source))
    }
}
