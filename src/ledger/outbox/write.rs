//! The changes of the outbox beside those of a sender at work, each in one transaction under the lease.

use rusqlite::{OptionalExtension, Transaction, params};
use serde_json::{Value, json};

use super::line::count;
use super::reserve::PER_ENTRY;
use super::{MessageKey, MessageState, Record, Settlement};
use crate::ledger::journal::{Ends, Group, Leaves};
use crate::ledger::{Error, Ledger, append, one_row, together};

/// What was found in flight, or known better by the journal, when a run began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Messages of which nobody knows whether they were taken.
    pub uncertain: usize,
    /// Messages of which the journal beside the ledger knew more than the ledger.
    pub adopted: usize,
}

impl Ledger {
    /// Writes down that messages are not sent any more, each with its reason. One that has left is left alone.
    pub fn drop_messages(&mut self, run: &str, dropped: &[(MessageKey, String)]) -> Result<usize, Error> {
        self.drop_those(run, dropped, &[MessageState::Reserved, MessageState::Deferred])
    }

    /// Drops those of the messages that are in one of these states.
    pub(in crate::ledger) fn drop_those(
        &mut self,
        run: &str,
        dropped: &[(MessageKey, String)],
        from: &[MessageState],
    ) -> Result<usize, Error> {
        if dropped.is_empty() {
            return Ok(0);
        }
        self.write_outbox("write down what is not sent", |transaction| {
            let mut lines = Vec::with_capacity(dropped.len());
            for (key, reason) in dropped {
                let state = state_of(transaction, key)?;
                if state.is_some_and(|(state, _)| from.iter().any(|from| from.word() == state)) {
                    lines.push((key, reason));
                }
            }
            if lines.is_empty() {
                return Ok(0);
            }
            let word = MessageState::Dropped.word();
            let told: Vec<Value> =
                lines.iter().map(|(key, reason)| json!({ "key": key.0, "state": word, "reason": reason })).collect();
            let entry = append(transaction, run, SETTLED, &count(told.len()), &json!({ "messages": told }))?;
            for (key, reason) in &lines {
                put_end(transaction, run, entry, &key.0, word, reason, None)?;
            }
            Ok(lines.len())
        })
    }

    /// Marks everything that was in flight when an earlier process died as uncertain, after the journal
    /// beside the ledger was asked what it knows better. Call it while holding the [`crate::ledger::Lock`].
    pub fn recover(&mut self, run: &str) -> Result<Recovered, Error> {
        let adopted = self.adopt(run)?;
        let keys = self.keys_in(MessageState::InFlight)?;
        let settlements: Vec<Settlement> = keys
            .into_iter()
            .map(|key| Settlement {
                key,
                state: MessageState::Uncertain,
                reason: "process ended".into(),
                retry_at: None,
            })
            .collect();
        self.settle(run, &settlements)?;
        Ok(Recovered { uncertain: settlements.len(), adopted })
    }

    /// [`Ledger::recover`], for who asks only how many are uncertain.
    pub fn mark_uncertain(&mut self, run: &str) -> Result<usize, Error> {
        self.recover(run).map(|recovered| recovered.uncertain)
    }

    /// Commits what a clerk has decided about a message of which nobody knows whether it was taken.
    ///
    /// Only an uncertain message can be decided, and only to be over ([`MessageState::Accepted`])
    /// or to be sent by the next run ([`MessageState::Deferred`]). Call it while holding the
    /// [`crate::ledger::Lock`]. The entry belongs to the run that left the message uncertain.
    pub fn decide(&mut self, key: &MessageKey, decision: MessageState, by: &str, reason: &str) -> Result<(), Error> {
        let row = self.outbox()?.into_iter().find(|row| row.key == *key);
        let refused = |is| Error::NotUncertain { path: self.path().to_path_buf(), key: key.0.clone(), is };
        let row = match row {
            Some(row) if row.state == MessageState::Uncertain => row,
            Some(row) => return Err(refused(Some(row.state.word()))),
            None => return Err(refused(None)),
        };
        if !matches!(decision, MessageState::Accepted | MessageState::Deferred) {
            return Err(refused(Some(decision.word())));
        }
        let state = decision.word();
        let mut group = Group::default();
        group.ends(&Ends { key: key.0.clone(), state: state.to_owned() });
        let known_bytes = self.journaled(group)?;
        self.write_outbox("write the decision down", |transaction| {
            let line = json!({ "key": key.0, "state": state, "reason": reason });
            let body = json!({ "decided_by": by, "messages": [line] });
            let entry = append(transaction, &row.run, SETTLED, &count(1), &body)?;
            mark(transaction, known_bytes)?;
            put_end(transaction, &row.run, entry, &key.0, state, reason, None)
        })
    }

    /// Takes from the journal what this ledger does not know: it is older than what was sent.
    fn adopt(&mut self, run: &str) -> Result<usize, Error> {
        let Some(journal) = &self.journal else { return Ok(0) };
        let known = self.marked()?;
        let (events, until) = journal.since(known)?;
        if events.is_empty() {
            return Ok(0);
        }
        self.write_outbox("take over what the journal knows", |transaction| {
            let mut lines = Vec::new();
            for (key, (leaves, end)) in crate::ledger::journal::last(events) {
                let known = state_of(transaction, &MessageKey(key.clone()))?;
                let Some(state) = better(known.as_ref(), leaves.as_ref(), end.as_deref()) else { continue };
                // Without the row or what left there is nothing to make one from.
                if known.is_some() || leaves.is_some() {
                    lines.push((key, state, leaves));
                }
            }
            for part in lines.chunks(PER_ENTRY) {
                let told = part.iter().map(|(key, state, leaves)| adopted_line(key, state, leaves.as_ref()));
                let body = json!({ "messages": told.collect::<Vec<_>>() });
                let entry = append(transaction, run, ADOPTED, &count(part.len()), &body)?;
                for (key, state, leaves) in part {
                    put_adopted(transaction, run, entry, key, state, leaves.as_ref())?;
                }
            }
            mark(transaction, Some(until))?;
            Ok(lines.len())
        })
    }

    fn keys_in(&self, state: MessageState) -> Result<Vec<MessageKey>, Error> {
        let failed = |source| self.failed("read the outbox", source);
        // Written out, so that the small index of these states serves it.
        let sql = format!("select key from outbox where state = '{}' order by key", state.word());
        let mut select = self.connection.prepare(&sql).map_err(failed)?;
        let rows = select.query_map([], |row| row.get(0).map(MessageKey)).map_err(failed)?;
        rows.collect::<Result<_, _>>().map_err(failed)
    }
}

/// The kinds of the entries, one for each commit.
pub(in crate::ledger) const RESERVED: &str = "messages.reserved";
pub(in crate::ledger) const RECORDED: &str = "messages.recorded";
pub(in crate::ledger) const SETTLED: &str = "messages.settled";
pub(in crate::ledger) const ADOPTED: &str = "messages.adopted";

/// Why a message is in the state that the journal gave it.
pub(super) const FROM_JOURNAL: &str = "known from the journal";

pub(super) fn state_of(transaction: &Transaction<'_>, key: &MessageKey) -> rusqlite::Result<Option<(String, i64)>> {
    transaction
        .prepare_cached("select state, attempts from outbox where key = ?1")?
        .query_row([&key.0], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()
}

pub(super) fn put_end(
    transaction: &Transaction<'_>,
    run: &str,
    entry: i64,
    key: &str,
    state: &str,
    reason: &str,
    retry_at: Option<&str>,
) -> rusqlite::Result<()> {
    let sql = "update outbox set state = ?2, reason = ?3, retry_at = ?4, run = ?5, entry = ?6 where key = ?1";
    one_row(transaction.prepare_cached(sql)?.execute(params![key, state, reason, retry_at, run, entry])?)
}

/// Puts the row of a message, new or in place of what it was; what is fixed stays as it was first written.
pub(super) fn put(
    transaction: &Transaction<'_>,
    run: &str,
    entry: i64,
    record: &Record,
    state: MessageState,
    attempts: i64,
) -> rusqlite::Result<()> {
    transaction
        .prepare_cached(
            "insert into outbox (key, subject, obligation, item, stage, channel, message_id, address, valid_until,
                                 state, reason, retry_at, attempts, run, entry)
             values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, null, null, ?11, ?12, ?13)
             on conflict (key) do update set address = ?8, valid_until = ?9, state = ?10, reason = null,
                 retry_at = null, attempts = max(attempts, ?11), run = ?12, entry = ?13",
        )?
        .execute(params![
            record.key.0,
            record.subject,
            record.obligation,
            record.item,
            record.stage_notice_days,
            record.channel,
            record.message_id,
            record.address,
            record.valid_until.map(|day| day.to_string()),
            state.word(),
            attempts,
            run,
            entry
        ])
        .map(drop)
}

pub(super) fn mark(transaction: &Transaction<'_>, bytes: Option<u64>) -> rusqlite::Result<()> {
    let Some(bytes) = bytes else { return Ok(()) };
    transaction
        .prepare_cached(
            "insert into mark (name, bytes) values ('journal', ?1) on conflict (name) do update set bytes = ?1",
        )?
        .execute([i64::try_from(bytes).unwrap_or(i64::MAX)])
        .map(drop)
}

/// The state that the journal gives a message, where that is more than the ledger knows.
fn better(known: Option<&(String, i64)>, leaves: Option<&Leaves>, end: Option<&str>) -> Option<String> {
    let state = known.map(|(state, _)| state.as_str());
    let is_newer = match (known, leaves) {
        (Some((_, attempts)), Some(leaves)) => leaves.attempt > *attempts,
        _ => true,
    };
    match (end, state) {
        (Some(end), Some(state)) if end == state => None,
        (Some(end), _) => Some(end.to_owned()),
        // In flight here too: it becomes uncertain with all others.
        (None, Some("in_flight")) => None,
        (None, _) => is_newer.then(|| MessageState::Uncertain.word().to_owned()),
    }
}

fn adopted_line(key: &str, state: &str, leaves: Option<&Leaves>) -> Value {
    let mut line = json!({ "key": key, "state": state, "reason": FROM_JOURNAL });
    if let (Some(leaves), Some(line)) = (leaves, line.as_object_mut()) {
        if let Some(address) = &leaves.address {
            line.insert("address".into(), address.as_str().into());
        }
        if let Some(letter) = &leaves.letter {
            line.insert("message".into(), letter.as_str().into());
        }
        line.insert("attempt".into(), leaves.attempt.into());
        line.insert("channel".into(), leaves.channel.as_str().into());
        line.insert("item".into(), leaves.item.as_str().into());
        line.insert("message_id".into(), leaves.message_id.as_str().into());
        line.insert("obligation".into(), leaves.obligation.as_str().into());
        line.insert("stage".into(), leaves.stage.into());
        line.insert("subject".into(), leaves.subject.as_str().into());
    }
    line
}

fn put_adopted(
    transaction: &Transaction<'_>,
    run: &str,
    entry: i64,
    key: &str,
    state: &str,
    leaves: Option<&Leaves>,
) -> rusqlite::Result<()> {
    if let Some(leaves) = leaves {
        transaction
            .prepare_cached(
                "insert into outbox (key, subject, obligation, item, stage, channel, message_id, state, attempts, run,
                                     entry, address)
                 values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)
                 on conflict (key) do update set attempts = max(attempts, ?9)",
            )?
            .execute(params![
                key,
                leaves.subject,
                leaves.obligation,
                leaves.item,
                leaves.stage,
                leaves.channel,
                leaves.message_id,
                state,
                leaves.attempt,
                run,
                entry,
                leaves.address
            ])?;
        together::adopt(transaction, key, leaves.letter.as_deref(), entry)?;
    }
    put_end(transaction, run, entry, key, state, FROM_JOURNAL, None)
}
