//! Reads what the select of an outcome says of each person and way, into columns.
//!
//! It must not know whose obligation a row is about: whoever asks finds it by its key.

use std::collections::HashMap;
use std::num::NonZero;
use std::panic::resume_unwind;
use std::thread;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;

use super::decide::{Case, Cell};
use super::sheet::{Error, Sheet};
use crate::pipeline::options::{Criterion, Named};
use crate::tables::{self, Contract, Table};

const COLUMNS: [(&str, DataType, bool); 8] = [
    ("subject_id", DataType::Utf8, false),
    ("object_id", DataType::Utf8, true),
    ("period", DataType::Utf8, false),
    ("option_id", DataType::Utf8, false),
    ("is_eligible", DataType::Boolean, false),
    ("reason", DataType::Utf8, true),
    ("fee_status", DataType::Utf8, false),
    ("loses", DataType::Utf8, true),
];

/// What a select in `sql/options/` must give: one row for each obligation and option.
pub fn contract() -> Contract {
    Contract {
        columns: COLUMNS.iter().map(|(name, kind, nullable)| ((*name).to_owned(), kind.clone(), *nullable)).collect(),
        is_open: false,
    }
}

/// How the ways of a sheet stand to many people: a row of cells for each, and their due days and wishes.
#[derive(Debug, Clone, Default)]
pub struct Cases {
    ways: usize,
    cells: Vec<Cell>,
    due_on: Vec<i32>,
    wishes: Vec<Option<Criterion>>,
}

impl Cases {
    /// Nothing is known yet of these people: the day on which each obligation is due, and what counts first for each.
    pub fn new(sheet: &Sheet, due_on: Vec<i32>, wishes: Vec<Option<Criterion>>) -> Self {
        let ways = sheet.ways.len();
        let cells = vec![Cell::NOTHING; ways.saturating_mul(due_on.len())];
        Cases { ways, cells, due_on, wishes }
    }

    /// How many people there are.
    pub fn len(&self) -> usize {
        self.due_on.len()
    }

    /// Whether there is nobody.
    pub fn is_empty(&self) -> bool {
        self.due_on.is_empty()
    }

    /// One of them; none past the end.
    pub fn get(&self, at: usize) -> Option<Case<'_>> {
        let cells = self.cells.get(at.checked_mul(self.ways)?..)?.get(..self.ways)?;
        Some(Case { due_on: *self.due_on.get(at)?, cells, wish: self.wishes.get(at).copied().flatten() })
    }

    /// Whether a cell could be put: not where the select says two things of one way.
    fn put(&mut self, at: usize, way: usize, cell: Cell) -> bool {
        match self.cells.get_mut(at.saturating_mul(self.ways).saturating_add(way)) {
            Some(place) if *place != Cell::NOTHING && *place != cell => false,
            Some(place) => {
                *place = cell;
                true
            }
            None => true,
        }
    }
}

/// Rows that are read by one core at once: fewer are not worth a thread.
const PER_CORE_MIN: usize = 100_000;

/// Reads the table of a select into the cases, on all cores. `find` gives the place of a person by subject, object and
/// period; it is asked about once for each, and may take its time.
///
/// # Errors
///
/// Where a column is missing, where a way is closed without a reason, where two rows say two things of one way, and
/// where a word is not one of the sheet's. Rows of ways that are not in force tonight are passed over: the outcome
/// declares them.
pub fn read(
    sheet: &Sheet,
    declared: &[String],
    table: &Table,
    cases: &mut Cases,
    find: impl Fn([&str; 3]) -> Option<usize> + Sync,
) -> Result<(), Error> {
    let failed = |source| Error::Table { outcome: sheet.outcome.clone(), source: Box::new(source) };
    let batches: Vec<Vec<ArrayRef>> = table.batches.iter().map(columns).collect::<Result<_, _>>().map_err(failed)?;
    // Rows of an obligation lie in batches that are near each other.
    let cores = thread::available_parallelism().map_or(1, NonZero::get).min(table.rows().div_ceil(PER_CORE_MIN)).max(1);
    let (find, part) = (&find, batches.len().div_ceil(cores).max(1));
    let mut wrong = Wrong::default();
    thread::scope(|scope| {
        let read_part = |part| scope.spawn(move || Reading::of(sheet, declared, part, find));
        let working: Vec<_> = batches.chunks(part).map(read_part).collect();
        for part in working {
            let read = part.join().unwrap_or_else(|panic| resume_unwind(panic));
            wrong.take_in(read.wrong);
            for (at, way, cell) in read.cells {
                wrong.doubled += usize::from(!cases.put(at, way, cell));
            }
        }
    });
    wrong.settle(&sheet.outcome)
}

/// The columns of the contract, in its order and of its types.
fn columns(batch: &RecordBatch) -> Result<Vec<ArrayRef>, tables::Error> {
    let column = |(name, wanted, _): &(&str, DataType, bool)| {
        let missing = || tables::Error::Missing { column: (*name).to_owned() };
        let found = batch.column_by_name(name).ok_or_else(missing)?;
        let typed = |source| tables::Error::Type { column: (*name).to_owned(), wanted: wanted.clone(), source };
        cast(found, wanted).map_err(typed)
    };
    COLUMNS.iter().map(column).collect()
}

/// Rows of a select that nobody can go by.
#[derive(Default)]
struct Wrong {
    options: usize,
    reasons: usize,
    statuses: usize,
    rights: usize,
    unexplained: usize,
    doubled: usize,
}

impl Wrong {
    fn take_in(&mut self, other: Wrong) {
        self.options += other.options;
        self.reasons += other.reasons;
        self.statuses += other.statuses;
        self.rights += other.rights;
        self.unexplained += other.unexplained;
    }

    fn settle(self, outcome: &str) -> Result<(), Error> {
        let outcome = outcome.to_owned();
        let words = [
            ("option_id", self.options),
            ("reason", self.reasons),
            ("fee_status", self.statuses),
            ("loses", self.rights),
        ];
        match words.into_iter().find(|(_, rows)| *rows > 0) {
            Some((column, rows)) => Err(Error::UnknownWord { outcome, column, rows }),
            None if self.unexplained > 0 => Err(Error::NoReason { outcome, rows: self.unexplained }),
            None if self.doubled > 0 => Err(Error::Doubled { outcome, rows: self.doubled }),
            None => Ok(()),
        }
    }
}

/// What one core has read.
#[derive(Default)]
struct Reading {
    cells: Vec<(usize, usize, Cell)>,
    wrong: Wrong,
}

impl Reading {
    fn of(
        sheet: &Sheet,
        declared: &[String],
        batches: &[Vec<ArrayRef>],
        find: &(impl Fn([&str; 3]) -> Option<usize> + Sync),
    ) -> Self {
        let mut reading = Reading::default();
        let mut known: HashMap<Box<[u8]>, Option<usize>> = HashMap::new();
        for columns in batches {
            reading.batch(sheet, declared, columns, &mut known, find);
        }
        reading
    }

    fn batch(
        &mut self,
        sheet: &Sheet,
        declared: &[String],
        columns: &[ArrayRef],
        known: &mut HashMap<Box<[u8]>, Option<usize>>,
        find: &impl Fn([&str; 3]) -> Option<usize>,
    ) {
        let texts = |at: usize| columns.get(at).and_then(|column| column.as_string_opt::<i32>());
        let (Some(subjects), Some(objects), Some(periods)) = (texts(0), texts(1), texts(2)) else { return };
        let (Some(options), Some(reasons), Some(statuses), Some(rights)) = (texts(3), texts(5), texts(6), texts(7))
        else {
            return;
        };
        let Some(eligible) = columns.get(4).and_then(|column| column.as_boolean_opt()) else { return };
        self.cells.reserve(subjects.len());
        let mut joined = Vec::with_capacity(64);
        for row in 0..subjects.len() {
            let key = [text(subjects, row), text(objects, row), text(periods, row)];
            joined.clear();
            for part in key {
                joined.extend_from_slice(&part.len().to_be_bytes());
                joined.extend_from_slice(part.as_bytes());
            }
            let at = match known.get(joined.as_slice()) {
                Some(at) => *at,
                None => *known.entry(joined.as_slice().into()).or_insert_with(|| find(key)),
            };
            let Some(at) = at else { continue };
            let option = text(options, row);
            let Some(way) = sheet.ways.iter().position(|way| way.id == option) else {
                self.wrong.options += usize::from(!declared.iter().any(|known| known == option));
                continue;
            };
            let cell = self.cell(sheet, (yes(eligible, row), reasons), (statuses, rights), row);
            self.cells.push((at, way, cell));
        }
    }

    /// How a way stands to a person, with what is wrong about its words counted.
    fn cell(
        &mut self,
        sheet: &Sheet,
        (is_eligible, reasons): (bool, &StringArray),
        (statuses, rights): (&StringArray, &StringArray),
        row: usize,
    ) -> Cell {
        let status = place(&sheet.statuses, text(statuses, row));
        self.wrong.statuses += usize::from(status.is_none());
        let right = named(&sheet.rights, rights, row);
        self.wrong.rights += usize::from(right.is_none());
        let mut standing = 0;
        if !is_eligible {
            let reason = named(&sheet.reasons, reasons, row);
            self.wrong.reasons += usize::from(reason.is_none());
            self.wrong.unexplained += usize::from(reason == Some(0));
            standing = reason.unwrap_or(0);
        }
        let status = status.and_then(|status| u8::try_from(status).ok()).unwrap_or(0);
        Cell { standing, status, right: right.unwrap_or(0) }
    }
}

fn text(column: &StringArray, row: usize) -> &str {
    if column.is_null(row) { "" } else { column.value(row) }
}

fn yes(column: &BooleanArray, row: usize) -> bool {
    !column.is_null(row) && column.value(row)
}

fn place(words: &[Named], word: &str) -> Option<usize> {
    words.iter().position(|known| known.word == word)
}

/// 0 for a null, n for the word n − 1; none for a word that is not known.
fn named(words: &[Named], column: &StringArray, row: usize) -> Option<u8> {
    if column.is_null(row) {
        return Some(0);
    }
    u8::try_from(place(words, column.value(row))? + 1).ok().filter(|place| *place < Cell::ABSENT)
}

/// What was weighed for one person, as the ledger keeps it sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Weighed {
    due_on: i32,
    cells: Vec<Cell>,
    wish: Option<Criterion>,
}

impl Weighed {
    /// A case as text: the day, the wish, and three numbers for each way.
    pub fn text(case: &Case<'_>) -> String {
        use std::fmt::Write;
        let mut text = String::with_capacity(16 + 8 * case.cells.len());
        // Writing into a text does not fail.
        let _ = write!(text, "1 {} {}", case.due_on, case.wish.map_or("-", Criterion::word));
        for cell in case.cells {
            let _ = write!(text, " {}.{}.{}", cell.standing, cell.status, cell.right);
        }
        text
    }

    /// Reads what [`Weighed::text`] wrote; none where it is no such text.
    pub fn read(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        // The version of this form.
        if words.next() != Some("1") {
            return None;
        }
        let due_on = words.next()?.parse().ok()?;
        let wish = match words.next()? {
            "-" => None,
            word => Some(Criterion::WORDS.iter().find(|(known, _)| *known == word)?.1),
        };
        let cell = |word: &str| {
            let mut numbers = word.split('.').map(|number| number.parse::<u8>().ok());
            let cell = Cell { standing: numbers.next()??, status: numbers.next()??, right: numbers.next()?? };
            numbers.next().is_none().then_some(cell)
        };
        let cells: Option<Vec<Cell>> = words.map(cell).collect();
        Some(Weighed { due_on, cells: cells?, wish })
    }

    /// The case again.
    pub fn case(&self) -> Case<'_> {
        Case { due_on: self.due_on, cells: &self.cells, wish: self.wish }
    }
}
