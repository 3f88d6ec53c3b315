//! Noisy counts as they are stored and replayed.
//!
//! Draws are made once for each part of a month. Their bytes are what the ledger keeps; everything that is ever published
//! of the month is computed from them. They hold noisy counts and public facts, and no exact count.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::bins::{Keys, counted_word, dimension_word, names};
use super::columns::Wording;
use super::editions::Part;
use super::gate::Invariant;
use super::released::Provenance;
use super::{Error, Month};
use crate::pipeline::{Measure, Rho};

/// The version of the stored form.
const FORMAT: u32 = 3;

/// The form before it, without invariants. It is written as it was read, so that an old release keeps its bytes.
const WITHOUT_INVARIANTS: u32 = 2;

/// No noisy count is further from zero than this, so that sums over all cells of a table and three months stay within 64
/// bits. Nobody has so many records.
const COUNT_MAX: i64 = 10_000_000_000;

/// The noisy counts of one part of a month under one policy.
// The fields stand in alphabetical order, here and below, so that the JSON has sorted keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Draws {
    /// The code lists of the cells, in alphabetical order.
    pub(super) communes: Vec<String>,
    format: u32,
    pub(super) groups: Vec<String>,
    /// Totals of the same records that were published exactly beside the noise when it was drawn; the form 2 has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    invariants: Option<Vec<Invariant>>,
    pub(super) measures: Vec<Measured>,
    month: Month,
    part: Part,
    policy: String,
    /// Where the counts come from, by what is counted.
    pub(super) provenance: BTreeMap<String, Provenance>,
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
    /// Cell by cell, the last dimension changing fastest, and bin by bin. Noise makes counts negative at times.
    pub counts: Vec<i64>,
    /// `ratings` or `dossiers`.
    pub of: String,
    /// Records of a person that count in the month.
    pub per_person: u32,
    /// Parameter of the discrete Gaussian, squared: a fraction like `16` or `160/3`.
    #[serde(with = "fraction")]
    pub sigma_squared: Rho,
    /// Name of the table.
    pub table: String,
}

impl Draws {
    pub(super) fn new(
        (month, part): (Month, Part),
        policy: String,
        release_id: String,
        keys: Keys,
        measures: Vec<Measured>,
        (provenance, invariants): (BTreeMap<String, Provenance>, Vec<Invariant>),
    ) -> Self {
        let Keys { communes, groups } = keys;
        let invariants = Some(invariants);
        Draws { communes, format: FORMAT, groups, invariants, measures, month, part, policy, provenance, release_id }
    }

    /// The month that was measured.
    pub fn month(&self) -> Month {
        self.month
    }

    /// Which part of its budget this is.
    pub fn part(&self) -> Part {
        self.part
    }

    /// The exact totals that stood beside it by the policy of its day.
    pub fn invariants(&self) -> &[Invariant] {
        self.invariants.as_deref().unwrap_or_default()
    }

    /// How what is made of it explains itself: an edition keeps the words that it had.
    pub(super) fn wording(&self) -> Wording {
        if self.format == WITHOUT_INVARIANTS { Wording::Earlier } else { Wording::Chained }
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

    /// Reads the stored form and checks its shape; an earlier form is read as well.
    ///
    /// Whether the bytes are those that were drawn is for the ledger to say, which keeps their hash.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let read = serde_json::from_slice::<Draws>(bytes);
        let draws = read.or_else(|error| {
            // What cannot be read in the earlier form either is told as it fails in this one.
            let earlier = serde_json::from_slice::<earlier::Draws>(bytes).map_err(|_| error);
            earlier.map(earlier::Draws::into_draws)
        });
        let draws = draws.map_err(|error| Error::Draws { what: error.to_string() })?;
        match draws.fault() {
            None => Ok(draws),
            Some(what) => Err(Error::Draws { what }),
        }
    }

    /// The cells that were measured.
    pub(super) fn keys(&self) -> Keys {
        Keys { communes: self.communes.clone(), groups: self.groups.clone() }
    }

    /// What was measured of a table.
    pub(super) fn measured(&self, table: &str) -> Option<&Measured> {
        self.measures.iter().find(|measured| measured.table == table)
    }

    fn fault(&self) -> Option<String> {
        match (self.format, &self.invariants) {
            (FORMAT, Some(_)) | (WITHOUT_INVARIANTS, None) => {}
            _ => return Some(format!("the form is {}, not {FORMAT} as a whole", self.format)),
        }
        let is_hash = self.release_id.len() == 64
            && self.release_id.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        if !is_hash {
            return Some("the release id is not 64 hexadecimal digits".into());
        }
        let is_sorted = |codes: &[String]| codes.windows(2).all(|pair| matches!(pair, [one, other] if one < other));
        if !is_sorted(&self.communes) || !is_sorted(&self.groups) {
            return Some("a code list is not in order, or repeats a code".into());
        }
        let mut tables: Vec<&str> = self.measures.iter().map(|measured| measured.table.as_str()).collect();
        tables.sort_unstable();
        if tables.windows(2).any(|pair| matches!(pair, [one, other] if one == other)) {
            return Some("a table occurs twice".into());
        }
        self.measures.iter().find_map(|measured| measured.fault((self.communes.len(), self.groups.len())))
    }
}

impl Measured {
    /// What was measured, with no count yet.
    pub fn empty(measure: &Measure, per_person: u32, sigma_squared: Rho) -> Self {
        Measured {
            bins: names(measure.bins).iter().map(|bin| (*bin).to_owned()).collect(),
            by: measure.by.iter().map(|dimension| dimension_word(*dimension).to_owned()).collect(),
            counts: Vec::new(),
            of: counted_word(measure.of).to_owned(),
            per_person,
            sigma_squared,
            table: measure.table.clone(),
        }
    }

    /// Whether both speak of the same dimensions, bins, bounds and noise, whatever the counts are.
    pub fn same_shape(&self, other: &Measured) -> bool {
        (self.per_person, self.sigma_squared) == (other.per_person, other.sigma_squared)
            && (&self.bins, &self.by) == (&other.bins, &other.by)
            && (&self.of, &self.table) == (&other.of, &other.table)
    }

    fn fault(&self, (communes, groups): (usize, usize)) -> Option<String> {
        let table = &self.table;
        if *self.sigma_squared.numer() <= 0 || self.per_person == 0 || self.bins.is_empty() {
            return Some(format!("the table {table} has no noise, no bound or no bins"));
        }
        let mut cells = self.bins.len();
        for dimension in &self.by {
            let codes = match dimension.as_str() {
                "commune" => communes,
                "procedure_group" => groups,
                _ => return Some(format!("the table {table} has a dimension that is none")),
            };
            cells = cells.saturating_mul(codes);
        }
        if self.counts.len() != cells {
            return Some(format!("the table {table} has {} counts for {cells} places", self.counts.len()));
        }
        let is_wrong = |count: &i64| !(-COUNT_MAX..=COUNT_MAX).contains(count);
        self.counts.iter().position(is_wrong).map(|place| {
            format!("cell {} of the table {table} has a count out of range", place / self.bins.len().max(1) + 1)
        })
    }
}

/// A fraction as text, since JSON has none.
mod fraction {
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::pipeline::Rho;

    pub fn serialize<S: Serializer>(value: &Rho, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Rho, D::Error> {
        let text = String::deserialize(deserializer)?;
        // A sign would be nothing that we wrote, and a denominator below zero can overflow as it is reduced.
        let is_plain = text.len() <= 40 && text.bytes().all(|b| b.is_ascii_digit() || b == b'/');
        let value = if is_plain { text.parse::<Rho>().ok() } else { None };
        value.ok_or_else(|| serde::de::Error::custom("not a fraction"))
    }
}

/// The form of version 1: a row of counts for each cell, and its codes beside it.
mod earlier {
    use std::collections::{BTreeMap, BTreeSet};

    use serde::Deserialize;

    use crate::disclosure::{Month, Part};
    use crate::pipeline::Rho;

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    pub(super) struct Draws {
        format: u32,
        measures: Vec<Measured>,
        month: Month,
        policy: String,
        release_id: String,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Measured {
        bins: Vec<String>,
        by: Vec<String>,
        counts: Vec<Vec<i64>>,
        keys: Vec<Vec<String>>,
        of: String,
        per_person: u32,
        sigma: u32,
        table: String,
    }

    impl Draws {
        /// In the form of today. The code lists are those that occur; cells that do not fit them are found as missing.
        pub(super) fn into_draws(self) -> super::Draws {
            let codes = |dimension: &str| -> Vec<String> {
                let of_measure = |measured: &Measured| {
                    let place = measured.by.iter().position(|by| by == dimension);
                    measured.keys.iter().filter_map(|key| key.get(place?).cloned()).collect::<Vec<_>>()
                };
                self.measures.iter().flat_map(of_measure).collect::<BTreeSet<_>>().into_iter().collect()
            };
            super::Draws {
                communes: codes("commune"),
                // A number that this version does not know is told, and not taken for 1.
                format: if self.format == 1 { super::WITHOUT_INVARIANTS } else { u32::MAX },
                groups: codes("procedure_group"),
                invariants: None,
                month: self.month,
                part: Part::Whole,
                policy: self.policy,
                provenance: BTreeMap::new(),
                release_id: self.release_id,
                measures: self.measures.into_iter().map(Measured::into_measured).collect(),
            }
        }
    }

    impl Measured {
        fn into_measured(self) -> super::Measured {
            let width = self.bins.len();
            let is_whole = self.keys.len() == self.counts.len()
                && self.counts.iter().all(|row| row.len() == width)
                && self.keys.windows(2).all(|pair| matches!(pair, [one, other] if one < other));
            super::Measured {
                bins: self.bins,
                by: self.by,
                counts: if is_whole { self.counts.concat() } else { Vec::new() },
                of: self.of,
                per_person: self.per_person,
                sigma_squared: Rho::from_integer(i64::from(self.sigma).saturating_pow(2)),
                table: self.table,
            }
        }
    }
}
