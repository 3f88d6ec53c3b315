//! Says why a way is recommended: what it saves and asks beside another one, and how long there is time.
//!
//! Every number is one of the sheet or a difference of two of them. What was not compared is said, and how far the facts of
//! the sentence are to be doubted.

use std::cmp::Ordering;

use jiff::civil::Date;

use super::super::decide::Cell;
use super::super::sheet::Offer;
use super::Words;
use crate::calendar::{from_days, to_days};
use crate::language::{Language, Text};
use crate::pipeline::options::{ByDueDay, Confidence};

/// A way and how it stands to the person.
type Standing<'a> = (&'a Offer, Cell);

/// What a sentence says, and the weakest fact that it rests on.
struct Sentence {
    parts: Vec<String>,
    confidence: Confidence,
}

impl Sentence {
    fn rests_on(&mut self, confidence: Confidence) {
        self.confidence = self.confidence.max(confidence);
    }
}

impl Words<'_> {
    /// Why the first way is recommended, beside the one that comes next by the order of the criteria.
    pub(super) fn why(&self) -> String {
        let Some((way, cell)) = self.decision.recommended().and_then(|at| self.way(at)) else {
            let vi = "Không có cách nào vừa kịp hạn vừa không làm mất quyền lợi; xin hỏi cơ quan theo địa chỉ liên hệ";
            return self.say(vi, "No way is both in time and without harm; please ask the agency").to_owned();
        };
        let mut sentence = Sentence { parts: Vec::new(), confidence: way.confidence };
        match self.decision.beside().and_then(|at| self.way(at)) {
            Some(other) => self.beside(&mut sentence, (way, cell), other),
            None => {
                sentence.parts.push(self.say("Đây là cách duy nhất phù hợp", "It is the only way that fits").to_owned())
            }
        }
        self.slack(&mut sentence, (way, cell));
        let doubt = self.doubt(sentence.confidence);
        sentence.parts.extend(doubt.map(|doubt| match self.language {
            Language::Vi => format!("những điều này {doubt}"),
            Language::En => format!("this is {doubt}"),
        }));
        sentence.parts.join("; ")
    }

    /// What one way saves and asks beside another: differences alone.
    fn beside(&self, sentence: &mut Sentence, (way, cell): Standing<'_>, (other, other_cell): Standing<'_>) {
        sentence.rests_on(other.confidence);
        let (mut less, mut more, mut compared) = (Vec::new(), Vec::new(), Vec::new());
        let amounts = way.amount(cell.status).zip(other.amount(other_cell.status));
        if let Some((own, others)) = amounts {
            for (way, cell) in [(way, cell), (other, other_cell)] {
                sentence.rests_on(way.cost(cell.status).map_or(Confidence::A, |cost| cost.confidence));
                sentence.rests_on(way.post.as_ref().map_or(Confidence::A, |post| post.confidence));
            }
            put(own.into(), others.into(), self.money(own.abs_diff(others)), &mut less, &mut more);
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
        compared.extend(self.quicker(sentence, way, other));
        let term = self.term(sentence, way, other);
        if compared.is_empty() {
            compared.push(self.alike(amounts.is_some()).to_owned());
        }
        let title = other.title.get(self.language);
        sentence.parts.push(format!("{} “{title}”: {}", self.say("So với", "Compared with"), compared.join(", ")));
        sentence.parts.extend(term);
        if amounts.is_none() {
            let unknown: Vec<String> =
                [(way, cell), (other, other_cell)].into_iter().filter_map(|standing| self.missing(standing)).collect();
            let unknown = joined(&unknown, and);
            sentence.parts.push(match self.language {
                Language::Vi => format!("chi phí không được so sánh vì chưa rõ {unknown}"),
                Language::En => format!("the cost was not compared, as we do not know {unknown}"),
            });
        }
    }

    fn alike(&self, is_cost_compared: bool) -> &'static str {
        if is_cost_compared {
            self.say("như nhau về chi phí, thời gian và đi lại", "alike in cost, time and visits")
        } else {
            self.say("như nhau về thời gian và đi lại", "alike in time and visits")
        }
    }

    /// Which part of what a way costs is not known; none where all of it is.
    fn missing(&self, (way, cell): Standing<'_>) -> Option<String> {
        let is_fee_known = way.cost(cell.status).is_some_and(|cost| cost.vnd.is_some());
        let what = match (is_fee_known, &way.post) {
            (false, _) => self.say("mức phí của", "the fee of"),
            (true, Some(post)) if post.vnd.is_none() => self.say("cước bưu chính của", "the postage of"),
            (true, _) => return None,
        };
        Some(format!("{what} “{}”", way.title.get(self.language)))
    }

    /// By how much one way takes longer than the other.
    fn quicker(&self, sentence: &mut Sentence, way: &Offer, other: &Offer) -> Option<String> {
        let (own, others) = (u64::from(way.time.median_days), u64::from(other.time.median_days));
        let days = self.working_days(own.abs_diff(others));
        let order = own.cmp(&others);
        if order != Ordering::Equal {
            [way, other]
                .into_iter()
                .filter_map(|way| way.post.as_ref())
                .for_each(|post| sentence.rests_on(post.confidence));
        }
        match (order, self.language) {
            (Ordering::Less, Language::Vi) => Some(format!("nhanh hơn {days}")),
            (Ordering::Less, Language::En) => Some(format!("takes {days} less")),
            (Ordering::Greater, Language::Vi) => Some(format!("lâu hơn {days}")),
            (Ordering::Greater, Language::En) => Some(format!("takes {days} longer")),
            (Ordering::Equal, _) => None,
        }
    }

    /// What is paid now where the ways are for different terms: the same by the month, and so no saving.
    fn term(&self, sentence: &mut Sentence, way: &Offer, other: &Offer) -> Option<String> {
        let (monthly, own, others) = (self.sheet.contribution.as_ref()?, way.months?, other.months?);
        let order = own.cmp(&others);
        if order == Ordering::Equal {
            return None;
        }
        sentence.rests_on(monthly.confidence);
        let more = order == Ordering::Greater;
        let months = self.months(own.abs_diff(others));
        let sum = monthly.amount(own.abs_diff(others)).map(|vnd| {
            let who = self.say("với người thứ nhất trong hộ", "for the first member of a household");
            format!(" ({} {who})", self.money(vnd))
        });
        let sum = sum.unwrap_or_default();
        Some(match (more, self.language) {
            (true, Language::Vi) => format!("phải đóng ngay nhiều hơn {months}{sum}, có giá trị lâu hơn {months}"),
            (false, Language::Vi) => format!("phải đóng ngay ít hơn {months}{sum}, có giá trị ngắn hơn {months}"),
            (true, Language::En) => format!("asks for {months} more now{sum}, and holds {months} longer"),
            (false, Language::En) => format!("asks for {months} less now{sum}, and holds {months} shorter"),
        })
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

    /// How far the deadline is when it is done, by nine dossiers in ten, or how long there is for filing; and which of the
    /// way, its fee and the deadline ends first.
    fn slack(&self, sentence: &mut Sentence, (way, cell): Standing<'_>) {
        let ends = self.ends(way, cell).filter(|(end, _)| to_days(*end) < self.case.due_on);
        if self.sheet.by_due_day == ByDueDay::Settled {
            sentence.rests_on(way.post.as_ref().map_or(Confidence::A, |post| post.confidence));
            let filed = self.date(way.time.filed_on.0);
            let slack = match (self.case.due_on.saturating_sub(to_days(way.time.ready_on.0)), self.language) {
                (0, Language::Vi) => format!("nộp ngày {filed} thì xong đúng ngày đến hạn"),
                (0, Language::En) => format!("ready on the day of your deadline if filed on {filed}"),
                (days, Language::Vi) => format!("nộp ngày {filed} thì vẫn trước hạn {days} ngày"),
                (days, Language::En) => format!("still {} before your deadline if filed on {filed}", self.days(days)),
            };
            sentence.parts.push(slack);
        }
        let (end, what) = match (ends, self.sheet.by_due_day) {
            (Some(ends), _) => ends,
            (None, ByDueDay::Settled) => return,
            (None, ByDueDay::Filed) => {
                let Some(due) = from_days(self.case.due_on) else { return };
                (due, End::Deadline)
            }
        };
        sentence.rests_on(what.confidence());
        let left = to_days(end).saturating_sub(to_days(self.sheet.as_of.0));
        let (days, until) = (self.days(left), self.until(end));
        sentence.parts.push(match (what, self.language) {
            (End::Deadline, Language::Vi) => format!("còn {days} để nộp, {until}"),
            (End::Deadline, Language::En) => format!("{days} left for filing, {until}"),
            (End::Way(_), Language::Vi) => format!("còn {days} để nộp theo cách này, {until}"),
            (End::Way(_), Language::En) => format!("{days} left for filing in this way, {until}"),
            (End::Fee(_), Language::Vi) => format!("còn {days} được hưởng mức phí này, {until}"),
            (End::Fee(_), Language::En) => format!("{days} left for this fee, {until}"),
        });
    }

    /// The last day of a way or of what it costs the person, whichever comes first.
    fn ends(&self, way: &Offer, cell: Cell) -> Option<(Date, End)> {
        let of_way = way.until.map(|until| (until.0, End::Way(way.confidence)));
        let cost = way.cost(cell.status);
        let of_fee = cost.and_then(|cost| Some((cost.until?.0, End::Fee(cost.confidence))));
        match (of_way, of_fee) {
            (Some(of_way), Some(of_fee)) if of_fee.0 < of_way.0 => Some(of_fee),
            (of_way, of_fee) => of_way.or(of_fee),
        }
    }
}

/// What ends.
#[derive(Clone, Copy)]
enum End {
    Deadline,
    Way(Confidence),
    Fee(Confidence),
}

impl End {
    fn confidence(self) -> Confidence {
        match self {
            End::Deadline => Confidence::A,
            End::Way(confidence) | End::Fee(confidence) => confidence,
        }
    }
}

fn put(own: u64, others: u64, difference: String, less: &mut Vec<String>, more: &mut Vec<String>) {
    match own.cmp(&others) {
        Ordering::Less => less.push(difference),
        Ordering::Greater => more.push(difference),
        Ordering::Equal => {}
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
