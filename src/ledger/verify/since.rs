//! What a run verifies before it begins: a small ledger from its first entry, a large one from where it was verified
//! last.
//!
//! After a year of nights everything takes minutes. Since the checkpoint is verified: number, link and hash of every
//! entry, the definitions of the tables, the noted head, and the rows of the messages that these entries speak of. That
//! an earlier entry or row was changed is found by [`verify`](super::verify), which is asked once a week after a night.

use std::path::Path;

use super::super::Ledger;
use super::super::checkpoint::{self, Checkpoint, Noted};
use super::{Error, NEXT, Projection, Verified, anchor_fault, definition_faults, verify, walk};
use crate::fault::{Fault, Place};
use crate::personal::{PseudonymKey, hex};

/// What a run found before it began.
#[derive(Debug)]
pub struct Before {
    /// What was verified.
    pub verified: Verified,
    /// Since where; none where it was everything.
    pub since: Option<Checkpoint>,
}

/// Verifies the ledger in `state` before a run: everything where it has no more than `whole_bytes` or nothing was noted,
/// and otherwise what was added since.
///
/// # Errors
///
/// Where there is no ledger, or it cannot be opened.
pub fn verify_before_run(state: &Path, key: Option<&PseudonymKey>, whole_bytes: u64) -> Result<Before, Error> {
    let whole = || verify(state).map(|verified| Before { verified, since: None });
    let path = state.join("ledger.sqlite");
    let is_small = std::fs::metadata(&path).is_ok_and(|file| file.len() <= whole_bytes);
    let Some(key) = key.filter(|_| !is_small) else { return whole() };
    match checkpoint::read(&path, key) {
        Noted::Nothing => whole(),
        Noted::Until(checkpoint) => since(state, checkpoint),
        Noted::Forged => {
            let mut before = whole()?;
            let what = "how far it was verified, noted in ledger.head, was changed";
            before.verified.faults.push(Fault::new("ledger.broken", Place::file(&path), what, NEXT));
            Ok(before)
        }
    }
}

fn since(state: &Path, checkpoint: Checkpoint) -> Result<Before, Error> {
    let ledger = Ledger::read(state)?;
    let snapshot = ledger.connection.unchecked_transaction();
    let mut said: Vec<String> = Vec::new();
    if let Err(error) = &snapshot {
        said.push(format!("the file cannot be read as it is at one moment: {error}"));
    }
    let Ok(hash) = hash_of(&ledger, checkpoint.head.seq) else {
        // Nothing follows from it: what is wrong is named by looking at everything.
        drop(snapshot);
        let mut verified = verify(state)?;
        let what = format!("entry {}, until which it was verified, cannot be read", checkpoint.head.seq);
        verified.faults.push(Fault::new("ledger.broken", Place::file(ledger.path()), what, NEXT));
        return Ok(Before { verified, since: None });
    };
    if hex(&hash) != checkpoint.head.hash {
        said.push(format!("entry {} is not the one until which it was verified", checkpoint.head.seq));
    }
    let mut tables = Projection::default();
    let (head, entries) = walk(&ledger, (checkpoint.head.seq, hash), &mut tables, &mut |what| said.push(what));
    said.extend(definition_faults(&ledger, &tables));
    said.extend(tables.messages.touched(&ledger));
    said.extend(anchor_fault(&ledger, &head));
    let fault = |what: String| Fault::new("ledger.broken", Place::file(ledger.path()), what, NEXT);
    let faults = said.into_iter().map(fault).collect();
    Ok(Before { verified: Verified { head, entries, faults }, since: Some(checkpoint) })
}

fn hash_of(ledger: &Ledger, seq: i64) -> rusqlite::Result<Vec<u8>> {
    if seq == 0 {
        return Ok(vec![0; 32]);
    }
    ledger.connection.query_row("select hash from entry where seq = ?1", [seq], |row| row.get(0))
}
