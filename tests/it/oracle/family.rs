//! Births, deaths, children and their vaccinations, first military registration.

use jiff::civil::{Date, date};

use super::given::Cell;
use super::law::{Term, in_force, joined, months_later};
use super::random::plus;
use super::{Given, Id, Night, Obligation, Oracle, Random};

/// An event that is entered in the civil status register within some days; the day itself is not counted (Civil Code
/// 2015, Art. 147(2)).
#[derive(Debug)]
pub struct Events {
    subject_id: String,
    events: Vec<Event>,
}

#[derive(Debug)]
struct Event {
    id: String,
    on: Date,
    is_deceased: bool,
    registered_on: Option<Date>,
}

impl Events {
    fn random(random: &mut Random, id: Id, night: &Night, days: i64) -> Self {
        let mut events: Vec<Event> = Vec::new();
        for number in 0..=random.below(3) {
            let on = match random.below(6) {
                // Twins.
                0 if !events.is_empty() => events[0].on,
                1 => random.near(date(2016, 1, 1)),
                _ => {
                    let due_on = random.due(night);
                    plus(due_on, -days)
                }
            };
            let on = on.min(night.as_of);
            let registered_on = random.maybe(40, |random| random.done(plus(on, days), night).max(on));
            events.push(Event {
                id: id.of(format!("event{number}")),
                on,
                is_deceased: random.percent(5),
                registered_on,
            });
        }
        Events { subject_id: id.of("p"), events }
    }

    fn obligations(&self, terms: &'static [Term<i64>], night: &Night) -> Vec<Obligation> {
        let mut due = Vec::new();
        for event in &self.events {
            // The law of the day of the event: before 2016 there was another one.
            let Some(law) = in_force(terms, event.on, night.known_on) else { continue };
            let due_on = plus(event.on, law.value);
            if night.sees(due_on) {
                due.push(Obligation {
                    subject_id: self.subject_id.clone(),
                    object_id: Some(event.id.clone()),
                    period: event.on.to_string(),
                    due_on,
                    fulfilled_on: event.registered_on,
                    rule_version: law.name.into(),
                    facts: Vec::new(),
                });
            }
        }
        due
    }
}

const REGISTERED_FROM: Date = date(2016, 1, 1);
const REGISTERED_ENACTED: Date = date(2014, 11, 20);

/// The registration of a birth: Law on Civil Status 60/2014, Art. 15(1), sixty days.
pub struct BirthRegistration;

const BIRTH_DAYS: i64 = 60;
const BIRTH: [Term<i64>; 1] =
    [Term::new("birth_registration_term@2016-01-01", REGISTERED_ENACTED, REGISTERED_FROM, BIRTH_DAYS)];

impl Oracle for BirthRegistration {
    type Records = Events;

    const NIGHTS: &'static [(Date, Date)] = &[
        (date(2016, 2, 20), date(2016, 2, 20)),
        (date(2026, 2, 25), date(2026, 2, 25)),
        (date(2026, 11, 22), date(2026, 11, 22)),
        (date(2028, 2, 20), date(2026, 11, 22)),
    ];

    fn random(random: &mut Random, id: Id, night: &Night) -> Events {
        Events::random(random, id, night, BIRTH_DAYS)
    }

    fn put(records: &Events, given: &mut Given) {
        for event in &records.events {
            let cells: [(&str, Cell); 5] = [
                ("birth_id", (&event.id).into()),
                ("subject_id", (&records.subject_id).into()),
                ("born_on", event.on.into()),
                ("is_deceased", event.is_deceased.into()),
                ("registered_on", event.registered_on.into()),
            ];
            given.row("births", &cells);
        }
    }

    fn obligations(records: &Events, night: &Night) -> Vec<Obligation> {
        let mut due = records.obligations(&BIRTH, night);
        // A clerk speaks with parents who have lost the child.
        let is_lost = |id: &Option<String>| {
            records.events.iter().any(|event| event.is_deceased && Some(&event.id) == id.as_ref())
        };
        due.retain(|one| !is_lost(&one.object_id));
        due
    }
}

/// The registration of a death: Law on Civil Status 60/2014, Art. 33(1), fifteen days.
pub struct DeathRegistration;

const DEATH_DAYS: i64 = 15;
const DEATH: [Term<i64>; 1] =
    [Term::new("death_registration_term@2016-01-01", REGISTERED_ENACTED, REGISTERED_FROM, DEATH_DAYS)];

impl Oracle for DeathRegistration {
    type Records = Events;

    const NIGHTS: &'static [(Date, Date)] = &[
        (date(2016, 1, 14), date(2016, 1, 14)),
        (date(2026, 2, 25), date(2026, 2, 25)),
        (date(2026, 11, 22), date(2026, 11, 22)),
        (date(2028, 2, 25), date(2026, 11, 22)),
    ];

    fn random(random: &mut Random, id: Id, night: &Night) -> Events {
        Events::random(random, id, night, DEATH_DAYS)
    }

    fn put(records: &Events, given: &mut Given) {
        for event in &records.events {
            let cells: [(&str, Cell); 4] = [
                ("death_id", (&event.id).into()),
                ("subject_id", (&records.subject_id).into()),
                ("died_on", event.on.into()),
                ("registered_on", event.registered_on.into()),
            ];
            given.row("deaths", &cells);
        }
    }

    fn obligations(records: &Events, night: &Night) -> Vec<Obligation> {
        records.obligations(&DEATH, night)
    }
}

/// First military registration.
///
/// Law on Military Service 78/2015, Art. 12 and 16: men who reach 17 years in the year, in April. Decree 13/2016,
/// Art. 4: the summons is delivered ten days before the day that it names.
pub struct MilitaryRegistration;

#[derive(Debug)]
pub struct Recruit {
    subject_id: String,
    birth_date: Date,
    called_for: Option<Date>,
    registered_on: Option<Date>,
}

const MILITARY_AGE: i64 = 17;
const APRIL: i64 = 4;
const SUMMONS_DAYS: i64 = 10;
const MILITARY: [Term<()>; 1] =
    [Term::new("military_registration_month@2016-01-01", date(2015, 6, 19), date(2016, 1, 1), ())];
const SUMMONS: [Term<()>; 1] =
    [Term::new("military_registration_summons@2016-04-08", date(2016, 2, 19), date(2016, 4, 8), ())];

impl Oracle for MilitaryRegistration {
    type Records = Recruit;

    const NIGHTS: &'static [(Date, Date)] = &[
        (date(2015, 4, 10), date(2015, 4, 10)),
        (date(2016, 4, 5), date(2016, 4, 5)),
        (date(2026, 3, 31), date(2026, 3, 31)),
        (date(2026, 4, 20), date(2026, 4, 20)),
        (date(2026, 12, 20), date(2026, 11, 22)),
        (date(2027, 4, 30), date(2026, 11, 22)),
    ];

    const FACTS: &'static [&'static str] = &["summoned_on"];

    fn random(random: &mut Random, id: Id, night: &Night) -> Recruit {
        let year = i64::from(night.as_of.year()) - MILITARY_AGE + random.pick(&[0, 0, 0, 0, 1, -1]);
        let birth_date = match random.below(3) {
            0 => random.odd(joined(year, 1, 1), joined(year, 12, 31)),
            1 => random.pick(&[joined(year, 1, 1), joined(year, 12, 31), plus(joined(year, 1, 1), -1)]),
            _ => random.day(joined(year, 1, 1), joined(year, 12, 31)),
        };
        let called_for = random.maybe(55, |random| match random.below(5) {
            0 => random.near(date(2016, 4, 8)),
            1 => joined(year + MILITARY_AGE, 12, 31),
            _ => random.due(night),
        });
        let registered_on = random.maybe(35, |random| random.done(joined(year + MILITARY_AGE, 4, 30), night));
        Recruit { subject_id: id.of("p"), birth_date, called_for, registered_on }
    }

    fn put(records: &Recruit, given: &mut Given) {
        let cells: [(&str, Cell); 4] = [
            ("subject_id", (&records.subject_id).into()),
            ("birth_date", records.birth_date.into()),
            ("called_for", records.called_for.into()),
            ("registered_on", records.registered_on.into()),
        ];
        given.row("military_lists", &cells);
    }

    fn obligations(recruit: &Recruit, night: &Night) -> Vec<Obligation> {
        let year = i64::from(recruit.birth_date.year()) + MILITARY_AGE;
        let called_for = recruit.called_for.filter(|day| i64::from(day.year()) == year);
        let due_on = called_for.unwrap_or(joined(year, APRIL, 30));
        let Some(law) = in_force(&MILITARY, due_on, night.known_on).filter(|_| night.sees(due_on)) else {
            return Vec::new();
        };
        let is_summoned = called_for.filter(|day| in_force(&SUMMONS, *day, night.known_on).is_some());
        vec![Obligation {
            subject_id: recruit.subject_id.clone(),
            object_id: None,
            period: year.to_string(),
            due_on,
            fulfilled_on: recruit.registered_on,
            rule_version: law.name.into(),
            facts: vec![is_summoned.map(|day| plus(day, -SUMMONS_DAYS).to_string())],
        }]
    }
}

/// The vaccinations of a child.
///
/// Circular 10/2024/TT-BYT: hepatitis B within 24 hours of the birth, tuberculosis within a month, the combined vaccine
/// at two months and twice more a month after the dose before, DPT again at 18 months, Td at seven years.
pub struct Vaccination;

#[derive(Debug)]
pub struct Children {
    subject_id: String,
    children: Vec<Child>,
}

#[derive(Debug)]
struct Child {
    child_id: String,
    birth_date: Date,
    is_deceased: bool,
    /// Vaccine, dose, day.
    given: Vec<(&'static str, i64, Date)>,
}

/// Period, due day, day on which it was given, and the rule.
type Dose = (&'static str, Date, Option<Date>, &'static [Term<()>]);

const CIRCULAR_10_FROM: Date = date(2024, 8, 1);
const CIRCULAR_10_ENACTED: Date = date(2024, 6, 13);
const BIRTH_DOSE: [Term<()>; 1] =
    [Term::new("vaccination_birth_dose@2024-08-01", CIRCULAR_10_ENACTED, CIRCULAR_10_FROM, ())];
const BY_AGE: [Term<()>; 1] = [Term::new("vaccination_age@2024-08-01", CIRCULAR_10_ENACTED, CIRCULAR_10_FROM, ())];
const BY_GAP: [Term<()>; 1] = [Term::new("vaccination_gap@2024-08-01", CIRCULAR_10_ENACTED, CIRCULAR_10_FROM, ())];

const HEPB_DAYS: i64 = 1;
const BCG_MONTHS: i64 = 1;
const COMBINED_MONTHS: i64 = 2;
const COMBINED_GAP_MONTHS: i64 = 1;
const DPT_BOOSTER_MONTHS: i64 = 18;
const TD_MONTHS: i64 = 7 * 12;

impl Child {
    /// The first day on which this dose was given.
    fn first(&self, vaccine: &str, dose: i64) -> Option<Date> {
        self.given.iter().filter(|one| one.0 == vaccine && one.1 == dose).map(|one| one.2).min()
    }

    /// The first day on which this dose was given, or a later one of the same vaccine.
    fn done(&self, vaccine: &str, dose: i64) -> Option<Date> {
        self.given.iter().filter(|one| one.0 == vaccine && one.1 >= dose).map(|one| one.2).min()
    }

    /// Every dose whose day is known.
    fn doses(&self) -> Vec<Dose> {
        let birth = self.birth_date;
        let mut doses: Vec<Dose> = vec![
            ("hepb", plus(birth, HEPB_DAYS), self.done("hepb", 1), &BIRTH_DOSE),
            ("bcg", months_later(birth, BCG_MONTHS), self.done("bcg", 1), &BY_AGE),
            ("combined_1", months_later(birth, COMBINED_MONTHS), self.done("combined", 1), &BY_AGE),
            ("dpt_booster", months_later(birth, DPT_BOOSTER_MONTHS), self.done("dpt_booster", 1), &BY_AGE),
            ("td", months_later(birth, TD_MONTHS), self.done("td", 1), &BY_AGE),
        ];
        for (period, dose) in [("combined_2", 2), ("combined_3", 3)] {
            if let Some(before) = self.first("combined", dose - 1) {
                let due_on = months_later(before, COMBINED_GAP_MONTHS);
                doses.push((period, due_on, self.done("combined", dose), &BY_GAP));
            }
        }
        doses
    }
}

impl Oracle for Vaccination {
    type Records = Children;

    const NIGHTS: &'static [(Date, Date)] = &[
        (date(2024, 7, 25), date(2024, 7, 25)),
        (date(2024, 8, 20), date(2024, 8, 20)),
        (date(2026, 3, 1), date(2026, 3, 1)),
        (date(2026, 11, 22), date(2026, 11, 22)),
        // The circular was signed on 13 June 2024.
        (date(2024, 8, 20), date(2024, 6, 12)),
        (date(2031, 3, 1), date(2026, 11, 22)),
    ];

    fn random(random: &mut Random, id: Id, night: &Night) -> Children {
        let mut children = Vec::new();
        for number in 0..=random.below(2) {
            let due_on = random.due(night);
            let months = random.pick(&[0, 1, 2, 3, 4, 18, 84]);
            let birth_date = random.months_before(due_on, months).min(night.as_of);
            let mut given = Vec::new();
            for _ in 0..random.below(6) {
                let vaccine = random.pick(&["hepb", "bcg", "combined", "combined", "dpt_booster", "td", "measles"]);
                let dose = if vaccine == "combined" { random.between(1, 4) } else { random.pick(&[1, 1, 1, 2]) };
                let on = match random.below(3) {
                    0 => random.done(due_on, night),
                    1 => {
                        let gap = random.pick(&[1, 1, 2]);
                        random.months_before(due_on, gap).min(night.as_of)
                    }
                    _ => random.day(birth_date, night.as_of),
                };
                given.push((vaccine, dose, on.max(birth_date)));
            }
            children.push(Child {
                child_id: id.of(format!("child{number}")),
                birth_date,
                is_deceased: random.percent(5),
                given,
            });
        }
        Children { subject_id: id.of("p"), children }
    }

    fn put(records: &Children, given: &mut Given) {
        for child in &records.children {
            let cells: [(&str, Cell); 4] = [
                ("child_id", (&child.child_id).into()),
                ("subject_id", (&records.subject_id).into()),
                ("birth_date", child.birth_date.into()),
                ("is_deceased", child.is_deceased.into()),
            ];
            given.row("children", &cells);
            for (number, (vaccine, dose, given_on)) in child.given.iter().enumerate() {
                let cells: [(&str, Cell); 5] = [
                    ("vaccination_id", (&format!("{}-{number}", child.child_id)).into()),
                    ("child_id", (&child.child_id).into()),
                    ("vaccine", (*vaccine).into()),
                    ("dose", (*dose).into()),
                    ("given_on", (*given_on).into()),
                ];
                given.row("vaccinations", &cells);
            }
        }
    }

    fn obligations(records: &Children, night: &Night) -> Vec<Obligation> {
        let mut due = Vec::new();
        for child in records.children.iter().filter(|child| !child.is_deceased) {
            for (period, due_on, given_on, rule) in child.doses() {
                // The law of the day on which the dose is due.
                let Some(law) = in_force(rule, due_on, night.known_on) else { continue };
                if night.sees(due_on) {
                    due.push(Obligation {
                        subject_id: records.subject_id.clone(),
                        object_id: Some(child.child_id.clone()),
                        period: period.into(),
                        due_on,
                        fulfilled_on: given_on,
                        rule_version: law.name.into(),
                        facts: Vec::new(),
                    });
                }
            }
        }
        due
    }
}
