//! Engine E at the end of a month or a quarter: from counts to a decided table, and from a decided table to what is released.
//!
//! 1. [`Closing::count`] puts a month's counts into a cube over public code lists. Private.
//! 2. [`Closing::decide`] protects all tables of the month that are not decided yet, together, with those that are as
//!    constraints; attacks them; and asks the [`gate`](super::gate) beside the noisy tables of the same records. A table
//!    that is refused is held by itself, with its fault, and the others go on without it.
//! 3. A [`Decided`] table is what the ledger keeps: every cell with what became of it, the rows as they are shown, and
//!    the account. [`Released`](super::Released) is made of it and of nothing else, so that a later night, a later version of the SQL or
//!    a late record changes no byte.
//!
//! [`scores`] does the same for score sheets: numerators and denominators are cells, and a score is shown where both of
//! them are. It must not know a ledger, a clock, a file, or how anything was counted.

mod beside;
mod counted;
mod decided;
mod release;
pub mod scores;
mod settle;
pub mod taken;

use super::cells::{Axis, Cells, Layout, Tree};
use super::gate::{Engine, Gate, Invariant, Offer};
use super::suppress::Rules;
use super::{Month, Period, bins};
use crate::fault::Fault;
use crate::language::Text;
use crate::pipeline::exact::{ExactDimension, ExactPolicy};
use crate::pipeline::{PrivacyPolicy, ProcedureGroup, Unit};

pub use beside::Beside;
pub use counted::is_made;
pub use decided::{Column, Decided, Kind, Value};

/// What a month is closed by: the policy, the policy of the noisy tables beside it, and the public code lists.
#[derive(Debug, Clone, Copy)]
pub struct Closing<'a> {
    /// The policy.
    pub policy: &'a ExactPolicy,
    /// What is published with noise.
    pub privacy: Option<&'a PrivacyPolicy>,
    /// The unit and its communes.
    pub unit: &'a Unit,
    /// The procedure groups.
    pub groups: &'a [ProcedureGroup],
}

/// What became of the tables of a month that were not decided yet.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Those that may leave.
    pub decided: Vec<Decided>,
    /// Those that are held, by name, each with why.
    pub held: Vec<(String, Fault)>,
}

/// The name of the dimension of months.
const PERIOD: &str = "period";

/// What the gate calls dossiers, whatever is counted of them.
pub const DOSSIERS: &str = "dossiers";

impl Closing<'_> {
    /// The tree of communes, the unit's own code as the total.
    fn communes(&self, others: &[&str]) -> Result<Tree, super::cells::Error> {
        let codes = self.unit.communes.iter().map(|commune| commune.code.as_str());
        let codes: Vec<&str> = codes.chain(others.iter().copied()).collect();
        Tree::flat(ExactDimension::Commune.word(), &self.unit.code, &codes)
    }

    fn rules(&self, trees: &[Tree]) -> Rules {
        let rules = &self.policy.rules;
        let group = ExactDimension::ProcedureGroup.word();
        let sensitive = match &rules.sensitive_groups {
            Some(groups) if trees.iter().any(|tree| tree.name() == group) => {
                groups.iter().map(|code| (group.to_owned(), code.clone())).collect()
            }
            // The total of any dimension makes everything sensitive.
            _ => vec![(PERIOD.to_owned(), total_of(trees, PERIOD))],
        };
        let is_there = |dimension: &ExactDimension| trees.iter().any(|tree| tree.name() == dimension.word());
        Rules {
            small_below: rules.small_below,
            sensitive,
            unanimous_by: rules.unanimous_by.filter(is_there).map(|dimension| dimension.word().to_owned()),
            interval_min: rules.interval_min,
        }
    }

    fn gate(&self, trees: Vec<Tree>, metrics: &[String]) -> Gate {
        let named = |by: &Vec<ExactDimension>| {
            let words = by.iter().flat_map(|dimension| match dimension {
                ExactDimension::Metric => metrics.to_vec(),
                other => vec![other.word().to_owned()],
            });
            Invariant { records: DOSSIERS.into(), by: words.chain([PERIOD.to_owned()]).collect() }
        };
        let invariants = self.policy.invariants.iter().map(named).collect();
        Gate { trees, invariants, interval_min: self.policy.rules.interval_min }
    }

    /// What engine D shows of this period over these dimensions, by its policy: whether it has left yet is all the same.
    fn noisy(&self, trees: &[Tree], period: Period) -> Vec<Offer> {
        let Some(privacy) = self.privacy else { return Vec::new() };
        let months = period.months().into_iter().filter(|month| Month::of(privacy.first_month) <= *month);
        let mut shown: Vec<String> = months.map(|month| month.to_string()).collect();
        if shown.is_empty() {
            return Vec::new();
        }
        // A quarter's noisy figures are made of its months alone; they are named where its trees know them.
        let is_known = |code: &String| trees.iter().any(|tree| tree.name() == PERIOD && tree.node(code).is_ok());
        shown.retain(is_known);
        // A week's records are those of its month: what is measured by weeks is as much beside as what is by months.
        let by_weeks = privacy.weekly.iter().flat_map(|weekly| &weekly.measures);
        let offers = privacy.measures.iter().chain(by_weeks).map(|measure| {
            let words = measure.by.iter().map(|dimension| bins::dimension_word(*dimension));
            let known: Vec<&str> = words.filter(|word| trees.iter().any(|tree| tree.name() == *word)).collect();
            let mut layout = Layout::by(&measure.table, &known);
            layout.axes.insert(PERIOD.into(), Axis::Only(shown.clone()));
            Offer { engine: Engine::D, records: bins::counted_word(measure.of).to_owned(), layout }
        });
        offers.collect()
    }

    /// The rules, in words that every table prints. Cells that are by no group are of all of them.
    fn told(&self, is_by_group: bool) -> Vec<Text> {
        let rules = &self.policy.rules;
        let (small, width) = (rules.small_below, rules.interval_min);
        if let Some(base) = self.policy.rounding {
            return vec![Text::new(
                format!(
                    "Số nhỏ hơn {base} được làm tròn thành 0 hoặc {base}; mọi số trong các bảng được cộng lại từ đó"
                ),
                format!("Counts below {base} are rounded to 0 or {base}, and every figure is added up anew from them"),
            )];
        }
        let groups = match &rules.sensitive_groups {
            Some(groups) if is_by_group => groups.join(", "),
            _ => "*".to_owned(),
        };
        let mut told = vec![
            Text::new(
                format!("Không công bố số từ 1 đến {} của các nhóm thủ tục: {groups}", small.saturating_sub(1)),
                format!("Counts from 1 to {} are withheld in the procedure groups: {groups}", small.saturating_sub(1)),
            ),
            Text::new(
                format!(
                    "Không công bố thêm những số mà từ đó có thể tính ra các số trên; mỗi số không công bố vẫn còn ít nhất {} giá trị có thể",
                    width.saturating_add(1)
                ),
                format!(
                    "So are the counts from which those could be computed; at least {} values stay possible for each that is withheld for its own sake",
                    width.saturating_add(1)
                ),
            ),
        ];
        if let Some(dimension) = rules.unanimous_by {
            told.push(Text::new(
                format!("Không công bố khi mọi hồ sơ của một nhóm thuộc cùng một loại ({})", dimension.word()),
                format!("Withheld where all records of a group are of one category ({})", dimension.word()),
            ));
        }
        told
    }
}

fn total_of(trees: &[Tree], dimension: &str) -> String {
    trees.iter().find(|tree| tree.name() == dimension).map(|tree| tree.total().to_owned()).unwrap_or_default()
}

/// The name of one layout of a table: it has one for each way in which it counts.
fn names(table: &str, part: &str) -> String {
    format!("{table}:{part}")
}

/// The table to which a layout belongs.
fn table_of(layout: &str) -> &str {
    layout.split(':').next().unwrap_or(layout)
}

/// Cells by their codes, with what became of each.
fn by_codes(cells: &Cells) -> std::collections::BTreeMap<Vec<String>, super::cells::Earlier> {
    cells.outcomes().into_iter().map(|cell| (cell.at.clone(), cell)).collect()
}
