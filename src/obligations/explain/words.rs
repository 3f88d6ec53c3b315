//! Dates, numbers and identifiers in words, in both languages.

use jiff::civil::Date;

use crate::language::{self, Text};

/// A text that is the same in both languages.
pub(super) fn same(text: impl Into<String>) -> Text {
    let text = text.into();
    Text { vi: text.clone(), en: text }
}

/// thứ Bảy 01/05/2027; Saturday 1 May 2027.
pub(super) fn weekday_and_day(date: Date) -> Text {
    let (weekday, day) = (language::weekday(date.weekday()), language::date(date));
    Text::new(format!("{} {}", weekday.vi, day.vi), format!("{} {}", weekday.en, day.en))
}

/// 28/02/2026 (thứ Bảy); 28 February 2026 (Saturday).
pub(super) fn day_and_weekday(date: Date) -> Text {
    let (weekday, day) = (language::weekday(date.weekday()), language::date(date));
    Text::new(format!("{} ({})", day.vi, weekday.vi), format!("{} ({})", day.en, weekday.en))
}

/// A number with its unit: "1 tháng", "1 month"; "5 ngày làm việc", "5 working days".
pub(super) fn count(number: i64, unit: &str) -> Text {
    let (vi, one, many) = match unit {
        "years" => ("năm", "year", "years"),
        "months" => ("tháng", "month", "months"),
        "weeks" => ("tuần", "week", "weeks"),
        "days" => ("ngày", "day", "days"),
        "working_days" => ("ngày làm việc", "working day", "working days"),
        "hours" => ("giờ", "hour", "hours"),
        "vnd" => ("đồng", "dong", "dong"),
        "percent" => ("phần trăm", "percent", "percent"),
        "per_mille" => ("phần nghìn", "per mille", "per mille"),
        "day_of_month" => return Text::new(format!("ngày {number}"), format!("day {number}")),
        "month" => return Text::new(format!("tháng {number}"), format!("month {number}")),
        "year" => return Text::new(format!("năm {number}"), format!("year {number}")),
        _ => return same(number.to_string()),
    };
    let en = if number.abs() == 1 { one } else { many };
    Text::new(format!("{number} {vi}"), format!("{number} {en}"))
}

/// A value of a field: a date in words; an identifier masked, whoever has the card recognises it.
pub(super) fn value(text: Option<&str>) -> Text {
    let Some(text) = text else { return Text::new("(trống)", "(empty)") };
    if let Ok(date) = text.parse::<Date>() {
        return language::date(date);
    }
    match text {
        "true" => Text::new("có", "yes"),
        "false" => Text::new("không", "no"),
        text if text.chars().filter(char::is_ascii_digit).count() > 4 => same(mask(text)),
        text => same(text),
    }
}

/// The last three letters or digits after an ellipsis; of a short one, fewer.
pub(super) fn mask(identifier: &str) -> String {
    let signs: Vec<char> = identifier.chars().filter(|c| c.is_alphanumeric()).collect();
    let shown = (signs.len() / 2).min(3);
    let mut masked = String::from("…");
    masked.extend(signs.iter().skip(signs.len() - shown));
    masked
}

/// With a capital at the beginning, as a sentence has it.
pub(super) fn sentence(text: Text) -> Text {
    let raised = |text: String| {
        let mut letters = text.chars();
        letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
    };
    Text { vi: raised(text.vi), en: raised(text.en) }
}

/// Texts with something between them.
pub(super) fn join(texts: &[Text], between: &str) -> Text {
    let of = |pick: fn(&Text) -> &str| texts.iter().map(pick).collect::<Vec<_>>().join(between);
    Text { vi: of(|text| &text.vi), en: of(|text| &text.en) }
}
