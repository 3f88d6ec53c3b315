//! Parquet files of landed rows: how they are encoded, hashed while they are
//! written, made durable, and read back.
//!
//! Every column chunk has its least and greatest value, but for texts by which the
//! file is not sorted; the columns by which it is sorted have them for every page.
//! So a reader skips what it does not need. This module must not know which rows a file holds.

use std::borrow::Borrow;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::datatypes::{DataType, Field, SchemaRef};
use arrow::error::ArrowError;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::arrow::arrow_writer::{ArrowColumnChunk, ArrowLeafColumn, ArrowRowGroupWriterFactory, compute_leaves};
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::metadata::SortingColumn;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::ColumnPath;
use sha2::{Digest as _, Sha256};

use super::{Error, shown, together};
use crate::sources::BATCH_ROWS;
use crate::tables::{Table, intervals};

/// SHA-256 of a file.
pub type Digest = [u8; 32];

/// Beyond this a column's dictionary is given up: it costs more than it saves.
const DICTIONARY_BYTES: usize = 32 << 10;

/// A page of a text that rows are not sorted by is about this large: a few hundred values, so that a look-up of one
/// row in some hundreds leaves most pages packed. Files grow by a sixteenth.
const TEXT_PAGE_BYTES: usize = 4 << 10;

/// How many values are encoded before the size of their page is looked at.
const PAGE_STEP_ROWS: usize = 256;

/// So much is written to the disk while other files are.
const SMALL_BYTES: usize = 8 << 20;

fn properties(schema: &SchemaRef, sorted_by: &[(String, i32)]) -> WriterProperties {
    let mut properties = WriterProperties::builder()
        .set_writer_version(WriterVersion::PARQUET_1_0)
        // Little work per byte; what zstd would cost and save has not been measured here.
        .set_compression(Compression::SNAPPY)
        .set_dictionary_page_size_limit(DICTIONARY_BYTES)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_max_row_group_row_count(Some(BATCH_ROWS))
        .set_write_batch_size(PAGE_STEP_ROWS)
        .set_created_by("chudong".to_owned());
    // Texts that rows are not sorted by lie in every row group from the least to the greatest: knowing them skips
    // nothing, and finding them takes as long as encoding them.
    for field in schema.fields().iter().filter(|field| matches!(field.data_type(), DataType::Utf8 | DataType::Binary)) {
        let path = ColumnPath::new(vec![field.name().clone()]);
        properties = properties
            .set_column_statistics_enabled(path.clone(), EnabledStatistics::None)
            .set_column_data_page_size_limit(path, TEXT_PAGE_BYTES);
    }
    for (name, _) in sorted_by {
        let path = ColumnPath::new(vec![name.clone()]);
        // A nation is looked up by its key: packing it would save a third of its bytes, and unpacking 20 million took a
        // third of the look-up.
        properties = properties
            .set_column_statistics_enabled(path.clone(), EnabledStatistics::Page)
            .set_column_compression(path, Compression::UNCOMPRESSED);
    }
    if !sorted_by.is_empty() {
        let sorting =
            |(_, place): &(String, i32)| SortingColumn { column_idx: *place, descending: false, nulls_first: true };
        properties = properties.set_sorting_columns(Some(sorted_by.iter().map(sorting).collect()));
    }
    properties.build()
}

/// Reads a Parquet file whole.
pub fn read_generation(path: &Path) -> Result<Table, Error> {
    let (schema, batches) = open(path, None)?;
    let batches = batches.collect::<Result<Vec<_>, ArrowError>>();
    let batches = batches.map_err(|error| Error::Parquet { path: shown(path), source: error.into() })?;
    Ok(Table { schema, batches })
}

/// Opens a Parquet file for reading it in batches: these columns, or all.
pub(super) fn open(path: &Path, columns: Option<&[&str]>) -> Result<(SchemaRef, Batches), Error> {
    let failed = |source| Error::Parquet { path: shown(path), source };
    let file = File::open(path).map_err(|source| Error::io(path, source))?;
    let mut builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(failed)?.with_batch_size(BATCH_ROWS);
    if let Some(columns) = columns {
        let mask = parquet::arrow::ProjectionMask::columns(builder.parquet_schema(), columns.iter().copied());
        builder = builder.with_projection(mask);
    }
    let schema = intervals::unpacked_schema(builder.schema());
    Ok((schema, Batches(builder.build().map_err(failed)?)))
}

/// The rows of a file, batch by batch.
pub(super) struct Batches(ParquetRecordBatchReader);

impl Iterator for Batches {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(|batch| intervals::unpack_batch(&batch?))
    }
}

/// What a column gives to the encoders of a row group.
pub(super) fn leaves(field: &Field, column: &ArrayRef) -> Result<Vec<ArrowLeafColumn>, ParquetError> {
    let packed = intervals::pack(column)?;
    compute_leaves(&field.clone().with_data_type(packed.data_type().clone()), &packed)
}

/// Writes a table as Parquet and makes it durable. `path` is for messages.
pub fn write_parquet(table: &Table, file: &File, path: &Path) -> Result<Digest, Error> {
    let digest = write_quickly(table, file, path)?;
    file.sync_all().map_err(|source| Error::io(path, source))?;
    Ok(digest)
}

/// The same, without waiting until it is durable.
pub(super) fn write_quickly(table: &Table, file: &File, path: &Path) -> Result<Digest, Error> {
    if table.rows() > together::WORTH_ROWS {
        return together::write(table, file, path);
    }
    let batches = table.batches.iter().map(|batch| Ok(batch.clone()));
    write_sorted(&table.schema, &[], batches, file, path).map(|(digest, _)| digest)
}

/// Writes batches that come sorted by these columns, one after the other; the digest and the number of rows. `path`
/// is for messages.
fn write_sorted(
    schema: &SchemaRef,
    sorted_by: &[String],
    batches: impl Iterator<Item = Result<RecordBatch, Error>>,
    file: &File,
    path: &Path,
) -> Result<(Digest, u64), Error> {
    let place = |name: &String| Some((name.clone(), i32::try_from(schema.index_of(name).ok()?).ok()?));
    let properties = properties(schema, &sorted_by.iter().filter_map(place).collect::<Vec<_>>());
    let mut sink = Sink { file, hash: Sha256::new(), failure: None };
    let mut rows = 0;
    let mut refused = None;
    let written =
        ArrowWriter::try_new(&mut sink, intervals::packed_schema(schema), Some(properties)).and_then(|mut writer| {
            for batch in batches {
                match batch {
                    Ok(batch) => {
                        rows += batch.num_rows() as u64;
                        writer.write(&intervals::pack_batch(&batch)?)?;
                    }
                    Err(error) => {
                        refused = Some(error);
                        break;
                    }
                }
            }
            writer.close().map(|_| ())
        });
    if let Some(error) = refused {
        return Err(error);
    }
    // The library wraps what the system said in words of its own; the sink has kept it.
    if let Some(source) = sink.failure.take() {
        return Err(Error::io(path, source));
    }
    written.map_err(|source| Error::Parquet { path: shown(path), source })?;
    Ok((sink.hash.finalize().into(), rows))
}

/// Writes to a file, hashes what it writes, and remembers what the system said.
pub(super) struct Sink<F> {
    file: F,
    hash: Sha256,
    failure: Option<std::io::Error>,
}

impl<F: Borrow<File>> Write for Sink<F> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self.file.borrow().write(bytes) {
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
        self.file.borrow().flush()
    }
}

/// A sorted file, to which encoded row groups are appended in order.
pub(super) struct Parts {
    writer: SerializedFileWriter<Sink<File>>,
    path: PathBuf,
}

impl Parts {
    /// A file of rows sorted by these columns, and what encodes its row groups. `path` is for messages.
    pub(super) fn new(
        file: &File,
        path: &Path,
        schema: &SchemaRef,
        sorted_by: &[String],
    ) -> Result<(Self, ArrowRowGroupWriterFactory), Error> {
        // Lists take one leaf each here, as plain columns do, so that places are those of the schema.
        let place = |name: &String| Some((name.clone(), i32::try_from(schema.index_of(name).ok()?).ok()?));
        let properties = properties(schema, &sorted_by.iter().filter_map(place).collect::<Vec<_>>());
        // Of these, who hands over the row groups says what the encoder would find out again.
        let is_known = |kind: &DataType| matches!(kind, DataType::Int64 | DataType::Date32);
        let known =
            schema.fields().iter().filter(|field| is_known(field.data_type()) && !sorted_by.contains(field.name()));
        let properties = known.fold(properties.into_builder(), |properties, field| {
            properties.set_column_statistics_enabled(vec![field.name().clone()].into(), EnabledStatistics::None)
        });
        Parts::begin(file, path, schema, properties.build())
    }

    /// The same for rows in any order.
    pub(super) fn unsorted(
        file: &File,
        path: &Path,
        schema: &SchemaRef,
    ) -> Result<(Self, ArrowRowGroupWriterFactory), Error> {
        Parts::begin(file, path, schema, properties(schema, &[]))
    }

    fn begin(
        file: &File,
        path: &Path,
        schema: &SchemaRef,
        properties: WriterProperties,
    ) -> Result<(Self, ArrowRowGroupWriterFactory), Error> {
        let failed = |source| Error::Parquet { path: shown(path), source };
        let file = file.try_clone().map_err(|source| Error::io(path, source))?;
        let sink = Sink { file, hash: Sha256::new(), failure: None };
        let writer = ArrowWriter::try_new(sink, intervals::packed_schema(schema), Some(properties)).map_err(failed)?;
        let (writer, factory) = writer.into_serialized_writer().map_err(failed)?;
        Ok((Parts { writer, path: path.into() }, factory))
    }

    /// Appends an encoded row group.
    pub(super) fn append(&mut self, chunks: Vec<ArrowColumnChunk>) -> Result<(), Error> {
        let appended = self.writer.next_row_group().and_then(|mut group| {
            chunks.into_iter().try_for_each(|chunk| chunk.append_to_row_group(&mut group))?;
            group.close().map(|_| ())
        });
        appended.map_err(|source| self.failed(source))
    }

    /// Writes the footer, and gives the digest of the file. A large one is made durable; a small one waits for what
    /// is put in place together with it.
    pub(super) fn finish(mut self) -> Result<Digest, Error> {
        if let Err(source) = self.writer.finish() {
            return Err(self.failed(source));
        }
        let is_large = self.writer.bytes_written() > SMALL_BYTES;
        let sink = self.writer.inner();
        if is_large {
            sink.file.sync_all().map_err(|source| Error::io(&self.path, source))?;
        }
        Ok(sink.hash.clone().finalize().into())
    }

    fn failed(&mut self, source: ParquetError) -> Error {
        failed(self.writer.inner_mut(), &self.path, source)
    }
}

/// A file that is written again, batch by batch, in the order that it had.
pub(super) struct Rewrite<'f> {
    writer: ArrowWriter<Sink<&'f File>>,
    path: &'f Path,
}

impl<'f> Rewrite<'f> {
    /// Writes into `file` what has the form of the file at `like`. `path` is for messages.
    pub(super) fn new(file: &'f File, path: &'f Path, like: &Path, sorted_by: &[String]) -> Result<Self, Error> {
        let failed = |source| Error::Parquet { path: shown(path), source };
        let (schema, _) = open(like, None)?;
        let place = |name: &String| Some((name.clone(), i32::try_from(schema.index_of(name).ok()?).ok()?));
        let properties = properties(&schema, &sorted_by.iter().filter_map(place).collect::<Vec<_>>());
        let sink = Sink { file, hash: Sha256::new(), failure: None };
        let writer = ArrowWriter::try_new(sink, intervals::packed_schema(&schema), Some(properties)).map_err(failed)?;
        Ok(Rewrite { writer, path })
    }

    /// Writes the next rows.
    pub(super) fn write(&mut self, batch: &arrow::array::RecordBatch) -> Result<(), Error> {
        let written =
            intervals::pack_batch(batch).map_err(ParquetError::from).and_then(|batch| self.writer.write(&batch));
        written.map_err(|source| failed(self.writer.inner_mut(), self.path, source))
    }

    /// Writes the footer, makes the file durable, and gives its digest.
    pub(super) fn finish(mut self) -> Result<Digest, Error> {
        if let Err(source) = self.writer.finish() {
            return Err(failed(self.writer.inner_mut(), self.path, source));
        }
        let sink = self.writer.inner();
        sink.file.sync_all().map_err(|source| Error::io(self.path, source))?;
        Ok(sink.hash.clone().finalize().into())
    }
}

/// The library wraps what the system said in words of its own; the sink has kept it.
fn failed<F>(sink: &mut Sink<F>, path: &Path, source: ParquetError) -> Error {
    match sink.failure.take() {
        Some(source) => Error::io(path, source),
        None => Error::Parquet { path: shown(path), source },
    }
}
