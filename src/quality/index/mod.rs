//! A score sheet: what a decision makes of what was counted.
//!
//! The decision is data ([`Definition`]), the counts come from `sql/quality/indices/`, and between them there is
//! arithmetic without a binary fraction: a quotient stays a quotient until it is rounded, once. The counts are exact
//! and so private: a sheet is for the agency itself. What is published of it goes through `disclosure`.
//! This module must not know how anything was counted.

mod counts;
mod error;
mod exact;
pub mod flags;
mod sheet;

use crate::calendar::Span;
use crate::pipeline::indices::{Definition, DefinitionVersion, Formula, Fraction, Metric, Tier, Zero};

pub use counts::{Counts, GIVEN, Scope, is_counted};
pub use error::Error;
pub use exact::Decimal;
pub use sheet::{GroupScore, Score, Sheet};

use exact::Exact;

/// Decimals of a share in percent, and of a mean, as they are shown.
const SHOWN_DECIMALS: u8 = 2;

/// The sheet of a unit for a period, by the version of the decision that was in force on its last day, as known on a
/// day. Old periods keep the version that they had.
pub fn score(
    definition: &Definition,
    period: Span,
    known_on: jiff::civil::Date,
    scope: &Scope,
    counts: &Counts,
) -> Result<Sheet, Error> {
    let version = definition
        .in_force(period.last_day(), known_on)
        .ok_or_else(|| Error::NotInForce { decision: definition.name.clone(), period: period.to_string() })?;
    let large = || Error::TooLarge { decision: definition.name.clone() };
    let scoring = Scoring { version, counts, per_year: period.per_year() };
    let mut groups = Vec::new();
    for group in &version.groups {
        let metrics = group.metrics.iter();
        let metrics = metrics.filter(|metric| !(metric.is_absent_by_procedure && scope.procedure.is_some()));
        let scores: Vec<Score> =
            metrics.map(|metric| scoring.metric(metric)).collect::<Option<_>>().ok_or_else(large)?;
        let maximum: Option<i64> = group.maximum.map(|_| scores.iter().filter_map(|score| score.maximum).sum());
        let sum = Decimal::sum(scores.iter().filter_map(|score| score.score), version.decimals).ok_or_else(large)?;
        // A group of which nothing is known has no sum, which is not 0.
        let is_known = scores.iter().any(|score| score.maximum.is_some() && score.lacks.is_empty());
        groups.push(GroupScore {
            code: group.code.clone(),
            title: group.title.clone(),
            score: is_known.then_some(sum),
            maximum,
            metrics: scores,
        });
    }
    let maximum = version.maximum.map(|_| groups.iter().filter_map(|group| group.maximum).sum::<i64>());
    let total = Decimal::sum(groups.iter().filter_map(|group| group.score), version.decimals).ok_or_else(large)?;
    let total = maximum.map(|_| total);
    let known = groups.iter().flat_map(|group| &group.metrics).filter(|metric| metric.lacks.is_empty());
    let known_maximum = maximum.map(|_| known.filter_map(|metric| metric.maximum).sum());
    // Bands are meant for all the points: of some of them they say nothing.
    let is_whole = maximum == version.maximum && maximum == known_maximum;
    let band =
        total.filter(|_| is_whole).and_then(|total| version.bands.iter().find(|band| total.reaches(band.at_least)));
    let class = band.map(|band| band.name.clone());
    Ok(Sheet {
        decision: definition.name.clone(),
        title: definition.title.clone(),
        version: definition.version_name(version),
        reference: version.reference.clone(),
        confidence: version.confidence.clone(),
        unit: scope.unit.clone(),
        procedure: scope.procedure.clone(),
        period: period.to_string(),
        total,
        maximum,
        known_maximum,
        class,
        groups,
        without_term: u64::try_from(counts.sum("without_term")).unwrap_or(0),
        few_ratings: counts.few_ratings.filter(|_| {
            let metrics = version.groups.iter().flat_map(|group| &group.metrics);
            metrics.into_iter().any(|metric| metric.needs.iter().any(|table| table == "ratings"))
        }),
        ratings_from: counts.ratings_from.clone().filter(|_| {
            let metrics = version.groups.iter().flat_map(|group| &group.metrics);
            metrics.into_iter().any(|metric| metric.needs.iter().any(|table| table == "ratings"))
        }),
    })
}

struct Scoring<'a> {
    version: &'a DefinitionVersion,
    counts: &'a Counts,
    per_year: i64,
}

impl Scoring<'_> {
    /// None when a number leaves 128 bits.
    fn metric(&self, metric: &Metric) -> Option<Score> {
        let mut score = Score {
            code: metric.code.clone(),
            title: metric.title.clone(),
            numerator: None,
            denominator: None,
            percent: None,
            value: None,
            score: None,
            maximum: metric.formula.maximum(),
            lacks: self.counts.lacks(metric),
        };
        if !score.lacks.is_empty() {
            return Some(score);
        }
        match &metric.formula {
            Formula::Constant { points } => score.score = Some(Decimal::whole(*points, self.version.decimals)?),
            Formula::WorkingDays { percent } => {
                if let Some((days, dossiers)) = self.counts.working_days(*percent) {
                    score.denominator = Some(Decimal::round(Exact::from_integer(dossiers), 0)?);
                    score.value = Some(Decimal::whole(days, 0)?);
                }
            }
            Formula::Share { of, zero, maximum, full_at_percent } => {
                let ratio = self.ratio(of, &mut score)?;
                self.show_percent(&mut score, ratio, *zero)?;
                score.score = match ratio {
                    Some(ratio) => Some(self.share(ratio, *maximum, *full_at_percent)?),
                    None => self.of_nothing(*zero, *maximum)?,
                };
            }
            Formula::Mean { of, .. } => {
                if let Some(ratio) = self.ratio(of, &mut score)? {
                    score.score = Some(Decimal::round(ratio, self.version.decimals)?);
                }
            }
            Formula::Tiers { of, zero, maximum, tiers } => {
                let ratio = self.ratio(of, &mut score)?;
                self.show_percent(&mut score, ratio, *zero)?;
                score.score = match ratio {
                    Some(_) => Some(Decimal::whole(self.tier(tiers), self.version.decimals)?),
                    None => self.of_nothing(*zero, *maximum)?,
                };
            }
            Formula::Information { of } => {
                let ratio = self.ratio(of, &mut score)?;
                self.show_percent(&mut score, ratio, Zero::Null)?;
            }
            Formula::Average { of } => {
                if let Some(ratio) = self.ratio(of, &mut score)? {
                    score.value = Some(Decimal::round(ratio, SHOWN_DECIMALS)?);
                }
            }
        }
        Some(score)
    }

    /// The quotient, with what is divided put into the line; none inside where the denominator is 0.
    fn ratio(&self, of: &Fraction, score: &mut Score) -> Option<Option<Exact>> {
        let numerator = self.counts.count(&of.numerator, self.per_year);
        let denominator = self.counts.count(&of.denominator, self.per_year);
        // A share of last year's total may be no whole number.
        let shown = |count: Exact| Decimal::round(count, if count.is_integer() { 0 } else { SHOWN_DECIMALS });
        score.numerator = Some(shown(numerator)?);
        score.denominator = Some(shown(denominator)?);
        Some(quotient(numerator, denominator))
    }

    fn show_percent(&self, score: &mut Score, ratio: Option<Exact>, zero: Zero) -> Option<()> {
        score.percent = match (ratio, zero) {
            (Some(ratio), _) => Some(Decimal::round(ratio * Exact::from_integer(100), SHOWN_DECIMALS)?),
            (None, Zero::Null) => None,
            (None, Zero::Zero | Zero::Maximum) => Some(Decimal::whole(0, SHOWN_DECIMALS)?),
        };
        Some(())
    }

    /// The maximum times the ratio, all of it from the threshold on, rounded from the raw quotient.
    fn share(&self, ratio: Exact, maximum: i64, full_at_percent: i64) -> Option<Decimal> {
        let maximum = Exact::from_integer(maximum.into());
        let points = maximum * ratio * Exact::new(100, i128::from(full_at_percent.max(1)));
        Decimal::round(points.min(maximum), self.version.decimals)
    }

    fn of_nothing(&self, zero: Zero, maximum: i64) -> Option<Option<Decimal>> {
        Some(match zero {
            Zero::Null => None,
            Zero::Zero => Some(Decimal::whole(0, self.version.decimals)?),
            Zero::Maximum => Some(Decimal::whole(maximum, self.version.decimals)?),
        })
    }

    fn tier(&self, tiers: &[Tier]) -> i64 {
        let reaches = |(of, percent): &(Fraction, i64)| {
            let numerator = self.counts.count(&of.numerator, self.per_year);
            let denominator = self.counts.count(&of.denominator, self.per_year);
            quotient(numerator, denominator).is_some_and(|ratio| ratio >= Exact::new((*percent).into(), 100))
        };
        let holds = |tier: &&Tier| {
            tier.shares.iter().all(reaches) && tier.none.iter().all(|column| self.counts.sum(column) == 0)
        };
        tiers.iter().find(holds).map_or(0, |tier| tier.points)
    }
}

/// The quotient; none where the denominator is 0.
fn quotient(numerator: Exact, denominator: Exact) -> Option<Exact> {
    (*denominator.numer() != 0).then(|| numerator / denominator)
}
