//! What people decided about their dossiers: confirmed, postponed or refused, with the version that they were shown.
//!
//! The first decision of a dossier stands: whoever decides in a second window, or about a version that was replaced
//! meanwhile, is told so and nothing is written. What was confirmed is sealed beside the entry; the entry names the
//! fields that the person changed, never their values.

use std::path::Path;

use jiff::civil::Date;
use rusqlite::{OptionalExtension, Row, Transaction, params};
use serde_json::{Value, json};

use super::prepared::{DossierState, KeptDossier, forget, kept};
use super::said::Line;
use super::{Error, Ledger, append, beside};
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
        const DOING: &str = "write down a decision about a dossier";
        let shown = match &decision.act {
            DossierAct::Confirm { .. } => self.dossier(&decision.dossier)?.and_then(|known| known.sealed),
            _ => None,
        };
        let path = self.path().to_owned();
        let mut trouble = None;
        // A log that a reader keeps is emptied by the next one; a refusal is written over in the file.
        let taken = self.over(DOING, |ledger| {
            ledger.write_said(DOING, |transaction| {
                let sql = "select dossier, subject, obligation, item, due_on, state, version, basis, until, null, entry
                           from dossier where dossier = ?1";
                let row = transaction.query_row(sql, [&decision.dossier], kept).optional()?;
                let Some(known) = row else { return Ok(DecisionTaken::NoDossier) };
                if !known.state.is_open() {
                    return Ok(DecisionTaken::Before(known.state));
                }
                if known.version != decision.version {
                    return Ok(DecisionTaken::OtherVersion);
                }
                // It is there before it is journaled. Nobody else writes until this transaction ends, so that no
                // window keeps, or removes, what belongs to the decision of another.
                if let DossierAct::Confirm { sealed, .. } = &decision.act {
                    let parts = sealed.iter().chain(&shown).map(Vec::as_slice);
                    beside::keep(&path, &decision.dossier, parts).map_err(|source| {
                        let told = rusqlite::Error::ToSqlConversionFailure(source.to_string().into());
                        trouble = Some(source);
                        told
                    })?;
                }
                decide(transaction, decision, &known)?;
                Ok(DecisionTaken::Taken)
            })
        });
        let taken = match trouble {
            Some(source) => return Err(Error::Journal { path, source }),
            None => taken?,
        };
        if taken == DecisionTaken::Taken && matches!(decision.act, DossierAct::Decline) {
            // The decision stands, whatever becomes of what another window left behind: the next night removes it.
            let _ = self.forget_beside(std::slice::from_ref(&decision.dossier));
        }
        Ok(taken)
    }

    /// Removes from the second place what is left of dossiers of which nothing is to be kept.
    ///
    /// # Errors
    ///
    /// Where the ledger cannot be read, or something cannot be removed.
    pub fn tidy_beside(&self) -> Result<(), Error> {
        let mut gone = Vec::new();
        for dossier in beside::kept(self.path()) {
            let known = self.dossier(&dossier)?;
            let is_kept = known.is_none_or(|known| known.state.is_open() || known.state == DossierState::Confirmed);
            gone.extend((!is_kept).then_some(dossier));
        }
        if gone.is_empty() { Ok(()) } else { self.forget_beside(&gone) }
    }

    /// Removes what is kept of dossiers in the second place.
    pub(super) fn forget_beside(&self, dossiers: &[String]) -> Result<(), Error> {
        beside::forget(self.path(), dossiers).map_err(|source| Error::Journal { path: self.path().to_owned(), source })
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
        let sql = "select dossier, subject, obligation, item, due_on, state, version, basis, until, sealed, entry
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

fn decide(transaction: &Transaction<'_>, decision: &Decision, known: &KeptDossier) -> rusqlite::Result<()> {
    let state = decision.act.state();
    let entry = append(transaction, "-", DECIDED, &decision.dossier, &body(decision, state, known))?;
    match &decision.act {
        DossierAct::Confirm { sealed, .. } => {
            put_confirmed(transaction, &decision.dossier, sealed, entry)?;
            set(transaction, &decision.dossier, state, None, entry)
        }
        DossierAct::Postpone { until } => set(transaction, &decision.dossier, state, Some(&until.to_string()), entry),
        DossierAct::Decline => forget(transaction, &decision.dossier, state, entry),
    }
}

fn put_confirmed(transaction: &Transaction<'_>, dossier: &str, sealed: &[Vec<u8>], entry: i64) -> rusqlite::Result<()> {
    let put = "insert into dossier_confirmed (dossier, place, sealed, entry) values (?1, ?2, ?3, ?4)";
    for (place, sealed) in (0_i64..).zip(sealed) {
        transaction.prepare_cached(put)?.execute(params![dossier, place, sealed, entry])?;
    }
    Ok(())
}

fn set(
    transaction: &Transaction<'_>,
    dossier: &str,
    state: DossierState,
    until: Option<&str>,
    entry: i64,
) -> rusqlite::Result<()> {
    let sql = "update dossier set state = ?2, until = ?3, entry = ?4 where dossier = ?1";
    transaction.prepare_cached(sql)?.execute(params![dossier, state.word(), until, entry]).map(drop)
}

/// Takes over from the journal what a person decided, unless it is known. The ledger may be so old that it does not know
/// the dossier: then it learns whose it was. What was confirmed comes from the second place; where it is not there, the
/// entry says that it was lost.
pub(super) fn take_over(transaction: &Transaction<'_>, line: &Line, journal: &Path) -> rusqlite::Result<bool> {
    let dossier = line.key.as_str();
    let sql = "select state, version, until from dossier where dossier = ?1";
    let row = |row: &Row<'_>| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get(2)?));
    let known: Option<(String, String, Option<String>)> =
        transaction.prepare_cached(sql)?.query_row([dossier], row).optional()?;
    let state = line.text("state").and_then(DossierState::from_word);
    let (Some(state), Some(version)) = (state, line.text("version")) else { return Ok(false) };
    let until = line.text("until");
    let is_known = match &known {
        // That it was put off says nothing of a dossier that is not there: it is prepared anew.
        None => state == DossierState::Postponed || line.body.get("whose").is_none(),
        Some((known, _, known_until)) => {
            let is_open = DossierState::from_word(known).is_some_and(DossierState::is_open);
            !is_open || (*known == state.word() && known_until.as_deref() == until)
        }
    };
    if is_known {
        return Ok(false);
    }
    let mut body = line.body.clone();
    let mut parts = Vec::new();
    if state == DossierState::Confirmed {
        let digests = body.get("confirmed").and_then(Value::as_array).cloned().unwrap_or_default();
        let found: Option<Vec<Vec<u8>>> =
            digests.iter().map(|digest| beside::part(journal, dossier, digest.as_str()?)).collect();
        if found.is_none()
            && let Some(body) = body.as_object_mut()
        {
            body.insert("confirmed".into(), json!([]));
            body.insert("lost".into(), digests.into());
        }
        parts = found.unwrap_or_default();
    }
    if let Some(body) = body.as_object_mut() {
        body.insert("restored".into(), true.into());
    }
    let entry = append(transaction, &line.run, DECIDED, dossier, &body)?;
    if known.is_none() {
        put_unknown(transaction, line, version, entry)?;
    }
    match state {
        DossierState::Postponed => set(transaction, dossier, state, until, entry)?,
        DossierState::Confirmed => {
            put_confirmed(transaction, dossier, &parts, entry)?;
            set(transaction, dossier, state, None, entry)?;
            if known.is_none_or(|(_, known, _)| known != version) {
                let shown = beside::part(journal, dossier, version);
                let sql = "update dossier set version = ?2, sealed = ?3 where dossier = ?1";
                transaction.prepare_cached(sql)?.execute(params![dossier, version, shown])?;
            }
        }
        _ => forget(transaction, dossier, state, entry)?,
    }
    Ok(true)
}

/// A dossier of which the ledger knows nothing, as its decision tells of it.
fn put_unknown(transaction: &Transaction<'_>, line: &Line, version: &str, entry: i64) -> rusqlite::Result<()> {
    let of = |name: &str| {
        line.body.get("whose").and_then(|whose| whose.get(name)).and_then(Value::as_str).unwrap_or_default()
    };
    let sql = "insert into dossier (dossier, subject, obligation, item, due_on, state, version, basis, entry)
               values (?1, ?2, ?3, ?4, ?5, 'prepared', ?6, ?7, ?8)";
    let row = params![line.key, of("subject"), of("obligation"), of("item"), of("due_on"), version, of("basis"), entry];
    transaction.prepare_cached(sql)?.execute(row).map(drop)
}

fn body(decision: &Decision, state: DossierState, known: &KeptDossier) -> Value {
    // Whose it is stands in the entry too: a ledger that is older than the dossier learns it from the journal.
    let whose = json!({
        "basis": known.basis,
        "due_on": known.due_on.to_string(),
        "item": known.item,
        "obligation": known.obligation,
        "subject": known.subject,
    });
    let mut body =
        json!({ "whose": whose, "on": decision.on.to_string(), "state": state.word(), "version": decision.version });
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
