//! The month, quarter, year or week of a released table, as a folder name and in words.
//!
//! It must not know which periods are closed.

use std::fmt;

use crate::language::{Language, month_in_english};

/// A month, a quarter, a year, or a week of a month. The order is that of its last month; of two that end together the longer comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Period {
    year: u16,
    /// 1 to 12.
    last_month: u8,
    /// A year sorts before its last quarter, and a quarter before its last month, so that the finer of two equally recent periods is the later one.
    span: Span,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Span {
    /// By its place in the month, from 1.
    Week(u8),
    Year,
    Quarter,
    Month,
}

impl Period {
    /// From `2026-10`, `2026-Q3`, `2026` or `2026-10-w2`, and nothing else: the text becomes a folder's name.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let digits = |text: &str, length: usize| text.len() == length && text.bytes().all(|b| b.is_ascii_digit());
        let (year, rest) = text.split_once('-').unwrap_or((text, ""));
        if !digits(year, 4) {
            return None;
        }
        let is_year = year.len() == text.len();
        let year = year.parse().ok()?;
        if is_year {
            return Some(Period { year, last_month: 12, span: Span::Year });
        }
        let (last_month, span) = match rest.strip_prefix('Q') {
            Some(quarter) if digits(quarter, 1) => (quarter.parse::<u8>().ok()? * 3, Span::Quarter),
            None if digits(rest, 2) => (rest.parse::<u8>().ok()?, Span::Month),
            None => {
                let (month, place) = rest.split_once("-w")?;
                let place = digits(place, 1).then(|| place.parse::<u8>().ok())??;
                if !digits(month, 2) || !(1..=4).contains(&place) {
                    return None;
                }
                (month.parse::<u8>().ok()?, Span::Week(place))
            }
            _ => return None,
        };
        (1..=12).contains(&last_month).then_some(Period { year, last_month, span })
    }

    /// Whether it is a month.
    pub(super) fn is_month(self) -> bool {
        self.span == Span::Month
    }

    /// In words: "tháng 10/2026", "quý III/2026", "năm 2026"; "October 2026", "third quarter of 2026", "2026".
    pub(super) fn words(self, language: Language) -> String {
        let year = self.year;
        match (language, self.span) {
            (Language::Vi, Span::Month) => format!("tháng {}/{year}", self.last_month),
            (Language::En, Span::Month) => format!("{} {year}", self.month_name()),
            (Language::Vi, Span::Week(place)) => format!("tuần {place}, tháng {}/{year}", self.last_month),
            (Language::En, Span::Week(place)) => format!("week {place} of {} {year}", self.month_name()),
            (Language::Vi, Span::Year) => format!("năm {year}"),
            (Language::En, Span::Year) => year.to_string(),
            (Language::Vi, Span::Quarter) => format!("quý {}/{year}", self.quarter(["I", "II", "III", "IV"])),
            (Language::En, Span::Quarter) => {
                format!("{} quarter of {year}", self.quarter(["first", "second", "third", "fourth"]))
            }
        }
    }

    /// From its first day to its last, in ISO 8601: "2026-07-01/2026-09-30".
    pub(super) fn interval(self) -> String {
        let (first, last) = self.days();
        format!("{first}/{last}")
    }

    /// Its first and its last day, in ISO 8601.
    pub(super) fn days(self) -> (String, String) {
        let year = self.year;
        let last = crate::calendar::civil::month_days(i64::from(self.year), i64::from(self.last_month));
        let months = match self.span {
            Span::Week(place) => {
                let first = (place - 1) * 7 + 1;
                let last = if place == 4 { last } else { first.saturating_add(6).into() };
                let month = self.last_month;
                return (format!("{year:04}-{month:02}-{first:02}"), format!("{year:04}-{month:02}-{last:02}"));
            }
            Span::Month => 1,
            Span::Quarter => 3,
            Span::Year => 12,
        };
        let first = self.last_month.saturating_sub(months - 1);
        (format!("{year:04}-{first:02}-01"), format!("{year:04}-{:02}-{last:02}", self.last_month))
    }

    /// In the words of the national portal: the kind of the period and its number, `month` and 10, `quarter` and 3,
    /// `year` and 1.
    pub(super) fn number(self) -> (&'static str, u16, u8) {
        match self.span {
            Span::Week(place) => ("week", self.year, place),
            Span::Month => ("month", self.year, self.last_month),
            Span::Quarter => ("quarter", self.year, self.last_month / 3),
            Span::Year => ("year", self.year, 1),
        }
    }

    /// Under a chart's axis: "T10" or "Oct".
    pub(super) fn tick(self, language: Language) -> String {
        match language {
            Language::Vi => format!("T{}", self.last_month),
            Language::En => self.month_name().chars().take(3).collect(),
        }
    }

    /// The year, where an axis should show it: under January.
    pub(super) fn year_tick(self) -> Option<String> {
        (self.last_month == 1).then(|| self.year())
    }

    /// The year.
    pub(super) fn year(self) -> String {
        self.year.to_string()
    }

    fn quarter(self, words: [&'static str; 4]) -> &'static str {
        words.get(usize::from(self.last_month.saturating_sub(1) / 3)).copied().unwrap_or("")
    }

    fn month_name(self) -> &'static str {
        i8::try_from(self.last_month).map_or("", month_in_english)
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.span {
            Span::Week(place) => write!(f, "{:04}-{:02}-w{place}", self.year, self.last_month),
            Span::Month => write!(f, "{:04}-{:02}", self.year, self.last_month),
            Span::Year => write!(f, "{:04}", self.year),
            Span::Quarter => write!(f, "{:04}-Q{}", self.year, self.last_month / 3),
        }
    }
}
