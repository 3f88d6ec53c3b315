//! The outbox: intent is durable before the wire.
//!
//! ```text
//! reserved ┬ in_flight ┬ accepted    the peer took it
//!          │           ├ refused     the peer said no: this stage is over
//!          │           ├ deferred    the peer said later: it is sent again
//!          │           └ uncertain   a crash or a lost connection left it unknown
//!          └ dropped                 it is not to be sent any more; the reason says why
//! ```
//!
//! [`Ledger::reserve_messages`] writes down the whole night before the first message leaves:
//! what is reserved has its Message-ID and was not on the wire. [`Ledger::record`]
//! commits a group as `in_flight` and only then gives out the [`Recorded`] values
//! that `delivery` takes. What is still in flight when the next run starts was in
//! flight when a process died; the window is what the sender has in hand.
//!
//! Each commit adds one entry for all its messages, which holds their rows: the chain
//! covers them, and `verify` makes the table again. Every write carries the epoch of
//! the [lease](super::lease) and is journaled beside the ledger ([`super::journal`]).

mod line;
mod many;
mod reserve;
mod sent;
mod turn;
mod write;

use jiff::Timestamp;
use jiff::civil::Date;

use super::{Error, Ledger};

pub use sent::SentMessage;
pub use write::Recovered;
pub(super) use write::{ADOPTED, RECORDED, RESERVED, SETTLED};

/// The unique key of a message: a keyed digest of subject, item, period, stage and channel.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageKey(pub String);

/// What the ledger writes about a message before it leaves. No person is in it.
#[derive(Debug, Clone, Default)]
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
    pub due_on: Date,
    /// The version of the rule.
    pub rule_version: String,
    /// Hash of the templates.
    pub template_version: String,
    /// Mark of what was rendered: HMAC-SHA-256 of its SHA-256, under the key of the pseudonyms. In ledgers of earlier
    /// versions the SHA-256 itself.
    pub rendered_hash: String,
    /// Why it is sent, sealed under the message's key; none where it could not be told.
    pub explanation: Option<Vec<u8>>,
    /// The address it goes to, sealed under [`sealed_name`](super::sealed_name); none where nothing may be sealed.
    pub sealed_address: Option<Vec<u8>>,
    /// Keyed digest of the address it goes to: for comparing, never for reading.
    pub address: Option<String>,
    /// The last day on which it may leave.
    pub valid_until: Option<Date>,
    /// The Message-ID of the letter that carries it together with others; none where it leaves by itself.
    pub message: Option<String>,
    /// The others that leave in the same message: recorded with this one and settled with it.
    pub others: Vec<Record>,
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

    /// Key and value, for whoever sends it: it is sent once.
    pub fn into_parts(self) -> (MessageKey, T) {
        (self.key, self.value)
    }
}

/// The state of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MessageState {
    /// Decided and written down; not yet on the wire.
    Reserved,
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
    /// Not to be sent any more; the reason is beside it.
    Dropped,
}

impl MessageState {
    const WORDS: [(&'static str, MessageState); 7] = [
        ("reserved", MessageState::Reserved),
        ("dropped", MessageState::Dropped),
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
    /// When a deferred message may be tried again; none where nobody said.
    pub retry_at: Option<Timestamp>,
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
    /// The channel.
    pub channel: String,
    /// The stage, by its notice.
    pub stage_notice_days: u16,
    /// The run that last touched it.
    pub run: String,
    /// Why it is in this state, in a code without personal data.
    pub reason: Option<String>,
    /// Its Message-ID.
    pub message_id: String,
}

impl OutboxRow {
    /// Whether it was sent and only the journal knew: the ledger was restored since.
    pub fn is_adopted(&self) -> bool {
        self.state == MessageState::Accepted && self.reason.as_deref() == Some(write::FROM_JOURNAL)
    }
}

impl Ledger {
    /// How many messages went, or were to go, to a person: by the keyed pseudonym.
    pub fn messages_to(&self, subject: &str) -> Result<usize, Error> {
        let count = "select count(*) from outbox where subject = ?1";
        let count = self.connection.query_row(count, [subject], |row| row.get::<_, i64>(0));
        let count = count.map_err(|source| self.failed("read the outbox", source))?;
        Ok(usize::try_from(count).unwrap_or(0))
    }

    /// The states of all messages that were ever recorded, in order of their keys.
    pub fn outbox(&self) -> Result<Vec<OutboxRow>, Error> {
        let mut rows = Vec::new();
        self.each_message(|row| rows.push(row))?;
        rows.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        Ok(rows)
    }

    /// Shows each message that was ever recorded, one at a time, in the order in which they lie there.
    pub fn each_message(&self, mut visit: impl FnMut(OutboxRow)) -> Result<(), Error> {
        let failed = |source| self.failed("read the outbox", source);
        // A ledger of an earlier layout, opened for reading, has no reasons beside its messages.
        let reason = if self.version()?.as_deref() == Some("1") { "null" } else { "reason" };
        let sql = format!(
            "select key, state, attempts, item, run, obligation, stage, {reason}, message_id, channel from outbox"
        );
        let mut select = self.connection.prepare(&sql).map_err(failed)?;
        let mut rows = select.query([]).map_err(failed)?;
        while let Some(row) = rows.next().map_err(failed)? {
            visit(message(row).map_err(failed)?);
        }
        Ok(())
    }
}

fn message(row: &rusqlite::Row<'_>) -> rusqlite::Result<OutboxRow> {
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
        reason: row.get(7)?,
        message_id: row.get(8)?,
        channel: row.get(9)?,
    })
}
