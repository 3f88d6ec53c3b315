//! The declared tables against what the source has, before a row is read.

use crate::fault::{Fault, Place};
use crate::pipeline::reader::distance;
use crate::pipeline::{Source, SourceTable};
use crate::sources::{self, Found, Snapshot};
use crate::tables::TableName;

/// How many names of a source a message lists.
const NAMES_MAX: usize = 12;

/// Every breach of a table's contract.
pub(super) fn check(
    source: &Source,
    table: &SourceTable,
    snapshot: &mut Snapshot,
) -> Result<Vec<Fault>, sources::Error> {
    let mut breaches = Vec::new();
    let names = match snapshot {
        Snapshot::Files(_) => Names::OfFiles,
        _ => Names::OfDatabase,
    };
    let place = Place::Table(TableName::new(&source.name, &table.name).to_string());
    match snapshot.describe(table)? {
        Some(found) if names == Names::OfFiles && !is_header(table, &found) => {
            let fields = if found.len() == 1 { "1 field".into() } else { format!("{} fields", found.len()) };
            let what = format!("the file has no header: its first line names no declared column ({fields})");
            let next = "ask the owner for a file with its header, or correct columns or delimiter in pipeline.toml";
            breaches.push(Fault::new("landing.no-header", place, what, next));
        }
        Some(found) => columns(table, &found, names, &place, &mut breaches),
        None => {
            let what = format!("the source has no table \"{}\"", table.from);
            let next = advice(&table.from, &snapshot.tables()?, names, "from");
            breaches.push(Fault::new("landing.missing-table", place, what, next));
        }
    }
    Ok(breaches)
}

/// Where the names come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Names {
    /// From a catalogue: somebody chose them as names.
    OfDatabase,
    /// From a first line or a folder: they may be a person's values, and are repeated only when they
    /// are a declared name with a slip of the pen.
    OfFiles,
}

/// Whether the first line of a file names at least one declared column. The one that does not is a
/// row of somebody, and none of it may be repeated.
fn is_header(table: &SourceTable, found: &[Found]) -> bool {
    table.columns.iter().any(|column| found.iter().any(|found| found.name == column.name))
}

/// Letters and `_`, and at most two digits: what a number, a date or an address is not.
fn is_word_like(name: &str) -> bool {
    let digits = name.chars().filter(char::is_ascii_digit).count();
    digits <= 2 && digits < name.chars().count() && name.chars().all(|c| c.is_alphanumeric() || "_-.".contains(c))
}

fn columns(table: &SourceTable, found: &[Found], names: Names, place: &Place, breaches: &mut Vec<Fault>) {
    for column in &table.columns {
        let mut named = found.iter().filter(|found| found.name == column.name);
        let breach = match (named.next(), named.next()) {
            (None, _) => {
                // A name that another column has already is not what this one was renamed to.
                let free = found.iter().map(|found| found.name.clone());
                let free: Vec<_> = free.filter(|name| table.columns.iter().all(|known| known.name != *name)).collect();
                let what = format!("the source has no column \"{}\"", column.name);
                ("landing.missing-column", what, advice(&column.name, &free, names, "columns"))
            }
            (Some(_), Some(_)) => {
                let what = format!("the source has the column \"{}\" more than once", column.name);
                let next = "ask the owner of the source for names that differ".to_owned();
                ("landing.twice", what, next)
            }
            (Some(one), None) if !one.granted => {
                let what = format!("our account may not read the column \"{}\"", column.name);
                let next = format!("ask the owner: grant select ({}) on {} to our account", column.name, table.from);
                ("landing.no-grant", what, next)
            }
            (Some(one), None) if !one.can_fill(column.kind) => {
                let (name, kind, declared) = (&column.name, &one.kind, column.kind.word());
                let what = format!("the column \"{name}\" is {kind} at the source, but declared as {declared}");
                let words: Vec<_> = one.fills.iter().map(|kind| kind.word()).collect();
                let next = match words.as_slice() {
                    [] => "this type is not read; ask the owner for a view that casts it".to_owned(),
                    words => format!("declare it as {}, or ask the owner for a view that casts it", words.join(" or ")),
                };
                ("landing.wrong-type", what, next)
            }
            (Some(_), None) => continue,
        };
        let (code, what, next) = breach;
        breaches.push(Fault::new(code, place.clone(), what, next));
    }
}

/// What was probably meant, or what there is.
fn advice(name: &str, known: &[String], names: Names, key: &str) -> String {
    let is_shown = |other: &&String| names == Names::OfDatabase || is_word_like(other);
    let near =
        known.iter().filter(is_shown).map(|other| (distance(&other.to_lowercase(), &name.to_lowercase()), other)).min();
    let correct = format!("correct {key} in pipeline.toml, or ask the owner of the source what has changed");
    match near {
        Some((steps, other)) if steps <= name.chars().count().div_ceil(3) => {
            format!("did you mean \"{other}\"? {correct}")
        }
        Some(_) if names == Names::OfDatabase => {
            let mut list: Vec<_> = known.iter().take(NAMES_MAX).map(|other| format!("\"{other}\"")).collect();
            if known.len() > NAMES_MAX {
                list.push("…".to_owned());
            }
            format!("the source has: {}; {correct}", list.join(", "))
        }
        _ => correct,
    }
}
