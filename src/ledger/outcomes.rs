//! What became of the obligations of which people were reminded.

use jiff::civil::Date;
use rusqlite::params;
use serde_json::json;

use super::{Error, Ledger};

/// Obligations due in a period whose person was written to, and how many of them were done in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Outcomes {
    /// Obligations of which at least one message was taken by its channel.
    pub reminded: i64,
    /// Of those, the ones done on or before the day they were due.
    pub acted_in_time: i64,
}

/// Whose outcomes are counted.
#[derive(Debug, Clone, Copy, Default)]
pub struct OutcomesOf<'a> {
    /// A commune: those whose person lived there when the obligation was first seen. None means all.
    pub unit: Option<&'a str>,
    /// The obligations of these items. None means all.
    pub items: Option<&'a [&'a str]>,
}

impl Ledger {
    /// Counts the obligations due from `first` to `last`, both with it, of which somebody was reminded.
    ///
    /// What was withdrawn is left out: the sources no longer say that it had to be done. None where a unit is asked for
    /// and it is not known of each of them where its person lived: a figure that lacks some of its people is not given.
    pub fn outcomes(&self, first: Date, last: Date, of: OutcomesOf<'_>) -> Result<Option<Outcomes>, Error> {
        let failed = |source| self.failed("count the outcomes of reminders", source);
        let unit = self.unit_column().map_err(failed)?;
        let sql = format!(
            "select count(*), coalesce(sum(fulfilled_on <= due_on), 0), coalesce(sum({unit} is null), 0)
             from obligation
             where due_on between ?1 and ?2 and state <> 'withdrawn'
                 and (?3 is null or {unit} = ?3 or {unit} is null)
                 and (?4 is null or item in (select value from json_each(?4)))
                 and key in (select obligation from outbox where state = 'accepted')"
        );
        let items = of.items.map(|items| json!(items).to_string());
        let asked = params![first.to_string(), last.to_string(), of.unit, items];
        self.connection
            .query_row(&sql, asked, |row| {
                let outcomes = Outcomes { reminded: row.get(0)?, acted_in_time: row.get(1)? };
                let of_no_place: i64 = row.get(2)?;
                Ok((of.unit.is_none() || of_no_place == 0).then_some(outcomes))
            })
            .map_err(failed)
    }
}
