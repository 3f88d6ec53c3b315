//! What is recommended, on random ways: never with harm, never what another beats, never lower for being better.
#![expect(clippy::indexing_slicing, reason = "a test may stop at the first surprise")]

use chudong::options::Place;
use proptest::prelude::*;

use super::cards::{Card, Table, card, table};

fn dominates(one: &Card, other: &Card) -> bool {
    let (one, other) = (one.numbers(), other.numbers());
    one != other && one.iter().zip(&other).all(|(one, other)| one <= other)
}

/// The place in the order; what is out of it is below everything.
fn rank(place: Place) -> u16 {
    match place {
        Place::Ranked(rank) => u16::from(rank),
        _ => u16::MAX,
    }
}

proptest! {
    #[test]
    fn nothing_harmful_or_beaten_remains_and_nothing_else_is_out(table in table()) {
        let places = table.places();
        prop_assert_eq!(places.len(), table.cards.len());
        let is_harmless = |card: &Card| card.is_harmless(table.due_on, table.by);
        for (card, place) in table.cards.iter().zip(&places) {
            let is_beaten = table.cards.iter().any(|other| is_harmless(other) && dominates(other, card));
            match place {
                Place::Ranked(_) => prop_assert!(is_harmless(card) && !is_beaten, "{card:?}"),
                Place::Dominated(by) => {
                    let other = usize::from(*by);
                    prop_assert!(is_harmless(card) && dominates(&table.cards[other], card));
                    prop_assert!(matches!(places[other], Place::Ranked(_)), "what beats it remains");
                }
                Place::Closed(_) => prop_assert!(!card.is_open),
                Place::LosesRight(_) => prop_assert!(card.is_open && !card.is_without_loss),
                Place::Late => prop_assert!(card.is_open && card.is_without_loss && !is_harmless(card)),
                Place::Absent => prop_assert!(false, "every way has a cell"),
            }
        }
        let mut ranks: Vec<u16> = places.iter().map(|place| rank(*place)).filter(|rank| *rank < u16::MAX).collect();
        ranks.sort_unstable();
        prop_assert!(ranks.iter().copied().eq(0..ranks.len() as u16), "{ranks:?}");
        prop_assert_eq!(ranks.is_empty(), !table.cards.iter().any(is_harmless), "somebody is always recommended one");
    }

    #[test]
    fn a_way_that_becomes_better_never_falls(
        table in table(), at in any::<prop::sample::Index>(), what in 0..8_usize, by in 1_u16..6,
    ) {
        let at = at.index(table.cards.len());
        let mut better = table.clone();
        let card = &mut better.cards[at];
        match what {
            0 => card.vnd = Some(card.vnd.map_or(50_000, |vnd| vnd.saturating_sub(u32::from(by) * 7_500))),
            1 => card.visits = card.visits.saturating_sub(by),
            2 => card.median_days = card.median_days.saturating_sub(by),
            3 => card.more_days = card.more_days.saturating_sub(by),
            4 => card.documents = card.documents.saturating_sub(by as u8),
            5 => card.duties = card.duties.saturating_sub(by as u8),
            6 => card.is_open = true,
            _ => card.is_without_loss = true,
        }
        let (before, after) = (rank(table.places()[at]), rank(better.places()[at]));
        prop_assert!(after <= before, "{before} became {after}: {:?} became {:?}", table.cards[at], better.cards[at]);
    }

    #[test]
    fn a_wish_comes_first(table in table(), extra in card()) {
        let Some(wish) = table.wish else { return Ok(()) };
        let mut table = table;
        table.cards.truncate(15);
        table.cards.push(extra);
        let places = table.places();
        let Some(recommended) = places.iter().position(|place| *place == Place::Ranked(0)) else { return Ok(()) };
        let number = |card: &Card| {
            let [vnd, visits, median, p90, documents, duties] = card.numbers();
            match wish.word() {
                "cost" => [vnd, 0],
                "visits" => [visits, 0],
                "time" => [median, p90],
                "documents" => [documents, 0],
                _ => [duties, 0],
            }
        };
        let harmless = table.cards.iter().filter(|card| card.is_harmless(table.due_on, table.by));
        prop_assert_eq!(harmless.map(number).min(), Some(number(&table.cards[recommended])));
    }

    #[test]
    fn the_same_ways_in_another_order_give_the_same(table in table(), turn in any::<prop::sample::Index>()) {
        // Ways that are alike in everything are told apart by their words alone: here each is another.
        let mut cards = table.cards.clone();
        for (at, card) in (0_u32..).zip(&mut cards) {
            card.vnd = Some(card.vnd.unwrap_or(90_000) + at);
        }
        let straight = Table { cards, ..table };
        let turn = turn.index(straight.cards.len());
        let mut turned = straight.clone();
        turned.cards.rotate_left(turn);
        let (mut one, mut other) = (ranks(&straight), ranks(&turned));
        one.sort_by_key(|(vnd, _)| *vnd);
        other.sort_by_key(|(vnd, _)| *vnd);
        prop_assert_eq!(one, other);
    }
}

fn ranks(table: &Table) -> Vec<(Option<u32>, u16)> {
    table.cards.iter().map(|card| card.vnd).zip(table.places().into_iter().map(rank)).collect()
}
