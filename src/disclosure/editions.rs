//! One month, measured once or in two declared parts; and its weeks, each by itself.
//!
//! A policy that declares two editions splits the budget of every measure: `first_percent` is spent when the month
//! closes, the rest when late records have come in. With `ρ = Δ²/(2σ²)` a share `s` of it buys noise of the variance
//! `σ²/s`. Inverse variances add up to `1/σ²` again, so that both together are as exact as one measurement with `σ`:
//! the weights of the two are their shares of the budget. There is no third part.
//!
//! What came late is in the second part alone, so that the final edition counts it with the second's share (70 % where
//! the first took 30 %). That is the price of using what was bought for the first edition.
//!
//! Where running figures are wanted, a policy declares **weekly increments**: each week of a month is measured once, of
//! its own records alone, and spends from the month's budget beside the month itself. Increments are disjoint, so that
//! whoever adds them up has one noise for each week and not one for each night. How many records of a person count is
//! bounded in each week: what a month's person may cost is the sum over all its weeks and the month.

use serde::{Deserialize, Serialize};

use super::{Error, Month, Period, Week, budget};
use crate::calendar::AsOf;
use crate::pipeline::{PrivacyPolicy, Rho};

/// Which measurement of a month it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// The only one.
    Whole,
    /// The first of two.
    First,
    /// The second of two: late records are in it.
    Second,
    /// The first week of the month, as an increment.
    Week1,
    /// The second week.
    Week2,
    /// The third week.
    Week3,
    /// The rest of the month.
    Week4,
}

impl Part {
    /// The parts in which a policy measures every month, in their order.
    pub fn of(policy: &PrivacyPolicy) -> &'static [Part] {
        match policy.editions {
            None => &[Part::Whole],
            Some(_) => &[Part::First, Part::Second],
        }
    }

    /// The part that is a week of the month.
    pub fn of_week(week: Week) -> Self {
        match week.place() {
            1 => Part::Week1,
            2 => Part::Week2,
            3 => Part::Week3,
            _ => Part::Week4,
        }
    }

    /// Which week of a month it is; none for a part of the whole month.
    pub fn week(self) -> Option<u8> {
        match self {
            Part::Week1 => Some(1),
            Part::Week2 => Some(2),
            Part::Week3 => Some(3),
            Part::Week4 => Some(4),
            Part::Whole | Part::First | Part::Second => None,
        }
    }

    /// Its word in the ledger, in stored draws and in accounts.
    pub fn word(self) -> &'static str {
        match self {
            Part::Whole => "whole",
            Part::First => "first",
            Part::Second => "second",
            Part::Week1 => "week1",
            Part::Week2 => "week2",
            Part::Week3 => "week3",
            Part::Week4 => "week4",
        }
    }

    /// Days that pass after the end of a month before this part of it is drawn.
    pub fn after_days(self, policy: &PrivacyPolicy) -> u16 {
        match (self, policy.editions) {
            (Part::Second, Some(editions)) => editions.second_after_days,
            _ => policy.close_after_days,
        }
    }

    /// Whether this part of a month may be drawn on a day.
    pub fn is_due(self, policy: &PrivacyPolicy, month: Month, as_of: AsOf) -> bool {
        super::closed_months(month, as_of, self.after_days(policy)).first() == Some(&month)
    }

    /// Its share of the budget, exact.
    ///
    /// # Errors
    ///
    /// The policy does not measure in such a part.
    pub fn share(self, policy: &PrivacyPolicy) -> Result<Rho, Error> {
        match (self, policy.editions) {
            (Part::Week1 | Part::Week2 | Part::Week3 | Part::Week4, None) => Ok(Rho::from_integer(1)),
            (Part::Whole, None) => Ok(Rho::from_integer(1)),
            (Part::First, Some(editions)) => Ok(Rho::new(i64::from(editions.first_percent), 100)),
            (Part::Second, Some(editions)) => Ok(Rho::new(100 - i64::from(editions.first_percent), 100)),
            _ => {
                Err(Error::Cost { what: format!("the policy does not measure a month in a part \"{}\"", self.word()) })
            }
        }
    }

    /// The variance of the noise of a measure with this `sigma` in this part, exact.
    pub fn sigma_squared(self, policy: &PrivacyPolicy, sigma: u32) -> Result<Rho, Error> {
        let share = self.share(policy)?;
        let square = i64::from(sigma).checked_mul(i64::from(sigma));
        let numerator = square.and_then(|square| square.checked_mul(*share.denom()));
        match numerator {
            Some(numerator) if *share.numer() > 0 => Ok(Rho::new(numerator, *share.numer())),
            _ => Err(budget::too_long()),
        }
    }
}

/// The policy by which weeks are measured: its weekly measures alone, each in one part.
///
/// None where it declares none.
pub fn weekly(policy: &PrivacyPolicy) -> Option<PrivacyPolicy> {
    let measures = policy.weekly.as_ref()?.measures.clone();
    Some(PrivacyPolicy { measures, editions: None, weekly: None, ..policy.clone() })
}

/// A month and which measurement of it; a month alone is measured whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    /// The month.
    pub month: Month,
    /// The part.
    pub part: Part,
}

impl Asked {
    /// What the measurement speaks of.
    pub(super) fn period(self) -> Period {
        let week = self.part.week().and_then(|place| Week::new(self.month, place));
        week.map_or(Period::Month(self.month), Period::Week)
    }
}

impl From<Week> for Asked {
    fn from(week: Week) -> Self {
        Asked { month: week.month(), part: Part::of_week(week) }
    }
}

impl From<Month> for Asked {
    fn from(month: Month) -> Self {
        Asked { month, part: Part::Whole }
    }
}

impl From<(Month, Part)> for Asked {
    fn from((month, part): (Month, Part)) -> Self {
        Asked { month, part }
    }
}
