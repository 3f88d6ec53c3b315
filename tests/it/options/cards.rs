//! Sheets of ways with chosen or random numbers. Nothing in them is a real fee.
#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use chudong::calendar::{from_days, to_days};
use chudong::language::Text;
use chudong::options::{Case, Cell, Cost, Day, Decision, Monthly, Offer, Place, Scales, Sheet, Time};
use chudong::pipeline::options::{ByDueDay, Confidence, Criterion, Named, Post, Via};
use jiff::civil::{Date, date};
use proptest::prelude::*;

/// The day of every sheet here.
pub const AS_OF: Date = date(2026, 11, 21);

/// A day so many days after that of the sheets.
pub fn day(days: i32) -> Date {
    from_days(to_days(AS_OF) + days).unwrap()
}

/// A way by its numbers, and how it stands to the one person there is. Days are counted from that of the sheet.
#[derive(Debug, Clone, PartialEq)]
pub struct Card {
    /// None: nobody said; `Some(None)`: it is only known that there is a fee.
    pub fee: Option<Option<u32>>,
    pub fee_ends_in_days: Option<i32>,
    /// None: nothing goes by post; `Some(None)`: for an unknown postage.
    pub postage: Option<Option<u32>>,
    pub months: Option<u16>,
    pub visits: u16,
    pub median_days: u16,
    /// How much longer nine in ten take.
    pub more_days: u16,
    pub documents: u8,
    pub duties: u8,
    pub opens_in_days: i32,
    /// How much later than it opens it is taken to be filed.
    pub reading_days: i32,
    /// Days off before and while it is done.
    pub days_off: i32,
    pub ends_in_days: Option<i32>,
    pub is_open: bool,
    pub is_without_loss: bool,
    pub way_known: Confidence,
    pub fee_known: Confidence,
    pub post_known: Confidence,
}

impl Card {
    /// A way of which everything is known, by what it costs, visits, working days and papers.
    pub fn plain(vnd: u32, visits: u16, median_days: u16, documents: u8) -> Self {
        Card {
            fee: Some(Some(vnd)),
            fee_ends_in_days: None,
            postage: None,
            months: None,
            visits,
            median_days,
            more_days: 2,
            documents,
            duties: 0,
            opens_in_days: 0,
            reading_days: 0,
            days_off: 0,
            ends_in_days: None,
            is_open: true,
            is_without_loss: true,
            way_known: Confidence::A,
            fee_known: Confidence::A,
            post_known: Confidence::A,
        }
    }

    /// What is paid in all; none where a part of it is not known.
    pub fn vnd(&self) -> Option<u32> {
        Some(self.fee?? + self.postage.unwrap_or(Some(0))?)
    }

    pub fn p90_days(&self) -> u16 {
        self.median_days + self.more_days
    }

    pub fn filed_in_days(&self) -> i32 {
        self.opens_in_days + self.reading_days
    }

    pub fn ready_on(&self) -> i32 {
        to_days(AS_OF) + self.filed_in_days() + i32::from(self.p90_days()) + self.days_off
    }

    /// Whether it can be filed by the deadline while the way is open, and is done by then where it has to be.
    pub fn is_harmless(&self, due_on: i32, by: ByDueDay) -> bool {
        let due_in_days = due_on - to_days(AS_OF);
        let last = self.ends_in_days.map_or(due_in_days, |end| end.min(due_in_days));
        let is_read = self.filed_in_days() <= last || (due_in_days < self.filed_in_days() && due_in_days <= last);
        let is_filed = self.opens_in_days <= last && is_read;
        self.is_open && self.is_without_loss && is_filed && (by == ByDueDay::Filed || self.ready_on() <= due_on)
    }

    /// What is compared; less is better in each. An unknown cost is no number.
    pub fn numbers(&self) -> [u64; 6] {
        let [visits, median, p90] = [self.visits, self.median_days, self.p90_days()].map(u64::from);
        [self.vnd().map_or(0, u64::from), visits, median, p90, u64::from(self.documents), u64::from(self.duties)]
    }

    pub fn beats(&self, other: &Card) -> bool {
        let is_comparable = self.vnd().is_some() && other.vnd().is_some() && self.months == other.months;
        let (one, other) = (self.numbers(), other.numbers());
        is_comparable && one != other && one.iter().zip(&other).all(|(one, other)| one <= other)
    }
}

/// A person before some ways.
#[derive(Debug, Clone)]
pub struct Table {
    pub cards: Vec<Card>,
    pub due_on: i32,
    pub by: ByDueDay,
    pub policy: Vec<Criterion>,
    pub wish: Option<Criterion>,
    /// What is paid by the month, and how well it is known.
    pub monthly: Option<(Option<u32>, Confidence)>,
}

impl Table {
    pub fn sheet(&self) -> Sheet {
        let named = |word: &str| Named { word: word.into(), title: text(word.into()) };
        Sheet {
            outcome: "outcome".into(),
            title: text("outcome".into()),
            as_of: Day(AS_OF),
            by_due_day: self.by,
            policy: self.policy.clone(),
            statuses: vec![named("standard")],
            reasons: vec![named("closed")],
            rights: vec![named("right")],
            contribution: self.monthly.map(|(vnd, confidence)| Monthly {
                vnd,
                per_mille: 45,
                member_percents: vec![70, 60, 50, 40],
                confidence,
                reference: text("article".into()),
            }),
            ways: self.cards.iter().enumerate().map(|(at, card)| way(at, card)).collect(),
        }
    }

    pub fn cells(&self) -> Vec<Cell> {
        let cell =
            |card: &Card| Cell { standing: u8::from(!card.is_open), status: 0, right: u8::from(!card.is_without_loss) };
        self.cards.iter().map(cell).collect()
    }

    pub fn decision(&self) -> Decision {
        let cells = self.cells();
        Scales::of(&self.sheet()).decide(&Case { due_on: self.due_on, cells: &cells, wish: self.wish })
    }

    pub fn places(&self) -> Vec<Place> {
        self.decision().places().to_vec()
    }

    pub fn is_harmless(&self, card: &Card) -> bool {
        card.is_harmless(self.due_on, self.by)
    }

    /// The numbers of a way in the order that counts for the person, with or without the cost.
    pub fn ordered(&self, card: &Card, with_cost: bool) -> Vec<u64> {
        let [vnd, visits, median, p90, documents, duties] = card.numbers();
        let rest = self.policy.iter().copied().filter(|criterion| Some(*criterion) != self.wish);
        let numbers = self.wish.into_iter().chain(rest).flat_map(|criterion| match criterion {
            Criterion::Cost => vec![if with_cost { vnd } else { 0 }],
            Criterion::Visits => vec![visits],
            Criterion::Time => vec![median, p90],
            Criterion::Documents => vec![documents],
            Criterion::Duties => vec![duties],
        });
        numbers.collect()
    }
}

fn text(what: String) -> Text {
    Text::new(format!("{what} vi"), format!("{what} en"))
}

fn way(at: usize, card: &Card) -> Offer {
    Offer {
        id: format!("way_{at:02}"),
        title: text(format!("Way {at}")),
        via: Via::Online,
        procedure_code: None,
        mark: None,
        visits: card.visits,
        steps: Vec::new(),
        documents: (0..card.documents).map(|n| text(format!("paper {n}"))).collect(),
        duties: (0..card.duties).map(|n| text(format!("duty {n}"))).collect(),
        time: Time {
            median_days: card.median_days,
            p90_days: card.p90_days(),
            dossiers: Some(100),
            opens_on: Day(day(card.opens_in_days)),
            filed_on: Day(day(card.filed_in_days())),
            ready_on: Day(from_days(card.ready_on()).unwrap()),
        },
        until: card.ends_in_days.map(|end| Day(day(end))),
        post: card.postage.map(|vnd| Post { working_days: 0, vnd, confidence: card.post_known }),
        months: card.months,
        costs: vec![card.fee.map(|vnd| Cost {
            vnd,
            unknown: vnd.is_none().then(|| text("a reduced fee".into())),
            until: card.fee_ends_in_days.map(|end| Day(day(end))),
            confidence: card.fee_known,
            reference: text("article".into()),
        })],
        reference: text("article".into()),
        confidence: card.way_known,
    }
}

fn known() -> impl Strategy<Value = Confidence> {
    prop_oneof![3 => Just(Confidence::A), 1 => Just(Confidence::B), 1 => Just(Confidence::C), 1 => Just(Confidence::Unsourced)]
}

pub fn card() -> impl Strategy<Value = Card> {
    // Few values each, so that ways are often alike in something.
    let amount = || prop::option::weighted(0.85, (0_u32..6).prop_map(|step| step * 7_500));
    let money = (
        prop::option::weighted(0.95, amount()),
        prop::option::weighted(0.2, 0_i32..20),
        prop::option::weighted(0.3, amount()),
        prop::option::weighted(0.3, prop::sample::select(vec![6_u16, 12])),
    );
    let numbers = (0_u16..4, 0_u16..12, 0_u16..4, 0_u8..4, 0_u8..3);
    let days = (0_i32..3, 0_i32..3, 0_i32..3, prop::option::weighted(0.3, 0_i32..20));
    let stands = (prop::bool::weighted(0.85), prop::bool::weighted(0.85));
    (money, numbers, days, stands, known(), known(), known()).prop_map(
        |(money, numbers, days, stands, way_known, fee_known, post_known)| Card {
            fee: money.0,
            fee_ends_in_days: money.1,
            postage: money.2,
            months: money.3,
            visits: numbers.0,
            median_days: numbers.1,
            more_days: numbers.2,
            documents: numbers.3,
            duties: numbers.4,
            opens_in_days: days.0,
            reading_days: days.1,
            days_off: days.2,
            ends_in_days: days.3,
            is_open: stands.0,
            is_without_loss: stands.1,
            way_known,
            fee_known,
            post_known,
        },
    )
}

pub fn table() -> impl Strategy<Value = Table> {
    let criteria = || Criterion::WORDS.map(|(_, criterion)| criterion).to_vec();
    let by = prop_oneof![Just(ByDueDay::Settled), Just(ByDueDay::Filed)];
    let cards = prop::collection::vec(card(), 1..=16);
    let wish = prop::option::weighted(0.4, prop::sample::select(criteria()));
    let monthly = prop::option::weighted(0.7, (prop::option::of(100_000_u32..200_000), known()));
    (cards, -1_i32..24, by, Just(criteria()).prop_shuffle(), wish, monthly).prop_map(
        |(cards, days, by, policy, wish, monthly)| Table {
            cards,
            due_on: to_days(AS_OF) + days,
            by,
            policy,
            wish,
            monthly,
        },
    )
}
