//! Dossiers that are prepared for a person (level 2 of proactive services), and what the person makes of them.
//!
//! A decider: values with their origins come in, a dossier goes out. It must not know where it is kept, on which page it
//! is shown, or by which way it leaves.
//!
//! [`Sheet`] is a night's table of one form, column by column, and writes what is kept of each row; [`Prepared`] is one
//! dossier read back, with what every register said of each field; [`confirm`] makes a [`Confirmed`] of it and of the
//! person's answers. What all dossiers of a night share (the form as it was, where each column comes from, when it was
//! pulled) is the [`Basis`], kept once.

mod attach;
mod basis;
mod column;
pub mod confirmed;
mod decide;
mod error;
mod kept;
mod prepared;
mod read;
mod rows;
mod sheet;

pub use attach::{FILE_BYTES_MAX, FILES_BYTES_MAX, attachment, media_type};
pub use basis::{Basis, ColumnOrigin};
pub use column::FieldColumn;
pub use confirmed::{Attachment, Confirmed, Field, Origin};
pub use decide::{Answers, Decided, Discrepancy, FieldFault, Meta, confirm, discrepancies};
pub use error::Error;
pub use kept::{confirmed_text, read_confirmed};
pub use prepared::{Prepared, Said, Shown, Standing};
pub use read::{Reader, as_read};
pub use rows::wanted_rows;
pub use sheet::Sheet;
