//! Everything that the ledger holds about one message or one person, in the order in which it happened.
//!
//! Entries are found by [`super::mentions`] and read whole; of each, the lines about this message or person are taken
//! and nothing of anybody else.

use std::collections::{BTreeMap, BTreeSet};

use jiff::ToSpan;
use jiff::civil::Date;
use rusqlite::{OptionalExtension, Row, params};
use serde::Serialize;
use serde_json::Value;

use super::mentions::Finder;
use super::trace_dossiers::{TracedDossier, TracedRecommendation, dossier_lines};
use super::{Error, Ledger, addresses, explanations, obligations, prepared};

/// One thing that happened, as an entry of the chain tells it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Told {
    /// The instant, in UTC.
    pub at: String,
    /// The run that wrote it.
    pub run: String,
    /// The number of its entry.
    pub entry: i64,
    /// Its kind: `messages.settled`.
    pub kind: String,
    /// What it says of this message or person alone.
    pub says: Value,
}

/// A message, how it stands and what happened to it.
#[derive(Debug, Clone, Serialize)]
pub struct TracedMessage {
    /// Its key.
    pub key: String,
    /// The pseudonym of its person.
    pub subject: String,
    /// The key of its obligation.
    pub obligation: String,
    /// The item.
    pub item: String,
    /// The stage, by its notice.
    pub stage_notice_days: u16,
    /// The channel.
    pub channel: String,
    /// Its Message-ID.
    pub message_id: String,
    /// The blind index of the address it goes to.
    pub address: Option<String>,
    /// The last day on which it may leave.
    pub valid_until: Option<String>,
    /// Its state.
    pub state: String,
    /// Why it is in this state.
    pub reason: Option<String>,
    /// When it may be tried again.
    pub retry_at: Option<String>,
    /// How often it was put on the wire.
    pub attempts: i64,
    /// The run that last touched it.
    pub run: String,
    /// Messages of this agency to the person in the seven days that end with its own, and with it; 0 where it is not
    /// counted, because it did not leave.
    pub week_messages: usize,
    /// What happened to it, the oldest first.
    pub events: Vec<Told>,
}

/// What is known about one person, or about what belongs to one message.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Traced {
    /// The pseudonym of the person.
    pub subject: String,
    /// What happened to each obligation, by its key, the oldest first: life, and why nothing was sent.
    pub obligations: BTreeMap<String, Vec<Told>>,
    /// The messages, in the order in which they were first written down.
    pub messages: Vec<TracedMessage>,
    /// The dossiers that were prepared for the obligations.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dossiers: Vec<TracedDossier>,
    /// What was recommended about the obligations, the newest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub recommendations: Vec<TracedRecommendation>,
    /// Preferences, requests and erasures, the oldest first.
    pub wishes: Vec<Told>,
    /// Suppressions of the addresses that messages went to.
    pub suppressions: Vec<Told>,
    /// What was read of sources by the runs that wrote the messages down, by run.
    pub pulls: BTreeMap<String, Vec<Told>>,
}

impl Ledger {
    /// The keys and persons of the messages whose key begins so: no more than so many. Where there is none, of those
    /// whose Message-ID begins so, from 16 digits on.
    ///
    /// # Errors
    ///
    /// Where the ledger cannot be read.
    pub fn messages_like(&self, prefix: &str, most: u32) -> Result<Vec<(String, String)>, Error> {
        let failed = |source| self.failed("look a message up", source);
        // Hexadecimal digits end before `g`: the index over the keys serves a range.
        let sql = "select key, subject from outbox where key >= ?1 and key < ?1 || 'g' order by key limit ?2";
        let mut select = self.connection.prepare(sql).map_err(failed)?;
        let rows = select.query_map(params![prefix, most], |row| Ok((row.get(0)?, row.get(1)?)));
        let found: Vec<(String, String)> = rows.and_then(Iterator::collect).map_err(failed)?;
        if !found.is_empty() || prefix.len() < 16 {
            return Ok(found);
        }
        let text = |line: &Value, name: &str| line.get(name).and_then(Value::as_str).map(str::to_owned);
        let begins = |line: &Value, name: &str| text(line, name).is_some_and(|id| id.starts_with(prefix));
        let is_meant = |line: &Value| begins(line, "message_id") || begins(line, "message");
        let mut told = self.told(self.finder()?.entries(prefix)?, is_meant)?;
        // Of a letter of several one stands for all: the one whose number it has, or else the first.
        let has_number = told.iter().any(|told| begins(&told.says, "message_id"));
        let mut letters = BTreeSet::new();
        told.retain(|told| match text(&told.says, "message") {
            _ if has_number => begins(&told.says, "message_id"),
            Some(letter) => letters.insert(letter),
            None => false,
        });
        let parties = told.iter().filter_map(|told| Some((text(&told.says, "key")?, text(&told.says, "subject")?)));
        let parties: BTreeSet<(String, String)> = parties.collect();
        Ok(parties.into_iter().take(usize::try_from(most).unwrap_or(usize::MAX)).collect())
    }

    /// Everything about one message and those that are in the same letter: their lives, those of their obligations,
    /// what was read for them, and what their person wants. None where there is no such message.
    ///
    /// # Errors
    ///
    /// Where the ledger cannot be read.
    pub fn trace_message(&self, key: &str) -> Result<Option<Traced>, Error> {
        let Some(message) = self.traced(key)? else { return Ok(None) };
        // What else went to the person is needed for their week.
        let mut traced = self.trace_subject(&message.subject)?;
        let in_letter = self.in_letter(key)?;
        traced.messages.retain(|other| other.key == key || in_letter.contains(&other.key));
        let about: BTreeSet<&String> = traced.messages.iter().map(|message| &message.obligation).collect();
        traced.obligations.retain(|obligation, _| about.contains(obligation));
        traced.dossiers.retain(|dossier| about.contains(&dossier.obligation));
        traced.recommendations.retain(|one| about.contains(&one.obligation));
        let runs: BTreeSet<&String> =
            traced.messages.iter().flat_map(|message| message.events.iter().map(|told| &told.run)).collect();
        traced.pulls.retain(|run, _| runs.contains(run));
        Ok(Some(traced))
    }

    /// The messages that are in the same letter as one; none where it left by itself.
    fn in_letter(&self, key: &str) -> Result<BTreeSet<String>, Error> {
        let failed = |source| self.failed("read which messages left together", source);
        // A ledger of an earlier version gets the table when it is next written.
        if !self.has_table("together")? {
            return Ok(BTreeSet::new());
        }
        let sql = "select other.key from together as other join together as one using (message) where one.key = ?1";
        let mut select = self.connection.prepare(sql).map_err(failed)?;
        let rows = select.query_map([key], |row| row.get(0)).map_err(failed)?;
        rows.collect::<Result<_, _>>().map_err(failed)
    }

    /// Everything about one person, by the pseudonym; it is empty where the ledger knows of none.
    ///
    /// # Errors
    ///
    /// Where the ledger cannot be read.
    pub fn trace_subject(&self, subject: &str) -> Result<Traced, Error> {
        let finder = self.finder()?;
        let mut obligations = BTreeSet::new();
        // By the number of the first entry: in the order in which they were written down.
        let mut messages: BTreeMap<String, i64> = BTreeMap::new();
        for told in self.told(finder.entries(subject)?, |line| holds(line, subject))? {
            let text = |name: &str| told.says.get(name).and_then(Value::as_str).map(str::to_owned);
            obligations.extend(text("obligation"));
            if told.kind == obligations::KIND {
                obligations.extend(told.says.get(1).and_then(Value::as_str).map(str::to_owned));
            } else if told.kind.starts_with("message") {
                let key = text("key").or_else(|| text("of"));
                key.into_iter().for_each(|key| {
                    messages.entry(key).or_insert(told.entry);
                });
            }
        }
        let mut keys: Vec<(i64, String)> = messages.into_iter().map(|(key, entry)| (entry, key)).collect();
        keys.sort();
        let mut traced = Traced { subject: subject.to_owned(), ..Traced::default() };
        for (_, key) in keys {
            traced.messages.extend(self.traced(&key)?);
        }
        self.fill(&finder, &mut traced, &obligations)?;
        count_weeks(&mut traced.messages);
        Ok(traced)
    }

    /// Adds what happened to the messages and obligations, and what stood beside them.
    fn fill(&self, finder: &Finder<'_>, traced: &mut Traced, obligations: &BTreeSet<String>) -> Result<(), Error> {
        let mut addresses = BTreeSet::new();
        let mut runs = BTreeSet::new();
        for message in &mut traced.messages {
            let key = message.key.as_str();
            message.events = self.told(finder.entries(key)?, |line| is_of(line, key))?;
            message.events.retain(|told| told.kind.starts_with("message"));
            let of_events = message.events.iter().filter_map(|told| told.says.get("address")?.as_str());
            addresses.extend(of_events.map(str::to_owned));
            addresses.extend(message.address.clone());
            runs.extend(message.events.iter().map(|told| told.run.clone()));
        }
        for key in obligations {
            let mut told = self.told(finder.entries(key)?, |line| holds(line, key))?;
            told.retain(|told| !told.kind.starts_with("message"));
            traced.obligations.insert(key.clone(), told);
            self.add_dossiers(finder, traced, key)?;
            self.add_recommendations(traced, key)?;
        }
        let subject = traced.subject.as_str();
        traced.wishes =
            self.told(finder.entries(subject)?, |line| is_of(line, subject) || of_subject(line, subject))?;
        traced.wishes.retain(|told| {
            matches!(told.kind.as_str(), "preference.set" | "request.noted" | "erase.begun" | "erased")
                || told.kind == explanations::ERASED
                || told.kind == addresses::ERASED
        });
        for address in &addresses {
            let told = self.told(finder.entries(address)?, |line| is_of(line, address))?;
            traced.suppressions.extend(told.into_iter().filter(|told| told.kind.starts_with("suppression.")));
        }
        for run in runs {
            let told = self.told(finder.entries(&run)?, |_| true)?;
            let pulls: Vec<Told> =
                told.into_iter().filter(|told| told.run == run && told.kind.starts_with("pull")).collect();
            if !pulls.is_empty() {
                traced.pulls.insert(run, pulls);
            }
        }
        Ok(())
    }

    fn traced(&self, key: &str) -> Result<Option<TracedMessage>, Error> {
        // A ledger of an earlier layout, opened for reading, has no reasons beside its messages.
        let newer = match self.version()?.as_deref() {
            Some("1") => "null, null, null, null",
            _ => "address, valid_until, reason, retry_at",
        };
        let sql = format!(
            "select key, subject, obligation, item, stage, channel, message_id, state, attempts, run, {newer}
             from outbox where key = ?1"
        );
        let row = self.connection.query_row(&sql, [key], message).optional();
        row.map_err(|source| self.failed("read a message", source))
    }

    /// The lines of some entries that are meant, each as a thing that happened.
    pub(super) fn told(
        &self,
        entries: impl IntoIterator<Item = i64>,
        is_meant: impl Fn(&Value) -> bool,
    ) -> Result<Vec<Told>, Error> {
        let failed = |source| self.failed("read an entry", source);
        let sql = "select at, run, kind, key, body from entry where seq = ?1";
        let mut select = self.connection.prepare_cached(sql).map_err(failed)?;
        let mut told = Vec::new();
        for entry in entries {
            let row = select.query_row([entry], |row| {
                Ok((
                    row.get(0)?,
                    row.get(1)?,
                    row.get::<_, String>(2)?,
                    row.get::<_, String>(3)?,
                    row.get::<_, String>(4)?,
                ))
            });
            let (at, run, kind, key, body): (String, String, String, String, String) = row.map_err(failed)?;
            let body = serde_json::from_str(&body).unwrap_or(Value::Null);
            let lines = lines(&kind, &key, body).into_iter().filter(&is_meant);
            let tell = |says| Told { at: at.clone(), run: run.clone(), entry, kind: kind.clone(), says };
            told.extend(lines.map(tell));
        }
        Ok(told)
    }
}

/// Counts for each message those of its week, as attention does: what may have arrived counts, a digest is one.
fn count_weeks(messages: &mut [TracedMessage]) {
    let day = |message: &TracedMessage| -> Option<Date> {
        let counts = matches!(message.state.as_str(), "accepted" | "uncertain" | "in_flight");
        message.run.get(..10).filter(|_| counts)?.parse().ok()
    };
    let left: Vec<(Date, String)> =
        messages.iter().filter_map(|message| Some((day(message)?, message.message_id.clone()))).collect();
    for message in messages {
        let Some(last) = day(message) else { continue };
        let after = last.saturating_sub(WEEK_DAYS.days());
        let of_week = left.iter().filter(|(day, _)| *day > after && *day <= last);
        message.week_messages = of_week.map(|(_, id)| id).collect::<BTreeSet<_>>().len();
    }
}

/// The days over which messages to a person are counted.
const WEEK_DAYS: i64 = 7;

/// What an entry says, line by line. One that is about a single thing has one line, in which `of` names the thing.
fn lines(kind: &str, key: &str, body: Value) -> Vec<Value> {
    let Value::Object(mut body) = body else { return Vec::new() };
    if kind == prepared::PREPARED || kind == prepared::REMOVED {
        return dossier_lines(&body);
    }
    let list = match kind {
        obligations::KIND | super::unsent::KIND => "changes",
        _ => "messages",
    };
    match body.remove(list) {
        Some(Value::Array(lines)) => {
            let night = body.remove("as_of");
            let dated = |line| match (line, &night) {
                (Value::Array(mut line), Some(night)) => {
                    line.push(night.clone());
                    Value::Array(line)
                }
                (line, _) => line,
            };
            lines.into_iter().map(dated).collect()
        }
        other => {
            if let Some(other) = other {
                body.insert(list.to_owned(), other);
            }
            body.insert("of".into(), key.into());
            vec![Value::Object(body)]
        }
    }
}

/// Whether a line is about something: its own key.
pub(super) fn is_of(line: &Value, key: &str) -> bool {
    ["key", "of"].iter().any(|name| line.get(name).and_then(Value::as_str) == Some(key))
}

fn of_subject(line: &Value, subject: &str) -> bool {
    line.get("subject").and_then(Value::as_str) == Some(subject)
}

/// Whether a line names something, in whichever of its fields.
fn holds(line: &Value, word: &str) -> bool {
    match line {
        Value::Object(fields) => fields.values().any(|value| value.as_str() == Some(word)),
        Value::Array(cells) => cells.iter().any(|value| value.as_str() == Some(word)),
        _ => false,
    }
}

fn message(row: &Row<'_>) -> rusqlite::Result<TracedMessage> {
    Ok(TracedMessage {
        key: row.get(0)?,
        subject: row.get(1)?,
        obligation: row.get(2)?,
        item: row.get(3)?,
        stage_notice_days: row.get(4)?,
        channel: row.get(5)?,
        message_id: row.get(6)?,
        state: row.get(7)?,
        attempts: row.get(8)?,
        run: row.get(9)?,
        address: row.get(10)?,
        valid_until: row.get(11)?,
        reason: row.get(12)?,
        retry_at: row.get(13)?,
        week_messages: 0,
        events: Vec::new(),
    })
}
