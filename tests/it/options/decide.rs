//! What is recommended, on random ways with unknown amounts, last days and days off: never with harm, never what another
//! beats, never lower for being better.
#![expect(clippy::indexing_slicing, reason = "a test may stop at the first surprise")]

use chudong::options::Place;
use chudong::pipeline::options::Criterion;
use proptest::prelude::*;

use super::cards::{Card, Table, card, table};

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
        for (card, place) in table.cards.iter().zip(&places) {
            let is_beaten = table.cards.iter().any(|other| table.is_harmless(other) && other.beats(card));
            match place {
                Place::Ranked(_) => prop_assert!(table.is_harmless(card) && !is_beaten, "{card:?}"),
                Place::Dominated(by) => {
                    let other = usize::from(*by);
                    prop_assert!(table.is_harmless(card) && table.cards[other].beats(card));
                    prop_assert!(matches!(places[other], Place::Ranked(_)), "what beats it remains");
                }
                Place::Closed(_) => prop_assert!(!card.is_open),
                Place::LosesRight(_) => prop_assert!(card.is_open && !card.is_without_loss),
                Place::Late => prop_assert!(card.is_open && card.is_without_loss && !table.is_harmless(card)),
                Place::Absent => prop_assert!(false, "every way has a cell"),
            }
        }
        let mut ranks: Vec<u16> = places.iter().map(|place| rank(*place)).filter(|rank| *rank < u16::MAX).collect();
        ranks.sort_unstable();
        prop_assert!(ranks.iter().copied().eq(0..ranks.len() as u16), "{ranks:?}");
        let is_any_harmless = table.cards.iter().any(|card| table.is_harmless(card));
        prop_assert_eq!(ranks.is_empty(), !is_any_harmless, "somebody is always recommended one");
    }

    #[test]
    fn a_way_that_becomes_better_never_falls(
        table in table(), at in any::<prop::sample::Index>(), what in 0..11_usize, by in 1_u16..6,
    ) {
        let at = at.index(table.cards.len());
        let mut better = table.clone();
        let card = &mut better.cards[at];
        match what {
            // That an amount becomes known is neither better nor worse.
            0 => card.fee = card.fee.map(|fee| fee.map(|vnd| vnd.saturating_sub(u32::from(by) * 7_500))),
            1 => card.visits = card.visits.saturating_sub(by),
            2 => card.median_days = card.median_days.saturating_sub(by),
            3 => card.more_days = card.more_days.saturating_sub(by),
            4 => card.documents = card.documents.saturating_sub(by as u8),
            5 => card.duties = card.duties.saturating_sub(by as u8),
            6 => card.is_open = true,
            7 => card.is_without_loss = true,
            8 => card.ends_in_days = card.ends_in_days.map(|end| end + i32::from(by)).filter(|_| by < 5),
            9 => card.days_off = (card.days_off - i32::from(by)).max(0),
            _ => card.opens_in_days = (card.opens_in_days - i32::from(by)).max(0),
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
        let first = |card: &Card| table.ordered(card, true)[..if wish == Criterion::Time { 2 } else { 1 }].to_vec();
        let recommended = &table.cards[recommended];
        // Who wants the cheapest way is told of the cheapest of those whose cost is known.
        let is_among = |card: &&Card| table.is_harmless(card) && (wish != Criterion::Cost || card.vnd().is_some());
        if is_among(&recommended) {
            prop_assert_eq!(table.cards.iter().filter(is_among).map(first).min(), Some(first(recommended)));
        }
    }

    #[test]
    fn the_same_ways_in_another_order_give_the_same(table in table(), turn in any::<prop::sample::Index>()) {
        // Ways that are alike in everything are told apart by their words alone: here each is another.
        let mut straight = table;
        for (at, card) in (0_u16..).zip(&mut straight.cards) {
            card.visits = card.visits * 16 + at;
        }
        let turn = turn.index(straight.cards.len());
        let mut turned = straight.clone();
        turned.cards.rotate_left(turn);
        let (mut one, mut other) = (ranks(&straight), ranks(&turned));
        one.sort_unstable();
        other.sort_unstable();
        prop_assert_eq!(one, other);
    }

    #[test]
    fn an_unknown_amount_neither_wins_nor_loses(table in table(), one in card(), other in card(), vnd in 0_u32..90_000) {
        // Of two ways, one with an unknown part of its cost: what the other costs makes no difference.
        let is_postage = vnd % 2 == 0;
        let unknown = Card {
            fee: Some(is_postage.then_some(0)),
            postage: is_postage.then_some(None),
            ..one
        };
        let places = |fee| Table { cards: vec![unknown.clone(), Card { fee, postage: None, ..other.clone() }], ..table.clone() }.places();
        let (free, dear) = (places(Some(Some(0))), places(Some(Some(vnd))));
        prop_assert_eq!(&free, &dear);
        prop_assert_eq!(&free, &places(None));
        prop_assert!(!free.iter().any(|place| matches!(place, Place::Dominated(_))));
        let cards = [&unknown, &other];
        if let Some(recommended) = free.iter().position(|place| *place == Place::Ranked(0))
            && free.contains(&Place::Ranked(1))
        {
            let rest = cards.map(|card| table.ordered(card, false));
            prop_assert!(rest[recommended] <= rest[1 - recommended]);
        }
    }

    #[test]
    fn what_is_compared_is_what_comes_next(table in table()) {
        let decision = table.decision();
        let Some(recommended) = decision.recommended() else {
            prop_assert_eq!(decision.beside(), None);
            return Ok(());
        };
        let others: Vec<&Card> = (0..).zip(&table.cards)
            .filter(|(at, card)| *at != recommended && table.is_harmless(card)).map(|(_, card)| card).collect();
        let Some(beside) = decision.beside() else {
            prop_assert!(others.is_empty());
            return Ok(());
        };
        let beside = &table.cards[beside];
        prop_assert!(table.is_harmless(beside) && decision.beside() != Some(recommended));
        let is_known = beside.vnd().is_some();
        for other in others.into_iter().filter(|other| other.vnd().is_some() == is_known) {
            prop_assert!(table.ordered(beside, is_known) <= table.ordered(other, is_known), "{other:?}");
        }
    }
}

/// The place of each way, by its visits.
fn ranks(table: &Table) -> Vec<(u16, u16)> {
    table.cards.iter().map(|card| card.visits).zip(table.places().into_iter().map(rank)).collect()
}
