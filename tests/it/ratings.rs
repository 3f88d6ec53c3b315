//! Ratings without raters: what is taken in, what is kept, and what an attacker makes of it.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at the first surprise")]

/// Attackers who hold what is left after a night.
mod attack;
/// The page on which people rate.
mod page;
/// From the token of a finished dossier to the count of its cell, through the binary.
mod spent;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use chudong::personal::PseudonymKey;
use chudong::pipeline::blind::{Blind, Proof, Question, Scale};
use chudong::satisfaction::intake::{self, Form, Proofs, Taken};
use chudong::satisfaction::tokens::{self, TokenCell, TokenHash};
use chudong::tables::Table;
use proptest::prelude::*;

fn key() -> PseudonymKey {
    PseudonymKey::new([3; 32])
}

fn codes(words: &[&str]) -> BTreeSet<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn texts(values: &[&str]) -> ArrayRef {
    Arc::new(values.iter().map(|text| (!text.is_empty()).then_some(*text)).collect::<StringArray>())
}

fn table(columns: Vec<(&str, ArrayRef)>) -> Table {
    let nullable = columns.into_iter().map(|(name, array)| (name, array, true));
    Table::from_batch(RecordBatch::try_from_iter_with_nullable(nullable).unwrap())
}

/// Dossiers of October: three of p1, one of p2 in a commune that no list has, one of nobody known.
fn finished() -> Table {
    table(vec![
        ("dossier_id", texts(&["d1", "d2", "d3", "d4", "d5"])),
        ("subject_id", texts(&["p1", "p1", "p1", "p2", ""])),
        ("month", texts(&["2026-10"; 5])),
        ("commune_code", texts(&["97001", "97001", "97002", "99999", "97001"])),
        ("procedure_group", texts(&["land"; 5])),
    ])
}

fn blind(proof: Proof, scale: Scale) -> Blind {
    Blind {
        proof,
        answered_on: "at".into(),
        questions: vec![(Question::Overall, "overall".into()), (Question::Attitude, "attitude".into())],
        scale,
        answers: BTreeMap::new(),
        counts_as: Vec::new(),
        text: Some("text".into()),
        commune: None,
    }
}

/// Answers at midnight of 1 November in Vietnam less a second: still October there, and in UTC since the afternoon.
fn answers(by: &[&str], overall: &[Option<i64>], texts_of: &[&str]) -> Table {
    let late = 1_793_465_999_000_000_i64;
    let at = TimestampMicrosecondArray::from(vec![late; by.len()]).with_timezone("UTC");
    table(vec![
        ("by", texts(by)),
        ("at", Arc::new(at)),
        ("overall", Arc::new(overall.iter().copied().collect::<Int64Array>())),
        ("attitude", Arc::new(overall.iter().map(|_| Some(2)).collect::<Int64Array>())),
        ("text", texts(texts_of)),
    ])
}

fn take(forms: &[Form<'_>], tokens: &HashMap<TokenHash, TokenCell>, per_person: u32) -> Taken {
    let (communes, groups) = (codes(&["97001", "97002"]), codes(&["land"]));
    let proofs = Proofs {
        finished: &finished(),
        tokens,
        months: &codes(&["2026-10"]),
        codes: (&communes, &groups),
        per_person,
        key: &key(),
    };
    intake::take(forms, &proofs).unwrap()
}

fn by_dossier() -> Proof {
    Proof::Dossier { column: "by".into() }
}

#[test]
fn an_answer_is_counted_by_cell_and_question_within_the_bound_of_its_person() {
    let blind = blind(by_dossier(), Scale::Five);
    let rows = answers(
        &["d1", "d2", "d3", "d4", "d5", "unknown", ""],
        &[Some(5), Some(4), Some(1), Some(2), Some(3), Some(1), Some(1)],
        &["rất tốt", "", "chậm", "", "", "of no dossier", ""],
    );
    let taken = take(&[Form { blind: &blind, rows: &rows }], &HashMap::new(), 2);
    let october = &taken.months["2026-10"];
    let overall = |counted: bool| october.counts.sum(|cell| cell.question == "overall" && cell.is_counted == counted);
    // Two of p1's three, p2's one; what nobody is known of cannot be bounded.
    assert_eq!((overall(true), overall(false), october.over_bound), (3, 2, 2));
    assert_eq!(october.counts.sum(|cell| cell.question == "attitude" && cell.level == 2), 5);
    assert_eq!(october.counts.sum(|cell| cell.commune.is_none()), 2, "a code outside the lists is not kept");
    let mut written: Vec<&str> = october.texts.iter().map(|text| text.reveal().as_str()).collect();
    written.sort_unstable();
    assert_eq!(written, ["chậm", "rất tốt"]);
}

#[test]
fn three_levels_and_five_are_never_added_up_unless_it_is_declared() {
    let (five, mut three) = (blind(by_dossier(), Scale::Five), blind(by_dossier(), Scale::Three));
    let (of_five, of_three) = (answers(&["d1"], &[Some(3)], &[""]), answers(&["d4"], &[Some(3)], &[""]));
    let forms = |three: &Blind| {
        let taken =
            take(&[Form { blind: &five, rows: &of_five }, Form { blind: three, rows: &of_three }], &HashMap::new(), 9);
        let counts = taken.months["2026-10"].counts.clone();
        move |scale, level| counts.sum(|cell| cell.question == "overall" && (cell.scale, cell.level) == (scale, level))
    };
    let apart = forms(&three);
    assert_eq!((apart(5, 3), apart(3, 3), apart(5, 5)), (1, 1, 0));
    three.counts_as = vec![2, 4, 5];
    let declared = forms(&three);
    assert_eq!((declared(5, 3), declared(3, 3), declared(5, 5)), (1, 0, 1));
    // A level that the scale does not have is no answer.
    let wrong = answers(&["d1", "d2"], &[Some(4), None], &["", ""]);
    let taken = take(&[Form { blind: &three, rows: &wrong }], &HashMap::new(), 9);
    assert_eq!((taken.incomplete, taken.months["2026-10"].counts.sum(|_| true)), (2, 0));
}

#[test]
fn an_open_kiosk_proves_nothing_and_counts_apart_in_the_month_of_its_civil_day() {
    let kiosk = blind(Proof::Nothing, Scale::Five);
    let rows = answers(&["d1", "x"], &[Some(1), Some(1)], &["", ""]);
    let taken = take(&[Form { blind: &kiosk, rows: &rows }], &HashMap::new(), 1);
    let counts = &taken.months["2026-10"].counts;
    assert_eq!(counts.sum(|cell| cell.proof == "none" && !cell.is_counted && cell.question == "overall"), 2);
    assert_eq!(counts.sum(|cell| cell.is_counted), 0);
    assert_eq!(taken.last_day.unwrap().to_string(), "2026-10-31");
}

/// A batch for the dossiers above, with bytes that are counted up.
fn batch(per_person: u32) -> tokens::Batch {
    let mut next = 0_u128;
    let random = || {
        next += 0x1234_5678_9abc_def0_1234_5678_9abc_def1;
        Some(next.to_be_bytes())
    };
    tokens::draw(&finished(), "2026-10", per_person, &key(), random).unwrap().unwrap()
}

#[test]
fn a_token_is_spent_once_and_shows_its_cell_alone() {
    let batch = batch(1);
    assert_eq!((batch.kept.len(), batch.issued.len()), (5, 5));
    // Of each person known, one token counts.
    assert_eq!(batch.kept.iter().filter(|(_, cell)| cell.is_counting).count(), 2);
    let kept: HashMap<TokenHash, TokenCell> = batch.kept.iter().cloned().collect();
    let token = |dossier: &str| {
        let issued = batch.issued.iter().find(|issued| issued.dossier.reveal() == dossier).unwrap();
        issued.token.reveal().clone()
    };
    // As people type it: small letters, spaces, O for 0.
    let typed = format!("{} ", token("d4").to_lowercase().replace('0', "o"));
    let by = [token("d1"), token("d1"), typed, "00000000000000000000000000".into()];
    let by: Vec<&str> = by.iter().map(String::as_str).collect();
    let rows = answers(&by, &[Some(5), Some(1), Some(4), Some(1)], &["", "", "", ""]);
    let form = blind(Proof::Token { column: "by".into() }, Scale::Five);
    let taken = take(&[Form { blind: &form, rows: &rows }], &kept, 1);
    let october = &taken.months["2026-10"];
    assert_eq!((october.spent.len(), october.repeated), (2, 1));
    assert_eq!(october.counts.sum(|cell| cell.question == "overall"), 2);
    // A token that was drawn with another key is none.
    let other = PseudonymKey::new([4; 32]);
    assert!(!kept.contains_key(&tokens::hash(&token("d1"), &other)));
    assert!(tokens::draw(&finished(), "2026-10", 1, &key(), || None).unwrap().is_none());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Neither the order of rows and forms, nor a second run, nor the day of an answer is in what is kept.
    #[test]
    fn order_is_not_kept(
        rows in prop::collection::vec((0_usize..6, 0_i64..7, 0_usize..3), 0..16), seed in any::<u64>(), cut in 0_usize..16,
    ) {
        let numbers = ["d1", "d2", "d3", "d4", "d5", "unknown"];
        let words = ["", "a", "b"];
        let of = |rows: &[(usize, i64, usize)]| {
            let by: Vec<&str> = rows.iter().map(|row| numbers[row.0]).collect();
            let levels: Vec<Option<i64>> = rows.iter().map(|row| Some(row.1)).collect();
            answers(&by, &levels, &rows.iter().map(|row| words[row.2]).collect::<Vec<_>>())
        };
        let mut shuffled = rows.clone();
        shuffled.sort_by_key(|row| ((row.0 as u64) << 8 | (row.1 as u64) << 4 | row.2 as u64).wrapping_mul(seed | 1).rotate_left(17));
        let form = blind(by_dossier(), Scale::Five);
        let whole = of(&rows);
        let (first, second) = shuffled.split_at(cut.min(shuffled.len()));
        let (first, second) = (of(first), of(second));
        let one = take(&[Form { blind: &form, rows: &whole }], &HashMap::new(), 1);
        let other = take(&[Form { blind: &form, rows: &first }, Form { blind: &form, rows: &second }], &HashMap::new(), 1);
        let (one, other) = (&one.months["2026-10"], &other.months["2026-10"]);
        prop_assert_eq!(one.counts.to_text(), other.counts.to_text());
        prop_assert_eq!(&one.texts, &other.texts);
        prop_assert_eq!(chudong::satisfaction::counts::Counts::of_text(&one.counts.to_text()).unwrap().digest(), other.counts.digest());
    }
}
