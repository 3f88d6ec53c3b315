//! A condition over what a source keeps as moments, though a day or a civil time is declared.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::{Condition, Held, Literal};

impl Condition {
    /// The same rows, where the columns for which `is_moment` says yes are moments at the source: what they are
    /// compared with becomes the moment at which the day, or the civil time, is reached in Vietnam.
    pub fn of_moments(&self, is_moment: &dyn Fn(&str) -> bool) -> Condition {
        let each = |parts: &[Condition]| parts.iter().map(|part| part.of_moments(is_moment)).collect();
        match self {
            Condition::All(parts) => Condition::All(each(parts)),
            Condition::Any(parts) => Condition::Any(each(parts)),
            Condition::Not(inner) => Condition::Not(Box::new(inner.of_moments(is_moment))),
            Condition::NotTrue(inner) => Condition::NotTrue(Box::new(inner.of_moments(is_moment))),
            Condition::IsNull(column) => Condition::IsNull(column.clone()),
            Condition::Compare(column, comparison, literal) => {
                let literal = if is_moment(column) { moment(literal) } else { literal.clone() };
                Condition::Compare(column.clone(), *comparison, literal)
            }
        }
    }
}

fn moment(literal: &Literal) -> Literal {
    let found = match literal {
        Literal::Date(date) => Held::Instant.literal(*date).ok(),
        Literal::Timestamp(micros) => Timestamp::from_microsecond(*micros).ok().and_then(|civil| {
            let civil = civil.to_zoned(TimeZone::UTC).datetime();
            let zoned = civil.to_zoned(crate::calendar::vietnam()).ok()?;
            Some(Literal::Instant(zoned.timestamp().as_microsecond()))
        }),
        _ => None,
    };
    // What lies at the end of the calendar is beyond every value that may land.
    found.unwrap_or_else(|| literal.clone())
}
