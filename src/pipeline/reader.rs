//! Reads a TOML file as a person wrote it: every fault at once, each with its line.
//!
//! `serde` stops at the first fault and forgets lines; a clerk who edits these
//! files wants all of them. A [`Node`] is one table of the file. Asking it for a
//! key marks the key as known; [`Node::done`] reports those nobody asked for.
//! This module must not know what the keys mean.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ops::Range;
use std::path::{Path, PathBuf};

use jiff::civil::Date;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::fault::{Fault, Place, with_article};
use crate::language::Text;

/// The faults found so far, shared by all nodes of a check.
#[derive(Debug, Default)]
pub struct Faults(RefCell<Vec<Fault>>);

impl Faults {
    /// Adds one.
    pub fn push(&self, fault: Fault) {
        self.0.borrow_mut().push(fault);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.borrow().len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All of them, in the order of their places.
    pub fn into_vec(self) -> Vec<Fault> {
        let mut faults = self.0.into_inner();
        faults.sort_by(|a, b| (&a.place, a.code, &a.what).cmp(&(&b.place, b.code, &b.what)));
        faults.dedup();
        faults
    }
}

/// Reads a file as UTF-8 text; a missing or unreadable file is a fault.
pub fn read_text(root: &Path, path: &Path, faults: &Faults) -> Option<String> {
    match std::fs::read(root.join(path)) {
        Ok(bytes) => match String::from_utf8(bytes) {
            Ok(text) => Some(text),
            Err(error) => {
                let start = error.utf8_error().valid_up_to();
                let line = 1 + error.as_bytes().iter().take(start).filter(|&&b| b == b'\n').count();
                faults.push(Fault::new(
                    "file.not-utf8",
                    Place::line(path, line),
                    "the file is not UTF-8 text",
                    "save the file as UTF-8",
                ));
                None
            }
        },
        Err(error) => {
            faults.push(Fault::new(
                "file.unreadable",
                Place::file(path),
                format!("the file cannot be read: {error}"),
                "create the file, or correct its path or its permissions",
            ));
            None
        }
    }
}

/// A TOML file: its path and its text.
#[derive(Debug)]
pub struct Document<'f> {
    path: PathBuf,
    text: String,
    faults: &'f Faults,
}

impl<'f> Document<'f> {
    /// Reads `root/path`; faults name `path`.
    pub fn open(root: &Path, path: &Path, faults: &'f Faults) -> Option<Self> {
        let text = read_text(root, path, faults)?;
        Some(Document { path: path.to_path_buf(), text, faults })
    }

    /// A document from text that is already there.
    pub fn from_text(path: &Path, text: String, faults: &'f Faults) -> Self {
        Document { path: path.to_path_buf(), text, faults }
    }

    /// Parses the text and hands the root table to `read`. Syntax faults are
    /// reported; what could be understood is still read, so that its faults are seen too.
    pub fn read<T>(&self, read: impl FnOnce(&Node<'_>) -> T) -> T {
        let (table, errors) = DeTable::parse_recoverable(&self.text);
        for error in errors {
            let place = match error.span() {
                Some(span) => self.place(&span),
                None => Place::file(&self.path),
            };
            self.faults.push(Fault::new(
                "toml.syntax",
                place,
                format!("this is not TOML: {}", error.message()),
                "correct the line; every value has the form key = value, text stands in double quotes",
            ));
        }
        let span = table.span();
        let node = Node { doc: self, name: String::new(), table: table.get_ref(), span, seen: RefCell::default() };
        let value = read(&node);
        node.done();
        value
    }

    fn place(&self, span: &Range<usize>) -> Place {
        let line = 1 + self.text.bytes().take(span.start).filter(|&b| b == b'\n').count();
        Place::line(&self.path, line)
    }
}

/// One table of a TOML file.
#[derive(Debug)]
pub struct Node<'d> {
    doc: &'d Document<'d>,
    name: String,
    table: &'d DeTable<'d>,
    span: Range<usize>,
    seen: RefCell<BTreeSet<String>>,
}

impl<'d> Node<'d> {
    /// The file and line where this table begins.
    pub fn place(&self) -> Place {
        self.doc.place(&self.span)
    }

    /// The place of one of its keys; of the table itself when the key is not there.
    pub fn place_of(&self, key: &str) -> Place {
        match self.table.iter().find(|(name, _)| name.get_ref() == key) {
            Some((name, _)) => self.doc.place(&name.span()),
            None => self.place(),
        }
    }

    /// Reports a fault at one of its keys.
    pub fn fault(&self, key: &str, code: &'static str, what: impl Into<String>, next: impl Into<String>) {
        self.doc.faults.push(Fault::new(code, self.place_of(key), what, next));
    }

    /// Whether the key is there. It counts as known from now on.
    pub fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// Its keys, in alphabetical order.
    pub fn keys(&self) -> Vec<String> {
        self.table.keys().map(|key| key.get_ref().to_string()).collect()
    }

    fn get(&self, key: &str) -> Option<&'d Spanned<DeValue<'d>>> {
        self.seen.borrow_mut().insert(key.to_owned());
        self.table.iter().find(|(name, _)| name.get_ref() == key).map(|(_, value)| value)
    }

    fn path_of(&self, key: &str) -> String {
        if self.name.is_empty() { key.to_owned() } else { format!("{}.{key}", self.name) }
    }

    fn missing(&self, key: &str, form: &str) {
        let path = self.path_of(key);
        self.fault(key, "toml.missing-key", format!("{path} is missing"), format!("add {key} = {form}"));
    }

    fn mistyped(&self, key: &str, value: &DeValue<'_>, form: &str) {
        let path = self.path_of(key);
        let found = with_article(value.type_str());
        self.fault(key, "toml.wrong-type", format!("{path} is {found}"), format!("write it as {key} = {form}"));
    }

    fn optional<T>(&self, key: &str, form: &str, take: impl FnOnce(&'d DeValue<'d>) -> Option<T>) -> Option<T> {
        let value = self.get(key)?.get_ref();
        let taken = take(value);
        if taken.is_none() {
            self.mistyped(key, value, form);
        }
        taken
    }

    fn required<T>(&self, key: &str, form: &str, take: impl FnOnce(&'d DeValue<'d>) -> Option<T>) -> Option<T> {
        if !self.has(key) {
            self.missing(key, form);
            return None;
        }
        self.optional(key, form, take)
    }

    /// A text that must be there and must not be empty.
    pub fn text(&self, key: &str) -> Option<String> {
        let text = self.required(key, "\"...\"", |v| v.as_str().map(str::to_owned))?;
        if text.trim().is_empty() {
            self.fault(key, "toml.empty", format!("{} is empty", self.path_of(key)), "fill it in");
            return None;
        }
        Some(text)
    }

    /// A text that may be left out.
    pub fn text_or_none(&self, key: &str) -> Option<String> {
        self.optional(key, "\"...\"", |v| v.as_str().map(str::to_owned))
    }

    /// One word of a closed list, turned into its value.
    pub fn word<T: Copy>(&self, key: &str, words: &[(&str, T)]) -> Option<T> {
        let text = self.text(key)?;
        self.one_of(key, &text, words)
    }

    /// Like [`Node::word`], with a value for when the key is left out.
    pub fn word_or<T: Copy>(&self, key: &str, words: &[(&str, T)], otherwise: T) -> T {
        match self.text_or_none(key) {
            Some(text) => self.one_of(key, &text, words).unwrap_or(otherwise),
            None => otherwise,
        }
    }

    /// The value of a word that was read; a fault where it is none of them.
    pub fn one_of<T: Copy>(&self, key: &str, text: &str, words: &[(&str, T)]) -> Option<T> {
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        if found.is_none() {
            let list: Vec<_> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
            self.fault(
                key,
                "toml.unknown-word",
                format!("{} = \"{text}\" is not known", self.path_of(key)),
                format!("write one of {}", list.join(", ")),
            );
        }
        found
    }

    /// A whole number that must be there.
    pub fn int(&self, key: &str) -> Option<i64> {
        self.required(key, "a whole number", as_int)
    }

    /// A whole number that may be left out.
    pub fn int_or(&self, key: &str, otherwise: i64) -> i64 {
        self.optional(key, "a whole number", as_int).unwrap_or(otherwise)
    }

    /// Yes or no, with a value for when it is left out.
    pub fn bool_or(&self, key: &str, otherwise: bool) -> bool {
        self.optional(key, "true or false", DeValue::as_bool).unwrap_or(otherwise)
    }

    /// A civil date that must be there.
    pub fn date(&self, key: &str) -> Option<Date> {
        self.required(key, "2026-07-01", as_date)
    }

    /// A civil date that may be left out.
    pub fn date_or_none(&self, key: &str) -> Option<Date> {
        self.optional(key, "2026-07-01", as_date)
    }

    /// A text in both languages, `{ vi = "...", en = "..." }`.
    pub fn both(&self, key: &str) -> Option<Text> {
        let node = self.table(key)?;
        let (vi, en) = (node.text("vi"), node.text("en"));
        node.done();
        Some(Text { vi: vi?, en: en? })
    }

    /// A list of texts that must be there, and may be empty.
    pub fn texts_or_empty(&self, key: &str) -> Option<Vec<String>> {
        self.required(key, "[\"...\"]", |v| {
            v.as_array()?.iter().map(|item| item.get_ref().as_str().map(str::to_owned)).collect::<Option<Vec<_>>>()
        })
    }

    /// A list of texts that must be there and must not be empty.
    pub fn texts(&self, key: &str) -> Option<Vec<String>> {
        let list = self.texts_or_empty(key)?;
        if list.is_empty() {
            self.fault(key, "toml.empty", format!("{} is empty", self.path_of(key)), "name at least one");
            return None;
        }
        Some(list)
    }

    /// A list of texts, where there is one.
    pub fn texts_or_none(&self, key: &str) -> Option<Vec<String>> {
        if self.has(key) { self.texts(key) } else { None }
    }

    /// A list of whole numbers that must be there.
    pub fn ints(&self, key: &str) -> Option<Vec<i64>> {
        self.required(key, "[1, 2]", |v| v.as_array()?.iter().map(|item| as_int(item.get_ref())).collect())
    }

    /// A text, number, date or truth value as it would be written in a table of text.
    pub fn scalar(&self, key: &str) -> Option<String> {
        self.optional(key, "a text, a number, a date, true or false", |value| match value {
            DeValue::String(text) => Some(text.to_string()),
            DeValue::Integer(_) => as_int(value).map(|int| int.to_string()),
            DeValue::Float(float) => Some(float.as_str().to_owned()),
            DeValue::Boolean(is) => Some(is.to_string()),
            DeValue::Datetime(_) => as_date(value).map(|date| date.to_string()),
            DeValue::Array(_) | DeValue::Table(_) => None,
        })
    }

    /// Whether the key holds a text.
    pub fn is_text(&self, key: &str) -> bool {
        self.get(key).is_some_and(|value| value.get_ref().is_str())
    }

    /// Whether the key holds a list.
    pub fn is_list(&self, key: &str) -> bool {
        self.get(key).is_some_and(|value| value.get_ref().is_array())
    }

    /// A table that must be there.
    pub fn table(&self, key: &str) -> Option<Node<'d>> {
        if !self.has(key) {
            self.missing(key, "{ ... }");
            return None;
        }
        self.table_or_none(key)
    }

    /// A table that may be left out.
    pub fn table_or_none(&self, key: &str) -> Option<Node<'d>> {
        let span = self.place_span(key)?;
        let table = self.optional(key, "{ ... }", |value| value.as_table())?;
        Some(Node { doc: self.doc, name: self.path_of(key), table, span, seen: RefCell::default() })
    }

    /// The tables inside a table, by name: `[sources.a]`, `[sources.b]`.
    pub fn named(&self, key: &str) -> Vec<(String, Node<'d>)> {
        match self.table_or_none(key) {
            Some(node) => node.children(),
            None => Vec::new(),
        }
    }

    /// All entries of this table as tables, by name.
    pub fn children(&self) -> Vec<(String, Node<'d>)> {
        self.keys()
            .into_iter()
            .filter_map(|name| {
                let node = self.table_or_none(&name)?;
                Some((name, node))
            })
            .collect()
    }

    /// The tables of an array of tables: `[[version]]`, or `[{ ... }, { ... }]`.
    pub fn array(&self, key: &str) -> Vec<Node<'d>> {
        let path = self.path_of(key);
        let Some(list) = self.optional(key, "an array of tables", |value| value.as_array()) else {
            return Vec::new();
        };
        let mut nodes = Vec::new();
        for (index, item) in list.iter().enumerate() {
            match item.get_ref().as_table() {
                Some(table) => nodes.push(Node {
                    doc: self.doc,
                    name: format!("{path}[{index}]"),
                    table,
                    span: item.span(),
                    seen: RefCell::default(),
                }),
                None => self.mistyped(key, item.get_ref(), "an array of tables"),
            }
        }
        nodes
    }

    /// Reports every key that was not asked for, with the nearest known one.
    pub fn done(&self) {
        let seen = self.seen.borrow();
        for key in self.table.keys() {
            let name = key.get_ref().as_ref();
            if seen.contains(name) {
                continue;
            }
            let near = seen.iter().map(|known| (distance(known, name), known)).min();
            let next = match near {
                Some((steps, known)) if steps <= 2 => format!("did you mean {known}? otherwise remove it"),
                _ => format!("remove it; known here: {}", seen.iter().cloned().collect::<Vec<_>>().join(", ")),
            };
            self.doc.faults.push(Fault::new(
                "toml.unknown-key",
                self.doc.place(&key.span()),
                format!("{} is not a known key", self.path_of(name)),
                next,
            ));
        }
    }

    fn place_span(&self, key: &str) -> Option<Range<usize>> {
        self.table.iter().find(|(name, _)| name.get_ref() == key).map(|(name, _)| name.span())
    }
}

fn as_int(value: &DeValue<'_>) -> Option<i64> {
    let int = value.as_integer()?;
    i64::from_str_radix(int.as_str(), int.radix()).ok()
}

fn as_date(value: &DeValue<'_>) -> Option<Date> {
    let datetime = value.as_datetime()?;
    if datetime.time.is_some() {
        return None;
    }
    let date = datetime.date?;
    Date::new(i16::try_from(date.year).ok()?, i8::try_from(date.month).ok()?, i8::try_from(date.day).ok()?).ok()
}

/// Levenshtein distance in characters: how many keys were mistyped.
pub(crate) fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (cell, y) in row.iter_mut().skip(1).zip(&b) {
            let change = diagonal + usize::from(x != *y);
            diagonal = *cell;
            left = change.min(*cell + 1).min(left + 1);
            *cell = left;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}
