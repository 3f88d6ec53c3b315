//! Lineage, told: to a person as text, to a program as OpenLineage.
//!
//! Which column reaches which is found in `sql`, what it may be used for is decided in
//! `check`; here both are put into words. Nothing of a row is in it: names of tables
//! and columns, classes, purposes, legal grounds. This module must not know how a
//! night is run.

mod openlineage;
mod text;

pub use openlineage::{Ending, Job, SCHEMA_URL, Told, event};
pub use text::text;

use crate::pipeline::authorisation::{Class, Purpose};

/// The word of the files for a class.
fn class_word(class: Class) -> &'static str {
    Class::WORDS.iter().find(|(_, known)| *known == class).map_or("?", |(word, _)| word)
}

/// Purposes, as the files write them; none is said too.
fn purpose_words(purposes: &[Purpose]) -> String {
    let words: Vec<&str> = purposes.iter().map(|purpose| purpose.word()).collect();
    if words.is_empty() { "no purpose".into() } else { words.join(", ") }
}
