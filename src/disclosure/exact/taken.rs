//! Tables of recommended options that were taken: by commune, age and outcome, with the share in each, how far it lies
//! from everybody's (disparity), and what it was in the month before (drift).
//!
//! A person counts once in a month for each outcome, by the first dossier that they filed after something was
//! recommended to them. It must not know what was recommended to whom: it is given counts.

use super::super::cells::{Axis, Cube, Earlier, Layout, Tree};
use super::super::released::Provenance;
use super::decided::{Column, Decided, Kind, Parts, Value};
use super::settle::{Candidate, Settled, Way, settle};
use super::{Closing, Month, Outcome, PERIOD, Period};
use crate::fault::{Explain, Fault};
use crate::language::Text;
use crate::pipeline::exact::{ExactOptions, OptionGroup};

/// What the gate calls these people.
const RECOMMENDED: &str = "recommendations";

/// The scope of these cells: the people who filed in a month what an option was recommended for.
const ACTED: &str = "recommendations acted on";

/// The total of the dimensions that have no code of their own for it.
const ALL: &str = "all";

/// The dimension of what they did, and its two categories.
const CHOICE: &str = "choice";
const TAKEN: &str = "taken";
const OTHER: &str = "other";

/// The groups of ages, of people whose date of birth is known and of the others: a public code list.
pub const AGES: [&str; 4] = ["under_35", "35_to_59", "from_60", "unknown"];

/// How many people of a group did one or the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choices {
    /// The commune.
    pub commune: String,
    /// One of [`AGES`].
    pub age_group: String,
    /// The outcome.
    pub outcome: String,
    /// Whether they took what was recommended to them.
    pub is_taken: bool,
    /// How many.
    pub people: u64,
}

impl Closing<'_> {
    /// The choices of a month as cells over public code lists, and how many people the lists do not know.
    ///
    /// # Errors
    ///
    /// Code lists that cannot be decided together.
    pub fn count_choices(&self, month: Month, outcomes: &[&str], choices: &[Choices]) -> Result<(Cube, u64), Fault> {
        let period = month.to_string();
        let trees = || -> Result<Vec<Tree>, super::super::cells::Error> {
            Ok(vec![
                self.communes(&[])?,
                Tree::flat(OptionGroup::Age.word(), ALL, &AGES)?,
                Tree::flat(OptionGroup::Outcome.word(), ALL, outcomes)?,
                Tree::flat(PERIOD, &period, &[])?,
                Tree::flat(CHOICE, ALL, &[TAKEN, OTHER])?,
            ])
        };
        let mut cube = trees().and_then(Cube::new).map_err(|error| error.fault())?;
        let mut left_out = 0;
        for one in choices {
            let is_known = self.unit.communes.iter().any(|known| known.code == one.commune)
                && AGES.contains(&one.age_group.as_str())
                && outcomes.contains(&one.outcome.as_str());
            if !is_known {
                left_out += one.people;
                continue;
            }
            let choice = if one.is_taken { TAKEN } else { OTHER };
            let at = [one.commune.as_str(), &one.age_group, &one.outcome, &period, choice];
            cube.add(&at, one.people).map_err(|error| error.fault())?;
        }
        Ok((cube, left_out))
    }

    /// Decides about the tables of a month that are not among the decided ones.
    pub fn decide_choices(&self, month: Month, cube: &Cube, decided: &[Decided], provenance: &Provenance) -> Outcome {
        let period = Period::Month(month);
        let is_open = |table: &&ExactOptions| !decided.iter().any(|known| known.is(&table.table, period));
        let open: Vec<&ExactOptions> = self.policy.options.iter().filter(is_open).collect();
        let candidate =
            |table: &&ExactOptions| Candidate { table: table.table.clone(), layouts: vec![layout(table, month)] };
        let candidates: Vec<Candidate> = open.iter().map(candidate).collect();
        let before = decided.iter().filter(|known| known.scope() == ACTED && known.period() == period);
        let earlier: Vec<Earlier> = before.flat_map(|known| known.cells().to_vec()).collect();
        let trees = cube.trees().to_vec();
        let rules = self.rules(&trees);
        let gate = self.gate(trees, &[]);
        let way = Way {
            records: RECOMMENDED,
            rules: &rules,
            rounding: None,
            gate: &gate,
            // Nothing of these people is published with noise.
            noisy: &[],
            earlier: &earlier,
        };
        let (settled, held) = settle(cube, &candidates, &way);
        let name = |place: usize| open.get(place).map(|table| table.table.clone()).unwrap_or_default();
        let held = held.into_iter().map(|(place, fault)| (name(place), fault)).collect();
        let mut outcome = Outcome { decided: Vec::new(), held };
        let Some(settled) = settled else { return outcome };
        for table in settled.kept.iter().filter_map(|place| open.get(*place)) {
            let last = decided.iter().filter(|known| known.table() == table.table && known.period() < period);
            let last = last.max_by_key(|known| known.period());
            outcome.decided.push(self.choices(table, month, cube, &settled, last, provenance));
        }
        outcome
    }

    fn choices(
        &self,
        table: &ExactOptions,
        month: Month,
        cube: &Cube,
        settled: &Settled,
        last: Option<&Decided>,
        provenance: &Provenance,
    ) -> Decided {
        let mut rows = Vec::new();
        for place in places(table, cube) {
            rows.push(row(table, month, &place, settled, cube, last));
        }
        let layout = layout(table, month);
        let is_own = |at: &&Vec<String>| super::counted::shows(&layout, cube.trees(), at);
        let cells = settled.cells.iter().filter(|(at, _)| is_own(at)).map(|(_, cell)| cell.clone()).collect();
        Decided::new(Parts {
            table: table.table.clone(),
            title: table.title.clone(),
            period: Period::Month(month),
            records: RECOMMENDED,
            scope: ACTED.into(),
            columns: columns(table),
            rows,
            cells,
            policy: self.policy.policy.clone(),
            rules: self.told(false),
            admitted: &settled.admitted,
            provenance: provenance.clone(),
        })
    }
}

/// The cells of a table: every group with its totals, and what they did.
fn layout(table: &ExactOptions, month: Month) -> Layout {
    let dimension = |group: &OptionGroup| match group {
        OptionGroup::Commune => crate::pipeline::exact::ExactDimension::Commune.word(),
        other => other.word(),
    };
    let words: Vec<&str> = table.by.iter().map(dimension).collect();
    let mut layout = Layout::by(&table.table, &words).only(PERIOD, &[&month.to_string()]);
    layout.axes.insert(CHOICE.to_owned(), Axis::Every);
    layout
}

/// The groups of a table by their codes, in the order of the dimensions: the total of each that it is not by.
fn places(table: &ExactOptions, cube: &Cube) -> Vec<[String; 3]> {
    let codes = |place: usize, group: OptionGroup| -> Vec<String> {
        let Some(tree) = cube.trees().get(place) else { return Vec::new() };
        let total = std::iter::once(tree.total().to_owned());
        if table.by.contains(&group) {
            total.chain(tree.leaf_codes().map(str::to_owned)).collect()
        } else {
            total.collect()
        }
    };
    let (communes, ages) = (codes(0, OptionGroup::Commune), codes(1, OptionGroup::Age));
    let outcomes = codes(2, OptionGroup::Outcome);
    let mut all = Vec::with_capacity(communes.len() * ages.len() * outcomes.len());
    for commune in &communes {
        for age in &ages {
            all.extend(outcomes.iter().map(|outcome| [commune.clone(), age.clone(), outcome.clone()]));
        }
    }
    all
}

fn row(
    table: &ExactOptions,
    month: Month,
    place: &[String; 3],
    settled: &Settled,
    cube: &Cube,
    last: Option<&Decided>,
) -> Vec<Option<Value>> {
    let period = month.to_string();
    let count = |[commune, age, outcome]: &[String; 3], choice: &str| {
        let at: Vec<String> = [commune, age, outcome, period.as_str(), choice].map(str::to_owned).to_vec();
        settled.cells.get(&at).and_then(|cell| cell.count)
    };
    let tenths = |place: &[String; 3]| tenths(count(place, TAKEN)?, count(place, ALL)?);
    let total = |at: usize| cube.trees().get(at).map(|tree| tree.total().to_owned()).unwrap_or_default();
    // Beside everybody to whom the same outcome's options were recommended.
    let [_, _, outcome] = place;
    let everybody = [total(0), total(1), outcome.clone()];
    let own = tenths(place);
    let disparity = own.zip(tenths(&everybody)).map(|(own, all)| own - all);
    let before = last.and_then(|last| share_in(last, table, place));
    let mut row = vec![Some(Value::text(&period))];
    for (group, code) in OptionGroup::WORDS.iter().map(|(_, group)| group).zip(place) {
        if table.by.contains(group) {
            row.push(Some(Value::text(code)));
        }
    }
    let (acted, taken) = (count(place, ALL), count(place, TAKEN));
    let is_whole = acted.is_some() && taken.is_some();
    row.push(Some(Value::text(if is_whole { "published" } else { "withheld" })));
    row.extend([acted.map(Value::Count), taken.map(Value::Count)]);
    row.push(own.map(decimal));
    row.push(disparity.map(decimal));
    row.push(own.zip(before).map(|(own, before)| decimal(own - before)));
    row
}

/// A share in tenths of a percent, half away from zero; none of nothing.
fn tenths(part: u64, all: u64) -> Option<i64> {
    let tenths = (u128::from(part) * 2000 + u128::from(all)).checked_div(u128::from(all) * 2)?;
    i64::try_from(tenths).ok()
}

fn decimal(tenths: i64) -> Value {
    let sign = if tenths < 0 { "-" } else { "" };
    let size = tenths.unsigned_abs();
    Value::Text(format!("{sign}{}.{}", size / 10, size % 10))
}

/// The share of the same group in an earlier table, as it was published.
fn share_in(last: &Decided, table: &ExactOptions, place: &[String; 3]) -> Option<i64> {
    let groups = OptionGroup::WORDS.iter().map(|(_, group)| group).zip(place);
    let wanted: Vec<Value> =
        groups.filter(|(group, _)| table.by.contains(group)).map(|(_, code)| Value::text(code)).collect();
    let at = last.columns.iter().position(|column| column.name == SHARE)?;
    let is_meant =
        |row: &&Vec<Option<Value>>| row.iter().skip(1).zip(&wanted).all(|(cell, wanted)| cell.as_ref() == Some(wanted));
    match last.rows.iter().find(is_meant)?.get(at)?.as_ref()? {
        Value::Text(digits) => digits.replace('.', "").parse().ok(),
        Value::Count(_) => None,
    }
}

/// The column of the share.
const SHARE: &str = "taken_percent";

fn columns(table: &ExactOptions) -> Vec<Column> {
    let none = || Text::new("", "");
    let people = || Text::new("người", "people");
    let points = || Text::new("điểm phần trăm", "percentage points");
    let plain = |name: &str, kind, title: Text, unit: Text| Column::new(name, kind, title.clone(), unit, title);
    let mut columns = vec![plain(PERIOD, Kind::Dimension, Text::new("Tháng nộp hồ sơ", "Month of filing"), none())];
    for group in &table.by {
        let title = match group {
            OptionGroup::Commune => Text::new("Xã, phường", "Commune"),
            OptionGroup::Age => Text::new("Nhóm tuổi", "Age group"),
            OptionGroup::Outcome => Text::new("Kết quả của thủ tục", "Outcome"),
        };
        columns.push(plain(group.word(), Kind::Dimension, title, none()));
    }
    columns.push(Column::status());
    columns.extend([
        Column::new(
            "acted",
            Kind::Count,
            Text::new("Số người nộp hồ sơ sau khi được khuyến nghị", "People who filed after a recommendation"),
            people(),
            Text::new(
                "Số người nộp hồ sơ trong tháng, trong 180 ngày sau khi được khuyến nghị; số chính xác, để trống khi không công bố",
                "People who filed in the month, within 180 days of a recommendation; exact, blank where it is withheld",
            ),
        ),
        Column::new(
            TAKEN,
            Kind::Count,
            Text::new("Số người chọn cách được khuyến nghị", "Those who took the recommended option"),
            people(),
            Text::new(
                "Trong số đó, số người nộp theo cách được khuyến nghị; số chính xác, để trống khi không công bố",
                "Of those, people who filed the recommended way; exact, blank where it is withheld",
            ),
        ),
        plain(SHARE, Kind::Share, Text::new("Tỷ lệ chọn cách được khuyến nghị", "Share who took it"), Text::new("%", "%")),
        plain("disparity_points", Kind::Score, Text::new("Chênh lệch so với tất cả", "Difference from everybody"), points()),
        plain("drift_points", Kind::Score, Text::new("Thay đổi so với tháng trước", "Change from the month before"), points()),
    ]);
    columns
}
