//! What came back, and the addresses that nobody writes to for a while.
//!
//! An address is known here by its keyed blind index alone. A report is taken once, whatever happens between two
//! readings of a mailbox: it is known by the SHA-256 of its bytes. What a report means is decided elsewhere; this
//! module writes down what was decided, and moves the message's state with it.

use std::collections::{HashMap, HashSet};

use jiff::ToSpan;
use jiff::civil::Date;
use rusqlite::{OptionalExtension, Row, Transaction, params};
use serde_json::json;

use super::{Error, Ledger, MessageKey, MessageState, Settlement, append};

/// Makes the tables.
pub(super) const TABLES: &str = "
-- Reports that were taken, by the SHA-256 of their bytes, made from entries of kind message.returned.
create table if not exists returned (
    report text primary key,
    message text not null,
    verdict text not null,
    code text,
    address text,
    day text not null,
    entry integer not null references entry (seq)
) strict, without rowid;

create index if not exists returned_by_address on returned (address, verdict, day);

-- Addresses that nobody writes to over a channel until a day, made from entries of kind suppression.*.
create table if not exists suppression (
    address text not null,
    channel text not null,
    reason text not null,
    code text,
    since text not null,
    until text,
    message text not null,
    entry integer not null references entry (seq),
    primary key (address, channel)
) strict, without rowid;
";

/// What a report about one message comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Returned {
    /// SHA-256 of the report's bytes, in hexadecimal.
    pub report: String,
    /// The local part of the Message-ID of the message that it is about, or [`accepted_as`] of its peer's number.
    pub message: String,
    /// What it says, in one word: `address_wrong`, `delivered`.
    pub verdict: &'static str,
    /// The enhanced status code (RFC 3463), where there is one.
    pub code: Option<String>,
    /// The message's new state, where it is now in one of the states of the list.
    pub state: Option<(MessageState, &'static [MessageState])>,
    /// What becomes of the address.
    pub address: AddressAct,
}

/// What becomes of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressAct {
    /// Nothing.
    Nothing,
    /// Nobody writes to it for so many days; without a number, until a person lifts it.
    Suppress {
        /// How long.
        days: Option<u16>,
    },
    /// Counted: after reports of this verdict on so many days within a month, nobody writes to it for a while.
    Count {
        /// On how many days.
        on_days: u16,
        /// For how long then.
        days: u16,
    },
    /// It is proven to work: what was suppressed because it did not is lifted, a complaint is not.
    Lift,
}

/// Whose word a report is: it may speak of messages that went by their channel, and of no others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A file that a person brought.
    ByHand,
    /// The service behind a channel.
    Service(String),
    /// A mailbox: every channel but these, which carry no letters.
    Mailbox {
        /// Their names.
        never: Vec<String>,
    },
}

impl Origin {
    fn speaks_of(&self, channel: &str) -> bool {
        match self {
            Origin::ByHand => true,
            Origin::Service(name) => name == channel,
            Origin::Mailbox { never } => !never.iter().any(|name| name == channel),
        }
    }
}

/// What became of one report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Taken {
    /// It is written down.
    New,
    /// It was taken before.
    Known,
    /// It is about no message of this ledger.
    NoMessage,
}

/// An address that nobody writes to over a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suppression {
    /// Its keyed blind index, in hexadecimal.
    pub address: String,
    /// The channel.
    pub channel: String,
    /// Why, in one word.
    pub reason: String,
    /// The enhanced status code, where there was one.
    pub code: Option<String>,
    /// Since when.
    pub since: String,
    /// The first day on which it is written to again; none for never by itself.
    pub until: Option<String>,
    /// The message that came back.
    pub message: String,
}

/// An address that a channel said it cannot reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedAddress {
    /// Its keyed blind index, in hexadecimal.
    pub address: String,
    /// The channel.
    pub channel: String,
    /// What the channel answered, in a code without personal data.
    pub code: String,
    /// The message that was refused.
    pub message: String,
}

/// The reason of a message that its peer took under a number of its own: until something else is known of the message,
/// what comes back may name it by that. None for what cannot be such a number.
pub fn accepted_as(number: &str) -> Option<String> {
    let is_number = !number.is_empty()
        && number.len() <= 128
        && number.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    is_number.then(|| format!("{ACCEPTED_AS}{number}"))
}

/// Before the peer's number in such a reason.
const ACCEPTED_AS: &str = "accepted as ";

/// How long a number that a channel cannot reach is left alone, in days: numbers are given out again.
const REFUSED_DAYS: u16 = 180;

/// Why such an address is suppressed.
pub const NUMBER_REFUSED: &str = "number_refused";

/// Why an address is suppressed whose owner called a message unwanted: only a person lifts that.
const COMPLAINT: &str = "complaint";

/// Reports on days further back than this are not counted together, in days.
const COUNTED_DAYS: i32 = 30;

/// The message that a report is about.
struct About {
    key: String,
    channel: String,
    state: String,
    address: Option<String>,
}

impl Ledger {
    /// Takes reports, each once: the messages' states first, then the reports and the suppressions in one transaction.
    ///
    /// A crash between the two leaves reports that are read again and find the states as they want them. `on` is the
    /// day on which they were read. Call it while holding the [`super::Lock`].
    ///
    /// # Errors
    ///
    /// Where the ledger cannot be read or written.
    pub fn take_returned(
        &mut self,
        run: &str,
        on: Date,
        returned: &[Returned],
        origin: &Origin,
    ) -> Result<Vec<Taken>, Error> {
        let mut about = self.about(returned, origin)?;
        let mut settlements = Vec::new();
        for returned in returned.iter().filter(|returned| returned.state.is_some()) {
            if !self.is_known(&returned.report)? {
                let messages = about.get_mut(&returned.message).map(Vec::as_mut_slice).unwrap_or_default();
                settlements.extend(messages.iter_mut().filter_map(|message| settlement(returned, message)));
            }
        }
        self.settle(run, &settlements)?;
        self.write_said("take what came back", |transaction| {
            returned.iter().map(|returned| take(transaction, run, on, returned, about.get(&returned.message))).collect()
        })
    }

    /// The messages that reports are about, by the local part of their Message-ID: a digest has several. What went by a
    /// channel of which they may not speak is not there.
    ///
    /// One look over the outbox for each batch: an index of its own would cost every message that is sent more than
    /// it saves the few that come back.
    fn about(&self, returned: &[Returned], origin: &Origin) -> Result<HashMap<String, Vec<About>>, Error> {
        let asked: HashSet<&str> = returned.iter().map(|returned| returned.message.as_str()).collect();
        let mut about: HashMap<String, Vec<About>> = HashMap::new();
        if asked.is_empty() {
            return Ok(about);
        }
        let failed = |source| self.failed("read the outbox", source);
        let sql = "select message_id, key, channel, state, address, reason from outbox
                   union all
                   select message, key, channel, state, address, null from together join outbox using (key)";
        let mut select = self.connection.prepare(sql).map_err(failed)?;
        let mut rows = select.query([]).map_err(failed)?;
        while let Some(row) = rows.next().map_err(failed)? {
            let id = row.get_ref(0).and_then(|cell| Ok(cell.as_str()?)).map_err(failed)?;
            let local = id.split('@').next().unwrap_or_default();
            let channel = row.get_ref(2).and_then(|cell| Ok(cell.as_str()?)).map_err(failed)?;
            if !origin.speaks_of(channel) {
                continue;
            }
            let reason = row.get_ref(5).and_then(|cell| Ok(cell.as_str_or_null()?)).map_err(failed)?;
            let numbered = reason.filter(|reason| reason.starts_with(ACCEPTED_AS));
            for name in [Some(local), numbered].into_iter().flatten().filter(|name| asked.contains(name)) {
                about.entry(name.to_owned()).or_default().push(message(row).map_err(failed)?);
            }
        }
        // The first by its key stands for all of a digest, on every reading.
        about.values_mut().for_each(|messages| {
            messages.sort_by(|a, b| a.key.cmp(&b.key));
            messages.dedup_by(|a, b| a.key == b.key);
        });
        Ok(about)
    }

    /// The person and the channel of the messages that these are about, by the local part of their Message-ID: their
    /// own, or that of the letter that carried several.
    ///
    /// # Errors
    ///
    /// Where the ledger cannot be read.
    pub fn parties(&self, messages: &HashSet<String>, origin: &Origin) -> Result<Vec<(String, String)>, Error> {
        let mut parties = Vec::new();
        if messages.is_empty() {
            return Ok(parties);
        }
        let failed = |source| self.failed("read the outbox", source);
        let sql = "select message_id, subject, channel from outbox
                   union
                   select message, subject, channel from together join outbox using (key)";
        let mut select = self.connection.prepare(sql).map_err(failed)?;
        let mut rows = select.query([]).map_err(failed)?;
        while let Some(row) = rows.next().map_err(failed)? {
            let id = row.get_ref(0).and_then(|cell| Ok(cell.as_str()?)).map_err(failed)?;
            if messages.contains(id.split('@').next().unwrap_or_default()) {
                let channel: String = row.get(2).map_err(failed)?;
                if origin.speaks_of(&channel) {
                    parties.push((row.get(1).map_err(failed)?, channel));
                }
            }
        }
        parties.sort();
        parties.dedup();
        Ok(parties)
    }

    fn is_known(&self, report: &str) -> Result<bool, Error> {
        let known = self.connection.prepare_cached("select 1 from returned where report = ?1");
        known.and_then(|mut known| known.exists([report])).map_err(|source| self.failed("read what came back", source))
    }

    /// Writes down the addresses that a channel said it cannot reach: nobody writes to them over it for half a year.
    ///
    /// # Errors
    ///
    /// Where the ledger cannot be written.
    pub fn suppress_refused(&mut self, run: &str, on: Date, refused: &[RefusedAddress]) -> Result<(), Error> {
        if refused.is_empty() {
            return Ok(());
        }
        self.write_said("write down which addresses cannot be reached", |transaction| {
            for RefusedAddress { address, channel, code, message } in refused {
                let why = Why { reason: NUMBER_REFUSED, code: Some(code), channel, message };
                suppress(transaction, run, on, Some(REFUSED_DAYS), &why, address)?;
            }
            Ok(())
        })
    }

    /// All suppressions, expired ones too, in order of channel and address.
    ///
    /// # Errors
    ///
    /// Where the ledger cannot be read.
    pub fn suppressions(&self) -> Result<Vec<Suppression>, Error> {
        let failed = |source| self.failed("read the suppressions", source);
        let tables = "select count(*) from sqlite_schema where type = 'table' and name = 'suppression'";
        if self.connection.query_row(tables, [], |row| row.get::<_, i64>(0)).map_err(failed)? == 0 {
            // A ledger of an earlier version gets the table when it is next written.
            return Ok(Vec::new());
        }
        let sql = "select address, channel, reason, code, since, until, message from suppression
                   order by channel, address";
        let mut select = self.connection.prepare(sql).map_err(failed)?;
        let rows = select.query_map([], |row| {
            Ok(Suppression {
                address: row.get(0)?,
                channel: row.get(1)?,
                reason: row.get(2)?,
                code: row.get(3)?,
                since: row.get(4)?,
                until: row.get(5)?,
                message: row.get(6)?,
            })
        });
        rows.and_then(Iterator::collect).map_err(failed)
    }

    /// Lifts the suppressions of an address, by its blind index, over all channels: a person knows that it works.
    ///
    /// `account` is the system account that asked for it. Says how many there were. Call it while holding the
    /// [`super::Lock`].
    ///
    /// # Errors
    ///
    /// Where the ledger cannot be written.
    pub fn lift_suppression(&mut self, address: &str, account: &str) -> Result<usize, Error> {
        self.write_said("lift the suppression", |transaction| {
            let mut select = transaction.prepare("select channel from suppression where address = ?1")?;
            let channels: Vec<String> = select.query_map([address], |row| row.get(0))?.collect::<Result<_, _>>()?;
            for channel in &channels {
                lift(transaction, "-", address, channel, json!({ "by": account }))?;
            }
            Ok(channels.len())
        })
    }
}

impl Suppression {
    /// Whether nobody writes to it on this day.
    pub fn holds_on(&self, day: Date) -> bool {
        // A date that cannot be read is a ledger that somebody changed: nobody is written to because of it.
        self.until.as_ref().is_none_or(|until| until.parse::<Date>().ok().is_none_or(|until| day < until))
    }
}

fn message(row: &Row<'_>) -> rusqlite::Result<About> {
    Ok(About { key: row.get(1)?, channel: row.get(2)?, state: row.get(3)?, address: row.get(4)? })
}

/// How a report moves a message, whose state it then is.
fn settlement(returned: &Returned, message: &mut About) -> Option<Settlement> {
    let (state, from) = returned.state?;
    let now = MessageState::from_word(&message.state)?;
    if now == state || !from.contains(&now) {
        return None;
    }
    state.word().clone_into(&mut message.state);
    let reason = match &returned.code {
        Some(code) => format!("returned: {} {code}", returned.verdict),
        None => format!("returned: {}", returned.verdict),
    };
    Some(Settlement { key: MessageKey(message.key.clone()), state, reason, retry_at: None })
}

fn take(
    transaction: &Transaction<'_>,
    run: &str,
    on: Date,
    returned: &Returned,
    about: Option<&Vec<About>>,
) -> rusqlite::Result<Taken> {
    let known = "select 1 from returned where report = ?1";
    if transaction.prepare_cached(known)?.exists([&returned.report])? {
        return Ok(Taken::Known);
    }
    let Some(about) = about.and_then(|messages| messages.first()) else { return Ok(Taken::NoMessage) };
    let body = json!({
        "report": returned.report, "verdict": returned.verdict, "code": returned.code,
        "address": about.address, "day": on.to_string(),
    });
    let entry = append(transaction, run, "message.returned", &about.key, &body)?;
    let day = on.to_string();
    let row = params![returned.report, about.key, returned.verdict, returned.code, about.address, day, entry];
    transaction.prepare_cached(PUT_RETURNED)?.execute(row)?;
    let Some(address) = &about.address else { return Ok(Taken::New) };
    let days = match returned.address {
        AddressAct::Nothing => return Ok(Taken::New),
        AddressAct::Lift => {
            // That an address works says nothing against who does not want what comes there.
            let sql = "select reason from suppression where address = ?1 and channel = ?2";
            let reason = transaction.prepare_cached(sql)?.query_row([address, &about.channel], |row| row.get(0));
            let reason: Option<String> = reason.optional()?;
            if reason.is_some_and(|reason| reason != COMPLAINT) {
                lift(transaction, run, address, &about.channel, json!({ "message": about.key }))?;
            }
            return Ok(Taken::New);
        }
        AddressAct::Suppress { days } => days,
        AddressAct::Count { on_days, days } => {
            let since = on.saturating_sub(COUNTED_DAYS.days()).to_string();
            let sql = "select count(distinct day) from returned where address = ?1 and verdict = ?2 and day > ?3";
            let row = params![address, returned.verdict, since];
            let counted: i64 = transaction.prepare_cached(sql)?.query_row(row, |row| row.get(0))?;
            if counted < i64::from(on_days) {
                return Ok(Taken::New);
            }
            Some(days)
        }
    };
    let (channel, message, code) = (about.channel.as_str(), about.key.as_str(), returned.code.as_deref());
    suppress(transaction, run, on, days, &Why { reason: returned.verdict, code, channel, message }, address)?;
    Ok(Taken::New)
}

/// What a suppression rests on.
struct Why<'a> {
    reason: &'a str,
    code: Option<&'a str>,
    channel: &'a str,
    message: &'a str,
}

fn suppress(
    transaction: &Transaction<'_>,
    run: &str,
    on: Date,
    days: Option<u16>,
    why: &Why<'_>,
    address: &str,
) -> rusqlite::Result<()> {
    let until = days.map(|days| on.saturating_add(i64::from(days).days()).to_string());
    let sql = "select until from suppression where address = ?1 and channel = ?2";
    let before: Option<Option<String>> =
        transaction.prepare_cached(sql)?.query_row([address, why.channel], |row| row.get(0)).optional()?;
    // What holds longer stays: a complaint is not shortened by a full mailbox. Dates are in order as text.
    let holds_longer = before.is_some_and(|before| match (&before, &until) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(before), Some(until)) => before >= until,
    });
    if holds_longer {
        return Ok(());
    }
    let since = on.to_string();
    let body = json!({
        "channel": why.channel, "reason": why.reason, "code": why.code,
        "since": since, "until": until, "message": why.message,
    });
    let entry = append(transaction, run, "suppression.set", address, &body)?;
    let row = params![address, why.channel, why.reason, why.code, since, until, why.message, entry];
    transaction.prepare_cached(PUT_SUPPRESSION)?.execute(row).map(drop)
}

/// Puts a report.
pub(super) const PUT_RETURNED: &str = "
insert into returned (report, message, verdict, code, address, day, entry) values (?1, ?2, ?3, ?4, ?5, ?6, ?7)";

/// Puts a suppression in place of the one there is.
pub(super) const PUT_SUPPRESSION: &str = "
insert into suppression (address, channel, reason, code, since, until, message, entry)
values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
on conflict (address, channel) do update set reason = ?3, code = ?4, since = ?5, until = ?6, message = ?7, entry = ?8";

fn lift(
    transaction: &Transaction<'_>,
    run: &str,
    address: &str,
    channel: &str,
    mut body: serde_json::Value,
) -> rusqlite::Result<()> {
    let sql = "delete from suppression where address = ?1 and channel = ?2";
    if transaction.prepare_cached(sql)?.execute([address, channel])? > 0 {
        if let Some(body) = body.as_object_mut() {
            body.insert("channel".into(), channel.into());
        }
        append(transaction, run, "suppression.lifted", address, &body)?;
    }
    Ok(())
}
