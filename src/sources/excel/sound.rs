//! What must hold of a workbook before the library reads it.
//!
//! The library believes the sizes that a file states of itself and asks for memory by them; where that is
//! refused, the process ends, and with it the night. So the stated sizes are held here against what the format
//! allows and the file can hold. This module must not know what a cell means.

use std::io::{self, BufRead, BufReader, Read};

use super::Bytes;

/// The old format's bounds of a sheet.
const ROWS_MAX: u32 = 65_536;
const COLUMNS_MAX: u32 = 256;

/// The largest list of shared texts, unpacked.
const TEXTS_BYTES_MAX: u64 = 4 << 30;

/// The longest element with the text before it: a cell has at most 32,767 characters.
const ELEMENT_BYTES_MAX: u64 = 1 << 20;

const BEGIN: u16 = 0x0809;
const SHEET: u16 = 0x0085;
const DIMENSIONS: u16 = 0x0200;

/// Records that begin with the row and the column of a cell.
const CELLS: [u16; 10] = [0x0006, 0x00bd, 0x00be, 0x00d6, 0x00fd, 0x0201, 0x0203, 0x0204, 0x0205, 0x027e];

/// Whether every sheet of an old workbook (MS-XLS, 2.5.198 and 2.4.90) begins where a record begins, and states
/// no more rows and columns than a sheet of that format has.
pub(super) fn is_old_sound(bytes: &Bytes) -> bool {
    let Ok(mut file) = cfb::CompoundFile::open(bytes.clone()) else { return false };
    let Some(path) = ["/Workbook", "/Book"].into_iter().find(|path| file.is_stream(path)) else { return false };
    let mut stream = Vec::new();
    let read = file.open_stream(path).and_then(|mut opened| opened.read_to_end(&mut stream));
    read.is_ok() && are_records_sound(&stream)
}

fn are_records_sound(stream: &[u8]) -> bool {
    let (mut begins, mut sheets) = (Vec::new(), Vec::new());
    let mut at = 0;
    // What follows the last whole record is padding.
    while let (Some(kind), Some(length)) = (number(stream, at, 2), number(stream, at + 2, 2)) {
        let Some(data) = stream.get(at + 4..at + 4 + length as usize) else { break };
        match kind as u16 {
            BEGIN => begins.push(at as u64),
            SHEET => sheets.extend(number(data, 0, 4).map(u64::from)),
            DIMENSIONS if !are_dimensions_sound(data) => return false,
            kind if CELLS.contains(&kind) && number(data, 2, 2).is_some_and(|column| column >= COLUMNS_MAX) => {
                return false;
            }
            _ => {}
        }
        at += 4 + data.len();
    }
    sheets.iter().all(|sheet| begins.binary_search(sheet).is_ok())
}

/// First row, row after the last, first column, column after the last: rows of two bytes, later of four.
fn are_dimensions_sound(data: &[u8]) -> bool {
    let width = if data.len() < 14 { 2 } else { 4 };
    let (first_row, end_row) = (number(data, 0, width), number(data, width, width));
    let (first_column, end_column) = (number(data, 2 * width, 2), number(data, 2 * width + 2, 2));
    let is_within = |first: Option<u32>, end: Option<u32>, most| match (first, end) {
        (Some(first), Some(end)) => first <= end && end <= most,
        _ => false,
    };
    is_within(first_row, end_row, ROWS_MAX) && is_within(first_column, end_column, COLUMNS_MAX)
}

/// A little-endian number.
fn number(bytes: &[u8], at: usize, width: usize) -> Option<u32> {
    let found = bytes.get(at..at.checked_add(width)?)?;
    Some(found.iter().rev().fold(0, |value, byte| value << 8 | u32::from(*byte)))
}

/// Whether the shared texts of an xlsx workbook (ECMA-376, 18.4.9) can be as many as it states: each needs at
/// least the five bytes of an empty element. An archive that cannot be read is left to the library to refuse.
pub(super) fn is_xlsx_sound(bytes: &Bytes) -> bool {
    let Ok(mut archive) = zip::ZipArchive::new(bytes.clone()) else { return true };
    let names: Vec<String> = archive.file_names().flatten().map(|name| name.to_string()).collect();
    let mut lists = names.iter().filter(|name| name.to_ascii_lowercase().ends_with("sharedstrings.xml"));
    lists.all(|name| archive.by_name(name).is_ok_and(|texts| are_texts_sound(texts).unwrap_or(false)))
}

fn are_texts_sound(texts: impl Read) -> io::Result<bool> {
    let mut texts = BufReader::new(texts.take(TEXTS_BYTES_MAX));
    let (mut bytes, mut stated) = (0_u64, 0_u64);
    let mut element = Vec::new();
    loop {
        element.clear();
        // An element at a time, so that no attribute is cut in two.
        let length = texts.by_ref().take(ELEMENT_BYTES_MAX).read_until(b'>', &mut element)? as u64;
        if length == 0 {
            return Ok(bytes < TEXTS_BYTES_MAX && stated <= bytes / 5);
        }
        // Where bytes are zero the text has units of two bytes, in which no name would be found.
        if length == ELEMENT_BYTES_MAX || element.contains(&0) {
            return Ok(false);
        }
        bytes += length;
        stated = stated.max(count(&element));
    }
}

/// The number that an element states as its `uniqueCount`; 0 if it states none, the greatest if it has too many
/// digits.
fn count(element: &[u8]) -> u64 {
    const NAME: &[u8] = b"uniqueCount";
    let Some(at) = element.windows(NAME.len()).position(|window| window == NAME) else { return 0 };
    let after = element.get(at + NAME.len()..).unwrap_or_default();
    let digits = after.iter().skip_while(|byte| !byte.is_ascii_digit()).take_while(|byte| byte.is_ascii_digit());
    digits.fold(0, |value: u64, digit| value.saturating_mul(10).saturating_add(u64::from(digit - b'0')))
}
