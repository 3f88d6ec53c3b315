//! What a person holds that ends one day: identity cards, driving licences,
//! vehicles, temporary residences, health insurance cards.
//!
//! Ends fall around the night so that each obligation has some dozens of people
//! due, some already late, and some who have renewed and must be left alone. The
//! intervals here only make plausible data; the rules that count are in
//! `pipelines/law/` and the obligations in `sql/`.

use super::draw::{Draw, Stream};
use jiff::civil::{Date, date};

use super::world::{Day, NIGHT, Person, World, civil, months_after, night};
use crate::calendar;

/// An identity card.
pub struct IdentityCard {
    /// Number of the card.
    pub number: String,
    /// Date of issue.
    pub issued_on: Day,
}

/// A driving licence of one class.
pub struct Licence {
    /// Number of the licence.
    pub number: String,
    /// Law 36/2024/QH15, Art. 57.
    pub class: &'static str,
    /// Date of issue.
    pub issued_on: Day,
}

/// A registered vehicle.
pub struct Vehicle {
    /// The registration plate.
    pub plate: String,
    /// `passenger_car` or another kind.
    pub kind: &'static str,
    /// Used for commercial transport.
    pub is_commercial: bool,
    /// Year of manufacture.
    pub year_made: i64,
    /// Last inspection; for a motorcycle, which needs none, its registration.
    pub last_inspected_on: Day,
    /// Certificates so far.
    pub inspections: i64,
}

/// A temporary residence.
pub struct Residence {
    /// Number of the registration.
    pub number: String,
    /// Where, by the commune's place in the list.
    pub commune: usize,
    /// Last day of the registration.
    pub expires_on: Day,
    /// When it was ended before its last day.
    pub ended_on: Option<Day>,
}

/// A household health insurance card.
pub struct InsuranceCard {
    /// Number of the card.
    pub number: String,
    /// Last day of the card.
    pub valid_to: Day,
}

/// At most this many papers of one kind per person.
pub const MOST: usize = 2;

/// The papers of one kind that a person holds.
pub type Few<T> = [Option<T>; MOST];

/// The first day of a year; the night itself for a year that no calendar has.
fn new_year(year: i64) -> Day {
    let day = i16::try_from(year).ok().and_then(|year| Date::new(year, 1, 1).ok());
    calendar::to_days(day.unwrap_or(NIGHT))
}

/// The first day on which cards of twelve digits were issued.
const FIRST_CARDS: Date = date(2016, 1, 1);
/// The first day on which children under 14 got cards (Law 26/2023/QH15 in force).
const CHILD_CARDS: Date = date(2024, 7, 1);

fn serial(person: &Person, which: u64) -> u64 {
    person.index * MOST as u64 + which
}

/// The identity cards of a person.
pub fn identity_cards(world: &World, person: &Person) -> Few<IdentityCard> {
    let draw = Draw::new(world.seed, Stream::IdentityCard, person.index);
    let card = |which: u64, issued_on: Day| IdentityCard {
        number: format!("CC{:03}{:09}", person.province(), serial(person, which)),
        issued_on,
    };
    let (first_cards, child_cards) = (calendar::to_days(FIRST_CARDS), calendar::to_days(CHILD_CARDS));
    let (reached, before) = ages_around(person.born);
    let Some(reached) = reached else {
        // Younger than 14 by more than the time around the night: a card only on request.
        let first = person.born.max(child_cards);
        let has = draw.chance(0, 60) && first < night() - 30;
        // Not on the day of birth itself: the register has no number for the child yet.
        let issued = draw.day(1, first, night() - 20).max(person.born + 1);
        return [has.then(|| card(0, issued)), None];
    };
    if reached < night() - 120 {
        // The age was reached long ago: the card dates from around then, or is a later replacement.
        let first = (reached - 300).max(first_cards);
        let last = if draw.chance(2, 700) { (reached + 500).max(first_cards + 3000) } else { night() - 10 };
        let issued = draw.day(1, first, last.min(night() - 10));
        let older = first - 900 > first_cards && draw.chance(3, 80);
        let old = draw.day(4, first_cards, (issued - 400).max(first_cards));
        return match older {
            true => [Some(card(0, old)), Some(card(1, issued))],
            false => [Some(card(0, issued)), None],
        };
    }
    let early = draw.day(5, reached - 720, (reached - 200).min(night() - 10));
    let Some(before) = before else {
        // Turning 14: most have no card yet, or one issued in the last two years.
        return [draw.chance(6, 350).then(|| card(0, early.max(child_cards))), None];
    };
    if draw.chance(7, 100) {
        // Issued within the two years before the age: valid to the next one.
        return [Some(card(0, early)), None];
    }
    let first = (before - 200).max(first_cards);
    let old = draw.day(8, first, (before + 1500).min(reached - 760).max(first));
    let renewed = draw.chance(9, 180).then(|| draw.day(10, reached - 180, (reached + 30).min(night() - 3)));
    [Some(card(0, old)), renewed.map(|day| card(1, day))]
}

/// The last age of 14, 25, 40 and 60 that is reached soon after the night at the latest, and the one before it.
fn ages_around(born: Day) -> (Option<Day>, Option<Day>) {
    let mut around = (None, None);
    for age in [14, 25, 40, 60] {
        let day = months_after(born, 12 * age);
        if day <= night() + 75 {
            around = (Some(day), around.0);
        }
    }
    around
}

/// Class, share, youngest age, and the term in months where there is one.
type Class = (&'static str, u32, Option<i64>);
const CLASSES: [(Class, u32); 14] = [
    (("A1", 18, None), 420),
    (("A", 18, None), 60),
    (("B1", 18, None), 10),
    (("B", 18, Some(120)), 310),
    (("C1", 18, Some(120)), 50),
    (("C", 21, Some(60)), 62),
    (("D1", 24, Some(60)), 20),
    (("D2", 24, Some(60)), 14),
    (("D", 27, Some(60)), 16),
    (("BE", 21, Some(60)), 4),
    (("C1E", 24, Some(60)), 6),
    (("CE", 24, Some(60)), 20),
    (("D1E", 27, Some(60)), 4),
    (("DE", 27, Some(60)), 4),
];

/// Where a person lives, as the register has it.
pub struct Address {
    /// House and street; the register does not know it of some.
    pub text: Option<String>,
    /// When it was last confirmed.
    pub confirmed_on: Day,
}

const STREETS: [&str; 8] = [
    "đường Trần Hưng Đạo",
    "đường Lê Lợi",
    "đường Nguyễn Huệ",
    "đường Hai Bà Trưng",
    "thôn Đông",
    "thôn Đoài",
    "ấp Bến Gỗ",
    "tổ dân phố số 3",
];

/// Where a person lives.
pub fn address(world: &World, person: &Person) -> Address {
    let draw = Draw::new(world.seed, Stream::Address, person.index);
    let street = usize::try_from(draw.below(1, STREETS.len() as u64)).ok().and_then(|at| STREETS.get(at));
    let text = format!("Số {}, {}, tỉnh An Bình", draw.below(2, 320) + 1, street.copied().unwrap_or_default());
    Address {
        text: (!draw.chance(0, 60)).then_some(text),
        confirmed_on: draw.day(3, person.born.max(night() - 9 * 365), night() - 5),
    }
}

/// Whom the register of drivers takes for the holder of a licence: of some, not quite who they are.
pub fn holder(world: &World, person: &Person) -> (Option<String>, Option<Day>) {
    let draw = Draw::new(world.seed, Stream::Holder, person.index);
    let full_name = person.full_name();
    let name = match draw.below(0, 1000) {
        // A middle name was left out, as on old paper.
        0..30 => {
            let words: Vec<&str> = full_name.split(' ').collect();
            match words.as_slice() {
                [first, .., last] if words.len() > 2 => Some(format!("{first} {last}")),
                _ => Some(full_name),
            }
        }
        30..45 => None,
        _ => Some(full_name),
    };
    let born = match draw.below(1, 1000) {
        // A slip of the pen.
        0..12 => Some(person.born + 1),
        12..40 => None,
        _ => Some(person.born),
    };
    (name, born)
}

/// The driving licences of a person: one, two of different classes, or an old one and the one it was exchanged for.
pub fn licences(world: &World, person: &Person) -> Few<Licence> {
    let draw = Draw::new(world.seed, Stream::Licence, person.index);
    let age = person.age_on(night());
    if !(18..80).contains(&age) || !draw.chance(0, 665) {
        return [None, None];
    }
    let number = |which| format!("{:03}{:09}", person.province(), serial(person, which));
    let adult = months_after(person.born, 18 * 12);
    let (class, youngest, term) = draw.weighted(1, &CLASSES, ("A1", 18, None));
    let Some(term) = term.filter(|_| age > youngest) else {
        // Classes without a term; somebody too young for a heavy class has a motorcycle.
        let class = if term.is_some() { "A1" } else { class };
        let first = adult.max(night() - 25 * 365);
        let licence = Licence { number: number(0), class, issued_on: draw.day(2, first, (night() - 5).max(first)) };
        let car = draw.chance(3, 60).then(|| with_term(draw, person, "B", 120));
        return [Some(licence), car.map(|issued_on| Licence { number: number(1), class: "B", issued_on })];
    };
    let issued_on = with_term(draw, person, class, term);
    let ends = months_after(issued_on, term);
    let exchanged = ends < night() + 75 && draw.chance(4, 220);
    let renewed = exchanged.then(|| Licence {
        number: number(1),
        class,
        issued_on: draw.day(5, (ends - 75).min(night() - 20), (ends + 60).min(night() - 2)),
    });
    [Some(Licence { number: number(0), class, issued_on }), renewed]
}

/// When a licence with a term was issued: more of them than chance would have it end around the night.
fn with_term(draw: Draw, person: &Person, class: &str, term: i64) -> Day {
    let youngest = if matches!(class, "B" | "C1") { 18 } else { 21 };
    let first = months_after(person.born, youngest * 12);
    let anywhere = draw.day(6, months_after(night() - 150, -term).max(first), night() - 10);
    let around = months_after(draw.day(8, night() - 15, night() + 60), -term);
    if draw.chance(7, 70) && around >= first { around } else { anywhere.max(first).min(night() - 2) }
}

const KINDS: [(&str, u32); 5] =
    [("motorcycle", 600), ("passenger_car", 310), ("truck", 62), ("coach", 18), ("trailer", 10)];

/// The vehicles of a person.
pub fn vehicles(world: &World, person: &Person) -> Few<Vehicle> {
    let draw = Draw::new(world.seed, Stream::Vehicle, person.index);
    if !(18..76).contains(&person.age_on(night())) {
        return [None, None];
    }
    let number = match draw.below(0, 1000) {
        0..318 => 0,
        318..806 => 1,
        _ => 2,
    };
    let first = world.communes.get(person.commune).and_then(|commune| world.provinces.get(commune.province));
    let within = person.index - first.map_or(0, |province| province.first);
    let made = |which: u64| {
        let draw = Draw::new(draw.bits(1), Stream::Vehicle, which);
        vehicle(draw, plate(person.province(), within * MOST as u64 + which))
    };
    [(number > 0).then(|| made(0)), (number > 1).then(|| made(1))]
}

/// A plate in a series that is never issued: real series have no J, O, Q or W.
fn plate(province: u64, serial: u64) -> String {
    const FIRST: [char; 4] = ['J', 'O', 'Q', 'W'];
    let (series, number) = (serial / 100_000, serial % 100_000);
    let first = FIRST.get((series / 26 % 4) as usize).copied().unwrap_or('J');
    let second = char::from(b'A' + (series % 26) as u8);
    format!("{province}{first}{second}-{:03}.{:02}", number / 100, number % 100)
}

fn vehicle(draw: Draw, plate: String) -> Vehicle {
    let kind = draw.weighted(0, &KINDS, "motorcycle");
    let years = draw.below(1, 24).min(draw.below(2, 30));
    let year_made = i64::from(NIGHT.year()) - years as i64;
    let first = new_year(year_made);
    let registered = draw.day(3, first + 20, (first + 420).min(night() - 10));
    let commercial_per_mille = match kind {
        "passenger_car" => 90,
        "motorcycle" => 0,
        _ => 700,
    };
    let is_commercial = draw.chance(4, commercial_per_mille);
    let (last_inspected_on, inspections) = match kind {
        "motorcycle" => (registered, 0),
        "passenger_car" => inspected(draw, year_made, registered),
        _ => (draw.day(5, (night() - 380).max(registered), night() - 2), 1 + years as i64),
    };
    Vehicle { plate, kind, is_commercial, year_made, last_inspected_on, inspections }
}

/// The last inspection of a car and how many it has had, as they follow from its registration.
fn inspected(draw: Draw, year_made: i64, registered: Day) -> (Day, i64) {
    let mut last = registered;
    let mut inspections = 1;
    // Owners come up to three weeks early; a few are late on the night.
    let slack = |inspections: i64| draw.below(100 + inspections as u64, 22) as Day;
    loop {
        let due = months_after(last, interval_months(year_made, last, inspections));
        if due - slack(inspections) >= night() - draw.below(6, 20) as Day || inspections > 60 {
            break;
        }
        last = due - slack(inspections);
        inspections += 1;
    }
    // More cars than chance would have it are due around the night.
    let months = interval_months(year_made, last, inspections);
    let moved = months_after(draw.day(8, night() - 8, night() + 33), -months);
    let fits = moved > registered && moved < night() && interval_months(year_made, moved, inspections) == months;
    let last = if draw.chance(7, 50) && fits { moved } else { last };
    (last.min(night() - 1), inspections)
}

fn interval_months(year_made: i64, inspected_on: Day, inspections: i64) -> i64 {
    match (inspections, i64::from(civil(inspected_on).year()) - year_made) {
        (..=1, _) => 36,
        (_, ..=7) => 24,
        (_, 8..=20) => 12,
        _ => 6,
    }
}

/// The temporary residences of a person: none, one, or one and its extension.
pub fn residences(world: &World, person: &Person) -> Few<Residence> {
    let draw = Draw::new(world.seed, Stream::Residence, person.index);
    if !draw.chance(0, 80) {
        return [None, None];
    }
    let other = draw.below(1, world.communes.len().saturating_sub(1) as u64) as usize;
    // Elsewhere than at home: nobody is temporary in the own commune.
    let commune = if other >= person.commune { other + 1 } else { other };
    let commune = commune.min(world.communes.len().saturating_sub(1));
    let number = |which| format!("TT{:03}-{:09}", person.province(), serial(person, which));
    let expires_on = match draw.chance(2, 170) {
        true => draw.day(3, night() - 4, night() + 15),
        false => draw.day(4, night() - 40, night() + 690),
    };
    let extended = expires_on < night() + 16 && draw.chance(5, 200);
    let ended = (extended && draw.chance(6, 500)) || draw.chance(7, 80);
    let ended_on = ended.then(|| draw.day(8, night() - 90, (expires_on).min(night() - 2)).min(expires_on));
    let extension = extended.then(|| Residence {
        number: number(1),
        commune,
        expires_on: months_after(expires_on, 24),
        ended_on: None,
    });
    [Some(Residence { number: number(0), commune, expires_on, ended_on }), extension]
}

/// The household health insurance cards of a person: none, one, or one and the next.
pub fn insurance_cards(world: &World, person: &Person) -> Few<InsuranceCard> {
    let draw = Draw::new(world.seed, Stream::Insurance, person.index);
    if !(6..85).contains(&person.age_on(night())) || !draw.chance(0, 330) {
        return [None, None];
    }
    let number = |which| format!("GD4{:03}{:010}", person.province(), serial(person, which));
    let valid_to = match draw.chance(1, 80) {
        // Some households pay for a calendar year.
        true => new_year(i64::from(NIGHT.year()) + 1) - 1,
        false => draw.day(2, night() - 100, night() + 360),
    };
    let paid = valid_to < night() + 60 && draw.chance(3, 250);
    let next = paid.then(|| InsuranceCard { number: number(1), valid_to: months_after(valid_to, 12) });
    [Some(InsuranceCard { number: number(0), valid_to }), next]
}
