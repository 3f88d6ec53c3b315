//! Released tables, read as the figures that the page shows.
//!
//! Tables are recognised by their columns and not by their names, which each
//! agency chooses in its privacy policy.

use std::collections::BTreeMap;

use super::super::period::Period;
use super::super::sheet::Breakdown;
use super::super::{Error, Sheet};
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

/// The cells of one indicator, breakdown and period, by commune code, group id, or nothing.
type Cells = BTreeMap<String, Cell>;

/// All that the page shows.
pub(super) struct Figures {
    cells: BTreeMap<(Indicator, Breakdown), BTreeMap<Period, Cells>>,
}

impl Figures {
    /// Reads every table that holds an indicator for the whole unit, by commune or by procedure group.
    pub(super) fn read(sheets: &[Sheet]) -> Result<Self, Error> {
        let mut cells: BTreeMap<_, BTreeMap<Period, Cells>> = BTreeMap::new();
        let tables: BTreeMap<&str, Breakdown> = sheets.iter().map(|sheet| (sheet.name, sheet.breakdown())).collect();
        for sheet in sheets {
            for indicator in Indicator::ALL {
                let key = match sheet.breakdown() {
                    Breakdown::Unit => None,
                    Breakdown::Commune => Some("commune_code"),
                    Breakdown::Group => Some("procedure_group"),
                    Breakdown::CommuneAndGroup => continue,
                };
                if !sheet.has(&format!("{}_percent", indicator.column())) {
                    continue;
                }
                let read = read(sheet, indicator, key, &tables)
                    .map_err(|source| Error::Column { table: sheet.name.to_owned(), source })?;
                // Of two tables that say the same, the first by name is shown.
                cells.entry((indicator, sheet.breakdown())).or_default().entry(sheet.period).or_insert(read);
            }
        }
        Ok(Figures { cells })
    }

    /// Whether any table holds this indicator.
    pub(super) fn knows(&self, indicator: Indicator) -> bool {
        self.cells.keys().any(|(known, _)| *known == indicator)
    }

    /// The latest month of which anything is known for the whole unit.
    pub(super) fn latest_month(&self) -> Option<Period> {
        let units = self.cells.iter().filter(|((_, breakdown), _)| *breakdown == Breakdown::Unit);
        units.flat_map(|(_, periods)| periods.keys().copied()).filter(|period| period.is_month()).max()
    }

    /// The whole unit in one period.
    pub(super) fn unit(&self, indicator: Indicator, period: Period) -> Option<&Cell> {
        self.cells.get(&(indicator, Breakdown::Unit))?.get(&period)?.values().next()
    }

    /// The whole unit by month, the earliest first.
    pub(super) fn months(&self, indicator: Indicator) -> Vec<(Period, &Cell)> {
        let periods = self.cells.get(&(indicator, Breakdown::Unit)).into_iter().flatten();
        let months = periods.filter(|(period, _)| period.is_month());
        months.filter_map(|(period, cells)| Some((*period, cells.values().next()?))).collect()
    }

    /// The latest period of a breakdown.
    pub(super) fn latest(&self, indicator: Indicator, breakdown: Breakdown) -> Option<Period> {
        self.cells.get(&(indicator, breakdown))?.keys().next_back().copied()
    }

    /// One cell of the latest period in which it is published. Where it never was, as it stands in the latest quarter,
    /// which knows where a month's records went in the end.
    pub(super) fn latest_cell(&self, indicator: Indicator, breakdown: Breakdown, key: &str) -> Option<(Period, &Cell)> {
        let periods = self.cells.get(&(indicator, breakdown))?;
        let cells = || periods.iter().rev().filter_map(|(period, cells)| Some((*period, cells.get(key)?)));
        let published = cells().find(|(_, cell)| cell.estimate().is_some());
        published.or_else(|| cells().find(|(period, _)| !period.is_month())).or_else(|| cells().next())
    }
}

fn read(
    sheet: &Sheet,
    indicator: Indicator,
    key: Option<&str>,
    tables: &BTreeMap<&str, Breakdown>,
) -> Result<Cells, crate::tables::Error> {
    let table = Table::from_batch(sheet.table.clone());
    let column = indicator.column();
    let keys = match key {
        Some(key) => table.texts(key)?,
        None => vec![Some(String::new()); table.rows()],
    };
    let percents = table.floats(&format!("{column}_percent"))?;
    let lows = table.floats(&format!("{column}_percent_low"))?;
    let highs = table.floats(&format!("{column}_percent_high"))?;
    let counts = table.ints("count")?;
    let rolled_up_to = table.texts("rolled_up_to")?;
    let estimates = percents.into_iter().zip(lows).zip(highs).zip(counts);
    let mut cells = Cells::new();
    for ((key, estimate), to) in keys.into_iter().zip(estimates).zip(rolled_up_to) {
        let cell = match estimate {
            (((Some(percent), Some(low)), Some(high)), Some(count)) => {
                Cell::Published(Estimate { percent, low, high, count })
            }
            _ => Cell::RolledUp(match to.as_deref() {
                Some("quarter") => RolledUp::Quarter,
                Some(table) => tables.get(table).map_or(RolledUp::Nowhere, |breakdown| RolledUp::Wider(*breakdown)),
                None => RolledUp::Nowhere,
            }),
        };
        cells.insert(key.unwrap_or_default(), cell);
    }
    Ok(cells)
}
