//! The life of an obligation, as far as it can be told from night to night.
//!
//! ```text
//! (nothing) ── arisen ──▶ open ── fulfilled ─▶ fulfilled
//!                         │  ▲ ── withdrawn ─▶ withdrawn   it is no longer among what the sources give
//!                         │  │ ── lapsed ────▶ lapsed      the day went by
//!                         └──┘ moved: another due date, or another version of the rule
//! ```
//!
//! One that lapsed may be fulfilled late, or be open again when the law moves its
//! date; one that was withdrawn or fulfilled may return. Pure: what was known, what
//! is seen tonight, and the dates between which anything can be seen.

use jiff::civil::Date;

use super::Obligation;

/// How an obligation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// It is to be done, and there is time.
    Open,
    /// It was done.
    Fulfilled,
    /// The sources no longer say that it is to be done, nor that it was.
    Withdrawn,
    /// Its day went by.
    Lapsed,
}

impl State {
    const WORDS: [(&'static str, State); 4] = [
        ("open", State::Open),
        ("fulfilled", State::Fulfilled),
        ("withdrawn", State::Withdrawn),
        ("lapsed", State::Lapsed),
    ];

    /// The word in the ledger.
    pub fn word(self) -> &'static str {
        Self::WORDS.iter().find(|(_, state)| *state == self).map_or("?", |(word, _)| word)
    }

    /// From the word in the ledger.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::WORDS.iter().find(|(known, _)| *known == word).map(|(_, state)| *state)
    }
}

/// What happened to an obligation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Event {
    /// It is seen for the first time, and open.
    Arisen,
    /// Its due date or the version of its rule is another.
    Moved,
    /// It was done.
    Fulfilled,
    /// It is no longer there, though its day is one that was asked for.
    Withdrawn,
    /// Its day went by.
    Lapsed,
    /// It is there again.
    Returned,
}

impl Event {
    /// The word in the ledger and in the summary.
    pub fn word(self) -> &'static str {
        match self {
            Event::Arisen => "arisen",
            Event::Moved => "moved",
            Event::Fulfilled => "fulfilled",
            Event::Withdrawn => "withdrawn",
            Event::Lapsed => "lapsed",
            Event::Returned => "returned",
        }
    }
}

/// How one obligation stands. No person is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Its key.
    pub key: String,
    /// Keyed pseudonym of whoever must do it.
    pub subject: String,
    /// The last day on which it may be done.
    pub due_on: Date,
    /// The version of the rule that says so.
    pub rule_version: String,
    /// How it stands.
    pub state: State,
    /// The night since which it stands so.
    pub since: Date,
    /// The day it was done; set when it is fulfilled.
    pub fulfilled_on: Option<Date>,
    /// The commune, of those of the agency, in which the person lived when the obligation was first seen; empty where it
    /// was none of them. None where nobody looked: the night had no such table, or an earlier version wrote it down.
    pub unit: Option<String>,
}

impl Standing {
    /// Whether it was done after its day.
    pub fn is_late(&self) -> bool {
        self.fulfilled_on.is_some_and(|on| on > self.due_on)
    }
}

/// One thing that happened to an obligation, and how it stands since.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// What happened.
    pub event: Event,
    /// How it stands now.
    pub standing: Standing,
    /// The due date and the rule's version before; set when it was moved.
    pub from: Option<(Date, String)>,
}

/// The dates of a night: what is due outside of them was not asked for.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    /// The night's date.
    pub as_of: Date,
    /// The first due date that was asked for.
    pub since: Date,
    /// The last due date that was asked for.
    pub until: Date,
}

/// What the first sight of an obligation means. One that is done or over when it is first seen never was open, and
/// nobody follows it.
pub fn first(
    seen: &Obligation,
    subject: impl FnOnce() -> String,
    unit: impl FnOnce() -> Option<String>,
    window: Window,
) -> Option<Change> {
    let is_open = seen.fulfilled_on.is_none() && seen.due_on >= window.as_of;
    is_open.then(|| Change {
        event: Event::Arisen,
        standing: Standing {
            key: seen.key.into(),
            subject: subject(),
            due_on: seen.due_on,
            rule_version: seen.rule_version.to_string(),
            state: State::Open,
            since: window.as_of,
            fulfilled_on: None,
            unit: unit(),
        },
        from: None,
    })
}

/// What happened since to an obligation that is known; none of `seen` means that it is not among tonight's. Its unit
/// stays.
pub fn next(before: &Standing, seen: Option<&Obligation>, window: Window) -> Vec<Change> {
    let Some(seen) = seen else { return gone(before, window) };
    let becomes = |standing: &Standing, event, state, fulfilled_on| {
        let standing = Standing { state, since: window.as_of, fulfilled_on, ..standing.clone() };
        Change { event, standing, from: None }
    };
    if let Some(on) = seen.fulfilled_on {
        // The day it was due is the one that was known: a register may have forgotten it.
        let is_news = before.state != State::Fulfilled;
        return is_news.then(|| becomes(before, Event::Fulfilled, State::Fulfilled, Some(on))).into_iter().collect();
    }
    let is_open = seen.due_on >= window.as_of;
    let dated = Standing { due_on: seen.due_on, rule_version: seen.rule_version.to_string(), ..before.clone() };
    let mut changes = Vec::new();
    match before.state {
        State::Open | State::Lapsed => {
            let mut standing = dated;
            if standing.state == State::Lapsed && is_open {
                (standing.state, standing.since) = (State::Open, window.as_of);
            }
            let lapses = standing.state == State::Open && !is_open;
            if (standing.due_on, &standing.rule_version) != (before.due_on, &before.rule_version) {
                let from = Some((before.due_on, before.rule_version.clone()));
                changes.push(Change { event: Event::Moved, standing: standing.clone(), from });
            }
            if lapses {
                changes.push(becomes(&standing, Event::Lapsed, State::Lapsed, None));
            }
        }
        State::Withdrawn | State::Fulfilled if is_open => {
            changes.push(becomes(&dated, Event::Returned, State::Open, None));
        }
        State::Withdrawn | State::Fulfilled => changes.push(becomes(&dated, Event::Lapsed, State::Lapsed, None)),
    }
    changes
}

/// One that is no longer there because the register gave the same thing a later end: it was renewed in place, and so was
/// done, on the night that sees it at the latest.
pub fn renewed(withdrawn: Change, window: Window) -> Change {
    let standing = Standing { state: State::Fulfilled, fulfilled_on: Some(window.as_of), ..withdrawn.standing };
    Change { event: Event::Fulfilled, standing, from: None }
}

fn gone(before: &Standing, window: Window) -> Vec<Change> {
    // What is due later than was asked for may well be there.
    if before.state != State::Open || before.due_on > window.until {
        return Vec::new();
    }
    // So may what was due longer ago: nobody knows any more whether it was done.
    let (event, state) = match before.due_on < window.since {
        true => (Event::Lapsed, State::Lapsed),
        false => (Event::Withdrawn, State::Withdrawn),
    };
    let standing = Standing { state, since: window.as_of, ..before.clone() };
    vec![Change { event, standing, from: None }]
}
