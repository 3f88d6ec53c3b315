//! A month that asks to be released: what is measured, what it costs, and its identity.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::bins::{Keys, counted_word, dimension_word, names};
use super::bounding::{Bounded, LeftOut, per_person};
use super::draws::{Draws, Measured};
use super::editions::{Asked, Part};
use super::gate::Invariant;
use super::released::Provenance;
use super::{Error, MAX_COUNTS, Month, Period, budget, noise};
use crate::personal::{Personal, PseudonymKey, hex};
use crate::pipeline::{Counted, Measure, PrivacyPolicy, ProcedureGroup, Rho, Unit};
use crate::tables::Table;

/// One closed month, bounded and counted, not yet protected. It shows nothing of itself.
pub struct Request {
    asked: Asked,
    policy: String,
    keys: Keys,
    measures: Vec<Counts>,
    cost: Rho,
    spec_id: String,
    release_id: String,
    left_out: Vec<(Counted, LeftOut)>,
    provenance: BTreeMap<String, Provenance>,
    invariants: Vec<Invariant>,
}

/// What is measured, and the exact counts.
struct Counts {
    shape: Measured,
    exact: Personal<Vec<i64>>,
}

impl Request {
    /// Bounds and counts the records of a month, for one part of its budget; a month alone is measured whole.
    ///
    /// `ratings` has the columns of [`crate::satisfaction::table`], `dossiers` those of [`crate::quality::table`]; both
    /// may hold other months. Cells come from the communes of the unit and from the procedure groups alone.
    ///
    /// # Errors
    ///
    /// Records that cannot be read; a table that is too large; a part in which the policy does not measure.
    pub fn new(
        asked: impl Into<Asked>,
        policy: &PrivacyPolicy,
        unit: &Unit,
        groups: &[ProcedureGroup],
        ratings: &Table,
        dossiers: &Table,
        key: &PseudonymKey,
    ) -> Result<Self, Error> {
        let asked = asked.into();
        let keys = Keys::new(unit, groups);
        let cost = cost_of(policy, asked.part)?;
        policy.measures.iter().try_for_each(|measure| fits(measure, &keys))?;

        let rated = Bounded::new(Counted::Ratings, asked.month, policy.ratings_per_person, ratings, &keys, key)?;
        let handled = Bounded::new(Counted::Dossiers, asked.month, policy.dossiers_per_person, dossiers, &keys, key)?;
        let count = |measure: &Measure| {
            let records = match measure.of {
                Counted::Ratings => &rated,
                Counted::Dossiers => &handled,
            };
            let sigma_squared = asked.part.sigma_squared(policy, measure.sigma)?;
            let shape = Measured::empty(measure, per_person(measure, policy), sigma_squared);
            Ok(Counts { shape, exact: Personal::new(records.counts(&measure.by, measure.bins, &keys)) })
        };
        let spec = spec(asked, policy, &keys)?;
        // The root is keyed once more: a release id may be published, and must not confirm a guess about the rows.
        let root = key.digest("disclosure root", &[rated.root(), handled.root()]);
        Ok(Request {
            asked,
            policy: policy.policy.clone(),
            measures: sorted(policy).into_iter().map(count).collect::<Result<_, _>>()?,
            keys,
            cost,
            spec_id: identity(&[&spec]),
            release_id: identity(&[&spec, policy.policy.as_bytes(), &root]),
            left_out: vec![(Counted::Ratings, rated.left_out), (Counted::Dossiers, handled.left_out)],
            provenance: BTreeMap::new(),
            invariants: Vec::new(),
        })
    }

    /// Says where the records of a kind come from; it is stored with what is drawn, and published.
    #[must_use]
    pub fn with_provenance(mut self, of: Counted, provenance: Provenance) -> Self {
        self.provenance.insert(counted_word(of).to_owned(), provenance);
        self
    }

    /// Says which totals of the same records are published exactly beside the noise; it is stored with what is drawn, and
    /// every table made of it names them. It changes neither what is drawn nor its identity.
    #[must_use]
    pub fn with_invariants(mut self, invariants: Vec<Invariant>) -> Self {
        self.invariants = invariants;
        self
    }

    /// The month, or the week.
    pub fn period(&self) -> Period {
        self.asked.period()
    }

    /// Which part of the month's budget it asks for.
    pub fn part(&self) -> Part {
        self.asked.part
    }

    /// The policy under which it asks.
    pub fn policy(&self) -> &str {
        &self.policy
    }

    /// SHA-256 of what is measured, the policy's name and the rows that count: the same request has the same identity,
    /// and any change of a counted record gives another. In lower-case hexadecimal.
    pub fn release_id(&self) -> &str {
        &self.release_id
    }

    /// SHA-256 of what is measured without the rows: where this was released under another release id, a record of a
    /// published month has changed.
    pub fn spec_id(&self) -> &str {
        &self.spec_id
    }

    /// What drawing costs every person in this month: the exact sum over the measures.
    pub fn cost(&self) -> Rho {
        self.cost
    }

    /// Records of the month that do not count. Private.
    pub fn left_out(&self, of: Counted) -> Option<&LeftOut> {
        self.left_out.iter().find(|(kind, _)| *kind == of).map(|(_, left_out)| left_out)
    }

    /// The exact counts of a table, cell by cell and bin by bin, the last changing fastest. Private: for proving the
    /// sensitivity of bounding, and never for a person's eyes.
    pub fn exact_counts(&self, table: &str) -> Option<&Personal<Vec<i64>>> {
        self.measures.iter().find(|counts| counts.shape.table == table).map(|counts| &counts.exact)
    }

    /// Adds noise to every count, absent cells included.
    ///
    /// Every call draws anew and costs anew: it may be called once, after the ledger has reserved [`Request::cost`] for
    /// [`Request::release_id`], and the result must be stored before anybody looks at it.
    pub fn draw(&self) -> Result<Draws, Error> {
        let mut measures = Vec::with_capacity(self.measures.len());
        for Counts { shape, exact } in &self.measures {
            let counts = noise::add(&shape.table, exact.reveal(), shape.per_person, shape.sigma_squared)?;
            measures.push(Measured { counts, ..shape.clone() });
        }
        let asked = (self.asked.month, self.asked.part);
        let (policy, release_id) = (self.policy.clone(), self.release_id.clone());
        let beside = (self.provenance.clone(), self.invariants.clone());
        Ok(Draws::new(asked, policy, release_id, self.keys.clone(), measures, beside))
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("month", &self.asked.month.to_string())
            .field("part", &self.asked.part.word())
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}

/// What one part of a month costs under a policy.
pub(super) fn cost_of(policy: &PrivacyPolicy, part: Part) -> Result<Rho, Error> {
    let cost =
        |measure: &Measure| budget::cost_of(per_person(measure, policy), part.sigma_squared(policy, measure.sigma)?);
    budget::total(policy.measures.iter().map(cost).collect::<Result<Vec<_>, _>>()?)
}

fn fits(measure: &Measure, keys: &Keys) -> Result<(), Error> {
    let counts = keys.len(&measure.by).and_then(|cells| cells.checked_mul(names(measure.bins).len()));
    match counts {
        Some(counts) if counts <= MAX_COUNTS => Ok(()),
        _ => Err(Error::TooLarge { table: measure.table.clone() }),
    }
}

/// The measures in alphabetical order of their tables, so that their order in the policy file changes nothing.
fn sorted(policy: &PrivacyPolicy) -> Vec<&Measure> {
    let mut measures: Vec<&Measure> = policy.measures.iter().collect();
    measures.sort_by(|one, other| one.table.cmp(&other.table));
    measures
}

/// Everything that decides the distribution of the draws, apart from the rows. `min_count` and `delta` are not among it:
/// they are for the reader. The fields stand in alphabetical order, so that the JSON has sorted keys.
#[derive(Serialize)]
struct Spec<'a> {
    communes: &'a [String],
    dossiers_per_person: u32,
    engine: &'static str,
    measures: Vec<SpecMeasure<'a>>,
    month: Month,
    part: Part,
    policy: &'a str,
    procedure_groups: &'a [String],
    ratings_per_person: u32,
}

#[derive(Serialize)]
struct SpecMeasure<'a> {
    bins: &'static [&'static str],
    by: Vec<&'static str>,
    of: &'static str,
    sigma_squared: String,
    table: &'a str,
}

fn spec(asked: Asked, policy: &PrivacyPolicy, keys: &Keys) -> Result<Vec<u8>, Error> {
    let mut measures = Vec::with_capacity(policy.measures.len());
    for measure in sorted(policy) {
        measures.push(SpecMeasure {
            bins: names(measure.bins),
            by: measure.by.iter().map(|dimension| dimension_word(*dimension)).collect(),
            of: counted_word(measure.of),
            sigma_squared: asked.part.sigma_squared(policy, measure.sigma)?.to_string(),
            table: &measure.table,
        });
    }
    let spec = Spec {
        communes: &keys.communes,
        dossiers_per_person: policy.dossiers_per_person,
        engine: "discrete gaussian, version 2",
        measures,
        month: asked.month,
        part: asked.part,
        policy: &policy.policy,
        procedure_groups: &keys.groups,
        ratings_per_person: policy.ratings_per_person,
    };
    serde_json::to_vec(&spec).map_err(|error| Error::Cost { what: error.to_string() })
}

/// SHA-256 of the parts, each preceded by its length.
fn identity(parts: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hex(&hash.finalize())
}
