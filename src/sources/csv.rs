//! CSV files as RFC 4180 has them, with a declared delimiter and a header row.
//!
//! Fields are read as bytes: a row with invalid UTF-8 or with too many fields is
//! a fault of that row, and the rest of the file is still read. An empty field
//! is empty, quoted or not; a line without anything is no record.

use std::fs::File;
use std::io::{BufReader, Read};

use super::files::Named;
use super::values::{Raw, Reason, Rows};
use super::{ANY, Answer, Error, Found, Request, Take, counted};

const BUFFER_BYTES: usize = 1 << 18;

/// The columns that the header names.
pub(super) fn describe(file: &Named, delimiter: u8) -> Result<Vec<Found>, Error> {
    let (header, _) = open(file, delimiter)?;
    let column = |name| Found { name, kind: "text of a file".to_owned(), fills: &ANY, is_list: false, granted: true };
    Ok(header.into_iter().map(column).collect())
}

/// Reads the granted columns. Records are counted beside the parser, from the bytes of the same pass.
pub(super) fn read(file: &Named, delimiter: u8, request: Request<'_>, take: &Take<'_>) -> Result<Answer, Error> {
    let table = request.table;
    let (header, mut reader) = open(file, delimiter)?;
    let mut places = Vec::with_capacity(table.columns.len());
    for column in &table.columns {
        // The contract was checked against this header; a file replaced in between is caught here.
        let place = header.iter().position(|name| *name == column.name);
        places.push(place.ok_or_else(|| Error::NoHeader { path: file.shown.clone() })?);
    }
    let mut rows = Rows::new(table);
    let mut record = csv::ByteRecord::new();
    loop {
        match reader.read_byte_record(&mut record) {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => return Err(failed(file, error)),
        }
        if record.len() == header.len() {
            rows.row(|column| Raw::Field(places.get(column).and_then(|place| record.get(*place)).unwrap_or_default()));
        } else {
            rows.broken_row(Reason::RaggedRow);
        }
        rows.hand_over_when_full(take)?;
    }
    rows.hand_over(take)?;
    let census = reader.into_inner();
    if let Some(line) = census.open_quote() {
        return Err(Error::OpenQuote { path: file.shown.clone(), line });
    }
    // The header is a record too.
    let records = census.records().saturating_sub(1);
    Ok(Answer { asked: file.asked(table), counted: counted(records), received: counted(rows.taken()) })
}

type Reader = csv::Reader<Census<BufReader<std::io::Chain<std::io::Cursor<Vec<u8>>, File>>>>;

/// The names in the header, and the reader behind them.
fn open(file: &Named, delimiter: u8) -> Result<(Vec<String>, Reader), Error> {
    let mut handle = file.open()?;
    let mut start = Vec::new();
    handle.by_ref().take(3).read_to_end(&mut start).map_err(|source| file.failed(source))?;
    if start.starts_with(&[0xff, 0xfe]) || start.starts_with(&[0xfe, 0xff]) {
        return Err(Error::Utf16 { path: file.shown.clone() });
    }
    // Excel and many exports put a byte order mark before the first name.
    let start = if start == [0xef, 0xbb, 0xbf] { Vec::new() } else { start };
    let bytes = BufReader::with_capacity(BUFFER_BYTES, std::io::Cursor::new(start).chain(handle));
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(delimiter)
        .buffer_capacity(BUFFER_BYTES)
        .from_reader(Census::new(bytes, delimiter));
    let mut header = csv::ByteRecord::new();
    if !reader.read_byte_record(&mut header).map_err(|error| failed(file, error))? {
        return Err(Error::NoHeader { path: file.shown.clone() });
    }
    Ok((header.iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect(), reader))
}

fn failed(file: &Named, error: csv::Error) -> Error {
    let text = error.to_string();
    match error.into_kind() {
        csv::ErrorKind::Io(source) => file.failed(source),
        // Only reading can fail: fields are bytes, and records may have any length.
        _ => file.failed(std::io::Error::other(text)),
    }
}

/// Counts records in the bytes that pass through: the proof that the parser lost none.
struct Census<R> {
    inner: R,
    delimiter: u8,
    state: State,
    records: u64,
    line: usize,
    quote_line: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing of a record yet.
    Start,
    /// At the start of a field that is not the first.
    Field,
    /// Inside a field without quotes.
    Plain,
    /// Inside quotes.
    Quoted,
    /// After a quote inside quotes: the end of the field, or half of a doubled one.
    Quote,
}

impl<R> Census<R> {
    fn new(inner: R, delimiter: u8) -> Self {
        Census { inner, delimiter, state: State::Start, records: 0, line: 1, quote_line: 1 }
    }

    fn records(&self) -> u64 {
        // The last record may lack its line end.
        self.records + u64::from(self.state != State::Start)
    }

    fn open_quote(&self) -> Option<usize> {
        (self.state == State::Quoted).then_some(self.quote_line)
    }

    fn see(&mut self, byte: u8) {
        let end = byte == b'\n' || byte == b'\r';
        self.line += usize::from(byte == b'\n');
        self.state = match self.state {
            State::Quoted if byte == b'"' => State::Quote,
            State::Quoted => State::Quoted,
            State::Quote if byte == b'"' => State::Quoted,
            State::Start if end => State::Start,
            _ if end => {
                self.records += 1;
                State::Start
            }
            State::Start | State::Field if byte == b'"' => {
                self.quote_line = self.line;
                State::Quoted
            }
            _ if byte == self.delimiter => State::Field,
            _ => State::Plain,
        };
    }
}

impl<R: Read> Read for Census<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.inner.read(buffer)?;
        for byte in buffer.iter().take(count) {
            self.see(*byte);
        }
        Ok(count)
    }
}
