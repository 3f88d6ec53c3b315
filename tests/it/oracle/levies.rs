//! Taxes on land and on single events, and the report on the use of labour.

use std::collections::BTreeMap;

use jiff::civil::{Date, date};

use super::given::Cell;
use super::law::{Term, in_force, joined};
use super::periods::tax_day;
use super::random::plus;
use super::returns::{DECREE_2026, LAW_2019, due};
use super::{Given, Id, Night, Obligation, Oracle, Random};

/// What the tax office asks for a plot of land.
#[derive(Debug)]
pub struct Bill {
    bill_id: String,
    subject_id: String,
    plot_id: String,
    tax: &'static str,
    kind: &'static str,
    tax_year: i64,
    notice_issued_on: Option<Date>,
    paid_on: Option<Date>,
}

/// The bills of one owner.
#[derive(Debug)]
pub struct Owner {
    bills: Vec<Bill>,
}

impl Owner {
    fn random(random: &mut Random, id: Id, night: &Night, taxes: &[(&'static str, &[&'static str])]) -> Self {
        let year = i64::from(night.as_of.year());
        let mut bills = Vec::new();
        for number in 0..=random.below(4) {
            let due_on = random.due(night);
            let (tax, kinds) = if random.percent(90) { taxes[0] } else { taxes[1] };
            // The notice of a first payment, or any other.
            let notice_issued_on = match random.below(6) {
                0 => random.near(date(2026, 7, 1)),
                _ => plus(due_on, -30),
            };
            bills.push(Bill {
                bill_id: id.of(format!("bill{number}")),
                // Two own a plot, and each is billed.
                subject_id: if random.percent(90) { id.of("p") } else { id.of("q") },
                plot_id: id.of(random.pick(&["plot1", "plot1", "plot2"])),
                tax,
                kind: random.pick(kinds),
                tax_year: year + random.pick(&[0, 0, 0, -1, 1]),
                notice_issued_on: random.maybe(90, |_| notice_issued_on.min(night.as_of)),
                paid_on: random.maybe(40, |random| random.done(due_on, night).min(night.as_of)),
            });
        }
        Owner { bills }
    }

    fn put(&self, given: &mut Given) {
        for bill in &self.bills {
            let cells: [(&str, Cell); 8] = [
                ("bill_id", (&bill.bill_id).into()),
                ("subject_id", (&bill.subject_id).into()),
                ("plot_id", (&bill.plot_id).into()),
                ("tax", bill.tax.into()),
                ("payment_kind", bill.kind.into()),
                ("tax_year", bill.tax_year.into()),
                ("notice_issued_on", bill.notice_issued_on.into()),
                ("paid_on", bill.paid_on.into()),
            ];
            given.row("land_tax_bills", &cells);
        }
    }

    /// The bills of a tax for one payment each: the same owner, plot, year and kind of payment.
    fn payments(&self, tax: &str) -> Vec<Vec<&Bill>> {
        let mut found: BTreeMap<(&str, &str, i64, &str), Vec<&Bill>> = BTreeMap::new();
        for bill in self.bills.iter().filter(|bill| bill.tax == tax) {
            found.entry((&bill.subject_id, &bill.plot_id, bill.tax_year, bill.kind)).or_default().push(bill);
        }
        found.into_values().collect()
    }
}

/// An obligation of the bills of one payment: done when one of them is paid.
fn payment(bills: &[&Bill], due_on: Date, rule_version: &str) -> Obligation {
    let bill = bills[0];
    let period = format!("{}-{}", bill.tax_year, bill.kind);
    let paid_on = bills.iter().filter_map(|bill| bill.paid_on).min();
    due(&bill.subject_id, Some(&bill.plot_id), period, due_on, paid_on, rule_version)
}

/// Non-agricultural land-use tax (Decree 252/2026, Art. 21(1)): the first year's within thirty days of the notice, later
/// years' by 31 October, the difference of an aggregated declaration by 31 March of the next year.
pub struct NonAgriculturalLandTax;

/// Decree 126/2020, Art. 18, says the same days as the decree after it.
const DECREE_126: (Date, Date) = (date(2020, 10, 19), date(2020, 12, 5));
const FIRST: [Term<i64>; 2] = [
    Term::new("land_tax_first_payment@2020-12-05", DECREE_126.0, DECREE_126.1, 30).until(DECREE_2026.0, DECREE_2026.1),
    Term::new("land_tax_first_payment@2026-07-01", DECREE_2026.0, DECREE_2026.1, 30),
];
const EVERY_YEAR: [Term<(i64, i64)>; 2] = [
    Term::new("land_tax_yearly_payment@2020-12-05", DECREE_126.0, DECREE_126.1, (10, 31))
        .until(DECREE_2026.0, DECREE_2026.1),
    Term::new("land_tax_yearly_payment@2026-07-01", DECREE_2026.0, DECREE_2026.1, (10, 31)),
];
const DIFFERENCE: [Term<(i64, i64)>; 2] = [
    Term::new("land_tax_difference@2020-12-05", DECREE_126.0, DECREE_126.1, (3, 31))
        .until(DECREE_2026.0, DECREE_2026.1),
    Term::new("land_tax_difference@2026-07-01", DECREE_2026.0, DECREE_2026.1, (3, 31)),
];

/// Nights about the days on which land-use tax is paid.
const LAND_NIGHTS: &[(Date, Date)] = &[
    (date(2024, 10, 25), date(2024, 10, 25)),
    (date(2025, 5, 20), date(2025, 5, 20)),
    (date(2026, 3, 20), date(2026, 3, 20)),
    (date(2026, 6, 20), date(2026, 6, 20)),
    (date(2026, 7, 15), date(2026, 7, 15)),
    (date(2026, 10, 20), date(2026, 6, 29)),
    // Monday 2 November 2026 is seen from this night on, and up to the third.
    (date(2026, 10, 3), date(2026, 10, 3)),
    (date(2026, 10, 2), date(2026, 10, 2)),
    (date(2026, 12, 2), date(2026, 11, 22)),
    (date(2026, 12, 3), date(2026, 11, 22)),
    (date(2027, 2, 10), date(2026, 11, 22)),
    (date(2027, 3, 20), date(2026, 11, 22)),
    // 31 March and 31 May 2027 are no days of rest: the first nights on which they are not seen.
    (date(2027, 5, 1), date(2026, 11, 22)),
    (date(2027, 7, 1), date(2026, 11, 22)),
    (date(2027, 10, 20), date(2026, 11, 22)),
];

impl Oracle for NonAgriculturalLandTax {
    type Records = Owner;

    const NIGHTS: &'static [(Date, Date)] = LAND_NIGHTS;

    fn random(random: &mut Random, id: Id, night: &Night) -> Owner {
        let own = ("non_agricultural", &["first", "first", "yearly", "yearly", "difference"][..]);
        Owner::random(random, id, night, &[own, ("agricultural", &["once", "first_half"][..])])
    }

    fn put(records: &Owner, given: &mut Given) {
        records.put(given);
    }

    fn obligations(records: &Owner, night: &Night) -> Vec<Obligation> {
        let mut found = Vec::new();
        for bills in records.payments("non_agricultural") {
            let year_end = joined(bills[0].tax_year, 12, 31);
            let (nominal_on, name) = match bills[0].kind {
                "first" => {
                    // Billed again, the newer notice gives the day. It is not counted itself (Civil Code, Art. 147(2)).
                    let Some(notice_on) = bills.iter().filter_map(|bill| bill.notice_issued_on).max() else { continue };
                    let Some(law) = in_force(&FIRST, notice_on, night.known_on) else { continue };
                    (plus(notice_on, law.value), law.name)
                }
                kind => {
                    let (terms, year) = match kind {
                        "yearly" => (&EVERY_YEAR, bills[0].tax_year),
                        _ => (&DIFFERENCE, bills[0].tax_year + 1),
                    };
                    let Some(law) = in_force(terms, year_end, night.known_on) else { continue };
                    (joined(year, law.value.0, law.value.1), law.name)
                }
            };
            found.extend(tax_day(nominal_on, night).map(|due_on| payment(&bills, due_on, name)));
        }
        found
    }
}

/// Agricultural land-use tax (Decree 252/2026, Art. 21(2)): at once by 31 May, or half by 31 May and the rest by
/// 31 October of the tax year.
pub struct AgriculturalLandTax;

const MAY: [Term<(i64, i64)>; 1] =
    [Term::new("agricultural_land_tax_first@2026-07-01", DECREE_2026.0, DECREE_2026.1, (5, 31))];
const OCTOBER: [Term<(i64, i64)>; 1] =
    [Term::new("agricultural_land_tax_second@2026-07-01", DECREE_2026.0, DECREE_2026.1, (10, 31))];

impl Oracle for AgriculturalLandTax {
    type Records = Owner;

    const NIGHTS: &'static [(Date, Date)] = LAND_NIGHTS;

    // In every year that has a calendar, 30 and 31 May move to the same Monday: the day before it moves tells them apart.
    const FACTS: &'static [&'static str] = &["nominal_on"];

    fn random(random: &mut Random, id: Id, night: &Night) -> Owner {
        let own = ("agricultural", &["once", "first_half", "second_half"][..]);
        Owner::random(random, id, night, &[own, ("non_agricultural", &["yearly", "first"][..])])
    }

    fn put(records: &Owner, given: &mut Given) {
        records.put(given);
    }

    fn obligations(records: &Owner, night: &Night) -> Vec<Obligation> {
        let mut found = Vec::new();
        for bills in records.payments("agricultural") {
            let tax_year = bills[0].tax_year;
            let terms = if bills[0].kind == "second_half" { &OCTOBER } else { &MAY };
            let Some(law) = in_force(terms, joined(tax_year, 12, 31), night.known_on) else { continue };
            let nominal_on = joined(tax_year, law.value.0, law.value.1);
            found.extend(tax_day(nominal_on, night).map(|due_on| Obligation {
                facts: vec![Some(nominal_on.to_string())],
                ..payment(&bills, due_on, law.name)
            }));
        }
        found
    }
}

/// Taxes by occurrence: within ten days, counted from the day after (Law 38/2019, Art. 44(3); Decree 252/2026,
/// Art. 10(1)); real estate within the thirty days in which the change is registered (Decree 252/2026, Art. 10(8); Land
/// Law 31/2024/QH15, Art. 133(3)).
pub struct PerOccurrenceTax;

const OCCURRENCE: [Term<i64>; 2] = [
    Term::new("per_occurrence_tax@2020-07-01", LAW_2019.0, LAW_2019.1, 10).until(DECREE_2026.0, DECREE_2026.1),
    Term::new("per_occurrence_tax@2026-07-01", DECREE_2026.0, DECREE_2026.1, 10),
];
const REAL_ESTATE: [Term<i64>; 1] = [Term::new("real_estate_tax@2026-07-01", DECREE_2026.0, DECREE_2026.1, 30)];

/// Events of one person: number, kind, day, day of the return.
#[derive(Debug)]
pub struct Events {
    subject_id: String,
    events: Vec<(String, &'static str, Date, Option<Date>)>,
}

impl Oracle for PerOccurrenceTax {
    type Records = Events;

    const NIGHTS: &'static [(Date, Date)] = &[
        (date(2024, 3, 1), date(2024, 3, 1)),
        (date(2026, 2, 17), date(2026, 2, 17)),
        (date(2026, 4, 28), date(2026, 4, 28)),
        (date(2026, 7, 15), date(2026, 6, 29)),
        (date(2026, 7, 15), date(2026, 7, 15)),
        (date(2026, 8, 30), date(2026, 8, 30)),
        (date(2026, 11, 22), date(2026, 11, 22)),
        (date(2027, 2, 6), date(2026, 11, 22)),
    ];

    fn random(random: &mut Random, id: Id, night: &Night) -> Events {
        let mut events = Vec::new();
        for number in 0..=random.below(3) {
            let due_on = random.due(night);
            let kind = random.pick(&["other", "real_estate"]);
            let occurred_on = match random.below(6) {
                0 => random.near(date(2026, 7, 1)),
                _ => plus(due_on, if kind == "other" { -10 } else { -30 }),
            };
            let filed_on = random.maybe(40, |random| random.done(due_on, night).min(night.as_of));
            events.push((id.of(format!("event{number}")), kind, occurred_on, filed_on));
        }
        Events { subject_id: id.of("p"), events }
    }

    fn put(records: &Events, given: &mut Given) {
        for (event_id, kind, occurred_on, filed_on) in &records.events {
            let cells: [(&str, Cell); 5] = [
                ("event_id", event_id.into()),
                ("subject_id", (&records.subject_id).into()),
                ("kind", (*kind).into()),
                ("occurred_on", (*occurred_on).into()),
                ("filed_on", (*filed_on).into()),
            ];
            given.row("taxable_events", &cells);
        }
    }

    fn obligations(records: &Events, night: &Night) -> Vec<Obligation> {
        let mut found = Vec::new();
        for (event_id, kind, occurred_on, filed_on) in &records.events {
            let law = match *kind {
                "real_estate" => in_force(&REAL_ESTATE, *occurred_on, night.known_on),
                _ => in_force(&OCCURRENCE, *occurred_on, night.known_on),
            };
            let Some(law) = law else { continue };
            let Some(due_on) = tax_day(plus(*occurred_on, law.value), night) else { continue };
            found.push(due(&records.subject_id, Some(event_id), "once".to_owned(), due_on, *filed_on, law.name));
        }
        found
    }
}

/// The report on the use of labour: before 5 June and before 5 December (Decree 145/2020/NĐ-CP, Art. 4(2)). The day
/// before is the last, and it stays on a day of rest. Who has staff on that day reports.
pub struct LabourUseReport;

const REPORT: [Term<[(i64, i64); 2]>; 1] =
    [Term::new("labour_use_report@2021-02-01", date(2020, 12, 14), date(2021, 2, 1), [(6, 5), (12, 5)])];

/// An employer and the reports sent: number, year, month, day.
#[derive(Debug)]
pub struct Employer {
    subject_id: String,
    employs_since: Option<Date>,
    employs_until: Option<Date>,
    reports: Vec<(String, i64, i64, Date)>,
}

impl Oracle for LabourUseReport {
    type Records = Employer;

    const NIGHTS: &'static [(Date, Date)] = &[
        (date(2020, 12, 14), date(2020, 12, 14)),
        (date(2021, 5, 25), date(2021, 5, 25)),
        (date(2024, 6, 4), date(2024, 6, 4)),
        // The 4th of December is seen from the second night on, and up to the fourth.
        (date(2026, 11, 18), date(2026, 11, 18)),
        (date(2026, 11, 19), date(2026, 11, 19)),
        (date(2026, 11, 22), date(2026, 11, 22)),
        (date(2027, 1, 3), date(2026, 11, 22)),
        (date(2027, 1, 4), date(2026, 11, 22)),
        (date(2027, 6, 1), date(2026, 11, 22)),
        (date(2032, 6, 10), date(2026, 11, 22)),
    ];

    fn random(random: &mut Random, id: Id, night: &Night) -> Employer {
        let year = i64::from(night.as_of.year());
        let month = if night.as_of.month() < 9 && night.as_of.month() > 2 { 6 } else { 12 };
        let last_day = joined(if night.as_of.month() < 3 { year - 1 } else { year }, month, 4);
        let since = random.maybe(80, |random| match random.below(3) {
            0 => random.near(last_day),
            1 => random.done(last_day, night),
            _ => plus(last_day, -2000),
        });
        let until = random.maybe(40, |random| match random.below(3) {
            0 => random.near(last_day),
            1 => random.done(last_day, night),
            _ => plus(last_day, 2000),
        });
        let mut reports = Vec::new();
        for number in 0..random.below(4) {
            let of_year = i64::from(last_day.year()) + random.pick(&[0, 0, 0, -1]);
            let of_month = random.pick(&[month, month, month, 18 - month]);
            let sent_on = random.done(last_day, night).min(night.as_of);
            reports.push((id.of(format!("report{number}")), of_year, of_month, sent_on));
        }
        let employs_until = until.filter(|until| since.is_none_or(|since| since <= *until));
        Employer { subject_id: id.of("p"), employs_since: since, employs_until, reports }
    }

    fn put(records: &Employer, given: &mut Given) {
        given.row(
            "employers",
            &[
                ("subject_id", (&records.subject_id).into()),
                ("employs_since", records.employs_since.into()),
                ("employs_until", records.employs_until.into()),
            ],
        );
        for (report_id, year, month, sent_on) in &records.reports {
            let cells: [(&str, Cell); 5] = [
                ("report_id", report_id.into()),
                ("subject_id", (&records.subject_id).into()),
                ("year", (*year).into()),
                ("month", (*month).into()),
                ("sent_on", (*sent_on).into()),
            ];
            given.row("labour_reports", &cells);
        }
    }

    fn obligations(records: &Employer, night: &Night) -> Vec<Obligation> {
        let mut found = Vec::new();
        for year in i64::from(night.since.year())..=i64::from(night.until.year()) {
            for (month, day) in REPORT[0].value {
                let last_day = plus(joined(year, month, day), -1);
                let Some(law) = in_force(&REPORT, last_day, night.known_on) else { continue };
                let has_staff = records.employs_since.is_none_or(|since| since <= last_day)
                    && records.employs_until.is_none_or(|until| last_day <= until);
                if night.sees(last_day) && has_staff {
                    let sent = records.reports.iter().filter(|(_, y, m, _)| (*y, *m) == (year, month));
                    let sent_on = sent.map(|(.., sent_on)| *sent_on).min();
                    let period = format!("{year}-{month:02}");
                    found.push(due(&records.subject_id, None, period, last_day, sent_on, law.name));
                }
            }
        }
        found
    }
}
