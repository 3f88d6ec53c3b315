//! How every obligation stands, and what happened to it: made known night by night.
//!
//! Of each item and run there is at least one entry of kind `obligations.followed`: it says
//! for which night the item was followed, and holds what changed, some hundred changes in
//! each entry. Beside the entries stand two tables made from them: `obligation`, how each
//! stands, and `followed`, the newest night of each item. Subjects are keyed pseudonyms.

use jiff::civil::Date;
use rusqlite::{OptionalExtension, Row, Transaction, params};
use serde_json::{Value, json};

use super::{Error, Ledger, append, migrate};
use crate::obligations::life::{Change, Standing, State};

/// The kind of its entries.
pub(super) const KIND: &str = "obligations.followed";

/// Changes in one entry: few entries, each short enough to be read.
const CHANGES_PER_ENTRY: usize = 500;

/// What became of the obligations of one item.
#[derive(Debug, Clone, Default)]
pub struct Followed {
    /// The item.
    pub item: String,
    /// What changed, in any order.
    pub changes: Vec<Change>,
}

/// How many obligations of an item stand in one way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObligationCount {
    /// The item.
    pub item: String,
    /// `open`, `fulfilled`, `withdrawn`, `lapsed`.
    pub state: String,
    /// How many.
    pub obligations: u64,
}

impl Ledger {
    /// The newest night for which an item was followed; none when it never was.
    pub fn followed_until(&self, item: &str) -> Result<Option<Date>, Error> {
        let failed = |source| self.failed("read how far the obligations were followed", source);
        let text: Option<String> = self
            .connection
            .query_row("select as_of from followed where item = ?1", [item], |row| row.get(0))
            .optional()
            .map_err(failed)?;
        Ok(text.and_then(|text| text.parse().ok()))
    }

    /// Shows each obligation of an item that was ever followed, in order of their keys, one at a time.
    pub fn standings(&self, item: &str, mut visit: impl FnMut(Standing)) -> Result<(), Error> {
        let failed = |source| self.failed("read the obligations", source);
        let sql = format!(
            "select key, subject, due_on, rule_version, state, since, fulfilled_on, {} from obligation
             where item = ?1 order by key",
            self.unit_column().map_err(failed)?
        );
        let mut select = self.connection.prepare(&sql).map_err(failed)?;
        let mut rows = select.query([item]).map_err(failed)?;
        while let Some(row) = rows.next().map_err(failed)? {
            visit(standing(row).map_err(failed)?);
        }
        Ok(())
    }

    /// How the unit of an obligation is read: a ledger of an earlier layout has no such column until it is next written.
    pub(super) fn unit_column(&self) -> rusqlite::Result<&'static str> {
        Ok(if migrate::has_unit(&self.connection)? { "unit" } else { "null" })
    }

    /// Writes down what became of the obligations of these items on a night: all of it, or nothing.
    pub fn follow(&mut self, run: &str, as_of: Date, items: &[Followed]) -> Result<(), Error> {
        let mut followed = items.iter();
        self.follow_made(run, as_of, items.iter().map(|one| one.item.as_str()), |_, take| {
            let mut changes: Vec<&Change> = followed.next().into_iter().flat_map(|one| &one.changes).collect();
            changes.sort_by(|a, b| a.standing.key.cmp(&b.standing.key));
            changes.into_iter().for_each(|change| take(change.clone()));
            Ok(())
        })
    }

    /// Like [`Ledger::follow`], with changes that are made when they are written: no more of them than an entry holds
    /// stand in memory. `changes_of` is asked for each item, once and in their order, and gives its changes in the
    /// order of their keys, in which the rows stand.
    pub fn follow_made<'i>(
        &mut self,
        run: &str,
        as_of: Date,
        items: impl IntoIterator<Item = &'i str>,
        mut changes_of: impl FnMut(&str, &mut dyn FnMut(Change)) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut failed = None;
        let written = self.write("write down what became of the obligations", |transaction| {
            for item in items {
                let mut page = Page { transaction, run, item, as_of: as_of.to_string(), changes: Vec::new() };
                let (mut is_told, mut written) = (false, Ok(()));
                let made = changes_of(item, &mut |change| {
                    if written.is_err() {
                        return;
                    }
                    page.changes.push(change);
                    if page.changes.len() == CHANGES_PER_ENTRY {
                        is_told = true;
                        written = page.write();
                    }
                });
                written?;
                if let Err(error) = made {
                    failed = Some(error);
                    // Nothing of it stays: what is wrong is said below.
                    return Err(rusqlite::Error::QueryReturnedNoRows);
                }
                // That nothing changed is written down, too.
                if !(is_told && page.changes.is_empty()) {
                    page.write()?;
                }
            }
            Ok(())
        });
        failed.map_or(written, Err)
    }

    /// How many obligations stand how, by item; of one item alone where one is named.
    pub fn obligation_counts(&self, item: Option<&str>) -> Result<Vec<ObligationCount>, Error> {
        let failed = |source| self.failed("count the obligations", source);
        let sql =
            "select item, state, count(*) from obligation where ?1 is null or item = ?1 group by 1, 2 order by 1, 2";
        let mut select = self.connection.prepare(sql).map_err(failed)?;
        let rows = select.query_map([item], |row| {
            let obligations = u64::try_from(row.get::<_, i64>(2)?).unwrap_or(0);
            Ok(ObligationCount { item: row.get(0)?, state: row.get(1)?, obligations })
        });
        rows.and_then(Iterator::collect).map_err(failed)
    }

    /// What happened to one obligation, the oldest first: run, night, event and how it stood then, as written down.
    pub fn life(&self, item: &str, key: &str) -> Result<Vec<Value>, Error> {
        let failed = |source| self.failed("read the life of an obligation", source);
        let sql = "select json_object('run', run, 'as_of', entry.body ->> 'as_of', 'change', json(change.value))
                   from entry, json_each(entry.body, '$.changes') as change
                   where entry.kind = ?1 and entry.key = ?2 and instr(entry.body, ?3) > 0 and change.value ->> 1 = ?3
                   order by entry.seq";
        let mut select = self.connection.prepare(sql).map_err(failed)?;
        let rows = select.query_map([KIND, item, key], |row| row.get::<_, String>(0));
        let rows: Vec<String> = rows.and_then(Iterator::collect).map_err(failed)?;
        Ok(rows.iter().filter_map(|row| serde_json::from_str(row).ok()).collect())
    }
}

/// The changes of one entry.
struct Page<'t> {
    transaction: &'t Transaction<'t>,
    run: &'t str,
    item: &'t str,
    as_of: String,
    changes: Vec<Change>,
}

impl Page<'_> {
    fn write(&mut self) -> rusqlite::Result<()> {
        let Page { transaction, run, item, .. } = *self;
        let (as_of, changes) = (&self.as_of, &mut self.changes);
        let lines: Vec<Value> = changes.iter().map(line).collect();
        let entry = append(transaction, run, KIND, item, &json!({ "as_of": as_of, "changes": lines }))?;
        let mut put = transaction.prepare_cached(
            "insert into obligation
                 (item, key, subject, due_on, rule_version, state, since, fulfilled_on, run, entry, unit)
             values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
             on conflict (item, key) do update set due_on = ?4, rule_version = ?5, state = ?6, since = ?7,
                 fulfilled_on = ?8, run = ?9, entry = ?10, unit = ?11",
        )?;
        for Change { standing, .. } in changes.drain(..) {
            let fulfilled_on = standing.fulfilled_on.map(|on| on.to_string());
            put.execute(params![
                item,
                standing.key,
                standing.subject,
                standing.due_on.to_string(),
                standing.rule_version,
                standing.state.word(),
                standing.since.to_string(),
                fulfilled_on,
                run,
                entry,
                standing.unit
            ])?;
        }
        transaction
            .prepare_cached(
                "insert into followed (item, as_of, run, entry) values (?1, ?2, ?3, ?4)
                 on conflict (item) do update set as_of = ?2, run = ?3, entry = ?4",
            )?
            .execute(params![item, as_of, run, entry])
            .map(drop)
    }
}

/// A change as the entry says it: event, key, subject, due date, rule, state, since, fulfilled on, where it moved from,
/// and the unit. It holds the whole row, so that the newest line of a key is how it stands.
fn line(change: &Change) -> Value {
    let standing = &change.standing;
    let from = change.from.as_ref();
    json!([
        change.event.word(),
        standing.key,
        standing.subject,
        standing.due_on.to_string(),
        standing.rule_version,
        standing.state.word(),
        standing.since.to_string(),
        standing.fulfilled_on.map(|on| on.to_string()),
        from.map(|(due_on, _)| due_on.to_string()),
        from.map(|(_, rule_version)| rule_version),
        standing.unit,
    ])
}

fn standing(row: &Row<'_>) -> rusqlite::Result<Standing> {
    let date = |index: usize| -> rusqlite::Result<Date> {
        let text: String = row.get(index)?;
        text.parse().map_err(|_| rusqlite::Error::InvalidColumnType(index, text, rusqlite::types::Type::Text))
    };
    let state: String = row.get(4)?;
    let unknown = || rusqlite::Error::InvalidColumnType(4, state.clone(), rusqlite::types::Type::Text);
    let is_fulfilled = row.get_ref(6)? != rusqlite::types::ValueRef::Null;
    Ok(Standing {
        key: row.get(0)?,
        subject: row.get(1)?,
        due_on: date(2)?,
        rule_version: row.get(3)?,
        state: State::from_word(&state).ok_or_else(unknown)?,
        since: date(5)?,
        fulfilled_on: if is_fulfilled { Some(date(6)?) } else { None },
        unit: row.get(7)?,
    })
}
