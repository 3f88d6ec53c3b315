//! Files with one JSON object per line.
//!
//! A name that an object does not have is empty. Numbers keep their digits: an
//! exact number never passes through floating point. A line that is no object, or
//! that says a name twice, is a fault of that row, and the rest is still read.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use super::blocks::{self, Block, Blocks, Boundaries, Ends};
use super::files::{Named, Opened, Start};
use super::predicate::Sifter;
use super::values::{Raw, Reason, Rows};
use super::{ANY, Answer, Error, Found, Request, Take};
use crate::pipeline::{Column, Family, SourceTable, Type};

/// The names that objects have, in the order of their first appearance. It looks until all declared ones
/// were seen: only the whole file tells that one never occurs.
pub(super) fn describe(file: &Named, table: &SourceTable) -> Result<Vec<Found>, Error> {
    let (mut blocks, opened) = open(file)?;
    let mut names: Vec<(String, bool)> = Vec::new();
    let mut buffer = Vec::new();
    let mut is_empty = true;
    while let Some(block) = blocks.next(buffer).map_err(|source| file.failed(source))? {
        for line in lines(&block.bytes) {
            is_empty = false;
            for (name, value) in members(line).unwrap_or_default() {
                let is_list = value.starts_with(b"[");
                if let Some((_, known)) = names.iter_mut().find(|(known, _)| *known == name) {
                    // What is a list in any line is one.
                    *known |= is_list;
                } else if names.len() < NAMES_MAX {
                    names.push((name.into_owned(), is_list));
                }
            }
        }
        if table.columns.iter().all(|column| names.iter().any(|(name, _)| *name == column.name)) {
            break;
        }
        buffer = block.bytes;
    }
    if is_empty {
        return Err(Error::Empty { path: file.shown.clone() });
    }
    opened.is_unchanged(file)?;
    // A name of which the first lines have no value may hold lists all the same.
    let is_list = |name: &str, seen| seen || table.column(name).is_some_and(|column| column.kind.is_list());
    let found = names.into_iter().map(|(name, seen)| Found {
        is_list: is_list(&name, seen),
        name,
        kind: "JSON".to_owned(),
        fills: &ANY,
        granted: true,
    });
    Ok(found.collect())
}

/// More names than any table has columns: data in place of names.
const NAMES_MAX: usize = 4096;

/// Reads the granted columns. Lines are counted beside the parsers, from the bytes of the same pass.
pub(super) fn read(file: &Named, request: Request<'_>, take: &Take<'_>) -> Result<Answer, Error> {
    let table = request.table;
    let (mut blocks, opened) = open(file)?;
    let sifter = Sifter::new(request, take);
    let taken = AtomicU64::new(0);
    let places: HashMap<&str, usize> =
        table.columns.iter().enumerate().map(|(place, column)| (column.name.as_str(), place)).collect();
    let parse = |block: &Block| {
        let mut rows = Rows::numbered_from(table, block.before + 1);
        let take: &Take<'_> = &|batch| sifter.take(batch);
        if block.is_too_long {
            rows.broken_row(Reason::TooLong);
        }
        let mut values = vec![None; table.columns.len()];
        for line in lines(&block.bytes) {
            match members(line) {
                Err(reason) => rows.broken_row(reason),
                Ok(members) => {
                    values.fill(None);
                    for (name, value) in &members {
                        if let Some(slot) = places.get(name.as_ref()).and_then(|place| values.get_mut(*place)) {
                            *slot = Some(*value);
                        }
                    }
                    push(&mut rows, &table.columns, &values);
                }
            }
            rows.hand_over_when_full(take)?;
        }
        rows.hand_over(take)?;
        taken.fetch_add(rows.taken(), Ordering::Relaxed);
        Ok(())
    };
    let worked = blocks::for_each(&mut blocks, &|source| file.failed(source), &parse);
    sifter.outcome(worked)?;
    opened.is_unchanged(file)?;
    Ok(sifter.answer(file.asked(request), blocks.records(), taken.into_inner()))
}

fn open(file: &Named) -> Result<(Blocks<Start, Lines>, Opened), Error> {
    let (start, opened) = file.open_text()?;
    Ok((Blocks::new(start, Lines::default()), opened))
}

/// Counts the lines that hold more than blanks.
#[derive(Debug, Default)]
struct Lines {
    /// Whether the line at hand has something.
    is_filled: bool,
}

impl Boundaries for Lines {
    fn see(&mut self, bytes: &[u8]) -> Ends {
        let mut ends = Ends::default();
        let mut start = 0;
        for at in memchr::memchr_iter(b'\n', bytes) {
            let is_filled = self.is_filled || !is_blank(bytes.get(start..at).unwrap_or_default());
            start = at + 1;
            ends.records += u64::from(is_filled);
            ends.first = ends.first.or(is_filled.then_some(start));
            ends.last = Some(start);
            self.is_filled = false;
        }
        self.is_filled |= !is_blank(bytes.get(start..).unwrap_or_default());
        ends
    }

    fn is_within(&self) -> bool {
        self.is_filled
    }
}

fn is_blank(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| is_space(*byte))
}

/// What JSON takes for a blank.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split(|byte| *byte == b'\n').filter(|line| !is_blank(line))
}

/// A name, and its value as written.
type Member<'a> = (Cow<'a, str>, &'a [u8]);

/// The names and the values, as written, of the object that a line holds.
fn members(line: &[u8]) -> Result<Vec<Member<'_>>, Reason> {
    // The library says whether it is JSON at all; after that, finding where its parts end is a matter of brackets.
    serde_json::from_slice::<serde::de::IgnoredAny>(line).map_err(|_| Reason::NotAnObject)?;
    let inner =
        line.trim_ascii().strip_prefix(b"{").and_then(|line| line.strip_suffix(b"}")).ok_or(Reason::NotAnObject)?;
    let mut members = Vec::new();
    let mut rest = inner.trim_ascii();
    while !rest.is_empty() {
        let (name, behind) = rest.split_at_checked(end_of(rest)).ok_or(Reason::NotAnObject)?;
        let behind = behind.trim_ascii_start().strip_prefix(b":").ok_or(Reason::NotAnObject)?.trim_ascii_start();
        let (value, behind) = behind.split_at_checked(end_of(behind)).ok_or(Reason::NotAnObject)?;
        members.push((text(name).ok_or(Reason::InvalidUtf8)?, value));
        let behind = behind.trim_ascii_start();
        rest = behind.strip_prefix(b",").unwrap_or(behind).trim_ascii_start();
    }
    let mut names: Vec<&str> = members.iter().map(|(name, _)| name.as_ref()).collect();
    names.sort_unstable();
    if names.is_sorted_by(|a, b| a < b) { Ok(members) } else { Err(Reason::NameTwice) }
}

/// How long the value is with which valid JSON begins.
fn end_of(json: &[u8]) -> usize {
    let is_structure = matches!(json.first(), Some(b'{' | b'['));
    let is_string = json.first() == Some(&b'"');
    let (mut depth, mut at, mut is_quoted) = (0_usize, 0, false);
    while let Some(byte) = json.get(at) {
        at += 1;
        match byte {
            b'\\' if is_quoted => at += 1,
            b'"' => {
                is_quoted = !is_quoted;
                if is_string && !is_quoted {
                    return at;
                }
            }
            b'{' | b'[' if !is_quoted => depth += 1,
            b'}' | b']' if !is_quoted => {
                depth = depth.saturating_sub(1);
                if is_structure && depth == 0 {
                    return at;
                }
            }
            b',' | b':' if !is_quoted && depth == 0 => return at - 1,
            byte if is_space(*byte) && !is_quoted && depth == 0 => return at - 1,
            _ => {}
        }
    }
    json.len()
}

/// The text that a JSON string holds; none when it is no Unicode.
fn text(json: &[u8]) -> Option<Cow<'_, str>> {
    let inner = json.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    if memchr::memchr(b'\\', inner).is_none() {
        return std::str::from_utf8(inner).ok().map(Cow::Borrowed);
    }
    serde_json::from_slice::<String>(json).ok().map(Cow::Owned)
}

/// Adds a row; what a string says with escapes is written out first.
fn push(rows: &mut Rows, columns: &[Column], values: &[Option<&[u8]>]) {
    let row = rows.row_number();
    for (place, (column, value)) in columns.iter().zip(values).enumerate() {
        match value {
            Some(list) if list.starts_with(b"[") => push_list(rows, place, row, column.kind, list),
            Some(value) => {
                let written = text_of(value);
                rows.push(place, row, raw(column.kind.family(), value, written.as_deref()));
            }
            None => rows.push(place, row, Raw::Null),
        }
    }
    rows.rows(1);
}

fn push_list(rows: &mut Rows, place: usize, row: usize, kind: Type, list: &[u8]) {
    if !kind.is_list() {
        return rows.push(place, row, Raw::Fault(Reason::NotAList));
    }
    let family = kind.family();
    let mut items = Vec::new();
    let mut rest = list.strip_prefix(b"[").and_then(|list| list.strip_suffix(b"]")).unwrap_or_default().trim_ascii();
    while let Some((item, behind)) = rest.split_at_checked(end_of(rest)).filter(|(item, _)| !item.is_empty()) {
        items.push((item, text_of(item)));
        let behind = behind.trim_ascii_start();
        rest = behind.strip_prefix(b",").unwrap_or(behind).trim_ascii_start();
    }
    let raws: Vec<Raw<'_>> = items
        .iter()
        .map(
            |(item, written)| {
                if item.starts_with(b"[") { Raw::List(&[]) } else { raw(family, item, written.as_deref()) }
            },
        )
        .collect();
    rows.push(place, row, Raw::List(&raws));
}

/// A string with its escapes written out; none for what has none, and for what is no Unicode.
fn text_of(value: &[u8]) -> Option<Vec<u8>> {
    let has_escapes = value.starts_with(b"\"") && memchr::memchr(b'\\', value).is_some();
    has_escapes.then(|| text(value).map(|text| text.into_owned().into_bytes())).flatten()
}

/// A JSON value as the policy takes it: a string is no number, and a number is nothing else.
fn raw<'a>(family: Family, value: &'a [u8], written: Option<&'a [u8]>) -> Raw<'a> {
    match value.first() {
        Some(b'"') => match written {
            Some(text) => Raw::Text(text),
            None if memchr::memchr(b'\\', value).is_some() => Raw::Fault(Reason::InvalidUtf8),
            None => Raw::Text(value.get(1..value.len().saturating_sub(1)).unwrap_or_default()),
        },
        Some(b't') => Raw::Bool(true),
        Some(b'f') => Raw::Bool(false),
        Some(b'n') | None => Raw::Null,
        Some(b'{') => Raw::Fault(Reason::NotAValue),
        // Where no number is declared, any number is as wrong as this one.
        Some(_) if !matches!(family, Family::Int | Family::Float | Family::Decimal) => Raw::Float(f64::INFINITY),
        Some(_) => Raw::Digits(value),
    }
}
