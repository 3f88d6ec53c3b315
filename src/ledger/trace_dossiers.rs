//! What the ledger holds about the dossiers and recommendations of one person: how they stand and what happened to them,
//! and no value of anybody.

use rusqlite::Row;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::mentions::Finder;
use super::trace::{Told, Traced, is_of};
use super::{Error, Ledger, outbox, submissions};

/// A prepared dossier, how it stands and what happened to it: prepared, decided, handed in, its statuses.
#[derive(Debug, Clone, Serialize)]
pub struct TracedDossier {
    /// Its number.
    pub dossier: String,
    /// The key of its obligation.
    pub obligation: String,
    /// The item.
    pub item: String,
    /// The obligation's day.
    pub due_on: String,
    /// How it stands, as the ledger says it.
    pub state: String,
    /// Until when the person put it off.
    pub until: Option<String>,
    /// What happened to it, the oldest first: no value of it.
    pub events: Vec<Told>,
}

/// A recommendation: which way, and whether a letter said so.
#[derive(Debug, Clone, Serialize)]
pub struct TracedRecommendation {
    /// The night.
    pub night: String,
    /// The key of the obligation.
    pub obligation: String,
    /// The outcome.
    pub outcome: String,
    /// The word of the way; none where no way was without harm.
    pub recommended: Option<String>,
    /// SHA-256 of the explanation in both languages.
    pub explained: String,
    /// Whether what was weighed is still kept, sealed.
    pub is_kept: bool,
    /// The message of that night in which it stood.
    pub shown_in: Option<String>,
}

impl Ledger {
    /// Adds the dossiers that were prepared for an obligation, with what happened to each.
    pub(super) fn add_dossiers(&self, finder: &Finder<'_>, traced: &mut Traced, obligation: &str) -> Result<(), Error> {
        let failed = |source| self.failed("read the dossiers of a person", source);
        if !self.has_table("dossier")? {
            return Ok(());
        }
        let sql = "select dossier, obligation, item, due_on, state, until from dossier
                   where obligation = ?1 and subject = ?2 order by entry, dossier";
        let mut select = self.connection.prepare_cached(sql).map_err(failed)?;
        let row = |row: &Row<'_>| {
            Ok(TracedDossier {
                dossier: row.get(0)?,
                obligation: row.get(1)?,
                item: row.get(2)?,
                due_on: row.get(3)?,
                state: row.get(4)?,
                until: row.get(5)?,
                events: Vec::new(),
            })
        };
        let rows = select.query_map([obligation, &traced.subject], row).map_err(failed)?;
        let mut found: Vec<TracedDossier> = rows.collect::<Result<_, _>>().map_err(failed)?;
        for one in &mut found {
            let number = one.dossier.as_str();
            one.events = self.told(finder.entries(number)?, |line| is_of(line, number))?;
            one.events.retain(|told| told.kind.starts_with("dossier") || told.kind.starts_with(submissions::KINDS));
        }
        traced.dossiers.extend(found);
        Ok(())
    }

    /// Adds what was recommended about an obligation, and in which message it stood.
    pub(super) fn add_recommendations(&self, traced: &mut Traced, obligation: &str) -> Result<(), Error> {
        const MOST: usize = 50;
        for kept in self.recommendations_like(obligation, MOST)? {
            let night = kept.night.to_string();
            let is_of_night = |told: &Told| told.kind == outbox::RECORDED && told.run.starts_with(&night);
            let mut messages = traced.messages.iter().filter(|message| message.obligation == obligation);
            let shown_in = messages.find(|message| message.events.iter().any(is_of_night));
            traced.recommendations.push(TracedRecommendation {
                shown_in: shown_in.map(|message| message.key.clone()),
                night,
                obligation: kept.obligation,
                outcome: kept.outcome,
                recommended: kept.recommended,
                explained: kept.explained,
                is_kept: kept.sealed.is_some(),
            });
        }
        Ok(())
    }
}

/// What an entry about many dossiers says of each: that it was prepared, of which day and version and by which form, or
/// how it came to its end.
pub(super) fn dossier_lines(body: &Map<String, Value>) -> Vec<Value> {
    let line = |dossier: &Value| match dossier {
        Value::Array(cells) => {
            let cell = |at: usize| cells.get(at).cloned().unwrap_or_default();
            json!({ "basis": body.get("basis"), "due_on": cell(3), "of": cell(0), "version": cell(4) })
        }
        dossier => json!({ "account": body.get("account"), "of": dossier, "state": body.get("state") }),
    };
    body.get("dossiers").and_then(Value::as_array).into_iter().flatten().map(line).collect()
}
