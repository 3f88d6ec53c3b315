//! What people want and refuse, and the requests under the data law with their clocks. No person is here, only keyed
//! pseudonyms.
//!
//! It is written at any time, also while a run is at work: a person who refuses is not told to wait. Each wish is one
//! transaction, and so is the entry that it adds to the chain; the outbox is not touched.

use std::collections::HashSet;

use jiff::Timestamp;
use jiff::civil::Date;
use rusqlite::{OptionalExtension, Row, Transaction, params};
use serde_json::json;

use super::requests::Request;
use super::said::Line;
use super::{Error, Ledger, append};

/// Makes the tables.
pub(super) const TABLES: &str = "
-- How each person stands to each item and channel, `*` for all, made from entries of kind preference.set.
create table if not exists preference (
    subject text not null,
    item text not null,
    channel text not null,
    stance text not null,
    language text,
    since text not null,
    how text not null,
    entry integer not null references entry (seq),
    primary key (subject, item, channel)
) strict, without rowid;

create index if not exists preference_by_entry on preference (entry);

-- Requests of data subjects and their clocks, made from entries of kind request.noted.
create table if not exists request (
    subject text not null,
    kind text not null,
    item text not null,
    channel text not null,
    received_on text not null,
    acknowledge_by text not null,
    due_on text not null,
    acknowledged_on text,
    done_on text,
    entry integer not null references entry (seq),
    primary key (subject, kind, item, channel, received_on)
) strict, without rowid;
";

/// Every item, or every channel.
pub const ALL: &str = "*";

/// How a wish comes in that a person clicks by themselves.
const LINK: &str = "link";

/// How a row came in whose person said a language and nothing else.
const LANGUAGE: &str = "language";

/// Whether a person wants to be reminded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stance {
    /// They refuse (Decree 224/2026/NĐ-CP, Art. 17(3)).
    Refused,
    /// They want it: after having refused, or where nothing was said.
    Wanted,
}

impl Stance {
    /// The word in the ledger.
    pub fn word(self) -> &'static str {
        match self {
            Stance::Refused => "refused",
            Stance::Wanted => "wanted",
        }
    }
}

/// How a person stands to an item and a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preference {
    /// Keyed pseudonym.
    pub subject: String,
    /// The item, or [`ALL`].
    pub item: String,
    /// The channel, or [`ALL`].
    pub channel: String,
    /// What they want; none where they say only the language, and what they said before stands.
    pub stance: Option<Stance>,
    /// The language in which they want to be written to, as BCP 47 tag; none where what they said before stands, or
    /// the register says it.
    pub language: Option<String>,
    /// Since which day they say so.
    pub since: Date,
    /// How it came in: `link`, `file`, `complaint`, `provider`.
    pub how: &'static str,
}

/// The language that a person chose, of an item and a channel or of [`ALL`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    /// Keyed pseudonym.
    pub subject: String,
    /// The item, or [`ALL`].
    pub item: String,
    /// The channel, or [`ALL`].
    pub channel: String,
    /// As BCP 47 tag.
    pub tag: String,
}

/// A message, as a link in it stands for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// Keyed pseudonym.
    pub subject: String,
    /// What it was about.
    pub item: String,
    /// How it left.
    pub channel: String,
    /// When the ledger last wrote of it.
    pub at: Timestamp,
}

impl Ledger {
    /// Writes down what people want, and the requests by which they said so: all of it, or nothing. It holds at once.
    ///
    /// What is written down already in the same words adds no entry, and what was said before something that is known
    /// changes nothing. Returns how many entries were added.
    pub fn prefer(&mut self, preferences: &[Preference], requests: &[Request]) -> Result<usize, Error> {
        self.write_said("write down what a person wants", |transaction| {
            let mut added = 0;
            for preference in preferences {
                added += usize::from(put_preference(transaction, preference)?);
            }
            for request in requests {
                added += usize::from(put_request(transaction, request)?);
            }
            Ok(added)
        })
    }

    /// Who refuses what: subject, item and channel, with [`ALL`] for every item or channel.
    pub fn refused(&self) -> Result<HashSet<(String, String, String)>, Error> {
        let sql = "select subject, item, channel from preference where stance = 'refused'";
        self.each("read who refuses", sql, |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .map(|rows| rows.into_iter().collect())
    }

    /// The languages that people chose, and for what.
    pub fn languages(&self) -> Result<Vec<Chosen>, Error> {
        let sql = "select subject, item, channel, language from preference where language is not null order by entry";
        self.each("read the languages people chose", sql, |row| {
            Ok(Chosen { subject: row.get(0)?, item: row.get(1)?, channel: row.get(2)?, tag: row.get(3)? })
        })
    }

    /// To whom a message went, about what and when, by its key; none where there is no such message.
    pub fn sent_as(&self, key: &str) -> Result<Option<Sent>, Error> {
        let sql = "select outbox.subject, outbox.item, outbox.channel, entry.at
                   from outbox join entry on entry.seq = outbox.entry where outbox.key = ?1";
        let sent = self.connection.query_row(sql, [key], |row| {
            let at: String = row.get(3)?;
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, at))
        });
        let sent = sent.optional().map_err(|source| self.failed("look a message up", source))?;
        Ok(sent.and_then(|(subject, item, channel, at)| Some(Sent { subject, item, channel, at: at.parse().ok()? })))
    }

    /// The entry of the newest preference: it changes when any of them does.
    pub fn newest_preference(&self) -> Result<i64, Error> {
        match self.has_preferences()? {
            false => Ok(0),
            true => self
                .connection
                .query_row("select coalesce(max(entry), 0) from preference", [], |row| row.get(0))
                .map_err(|source| self.failed("read the newest preference", source)),
        }
    }

    /// All requests that are open or were answered since a day, the most urgent first.
    pub fn requests(&self, since: Date) -> Result<Vec<Request>, Error> {
        let sql = "select subject, kind, item, channel, received_on, acknowledge_by, due_on, acknowledged_on, done_on
                   from request order by due_on, subject, kind, item, channel";
        let requests = self.each("read the requests", sql, request)?;
        Ok(requests.into_iter().filter(|request| request.is_open() || request.done_on >= Some(since)).collect())
    }

    /// A ledger that is only read, and was begun before there were preferences, has no table of them.
    fn has_preferences(&self) -> Result<bool, Error> {
        let sql = "select count(*) from sqlite_schema where type = 'table' and name in ('preference', 'request')";
        let tables = self.connection.query_row(sql, [], |row| row.get::<_, i64>(0));
        Ok(tables.map_err(|source| self.failed("read whether there are preferences", source))? == 2)
    }

    fn each<T>(
        &self,
        doing: &'static str,
        sql: &str,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, Error> {
        if !self.has_preferences()? {
            return Ok(Vec::new());
        }
        let failed = |source| self.failed(doing, source);
        let mut select = self.connection.prepare(sql).map_err(failed)?;
        let rows = select.query_map([], read).map_err(failed)?;
        rows.collect::<Result<_, _>>().map_err(failed)
    }
}

fn put_preference(transaction: &Transaction<'_>, wish: &Preference) -> rusqlite::Result<bool> {
    let sql = "select stance, language, since, how from preference where subject = ?1 and item = ?2 and channel = ?3";
    let known = transaction
        .prepare_cached(sql)?
        .query_row(params![wish.subject, wish.item, wish.channel], known_wish)
        .optional()?;
    if known.as_ref().is_some_and(|known| is_outdated(wish, known)) {
        return Ok(false);
    }
    let said = said_now(wish, known.as_ref());
    // Said again on a later day it holds from that day: against what was said in between and comes in after it.
    let is_known = known.is_some_and(|known| {
        (known.how == LANGUAGE) == (said.how == LANGUAGE)
            && (&known.stance, &known.language) == (&said.stance, &said.language)
            && said.since <= known.since
    });
    if is_known {
        return Ok(false);
    }
    let body = json!({
        "item": wish.item, "channel": wish.channel, "stance": said.stance, "language": said.language,
        "since": said.since, "how": said.how,
    });
    let entry = append(transaction, "", "preference.set", &wish.subject, &body)?;
    let row = params![wish.subject, wish.item, wish.channel, said.stance, said.language, said.since, said.how, entry];
    transaction.prepare_cached(PUT_PREFERENCE)?.execute(row)?;
    Ok(true)
}

/// How a person stands, as the table has it.
struct Known {
    stance: String,
    language: Option<String>,
    since: String,
    how: String,
}

fn known_wish(row: &Row<'_>) -> rusqlite::Result<Known> {
    Ok(Known { stance: row.get(0)?, language: row.get(1)?, since: row.get(2)?, how: row.get(3)? })
}

/// How a person stands by a wish: what is not said now stays as it was said before, with its day.
fn said_now(wish: &Preference, known: Option<&Known>) -> Known {
    let language = wish.language.clone().or_else(|| known.and_then(|known| known.language.clone()));
    match (wish.stance, known) {
        (None, Some(known)) => {
            Known { stance: known.stance.clone(), language, since: known.since.clone(), how: known.how.clone() }
        }
        (stance, _) => Known {
            stance: stance.unwrap_or(Stance::Wanted).word().to_owned(),
            language,
            since: wish.since.to_string(),
            how: if stance.is_some() { wish.how } else { LANGUAGE }.to_owned(),
        },
    }
}

/// Takes over what a person said from the journal, unless it is known or something was said after it.
pub(super) fn take_over(transaction: &Transaction<'_>, line: &Line) -> rusqlite::Result<bool> {
    let text = |name: &str| line.text(name).unwrap_or_default();
    let (item, channel) = (text("item"), text("channel"));
    if line.kind == "request.noted" {
        return take_over_request(transaction, line);
    }
    let sql = "select stance, language, since, how from preference where subject = ?1 and item = ?2 and channel = ?3";
    let known =
        transaction.prepare_cached(sql)?.query_row([line.key.as_str(), item, channel], known_wish).optional()?;
    let language = line.text("language").map(str::to_owned);
    let (stance, since, how) = (text("stance"), text("since"), text("how"));
    // Dates in ISO 8601 are in order as text; of one day the journal has the order.
    let is_known = known.is_some_and(|known| {
        (known.how != LANGUAGE && known.since.as_str() > since)
            || (known.stance.as_str(), &known.language, known.since.as_str(), known.how.as_str())
                == (stance, &language, since, how)
    });
    if is_known {
        return Ok(false);
    }
    let entry = append(transaction, &line.run, &line.kind, &line.key, &line.body)?;
    let row = params![line.key, item, channel, stance, language, since, how, entry];
    transaction.prepare_cached(PUT_PREFERENCE)?.execute(row)?;
    Ok(true)
}

fn take_over_request(transaction: &Transaction<'_>, line: &Line) -> rusqlite::Result<bool> {
    let text = |name: &str| line.text(name);
    let scope = ["kind", "item", "channel", "received_on"].map(text);
    let clocks = ["acknowledge_by", "due_on", "acknowledged_on", "done_on"].map(text);
    let [kind, item, channel, received_on] = scope;
    let [acknowledge_by, due_on, acknowledged_on, done_on] = clocks;
    let sql = "select 1 from request where subject = ?1 and kind = ?2 and item = ?3 and channel = ?4
               and received_on = ?5 and acknowledged_on is ?6 and done_on is ?7";
    let known = params![line.key, kind, item, channel, received_on, acknowledged_on, done_on];
    if transaction.prepare_cached(sql)?.exists(known)? {
        return Ok(false);
    }
    let entry = append(transaction, &line.run, &line.kind, &line.key, &line.body)?;
    let row =
        params![line.key, kind, item, channel, received_on, acknowledge_by, due_on, acknowledged_on, done_on, entry];
    transaction.prepare_cached(PUT_REQUEST)?.execute(row)?;
    Ok(true)
}

const PUT_PREFERENCE: &str = "
insert into preference (subject, item, channel, stance, language, since, how, entry)
values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
on conflict (subject, item, channel) do update
set stance = ?4, language = ?5, since = ?6, how = ?7, entry = ?8";

const PUT_REQUEST: &str = "
insert into request (subject, kind, item, channel, received_on, acknowledge_by, due_on, acknowledged_on,
                     done_on, entry)
values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
on conflict (subject, kind, item, channel, received_on) do update
set acknowledge_by = ?6, due_on = ?7, acknowledged_on = ?8, done_on = ?9, entry = ?10";

/// Whether what is known was said later than a wish. Of one day nobody knows the order of what was said on paper, and
/// the refusal holds; a person's own clicks come in their order. Who chose a language has said nothing else by it.
fn is_outdated(wish: &Preference, known: &Known) -> bool {
    let Some(stance) = wish.stance.filter(|_| known.how != LANGUAGE) else { return false };
    let said_on = wish.since.to_string();
    let lifts = known.stance == Stance::Refused.word() && stance == Stance::Wanted;
    // Dates in ISO 8601 are in order as text.
    said_on < known.since || (said_on == known.since && lifts && wish.how != LINK)
}

fn put_request(transaction: &Transaction<'_>, asked: &Request) -> rusqlite::Result<bool> {
    let text = |date: Option<Date>| date.map(|date| date.to_string());
    let (acknowledged_on, done_on) = (text(asked.acknowledged_on), text(asked.done_on));
    let known: i64 = transaction
        .prepare_cached(
            "select count(*) from request where subject = ?1 and kind = ?2 and item = ?3 and channel = ?4
             and received_on = ?5 and acknowledged_on is ?6 and done_on is ?7",
        )?
        .query_row(
            params![
                asked.subject,
                asked.kind,
                asked.item,
                asked.channel,
                asked.received_on.to_string(),
                acknowledged_on,
                done_on
            ],
            |row| row.get(0),
        )?;
    if known > 0 {
        return Ok(false);
    }
    let (received_on, acknowledge_by, due_on) =
        (asked.received_on.to_string(), asked.acknowledge_by.to_string(), asked.due_on.to_string());
    let body = json!({
        "kind": asked.kind, "item": asked.item, "channel": asked.channel, "received_on": received_on,
        "acknowledge_by": acknowledge_by, "due_on": due_on, "acknowledged_on": acknowledged_on, "done_on": done_on,
    });
    let entry = append(transaction, "", "request.noted", &asked.subject, &body)?;
    transaction.prepare_cached(PUT_REQUEST)?.execute(params![
        asked.subject,
        asked.kind,
        asked.item,
        asked.channel,
        received_on,
        acknowledge_by,
        due_on,
        acknowledged_on,
        done_on,
        entry
    ])?;
    Ok(true)
}

fn request(row: &Row<'_>) -> rusqlite::Result<Request> {
    let date = |at: usize| -> rusqlite::Result<Option<Date>> {
        let text: Option<String> = row.get(at)?;
        Ok(text.and_then(|text| text.parse().ok()))
    };
    // Only a table that somebody changed has no date there; `verify` says so. Such a request is due at once.
    let known = |at: usize| date(at).map(|date| date.unwrap_or(Date::MIN));
    Ok(Request {
        subject: row.get(0)?,
        kind: row.get(1)?,
        item: row.get(2)?,
        channel: row.get(3)?,
        received_on: known(4)?,
        acknowledge_by: known(5)?,
        due_on: known(6)?,
        acknowledged_on: date(7)?,
        done_on: date(8)?,
    })
}
