//! What was recommended to whom, and all that it takes to say it again: the sheet of a night in clear, once, and what
//! was weighed for each person, sealed.
//!
//! The entry of a group of recommendations holds the SHA-256 of what is sealed and of the explanation, so that the chain
//! covers both; the sealed bytes stand beside the entries and go when the person is erased or their term is over. Which
//! way was recommended stays: the share of recommended ways that were taken is watched.

use std::collections::{BTreeSet, HashSet};

use jiff::civil::Date;
use rusqlite::{OptionalExtension, Transaction, params};
use serde::Serialize;
use serde_json::json;

use super::{Error, Ledger, append, chain};
use crate::personal::sha256;

/// The kind of the entries of recommendations.
pub(super) const KIND: &str = "options.recommended";

/// The kind of the entry of a sheet: the ways to an outcome as they stood on a night.
pub(super) const SHEET: &str = "options.sheet";

/// The kind of the entry that says that what was weighed for a person was erased.
pub(super) const ERASED: &str = "options.erased";

/// The word that stands in place of an item where a person says something about recommendations: that they want none,
/// or, in place of a channel, what counts first for them.
pub const RECOMMENDATIONS: &str = "recommendations";

/// Makes the tables.
pub(super) const TABLES: &str = "
-- The ways to an outcome as they stood on a night, made from entries of kind options.sheet. No person is in it.
create table if not exists option_sheet (
    digest text primary key,
    outcome text not null,
    sheet text not null,
    entry integer not null references entry (seq)
) strict, without rowid;

-- What was recommended, made from entries of kind options.recommended; sealed is what was weighed, and goes in time.
create table if not exists recommendation (
    night text not null,
    obligation text not null,
    subject text not null,
    outcome text not null,
    sheet text not null,
    recommended text,
    explained text not null,
    sealed blob,
    entry integer not null references entry (seq),
    primary key (night, obligation)
) strict, without rowid;
";

/// Recommendations in one entry: few entries, each short enough to be read.
const PER_ENTRY: usize = 1_000;

/// Recommendations in one commit.
const PER_COMMIT: usize = 50_000;

/// What a night recommends about one outcome: to whom is in the lines.
#[derive(Debug, Clone, Copy)]
pub struct Sheeted<'a> {
    /// The night.
    pub night: Date,
    /// The outcome.
    pub outcome: &'a str,
    /// The SHA-256 of the sheet.
    pub digest: &'a str,
    /// The sheet, as text.
    pub sheet: &'a str,
}

/// One recommendation. No person is in it but by pseudonym.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recommendation<'a> {
    /// The key of the obligation.
    pub obligation: &'a str,
    /// Keyed pseudonym.
    pub subject: &'a str,
    /// The word of the way; none where no way was without harm.
    pub recommended: Option<&'a str>,
    /// SHA-256 of the explanation in both languages.
    pub explained: &'a str,
    /// What was weighed, sealed under [`weighed_name`]; none where nothing may be sealed.
    pub sealed: Option<Vec<u8>>,
}

/// A recommendation as the ledger keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptRecommendation {
    /// The night.
    pub night: Date,
    /// The key of the obligation.
    pub obligation: String,
    /// Keyed pseudonym.
    pub subject: String,
    /// The outcome.
    pub outcome: String,
    /// The sheet, as text.
    pub sheet: String,
    /// The word of the way; none where no way was without harm.
    pub recommended: Option<String>,
    /// SHA-256 of the explanation in both languages.
    pub explained: String,
    /// What was weighed, sealed; none once it was erased or its term was over.
    pub sealed: Option<Vec<u8>>,
}

/// The name under which what was weighed is sealed.
pub fn weighed_name(obligation: &str, night: Date) -> String {
    format!("options {night} {obligation}")
}

/// The body of an entry, in the order of its keys.
#[derive(Serialize)]
struct Body<'a> {
    as_of: &'a str,
    lines: Vec<(&'a str, &'a str, Option<&'a str>, &'a str, Option<String>)>,
    outcome: &'a str,
    sheet: &'a str,
}

impl Ledger {
    /// Writes down what a night recommends about one outcome, before a letter says it; says how many are new. What was
    /// written down for the same night and obligation stays as it is.
    ///
    /// # Errors
    ///
    /// Where the ledger cannot be read or written.
    pub fn recommend(
        &mut self,
        run: &str,
        of: Sheeted<'_>,
        recommendations: &[Recommendation<'_>],
    ) -> Result<usize, Error> {
        const DOING: &str = "write down what is recommended";
        let night = of.night.to_string();
        let known = self.recommended_on(&night)?;
        // In the order of the table, so that it grows at its end.
        let mut fresh: Vec<&Recommendation<'_>> =
            recommendations.iter().filter(|one| !known.contains(one.obligation)).collect();
        fresh.sort_unstable_by_key(|one| one.obligation);
        fresh.dedup_by_key(|one| one.obligation);
        let mut is_first = true;
        for part in fresh.chunks(PER_COMMIT) {
            self.write(DOING, |transaction| {
                if std::mem::take(&mut is_first) {
                    put_sheet(transaction, run, of)?;
                }
                part.chunks(PER_ENTRY).try_for_each(|lines| put(transaction, run, of, &night, lines))
            })?;
        }
        Ok(fresh.len())
    }

    /// The obligations about which something was recommended on a night.
    fn recommended_on(&self, night: &str) -> Result<HashSet<String>, Error> {
        let failed = |source| self.failed("read what was recommended", source);
        let sql = "select obligation from recommendation where night = ?1";
        let mut select = self.connection.prepare(sql).map_err(failed)?;
        let rows = select.query_map([night], |row| row.get(0)).map_err(failed)?;
        rows.collect::<Result<_, _>>().map_err(failed)
    }

    /// What was recommended about the obligations whose key begins so, the newest night first: no more than so many.
    ///
    /// # Errors
    ///
    /// Where the ledger cannot be read.
    pub fn recommendations_like(&self, prefix: &str, most: usize) -> Result<Vec<KeptRecommendation>, Error> {
        let failed = |source| self.failed("read a recommendation", source);
        if !self.has_table("recommendation")? {
            return Ok(Vec::new());
        }
        // There are as many nights as the table has days: each is one step of its index.
        let before = "select max(night) from recommendation where night < ?1";
        let mut before = self.connection.prepare(before).map_err(failed)?;
        let sql =
            "select night, obligation, subject, recommendation.outcome, option_sheet.sheet, recommended, explained,
                          sealed
                   from recommendation join option_sheet on option_sheet.digest = recommendation.sheet
                   where night = ?1 and obligation >= ?2 and obligation < ?2 || 'g' order by obligation limit ?3";
        let mut select = self.connection.prepare(sql).map_err(failed)?;
        let mut found = Vec::new();
        let mut night = "9999-99-99".to_owned();
        while found.len() < most {
            let next = before.query_row([&night], |row| row.get::<_, Option<String>>(0)).map_err(failed)?;
            let Some(next) = next else { break };
            let left = i64::try_from(most - found.len()).unwrap_or(i64::MAX);
            let rows = select.query_map(params![next, prefix, left], kept).map_err(failed)?;
            for row in rows {
                found.extend(row.map_err(failed)?);
            }
            night = next;
        }
        Ok(found)
    }

    /// Removes what was weighed for a person, by the keyed pseudonym, and says how many there were. Which way was
    /// recommended, and that it was, stays.
    ///
    /// # Errors
    ///
    /// Where the ledger cannot be read or written.
    pub fn erase_recommendations(&mut self, subject: &str, account: &str) -> Result<usize, Error> {
        self.write_over("erase what was weighed for a person", |transaction| {
            let sql = "update recommendation set sealed = null where subject = ?1 and sealed is not null";
            let recommendations = transaction.execute(sql, [subject])?;
            if recommendations > 0 {
                let body = json!({ "account": account, "recommendations": recommendations, "subject": subject });
                append(transaction, "-", ERASED, "options", &body)?;
            }
            Ok(recommendations)
        })
    }

    /// Who wants no recommendations, by pseudonym.
    ///
    /// # Errors
    ///
    /// Where the ledger cannot be read.
    pub fn without_recommendations(&self) -> Result<BTreeSet<String>, Error> {
        let refused = self.refused()?;
        let is_meant =
            |(_, item, channel): &&(String, String, String)| item == RECOMMENDATIONS && channel == super::ALL;
        Ok(refused.iter().filter(is_meant).map(|(subject, ..)| subject.clone()).collect())
    }
}

fn kept(row: &rusqlite::Row<'_>) -> rusqlite::Result<Option<KeptRecommendation>> {
    let night: String = row.get(0)?;
    let Ok(night) = night.parse() else { return Ok(None) };
    Ok(Some(KeptRecommendation {
        night,
        obligation: row.get(1)?,
        subject: row.get(2)?,
        outcome: row.get(3)?,
        sheet: row.get(4)?,
        recommended: row.get(5)?,
        explained: row.get(6)?,
        sealed: row.get(7)?,
    }))
}

fn put_sheet(transaction: &Transaction<'_>, run: &str, of: Sheeted<'_>) -> rusqlite::Result<()> {
    let sql = "select 1 from option_sheet where digest = ?1";
    let is_known = transaction.query_row(sql, [of.digest], |_| Ok(())).optional()?.is_some();
    if is_known {
        return Ok(());
    }
    let body = json!({ "outcome": of.outcome, "sheet": of.sheet });
    let entry = append(transaction, run, SHEET, of.digest, &body)?;
    let sql = "insert into option_sheet (digest, outcome, sheet, entry) values (?1, ?2, ?3, ?4)";
    transaction.execute(sql, params![of.digest, of.outcome, of.sheet, entry]).map(drop)
}

fn put(
    transaction: &Transaction<'_>,
    run: &str,
    of: Sheeted<'_>,
    night: &str,
    part: &[&Recommendation<'_>],
) -> rusqlite::Result<()> {
    let lines = part
        .iter()
        .map(|one| (one.obligation, one.subject, one.recommended, one.explained, one.sealed.as_deref().map(sha256)));
    let body = Body { as_of: night, lines: lines.collect(), outcome: of.outcome, sheet: of.digest };
    let body = serde_json::to_string(&body).map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
    let entry = chain::append_text(transaction, run, KIND, night, body)?;
    let mut insert = transaction.prepare_cached(
        "insert into recommendation (night, obligation, subject, outcome, sheet, recommended, explained, sealed, entry)
         values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?;
    for one in part {
        insert.execute(params![
            night,
            one.obligation,
            one.subject,
            of.outcome,
            of.digest,
            one.recommended,
            one.explained,
            one.sealed,
            entry
        ])?;
    }
    Ok(())
}
