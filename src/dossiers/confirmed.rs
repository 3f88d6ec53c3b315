//! A dossier as a person confirmed it: what leaves for the portal, and what is printed.
//!
//! Pure words: it knows neither the page on which it was confirmed nor the way it leaves by.

use jiff::Timestamp;
use jiff::civil::Date;

use crate::personal::Personal;

/// A confirmed dossier, complete: every field that the form requires has a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confirmed {
    /// The dossier, 16 random bytes in lower-case hexadecimal; the idempotency key of its submission.
    pub dossier: String,
    /// The item whose form it is, such as `driving_licence`.
    pub item: String,
    /// The administrative procedure (*thủ tục hành chính*) in the national catalogue, such as `1.002809`.
    pub procedure: String,
    /// The title of the procedure, Vietnamese.
    pub procedure_title: String,
    /// The agency that prepared it, its unit code.
    pub agency: String,
    /// The person's identity number, of twelve digits.
    pub identity_number: Personal<String>,
    /// The person's name.
    pub name: Personal<String>,
    /// The obligation's day.
    pub due_on: Date,
    /// When the person confirmed.
    pub confirmed_at: Timestamp,
    /// SHA-256 of the version that was shown, lower-case hexadecimal.
    pub version: String,
    /// The fields in the form's order, those left empty by choice not among them.
    pub fields: Vec<Field>,
    /// What the person attached.
    pub attachments: Vec<Attachment>,
}

/// One confirmed value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// The form's word for it, such as `licence_number`.
    pub id: String,
    /// The national portal's word where it has one, such as `SoDienThoai`.
    pub portal: Option<String>,
    /// What it is called for people, Vietnamese.
    pub title_vi: String,
    /// The same in English.
    pub title_en: String,
    /// The value, written as the portal reads it: dates as `yyyy-mm-dd`, amounts as whole numbers.
    pub value: Personal<String>,
    /// Where it came from.
    pub origin: Origin,
}

/// Where a confirmed value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A register, and the person let it stand.
    Register {
        /// `source.table.column`.
        column: String,
        /// The day it was pulled.
        pulled_on: Date,
        /// The legal ground under which it was read.
        legal_ground: String,
    },
    /// The person wrote it, where no register knew it.
    Person,
    /// Registers disagreed, and the person chose what one of them says.
    Chosen {
        /// `source.table.column` that says so.
        column: String,
        /// The day it was pulled.
        pulled_on: Date,
        /// The legal ground under which it was read.
        legal_ground: String,
        /// The columns that said otherwise, `source.table.column`.
        instead_of: Vec<String>,
    },
    /// The person wrote it over what registers said.
    Corrected {
        /// The columns that said otherwise, `source.table.column`.
        instead_of: Vec<String>,
    },
}

/// A file that a person attached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// The field it answers.
    pub field: String,
    /// The name it was given, without a path.
    pub name: Personal<String>,
    /// Its kind by its first bytes, such as `application/pdf`.
    pub media_type: String,
    /// Its bytes.
    pub bytes: Personal<Vec<u8>>,
    /// SHA-256 of the bytes, lower-case hexadecimal.
    pub sha256: String,
}
