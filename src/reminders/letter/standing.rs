//! How the day of a letter stands: that it is another than was told, or that it may still move.

use minijinja::value::Value;

use super::Occasion;
use crate::language::{self, Language};

/// The day that an earlier message told, as templates see it; nothing where none told another.
pub(super) fn told_before(occasion: &Occasion<'_>) -> Value {
    occasion.told_before.map_or(Value::from(()), |day| Value::from(day.to_string()))
}

/// The year that waits for its decree, as templates see it; nothing where the day stands.
pub(super) fn assumed_year(occasion: &Occasion<'_>) -> Value {
    occasion.assumed_year.map_or(Value::from(()), Value::from)
}

/// A message whose subject says first of all that the day is another than the one that was told: it stands in the list
/// of letters beside the earlier one, and is all that a short message says.
pub(super) fn with_change(message: String, occasion: &Occasion<'_>) -> String {
    let Some(told) = occasion.told_before.map(language::date) else { return message };
    let Some(subject) = message.strip_prefix("# ") else { return message };
    match occasion.language {
        Language::Vi => format!("# Hạn đã đổi (trước báo {}): {subject}", told.vi),
        Language::En => format!("# Date changed (was {}): {subject}", told.en),
    }
}
