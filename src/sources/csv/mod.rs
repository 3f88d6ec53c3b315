//! CSV files as RFC 4180 has them, with a declared delimiter and a header row.
//!
//! Fields are read as bytes: a row with invalid UTF-8 or with too many fields is
//! a fault of that row, and the rest of the file is still read. An empty field
//! is empty, quoted or not; a line without anything is no record.
//!
//! One thread reads the file, finds where its records end and counts them; the
//! others parse.

mod census;
mod split;

use std::sync::atomic::{AtomicU64, Ordering};

use self::census::Census;
use self::split::Layout;
use super::blocks::{self, Blocks};
use super::files::{Named, Opened, Start};
use super::predicate::Sifter;
use super::values::{Reason, Rows};
use super::{ANY, Answer, Error, Found, Request, Take};

/// The columns that the header names.
pub(super) fn describe(file: &Named, delimiter: u8) -> Result<Vec<Found>, Error> {
    let header = open(file, delimiter)?.header;
    let column = |name| Found { name, kind: "text of a file".to_owned(), fills: &ANY, is_list: false, granted: true };
    Ok(header.into_iter().map(column).collect())
}

/// Reads the granted columns. Records are counted beside the parsers, from the bytes of the same pass.
pub(super) fn read(file: &Named, delimiter: u8, request: Request<'_>, take: &Take<'_>) -> Result<Answer, Error> {
    let table = request.table;
    let Open { header, first, mut blocks, opened } = open(file, delimiter)?;
    let mut places = Vec::with_capacity(table.columns.len());
    for column in &table.columns {
        // The contract was checked against this header; a file replaced in between is caught here.
        let place = header.iter().position(|name| *name == column.name);
        places.push(place.ok_or_else(|| Error::NoHeader { path: file.shown.clone() })?);
    }
    let layout = Layout { delimiter, width: header.len(), places: &places };
    let sifter = Sifter::new(request, take);
    let taken = AtomicU64::new(0);
    let parse = |bytes: &[u8], first_row: u64, is_too_long: bool| {
        let mut rows = Rows::numbered_from(table, first_row);
        let take: &Take<'_> = &|batch| sifter.take(batch);
        if is_too_long {
            rows.broken_row(Reason::TooLong);
            rows.hand_over(take)?;
        } else {
            split::split(bytes, layout, &mut rows, take)?;
        }
        taken.fetch_add(rows.taken(), Ordering::Relaxed);
        Ok(())
    };
    // The header stands before every row, and rows are counted from 1: what a block has before it is its first row's number.
    let worked = parse(&first, 1, false).and_then(|()| {
        blocks::for_each(&mut blocks, &|source| file.failed(source), &|block| {
            parse(&block.bytes, block.before, block.is_too_long)
        })
    });
    sifter.outcome(worked)?;
    if let Some(line) = blocks.boundaries.open_quote() {
        return Err(Error::OpenQuote { path: file.shown.clone(), line });
    }
    opened.is_unchanged(file)?;
    // The header is a record too.
    let records = blocks.records().saturating_sub(1);
    Ok(sifter.answer(file.asked(request), records, taken.into_inner()))
}

/// A file whose header was read.
struct Open {
    header: Vec<String>,
    /// What of the first block stands behind the header.
    first: Vec<u8>,
    blocks: Blocks<Start, Census>,
    opened: Opened,
}

fn open(file: &Named, delimiter: u8) -> Result<Open, Error> {
    let failed = |source| file.failed(source);
    let (start, opened) = file.open_text()?;
    let mut blocks = Blocks::new(start, Census::new(delimiter));
    let no_header = || Error::NoHeader { path: file.shown.clone() };
    let block = loop {
        match blocks.next(Vec::new()).map_err(failed)? {
            // Empty lines alone before the header.
            Some(_) if blocks.records() == 0 => {}
            Some(block) => break block,
            None => return Err(no_header()),
        }
    };
    let mut reader = parser(delimiter).from_reader(block.bytes.as_slice());
    let mut header = csv::ByteRecord::new();
    if block.is_too_long || !reader.read_byte_record(&mut header).unwrap_or(false) {
        return Err(no_header());
    }
    let end = usize::try_from(reader.position().byte()).unwrap_or(usize::MAX);
    let first = block.bytes.get(end..).unwrap_or_default().to_vec();
    let header = header.iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect();
    Ok(Open { header, first, blocks, opened })
}

fn parser(delimiter: u8) -> csv::ReaderBuilder {
    let mut builder = csv::ReaderBuilder::new();
    builder.has_headers(false).flexible(true).delimiter(delimiter);
    builder
}
