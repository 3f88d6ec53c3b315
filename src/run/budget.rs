//! What is spent and left of the privacy budget, by month: the policy beside what the ledger knows.

use std::fmt::Write;

use serde::Serialize;

use super::ledger_of;
use crate::check::Checked;
use crate::disclosure::{self, Part};
use crate::fault::{Explain, Fault};
use crate::language::Text;
use crate::ledger::Reserved;
use crate::pipeline::{Counted, Measure, PrivacyPolicy, Rho, add_rho};
use crate::world::World;

/// The budget of every person who is active in a month, month by month. Fractions are exact, in zCDP; epsilons are for
/// readers and rounded up.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Budget {
    /// Code of the unit that the figures are about.
    pub unit: String,
    /// Its name.
    pub unit_name: Text,
    /// The policy of today; none where the agency publishes no figures.
    pub policy: Option<Policy>,
    /// Every month of which anything was drawn or tried, in order.
    pub months: Vec<MonthBudget>,
}

/// What a policy allows, and what it plans to spend on one month.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Policy {
    /// Name and version.
    pub name: String,
    /// The most that one month may cost.
    pub rho_cap: String,
    /// What the measures of one month cost together.
    pub rho_month: String,
    /// That cost as epsilon.
    pub epsilon_month: f64,
    /// The probability that goes with every epsilon here.
    pub delta: f64,
    /// Each measured table with its cost.
    pub measures: Vec<MeasureBudget>,
}

/// What one measured table costs in a month.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MeasureBudget {
    /// The table.
    pub table: String,
    /// Parameter of the noise when all parts are drawn.
    pub sigma: u32,
    /// What all parts cost together.
    pub rho: String,
    /// Each part: its word, its cost.
    pub parts: Vec<(String, String)>,
}

/// What is spent and left of one month.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MonthBudget {
    /// `2026-10`
    pub month: String,
    /// The sum of all draws, those that were lost with them.
    pub rho_spent: String,
    /// What the cap leaves; none without a policy.
    pub rho_left: Option<String>,
    /// What is spent, as epsilon; none without a policy, which says the delta.
    pub epsilon_spent: Option<f64>,
    /// Every draw, in order.
    pub draws: Vec<DrawBudget>,
}

/// One draw, or an attempt at it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DrawBudget {
    /// `whole`, `first` or `second`.
    pub part: String,
    /// Which attempt.
    pub attempt: i64,
    /// The policy under which it was made.
    pub policy: String,
    /// What it cost.
    pub rho: String,
    /// `reserved` (lost to a crash, or under way), `drawn`, `published`.
    pub state: String,
    /// The identity of the release.
    pub release_id: String,
}

/// Reads what is spent. Nothing is written, and without a ledger nothing is spent.
pub fn budget(world: &World, checked: &Checked) -> Result<Budget, Fault> {
    let policy = checked.pipeline.privacy.as_ref();
    let reserved = match ledger_of(world, checked)? {
        Some(ledger) => ledger.reservations().map_err(|error| error.fault())?,
        None => Vec::new(),
    };
    let unit = &checked.pipeline.unit;
    let months = reserved.chunk_by(|one, other| one.month == other.month);
    Ok(Budget {
        unit: unit.code.clone(),
        unit_name: unit.name.clone(),
        policy: policy.map(policy_budget).transpose()?,
        months: months.filter_map(|of_month| month_budget(of_month, policy)).collect(),
    })
}

fn policy_budget(policy: &PrivacyPolicy) -> Result<Policy, Fault> {
    let measures = policy.measures.iter().map(|measure| measure_budget(measure, policy));
    let mut measures = measures.collect::<Result<Vec<_>, _>>().map_err(|error| error.fault())?;
    for measure in policy.weekly.iter().flat_map(|weekly| &weekly.measures) {
        measures.push(week_budget(measure, policy).map_err(|error| error.fault())?);
    }
    let all = disclosure::total(measures.iter().map(|(_, rho)| *rho)).map_err(|error| error.fault())?;
    Ok(Policy {
        name: policy.policy.clone(),
        rho_cap: policy.rho_cap.to_string(),
        rho_month: all.to_string(),
        epsilon_month: up(disclosure::epsilon(all, policy.delta)),
        delta: policy.delta,
        measures: measures.into_iter().map(|(measure, _)| measure).collect(),
    })
}

fn measure_budget(measure: &Measure, policy: &PrivacyPolicy) -> Result<(MeasureBudget, Rho), disclosure::Error> {
    let per_person = match measure.of {
        Counted::Ratings => policy.ratings_per_person,
        Counted::Dossiers => policy.dossiers_per_person,
    };
    let mut parts = Vec::new();
    for part in Part::of(policy) {
        let rho = disclosure::cost_of(per_person, part.sigma_squared(policy, measure.sigma)?)?;
        parts.push((part.word().to_owned(), rho));
    }
    let rho = disclosure::total(parts.iter().map(|(_, rho)| *rho))?;
    let parts = parts.into_iter().map(|(part, rho)| (part, rho.to_string())).collect();
    let (table, sigma) = (measure.table.clone(), measure.sigma);
    Ok((MeasureBudget { table, sigma, rho: rho.to_string(), parts }, rho))
}

/// What a measure costs in all weeks of a month.
fn week_budget(measure: &Measure, policy: &PrivacyPolicy) -> Result<(MeasureBudget, Rho), disclosure::Error> {
    let one = disclosure::cost(policy.dossiers_per_person, measure.sigma)?;
    let parts = [Part::Week1, Part::Week2, Part::Week3, Part::Week4];
    let rho = disclosure::total(parts.map(|_| one))?;
    let parts = parts.map(|part| (part.word().to_owned(), one.to_string())).to_vec();
    Ok((MeasureBudget { table: measure.table.clone(), sigma: measure.sigma, rho: rho.to_string(), parts }, rho))
}

fn month_budget(of_month: &[Reserved], policy: Option<&PrivacyPolicy>) -> Option<MonthBudget> {
    let month = of_month.first()?.month.clone();
    // A sum that cannot be had leaves nothing.
    let spent = of_month.iter().try_fold(Rho::from_integer(0), |sum, reserved| add_rho(sum, reserved.rho));
    let spent = spent.unwrap_or(Rho::from_integer(i64::MAX));
    let left = policy.map(|policy| {
        let left = add_rho(policy.rho_cap, -spent).unwrap_or(Rho::from_integer(0));
        left.max(Rho::from_integer(0)).to_string()
    });
    let draw = |reserved: &Reserved| DrawBudget {
        part: reserved.part.clone(),
        attempt: reserved.attempt,
        policy: reserved.policy.clone(),
        rho: reserved.rho.to_string(),
        state: reserved.state.clone(),
        release_id: reserved.release_id.clone(),
    };
    Some(MonthBudget {
        month,
        rho_spent: spent.to_string(),
        rho_left: left,
        epsilon_spent: policy.map(|policy| up(disclosure::epsilon(spent, policy.delta))),
        draws: of_month.iter().map(draw).collect(),
    })
}

/// Rounded up to two decimals.
fn up(value: f64) -> f64 {
    (value * 100.0).ceil() / 100.0
}

impl Budget {
    /// For a person at a terminal.
    pub fn text(&self) -> String {
        let mut text = format!("Privacy budget of each person in each month, {} ({})\n", self.unit_name.en, self.unit);
        match &self.policy {
            None => text.push_str("This agency has no privacy policy and publishes no figures.\n"),
            Some(policy) => policy.tell(&mut text),
        }
        if self.months.is_empty() {
            text.push_str("\nNothing was ever drawn.\n");
            return text;
        }
        let head = ["month", "spent", "left", "epsilon", "draws"];
        let mut rows = vec![head.map(str::to_owned)];
        rows.extend(self.months.iter().map(MonthBudget::row));
        text.push('\n');
        write_table(&mut text, &rows);
        text
    }
}

impl Policy {
    fn tell(&self, text: &mut String) {
        let Policy { name, rho_cap, rho_month, epsilon_month, delta, .. } = self;
        // Writing to a text cannot fail.
        let _ = writeln!(
            text,
            "Policy {name}: at most rho = {rho_cap} a month; its measures cost rho = {rho_month}, which is epsilon = {epsilon_month:.2} at delta = {delta:e}\n"
        );
        let mut rows = vec![["measure", "sigma", "rho"].map(str::to_owned)];
        rows.extend(self.measures.iter().map(|measure| {
            let parts = measure.parts.iter().map(|(part, rho)| format!("{part} {rho}")).collect::<Vec<_>>();
            let rho =
                if parts.len() > 1 { format!("{} ({})", measure.rho, parts.join(", ")) } else { measure.rho.clone() };
            [measure.table.clone(), measure.sigma.to_string(), rho]
        }));
        write_table(text, &rows);
    }
}

impl MonthBudget {
    fn row(&self) -> [String; 5] {
        let draw = |draw: &DrawBudget| {
            let part = if draw.part == "whole" { String::new() } else { format!("{} ", draw.part) };
            let attempt = if draw.attempt > 1 { format!(" (attempt {})", draw.attempt) } else { String::new() };
            format!("{part}{}{attempt}", draw.state)
        };
        [
            self.month.clone(),
            self.rho_spent.clone(),
            self.rho_left.clone().unwrap_or_else(|| "-".into()),
            self.epsilon_spent.map_or_else(|| "-".into(), |epsilon| format!("{epsilon:.2}")),
            self.draws.iter().map(draw).collect::<Vec<_>>().join(", "),
        ]
    }
}

/// Rows in columns as wide as their longest cell, two spaces apart.
fn write_table<const N: usize>(text: &mut String, rows: &[[String; N]]) {
    let mut widths = [0; N];
    for row in rows {
        widths.iter_mut().zip(row).for_each(|(width, cell)| *width = (*width).max(cell.chars().count()));
    }
    for row in rows {
        let cells: Vec<String> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
}
