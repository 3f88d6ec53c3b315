//! Work and old age: unemployment benefit, retirement, social pension.

use jiff::civil::{Date, date};

use super::given::Cell;
use super::law::{Term, in_force, joined, last_of_month, months_later, years_later};
use super::random::plus;
use super::{Given, Id, Night, Obligation, Oracle, Random};

/// The claim of unemployment benefit: within three months of the end of the contract, Law on Employment 38/2013,
/// Art. 46(1), and Law on Employment 74/2025 with Decree 374/2025. The law of the day of the end counts.
pub struct UnemploymentBenefit;

#[derive(Debug)]
pub struct Unemployed {
    subject_id: String,
    /// Number and last day of the contracts.
    ended: Vec<(String, Date)>,
    claimed_on: Vec<Date>,
}

const CLAIM: [Term<i64>; 2] = [
    Term::new("unemployment_claim_term@2015-01-01", date(2013, 11, 16), date(2015, 1, 1), 3)
        .until(date(2025, 6, 16), date(2026, 1, 1)),
    Term::new("unemployment_claim_term@2026-01-01", date(2025, 6, 16), date(2026, 1, 1), 3),
];

impl Oracle for UnemploymentBenefit {
    type Records = Unemployed;

    const NIGHTS: &'static [(Date, Date)] = &[
        (date(2015, 3, 1), date(2015, 3, 1)),
        (date(2026, 2, 10), date(2026, 2, 10)),
        (date(2026, 3, 25), date(2026, 3, 25)),
        // Before the decree of 31 December 2025 was known.
        (date(2026, 3, 25), date(2025, 12, 30)),
        (date(2026, 11, 22), date(2026, 11, 22)),
        (date(2028, 2, 10), date(2026, 11, 22)),
    ];

    fn random(random: &mut Random, id: Id, night: &Night) -> Unemployed {
        let mut ended: Vec<(String, Date)> = Vec::new();
        for number in 0..=random.below(3) {
            let ended_on = match random.below(6) {
                0 => random.near(date(2026, 1, 1)),
                1 => random.near(date(2015, 1, 1)),
                _ => {
                    let due_on = random.due(night);
                    random.months_before(due_on, 3)
                }
            };
            ended.push((id.of(format!("contract{number}")), ended_on.min(night.as_of)));
        }
        let mut claimed_on = Vec::new();
        for _ in 0..random.below(3) {
            let claim = match random.below(3) {
                0 => random.near(ended[0].1),
                _ => random.done(months_later(ended[0].1, 3), night),
            };
            claimed_on.push(claim.min(night.as_of));
        }
        Unemployed { subject_id: id.of("p"), ended, claimed_on }
    }

    fn put(records: &Unemployed, given: &mut Given) {
        for (number, ended_on) in &records.ended {
            let cells: [(&str, Cell); 3] = [
                ("employment_id", number.into()),
                ("subject_id", (&records.subject_id).into()),
                ("ended_on", (*ended_on).into()),
            ];
            given.row("ended_employments", &cells);
        }
        for (number, claimed_on) in records.claimed_on.iter().enumerate() {
            let cells: [(&str, Cell); 3] = [
                ("benefit_id", (&format!("{}-{number}", records.subject_id)).into()),
                ("subject_id", (&records.subject_id).into()),
                ("claimed_on", (*claimed_on).into()),
            ];
            given.row("unemployment_benefits", &cells);
        }
    }

    fn obligations(records: &Unemployed, night: &Night) -> Vec<Obligation> {
        let mut due = Vec::new();
        for (number, ended_on) in &records.ended {
            let Some(law) = in_force(&CLAIM, *ended_on, night.known_on) else { continue };
            let due_on = months_later(*ended_on, law.value);
            if night.sees(due_on) {
                due.push(Obligation {
                    subject_id: records.subject_id.clone(),
                    object_id: Some(number.clone()),
                    period: ended_on.to_string(),
                    due_on,
                    fulfilled_on: records.claimed_on.iter().copied().filter(|claim| claim >= ended_on).min(),
                    rule_version: law.name.into(),
                    facts: Vec::new(),
                });
            }
        }
        due
    }
}

/// Retirement in ordinary working conditions.
///
/// Labour Code 45/2019, Art. 169(2), and Decree 135/2020, Art. 3 and 4: in 2021 men at 60 years and three months, three
/// months more every year up to 62 years in 2028; women at 55 years and four months, four more every year up to 60
/// years in 2035; at the end of the last day of the month in which the age is reached.
pub struct Retirement;

#[derive(Debug)]
pub struct Employee {
    subject_id: String,
    sex: &'static str,
    birth_date: Date,
    has_other_age: bool,
    retired_on: Option<Date>,
}

const RETIREMENT_ENACTED: Date = date(2020, 11, 18);

/// The age of a year, in months.
fn retirement_months(sex: &str, year: i64) -> Option<i64> {
    match sex {
        "men" => Some((60 * 12 + 3 + 3 * (year - 2021)).min(62 * 12)),
        "women" => Some((55 * 12 + 4 + 4 * (year - 2021)).min(60 * 12)),
        _ => None,
    }
}

impl Oracle for Retirement {
    type Records = Employee;

    const NIGHTS: &'static [(Date, Date)] = &[
        (date(2020, 12, 31), date(2020, 12, 31)),
        (date(2021, 1, 20), date(2021, 1, 20)),
        // The decree was not yet known.
        (date(2021, 1, 20), date(2020, 11, 17)),
        // Each sees the end of one year and the beginning of the next one, up to the last day of April.
        (date(2021, 11, 1), date(2021, 11, 1)),
        (date(2023, 11, 2), date(2023, 11, 2)),
        (date(2025, 11, 1), date(2025, 11, 1)),
        (date(2026, 4, 30), date(2026, 4, 30)),
        (date(2026, 11, 22), date(2026, 11, 22)),
        (date(2027, 11, 2), date(2026, 11, 22)),
        (date(2029, 11, 1), date(2026, 11, 22)),
        (date(2031, 11, 2), date(2026, 11, 22)),
        (date(2033, 11, 1), date(2026, 11, 22)),
        (date(2035, 11, 2), date(2026, 11, 22)),
        // Women of these years reach the age between May and September.
        (date(2022, 5, 1), date(2022, 5, 1)),
        (date(2024, 5, 1), date(2024, 5, 1)),
        (date(2028, 5, 1), date(2026, 11, 22)),
        (date(2030, 5, 1), date(2026, 11, 22)),
        (date(2032, 5, 1), date(2026, 11, 22)),
        (date(2034, 5, 1), date(2026, 11, 22)),
    ];

    const FACTS: &'static [&'static str] = &["pension_from"];

    fn random(random: &mut Random, id: Id, night: &Night) -> Employee {
        let sex = random.pick(&["men", "women", "men", "women", "men", "women", "unknown"]);
        let due_on = last_of_month(random.due(night));
        let year = i64::from(due_on.year()) + random.pick(&[0, 0, 0, -1, 1]);
        let months = retirement_months(sex, year.max(2021)).unwrap_or(720);
        let birth_date = match random.below(4) {
            0 => joined(i64::from(months_later(due_on, -months).year()), 1, 1),
            _ => random.months_before(due_on, months),
        };
        Employee {
            subject_id: id.of("p"),
            sex,
            birth_date,
            has_other_age: random.percent(5),
            retired_on: random.maybe(25, |random| random.done(due_on, night)),
        }
    }

    fn put(records: &Employee, given: &mut Given) {
        let cells: [(&str, Cell); 5] = [
            ("subject_id", (&records.subject_id).into()),
            ("sex", records.sex.into()),
            ("birth_date", records.birth_date.into()),
            ("has_other_age", records.has_other_age.into()),
            ("retired_on", records.retired_on.into()),
        ];
        given.row("insured_people", &cells);
    }

    fn obligations(employee: &Employee, night: &Night) -> Vec<Obligation> {
        if employee.has_other_age || night.known_on < RETIREMENT_ENACTED {
            return Vec::new();
        }
        // The first year by whose end the age of that year is reached; whoever had it before 2021 retired before.
        let mut reached = (2021..2200).filter_map(|year| {
            let months = retirement_months(employee.sex, year)?;
            let on = months_later(employee.birth_date, months);
            (i64::from(on.year()) <= year).then_some((year, on))
        });
        let Some((year, on)) = reached.next() else { return Vec::new() };
        let due_on = last_of_month(on);
        if i64::from(on.year()) < year || !night.sees(due_on) {
            return Vec::new();
        }
        vec![Obligation {
            subject_id: employee.subject_id.clone(),
            object_id: None,
            period: "retirement".into(),
            due_on,
            fulfilled_on: employee.retired_on,
            // From 2035 on the age does not change any more.
            rule_version: format!("retirement_age@{}-01-01", year.min(2035)),
            facts: vec![Some(plus(due_on, 1).to_string())],
        }]
    }
}

/// The social pension.
///
/// Law on Social Insurance 41/2024, Art. 21, and Decree 176/2025, Art. 2 and 3: from 75 years, members of poor and
/// near-poor households from 70, without a pension or with one below 500,000 đồng a month.
pub struct SocialPension;

#[derive(Debug)]
pub struct Elder {
    subject_id: String,
    birth_date: Option<Date>,
    is_deceased: bool,
    /// Amount, first and last day.
    pensions: Vec<(i64, Date, Option<Date>)>,
    /// First and last day of the terms in which the household is poor.
    poor: Vec<(Date, Option<Date>)>,
    requested_on: Vec<Date>,
}

const PENSION_VND: i64 = 500_000;
const PENSION_AGE: [Term<[(i64, bool); 2]>; 1] = [Term::new(
    "social_pension_age@2025-07-01",
    date(2024, 6, 29),
    date(2025, 7, 1),
    // The age, and whether it is for poor households alone.
    [(75, false), (70, true)],
)];
const PENSION_AMOUNT: [Term<i64>; 1] =
    [Term::new("social_pension_amount@2025-07-01", date(2025, 6, 30), date(2025, 7, 1), PENSION_VND)];

fn covers((first, last): (Date, Option<Date>), day: Date) -> bool {
    first <= day && last.is_none_or(|last| day <= last)
}

impl Elder {
    fn is_poor(&self, day: Date) -> bool {
        self.poor.iter().any(|term| covers(*term, day))
    }

    /// Whether a request holds on a day: the pension that it led to ended where the household ceased to be poor
    /// between the two, even when it became poor again.
    fn holds(&self, requested_on: Date, on: Date) -> bool {
        let ends = self.poor.iter().filter_map(|term| term.1).filter(|end| !self.is_poor(plus(*end, 1)));
        !ends.filter(|end| *end < on).any(|end| requested_on <= end)
    }
}

impl Oracle for SocialPension {
    type Records = Elder;

    const NIGHTS: &'static [(Date, Date)] = &[
        (date(2025, 6, 20), date(2025, 6, 20)),
        (date(2025, 6, 20), date(2025, 6, 30)),
        (date(2025, 7, 10), date(2025, 7, 10)),
        (date(2026, 2, 10), date(2026, 2, 10)),
        (date(2026, 11, 22), date(2026, 11, 22)),
        (date(2027, 2, 20), date(2026, 11, 22)),
    ];

    const FACTS: &'static [&'static str] = &["age_years", "monthly_vnd"];

    fn random(random: &mut Random, id: Id, night: &Night) -> Elder {
        let birthday = random.due(night);
        let years = random.pick(&[75, 75, 70, 70, 70, 100]);
        let birth_date = random.months_before(birthday, 12 * years);
        let mut pensions = Vec::new();
        for _ in 0..random.pick(&[0, 0, 0, 1, 1, 2]) {
            let amount = random.pick(&[1, 200_000, 250_000, 300_000, 499_999, 500_000, 500_001, 3_000_000]);
            let starts_on = random.near(birthday).min(plus(birthday, -random.pick(&[-1, 0, 1, 4000])));
            let ends_on = random.maybe(40, |random| random.near(birthday).max(starts_on));
            pensions.push((amount, starts_on, ends_on));
        }
        let mut poor = Vec::new();
        let mut starts_on = random.day(plus(birthday, -2500), plus(birthday, 10));
        for _ in 0..random.below(4) {
            let ends_on = match random.below(4) {
                0 => random.near(birthday).max(starts_on),
                1 => joined(i64::from(starts_on.year()), 12, 31),
                _ => plus(starts_on, random.between(0, 900)),
            };
            if random.percent(20) {
                poor.push((starts_on, None));
                break;
            }
            poor.push((starts_on, Some(ends_on)));
            // Recognised anew at once, or after a while.
            starts_on = plus(ends_on, random.pick(&[1, 1, 2, 400]));
        }
        let mut requested_on = Vec::new();
        for _ in 0..random.below(3) {
            let ends: Vec<Date> = poor.iter().filter_map(|term: &(Date, Option<Date>)| term.1).collect();
            let day = match random.below(3) {
                0 if !ends.is_empty() => {
                    let end = random.pick(&ends);
                    random.near(end)
                }
                1 => random.done(birthday, night),
                _ => random.day(plus(birthday, -1900), plus(birthday, 30)),
            };
            requested_on.push(day.min(night.as_of));
        }
        let birth_date = random.maybe(97, |_| birth_date);
        Elder { subject_id: id.of("p"), birth_date, is_deceased: random.percent(5), pensions, poor, requested_on }
    }

    fn put(records: &Elder, given: &mut Given) {
        let id = &records.subject_id;
        let cells: [(&str, Cell); 4] = [
            ("subject_id", id.into()),
            ("birth_date", records.birth_date.into()),
            ("is_deceased", records.is_deceased.into()),
            ("refuses_reminders", false.into()),
        ];
        given.row("people", &cells);
        for (number, (amount, starts_on, ends_on)) in records.pensions.iter().enumerate() {
            let cells: [(&str, Cell); 5] = [
                ("pension_id", (&format!("{id}-{number}")).into()),
                ("subject_id", id.into()),
                ("monthly_vnd", (*amount).into()),
                ("starts_on", (*starts_on).into()),
                ("ends_on", (*ends_on).into()),
            ];
            given.row("pensions", &cells);
        }
        for (starts_on, ends_on) in &records.poor {
            let cells: [(&str, Cell); 3] =
                [("subject_id", id.into()), ("starts_on", (*starts_on).into()), ("ends_on", (*ends_on).into())];
            given.row("poor_households", &cells);
        }
        for (number, requested_on) in records.requested_on.iter().enumerate() {
            let cells: [(&str, Cell); 3] = [
                ("request_id", (&format!("{id}-{number}")).into()),
                ("subject_id", id.into()),
                ("requested_on", (*requested_on).into()),
            ];
            given.row("social_pension_requests", &cells);
        }
    }

    fn obligations(elder: &Elder, night: &Night) -> Vec<Obligation> {
        let Some(birth_date) = elder.birth_date.filter(|_| !elder.is_deceased) else { return Vec::new() };
        let mut due = Vec::new();
        for (years, is_for_poor) in PENSION_AGE[0].value {
            let birthday = years_later(birth_date, years);
            // The right begins on the birthday, by the law of that day; both the age and the amount must be known.
            let Some(law) = in_force(&PENSION_AGE, birthday, night.known_on) else { continue };
            let Some(amount) = in_force(&PENSION_AMOUNT, birthday, night.known_on) else { continue };
            let received: i64 =
                elder.pensions.iter().filter(|one| covers((one.1, one.2), birthday)).map(|one| one.0).sum();
            let is_entitled = received < amount.value && (!is_for_poor || elder.is_poor(birthday));
            if is_entitled && night.sees(birthday) {
                let requests = elder.requested_on.iter().copied().filter(|on| elder.holds(*on, birthday));
                due.push(Obligation {
                    subject_id: elder.subject_id.clone(),
                    object_id: None,
                    period: format!("age-{years}"),
                    due_on: birthday,
                    fulfilled_on: requests.min(),
                    rule_version: law.name.into(),
                    facts: vec![Some(years.to_string()), Some(amount.value.to_string())],
                });
            }
        }
        due
    }
}
