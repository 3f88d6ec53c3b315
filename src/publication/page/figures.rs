//! Released tables, read as the figures that the page shows.
//!
//! Tables are recognised by their columns and not by their names, which each
//! agency chooses in its privacy policy.

use std::collections::{BTreeMap, HashMap};

use super::super::period::Period;
use super::super::sheet::Breakdown;
use super::super::{Error, Labels, Sheet};
use crate::language::Language;
use crate::tables::Table;

/// A share that the page shows, in per cent of a count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Indicator {
    Satisfied,
    OnTime,
    Online,
}

impl Indicator {
    /// In the order of the page.
    pub(super) const ALL: [Indicator; 3] = [Indicator::Satisfied, Indicator::OnTime, Indicator::Online];

    /// The beginning of its columns' names.
    fn column(self) -> &'static str {
        match self {
            Indicator::Satisfied => "satisfied",
            Indicator::OnTime => "on_time",
            Indicator::Online => "online",
        }
    }

    /// Its word in ids and classes of the page.
    pub(super) fn tag(self) -> &'static str {
        match self {
            Indicator::Satisfied => "satisfied",
            Indicator::OnTime => "on-time",
            Indicator::Online => "online",
        }
    }

    pub(super) fn title(self, language: Language) -> &'static str {
        match (self, language) {
            (Indicator::Satisfied, Language::Vi) => "Hài lòng",
            (Indicator::Satisfied, Language::En) => "Satisfied",
            (Indicator::OnTime, Language::Vi) => "Đúng hạn",
            (Indicator::OnTime, Language::En) => "On time",
            (Indicator::Online, Language::Vi) => "Trực tuyến",
            (Indicator::Online, Language::En) => "Online",
        }
    }

    pub(super) fn lead(self, language: Language) -> &'static str {
        match (self, language) {
            (Indicator::Satisfied, Language::Vi) => {
                "Phần trăm lượt đánh giá ở mức 4 (hài lòng) hoặc 5 (rất hài lòng), trên mọi lượt đánh giá của người dân sau khi làm thủ tục."
            }
            (Indicator::Satisfied, Language::En) => {
                "Ratings at level 4 (satisfied) or 5 (very satisfied), as a percentage of all ratings that people gave after using a service."
            }
            (Indicator::OnTime, Language::Vi) => {
                "Phần trăm hồ sơ có kết quả không muộn hơn ngày hẹn trả, trên mọi hồ sơ đến hạn trong kỳ."
            }
            (Indicator::OnTime, Language::En) => {
                "Dossiers settled no later than the date promised, as a percentage of all dossiers due in the period."
            }
            (Indicator::Online, Language::Vi) => {
                "Phần trăm hồ sơ được nộp trực tuyến, trên mọi hồ sơ đến hạn trong kỳ."
            }
            (Indicator::Online, Language::En) => {
                "Dossiers that were submitted online, as a percentage of all dossiers due in the period."
            }
        }
    }
}

/// A percentage, its 95 % interval, and the protected count it is a share of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Estimate {
    pub(super) percent: f64,
    pub(super) low: f64,
    pub(super) high: f64,
    pub(super) count: i64,
    /// The band among the rows of its table, where they are ranked.
    pub(super) band: Option<i64>,
    /// Whether its table calls it poor: an interval of more than ten points to either side.
    pub(super) is_poor: bool,
}

/// A cell of a released table.
#[derive(Debug, Clone)]
pub(super) enum Cell {
    Published(Estimate),
    /// Too few records to be shown alone.
    RolledUp(RolledUp),
}

/// Where the records of a rolled-up cell are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RolledUp {
    /// In the same table of the quarter.
    Quarter,
    /// In a wider table of the same period.
    Wider(Breakdown),
    /// In no published table.
    Nowhere,
}

impl Cell {
    pub(super) fn estimate(&self) -> Option<&Estimate> {
        match self {
            Cell::Published(estimate) => Some(estimate),
            Cell::RolledUp(_) => None,
        }
    }

    pub(super) fn rolled_up_to(&self) -> Option<RolledUp> {
        match self {
            Cell::Published(_) => None,
            Cell::RolledUp(to) => Some(*to),
        }
    }
}

/// What a figure is about: communes and groups by their place in the public list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Unit,
    Commune(usize),
    Group(usize),
    CommuneAndGroup(usize, usize),
}

impl Place {
    pub(super) fn breakdown(self) -> Breakdown {
        match self {
            Place::Unit => Breakdown::Unit,
            Place::Commune(_) => Breakdown::Commune,
            Place::Group(_) => Breakdown::Group,
            Place::CommuneAndGroup(..) => Breakdown::CommuneAndGroup,
        }
    }
}

/// The cells of one table, dense: 30,000 of a large province are found by place and not by name.
struct Grid {
    groups: usize,
    cells: Vec<Option<Cell>>,
}

impl Grid {
    fn get(&self, place: Place) -> Option<&Cell> {
        let index = match place {
            Place::Unit => 0,
            Place::Commune(index) | Place::Group(index) => index,
            Place::CommuneAndGroup(commune, group) => commune * self.groups + group,
        };
        self.cells.get(index)?.as_ref()
    }
}

/// All that the pages show.
pub(super) struct Figures {
    grids: BTreeMap<(Indicator, Breakdown), BTreeMap<Period, (usize, Grid)>>,
}

/// The public lists: the place of each code.
struct Lists<'l> {
    communes: HashMap<&'l str, usize>,
    groups: HashMap<&'l str, usize>,
}

impl Figures {
    /// Reads every table that holds an indicator. Of the finest tables the latest month and the latest quarter are
    /// enough: where a month is too small, its records are in the quarter.
    pub(super) fn read(sheets: &[Sheet], labels: &Labels) -> Result<Self, Error> {
        let lists = Lists {
            communes: labels.communes.iter().enumerate().map(|(at, (code, _))| (code.as_str(), at)).collect(),
            groups: labels.procedure_groups.iter().enumerate().map(|(at, (id, _))| (id.as_str(), at)).collect(),
        };
        let tables: BTreeMap<&str, Breakdown> = sheets.iter().map(|sheet| (sheet.name, sheet.breakdown())).collect();
        let last = |name: &str, is_month: bool| {
            let of_kind = sheets.iter().filter(|sheet| sheet.name == name && sheet.period.is_month() == is_month);
            of_kind.map(|sheet| sheet.period).max()
        };
        let mut grids: BTreeMap<_, BTreeMap<Period, (usize, Grid)>> = BTreeMap::new();
        for (at, sheet) in sheets.iter().enumerate().filter(|(_, sheet)| sheet.noise.is_some()) {
            let is_fine = sheet.breakdown() == Breakdown::CommuneAndGroup;
            if is_fine && last(sheet.name, sheet.period.is_month()) != Some(sheet.period) {
                continue;
            }
            for indicator in Indicator::ALL {
                if !sheet.has(&format!("{}_percent", indicator.column())) {
                    continue;
                }
                let grid = read(sheet, indicator, &lists, &tables)
                    .map_err(|source| Error::Column { table: sheet.name.to_owned(), source })?;
                // Of two tables that say the same, the first by name is shown.
                let periods = grids.entry((indicator, sheet.breakdown())).or_default();
                periods.entry(sheet.period).or_insert((at, grid));
            }
        }
        Ok(Figures { grids })
    }

    /// Whether any table holds this indicator.
    pub(super) fn knows(&self, indicator: Indicator) -> bool {
        self.grids.keys().any(|(known, _)| *known == indicator)
    }

    /// The latest month of which anything is known for places of this kind.
    pub(super) fn latest_month(&self, breakdown: Breakdown) -> Option<Period> {
        let known = self.grids.iter().filter(|((_, known), _)| *known == breakdown);
        known.flat_map(|(_, periods)| periods.keys().copied()).filter(|period| period.is_month()).max()
    }

    /// One cell of one period.
    pub(super) fn cell(&self, indicator: Indicator, period: Period, place: Place) -> Option<&Cell> {
        self.grids.get(&(indicator, place.breakdown()))?.get(&period)?.1.get(place)
    }

    /// A place by month, the earliest first.
    pub(super) fn months(&self, indicator: Indicator, place: Place) -> Vec<(Period, &Cell)> {
        let periods = self.grids.get(&(indicator, place.breakdown())).into_iter().flatten();
        let months = periods.filter(|(period, _)| period.is_month());
        months.filter_map(|(period, (_, grid))| Some((*period, grid.get(place)?))).collect()
    }

    /// The latest period of a breakdown.
    pub(super) fn latest(&self, indicator: Indicator, breakdown: Breakdown) -> Option<Period> {
        self.grids.get(&(indicator, breakdown))?.keys().next_back().copied()
    }

    /// The place among the sheets of the table that the latest figures of a breakdown come from.
    pub(super) fn source(&self, indicator: Indicator, breakdown: Breakdown) -> Option<usize> {
        self.grids.get(&(indicator, breakdown))?.values().next_back().map(|(at, _)| *at)
    }

    /// One cell of the latest period in which it is published. Where it never was, as it stands in the latest quarter,
    /// which knows where a month's records went in the end.
    pub(super) fn latest_cell(&self, indicator: Indicator, place: Place) -> Option<(Period, &Cell)> {
        let periods = self.grids.get(&(indicator, place.breakdown()))?;
        let cells = || periods.iter().rev().filter_map(|(period, (_, grid))| Some((*period, grid.get(place)?)));
        let published = cells().find(|(_, cell)| cell.estimate().is_some());
        published.or_else(|| cells().find(|(period, _)| !period.is_month())).or_else(|| cells().next())
    }
}

fn read(
    sheet: &Sheet,
    indicator: Indicator,
    lists: &Lists<'_>,
    tables: &BTreeMap<&str, Breakdown>,
) -> Result<Grid, crate::tables::Error> {
    let table = Table::from_batch(sheet.table.clone());
    let column = |end: &str| format!("{}_{end}", indicator.column());
    let codes = |name: &str| match sheet.has(name) {
        true => table.texts(name).map(Some),
        false => Ok(None),
    };
    let (communes, groups) = (codes("commune_code")?, codes("procedure_group")?);
    let code = |codes: &Option<Vec<Option<String>>>, row: usize| codes.as_ref()?.get(row)?.clone();
    let (percents, lows) = (table.floats(&column("percent"))?, table.floats(&column("percent_low"))?);
    let (highs, counts) = (table.floats(&column("percent_high"))?, table.ints("count")?);
    let to = table.texts("rolled_up_to")?;
    let bands = if sheet.has(&column("band")) { table.ints(&column("band"))? } else { Vec::new() };
    let reliability = table.texts(&column("reliability"))?;
    let (many_communes, many_groups) = (lists.communes.len(), lists.groups.len());
    let size = match sheet.breakdown() {
        Breakdown::Unit => 1,
        Breakdown::Commune => many_communes,
        Breakdown::Group => many_groups,
        Breakdown::CommuneAndGroup => many_communes * many_groups,
    };
    let mut cells = vec![None; size];
    for (row, (((percent, low), high), count)) in percents.into_iter().zip(lows).zip(highs).zip(counts).enumerate() {
        let find = |codes: &Option<Vec<Option<String>>>, list: &HashMap<&str, usize>| match code(codes, row) {
            Some(code) => list.get(code.as_str()).copied(),
            None => Some(0),
        };
        let Some((commune, group)) = find(&communes, &lists.communes).zip(find(&groups, &lists.groups)) else {
            continue;
        };
        let index =
            if communes.is_some() && groups.is_some() { commune * many_groups + group } else { commune + group };
        let cell = match (percent, low, high, count) {
            (Some(percent), Some(low), Some(high), Some(count)) => Cell::Published(Estimate {
                percent,
                low,
                high,
                count,
                band: bands.get(row).copied().flatten(),
                is_poor: reliability.get(row).is_some_and(|word| word.as_deref() == Some("poor")),
            }),
            _ => Cell::RolledUp(match to.get(row).and_then(Option::as_deref) {
                Some("quarter") => RolledUp::Quarter,
                Some(table) => tables.get(table).map_or(RolledUp::Nowhere, |breakdown| RolledUp::Wider(*breakdown)),
                None => RolledUp::Nowhere,
            }),
        };
        if let Some(slot) = cells.get_mut(index) {
            *slot = Some(cell);
        }
    }
    Ok(Grid { groups: many_groups, cells })
}
