//! What all dossiers of one night and one form share. Nothing of a person is in it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Error;
use crate::language::Text;
use crate::personal::sha256;
use crate::pipeline::form::Form;

/// The form as it was shown, and where each column that fills it comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Basis {
    /// The unit code of the agency that prepared it.
    pub agency: String,
    /// What the person has to do.
    pub title: Text,
    /// The form.
    pub form: Form,
    /// By the name of the column of the select, `full_name__population`.
    pub origins: BTreeMap<String, ColumnOrigin>,
}

/// Where a column comes from, on what ground, and of which day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnOrigin {
    /// The columns of sources that reach it, `source.table.column`; several only where a standard table unites them.
    pub columns: Vec<String>,
    /// The name of the source for people.
    pub source: Text,
    /// Who keeps it.
    pub owner: Text,
    /// The articles on which it is read.
    pub legal_ground: Text,
    /// The last day of that permission, `yyyy-mm-dd`.
    pub authorised_to: String,
    /// The day on which it was pulled, `yyyy-mm-dd`.
    pub pulled_on: String,
}

impl Basis {
    /// The text that is kept: the same basis has the same text.
    ///
    /// # Errors
    ///
    /// Where it cannot be written, which no basis that was read is.
    pub fn text(&self) -> Result<String, Error> {
        serde_json::to_string(self).map_err(Error::Basis)
    }

    /// Reads what was kept.
    ///
    /// # Errors
    ///
    /// Where the text is not that of a basis.
    pub fn read(text: &str) -> Result<Self, Error> {
        serde_json::from_str(text).map_err(Error::Basis)
    }

    /// The name of a basis: SHA-256 of its text, the first 32 hexadecimal digits.
    pub fn name(text: &str) -> String {
        sha256(text.as_bytes()).chars().take(32).collect()
    }
}
