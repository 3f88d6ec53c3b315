//! Table files in Parquet and CSV: made in chunks on all cores, written in order.
//!
//! A worker makes a chunk of rows and encodes it; the writer only copies bytes.
//! A worker is never more than two chunks ahead of the writer, so memory does
//! not grow with the table. This module must not know what the tables mean.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, sync_channel};

use arrow::array::RecordBatch;
use arrow::csv::WriterBuilder;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::{ArrowColumnChunk, ArrowRowGroupWriterFactory, compute_leaves};
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use tempfile::NamedTempFile;

use super::{Error, WrittenFile};

/// Rows are made from this many people or dossiers at a time; each chunk is a row group in Parquet.
const CHUNK: u64 = 1 << 17;

/// A file that takes its place only when it is whole.
pub struct Draft {
    path: PathBuf,
    file: NamedTempFile,
}

impl Draft {
    /// A new file beside the place where it will stand; its folder is made where it is missing.
    pub fn new(path: PathBuf) -> Result<Self, Error> {
        let folder = path.parent().unwrap_or(Path::new("."));
        let made = std::fs::create_dir_all(folder).and_then(|()| NamedTempFile::new_in(folder));
        match made {
            Ok(file) => Ok(Draft { path, file }),
            Err(source) => Err(Error::Write { path, source }),
        }
    }

    /// Where it stands for now.
    pub fn draft_path(&self) -> &Path {
        self.file.path()
    }

    /// Where it will stand.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Puts the whole file in its place, over an older one.
    pub fn place(self, rows: u64) -> Result<WrittenFile, Error> {
        let Draft { path, file } = self;
        let placed = file.as_file().metadata().and_then(|meta| {
            readable_by_all(file.as_file())?;
            file.persist(&path).map_err(|error| error.error)?;
            Ok(meta.len())
        });
        match placed {
            Ok(bytes) => Ok(WrittenFile { path, rows, bytes }),
            Err(source) => Err(Error::Write { path, source }),
        }
    }
}

/// Temporary files are for the owner alone; samples are synthetic and for everybody.
#[cfg(unix)]
fn readable_by_all(file: &File) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(std::fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn readable_by_all(_: &File) -> std::io::Result<()> {
    Ok(())
}

/// What a table's rows are made from, and how.
pub struct Rows<'a> {
    /// Names and types, as in the file.
    pub schema: SchemaRef,
    /// How many people or dossiers.
    pub sources: u64,
    /// The rows of a range of them.
    pub batch: &'a (dyn Fn(Range<u64>) -> Result<RecordBatch, ArrowError> + Sync),
    /// How dates are written in CSV, in `strftime` letters; none means ISO 8601.
    pub date_format: Option<&'static str>,
}

/// Writes a table as `parquet`, as `csv`, or as both from one making of the rows.
pub fn write(rows: &Rows<'_>, parquet: Option<PathBuf>, csv: Option<PathBuf>) -> Result<Vec<WrittenFile>, Error> {
    let (mut parquet, group) = match parquet {
        Some(path) => ParquetFile::new(path, &rows.schema).map(|(file, group)| (Some(file), Some(group)))?,
        None => (None, None),
    };
    let mut csv = csv.map(CsvFile::new).transpose()?;
    let wants_csv = csv.is_some();
    let mut count = 0;
    let chunks = rows.sources.div_ceil(CHUNK);
    in_order(
        chunks,
        |chunk| encode(rows, chunk, group.as_ref(), wants_csv),
        |encoded: Encoded| {
            count += encoded.rows;
            if let Some(file) = &mut parquet {
                file.append(encoded.columns)?;
            }
            if let Some(file) = &mut csv {
                file.append(&encoded.text)?;
            }
            Ok(())
        },
    )?;
    let parquet = parquet.map(|file| file.finish(count)).transpose()?;
    let csv = csv.map(|file| file.finish(count, rows)).transpose()?;
    Ok(parquet.into_iter().chain(csv).collect())
}

/// A chunk, ready to be copied into the files.
struct Encoded {
    rows: u64,
    columns: Vec<ArrowColumnChunk>,
    text: Vec<u8>,
}

fn encode(
    rows: &Rows<'_>,
    chunk: u64,
    group: Option<&ArrowRowGroupWriterFactory>,
    wants_csv: bool,
) -> Result<Encoded, Error> {
    let first = chunk * CHUNK;
    let batch = (rows.batch)(first..(first + CHUNK).min(rows.sources))?;
    let mut columns = Vec::new();
    if let Some(group) = group {
        let writers =
            group.create_column_writers(usize::try_from(chunk).unwrap_or(usize::MAX)).map_err(ArrowError::from)?;
        for ((mut writer, field), array) in writers.into_iter().zip(rows.schema.fields()).zip(batch.columns()) {
            for leaf in compute_leaves(field, array).map_err(ArrowError::from)? {
                writer.write(&leaf).map_err(ArrowError::from)?;
            }
            columns.push(writer.close().map_err(ArrowError::from)?);
        }
    }
    let mut text = Vec::new();
    if wants_csv {
        let mut writer = WriterBuilder::new().with_header(chunk == 0);
        if let Some(format) = rows.date_format {
            writer = writer.with_date_format(format.to_owned());
        }
        writer.build(&mut text).write(&batch)?;
    }
    Ok(Encoded { rows: batch.num_rows() as u64, columns, text })
}

/// Makes chunks on all cores and hands them to `take` in order.
fn in_order<T: Send>(
    chunks: u64,
    make: impl Fn(u64) -> Result<T, Error> + Sync,
    mut take: impl FnMut(T) -> Result<(), Error>,
) -> Result<(), Error> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let workers = chunks.min(cores as u64);
    std::thread::scope(|scope| {
        // Worker w makes the chunks w, w + workers, ...; each holds one finished chunk and works on the next.
        let made: Vec<Receiver<Result<T, Error>>> = (0..workers)
            .map(|worker| {
                let (sender, receiver) = sync_channel(1);
                let make = &make;
                scope.spawn(move || {
                    let mut chunk = worker;
                    while chunk < chunks {
                        let made = make(chunk);
                        let failed = made.is_err();
                        // The writer has gone when another chunk or the disk failed.
                        if sender.send(made).is_err() || failed {
                            return;
                        }
                        chunk += workers;
                    }
                });
                receiver
            })
            .collect();
        let workers_in_turn = made.iter().cycle();
        for (_, receiver) in (0..chunks).zip(workers_in_turn) {
            take(receiver.recv().map_err(|_| Error::WorkerLost)??)?;
        }
        Ok(())
    })
}

struct ParquetFile {
    draft: Draft,
    writer: SerializedFileWriter<BufWriter<File>>,
}

impl ParquetFile {
    /// The file, and what encodes its row groups on other threads.
    fn new(path: PathBuf, schema: &SchemaRef) -> Result<(Self, ArrowRowGroupWriterFactory), Error> {
        let draft = Draft::new(path)?;
        let file = reopened(&draft)?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_created_by("chudong samples".to_owned())
            .build();
        let writer = ArrowWriter::try_new(BufWriter::new(file), schema.clone(), Some(properties))
            .and_then(ArrowWriter::into_serialized_writer);
        match writer {
            Ok((writer, group)) => Ok((ParquetFile { draft, writer }, group)),
            Err(source) => Err(Error::Parquet { path: draft.path, source }),
        }
    }

    fn append(&mut self, columns: Vec<ArrowColumnChunk>) -> Result<(), Error> {
        let appended = self.writer.next_row_group().and_then(|mut group| {
            for column in columns {
                column.append_to_row_group(&mut group)?;
            }
            group.close()
        });
        match appended {
            Ok(_) => Ok(()),
            Err(source) => Err(Error::Parquet { path: self.draft.path.clone(), source }),
        }
    }

    fn finish(self, rows: u64) -> Result<WrittenFile, Error> {
        let ParquetFile { draft, writer } = self;
        let written = match writer.into_inner() {
            Ok(buffer) => buffer.into_inner(),
            Err(source) => return Err(Error::Parquet { path: draft.path, source }),
        };
        match written {
            Ok(_) => draft.place(rows),
            Err(error) => Err(Error::Write { path: draft.path, source: error.into_error() }),
        }
    }
}

struct CsvFile {
    draft: Draft,
    writer: BufWriter<File>,
}

impl CsvFile {
    fn new(path: PathBuf) -> Result<Self, Error> {
        let draft = Draft::new(path)?;
        let writer = BufWriter::new(reopened(&draft)?);
        Ok(CsvFile { draft, writer })
    }

    fn append(&mut self, text: &[u8]) -> Result<(), Error> {
        let path = &self.draft.path;
        self.writer.write_all(text).map_err(|source| Error::Write { path: path.clone(), source })
    }

    fn finish(mut self, count: u64, rows: &Rows<'_>) -> Result<WrittenFile, Error> {
        if rows.sources == 0 {
            // No chunk was made, so nobody has written the head line.
            let mut text = Vec::new();
            WriterBuilder::new().build(&mut text).write(&RecordBatch::new_empty(rows.schema.clone()))?;
            self.append(&text)?;
        }
        match self.writer.flush() {
            Ok(()) => self.draft.place(count),
            Err(source) => Err(Error::Write { path: self.draft.path, source }),
        }
    }
}

fn reopened(draft: &Draft) -> Result<File, Error> {
    draft.file.reopen().map_err(|source| Error::Write { path: draft.path.clone(), source })
}

impl From<ArrowError> for Error {
    fn from(source: ArrowError) -> Self {
        Error::Arrow { source }
    }
}
