//! The numbers of an explanation, read back from its words in both languages.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at the first surprise")]

use std::collections::BTreeMap;

use chudong::calendar::to_days;
use chudong::language::Language;
use chudong::options::told::{Explained, money, tell};
use chudong::options::{Case, Place, Scales, Sheet, Weighed};
use chudong::pipeline::options::ByDueDay;
use proptest::prelude::*;

use super::cards::{AS_OF, Card, Table, table};

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

fn number(words: &str) -> i64 {
    let first = words.split(' ').next().unwrap();
    if first == "one" { 1 } else { first.replace(['.', ','], "").parse().unwrap() }
}

/// Reads the comparison out of an explanation, with the name of what it compares with and the days at its end.
fn said(why: &str, language: Language) -> (String, Said, i64) {
    let vi = language == Language::Vi;
    let (other, rest) = why.split_once('“').unwrap().1.split_once("”: ").unwrap();
    let mut parts: Vec<&str> = rest.split(", ").collect();
    // The last day of filing stands after a comma of its own.
    if parts.last().is_some_and(|last| last.starts_with("until ") || last.starts_with("đến hết ")) {
        parts.pop();
    }
    let slack = parts.pop().unwrap();
    let days = slack.split(' ').find_map(|word| word.parse().ok()).unwrap_or(0);
    let (mut found, mut sign) = (Said::new(), 0);
    for part in parts {
        if ["như nhau về chi phí", "thời gian và đi lại", "alike in cost", "time and visits"].contains(&part)
        {
            continue;
        }
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
            assert!(found.insert(unit, sign * number(words)).is_none(), "{why}");
        }
    }
    (other.to_owned(), found, days)
}

fn difference(own: &Card, other: &Card) -> Said {
    let vnd = own.vnd.zip(other.vnd).map_or(0, |(own, other)| i64::from(own) - i64::from(other));
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
            let is_beaten = |place: &Place| *place == Place::Dominated(recommended as u8);
            let other = decision.at(1).or_else(|| decision.places().iter().position(is_beaten));
            let Some(other) = other else {
                prop_assert!(!told.why.contains('“'));
                continue;
            };
            let (name, said, days) = said(&told.why, language);
            prop_assert_eq!(name, title(other));
            prop_assert_eq!(said, difference(&table.cards[recommended], &table.cards[other]), "{}", told.why);
            let end = match table.by {
                ByDueDay::Settled => table.cards[recommended].ready_on(),
                ByDueDay::Filed => to_days(AS_OF),
            };
            prop_assert_eq!(days, i64::from(table.due_on - end), "{}", told.why);
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

#[test]
fn an_explanation_as_people_read_it() {
    let card = |vnd, visits, median_days, documents| Card {
        vnd: Some(vnd),
        visits,
        median_days,
        more_days: 2,
        documents,
        duties: 0,
        is_open: true,
        is_without_loss: true,
    };
    let table = Table {
        cards: vec![card(40_000, 1, 5, 2), card(0, 0, 7, 2), card(80_000, 1, 6, 3), card(0, 3, 30, 1)],
        due_on: to_days(AS_OF) + 18,
        by: ByDueDay::Settled,
        policy: chudong::pipeline::options::Options::default().policy,
        wish: None,
    };
    let (sheet, cells) = (table.sheet(), table.cells());
    let case = Case { due_on: table.due_on, cells: &cells, wish: None };
    let decision = Scales::of(&sheet).decide(&case);
    let texts = Language::ALL.map(|language| tell(&sheet, &case, &decision, language).text());
    insta::assert_snapshot!(texts.join("\n\n"));
}
