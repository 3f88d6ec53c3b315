//! What became of the obligations of which people were reminded.

use jiff::civil::Date;

use super::{Error, Ledger};

/// Obligations due in a period whose person was written to, and how many of them were done in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Outcomes {
    /// Obligations of which at least one message was taken by its channel.
    pub reminded: i64,
    /// Of those, the ones done on or before the day they were due.
    pub acted_in_time: i64,
}

impl Ledger {
    /// Counts the obligations due from `first` to `last`, both with it, of which somebody was reminded.
    ///
    /// What was withdrawn is left out: the sources no longer say that it had to be done.
    pub fn outcomes(&self, first: Date, last: Date) -> Result<Outcomes, Error> {
        let failed = |source| self.failed("count the outcomes of reminders", source);
        let sql = "select count(*), coalesce(sum(fulfilled_on <= due_on), 0)
                   from obligation
                   where due_on between ?1 and ?2 and state <> 'withdrawn'
                       and key in (select obligation from outbox where state = 'accepted')";
        self.connection
            .query_row(sql, [first.to_string(), last.to_string()], |row| {
                Ok(Outcomes { reminded: row.get(0)?, acted_in_time: row.get(1)? })
            })
            .map_err(failed)
    }
}
