//! What may leave: a protected table, what its columns mean, how it was protected, where it comes from.
//!
//! A [`Released`] is made by [`super::release()`] (engine D) and by [`Released::exact`] (engine E, from what the gate
//! has admitted), and by nothing else. Everything in it is public; a table is immutable once it is published, so that
//! nothing here may depend on the day or on a later night.

use arrow::array::RecordBatch;
use serde::{Serialize, Serializer};
use std::fmt;

use super::Period;
use super::attack::Report;
use super::bins::{counted_word, dimension_word, names};
use super::columns::ColumnSheet;
use super::gate::{Engine, Invariant};
use super::period::Month;
use crate::language::Text;
use crate::pipeline::{Bins, Counted, Dimension, Rho};

/// A table that anybody may see, and the account of how it was protected.
///
/// Only this chapter makes one. Whoever publishes takes nothing else, so that no private column can leave by mistake.
#[derive(Debug)]
pub struct Released {
    facts: Facts,
}

/// What a released table is made of, inside this chapter.
#[derive(Debug)]
pub(super) struct Facts {
    pub name: String,
    pub title: Text,
    pub period: Period,
    pub edition: Edition,
    pub columns: Vec<ColumnSheet>,
    pub table: RecordBatch,
    pub account: Account,
    pub provenance: Provenance,
}

impl From<Facts> for Released {
    fn from(facts: Facts) -> Self {
        Released { facts }
    }
}

impl Released {
    /// The name of the table, `satisfaction_by_commune`: lower-case letters, digits and underscores.
    pub fn name(&self) -> &str {
        &self.facts.name
    }

    /// What it shows, without unit and period: "Satisfaction by commune".
    pub fn title(&self) -> &Text {
        &self.facts.title
    }

    /// The month or the quarter it speaks of.
    pub fn period(&self) -> Period {
        self.facts.period
    }

    /// Which edition of this period it is.
    pub fn edition(&self) -> Edition {
        self.facts.edition
    }

    /// The folder in which this edition of the period is published: `2026-10`, `2026-10-preliminary`.
    pub fn folder(&self) -> String {
        self.facts.edition.folder(self.facts.period)
    }

    /// What protected it: [`Engine::D`] or [`Engine::E`].
    pub fn engine(&self) -> Engine {
        match self.facts.account {
            Account::Noise(_) => Engine::D,
            Account::Exact(_) => Engine::E,
        }
    }

    /// The figures: one row per cell of the public code lists, in the order of their codes.
    pub fn table(&self) -> &RecordBatch {
        &self.facts.table
    }

    /// What the columns mean, in the order of the table.
    pub fn columns(&self) -> &[ColumnSheet] {
        &self.facts.columns
    }

    /// How the figures were protected.
    pub fn account(&self) -> &Account {
        &self.facts.account
    }

    /// The account of the noise, if it is a table of engine D.
    pub fn noise(&self) -> Option<&NoiseAccount> {
        match &self.facts.account {
            Account::Noise(account) => Some(account),
            Account::Exact(_) => None,
        }
    }

    /// Where the figures come from.
    pub fn provenance(&self) -> &Provenance {
        &self.facts.provenance
    }
}

/// Which edition of a period a table is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Edition {
    /// The first of two that the policy declared: late records are not in it.
    Preliminary,
    /// The last that the policy declared; the only one, where it declares no other.
    Final,
    /// The n-th correction of a final edition, from 1, with a reason of its own.
    Restated(u32),
}

impl Edition {
    /// The name under which this edition of a period is published. A final edition and its restatements stand under the
    /// period itself.
    pub fn folder(self, period: Period) -> String {
        match self {
            Edition::Preliminary => format!("{period}-preliminary"),
            Edition::Final | Edition::Restated(_) => period.to_string(),
        }
    }
}

impl fmt::Display for Edition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Edition::Preliminary => f.write_str("preliminary"),
            Edition::Final => f.write_str("final"),
            Edition::Restated(n) => write!(f, "restated-{n}"),
        }
    }
}

impl Serialize for Edition {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// How a released table was protected. Public facts only: nothing here is computed from a row.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "engine")]
pub enum Account {
    /// By noise.
    #[serde(rename = "D")]
    Noise(Box<NoiseAccount>),
    /// Exact counts, of which some are withheld.
    #[serde(rename = "E")]
    Exact(Box<ExactAccount>),
}

/// How a table of engine D was protected.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NoiseAccount {
    /// The months that were measured.
    pub months: Vec<Month>,
    /// The identities of the draws, month by month, the first edition before the second.
    pub release_ids: Vec<String>,
    /// Name and version of the policy.
    pub policy: String,
    /// What is counted.
    #[serde(serialize_with = "counted")]
    pub of: Counted,
    /// By what; nothing for the whole unit.
    #[serde(serialize_with = "dimensions")]
    pub by: Vec<Dimension>,
    /// Into which bins.
    #[serde(serialize_with = "bin_names")]
    pub bins: Bins,
    /// Whether this table was itself measured; the figures of any other come from the fit alone.
    pub is_measured: bool,
    /// Parameter of the noise in each measured count, all editions taken together, as the policy names it for this
    /// table; for one that was not measured, for the first that its figures come from.
    pub sigma: u32,
    /// The measured tables of the same records: the figures are fitted to all of them at once.
    pub fitted_to: Vec<Measurement>,
    /// Standard deviation of the noise in each published bin after the fit, before rounding and clearing of negative
    /// numbers, rounded up to two decimals; in the order of the bins.
    pub bin_noise: Vec<f64>,
    /// Standard deviation of the noise in the published total after the fit, rounded up to two decimals.
    pub count_noise: f64,
    /// How much of the noise the intervals hold, in percent.
    pub interval_percent: u8,
    /// Records of one person that count in a month.
    pub per_person: u32,
    /// What all measurements of a month together cost each person active in it, up to this edition, zCDP.
    #[serde(serialize_with = "exact")]
    pub rho_month: Rho,
    /// The probability that goes with `epsilon_month`.
    pub delta: f64,
    /// `rho_month` said as (epsilon, delta), rounded up to two decimals; see [`super::epsilon`].
    pub epsilon_month: f64,
    /// Cells whose fitted total is below this are rolled up.
    pub min_count: u32,
    /// Where to: `quarter`, the name of a wider table, or nowhere.
    pub rolled_up_to: Option<String>,
    /// Totals of the same records that are published exactly beside the noise, since the policy said so when it was drawn.
    pub invariants: Vec<Invariant>,
}

/// One measured table, as every account of its records names it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Measurement {
    /// The table.
    pub table: String,
    /// The editions in which it was measured: `whole`, or `first` and `second`.
    pub editions: Vec<String>,
    /// Parameter of the discrete Gaussian noise in each count of each edition, squared; an exact fraction. Where its root
    /// is no whole number, the noise is drawn with the next multiple of 1/1024 above the root.
    #[serde(serialize_with = "exacts")]
    pub sigma_squared: Vec<Rho>,
    /// What each edition cost each person in a month, zCDP.
    #[serde(serialize_with = "exacts")]
    pub rho: Vec<Rho>,
}

/// How a table of engine E was protected.
#[derive(Debug, Clone, PartialEq, Serialize, serde::Deserialize)]
pub struct ExactAccount {
    /// Name and version of the policy.
    pub policy: String,
    /// What is counted, as the gate knows it: `dossiers`.
    pub records: String,
    /// The rules by which cells were withheld, in words.
    pub rules: Vec<Text>,
    /// What the attacker found who tried all releases of these records together.
    pub attack: Report,
    /// Totals that stand beside noisy cells of the same records, since the policy says so.
    pub invariants: Vec<Invariant>,
}

/// Where the figures of a table come from, fixed when they were drawn or decided: a later night does not change it.
// The fields stand in alphabetical order, here and below, so that the JSON has sorted keys.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provenance {
    /// What the figures mean: the id of a definition (`chudong.satisfaction`, `766`).
    pub definition: String,
    /// Keyed digests of the generations of the tables that were read, by table, in the order of their names.
    ///
    /// They are HMACs under the agency's key and not plain hashes: whoever knew all rows but one could confirm a guess
    /// of that one by a plain hash.
    pub inputs: Vec<Hashed>,
    /// SHA-256 of the queries, by name.
    pub queries: Vec<Hashed>,
    /// The version of the definition: a date, or a number.
    pub version: String,
}

/// A thing and its hash.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hashed {
    /// The thing: a file of `sql/`, a table.
    pub name: String,
    /// 64 lower-case hexadecimal digits.
    pub sha256: String,
}

fn counted<S: Serializer>(of: &Counted, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(counted_word(*of))
}

fn dimensions<S: Serializer>(by: &[Dimension], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(by.iter().map(|dimension| dimension_word(*dimension)))
}

fn bin_names<S: Serializer>(bins: &Bins, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(names(*bins))
}

fn exact<S: Serializer>(rho: &Rho, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(rho)
}

fn exacts<S: Serializer>(all: &[Rho], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(all.iter().map(ToString::to_string))
}
