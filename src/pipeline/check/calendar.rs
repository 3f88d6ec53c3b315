//! Reads the legal calendar and holds it against the week, the lunar year and itself.

use std::path::{Path, PathBuf};

use jiff::civil::{Date, Weekday};

use super::super::calendar::{DayKind, LegalCalendar, LegalDay, LegalYear};
use super::super::reader::{Document, Faults, Node};
use super::{done, entries};
use crate::calendar::lunar::{self, LunarDay};
use crate::calendar::{from_days, known_from};
use crate::fault::{Fault, Place};

pub(super) fn read_calendar(root: &Path, faults: &Faults) -> LegalCalendar {
    let folder = PathBuf::from("pipelines/law/calendar");
    let files = entries(&root.join(&folder), |entry| entry.path().extension().is_some_and(|e| e == "toml"));
    let mut calendar = LegalCalendar::default();
    for file in files {
        let path = folder.join(&file);
        let Some(document) = Document::open(root, &path, faults) else { continue };
        calendar.years.extend(document.read(|node| year(node, file.trim_end_matches(".toml"))));
    }
    calendar.years.sort_by_key(|year| year.year);
    // A second file of one year is a fault already: it has the name of another.
    calendar.years.dedup_by_key(|year| year.year);
    for pair in calendar.years.windows(2) {
        if let [before, after] = pair
            && after.year != before.year + 1
        {
            let missing = before.year + 1;
            faults.push(Fault::new(
                "calendar.gap",
                Place::file(folder.join(format!("{missing}.toml"))),
                format!("there is a calendar of {} and of {}, and none of {missing}", before.year, after.year),
                "write the file of the year between them: deadlines are counted across it",
            ));
        }
    }
    calendar
}

fn year(node: &Node<'_>, file: &str) -> Option<LegalYear> {
    let number = node.int("year").and_then(|year| i16::try_from(year).ok());
    let mut days: Vec<LegalDay> = Vec::new();
    let known = number.map(known_from);
    for day_node in node.array("day") {
        let Some(day) = done(&day_node, |node| day(node, known)) else { continue };
        if Some(day.on.year()) != number {
            let what = format!("{} is not a day of the year of the file", day.on);
            day_node.fault("on", "calendar.other-year", what, "move it to the file of its year");
        }
        if let Some(other) = days.iter().find(|other| other.on == day.on && are_known_together(other, &day)) {
            let since = other.enacted_on.max(day.enacted_on);
            let what = format!("{} is named twice, and both are known from {since} on", day.on);
            let next = "keep what holds; of what was known before it, say replaced_on: the day of the new decision";
            day_node.fault("on", "calendar.twice", what, next);
        }
        days.push(day);
    }
    days.sort_by_key(|day| (day.on, day.enacted_on));
    let year = LegalYear { year: number?, days };
    if year.year.to_string() != file {
        let what = format!("the file {file}.toml is of the year {}", year.year);
        node.fault("year", "calendar.file-name", what, format!("name the file {}.toml", year.year));
    }
    check_holidays(node, &year);
    check_compensation(node, &year);
    Some(year)
}

/// Whether there is a day on which both are what is known of their day.
fn are_known_together(a: &LegalDay, b: &LegalDay) -> bool {
    let ends_after = |a: &LegalDay, b: &LegalDay| a.replaced_on.is_none_or(|replaced_on| b.enacted_on < replaced_on);
    ends_after(a, b) && ends_after(b, a)
}

fn day(node: &Node<'_>, known: Option<Date>) -> Option<LegalDay> {
    let on = node.date("on");
    let kind = node.word("kind", &DayKind::WORDS);
    let name = node.both("name");
    let reference = node.both("reference");
    let enacted_on = node.date_or_none("enacted_on").or(known);
    let replaced_on = node.date_or_none("replaced_on");
    if let (Some(enacted_on), Some(replaced_on)) = (enacted_on, replaced_on)
        && replaced_on <= enacted_on
    {
        let what = format!("it was replaced on {replaced_on}, and not known before {enacted_on}");
        node.fault("replaced_on", "calendar.replaced-before", what, "correct the dates");
    }
    let is_assumed = node.word("confidence", &[("A", false), ("assumed", true)]);
    if let (Some(on), Some(kind)) = (on, kind) {
        let (is_wrong, wanted) = match kind {
            DayKind::Holiday => (false, ""),
            DayKind::WorkingDay => (!is_rest(on), "a Saturday or a Sunday"),
            DayKind::Compensatory | DayKind::DayOff => (is_rest(on), "a weekday"),
        };
        if is_wrong {
            let what = format!("{on} is not {wanted}, and so cannot be of this kind");
            node.fault("on", "calendar.weekday", what, "correct the date or the kind");
        }
    }
    Some(LegalDay {
        on: on?,
        kind: kind?,
        name: name?,
        reference: reference?,
        enacted_on: enacted_on?,
        replaced_on,
        is_assumed: is_assumed?,
    })
}

fn is_rest(day: Date) -> bool {
    matches!(day.weekday(), Weekday::Saturday | Weekday::Sunday)
}

/// The days of a kind that nothing has replaced.
fn standing(year: &LegalYear, kind: DayKind) -> impl Iterator<Item = &LegalDay> {
    year.days.iter().filter(move |day| day.kind == kind && day.replaced_on.is_none())
}

/// The holidays that are so by their date: Labour Code 45/2019/QH14, Art. 112(1), by the solar and the lunar year.
///
/// Of the five days of Tết, those decided each year always hold the last of the old year and the first three.
fn check_holidays(node: &Node<'_>, year: &LegalYear) {
    let is_holiday = |day: Date| standing(year, DayKind::Holiday).any(|other| other.on == day);
    let missing = |day: Option<Date>, code: &'static str, what: &str| {
        if let Some(day) = day.filter(|day| !is_holiday(*day)) {
            let next = "add it with kind = \"holiday\", or correct the day that stands for it";
            node.fault("day", code, format!("{day} is {what}, and no holiday in this file"), next);
        }
    };
    for (month, day) in [(1, 1), (4, 30), (5, 1), (9, 2)] {
        missing(Date::new(year.year, month, day).ok(), "calendar.holiday", "a holiday every year");
    }
    let lunar = |month, day| {
        let solar = lunar::to_solar(LunarDay { year: year.year, month, is_leap: false, day })?;
        Some(solar)
    };
    let new_year = lunar(1, 1);
    for offset in -1..=2 {
        let day = new_year.and_then(|first| from_days(first + offset));
        missing(day, "calendar.tet", "of Tết by the lunar calendar");
    }
    missing(lunar(3, 10).and_then(from_days), "calendar.hung-kings", "the Hùng Kings' day by the lunar calendar");
}

/// A holiday on a day of rest is made up on the next working day: Labour Code 45/2019/QH14, Art. 111(3).
///
/// Culture Day on 24 November stands in a law of its own, and whether it is made up is not settled.
fn check_compensation(node: &Node<'_>, year: &LegalYear) {
    let of = |kind| standing(year, kind).map(|day| day.on);
    let lost = of(DayKind::Holiday).filter(|on| is_rest(*on) && (on.month(), on.day()) != (11, 24)).count();
    let given = of(DayKind::Compensatory).count();
    if lost != given {
        let what = format!("{lost} holidays lie on days of rest and {given} days are compensatory");
        let next = "give each holiday on a Saturday or Sunday its compensatory day (Labour Code, Art. 111(3))";
        node.fault("day", "calendar.compensation", what, next);
    }
}
