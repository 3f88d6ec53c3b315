//! What a data subject can ask for under the data law, and by when it has to be answered.
//!
//! It must not know how a request is kept.

use jiff::ToSpan;
use jiff::civil::Date;

use crate::calendar::{WorkingDays, from_days, to_days};

/// A request of a data subject (Law 91/2025/QH15), with the days by which it has to be answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Keyed pseudonym.
    pub subject: String,
    /// What is asked: `refuse`, `access`, `rectify`, `restrict`, `delete`.
    pub kind: String,
    /// The item, or [`super::ALL`].
    pub item: String,
    /// The channel, or [`super::ALL`].
    pub channel: String,
    /// The day on which it came in.
    pub received_on: Date,
    /// The last day on which its receipt may be confirmed.
    pub acknowledge_by: Date,
    /// The last day on which it may be done.
    pub due_on: Date,
    /// The day on which its receipt was confirmed.
    pub acknowledged_on: Option<Date>,
    /// The day on which it was done.
    pub done_on: Option<Date>,
}

/// What a data subject can ask for (*quyền của chủ thể dữ liệu cá nhân*), Law 91/2025/QH15.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Asked {
    /// To see what is kept.
    Access,
    /// To correct it.
    Rectify,
    /// To keep it and not use it.
    Restrict,
    /// No more reminders: withdrawal and objection.
    Refuse,
    /// To delete it.
    Delete,
}

impl Asked {
    /// The words of a file of requests and of the ledger.
    pub const WORDS: [(&'static str, Asked); 5] = [
        ("access", Asked::Access),
        ("rectify", Asked::Rectify),
        ("restrict", Asked::Restrict),
        ("refuse", Asked::Refuse),
        ("delete", Asked::Delete),
    ];

    /// The word.
    pub fn word(self) -> &'static str {
        Self::WORDS.iter().find(|(_, asked)| *asked == self).map_or("?", |(word, _)| word)
    }

    /// Days within which it is done, Decree 356/2025/NĐ-CP, Art. 5.
    pub fn term_days(self) -> i32 {
        match self {
            Asked::Access | Asked::Rectify => 10,
            Asked::Restrict | Asked::Refuse => 15,
            Asked::Delete => 20,
        }
    }
}

/// Working days within which the receipt of a request is confirmed, Decree 356/2025/NĐ-CP, Art. 5.
pub const ACKNOWLEDGE_WORKING_DAYS: i64 = 2;

impl Request {
    /// A request that came in on a day, open, with its clocks. Where the holidays of that year are not known, every day
    /// counts as a working day: the shorter term.
    pub fn received(subject: &str, asked: Asked, scope: (&str, &str), on: Date, working: &WorkingDays) -> Self {
        let acknowledge_by = working.add(to_days(on), ACKNOWLEDGE_WORKING_DAYS).ok().and_then(from_days);
        Request {
            subject: subject.to_owned(),
            kind: asked.word().to_owned(),
            item: scope.0.to_owned(),
            channel: scope.1.to_owned(),
            received_on: on,
            acknowledge_by: acknowledge_by.unwrap_or_else(|| on.saturating_add(ACKNOWLEDGE_WORKING_DAYS.days())),
            due_on: on.saturating_add(asked.term_days().days()),
            acknowledged_on: None,
            done_on: None,
        }
    }

    /// Whether something is still to be done about it: it is not done, or nobody has told the person that it came in.
    pub fn is_open(&self) -> bool {
        self.done_on.is_none() || self.acknowledged_on.is_none()
    }

    /// The day of the first clock that still runs; none once it is answered.
    pub fn next_on(&self) -> Option<Date> {
        let acknowledge = self.acknowledged_on.is_none().then_some(self.acknowledge_by);
        let done = self.done_on.is_none().then_some(self.due_on);
        acknowledge.into_iter().chain(done).min()
    }

    /// Whether one of its clocks has run out on a day: it is, or was, answered too late.
    pub fn is_late(&self, today: Date) -> bool {
        self.acknowledged_on.unwrap_or(today) > self.acknowledge_by || self.done_on.unwrap_or(today) > self.due_on
    }
}
