//! From the layout of an earlier version to that of this one, in one transaction.

use rusqlite::Connection;
use serde_json::json;

use super::{Error, Ledger, append};

/// Layout 1: the outbox had neither reason nor address, and each message had entries of its own.
const TO_2: &str = "
    alter table outbox rename to outbox_1;
    drop index if exists outbox_by_state;
";

const FROM_1: &str = "
    insert into outbox (key, subject, obligation, item, stage, channel, message_id, state, reason, attempts, run, entry)
    select key, subject, obligation, item, stage, channel, message_id, state,
           (select body ->> 'reason' from entry where seq = outbox_1.entry and kind = 'message.settled'),
           attempts, run, entry
    from outbox_1 order by entry;
    drop table outbox_1;
";

impl Ledger {
    /// Brings a ledger that an earlier version wrote to the layout of this one. Its owner and its head are checked.
    pub(super) fn migrate(&mut self) -> Result<(), Error> {
        if self.version()?.as_deref() != Some("1") {
            return Ok(());
        }
        self.write("bring the ledger to the layout of this version", |transaction| {
            if has_outbox(transaction)? {
                transaction.execute_batch(TO_2)?;
                transaction.execute_batch(include_str!("outbox.sql"))?;
                transaction.execute_batch(FROM_1)?;
            }
            transaction.execute("update meta set value = '2' where name = 'schema_version'", [])?;
            append(transaction, "-", "ledger.migrated", "layout", &json!({ "from": 1, "to": 2 })).map(drop)
        })
    }
}

fn has_outbox(connection: &Connection) -> rusqlite::Result<bool> {
    connection.query_row("select count(*) from sqlite_schema where name = 'outbox'", [], |row| row.get(0))
}
