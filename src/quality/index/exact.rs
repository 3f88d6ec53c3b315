//! Exact numbers: fractions of whole numbers, rounded once and only to be shown or added.

use std::fmt;

use num_rational::Ratio;
use serde::{Serialize, Serializer};

/// An exact quotient.
pub(super) type Exact = Ratio<i128>;

/// A decimal number: so many units of the last decimal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Decimal {
    units: i128,
    decimals: u8,
}

impl Decimal {
    /// A quotient, rounded half away from zero: 0.125 to two decimals is 0.13, and -0.125 is -0.13.
    ///
    /// None when it does not fit into 128 bits, which no count of dossiers reaches.
    pub(super) fn round(value: Exact, decimals: u8) -> Option<Self> {
        let scaled = value.numer().checked_mul(10_i128.checked_pow(decimals.into())?)?;
        let (units, rest) = (scaled.checked_div(*value.denom())?, scaled.checked_rem(*value.denom())?);
        let is_up = rest.checked_abs()?.checked_mul(2)? >= *value.denom();
        let units = if is_up { units.checked_add(scaled.signum())? } else { units };
        Some(Decimal { units, decimals })
    }

    /// A whole number.
    pub(super) fn whole(value: i64, decimals: u8) -> Option<Self> {
        Self::round(Exact::from_integer(value.into()), decimals)
    }

    /// The sum of numbers with as many decimals; 0 of none.
    pub(super) fn sum(all: impl Iterator<Item = Decimal>, decimals: u8) -> Option<Self> {
        let units = all.map(|one| one.units).try_fold(0_i128, i128::checked_add)?;
        Some(Decimal { units, decimals })
    }

    /// Whether it is this whole number or more.
    pub(super) fn reaches(self, least: i64) -> bool {
        Self::whole(least, self.decimals).is_some_and(|least| self.units >= least.units)
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let base = 10_u128.checked_pow(self.decimals.into()).unwrap_or(1);
        let units = self.units.unsigned_abs();
        let sign = if self.units < 0 { "-" } else { "" };
        write!(f, "{sign}{}", units / base)?;
        match self.decimals {
            0 => Ok(()),
            decimals => write!(f, ".{:0width$}", units % base, width = usize::from(decimals)),
        }
    }
}

impl Serialize for Decimal {
    /// As text, so that no reader makes a binary fraction of it.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
