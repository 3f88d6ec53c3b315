//! Places in bands: a table in which each row is drawn as well, and no row is put before another without reason.
//!
//! The bands are those of the released table. What stands in no band stands below them, with what is known of it.

use std::collections::BTreeMap;

use serde::Serialize;

use super::chart::{Axis, Tick};
use super::figures::{Cell, Estimate, Figures, Indicator, Place};
use super::{markup, words};
use crate::language::Language;
use crate::publication::period::Period;

/// One place of a list: what it is, what it is called, and the page of its own.
pub(super) struct Entry {
    pub(super) place: Place,
    pub(super) name: String,
    pub(super) href: String,
}

/// An indicator in every place of a list.
#[derive(Serialize)]
pub(super) struct Ranked {
    id: String,
    title: String,
    caption: String,
    reading: String,
    head: &'static str,
    count: &'static str,
    ticks: Vec<Tick>,
    /// The whole unit, drawn as a dashed line through all rows.
    reference: Option<String>,
    axis_note: Option<String>,
    /// Bodies of the table, as HTML.
    bodies: String,
}

/// What a list of places is about.
pub(super) struct List<'e> {
    pub(super) entries: &'e [Entry],
    /// "theo xã, phường".
    pub(super) by: &'static str,
    /// "xã, phường", after a number.
    pub(super) noun: &'static str,
    pub(super) head: &'static str,
    /// The name of the whole unit.
    pub(super) unit: &'e str,
}

/// One row: the entry, and the latest cell that is known of it.
type Row<'r> = (&'r Entry, Option<(Period, &'r Cell)>);

/// The places of a list by band; none when nothing is known of the indicator there.
pub(super) fn ranked(figures: &Figures, indicator: Indicator, list: &List<'_>, language: Language) -> Option<Ranked> {
    let breakdown = list.entries.first()?.place.breakdown();
    let latest = figures.latest(indicator, breakdown)?;
    let reference = figures.cell(indicator, latest, Place::Unit).and_then(Cell::estimate);
    let mut bands: BTreeMap<i64, Vec<Row>> = BTreeMap::new();
    let mut rest: Vec<Row> = Vec::new();
    for entry in list.entries {
        let cell = figures.latest_cell(indicator, entry.place);
        let band = cell.filter(|(period, _)| *period == latest).and_then(|(_, cell)| cell.estimate()?.band);
        match band {
            Some(band) => bands.entry(band).or_default().push((entry, cell)),
            None => rest.push((entry, cell)),
        }
    }
    let rows = bands.values().flatten().chain(&rest);
    let estimates = rows.filter_map(|(_, cell)| cell.as_ref()?.1.estimate()).chain(reference);
    let axis = Axis::over(estimates);
    let writer = Writer { axis: &axis, reference, latest, language };
    let mut bodies = String::new();
    for (band, rows) in &bands {
        let title = format!("{} {band}: {} {}", words::Words::of(language).band_name, rows.len(), list.noun);
        writer.body(&mut bodies, (!bands.is_empty()).then_some(title.as_str()), rows);
    }
    if !rest.is_empty() {
        let title = format!("{}: {} {}", words::Words::of(language).unranked, rest.len(), list.noun);
        writer.body(&mut bodies, (!bands.is_empty()).then_some(title.as_str()), &rest);
    }
    let period = latest.words(language);
    let title = format!("{} {}", indicator.title(language), list.by);
    Some(Ranked {
        id: format!("{}-bands", indicator.tag()),
        caption: format!("{title}, {period}"),
        reading: reading(&bands, rest.len(), (list.noun, &period), language),
        head: list.head,
        count: indicator.count(language),
        ticks: axis.ticks(|percent| axis.across(percent), language),
        reference: reference.map(|estimate| format!("{} {}", list.unit, words::percent(estimate.percent, language))),
        axis_note: axis.note(language),
        bodies,
        title,
    })
}

/// How many bands there are, and how many places in each, in a sentence.
fn reading(bands: &BTreeMap<i64, Vec<Row>>, rest: usize, (noun, period): (&str, &str), language: Language) -> String {
    let ranked: usize = bands.values().map(Vec::len).sum();
    let mut said = match (language, bands.len()) {
        (Language::Vi, 0) => format!("Trong {period} chưa có nơi nào đủ số liệu để so sánh."),
        (Language::En, 0) => format!("In {period} no place has enough records to be compared."),
        (Language::Vi, 1) => {
            format!("Trong {period}, {ranked} {noun} đứng chung một bậc: các khoảng tin cậy nối nhau.")
        }
        (Language::En, 1) => format!("In {period} {ranked} {noun} stand in one band: their intervals join each other."),
        (Language::Vi, many) => format!("Trong {period}, {ranked} {noun} chia thành {many} bậc."),
        (Language::En, many) => format!("In {period}, {ranked} {noun} fall into {many} bands."),
    };
    if rest > 0 && ranked > 0 {
        said.push_str(&match language {
            Language::Vi => format!(" {rest} nơi có quá ít bản ghi để xếp bậc."),
            Language::En => format!(" {rest} with too few records stand in no band."),
        });
    }
    said
}

struct Writer<'w> {
    axis: &'w Axis,
    reference: Option<&'w Estimate>,
    latest: Period,
    language: Language,
}

impl Writer<'_> {
    fn body(&self, out: &mut String, title: Option<&str>, rows: &[Row]) {
        out.push_str("<tbody>\n");
        if let Some(title) = title {
            out.push_str("<tr class=\"rank\"><th colspan=\"3\" scope=\"rowgroup\">");
            markup::escape(out, title);
            out.push_str("</th></tr>\n");
        }
        for (entry, cell) in rows {
            self.row(out, entry, *cell);
        }
        out.push_str("</tbody>\n");
    }

    fn row(&self, out: &mut String, entry: &Entry, cell: Option<(Period, &Cell)>) {
        let language = self.language;
        out.push_str("<tr><th scope=\"row\">");
        markup::link(out, &entry.href, &entry.name);
        let estimate = cell.and_then(|(_, cell)| cell.estimate());
        if let Some(estimate) = estimate {
            let reference = self.reference.map(|reference| reference.percent);
            markup::whisker(out, estimate, |percent| self.axis.across(percent), reference);
        }
        out.push_str("</th>");
        match (cell, estimate) {
            (Some((period, cell)), Some(estimate)) => {
                let aside = match period == self.latest {
                    true => String::new(),
                    false => period.words(language),
                };
                markup::figure(out, Some(cell), &aside, language);
                out.push_str(&format!("<td class=\"num\">{}</td>", words::whole(estimate.count, language)));
            }
            (cell, _) => {
                let said = match cell {
                    Some((_, cell)) => words::rolled_up(cell.rolled_up_to(), language),
                    None => words::Words::of(language).not_published.to_owned(),
                };
                out.push_str("<td colspan=\"2\" class=\"words\">");
                markup::escape(out, &said);
                out.push_str("</td>");
            }
        }
        out.push_str("</tr>\n");
    }
}

/// Rows of a list with every indicator beside each other, as HTML: for lists of hundreds.
pub(super) fn crossed(figures: &Figures, indicators: &[Indicator], entries: &[Entry], language: Language) -> String {
    let latest: Vec<Option<Period>> =
        indicators.iter().map(|indicator| figures.latest(*indicator, entries.first()?.place.breakdown())).collect();
    let mut out = String::with_capacity(entries.len() * 320);
    for entry in entries {
        out.push_str("<tr><th scope=\"row\">");
        markup::link(&mut out, &entry.href, &entry.name);
        out.push_str("</th>");
        for (indicator, latest) in indicators.iter().zip(&latest) {
            let cell = figures.latest_cell(*indicator, entry.place);
            let aside = match cell {
                Some((period, cell)) if Some(period) != *latest && cell.estimate().is_some() => period.words(language),
                _ => String::new(),
            };
            markup::figure(&mut out, cell.map(|(_, cell)| cell), &aside, language);
        }
        out.push_str("</tr>\n");
    }
    out
}
