//! Household businesses, and people who let property: returns, finalisation, notices of revenue.
//!
//! Decree 68/2026/NĐ-CP, Art. 3, 4 and 8 to 10 and 18, as amended by Decree 141/2026/NĐ-CP.

use jiff::civil::{Date, date};

use super::given::Cell;
use super::law::{Term, in_force, joined, last_of_month, months_later};
use super::periods::{Period, periods, tax_day};
use super::random::plus;
use super::returns::due;
use super::taxpayers::{Return, put_returns};
use super::{Given, Id, Night, Obligation, Oracle, Random};

/// What a household business files, finalises or notifies.
pub struct HouseholdBusinessTax;

/// Decree 68/2026, signed and in force.
const DECREE_68: (Date, Date) = (date(2026, 3, 5), date(2026, 3, 5));

/// Art. 3(1) and 4(1), and Decree 141/2026, Art. 1(1), of 29 April 2026, back to 1 January: revenue in đồng up to which
/// only a notice is due.
const THRESHOLD: [Term<i64>; 2] = [
    Term::new("household_revenue_threshold@2026-03-05", DECREE_68.0, DECREE_68.1, 500_000_000)
        .until(date(2026, 4, 29), date(2026, 1, 1)),
    Term::new("household_revenue_threshold@2026-01-01", date(2026, 4, 29), date(2026, 1, 1), 1_000_000_000),
];
/// Art. 10(1): above fifty billion đồng a year the returns are monthly.
const MONTHLY_FROM: [Term<i64>; 1] =
    [Term::new("household_monthly_from@2026-03-05", DECREE_68.0, DECREE_68.1, 50_000_000_000)];
/// Art. 8(3): day of the next month.
const MONTHLY: [Term<i64>; 1] = [Term::new("household_monthly_return@2026-03-05", DECREE_68.0, DECREE_68.1, 20)];
/// Art. 18(1): January to March 2026 by 20 April.
const FIRST_MONTHS: [Term<(i64, i64)>; 1] = [Term {
    to: Some(date(2026, 3, 31)),
    ..Term::new("household_first_returns@2026-01-01", DECREE_68.0, date(2026, 1, 1), (4, 20))
}];
/// Art. 8(3)a: last day of the first month of the next quarter.
const QUARTERLY: [Term<i64>; 1] = [Term::new("household_quarterly_return@2026-03-05", DECREE_68.0, DECREE_68.1, 1)];
/// Art. 8(3)c: 31 March of the next year.
const FINALISATION: [Term<(i64, i64)>; 1] =
    [Term::new("household_finalisation@2026-03-05", DECREE_68.0, DECREE_68.1, (3, 31))];
/// Art. 8(1)a: 31 January of the next year.
const YEAR_NOTICE: [Term<(i64, i64)>; 1] =
    [Term::new("household_revenue_notice@2026-03-05", DECREE_68.0, DECREE_68.1, (1, 31))];
/// Art. 9(1): 31 July of the year.
const HALF_YEAR_NOTICE: [Term<(i64, i64)>; 1] =
    [Term::new("household_half_year_notice@2026-03-05", DECREE_68.0, DECREE_68.1, (7, 31))];
/// Art. 8(3)d: 31 July of the year.
const RENTAL_HALF_YEAR: [Term<(i64, i64)>; 1] =
    [Term::new("rental_half_year_return@2026-03-05", DECREE_68.0, DECREE_68.1, (7, 31))];
/// Art. 8(3)d: 31 January of the next year.
const RENTAL_YEAR: [Term<(i64, i64)>; 1] =
    [Term::new("rental_yearly_return@2026-03-05", DECREE_68.0, DECREE_68.1, (1, 31))];

/// A household business, as its registers know it.
#[derive(Debug)]
pub struct Business {
    business_id: String,
    subject_id: String,
    lets_property: bool,
    started_on: Option<Date>,
    ended_on: Option<Date>,
    years: Vec<TaxYear>,
    /// Year, quarter, đồng.
    revenues: Vec<(i64, i64, i64)>,
    returns: Vec<Return>,
}

/// What the household has determined for a year.
#[derive(Debug)]
struct TaxYear {
    tax_year: i64,
    assessed_vnd: Option<i64>,
    taxes_income: bool,
    returns_a_year: Option<i64>,
}

/// Amounts on, and one đồng beside, the limits of the law.
fn amount(random: &mut Random) -> i64 {
    match random.below(8) {
        0 | 1 => random.pick(&[500_000_000, 1_000_000_000, 50_000_000_000]) + random.between(-1, 1),
        2 => random.between(0, 500_000_000),
        3 | 4 => random.between(400_000_000, 1_100_000_000),
        5 => random.between(1_000_000_000, 50_000_000_000),
        6 => random.between(50_000_000_001, 90_000_000_000),
        _ => 250_000_000,
    }
}

impl Business {
    /// Revenue of four quarters or fewer, often such that they come to a limit together.
    fn revenues(random: &mut Random, year: i64) -> Vec<(i64, i64, i64)> {
        let mut found = Vec::new();
        let mut total = 0;
        for quarter in 1..=4 {
            if !random.percent(70) {
                continue;
            }
            let limit = random.pick(&[500_000_000, 1_000_000_000, 50_000_000_000]);
            let vnd = match random.below(5) {
                0 | 1 if limit > total => limit - total + random.between(-1, 1),
                2 => 0,
                3 => amount(random),
                _ => random.between(1, 400_000_000),
            };
            total += vnd;
            found.push((year, quarter, vnd));
        }
        found
    }

    fn returns(random: &mut Random, id: Id, night: &Night, year: i64, subject_id: &str, business: &str) -> Vec<Return> {
        let mut found = Vec::new();
        for number in 0..random.below(6) {
            let due_on = random.due(night);
            let kind = random.pick(&[
                "month",
                "quarter",
                "half_year",
                "year",
                "finalisation",
                "half_year_notice",
                "year_notice",
            ]);
            let last = last_of_month(months_later(due_on.first_of_month(), -1));
            let period_ends_on = match kind {
                "month" => last,
                "quarter" => last_of_month(joined(i64::from(last.year()), (i64::from(last.month()) + 2) / 3 * 3, 1)),
                "half_year" | "half_year_notice" => joined(year, 6, 30),
                _ => joined(year - i64::from(random.percent(60)), 12, 31),
            };
            found.push(Return {
                return_id: id.of(format!("return{number}")),
                subject_id: subject_id.to_owned(),
                object_id: Some(if random.percent(90) { business.to_owned() } else { id.of("another") }),
                tax: if random.percent(92) { "household" } else { "vat" },
                kind,
                period_ends_on: if random.percent(95) { period_ends_on } else { random.near(period_ends_on) },
                filed_on: random.done(due_on, night).min(night.as_of),
            });
        }
        found
    }

    fn is_open_on(&self, day: Date) -> bool {
        Period { first: day, last: day }.touches(self.started_on, self.ended_on)
    }

    fn is_assessed_over(&self, year: i64, vnd: i64) -> bool {
        let own = self.years.iter().filter(|one| one.tax_year == year);
        own.filter_map(|one| one.assessed_vnd).any(|assessed| assessed > vnd)
    }

    /// The quarter of a year from which the business is over an amount: the first one by its own assessment, or the
    /// one in which its revenue went over.
    fn over_from(&self, year: i64, vnd: i64) -> Option<i64> {
        if self.is_assessed_over(year, vnd) {
            return Some(1);
        }
        (1..=4).find(|last| {
            let so_far = self.revenues.iter().filter(|(of_year, quarter, _)| *of_year == year && quarter <= last);
            so_far.map(|(.., vnd)| *vnd).sum::<i64>() > vnd
        })
    }

    /// What is due for a period, if the night looks at its day.
    fn asked(
        &self,
        night: &Night,
        kind: &str,
        period: (String, Date),
        nominal_on: Date,
        rule_version: &str,
    ) -> Option<Obligation> {
        let due_on = tax_day(nominal_on, night)?;
        let (period, last) = period;
        let own = self.returns.iter().filter(|one| one.object_id.as_ref() == Some(&self.business_id));
        let own = own.filter(|one| one.tax == "household" && one.kind == kind && one.period_ends_on == last);
        let filed_on = own.map(|one| one.filed_on).min();
        let mut obligation = due(&self.subject_id, Some(&self.business_id), period, due_on, filed_on, rule_version);
        obligation.facts = vec![Some(nominal_on.to_string())];
        Some(obligation)
    }

    /// Something of a whole or half year, due on a day of a month of that year or the next.
    fn yearly(
        &self,
        night: &Night,
        kind: &str,
        last: Date,
        year_of_day: i64,
        terms: &'static [Term<(i64, i64)>],
    ) -> Option<Obligation> {
        let tax_year = i64::from(last.year());
        let law = in_force(terms, joined(tax_year, 12, 31), night.known_on)?;
        let nominal_on = joined(year_of_day, law.value.0, law.value.1);
        self.asked(night, kind, (format!("{tax_year}-{kind}"), last), nominal_on, law.name)
    }

    /// The returns of a business that went over the threshold in a quarter of this year.
    fn returns_of(&self, night: &Night, year: i64, over_from: i64) -> Vec<Obligation> {
        let year_end = joined(year, 12, 31);
        let in_year = |period: &Period| i64::from(period.last.year()) == year;
        let quarter_of = |period: &Period| (i64::from(period.last.month()) + 2) / 3;
        let asked = |period: &Period| {
            in_year(period) && quarter_of(period) >= over_from && period.touches(self.started_on, self.ended_on)
        };
        let mut found = Vec::new();
        let monthly_from = in_force(&MONTHLY_FROM, year_end, night.known_on);
        // How often it files, the household determines itself, for the whole year.
        let is_large = monthly_from.is_some_and(|law| self.is_assessed_over(year, law.value));
        for month in periods(night, 1).iter().filter(|month| is_large && asked(month)) {
            let law = match in_force(&FIRST_MONTHS, month.last, night.known_on) {
                Some(law) => Some((joined(year, law.value.0, law.value.1), law.name)),
                None => in_force(&MONTHLY, year_end, night.known_on).map(|law| (plus(month.last, law.value), law.name)),
            };
            let Some((nominal_on, name)) = law else { continue };
            found.extend(self.asked(night, "month", (month.month(), month.last), nominal_on, name));
        }
        for quarter in periods(night, 3).iter().filter(|quarter| !is_large && asked(quarter)) {
            let Some(law) = in_force(&QUARTERLY, year_end, night.known_on) else { continue };
            let nominal_on = last_of_month(months_later(quarter.next_day(), law.value - 1));
            found.extend(self.asked(night, "quarter", (quarter.quarter(), quarter.last), nominal_on, law.name));
        }
        found
    }
}

impl Oracle for HouseholdBusinessTax {
    type Records = Business;

    const NIGHTS: &'static [(Date, Date)] = &[
        (date(2026, 3, 4), date(2026, 3, 4)),
        (date(2026, 4, 28), date(2026, 4, 28)),
        (date(2026, 4, 29), date(2026, 4, 29)),
        (date(2026, 7, 20), date(2026, 4, 28)),
        (date(2026, 7, 20), date(2026, 7, 20)),
        // 31 July is a Friday: the last night on which it is seen, and the next one.
        (date(2026, 8, 30), date(2026, 8, 30)),
        (date(2026, 8, 31), date(2026, 8, 31)),
        (date(2026, 11, 22), date(2026, 11, 22)),
        (date(2027, 1, 17), date(2026, 11, 22)),
        (date(2027, 3, 20), date(2026, 11, 22)),
    ];

    const FACTS: &'static [&'static str] = &["nominal_on"];

    fn random(random: &mut Random, id: Id, night: &Night) -> Business {
        let (subject_id, business_id) = (id.of("p"), id.of("business"));
        let year = i64::from(night.as_of.year());
        let year_of_period = year - i64::from(random.percent(60));
        let around = random.due(night);
        let edges = [joined(year_of_period, 1, 1), joined(year_of_period, 6, 30), joined(year_of_period, 12, 31)];
        let day = |random: &mut Random| match random.below(3) {
            0 => {
                let edge = random.pick(&edges);
                random.near(edge)
            }
            1 => {
                let start = months_later(around.first_of_month(), -random.between(0, 3));
                random.near(start)
            }
            _ => random.day(edges[0], edges[2]),
        };
        let started_on = match random.below(10) {
            0 => None,
            1..5 => Some(day(random)),
            _ => Some(random.day(date(2005, 1, 1), date(2025, 12, 31))),
        };
        let ended_on =
            random.maybe(25, day).filter(|ended_on| started_on.is_none_or(|started_on| started_on <= *ended_on));
        let mut years = Vec::new();
        let mut revenues = Vec::new();
        for tax_year in [year - 1, year] {
            if random.percent(75) {
                years.push(TaxYear {
                    tax_year,
                    assessed_vnd: random.maybe(70, amount),
                    taxes_income: random.percent(40),
                    returns_a_year: random.pick(&[None, Some(1), Some(2), Some(2)]),
                });
            }
            revenues.extend(Business::revenues(random, tax_year));
        }
        let returns = Business::returns(random, id, night, year, &subject_id, &business_id);
        let lets_property = random.percent(30);
        Business { business_id, subject_id, lets_property, started_on, ended_on, years, revenues, returns }
    }

    fn put(records: &Business, given: &mut Given) {
        let business_id = &records.business_id;
        given.row(
            "household_businesses",
            &[
                ("business_id", business_id.into()),
                ("subject_id", (&records.subject_id).into()),
                ("lets_property", records.lets_property.into()),
                ("started_on", records.started_on.into()),
                ("ended_on", records.ended_on.into()),
            ],
        );
        for year in &records.years {
            given.row(
                "household_tax_years",
                &[
                    ("business_id", business_id.into()),
                    ("tax_year", year.tax_year.into()),
                    ("assessed_revenue_vnd", year.assessed_vnd.into()),
                    ("taxes_income", year.taxes_income.into()),
                    ("returns_a_year", year.returns_a_year.into()),
                ],
            );
        }
        for (tax_year, quarter, vnd) in &records.revenues {
            let cells: [(&str, Cell); 4] = [
                ("business_id", business_id.into()),
                ("tax_year", (*tax_year).into()),
                ("quarter", (*quarter).into()),
                ("revenue_vnd", (*vnd).into()),
            ];
            given.row("household_revenues", &cells);
        }
        put_returns(&records.returns, given);
    }

    fn obligations(records: &Business, night: &Night) -> Vec<Obligation> {
        let mut found = Vec::new();
        for year in i64::from(night.since.year()) - 1..=i64::from(night.until.year()) {
            let (half_end, year_end) = (joined(year, 6, 30), joined(year, 12, 31));
            let Some(threshold) = in_force(&THRESHOLD, year_end, night.known_on) else { continue };
            let over_from = records.over_from(year, threshold.value);
            let is_over_by_half = over_from.is_some_and(|quarter| quarter <= 2);
            let own = records.years.iter().find(|one| one.tax_year == year);
            let is_open_at_end = records.is_open_on(year_end);
            match over_from {
                // Who has not gone over notifies the revenue of the year.
                None if is_open_at_end => {
                    found.extend(records.yearly(night, "year_notice", year_end, year + 1, &YEAR_NOTICE));
                }
                None => {}
                Some(quarter) if !records.lets_property => {
                    found.extend(records.returns_of(night, year, quarter));
                    if is_open_at_end && own.is_some_and(|own| own.taxes_income) {
                        found.extend(records.yearly(night, "finalisation", year_end, year + 1, &FINALISATION));
                    }
                }
                // What was let during the year is declared, although nothing may be let any more.
                Some(_) => {
                    let year_of = Period { first: joined(year, 1, 1), last: year_end };
                    if year_of.touches(records.started_on, records.ended_on) {
                        found.extend(records.yearly(night, "year", year_end, year + 1, &RENTAL_YEAR));
                    }
                }
            }
            let files_twice = own.is_some_and(|own| own.returns_a_year == Some(2));
            let half = Period { first: joined(year, 1, 1), last: half_end };
            if records.lets_property
                && is_over_by_half
                && files_twice
                && half.touches(records.started_on, records.ended_on)
            {
                found.extend(records.yearly(night, "half_year", half_end, year, &RENTAL_HALF_YEAR));
            }
            // New in the first half-year, and not over in it. Art. 9(1) speaks of who produces or trades.
            let is_new =
                records.started_on.is_some_and(|started_on| half.first <= started_on && started_on <= half.last);
            if is_new && !is_over_by_half && !records.lets_property && records.is_open_on(half_end) {
                found.extend(records.yearly(night, "half_year_notice", half_end, year, &HALF_YEAR_NOTICE));
            }
        }
        found
    }
}
