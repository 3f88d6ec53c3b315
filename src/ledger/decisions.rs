//! What people decided about their dossiers: confirmed, postponed or refused, with the version that they were shown.
//!
//! The first decision of a dossier stands: whoever decides in a second window, or about a version that was replaced
//! meanwhile, is told so and nothing is written. What was confirmed is sealed beside the entry; the entry names the
//! fields that the person changed, never their values.

use jiff::civil::Date;
use rusqlite::{OptionalExtension, params};
use serde_json::{Value, json};

use super::prepared::{DossierState, KeptDossier, forget, kept};
use super::{Error, Ledger, append};
use crate::personal::sha256;

/// The kind of its entries.
pub(super) const DECIDED: &str = "dossier.decided";

/// What a person decided.
#[derive(Debug, Clone)]
pub struct Decision {
    /// The dossier.
    pub dossier: String,
    /// SHA-256 of what the person was shown.
    pub version: String,
    /// What they decided.
    pub act: DossierAct,
    /// The day, in Vietnam.
    pub on: Date,
}

/// What can be decided.
#[derive(Debug, Clone)]
pub enum DossierAct {
    /// To hand it in.
    Confirm {
        /// The confirmed dossier, sealed under [`confirmed_name`] with place 0; then its files, with their places.
        sealed: Vec<Vec<u8>>,
        /// The fields that the person changed.
        changed: Vec<String>,
    },
    /// To decide later.
    Postpone {
        /// When they mean to.
        until: Date,
    },
    /// Not to hand it in: what was prepared is erased.
    Decline,
}

impl DossierAct {
    fn state(&self) -> DossierState {
        match self {
            DossierAct::Confirm { .. } => DossierState::Confirmed,
            DossierAct::Postpone { .. } => DossierState::Postponed,
            DossierAct::Decline => DossierState::Declined,
        }
    }
}

/// A dossier that was confirmed, with what is kept of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfirmedDossier {
    /// How it stands.
    pub dossier: KeptDossier,
    /// What was confirmed, sealed under [`confirmed_name`] by place: the dossier, then its files.
    pub parts: Vec<Vec<u8>>,
}

/// What became of a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecisionTaken {
    /// It is written down.
    Taken,
    /// Somebody decided before.
    Before(DossierState),
    /// What was shown has been replaced by what registers say now: it must be looked at again.
    OtherVersion,
    /// There is no such dossier.
    NoDossier,
}

/// The name under which a part of a confirmed dossier is sealed: the dossier itself at place 0, its files after it.
pub fn confirmed_name(dossier: &str, place: usize) -> String {
    format!("confirmed dossier {dossier} {place}")
}

impl Ledger {
    /// Writes down what a person decided, where nobody decided before and the version is still the one that they saw.
    ///
    /// # Errors
    ///
    /// Where the ledger cannot be written.
    pub fn decide_dossier(&mut self, decision: &Decision) -> Result<DecisionTaken, Error> {
        // A log that a reader keeps is emptied by the next one; a refusal is written over in the file.
        self.write_over("write down a decision about a dossier", |transaction| {
            let sql = "select state, version from dossier where dossier = ?1";
            let row = transaction
                .query_row(sql, [&decision.dossier], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)));
            let Some((state, version)) = row.optional()? else { return Ok(DecisionTaken::NoDossier) };
            match DossierState::from_word(&state) {
                Some(state) if state.is_open() => {}
                Some(state) => return Ok(DecisionTaken::Before(state)),
                None => return Ok(DecisionTaken::NoDossier),
            }
            if version != decision.version {
                return Ok(DecisionTaken::OtherVersion);
            }
            let state = decision.act.state();
            let entry = append(transaction, "-", DECIDED, &decision.dossier, &body(decision, state))?;
            match &decision.act {
                DossierAct::Confirm { sealed, .. } => {
                    let put = "insert into dossier_confirmed (dossier, place, sealed, entry) values (?1, ?2, ?3, ?4)";
                    for (place, sealed) in (0_i64..).zip(sealed) {
                        transaction.prepare_cached(put)?.execute(params![decision.dossier, place, sealed, entry])?;
                    }
                    set(transaction, &decision.dossier, state, None, entry)?;
                }
                DossierAct::Postpone { until } => set(transaction, &decision.dossier, state, Some(*until), entry)?,
                DossierAct::Decline => forget(transaction, &decision.dossier, state, entry)?,
            }
            Ok(DecisionTaken::Taken)
        })
    }

    /// The confirmed dossiers that were decided since an entry, each with its parts as they are sealed: the dossier,
    /// then its files. In the order of their decisions.
    ///
    /// # Errors
    ///
    /// Where the ledger cannot be read.
    pub fn confirmed_dossiers(&self, after: i64) -> Result<Vec<ConfirmedDossier>, Error> {
        let failed = |source| self.failed("read confirmed dossiers", source);
        if !self.has_table("dossier_confirmed")? {
            return Ok(Vec::new());
        }
        let sql = "select dossier, subject, obligation, item, due_on, state, version, basis, until, sealed
                   from dossier where state = 'confirmed' and entry > ?1 order by entry";
        let mut select = self.connection.prepare(sql).map_err(failed)?;
        let rows = select.query_map([after], kept).map_err(failed)?;
        let rows: Vec<KeptDossier> = rows.collect::<Result<_, _>>().map_err(failed)?;
        let mut found = Vec::with_capacity(rows.len());
        for row in rows {
            let parts = self.confirmed_parts(&row.dossier)?;
            found.push(ConfirmedDossier { dossier: row, parts });
        }
        Ok(found)
    }

    /// The parts of a confirmed dossier as they are sealed: the dossier, then its files. None of them where it is no
    /// longer kept.
    ///
    /// # Errors
    ///
    /// Where the ledger cannot be read.
    pub fn confirmed_parts(&self, dossier: &str) -> Result<Vec<Vec<u8>>, Error> {
        let failed = |source| self.failed("read a confirmed dossier", source);
        let sql = "select sealed from dossier_confirmed where dossier = ?1 order by place";
        let mut select = self.connection.prepare_cached(sql).map_err(failed)?;
        let parts = select.query_map([dossier], |part| part.get(0)).map_err(failed)?;
        parts.collect::<Result<_, _>>().map_err(failed)
    }
}

fn set(
    transaction: &rusqlite::Transaction<'_>,
    dossier: &str,
    state: DossierState,
    until: Option<Date>,
    entry: i64,
) -> rusqlite::Result<()> {
    let sql = "update dossier set state = ?2, until = ?3, entry = ?4 where dossier = ?1";
    let until = until.map(|until| until.to_string());
    transaction.prepare_cached(sql)?.execute(params![dossier, state.word(), until, entry]).map(drop)
}

fn body(decision: &Decision, state: DossierState) -> Value {
    let mut body = json!({ "on": decision.on.to_string(), "state": state.word(), "version": decision.version });
    let more = match &decision.act {
        DossierAct::Confirm { sealed, changed } => {
            let digests: Vec<String> = sealed.iter().map(|part| sha256(part)).collect();
            json!({ "changed": changed, "confirmed": digests })
        }
        DossierAct::Postpone { until } => json!({ "until": until.to_string() }),
        DossierAct::Decline => json!({}),
    };
    if let (Some(body), Value::Object(more)) = (body.as_object_mut(), more) {
        body.extend(more);
    }
    body
}
