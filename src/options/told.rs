//! Says in words what became of the ways, and why one is recommended. Every number in the words is one of the sheet,
//! or a difference of two of them.
//!
//! It must not know who the person is, nor what stands around the words.

use jiff::civil::Date;

use super::decide::{Case, Cell, Decision, Place};
use super::sheet::{Offer, Sheet};
use crate::calendar::{from_days, to_days};
use crate::language::{self, Language, Text};
use crate::personal::sha256;
use crate::pipeline::options::{ByDueDay, Confidence};

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

/// What a person is told, in both languages, and the SHA-256 of all of it: what the ledger keeps of an explanation.
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

    /// What there is to know of a way, as one sentence without its stop, and what speaks against it.
    fn about(&self, way: &Offer, cell: Cell, place: Place) -> String {
        let mut parts = Vec::with_capacity(6);
        match place {
            Place::Closed(reason) => return named(&self.sheet.reasons, reason, self.language),
            Place::LosesRight(right) => {
                let right = named(&self.sheet.rights, right, self.language);
                parts.push(format!("{} {right}", self.say("làm mất quyền lợi:", "you would lose a right:")));
            }
            Place::Late => parts.push(self.late(way)),
            Place::Dominated(other) => parts.extend(self.way(usize::from(other)).map(|(other, _)| {
                format!("{} “{}”", self.say("không hơn gì", "in nothing better than"), other.title.get(self.language))
            })),
            Place::Ranked(_) | Place::Absent => {}
        }
        parts.push(self.cost(way, cell));
        parts.push(self.visits(way.visits));
        parts.push(self.time(way));
        if !way.documents.is_empty() {
            parts.push(format!("{} {}", self.say("giấy tờ cần có:", "papers to bring:"), self.list(&way.documents)));
        }
        if !way.duties.is_empty() {
            parts.push(format!("{} {}", self.say("việc phải làm sau đó:", "what follows:"), self.list(&way.duties)));
        }
        parts.join("; ")
    }

    fn list(&self, texts: &[Text]) -> String {
        texts.iter().map(|text| text.get(self.language)).collect::<Vec<_>>().join(", ")
    }

    fn cost(&self, way: &Offer, cell: Cell) -> String {
        let status = usize::from(cell.status);
        let Some(cost) = way.costs.get(status).and_then(Option::as_ref) else {
            return self.say("chưa rõ mức phí", "the fee is not known").to_owned();
        };
        let mut text = match cost.vnd {
            0 => self.say("không mất phí", "no fee").to_owned(),
            vnd => format!("{} {}", self.say("phí", "fee"), money(vnd, self.language)),
        };
        if cost.confidence == Confidence::Unsourced {
            text.push_str(self.say(" (chưa kiểm chứng)", " (not verified)"));
        }
        // What others pay who are better off is said to those of whom nothing is known.
        let better = way.costs.iter().enumerate().filter(|(at, _)| status == 0 && *at != status);
        let better = better.filter_map(|(at, other)| Some((at, other.as_ref().filter(|other| other.vnd < cost.vnd)?)));
        for (at, other) in better {
            let who = self.sheet.statuses.get(at).map(|status| status.title.get(self.language)).unwrap_or_default();
            let amount = money(other.vnd, self.language);
            text.push_str(&format!(" ({amount} {} {who}", self.say("nếu", "for")));
            if let Some(until) = other.until {
                let until = language::date(until.0);
                text.push_str(&format!(", {} {}", self.say("đến hết", "until"), until.get(self.language)));
            }
            if other.confidence == Confidence::Unsourced {
                text.push_str(self.say(", chưa kiểm chứng", ", not verified"));
            }
            text.push(')');
        }
        text
    }

    fn visits(&self, visits: u16) -> String {
        match (visits, self.language) {
            (0, Language::Vi) => "không phải đi lại".into(),
            (0, Language::En) => "no visit".into(),
            _ => self.of_visits(visits),
        }
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

    fn time(&self, way: &Offer) -> String {
        let time = &way.time;
        let (median, p90) = (self.working_days(time.median_days.into()), self.working_days(time.p90_days.into()));
        match (time.dossiers, self.language) {
            (Some(dossiers), Language::Vi) => {
                format!("thường mất {median}, 9 trên 10 hồ sơ xong trong {p90} (theo {dossiers} hồ sơ đã giải quyết)")
            }
            (Some(dossiers), Language::En) => {
                format!("usually {median}, nine in ten within {p90} (by {dossiers} dossiers)")
            }
            (None, _) => {
                let doubt = match way.confidence {
                    Confidence::Unsourced => self.say(" (chưa kiểm chứng)", " (not verified)"),
                    _ => "",
                };
                format!("{median} {}{doubt}", self.say("theo quy định", "by the rules"))
            }
        }
    }

    fn late(&self, way: &Offer) -> String {
        let ready = way.time.ready_on.0;
        match self.sheet.by_due_day {
            ByDueDay::Settled => {
                let (ready, days) = (language::date(ready), to_days(ready).saturating_sub(self.case.due_on));
                match self.language {
                    Language::Vi => format!("có thể đến {} mới xong, quá hạn {days} ngày", ready.vi),
                    Language::En => {
                        format!("may be ready on {} only, {} after your deadline", ready.en, self.days(days))
                    }
                }
            }
            ByDueDay::Filed => self.say("hạn nộp đã qua", "the last day for filing is over").to_owned(),
        }
    }

    fn days(&self, days: i32) -> String {
        match (days, self.language) {
            (_, Language::Vi) => format!("{days} ngày"),
            (1, Language::En) => "1 day".into(),
            (_, Language::En) => format!("{days} days"),
        }
    }

    /// Why the first way is recommended: beside the next that remains, or beside the first that it beats.
    fn why(&self) -> String {
        let Some((at, (way, cell))) = self.decision.recommended().and_then(|at| Some((at, self.way(at)?))) else {
            let vi = "Không có cách nào vừa kịp hạn vừa không làm mất quyền lợi; xin hỏi cơ quan theo địa chỉ liên hệ";
            return self.say(vi, "No way is both in time and without harm; please ask the agency").to_owned();
        };
        let beaten = || {
            let is_beaten = |place: &Place| matches!(place, Place::Dominated(other) if usize::from(*other) == at);
            self.decision.places().iter().position(is_beaten)
        };
        let slack = self.slack(way);
        let Some((other, other_cell)) = self.decision.at(1).or_else(beaten).and_then(|other| self.way(other)) else {
            return format!("{} {slack}", self.say("Đây là cách duy nhất phù hợp;", "It is the only way that fits;"));
        };
        let compared = self.compare((way, cell), (other, other_cell));
        let compared = if compared.is_empty() {
            self.say("như nhau về chi phí, thời gian và đi lại", "alike in cost, time and visits").to_owned()
        } else {
            compared.join(", ")
        };
        let title = other.title.get(self.language);
        format!("{} “{title}”: {compared}, {slack}", self.say("So với", "Compared with"))
    }

    /// What one way saves and asks beside another: differences alone.
    fn compare(&self, (way, cell): (&Offer, Cell), (other, other_cell): (&Offer, Cell)) -> Vec<String> {
        let vnd = |way: &Offer, cell: Cell| {
            way.costs.get(usize::from(cell.status)).and_then(Option::as_ref).map(|cost| cost.vnd)
        };
        let (mut less, mut more, mut compared) = (Vec::new(), Vec::new(), Vec::new());
        if let (Some(own), Some(others)) = (vnd(way, cell), vnd(other, other_cell)) {
            let amount = money(own.abs_diff(others), self.language);
            put(own.into(), others.into(), amount, &mut less, &mut more);
        }
        let visits = self.of_visits(way.visits.abs_diff(other.visits));
        put(way.visits.into(), other.visits.into(), visits, &mut less, &mut more);
        let (papers, others) = (count(&way.documents), count(&other.documents));
        put(papers, others, self.papers(papers.abs_diff(others)), &mut less, &mut more);
        let (duties, others) = (count(&way.duties), count(&other.duties));
        put(duties, others, self.duties(duties.abs_diff(others)), &mut less, &mut more);
        let and = self.say(" và ", " and ");
        if !less.is_empty() {
            compared.push(format!("{} {}", self.say("bớt", "saves"), joined(&less, and)));
        }
        if !more.is_empty() {
            compared.push(format!("{} {}", self.say("thêm", "adds"), joined(&more, and)));
        }
        let (own, others) = (u64::from(way.time.median_days), u64::from(other.time.median_days));
        let days = self.working_days(own.abs_diff(others));
        match (own.cmp(&others), self.language) {
            (std::cmp::Ordering::Less, Language::Vi) => compared.push(format!("nhanh hơn {days}")),
            (std::cmp::Ordering::Less, Language::En) => compared.push(format!("takes {days} less")),
            (std::cmp::Ordering::Greater, Language::Vi) => compared.push(format!("lâu hơn {days}")),
            (std::cmp::Ordering::Greater, Language::En) => compared.push(format!("takes {days} longer")),
            (std::cmp::Ordering::Equal, _) => {}
        }
        compared
    }

    fn papers(&self, papers: u64) -> String {
        match (papers, self.language) {
            (_, Language::Vi) => format!("{papers} giấy tờ"),
            (1, Language::En) => "one paper".into(),
            (_, Language::En) => format!("{papers} papers"),
        }
    }

    fn duties(&self, duties: u64) -> String {
        match (duties, self.language) {
            (_, Language::Vi) => format!("{duties} việc phải làm sau đó"),
            (1, Language::En) => "one later duty".into(),
            (_, Language::En) => format!("{duties} later duties"),
        }
    }

    /// How far the deadline is when it is done, by nine dossiers in ten.
    fn slack(&self, way: &Offer) -> String {
        let day = |date: Date| self.case.due_on.saturating_sub(to_days(date));
        match self.sheet.by_due_day {
            ByDueDay::Settled => match (day(way.time.ready_on.0), self.language) {
                (0, _) => self.say("xong đúng ngày đến hạn", "ready on the day of your deadline").to_owned(),
                (days, Language::Vi) => format!("vẫn trước hạn {days} ngày"),
                (days, Language::En) => format!("still {} before your deadline", self.days(days)),
            },
            ByDueDay::Filed => {
                let due = from_days(self.case.due_on).map(language::date);
                let due = due.as_ref().map(|due| due.get(self.language)).unwrap_or_default();
                match (day(self.sheet.as_of.0), self.language) {
                    (days, Language::Vi) => format!("còn {days} ngày để nộp, đến hết {due}"),
                    (days, Language::En) => format!("{} left for filing, until {due}", self.days(days)),
                }
            }
        }
    }
}

fn put(own: u64, others: u64, difference: String, less: &mut Vec<String>, more: &mut Vec<String>) {
    match own.cmp(&others) {
        std::cmp::Ordering::Less => less.push(difference),
        std::cmp::Ordering::Greater => more.push(difference),
        std::cmp::Ordering::Equal => {}
    }
}

fn count(texts: &[Text]) -> u64 {
    u64::try_from(texts.len()).unwrap_or(u64::MAX)
}

fn joined(parts: &[String], and: &str) -> String {
    match parts.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{}{and}{last}", rest.join(", ")),
        Some((last, _)) => last.clone(),
        None => String::new(),
    }
}

fn named(words: &[crate::pipeline::options::Named], at: u8, language: Language) -> String {
    words.get(usize::from(at)).map(|named| named.title.get(language).to_owned()).unwrap_or_default()
}

/// An amount as the language writes it: "40.000 ₫", "40,000 ₫".
pub fn money(vnd: u32, language: Language) -> String {
    let digits = vnd.to_string();
    let mark = match language {
        Language::Vi => '.',
        Language::En => ',',
    };
    let mut text = String::with_capacity(digits.len() + 6);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(mark);
        }
        text.push(digit);
    }
    text.push_str(" ₫");
    text
}
