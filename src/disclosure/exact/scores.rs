//! Score sheets: a share is shown where both of its parts are, and its score with it.
//!
//! What counts procedures by what everybody can see of them, or counts nothing, is no cell: it is shown as it is.
//!
//! A score beside a denominator gives the numerator away, and two scores their difference. So every numerator and every
//! denominator is a cell, and so is what is left of a denominator without its numerator. All sheets of a month are
//! decided together: their metrics count the same dossiers.
//!
//! Each column is a **flag** of the dossiers received in the month, one dimension of the cube; a flag that only dossiers
//! with another one can have (an online payment, of those that owe a fee) is a branch of that one. The selects give
//! sums, not which dossiers have which flags together; the cube is filled with one of the ways in which they can have
//! them. For the bounds of cells that makes no difference: they follow from what is published, and every way of
//! publishing the same sums is as good as any other.
//!
//! There are sheets of months alone: what had become of a dossier by the end of its quarter is another figure than the
//! sum of what had become of it by the ends of the months, so that the two would be no equations of each other.

use std::collections::{BTreeMap, BTreeSet};

use super::super::cells::{self, Axis, Cube, Earlier, Layout, Tree};
use super::super::released::Provenance;
use super::decided::{Column, Decided, Kind, Parts, Value};
use super::settle::{Candidate, Settled, Way, settle};
use super::{Closing, DOSSIERS, Month, Outcome, PERIOD, Period, names};
use crate::fault::{Explain, Fault, Place};
use crate::language::Text;
use crate::pipeline::exact::{ExactDimension, ExactPolicy, ExactScores};
use crate::pipeline::indices::{Definition, Formula};
use crate::quality::index::flags::{BASE, is_public, part_of, share};

/// The scope of these cells: the dossiers that were received in a month.
const RECEIVED: &str = "dossiers received";

/// The total of a flag's dimension: with it or without.
const ANY: &str = "any";

/// What belongs to the unit and to none of its communes: dossiers that a department handles.
const OTHER: &str = "other";

/// A score sheet that may be published.
#[derive(Debug, Clone)]
pub struct Sheet {
    /// The table's name.
    pub table: String,
    /// What it is called.
    pub title: Text,
    /// Whether each commune has its own, besides the whole unit.
    pub is_by_commune: bool,
    /// Its metrics.
    pub metrics: Vec<Metric>,
    /// The decision and its version, and how it was counted.
    pub provenance: Provenance,
}

/// A metric of a score sheet.
#[derive(Debug, Clone)]
pub struct Metric {
    /// Its code.
    pub code: String,
    /// What it counts.
    pub of: Of,
    /// The most points that it gives; none where it gives none.
    pub maximum: Option<i64>,
    /// The share in percent and the points, by unit. Private.
    pub shown: BTreeMap<String, Shown>,
}

/// What a metric counts, which says how it is protected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Of {
    /// Dossiers: a flag among those that can have it.
    Dossiers {
        /// The column above the line.
        numerator: String,
        /// The column below the line.
        denominator: String,
    },
    /// Procedures, by what everybody can see of them; or nothing.
    Procedures,
}

impl Of {
    /// What a formula counts; none of which nothing can be published exactly.
    pub fn by(formula: &Formula) -> Option<Self> {
        match share(formula) {
            Some((numerator, denominator)) => {
                Some(Of::Dossiers { numerator: numerator.to_owned(), denominator: denominator.to_owned() })
            }
            None => is_public(formula).then_some(Of::Procedures),
        }
    }
}

impl Metric {
    /// The columns above and below the line, of a metric that counts dossiers.
    pub fn columns(&self) -> Option<(&str, &str)> {
        match &self.of {
            Of::Dossiers { numerator, denominator } => Some((numerator, denominator)),
            Of::Procedures => None,
        }
    }
}

/// What a decision makes of the two parts.
#[derive(Clone, Default)]
pub struct Shown {
    /// What was counted, above and below the line, of what is no cell.
    pub counts: Option<(u64, u64)>,
    /// In percent.
    pub percent: Option<String>,
    /// Points.
    pub score: Option<String>,
}

impl std::fmt::Debug for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Shown")
    }
}

/// The sums of columns: of the whole unit under its code, of each commune under its own.
pub type Sums = BTreeMap<String, BTreeMap<String, u64>>;

impl Closing<'_> {
    /// The sums of a month as cells.
    ///
    /// # Errors
    ///
    /// A column that counts more than the one it is a part of; too many flags to be decided together.
    pub fn count_flags(&self, month: Month, sheets: &[Sheet], sums: &Sums) -> Result<Cube, Fault> {
        let flags = flags(sheets);
        let trees = self.flag_trees(month, &flags).map_err(|error| error.fault())?;
        let mut cube = Cube::new(trees).map_err(|error| error.fault())?;
        let zero = BTreeMap::new();
        let mut rest = sums.get(&self.unit.code).cloned().unwrap_or_default();
        for commune in self.unit.communes.iter().map(|commune| commune.code.as_str()) {
            let of = sums.get(commune).unwrap_or(&zero);
            for (column, count) in of {
                let left = rest.get(column).copied().unwrap_or(0).checked_sub(*count);
                rest.insert(column.clone(), left.ok_or_else(|| contradiction(column))?);
            }
            fill(&mut cube, commune, month, &flags, of)?;
        }
        fill(&mut cube, OTHER, month, &flags, &rest)?;
        Ok(cube)
    }

    /// Decides about the sheets of a month that are not among the decided ones.
    pub fn decide_scores(&self, month: Month, cube: &Cube, sheets: &[Sheet], decided: &[Decided]) -> Outcome {
        let is_open = |sheet: &&Sheet| !decided.iter().any(|known| known.is(&sheet.table, Period::Month(month)));
        let open: Vec<&Sheet> = sheets.iter().filter(is_open).collect();
        let candidate = |sheet: &&Sheet| Candidate { table: sheet.table.clone(), layouts: layouts(sheet, month) };
        let candidates: Vec<Candidate> = open.iter().map(candidate).collect();
        let before = decided.iter().filter(|known| known.scope() == RECEIVED && known.period() == Period::Month(month));
        let earlier: Vec<Earlier> = before.flat_map(|known| known.cells().to_vec()).collect();
        let trees = cube.trees().to_vec();
        let metrics = dimensions(sheets);
        let (rules, noisy) = (self.rules(&trees), self.noisy(&trees, Period::Month(month)));
        let gate = self.gate(trees, &metrics);
        let way =
            Way { records: DOSSIERS, rules: &rules, rounding: None, gate: &gate, noisy: &noisy, earlier: &earlier };
        let (settled, held) = settle(cube, &candidates, &way);
        let name = |place: usize| open.get(place).map(|sheet| sheet.table.clone()).unwrap_or_default();
        let held = held.into_iter().map(|(place, fault)| (name(place), fault)).collect();
        let mut outcome = Outcome { decided: Vec::new(), held };
        let Some(settled) = settled else { return outcome };
        for sheet in settled.kept.iter().filter_map(|place| open.get(*place)) {
            outcome.decided.push(self.sheet(sheet, month, cube, &settled));
        }
        outcome
    }

    pub(super) fn flag_trees(&self, month: Month, flags: &BTreeSet<String>) -> Result<Vec<Tree>, cells::Error> {
        let mut trees = vec![self.communes(&[OTHER])?, Tree::flat(PERIOD, &month.to_string(), &[])?];
        for flag in flags.iter().filter(|flag| part_of(flag).is_none()) {
            let without = not(flag);
            let mut codes = vec![(flag.clone(), None), (without, None)];
            for child in flags.iter().filter(|child| part_of(child) == Some(flag)) {
                codes.extend([(child.clone(), Some(flag.clone())), (not(child), Some(flag.clone()))]);
            }
            trees.push(Tree::new(flag, ANY, codes.iter().map(|(code, above)| (code.as_str(), above.as_deref())))?);
        }
        Ok(trees)
    }

    fn sheet(&self, sheet: &Sheet, month: Month, cube: &Cube, settled: &Settled) -> Decided {
        let period = month.to_string();
        let at = |unit: &str, column: &str| -> Vec<String> {
            let code = |tree: &Tree| match tree.name() {
                PERIOD => period.clone(),
                name if name == column || part_of(column) == Some(name) => column.to_owned(),
                _ => tree.total().to_owned(),
            };
            let rest = cube.trees().iter().skip(1).map(code);
            std::iter::once(unit.to_owned()).chain(rest).collect()
        };
        let count = |unit: &str, column: &str| settled.cells.get(&at(unit, column)).and_then(|cell| cell.count);
        let communes = self.unit.communes.iter().filter(|_| sheet.is_by_commune).map(|commune| commune.code.as_str());
        let mut rows = Vec::new();
        for unit in std::iter::once(self.unit.code.as_str()).chain(communes) {
            for metric in &sheet.metrics {
                let known = metric.shown.get(unit);
                let (numerator, denominator, is_shown) = match &metric.of {
                    Of::Dossiers { numerator, denominator } => {
                        let parts = (count(unit, numerator), count(unit, denominator));
                        (parts.0, parts.1, parts.0.is_some() && parts.1.is_some())
                    }
                    Of::Procedures => {
                        let counts = known.and_then(|shown| shown.counts);
                        (counts.map(|(part, _)| part), counts.map(|(_, whole)| whole), true)
                    }
                };
                let shown = known.filter(|_| is_shown).cloned().unwrap_or_default();
                rows.push(vec![
                    Some(Value::text(&period)),
                    Some(Value::text(unit)),
                    Some(Value::text(&metric.code)),
                    Some(Value::text(if is_shown { "published" } else { "withheld" })),
                    numerator.map(Value::Count),
                    denominator.map(Value::Count),
                    shown.percent.map(Value::Text),
                    shown.score.map(Value::Text),
                    metric.maximum.map(|maximum| Value::Text(maximum.to_string())),
                ]);
            }
        }
        let own: BTreeSet<Vec<String>> =
            sheet.metrics.iter().flat_map(|metric| cells_of(sheet, metric, cube, &at)).collect();
        let cells = settled.cells.iter().filter(|(at, _)| own.contains(*at)).map(|(_, cell)| cell.clone()).collect();
        Decided::new(Parts {
            table: sheet.table.clone(),
            title: sheet.title.clone(),
            period: Period::Month(month),
            records: DOSSIERS,
            scope: RECEIVED.into(),
            columns: columns(),
            rows,
            cells,
            policy: self.policy.policy.clone(),
            rules: self.told(false),
            admitted: &settled.admitted,
            provenance: sheet.provenance.clone(),
        })
    }
}

/// The code of a column of a unit in every dimension.
type At<'a> = dyn Fn(&str, &str) -> Vec<String> + 'a;

/// All cells that a metric stands for, those of the rest and of no commune with them.
fn cells_of(sheet: &Sheet, metric: &Metric, cube: &Cube, at: &At<'_>) -> Vec<Vec<String>> {
    let (Some(communes), Some((numerator, denominator))) = (cube.trees().first(), metric.columns()) else {
        return Vec::new();
    };
    let below = communes.leaf_codes().filter(|_| sheet.is_by_commune);
    let mut all = Vec::new();
    for unit in std::iter::once(communes.total()).chain(below) {
        all.extend([at(unit, denominator), at(unit, numerator)]);
        let rest = at(unit, numerator).into_iter();
        all.push(rest.map(|code| if code == numerator { not(&code) } else { code }).collect());
    }
    all
}

/// The flags that the sheets speak of, with those that they are parts of.
pub(super) fn flags(sheets: &[Sheet]) -> BTreeSet<String> {
    let metrics = sheets.iter().flat_map(|sheet| &sheet.metrics).filter_map(Metric::columns);
    let columns =
        metrics.flat_map(|(numerator, denominator)| [numerator, denominator]).filter(|column| *column != BASE);
    columns.flat_map(|column| [Some(column), part_of(column)]).flatten().map(str::to_owned).collect()
}

/// The flags that are dimensions of their own, and no branch of another.
pub(super) fn dimensions(sheets: &[Sheet]) -> Vec<String> {
    flags(sheets).into_iter().filter(|flag| part_of(flag).is_none()).collect()
}

/// The sheets of a month as the policy and the decisions describe them, before anything is counted.
pub(super) fn outline(policy: &ExactPolicy, definitions: &[Definition], month: Month) -> Vec<Sheet> {
    let sheet = |wanted: &ExactScores| {
        let definition = definitions.iter().find(|known| known.name == wanted.decision)?;
        let version = definition.in_force(month.last_day(), month.last_day())?;
        let metrics = version.groups.iter().flat_map(|group| &group.metrics);
        let metrics = metrics.filter(|metric| wanted.metrics.contains(&metric.code)).filter_map(|metric| {
            Some(Metric {
                code: metric.code.clone(),
                of: Of::by(&metric.formula)?,
                maximum: metric.formula.maximum(),
                shown: BTreeMap::new(),
            })
        });
        let (table, title) = (wanted.table.clone(), wanted.title.clone());
        let (is_by_commune, metrics) = (wanted.is_by_commune, metrics.collect());
        Some(Sheet { table, title, is_by_commune, metrics, provenance: Provenance::default() })
    };
    policy.scores.iter().filter_map(sheet).collect()
}

fn not(flag: &str) -> String {
    format!("not_{flag}")
}

/// Fills the combinations of one unit: the first so many of its dossiers have each flag.
fn fill(
    cube: &mut Cube,
    unit: &str,
    month: Month,
    flags: &BTreeSet<String>,
    sums: &BTreeMap<String, u64>,
) -> Result<(), Fault> {
    let sum = |column: &str| sums.get(column).copied().unwrap_or(0);
    for flag in flags {
        let whole = part_of(flag).unwrap_or(BASE);
        if sum(flag) > sum(whole) {
            return Err(contradiction(flag));
        }
    }
    // Between two of these numbers all dossiers are alike.
    let ends: BTreeSet<u64> = flags.iter().map(|flag| sum(flag)).chain([sum(BASE)]).collect();
    let mut begin = 0;
    for end in ends {
        let leaf = |flag: &String| -> String {
            if begin >= sum(flag) {
                return not(flag);
            }
            match flags.iter().find(|child| part_of(child) == Some(flag)) {
                Some(child) if begin >= sum(child) => not(child),
                Some(child) => child.clone(),
                None => flag.clone(),
            }
        };
        let leaves: Vec<String> = flags.iter().filter(|flag| part_of(flag).is_none()).map(leaf).collect();
        let period = month.to_string();
        let at: Vec<&str> = [unit, &period].into_iter().chain(leaves.iter().map(String::as_str)).collect();
        cube.add(&at, end.saturating_sub(begin)).map_err(|error| error.fault())?;
        begin = end;
    }
    Ok(())
}

fn contradiction(column: &str) -> Fault {
    Fault::new(
        "disclosure.contradiction",
        Place::Thing(format!("column {column} of sql/quality/indices/")),
        format!("{column} counts more dossiers than what it is a part of"),
        "correct the select: each dossier received counts at most once in it",
    )
}

/// The cells of a sheet: for each metric the denominator, the numerator and the rest, of the unit and each commune.
pub(super) fn layouts(sheet: &Sheet, month: Month) -> Vec<Layout> {
    let month = month.to_string();
    let commune = ExactDimension::Commune.word();
    let by: &[&str] = if sheet.is_by_commune { &[commune] } else { &[] };
    let of = |metric: &Metric| {
        let (flag, _) = metric.columns()?;
        let mut layout = Layout::by(&names(&sheet.table, &metric.code), by).only(PERIOD, &[&month]);
        let (dimension, whole) = match part_of(flag) {
            Some(parent) => (parent, parent),
            None => (flag, ANY),
        };
        let codes = vec![whole.to_owned(), flag.to_owned(), not(flag)];
        layout.axes.insert(dimension.to_owned(), Axis::Only(codes));
        Some(layout)
    };
    sheet.metrics.iter().filter_map(of).collect()
}

fn columns() -> Vec<Column> {
    let none = || Text::new("", "");
    let counted = || Text::new("hồ sơ, hoặc thủ tục", "dossiers, or procedures");
    let plain = |name: &str, kind, title: Text, unit: Text| Column::new(name, kind, title.clone(), unit, title);
    vec![
        plain(PERIOD, Kind::Dimension, Text::new("Tháng tiếp nhận", "Month of receipt"), none()),
        Column::new(
            "commune_code",
            Kind::Dimension,
            Text::new("Xã, phường", "Commune"),
            none(),
            Text::new(
                "Mã xã, phường, đặc khu; mã của tỉnh là toàn địa bàn, gồm cả các sở",
                "Code of the commune; the code of the province is the whole area, its departments with it",
            ),
        ),
        plain("metric", Kind::Dimension, Text::new("Mã chỉ số", "Code of the metric"), none()),
        Column::status(),
        plain("numerator", Kind::Count, Text::new("Tử số", "Numerator"), counted()),
        plain("denominator", Kind::Count, Text::new("Mẫu số", "Denominator"), counted()),
        plain("percent", Kind::Share, Text::new("Tỷ lệ", "Share"), Text::new("%", "%")),
        plain("score", Kind::Score, Text::new("Điểm", "Points"), Text::new("điểm", "points")),
        plain("maximum", Kind::Score, Text::new("Điểm tối đa", "The most points"), Text::new("điểm", "points")),
    ]
}
