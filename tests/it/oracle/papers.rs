//! Papers that end: identity card, driving licence, passport, temporary residence, health insurance.

use jiff::civil::{Date, date};

use super::given::Cell;
use super::law::{Term, age, in_force, months_later, years_later};
use super::random::plus;
use super::{Given, Id, Night, Obligation, Oracle, Random};

/// The renewal of the identity card.
///
/// Law on Identification 26/2023, Art. 21(1): at full 14, 25, 40 and 60 years; (2): a card issued within two years
/// before stays valid to the next age.
pub struct IdentityCard;

#[derive(Debug)]
pub struct Citizen {
    subject_id: String,
    birth_date: Option<Date>,
    is_deceased: bool,
    cards: Vec<(String, Date)>,
}

const CARD_GRACE_YEARS: i64 = 2;
/// The ages at which a card is renewed: by the law of 2014 it was issued at fourteen, and not renewed.
const AGES_OF_2014: &[i64] = &[25, 40, 60];
const AGES_OF_2023: &[i64] = &[14, 25, 40, 60];
const CARD: [Term<&[i64]>; 2] = [
    Term::new("identity_card_ages@2016-01-01", date(2014, 11, 20), date(2016, 1, 1), AGES_OF_2014)
        .until(date(2023, 11, 27), date(2024, 7, 1)),
    Term::new("identity_card_ages@2024-07-01", date(2023, 11, 27), date(2024, 7, 1), AGES_OF_2023),
];

impl Oracle for IdentityCard {
    type Records = Citizen;

    const NIGHTS: &'static [(Date, Date)] = &[
        (date(2015, 12, 31), date(2015, 12, 31)),
        (date(2024, 6, 30), date(2024, 6, 30)),
        (date(2024, 7, 1), date(2024, 7, 1)),
        (date(2026, 2, 10), date(2026, 2, 10)),
        (date(2026, 11, 22), date(2026, 11, 22)),
        (date(2028, 1, 31), date(2026, 11, 22)),
    ];

    fn random(random: &mut Random, id: Id, night: &Night) -> Citizen {
        let birthday = random.due(night);
        let years = random.pick(&[14, 25, 40, 60, 14, 25, 40, 60, 13, 18, 58, 74, 100]);
        // Whoever was born on 29 February has birthdays on the 28th and the 29th.
        let birth_date = random.months_before(birthday, 12 * years);
        let mut cards = Vec::new();
        for card in 0..random.below(4) {
            let issued_on = match random.below(4) {
                0 => random.done(birthday, night),
                1 => random.months_before(birthday, 12 * CARD_GRACE_YEARS),
                2 => random.months_before(birthday, 12 * 5),
                _ => random.day(plus(birthday, -1000), plus(birthday, 60)),
            };
            cards.push((id.of(format!("card{card}")), issued_on.min(night.as_of)));
        }
        let birth_date = random.maybe(97, |_| birth_date);
        Citizen { subject_id: id.of("p"), birth_date, is_deceased: random.percent(5), cards }
    }

    fn put(records: &Citizen, given: &mut Given) {
        let Citizen { subject_id, birth_date, is_deceased, cards } = records;
        given.row(
            "people",
            &[
                ("subject_id", subject_id.into()),
                ("birth_date", (*birth_date).into()),
                ("is_deceased", (*is_deceased).into()),
                ("refuses_reminders", false.into()),
            ],
        );
        for (card, issued_on) in cards {
            let cells: [(&str, Cell); 3] =
                [("card_number", card.into()), ("subject_id", subject_id.into()), ("issued_on", (*issued_on).into())];
            given.row("identity_cards", &cells);
        }
    }

    fn obligations(records: &Citizen, night: &Night) -> Vec<Obligation> {
        let (Some(law), Some(birth_date)) = (in_force(&CARD, night.as_of, night.known_on), records.birth_date) else {
            return Vec::new();
        };
        let mut due = Vec::new();
        for years in law.value.iter().copied() {
            let birthday = years_later(birth_date, years);
            let grace_from = years_later(birthday, -CARD_GRACE_YEARS);
            let renewed_on = records.cards.iter().map(|card| card.1).filter(|issued_on| *issued_on >= grace_from).min();
            if night.sees(birthday) && !records.is_deceased {
                due.push(Obligation {
                    subject_id: records.subject_id.clone(),
                    object_id: None,
                    period: format!("age-{years}"),
                    due_on: birthday,
                    fulfilled_on: renewed_on,
                    rule_version: law.name.into(),
                    facts: Vec::new(),
                });
            }
        }
        due
    }
}

/// The exchange of a driving licence.
///
/// Law on Road Traffic Order and Safety 36/2024, Art. 57(5): A1, A and B1 without a term, B and C1 ten years, C, D1,
/// D2, D, BE, C1E, CE, D1E, D2E and DE five years from the day of issue. Before it Circular 12/2017, Art. 17: A4 and B2 ten
/// years, C, D, E, FB2, FC, FD and FE five. Art. 89(1) of the law: the old ones hold to the day printed on them.
pub struct DrivingLicence;

#[derive(Debug)]
pub struct Driver {
    subject_id: String,
    /// Number, class, day of issue.
    licences: Vec<(String, &'static str, Date)>,
}

/// How many years a class holds.
type Years = fn(&str) -> Option<i64>;

const LICENCE: [Term<Years>; 2] = [
    Term::new("driving_licence_term@2017-06-01", date(2017, 4, 15), date(2017, 6, 1), circular_years as Years)
        .until(date(2024, 6, 27), date(2025, 1, 1)),
    Term::new("driving_licence_term@2025-01-01", date(2024, 6, 27), date(2025, 1, 1), licence_years),
];
const CLASSES: [&str; 23] = [
    "A1", "A", "B1", "B", "C1", "C", "D1", "D2", "D", "BE", "C1E", "CE", "D1E", "D2E", "DE", "A2", "A4", "B2", "E",
    "FB2", "FC", "FD", "FE",
];

/// Cars by classes that are no longer issued; A4, for tractors, is exchanged for no licence.
const FORMER: [&str; 6] = ["B2", "E", "FB2", "FC", "FD", "FE"];
/// Classes without a term, and tractors: no licence for cars.
const NO_CARS: [&str; 5] = ["A1", "A2", "A", "A4", "B1"];

/// Whether the holder of one class has exchanged it, being issued the other.
fn is_exchanged(class: &str, newer: &str) -> bool {
    class == newer || (FORMER.contains(&class) && !NO_CARS.contains(&newer))
}

fn licence_years(class: &str) -> Option<i64> {
    match class {
        "B" | "C1" => Some(10),
        "C" | "D1" | "D2" | "D" | "BE" | "C1E" | "CE" | "D1E" | "D2E" | "DE" => Some(5),
        former if FORMER.contains(&former) => circular_years(former),
        _ => None,
    }
}

fn circular_years(class: &str) -> Option<i64> {
    match class {
        "A4" | "B2" => Some(10),
        "C" | "D" | "E" | "FB2" | "FC" | "FD" | "FE" => Some(5),
        _ => None,
    }
}

impl Oracle for DrivingLicence {
    type Records = Driver;

    const NIGHTS: &'static [(Date, Date)] = &[
        (date(2017, 5, 31), date(2017, 5, 31)),
        (date(2024, 12, 31), date(2024, 12, 31)),
        (date(2025, 1, 1), date(2025, 1, 1)),
        (date(2026, 1, 5), date(2026, 1, 5)),
        (date(2026, 11, 22), date(2026, 11, 22)),
        // Nobody knew the law of 27 June 2024 in May.
        (date(2026, 11, 22), date(2024, 5, 31)),
        (date(2029, 1, 10), date(2026, 11, 22)),
    ];

    fn random(random: &mut Random, id: Id, night: &Night) -> Driver {
        let class = random.pick(&CLASSES);
        let mut licences = Vec::new();
        for licence in 0..=random.below(3) {
            let class = if random.percent(70) { class } else { random.pick(&CLASSES) };
            let due_on = random.due(night);
            let issued_on = match random.below(3) {
                0 => random.done(due_on, night),
                _ => random.months_before(due_on, licence_years(class).or(circular_years(class)).unwrap_or(10) * 12),
            };
            licences.push((id.of(format!("licence{licence}")), class, issued_on.min(night.as_of)));
        }
        Driver { subject_id: id.of("p"), licences }
    }

    fn put(records: &Driver, given: &mut Given) {
        for (number, class, issued_on) in &records.licences {
            let cells: [(&str, Cell); 4] = [
                ("licence_number", number.into()),
                ("subject_id", (&records.subject_id).into()),
                ("licence_class", (*class).into()),
                ("issued_on", (*issued_on).into()),
            ];
            given.row("driving_licences", &cells);
        }
    }

    fn obligations(records: &Driver, night: &Night) -> Vec<Obligation> {
        let Some(law) = in_force(&LICENCE, night.as_of, night.known_on) else { return Vec::new() };
        let mut due = Vec::new();
        for (number, class, issued_on) in &records.licences {
            let Some(years) = (law.value)(class) else { continue };
            let due_on = years_later(*issued_on, years);
            let newer = records.licences.iter().filter(|other| is_exchanged(class, other.1) && other.2 > *issued_on);
            if night.sees(due_on) {
                due.push(Obligation {
                    subject_id: records.subject_id.clone(),
                    object_id: Some(number.clone()),
                    period: issued_on.to_string(),
                    due_on,
                    fulfilled_on: newer.map(|other| other.2).min(),
                    rule_version: law.name.into(),
                    facts: Vec::new(),
                });
            }
        }
        due
    }
}

/// A new passport.
///
/// Law on Exit and Entry 49/2019, Art. 7(2), and before it Decree 136/2007 as amended by Decree 94/2015: ten years from
/// full fourteen years on, below that five. The law of the day of issue counts.
pub struct Passport;

#[derive(Debug)]
pub struct Travellers {
    passports: Vec<Booklet>,
}

#[derive(Debug)]
struct Booklet {
    passport_number: String,
    subject_id: String,
    holder_id: String,
    holder_birth_date: Date,
    issued_on: Date,
}

#[derive(Clone, Copy)]
struct PassportLaw {
    longer_from_age: i64,
    longer_years: i64,
    shorter_years: i64,
}

const PASSPORT_YEARS: PassportLaw = PassportLaw { longer_from_age: 14, longer_years: 10, shorter_years: 5 };
const PASSPORT: [Term<PassportLaw>; 2] = [
    Term::new("passport_term@2015-12-01", date(2015, 10, 16), date(2015, 12, 1), PASSPORT_YEARS)
        .until(date(2019, 11, 22), date(2020, 7, 1)),
    Term::new("passport_term@2020-07-01", date(2019, 11, 22), date(2020, 7, 1), PASSPORT_YEARS),
];

impl Oracle for Passport {
    type Records = Travellers;

    const NIGHTS: &'static [(Date, Date)] = &[
        (date(2020, 10, 1), date(2020, 10, 1)),
        (date(2025, 5, 20), date(2025, 5, 20)),
        (date(2025, 11, 1), date(2025, 11, 1)),
        (date(2026, 11, 22), date(2026, 11, 22)),
        // What of the law of 2019 was known in October 2019.
        (date(2026, 11, 22), date(2019, 10, 31)),
        (date(2030, 3, 15), date(2026, 11, 22)),
    ];

    fn random(random: &mut Random, id: Id, night: &Night) -> Travellers {
        let (parent, child) = (id.of("parent"), id.of("child"));
        let mut passports = Vec::new();
        let due_on = random.due(night);
        let years = random.pick(&[5, 10]);
        let first = match random.below(8) {
            // The days on which the law changed.
            0 => random.near(date(2015, 12, 1)),
            1 => random.near(date(2020, 7, 1)),
            _ => random.months_before(due_on, 12 * years),
        };
        let birth_date = match random.below(4) {
            0 | 1 => {
                let birthday = random.near(first);
                random.months_before(birthday, 12 * 14)
            }
            2 => random.day(date(1930, 1, 1), plus(first, -5000)),
            _ => random.day(plus(first, -6000), plus(first, -30)),
        };
        for number in 0..=random.below(3) {
            let issued_on = match number {
                0 => first,
                _ if random.percent(50) => random.done(due_on, night),
                _ => random.months_before(due_on, 12 * years),
            };
            let is_of_child = random.percent(85);
            let holder = if is_of_child { &child } else { &parent };
            passports.push(Booklet {
                passport_number: id.of(format!("passport{number}")),
                // A holder of age has become the one to write to.
                subject_id: if random.percent(80) { parent.clone() } else { holder.clone() },
                holder_id: holder.clone(),
                holder_birth_date: if is_of_child { birth_date } else { years_later(birth_date, -30) },
                issued_on: issued_on.min(night.as_of),
            });
        }
        Travellers { passports }
    }

    fn put(records: &Travellers, given: &mut Given) {
        for passport in &records.passports {
            let cells: [(&str, Cell); 5] = [
                ("passport_number", (&passport.passport_number).into()),
                ("subject_id", (&passport.subject_id).into()),
                ("holder_id", (&passport.holder_id).into()),
                ("holder_birth_date", passport.holder_birth_date.into()),
                ("issued_on", passport.issued_on.into()),
            ];
            given.row("passports", &cells);
        }
    }

    fn obligations(records: &Travellers, night: &Night) -> Vec<Obligation> {
        let mut due = Vec::new();
        for passport in &records.passports {
            let issued_on = passport.issued_on;
            let Some(law) = in_force(&PASSPORT, issued_on, night.known_on) else { continue };
            let years = match age(passport.holder_birth_date, issued_on) >= law.value.longer_from_age {
                true => law.value.longer_years,
                false => law.value.shorter_years,
            };
            let due_on = years_later(issued_on, years);
            let of_holder = records.passports.iter().filter(|other| other.holder_id == passport.holder_id);
            if night.sees(due_on) {
                due.push(Obligation {
                    subject_id: passport.subject_id.clone(),
                    object_id: Some(passport.passport_number.clone()),
                    period: issued_on.to_string(),
                    due_on,
                    fulfilled_on: of_holder.map(|other| other.issued_on).filter(|other| *other > issued_on).min(),
                    rule_version: law.name.into(),
                    facts: Vec::new(),
                });
            }
        }
        due
    }
}

/// A paper of which the register keeps the last day alone.
#[derive(Debug)]
pub struct Expiring {
    subject_id: String,
    /// Number and last day.
    papers: Vec<(String, Date)>,
}

impl Expiring {
    fn random(random: &mut Random, id: Id, night: &Night, months: i64) -> Self {
        let mut papers = Vec::new();
        for number in 0..=random.below(3) {
            let last_day = random.due(night);
            let last_day = if random.percent(30) { months_later(last_day, months) } else { last_day };
            papers.push((id.of(format!("paper{number}")), last_day));
        }
        if let Some(same_day) = random.maybe(10, |_| papers[0].1) {
            papers.push((id.of("again"), same_day));
        }
        Expiring { subject_id: id.of("p"), papers }
    }

    fn put(&self, given: &mut Given, [table, number, last_day]: [&str; 3]) {
        for (paper, on) in &self.papers {
            let cells: [(&str, Cell); 3] =
                [(number, paper.into()), ("subject_id", (&self.subject_id).into()), (last_day, (*on).into())];
            given.row(table, &cells);
        }
    }

    /// Each paper is due on its last day, and done as soon as there is one that ends later.
    fn obligations(&self, night: &Night, rule_version: &str, fact_after_days: i64) -> Vec<Obligation> {
        let seen = self.papers.iter().filter(|(_, last_day)| night.sees(*last_day));
        let due = seen.map(|(number, last_day)| Obligation {
            subject_id: self.subject_id.clone(),
            object_id: Some(number.clone()),
            period: last_day.to_string(),
            due_on: *last_day,
            fulfilled_on: self.papers.iter().any(|(_, other)| other > last_day).then_some(night.as_of),
            rule_version: rule_version.to_owned(),
            facts: vec![Some(plus(*last_day, fact_after_days).to_string())],
        });
        due.collect()
    }
}

/// The extension of temporary residence: Law on Residence 68/2020, Art. 27 and 28, within fifteen days before the end.
pub struct TemporaryResidence;

const RESIDENCE_DAYS: i64 = 15;
const RESIDENCE: [Term<()>; 1] =
    [Term::new("temporary_residence_extension@2021-07-01", date(2021, 7, 1), date(2021, 7, 1), ())];

impl Oracle for TemporaryResidence {
    type Records = Expiring;

    const NIGHTS: &'static [(Date, Date)] = &[
        (date(2021, 6, 30), date(2021, 6, 30)),
        (date(2021, 7, 1), date(2021, 7, 1)),
        (date(2026, 11, 22), date(2026, 11, 22)),
        (date(2028, 2, 20), date(2026, 11, 22)),
    ];

    const FACTS: &'static [&'static str] = &["opens_on"];

    fn random(random: &mut Random, id: Id, night: &Night) -> Expiring {
        Expiring::random(random, id, night, 24)
    }

    fn put(records: &Expiring, given: &mut Given) {
        records.put(given, ["temporary_residences", "registration_number", "expires_on"]);
    }

    fn obligations(records: &Expiring, night: &Night) -> Vec<Obligation> {
        let law = in_force(&RESIDENCE, night.as_of, night.known_on);
        law.map(|law| records.obligations(night, law.name, -RESIDENCE_DAYS)).unwrap_or_default()
    }
}

/// The renewal of household health insurance: Decree 188/2025, Art. 18, membership counts as continuous while the gap
/// is at most ninety days.
pub struct HealthInsurance;

const GAP_DAYS: i64 = 90;
const INSURANCE: [Term<()>; 1] =
    [Term::new("health_insurance_gap@2025-08-15", date(2025, 8, 15), date(2025, 8, 15), ())];

impl Oracle for HealthInsurance {
    type Records = Expiring;

    const NIGHTS: &'static [(Date, Date)] = &[
        (date(2025, 8, 14), date(2025, 8, 14)),
        (date(2025, 8, 15), date(2025, 8, 15)),
        (date(2026, 2, 1), date(2026, 2, 1)),
        (date(2026, 11, 22), date(2026, 11, 22)),
    ];

    const FACTS: &'static [&'static str] = &["gap_ends_on"];

    fn random(random: &mut Random, id: Id, night: &Night) -> Expiring {
        Expiring::random(random, id, night, 12)
    }

    fn put(records: &Expiring, given: &mut Given) {
        records.put(given, ["health_insurance_cards", "card_number", "valid_to"]);
    }

    fn obligations(records: &Expiring, night: &Night) -> Vec<Obligation> {
        let law = in_force(&INSURANCE, night.as_of, night.known_on);
        law.map(|law| records.obligations(night, law.name, GAP_DAYS)).unwrap_or_default()
    }
}
