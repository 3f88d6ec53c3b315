//! What an enterprise registers: changes, its charter capital, suspension and resumption, the investment of a foreigner.

use jiff::civil::{Date, date};

use super::given::Cell;
use super::law::{Term, in_force, months_later, working_days_later};
use super::random::plus;
use super::returns::due;
use super::{Given, Id, Night, Obligation, Oracle, Random};

/// Law on Enterprises 59/2020/QH14, adopted and in force.
const LAW_2020: (Date, Date) = (date(2020, 6, 17), date(2021, 1, 1));

/// Registration of a change: within ten days (Art. 30 and 31), the day of the change not counted.
pub struct EnterpriseChanges;

const CHANGE: [Term<i64>; 1] = [Term::new("enterprise_change_registration@2021-01-01", LAW_2020.0, LAW_2020.1, 10)];

/// Changes of an enterprise: number, kind, day, day of registration.
#[derive(Debug)]
pub struct Changes {
    subject_id: String,
    changes: Vec<(String, &'static str, Date, Option<Date>)>,
}

impl Oracle for EnterpriseChanges {
    type Records = Changes;

    const NIGHTS: &'static [(Date, Date)] = &[
        (date(2020, 12, 28), date(2020, 12, 28)),
        (date(2021, 1, 8), date(2021, 1, 8)),
        (date(2024, 2, 25), date(2024, 2, 25)),
        (date(2026, 2, 17), date(2026, 2, 17)),
        (date(2026, 11, 22), date(2026, 11, 22)),
        (date(2031, 5, 1), date(2026, 11, 22)),
    ];

    fn random(random: &mut Random, id: Id, night: &Night) -> Changes {
        let mut changes = Vec::new();
        for number in 0..=random.below(3) {
            let due_on = random.due(night);
            let kind = random.pick(&["name", "head_office", "owner", "capital", "administrative_unit"]);
            let registered_on = random.maybe(40, |random| random.done(due_on, night).min(night.as_of));
            changes.push((id.of(format!("change{number}")), kind, plus(due_on, -10), registered_on));
        }
        Changes { subject_id: id.of("p"), changes }
    }

    fn put(records: &Changes, given: &mut Given) {
        for (change_id, kind, changed_on, registered_on) in &records.changes {
            let cells: [(&str, Cell); 5] = [
                ("change_id", change_id.into()),
                ("subject_id", (&records.subject_id).into()),
                ("kind", (*kind).into()),
                ("changed_on", (*changed_on).into()),
                ("registered_on", (*registered_on).into()),
            ];
            given.row("enterprise_changes", &cells);
        }
    }

    fn obligations(records: &Changes, night: &Night) -> Vec<Obligation> {
        let mut found = Vec::new();
        for (change_id, kind, changed_on, registered_on) in &records.changes {
            let Some(law) = in_force(&CHANGE, *changed_on, night.known_on) else { continue };
            let due_on = plus(*changed_on, law.value);
            // A new name of the ward needs no registration.
            if night.sees(due_on) && *kind != "administrative_unit" {
                let period = "registration".to_owned();
                found.push(due(&records.subject_id, Some(change_id), period, due_on, *registered_on, law.name));
            }
        }
        found
    }
}

/// An enterprise with its certificate.
#[derive(Debug)]
pub struct Enterprise {
    subject_id: String,
    legal_form: &'static str,
    certificate_issued_on: Date,
    capital_contributed_on: Option<Date>,
    capital_reduced_on: Option<Date>,
    is_foreign_invested: bool,
    investment_certificate_on: Option<Date>,
}

impl Enterprise {
    fn put(&self, given: &mut Given) {
        given.row(
            "enterprise_registrations",
            &[
                ("subject_id", (&self.subject_id).into()),
                ("legal_form", self.legal_form.into()),
                ("certificate_issued_on", self.certificate_issued_on.into()),
                ("capital_contributed_on", self.capital_contributed_on.into()),
                ("capital_reduced_on", self.capital_reduced_on.into()),
                ("is_foreign_invested", self.is_foreign_invested.into()),
                ("investment_certificate_on", self.investment_certificate_on.into()),
            ],
        );
    }
}

/// Contribution of the charter capital: within ninety days of the certificate (Art. 47(2), 75(2), 113(1)); what was not
/// contributed by then is registered anew within thirty days (Art. 47(4), 75(3), 113(3)).
pub struct CharterCapital;

const CONTRIBUTION: [Term<i64>; 1] = [Term::new("charter_capital_contribution@2021-01-01", LAW_2020.0, LAW_2020.1, 90)];
const REDUCTION: [Term<i64>; 1] = [Term::new("charter_capital_reduction@2021-01-01", LAW_2020.0, LAW_2020.1, 30)];

impl Oracle for CharterCapital {
    type Records = Enterprise;

    const NIGHTS: &'static [(Date, Date)] = &[
        (date(2021, 3, 31), date(2021, 3, 31)),
        (date(2021, 4, 20), date(2021, 4, 20)),
        (date(2024, 2, 20), date(2024, 2, 20)),
        (date(2026, 2, 17), date(2026, 2, 17)),
        (date(2026, 11, 22), date(2026, 11, 22)),
        (date(2030, 5, 2), date(2026, 11, 22)),
    ];

    fn random(random: &mut Random, id: Id, night: &Night) -> Enterprise {
        let due_on = random.due(night);
        let certificate_issued_on = plus(due_on, random.pick(&[-90, -90, -120]));
        let contribution_on = plus(certificate_issued_on, 90);
        let contributed_on = match random.below(3) {
            0 => random.near(contribution_on),
            _ => random.done(contribution_on, night),
        };
        let forms = ["limited_several_members", "limited_one_member", "joint_stock", "private", "partnership"];
        Enterprise {
            subject_id: id.of("p"),
            legal_form: random.pick(&forms),
            certificate_issued_on: certificate_issued_on.min(night.as_of),
            capital_contributed_on: random.maybe(40, |_| contributed_on.min(night.as_of)),
            capital_reduced_on: random
                .maybe(25, |random| random.done(plus(contribution_on, 30), night).min(night.as_of)),
            is_foreign_invested: random.percent(20),
            investment_certificate_on: None,
        }
    }

    fn put(records: &Enterprise, given: &mut Given) {
        records.put(given);
    }

    fn obligations(records: &Enterprise, night: &Night) -> Vec<Obligation> {
        let Enterprise { subject_id, capital_contributed_on, capital_reduced_on, .. } = records;
        let mut found = Vec::new();
        if !["limited_several_members", "limited_one_member", "joint_stock"].contains(&records.legal_form) {
            return found;
        }
        let law = in_force(&CONTRIBUTION, records.certificate_issued_on, night.known_on);
        let Some(law) = law else { return found };
        let contribution_on = plus(records.certificate_issued_on, law.value);
        if night.sees(contribution_on) {
            let period = "contribution".to_owned();
            found.push(due(subject_id, None, period, contribution_on, *capital_contributed_on, law.name));
        }
        let Some(law) = in_force(&REDUCTION, records.certificate_issued_on, night.known_on) else { return found };
        let reduction_on = plus(contribution_on, law.value);
        let was_in_time = capital_contributed_on.is_some_and(|contributed_on| contributed_on <= contribution_on);
        if night.sees(reduction_on) && contribution_on < night.as_of && !was_in_time {
            let done_on = [*capital_contributed_on, *capital_reduced_on].into_iter().flatten().min();
            found.push(due(subject_id, None, "reduction".to_owned(), reduction_on, done_on, law.name));
        }
        found
    }
}

/// The investment certificate of a company that a foreigner founded first: within twelve months (Law on Investment
/// 143/2025/QH15, Art. 19(2); Decree 96/2026/NĐ-CP, Art. 72).
pub struct InvestmentCertificate;

const INVESTMENT: [Term<i64>; 1] =
    [Term::new("investment_certificate_deadline@2026-03-31", date(2026, 3, 31), date(2026, 3, 31), 12)];

impl Oracle for InvestmentCertificate {
    type Records = Enterprise;

    const NIGHTS: &'static [(Date, Date)] = &[
        (date(2026, 10, 1), date(2026, 10, 1)),
        (date(2026, 11, 22), date(2026, 11, 22)),
        (date(2027, 4, 10), date(2026, 3, 30)),
        (date(2027, 4, 10), date(2026, 11, 22)),
        (date(2029, 2, 20), date(2026, 11, 22)),
    ];

    fn random(random: &mut Random, id: Id, night: &Night) -> Enterprise {
        let due_on = random.due(night);
        let issued_on = match random.below(6) {
            0 => random.near(date(2026, 3, 31)),
            _ => random.months_before(due_on, 12),
        };
        let obtained_on = match random.below(3) {
            0 => random.near(issued_on),
            _ => random.done(due_on, night).min(night.as_of),
        };
        Enterprise {
            subject_id: id.of("p"),
            legal_form: random.pick(&["limited_one_member", "joint_stock", "private"]),
            certificate_issued_on: issued_on,
            capital_contributed_on: None,
            capital_reduced_on: None,
            is_foreign_invested: random.percent(80),
            investment_certificate_on: random.maybe(40, |_| obtained_on),
        }
    }

    fn put(records: &Enterprise, given: &mut Given) {
        records.put(given);
    }

    fn obligations(records: &Enterprise, night: &Night) -> Vec<Obligation> {
        let founded_on = records.certificate_issued_on;
        let Some(law) = in_force(&INVESTMENT, founded_on, night.known_on) else { return Vec::new() };
        let due_on = months_later(founded_on, law.value);
        let obtained_on = records.investment_certificate_on;
        // Whoever had registered the investment by then founded the company in the usual order.
        let was_first = obtained_on.is_some_and(|obtained_on| obtained_on <= founded_on);
        if !records.is_foreign_invested || was_first || !night.sees(due_on) {
            return Vec::new();
        }
        vec![due(&records.subject_id, None, "investment-certificate".to_owned(), due_on, obtained_on, law.name)]
    }
}

/// A suspension of business.
#[derive(Debug)]
pub struct Suspension {
    number: String,
    subject_id: String,
    starts_on: Date,
    ends_on: Option<Date>,
    notified_on: Option<Date>,
    resumed_on: Option<Date>,
}

fn put_suspensions(suspensions: &[Suspension], given: &mut Given) {
    for one in suspensions {
        let cells: [(&str, Cell); 6] = [
            ("suspension_id", (&one.number).into()),
            ("subject_id", (&one.subject_id).into()),
            ("starts_on", one.starts_on.into()),
            ("ends_on", one.ends_on.into()),
            ("notified_on", one.notified_on.into()),
            ("resumed_on", one.resumed_on.into()),
        ];
        given.row("business_suspensions", &cells);
    }
}

/// Notice of a suspension: three working days before it (Art. 206(1)).
pub struct BusinessSuspension;

const NOTICE: [Term<i64>; 1] = [Term::new("business_suspension_notice@2021-01-01", LAW_2020.0, LAW_2020.1, 3)];

impl Oracle for BusinessSuspension {
    type Records = Vec<Suspension>;

    const NIGHTS: &'static [(Date, Date)] = &[
        (date(2024, 2, 20), date(2024, 2, 20)),
        (date(2025, 4, 25), date(2025, 4, 25)),
        (date(2026, 1, 8), date(2025, 12, 24)),
        (date(2026, 1, 8), date(2026, 1, 8)),
        (date(2026, 2, 10), date(2026, 2, 10)),
        (date(2026, 8, 25), date(2026, 8, 25)),
        (date(2026, 11, 22), date(2026, 11, 22)),
        (date(2027, 2, 8), date(2026, 11, 22)),
    ];

    fn random(random: &mut Random, id: Id, night: &Night) -> Vec<Suspension> {
        let mut suspensions = Vec::new();
        for number in 0..=random.below(3) {
            let due_on = random.due(night);
            // Three working days and what rests between them.
            let starts_on = plus(due_on, random.pick(&[3, 4, 5, 5, 6, 7, 10, 12]));
            suspensions.push(Suspension {
                number: id.of(format!("suspension{number}")),
                subject_id: id.of(random.pick(&["p", "p", "q"])),
                starts_on,
                ends_on: random.maybe(70, |random| plus(starts_on, random.between(0, 365))),
                notified_on: random.maybe(40, |random| random.done(due_on, night).min(night.as_of)),
                resumed_on: None,
            });
        }
        suspensions
    }

    fn put(records: &Vec<Suspension>, given: &mut Given) {
        put_suspensions(records, given);
    }

    fn obligations(records: &Vec<Suspension>, night: &Night) -> Vec<Obligation> {
        let mut found = Vec::new();
        for one in records {
            let Some(law) = in_force(&NOTICE, one.starts_on, night.known_on) else { continue };
            // The days off of years far away are not known.
            if one.starts_on < night.since || plus(night.until, 40) < one.starts_on {
                continue;
            }
            let due_on = working_days_later(one.starts_on, -law.value, night.known_on);
            if night.sees(due_on) {
                let period = "notice".to_owned();
                found.push(due(&one.subject_id, Some(&one.number), period, due_on, one.notified_on, law.name));
            }
        }
        found
    }
}

/// Confirmation of resumption: within five working days of the end (Decree 296/2026/NĐ-CP, from 23 July 2026).
pub struct BusinessResumption;

const RESUMPTION: [Term<i64>; 1] =
    [Term::new("business_resumption@2026-07-23", date(2026, 7, 23), date(2026, 7, 23), 5)];

impl Oracle for BusinessResumption {
    type Records = Vec<Suspension>;

    const NIGHTS: &'static [(Date, Date)] = &[
        (date(2026, 8, 5), date(2026, 7, 22)),
        (date(2026, 8, 5), date(2026, 8, 5)),
        (date(2026, 8, 28), date(2026, 8, 28)),
        (date(2026, 11, 22), date(2026, 11, 22)),
        (date(2026, 12, 20), date(2026, 12, 20)),
        (date(2027, 1, 28), date(2026, 11, 22)),
        (date(2027, 2, 20), date(2026, 11, 22)),
    ];

    fn random(random: &mut Random, id: Id, night: &Night) -> Vec<Suspension> {
        let mut suspensions: Vec<Suspension> = Vec::new();
        for number in 0..=random.below(3) {
            let due_on = random.due(night);
            let ends_on = match random.below(6) {
                0 => random.near(date(2026, 7, 23)),
                _ => plus(due_on, -random.pick(&[5, 6, 7, 7, 7, 8, 9, 14])),
            };
            let mut starts_on = plus(ends_on, -random.between(0, 365));
            let mut ends_on = random.maybe(92, |_| ends_on);
            // One that follows another: at once, after a day, or while that one lasts.
            if let Some(before) = suspensions.first().and_then(|first| first.ends_on)
                && random.percent(50)
            {
                starts_on = plus(before, random.pick(&[1, 1, 1, 2, 0, -10]));
                ends_on = random.maybe(80, |random| plus(starts_on, random.between(0, 300)));
            }
            suspensions.push(Suspension {
                number: id.of(format!("suspension{number}")),
                subject_id: id.of(random.pick(&["p", "p", "p", "q"])),
                starts_on,
                ends_on,
                notified_on: random.maybe(70, |random| random.done(plus(starts_on, -3), night).min(night.as_of)),
                resumed_on: random.maybe(30, |random| random.done(due_on, night).min(night.as_of)),
            });
        }
        suspensions
    }

    fn put(records: &Vec<Suspension>, given: &mut Given) {
        put_suspensions(records, given);
    }

    fn obligations(records: &Vec<Suspension>, night: &Night) -> Vec<Obligation> {
        let mut found = Vec::new();
        for one in records {
            let Some(ends_on) = one.ends_on else { continue };
            let Some(law) = in_force(&RESUMPTION, ends_on, night.known_on) else { continue };
            // The days off of years far away are not known.
            if ends_on > night.until || plus(ends_on, 40) < night.since {
                continue;
            }
            let due_on = working_days_later(ends_on, law.value, night.known_on);
            // The notice of another suspension that begins by the next day and lasts beyond this one.
            let next = records.iter().filter(|other| other.subject_id == one.subject_id && other.number != one.number);
            let next = next.filter(|other| one.starts_on < other.starts_on && other.starts_on <= plus(ends_on, 1));
            let next = next.filter(|other| other.ends_on.is_none_or(|other| ends_on < other));
            let done_on = next.filter_map(|other| other.notified_on).chain(one.resumed_on).min();
            if night.sees(due_on) {
                let period = "resumption".to_owned();
                found.push(due(&one.subject_id, Some(&one.number), period, due_on, done_on, law.name));
            }
        }
        found
    }
}
