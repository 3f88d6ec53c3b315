//! What was recommended to whom, and all that it takes to say it again: the sheet of a night in clear, once, and what
//! was weighed for each person, sealed.
//!
//! The entry of a group of recommendations holds the SHA-256 of what is sealed and of the explanation, so that the chain
//! covers both; the sealed bytes stand beside the entries and go when the person is erased or their term is over. Which
//! way was recommended stays: the share of recommended ways that were taken is watched.

use std::collections::{BTreeSet, HashMap};

use jiff::civil::Date;
use rusqlite::{OptionalExtension, Transaction, params};
use serde::Serialize;
use serde_json::json;

use super::ahead::written_ahead;
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
    entry integer primary key references entry (seq),
    digest text not null,
    outcome text not null,
    sheet text not null
) strict;

-- What was recommended, made from entries of kind options.recommended; sealed is what was weighed, and goes in time.
create table if not exists recommendation (
    night text not null,
    obligation text not null,
    subject text not null,
    sheet integer not null references option_sheet (entry),
    recommended text,
    explained text not null,
    sealed blob,
    entry integer not null references entry (seq),
    primary key (night, obligation)
) strict, without rowid;
";

/// Recommendations in one entry: few entries, each short enough to be read.
const PER_ENTRY: usize = 1_000;

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

/// A recommendation in an entry.
type Line<'a> = (&'a str, &'a str, Option<&'a str>, usize, Option<&'a str>);

/// The body of an entry, in the order of its keys.
#[derive(Serialize)]
struct Body<'a> {
    as_of: &'a str,
    /// Explanations, each once: people who are alike are told the same.
    explained: Vec<&'a str>,
    /// Obligation, pseudonym, way, the place of the explanation, the SHA-256 of what is sealed.
    lines: Vec<Line<'a>>,
    outcome: &'a str,
    sheet: &'a str,
}

impl Ledger {
    /// Writes down what a night recommends about one outcome, before a letter says it; says how many are new. What was
    /// written down for the same night and obligation stays as it is where it says the same; where the sources say
    /// something else by now, the new takes its place, and the chain keeps both.
    ///
    /// The items come in the order of their obligations' keys, so that the table grows at its end. `make` runs on all
    /// cores, a part ahead of the one that is written: no more than two parts stand in memory.
    ///
    /// # Errors
    ///
    /// Where the ledger cannot be read or written.
    pub fn recommend<'i, I: Sync>(
        &mut self,
        run: &str,
        of: Sheeted<'_>,
        items: &'i [I],
        make: &(impl Fn(&'i I) -> Recommendation<'i> + Sync),
    ) -> Result<usize, Error> {
        const DOING: &str = "write down what is recommended";
        let night = of.night.to_string();
        let known = self.recommended_on(&night)?;
        let sheet = self.write(DOING, |transaction| put_sheet(transaction, run, of))?;
        let head = Head { night: &night, outcome: of.outcome, digest: of.digest };
        let page = |items: &'i [I]| page(items, &known, head, make);
        let mut new = 0;
        written_ahead(items, PER_ENTRY, &page, |part| {
            new += part.iter().map(|page| page.lines.len()).sum::<usize>();
            self.write(DOING, |transaction| {
                part.into_iter().try_for_each(|page| put(transaction, run, &night, sheet, page))
            })
        })?;
        Ok(new)
    }

    /// The obligations about which something was recommended on a night, with the explanations.
    fn recommended_on(&self, night: &str) -> Result<HashMap<String, String>, Error> {
        let failed = |source| self.failed("read what was recommended", source);
        let sql = "select obligation, explained from recommendation where night = ?1";
        let mut select = self.connection.prepare(sql).map_err(failed)?;
        let rows = select.query_map([night], |row| Ok((row.get(0)?, row.get(1)?))).map_err(failed)?;
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
        let sql = "select night, obligation, subject, option_sheet.outcome, option_sheet.sheet, recommended, explained,
                          sealed
                   from recommendation join option_sheet on option_sheet.entry = recommendation.sheet
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

    /// The sheets of all nights: the number of the entry, the outcome, the sheet as text.
    ///
    /// # Errors
    ///
    /// Where the ledger cannot be read.
    pub fn option_sheets(&self) -> Result<Vec<(i64, String, String)>, Error> {
        let failed = |source| self.failed("read the sheets of options", source);
        if !self.has_table("option_sheet")? {
            return Ok(Vec::new());
        }
        let mut select =
            self.connection.prepare("select entry, outcome, sheet from option_sheet order by entry").map_err(failed)?;
        let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
        rows.and_then(Iterator::collect).map_err(failed)
    }

    /// Shows what was recommended in the nights from one to another: night, pseudonym, the entry of the sheet, and the
    /// word of the way. What has no way is passed over.
    ///
    /// # Errors
    ///
    /// Where the ledger cannot be read.
    pub fn each_recommended(
        &self,
        from: Date,
        to: Date,
        mut visit: impl FnMut(Date, &str, i64, &str),
    ) -> Result<(), Error> {
        let failed = |source| self.failed("read what was recommended", source);
        if !self.has_table("recommendation")? {
            return Ok(());
        }
        let sql = "select night, subject, sheet, recommended from recommendation
                   where night between ?1 and ?2 and recommended is not null order by night, obligation";
        let mut select = self.connection.prepare(sql).map_err(failed)?;
        let mut rows = select.query([from.to_string(), to.to_string()]).map_err(failed)?;
        while let Some(row) = rows.next().map_err(failed)? {
            let text = |at: usize| row.get_ref(at).and_then(|cell| cell.as_str().map_err(Into::into)).map_err(failed);
            let Ok(night) = text(0)?.parse() else { continue };
            visit(night, text(1)?, row.get(2).map_err(failed)?, text(3)?);
        }
        Ok(())
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

    /// Whether something was recommended before a night that is still there.
    pub(super) fn has_recommended_before(&self, night: &str) -> Result<bool, Error> {
        if !self.has_table("recommendation")? {
            return Ok(false);
        }
        let sql = "select exists (select 1 from recommendation where night < ?1)";
        let has = self.connection.query_row(sql, [night], |row| row.get(0));
        has.map_err(|source| self.failed("read what was recommended", source))
    }

    /// What counts first for people, by pseudonym, as they said it: the words of the criteria.
    ///
    /// # Errors
    ///
    /// Where the ledger cannot be read.
    pub fn first_criteria(&self) -> Result<Vec<(String, String)>, Error> {
        let failed = |source| self.failed("read what counts first for people", source);
        if !self.has_table("preference")? {
            return Ok(Vec::new());
        }
        let sql = "select subject, channel from preference
                   where item = ?1 and channel <> ?2 and stance = 'wanted' order by entry";
        let mut select = self.connection.prepare(sql).map_err(failed)?;
        let rows = select.query_map([RECOMMENDATIONS, super::ALL], |row| Ok((row.get(0)?, row.get(1)?)));
        rows.and_then(Iterator::collect).map_err(failed)
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

/// Writes the sheet, once, and gives the number of its entry.
fn put_sheet(transaction: &Transaction<'_>, run: &str, of: Sheeted<'_>) -> rusqlite::Result<i64> {
    let sql = "select entry from option_sheet where digest = ?1";
    if let Some(known) = transaction.query_row(sql, [of.digest], |row| row.get(0)).optional()? {
        return Ok(known);
    }
    let body = json!({ "outcome": of.outcome, "sheet": of.sheet });
    let entry = append(transaction, run, SHEET, of.digest, &body)?;
    let sql = "insert into option_sheet (entry, digest, outcome, sheet) values (?1, ?2, ?3, ?4)";
    transaction.execute(sql, params![entry, of.digest, of.outcome, of.sheet])?;
    Ok(entry)
}

/// What is the same in all entries of a night about an outcome.
#[derive(Clone, Copy)]
struct Head<'a> {
    night: &'a str,
    outcome: &'a str,
    digest: &'a str,
}

/// The recommendations of one entry, and its body; an error where it cannot be written.
struct Page<'i> {
    lines: Vec<Recommendation<'i>>,
    body: Result<String, String>,
}

fn page<'i, I>(
    items: &'i [I],
    known: &HashMap<String, String>,
    head: Head<'_>,
    make: &impl Fn(&'i I) -> Recommendation<'i>,
) -> Page<'i> {
    let is_new = |line: &Recommendation<'i>| known.get(line.obligation).is_none_or(|said| said != line.explained);
    let lines: Vec<Recommendation<'i>> = items.iter().map(make).filter(is_new).collect();
    let body = body(head, &lines);
    Page { lines, body }
}

fn body(head: Head<'_>, lines: &[Recommendation<'_>]) -> Result<String, String> {
    let sealed: Vec<Option<String>> = lines.iter().map(|one| one.sealed.as_deref().map(sha256)).collect();
    let mut explained: Vec<&str> = Vec::new();
    let mut places: HashMap<&str, usize> = HashMap::new();
    let mut place = |digest| {
        *places.entry(digest).or_insert_with(|| {
            explained.push(digest);
            explained.len() - 1
        })
    };
    let lines = lines
        .iter()
        .zip(&sealed)
        .map(|(one, sealed)| (one.obligation, one.subject, one.recommended, place(one.explained), sealed.as_deref()));
    let lines = lines.collect();
    let body = Body { as_of: head.night, explained, lines, outcome: head.outcome, sheet: head.digest };
    serde_json::to_string(&body).map_err(|error| error.to_string())
}

fn put(transaction: &Transaction<'_>, run: &str, night: &str, sheet: i64, page: Page<'_>) -> rusqlite::Result<()> {
    if page.lines.is_empty() {
        return Ok(());
    }
    let body = page.body.map_err(|what| rusqlite::Error::ToSqlConversionFailure(what.into()))?;
    let entry = chain::append_text(transaction, run, KIND, night, body)?;
    let mut insert = transaction.prepare_cached(
        "insert into recommendation (night, obligation, subject, sheet, recommended, explained, sealed, entry)
         values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
         on conflict (night, obligation) do update set
             subject = ?3, sheet = ?4, recommended = ?5, explained = ?6, sealed = ?7, entry = ?8",
    )?;
    for one in &page.lines {
        insert.execute(params![
            night,
            one.obligation,
            one.subject,
            sheet,
            one.recommended,
            one.explained,
            one.sealed,
            entry
        ])?;
    }
    Ok(())
}
