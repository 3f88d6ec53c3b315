//! Rows that do not fit in memory: a few files without names, in the folder where
//! the table will be kept.
//!
//! They are gone when they are closed, also when the process is killed; nobody
//! else can open them. What is appended is read back by its place. This module must not
//! know what the rows are.

use std::collections::HashMap;
use std::fs::File;
use std::io::IoSlice;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::RecordBatch;
use arrow::buffer::Buffer;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::ipc::reader::read_record_batch;
use arrow::ipc::root_as_message;
use arrow::ipc::writer::{DictionaryTracker, IpcDataGenerator, IpcWriteContext, IpcWriteOptions};

use super::Error;
use crate::tables::TableName;

/// What every part of a block begins at a multiple of, so that its values need not be copied to be read.
const ALIGNED: usize = 64;

/// What stands between parts.
const PADDING: [u8; ALIGNED] = [0; ALIGNED];

/// As many as the system takes at once.
const SLICES_MAX: usize = 1024;

/// Threads that write to one file wait for each other; to several, hardly.
const FILES: usize = 8;

/// Files without a name, each made when it is first needed.
#[derive(Debug)]
pub(super) struct Spill {
    folder: PathBuf,
    table: TableName,
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

/// Where a batch stands in the file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    at: Offset,
    meta_bytes: u32,
    bytes: u32,
}

impl Place {
    /// Whether the other stands right behind it.
    pub(super) fn is_before(&self, other: &Place) -> bool {
        self.at.file == other.at.file && self.at.offset + u64::from(self.bytes) == other.at.offset
    }
}

impl Spill {
    /// Files in this folder; nothing is made yet.
    pub(super) fn new(folder: &Path, table: &TableName) -> Self {
        let (files, next) = (std::array::from_fn(|_| Part::default()), AtomicUsize::new(0));
        Spill { folder: folder.into(), table: table.clone(), files, next }
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

    /// Appends bytes, from any thread, and says where they stand.
    pub(super) fn append(&self, bytes: &[u8]) -> Result<Offset, Error> {
        let at = self.reserve(bytes.len().next_multiple_of(ALIGNED) as u64);
        self.file(at.file)?.write_all_at(bytes, at.offset).map_err(|source| self.failed(source))?;
        Ok(at)
    }

    /// Reads bytes back.
    pub(super) fn bytes(&self, at: Offset, count: usize) -> Result<Buffer, Error> {
        // Memory that is not set to zero before it is read into; malloc aligns it well enough for every value.
        let mut bytes = Vec::with_capacity(count);
        let file = self.file(at.file)?;
        while bytes.len() < count {
            let place = at.offset + bytes.len() as u64;
            match rustix::io::pread(&file, rustix::buffer::spare_capacity(&mut bytes), place) {
                // What was appended last ends where its last byte is: the rest is padding.
                Ok(0) if count - bytes.len() < ALIGNED => bytes.resize(count, 0),
                Ok(0) => return Err(self.failed(std::io::ErrorKind::UnexpectedEof.into())),
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(self.failed(error.into())),
            }
        }
        bytes.truncate(count);
        Ok(Buffer::from_vec(bytes))
    }

    /// Appends batches together, and says where each stands.
    pub(super) fn append_batches(&self, batches: &[RecordBatch]) -> Result<Vec<Place>, Error> {
        let failed = |source| Error::Arrow { table: self.table.clone(), source };
        let options = IpcWriteOptions::default();
        let (mut tracker, mut context) = (DictionaryTracker::new(false), IpcWriteContext::default());
        let size = |bytes: usize| u32::try_from(bytes.next_multiple_of(ALIGNED)).map_err(|_| failed(too_large()));
        let mut encoded = Vec::with_capacity(batches.len());
        let mut places = Vec::with_capacity(batches.len());
        let mut length = 0;
        for batch in batches {
            let (_, batch) =
                IpcDataGenerator::default().encode(batch, &mut tracker, &options, &mut context).map_err(failed)?;
            let meta_bytes = size(batch.ipc_message.len())?;
            let bytes = meta_bytes.checked_add(size(batch.arrow_data.len())?).ok_or_else(|| failed(too_large()))?;
            places.push(Place { at: Offset { file: 0, offset: length }, meta_bytes, bytes });
            length += u64::from(bytes);
            encoded.push(batch);
        }
        // Written from where they were encoded: moving them together first would cost as much as writing them.
        let begin = self.reserve(length);
        let mut slices = Vec::with_capacity(encoded.len() * 4);
        for (place, batch) in places.iter_mut().zip(&encoded) {
            place.at = Offset { file: begin.file, offset: begin.offset + place.at.offset };
            let data_bytes = (place.bytes - place.meta_bytes) as usize;
            for (part, bytes) in [(&batch.ipc_message, place.meta_bytes as usize), (&batch.arrow_data, data_bytes)] {
                slices.push(IoSlice::new(part));
                slices.push(IoSlice::new(PADDING.get(..bytes.saturating_sub(part.len())).unwrap_or_default()));
            }
        }
        let file = self.file(begin.file)?;
        write_all(&file, &mut slices, begin.offset).map_err(|source| self.failed(source))?;
        Ok(places)
    }

    /// Reads batches back that stand one behind the other.
    pub(super) fn read_batches(&self, places: &[Place], schema: &SchemaRef) -> Result<Vec<RecordBatch>, Error> {
        let failed = |source| Error::Arrow { table: self.table.clone(), source };
        let (Some(first), Some(last)) = (places.first(), places.last()) else { return Ok(Vec::new()) };
        let first = first.at;
        let buffer = self.bytes(first, (last.at.offset - first.offset) as usize + last.bytes as usize)?;
        let mut batches = Vec::with_capacity(places.len());
        for place in places {
            let offset = (place.at.offset - first.offset) as usize;
            let whole = buffer.slice_with_length(offset, place.bytes as usize);
            let message =
                root_as_message(whole.as_slice()).map_err(|error| failed(ArrowError::IpcError(error.to_string())))?;
            let batch = message.header_as_record_batch();
            let batch = batch.ok_or_else(|| failed(ArrowError::IpcError("no batch where one was kept".into())))?;
            let body = whole.slice(place.meta_bytes as usize);
            let read = read_record_batch(&body, batch, Arc::clone(schema), &HashMap::new(), None, &message.version());
            batches.push(read.map_err(failed)?);
        }
        Ok(batches)
    }
}

/// Writes all of these, one behind the other.
fn write_all(file: &File, mut slices: &mut [IoSlice<'_>], mut offset: u64) -> std::io::Result<()> {
    IoSlice::advance_slices(&mut slices, 0);
    while !slices.is_empty() {
        let most = slices.len().min(SLICES_MAX);
        match rustix::io::pwritev(file, slices.get(..most).unwrap_or_default(), offset) {
            Ok(0) => return Err(std::io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                offset += written as u64;
                IoSlice::advance_slices(&mut slices, written);
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn too_large() -> ArrowError {
    ArrowError::IpcError("a batch is larger than 4 GiB".into())
}
