//! The monthly notice of job search.

use jiff::civil::{Date, date};

use super::given::Cell;
use super::law::{Term, in_force, months_later, working_days_later};
use super::random::plus;
use super::returns::due;
use super::{Given, Id, Night, Obligation, Oracle, Random};

/// The notice of each month of the benefit: within three working days of the day on which the decision was handed over,
/// from the second month on of the first day of the month (Decree 374/2025/NĐ-CP, Art. 21(2)).
pub struct JobSearchNotice;

const NOTICE: [Term<i64>; 1] =
    [Term::new("job_search_notice_term@2026-01-01", date(2025, 12, 31), date(2026, 1, 1), 3)];

/// A benefit, with the months notified: number, month, day.
#[derive(Debug)]
pub struct Benefit {
    benefit_id: String,
    subject_id: String,
    claimed_on: Date,
    handed_over_on: Option<Date>,
    starts_on: Option<Date>,
    ends_on: Option<Date>,
    notices: Vec<(String, i64, Date)>,
}

impl Oracle for JobSearchNotice {
    type Records = Benefit;

    const NIGHTS: &'static [(Date, Date)] = &[
        (date(2025, 12, 31), date(2025, 12, 31)),
        (date(2026, 1, 8), date(2026, 1, 8)),
        (date(2026, 2, 15), date(2026, 2, 15)),
        (date(2026, 3, 3), date(2026, 3, 3)),
        (date(2026, 5, 4), date(2026, 5, 4)),
        (date(2026, 11, 22), date(2026, 11, 22)),
        (date(2027, 2, 8), date(2026, 11, 22)),
        (date(2027, 3, 5), date(2026, 11, 22)),
    ];

    const FACTS: &'static [&'static str] = &["month_starts_on"];

    fn random(random: &mut Random, id: Id, night: &Night) -> Benefit {
        let due_on = random.due(night);
        let month_on = plus(due_on, -random.pick(&[3, 3, 4, 5, 5, 12]));
        // The benefit may begin on the 29th to 31st, which not every month has.
        let months = random.pick(&[0, 0, 1, 1, 2, 3, 7]);
        let starts_on = random.months_before(month_on, months);
        let last = months_later(starts_on, random.between(1, 12));
        let ends_on = match random.below(4) {
            0 => random.near(month_on),
            1 => last,
            _ => plus(last, -1),
        };
        let handed_over_on = match random.below(3) {
            0 => plus(starts_on, random.between(-20, 10)),
            _ => random.near(if months == 0 { month_on } else { starts_on }),
        };
        let mut notices = Vec::new();
        for number in 0..random.below(4) {
            let month = months + 1 + random.pick(&[0, 0, 0, -1, 1]);
            notices.push((id.of(format!("notice{number}")), month.max(1), random.done(due_on, night).min(night.as_of)));
        }
        let ends_on = (starts_on <= ends_on).then_some(ends_on);
        Benefit {
            benefit_id: id.of("benefit"),
            subject_id: id.of("p"),
            claimed_on: plus(starts_on, -30),
            handed_over_on: random.maybe(92, |_| handed_over_on.min(night.as_of)),
            starts_on: random.maybe(95, |_| starts_on),
            ends_on: if random.percent(96) { ends_on } else { None },
            notices,
        }
    }

    fn put(records: &Benefit, given: &mut Given) {
        given.row(
            "unemployment_benefits",
            &[
                ("benefit_id", (&records.benefit_id).into()),
                ("subject_id", (&records.subject_id).into()),
                ("claimed_on", records.claimed_on.into()),
                ("handed_over_on", records.handed_over_on.into()),
                ("starts_on", records.starts_on.into()),
                ("ends_on", records.ends_on.into()),
            ],
        );
        for (notice_id, month, notified_on) in &records.notices {
            let cells: [(&str, Cell); 4] = [
                ("notice_id", notice_id.into()),
                ("benefit_id", (&records.benefit_id).into()),
                ("benefit_month", (*month).into()),
                ("notified_on", (*notified_on).into()),
            ];
            given.row("job_search_notices", &cells);
        }
    }

    fn obligations(records: &Benefit, night: &Night) -> Vec<Obligation> {
        let mut found = Vec::new();
        let (Some(starts_on), Some(handed_over_on)) = (records.starts_on, records.handed_over_on) else { return found };
        for month in 1..=36 {
            let month_on = months_later(starts_on, month - 1);
            // A month that begins on the last day of the benefit still counts.
            if records.ends_on.is_none_or(|ends_on| ends_on < month_on) {
                break;
            }
            let counted_from = if month == 1 { handed_over_on } else { month_on };
            let Some(law) = in_force(&NOTICE, counted_from, night.known_on) else { continue };
            if counted_from > night.until || plus(counted_from, 40) < night.since {
                continue;
            }
            let due_on = working_days_later(counted_from, law.value, night.known_on);
            if night.sees(due_on) {
                let given = records.notices.iter().filter(|(_, of_month, _)| *of_month == month);
                let notified_on = given.map(|(.., notified_on)| *notified_on).min();
                let period = format!("month-{month}");
                let id = &records.benefit_id;
                let mut obligation = due(&records.subject_id, Some(id), period, due_on, notified_on, law.name);
                obligation.facts = vec![Some(month_on.to_string())];
                found.push(obligation);
            }
        }
        found
    }
}
