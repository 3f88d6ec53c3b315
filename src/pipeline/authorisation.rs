//! On what ground a source is read: legal ground, purpose, owner, term, class.
//!
//! No source is read without one (Law 91/2025/QH15, Art. 19; Circular
//! 117/2026/TT-BCA, Art. 9: purpose, ground and the list of fields, never the
//! whole record).

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::calendar::AsOf;
use crate::language::Text;

/// Whom a column concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Says nothing about a person.
    Public,
    /// Personal data (*dữ liệu cá nhân cơ bản*).
    Personal,
    /// Sensitive personal data (*dữ liệu cá nhân nhạy cảm*; Decree 356/2025, Art. 4).
    Sensitive,
}

impl Class {
    /// The words of the files.
    pub const WORDS: [(&'static str, Class); 3] =
        [("public", Class::Public), ("personal", Class::Personal), ("sensitive", Class::Sensitive)];
}

/// What data may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// Obligations and reminders.
    Reminders,
    /// Satisfaction and service quality.
    ServiceQuality,
    /// Dossiers that are prepared for the person (Decree 224/2026, Art. 16, level 2).
    Dossiers,
}

impl Purpose {
    /// The words of the files.
    pub const WORDS: [(&'static str, Purpose); 3] = [
        ("reminders", Purpose::Reminders),
        ("service_quality", Purpose::ServiceQuality),
        ("dossiers", Purpose::Dossiers),
    ];

    /// The word of the files.
    pub fn word(self) -> &'static str {
        Self::WORDS.iter().find(|(_, purpose)| *purpose == self).map_or("?", |(word, _)| word)
    }
}

/// The permission to read a source.
#[derive(Debug, Clone)]
pub struct Authorisation {
    /// Who owns the source.
    pub owner: Text,
    /// The articles it rests on.
    pub legal_ground: Text,
    /// What the data may be used for.
    pub purposes: Vec<Purpose>,
    /// First day of its term.
    pub from: Date,
    /// Last day of its term.
    pub to: Date,
}

impl Authorisation {
    /// Whether it holds on that day; both ends are included.
    pub fn holds_on(&self, as_of: AsOf) -> bool {
        self.from <= as_of.date() && as_of.date() <= self.to
    }
}
