//! What is settled once a year: the finalisation of taxes and the annual accounts.

use jiff::civil::{Date, date};

use super::law::{Term, in_force, last_of_month, months_later};
use super::periods::{Period, after, last_day, tax_day, year_ends};
use super::random::plus;
use super::returns::{DECREE_2026, LAW_2019, due, year_end_month};
use super::taxpayers::{Choice, Return, Taxpayer, put_returns};
use super::{Given, Id, Night, Obligation, Oracle, Random};

/// Finalisation of corporate income tax and of income tax withheld: by the last day of the third month after the year
/// (Law 38/2019, Art. 44(2)a; Decree 252/2026, Art. 10(5)a), and within 45 days of the decision to dissolve, end, merge
/// or convert (Art. 44(4); Art. 10(5)b).
pub struct AnnualFinalisation;

const OF_YEAR: [Term<i64>; 2] = [
    Term::new("payer_finalisation@2020-07-01", LAW_2019.0, LAW_2019.1, 3).until(DECREE_2026.0, DECREE_2026.1),
    Term::new("payer_finalisation@2026-07-01", DECREE_2026.0, DECREE_2026.1, 3),
];
const OF_CLOSING: [Term<i64>; 2] = [
    Term::new("closing_finalisation@2020-07-01", LAW_2019.0, LAW_2019.1, 45).until(DECREE_2026.0, DECREE_2026.1),
    Term::new("closing_finalisation@2026-07-01", DECREE_2026.0, DECREE_2026.1, 45),
];

impl Oracle for AnnualFinalisation {
    type Records = Taxpayer;

    const NIGHTS: &'static [(Date, Date)] = &[
        (date(2024, 3, 1), date(2024, 3, 1)),
        (date(2025, 3, 20), date(2025, 3, 20)),
        (date(2026, 3, 31), date(2026, 3, 31)),
        (date(2026, 8, 10), date(2026, 6, 29)),
        (date(2026, 8, 10), date(2026, 8, 10)),
        (date(2026, 9, 20), date(2026, 6, 30)),
        (date(2026, 11, 22), date(2026, 11, 22)),
        (date(2027, 3, 1), date(2026, 11, 22)),
        // 31 March 2027 is a Wednesday: the last night on which it is seen, and the next one.
        (date(2027, 4, 30), date(2026, 11, 22)),
        (date(2027, 5, 1), date(2026, 11, 22)),
    ];

    fn random(random: &mut Random, id: Id, night: &Night) -> Taxpayer {
        let last = last_day(random, night, 1, 3);
        let closing = random.due(night);
        let stopped_on = match random.below(6) {
            0 => Some(random.near(last)),
            1 | 2 => Some(plus(closing, -45)),
            3 => Some(random.near(date(2026, 7, 1))),
            _ => None,
        };
        // A duty begins and ends at the edges of the year, or of the twelve months before the decision.
        let period = match stopped_on.filter(|_| random.percent(60)) {
            Some(stopped_on) => Period { first: months_later(stopped_on, -12), last: stopped_on },
            None => Period::ending(last, 12),
        };
        const CHOICE: Choice = Choice {
            taxes: &["cit", "pit_withholding", "vat"],
            cycles: &["quarter", "month", "year"],
            kinds: &["finalisation", "closing", "year"],
            days: 60,
        };
        let mut taxpayer = Taxpayer::random(random, id, night, period, &CHOICE);
        taxpayer.year_end_month = year_end_month(random, last);
        taxpayer.stopped_on = stopped_on;
        taxpayer
    }

    fn put(records: &Taxpayer, given: &mut Given) {
        records.put(given);
    }

    fn obligations(records: &Taxpayer, night: &Night) -> Vec<Obligation> {
        let mut found = Vec::new();
        for (tax, month) in [("cit", records.year_end_month.unwrap_or(12)), ("pit_withholding", 12)] {
            for year_end in year_ends(night, month) {
                let year = Period::ending(year_end, 12);
                let Some(law) = after(&OF_YEAR, &year, night) else { continue };
                let nominal_on = last_of_month(months_later(year.next_day(), law.value - 1));
                let Some(due_on) = tax_day(nominal_on, night) else { continue };
                // Who stopped before the year was over finalises once, at the closing.
                let is_over = records.stopped_on.is_none_or(|stopped_on| year_end < stopped_on);
                if is_over && records.taxes(None, &year).contains(&tax) {
                    let filed_on = records.filed_on(tax, "finalisation", year_end);
                    found.push(due(&records.subject_id, Some(tax), year_end.to_string(), due_on, filed_on, law.name));
                }
            }
            found.extend(closing(records, tax, night));
        }
        found
    }
}

/// The finalisation of a tax at the closing.
fn closing(records: &Taxpayer, tax: &str, night: &Night) -> Option<Obligation> {
    let stopped_on = records.stopped_on?;
    let law = in_force(&OF_CLOSING, stopped_on, night.known_on)?;
    // The day of the decision does not count (Civil Code 2015, Art. 147(2)).
    let due_on = tax_day(plus(stopped_on, law.value), night)?;
    // Twelve months that end with the decision hold every duty that no finalisation of a year has settled.
    let open = Period { first: plus(months_later(stopped_on, -12), 1), last: stopped_on };
    let filed_on = records.filed_on(tax, "closing", stopped_on);
    let period = format!("closing-{stopped_on}");
    let is_open = records.taxes(None, &open).contains(&tax);
    is_open.then(|| due(&records.subject_id, Some(tax), period, due_on, filed_on, law.name))
}

/// The annual accounts: within ninety days of the end of the year (Law on Accounting 88/2015/QH13, Art. 29), by the law
/// of its last day. It is no deadline of tax law, so it stays on a day of rest.
pub struct AnnualAccounts;

const ACCOUNTS: [Term<i64>; 1] = [Term::new("annual_accounts@2017-01-01", date(2015, 11, 20), date(2017, 1, 1), 90)];

impl Oracle for AnnualAccounts {
    type Records = Taxpayer;

    const NIGHTS: &'static [(Date, Date)] = &[
        (date(2017, 4, 10), date(2017, 4, 10)),
        (date(2024, 3, 1), date(2024, 3, 1)),
        (date(2024, 5, 20), date(2024, 5, 20)),
        (date(2026, 11, 22), date(2026, 11, 22)),
        // Ninety days after 31 December are 31 March, seen from this night on, and to the second one.
        (date(2027, 3, 1), date(2027, 3, 1)),
        (date(2027, 4, 30), date(2027, 4, 30)),
        (date(2032, 3, 20), date(2026, 11, 22)),
    ];

    fn random(random: &mut Random, id: Id, night: &Night) -> Taxpayer {
        let last = last_day(random, night, 1, 3);
        const CHOICE: Choice = Choice {
            taxes: &["cit", "vat", "pit_withholding"],
            cycles: &["quarter", "month", "year"],
            kinds: &["accounts", "accounts", "finalisation"],
            days: 90,
        };
        let mut taxpayer = Taxpayer::random(random, id, night, Period::ending(last, 12), &CHOICE);
        taxpayer.year_end_month = year_end_month(random, last);
        taxpayer.stopped_on = random.maybe(40, |random| random.near(last));
        taxpayer
    }

    fn put(records: &Taxpayer, given: &mut Given) {
        records.put(given);
    }

    fn obligations(records: &Taxpayer, night: &Night) -> Vec<Obligation> {
        let mut found = Vec::new();
        for year_end in year_ends(night, records.year_end_month.unwrap_or(12)) {
            let Some(law) = in_force(&ACCOUNTS, year_end, night.known_on) else { continue };
            let due_on = plus(year_end, law.value);
            // Who owes corporate income tax is in business until the decision to stop: a duty that ended was registered
            // anew, or is suspended.
            let has_begun = records.duties.iter().any(|duty| duty.tax == "cit" && duty.starts_on <= year_end);
            let is_in_business = has_begun && records.stopped_on.is_none_or(|stopped_on| year_end < stopped_on);
            if night.sees(due_on) && is_in_business {
                // Accounts are of the taxpayer as a whole, whatever tax they were filed with.
                let accounts = records.returns.iter().filter(|one| one.kind == "accounts");
                let of_year = accounts.filter(|one| one.period_ends_on == year_end);
                let sent_on = of_year.map(|one| one.filed_on).min();
                found.push(due(&records.subject_id, None, year_end.to_string(), due_on, sent_on, law.name));
            }
        }
        found
    }
}

/// Finalisation of income tax in person: by the last day of the fourth month after the calendar year (Law 38/2019,
/// Art. 44(2)b; Decree 252/2026, Art. 10(5)c).
pub struct PitSelfFinalisation;

const IN_PERSON: [Term<i64>; 2] = [
    Term::new("pit_self_finalisation@2020-07-01", LAW_2019.0, LAW_2019.1, 4).until(DECREE_2026.0, DECREE_2026.1),
    Term::new("pit_self_finalisation@2026-07-01", DECREE_2026.0, DECREE_2026.1, 4),
];

/// A person with the years that they finalise in person.
#[derive(Debug)]
pub struct Person {
    subject_id: String,
    years: Vec<i64>,
    returns: Vec<Return>,
}

impl Oracle for PitSelfFinalisation {
    type Records = Person;

    const NIGHTS: &'static [(Date, Date)] = &[
        (date(2024, 3, 20), date(2024, 3, 20)),
        (date(2025, 4, 30), date(2025, 4, 30)),
        (date(2026, 3, 5), date(2026, 3, 5)),
        // Monday 4 May 2026 is seen from this night on, and up to the second.
        (date(2026, 3, 4), date(2026, 3, 4)),
        (date(2026, 6, 3), date(2026, 6, 3)),
        (date(2027, 4, 1), date(2026, 6, 29)),
        (date(2027, 4, 1), date(2026, 11, 22)),
        (date(2027, 6, 2), date(2026, 11, 22)),
    ];

    fn random(random: &mut Random, id: Id, night: &Night) -> Person {
        let subject_id = id.of("p");
        let year = i64::from(night.as_of.year()) - 1;
        let mut years: Vec<i64> = (0..=random.below(2)).map(|_| year + random.pick(&[0, 0, 0, -1, 1])).collect();
        years.sort_unstable();
        if random.percent(90) {
            years.dedup();
        }
        let mut returns = Vec::new();
        for number in 0..random.below(4) {
            let of_year = random.pick(&[year, year, year, year - 1]);
            let period_ends_on = date(of_year as i16, 12, 31);
            returns.push(Return {
                return_id: id.of(format!("return{number}")),
                subject_id: if random.percent(90) { subject_id.clone() } else { id.of("other") },
                object_id: random.maybe(10, |_| id.of("business")),
                tax: random.pick(&["pit", "pit", "pit", "household"]),
                kind: random.pick(&["finalisation", "finalisation", "finalisation", "year"]),
                period_ends_on: if random.percent(95) { period_ends_on } else { plus(period_ends_on, -1) },
                filed_on: random.done(plus(period_ends_on, 120), night).min(night.as_of),
            });
        }
        Person { subject_id, years, returns }
    }

    fn put(records: &Person, given: &mut Given) {
        for year in &records.years {
            given.row("pit_settlements", &[("subject_id", (&records.subject_id).into()), ("tax_year", (*year).into())]);
        }
        put_returns(&records.returns, given);
    }

    fn obligations(records: &Person, night: &Night) -> Vec<Obligation> {
        let mut years = records.years.clone();
        years.dedup();
        let mut found = Vec::new();
        for year in years {
            let year_end = date(year as i16, 12, 31);
            let whole = Period::ending(year_end, 12);
            let Some(law) = after(&IN_PERSON, &whole, night) else { continue };
            let nominal_on = last_of_month(months_later(whole.next_day(), law.value - 1));
            let Some(due_on) = tax_day(nominal_on, night) else { continue };
            let own = records.returns.iter().filter(|one| one.subject_id == records.subject_id);
            let own = own.filter(|one| one.tax == "pit" && one.kind == "finalisation");
            let filed_on = own.filter(|one| one.period_ends_on == year_end).map(|one| one.filed_on).min();
            found.push(due(&records.subject_id, None, year.to_string(), due_on, filed_on, law.name));
        }
        found
    }
}
