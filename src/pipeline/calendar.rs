//! The legal calendar: which days are public holidays, days off and working Saturdays, and why.
//!
//! A year is a file in `pipelines/law/calendar/`. Like a rule, a day has the date on which
//! it was decided, so that a night is replayed with the calendar of that night: a swap that
//! was decided in December is unknown in November. Nothing is overwritten either: what was
//! assumed, or decided otherwise, stays with the date on which something else replaced it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::{Date, Weekday};

use crate::calendar::lunar::{LunarDay, to_solar};
use crate::calendar::{WorkingDays, known_from, to_days};
use crate::language::Text;

/// Every year for which there is a file.
#[derive(Debug, Clone, Default)]
pub struct LegalCalendar {
    /// In order, without a gap.
    pub years: Vec<LegalYear>,
}

/// The days of a year that are not what their weekday says, or are holidays.
#[derive(Debug, Clone)]
pub struct LegalYear {
    /// Which.
    pub year: i16,
    /// In the order of the calendar and of what was decided; of one day, never two at a time.
    pub days: Vec<LegalDay>,
}

/// One such day, as it was decided, and for as long as that was what was known.
#[derive(Debug, Clone)]
pub struct LegalDay {
    /// Which.
    pub on: Date,
    /// What it is.
    pub kind: DayKind,
    /// What it is called.
    pub name: Text,
    /// The article or the notice.
    pub reference: Text,
    /// The first day on which it could be known.
    pub enacted_on: Date,
    /// The first day on which it was known no longer, because something else was decided; none while it stands. With
    /// nothing in its place the day is what its weekday says.
    pub replaced_on: Option<Date>,
    /// Whether no act says it yet: a due date that depends on it has to say so.
    pub is_assumed: bool,
}

/// What a day is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DayKind {
    /// A public holiday (*ngày nghỉ lễ, tết*), Labour Code 45/2019/QH14, Art. 112(1).
    Holiday,
    /// A day off for a holiday on a day of rest (*nghỉ bù*), Labour Code, Art. 111(3).
    Compensatory,
    /// A weekday off by a swap (*hoán đổi ngày làm việc*).
    DayOff,
    /// A Saturday or Sunday worked for a swap.
    WorkingDay,
}

impl DayKind {
    /// The words of the files.
    pub const WORDS: [(&'static str, DayKind); 4] = [
        ("holiday", DayKind::Holiday),
        ("compensatory", DayKind::Compensatory),
        ("day_off", DayKind::DayOff),
        ("working_day", DayKind::WorkingDay),
    ];
}

impl LegalDay {
    /// Whether this is what was known on a day.
    pub fn is_known(&self, known_on: Date) -> bool {
        self.enacted_on <= known_on && self.replaced_on.is_none_or(|replaced_on| known_on < replaced_on)
    }
}

impl LegalCalendar {
    /// The working days as they were known on a day.
    ///
    /// A year is known from the first of January of the year before; a day of it that was decided
    /// later is, until then, what its weekday says.
    pub fn known_on(&self, known_on: Date) -> WorkingDays {
        let known = || self.years.iter().filter(|year| known_from(year.year) <= known_on);
        let (Some(first), Some(last)) = (known().next(), known().next_back()) else { return WorkingDays::default() };
        let days = known().flat_map(|year| &year.days).filter(|day| day.is_known(known_on));
        let otherwise: BTreeMap<Date, bool> =
            days.map(|day| (day.on, matches!(day.kind, DayKind::WorkingDay))).collect();
        WorkingDays::new(first.year..=last.year, &otherwise)
    }

    /// The days off of each Tết (*Tết Nguyên đán*), as they were known on a day: those that the calendar names within
    /// `TET_DAYS` of the first day of the lunar year. A weekend before or after is none of them.
    pub fn tet(&self, known_on: Date) -> BTreeSet<Date> {
        let known = self.years.iter().filter(|year| known_from(year.year) <= known_on);
        let mut tet = BTreeSet::new();
        for year in known {
            let new_year = to_solar(LunarDay { year: year.year, month: 1, is_leap: false, day: 1 });
            let is_of = |day: &&LegalDay| {
                day.is_known(known_on)
                    && day.kind != DayKind::WorkingDay
                    && new_year.is_some_and(|first| to_days(day.on).abs_diff(first) <= TET_DAYS)
            };
            tet.extend(year.days.iter().filter(is_of).map(|day| day.on));
        }
        tet
    }

    /// The year whose decree may still make of a day something else than the calendar says, as known on a day: an
    /// assumed day, or one beside a rest that holds an assumed day. None where what is said of it is decreed.
    pub fn awaits_decree(&self, on: Date, known_on: Date) -> Option<i16> {
        let known = |on: Date| self.day(on, known_on);
        let assumed = |on: Date| known(on).filter(|day| day.is_assumed).map(|day| day.on.year());
        let rests = |on: Date| match known(on) {
            Some(day) => day.kind != DayKind::WorkingDay,
            None => matches!(on.weekday(), Weekday::Saturday | Weekday::Sunday),
        };
        let beside = |step: fn(Date) -> Result<Date, jiff::Error>| {
            let days = std::iter::successors(step(on).ok(), |day| step(*day).ok());
            // No rest is longer than a month; a calendar that says so is not asked for ever.
            days.take(31).take_while(|day| rests(*day)).find_map(assumed)
        };
        assumed(on).or_else(|| beside(Date::yesterday)).or_else(|| beside(Date::tomorrow))
    }

    /// What the calendar said of a day, as it was known on a day, where it said anything.
    pub fn day(&self, on: Date, known_on: Date) -> Option<&LegalDay> {
        let year = self.years.iter().find(|year| year.year == on.year())?;
        year.days.iter().find(|day| day.on == on && day.is_known(known_on))
    }
}

/// How far from the first day of the lunar year a day off is still one of Tết: its five days, with what makes up for
/// those that lie on days of rest, are never further.
const TET_DAYS: u32 = 9;
