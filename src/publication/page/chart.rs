//! Figures as positions on charts, with the table that says the same.
//!
//! Positions across are percentages of the chart's width and positions down are
//! pixels, so that a chart fits a phone and a desk without scaling its letters.
//! Axes need not begin at zero, because nothing here is a bar: points and
//! intervals are read by place. The axis is lettered and the table is below.

use serde::Serialize;

use super::super::Labels;
use super::super::period::Period;
use super::super::sheet::Breakdown;
use super::figures::{Cell, Estimate, Figures, Indicator};
use super::words;
use crate::language::{Language, Text};

/// Height of the area in which a trend is drawn, in pixels.
const TREND_HEIGHT: f64 = 200.0;
/// Width of the same area in its own units; the browser stretches them.
const TREND_WIDTH: f64 = 1000.0;
/// Height of a row of a dot chart, in pixels: a line of letters and the line with the dot.
const ROW_HEIGHT: f64 = 52.0;
/// Where the first row of a dot chart begins, below the letters of the axis.
const ROWS_TOP: f64 = 30.0;

/// A line over months with the band of its 95 % interval.
#[derive(Serialize)]
pub(super) struct Trend {
    id: String,
    title: String,
    desc: String,
    ticks: Vec<Tick>,
    /// Closed outlines of the band, one per run of months without a gap.
    bands: Vec<String>,
    /// The lines, likewise.
    lines: Vec<String>,
    points: Vec<Point>,
    months: Vec<Month>,
    axis_note: Option<String>,
    table: DataTable,
}

/// Dots with intervals, one row per commune or procedure group.
#[derive(Serialize)]
pub(super) struct Dots {
    id: String,
    title: String,
    desc: String,
    height: String,
    ticks: Vec<Tick>,
    rows: Vec<DotRow>,
    /// The whole unit, for comparison.
    reference: Option<Reference>,
    note: String,
    table: DataTable,
}

/// A letter on an axis, and its grid line.
#[derive(Serialize)]
struct Tick {
    at: String,
    label: String,
}

#[derive(Serialize)]
struct Point {
    x: String,
    y: String,
    title: String,
    /// Written above the band; only the latest has one.
    label: Option<String>,
    label_y: String,
}

#[derive(Serialize)]
struct Month {
    x: String,
    label: String,
    year: Option<String>,
    /// Left out on a phone, where the letters of twelve months would meet.
    is_spare: bool,
}

#[derive(Serialize)]
struct DotRow {
    name: String,
    /// The period, where it is not that of the chart.
    period: Option<String>,
    text_y: String,
    line_y: String,
    figure: Option<DotFigure>,
    /// Said when there is no figure.
    otherwise: &'static str,
}

#[derive(Serialize)]
struct DotFigure {
    low: String,
    x: String,
    high: String,
    percent: String,
    interval: String,
}

#[derive(Serialize)]
struct Reference {
    x: String,
    label: String,
}

/// A table with the figures of a chart.
#[derive(Serialize)]
struct DataTable {
    caption: String,
    head: String,
    /// Whether rows have periods of their own.
    has_periods: bool,
    count: &'static str,
    rows: Vec<DataRow>,
}

#[derive(Serialize)]
struct DataRow {
    name: String,
    period: String,
    figure: Option<DataFigure>,
    otherwise: String,
}

#[derive(Serialize)]
struct DataFigure {
    percent: String,
    interval: String,
    count: String,
}

/// The trend of an indicator for the whole unit; none before there are two months.
pub(super) fn trend(
    figures: &Figures,
    indicator: Indicator,
    labels: &Labels,
    id: &str,
    language: Language,
) -> Option<Trend> {
    let months = figures.months(indicator);
    let (first, last) = (months.first()?.0, months.last()?.0);
    if months.len() < 2 {
        return None;
    }
    let axis = Axis::over(months.iter().filter_map(|(_, cell)| cell.estimate()));
    let (bands, lines) = outlines(&months, &axis);
    let [from, to] = [first, last].map(|period| period.words(language));
    let title = title(indicator, Breakdown::Unit, labels, language);
    let rows = months.iter().rev().map(|(period, cell)| {
        data_row(words::capital(&period.words(language)), period.words(language), cell, language)
    });
    Some(Trend {
        id: format!("{id}-trend"),
        desc: trend_desc(&months, &from, &to, language),
        ticks: axis.ticks(|percent| axis.down(percent), language),
        bands,
        lines,
        points: points(&months, &axis, language),
        months: month_ticks(&months, language),
        axis_note: axis.note(language),
        table: DataTable {
            caption: match language {
                Language::Vi => format!("{title}, từ {from} đến {to}"),
                Language::En => format!("{title}, {from} to {to}"),
            },
            head: words::Words::of(language).month.to_owned(),
            has_periods: false,
            count: indicator.count(language),
            rows: rows.collect(),
        },
        title,
    })
}

/// The latest figure of each commune or procedure group, in the order of the public list; none when nothing is known.
pub(super) fn dots(
    figures: &Figures,
    indicator: Indicator,
    breakdown: Breakdown,
    list: &[(String, Text)],
    labels: &Labels,
    id: &str,
    language: Language,
) -> Option<Dots> {
    let latest = figures.latest(indicator, breakdown)?;
    let cells = list.iter().map(|(code, name)| (name.get(language), figures.latest_cell(indicator, breakdown, code)));
    let cells: Vec<_> = cells.collect();
    let reference = figures.unit(indicator, latest).and_then(Cell::estimate);
    let axis = Axis::over(cells.iter().filter_map(|(_, cell)| cell.as_ref()?.1.estimate()).chain(reference));
    let title = title(indicator, breakdown, labels, language);
    let rows: Vec<DotRow> = cells
        .iter()
        .enumerate()
        .map(|(index, (name, cell))| dot_row(index, name, cell, latest, &axis, language))
        .collect();
    let data_rows = cells.iter().map(|(name, cell)| match cell {
        Some((period, cell)) => data_row((*name).to_owned(), words::capital(&period.words(language)), cell, language),
        None => DataRow {
            name: (*name).to_owned(),
            period: String::new(),
            figure: None,
            otherwise: words::Words::of(language).not_published.to_owned(),
        },
    });
    let period = latest.words(language);
    let suffix = match breakdown {
        Breakdown::Group => "groups",
        _ => "communes",
    };
    Some(Dots {
        id: format!("{id}-{suffix}"),
        desc: dots_desc(&rows, &period, language),
        height: pixels(ROWS_TOP + ROW_HEIGHT * rows.len() as f64),
        ticks: axis.ticks(|percent| axis.across(percent), language),
        reference: reference.map(|estimate| Reference {
            x: pixels(axis.across(estimate.percent)),
            label: format!("{} {}", labels.unit.get(language), words::percent(estimate.percent, language)),
        }),
        note: dots_note(&axis, &period, language),
        table: DataTable {
            caption: match language {
                Language::Vi => format!("{title}, kỳ gần nhất được công bố của từng dòng"),
                Language::En => format!("{title}, the latest period published for each row"),
            },
            head: match (breakdown, language) {
                (Breakdown::Group, Language::Vi) => "Nhóm thủ tục".into(),
                (Breakdown::Group, Language::En) => "Procedure group".into(),
                (_, Language::Vi) => "Xã, phường".into(),
                (_, Language::En) => "Commune".into(),
            },
            has_periods: true,
            count: indicator.count(language),
            rows: data_rows.collect(),
        },
        rows,
        title,
    })
}

/// A range of percentages between two letters of an axis.
struct Axis {
    low: f64,
    high: f64,
    step: f64,
}

impl Axis {
    /// The shortest range of whole steps that holds every interval and is at least 20 points long.
    fn over<'a>(estimates: impl Iterator<Item = &'a Estimate>) -> Self {
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for estimate in estimates {
            low = low.min(estimate.low);
            high = high.max(estimate.high);
        }
        if low > high {
            return Axis { low: 0.0, high: 100.0, step: 20.0 };
        }
        let mut low = (low / 10.0).floor() * 10.0;
        let high = ((high / 10.0).ceil() * 10.0).min(100.0);
        if high - low < 20.0 {
            low = high - 20.0;
        }
        let low = low.max(0.0);
        let high = high.max(low + 20.0).min(100.0);
        let step = match high - low {
            range if range <= 20.0 => 5.0,
            range if range <= 50.0 => 10.0,
            _ => 20.0,
        };
        // The lowest letter is on the grid as well.
        Axis { low: (low / step).floor() * step, high, step }
    }

    fn fraction(&self, percent: f64) -> f64 {
        ((percent - self.low) / (self.high - self.low)).clamp(0.0, 1.0)
    }

    /// Across, in per cent of the width.
    fn across(&self, percent: f64) -> f64 {
        self.fraction(percent) * 100.0
    }

    /// Down, in pixels from the top of the drawing area.
    fn down(&self, percent: f64) -> f64 {
        (1.0 - self.fraction(percent)) * TREND_HEIGHT
    }

    fn ticks(&self, at: impl Fn(f64) -> f64, language: Language) -> Vec<Tick> {
        // At most twenty steps of 5 lie between 0 and 100.
        let values = (0_u8..=20).map(|index| self.low + self.step * f64::from(index));
        let values = values.take_while(|value| *value <= self.high + 0.01);
        values
            .map(|value| Tick {
                at: pixels(at(value)),
                label: match language {
                    Language::Vi => format!("{value:.0}\u{a0}%"),
                    Language::En => format!("{value:.0}%"),
                },
            })
            .collect()
    }

    /// Said under a chart whose axis does not begin at zero.
    fn note(&self, language: Language) -> Option<String> {
        let low = words::decimal(self.low, 0, language);
        (self.low > 0.0).then(|| match language {
            Language::Vi => format!("Trục bắt đầu từ {low}\u{a0}%."),
            Language::En => format!("The axis begins at {low}%."),
        })
    }
}

/// "Hài lòng, Tỉnh An Bình", "Đúng hạn theo xã, phường".
fn title(indicator: Indicator, breakdown: Breakdown, labels: &Labels, language: Language) -> String {
    let title = indicator.title(language);
    match (breakdown, language) {
        (Breakdown::Commune, Language::Vi) => format!("{title} theo xã, phường"),
        (Breakdown::Commune, Language::En) => format!("{title} by commune"),
        (Breakdown::Group, Language::Vi) => format!("{title} theo nhóm thủ tục"),
        (Breakdown::Group, Language::En) => format!("{title} by procedure group"),
        (_, Language::Vi) => format!("{title} theo tháng, {}", labels.unit.vi),
        (_, Language::En) => format!("{title} by month, {}", labels.unit.en),
    }
}

fn trend_desc(months: &[(Period, &Cell)], from: &str, to: &str, language: Language) -> String {
    let shown = || months.iter().filter_map(|(period, cell)| Some((*period, cell.estimate()?)));
    let by_percent = |a: &(Period, &Estimate), b: &(Period, &Estimate)| a.1.percent.total_cmp(&b.1.percent);
    let say = |found: Option<(Period, &Estimate)>| {
        found.map(|(period, estimate)| {
            format!("{} ({})", words::percent(estimate.percent, language), period.words(language))
        })
    };
    let low = say(shown().min_by(by_percent)).unwrap_or_default();
    let high = say(shown().max_by(by_percent)).unwrap_or_default();
    match language {
        Language::Vi => format!(
            "Biểu đồ đường từ {from} đến {to}, có dải khoảng tin cậy 95 %. Thấp nhất {low}, cao nhất {high}. Bảng bên dưới có mọi số."
        ),
        Language::En => format!(
            "Line chart from {from} to {to} with the band of the 95% interval. Lowest {low}, highest {high}. The table below has every figure."
        ),
    }
}

fn dots_desc(rows: &[DotRow], period: &str, language: Language) -> String {
    let shown = rows.iter().filter(|row| row.figure.is_some()).count();
    let total = rows.len();
    match language {
        Language::Vi => format!(
            "Biểu đồ điểm có khoảng tin cậy 95 %, {shown} trên {total} dòng có số liệu, kỳ gần nhất {period}. Bảng bên dưới có mọi số."
        ),
        Language::En => format!(
            "Dot chart with 95% intervals; {shown} of {total} rows have a figure; the latest period is {period}. The table below has every figure."
        ),
    }
}

fn dots_note(axis: &Axis, period: &str, language: Language) -> String {
    let mut note = match language {
        Language::Vi => format!("Số của {period}, trừ khi ghi khác. Xếp theo danh mục, không xếp hạng."),
        Language::En => {
            format!("Figures for {period} unless stated otherwise. In the order of the public list, not ranked.")
        }
    };
    if let Some(axis) = axis.note(language) {
        note.push(' ');
        note.push_str(&axis);
    }
    note
}

/// The band and the line through the months, cut where a month has no figure.
fn outlines(months: &[(Period, &Cell)], axis: &Axis) -> (Vec<String>, Vec<String>) {
    let (mut bands, mut lines) = (Vec::new(), Vec::new());
    let placed: Vec<_> = months.iter().enumerate().map(|(i, (_, cell))| (across(i, months.len()), cell)).collect();
    for run in placed.split(|(_, cell)| cell.estimate().is_none()) {
        let run: Vec<(f64, &Estimate)> = run.iter().filter_map(|(x, cell)| Some((*x, cell.estimate()?))).collect();
        if run.len() < 2 {
            continue;
        }
        let join = |points: &mut dyn Iterator<Item = (f64, f64)>| {
            let points = points
                .map(|(x, percent)| format!("{},{}", pixels(x * TREND_WIDTH / 100.0), pixels(axis.down(percent))));
            points.collect::<Vec<_>>().join(" ")
        };
        lines.push(join(&mut run.iter().map(|(x, estimate)| (*x, estimate.percent))));
        let there = run.iter().map(|(x, estimate)| (*x, estimate.high));
        let back = run.iter().rev().map(|(x, estimate)| (*x, estimate.low));
        bands.push(join(&mut there.chain(back)));
    }
    (bands, lines)
}

fn points(months: &[(Period, &Cell)], axis: &Axis, language: Language) -> Vec<Point> {
    let last = months.iter().rposition(|(_, cell)| cell.estimate().is_some());
    let mut points = Vec::new();
    for (index, (period, cell)) in months.iter().enumerate() {
        let Some(estimate) = cell.estimate() else { continue };
        let percent = words::percent(estimate.percent, language);
        points.push(Point {
            x: pixels(across(index, months.len())),
            y: pixels(axis.down(estimate.percent)),
            title: format!("{}: {percent}", words::capital(&period.words(language))),
            label: (Some(index) == last).then_some(percent),
            label_y: pixels(axis.down(estimate.high) - 9.0),
        });
    }
    points
}

/// Months under the axis. Of a long run only every so many are lettered; January, which carries the year, is always kept.
fn month_ticks(months: &[(Period, &Cell)], language: Language) -> Vec<Month> {
    let every = months.len().div_ceil(12).max(1);
    let january = months.iter().position(|(period, _)| period.year_tick().is_some()).unwrap_or(0);
    let distance = |index: usize| index.abs_diff(january);
    let ticks = months.iter().enumerate().filter(|(index, _)| distance(*index).is_multiple_of(every));
    let month = |(place, (index, (period, _))): (usize, (usize, &(Period, &Cell)))| Month {
        x: pixels(across(index, months.len())),
        label: period.tick(language),
        year: if place == 0 { Some(period.year()) } else { period.year_tick() },
        is_spare: !(distance(index) / every).is_multiple_of(2),
    };
    ticks.enumerate().map(month).collect()
}

fn dot_row(
    index: usize,
    name: &str,
    cell: &Option<(Period, &Cell)>,
    latest: Period,
    axis: &Axis,
    language: Language,
) -> DotRow {
    let top = ROWS_TOP + ROW_HEIGHT * index as f64;
    let figure = cell.as_ref().and_then(|(_, cell)| cell.estimate()).map(|estimate| DotFigure {
        low: pixels(axis.across(estimate.low)),
        x: pixels(axis.across(estimate.percent)),
        high: pixels(axis.across(estimate.high)),
        percent: words::percent(estimate.percent, language),
        interval: words::interval(estimate, language),
    });
    DotRow {
        name: name.to_owned(),
        period: cell.as_ref().filter(|(period, _)| *period != latest).map(|(period, _)| period.words(language)),
        text_y: pixels(top + 18.0),
        line_y: pixels(top + 34.0),
        figure,
        otherwise: match cell {
            Some((_, cell)) => words::rolled_up_short(cell.rolled_up_to(), language),
            None => words::Words::of(language).not_published,
        },
    }
}

fn data_row(name: String, period: String, cell: &Cell, language: Language) -> DataRow {
    let figure = cell.estimate().map(|estimate| DataFigure {
        percent: words::percent(estimate.percent, language),
        interval: words::interval(estimate, language),
        count: words::whole(estimate.count, language),
    });
    DataRow { name, period, figure, otherwise: words::rolled_up(cell.rolled_up_to(), language) }
}

/// The middle of the column of a month, in per cent of the width.
fn across(index: usize, months: usize) -> f64 {
    (index as f64 + 0.5) / (months.max(1) as f64) * 100.0
}

/// A position as short as it can be written without being seen to move.
fn pixels(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map(str::to_owned).unwrap_or(text)
}
