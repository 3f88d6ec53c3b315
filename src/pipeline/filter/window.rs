//! A filter over several nights: the rows that any of them asks for.

use super::{Comparison, Condition, Dates, Filter, Given, bound};

impl Filter {
    /// A filter that lets through every row that this one lets through on any of the nights, and as few more as
    /// its form allows: each date that moves with the night stands at its earliest or at its latest.
    ///
    /// There is at least one night; the error says which rule has no value on one of them.
    pub fn over(&self, nights: &[Dates<'_>]) -> Result<Self, String> {
        Ok(Filter { text: self.text.clone(), condition: widen(&self.condition, nights, true)? })
    }
}

/// `grows` says that a row more is better than a row less: under a `not` it is the other way round.
fn widen(condition: &Condition<Given>, nights: &[Dates<'_>], grows: bool) -> Result<Condition<Given>, String> {
    let each =
        |parts: &[Condition<Given>]| parts.iter().map(|part| widen(part, nights, grows)).collect::<Result<_, _>>();
    Ok(match condition {
        Condition::All(parts) => Condition::All(each(parts)?),
        Condition::Any(parts) => Condition::Any(each(parts)?),
        Condition::Not(inner) => Condition::Not(Box::new(widen(inner, nights, !grows)?)),
        Condition::NotTrue(inner) => Condition::NotTrue(Box::new(widen(inner, nights, !grows)?)),
        Condition::Compare(column, comparison, Given::Night(night, steps, held)) => {
            let days: Result<Vec<_>, _> =
                nights.iter().map(|dates| bound(*night, steps, *dates, *comparison, grows)).collect();
            let days = days?;
            let (Some(first), Some(last)) = (days.iter().min(), days.iter().max()) else {
                return Ok(condition.clone());
            };
            let at = |comparison, day: &jiff::civil::Date| {
                held.literal(*day).map(|day| Condition::Compare(column.clone(), comparison, Given::Literal(day)))
            };
            match (comparison, grows) {
                (Comparison::Equal | Comparison::NotEqual, _) if first == last => at(*comparison, first)?,
                (Comparison::Less | Comparison::LessOrEqual, true)
                | (Comparison::Greater | Comparison::GreaterOrEqual, false) => at(*comparison, last)?,
                (Comparison::Less | Comparison::LessOrEqual, false)
                | (Comparison::Greater | Comparison::GreaterOrEqual, true) => at(*comparison, first)?,
                (Comparison::Equal, true) => {
                    Condition::All(vec![at(Comparison::GreaterOrEqual, first)?, at(Comparison::LessOrEqual, last)?])
                }
                // No day is all of them, and some night lets every day through.
                (Comparison::Equal, false) => Condition::Any(Vec::new()),
                (Comparison::NotEqual, true) => Condition::All(Vec::new()),
                (Comparison::NotEqual, false) => {
                    Condition::Any(vec![at(Comparison::Less, first)?, at(Comparison::Greater, last)?])
                }
            }
        }
        Condition::IsNull(_) | Condition::Compare(_, _, Given::Literal(_)) => condition.clone(),
    })
}
