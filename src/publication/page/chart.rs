//! Figures as positions on charts, with the table that says the same.
//!
//! Positions across are percentages of the chart's width and positions down are
//! pixels, so that a chart fits a phone and a desk without scaling its letters.
//! Axes need not begin at zero, because nothing here is a bar: points and
//! intervals are read by place. The axis is lettered and the table is below.

use serde::Serialize;

use super::super::period::Period;
use super::figures::{Cell, Estimate, Figures, Indicator, Place};
use super::markup::short;
use super::words;
use crate::language::Language;

/// Height of the area in which a trend is drawn, in pixels.
const TREND_HEIGHT: f64 = 200.0;
/// Width of the same area in its own units; the browser stretches them.
const TREND_WIDTH: f64 = 1000.0;
/// A line over months with the band of its 95 % interval.
#[derive(Serialize)]
pub(super) struct Trend {
    id: String,
    title: String,
    /// What it shows, in a sentence.
    reading: String,
    /// Whether there is anything to draw.
    has_figures: bool,
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

/// A letter on an axis, and its grid line.
#[derive(Serialize)]
pub(super) struct Tick {
    pub(super) at: String,
    pub(super) label: String,
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

/// A table with the figures of a chart.
#[derive(Serialize)]
struct DataTable {
    caption: String,
    head: &'static str,
    count: &'static str,
    rows: Vec<DataRow>,
}

#[derive(Serialize)]
struct DataRow {
    name: String,
    figure: Option<DataFigure>,
    otherwise: String,
}

#[derive(Serialize)]
struct DataFigure {
    percent: String,
    interval: String,
    count: String,
}

/// The trend of an indicator in one place; none before there are two months.
pub(super) fn trend(
    figures: &Figures,
    indicator: Indicator,
    (place, name): (Place, &str),
    language: Language,
) -> Option<Trend> {
    let months = figures.months(indicator, place);
    let (first, last) = (months.first()?.0, months.last()?.0);
    if months.len() < 2 {
        return None;
    }
    let axis = Axis::over(months.iter().filter_map(|(_, cell)| cell.estimate()));
    let (bands, lines) = outlines(&months, &axis);
    let [from, to] = [first, last].map(|period| period.words(language));
    let title = match language {
        Language::Vi => format!("{} theo tháng, {name}", indicator.title(language)),
        Language::En => format!("{} by month, {name}", indicator.title(language)),
    };
    let rows =
        months.iter().rev().map(|(period, cell)| data_row(words::capital(&period.words(language)), cell, language));
    Some(Trend {
        id: format!("{}-trend", indicator.tag()),
        reading: reading(&months, language),
        // An empty frame says less than the sentence above it.
        has_figures: months.iter().any(|(_, cell)| cell.estimate().is_some()),
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
            head: words::Words::of(language).month,
            count: indicator.count(language),
            rows: rows.collect(),
        },
        title,
    })
}

/// Whether the last month differs from the first by more than both intervals allow, in a sentence.
fn reading(months: &[(Period, &Cell)], language: Language) -> String {
    let shown = || months.iter().filter_map(|(period, cell)| Some((*period, cell.estimate()?)));
    let (Some((from, first)), Some((to, last))) = (shown().next(), shown().next_back()) else {
        return words::Words::of(language).no_month.to_owned();
    };
    if from == to {
        return String::new();
    }
    let (from, to) = (from.words(language), to.words(language));
    let (was, is) = (words::percent(first.percent, language), words::percent(last.percent, language));
    match (language, last.low > first.high, last.high < first.low) {
        (Language::Vi, true, _) => {
            format!("Từ {from} đến {to} tỷ lệ tăng từ {was} lên {is}; hai khoảng không chồng lên nhau.")
        }
        (Language::Vi, _, true) => {
            format!("Từ {from} đến {to} tỷ lệ giảm từ {was} xuống {is}; hai khoảng không chồng lên nhau.")
        }
        (Language::Vi, ..) => {
            format!("Từ {from} ({was}) đến {to} ({is}) chưa thể nói tỷ lệ đã thay đổi: hai khoảng chồng lên nhau.")
        }
        (Language::En, true, _) => {
            format!("From {from} to {to} the share rose from {was} to {is}; the two intervals do not overlap.")
        }
        (Language::En, _, true) => {
            format!("From {from} to {to} the share fell from {was} to {is}; the two intervals do not overlap.")
        }
        (Language::En, ..) => {
            format!(
                "From {from} ({was}) to {to} ({is}) one cannot say that the share changed: the two intervals overlap."
            )
        }
    }
}

/// A range of percentages between two letters of an axis.
pub(super) struct Axis {
    low: f64,
    high: f64,
    step: f64,
}

impl Axis {
    /// The shortest range of whole steps that holds every interval and is at least 20 points long.
    pub(super) fn over<'a>(estimates: impl Iterator<Item = &'a Estimate>) -> Self {
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
    pub(super) fn across(&self, percent: f64) -> f64 {
        self.fraction(percent) * 100.0
    }

    /// Down, in pixels from the top of the drawing area.
    fn down(&self, percent: f64) -> f64 {
        (1.0 - self.fraction(percent)) * TREND_HEIGHT
    }

    pub(super) fn ticks(&self, at: impl Fn(f64) -> f64, language: Language) -> Vec<Tick> {
        // At most twenty steps of 5 lie between 0 and 100.
        let values = (0_u8..=20).map(|index| self.low + self.step * f64::from(index));
        let values = values.take_while(|value| *value <= self.high + 0.01);
        values
            .map(|value| Tick {
                at: short(at(value)),
                label: match language {
                    Language::Vi => format!("{value:.0}\u{a0}%"),
                    Language::En => format!("{value:.0}%"),
                },
            })
            .collect()
    }

    /// Said under a chart whose axis does not begin at zero.
    pub(super) fn note(&self, language: Language) -> Option<String> {
        let low = words::decimal(self.low, 0, language);
        (self.low > 0.0).then(|| match language {
            Language::Vi => format!("Trục bắt đầu từ {low}\u{a0}%."),
            Language::En => format!("The axis begins at {low}%."),
        })
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
            let points =
                points.map(|(x, percent)| format!("{},{}", short(x * TREND_WIDTH / 100.0), short(axis.down(percent))));
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
            x: short(across(index, months.len())),
            y: short(axis.down(estimate.percent)),
            title: format!("{}: {percent}", words::capital(&period.words(language))),
            label: (Some(index) == last).then_some(percent),
            label_y: short(axis.down(estimate.high) - 9.0),
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
        x: short(across(index, months.len())),
        label: period.tick(language),
        year: if place == 0 { Some(period.year()) } else { period.year_tick() },
        is_spare: !(distance(index) / every).is_multiple_of(2),
    };
    ticks.enumerate().map(month).collect()
}

fn data_row(name: String, cell: &Cell, language: Language) -> DataRow {
    let figure = cell.estimate().map(|estimate| DataFigure {
        percent: words::percent(estimate.percent, language),
        interval: words::interval(estimate, language),
        count: words::whole(estimate.count, language),
    });
    DataRow { name, figure, otherwise: words::rolled_up(cell.rolled_up_to(), language) }
}

/// The middle of the column of a month, in per cent of the width.
fn across(index: usize, months: usize) -> f64 {
    (index as f64 + 0.5) / (months.max(1) as f64) * 100.0
}
