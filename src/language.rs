//! The two languages of the product, text that exists in both, and how both write a date or a number.
//!
//! It must not know what any text is about.

use jiff::civil::{Date, Weekday};
use serde::{Deserialize, Serialize};

/// A language in which a person is written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// Vietnamese, and the default where a register gives none.
    Vi,
    /// English.
    En,
}

impl Language {
    /// Both, in the order in which they are shown.
    pub const ALL: [Language; 2] = [Language::Vi, Language::En];

    /// The BCP 47 tag, as in file names and the `lang` attribute.
    pub fn tag(self) -> &'static str {
        match self {
            Language::Vi => "vi",
            Language::En => "en",
        }
    }

    /// From a register's value; anything unknown is Vietnamese, the language of the State.
    pub fn from_tag(tag: Option<&str>) -> Self {
        match tag {
            Some(tag) if tag.eq_ignore_ascii_case("en") => Language::En,
            _ => Language::Vi,
        }
    }
}

/// The same text in both languages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Text {
    /// Vietnamese.
    pub vi: String,
    /// English.
    pub en: String,
}

impl Text {
    /// A text from its two versions.
    pub fn new(vi: impl Into<String>, en: impl Into<String>) -> Self {
        Text { vi: vi.into(), en: en.into() }
    }

    /// The version in one language.
    pub fn get(&self, language: Language) -> &str {
        match language {
            Language::Vi => &self.vi,
            Language::En => &self.en,
        }
    }
}

/// A date in figures and in words: "21/11/2026", "21 November 2026".
pub fn date(date: Date) -> Text {
    let (day, month, year) = (date.day(), date.month(), date.year());
    Text::new(format!("{day:02}/{month:02}/{year}"), format!("{day} {} {year}", month_in_english(month)))
}

/// A whole number with its separators: "1.250.000", "1,250,000".
pub fn number(number: i64, language: Language) -> String {
    let digits = number.unsigned_abs().to_string();
    let mark = match language {
        Language::Vi => '.',
        Language::En => ',',
    };
    let mut text = String::with_capacity(digits.len() + 8);
    if number < 0 {
        text.push('-');
    }
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(mark);
        }
        text.push(digit);
    }
    text
}

/// A day of the week: "thứ Hai", "Monday".
pub fn weekday(weekday: Weekday) -> Text {
    let (vi, en) = match weekday {
        Weekday::Monday => ("thứ Hai", "Monday"),
        Weekday::Tuesday => ("thứ Ba", "Tuesday"),
        Weekday::Wednesday => ("thứ Tư", "Wednesday"),
        Weekday::Thursday => ("thứ Năm", "Thursday"),
        Weekday::Friday => ("thứ Sáu", "Friday"),
        Weekday::Saturday => ("thứ Bảy", "Saturday"),
        Weekday::Sunday => ("Chủ nhật", "Sunday"),
    };
    Text::new(vi, en)
}

/// The English name of a month, from 1 to 12; empty for any other number.
pub fn month_in_english(month: i8) -> &'static str {
    const MONTHS: [&str; 12] = [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ];
    usize::try_from(month).ok().and_then(|month| MONTHS.get(month.checked_sub(1)?)).copied().unwrap_or_default()
}
