//! Certificates of food premises, work permits and construction permits.

use jiff::civil::{Date, date};

use super::given::Cell;
use super::law::{Term, in_force, months_later, working_days_later};
use super::random::plus;
use super::returns::due;
use super::{Given, Id, Night, Obligation, Oracle, Random};

/// Months of a certificate, and months before its end by which renewal is applied for.
struct Months {
    term: i64,
    before_end: i64,
}

/// A certificate of premises.
#[derive(Debug)]
pub struct Certificate {
    number: String,
    subject_id: String,
    premises_id: String,
    kind: &'static str,
    issued_on: Date,
    renewal_filed_on: Option<Date>,
}

/// Certificates of the premises of one business.
#[derive(Debug)]
pub struct Premises {
    certificates: Vec<Certificate>,
}

impl Premises {
    fn random(random: &mut Random, id: Id, night: &Night, kind: &'static str) -> Self {
        let mut certificates: Vec<Certificate> = Vec::new();
        for number in 0..=random.below(4) {
            let due_on = random.due(night);
            // From the end back to the day of issue, and not straight on: a clamp lies between.
            let expires_on = random.months_before(due_on, -6);
            let issued_on = match random.below(5) {
                0 => random.done(due_on, night),
                1 if !certificates.is_empty() => random.near(certificates[0].issued_on),
                _ => random.months_before(expires_on, 36),
            };
            certificates.push(Certificate {
                number: id.of(format!("certificate{number}")),
                subject_id: if random.percent(85) { id.of("p") } else { id.of("q") },
                premises_id: id.of(random.pick(&["shop", "shop", "shop", "kitchen"])),
                kind: if random.percent(85) { kind } else { random.pick(&["food_safety", "gmp"]) },
                issued_on: issued_on.min(night.as_of),
                renewal_filed_on: random.maybe(25, |random| random.done(due_on, night).min(night.as_of)),
            });
        }
        Premises { certificates }
    }

    fn put(&self, given: &mut Given) {
        for one in &self.certificates {
            let cells: [(&str, Cell); 6] = [
                ("certificate_number", (&one.number).into()),
                ("subject_id", (&one.subject_id).into()),
                ("premises_id", (&one.premises_id).into()),
                ("kind", one.kind.into()),
                ("issued_on", one.issued_on.into()),
                ("renewal_filed_on", one.renewal_filed_on.into()),
            ];
            given.row("food_certificates", &cells);
        }
    }

    fn obligations(&self, night: &Night, kind: &str, terms: &'static [Term<Months>]) -> Vec<Obligation> {
        let Some(law) = in_force(terms, night.as_of, night.known_on) else { return Vec::new() };
        let mut found = Vec::new();
        for one in self.certificates.iter().filter(|one| one.kind == kind) {
            let expires_on = months_later(one.issued_on, law.value.term);
            let due_on = months_later(expires_on, -law.value.before_end);
            let same =
                self.certificates.iter().filter(|other| other.kind == kind && other.premises_id == one.premises_id);
            let renewed_on = same.map(|other| other.issued_on).filter(|issued_on| *issued_on > one.issued_on).min();
            let done_on = renewed_on.into_iter().chain(one.renewal_filed_on).min();
            if night.sees(due_on) {
                let period = one.issued_on.to_string();
                let mut obligation = due(&one.subject_id, Some(&one.number), period, due_on, done_on, law.name);
                obligation.facts = vec![Some(expires_on.to_string())];
                found.push(obligation);
            }
        }
        found
    }
}

/// Renewal of the food-safety certificate: three years (Law on Food Safety 55/2010/QH12, Art. 37(1)), applied for six
/// months before the end (Art. 37(2)).
pub struct FoodSafetyCertificate;

const FOOD: [Term<Months>; 1] = [Term::new(
    "food_safety_certificate_renewal@2011-07-01",
    date(2010, 6, 17),
    date(2011, 7, 1),
    Months { term: 36, before_end: 6 },
)];

impl Oracle for FoodSafetyCertificate {
    type Records = Premises;

    const NIGHTS: &'static [(Date, Date)] = &[
        (date(2011, 6, 30), date(2011, 6, 30)),
        (date(2011, 7, 1), date(2011, 7, 1)),
        (date(2024, 2, 29), date(2024, 2, 29)),
        (date(2026, 8, 20), date(2026, 8, 20)),
        (date(2026, 11, 22), date(2026, 11, 22)),
        (date(2032, 2, 27), date(2026, 11, 22)),
    ];

    const FACTS: &'static [&'static str] = &["expires_on"];

    fn random(random: &mut Random, id: Id, night: &Night) -> Premises {
        Premises::random(random, id, night, "food_safety")
    }

    fn put(records: &Premises, given: &mut Given) {
        records.put(given);
    }

    fn obligations(records: &Premises, night: &Night) -> Vec<Obligation> {
        records.obligations(night, "food_safety", &FOOD)
    }
}

/// Renewal of the GMP certificate: three years, applied for six months before the end (Decree 15/2018; Decree 46/2026,
/// Art. 13(3), in force from 26 January 2026 and suspended by Resolutions 09/2026 and 15/2026).
pub struct GmpCertificate;

const fn gmp(name: &'static str, enacted_on: Date, from: Date) -> Term<Months> {
    Term::new(name, enacted_on, from, Months { term: 36, before_end: 6 })
}

const GMP: [Term<Months>; 4] = [
    Term {
        ended: Some((date(2026, 1, 26), date(2026, 1, 26))),
        ..gmp("gmp_certificate_renewal@2018-02-02", date(2018, 2, 2), date(2018, 2, 2))
    },
    Term {
        suspended: &[
            (date(2026, 2, 4), date(2026, 2, 4), Some(date(2026, 4, 15))),
            (date(2026, 4, 6), date(2026, 4, 6), None),
        ],
        ..gmp("gmp_certificate_renewal@2026-01-26", date(2026, 1, 26), date(2026, 1, 26))
    },
    // What Resolution 09/2026 continues, and then Resolution 15/2026.
    Term {
        to: Some(date(2026, 4, 15)),
        ended: Some((date(2026, 4, 6), date(2026, 4, 6))),
        ..gmp("gmp_certificate_renewal@2026-02-04", date(2026, 2, 4), date(2026, 2, 4))
    },
    gmp("gmp_certificate_renewal@2026-04-06", date(2026, 4, 6), date(2026, 4, 6)),
];

impl Oracle for GmpCertificate {
    type Records = Premises;

    const NIGHTS: &'static [(Date, Date)] = &[
        (date(2018, 2, 1), date(2018, 2, 1)),
        (date(2025, 8, 20), date(2025, 8, 20)),
        (date(2026, 1, 25), date(2026, 1, 25)),
        (date(2026, 1, 26), date(2026, 1, 26)),
        // Suspended: as known before the resolution, and after it.
        (date(2026, 2, 10), date(2026, 2, 3)),
        (date(2026, 2, 10), date(2026, 2, 10)),
        // The end of the first suspension, as known before the second resolution, and after it.
        (date(2026, 4, 15), date(2026, 4, 5)),
        (date(2026, 4, 16), date(2026, 4, 5)),
        (date(2026, 4, 16), date(2026, 4, 6)),
        (date(2026, 11, 22), date(2026, 11, 22)),
    ];

    const FACTS: &'static [&'static str] = &["expires_on"];

    fn random(random: &mut Random, id: Id, night: &Night) -> Premises {
        Premises::random(random, id, night, "gmp")
    }

    fn put(records: &Premises, given: &mut Given) {
        records.put(given);
    }

    fn obligations(records: &Premises, night: &Night) -> Vec<Obligation> {
        records.obligations(night, "gmp", &GMP)
    }
}

/// Extension of a work permit: applied for between 45 and 10 days before its end, once (Decree 219/2025/NĐ-CP, from
/// 7 August 2025), before that between 45 and 5 (Decree 152/2020/NĐ-CP). The agency answers in ten working days.
pub struct WorkPermit;

struct Extension {
    earliest_days: i64,
    latest_days: i64,
    times: i64,
}

/// Whoever applies on the last day is answered in time of the law of that day: of the older decree none is sourced.
const ANSWER: [Term<i64>; 1] = [Term::new("work_permit_answer@2025-08-07", date(2025, 8, 7), date(2025, 8, 7), 10)];

const EXTENSION: [Term<Extension>; 2] = [
    Term {
        ended: Some((date(2025, 8, 7), date(2025, 8, 7))),
        ..Term::new(
            "work_permit_extension@2021-02-15",
            date(2020, 12, 30),
            date(2021, 2, 15),
            Extension { earliest_days: 45, latest_days: 5, times: 1 },
        )
    },
    Term::new(
        "work_permit_extension@2025-08-07",
        date(2025, 8, 7),
        date(2025, 8, 7),
        Extension { earliest_days: 45, latest_days: 10, times: 1 },
    ),
];

/// A work permit, or its extension.
#[derive(Debug)]
pub struct Permit {
    number: String,
    employer: String,
    worker_id: String,
    issued_on: Date,
    expires_on: Date,
    extensions: i64,
    extension_filed_on: Option<Date>,
    ended_on: Option<Date>,
}

impl Oracle for WorkPermit {
    type Records = Vec<Permit>;

    const NIGHTS: &'static [(Date, Date)] = &[
        (date(2021, 2, 14), date(2021, 2, 14)),
        (date(2024, 2, 20), date(2024, 2, 20)),
        (date(2025, 8, 6), date(2025, 8, 6)),
        (date(2025, 8, 7), date(2025, 8, 7)),
        (date(2025, 8, 20), date(2025, 8, 6)),
        (date(2026, 2, 1), date(2026, 2, 1)),
        (date(2026, 11, 22), date(2026, 11, 22)),
    ];

    const FACTS: &'static [&'static str] = &["opens_on", "answer_on"];

    fn random(random: &mut Random, id: Id, night: &Night) -> Vec<Permit> {
        let mut permits: Vec<Permit> = Vec::new();
        for number in 0..=random.below(4) {
            let due_on = random.due(night);
            let expires_on = match random.below(6) {
                0 => plus(due_on, 700),
                1 if !permits.is_empty() => random.near(permits[0].expires_on),
                _ => plus(due_on, random.pick(&[10, 5])),
            };
            let issued_on = match random.below(3) {
                0 => random.done(due_on, night),
                _ => random.months_before(expires_on, 24),
            };
            let number = id.of(format!("permit{}", number / 2));
            // A permit and its extension may bear the same number, not the same last day.
            if permits.iter().any(|other| other.number == number && other.expires_on == expires_on) {
                continue;
            }
            permits.push(Permit {
                number,
                employer: id.of(random.pick(&["p", "p", "p", "q"])),
                worker_id: id.of(random.pick(&["worker1", "worker1", "worker2"])),
                issued_on: issued_on.min(night.as_of),
                expires_on,
                extensions: random.pick(&[0, 0, 0, 1]),
                extension_filed_on: random.maybe(25, |random| random.done(due_on, night).min(night.as_of)),
                ended_on: random.maybe(15, |random| random.done(due_on, night).min(night.as_of)),
            });
        }
        permits
    }

    fn put(records: &Vec<Permit>, given: &mut Given) {
        for permit in records {
            let cells: [(&str, Cell); 8] = [
                ("permit_number", (&permit.number).into()),
                ("subject_id", (&permit.employer).into()),
                ("worker_id", (&permit.worker_id).into()),
                ("issued_on", permit.issued_on.into()),
                ("expires_on", permit.expires_on.into()),
                ("extensions", permit.extensions.into()),
                ("extension_filed_on", permit.extension_filed_on.into()),
                ("ended_on", permit.ended_on.into()),
            ];
            given.row("work_permits", &cells);
        }
    }

    fn obligations(records: &Vec<Permit>, night: &Night) -> Vec<Obligation> {
        let Some(law) = in_force(&EXTENSION, night.as_of, night.known_on) else { return Vec::new() };
        let mut found = Vec::new();
        for permit in records {
            let due_on = plus(permit.expires_on, -law.value.latest_days);
            let can_be_extended = permit.extensions < law.value.times && permit.ended_on.is_none();
            if !night.sees(due_on) || !can_be_extended {
                continue;
            }
            let of_worker = records.iter().filter(|other| other.worker_id == permit.worker_id);
            let later =
                of_worker.filter(|other| other.employer == permit.employer && other.expires_on > permit.expires_on);
            let opens_on = plus(permit.expires_on, -law.value.earliest_days);
            let filed_on = permit.extension_filed_on.filter(|filed_on| *filed_on >= opens_on);
            let done_on = later.map(|other| other.issued_on).chain(filed_on).min();
            let period = permit.expires_on.to_string();
            let mut obligation = due(&permit.employer, Some(&permit.number), period, due_on, done_on, law.name);
            let answer = in_force(&ANSWER, due_on, night.known_on);
            let answer = answer.map(|law| working_days_later(due_on, law.value, night.known_on));
            obligation.facts = vec![Some(opens_on.to_string()), answer.map(|day| day.to_string())];
            found.push(obligation);
        }
        found
    }
}

/// Start of works: within twelve months of the construction permit or of its last extension, extended twice at most (Law
/// on Construction 50/2014/QH13, Art. 90(10) and 99(1), to 30 June 2026; Decree 217/2026/NĐ-CP, Art. 49(10) and 63(3)).
pub struct ConstructionPermit;

#[derive(Clone, Copy)]
struct Start {
    months: i64,
    extensions: i64,
}

const START: [Term<Start>; 2] = [
    Term::new(
        "construction_start@2015-01-01",
        date(2014, 6, 18),
        date(2015, 1, 1),
        Start { months: 12, extensions: 2 },
    )
    .until(date(2026, 7, 1), date(2026, 7, 1)),
    Term::new("construction_start@2026-07-01", date(2026, 7, 1), date(2026, 7, 1), Start { months: 12, extensions: 2 }),
];

/// A construction permit and its extensions.
#[derive(Debug)]
pub struct Works {
    subject_id: String,
    /// Number, first day of the permit or the extension, how many extensions, when works started.
    permits: Vec<(String, Date, i64, Option<Date>)>,
}

impl Oracle for ConstructionPermit {
    type Records = Works;

    const NIGHTS: &'static [(Date, Date)] = &[
        (date(2014, 12, 31), date(2014, 12, 31)),
        (date(2025, 2, 20), date(2025, 2, 20)),
        (date(2026, 6, 30), date(2026, 6, 30)),
        (date(2026, 7, 1), date(2026, 7, 1)),
        (date(2026, 8, 1), date(2026, 6, 30)),
        (date(2026, 11, 22), date(2026, 11, 22)),
        (date(2029, 2, 1), date(2026, 11, 22)),
    ];

    const FACTS: &'static [&'static str] = &["extend_by_on"];

    fn random(random: &mut Random, id: Id, night: &Night) -> Works {
        let mut permits: Vec<(String, Date, i64, Option<Date>)> = Vec::new();
        for number in 0..=random.below(2) {
            let number = id.of(format!("permit{number}"));
            let due_on = random.due(night);
            // The last of up to three terms may start in the window, or an earlier one.
            let years = random.pick(&[1, 1, 1, 2]);
            let mut valid_from = random.months_before(due_on, 12 * years);
            let started_on = random.maybe(40, |random| random.done(due_on, night).min(night.as_of));
            for extensions in 0..=random.pick(&[0, 0, 1, 2, 3]) {
                // Not every row of the register knows when works started, and they may not say the same day.
                let known = started_on.filter(|_| random.percent(80));
                let known =
                    known.map(|started_on| if random.percent(80) { started_on } else { random.near(started_on) });
                permits.push((number.clone(), valid_from, extensions, known));
                valid_from = match random.below(3) {
                    0 => plus(valid_from, random.between(1, 400)),
                    _ => plus(months_later(valid_from, 12), random.between(-20, 0)),
                };
            }
        }
        Works { subject_id: id.of("p"), permits }
    }

    fn put(records: &Works, given: &mut Given) {
        for (number, valid_from, extensions, started_on) in &records.permits {
            let cells: [(&str, Cell); 5] = [
                ("permit_number", number.into()),
                ("subject_id", (&records.subject_id).into()),
                ("valid_from", (*valid_from).into()),
                ("extensions", (*extensions).into()),
                ("started_on", (*started_on).into()),
            ];
            given.row("construction_permits", &cells);
        }
    }

    fn obligations(records: &Works, night: &Night) -> Vec<Obligation> {
        let Some(law) = in_force(&START, night.as_of, night.known_on) else { return Vec::new() };
        let mut found = Vec::new();
        for (number, valid_from, extensions, _) in &records.permits {
            let due_on = months_later(*valid_from, law.value.months);
            if !night.sees(due_on) {
                continue;
            }
            let same = || records.permits.iter().filter(|other| other.0 == *number);
            // Works under the permit have started, whichever of its rows says so; or the next extension has begun.
            let started_on = same().filter_map(|other| other.3).min();
            let extended_on = same().map(|other| other.1).filter(|other| other > valid_from).min();
            let done_on = started_on.into_iter().chain(extended_on).min();
            let can_extend = *extensions < law.value.extensions;
            let period = valid_from.to_string();
            let mut obligation = due(&records.subject_id, Some(number), period, due_on, done_on, law.name);
            // "Before" the end: the day before is the last.
            obligation.facts = vec![can_extend.then(|| plus(due_on, -1).to_string())];
            found.push(obligation);
        }
        found
    }
}
