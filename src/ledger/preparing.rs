//! How a night writes prepared dossiers down: by part, each made on all cores while the one before it is written.

use rusqlite::{Transaction, params};
use serde::Serialize;
use serde_json::json;

use super::ahead::written_ahead;
use super::chain::append_text;
use super::prepared::{BASIS, DOSSIERS_PER_ENTRY, PREPARED, PreparedDossier};
use super::{Error, Ledger, append};
use crate::personal::sha256;

impl Ledger {
    /// Writes down prepared dossiers of one form. One that is there already and open gets this version; one that the
    /// person has decided stays as it is. Says how many were written.
    ///
    /// The items come in the order of their numbers, which nobody can guess, and best in that of their obligations too:
    /// so the indices grow at their ends. `make` runs on all cores, a part ahead of the one that is written; an item of
    /// which it makes nothing is left out. A part is written whole or not at all, one after the other.
    ///
    /// # Errors
    ///
    /// Where the ledger cannot be written.
    pub fn prepare_dossiers<'i, I: Sync>(
        &mut self,
        run: &str,
        item: &str,
        (basis, body): (&str, &str),
        items: &'i [I],
        make: &(impl Fn(&'i I) -> Option<PreparedDossier> + Sync),
    ) -> Result<usize, Error> {
        const DOING: &str = "write down prepared dossiers";
        self.write(DOING, |transaction| put_basis(transaction, run, item, basis, body))?;
        let page = |items: &'i [I]| page(basis, items.iter().filter_map(make));
        let mut written = 0;
        written_ahead(items, DOSSIERS_PER_ENTRY, &page, |part| {
            written += self.write(DOING, |transaction| {
                let mut written = 0;
                for page in part {
                    written += put(transaction, run, (item, basis), page)?;
                }
                Ok(written)
            })?;
            Ok(())
        })?;
        Ok(written)
    }
}

/// The dossiers of one entry with their versions, and its body; an error where it cannot be written.
struct Page {
    dossiers: Vec<(PreparedDossier, String, String)>,
    body: Result<String, String>,
}

/// The body of an entry, in the order of its keys.
#[derive(Serialize)]
struct Body<'a> {
    basis: &'a str,
    /// Dossier, pseudonym, obligation, day, version.
    dossiers: Vec<[&'a str; 5]>,
}

fn page(basis: &str, dossiers: impl Iterator<Item = PreparedDossier>) -> Page {
    let told = |one: PreparedDossier| {
        let (due_on, version) = (one.due_on.to_string(), sha256(&one.sealed));
        (one, due_on, version)
    };
    let dossiers: Vec<_> = dossiers.map(told).collect();
    let lines = dossiers
        .iter()
        .map(|(one, due_on, version)| {
            [&one.dossier, &one.subject, &one.obligation, due_on, version].map(String::as_str)
        })
        .collect();
    let body = serde_json::to_string(&Body { basis, dossiers: lines }).map_err(|error| error.to_string());
    Page { dossiers, body }
}

fn put(transaction: &Transaction<'_>, run: &str, (item, basis): (&str, &str), page: Page) -> rusqlite::Result<usize> {
    if page.dossiers.is_empty() {
        return Ok(0);
    }
    let body = page.body.map_err(|what| rusqlite::Error::ToSqlConversionFailure(what.into()))?;
    let entry = append_text(transaction, run, PREPARED, item, body)?;
    let mut put = transaction.prepare_cached(
        "insert into dossier (dossier, subject, obligation, item, due_on, state, version, basis, sealed, entry)
         values (?1, ?2, ?3, ?4, ?5, 'prepared', ?6, ?7, ?8, ?9)
         on conflict (dossier) do update set due_on = ?5, version = ?6, basis = ?7, sealed = ?8, entry = ?9
         where state in ('prepared', 'postponed')",
    )?;
    let mut written = 0;
    for (one, due_on, version) in &page.dossiers {
        written += put.execute(params![
            one.dossier,
            one.subject,
            one.obligation,
            item,
            due_on,
            version,
            basis,
            one.sealed,
            entry
        ])?;
    }
    Ok(written)
}

fn put_basis(transaction: &Transaction<'_>, run: &str, item: &str, basis: &str, body: &str) -> rusqlite::Result<()> {
    let known: bool = transaction
        .prepare_cached("select exists (select 1 from dossier_basis where basis = ?1)")?
        .query_row([basis], |row| row.get(0))?;
    if known {
        return Ok(());
    }
    let entry = append(transaction, run, BASIS, basis, &json!({ "item": item, "sha256": sha256(body.as_bytes()) }))?;
    transaction
        .prepare_cached("insert into dossier_basis (basis, body, entry) values (?1, ?2, ?3)")?
        .execute(params![basis, body, entry])
        .map(drop)
}
