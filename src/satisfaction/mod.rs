//! What a rating means: its table, its five levels, and when a person is satisfied.
//!
//! The rows of [`table`] are made by `sql/satisfaction/ratings.sql` and are
//! private: each names a person and an answer. They leave this program only as
//! counts that `disclosure` has protected. This module must not know how they
//! are protected or published.

use crate::language::Text;
use crate::tables::TableName;

/// The lowest and the highest level of a rating.
pub const LEVELS: std::ops::RangeInclusive<i64> = 1..=5;

/// From this level on, a person is satisfied: "satisfied" and "very satisfied".
pub const SATISFIED_FROM: i64 = 4;

/// The table of ratings, `satisfaction.ratings`: `record_id`, `subject_id`, `month` (of the rating, `2026-10`),
/// `commune_code`, `procedure_group`, `level`.
pub fn table() -> TableName {
    TableName::new("satisfaction", "ratings")
}

/// What a level is called on the form; none for a number that is not a level.
pub fn level_name(level: i64) -> Option<Text> {
    let (vi, en) = match level {
        1 => ("rất không hài lòng", "very dissatisfied"),
        2 => ("không hài lòng", "dissatisfied"),
        3 => ("bình thường", "neither satisfied nor dissatisfied"),
        4 => ("hài lòng", "satisfied"),
        5 => ("rất hài lòng", "very satisfied"),
        _ => return None,
    };
    Some(Text::new(vi, en))
}
