//! Confirmed dossiers that have not left: which may leave, which a clerk has to look at first, which their persons take
//! back.
//!
//! What a person confirmed is never dropped in silence. A dossier whose duty is done meanwhile, or whose person has died,
//! is held with an entry that says why; when the reason is gone it may leave again, and a clerk may let it leave all the
//! same, or withdraw it. Until it leaves, its person may take the decision back: it stands then as it was prepared.

use std::collections::HashMap;

use jiff::civil::Date;
use rusqlite::{OptionalExtension, Row, Transaction, params};
use serde_json::{Value, json};

use super::prepared::DossierState;
use super::said::Line;
use super::submissions::{Departure, Stage, Submission, announce, step};
use super::{Error, Ledger, append, beside, one_row};
use crate::obligations::life::State;

/// The kind of the entry by which a person takes a decision back.
pub(super) const TAKEN_BACK: &str = "dossier.taken_back";

/// The kind of the entry by which decisions are listed for the owners of registers, and the row of `mark` that says how
/// far.
const LISTED: &str = "dossiers.listed";

/// Why a confirmed dossier is not handed in before a clerk has looked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Objection {
    /// The duty is done, by what a register says.
    Fulfilled,
    /// Registers no longer say that there is anything to do.
    Withdrawn,
    /// The person has died.
    Deceased,
    /// The code of its procedure has no source, or is another by now: no portal takes it under that code.
    Unsourced,
}

impl Objection {
    const WORDS: [(&'static str, Objection); 4] = [
        ("obligation.fulfilled", Objection::Fulfilled),
        ("obligation.withdrawn", Objection::Withdrawn),
        ("person.deceased", Objection::Deceased),
        ("procedure.unsourced", Objection::Unsourced),
    ];

    /// The word in the ledger.
    pub fn word(self) -> &'static str {
        Self::WORDS.iter().find(|(_, known)| *known == self).map_or("?", |(word, _)| word)
    }

    /// From the word in the ledger.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::WORDS.iter().find(|(known, _)| *known == word).map(|(_, found)| *found)
    }
}

/// A confirmed dossier that has not left. No person is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitingDossier {
    /// The dossier's own random number.
    pub dossier: String,
    /// The item whose form it is.
    pub item: String,
    /// The key of the obligation that it answers.
    pub obligation: String,
    /// The keyed pseudonym of the person.
    pub subject: String,
    /// The obligation's day.
    pub due_on: Date,
    /// The name of what it shares with others of its night: its form, and where its columns come from.
    pub basis: String,
    /// The entry of the decision.
    pub decision: i64,
    /// The day of the decision, in Vietnam.
    pub decided_on: Option<Date>,
    /// How far it has come; none where nothing was tried.
    pub stage: Option<Stage>,
    /// Its number at the portal, where it has one: then the portal may have the dossier.
    pub number: Option<String>,
    /// Why it was refused or held, also where a clerk has let it leave all the same.
    pub code: Option<String>,
    /// How its obligation stands; none where the ledger does not know it.
    pub state: Option<State>,
    /// Whether it was written on paper since it was confirmed.
    pub is_printed: bool,
}

impl WaitingDossier {
    /// What speaks against handing it in by how its obligation stands.
    pub fn objection(&self) -> Option<Objection> {
        let found = match self.state {
            Some(State::Fulfilled) => Objection::Fulfilled,
            Some(State::Withdrawn) => Objection::Withdrawn,
            // Too late is still better than not at all.
            Some(State::Open | State::Lapsed) | None => return None,
        };
        Some(found).filter(|found| self.can_be_held_for(*found))
    }

    /// Whether it can be held for this: not where the portal or the agency may have it, nor where a clerk knows of it.
    pub fn can_be_held_for(&self, objection: Objection) -> bool {
        // Under a code that nobody found a source for it goes to no portal, whatever a clerk says: it goes on paper.
        if objection == Objection::Unsourced {
            return self.number.is_none() && self.stage != Some(Stage::Refused);
        }
        let is_here = self.number.is_none() && !self.is_printed && self.stage != Some(Stage::Refused);
        is_here && (self.stage == Some(Stage::Held) || self.code.as_deref() != Some(objection.word()))
    }

    /// Why it is held; none where it is not.
    pub fn held_for(&self) -> Option<Objection> {
        self.code.as_deref().and_then(Objection::from_word).filter(|_| self.stage == Some(Stage::Held))
    }

    /// Whether it may be written on paper: what no portal takes can be taken to whoever decides.
    pub fn may_be_printed(&self) -> bool {
        self.may_leave() || (self.held_for() == Some(Objection::Unsourced) && self.objection().is_none())
    }

    /// Whether it is to be handed in now.
    pub fn may_leave(&self) -> bool {
        !matches!(self.stage, Some(Stage::Held | Stage::Refused)) && self.objection().is_none()
    }
}

/// What became of the wish to take a decision back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TakenBack {
    /// Nothing leaves: the dossier is prepared, as before.
    Done,
    /// It has left, or is leaving.
    HasLeft,
    /// There is nothing to take back: it is not confirmed, or another version is.
    NotConfirmed,
}

/// The word in the ledger for why a dossier does not leave that a clerk withdrew.
const WITHDRAWN: &str = "clerk.withdrawn";

/// What became of a clerk's wish to withdraw a dossier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Withdrawal {
    /// It is withdrawn.
    Done,
    /// It was withdrawn before.
    Before,
    /// It has left, or is leaving: whoever has it can stop it there.
    HasLeft,
    /// No such dossier is confirmed.
    NotConfirmed,
}

impl Ledger {
    /// The confirmed dossiers that have not left, in the order of their decisions.
    ///
    /// # Errors
    ///
    /// Where the ledger cannot be read.
    pub fn waiting_dossiers(&self) -> Result<Vec<WaitingDossier>, Error> {
        self.waiting_where("true", None)
    }

    /// A confirmed dossier that has not left; none where there is no such one.
    ///
    /// # Errors
    ///
    /// Where the ledger cannot be read.
    pub fn waiting_dossier(&self, dossier: &str) -> Result<Option<WaitingDossier>, Error> {
        Ok(self.waiting_where("dossier.dossier = ?1", Some(dossier))?.pop())
    }

    fn waiting_where(&self, which: &'static str, dossier: Option<&str>) -> Result<Vec<WaitingDossier>, Error> {
        let failed = |source| self.failed("read which dossiers are to leave", source);
        if !self.has_table("dossier")? || !self.has_table("submission")? {
            return Ok(Vec::new());
        }
        let sql = format!(
            "select dossier.dossier, dossier.item, dossier.obligation, dossier.subject, dossier.due_on,
                 dossier.entry, entry.body ->> 'on', submission.stage, submission.number, submission.code,
                 obligation.state, dossier.basis
             from dossier join entry on entry.seq = dossier.entry
                 left join submission on submission.dossier = dossier.dossier
                 left join obligation on obligation.item = dossier.item and obligation.key = dossier.obligation
             where dossier.state = 'confirmed' and {which}
                 and (submission.stage is null or submission.stage not in ('filed', 'ended', 'withdrawn'))
             order by dossier.entry, dossier.dossier"
        );
        let mut select = self.connection.prepare(&sql).map_err(failed)?;
        let rows = select.query_map(rusqlite::params_from_iter(dossier), waiting);
        let mut found: Vec<WaitingDossier> = rows.and_then(Iterator::collect).map_err(failed)?;
        let Some(oldest) = found.first().map(|first| first.decision) else { return Ok(found) };
        let sql = "select key, seq from entry where seq > ?1 and kind = 'submission.printed'";
        let mut select = self.connection.prepare(sql).map_err(failed)?;
        let rows = select.query_map([oldest], |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?)));
        let printed: HashMap<String, i64> = rows.and_then(Iterator::collect).map_err(failed)?;
        for one in &mut found {
            one.is_printed = printed.get(&one.dossier).is_some_and(|seq| *seq > one.decision);
        }
        Ok(found)
    }

    /// The confirmed dossiers that are to be handed in now, in the order of their decisions.
    ///
    /// # Errors
    ///
    /// Where the ledger cannot be read.
    pub fn dossiers_to_leave(&self) -> Result<Vec<WaitingDossier>, Error> {
        let mut waiting = self.waiting_dossiers()?;
        waiting.retain(WaitingDossier::may_leave);
        Ok(waiting)
    }

    /// Holds a confirmed dossier until a clerk has looked, or the reason is gone.
    ///
    /// # Errors
    ///
    /// Where the ledger cannot be written, or the portal may have the dossier.
    pub fn hold_dossier(&mut self, run: &str, waiting: &WaitingDossier, objection: Objection) -> Result<(), Error> {
        self.write_said("hold a dossier", |transaction| {
            let WaitingDossier { dossier, item, obligation, subject, .. } = waiting;
            let (due_on, code) = (waiting.due_on.to_string(), objection.word());
            let body = json!({
                "code": code, "due_on": due_on, "item": item, "obligation": obligation, "subject": subject
            });
            step(transaction, (run, "submission.held", dossier), &body, None)
        })
    }

    /// Lets a dossier that was held leave, because the reason is gone; false where it is not held.
    ///
    /// # Errors
    ///
    /// Where the ledger cannot be written.
    pub fn release_dossier(&mut self, run: &str, dossier: &str) -> Result<bool, Error> {
        self.write_said("let a dossier leave", |transaction| {
            let sql = "select 1 from submission where dossier = ?1 and stage = 'held'";
            if !transaction.prepare_cached(sql)?.exists([dossier])? {
                return Ok(false);
            }
            step(transaction, (run, "submission.released", dossier), &json!({}), None)?;
            Ok(true)
        })
    }

    /// Up to which entry the decisions are listed for the owners of registers; 0 where none is.
    ///
    /// # Errors
    ///
    /// Where the ledger cannot be read.
    pub fn listed_until(&self) -> Result<i64, Error> {
        let sql = "select bytes from mark where name = ?1";
        let row = self.connection.query_row(sql, [LISTED], |row| row.get(0)).optional();
        Ok(row.map_err(|source| self.failed("read which decisions are listed", source))?.unwrap_or(0))
    }

    /// Records that the decisions up to an entry are in lists for the owners of registers, with the names of the lists.
    ///
    /// # Errors
    ///
    /// Where the ledger cannot be written.
    pub fn dossiers_listed(&mut self, run: &str, until: i64, lists: &[String]) -> Result<(), Error> {
        self.write("record which decisions are listed", |transaction| {
            append(transaction, run, LISTED, "discrepancies", &json!({ "lists": lists, "until": until }))?;
            let sql = "insert into mark (name, bytes) values (?1, ?2) on conflict (name) do update set bytes = ?2";
            transaction.prepare_cached(sql)?.execute(params![LISTED, until]).map(drop)
        })
    }

    /// Records that a dossier is about to leave as it was decided in this entry; false where the person has taken that
    /// decision back meanwhile. After this the portal may have it, whatever happens, and nobody takes it back.
    ///
    /// # Errors
    ///
    /// As [`Ledger::announce_submission`].
    pub fn announce_decided(&mut self, run: &str, departure: &Departure, decision: i64) -> Result<bool, Error> {
        self.write_said("record that a dossier leaves", |transaction| {
            let sql = "select 1 from dossier where dossier = ?1 and state = 'confirmed' and entry = ?2";
            if !transaction.prepare_cached(sql)?.exists(params![departure.dossier, decision])? {
                return Ok(false);
            }
            announce(transaction, run, departure)?;
            Ok(true)
        })
    }

    /// Takes back what a person confirmed of a version, where nothing of it has left: it is prepared, as it was before.
    ///
    /// # Errors
    ///
    /// Where the ledger cannot be written.
    pub fn take_back_dossier(&mut self, dossier: &str, version: &str, on: Date) -> Result<TakenBack, Error> {
        const DOING: &str = "take a decision back";
        let taken = self.over(DOING, |ledger| {
            ledger.write_said(DOING, |transaction| {
                let sql = "select entry from dossier where dossier = ?1 and version = ?2 and state = 'confirmed'";
                let decision: Option<i64> =
                    transaction.prepare_cached(sql)?.query_row([dossier, version], |row| row.get(0)).optional()?;
                let Some(decision) = decision else { return Ok(TakenBack::NotConfirmed) };
                if has_left(transaction, dossier, decision)? {
                    return Ok(TakenBack::HasLeft);
                }
                take_back(transaction, "-", dossier, &json!({ "on": on.to_string(), "version": version }))?;
                Ok(TakenBack::Done)
            })
        })?;
        if taken == TakenBack::Done {
            self.forget_taken_back(dossier);
        }
        Ok(taken)
    }

    /// Withdraws a confirmed dossier that neither the portal nor anybody on the way to it has, by a clerk: `account` is
    /// the system account, `reason` a sentence without personal data. It is kept until its person has been told. Withdrawn
    /// once more it is withdrawn as before, and nothing is written.
    ///
    /// # Errors
    ///
    /// Where the ledger cannot be written.
    pub fn withdraw_dossier(
        &mut self,
        dossier: &str,
        (account, reason): (&str, &str),
        on: Date,
    ) -> Result<Withdrawal, Error> {
        self.write_said("withdraw a dossier", |transaction| {
            let sql = "select dossier.item, dossier.obligation, dossier.subject, dossier.due_on, submission.stage
                       from dossier left join submission on submission.dossier = dossier.dossier
                       where dossier.dossier = ?1 and dossier.state = 'confirmed'";
            let row = |row: &Row<'_>| {
                let of: [String; 4] = [row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?];
                Ok((of, row.get::<_, Option<String>>(4)?))
            };
            let known = transaction.prepare_cached(sql)?.query_row([dossier], row).optional()?;
            let Some(([item, obligation, subject, due_on], stage)) = known else {
                return Ok(Withdrawal::NotConfirmed);
            };
            match stage.as_deref().and_then(Stage::from_word) {
                Some(Stage::Withdrawn) => return Ok(Withdrawal::Before),
                Some(Stage::Announced | Stage::Filed | Stage::Ended) => return Ok(Withdrawal::HasLeft),
                Some(Stage::Waiting | Stage::Held | Stage::Refused) | None => {}
            }
            let body = json!({
                "by": account, "code": WITHDRAWN, "due_on": due_on, "item": item, "obligation": obligation,
                "on": on.to_string(), "reason": reason, "subject": subject
            });
            step(transaction, ("-", "submission.withdrawn", dossier), &body, None)?;
            Ok(Withdrawal::Done)
        })
    }

    /// Erases these dossiers, which a clerk withdrew and of which their persons have been told: another may be prepared.
    ///
    /// # Errors
    ///
    /// Where the ledger cannot be written.
    pub fn forget_withdrawn(&mut self, run: &str, dossiers: &[String]) -> Result<usize, Error> {
        self.remove_dossiers(run, dossiers, DossierState::Over, None)
    }

    /// The dossiers that a clerk withdrew and of which something is kept, each with the day on which.
    ///
    /// # Errors
    ///
    /// Where the ledger cannot be read.
    pub fn withdrawn_dossiers(&self) -> Result<Vec<(Submission, Date)>, Error> {
        let mut found = Vec::new();
        for one in self.submissions(&[Stage::Withdrawn])? {
            let sql = "select entry.body ->> 'on' from dossier
                           join submission on submission.dossier = dossier.dossier
                           join entry on entry.seq = submission.entry
                       where dossier.dossier = ?1 and dossier.state = 'confirmed'";
            let on = self.connection.prepare_cached(sql).and_then(|mut select| {
                select.query_row([&one.dossier], |row| row.get::<_, Option<String>>(0)).optional()
            });
            let on = on.map_err(|source| self.failed("read which dossiers were withdrawn", source))?.flatten();
            found.extend(on.and_then(|on| on.parse().ok()).map(|on| (one, on)));
        }
        Ok(found)
    }

    /// Removes from the second place what was taken back. It is taken back whatever becomes of this: what stays is sealed,
    /// and goes when the dossier is over.
    fn forget_taken_back(&mut self, dossier: &str) {
        let path = self.path().to_owned();
        // While nobody else writes: another window may have confirmed again, and what that keeps has to stay.
        let _ = self.write("remove what was taken back", |transaction| {
            let sql = "select 1 from dossier where dossier = ?1 and state = 'confirmed'";
            if !transaction.prepare_cached(sql)?.exists([dossier])? {
                let _ = beside::forget(&path, &[dossier.to_owned()]);
            }
            Ok(())
        });
    }
}

/// Takes over from the journal that a person took a decision back, unless it is known.
pub(super) fn take_over(transaction: &Transaction<'_>, line: &Line) -> rusqlite::Result<bool> {
    let sql = "select 1 from dossier where dossier = ?1 and state = 'confirmed'";
    if !transaction.prepare_cached(sql)?.exists([&line.key])? {
        return Ok(false);
    }
    take_back(transaction, &line.run, &line.key, &line.body)?;
    Ok(true)
}

/// Sets a confirmed dossier back to how it was prepared; one of which nothing is there is prepared anew.
fn take_back(transaction: &Transaction<'_>, run: &str, dossier: &str, body: &Value) -> rusqlite::Result<()> {
    let sql = "select sealed is not null from dossier where dossier = ?1";
    let is_there: bool = transaction.prepare_cached(sql)?.query_row([dossier], |row| row.get(0))?;
    let state = if is_there { DossierState::Prepared } else { DossierState::Expired };
    let mut body = body.clone();
    if let Some(body) = body.as_object_mut() {
        body.insert("state".into(), state.word().into());
    }
    let entry = append(transaction, run, TAKEN_BACK, dossier, &body)?;
    let sql = "update dossier set state = ?3, until = null, entry = ?2 where dossier = ?1 and state = 'confirmed'";
    one_row(transaction.prepare_cached(sql)?.execute(params![dossier, entry, state.word()])?)?;
    transaction.prepare_cached("delete from dossier_confirmed where dossier = ?1")?.execute([dossier]).map(drop)
}

fn has_left(transaction: &Transaction<'_>, dossier: &str, decision: i64) -> rusqlite::Result<bool> {
    let sql = "select exists (select 1 from submission where dossier = ?1
                       and (number is not null or stage in ('announced', 'filed', 'ended', 'withdrawn')))
                   or exists (select 1 from entry where seq > ?2 and kind = 'submission.printed' and key = ?1)";
    transaction.prepare_cached(sql)?.query_row(params![dossier, decision], |row| row.get(0))
}

fn waiting(row: &Row<'_>) -> rusqlite::Result<WaitingDossier> {
    let odd =
        |index: usize| rusqlite::Error::InvalidColumnType(index, "an unknown word".into(), rusqlite::types::Type::Text);
    let text = |index: usize| row.get::<_, Option<String>>(index);
    let due_on: String = row.get(4)?;
    Ok(WaitingDossier {
        dossier: row.get(0)?,
        item: row.get(1)?,
        obligation: row.get(2)?,
        subject: row.get(3)?,
        due_on: due_on.parse().map_err(|_| odd(4))?,
        decision: row.get(5)?,
        decided_on: text(6)?.and_then(|day| day.parse().ok()),
        stage: text(7)?.map(|word| Stage::from_word(&word).ok_or_else(|| odd(7))).transpose()?,
        number: text(8)?,
        code: text(9)?,
        state: text(10)?.and_then(|word| State::from_word(&word)),
        basis: row.get(11)?,
        is_printed: false,
    })
}
