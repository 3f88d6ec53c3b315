//! Finds and runs the files in `sql/`.
//!
//! Plain SQL that any client can run, without templates: the path of a file is
//! the name of its table, dependencies come from parsing, and the day of the run
//! is a bound value. [`library`] reads the files, [`engine`] is the one place in
//! which a DataFusion session is set up, [`functions`] holds the functions that
//! SQL lacks, [`cases`] proves a model on a few rows, [`lineage`] says which column
//! reaches which, `counting` counts a nation, [`steps`] lets a query tell how it came to a date, and date
//! arithmetic that is wrong in law is found before it runs. This chapter must not
//! know what a model is for.

pub mod ahead;
pub mod analyst;
pub mod cases;
mod counting;
pub mod engine;
mod error;
pub mod functions;
mod given;
mod horizon;
mod keys;
pub mod library;
pub mod lineage;
mod look_up;
mod misuse;
pub mod steps;
pub mod through;
mod written;

pub use engine::Engine;
pub use error::Error;
pub use library::{Library, Model};
pub use lineage::{Graph, Lineage};
pub use misuse::{Misuse, Units};
pub use written::{WrittenWord, written_words};
