//! Why nobody was written to about an obligation that a night looked at: by its key, from night to night.
//!
//! What the outbox or the calendar tell anyway (a message left before, the first notice lies ahead) is not written
//! down. Of the rest a night writes only what changed: an entry holds the changes and the counts of the night, and the
//! table beside it how each obligation stands now. No person is in it; the pseudonym is beside the obligation's life.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use rusqlite::params;
use serde_json::{Value, json};

use super::{Error, Ledger, append};

/// The kind of its entries.
pub(super) const KIND: &str = "reminders.unsent";

/// Makes the table.
pub(super) const TABLES: &str = "
-- Why nothing was sent about an obligation on the newest night, made from entries of kind reminders.unsent.
create table if not exists unsent (
    obligation text primary key,
    item text not null,
    reason text not null,
    since text not null,
    entry integer not null references entry (seq)
) strict, without rowid;
";

/// Changes in one entry: few entries, each short enough to be read.
const CHANGES_PER_ENTRY: usize = 1_000;

impl Ledger {
    /// Writes down for whom nothing was sent on a night and why, by obligation: item and reason. Says how many changed.
    ///
    /// `told` are the items that the night could compute: an obligation of theirs that is not among these stands in
    /// nobody's way any more. Of every other item, what was known stays.
    ///
    /// # Errors
    ///
    /// Where the ledger cannot be read or written.
    pub fn not_sent(
        &mut self,
        run: &str,
        as_of: Date,
        told: &BTreeSet<String>,
        unsent: &BTreeMap<String, (String, String)>,
    ) -> Result<usize, Error> {
        let changes = self.unsent_changes(told, unsent)?;
        if changes.is_empty() {
            return Ok(0);
        }
        let mut counts: BTreeMap<(&str, &str), u64> = BTreeMap::new();
        for (item, reason) in unsent.values() {
            *counts.entry((item, reason)).or_default() += 1;
        }
        let counts: Vec<Value> =
            counts.into_iter().map(|((item, reason), count)| json!([item, reason, count])).collect();
        let as_of = as_of.to_string();
        self.write("write down for whom nothing was sent", |transaction| {
            for (at, part) in changes.chunks(CHANGES_PER_ENTRY).enumerate() {
                let lines: Vec<Value> = part.iter().map(|(key, item, reason)| json!([key, item, reason])).collect();
                let mut body = json!({ "as_of": as_of, "changes": lines });
                // The night's counts are said once.
                if let Some(body) = body.as_object_mut().filter(|_| at == 0) {
                    body.insert("counts".into(), counts.clone().into());
                }
                let entry = append(transaction, run, KIND, &as_of, &body)?;
                let mut put = transaction.prepare_cached(
                    "insert into unsent (obligation, item, reason, since, entry) values (?1, ?2, ?3, ?4, ?5)
                     on conflict (obligation) do update set item = ?2, reason = ?3, since = ?4, entry = ?5",
                )?;
                let mut remove = transaction.prepare_cached("delete from unsent where obligation = ?1")?;
                for (key, item, reason) in part {
                    match reason {
                        Some(reason) => put.execute(params![key, item, reason, as_of, entry])?,
                        None => remove.execute([key])?,
                    };
                }
            }
            Ok(changes.len())
        })
    }

    /// What differs from the night before, in the order of the keys; without a reason where nothing stands in the way.
    fn unsent_changes(
        &self,
        told: &BTreeSet<String>,
        unsent: &BTreeMap<String, (String, String)>,
    ) -> Result<Vec<(String, String, Option<String>)>, Error> {
        let failed = |source| self.failed("read for whom nothing was sent", source);
        let sql = "select obligation, item, reason from unsent order by obligation";
        let mut select = self.connection.prepare(sql).map_err(failed)?;
        let mut rows = select.query([]).map_err(failed)?;
        let mut fresh = unsent.iter().peekable();
        let mut changes = Vec::new();
        let new =
            |(key, (item, reason)): (&String, &(String, String))| (key.clone(), item.clone(), Some(reason.clone()));
        while let Some(row) = rows.next().map_err(failed)? {
            let (key, item, reason): (String, String, String) =
                (row.get(0).map_err(failed)?, row.get(1).map_err(failed)?, row.get(2).map_err(failed)?);
            while let Some(before) = fresh.next_if(|(next, _)| **next < key) {
                changes.push(new(before));
            }
            match fresh.next_if(|(next, _)| **next == key) {
                Some((_, (_, now))) if *now == reason => {}
                Some(now) => changes.push(new(now)),
                None if told.contains(&item) => changes.push((key, item, None)),
                None => {}
            }
        }
        changes.extend(fresh.map(new));
        Ok(changes)
    }
}
