//! A released table as publication sees it: the one place that reads `disclosure`'s words.

use arrow::array::RecordBatch;
use arrow::datatypes::DataType;

use super::{Error, Period};
use crate::disclosure::{Account, ColumnSheet, Released};
use crate::language::Text;
use crate::pipeline::Counted;

/// A released table, its period read and its name proved to be a plain word.
pub(super) struct Sheet<'a> {
    /// Letters, digits and underscores: safe as a file name and in a link.
    pub(super) name: &'a str,
    /// Month or quarter.
    pub(super) period: Period,
    /// The rows: those released, and columns that follow from them.
    pub(super) table: RecordBatch,
    /// What each column means, in the order of the table.
    pub(super) columns: Vec<ColumnSheet>,
    /// How it was protected.
    pub(super) account: &'a Account,
}

impl<'a> Sheet<'a> {
    /// Reads a released table.
    pub(super) fn new(released: &'a Released) -> Result<Self, Error> {
        let name = released.name();
        let is_word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
        if name.is_empty() || name.len() > 120 || !name.bytes().all(is_word) {
            return Err(Error::Name { name: name.to_owned() });
        }
        let period = released.period().to_string();
        let period =
            Period::parse(&period).ok_or_else(|| Error::Period { table: name.to_owned(), period: period.clone() })?;
        let (table, account) = (released.table().clone(), released.account());
        Ok(Sheet { name, period, table, columns: released.columns(), account })
    }

    /// Whether the table has a column of this name.
    pub(super) fn has(&self, column: &str) -> bool {
        self.table.schema_ref().column_with_name(column).is_some()
    }

    /// The columns that name a row: the period and the dimensions.
    pub(super) fn keys(&self) -> Vec<&'static str> {
        ["period", "commune_code", "procedure_group"].into_iter().filter(|key| self.has(key)).collect()
    }

    /// The type of a column.
    pub(super) fn kind(&self, column: &str) -> DataType {
        let found = self.table.schema_ref().column_with_name(column);
        found.map_or(DataType::Utf8, |(_, field)| field.data_type().clone())
    }

    /// Whether a cell of a column may be blank.
    pub(super) fn is_nullable(&self, column: &str) -> bool {
        self.table.schema_ref().column_with_name(column).is_none_or(|(_, field)| field.is_nullable())
    }

    /// What the cells of the table are.
    pub(super) fn breakdown(&self) -> Breakdown {
        match (self.has("commune_code"), self.has("procedure_group")) {
            (false, false) => Breakdown::Unit,
            (true, false) => Breakdown::Commune,
            (false, true) => Breakdown::Group,
            (true, true) => Breakdown::CommuneAndGroup,
        }
    }

    /// "Mức độ hài lòng theo xã, phường"; "Satisfaction by commune".
    pub(super) fn title(&self) -> Text {
        let of = match self.account.of {
            Counted::Ratings => Text::new("Mức độ hài lòng", "Satisfaction"),
            Counted::Dossiers => Text::new("Chất lượng giải quyết hồ sơ", "Service quality"),
        };
        let by = self.breakdown().words();
        Text::new(format!("{} {}", of.vi, by.vi), format!("{} {}", of.en, by.en))
    }
}

/// Whether a column is a share in percent, or an end of its interval: it lies between 0 and 100.
///
/// A response rate is none: people may rate more often than dossiers were counted.
pub(super) fn is_share(column: &str) -> bool {
    let stem = column.strip_suffix("_low").or_else(|| column.strip_suffix("_high")).unwrap_or(column);
    stem.ends_with("_percent") && stem != super::derived::RESPONSE_RATE
}

/// The words that a column of words is made of; none for every other column.
///
/// A cell without a figure says which kind of nothing it is: counted elsewhere, withheld, or not known to anybody.
pub(super) fn words(column: &str) -> Option<&'static [&'static str]> {
    match column {
        "status" => Some(&["published", "rolled_up", "suppressed", "no_information"]),
        super::derived::RELIABILITY => Some(&super::derived::WORDS),
        _ => None,
    }
}

/// By what the rows of a table are broken down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Breakdown {
    /// Not at all: one row for the whole unit.
    Unit,
    Commune,
    Group,
    CommuneAndGroup,
}

impl Breakdown {
    fn words(self) -> Text {
        match self {
            Breakdown::Unit => Text::new("trên toàn địa bàn", "in the whole area"),
            Breakdown::Commune => Text::new("theo xã, phường", "by commune"),
            Breakdown::Group => Text::new("theo nhóm thủ tục", "by procedure group"),
            Breakdown::CommuneAndGroup => {
                Text::new("theo xã, phường và nhóm thủ tục", "by commune and procedure group")
            }
        }
    }
}
