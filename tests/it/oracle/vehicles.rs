//! Vehicles and who drives them: inspections, insurance, points of a licence.

use std::collections::BTreeSet;

use jiff::civil::{Date, date};

use super::given::Cell;
use super::law::{Term, in_force, months_later, working_days_later};
use super::random::plus;
use super::{Given, Id, Night, Obligation, Oracle, Random};

const CIRCULAR_FROM: Date = date(2026, 7, 1);

/// The inspection of a private passenger car of up to nine seats.
///
/// Circular 30/2026/TT-BXD, Art. 5 and annex, and before it 47/2024 and 2/2023: 36 months after the first certificate of a
/// car that was new then, made two years before it at most; otherwise 24 up to an age of 7 years, 12 up to 20, 6 after.
/// The age is the year of the inspection less the year of manufacture.
pub struct VehicleInspection;

#[derive(Debug)]
pub struct Car {
    vehicle_id: String,
    subject_id: String,
    kind: &'static str,
    is_commercial: bool,
    year_made: i64,
    last_inspected_on: Date,
    inspections: i64,
}

const CAR: [Term<()>; 3] = [
    Term::new("passenger_car_inspection@2023-03-22", date(2023, 3, 21), date(2023, 3, 22), ())
        .until(date(2024, 11, 15), date(2025, 1, 1)),
    Term::new("passenger_car_inspection@2025-01-01", date(2024, 11, 15), date(2025, 1, 1), ())
        .until(CIRCULAR_FROM, CIRCULAR_FROM),
    Term::new("passenger_car_inspection@2026-07-01", CIRCULAR_FROM, CIRCULAR_FROM, ()),
];

impl Car {
    fn months(&self) -> i64 {
        match (self.inspections, i64::from(self.last_inspected_on.year()) - self.year_made) {
            (1, ..=2) => 36,
            (_, ..=7) => 24,
            (_, 8..=20) => 12,
            _ => 6,
        }
    }
}

impl Oracle for VehicleInspection {
    type Records = Car;

    const NIGHTS: &'static [(Date, Date)] = &[
        (date(2023, 3, 21), date(2023, 3, 21)),
        (date(2024, 12, 31), date(2024, 12, 31)),
        (date(2026, 6, 30), date(2026, 6, 30)),
        (date(2026, 7, 1), date(2026, 7, 1)),
        (date(2026, 8, 31), date(2026, 8, 31)),
        (date(2026, 11, 22), date(2026, 11, 22)),
        (date(2027, 2, 20), date(2026, 11, 22)),
        (date(2028, 2, 20), date(2026, 11, 22)),
    ];

    fn random(random: &mut Random, id: Id, night: &Night) -> Car {
        let due_on = random.due(night);
        let months = random.pick(&[36, 24, 12, 6, 0]);
        let last_inspected_on = random.months_before(due_on, months).min(night.as_of);
        let age = random.pick(&[-1, 0, 1, 2, 3, 6, 7, 8, 12, 19, 20, 21, 35]);
        Car {
            vehicle_id: id.of("car"),
            subject_id: id.of("p"),
            kind: if random.percent(90) { "passenger_car" } else { random.pick(&["converted_van", "truck", "bus"]) },
            is_commercial: random.percent(5),
            year_made: i64::from(last_inspected_on.year()) - age,
            last_inspected_on,
            inspections: if random.percent(30) { 1 } else { random.between(2, 30) },
        }
    }

    fn put(records: &Car, given: &mut Given) {
        let cells: [(&str, Cell); 7] = [
            ("vehicle_id", (&records.vehicle_id).into()),
            ("subject_id", (&records.subject_id).into()),
            ("kind", records.kind.into()),
            ("is_commercial", records.is_commercial.into()),
            ("year_made", records.year_made.into()),
            ("last_inspected_on", records.last_inspected_on.into()),
            ("inspections", records.inspections.into()),
        ];
        given.row("vehicles", &cells);
    }

    fn obligations(car: &Car, night: &Night) -> Vec<Obligation> {
        let Some(law) = in_force(&CAR, night.as_of, night.known_on) else { return Vec::new() };
        if car.kind != "passenger_car" || car.is_commercial {
            return Vec::new();
        }
        let row = |certificate: i64, due_on: Date, fulfilled_on: Option<Date>| Obligation {
            subject_id: car.subject_id.clone(),
            object_id: Some(car.vehicle_id.clone()),
            period: format!("certificate-{certificate}"),
            due_on,
            fulfilled_on,
            rule_version: law.name.into(),
            facts: Vec::new(),
        };
        let mut due = vec![row(car.inspections + 1, months_later(car.last_inspected_on, car.months()), None)];
        // The first certificate of an exempt car is nobody's duty.
        if car.inspections > 1 {
            due.push(row(car.inspections, car.last_inspected_on, Some(car.last_inspected_on)));
        }
        due.retain(|one| night.sees(one.due_on));
        due
    }
}

/// The inspection of a van converted from a passenger car of more than nine seats.
///
/// Circular 30/2026/TT-BXD, Art. 5 and annex: up to an age of 5 years 12 months (the first certificate 24), below 15
/// years 6, from 15 years on 3.
pub struct VanInspection;

#[derive(Debug)]
pub struct Van {
    vehicle_id: String,
    subject_id: String,
    kind: &'static str,
    is_commercial: bool,
    year_made: i64,
    certificates: Vec<(String, Date)>,
}

const VAN: [Term<()>; 1] = [Term::new("converted_van_inspection@2026-07-01", CIRCULAR_FROM, CIRCULAR_FROM, ())];

impl Oracle for VanInspection {
    type Records = Van;

    const NIGHTS: &'static [(Date, Date)] = &[
        (date(2026, 6, 30), date(2026, 6, 30)),
        (date(2026, 7, 1), date(2026, 7, 1)),
        (date(2026, 8, 31), date(2026, 8, 31)),
        (date(2026, 11, 22), date(2026, 11, 22)),
        (date(2027, 2, 20), date(2026, 11, 22)),
        (date(2028, 2, 20), date(2026, 11, 22)),
    ];

    fn random(random: &mut Random, id: Id, night: &Night) -> Van {
        let due_on = random.due(night);
        let age = random.pick(&[-1, 0, 2, 4, 5, 6, 10, 13, 14, 15, 16, 25]);
        let mut certificates: Vec<(String, Date)> = Vec::new();
        for number in 0..random.below(5) {
            let issued_on = match random.below(6) {
                0 => random.done(due_on, night),
                1 if !certificates.is_empty() => certificates[0].1,
                _ => {
                    let months = random.pick(&[24, 12, 6, 3]);
                    random.months_before(due_on, months)
                }
            };
            certificates.push((id.of(format!("certificate{number}")), issued_on.min(night.as_of)));
        }
        let year = certificates.first().map_or(2020, |first| i64::from(first.1.year()));
        Van {
            vehicle_id: id.of("van"),
            subject_id: id.of("p"),
            kind: if random.percent(90) { "converted_van" } else { random.pick(&["passenger_car", "truck"]) },
            is_commercial: random.percent(50),
            year_made: year - age,
            certificates,
        }
    }

    fn put(records: &Van, given: &mut Given) {
        let last = records.certificates.iter().map(|one| one.1).max();
        let cells: [(&str, Cell); 7] = [
            ("vehicle_id", (&records.vehicle_id).into()),
            ("subject_id", (&records.subject_id).into()),
            ("kind", records.kind.into()),
            ("is_commercial", records.is_commercial.into()),
            ("year_made", records.year_made.into()),
            ("last_inspected_on", last.unwrap_or(date(2020, 1, 1)).into()),
            ("inspections", (records.certificates.len() as i64).into()),
        ];
        given.row("vehicles", &cells);
        for (number, issued_on) in &records.certificates {
            let cells: [(&str, Cell); 3] = [
                ("certificate_number", number.into()),
                ("vehicle_id", (&records.vehicle_id).into()),
                ("issued_on", (*issued_on).into()),
            ];
            given.row("vehicle_inspections", &cells);
        }
    }

    fn obligations(van: &Van, night: &Night) -> Vec<Obligation> {
        let Some(law) = in_force(&VAN, night.as_of, night.known_on) else { return Vec::new() };
        if van.kind != "converted_van" {
            return Vec::new();
        }
        // Two certificates of one day are one inspection.
        let days: Vec<Date> = van.certificates.iter().map(|one| one.1).collect::<BTreeSet<_>>().into_iter().collect();
        let mut due = Vec::new();
        for (number, day) in days.iter().enumerate() {
            let months = match i64::from(day.year()) - van.year_made {
                ..=5 if number == 0 => 24,
                ..=5 => 12,
                6..=14 => 6,
                _ => 3,
            };
            let due_on = months_later(*day, months);
            if night.sees(due_on) {
                due.push(Obligation {
                    subject_id: van.subject_id.clone(),
                    object_id: Some(van.vehicle_id.clone()),
                    period: day.to_string(),
                    due_on,
                    fulfilled_on: days.get(number + 1).copied(),
                    rule_version: law.name.into(),
                    facts: Vec::new(),
                });
            }
        }
        due
    }
}

/// The next contract of compulsory motor insurance.
///
/// Decree 67/2023, Art. 9(1): a contract holds at least one year and at most three. As amended by Decree 220/2026, the
/// insurer tells of the end within fifteen days before it.
pub struct MotorInsurance;

#[derive(Debug)]
pub struct Insured {
    contracts: Vec<MotorContract>,
}

#[derive(Debug)]
struct MotorContract {
    contract_number: String,
    subject_id: String,
    vehicle_id: String,
    concluded_on: Option<Date>,
    starts_on: Date,
    ends_on: Option<Date>,
}

const LEAST_MONTHS: i64 = 12;
const MOST_MONTHS: i64 = 36;
const INSURER_DAYS: i64 = 15;
const MOTOR: [Term<()>; 1] = [Term::new("motor_insurance_term@2023-09-06", date(2023, 9, 6), date(2023, 9, 6), ())];
const NOTICE: [Term<()>; 1] = [Term::new("motor_insurance_notice@2026-08-01", date(2026, 8, 1), date(2026, 8, 1), ())];

impl MotorContract {
    fn end(&self) -> Date {
        let longest = months_later(self.starts_on, MOST_MONTHS);
        self.ends_on.map_or(months_later(self.starts_on, LEAST_MONTHS), |end| end.min(longest))
    }
}

impl Oracle for MotorInsurance {
    type Records = Insured;

    const NIGHTS: &'static [(Date, Date)] = &[
        (date(2024, 8, 31), date(2024, 8, 31)),
        (date(2025, 2, 20), date(2025, 2, 20)),
        (date(2026, 7, 31), date(2026, 7, 31)),
        (date(2026, 8, 10), date(2026, 8, 10)),
        (date(2026, 11, 22), date(2026, 11, 22)),
        // The decree of 2026 was not yet known.
        (date(2026, 11, 22), date(2026, 7, 15)),
    ];

    const FACTS: &'static [&'static str] = &["insurer_tells_on"];

    fn random(random: &mut Random, id: Id, night: &Night) -> Insured {
        let mut contracts = Vec::new();
        for number in 0..=random.below(4) {
            let due_on = random.due(night);
            let months = random.pick(&[12, 12, 12, 24, 36, 36, 3, 48]);
            let starts_on = match random.below(10) {
                0 => random.near(date(2023, 9, 6)),
                1 => random.done(due_on, night),
                _ => random.months_before(due_on, months),
            };
            let ends_on = match random.below(4) {
                0 => None,
                1 => Some(plus(months_later(starts_on, months), -1)),
                2 => Some(months_later(starts_on, months)),
                _ => Some(due_on.max(plus(starts_on, 1))),
            };
            contracts.push(MotorContract {
                contract_number: id.of(format!("contract{number}")),
                subject_id: id.of(if random.percent(80) { "p" } else { "buyer" }),
                vehicle_id: id.of(if random.percent(75) { "bike" } else { "car" }),
                concluded_on: random.maybe(60, |random| plus(starts_on, random.between(-30, 0)).min(night.as_of)),
                starts_on,
                ends_on,
            });
        }
        Insured { contracts }
    }

    fn put(records: &Insured, given: &mut Given) {
        for contract in &records.contracts {
            let cells: [(&str, Cell); 6] = [
                ("contract_number", (&contract.contract_number).into()),
                ("subject_id", (&contract.subject_id).into()),
                ("vehicle_id", (&contract.vehicle_id).into()),
                ("concluded_on", contract.concluded_on.into()),
                ("starts_on", contract.starts_on.into()),
                ("ends_on", contract.ends_on.into()),
            ];
            given.row("motor_insurance_contracts", &cells);
        }
    }

    fn obligations(records: &Insured, night: &Night) -> Vec<Obligation> {
        let mut due = Vec::new();
        for contract in &records.contracts {
            let Some(law) = in_force(&MOTOR, contract.starts_on, night.known_on) else { continue };
            let due_on = contract.end();
            let later = records.contracts.iter().filter(|other| {
                let has_law = in_force(&MOTOR, other.starts_on, night.known_on).is_some();
                other.vehicle_id == contract.vehicle_id && has_law && other.end() > due_on
            });
            let tells_on = plus(due_on, -INSURER_DAYS);
            let tells = in_force(&NOTICE, tells_on, night.known_on).is_some();
            if night.sees(due_on) {
                due.push(Obligation {
                    subject_id: contract.subject_id.clone(),
                    object_id: Some(contract.contract_number.clone()),
                    period: contract.starts_on.to_string(),
                    due_on,
                    fulfilled_on: later.map(|other| other.concluded_on.unwrap_or(other.starts_on)).min(),
                    rule_version: law.name.into(),
                    facts: vec![tells.then(|| tells_on.to_string())],
                });
            }
        }
        due
    }
}

/// The test that restores the points of a driving licence.
///
/// Law 36/2024, Art. 58(3): not before six months from the day on which no point was left. Circular 65/2024 as amended
/// by Circular 105/2026: whoever fails registers again after seven working days.
pub struct LicencePoints;

#[derive(Debug)]
pub struct Pointless {
    subject_id: String,
    licence_number: String,
    /// The day on which no point was left, and the day on which they were restored.
    losses: Vec<(Date, Option<Date>)>,
    /// Number, day, and whether it was passed.
    tests: Vec<(String, Date, bool)>,
}

const WAIT_MONTHS: i64 = 6;
const RETEST_WORKING_DAYS: i64 = 7;
const WAIT: [Term<()>; 1] = [Term::new("licence_points_wait@2025-01-01", date(2024, 6, 27), date(2025, 1, 1), ())];
const RETEST: [Term<()>; 1] = [Term::new("licence_points_retest@2026-07-01", CIRCULAR_FROM, CIRCULAR_FROM, ())];

impl Oracle for LicencePoints {
    type Records = Pointless;

    const NIGHTS: &'static [(Date, Date)] = &[
        (date(2025, 6, 20), date(2025, 6, 20)),
        (date(2026, 3, 10), date(2026, 3, 10)),
        (date(2026, 7, 9), date(2026, 7, 9)),
        (date(2026, 9, 5), date(2026, 9, 5)),
        (date(2026, 11, 22), date(2026, 11, 22)),
        (date(2026, 11, 22), date(2026, 6, 30)),
        (date(2027, 2, 12), date(2026, 11, 22)),
    ];

    fn random(random: &mut Random, id: Id, night: &Night) -> Pointless {
        let due_on = random.due(night);
        let mut losses = vec![(random.months_before(due_on, WAIT_MONTHS).min(night.as_of), None)];
        if random.percent(25) {
            // Lost, restored and lost again; there is no second loss without points.
            let before = plus(losses[0].0, -random.between(1, 500));
            let back = random.day(before, losses[0].0);
            losses.insert(0, (before, Some(back)));
        }
        let lost_on = losses[losses.len() - 1].0;
        let mut tests = Vec::new();
        for number in 0..random.below(4) {
            let taken_on = match random.below(5) {
                0 => random.near(due_on),
                1 => random.near(date(2026, 7, 1)),
                2 => random.odd(plus(night.since, -20), night.until),
                3 => random.near(lost_on),
                _ => random.day(plus(due_on, -20), plus(due_on, 40)),
            };
            tests.push((id.of(format!("test{number}")), taken_on.min(night.as_of), random.percent(30)));
        }
        let last_test = tests.iter().map(|test| test.1).max().unwrap_or(due_on).max(lost_on).min(night.as_of);
        let last = losses.len() - 1;
        losses[last].1 = random.maybe(30, |random| random.day(last_test, night.as_of.max(last_test)));
        Pointless { subject_id: id.of("p"), licence_number: id.of("licence"), losses, tests }
    }

    fn put(records: &Pointless, given: &mut Given) {
        for (exhausted_on, restored_on) in &records.losses {
            let cells: [(&str, Cell); 4] = [
                ("licence_number", (&records.licence_number).into()),
                ("subject_id", (&records.subject_id).into()),
                ("exhausted_on", (*exhausted_on).into()),
                ("restored_on", (*restored_on).into()),
            ];
            given.row("licence_points_exhausted", &cells);
        }
        for (test, taken_on, is_passed) in &records.tests {
            let cells: [(&str, Cell); 4] = [
                ("test_id", test.into()),
                ("licence_number", (&records.licence_number).into()),
                ("taken_on", (*taken_on).into()),
                ("is_passed", (*is_passed).into()),
            ];
            given.row("licence_points_tests", &cells);
        }
    }

    fn obligations(records: &Pointless, night: &Night) -> Vec<Obligation> {
        let row = |period: String, due_on: Date, fulfilled_on: Option<Date>, rule_version: &str| Obligation {
            subject_id: records.subject_id.clone(),
            object_id: Some(records.licence_number.clone()),
            period,
            due_on,
            fulfilled_on,
            rule_version: rule_version.to_owned(),
            facts: Vec::new(),
        };
        let mut due = Vec::new();
        for (lost_on, restored_on) in &records.losses {
            let Some(wait) = in_force(&WAIT, *lost_on, night.known_on) else { continue };
            // A test belongs to the last loss before it.
            let lost_again_on = records.losses.iter().map(|loss| loss.0).filter(|other| other > lost_on).min();
            let belongs = |taken_on: Date| taken_on > *lost_on && lost_again_on.is_none_or(|again| taken_on <= again);
            let tests: BTreeSet<Date> = records.tests.iter().map(|test| test.1).filter(|day| belongs(*day)).collect();
            let failed: BTreeSet<Date> =
                records.tests.iter().filter(|test| !test.2 && belongs(test.1)).map(|test| test.1).collect();
            let next_after = |day: Date| tests.iter().copied().filter(|test| *test > day).chain(*restored_on).min();
            let period = format!("exhausted-{lost_on}");
            due.push(row(period, months_later(*lost_on, WAIT_MONTHS), next_after(*lost_on), wait.name));
            for failed_on in failed {
                let Some(retest) = in_force(&RETEST, failed_on, night.known_on) else { continue };
                let open_on = working_days_later(failed_on, RETEST_WORKING_DAYS, night.known_on);
                due.push(row(format!("failed-{failed_on}"), open_on, next_after(failed_on), retest.name));
            }
        }
        due.retain(|one| night.sees(one.due_on));
        due
    }
}
