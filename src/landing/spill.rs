//! Rows that do not fit in memory: a file without a name, in the folder where
//! the table will be kept.
//!
//! It is gone when it is closed, also when the process is killed; nobody else
//! can open it. What is appended is read back by its place. This module must not
//! know what the rows are.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::RecordBatch;
use arrow::buffer::{Buffer, MutableBuffer};
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::ipc::reader::read_record_batch;
use arrow::ipc::root_as_message;
use arrow::ipc::writer::{DictionaryTracker, IpcDataGenerator, IpcWriteContext, IpcWriteOptions};

use super::Error;
use crate::tables::TableName;

/// What every part of a block begins at a multiple of, so that its values need not be copied to be read.
const ALIGNED: usize = 64;

/// A file without a name, made when it is first needed.
#[derive(Debug)]
pub(super) struct Spill {
    folder: PathBuf,
    table: TableName,
    file: Mutex<Option<Arc<File>>>,
    end: AtomicU64,
}

/// Where a batch stands in the file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    offset: u64,
    meta_bytes: u32,
    bytes: u32,
}

impl Spill {
    /// A file in this folder; nothing is made yet.
    pub(super) fn new(folder: &Path, table: &TableName) -> Self {
        Spill { folder: folder.into(), table: table.clone(), file: Mutex::new(None), end: AtomicU64::new(0) }
    }

    fn file(&self) -> Result<Arc<File>, Error> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = file.as_ref() {
            return Ok(Arc::clone(file));
        }
        // tempfile opens with mode 0600, and without a name where the file system can.
        let made = tempfile::tempfile_in(&self.folder).map_err(|source| Error::io(&self.folder, source))?;
        Ok(Arc::clone(file.insert(Arc::new(made))))
    }

    /// Appends bytes, and says where they stand.
    pub(super) fn append(&self, bytes: &[u8]) -> Result<u64, Error> {
        let file = self.file()?;
        let taken = bytes.len().next_multiple_of(ALIGNED) as u64;
        let offset = self.end.fetch_add(taken, Ordering::Relaxed);
        file.write_all_at(bytes, offset).map_err(|source| Error::io(&self.folder, source))?;
        Ok(offset)
    }

    /// Reads bytes back.
    pub(super) fn bytes(&self, offset: u64, count: usize) -> Result<Buffer, Error> {
        let mut buffer = MutableBuffer::from_len_zeroed(count);
        self.file()?.read_exact_at(&mut buffer, offset).map_err(|source| Error::io(&self.folder, source))?;
        Ok(buffer.into())
    }

    /// Appends batches together, and says where each stands.
    pub(super) fn append_batches(&self, batches: &[RecordBatch]) -> Result<Vec<Place>, Error> {
        let failed = |source| Error::Arrow { table: self.table.clone(), source };
        let options = IpcWriteOptions::default();
        let (mut tracker, mut context) = (DictionaryTracker::new(false), IpcWriteContext::default());
        let mut bytes: Vec<u8> = Vec::new();
        let mut places = Vec::with_capacity(batches.len());
        for batch in batches {
            let encoded = IpcDataGenerator::default().encode(batch, &mut tracker, &options, &mut context);
            let (_, encoded) = encoded.map_err(failed)?;
            let offset = bytes.len();
            bytes.extend_from_slice(&encoded.ipc_message);
            bytes.resize(bytes.len().next_multiple_of(ALIGNED), 0);
            let meta_bytes = bytes.len() - offset;
            bytes.extend_from_slice(&encoded.arrow_data);
            bytes.resize(bytes.len().next_multiple_of(ALIGNED), 0);
            let size = |bytes: usize| u32::try_from(bytes).map_err(|_| failed(too_large()));
            let (meta_bytes, taken) = (size(meta_bytes)?, size(bytes.len() - offset)?);
            places.push(Place { offset: offset as u64, meta_bytes, bytes: taken });
        }
        let begin = self.append(&bytes)?;
        places.iter_mut().for_each(|place| place.offset += begin);
        Ok(places)
    }

    /// Reads batches back that stand one behind the other.
    pub(super) fn read_batches(&self, places: &[Place], schema: &SchemaRef) -> Result<Vec<RecordBatch>, Error> {
        let failed = |source| Error::Arrow { table: self.table.clone(), source };
        let (Some(first), Some(last)) = (places.first(), places.last()) else { return Ok(Vec::new()) };
        let buffer = self.bytes(first.offset, (last.offset - first.offset) as usize + last.bytes as usize)?;
        let mut batches = Vec::with_capacity(places.len());
        for place in places {
            let offset = (place.offset - first.offset) as usize;
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

fn too_large() -> ArrowError {
    ArrowError::IpcError("a batch is larger than 4 GiB".into())
}
