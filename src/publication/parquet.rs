//! A table as Parquet, the same bytes for the same table.

use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::{WriterProperties, WriterVersion};

use super::{Error, Sheet};

/// The name in the file's footer. It carries no version, which would change frozen bytes at an upgrade.
const CREATED_BY: &str = "chudong";

/// How hard the compressor works; part of the frozen bytes, so it does not change.
const ZSTD_LEVEL: i32 = 9;

/// The table as the bytes of a Parquet file: every writer property that could vary is fixed.
pub(super) fn bytes(sheet: &Sheet) -> Result<Vec<u8>, Error> {
    write(sheet).map_err(|source| Error::Parquet { table: sheet.name.to_owned(), source })
}

fn write(sheet: &Sheet) -> Result<Vec<u8>, ParquetError> {
    let properties = WriterProperties::builder()
        .set_created_by(CREATED_BY.to_owned())
        .set_writer_version(WriterVersion::PARQUET_1_0)
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL)?))
        .build();
    // The Arrow schema in the footer would only repeat what the three types say.
    let options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new_with_options(&mut bytes, sheet.table.schema(), options)?;
    writer.write(&sheet.table)?;
    writer.close()?;
    Ok(bytes)
}
