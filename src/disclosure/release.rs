//! From noisy counts to tables for everybody: pure post-processing, which costs no budget.
//!
//! All measurements of the same records are fitted to each other ([`fit`]): what is published adds up, and every figure
//! uses all that was measured. **Quarters** and **years** are fitted to the sums of their months; **a month in two parts** to
//! the mean of both, weighted by precision. **Counts** are non-negative whole numbers: the bins of a row add up to its
//! total, the communes to the unit, the groups to the unit, the cells of a commune to the commune. Over months they add
//! up to the quarter and the year but for that rounding. What was measured stands beside them, untouched. **Rolling up**: a cell whose
//! total is below the policy's `min_count` keeps its row and loses its figures; a reader finds them included in the
//! quarter, and for a quarter in the parent table. That serves legibility alone: the raw measurements stay.

use std::collections::BTreeMap;

use super::bins::{Keys, coarse_of, counted_word, is_fine};
use super::bounding::per_person;
use super::columns;
use super::draws::{Draws, Measured};
use super::editions::Part;
use super::figures::Figures;
use super::fit::crossing::{Crossing, TABLES};
use super::fit::{self, Fitted, Level, Shape};
use super::gate::Invariant;
use super::released::{Account, Edition, Facts, Hashed, Measurement, NoiseAccount, Provenance, Released};
use super::{Error, Month, Period, Week, budget, request};
use crate::pipeline::{Counted, Dimension, Measure, PrivacyPolicy, ProcedureGroup, Rho, Unit};

/// The tables of one month, of one week, or of a quarter or a year from the draws of its months: for each measure of the policy, in its
/// order, the measured table, and before it that of the whole unit where this was not measured itself.
///
/// A month of two parts is final with both of them and preliminary with the first alone. A quarter and a year
/// are made of final months only.
///
/// # Errors
///
/// Draws that make no such period, or that were made by another policy or over other code lists.
pub fn release(
    draws: &[Draws],
    policy: &PrivacyPolicy,
    unit: &Unit,
    groups: &[ProcedureGroup],
) -> Result<Vec<Released>, Error> {
    let mut draws: Vec<&Draws> = draws.iter().collect();
    draws.sort_by_key(|draws| (draws.month(), draws.part()));
    let (period, edition) = period_of(&draws)?;
    let keys = Keys::new(unit, groups);
    draws.iter().try_for_each(|draws| belongs(draws, policy, &keys))?;

    let mut released = Vec::new();
    let mut families: BTreeMap<Counted, Family> = BTreeMap::new();
    for measure in &policy.measures {
        families.entry(measure.of).or_insert_with(|| Family::new(measure.of, policy, &draws, &keys));
    }
    for measure in &policy.measures {
        let Some(family) = families.get(&measure.of) else { continue };
        let release = Release { measure, family, draws: &draws, period, edition, policy, keys: &keys };
        if let Some(table) = province_table(measure, policy) {
            released.push(release.table(table, &[], None)?);
        }
        let raw = raw_of(&draws, &measure.table);
        released.push(release.table(measure.table.clone(), &measure.by, Some(raw))?);
    }
    Ok(released)
}

/// Whether draws were made by this policy over these code lists, so that they can be released under it.
///
/// # Errors
///
/// [`Error::OtherPolicy`] says what differs.
pub fn fits(draws: &Draws, policy: &PrivacyPolicy, unit: &Unit, groups: &[ProcedureGroup]) -> Result<(), Error> {
    belongs(draws, policy, &Keys::new(unit, groups))
}

/// The period that these draws make, in order of month and part, and which edition of it.
fn period_of(draws: &[&Draws]) -> Result<(Period, Edition), Error> {
    if let [draws] = draws
        && let Some(week) = draws.part().week().and_then(|place| Week::new(draws.month(), place))
    {
        return Ok((Period::Week(week), Edition::Final));
    }
    let mut months: Vec<Month> = Vec::new();
    let mut is_final = true;
    for of_month in draws.chunk_by(|one, other| one.month() == other.month()) {
        let parts: Vec<Part> = of_month.iter().map(|draws| draws.part()).collect();
        match parts.as_slice() {
            [Part::Whole] | [Part::First, Part::Second] => {}
            [Part::First] => is_final = false,
            _ => return Err(not_a_period(draws)),
        }
        months.extend(of_month.first().map(|draws| draws.month()));
    }
    match months.as_slice() {
        [month] if is_final => Ok((Period::Month(*month), Edition::Final)),
        [month] => Ok((Period::Month(*month), Edition::Preliminary)),
        [first, _, _] if is_final && first.quarter().months() == months => {
            Ok((Period::Quarter(first.quarter()), Edition::Final))
        }
        [first, ..] if is_final && first.year().months() == months => Ok((Period::Year(first.year()), Edition::Final)),
        _ => Err(not_a_period(draws)),
    }
}

fn not_a_period(draws: &[&Draws]) -> Error {
    let name = |draws: &&Draws| match draws.part() {
        Part::Whole => draws.month().to_string(),
        part => format!("{} ({})", draws.month(), part.word()),
    };
    let months: Vec<String> = draws.iter().take(6).map(name).collect();
    Error::NotAPeriod { months: if months.is_empty() { "no month".into() } else { months.join(", ") } }
}

/// Refuses draws that were made by another policy or over other code lists: their cost and cells would be misstated.
fn belongs(draws: &Draws, policy: &PrivacyPolicy, keys: &Keys) -> Result<(), Error> {
    let other = |what: String| Error::OtherPolicy { month: draws.month(), policy: policy.policy.clone(), what };
    if draws.policy() != policy.policy {
        return Err(other(format!("they were made under {}", draws.policy())));
    }
    if draws.part().week().is_none() && !Part::of(policy).contains(&draws.part()) {
        return Err(other(format!("they are the part \"{}\" of a month", draws.part().word())));
    }
    if draws.measures.len() != policy.measures.len() {
        return Err(other("another number of tables was measured".into()));
    }
    let measured = draws.keys();
    for measure in &policy.measures {
        let sigma_squared = draws.part().sigma_squared(policy, measure.sigma)?;
        let expected = Measured::empty(measure, per_person(measure, policy), sigma_squared);
        let is_known = draws.measures.iter().any(|measured| measured.same_shape(&expected));
        if !is_known || measure.by.iter().any(|dimension| keys.of(*dimension) != measured.of(*dimension)) {
            return Err(other(format!("the table {} was measured otherwise, or over other code lists", measure.table)));
        }
    }
    Ok(())
}

/// All tables of one kind of records, fitted to each other.
struct Family {
    shape: Shape,
    fitted: [Option<Fitted>; TABLES],
    whole: [Option<Vec<i64>>; TABLES],
}

impl Family {
    fn new(of: Counted, policy: &PrivacyPolicy, draws: &[&Draws], keys: &Keys) -> Self {
        let shape = Shape {
            crossing: Crossing { communes: keys.communes.len(), groups: keys.groups.len() },
            coarse_of: coarse_of(of),
        };
        let measures = policy.measures.iter().filter(|measure| measure.of == of);
        let measured: Vec<fit::Measured> = measures.map(|measure| together(measure, draws)).collect();
        let fitted = fit::fit(&shape, &measured);
        let whole = fit::whole(&shape, &fitted);
        Family { shape, fitted, whole }
    }
}

/// What is known of a measure from all draws: within a month the mean of the parts, weighted by precision; over the
/// months the sum.
fn together(measure: &Measure, draws: &[&Draws]) -> fit::Measured {
    let (mut counts, mut variance) = (Vec::new(), 0.0);
    for of_month in draws.chunk_by(|one, other| one.month() == other.month()) {
        let parts: Vec<&Measured> = of_month.iter().filter_map(|draws| draws.measured(&measure.table)).collect();
        let precision_of = |part: &Measured| 1.0 / budget::as_float(part.sigma_squared);
        let precision: f64 = parts.iter().map(|part| precision_of(part)).sum();
        variance += 1.0 / precision;
        for part in parts {
            let weight = precision_of(part) / precision;
            counts.resize(part.counts.len(), 0.0);
            counts.iter_mut().zip(&part.counts).for_each(|(sum, count)| *sum += weight * *count as f64);
        }
    }
    fit::Measured { level: level_of(&measure.by), is_fine: is_fine(measure.bins), counts, variance }
}

/// What was drawn for a table, as it is shown beside the figures: of a month in two parts the second, which is the one
/// that no earlier edition shows; over the months the sum.
fn raw_of(draws: &[&Draws], table: &str) -> Vec<i64> {
    let mut raw: Vec<i64> = Vec::new();
    for of_month in draws.chunk_by(|one, other| one.month() == other.month()) {
        let Some(last) = of_month.last().and_then(|draws| draws.measured(table)) else { continue };
        raw.resize(last.counts.len(), 0);
        raw.iter_mut().zip(&last.counts).for_each(|(sum, count)| *sum = sum.saturating_add(*count));
    }
    raw
}

fn level_of(by: &[Dimension]) -> Level {
    match by {
        [] => Level::Unit,
        [Dimension::Commune] => Level::Commune,
        [Dimension::ProcedureGroup] => Level::Group,
        _ => Level::Cell,
    }
}

/// One measure on its way to tables.
struct Release<'a> {
    measure: &'a Measure,
    family: &'a Family,
    draws: &'a [&'a Draws],
    period: Period,
    edition: Edition,
    policy: &'a PrivacyPolicy,
    keys: &'a Keys,
}

impl Release<'_> {
    fn table(&self, name: String, by: &[Dimension], raw: Option<Vec<i64>>) -> Result<Released, Error> {
        let measure = self.measure;
        let level = level_of(by).place();
        let fitted = self.family.fitted.get(level).and_then(Option::as_ref);
        let whole = self.family.whole.get(level).and_then(Option::as_ref);
        let (Some(fitted), Some(whole)) = (fitted, whole) else {
            // The measure itself determines its table and the unit, so that there is always something here.
            return Err(Error::Draws { what: format!("nothing was measured for the table {name}") });
        };
        let (is_measured, is_ranked) = (raw.is_some(), by.len() == 1);
        let rolled_up_to = match (self.period, is_measured) {
            (Period::Month(_), _) => Some("quarter".to_owned()),
            (Period::Quarter(_) | Period::Year(_), true) => parent(measure, self.policy),
            // Their unit stands above nothing, and a week's records are counted in its month.
            (Period::Quarter(_) | Period::Year(_), false) | (Period::Week(_), _) => None,
        };
        let figures = Figures {
            bins: measure.bins,
            by,
            period: self.period,
            keys: self.keys,
            shape: &self.family.shape,
            fitted,
            whole,
            raw,
            is_ranked,
            min_count: measure.min_count,
            rolled_up_to: rolled_up_to.clone(),
        };
        // A quarter or a year of months that were drawn under either wording takes the newer one.
        let wording = self.draws.iter().map(|draws| draws.wording()).max().filter(|_| is_ranked);
        let account = self.account(&figures, is_measured)?;
        let failed = |source| Error::Build { table: name.clone(), period: self.period, source };
        let table = figures.batch().map_err(failed)?;
        Ok(Released::from(Facts {
            title: columns::title(measure.of, by),
            period: self.period,
            edition: self.edition,
            columns: columns::sheets((measure.of, self.period), by, measure.bins, is_measured, wording),
            table,
            account: Account::Noise(Box::new(account)),
            provenance: provenance(measure.of, self.draws),
            name,
        }))
    }

    fn account(&self, figures: &Figures<'_>, is_measured: bool) -> Result<NoiseAccount, Error> {
        let (measure, policy) = (self.measure, self.policy);
        let mut parts: Vec<Part> = self.draws.iter().map(|draws| draws.part()).collect();
        parts.sort_unstable();
        parts.dedup();
        let costs = parts.iter().map(|part| request::cost_of(policy, *part));
        let rho_month = budget::total(costs.collect::<Result<Vec<_>, _>>()?)?;
        let same = policy.measures.iter().filter(|other| other.of == measure.of);
        let (bin_variances, total_variance) = figures.variances();
        Ok(NoiseAccount {
            months: self
                .draws
                .chunk_by(|one, other| one.month() == other.month())
                .filter_map(|of| Some(of.first()?.month()))
                .collect(),
            release_ids: self.draws.iter().map(|draws| draws.release_id().to_owned()).collect(),
            policy: policy.policy.clone(),
            of: measure.of,
            by: figures.by.to_vec(),
            bins: measure.bins,
            is_measured,
            sigma: measure.sigma,
            fitted_to: same.map(|other| measurement(other, &parts, policy)).collect::<Result<_, _>>()?,
            bin_noise: bin_variances.iter().map(|variance| up(variance.sqrt())).collect(),
            count_noise: up(total_variance.sqrt()),
            interval_percent: 95,
            per_person: per_person(measure, policy),
            rho_month,
            delta: policy.delta,
            epsilon_month: up(budget::epsilon(rho_month, policy.delta)),
            min_count: measure.min_count,
            rolled_up_to: figures.rolled_up_to.clone(),
            invariants: invariants(measure.of, self.draws),
        })
    }
}

fn measurement(measure: &Measure, parts: &[Part], policy: &PrivacyPolicy) -> Result<Measurement, Error> {
    let squares = parts.iter().map(|part| part.sigma_squared(policy, measure.sigma));
    let squares: Vec<Rho> = squares.collect::<Result<_, _>>()?;
    let costs = squares.iter().map(|square| budget::cost_of(per_person(measure, policy), *square));
    Ok(Measurement {
        table: measure.table.clone(),
        editions: parts.iter().map(|part| part.word().to_owned()).collect(),
        rho: costs.collect::<Result<_, _>>()?,
        sigma_squared: squares,
    })
}

/// The totals of a kind of records that any of the draws names, each once.
fn invariants(of: Counted, draws: &[&Draws]) -> Vec<Invariant> {
    let mut all: Vec<Invariant> = Vec::new();
    for invariant in draws.iter().flat_map(|draws| draws.invariants()) {
        if invariant.records == counted_word(of) && !all.contains(invariant) {
            all.push(invariant.clone());
        }
    }
    all
}

/// Where the records of a kind came from: for one draw what it says, for several all inputs under the names of their
/// months and parts.
fn provenance(of: Counted, draws: &[&Draws]) -> Provenance {
    let known = |draws: &&Draws| Some((draws.month(), draws.part(), draws.provenance.get(counted_word(of))?.clone()));
    let mut all: Vec<(Month, Part, Provenance)> = draws.iter().filter_map(known).collect();
    if all.len() < 2 {
        return all.pop().map(|(_, _, provenance)| provenance).unwrap_or_default();
    }
    let mut together = Provenance::default();
    for (month, part, provenance) in all {
        let place = match part {
            Part::Whole => month.to_string(),
            part => format!("{month}, {}", part.word()),
        };
        let named = |hashed: Hashed| Hashed { name: format!("{} ({place})", hashed.name), ..hashed };
        together.inputs.extend(provenance.inputs.into_iter().map(named));
        together.queries.extend(provenance.queries);
        // The latest says what the figures mean.
        (together.definition, together.version) = (provenance.definition, provenance.version);
    }
    together.queries.sort();
    together.queries.dedup();
    together
}

/// Rounded up to two decimals.
fn up(value: f64) -> f64 {
    (value * 100.0).ceil() / 100.0
}

/// The table of the whole unit that comes with a table by commune, where the policy measures the unit nowhere.
fn province_table(measure: &Measure, policy: &PrivacyPolicy) -> Option<String> {
    let table = province_name(measure)?;
    let is_it = |other: &Measure| other.table == table || (other.of == measure.of && other.by.is_empty());
    (!policy.measures.iter().any(is_it)).then_some(table)
}

fn province_name(measure: &Measure) -> Option<String> {
    if measure.by != [Dimension::Commune] {
        return None;
    }
    let stem = measure.table.strip_suffix("_by_commune").unwrap_or(&measure.table);
    Some(format!("{stem}_in_province"))
}

/// The wider table of the same records in which a cell of a quarter is included: by procedure group for a cell of both
/// dimensions, else the whole unit.
fn parent(measure: &Measure, policy: &PrivacyPolicy) -> Option<String> {
    let same = || policy.measures.iter().filter(|other| other.of == measure.of && other.table != measure.table);
    let measured = |by: &[Dimension]| same().find(|other| other.by == by).map(|other| other.table.clone());
    let all = || policy.measures.iter().filter(|other| other.of == measure.of);
    let province = || measured(&[]).or_else(|| all().find_map(province_name));
    match measure.by.len() {
        0 => None,
        1 => province(),
        _ => measured(&[Dimension::ProcedureGroup]).or_else(|| measured(&[Dimension::Commune])).or_else(province),
    }
}
