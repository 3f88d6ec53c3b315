//! All releases of a period together: the last door before anything is published.
//!
//! Each engine protects what it releases; two of them over the same records undo each other. An exact total beside noisy
//! cells takes part of the noise away, an exact cell beside a noisy one takes all of it. So the gate takes everything
//! that is to be released at once ([`Offer`]) and refuses it when two engines would show cells that share records,
//! unless the policy names the cells as an [`Invariant`], which every account then prints. What engine E releases is
//! attacked here again, whoever made it, together with the earlier releases that it carries; the attacker's report is
//! part of what is admitted. What engine K answers is for analysts and never released; `check` refuses it beside the others
//! unless the table says `beside`.
//!
//! The gate trusts no engine. It must not know a ledger, a clock, a file.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::attack::{self, Report};
use super::cells::{self, Cells, Layout, Tree};
use super::suppress::rounding::Rounded;
use crate::fault::{Explain, Place};

/// What protects a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub enum Engine {
    /// Noise: a differentially private release.
    D,
    /// Exact counts, of which some are withheld.
    E,
    /// Noise by cell key, for analysts.
    K,
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Engine::D => "D (noise)",
            Engine::E => "E (exact, with suppression)",
            Engine::K => "K (cell key)",
        })
    }
}

/// A table that is to be released: what it counts, and by which codes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// What protects it.
    pub engine: Engine,
    /// What is counted: `ratings`, `dossiers`. Offers of the same name are over the same records.
    pub records: String,
    /// Its cells.
    pub layout: Layout,
}

/// Exact cells that the policy allows beside noisy ones, because the law or the rating system demands them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invariant {
    /// What is counted.
    pub records: String,
    /// The dimensions of the total, by name; all others stand at theirs.
    pub by: Vec<String>,
}

/// What the gate goes by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gate {
    /// The dimensions over which all offers are.
    pub trees: Vec<Tree>,
    /// Totals that may be exact beside noise.
    pub invariants: Vec<Invariant>,
    /// How far apart the bounds of a withheld cell must lie.
    pub interval_min: u64,
}

/// Everything of a period, as it may leave. Only [`Gate::admit`] makes one.
#[derive(Debug, Clone, PartialEq)]
pub struct Admitted {
    offers: Vec<Offer>,
    reports: Vec<(String, Report)>,
    invariants: Vec<Invariant>,
}

impl Admitted {
    /// The tables that may be released.
    pub fn offers(&self) -> &[Offer] {
        &self.offers
    }

    /// What the attacker found, by what is counted.
    pub fn reports(&self) -> &[(String, Report)] {
        &self.reports
    }

    /// The invariants that were needed: the metadata of the tables has to name them.
    pub fn invariants(&self) -> &[Invariant] {
        &self.invariants
    }
}

/// Why nothing of a period may leave.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Two engines over the same records.
    #[error("{first} by engine {one} and {second} by engine {other} would show cells of the same {records}")]
    TwoEngines {
        /// What is counted.
        records: String,
        /// A table.
        first: String,
        /// Its engine.
        one: Engine,
        /// Another table.
        second: String,
        /// Its engine.
        other: Engine,
    },
    /// An analyst's answer is to be published.
    #[error("the table {table} is protected by cell keys, which is no protection from the public")]
    NeverPublic {
        /// The table.
        table: String,
    },
    /// An exact table whose cells were not handed over for the attack.
    #[error("the exact table {table} of {records} cannot be attacked: its cells are not there")]
    NotAttacked {
        /// The table.
        table: String,
        /// What is counted.
        records: String,
    },
    /// The attacker knows too much.
    #[error("{cells} withheld cells of {records} could be bounded too narrowly, the first of them ({first})")]
    Narrow {
        /// What is counted.
        records: String,
        /// How many.
        cells: usize,
        /// The codes of one.
        first: String,
    },
    /// Offers that are not over the dimensions of the gate.
    #[error(transparent)]
    Cells(#[from] cells::Error),
}

impl Explain for Refused {
    fn code(&self) -> &'static str {
        match self {
            Refused::TwoEngines { .. } => "disclosure.two-engines",
            Refused::NeverPublic { .. } => "disclosure.never-public",
            Refused::NotAttacked { .. } => "disclosure.not-attacked",
            Refused::Narrow { .. } => "disclosure.too-narrow",
            Refused::Cells(error) => error.code(),
        }
    }

    fn place(&self) -> Place {
        match self {
            Refused::TwoEngines { second, .. } => Place::Thing(format!("released table {second}")),
            Refused::NeverPublic { table } | Refused::NotAttacked { table, .. } => {
                Place::Thing(format!("released table {table}"))
            }
            Refused::Narrow { records, .. } => Place::Thing(format!("released tables of {records}")),
            Refused::Cells(error) => error.place(),
        }
    }

    fn next(&self) -> String {
        match self {
            Refused::TwoEngines { .. } => {
                "release one of them, or name the total as an invariant in the privacy policy, which the tables then print"
            }
            Refused::NeverPublic { .. } => "release it by engine D or E",
            Refused::NotAttacked { .. } => "hand the cells of every exact table to the gate",
            Refused::Narrow { .. } => "withhold more cells, or publish by wider groups or longer periods",
            Refused::Cells(error) => return error.next(),
        }
        .into()
    }
}

impl Gate {
    /// Lets all offers of a period through, or none. `released` are the tables that have left before and are over
    /// records that these may share: an earlier month under a quarter, another edition. `exact` holds, for each kind of records that engine E releases, its
    /// decided cells, those of earlier releases with them.
    ///
    /// # Errors
    ///
    /// See [`Refused`].
    pub fn admit(
        &self,
        offers: Vec<Offer>,
        released: &[Offer],
        exact: &[(String, &Cells)],
    ) -> Result<Admitted, Refused> {
        let invariants = self.pairs(&offers, released)?;
        for offer in offers.iter().filter(|offer| offer.engine == Engine::E) {
            self.handed_over(offer, exact)?;
        }
        let mut reports = Vec::with_capacity(exact.len());
        for (records, cells) in exact {
            let report = attack::attack(cells, self.interval_min);
            if let Some(first) = report.narrow.first() {
                let (cells, first) = (report.narrow.len(), first.join(" "));
                return Err(Refused::Narrow { records: records.clone(), cells, first });
            }
            reports.push((records.clone(), report));
        }
        Ok(Admitted { offers, reports, invariants })
    }

    /// Lets exact tables through whose small counts were rounded, or none: nothing of them is withheld, and there is
    /// nothing to attack. `released` are as for [`Gate::admit`]; `rounded` holds all tables of each kind of records.
    ///
    /// # Errors
    ///
    /// See [`Refused`].
    pub fn admit_rounded(
        &self,
        offers: Vec<Offer>,
        released: &[Offer],
        rounded: &[(String, &Rounded)],
    ) -> Result<Admitted, Refused> {
        let invariants = self.pairs(&offers, released)?;
        for offer in offers.iter().filter(|offer| offer.engine == Engine::E) {
            let is_of_it = |(records, _): &&(String, &Rounded)| *records == offer.records;
            let is_there =
                rounded.iter().find(is_of_it).is_some_and(|(_, all)| all.tables.contains_key(&offer.layout.table));
            if !is_there {
                let (table, records) = (offer.layout.table.clone(), offer.records.clone());
                return Err(Refused::NotAttacked { table, records });
            }
        }
        let report = |(records, all): &(String, &Rounded)| {
            let published = all.tables.values().map(Vec::len).sum();
            (records.clone(), Report { published, ..Report::default() })
        };
        Ok(Admitted { offers, reports: rounded.iter().map(report).collect(), invariants })
    }

    /// The invariants that the offers need beside each other and beside what was released, whatever is counted in them:
    /// what a policy can be told before there is anything to release.
    ///
    /// # Errors
    ///
    /// See [`Refused`].
    pub fn pairs(&self, offers: &[Offer], released: &[Offer]) -> Result<Vec<Invariant>, Refused> {
        if let Some(offer) = offers.iter().find(|offer| offer.engine == Engine::K) {
            return Err(Refused::NeverPublic { table: offer.layout.table.clone() });
        }
        let mut invariants = Vec::new();
        for (place, second) in offers.iter().enumerate() {
            for first in released.iter().chain(offers.iter().take(place)) {
                if let Some(invariant) = self.pair(first, second)?
                    && !invariants.contains(invariant)
                {
                    invariants.push(invariant.clone());
                }
            }
        }
        Ok(invariants)
    }

    /// The invariant that two offers need, if any.
    fn pair(&self, first: &Offer, second: &Offer) -> Result<Option<&Invariant>, Refused> {
        if first.engine == second.engine || first.records != second.records || !self.overlap(first, second)? {
            return Ok(None);
        }
        let exact = if first.engine == Engine::E { first } else { second };
        let shown = exact.layout.nodes(&self.trees)?;
        let is_named = |invariant: &&Invariant| invariant.records == exact.records && self.allows(invariant, &shown);
        match self.invariants.iter().find(is_named) {
            Some(invariant) => Ok(Some(invariant)),
            None => Err(Refused::TwoEngines {
                records: first.records.clone(),
                first: first.layout.table.clone(),
                one: first.engine,
                second: second.layout.table.clone(),
                other: second.engine,
            }),
        }
    }

    /// Whether a cell of one and a cell of the other share records: in every dimension, a code of one is a code of the
    /// other, or stands above or below it.
    fn overlap(&self, first: &Offer, second: &Offer) -> Result<bool, Refused> {
        let (ours, theirs) = (first.layout.nodes(&self.trees)?, second.layout.nodes(&self.trees)?);
        let shares = |(tree, (ours, theirs)): (&Tree, (&Vec<u32>, &Vec<u32>))| {
            let touches = |one: &u32, other: &u32| tree.is_over(*one, *other) || tree.is_over(*other, *one);
            ours.iter().any(|one| theirs.iter().any(|other| touches(one, other)))
        };
        Ok(self.trees.iter().zip(ours.iter().zip(&theirs)).all(shares))
    }

    /// Every exact table is among the cells that are attacked, with all its cells.
    fn handed_over(&self, offer: &Offer, exact: &[(String, &Cells)]) -> Result<(), Refused> {
        let is_there = exact.iter().any(|(records, cells)| {
            *records == offer.records && cells.trees() == self.trees && cells.layouts().any(|own| *own == offer.layout)
        });
        let (table, records) = (offer.layout.table.clone(), offer.records.clone());
        if is_there { Ok(()) } else { Err(Refused::NotAttacked { table, records }) }
    }

    /// Whether all cells that are shown are totals that the invariant names. Of its own dimensions it allows any code.
    fn allows(&self, invariant: &Invariant, shown: &[Vec<u32>]) -> bool {
        self.trees.iter().zip(shown).all(|(tree, nodes)| {
            invariant.by.iter().any(|name| name == tree.name()) || nodes.iter().all(|node| *node == 0)
        })
    }
}
