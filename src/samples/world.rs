//! The fictional country or province: its communes, and who lives there.
//!
//! People are numbered from 0 and live in blocks, commune after commune, so that
//! a person's commune and the people of a commune are both known without a
//! table. This module must not know any file format.

use jiff::civil::{Date, date};

use super::draw::{Draw, Stream, scattered};
use super::names::Name;
use crate::calendar::{self, Rounding};

/// The night for which the data is made: cards end, ages are reached and cars are due around it.
pub const NIGHT: Date = date(2026, 11, 21);

/// No more people than this in a country of 34 provinces, or its numbers would run out.
pub const COUNTRY_MAX: u64 = 100_000_000;

/// No more people than this in one province.
pub const PROVINCE_MAX: u64 = 4_000_000;

/// How many numbers there are in one province for one sex and year of birth.
const SERIALS: u64 = 1_000_000;

/// A day, counted from 1 January 1970 as in Arrow's `Date32`.
pub type Day = i32;

/// The night, as a day.
pub fn night() -> Day {
    calendar::to_days(NIGHT)
}

/// A day as a civil date; the night itself for a day that no calendar has.
pub fn civil(day: Day) -> Date {
    calendar::from_days(day).unwrap_or(NIGHT)
}

/// A day moved by months, to the last day of a shorter month.
pub fn months_after(day: Day, months: i64) -> Day {
    calendar::add_months(civil(day), months, Rounding::Clamp).map_or(day, calendar::to_days)
}

/// A commune and the people in it.
#[derive(Debug)]
pub struct Commune {
    /// Five digits.
    pub code: String,
    /// The unit code in its dossier numbers, `H97.01`.
    pub unit: String,
    /// Which province it belongs to.
    pub province: usize,
    /// Index of its first person.
    pub first: u64,
    /// How many live there.
    pub people: u64,
    /// How many dossiers in a thousand are late there.
    pub late_per_mille: u64,
}

/// A province and the people in it.
#[derive(Debug)]
pub struct Province {
    /// The first three digits of its people's numbers. No real province has these.
    pub code: u64,
    /// Index of its first person.
    pub first: u64,
    /// How many live there.
    pub people: u64,
}

/// Where everybody lives.
#[derive(Debug)]
pub struct World {
    /// From which everything follows.
    pub seed: u64,
    /// How many people.
    pub people: u64,
    /// How many dossiers they filed in the year before the night.
    pub dossiers: u64,
    /// Ratings in a thousand finished dossiers.
    pub ratings_per_mille: u64,
    /// The communes, in the order of their people.
    pub communes: Vec<Commune>,
    /// The provinces, in the order of their people.
    pub provinces: Vec<Province>,
}

/// Code, share of the people, and late dossiers in a thousand of the communes of An Bình.
///
/// Six are large enough for a figure of each month after bounding has taken one rating per
/// person and month, and two are not, so that the page shows what becomes of small ones.
const AN_BINH: [(&str, u32, u64); 8] = [
    ("97001", 152, 85),
    ("97002", 150, 60),
    ("97003", 149, 120),
    ("97004", 148, 95),
    ("97005", 146, 70),
    ("97006", 143, 140),
    ("97007", 60, 110),
    ("97008", 52, 190),
];

impl World {
    /// An Bình: one fictional province, eight communes of unequal size, three dossiers per person.
    pub fn an_binh(people: u64, seed: u64) -> Self {
        let communes = AN_BINH.iter().enumerate().map(|(at, (code, share, late))| {
            let unit = format!("H97.{:02}", at + 1);
            (0, (*code).to_owned(), unit, u64::from(*share), *late)
        });
        World::new(seed, people, people.saturating_mul(3), 830, vec![97], communes.collect())
    }

    /// A country of the real size: 34 provinces and 3,321 communes, with codes that no real one has.
    pub fn country(people: u64, seed: u64) -> Self {
        const PROVINCES: usize = 34;
        const COMMUNES: usize = 3321;
        let communes = (0..COMMUNES).map(|at| {
            let province = at * PROVINCES / COMMUNES;
            let draw = Draw::new(seed, Stream::Commune, at as u64);
            let unit = format!("H{:03}.{:04}", 901 + province, at + 1);
            (province, format!("{:05}", 60001 + at), unit, 500 + draw.below(0, 1000), 40 + draw.below(1, 160))
        });
        let codes = (901..901 + PROVINCES as u64).collect();
        World::new(seed, people, people.saturating_mul(2) / 5, 600, codes, communes.collect())
    }

    fn new(
        seed: u64,
        people: u64,
        dossiers: u64,
        ratings_per_mille: u64,
        codes: Vec<u64>,
        shares: Vec<(usize, String, String, u64, u64)>,
    ) -> Self {
        let total: u64 = shares.iter().map(|(.., share, _)| share).sum();
        let mut provinces: Vec<Province> =
            codes.into_iter().map(|code| Province { code, first: 0, people: 0 }).collect();
        let mut communes = Vec::with_capacity(shares.len());
        let mut shared = 0;
        let mut first = 0;
        for (province, code, unit, share, late_per_mille) in shares {
            shared += share;
            let end = (u128::from(people) * u128::from(shared) / u128::from(total.max(1))) as u64;
            if let Some(province) = provinces.get_mut(province) {
                if province.people == 0 {
                    province.first = first;
                }
                province.people += end - first;
            }
            communes.push(Commune { code, unit, province, first, people: end - first, late_per_mille });
            first = end;
        }
        World { seed, people, dossiers, ratings_per_mille, communes, provinces }
    }

    /// The commune of a person, by its place in the list.
    pub fn commune_of(&self, index: u64) -> usize {
        self.communes.partition_point(|commune| commune.first + commune.people <= index)
    }

    /// The person in a row of the register, which is not sorted by commune.
    pub fn person_in_row(&self, row: u64) -> Person {
        self.person(scattered(row, self.people, self.seed % self.people.max(1)))
    }

    /// A person, by index.
    pub fn person(&self, index: u64) -> Person {
        let draw = Draw::new(self.seed, Stream::Person, index);
        let commune = self.commune_of(index);
        let province = self.communes.get(commune).and_then(|commune| self.provinces.get(commune.province));
        let (code, within, people) = match province {
            Some(province) => (province.code, index - province.first, province.people),
            None => (0, index, self.people),
        };
        // Where a province has more people than serial numbers, those who share a
        // serial number are born in different years: at most four share one.
        let layers = people.div_ceil(SERIALS).max(1);
        let born = in_layer(born(draw), within / SERIALS, layers);
        let serial = scattered(within % SERIALS, SERIALS, self.seed % SERIALS);
        Person { index, draw, commune, province: code, serial, female: draw.chance(field::SEX, 502), born }
    }
}

/// The numbers of a person's values.
mod field {
    pub const SEX: u64 = 0;
    pub const AGE_GROUP: u64 = 1;
    pub const AGE: u64 = 2;
    pub const NEAR_AGE: u64 = 3;
    pub const WHICH_AGE: u64 = 4;
    pub const DAY_OF_AGE: u64 = 5;
    pub const LEAP_DAY: u64 = 6;
    pub const DIED: u64 = 7;
    pub const DIED_ON: u64 = 8;
    pub const EMAIL: u64 = 9;
    pub const LANGUAGE: u64 = 10;
    pub const REFUSES: u64 = 11;
    pub const ON_THE_DAY: u64 = 12;
}

/// First year of a five-year age group, and its share of the people (near the 2024 mid-term census).
const AGES: [(u64, u32); 19] = [
    (0, 70),
    (5, 76),
    (10, 80),
    (15, 72),
    (20, 67),
    (25, 72),
    (30, 83),
    (35, 85),
    (40, 76),
    (45, 68),
    (50, 61),
    (55, 54),
    (60, 49),
    (65, 36),
    (70, 23),
    (75, 13),
    (80, 9),
    (85, 5),
    (90, 1),
];

fn born(draw: Draw) -> Day {
    // Some reach an age at which an identity card is renewed around the night, and some on the very day.
    if draw.chance(field::NEAR_AGE, 30) {
        let age = draw.weighted(field::WHICH_AGE, &[(14, 1), (25, 1), (40, 1), (60, 1)], 25);
        let reached = match draw.chance(field::ON_THE_DAY, 60) {
            true => night(),
            false => draw.day(field::DAY_OF_AGE, night() - 25, night() + 70),
        };
        return months_after(reached, -12 * age);
    }
    let years = draw.weighted(field::AGE_GROUP, &AGES, 30);
    let days = draw.below(field::AGE, 5 * 1461 / 4);
    let born = night() - (years * 1461 / 4 + days) as Day;
    let date = civil(born);
    let leap_year = (date.year() - date.year() % 4).max(1932);
    // All years from 1904 to 2096 that four divides are leap years.
    match draw.chance(field::LEAP_DAY, 3).then(|| Date::new(leap_year, 2, 29)) {
        Some(Ok(leap_day)) => calendar::to_days(leap_day),
        _ => born,
    }
}

/// The birth date moved back by whole years until the year, modulo `layers`, is the layer's own.
fn in_layer(born: Day, layer: u64, layers: u64) -> Day {
    let (layer, layers) = (layer as i64, layers as i64);
    let year = i64::from(civil(born).year());
    let years_back = (year - layer).rem_euclid(layers.max(1));
    if years_back == 0 { born } else { months_after(born, -12 * years_back) }
}

/// A fictional person.
pub struct Person {
    /// Number in the world, from 0.
    pub index: u64,
    /// Which commune, by its place in the list.
    pub commune: usize,
    /// Date of birth.
    pub born: Day,
    draw: Draw,
    province: u64,
    serial: u64,
    female: bool,
}

impl Person {
    /// The personal identification number (Decree 70/2024/NĐ-CP: three digits for the
    /// province, one for century and sex, two for the year of birth, six of a serial).
    pub fn id(&self) -> String {
        let year = i64::from(civil(self.born).year());
        let century = (year.div_euclid(100) - 19).max(0) * 2 + i64::from(self.female);
        format!("{:03}{}{:02}{:06}", self.province, century % 10, year.rem_euclid(100), self.serial)
    }

    /// Whether the register has her as a woman.
    pub fn is_female(&self) -> bool {
        self.female
    }

    /// Name as in the register, in NFC.
    pub fn full_name(&self) -> String {
        Name::of(self.draw, self.female).full()
    }

    /// Age in whole years on a day; a child born after that day has none.
    pub fn age_on(&self, day: Day) -> u32 {
        let (born, on) = (civil(self.born), civil(day));
        let before_birthday = (on.month(), on.day()) < (born.month(), born.day());
        u32::try_from(i32::from(on.year()) - i32::from(born.year()) - i32::from(before_birthday)).unwrap_or(0)
    }

    /// Where reminders go; most who may have an account give one.
    pub fn email(&self) -> Option<String> {
        let per_mille = if self.age_on(night()) < 13 { 120 } else { 720 };
        let name = Name::of(self.draw, self.female);
        self.draw.chance(field::EMAIL, per_mille).then(|| name.email(self.draw, self.index + 1))
    }

    /// `vi` or `en`; the register does not know for some.
    pub fn language(&self) -> Option<&'static str> {
        self.draw.weighted(field::LANGUAGE, &[(Some("vi"), 940), (Some("en"), 30), (None, 30)], None)
    }

    /// Date of death, within the last two years.
    pub fn died(&self) -> Option<Day> {
        let per_mille = match self.age_on(night()) {
            0..50 => 3,
            50..70 => 12,
            _ => 80,
        };
        let first = self.born.max(night() - 730);
        self.draw.chance(field::DIED, per_mille).then(|| self.draw.day(field::DIED_ON, first, night() - 3))
    }

    /// Whether the person has refused reminders.
    pub fn refuses(&self) -> bool {
        self.draw.chance(field::REFUSES, 20)
    }

    /// The digits with which the person's papers begin: a province that does not exist.
    pub fn province(&self) -> u64 {
        self.province
    }
}
