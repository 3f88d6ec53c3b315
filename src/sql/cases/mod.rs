//! Proves a model on a few rows: given tables, expected rows.
//!
//! A case is a TOML file in `tests/cases/<folder>/<model>/`: a sentence on top,
//! the day, the rows given (only the columns that matter: the others are empty,
//! and a truth value is false) and the rows expected (only the columns compared).
//! It needs no Rust toolchain, so that a case officer can write one.
//!
//! A [`Bench`] runs cases, a [`Difference`] says what came otherwise, and
//! [`mutants`] are laws changed by one number, of which a case should notice each.

mod bench;
mod difference;
mod given;
mod indices;
mod mutants;
mod rewrite;
mod slots;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use jiff::ToSpan;
use jiff::civil::Date;

use super::{Error, Library, Model};
use crate::calendar::{AsOf, Span};
use crate::pipeline::reader::{Document, Faults, Node};
use crate::pipeline::{Pipeline, SETTLE_DAYS};
use crate::tables::{Table, TableName};

pub use bench::Bench;
pub use difference::{Cell, Changed, Difference, Missing, Row, shown};
pub use mutants::{Mutant, mutants};

/// A case, as it was written.
#[derive(Debug, Clone)]
pub struct Case {
    /// Its file, relative to the installation folder.
    pub path: PathBuf,
    /// The model it proves, from its path.
    pub model: TableName,
    /// The sentence on top.
    pub about: String,
    /// The day.
    pub as_of: AsOf,
    /// How far ahead it looks.
    pub until: Date,
    /// How far back it looks.
    pub since: Date,
    /// What was decided after this date is not known: `known_on`, the day itself if left out.
    pub known_on: Date,
    /// What it shows that the cases of an obligation should show, as it says itself.
    pub covers: BTreeSet<Covers>,
    /// Whose score sheet it expects, where it proves an index and not a table.
    pub sheet: Option<SheetOf>,
    given: BTreeMap<TableName, Table>,
    expected: Vec<Row>,
}

impl Case {
    /// Everything that a case gives and expects, without its words: two that are alike in it prove one thing. It is no
    /// text for a person.
    pub fn proves(&self) -> String {
        let Case { model, as_of, until, since, known_on, sheet, given, expected, path: _, about: _, covers: _ } = self;
        format!("{model} {as_of} {until} {since} {known_on} {sheet:?} {given:?} {expected:?}")
    }
}

/// Whose score sheet a case expects. Its `since` and `until` are those of the period.
#[derive(Debug, Clone)]
pub struct SheetOf {
    /// The month, quarter or year.
    pub period: Span,
    /// The unit; none means all rows that are given.
    pub unit: Option<String>,
    /// The procedure; none means all.
    pub procedure: Option<String>,
}

/// What one of the cases of an obligation should show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Covers {
    /// Months of different length: the 31st, or the end of February.
    MonthEnd,
    /// 29 February.
    LeapDay,
    /// A day of rest, or that the due date does not move for one.
    Holiday,
    /// A rule that another one took the place of.
    Superseded,
    /// What is done already.
    Fulfilled,
}

impl Covers {
    /// All of them, by the word in a case.
    pub const ALL: [(&'static str, Covers); 5] = [
        ("month_end", Covers::MonthEnd),
        ("leap_day", Covers::LeapDay),
        ("holiday", Covers::Holiday),
        ("superseded", Covers::Superseded),
        ("fulfilled", Covers::Fulfilled),
    ];
}

/// Finds the case files under `tests/cases/`, in order of their paths.
pub fn find(root: &Path) -> Vec<PathBuf> {
    let mut found = BTreeSet::new();
    let mut waiting = vec![PathBuf::from("tests/cases")];
    while let Some(folder) = waiting.pop() {
        let Ok(listing) = std::fs::read_dir(root.join(&folder)) else { continue };
        for entry in listing.flatten() {
            let path = folder.join(entry.file_name());
            if entry.path().is_dir() {
                waiting.push(path);
            } else if path.extension().is_some_and(|extension| extension == "toml") {
                found.insert(path);
            }
        }
    }
    found.into_iter().collect()
}

/// The model that the case at this path proves: `tests/cases/<folder>/<model>/<case>.toml`.
pub fn model<'a>(library: &'a Library, path: &Path) -> Option<&'a Model> {
    library.model(&proved(path)?)
}

/// The table that the case at this path proves, whether anything makes it or not.
pub fn proved(path: &Path) -> Option<TableName> {
    let mut parents = path.iter().rev().skip(1).map(|part| part.to_string_lossy().into_owned());
    let (table, schema) = (parents.next()?, parents.next()?);
    Some(TableName::new(schema, table))
}

/// Whether the case at this path proves an index of service quality: `tests/cases/quality/<decision>/<case>.toml`.
pub fn is_of_an_index(path: &Path) -> bool {
    path.starts_with("tests/cases/quality")
}

/// Days that a case looks ahead where no item says how many.
const AHEAD_DAYS: u16 = 60;

/// Reads one case.
pub fn read(root: &Path, path: &Path, pipeline: &Pipeline, faults: &Faults) -> Option<Case> {
    let model = proved(path)?;
    let document = Document::open(root, path, faults)?;
    document.read(|node| {
        let about = node.text("about");
        let as_of = node.date("as_of");
        let known_on = node.date_or_none("known_on");
        let item = pipeline.item(&model.table);
        let ahead_days = item.and_then(|item| item.notice_days.first().copied()).unwrap_or(AHEAD_DAYS);
        let ahead_days = node.int_or("notice_days", i64::from(ahead_days));
        let settle_days = node.int_or("settle_days", item.map_or(SETTLE_DAYS, |item| item.settle_days).into());
        let covers = covers(node);
        let sheet = sheet_of(node);
        let given = given::read(node, pipeline);
        let expected = node.array("expected").iter().map(given::row).collect();
        let as_of = as_of?;
        let window = match &sheet {
            Some(sheet) => (sheet.period.first_day(), sheet.period.last_day().min(as_of)),
            None => (
                as_of.checked_sub(settle_days.clamp(0, 36_500).days()).ok()?,
                as_of.checked_add(ahead_days.clamp(0, 36_500).days()).ok()?,
            ),
        };
        Some(Case {
            path: path.to_path_buf(),
            model,
            about: about?,
            as_of: AsOf::new(as_of),
            until: window.1,
            since: window.0,
            known_on: known_on.unwrap_or(as_of),
            covers,
            sheet,
            given,
            expected,
        })
    })
}

/// The keys of a case of an index: `period`, `unit`, `procedure`.
fn sheet_of(node: &Node<'_>) -> Option<SheetOf> {
    let (text, unit, procedure) =
        (node.text_or_none("period")?, node.text_or_none("unit"), node.text_or_none("procedure"));
    match text.parse() {
        Ok(period) => Some(SheetOf { period, unit, procedure }),
        Err(why) => {
            let next = "write period = \"2026-10\", \"2026-Q4\" or \"2026\"";
            node.fault("period", "case.period", format!("the period cannot be read: {why}"), next);
            None
        }
    }
}

fn covers(node: &Node<'_>) -> BTreeSet<Covers> {
    let mut covers = BTreeSet::new();
    for word in node.texts_or_none("covers").unwrap_or_default() {
        match Covers::ALL.iter().find(|(known, _)| *known == word) {
            Some((_, found)) => drop(covers.insert(*found)),
            None => {
                let known: Vec<_> = Covers::ALL.iter().map(|(known, _)| format!("\"{known}\"")).collect();
                let what = format!("\"{word}\" is nothing that a case covers");
                node.fault("covers", "case.covers", what, format!("write some of {}", known.join(", ")));
            }
        }
    }
    covers
}
