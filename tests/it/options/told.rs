//! The numbers of an explanation, read back from its words in both languages.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at the first surprise")]

use std::collections::BTreeMap;

use chudong::calendar::to_days;
use chudong::language::Language;
use chudong::options::told::{Explained, money, tell};
use chudong::options::{Case, Place, Scales, Sheet, Weighed};
use chudong::pipeline::options::{ByDueDay, Confidence};
use proptest::prelude::*;

use super::cards::{AS_OF, Card, Table, day, table};

/// What the words say: by unit, how much less (negative) or more the recommended way is.
type Said = BTreeMap<&'static str, i64>;

/// The units, by a word of their own in each language; the order matters, for one may be part of another.
const UNITS: [(&str, [&str; 2]); 5] = [
    ("vnd", ["₫", "₫"]),
    ("visits", ["lần đi lại", "visit"]),
    ("documents", ["giấy tờ", "paper"]),
    ("duties", ["việc phải làm sau đó", "later dut"]),
    ("days", ["ngày làm việc", "working day"]),
];

/// The doubts, the least first.
const DOUBTS: [(Confidence, [&str; 2]); 3] = [
    (Confidence::B, ["những điều này theo một nguồn", "this is by one source"]),
    (Confidence::C, ["những điều này theo một nguồn chưa chắc chắn", "this is by one weak source"]),
    (Confidence::Unsourced, ["những điều này chưa kiểm chứng", "this is not verified"]),
];

fn number(words: &str) -> i64 {
    let first = words.split(' ').next().unwrap();
    if first == "one" { 1 } else { first.replace(['.', ','], "").parse().unwrap() }
}

/// Reads the comparison out of its part of an explanation.
fn differences(part: &str, language: Language) -> Said {
    let vi = language == Language::Vi;
    let (mut found, mut sign) = (Said::new(), 0);
    if part.starts_with("như nhau") || part.starts_with("alike in") {
        return found;
    }
    for part in part.split(", ") {
        let (less, more, quicker, slower) = if vi {
            ("bớt ", "thêm ", "nhanh hơn ", "lâu hơn ")
        } else {
            ("saves ", "adds ", "takes ", "takes ")
        };
        let time = part.strip_prefix(quicker).or_else(|| part.strip_prefix(slower));
        if let Some(time) = time {
            let is_slower = if vi { part.starts_with(slower) } else { part.ends_with("longer") };
            assert!(time.contains(UNITS[4].1[usize::from(!vi)]), "{part}");
            found.insert("days", if is_slower { number(time) } else { -number(time) });
            continue;
        }
        let words = match (part.strip_prefix(less), part.strip_prefix(more)) {
            (Some(words), _) => {
                sign = -1;
                words
            }
            (None, Some(words)) => {
                sign = 1;
                words
            }
            (None, None) => part,
        };
        for words in words.split(if vi { " và " } else { " and " }) {
            let unit = UNITS.iter().find(|(_, names)| words.contains(names[usize::from(!vi)])).unwrap().0;
            assert!(found.insert(unit, sign * number(words)).is_none(), "{part}");
        }
    }
    found
}

fn difference(own: &Card, other: &Card) -> Said {
    let vnd = own.vnd().zip(other.vnd()).map_or(0, |(own, other)| i64::from(own) - i64::from(other));
    let less = |own: u16, other: u16| i64::from(own) - i64::from(other);
    let all = [
        ("vnd", vnd),
        ("visits", less(own.visits, other.visits)),
        ("documents", less(own.documents.into(), other.documents.into())),
        ("duties", less(own.duties.into(), other.duties.into())),
        ("days", less(own.median_days, other.median_days)),
    ];
    all.into_iter().filter(|(_, difference)| *difference != 0).collect()
}

/// The one part that begins so and what follows it, taken out.
fn take<'w>(parts: &mut Vec<&'w str>, starts: [&[&str]; 2], language: Language) -> Option<&'w str> {
    let starts = starts[usize::from(language == Language::En)];
    let at = parts.iter().position(|part| starts.iter().any(|start| part.starts_with(start)))?;
    Some(parts.remove(at))
}

/// The first whole number among words, 0 where there is none.
fn first_number(words: &str) -> i64 {
    words.split([' ', ',']).find_map(|word| if word == "one" { Some(1) } else { word.parse().ok() }).unwrap_or(0)
}

/// What a part says about a difference of terms: so many months more (or less) are paid now, and so much money that is.
fn term(table: &Table, own: &Card, other: &Card) -> Option<(i64, Option<i64>)> {
    let (vnd, _) = table.monthly?;
    let months = i64::from(own.months?) - i64::from(other.months?);
    (months != 0).then(|| (months, vnd.map(|vnd| i64::from(vnd) * months.abs())))
}

/// The weakest fact that the explanation rests on, by hand.
fn weakest(table: &Table, own: &Card, other: Option<&Card>, end: Option<Confidence>) -> Confidence {
    let mut all = vec![own.way_known];
    let post = |card: &Card| card.postage.map_or(Confidence::A, |_| card.post_known);
    all.extend(end);
    if table.by == ByDueDay::Settled {
        all.push(post(own));
    }
    if let Some(other) = other {
        all.push(other.way_known);
        if own.vnd().is_some() && other.vnd().is_some() {
            all.extend([own.fee_known, other.fee_known, post(own), post(other)]);
        }
        if own.median_days != other.median_days {
            all.extend([post(own), post(other)]);
        }
        if term(table, own, other).is_some() {
            all.extend(table.monthly.map(|(_, known)| known));
        }
    }
    all.into_iter().max().unwrap()
}

/// What ends first before the deadline, with its days and how well it is known: the way or its fee.
fn ends(table: &Table, own: &Card) -> Option<(i32, bool, Confidence)> {
    let of_way = own.ends_in_days.map(|end| (end, true, own.way_known));
    let of_fee = own.fee.and(own.fee_ends_in_days).map(|end| (end, false, own.fee_known));
    let first = match (of_way, of_fee) {
        (Some(way), Some(fee)) => Some(if fee.0 < way.0 { fee } else { way }),
        (way, fee) => way.or(fee),
    };
    first.filter(|(end, ..)| to_days(AS_OF) + end < table.due_on)
}

/// Reads an explanation back and compares every number, day and doubt in it with the cards.
fn read_back(table: &Table, why: &str, own: &Card, other: Option<(&Card, &str)>, language: Language) {
    let is_en = usize::from(language == Language::En);
    let (first, rest) = why.split_once(if other.is_some() { "”: " } else { "; " }).unwrap();
    let mut parts: Vec<&str> = rest.split("; ").collect();
    if let Some((other, title)) = other {
        assert_eq!(first.split_once('“').unwrap().1, title);
        assert_eq!(differences(parts.remove(0), language), difference(own, other), "{why}");
        let said = take(&mut parts, [&["phải đóng ngay"], &["asks for"]], language).map(|said| {
            let months = first_number(said);
            let is_more = said.contains(["nhiều hơn", "more now"][is_en]);
            let vnd = said.split_once('(').map(|(_, vnd)| number(vnd));
            (if is_more { months } else { -months }, vnd)
        });
        assert_eq!(said, term(table, own, other), "{why}");
        let said = take(&mut parts, [&["chi phí không được so sánh"], &["the cost was not compared"]], language);
        let unknown = usize::from(own.vnd().is_none()) + usize::from(other.vnd().is_none());
        assert_eq!(said.map_or(0, |said| said.matches('“').count()), unknown, "{why}");
    }
    let date = |days: i32| chudong::language::date(day(days)).get(language).to_owned();
    if table.by == ByDueDay::Settled {
        let said = take(&mut parts, [&["nộp ngày"], &["still", "ready on"]], language).unwrap();
        let filed = date(own.filed_in_days());
        assert!(said.contains(&filed), "{why}");
        let said = said.replace(&filed, "");
        assert_eq!(first_number(&said), i64::from(table.due_on - own.ready_on()), "{why}");
    }
    let end = ends(table, own);
    let due_in_days = table.due_on - to_days(AS_OF);
    if table.by == ByDueDay::Filed || end.is_some() {
        let said = parts.remove(0);
        let (days, of_way) = end.map_or((due_in_days, None), |(end, is_way, _)| (end, Some(is_way)));
        assert_eq!(first_number(said), i64::from(days), "{why}");
        assert!(said.ends_with(&date(days)), "{why}");
        let of = match (of_way, language) {
            (None, Language::Vi) => "để nộp, đến",
            (None, Language::En) => "for filing, until",
            (Some(true), Language::Vi) => "theo cách này, ",
            (Some(true), Language::En) => "in this way, ",
            (Some(false), Language::Vi) => "mức phí này, ",
            (Some(false), Language::En) => "for this fee, ",
        };
        assert!(said.contains(of), "{why}");
    }
    let weakest = weakest(table, own, other.map(|(other, _)| other), end.map(|(.., known)| known));
    let doubt = DOUBTS.iter().find(|(known, _)| *known == weakest).map(|(_, words)| words[is_en]);
    assert_eq!(parts, doubt.into_iter().collect::<Vec<_>>(), "{why}");
}

proptest! {
    #[test]
    fn the_arithmetic_is_true(table in table()) {
        let (sheet, cells) = (table.sheet(), table.cells());
        let case = Case { due_on: table.due_on, cells: &cells, wish: table.wish };
        let decision = Scales::of(&sheet).decide(&case);
        for language in Language::ALL {
            let told = tell(&sheet, &case, &decision, language);
            prop_assert_eq!(told.ways.len(), table.cards.len(), "all ways are shown");
            let Some(recommended) = decision.recommended() else {
                prop_assert_eq!(told.recommended, None);
                continue;
            };
            let title = |at: usize| sheet.ways[at].title.get(language).to_owned();
            prop_assert_eq!(told.recommended.as_ref(), Some(&title(recommended)));
            prop_assert_eq!(&told.ways[0].0, &title(recommended), "it is shown first");
            let titled = decision.beside().map(|at| (&table.cards[at], title(at)));
            let other = titled.as_ref().map(|(card, title)| (*card, title.as_str()));
            read_back(&table, &told.why, &table.cards[recommended], other, language);
        }
    }

    #[test]
    fn a_way_says_its_last_day_what_is_not_known_and_how_far_it_is_to_be_doubted(table in table()) {
        let (sheet, cells) = (table.sheet(), table.cells());
        let case = Case { due_on: table.due_on, cells: &cells, wish: table.wish };
        let told = tell(&sheet, &case, &Scales::of(&sheet).decide(&case), Language::En);
        for (card, offer) in table.cards.iter().zip(&sheet.ways).filter(|(card, _)| card.is_open) {
            let (_, words) = told.ways.iter().find(|(title, _)| *title == offer.title.en).unwrap();
            let has = |part: &str| words.contains(part);
            let is_unsourced = |known: Confidence| known == Confidence::Unsourced;
            prop_assert_eq!(has("its visits and papers: not verified"), is_unsourced(card.way_known), "{}", words);
            prop_assert_eq!(has("postage (not known)"), card.fee.is_some() && card.postage == Some(None), "{}", words);
            prop_assert_eq!(has("the fee is not known"), card.fee.is_none(), "{}", words);
            prop_assert_eq!(has("a reduced fee"), card.fee == Some(None), "{}", words);
            let end = card.ends_in_days.map(|end| chudong::language::date(day(end)).en);
            prop_assert_eq!(has("; open until"), end.is_some(), "{}", words);
            prop_assert!(end.is_none_or(|end| has(&format!("; open until {end}"))), "{}", words);
            let vnd = card.fee.flatten().filter(|vnd| *vnd > 0).map(|vnd| money(vnd, Language::En));
            prop_assert!(vnd.is_none_or(|vnd| has(&format!("fee {vnd}"))), "{}", words);
        }
    }

    #[test]
    fn what_was_weighed_gives_the_same_words_again(table in table()) {
        let (sheet, cells) = (table.sheet(), table.cells());
        let case = Case { due_on: table.due_on, cells: &cells, wish: table.wish };
        let explained = Explained::of(&sheet, &case, &Scales::of(&sheet).decide(&case));
        let kept = Sheet::from_json(&sheet.json(), "outcome").unwrap();
        prop_assert_eq!(&kept, &sheet);
        prop_assert_eq!(kept.digest(), sheet.digest());
        let weighed = Weighed::read(&Weighed::text(&case)).unwrap();
        let decision = Scales::of(&kept).decide(&weighed.case());
        prop_assert_eq!(Explained::of(&kept, &weighed.case(), &decision), explained);
    }

    #[test]
    fn money_is_read_back(vnd in any::<u32>()) {
        for (language, mark) in [(Language::Vi, '.'), (Language::En, ',')] {
            let text = money(vnd, language);
            let digits = text.strip_suffix(" ₫").unwrap();
            prop_assert_eq!(digits.replace(mark, "").parse::<u32>().unwrap(), vnd);
            let groups: Vec<&str> = digits.split(mark).collect();
            prop_assert!(groups.iter().skip(1).all(|group| group.len() == 3) && groups[0].len() <= 3);
        }
    }
}

/// Sheets that earlier versions wrote down lack what came later, and are read all the same.
#[test]
fn a_sheet_of_an_earlier_version_is_read() {
    let table = Table {
        cards: vec![Card::plain(40_000, 1, 5, 2), Card::plain(0, 0, 7, 2)],
        due_on: to_days(AS_OF) + 18,
        by: ByDueDay::Settled,
        policy: chudong::pipeline::options::Options::default().policy,
        wish: None,
        monthly: None,
    };
    let sheet = table.sheet();
    let mut json: serde_json::Value = serde_json::from_str(&sheet.json()).unwrap();
    json.as_object_mut().unwrap().remove("contribution").unwrap();
    for way in json["ways"].as_array_mut().unwrap() {
        for key in ["until", "post", "months"] {
            way.as_object_mut().unwrap().remove(key).unwrap();
        }
        way["time"].as_object_mut().unwrap().retain(|key, _| key != "opens_on" && key != "filed_on");
        way["costs"][0].as_object_mut().unwrap().remove("unknown").unwrap();
    }
    let read = Sheet::from_json(&json.to_string(), "outcome").unwrap();
    let cells = table.cells();
    let case = Case { due_on: table.due_on, cells: &cells, wish: None };
    assert_eq!(Scales::of(&read).decide(&case), Scales::of(&sheet).decide(&case));
}

#[test]
fn an_explanation_as_people_read_it() {
    let known = Card::plain;
    let cards = vec![
        known(40_000, 1, 5, 2),
        known(0, 0, 7, 2),
        known(80_000, 1, 6, 3),
        known(0, 3, 30, 1),
        Card { postage: Some(None), ..known(10_000, 1, 6, 1) },
        Card {
            fee: Some(None),
            fee_ends_in_days: Some(5),
            ends_in_days: Some(9),
            way_known: Confidence::Unsourced,
            ..known(0, 2, 5, 2)
        },
        Card { ends_in_days: Some(1), reading_days: 2, ..known(0, 0, 3, 0) },
    ];
    let table = Table {
        cards,
        due_on: to_days(AS_OF) + 18,
        by: ByDueDay::Settled,
        policy: chudong::pipeline::options::Options::default().policy,
        wish: None,
        monthly: None,
    };
    let (sheet, cells) = (table.sheet(), table.cells());
    let case = Case { due_on: table.due_on, cells: &cells, wish: None };
    let decision = Scales::of(&sheet).decide(&case);
    let texts = Language::ALL.map(|language| tell(&sheet, &case, &decision, language).text());
    insta::assert_snapshot!(texts.join("\n\n"));
}

/// The same by the month, for six or twelve: neither beats the other, and nothing is called saved.
#[test]
fn terms_are_told_by_what_is_paid_now() {
    let card = |months, visits, duties| Card { months: Some(months), duties, ..Card::plain(0, visits, 5, 0) };
    let table = |vnd| Table {
        cards: vec![card(12, 0, 0), card(6, 0, 1), card(12, 1, 0)],
        due_on: to_days(AS_OF) + 18,
        by: ByDueDay::Filed,
        policy: chudong::pipeline::options::Options::default().policy,
        wish: None,
        monthly: Some((vnd, Confidence::Unsourced)),
    };
    let texts = [Some(105_300), None].map(|vnd| {
        let table = table(vnd);
        let (sheet, cells) = (table.sheet(), table.cells());
        let case = Case { due_on: table.due_on, cells: &cells, wish: None };
        let decision = Scales::of(&sheet).decide(&case);
        let places = [Place::Ranked(0), Place::Ranked(1), Place::Dominated(0)];
        assert_eq!(decision.places(), places, "the term is no saving, and another term is not beaten");
        Language::ALL.map(|language| tell(&sheet, &case, &decision, language).text()).join("\n\n")
    });
    insta::assert_snapshot!(texts.join("\n\n"));
}
