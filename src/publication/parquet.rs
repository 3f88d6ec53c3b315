//! A table as Parquet, the same bytes for the same table.

use std::sync::{Mutex, PoisonError};

use arrow::array::ArrayRef;
use arrow::datatypes::Field;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::{ArrowColumnChunk, ArrowColumnWriter, ArrowWriterOptions, compute_leaves};
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::{WriterProperties, WriterVersion};

use super::{Error, Sheet, together};

/// The name in the file's footer. It carries no version, which would change frozen bytes at an upgrade.
const CREATED_BY: &str = "chudong";

/// How hard the compressor works; part of the frozen bytes, so it does not change.
const ZSTD_LEVEL: i32 = 9;

/// Rows of a row group at most; part of the frozen bytes too.
const GROUP_ROWS: usize = 1 << 20;

/// The table as the bytes of a Parquet file: every writer property that could vary is fixed.
pub(super) fn bytes(sheet: &Sheet) -> Result<Vec<u8>, Error> {
    write(sheet).map_err(|source| Error::Parquet { table: sheet.name.to_owned(), source })
}

fn write(sheet: &Sheet) -> Result<Vec<u8>, ParquetError> {
    let properties = WriterProperties::builder()
        .set_created_by(CREATED_BY.to_owned())
        .set_writer_version(WriterVersion::PARQUET_1_0)
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL)?))
        .set_max_row_group_row_count(Some(GROUP_ROWS))
        .build();
    // The Arrow schema in the footer would only repeat what the three types say.
    let options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
    let mut bytes = Vec::new();
    let writer = ArrowWriter::try_new_with_options(&mut bytes, sheet.table.schema(), options)?;
    let (mut writer, factory) = writer.into_serialized_writer()?;
    for (group, from) in (0..sheet.table.num_rows()).step_by(GROUP_ROWS).enumerate() {
        let rows = sheet.table.slice(from, GROUP_ROWS.min(sheet.table.num_rows() - from));
        let columns = factory.create_column_writers(group)?;
        let fields = rows.schema();
        let waiting = columns.into_iter().zip(fields.fields().iter().zip(rows.columns()));
        let waiting: Vec<_> = waiting.map(|(writer, of)| (Mutex::new(Some(writer)), of)).collect();
        // Most of the time goes into packing columns, which know nothing of each other.
        let chunks = together::map(&waiting, |(writer, (field, column))| {
            let writer = writer.lock().unwrap_or_else(PoisonError::into_inner).take();
            encode(writer, field, column)
        });
        let mut group = writer.next_row_group()?;
        for chunk in chunks {
            chunk?.append_to_row_group(&mut group)?;
        }
        group.close()?;
    }
    writer.close()?;
    Ok(bytes)
}

fn encode(
    writer: Option<ArrowColumnWriter>,
    field: &Field,
    column: &ArrayRef,
) -> Result<ArrowColumnChunk, ParquetError> {
    let mut writer = writer.ok_or_else(|| ParquetError::General("a column is written twice".into()))?;
    for leaf in compute_leaves(field, column)? {
        writer.write(&leaf)?;
    }
    writer.close()
}
