//! Indices of service quality, as the decisions that define them say: data, versioned by date.
//!
//! A decision is a file in `pipelines/indices/`. A new decision, or a new formula of one, is a new
//! version beside the old one, so that old months keep theirs. What is counted is a column of the tables in
//! `sql/quality/indices/`; which formulas there are is a closed list. This module must not know any count.

use jiff::civil::Date;

use crate::fault::Place;
use crate::language::Text;

/// A decision that defines an index: the groups, the metrics and how they are scored, by date.
#[derive(Debug, Clone)]
pub struct Definition {
    /// Name of its file: `decision_766`.
    pub name: String,
    /// What it is called.
    pub title: Text,
    /// Its versions, by the first day in force.
    pub versions: Vec<DefinitionVersion>,
}

/// What a decision says during one term.
#[derive(Debug, Clone)]
pub struct DefinitionVersion {
    /// The day it was signed: the first on which it could be known.
    pub enacted_on: Date,
    /// First day in force.
    pub in_force_from: Date,
    /// Last day in force; none while no end was set.
    pub in_force_to: Option<Date>,
    /// The article.
    pub reference: Text,
    /// How well the source is known: A or B (`domain/README`).
    pub confidence: String,
    /// Decimals to which each score is rounded, half away from zero.
    pub decimals: u8,
    /// The most that can be reached; none where nothing is scored.
    pub maximum: Option<i64>,
    /// Its groups, in the order of the decision.
    pub groups: Vec<Group>,
    /// Its classes, the highest first; the last begins at 0. None where nothing is classed.
    pub bands: Vec<Band>,
}

/// Metrics that are summed together.
#[derive(Debug, Clone)]
pub struct Group {
    /// Its code.
    pub code: String,
    /// Its name.
    pub title: Text,
    /// The most that can be reached: the sum of its metrics' maxima.
    pub maximum: Option<i64>,
    /// Its metrics.
    pub metrics: Vec<Metric>,
}

/// One thing that is measured.
#[derive(Debug, Clone)]
pub struct Metric {
    /// Its code, as the national portal writes it where it has one.
    pub code: String,
    /// Its name.
    pub title: Text,
    /// Standard tables without which nothing can be said of it: an agency that does not fill one has no score here.
    pub needs: Vec<String>,
    /// How it is computed.
    pub formula: Formula,
    /// It is absent from a sheet of one procedure, and its points with it.
    pub is_absent_by_procedure: bool,
    /// Where it stands, so that what is wrong with it can be said there.
    pub place: Place,
}

/// The formulas, a closed list.
#[derive(Debug, Clone)]
pub enum Formula {
    /// The maximum times the ratio, and the whole of it from `full_at_percent` on. Never more than the maximum.
    Share {
        /// What is divided.
        of: Fraction,
        /// What a denominator of nothing gives.
        zero: Zero,
        /// The most that can be reached.
        maximum: i64,
        /// The ratio, in percent, from which on the maximum is given.
        full_at_percent: i64,
    },
    /// Points of dossiers divided by the dossiers for which they are known; without any it is left out.
    Mean {
        /// What is divided.
        of: Fraction,
        /// The most that can be reached.
        maximum: i64,
    },
    /// The points of the first tier all of whose conditions hold; 0 where none does.
    Tiers {
        /// The ratio that is shown.
        of: Fraction,
        /// What a denominator of nothing gives.
        zero: Zero,
        /// The most that can be reached.
        maximum: i64,
        /// The best first.
        tiers: Vec<Tier>,
    },
    /// A number that is given and not counted.
    Constant {
        /// Points, which are also the maximum.
        points: i64,
    },
    /// A share in percent that is shown and gives no points.
    Information {
        /// What is divided.
        of: Fraction,
    },
    /// A mean that is shown and gives no points.
    Average {
        /// What is divided.
        of: Fraction,
    },
    /// The smallest number of working days in which this share of the finished dossiers was settled: no points.
    WorkingDays {
        /// The share, in percent: 50 is the median.
        percent: i64,
    },
}

/// What is divided by what.
#[derive(Debug, Clone)]
pub struct Fraction {
    /// Above the line.
    pub numerator: Count,
    /// Below the line.
    pub denominator: Count,
}

/// What is counted, over the rows of a unit.
#[derive(Debug, Clone)]
pub enum Count {
    /// The sum of a column.
    Sum(String),
    /// The greatest of the sums of several columns; where all are 0, the share of a period in last year's sum.
    Greatest {
        /// The columns.
        columns: Vec<String>,
        /// The column with the sum of last year, of which a month has a twelfth.
        or_last_year: Option<String>,
    },
    /// How many procedures have more than 0 in each of these columns, and 0 in each of those.
    Procedures {
        /// More than 0.
        with: Vec<String>,
        /// 0.
        without: Vec<String>,
    },
}

/// What a denominator of 0 gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Zero {
    /// No ratio and no score: it counts as 0 in its group.
    Null,
    /// A ratio of 0 and a score of 0.
    Zero,
    /// A ratio of 0 and the maximum.
    Maximum,
}

impl Zero {
    /// The words of the files.
    pub const WORDS: [(&'static str, Zero); 3] =
        [("null", Zero::Null), ("zero", Zero::Zero), ("maximum", Zero::Maximum)];
}

/// Points that are given when all conditions hold.
#[derive(Debug, Clone)]
pub struct Tier {
    /// How many.
    pub points: i64,
    /// Ratios that must be reached, in percent.
    pub shares: Vec<(Fraction, i64)>,
    /// Columns of which the sum must be 0.
    pub none: Vec<String>,
}

/// A class of the total.
#[derive(Debug, Clone)]
pub struct Band {
    /// The total from which on it is reached: exactly this much is in it.
    pub at_least: i64,
    /// What it is called.
    pub name: Text,
}

impl Definition {
    /// The version in force on a day, as known on a day.
    pub fn in_force(&self, day: Date, known_on: Date) -> Option<&DefinitionVersion> {
        let holds = self.versions.iter().filter(|version| {
            version.enacted_on <= known_on
                && version.in_force_from <= day
                && version.in_force_to.is_none_or(|to| day <= to)
        });
        holds.max_by_key(|version| (version.enacted_on, version.in_force_from))
    }

    /// The name of a version, stable over time: `decision_766@2022-06-23`.
    pub fn version_name(&self, version: &DefinitionVersion) -> String {
        format!("{}@{}", self.name, version.in_force_from)
    }
}

impl Formula {
    /// The most points that it gives; none where it gives none.
    pub fn maximum(&self) -> Option<i64> {
        match self {
            Formula::Share { maximum, .. } | Formula::Mean { maximum, .. } | Formula::Tiers { maximum, .. } => {
                Some(*maximum)
            }
            Formula::Constant { points } => Some(*points),
            Formula::Information { .. } | Formula::Average { .. } | Formula::WorkingDays { .. } => None,
        }
    }

    /// The columns that it counts.
    pub fn columns(&self) -> Vec<&str> {
        let mut columns = Vec::new();
        match self {
            Formula::Share { of, .. }
            | Formula::Mean { of, .. }
            | Formula::Information { of }
            | Formula::Average { of } => columns.extend(of.columns()),
            Formula::Tiers { of, tiers, .. } => {
                columns.extend(of.columns());
                for tier in tiers {
                    columns.extend(tier.shares.iter().flat_map(|(of, _)| of.columns()));
                    columns.extend(tier.none.iter().map(String::as_str));
                }
            }
            Formula::Constant { .. } | Formula::WorkingDays { .. } => {}
        }
        columns
    }
}

impl Fraction {
    fn columns(&self) -> impl Iterator<Item = &str> {
        self.numerator.columns().into_iter().chain(self.denominator.columns())
    }
}

impl Count {
    fn columns(&self) -> Vec<&str> {
        let all: Vec<&String> = match self {
            Count::Sum(column) => vec![column],
            Count::Greatest { columns, or_last_year } => columns.iter().chain(or_last_year).collect(),
            Count::Procedures { with, without } => with.iter().chain(without).collect(),
        };
        all.into_iter().map(String::as_str).collect()
    }
}
