//! Returns by the month, the quarter and the year, and the advance on corporate income tax.

use jiff::civil::{Date, date};

use super::law::{Term, joined, last_of_month, months_later};
use super::periods::{Period, after, last_day, periods, tax_day, year_ends};
use super::random::plus;
use super::taxpayers::{Choice, Taxpayer};
use super::{Given, Id, Night, Obligation, Oracle, Random};

/// Law on Tax Administration 38/2019/QH14, enacted and in force.
pub const LAW_2019: (Date, Date) = (date(2019, 6, 13), date(2020, 7, 1));
/// Decree 252/2026/NĐ-CP, enacted and in force.
pub const DECREE_2026: (Date, Date) = (date(2026, 6, 30), date(2026, 7, 1));

/// An obligation of a taxpayer without facts.
pub fn due(
    subject_id: &str,
    object_id: Option<&str>,
    period: String,
    due_on: Date,
    fulfilled_on: Option<Date>,
    rule_version: &str,
) -> Obligation {
    Obligation {
        subject_id: subject_id.to_owned(),
        object_id: object_id.map(str::to_owned),
        period,
        due_on,
        fulfilled_on,
        rule_version: rule_version.to_owned(),
        facts: Vec::new(),
    }
}

/// The monthly return: by the 20th of the next month (Law 38/2019, Art. 44(1)a; Decree 252/2026, Art. 10(2)).
pub struct MonthlyTaxReturn;

const MONTHLY: [Term<i64>; 2] = [
    Term::new("monthly_tax_return@2020-07-01", LAW_2019.0, LAW_2019.1, 20).until(DECREE_2026.0, DECREE_2026.1),
    Term::new("monthly_tax_return@2026-07-01", DECREE_2026.0, DECREE_2026.1, 20),
];

impl Oracle for MonthlyTaxReturn {
    type Records = Taxpayer;

    const NIGHTS: &'static [(Date, Date)] = &[
        (date(2024, 3, 13), date(2024, 3, 13)),
        (date(2026, 2, 16), date(2026, 2, 16)),
        (date(2026, 7, 18), date(2026, 6, 29)),
        (date(2026, 7, 18), date(2026, 7, 18)),
        (date(2026, 11, 22), date(2026, 11, 22)),
        // The 20th of December is a Sunday: the first nights on which Monday is seen, and on which it is not.
        (date(2026, 12, 13), date(2026, 12, 13)),
        (date(2026, 12, 14), date(2026, 12, 14)),
        // The 20th of November is a Friday: the last night on which it is seen, and the next one.
        (date(2026, 12, 20), date(2026, 11, 22)),
        (date(2026, 12, 21), date(2026, 11, 22)),
        (date(2027, 3, 16), date(2026, 11, 22)),
    ];

    fn random(random: &mut Random, id: Id, night: &Night) -> Taxpayer {
        let period = Period::ending(last_day(random, night, 1, 1), 1);
        const CHOICE: Choice = Choice {
            taxes: &["vat", "pit_withholding", "special_consumption"],
            cycles: &["month", "month", "month", "quarter", "year"],
            kinds: &["month", "month", "month", "quarter"],
            days: 20,
        };
        Taxpayer::random(random, id, night, period, &CHOICE)
    }

    fn put(records: &Taxpayer, given: &mut Given) {
        records.put(given);
    }

    fn obligations(records: &Taxpayer, night: &Night) -> Vec<Obligation> {
        let mut found = Vec::new();
        for month in periods(night, 1) {
            let Some(law) = after(&MONTHLY, &month, night) else { continue };
            let next = month.next_day();
            let nominal_on = joined(i64::from(next.year()), i64::from(next.month()), law.value);
            let Some(due_on) = tax_day(nominal_on, night) else { continue };
            for tax in records.taxes(Some("month"), &month) {
                let filed_on = records.filed_on(tax, "month", month.last);
                found.push(due(&records.subject_id, Some(tax), month.month(), due_on, filed_on, law.name));
            }
        }
        found
    }
}

/// The quarterly return: by the last day of the first month of the next quarter (Law 38/2019, Art. 44(1)b; Decree
/// 252/2026, Art. 10(3)). Corporate income tax is paid in advance instead (Art. 24).
pub struct QuarterlyTaxReturn;

const QUARTERLY: [Term<i64>; 2] = [
    Term::new("quarterly_tax_return@2020-07-01", LAW_2019.0, LAW_2019.1, 1).until(DECREE_2026.0, DECREE_2026.1),
    Term::new("quarterly_tax_return@2026-07-01", DECREE_2026.0, DECREE_2026.1, 1),
];

/// Nights about the days on which a quarter is declared.
const QUARTERLY_NIGHTS: &[(Date, Date)] = &[
    (date(2024, 4, 29), date(2024, 4, 29)),
    (date(2026, 2, 4), date(2026, 2, 4)),
    (date(2026, 5, 6), date(2026, 5, 6)),
    (date(2026, 7, 24), date(2026, 6, 29)),
    (date(2026, 7, 24), date(2026, 7, 24)),
    // 31 July is a Friday: the last night on which it is seen, and the next one.
    (date(2026, 8, 30), date(2026, 6, 30)),
    (date(2026, 8, 31), date(2026, 6, 30)),
    // 31 October is a Saturday.
    (date(2026, 10, 25), date(2026, 10, 25)),
    (date(2026, 10, 26), date(2026, 10, 26)),
    (date(2026, 12, 2), date(2026, 11, 22)),
    (date(2027, 5, 4), date(2026, 11, 22)),
];

impl Oracle for QuarterlyTaxReturn {
    type Records = Taxpayer;

    const NIGHTS: &'static [(Date, Date)] = QUARTERLY_NIGHTS;

    fn random(random: &mut Random, id: Id, night: &Night) -> Taxpayer {
        let period = Period::ending(last_day(random, night, 3, 1), 3);
        const CHOICE: Choice = Choice {
            taxes: &["vat", "pit_withholding", "cit"],
            cycles: &["quarter", "quarter", "quarter", "month"],
            kinds: &["quarter", "quarter", "quarter", "month"],
            days: 30,
        };
        Taxpayer::random(random, id, night, period, &CHOICE)
    }

    fn put(records: &Taxpayer, given: &mut Given) {
        records.put(given);
    }

    fn obligations(records: &Taxpayer, night: &Night) -> Vec<Obligation> {
        let mut found = Vec::new();
        for quarter in periods(night, 3) {
            let Some(law) = after(&QUARTERLY, &quarter, night) else { continue };
            let nominal_on = last_of_month(months_later(quarter.next_day(), law.value - 1));
            let Some(due_on) = tax_day(nominal_on, night) else { continue };
            for tax in records.taxes(Some("quarter"), &quarter).into_iter().filter(|tax| *tax != "cit") {
                let filed_on = records.filed_on(tax, "quarter", quarter.last);
                found.push(due(&records.subject_id, Some(tax), quarter.quarter(), due_on, filed_on, law.name));
            }
        }
        found
    }
}

/// The advance on corporate income tax: by the 30th of the first month of the next quarter (Law 38/2019, Art. 55(1)),
/// since Decree 252/2026 by its last day (Art. 24(2)).
pub struct CitAdvance;

enum Advance {
    Day(i64),
    LastDay,
}

const ADVANCE: [Term<Advance>; 2] = [
    Term {
        ended: Some(DECREE_2026),
        ..Term::new("cit_advance_day@2020-07-01", LAW_2019.0, LAW_2019.1, Advance::Day(30))
    },
    Term::new("cit_advance_month@2026-07-01", DECREE_2026.0, DECREE_2026.1, Advance::LastDay),
];

impl Oracle for CitAdvance {
    type Records = Taxpayer;

    const NIGHTS: &'static [(Date, Date)] = QUARTERLY_NIGHTS;

    fn random(random: &mut Random, id: Id, night: &Night) -> Taxpayer {
        let period = Period::ending(last_day(random, night, 3, 1), 3);
        const CHOICE: Choice =
            Choice { taxes: &["cit", "cit", "vat"], cycles: &["quarter", "year"], kinds: &["quarter"], days: 30 };
        Taxpayer::random(random, id, night, period, &CHOICE)
    }

    fn put(records: &Taxpayer, given: &mut Given) {
        records.put(given);
    }

    fn obligations(records: &Taxpayer, night: &Night) -> Vec<Obligation> {
        let mut found = Vec::new();
        for quarter in periods(night, 3) {
            let Some(law) = after(&ADVANCE, &quarter, night) else { continue };
            let nominal_on = match law.value {
                Advance::Day(day) => plus(quarter.last, day),
                Advance::LastDay => last_of_month(quarter.next_day()),
            };
            let Some(due_on) = tax_day(nominal_on, night) else { continue };
            // Who is registered by the year pays at the finalisation alone.
            if records.taxes(Some("quarter"), &quarter).contains(&"cit") {
                let of_quarter =
                    records.payments.iter().filter(|(_, tax, last, _)| *tax == "cit" && *last == quarter.last);
                let paid_on = of_quarter.map(|(.., paid_on)| *paid_on).min();
                found.push(due(&records.subject_id, None, quarter.quarter(), due_on, paid_on, law.name));
            }
        }
        found
    }
}

/// The yearly return: by the last day of the first month after the calendar or financial year (Decree 252/2026,
/// Art. 10(4)). Corporate income tax is finalised instead (Art. 10(5)).
pub struct YearlyTaxReturn;

const YEARLY: [Term<i64>; 1] = [Term::new("yearly_tax_return@2026-07-01", DECREE_2026.0, DECREE_2026.1, 1)];

impl Oracle for YearlyTaxReturn {
    type Records = Taxpayer;

    const NIGHTS: &'static [(Date, Date)] = &[
        (date(2026, 7, 25), date(2026, 6, 29)),
        (date(2026, 7, 25), date(2026, 6, 30)),
        (date(2026, 11, 22), date(2026, 11, 22)),
        // 31 January 2027 is a Sunday.
        (date(2027, 1, 16), date(2027, 1, 16)),
        (date(2027, 1, 17), date(2027, 1, 17)),
        (date(2027, 3, 3), date(2026, 11, 22)),
        // The last night on which 31 December is seen, and the next one.
        (date(2027, 1, 30), date(2026, 11, 22)),
        (date(2027, 1, 31), date(2026, 11, 22)),
    ];

    fn random(random: &mut Random, id: Id, night: &Night) -> Taxpayer {
        let last = last_day(random, night, 1, 1);
        const CHOICE: Choice = Choice {
            taxes: &["natural_resources", "natural_resources", "licence", "cit"],
            cycles: &["year", "year", "year", "quarter"],
            kinds: &["year", "year", "year", "finalisation"],
            days: 30,
        };
        let mut taxpayer = Taxpayer::random(random, id, night, Period::ending(last, 12), &CHOICE);
        taxpayer.year_end_month = year_end_month(random, last);
        taxpayer
    }

    fn put(records: &Taxpayer, given: &mut Given) {
        records.put(given);
    }

    fn obligations(records: &Taxpayer, night: &Night) -> Vec<Obligation> {
        let mut found = Vec::new();
        for year_end in year_ends(night, records.year_end_month.unwrap_or(12)) {
            // Who does not declare the tax any more on the last day of the year, or not yet, has no return of the year.
            let last_day = Period { first: year_end, last: year_end };
            let Some(law) = after(&YEARLY, &last_day, night) else { continue };
            let nominal_on = last_of_month(months_later(plus(year_end, 1), law.value - 1));
            let Some(due_on) = tax_day(nominal_on, night) else { continue };
            for tax in records.taxes(Some("year"), &last_day).into_iter().filter(|tax| *tax != "cit") {
                let filed_on = records.filed_on(tax, "year", year_end);
                found.push(due(&records.subject_id, Some(tax), year_end.to_string(), due_on, filed_on, law.name));
            }
        }
        found
    }
}

/// The month of this day, mostly; December where nothing is said.
pub fn year_end_month(random: &mut Random, last: Date) -> Option<i64> {
    match random.below(8) {
        0 => Some(random.between(1, 12)),
        _ if last.month() == 12 && random.percent(50) => None,
        _ => Some(i64::from(last.month())),
    }
}
