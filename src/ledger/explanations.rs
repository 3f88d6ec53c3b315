//! What the ledger knows that an explanation needs.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{Error, Ledger};
use crate::calendar::AsOf;

impl Ledger {
    /// The obligations that messages were about and whose key begins so, with their item: no more than so many.
    pub fn obligations_like(&self, prefix: &str, most: u32) -> Result<Vec<(String, String)>, Error> {
        let failed = |source| self.failed("look an obligation up", source);
        let sql = "select distinct item, obligation from outbox
                   where substr(obligation, 1, length(?1)) = ?1 order by 2 limit ?2";
        let mut select = self.connection.prepare(sql).map_err(failed)?;
        let rows = select.query_map(rusqlite::params![prefix, most], |row| Ok((row.get(0)?, row.get(1)?)));
        rows.and_then(Iterator::collect).map_err(failed)
    }

    /// When each table was last pulled for a night: by `<source>.<table>`.
    pub fn pulled_at(&self, night: AsOf) -> Result<BTreeMap<String, Timestamp>, Error> {
        let failed = |source| self.failed("read when tables were pulled", source);
        let sql = "select entry.key, max(entry.at) from entry join run on run.run = entry.run
                   where entry.kind = 'pull' and run.as_of = ?1 group by entry.key";
        let mut select = self.connection.prepare(sql).map_err(failed)?;
        let rows =
            select.query_map([night.to_string()], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)));
        let rows: Vec<(String, String)> = rows.and_then(Iterator::collect).map_err(failed)?;
        Ok(rows.into_iter().filter_map(|(table, at)| Some((table, at.parse().ok()?))).collect())
    }
}
