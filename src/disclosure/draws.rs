//! Noisy counts as they are stored and replayed.
//!
//! Draws are made once per month. Their bytes are what the ledger keeps; everything that is ever published of the
//! month is computed from them. They hold noisy counts and public facts, and no exact count.

use serde::{Deserialize, Serialize};

use super::bins::{Keys, counted_word, dimension_word, names};
use super::{Error, Month};
use crate::pipeline::Measure;

/// The version of the stored form.
const FORMAT: u32 = 1;

/// No noisy count is further from zero than this, so that sums over quarters and provinces stay within 64 bits.
const COUNT_MAX: i64 = 1_000_000_000_000;

/// The noisy counts of one month under one policy.
// The fields stand in alphabetical order, here and below, so that the JSON has sorted keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Draws {
    format: u32,
    pub(super) measures: Vec<Measured>,
    month: Month,
    policy: String,
    release_id: String,
}

/// The noisy counts of one measure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Measured {
    /// Names of the bins.
    pub bins: Vec<String>,
    /// Names of the dimensions.
    pub by: Vec<String>,
    /// One row per cell, one count per bin. Noise makes counts negative at times.
    pub counts: Vec<Vec<i64>>,
    /// One row per cell, one code per dimension.
    pub keys: Vec<Vec<String>>,
    /// `ratings` or `dossiers`.
    pub of: String,
    /// Records of a person that count in the month.
    pub per_person: u32,
    /// Parameter of the discrete Gaussian.
    pub sigma: u32,
    /// Name of the table.
    pub table: String,
}

impl Draws {
    pub(super) fn new(month: Month, policy: String, release_id: String, measures: Vec<Measured>) -> Self {
        Draws { format: FORMAT, measures, month, policy, release_id }
    }

    /// The month that was measured.
    pub fn month(&self) -> Month {
        self.month
    }

    /// The policy under which it was measured.
    pub fn policy(&self) -> &str {
        &self.policy
    }

    /// The identity of the release, as in [`super::Request::release_id`].
    pub fn release_id(&self) -> &str {
        &self.release_id
    }

    /// The canonical stored form: JSON with sorted keys and without spaces. The same draws always give the same bytes.
    pub fn to_bytes(&self) -> Result<Vec<u8>, Error> {
        serde_json::to_vec(self).map_err(|error| Error::Draws { what: error.to_string() })
    }

    /// Reads the stored form and checks its shape.
    ///
    /// Whether the bytes are those that were drawn is for the ledger to say, which keeps their hash.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let draws: Draws = serde_json::from_slice(bytes).map_err(|error| Error::Draws { what: error.to_string() })?;
        match draws.fault() {
            None => Ok(draws),
            Some(what) => Err(Error::Draws { what }),
        }
    }

    fn fault(&self) -> Option<String> {
        if self.format != FORMAT {
            return Some(format!("the form is {}, not {FORMAT}", self.format));
        }
        let is_hash = self.release_id.len() == 64
            && self.release_id.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        if !is_hash {
            return Some("the release id is not 64 hexadecimal digits".into());
        }
        let mut tables: Vec<&str> = self.measures.iter().map(|measured| measured.table.as_str()).collect();
        tables.sort_unstable();
        if tables.windows(2).any(|pair| matches!(pair, [one, other] if one == other)) {
            return Some("a table occurs twice".into());
        }
        self.measures.iter().find_map(Measured::fault)
    }
}

impl Measured {
    /// What was measured, with no count yet.
    pub fn empty(measure: &Measure, per_person: u32, keys: &Keys) -> Self {
        Measured {
            bins: names(measure.bins).iter().map(|bin| (*bin).to_owned()).collect(),
            by: measure.by.iter().map(|dimension| dimension_word(*dimension).to_owned()).collect(),
            counts: Vec::new(),
            keys: keys.cells(&measure.by),
            of: counted_word(measure.of).to_owned(),
            per_person,
            sigma: measure.sigma,
            table: measure.table.clone(),
        }
    }

    /// Whether both speak of the same cells, bins, bounds and noise, whatever the counts are.
    pub fn same_shape(&self, other: &Measured) -> bool {
        let shape = |measured: &Measured| (measured.per_person, measured.sigma);
        shape(self) == shape(other)
            && (&self.bins, &self.by, &self.keys) == (&other.bins, &other.by, &other.keys)
            && (&self.of, &self.table) == (&other.of, &other.table)
    }

    fn fault(&self) -> Option<String> {
        let table = &self.table;
        if self.sigma == 0 || self.per_person == 0 || self.bins.is_empty() {
            return Some(format!("the table {table} has no noise, no bound or no bins"));
        }
        if self.counts.len() != self.keys.len() {
            return Some(format!("the table {table} has {} cells and {} keys", self.counts.len(), self.keys.len()));
        }
        let is_wrong = |row: &Vec<i64>| {
            row.len() != self.bins.len() || row.iter().any(|count| !(-COUNT_MAX..=COUNT_MAX).contains(count))
        };
        if let Some(cell) = self.counts.iter().position(is_wrong) {
            return Some(format!("cell {} of the table {table} has counts missing or out of range", cell + 1));
        }
        None
    }
}
