//! Engine K: counts for authorised analysts, each changed by noise that depends on exactly which records it counts.
//!
//! Every record has a **record key**: 32 bits of a keyed hash of its id. The **cell key** of a count is the sum of its
//! records' keys modulo 2³². The noise is looked up by the count and the cell key in a table ([`NoiseTable`]), so that
//! the same records always give the same answer, however they were asked for, and other records an independent one
//! (Thompson, Broadfoot and Elazar 2013). Counts under [`PUBLISHED_MIN`] after the noise are not given.
//!
//! This is **not** differential privacy, and never public: it is for analysts who have signed for it, whose every
//! question is logged. Sticky noise is broken by who may ask the same question in many ways (Asghar and Kaafar 2020;
//! Gadotti et al. 2019), and so the questions are few: `sql::analyst` refuses all but counts by at most three listed
//! dimensions.
//!
//! It must not know who asks, a query, or a file.

mod entropy;

use std::fmt;

use crate::fault::{Explain, Place};
use crate::personal::{Personal, PseudonymKey};

/// The most by which a count is changed.
pub const NOISE_MAX: i64 = 5;

/// The most that the variance of the noise may be.
pub const VARIANCE_MAX: f64 = 3.0;

/// Results from 1 to this are impossible.
pub const FORBIDDEN_MAX: i64 = 2;

/// Results under this are not given.
pub const PUBLISHED_MIN: u64 = 10;

/// From this count on no result that must not be is within reach, and the noise is the same for all.
const STEADY_FROM: u64 = 8;

/// The noise table cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The programme of greatest entropy was not solved to the precision that is asked for.
    #[error("the noise for the count {count} could not be computed")]
    NotSolved {
        /// The row of the table, not a count of records.
        count: u64,
    },
}

impl Explain for Error {
    fn code(&self) -> &'static str {
        "disclosure.noise-table"
    }

    fn place(&self) -> Place {
        Place::Thing("cell-key noise table".into())
    }

    fn next(&self) -> String {
        "answer no analyst's question, and report the code and this text".into()
    }
}

/// The record key of a record: 32 bits of the HMAC of its id.
pub fn record_key(key: &PseudonymKey, record_id: &Personal<String>) -> u32 {
    let [a, b, c, d, ..] = key.digest("cell key", &[record_id.reveal().as_bytes()]);
    u32::from_be_bytes([a, b, c, d])
}

/// How noise is distributed for each count: mean 0, variance at most [`VARIANCE_MAX`], no more than [`NOISE_MAX`] to
/// either side, no result below 0 and none from 1 to [`FORBIDDEN_MAX`]; of all such distributions the one of the
/// greatest entropy (Giessing and Tent 2019).
#[derive(Clone, PartialEq)]
pub struct NoiseTable {
    rows: Vec<NoiseRow>,
}

/// The noise of one count.
#[derive(Debug, Clone, PartialEq)]
pub struct NoiseRow {
    /// Each possible noise with its probability, ascending; a noise that is not here cannot be.
    pub chances: Vec<(i64, f64)>,
    /// Below which cell key (of 2³²) each noise is taken, in the same order; the last takes the rest.
    bounds: Vec<u64>,
}

impl fmt::Debug for NoiseTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NoiseTable({} rows)", self.rows.len())
    }
}

impl NoiseTable {
    /// Computes the table, and checks each row of it.
    ///
    /// # Errors
    ///
    /// A row whose mean, variance or sum is not what it should be.
    pub fn new() -> Result<Self, Error> {
        (0..=STEADY_FROM).map(row).collect::<Result<_, _>>().map(|rows| NoiseTable { rows })
    }

    /// The noise of a count.
    pub fn row(&self, count: u64) -> Option<&NoiseRow> {
        self.rows.get(usize::try_from(count.min(STEADY_FROM)).ok()?)
    }

    /// A count after noise. None under [`PUBLISHED_MIN`], which hides a true 0 as well.
    pub fn publish(&self, count: u64, cell_key: u32) -> Option<u64> {
        let result = count.checked_add_signed(self.row(count)?.noise(cell_key))?;
        (result >= PUBLISHED_MIN).then_some(result)
    }
}

impl NoiseRow {
    /// The noise for a cell key.
    pub fn noise(&self, cell_key: u32) -> i64 {
        let taken = self.bounds.iter().position(|bound| u64::from(cell_key) < *bound);
        let last = self.chances.len().saturating_sub(1);
        self.chances.get(taken.unwrap_or(last)).map_or(0, |(noise, _)| *noise)
    }

    /// `Σ p · v`.
    pub fn mean(&self) -> f64 {
        self.chances.iter().map(|(noise, chance)| *noise as f64 * chance).sum()
    }

    /// `Σ p · v²`, the mean being 0.
    pub fn variance(&self) -> f64 {
        self.chances.iter().map(|(noise, chance)| (*noise as f64).powi(2) * chance).sum()
    }

    /// `−Σ p · ln p`, in nats.
    pub fn entropy(&self) -> f64 {
        self.chances.iter().map(|(_, chance)| if *chance > 0.0 { -chance * chance.ln() } else { 0.0 }).sum()
    }
}

fn row(count: u64) -> Result<NoiseRow, Error> {
    let failed = || Error::NotSolved { count };
    let signed = i64::try_from(count).map_err(|_| failed())?;
    let is_possible = |noise: &i64| {
        let result = signed + noise;
        result >= 0 && !(1..=FORBIDDEN_MAX).contains(&result)
    };
    // Nothing is added to nothing: a true 0 stays, or its mean could not.
    let noises: Vec<i64> = if count == 0 { vec![0] } else { (-NOISE_MAX..=NOISE_MAX).filter(is_possible).collect() };
    let chances = entropy::most_even(&noises, VARIANCE_MAX).ok_or_else(failed)?;
    let mut below = 0.0;
    let bounds = chances.iter().map(|chance| {
        below += chance * KEYS;
        // Between 0 and 2³², and so exactly a whole number of 64 bits.
        below.round().clamp(0.0, KEYS) as u64
    });
    let bounds: Vec<u64> = bounds.collect();
    let row = NoiseRow { chances: noises.into_iter().zip(chances).collect(), bounds };
    let sum: f64 = row.chances.iter().map(|(_, chance)| chance).sum();
    let is_right = row.mean().abs() < PRECISION
        && row.variance() < VARIANCE_MAX + PRECISION
        && (sum - 1.0).abs() < PRECISION
        && row.chances.iter().all(|(_, chance)| *chance > 0.0);
    is_right.then_some(row).ok_or_else(failed)
}

const KEYS: f64 = 4_294_967_296.0;
const PRECISION: f64 = 1e-9;
