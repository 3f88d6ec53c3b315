//! Why a value or a row could not be taken.

use std::fmt;

#[cfg(doc)]
use crate::sources::TEXT_BYTES_MAX;

/// Why a value or a row could not be taken. It never holds the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// A number or bytes where text is declared.
    NotText,
    /// The bytes are not UTF-8.
    InvalidUtf8,
    /// A text with an ASCII control character that is neither a tab nor part of a line end: NUL, escape, delete.
    ControlCharacter,
    /// Letters and accents apart, as macOS writes them, or otherwise not in NFC.
    NotNfc,
    /// The text is longer than [`TEXT_BYTES_MAX`].
    TooLong,
    /// Not a whole number.
    NotAWholeNumber,
    /// Not a number.
    NotANumber,
    /// Infinite, or "not a number".
    NotFinite,
    /// More digits than the declared type holds exactly.
    TooLarge,
    /// More decimals than the declared type has: it would have to be rounded.
    TooPrecise,
    /// A floating-point number that no exact number can be read from.
    Inexact,
    /// Not yes or no.
    NotYesOrNo,
    /// Not a date in the declared format.
    NotADate,
    /// The form of a date, but no such day (30/02).
    NoSuchDay,
    /// All zeros: MySQL's way of saying that there is no date.
    ZeroDate,
    /// All zeros from an ODBC driver: the source has no date there, or infinity, which the driver writes as zeros too.
    ZeroDateOrInfinity,
    /// A date outside the years 1900 to 2200: "no expiry" in disguise, or infinity.
    DateOutOfRange,
    /// A moment of the day where a date is declared.
    TimeOfDay,
    /// Not a date and time in the declared format.
    NotATimestamp,
    /// Not a moment in the declared format.
    NotAMoment,
    /// A date and time that says no zone, where a moment is declared.
    NoZone,
    /// A zone where a civil date and time is declared.
    UnexpectedZone,
    /// Not a time of day in the declared format.
    NotATime,
    /// The form of a time of day, but no clock shows it (24:00, 12:60).
    NoSuchTime,
    /// Not an interval in ISO 8601.
    NotAnInterval,
    /// Not bytes; in a file without types, not bytes in hexadecimal.
    NotBytes,
    /// More bytes than [`TEXT_BYTES_MAX`].
    TooManyBytes,
    /// One value where a list is declared, or a list where one value is.
    NotAList,
    /// A list of lists.
    SeveralDimensions,
    /// A list with more values than [`TEXT_BYTES_MAX`], or with more text.
    TooManyValues,
    /// The line is not one JSON object.
    NotAnObject,
    /// The object says a name twice, and nobody knows which value counts.
    NameTwice,
    /// An object where a value is declared.
    NotAValue,
    /// The cell of a workbook shows an error (#N/A).
    ErrorCell,
    /// The row has more or fewer fields than the header.
    RaggedRow,
    /// A key column is empty.
    EmptyKey,
    /// Another row has the same key.
    DuplicateKey,
}

impl Reason {
    /// The reason in words.
    pub fn words(self) -> &'static str {
        match self {
            Reason::NotText => "not a text",
            Reason::InvalidUtf8 => "invalid UTF-8",
            Reason::ControlCharacter => "control character in a text",
            Reason::NotNfc => "not in NFC",
            Reason::TooLong => "text too long",
            Reason::NotAWholeNumber => "not a whole number",
            Reason::NotANumber => "not a number",
            Reason::NotFinite => "not a finite number",
            Reason::TooLarge => "number too large",
            Reason::TooPrecise => "more decimals than declared",
            Reason::Inexact => "a floating-point number, not an exact one",
            Reason::NotYesOrNo => "not yes or no",
            Reason::NotADate => "not a date",
            Reason::NoSuchDay => "no such day",
            Reason::ZeroDate => "zero date",
            Reason::ZeroDateOrInfinity => "zero date or infinity",
            Reason::DateOutOfRange => "date outside 1900 to 2200",
            Reason::TimeOfDay => "time of day in a date",
            Reason::NotATimestamp => "not a date and time",
            Reason::NotAMoment => "not a moment",
            Reason::NoZone => "moment without a zone",
            Reason::UnexpectedZone => "zone in a civil time",
            Reason::NotATime => "not a time of day",
            Reason::NoSuchTime => "no such time of day",
            Reason::NotAnInterval => "not an interval",
            Reason::NotBytes => "not bytes",
            Reason::TooManyBytes => "too many bytes",
            Reason::NotAList => "not a list",
            Reason::SeveralDimensions => "a list of lists",
            Reason::TooManyValues => "list too long",
            Reason::NotAnObject => "not a JSON object",
            Reason::NameTwice => "a name twice in one object",
            Reason::NotAValue => "an object in place of a value",
            Reason::ErrorCell => "an error in the cell",
            Reason::RaggedRow => "wrong number of fields",
            Reason::EmptyKey => "empty key",
            Reason::DuplicateKey => "duplicate key",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words())
    }
}
