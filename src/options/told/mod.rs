//! Says in words what became of the ways, and why one is recommended. Every number in the words is one of the sheet,
//! or a difference of two of them.
//!
//! It must not know who the person is, nor what stands around the words.

mod way;
mod why;

use super::decide::{Case, Cell, Decision, Place};
use super::sheet::{Offer, Sheet};
use crate::language::{self, Language};
use crate::personal::sha256;
use crate::pipeline::options::{Confidence, Named};

/// What a person is told about the ways to an outcome, in one language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// What the way that is recommended is called; none where none is without harm.
    pub recommended: Option<String>,
    /// Why it is.
    pub why: String,
    /// Every way, the recommended one first, then those that remain, then the others: what it is called, and what
    /// there is to know of it.
    pub ways: Vec<(String, String)>,
}

impl Told {
    /// All of it as lines, for a clerk and for the digest.
    pub fn text(&self) -> String {
        let mut lines = Vec::with_capacity(self.ways.len() + 2);
        lines.extend(self.recommended.clone());
        lines.push(self.why.clone());
        lines.extend(self.ways.iter().map(|(title, words)| format!("{title}: {words}")));
        lines.join("\n")
    }
}

/// What a person is told, in both languages, and the SHA-256 of all of it. The ledger keeps a mark of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explained {
    /// In Vietnamese.
    pub vi: Told,
    /// In English.
    pub en: Told,
    /// Of both, in hexadecimal.
    pub sha256: String,
}

impl Explained {
    /// Explains a decision about a case.
    pub fn of(sheet: &Sheet, case: &Case<'_>, decision: &Decision) -> Self {
        let [vi, en] = Language::ALL.map(|language| tell(sheet, case, decision, language));
        let sha256 = sha256(format!("{}\n\n{}\n", vi.text(), en.text()).as_bytes());
        Explained { vi, en, sha256 }
    }

    /// In one language.
    pub fn get(&self, language: Language) -> &Told {
        match language {
            Language::Vi => &self.vi,
            Language::En => &self.en,
        }
    }
}

/// Says a decision about a case in one language.
pub fn tell(sheet: &Sheet, case: &Case<'_>, decision: &Decision, language: Language) -> Told {
    let words = Words { sheet, case, decision, language };
    let recommended = decision.recommended().and_then(|at| words.way(at));
    let mut order: Vec<(usize, Place)> = decision.places().iter().copied().enumerate().collect();
    order.retain(|(_, place)| *place != Place::Absent);
    order.sort_by_key(|(at, place)| (standing(*place), *at));
    let ways = order.iter().filter_map(|(at, place)| {
        let (way, cell) = words.way(*at)?;
        Some((way.title.get(language).to_owned(), words.about(way, cell, *place)))
    });
    Told {
        recommended: recommended.map(|(way, _)| way.title.get(language).to_owned()),
        why: words.why(),
        ways: ways.collect(),
    }
}

/// The order in which ways are shown.
fn standing(place: Place) -> (u8, u8) {
    match place {
        Place::Ranked(rank) => (0, rank),
        Place::Dominated(_) => (1, 0),
        Place::Late => (2, 0),
        Place::LosesRight(_) => (3, 0),
        Place::Closed(_) => (4, 0),
        Place::Absent => (5, 0),
    }
}

/// The words of one explanation; what is said of a way is in `way`, why one is recommended in `why`.
struct Words<'a> {
    sheet: &'a Sheet,
    case: &'a Case<'a>,
    decision: &'a Decision,
    language: Language,
}

impl<'a> Words<'a> {
    fn way(&self, at: usize) -> Option<(&'a Offer, Cell)> {
        Some((self.sheet.ways.get(at)?, *self.case.cells.get(at)?))
    }

    fn say<'t>(&self, vi: &'t str, en: &'t str) -> &'t str {
        match self.language {
            Language::Vi => vi,
            Language::En => en,
        }
    }

    /// A word of the sheet by its place.
    fn named(&self, words: &[Named], at: u8) -> String {
        words.get(usize::from(at)).map(|named| named.title.get(self.language).to_owned()).unwrap_or_default()
    }

    fn money(&self, vnd: u32) -> String {
        money(vnd, self.language)
    }

    fn date(&self, date: jiff::civil::Date) -> String {
        language::date(date).get(self.language).to_owned()
    }

    fn until(&self, date: jiff::civil::Date) -> String {
        format!("{} {}", self.say("đến hết", "until"), self.date(date))
    }

    /// How far a fact is to be doubted; none where it is official, or several sources say it.
    fn doubt(&self, confidence: Confidence) -> Option<&'static str> {
        let (vi, en) = match confidence {
            Confidence::A => return None,
            Confidence::B => ("theo một nguồn", "by one source"),
            Confidence::C => ("theo một nguồn chưa chắc chắn", "by one weak source"),
            Confidence::Unsourced => ("chưa kiểm chứng", "not verified"),
        };
        Some(self.say(vi, en))
    }

    /// The doubt behind a fact: " (not verified)"; nothing where there is none.
    fn mark(&self, confidence: Confidence) -> String {
        self.doubt(confidence).map(|doubt| format!(" ({doubt})")).unwrap_or_default()
    }

    fn of_visits(&self, visits: u16) -> String {
        match (visits, self.language) {
            (_, Language::Vi) => format!("{visits} lần đi lại"),
            (1, Language::En) => "one visit".into(),
            (_, Language::En) => format!("{visits} visits"),
        }
    }

    fn working_days(&self, days: u64) -> String {
        match (days, self.language) {
            (_, Language::Vi) => format!("{days} ngày làm việc"),
            (1, Language::En) => "1 working day".into(),
            (_, Language::En) => format!("{days} working days"),
        }
    }

    fn days(&self, days: i32) -> String {
        match (days, self.language) {
            (_, Language::Vi) => format!("{days} ngày"),
            (1, Language::En) => "1 day".into(),
            (_, Language::En) => format!("{days} days"),
        }
    }

    fn months(&self, months: u16) -> String {
        match (months, self.language) {
            (_, Language::Vi) => format!("{months} tháng"),
            (1, Language::En) => "one month".into(),
            (_, Language::En) => format!("{months} months"),
        }
    }
}

/// An amount as the language writes it: "40.000 ₫", "40,000 ₫".
pub fn money(vnd: u32, language: Language) -> String {
    format!("{} ₫", language::number(vnd.into(), language))
}
