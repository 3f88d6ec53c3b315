//! The outbox: intent is durable before the wire.
//!
//! ```text
//! in_flight ─ accepted          the peer took it
//!           ├ deferred          the peer said later: a later run sends it
//!           ├ refused           the peer said no: this stage is over
//!           └ uncertain         a crash or a lost connection left it unknown
//! ```
//!
//! [`Ledger::record`] commits a batch as `in_flight` and only then gives out the
//! [`Recorded`] values that `delivery` takes. What is still in flight when the
//! next run starts was in flight when a process died; the window is one batch.

use rusqlite::params;
use serde_json::json;

use super::{Error, Ledger, append, explanations, one_row};

/// The unique key of a message: a keyed digest of subject, item, period, stage and channel.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageKey(pub String);

/// What the ledger writes about a message before it leaves. No person is in it.
#[derive(Debug, Clone)]
pub struct Record {
    /// Its unique key.
    pub key: MessageKey,
    /// Keyed pseudonym of the person.
    pub subject: String,
    /// Key of the obligation.
    pub obligation: String,
    /// The item.
    pub item: String,
    /// The stage, by its notice: 60, 30, 7 days.
    pub stage_notice_days: u16,
    /// The channel, by its name in the pipeline.
    pub channel: String,
    /// Message-ID, fixed before the wire.
    pub message_id: String,
    /// When the obligation is due.
    pub due_on: jiff::civil::Date,
    /// The version of the rule.
    pub rule_version: String,
    /// Hash of the templates.
    pub template_version: String,
    /// Hash of what was rendered.
    pub rendered_hash: String,
    /// Why it is sent, sealed under the message's key; none where it could not be told.
    pub explanation: Option<Vec<u8>>,
}

/// A value whose intent is in the ledger. Only the ledger makes one.
#[derive(Debug)]
pub struct Recorded<T> {
    value: T,
    entry: i64,
    key: MessageKey,
}

impl<T> Recorded<T> {
    /// The value.
    pub fn value(&self) -> &T {
        &self.value
    }

    /// Number of the entry that holds the intent.
    pub fn entry(&self) -> i64 {
        self.entry
    }

    /// The message's key.
    pub fn key(&self) -> &MessageKey {
        &self.key
    }
}

/// The state of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MessageState {
    /// Recorded, and perhaps on the wire.
    InFlight,
    /// Taken by the peer.
    Accepted,
    /// To be tried again.
    Deferred,
    /// Refused for good.
    Refused,
    /// Unknown whether it was taken.
    Uncertain,
}

impl MessageState {
    const WORDS: [(&'static str, MessageState); 5] = [
        ("in_flight", MessageState::InFlight),
        ("accepted", MessageState::Accepted),
        ("deferred", MessageState::Deferred),
        ("refused", MessageState::Refused),
        ("uncertain", MessageState::Uncertain),
    ];

    /// The word in the ledger.
    pub fn word(self) -> &'static str {
        Self::WORDS.iter().find(|(_, state)| *state == self).map_or("?", |(word, _)| word)
    }

    /// From the word in the ledger.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::WORDS.iter().find(|(known, _)| *known == word).map(|(_, state)| *state)
    }
}

/// How a message ended.
#[derive(Debug, Clone)]
pub struct Settlement {
    /// Which.
    pub key: MessageKey,
    /// Its new state.
    pub state: MessageState,
    /// Why, in a code without personal data: `250`, `451 4.7.1`.
    pub reason: String,
}

/// A message as the outbox knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxRow {
    /// Its key.
    pub key: MessageKey,
    /// Its state.
    pub state: MessageState,
    /// How often it was put on the wire.
    pub attempts: i64,
    /// Key of its obligation.
    pub obligation: String,
    /// The item.
    pub item: String,
    /// The stage, by its notice.
    pub stage_notice_days: u16,
    /// The run that last touched it.
    pub run: String,
}

impl Ledger {
    /// Commits the intent to send these messages, in one transaction.
    ///
    /// A key that is new is recorded; one that was deferred or uncertain is
    /// recorded again, as a further attempt. A key that is in flight, accepted or
    /// refused is left alone and its value is dropped: nobody gets a message twice.
    pub fn record<T>(&mut self, run: &str, messages: Vec<(Record, T)>) -> Result<Vec<Recorded<T>>, Error> {
        self.write("record the messages", |transaction| {
            let mut recorded = Vec::with_capacity(messages.len());
            for (record, value) in messages {
                let known: Option<(String, i64)> = rusqlite::OptionalExtension::optional(
                    transaction
                        .prepare_cached("select state, attempts from outbox where key = ?1")?
                        .query_row([&record.key.0], |row| Ok((row.get(0)?, row.get(1)?))),
                )?;
                let attempt = match &known {
                    None => 1,
                    Some((state, attempts)) if state == "deferred" || state == "uncertain" => attempts + 1,
                    Some(_) => continue,
                };
                let entry = append(transaction, run, "message.recorded", &record.key.0, &body(&record, attempt))?;
                transaction
                    .prepare_cached(
                        "insert into outbox (key, subject, obligation, item, stage, channel, message_id, state, attempts, run, entry)
                         values (?1, ?2, ?3, ?4, ?5, ?6, ?7, 'in_flight', ?8, ?9, ?10)
                         on conflict (key) do update set state = 'in_flight', attempts = ?8, run = ?9, entry = ?10",
                    )?
                    .execute(params![
                        record.key.0, record.subject, record.obligation, record.item, record.stage_notice_days,
                        record.channel, record.message_id, attempt, run, entry
                    ])?;
                if let Some(sealed) = &record.explanation {
                    explanations::put(transaction, &record.key, sealed, entry)?;
                }
                recorded.push(Recorded { value, entry, key: record.key });
            }
            Ok(recorded)
        })
    }

    /// Commits how messages ended, in one transaction.
    pub fn settle(&mut self, run: &str, settlements: &[Settlement]) -> Result<(), Error> {
        self.write("settle the messages", |transaction| {
            for settlement in settlements {
                let state = settlement.state.word();
                let body = json!({ "state": state, "reason": settlement.reason });
                let entry = append(transaction, run, "message.settled", &settlement.key.0, &body)?;
                one_row(
                    transaction
                        .prepare_cached("update outbox set state = ?2, run = ?3, entry = ?4 where key = ?1")?
                        .execute(params![settlement.key.0, state, run, entry])?,
                )?;
            }
            Ok(())
        })
    }

    /// Marks everything that was in flight when an earlier process died as uncertain.
    /// Call it while holding the [`super::Lock`]. Returns how many there were.
    pub fn mark_uncertain(&mut self, run: &str) -> Result<usize, Error> {
        let keys = self.keys_in("in_flight")?;
        let settlements: Vec<Settlement> = keys
            .into_iter()
            .map(|key| Settlement { key, state: MessageState::Uncertain, reason: "process ended".into() })
            .collect();
        self.settle(run, &settlements)?;
        Ok(settlements.len())
    }

    /// Commits what a clerk has decided about a message of which nobody knows whether it was taken.
    ///
    /// Only an uncertain message can be decided, and only to be over ([`MessageState::Accepted`])
    /// or to be sent by the next run ([`MessageState::Deferred`]). Call it while holding the
    /// [`super::Lock`]. The entry belongs to the run that left the message uncertain.
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
        self.write("write the decision down", |transaction| {
            let state = decision.word();
            let body = json!({ "state": state, "reason": reason, "decided_by": by });
            let entry = append(transaction, &row.run, "message.settled", &key.0, &body)?;
            one_row(
                transaction
                    .prepare_cached(
                        "update outbox set state = ?2, run = ?3, entry = ?4 where key = ?1 and state = 'uncertain'",
                    )?
                    .execute(params![key.0, state, row.run, entry])?,
            )
        })
    }

    /// How many messages went, or were to go, to a person: by the keyed pseudonym.
    pub fn messages_to(&self, subject: &str) -> Result<usize, Error> {
        let count = "select count(*) from outbox where subject = ?1";
        let count = self.connection.query_row(count, [subject], |row| row.get::<_, i64>(0));
        let count = count.map_err(|source| self.failed("read the outbox", source))?;
        Ok(usize::try_from(count).unwrap_or(0))
    }

    fn keys_in(&self, state: &str) -> Result<Vec<MessageKey>, Error> {
        let failed = |source| self.failed("read the outbox", source);
        let mut select =
            self.connection.prepare("select key from outbox where state = ?1 order by key").map_err(failed)?;
        let rows = select.query_map([state], |row| row.get(0).map(MessageKey)).map_err(failed)?;
        rows.collect::<Result<_, _>>().map_err(failed)
    }

    /// The states of all messages that were ever recorded, in order of their keys.
    pub fn outbox(&self) -> Result<Vec<OutboxRow>, Error> {
        let failed = |source| self.failed("read the outbox", source);
        let mut select = self
            .connection
            .prepare("select key, state, attempts, item, run, obligation, stage from outbox order by key")
            .map_err(failed)?;
        let rows = select
            .query_map([], |row| {
                let state: String = row.get(1)?;
                Ok(OutboxRow {
                    key: MessageKey(row.get(0)?),
                    // An unknown word is treated as in flight: never sent again by itself.
                    state: MessageState::from_word(&state).unwrap_or(MessageState::InFlight),
                    attempts: row.get(2)?,
                    item: row.get(3)?,
                    run: row.get(4)?,
                    obligation: row.get(5)?,
                    stage_notice_days: row.get(6)?,
                })
            })
            .map_err(failed)?;
        rows.collect::<Result<_, _>>().map_err(failed)
    }
}

fn body(record: &Record, attempt: i64) -> serde_json::Value {
    let mut body = json!({
        "attempt": attempt,
        "channel": record.channel,
        "due_on": record.due_on.to_string(),
        "item": record.item,
        "message_id": record.message_id,
        "obligation": record.obligation,
        "rendered_hash": record.rendered_hash,
        "rule_version": record.rule_version,
        "stage": record.stage_notice_days,
        "subject": record.subject,
        "template_version": record.template_version,
    });
    if let (Some(sealed), Some(body)) = (&record.explanation, body.as_object_mut()) {
        body.insert("explanation".into(), crate::personal::sha256(sealed).into());
    }
    body
}
