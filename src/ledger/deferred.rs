//! What the other side put off: messages that wait to be tried again, and when.

use std::collections::HashMap;

use jiff::Timestamp;

use super::{Error, Ledger};

/// A message that waits to be tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deferred {
    /// How often it was put on the wire.
    pub attempts: u32,
    /// When it may be tried again; none where nobody said.
    pub retry_at: Option<Timestamp>,
}

impl Ledger {
    /// The messages that wait to be tried again, by their keys.
    ///
    /// # Errors
    ///
    /// Where the ledger cannot be read.
    pub fn deferred(&self) -> Result<HashMap<String, Deferred>, Error> {
        let failed = |source| self.failed("read what waits to be tried again", source);
        // A ledger of an earlier layout, opened for reading, does not know when.
        let retry_at = if self.version()?.as_deref() == Some("1") { "null" } else { "retry_at" };
        // Written out, so that the small index of these states serves it.
        let sql = format!("select key, attempts, {retry_at} from outbox where state = 'deferred'");
        let mut select = self.connection.prepare(&sql).map_err(failed)?;
        let rows = select.query_map([], |row| {
            let (attempts, retry_at): (i64, Option<String>) = (row.get(1)?, row.get(2)?);
            let retry_at = retry_at.and_then(|at| at.parse().ok());
            Ok((row.get(0)?, Deferred { attempts: u32::try_from(attempts).unwrap_or(u32::MAX), retry_at }))
        });
        rows.and_then(Iterator::collect).map_err(failed)
    }

    /// The first instant after `after` at which a message may be tried again; none where none waits for one.
    ///
    /// # Errors
    ///
    /// Where the ledger cannot be read.
    pub fn next_try(&self, after: Option<Timestamp>) -> Result<Option<Timestamp>, Error> {
        let instants = self.deferred()?.into_values().filter_map(|deferred| deferred.retry_at);
        Ok(instants.filter(|at| after.is_none_or(|after| *at > after)).min())
    }
}
