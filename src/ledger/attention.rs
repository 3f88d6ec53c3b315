//! When messages went to each person, by keyed pseudonym.

use std::collections::HashMap;

use jiff::Timestamp;
use jiff::civil::Date;
use rusqlite::params;

use super::{Error, Ledger};

impl Ledger {
    /// When the newest run began that did not fail; none where there was none.
    pub fn newest_start(&self) -> Result<Option<Timestamp>, Error> {
        let sql = "select max(started_at) from run where outcome in ('done', 'held', 'sent')";
        let text = self.connection.query_row(sql, [], |row| row.get::<_, Option<String>>(0));
        let text = text.map_err(|source| self.failed("read when the newest run began", source))?;
        Ok(text.and_then(|text| text.parse().ok()))
    }

    /// On which days messages went to each subject: after the first day, up to the second and with it, one date for
    /// each message. A digest has one Message-ID and is one; what is uncertain or in flight may have arrived and counts.
    pub fn sent_between(&self, after: Date, up_to: Date) -> Result<HashMap<String, Vec<Date>>, Error> {
        let failed = |source| self.failed("read to whom messages went", source);
        // A ledger of an earlier version gets the table when it is next written.
        let (message, from) = match self.has_table("together")? {
            true => ("coalesce(message, message_id)", "outbox left join together using (key)"),
            false => ("message_id", "outbox"),
        };
        let sql = format!(
            "select subject, substr(run, 1, 10) as day, count(distinct {message}) from {from}
             where state in ('accepted', 'uncertain', 'in_flight') and day > ?1 and day <= ?2 group by 1, 2"
        );
        let mut select = self.connection.prepare(&sql).map_err(failed)?;
        let mut rows = select.query(params![after.to_string(), up_to.to_string()]).map_err(failed)?;
        let mut sent: HashMap<String, Vec<Date>> = HashMap::new();
        while let Some(row) = rows.next().map_err(failed)? {
            let subject: String = row.get(0).map_err(failed)?;
            let day: String = row.get(1).map_err(failed)?;
            let messages: i64 = row.get(2).map_err(failed)?;
            let Ok(day) = day.parse::<Date>() else { continue };
            let messages = usize::try_from(messages).unwrap_or(0);
            sent.entry(subject).or_default().extend(std::iter::repeat_n(day, messages));
        }
        Ok(sent)
    }
}
