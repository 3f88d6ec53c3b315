//! One month, measured once or in two declared parts.
//!
//! A policy that declares two editions splits the budget of every measure: `first_percent` is spent when the month
//! closes, the rest when late records have come in. With `ρ = Δ²/(2σ²)` a share `s` of it buys noise of the variance
//! `σ²/s`. Inverse variances add up to `1/σ²` again, so that both together are as exact as one measurement with `σ`:
//! the weights of the two are their shares of the budget. There is no third part.
//!
//! What came late is in the second part alone, so that the final edition counts it with the second's share (70 % where
//! the first took 30 %). That is the price of using what was bought for the first edition.

use serde::{Deserialize, Serialize};

use super::{Error, Month, budget};
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
}

impl Part {
    /// The parts in which a policy measures every month, in their order.
    pub fn of(policy: &PrivacyPolicy) -> &'static [Part] {
        match policy.editions {
            None => &[Part::Whole],
            Some(_) => &[Part::First, Part::Second],
        }
    }

    /// Its word in the ledger, in stored draws and in accounts.
    pub fn word(self) -> &'static str {
        match self {
            Part::Whole => "whole",
            Part::First => "first",
            Part::Second => "second",
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

/// A month and which measurement of it; a month alone is measured whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    /// The month.
    pub month: Month,
    /// The part.
    pub part: Part,
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
