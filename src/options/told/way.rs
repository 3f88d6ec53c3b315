//! Says what there is to know of one way.
//!
//! It must not know which way is recommended.

use super::super::decide::{Cell, Place};
use super::super::sheet::{Cost, Offer};
use super::Words;
use crate::calendar::to_days;
use crate::language::{Language, Text};
use crate::pipeline::options::ByDueDay;

impl Words<'_> {
    /// What there is to know of a way, as one sentence without its stop, what speaks against it first.
    pub(super) fn about(&self, way: &Offer, cell: Cell, place: Place) -> String {
        let mut parts = Vec::with_capacity(9);
        match place {
            Place::Closed(reason) => return self.named(&self.sheet.reasons, reason),
            Place::LosesRight(right) => {
                let right = self.named(&self.sheet.rights, right);
                parts.push(format!("{} {right}", self.say("làm mất quyền lợi:", "you would lose a right:")));
            }
            Place::Late => parts.push(self.late(way)),
            Place::Dominated(other) => parts.extend(self.way(usize::from(other)).map(|(other, _)| {
                format!("{} “{}”", self.say("không hơn gì", "in nothing better than"), other.title.get(self.language))
            })),
            Place::Ranked(_) | Place::Absent => {}
        }
        parts.extend(self.contribution(way));
        parts.push(self.cost(way, cell));
        parts.push(self.visits(way.visits));
        parts.push(self.time(way));
        if !way.documents.is_empty() {
            parts.push(format!("{} {}", self.say("giấy tờ cần có:", "papers to bring:"), self.list(&way.documents)));
        }
        if !way.duties.is_empty() {
            parts.push(format!("{} {}", self.say("việc phải làm sau đó:", "what follows:"), self.list(&way.duties)));
        }
        if let Some(until) = way.until {
            parts.push(format!("{} {}", self.say("cách này chỉ có", "open"), self.until(until.0)));
        }
        // Visits, papers and duties are known as well as the way is.
        if let Some(doubt) = self.doubt(way.confidence) {
            parts.push(format!(
                "{} {doubt}",
                self.say("cách làm, số lần đi lại và giấy tờ:", "the way, its visits and papers:")
            ));
        }
        parts.join("; ")
    }

    fn list(&self, texts: &[Text]) -> String {
        texts.iter().map(|text| text.get(self.language)).collect::<Vec<_>>().join(", ")
    }

    /// What is paid by the month, for the term of the way.
    fn contribution(&self, way: &Offer) -> Option<String> {
        let (monthly, months) = (self.sheet.contribution.as_ref()?, way.months?);
        let months_text = self.months(months);
        let mut text = match (monthly.amount(months), self.language) {
            (Some(vnd), Language::Vi) => {
                format!("tiền đóng {months_text} của người thứ nhất trong hộ: {}", self.money(vnd))
            }
            (Some(vnd), Language::En) => {
                format!("contribution for {months_text} of the first member of a household: {}", self.money(vnd))
            }
            (None, Language::Vi) => format!(
                "tiền đóng {months_text}, mỗi tháng {} mức lương cơ sở với người thứ nhất trong hộ (chúng tôi chưa rõ mức lương cơ sở hiện nay)",
                self.per_cent(monthly.per_mille)
            ),
            (None, Language::En) => format!(
                "contribution for {months_text}, each {} of the base salary for the first member of a household (how high the base salary is now, we do not know)",
                self.per_cent(monthly.per_mille)
            ),
        };
        if !monthly.member_percents.is_empty() {
            let percents: Vec<String> = monthly.member_percents.iter().map(|part| format!("{part} %")).collect();
            let follow = self.say("; từ người thứ hai trở đi lần lượt bằng", "; further members in turn pay");
            text.push_str(&format!("{follow} {}{}", percents.join(", "), self.say(" mức đó", " of it")));
        }
        text.push_str(&self.mark(monthly.confidence));
        Some(text)
    }

    /// 45 thousandths: "4,5 %", "4.5 %".
    fn per_cent(&self, per_mille: u16) -> String {
        match per_mille % 10 {
            0 => format!("{} %", per_mille / 10),
            tenth => format!("{}{}{tenth} %", per_mille / 10, self.say(",", ".")),
        }
    }

    /// What the way itself costs, with the postage, and what others pay.
    fn cost(&self, way: &Offer, cell: Cell) -> String {
        let Some(cost) = way.cost(cell.status) else {
            return format!("{}{}", self.say("chưa rõ mức phí", "the fee is not known"), self.others(way, cell));
        };
        let mut text = match cost.vnd {
            None => self.unknown(cost),
            Some(0) => self.say("không mất phí", "no fee").to_owned(),
            Some(vnd) => format!("{} {}", self.say("phí", "fee"), self.money(vnd)),
        };
        if let Some(until) = cost.until {
            text.push_str(&format!(", {}", self.until(until.0)));
        }
        text.push_str(&self.mark(cost.confidence));
        if let Some(post) = &way.post {
            text.push_str(self.say(" và cước bưu chính", " and postage"));
            text.push_str(&match post.vnd {
                Some(vnd) => format!(" {}{}", self.money(vnd), self.mark(post.confidence)),
                None => self.say(" (chưa rõ)", " (not known)").to_owned(),
            });
        }
        text.push_str(&self.others(way, cell));
        text
    }

    /// What is known where an amount is not.
    fn unknown(&self, cost: &Cost) -> String {
        let unknown = cost.unknown.as_ref().map(|unknown| unknown.get(self.language));
        unknown.unwrap_or_else(|| self.say("chưa rõ mức phí", "the fee is not known")).to_owned()
    }

    /// What others pay who may be better off: it is said to those of whom nothing is known.
    fn others(&self, way: &Offer, cell: Cell) -> String {
        let cost = way.cost(cell.status);
        let own = cost.and_then(|cost| cost.vnd);
        let mut text = String::new();
        for (other, status) in way.costs.iter().zip(&self.sheet.statuses).skip(1).filter(|_| cell.status == 0) {
            let Some(other) = other else { continue };
            if Some(other) == cost || other.vnd.zip(own).is_some_and(|(other, own)| other >= own) {
                continue;
            }
            let amount = match other.vnd {
                Some(0) => self.say("không mất phí", "no fee").to_owned(),
                Some(vnd) => self.money(vnd),
                None => self.unknown(other),
            };
            text.push_str(&format!(" ({}: {amount}", status.title.get(self.language)));
            if let Some(until) = other.until {
                text.push_str(&format!(", {}", self.until(until.0)));
            }
            if let Some(doubt) = self.doubt(other.confidence) {
                text.push_str(&format!(", {doubt}"));
            }
            text.push(')');
        }
        text
    }

    fn visits(&self, visits: u16) -> String {
        match visits {
            0 => self.say("không phải đi lại", "no visit").to_owned(),
            _ => self.of_visits(visits),
        }
    }

    fn time(&self, way: &Offer) -> String {
        let time = &way.time;
        let (median, p90) = (self.working_days(time.median_days.into()), self.working_days(time.p90_days.into()));
        let mut text = match (time.dossiers, self.language) {
            (Some(dossiers), Language::Vi) => {
                format!("thường mất {median}, 9 trên 10 hồ sơ xong trong {p90} (theo {dossiers} hồ sơ đã giải quyết)")
            }
            (Some(dossiers), Language::En) => {
                format!("usually {median}, nine in ten within {p90} (by {dossiers} dossiers)")
            }
            (None, _) => {
                format!("{median} {}{}", self.say("theo quy định", "by the rules"), self.mark(way.confidence))
            }
        };
        if let Some(post) = way.post.as_ref().filter(|post| post.working_days > 0) {
            let days = self.working_days(post.working_days.into());
            let mark = self.mark(post.confidence);
            text.push_str(&match self.language {
                Language::Vi => format!(", trong đó {days} gửi bưu chính{mark}"),
                Language::En => format!(", of which {days} by post{mark}"),
            });
        }
        text
    }

    /// Why a way would be too late, for a deadline or for itself.
    fn late(&self, way: &Offer) -> String {
        let (ready, due_on) = (way.time.ready_on.0, self.case.due_on);
        if self.sheet.by_due_day == ByDueDay::Settled && to_days(ready) > due_on {
            let days = self.days(to_days(ready).saturating_sub(due_on));
            let (filed, ready) = (self.date(way.time.filed_on.0), self.date(ready));
            return match self.language {
                Language::Vi => format!("nộp ngày {filed} thì có thể đến {ready} mới xong, quá hạn {days}"),
                Language::En => {
                    format!("filed on {filed}, it may be ready on {ready} only, {days} after your deadline")
                }
            };
        }
        if to_days(self.sheet.as_of.0) > due_on {
            return self.say("hạn nộp đã qua", "the last day for filing is over").to_owned();
        }
        if to_days(way.time.opens_on.0) > due_on {
            let opens = self.date(way.time.opens_on.0);
            return match self.language {
                Language::Vi => format!("đến {opens} mới làm việc, sau hạn của ông/bà"),
                Language::En => format!("closed until {opens}, after your deadline"),
            };
        }
        self.say("cách này sắp hết hiệu lực, có thể không kịp nộp", "it ends before it can safely be taken").to_owned()
    }
}
