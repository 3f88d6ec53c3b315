//! Sheets of ways with chosen or random numbers. Nothing in them is a real fee.
#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use chudong::calendar::{from_days, to_days};
use chudong::language::Text;
use chudong::options::{Case, Cell, Cost, Day, Offer, Place, Scales, Sheet, Time};
use chudong::pipeline::options::{ByDueDay, Confidence, Criterion, Named, Via};
use jiff::civil::{Date, date};
use proptest::prelude::*;

/// The day of every sheet here.
pub const AS_OF: Date = date(2026, 11, 21);

/// A way by its numbers, and how it stands to the one person there is.
#[derive(Debug, Clone, PartialEq)]
pub struct Card {
    pub vnd: Option<u32>,
    pub visits: u16,
    pub median_days: u16,
    /// How much longer nine in ten take.
    pub more_days: u16,
    pub documents: u8,
    pub duties: u8,
    pub is_open: bool,
    pub is_without_loss: bool,
}

impl Card {
    pub fn p90_days(&self) -> u16 {
        self.median_days + self.more_days
    }

    /// Every day is a working day here: what is compared does not depend on a calendar.
    pub fn ready_on(&self) -> i32 {
        to_days(AS_OF) + i32::from(self.p90_days())
    }

    pub fn is_harmless(&self, due_on: i32, by: ByDueDay) -> bool {
        let needed_on = if by == ByDueDay::Settled { self.ready_on() } else { to_days(AS_OF) };
        self.is_open && self.is_without_loss && needed_on <= due_on
    }

    /// What is compared; less is better in each.
    pub fn numbers(&self) -> [u64; 6] {
        let vnd = self.vnd.map_or(u64::MAX, u64::from);
        let [visits, median, p90] = [self.visits, self.median_days, self.p90_days()].map(u64::from);
        [vnd, visits, median, p90, u64::from(self.documents), u64::from(self.duties)]
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
}

impl Table {
    pub fn sheet(&self) -> Sheet {
        let text = |what: String| Text::new(format!("{what} vi"), format!("{what} en"));
        let named = |word: &str| Named { word: word.into(), title: text(word.into()) };
        let way = |(at, card): (usize, &Card)| Offer {
            id: format!("way_{at:02}"),
            title: text(format!("Way {at}")),
            via: Via::Online,
            procedure_code: None,
            visits: card.visits,
            steps: Vec::new(),
            documents: (0..card.documents).map(|n| text(format!("paper {n}"))).collect(),
            duties: (0..card.duties).map(|n| text(format!("duty {n}"))).collect(),
            time: Time {
                median_days: card.median_days,
                p90_days: card.p90_days(),
                dossiers: Some(100),
                ready_on: Day(from_days(card.ready_on()).unwrap()),
            },
            costs: vec![card.vnd.map(|vnd| Cost {
                vnd,
                until: None,
                confidence: Confidence::A,
                reference: text("article".into()),
            })],
            reference: text("article".into()),
            confidence: Confidence::A,
        };
        Sheet {
            outcome: "outcome".into(),
            title: text("outcome".into()),
            as_of: Day(AS_OF),
            by_due_day: self.by,
            policy: self.policy.clone(),
            statuses: vec![named("standard")],
            reasons: vec![named("closed")],
            rights: vec![named("right")],
            ways: self.cards.iter().enumerate().map(way).collect(),
        }
    }

    pub fn cells(&self) -> Vec<Cell> {
        let cell =
            |card: &Card| Cell { standing: u8::from(!card.is_open), status: 0, right: u8::from(!card.is_without_loss) };
        self.cards.iter().map(cell).collect()
    }

    pub fn places(&self) -> Vec<Place> {
        let cells = self.cells();
        let case = Case { due_on: self.due_on, cells: &cells, wish: self.wish };
        Scales::of(&self.sheet()).decide(&case).places().to_vec()
    }
}

pub fn card() -> impl Strategy<Value = Card> {
    // Few values each, so that ways are often alike in something.
    let vnd = prop::option::weighted(0.9, (0_u32..6).prop_map(|step| step * 7_500));
    let numbers = (vnd, 0_u16..4, 0_u16..12, 0_u16..4, 0_u8..4, 0_u8..3);
    (numbers, prop::bool::weighted(0.85), prop::bool::weighted(0.85)).prop_map(
        |((vnd, visits, median_days, more_days, documents, duties), is_open, is_without_loss)| Card {
            vnd,
            visits,
            median_days,
            more_days,
            documents,
            duties,
            is_open,
            is_without_loss,
        },
    )
}

pub fn table() -> impl Strategy<Value = Table> {
    let criteria = || Criterion::WORDS.map(|(_, criterion)| criterion).to_vec();
    let by = prop_oneof![Just(ByDueDay::Settled), Just(ByDueDay::Filed)];
    let cards = prop::collection::vec(card(), 1..=16);
    let wish = prop::option::weighted(0.4, prop::sample::select(criteria()));
    (cards, -1_i32..16, by, Just(criteria()).prop_shuffle(), wish).prop_map(|(cards, days, by, policy, wish)| Table {
        cards,
        due_on: to_days(AS_OF) + days,
        by,
        policy,
        wish,
    })
}
