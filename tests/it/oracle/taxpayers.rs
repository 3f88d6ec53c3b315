//! Who keeps accounts, with the taxes to declare, the returns accepted and the taxes paid in advance.

use jiff::civil::Date;

use super::given::Cell;
use super::periods::{Period, edge, edge_after};
use super::random::plus;
use super::{Given, Id, Night, Random};

/// A taxpayer, as the tax office knows it.
#[derive(Debug)]
pub struct Taxpayer {
    pub subject_id: String,
    /// The month with whose last day the financial year ends.
    pub year_end_month: Option<i64>,
    pub stopped_on: Option<Date>,
    pub duties: Vec<Duty>,
    pub returns: Vec<Return>,
    /// Number, tax, last day of the quarter, day of payment.
    pub payments: Vec<(String, &'static str, Date, Date)>,
}

/// A tax that is declared from one day to another.
#[derive(Debug)]
pub struct Duty {
    pub tax: &'static str,
    pub cycle: &'static str,
    pub starts_on: Date,
    pub ends_on: Option<Date>,
}

/// A return that was accepted.
#[derive(Debug)]
pub struct Return {
    pub return_id: String,
    pub subject_id: String,
    pub object_id: Option<String>,
    pub tax: &'static str,
    pub kind: &'static str,
    pub period_ends_on: Date,
    pub filed_on: Date,
}

/// What a random taxpayer may have.
pub struct Choice {
    pub taxes: &'static [&'static str],
    pub cycles: &'static [&'static str],
    pub kinds: &'static [&'static str],
    /// From the end of a period to about the day on which its return is due.
    pub days: i64,
}

impl Taxpayer {
    /// A taxpayer with one to four duties that begin and end at the edges of a period.
    pub fn random(random: &mut Random, id: Id, night: &Night, period: Period, choice: &Choice) -> Self {
        let subject_id = id.of("p");
        let mut duties: Vec<Duty> = Vec::new();
        for _ in 0..=random.below(3) {
            let (tax, cycle) = (random.pick(choice.taxes), random.pick(choice.cycles));
            let starts_on = edge(random, period);
            let ends_on = edge_after(random, period, starts_on);
            // A duty is registered once for its first day; the same tax may be registered for other days.
            if !duties.iter().any(|duty| (duty.tax, duty.cycle, duty.starts_on) == (tax, cycle, starts_on)) {
                duties.push(Duty { tax, cycle, starts_on, ends_on });
            }
        }
        let due_on = plus(period.last, choice.days);
        let mut returns = Vec::new();
        let mut payments = Vec::new();
        for number in 0..random.below(4) {
            let tax = random.pick(choice.taxes);
            let period_ends_on = if random.percent(85) { period.last } else { random.near(plus(period.first, -1)) };
            let done_on = random.done(due_on, night).min(night.as_of);
            payments.push((id.of(format!("payment{number}")), tax, period_ends_on, done_on));
            returns.push(Return {
                return_id: id.of(format!("return{number}")),
                subject_id: subject_id.clone(),
                object_id: None,
                tax,
                kind: random.pick(choice.kinds),
                period_ends_on,
                filed_on: done_on,
            });
        }
        Taxpayer { subject_id, year_end_month: None, stopped_on: None, duties, returns, payments }
    }

    /// Puts it into the standard tables.
    pub fn put(&self, given: &mut Given) {
        let subject_id = &self.subject_id;
        given.row(
            "taxpayers",
            &[
                ("subject_id", subject_id.into()),
                ("financial_year_end_month", self.year_end_month.into()),
                ("stopped_on", self.stopped_on.into()),
            ],
        );
        for duty in &self.duties {
            given.row(
                "tax_duties",
                &[
                    ("subject_id", subject_id.into()),
                    ("tax", duty.tax.into()),
                    ("cycle", duty.cycle.into()),
                    ("starts_on", duty.starts_on.into()),
                    ("ends_on", duty.ends_on.into()),
                ],
            );
        }
        put_returns(&self.returns, given);
        for (payment_id, tax, period_ends_on, paid_on) in &self.payments {
            let cells: [(&str, Cell); 5] = [
                ("payment_id", payment_id.into()),
                ("subject_id", subject_id.into()),
                ("tax", (*tax).into()),
                ("period_ends_on", (*period_ends_on).into()),
                ("paid_on", (*paid_on).into()),
            ];
            given.row("tax_payments", &cells);
        }
    }

    /// The day of the first return of this kind for a tax and the period that ends on this day.
    pub fn filed_on(&self, tax: &str, kind: &str, period_ends_on: Date) -> Option<Date> {
        let returns = self.returns.iter();
        let of_period =
            returns.filter(|one| one.tax == tax && one.kind == kind && one.period_ends_on == period_ends_on);
        of_period.map(|one| one.filed_on).min()
    }

    /// The taxes that are declared in such a cycle on some day of a period, each once; any cycle where none is said.
    pub fn taxes(&self, cycle: Option<&str>, period: &Period) -> Vec<&'static str> {
        let in_cycle = self.duties.iter().filter(|duty| cycle.is_none_or(|cycle| duty.cycle == cycle));
        let held = in_cycle.filter(|duty| period.touches(Some(duty.starts_on), duty.ends_on));
        let mut taxes: Vec<&'static str> = held.map(|duty| duty.tax).collect();
        taxes.sort_unstable();
        taxes.dedup();
        taxes
    }
}

/// Puts returns into the standard table.
pub fn put_returns(returns: &[Return], given: &mut Given) {
    for one in returns {
        let cells: [(&str, Cell); 7] = [
            ("return_id", (&one.return_id).into()),
            ("subject_id", (&one.subject_id).into()),
            ("object_id", one.object_id.as_ref().into()),
            ("tax", one.tax.into()),
            ("return_kind", one.kind.into()),
            ("period_ends_on", one.period_ends_on.into()),
            ("filed_on", one.filed_on.into()),
        ];
        given.row("tax_returns", &cells);
    }
}
