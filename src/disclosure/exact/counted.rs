//! Tables of counted dossiers: by commune and procedure group, with how they were handled in columns.
//!
//! A quarter is the sum of its months, and its cells stand above theirs: they are decided over one tree of periods, so
//! that a month's withheld cell cannot be had from the quarter and the two other months. Where a quarter is out, a table
//! of one of its months that comes later is decided over the same tree.

use super::super::cells::{Axis, Cube, Earlier, Layout, Tree};
use super::decided::{Column, Decided, Kind, Parts, Value};
use super::settle::{Candidate, Settled, Way, settle};
use super::{Closing, DOSSIERS, Outcome, PERIOD, Period, names};
use crate::fault::{Explain, Fault, Place};
use crate::language::Text;
use crate::pipeline::Dimension;
use crate::pipeline::exact::{ExactDimension, ExactMeasure, ExactTable};
use crate::tables::Table;

use super::super::released::Provenance;

/// The scope of these cells: the dossiers that were due in a month.
pub(super) const DUE: &str = "dossiers due";

/// The total of the dimensions that have no code of their own for it.
const ALL: &str = "all";

/// The categories of a dossier, with the words of their dimensions.
const TIMELINESS: [&str; 2] = ["on_time", "late"];
const CHANNEL: [&str; 2] = ["online", "other"];

impl Closing<'_> {
    /// The period over whose tree a period has to be decided: its quarter where something of that is decided already.
    pub fn frame(period: Period, decided: &[Decided]) -> Period {
        let quarter = match period {
            Period::Month(month) => Period::Quarter(month.quarter()),
            Period::Quarter(_) | Period::Year(_) | Period::Week(_) => return period,
        };
        let is_out = decided.iter().any(|known| known.scope() == DUE && known.period() == quarter);
        if is_out { quarter } else { period }
    }

    /// The counts of a period over public code lists, from `quality.counts` (`month`, `commune_code`,
    /// `procedure_group`, `is_on_time`, `is_online`, `dossiers`); and how many dossiers the lists do not know.
    ///
    /// # Errors
    ///
    /// A table of another shape, or code lists that cannot be decided together.
    pub fn count(&self, period: Period, counts: &Table) -> Result<(Cube, u64), Fault> {
        let mut cube =
            Cube::new(self.due_trees(period).map_err(|error| error.fault())?).map_err(|error| error.fault())?;
        let fault = |error: crate::tables::Error| error.fault();
        let texts = |column: &str| counts.texts(column).map_err(fault);
        let bools = |column: &str| counts.bools(column).map_err(fault);
        let (months, communes, groups) = (texts("month")?, texts("commune_code")?, texts("procedure_group")?);
        let (on_time, online) = (bools("is_on_time")?, bools("is_online")?);
        let dossiers = counts.ints("dossiers").map_err(fault)?;
        let wanted: Vec<String> = period.months().iter().map(ToString::to_string).collect();
        let mut left_out = 0_u64;
        let rows = months.iter().zip(communes).zip(groups).zip(on_time).zip(online).zip(dossiers);
        for (((((row_month, commune), group), on_time), online), count) in rows {
            let Some(month) = row_month.as_ref().filter(|month| wanted.contains(month)) else { continue };
            let count = count.and_then(|count| u64::try_from(count).ok()).unwrap_or(0);
            let (commune, group) = (commune.unwrap_or_default(), group.unwrap_or_default());
            let is_known = self.unit.communes.iter().any(|known| known.code == commune)
                && self.groups.iter().any(|known| known.id == group);
            if !is_known {
                left_out = left_out.saturating_add(count);
                continue;
            }
            let [yes, no] = TIMELINESS;
            let timeliness = if on_time == Some(true) { yes } else { no };
            let [yes, no] = CHANNEL;
            let channel = if online == Some(true) { yes } else { no };
            cube.add(&[&commune, &group, month, timeliness, channel], count).map_err(|error| error.fault())?;
        }
        Ok((cube, left_out))
    }

    pub(super) fn due_trees(&self, period: Period) -> Result<Vec<Tree>, super::super::cells::Error> {
        let groups: Vec<&str> = self.groups.iter().map(|group| group.id.as_str()).collect();
        let months: Vec<String> = match period {
            Period::Month(_) | Period::Year(_) | Period::Week(_) => Vec::new(),
            Period::Quarter(quarter) => quarter.months().iter().map(ToString::to_string).collect(),
        };
        let months: Vec<&str> = months.iter().map(String::as_str).collect();
        Ok(vec![
            self.communes(&[])?,
            Tree::flat(ExactDimension::ProcedureGroup.word(), ALL, &groups)?,
            Tree::flat(PERIOD, &period.to_string(), &months)?,
            Tree::flat(ExactDimension::Timeliness.word(), ALL, &TIMELINESS)?,
            Tree::flat(ExactDimension::Channel.word(), ALL, &CHANNEL)?,
        ])
    }

    /// Decides about the tables of a period that are not among the decided ones. The cube is that of [`Closing::frame`].
    pub fn decide(&self, period: Period, cube: &Cube, decided: &[Decided], provenance: &Provenance) -> Outcome {
        let is_open =
            |table: &&ExactTable| is_made(table, period) && !decided.iter().any(|known| known.is(&table.table, period));
        let open: Vec<&ExactTable> = self.policy.tables.iter().filter(is_open).collect();
        let candidate = |table: &&ExactTable| Candidate { table: table.table.clone(), layouts: layouts(table, period) };
        let candidates: Vec<Candidate> = open.iter().map(candidate).collect();
        let is_in = |known: &&Decided| {
            let code = known.period().to_string();
            known.scope() == DUE && cube.trees().iter().any(|tree| tree.name() == PERIOD && tree.node(&code).is_ok())
        };
        let before = decided.iter().filter(is_in);
        let earlier: Vec<Earlier> = before.flat_map(|known| known.cells().to_vec()).collect();
        if let Some(fault) = self.rounded_before(period, &earlier) {
            let held = open.iter().map(|table| (table.table.clone(), fault.clone())).collect();
            return Outcome { decided: Vec::new(), held };
        }
        let trees = cube.trees().to_vec();
        let (rules, noisy) = (self.rules(&trees), self.noisy(&trees, period));
        let gate = self.gate(trees, &[]);
        let way = Way {
            records: DOSSIERS,
            rules: &rules,
            rounding: self.policy.rounding,
            gate: &gate,
            noisy: &noisy,
            earlier: &earlier,
        };
        let (settled, held) = settle(cube, &candidates, &way);
        let name = |place: usize| open.get(place).map(|table| table.table.clone()).unwrap_or_default();
        let mut outcome = Outcome {
            decided: Vec::new(),
            held: held.into_iter().map(|(place, fault)| (name(place), fault)).collect(),
        };
        let Some(settled) = settled else { return outcome };
        for table in settled.kept.iter().filter_map(|place| open.get(*place)) {
            outcome.decided.push(self.table(table, period, cube, &settled, provenance));
        }
        outcome
    }

    /// What was rounded is no equation over the true counts, and a second rounding beside it would give some away.
    fn rounded_before(&self, period: Period, earlier: &[Earlier]) -> Option<Fault> {
        (self.policy.rounding.is_some() && !earlier.is_empty()).then(|| {
            Fault::new(
                "disclosure.rounded-before",
                Place::Thing(format!("exact tables of {period}")),
                format!("other tables of {period} were published before, and rounding is done once for all of a month"),
                "leave this month as it is: from the next one on all tables are rounded together",
            )
        })
    }

    fn table(
        &self,
        table: &ExactTable,
        period: Period,
        cube: &Cube,
        settled: &Settled,
        provenance: &Provenance,
    ) -> Decided {
        let codes = |place: usize, is_shown: bool| -> Vec<String> {
            let Some(tree) = cube.trees().get(place) else { return Vec::new() };
            let total = std::iter::once(tree.total().to_owned());
            if is_shown { total.chain(tree.leaf_codes().map(str::to_owned)).collect() } else { total.collect() }
        };
        let communes = codes(0, table.by.contains(&Dimension::Commune));
        let groups = codes(1, table.by.contains(&Dimension::ProcedureGroup));
        let mut rows = Vec::with_capacity(communes.len() * groups.len());
        for commune in &communes {
            for group in &groups {
                rows.push(row(table, period, (commune, group), settled));
            }
        }
        // What leaves is told by this table's own cells; those beside them are remembered by theirs.
        let is_own = |at: &&Vec<String>| layouts(table, period).iter().any(|layout| shows(layout, cube.trees(), at));
        let cells = settled.cells.iter().filter(|(at, _)| is_own(at)).map(|(_, cell)| cell.clone()).collect();
        Decided::new(Parts {
            table: table.table.clone(),
            title: table.title.clone(),
            period,
            records: DOSSIERS,
            scope: DUE.into(),
            columns: columns(table, period),
            rows,
            cells,
            policy: self.policy.policy.clone(),
            rules: self.told(true),
            admitted: &settled.admitted,
            provenance: provenance.clone(),
        })
    }
}

/// Whether a table is made of such a period: of each month, and of each quarter where its policy says so.
pub fn is_made(table: &ExactTable, period: Period) -> bool {
    match period {
        Period::Month(_) => true,
        Period::Quarter(_) => table.has_quarters,
        // A year would be decided over the tree of all its months: there is no such table yet.
        Period::Year(_) | Period::Week(_) => false,
    }
}

/// The cells of a table: those of each way in which it counts, with the categories that are the rest of them.
pub(super) fn layouts(table: &ExactTable, period: Period) -> Vec<Layout> {
    let words: Vec<&str> = table.by.iter().map(|dimension| super::bins::dimension_word(*dimension)).collect();
    let period = period.to_string();
    let base = |name: &str| Layout::by(name, &words).only(PERIOD, &[&period]);
    let mut dimensions: Vec<ExactDimension> = table.measures.iter().filter_map(|measure| measure.dimension()).collect();
    dimensions.sort();
    dimensions.dedup();
    let mut all = Vec::new();
    if dimensions.is_empty() {
        all.push(base(&table.table));
    }
    for dimension in dimensions {
        let mut layout = base(&names(&table.table, dimension.word()));
        // The total with them: late is what is left of all when those on time are known.
        layout.axes.insert(dimension.word().to_owned(), Axis::Every);
        all.push(layout);
    }
    all
}

pub(super) fn shows(layout: &Layout, trees: &[Tree], at: &[String]) -> bool {
    trees.iter().zip(at).all(|(tree, code)| match layout.axes.get(tree.name()) {
        None => code == tree.total(),
        Some(Axis::Every) => true,
        Some(Axis::Only(codes)) => codes.contains(code),
    })
}

/// A row: the codes, whether anything is withheld, the counts and the shares that follow from them.
fn row(table: &ExactTable, period: Period, (commune, group): (&str, &str), settled: &Settled) -> Vec<Option<Value>> {
    let period = period.to_string();
    let count = |measure: ExactMeasure| {
        let (timeliness, channel) = match measure {
            ExactMeasure::Dossiers => (ALL, ALL),
            ExactMeasure::OnTime => ("on_time", ALL),
            ExactMeasure::Late => ("late", ALL),
            ExactMeasure::Online => (ALL, "online"),
        };
        let at: Vec<String> = [commune, group, &period, timeliness, channel].map(str::to_owned).to_vec();
        settled.cells.get(&at).and_then(|cell| cell.count)
    };
    let counts: Vec<Option<u64>> = table.measures.iter().map(|measure| count(*measure)).collect();
    let is_whole = counts.iter().all(Option::is_some);
    let mut row = vec![Some(Value::text(&period))];
    if table.by.contains(&Dimension::Commune) {
        row.push(Some(Value::text(commune)));
    }
    if table.by.contains(&Dimension::ProcedureGroup) {
        row.push(Some(Value::text(group)));
    }
    row.push(Some(Value::text(if is_whole { "published" } else { "withheld" })));
    row.extend(counts.iter().map(|count| count.map(Value::Count)));
    let all = count(ExactMeasure::Dossiers);
    for share in shares(table) {
        row.push(count(share).zip(all).and_then(|(part, all)| percent(part, all)).map(Value::Text));
    }
    row
}

/// The measures of which the share in all dossiers is shown.
fn shares(table: &ExactTable) -> Vec<ExactMeasure> {
    if !table.measures.contains(&ExactMeasure::Dossiers) {
        return Vec::new();
    }
    let is_share = |measure: &ExactMeasure| matches!(measure, ExactMeasure::OnTime | ExactMeasure::Online);
    table.measures.iter().copied().filter(is_share).collect()
}

/// A share in percent with one decimal, half away from zero, from whole numbers alone; none of nothing.
fn percent(part: u64, all: u64) -> Option<String> {
    let tenths = (u128::from(part) * 2000 + u128::from(all)).checked_div(u128::from(all) * 2)?;
    Some(format!("{}.{}", tenths / 10, tenths % 10))
}

fn columns(table: &ExactTable, period: Period) -> Vec<Column> {
    let none = || Text::new("", "");
    let words = |vi: &str, en: &str| Text::new(vi, en);
    let (title, meaning) = match period {
        Period::Month(_) | Period::Year(_) | Period::Week(_) => (
            words("Tháng", "Month"),
            words("Tháng mà hồ sơ đến hạn (2026-10)", "The month in which the dossiers were due (2026-10)"),
        ),
        Period::Quarter(_) => (
            words("Quý", "Quarter"),
            words("Quý mà hồ sơ đến hạn (2026-Q3)", "The quarter in which the dossiers were due (2026-Q3)"),
        ),
    };
    let mut columns = vec![Column::new(PERIOD, Kind::Dimension, title, none(), meaning)];
    for dimension in &table.by {
        let (title, meaning) = match dimension {
            Dimension::Commune => (
                words("Xã, phường", "Commune"),
                words(
                    "Mã xã, phường, đặc khu; mã của tỉnh là toàn địa bàn",
                    "Code of the commune; the code of the province is the whole area",
                ),
            ),
            Dimension::ProcedureGroup => (
                words("Nhóm thủ tục", "Procedure group"),
                words(
                    "Nhóm thủ tục hành chính; \"all\" là mọi nhóm",
                    "Group of administrative procedures; \"all\" is every group",
                ),
            ),
        };
        columns.push(Column::new(dimension.column(), Kind::Dimension, title, none(), meaning));
    }
    columns.push(Column::status());
    for measure in &table.measures {
        let meaning = match measure {
            ExactMeasure::Dossiers => words("Số hồ sơ đến hạn trong tháng", "Dossiers that were due in the month"),
            ExactMeasure::OnTime => {
                words("Số hồ sơ giải quyết trước và đúng hạn", "Dossiers finished on or before the day they were due")
            }
            ExactMeasure::Late => words("Số hồ sơ quá hạn", "Dossiers finished later, or not finished"),
            ExactMeasure::Online => words("Số hồ sơ nộp trực tuyến", "Dossiers submitted online"),
        };
        let exact = Text::new(
            format!("{}; số chính xác, để trống khi không công bố", meaning.vi),
            format!("{}; exact, blank where it is withheld", meaning.en),
        );
        columns.push(Column::new(measure.word(), Kind::Count, meaning, words("hồ sơ", "dossiers"), exact));
    }
    for share in shares(table) {
        let meaning = match share {
            ExactMeasure::OnTime => words("Tỷ lệ đúng hạn trên tổng số", "Share on time, of all dossiers"),
            _ => words("Tỷ lệ nộp trực tuyến trên tổng số", "Share submitted online, of all dossiers"),
        };
        let name = format!("{}_percent", share.word());
        columns.push(Column::new(&name, Kind::Share, meaning.clone(), words("%", "%"), meaning));
    }
    columns
}
