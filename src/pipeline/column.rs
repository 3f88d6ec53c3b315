//! A column of a table, its type, and what happens to a value that is not of it.

use super::authorisation::{Class, Purpose};

/// A column of a landed or a standard table.
#[derive(Debug, Clone)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type.
    pub kind: Type,
    /// Whom it concerns.
    pub class: Class,
    /// What it may be used for, where that is less than its source is granted for.
    pub purposes: Option<Vec<Purpose>>,
    /// How text is read as a date, in `strftime` letters (`%d/%m/%Y`); none means ISO 8601.
    pub format: Option<String>,
    /// What happens to a row whose value is not of this type.
    pub on_fault: OnFault,
    /// Whether it holds the number by which a person is known: what erasing one person looks for.
    pub is_subject: bool,
    /// Whether it may be empty. Columns of sources may; key columns never.
    pub nullable: bool,
    /// What it means, where the file says so.
    pub meaning: Option<String>,
}

/// The types of columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// UTF-8, brought to NFC.
    Text,
    /// 64 bits with a sign.
    Int,
    /// Double precision, finite.
    Float,
    /// Yes or no.
    Bool,
    /// A civil date, year 1900 to 2200.
    Date,
    /// An exact number.
    Decimal {
        /// How many digits it has in all, 1 to 76.
        digits: u8,
        /// How many of them stand behind the point.
        scale: u8,
    },
    /// A civil date and time without a zone, in microseconds, year 1900 to 2200.
    Timestamp,
    /// A moment, in microseconds of UTC, year 1900 to 2200.
    Instant,
    /// A time of day, in microseconds.
    Time,
    /// Months, days and microseconds, each by itself.
    Interval,
    /// Bytes.
    Bytes,
    /// A list of values, of which any may be empty; of [`Family::Decimal`], exact numbers of any size as text.
    List(Family),
    /// A list of exact numbers, of which any may be empty.
    DecimalList {
        /// See [`Type::Decimal`].
        digits: u8,
        /// See [`Type::Decimal`].
        scale: u8,
    },
}

/// What types have in common, whatever their size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// See [`Type::Text`].
    Text,
    /// See [`Type::Int`].
    Int,
    /// See [`Type::Float`].
    Float,
    /// See [`Type::Bool`].
    Bool,
    /// See [`Type::Date`].
    Date,
    /// See [`Type::Decimal`].
    Decimal,
    /// See [`Type::Timestamp`].
    Timestamp,
    /// See [`Type::Instant`].
    Instant,
    /// See [`Type::Time`].
    Time,
    /// See [`Type::Interval`].
    Interval,
    /// See [`Type::Bytes`].
    Bytes,
}

impl Family {
    /// The words of the files.
    pub const WORDS: [(&'static str, Family); 11] = [
        ("text", Family::Text),
        ("int", Family::Int),
        ("float", Family::Float),
        ("bool", Family::Bool),
        ("date", Family::Date),
        ("decimal", Family::Decimal),
        ("timestamp", Family::Timestamp),
        ("instant", Family::Instant),
        ("time", Family::Time),
        ("interval", Family::Interval),
        ("bytes", Family::Bytes),
    ];

    /// The word of the files.
    pub fn word(self) -> &'static str {
        Self::WORDS.iter().find(|(_, family)| *family == self).map_or("?", |(word, _)| word)
    }

    /// The type of one value of a list.
    pub fn element(self) -> Type {
        match self {
            Family::Text | Family::Decimal => Type::Text,
            Family::Int => Type::Int,
            Family::Float => Type::Float,
            Family::Bool => Type::Bool,
            Family::Date => Type::Date,
            Family::Timestamp => Type::Timestamp,
            Family::Instant => Type::Instant,
            Family::Time => Type::Time,
            Family::Interval => Type::Interval,
            Family::Bytes => Type::Bytes,
        }
    }
}

impl Type {
    /// The type that a file names: `date`, `decimal(18,2)`, `text[]`, `decimal(18,2)[]`.
    pub fn parse(text: &str) -> Option<Type> {
        let family = |word: &str| Family::WORDS.iter().find(|(known, _)| *known == word).map(|(_, family)| *family);
        if let Some(word) = text.strip_suffix("[]") {
            // A list holds no list.
            return match Some(word).filter(|word| !word.ends_with("[]")).and_then(Type::parse)? {
                Type::Decimal { digits, scale } => Some(Type::DecimalList { digits, scale }),
                one => Some(Type::List(one.family())),
            };
        }
        if let Some(sizes) = text.strip_prefix("decimal(").and_then(|rest| rest.strip_suffix(')')) {
            let (digits, scale) = sizes.split_once(',')?;
            let (digits, scale) = (digits.trim().parse().ok()?, scale.trim().parse().ok()?);
            return (1..=76)
                .contains(&digits)
                .then_some(())
                .filter(|()| scale <= digits)
                .map(|()| Type::Decimal { digits, scale });
        }
        family(text).filter(|family| *family != Family::Decimal).map(Family::element)
    }

    /// The word of the files.
    pub fn word(self) -> String {
        match self {
            Type::Decimal { digits, scale } => format!("decimal({digits},{scale})"),
            Type::List(family) => format!("{}[]", family.word()),
            Type::DecimalList { digits, scale } => format!("decimal({digits},{scale})[]"),
            other => other.family().word().to_owned(),
        }
    }

    /// What it has in common with others; for a list, that of its values.
    pub fn family(self) -> Family {
        match self {
            Type::Text => Family::Text,
            Type::Int => Family::Int,
            Type::Float => Family::Float,
            Type::Bool => Family::Bool,
            Type::Date => Family::Date,
            Type::Decimal { .. } | Type::DecimalList { .. } => Family::Decimal,
            Type::Timestamp => Family::Timestamp,
            Type::Instant => Family::Instant,
            Type::Time => Family::Time,
            Type::Interval => Family::Interval,
            Type::Bytes => Family::Bytes,
            Type::List(family) => family,
        }
    }

    /// The Arrow type.
    pub fn arrow(self) -> arrow::datatypes::DataType {
        use arrow::datatypes::{DataType, Field, IntervalUnit, TimeUnit};
        let list = |one: Type| DataType::List(std::sync::Arc::new(Field::new_list_field(one.arrow(), true)));
        match self {
            Type::Text => DataType::Utf8,
            Type::Int => DataType::Int64,
            Type::Float => DataType::Float64,
            Type::Bool => DataType::Boolean,
            Type::Date => DataType::Date32,
            // A scale is at most the digits, and so at most 76.
            Type::Decimal { digits, scale } if digits <= 38 => DataType::Decimal128(digits, scale as i8),
            Type::Decimal { digits, scale } => DataType::Decimal256(digits, scale as i8),
            Type::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
            Type::Instant => DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into())),
            Type::Time => DataType::Time64(TimeUnit::Microsecond),
            Type::Interval => DataType::Interval(IntervalUnit::MonthDayNano),
            Type::Bytes => DataType::Binary,
            Type::List(family) => list(family.element()),
            Type::DecimalList { digits, scale } => list(Type::Decimal { digits, scale }),
        }
    }

    /// Whether each value is a list.
    pub fn is_list(self) -> bool {
        matches!(self, Type::List(_) | Type::DecimalList { .. })
    }
}

/// What happens to a row with a value that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFault {
    /// The pull of the table stops.
    Error,
    /// The row is set aside with its reason, and counted.
    Quarantine,
    /// The value becomes empty, and is counted.
    Null,
}
