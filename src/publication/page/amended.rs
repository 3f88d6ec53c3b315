//! What became of published figures afterwards: corrections and withdrawals, as a list that anybody can check.
//!
//! Each line is what a file of the shelf says. The page must not know who decided, nor judge the reason.

use std::collections::BTreeMap;

use serde::Serialize;

use super::words::capital;
use crate::language::Language;
use crate::publication::Sheet;
use crate::publication::stock::{Amendment, What};

/// A correction or a withdrawal, as the template shows it.
#[derive(Serialize)]
pub(super) struct Amended {
    /// As people write a day.
    on: String,
    period: String,
    /// The title of the table, or its name where no table of that name stands on the shelf any more.
    table: String,
    /// In one sentence: how many values changed, or that it is gone.
    what: String,
    reason: String,
    /// The file with every old and new value, or the stone.
    href: String,
    link: &'static str,
}

/// All of them, the newest first.
pub(super) fn all(amendments: &[Amendment], sheets: &[Sheet<'_>], language: Language) -> Vec<Amended> {
    let titles: BTreeMap<&str, &str> = sheets.iter().map(|sheet| (sheet.name, sheet.title().get(language))).collect();
    let mut all: Vec<&Amendment> = amendments.iter().collect();
    all.sort_by(|a, b| (&b.on, &b.place, &b.table).cmp(&(&a.on, &a.place, &a.table)));
    all.into_iter().map(|amendment| shown(amendment, &titles, language)).collect()
}

fn shown(amendment: &Amendment, titles: &BTreeMap<&str, &str>, language: Language) -> Amended {
    let (what, link) = match (amendment.what, language) {
        (What::Restated { values: 1 }, Language::Vi) => ("Đính chính 1 giá trị.".to_owned(), "Giá trị cũ và mới (CSV)"),
        (What::Restated { values: 1 }, Language::En) => ("1 value corrected.".to_owned(), "Old and new values (CSV)"),
        (What::Restated { values }, Language::Vi) => {
            (format!("Đính chính {values} giá trị."), "Giá trị cũ và mới (CSV)")
        }
        (What::Restated { values }, Language::En) => {
            (format!("{values} values corrected."), "Old and new values (CSV)")
        }
        (What::Withdrawn, Language::Vi) => ("Đã rút lại.".to_owned(), "Mã băm của tệp đã rút (JSON)"),
        (What::Withdrawn, Language::En) => ("Withdrawn.".to_owned(), "Hashes of the files withdrawn (JSON)"),
    };
    let table =
        titles.get(amendment.table.as_str()).map_or_else(|| amendment.table.clone(), |title| (*title).to_owned());
    Amended {
        on: day(&amendment.on, language),
        period: capital(&amendment.period.words(language)),
        table,
        what,
        reason: amendment.reason.clone(),
        href: amendment.path.clone(),
        link,
    }
}

/// 21/11/2026, or 21 November 2026; as it stands in the file where it is no day.
fn day(on: &str, language: Language) -> String {
    let Ok(day) = on.parse::<jiff::civil::Date>() else { return on.to_owned() };
    match language {
        Language::Vi => format!("{:02}/{:02}/{}", day.day(), day.month(), day.year()),
        Language::En => day.strftime("%-d %B %Y").to_string(),
    }
}
