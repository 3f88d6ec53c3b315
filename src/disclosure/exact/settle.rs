//! All tables of a month that hang together, protected and attacked as one; who stands in the way is held.

use std::collections::BTreeMap;

use super::super::cells::{Cube, Earlier, Layout, Status};
use super::super::gate::{Admitted, Engine, Gate, Offer, Refused};
use super::super::suppress::{Rules, protect, rounding};
use super::{by_codes, table_of};
use crate::fault::{Explain, Fault};

/// A table that would leave, with its cells: a layout for each way in which it counts.
pub(super) struct Candidate {
    pub table: String,
    pub layouts: Vec<Layout>,
}

/// What may leave.
pub(super) struct Settled {
    /// The places of the candidates that may.
    pub kept: Vec<usize>,
    /// Their cells, and those of earlier releases.
    pub cells: BTreeMap<Vec<String>, Earlier>,
    pub admitted: Admitted,
}

/// What the tables are protected by.
pub(super) struct Way<'a> {
    /// What is counted, as the gate calls it.
    pub records: &'a str,
    pub rules: &'a Rules,
    pub rounding: Option<u64>,
    pub gate: &'a Gate,
    /// Noisy tables of the same period, which have left or may leave.
    pub noisy: &'a [Offer],
    /// Cells of tables that were decided before.
    pub earlier: &'a [Earlier],
}

/// Settles the candidates; those that are held are taken out one by one, the last first unless the gate names one.
pub(super) fn settle(cube: &Cube, candidates: &[Candidate], way: &Way<'_>) -> (Option<Settled>, Vec<(usize, Fault)>) {
    let mut kept: Vec<usize> = (0..candidates.len()).collect();
    let mut held = Vec::new();
    while let Some(last) = kept.last().copied() {
        let tables: Vec<&Candidate> = kept.iter().filter_map(|place| candidates.get(*place)).collect();
        let layouts: Vec<Layout> = tables.iter().flat_map(|table| table.layouts.clone()).collect();
        let refused = match try_all(cube, &layouts, way) {
            Ok((cells, admitted)) => return (Some(Settled { kept, cells, admitted }), held),
            Err(refused) => refused,
        };
        let (named, fault) = *refused;
        let is_named = |place: &usize| candidates.get(*place).is_some_and(|table| Some(&table.table) == named.as_ref());
        let out = kept.iter().copied().find(is_named).unwrap_or(last);
        kept.retain(|place| *place != out);
        held.push((out, fault));
    }
    held.sort_by_key(|(place, _)| *place);
    (None, held)
}

/// The table that stands in the way, if one is known, and why.
type InTheWay = (Option<String>, Fault);

type Found = (BTreeMap<Vec<String>, Earlier>, Admitted);

/// The cells of all tables, admitted.
fn try_all(cube: &Cube, layouts: &[Layout], way: &Way<'_>) -> Result<Found, Box<InTheWay>> {
    let offer = |layout: &Layout| Offer { engine: Engine::E, records: way.records.to_owned(), layout: layout.clone() };
    let offers: Vec<Offer> = layouts.iter().map(offer).collect();
    let refused = |error: Refused| Box::new((named(&error), error.fault()));
    if let Some(base) = way.rounding {
        let rounded = rounding::round(cube, layouts, base).map_err(|error| Box::new((None, error.fault())))?;
        let handed = [(way.records.to_owned(), &rounded)];
        let admitted = way.gate.admit_rounded(offers, way.noisy, &handed).map_err(refused)?;
        let cell = |(at, count): (Vec<String>, u64)| {
            (at.clone(), Earlier { at, status: Status::Published, count: Some(count) })
        };
        return Ok((rounded.tables.into_values().flatten().map(cell).collect(), admitted));
    }
    let cells = protect(cube, layouts, way.earlier, way.rules).map_err(|error| Box::new((None, error.fault())))?;
    let admitted = way.gate.admit(offers, way.noisy, &[(way.records.to_owned(), &cells)]).map_err(refused)?;
    Ok((by_codes(&cells), admitted))
}

/// The exact table that a refusal is about.
fn named(error: &Refused) -> Option<String> {
    match error {
        Refused::TwoEngines { second, other: Engine::E, .. } => Some(table_of(second).to_owned()),
        Refused::TwoEngines { first, one: Engine::E, .. } => Some(table_of(first).to_owned()),
        Refused::NotAttacked { table, .. } => Some(table_of(table).to_owned()),
        _ => None,
    }
}
