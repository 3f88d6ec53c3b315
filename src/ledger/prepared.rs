//! Prepared dossiers: sealed, each with its SHA-256 in the chain, and gone when the person refuses or their day is over.
//!
//! An entry of kind `dossiers.prepared` names the dossiers of one form and night, some hundred in each: number, keyed
//! pseudonym, obligation, day, and the SHA-256 of what is sealed, which is the version that a person is shown. What all
//! of them share, the form and where its columns come from, stands once in the table `dossier_basis`; nothing of a
//! person is in it. The sealed bytes stand beside the entries, and go; their digests stay.

use std::collections::HashMap;

use jiff::civil::Date;
use rusqlite::{OptionalExtension, Row, Transaction, params};
use serde_json::{Value, json};

use super::departing::WaitingDossier;
use super::said::Line;
use super::{Error, Ledger, append};
use crate::obligations::life::State;

/// The kinds of its entries.
pub(super) const PREPARED: &str = "dossiers.prepared";
pub(super) const BASIS: &str = "dossiers.basis";
pub(super) const REMOVED: &str = "dossiers.removed";

/// Makes the tables of prepared dossiers and of what people decided.
pub(super) const TABLES: &str = "
-- What the dossiers of one form and night share: no person is in it. Its digest is in its entry.
create table if not exists dossier_basis (
    basis text primary key,
    body text not null,
    entry integer not null references entry (seq)
) strict, without rowid;

-- How each prepared dossier stands, made from entries of kinds dossiers.prepared, dossiers.removed and dossier.decided.
-- What is sealed goes when the person refuses, when it is erased, and when its day is over.
create table if not exists dossier (
    dossier text primary key,
    subject text not null,
    obligation text not null,
    item text not null,
    due_on text not null,
    state text not null,
    version text not null,
    basis text not null,
    until text,
    sealed blob,
    entry integer not null references entry (seq)
) strict;

-- Holds all that a night asks of all dossiers, so that it need not read what is sealed.
create index if not exists dossier_by_obligation on dossier (obligation, state, due_on, item);

-- Few are confirmed: a night finds them without looking at the others.
create index if not exists dossier_confirmed_by_entry on dossier (entry) where state = 'confirmed';

-- Few are put off: a night finds those of today without looking at the others.
create index if not exists dossier_postponed on dossier (until) where state = 'postponed';

-- What a person confirmed, sealed: the dossier at place 0, its files after it. The SHA-256 of each is in the entry.
create table if not exists dossier_confirmed (
    dossier text not null,
    place integer not null,
    sealed blob not null,
    entry integer not null references entry (seq),
    primary key (dossier, place)
) strict;
";

/// Dossiers in one entry: few entries, each short enough to be read.
pub(super) const DOSSIERS_PER_ENTRY: usize = 500;

/// How a prepared dossier stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DossierState {
    /// It waits for the person.
    Prepared,
    /// The person has seen it, and decides later.
    Postponed,
    /// The person confirmed it: it leaves.
    Confirmed,
    /// The person refused it; what was prepared is erased.
    Declined,
    /// Its day went by, or the obligation was fulfilled or withdrawn, without a decision.
    Expired,
    /// It left, and whoever decided it has come to an end with it: nothing of it is kept.
    Over,
    /// The person was erased.
    Erased,
}

impl DossierState {
    const WORDS: [(&'static str, DossierState); 7] = [
        ("prepared", DossierState::Prepared),
        ("postponed", DossierState::Postponed),
        ("confirmed", DossierState::Confirmed),
        ("declined", DossierState::Declined),
        ("expired", DossierState::Expired),
        ("over", DossierState::Over),
        ("erased", DossierState::Erased),
    ];

    /// The word in the ledger.
    pub fn word(self) -> &'static str {
        Self::WORDS.iter().find(|(_, state)| *state == self).map_or("?", |(word, _)| word)
    }

    /// From the word in the ledger.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::WORDS.iter().find(|(known, _)| *known == word).map(|(_, state)| *state)
    }

    /// Whether nothing is left to decide, and a new one may be prepared should there be something due again.
    pub fn is_over(self) -> bool {
        matches!(self, DossierState::Expired | DossierState::Over | DossierState::Erased)
    }

    /// Whether the person has yet to decide.
    pub fn is_open(self) -> bool {
        matches!(self, DossierState::Prepared | DossierState::Postponed)
    }
}

/// A dossier that is prepared.
#[derive(Debug, Clone)]
pub struct PreparedDossier {
    /// Its number: 32 hexadecimal digits, random.
    pub dossier: String,
    /// Keyed pseudonym of whose it is.
    pub subject: String,
    /// The key of its obligation.
    pub obligation: String,
    /// The obligation's day: until then it can be decided.
    pub due_on: Date,
    /// What is prepared, sealed under [`dossier_name`].
    pub sealed: Vec<u8>,
}

/// A dossier as the ledger knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptDossier {
    /// Its number.
    pub dossier: String,
    /// Keyed pseudonym of whose it is.
    pub subject: String,
    /// The key of its obligation.
    pub obligation: String,
    /// The item.
    pub item: String,
    /// The obligation's day.
    pub due_on: Date,
    /// How it stands.
    pub state: DossierState,
    /// SHA-256 of what is or was sealed: the version that is shown.
    pub version: String,
    /// The name of its basis.
    pub basis: String,
    /// Until when the person put it off.
    pub until: Option<Date>,
    /// What is prepared; none where it was erased.
    pub sealed: Option<Vec<u8>>,
    /// The entry that says how it stands: of one that is confirmed, that of the decision.
    pub entry: i64,
}

/// The name under which a prepared dossier is sealed.
pub fn dossier_name(dossier: &str) -> String {
    format!("dossier {dossier}")
}

impl Ledger {
    /// A dossier by its number; none where there never was one.
    ///
    /// # Errors
    ///
    /// Where the ledger cannot be read.
    pub fn dossier(&self, dossier: &str) -> Result<Option<KeptDossier>, Error> {
        let failed = |source| self.failed("read a prepared dossier", source);
        let sql = "select dossier, subject, obligation, item, due_on, state, version, basis, until, sealed, entry
                   from dossier where dossier = ?1";
        // Asked for every page: whether there is such a table is looked up only where this fails.
        let mut select = match self.connection.prepare_cached(sql) {
            Err(_) if !self.has_table("dossier")? => return Ok(None),
            select => select.map_err(failed)?,
        };
        select.query_row([dossier], kept).optional().map_err(failed)
    }

    /// The text of a basis; none where it is not there.
    ///
    /// # Errors
    ///
    /// Where the ledger cannot be read.
    pub fn dossier_basis(&self, basis: &str) -> Result<Option<String>, Error> {
        let failed = |source| self.failed("read the form of a dossier", source);
        let mut select =
            self.connection.prepare_cached("select body from dossier_basis where basis = ?1").map_err(failed)?;
        select.query_row([basis], |row| row.get(0)).optional().map_err(failed)
    }

    /// The dossiers of these obligations: number and state, by the obligation. An obligation that had several has its
    /// newest.
    ///
    /// # Errors
    ///
    /// Where the ledger cannot be read.
    pub fn dossiers_of<'k>(
        &self,
        obligations: impl IntoIterator<Item = &'k str>,
    ) -> Result<HashMap<String, (String, DossierState)>, Error> {
        let failed = |source| self.failed("look prepared dossiers up", source);
        let mut found = HashMap::new();
        if !self.has_table("dossier")? || self.has_no_dossier()? {
            return Ok(found);
        }
        let sql = "select dossier, state from dossier where obligation = ?1 order by entry desc limit 1";
        let mut select = self.connection.prepare_cached(sql).map_err(failed)?;
        for obligation in obligations {
            let row = select.query_row([obligation], |row| Ok((row.get(0)?, row.get::<_, String>(1)?)));
            if let Some((dossier, state)) = row.optional().map_err(failed)?
                && let Some(state) = DossierState::from_word(&state)
            {
                found.insert(obligation.to_owned(), (dossier, state));
            }
        }
        Ok(found)
    }

    /// The obligations of dossiers that their persons put off until a day that has come, with that day.
    ///
    /// # Errors
    ///
    /// Where the ledger cannot be read.
    pub fn postponed_until(&self, today: Date) -> Result<HashMap<String, Date>, Error> {
        let failed = |source| self.failed("read what was put off", source);
        if !self.has_table("dossier")? {
            return Ok(HashMap::new());
        }
        let sql = "select obligation, until from dossier where state = 'postponed' and until <= ?1";
        let mut select = self.connection.prepare(sql).map_err(failed)?;
        let rows = select.query_map([today.to_string()], |row| Ok((row.get(0)?, row.get::<_, String>(1)?)));
        let rows: Vec<(String, String)> = rows.and_then(Iterator::collect).map_err(failed)?;
        Ok(rows.into_iter().filter_map(|(obligation, until)| Some((obligation, until.parse().ok()?))).collect())
    }

    fn has_no_dossier(&self) -> Result<bool, Error> {
        let sql = "select not exists (select 1 from dossier)";
        self.connection
            .query_row(sql, [], |row| row.get(0))
            .map_err(|source| self.failed("read whether there are dossiers", source))
    }

    /// Erases what was prepared and not decided, where its day lies before `today` or its obligation is no longer open.
    /// Says how many dossiers that were.
    ///
    /// # Errors
    ///
    /// Where the ledger cannot be written.
    pub fn expire_dossiers(&mut self, run: &str, today: Date) -> Result<usize, Error> {
        if !self.has_table("dossier")? || self.has_no_dossier()? {
            return Ok(0);
        }
        let sql = "select dossier from dossier
                   where state in ('prepared', 'postponed') and (due_on < ?1 or exists (
                       select 1 from obligation where obligation.item = dossier.item
                           and obligation.key = dossier.obligation and obligation.state <> 'open'))";
        let gone = self.dossiers_where(sql, &today.to_string())?;
        self.remove_dossiers(run, &gone, DossierState::Expired, None)
    }

    /// Erases confirmed dossiers that are over: at once where the obligation is to be done again, so that another can be
    /// prepared, and otherwise where the portal came to an end with them before a day, by the night that heard it. One that
    /// was printed and never handed in is over when its obligation is no longer open, and it was decided before that day.
    /// Says how many dossiers that were.
    ///
    /// # Errors
    ///
    /// Where the ledger cannot be written.
    pub fn forget_left_dossiers(&mut self, run: &str, before: Date) -> Result<usize, Error> {
        if !self.has_table("dossier")? || !self.has_table("submission")? {
            return Ok(0);
        }
        let sql = "select dossier from dossier where state = 'confirmed' and exists (
                       select 1 from submission join entry on entry.seq = submission.entry
                       where submission.dossier = dossier.dossier and stage = 'ended' and (outcome = 'open again' or ?1 >
                           case when entry.run like '____-__-__%' then substr(entry.run, 1, 10)
                                else substr(entry.at, 1, 10) end))";
        let mut gone = self.dossiers_where(sql, &before.to_string())?;
        let is_over = |one: &WaitingDossier| {
            let is_done = matches!(one.state, Some(State::Fulfilled | State::Withdrawn));
            one.is_printed && one.number.is_none() && is_done && one.decided_on.is_some_and(|on| on < before)
        };
        gone.extend(self.waiting_dossiers()?.into_iter().filter(is_over).map(|one| one.dossier));
        self.remove_dossiers(run, &gone, DossierState::Over, None)
    }

    /// Erases every dossier of a person, prepared or confirmed, by the keyed pseudonym. Says how many there were.
    /// `account` is the system account that asked for it.
    ///
    /// # Errors
    ///
    /// Where the ledger cannot be written.
    pub fn erase_dossiers(&mut self, subject: &str, account: &str) -> Result<usize, Error> {
        let sql = "select dossier from dossier where subject = ?1 and state <> 'erased'
                       and (sealed is not null or dossier in (select dossier from dossier_confirmed))";
        let gone = self.dossiers_where(sql, subject)?;
        self.remove_dossiers("-", &gone, DossierState::Erased, Some(account))
    }

    fn dossiers_where(&self, sql: &str, value: &str) -> Result<Vec<String>, Error> {
        let failed = |source| self.failed("look prepared dossiers up", source);
        let mut select = self.connection.prepare(sql).map_err(failed)?;
        let rows = select.query_map([value], |row| row.get(0)).map_err(failed)?;
        rows.collect::<Result<_, _>>().map_err(failed)
    }

    pub(super) fn remove_dossiers(
        &mut self,
        run: &str,
        gone: &[String],
        state: DossierState,
        account: Option<&str>,
    ) -> Result<usize, Error> {
        if gone.is_empty() {
            return Ok(0);
        }
        const DOING: &str = "erase prepared dossiers";
        self.over(DOING, |ledger| {
            ledger.write_said(DOING, |transaction| {
                for part in gone.chunks(DOSSIERS_PER_ENTRY) {
                    let body = json!({ "account": account, "dossiers": part, "state": state.word() });
                    remove(transaction, run, state, part, &body)?;
                }
                Ok(())
            })
        })?;
        self.forget_beside(gone)?;
        Ok(gone.len())
    }
}

fn remove(
    transaction: &Transaction<'_>,
    run: &str,
    state: DossierState,
    gone: &[String],
    body: &Value,
) -> rusqlite::Result<()> {
    let entry = append(transaction, run, REMOVED, state.word(), body)?;
    gone.iter().try_for_each(|dossier| forget(transaction, dossier, state, entry))
}

/// Takes over from the journal that dossiers of a person were erased, unless nothing of them is here.
pub(super) fn take_over(transaction: &Transaction<'_>, line: &Line) -> rusqlite::Result<bool> {
    let listed = line.body.get("dossiers").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let sql = "select 1 from dossier where dossier = ?1 and state <> 'erased'";
    let mut gone = Vec::new();
    for dossier in listed {
        if transaction.prepare_cached(sql)?.exists([dossier])? {
            gone.push(dossier.to_owned());
        }
    }
    let Some(state) = DossierState::from_word(&line.key).filter(|_| !gone.is_empty()) else { return Ok(false) };
    let body = json!({ "account": line.text("account"), "dossiers": gone, "state": state.word() });
    remove(transaction, &line.run, state, &gone, &body)?;
    Ok(true)
}

/// Sets a dossier to a state in which nothing of it is kept.
pub(super) fn forget(
    transaction: &Transaction<'_>,
    dossier: &str,
    state: DossierState,
    entry: i64,
) -> rusqlite::Result<()> {
    let set = "update dossier set state = ?2, sealed = null, until = null, entry = ?3 where dossier = ?1";
    transaction.prepare_cached(set)?.execute(params![dossier, state.word(), entry])?;
    transaction.prepare_cached("delete from dossier_confirmed where dossier = ?1")?.execute([dossier])?;
    Ok(())
}

pub(super) fn kept(row: &Row<'_>) -> rusqlite::Result<KeptDossier> {
    let unknown = |at: usize, text: String| rusqlite::Error::InvalidColumnType(at, text, rusqlite::types::Type::Text);
    let due_on: String = row.get(4)?;
    let state: String = row.get(5)?;
    let until: Option<String> = row.get(8)?;
    Ok(KeptDossier {
        dossier: row.get(0)?,
        subject: row.get(1)?,
        obligation: row.get(2)?,
        item: row.get(3)?,
        due_on: due_on.parse().map_err(|_| unknown(4, due_on))?,
        state: DossierState::from_word(&state).ok_or_else(|| unknown(5, state))?,
        version: row.get(6)?,
        basis: row.get(7)?,
        until: until.map(|until| until.parse().map_err(|_| unknown(8, until))).transpose()?,
        sealed: row.get(9)?,
        entry: row.get(10)?,
    })
}
