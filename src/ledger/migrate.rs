//! From the layout of an earlier version to that of this one, in one transaction.

use rusqlite::Connection;
use serde_json::json;

use super::{Error, Ledger, SCHEMA_VERSION, append};

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

/// Layout 2: of an obligation nobody knew in which commune its person lived.
const TO_3: &str = "alter table obligation add column unit text";

impl Ledger {
    /// Brings a ledger that an earlier version wrote to the layout of this one. Its owner and its head are checked.
    pub(super) fn migrate(&mut self) -> Result<(), Error> {
        let version = self.version()?.and_then(|text| text.parse::<i64>().ok());
        let Some(from) = version.filter(|version| (1..SCHEMA_VERSION).contains(version)) else { return Ok(()) };
        self.write("bring the ledger to the layout of this version", |transaction| {
            if from == 1 && has_table(transaction, "outbox")? {
                transaction.execute_batch(TO_2)?;
                transaction.execute_batch(include_str!("outbox.sql"))?;
                transaction.execute_batch(FROM_1)?;
            }
            if has_table(transaction, "obligation")? && !has_unit(transaction)? {
                transaction.execute_batch(TO_3)?;
            }
            let to = SCHEMA_VERSION;
            transaction.execute("update meta set value = ?1 where name = 'schema_version'", [to.to_string()])?;
            append(transaction, "-", "ledger.migrated", "layout", &json!({ "from": from, "to": to })).map(drop)
        })
    }
}

/// Whether of each obligation there is a place for its unit.
pub(super) fn has_unit(connection: &Connection) -> rusqlite::Result<bool> {
    let sql = "select count(*) from pragma_table_info('obligation') where name = 'unit'";
    connection.query_row(sql, [], |row| row.get(0))
}

fn has_table(connection: &Connection, name: &str) -> rusqlite::Result<bool> {
    connection.query_row("select count(*) from sqlite_schema where name = ?1", [name], |row| row.get(0))
}
