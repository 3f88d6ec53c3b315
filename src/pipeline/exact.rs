//! Which exact counts an agency publishes, and how: the table `[exact]`, and what analysts may ask: `[analysts]`.
//!
//! Exact counts are for what the law and the rating system demand exact. Those of small groups are withheld, with as
//! many others as it takes that nobody can compute them. This module must not know a count, nor how it is protected.

use jiff::civil::Date;

use super::Dimension;
use super::secret::SecretRef;
use crate::fault::Place;
use crate::language::Text;

/// How exact counts are published.
#[derive(Debug, Clone)]
pub struct ExactPolicy {
    /// Name and version, which every table states.
    pub policy: String,
    /// The first day of the first month that is published.
    pub first_month: Date,
    /// Days after the end of a month before it is published.
    pub close_after_days: u16,
    /// What is withheld, and how wide its bounds have to stay.
    pub rules: ExactRules,
    /// Small counts become 0 or this base; none where they are withheld instead.
    pub rounding: Option<u64>,
    /// Totals that may be exact although noisy figures of the same records are published too.
    pub invariants: Vec<Vec<ExactDimension>>,
    /// Tables of counted dossiers, in the order of the file: the first come first when not all can be published.
    pub tables: Vec<ExactTable>,
    /// Score sheets, in the order of the file.
    pub scores: Vec<ExactScores>,
    /// Tables of recommended options that were taken, in the order of the file.
    pub options: Vec<ExactOptions>,
    /// Where it stands.
    pub place: Place,
}

/// What is withheld for its own sake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExactRules {
    /// A count from 1 up to below this is small.
    pub small_below: u64,
    /// Procedure groups whose small counts are withheld; none means those of every group.
    pub sensitive_groups: Option<Vec<String>>,
    /// The categories of which a group must not have one alone; none where that tells nothing about anybody.
    pub unanimous_by: Option<ExactDimension>,
    /// How far apart the bounds of a withheld count have to lie for whoever solves all published equations.
    pub interval_min: u64,
}

/// A dimension of exact counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ExactDimension {
    /// The communes of the unit.
    Commune,
    /// The groups of procedures.
    ProcedureGroup,
    /// On time, or late.
    Timeliness,
    /// Online, or by another way.
    Channel,
    /// The parts of the shares of score sheets.
    Metric,
}

impl ExactDimension {
    /// The words of the file, which are the names of the dimensions, too.
    pub const WORDS: [(&'static str, ExactDimension); 5] = [
        ("commune", ExactDimension::Commune),
        ("procedure_group", ExactDimension::ProcedureGroup),
        ("timeliness", ExactDimension::Timeliness),
        ("channel", ExactDimension::Channel),
        ("metric", ExactDimension::Metric),
    ];

    /// Its word.
    pub fn word(self) -> &'static str {
        Self::WORDS.iter().find(|(_, known)| *known == self).map_or("", |(word, _)| word)
    }
}

/// What is counted in a column of a table of dossiers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ExactMeasure {
    /// All that were due in the month.
    Dossiers,
    /// Those that were finished on or before the day they were due.
    OnTime,
    /// The others.
    Late,
    /// Those that were submitted online.
    Online,
}

impl ExactMeasure {
    /// The words of the file, which are the columns of the table, too.
    pub const WORDS: [(&'static str, ExactMeasure); 4] = [
        ("dossiers", ExactMeasure::Dossiers),
        ("on_time", ExactMeasure::OnTime),
        ("late", ExactMeasure::Late),
        ("online", ExactMeasure::Online),
    ];

    /// Its word.
    pub fn word(self) -> &'static str {
        Self::WORDS.iter().find(|(_, known)| *known == self).map_or("", |(word, _)| word)
    }

    /// The dimension that it is a category of; none for the total.
    pub fn dimension(self) -> Option<ExactDimension> {
        match self {
            ExactMeasure::Dossiers => None,
            ExactMeasure::OnTime | ExactMeasure::Late => Some(ExactDimension::Timeliness),
            ExactMeasure::Online => Some(ExactDimension::Channel),
        }
    }
}

/// A table of exact counts of the dossiers that were due in a month.
#[derive(Debug, Clone)]
pub struct ExactTable {
    /// Its name.
    pub table: String,
    /// What it is called.
    pub title: Text,
    /// By what, with all totals; nothing means the whole unit.
    pub by: Vec<Dimension>,
    /// What is counted, in the order of the columns.
    pub measures: Vec<ExactMeasure>,
    /// Whether each quarter is published beside its months.
    pub has_quarters: bool,
}

/// A score sheet: the metrics of a decision that are a share of dossiers, with what they are computed from, and those that
/// speak of procedures alone.
#[derive(Debug, Clone)]
pub struct ExactScores {
    /// The table's name.
    pub table: String,
    /// What it is called.
    pub title: Text,
    /// Whether each commune has its own, besides the whole unit.
    pub is_by_commune: bool,
    /// The decision: the name of its file in `pipelines/indices/`.
    pub decision: String,
    /// The codes of its metrics that are published.
    pub metrics: Vec<String>,
}

/// A table of how many people took the option that was recommended to them.
#[derive(Debug, Clone)]
pub struct ExactOptions {
    /// Its name.
    pub table: String,
    /// What it is called.
    pub title: Text,
    /// By which groups, with all totals; nothing means the whole unit.
    pub by: Vec<OptionGroup>,
}

/// A group of people, or of what was recommended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OptionGroup {
    /// The commune of their dossiers.
    Commune,
    /// Their age, in three steps.
    Age,
    /// The outcome that the options lead to.
    Outcome,
}

impl OptionGroup {
    /// The words of the file, which are the columns of the table, too; all of them, in the order of the columns.
    pub const WORDS: [(&'static str, OptionGroup); 3] =
        [("commune_code", OptionGroup::Commune), ("age_group", OptionGroup::Age), ("outcome", OptionGroup::Outcome)];

    /// Its word.
    pub fn word(self) -> &'static str {
        Self::WORDS.iter().find(|(_, known)| *known == self).map_or("", |(word, _)| word)
    }
}

/// What authorised analysts may ask: counts by cell key, never published.
#[derive(Debug, Clone)]
pub struct Analysts {
    /// Their names, as they stand in the log.
    pub names: Vec<String>,
    /// The key of the record keys: 64 hexadecimal digits.
    pub key: SecretRef,
    /// The tables that they may ask about.
    pub tables: Vec<AnalystTable>,
}

/// A table for analysts.
#[derive(Debug, Clone)]
pub struct AnalystTable {
    /// Its name; it is asked for as `analyst.<name>`.
    pub name: String,
    /// The standard table that it is made of.
    pub of: String,
    /// The columns by which may be counted.
    pub dimensions: Vec<String>,
    /// What is published of the same records, and may be answered beside.
    pub beside: Vec<Beside>,
}

/// What is published of records about which analysts ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Beside {
    /// Noisy figures, `[privacy]`.
    Noise,
    /// Exact counts of which some are withheld, `[exact]`.
    Exact,
}

impl Beside {
    /// The words of the pipeline and of the ledger.
    pub const WORDS: [(&'static str, Beside); 2] = [("noise", Beside::Noise), ("exact", Beside::Exact)];

    /// The word.
    pub fn word(self) -> &'static str {
        Self::WORDS.iter().find(|(_, known)| *known == self).map_or("", |(word, _)| word)
    }
}
