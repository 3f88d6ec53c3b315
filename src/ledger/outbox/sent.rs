//! What was sent, and which due day it told.

use std::collections::{HashMap, HashSet};

use jiff::civil::Date;

use super::RECORDED;
use crate::ledger::{Error, Ledger};

/// A message that was taken by its peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentMessage {
    /// Its key.
    pub key: String,
    /// Key of its obligation.
    pub obligation: String,
    /// The stage, by its notice.
    pub stage_notice_days: u16,
    /// The last day on which it could leave.
    pub valid_until: Date,
    /// The run that last touched it.
    pub run: String,
    /// The entry of its state: that of a message sent later is higher.
    pub entry: i64,
}

impl Ledger {
    /// Shows each message that was taken and whose last day is known, one at a time, in any order.
    pub fn each_sent(&self, mut visit: impl FnMut(SentMessage)) -> Result<(), Error> {
        // A ledger of the first layout, opened for reading, does not know the last days.
        if self.version()?.as_deref() == Some("1") {
            return Ok(());
        }
        let failed = |source| self.failed("read what was sent", source);
        let sql = "select key, obligation, stage, valid_until, run, entry from outbox
                   where state = 'accepted' and valid_until is not null";
        let mut select = self.connection.prepare(sql).map_err(failed)?;
        let mut rows = select.query([]).map_err(failed)?;
        while let Some(row) = rows.next().map_err(failed)? {
            let valid_until: String = row.get(3).map_err(failed)?;
            let Ok(valid_until) = valid_until.parse() else { continue };
            visit(SentMessage {
                key: row.get(0).map_err(failed)?,
                obligation: row.get(1).map_err(failed)?,
                stage_notice_days: row.get(2).map_err(failed)?,
                valid_until,
                run: row.get(4).map_err(failed)?,
                entry: row.get(5).map_err(failed)?,
            });
        }
        Ok(())
    }

    /// The due days that messages of a run told, by their keys, as they were recorded before they left; of those asked
    /// for that were recorded in it.
    pub fn told_in(&self, run: &str, keys: &HashSet<&str>) -> Result<HashMap<String, Date>, Error> {
        let failed = |source| self.failed("read which days messages told", source);
        let sql = "select line.value ->> 'key', line.value ->> 'due_on'
                   from entry, json_each(entry.body, '$.messages') as line
                   where entry.kind = ?1 and entry.run = ?2 order by entry.seq";
        let mut select = self.connection.prepare(sql).map_err(failed)?;
        let mut rows = select.query([RECORDED, run]).map_err(failed)?;
        let mut told = HashMap::new();
        while let Some(row) = rows.next().map_err(failed)? {
            let key: String = row.get(0).map_err(failed)?;
            let due_on: String = row.get(1).map_err(failed)?;
            if let Ok(due_on) = due_on.parse()
                && keys.contains(key.as_str())
            {
                told.insert(key, due_on);
            }
        }
        Ok(told)
    }
}
