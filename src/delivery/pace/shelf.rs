//! The buckets of a machine in a SQLite file: each question is one transaction, so that no token is given twice.
//!
//! A bucket is known by a digest of its name: who looks into the file learns no domain by looking. What is lost with
//! the machine is a second's worth of tokens, and so nothing waits for the disk.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use super::bucket::{Bucket, instant, nanoseconds};
use super::{Buckets, Lane, Limit, Taken, Tally, Want};
use crate::ledger::use_log;
use crate::personal::sha256;

const TABLES: &str = "
    create table if not exists bucket (name text primary key, full_at_ns integer not null) strict, without rowid;
    -- What each agency says; the smallest counts.
    create table if not exists rate (
        bucket text not null, agency text not null, per_second integer not null, seen_ns integer not null,
        primary key (bucket, agency)
    ) strict, without rowid;
    -- Who waits for a bucket, and how urgent it is.
    create table if not exists claim (
        bucket text not null, holder text not null, lane integer not null, until_ns integer not null,
        primary key (bucket, holder)
    ) strict, without rowid;";

/// How long a rate counts that nobody says again.
const RATE: SignedDuration = SignedDuration::from_hours(24);

/// How long a claim holds after the instant at which there is a token for it: its holder comes, or has ended.
const CLAIM: SignedDuration = SignedDuration::from_secs(2);

/// How long another process may hold the file.
const PATIENCE: Duration = Duration::from_secs(5);

/// The file, and who uses it.
#[derive(Debug)]
pub(super) struct Shelf {
    connection: Connection,
    path: PathBuf,
    agency: String,
    holder: String,
    /// The rates that this process has written down, by bucket, and when.
    said: HashMap<String, (u32, Timestamp)>,
}

/// A bucket as it stands.
#[derive(Debug)]
pub(super) struct Shared {
    digest: String,
    bucket: Bucket,
    per_second: u32,
    /// The most urgent lane for which another process waits, and until when that counts.
    claim: Option<(Lane, Timestamp)>,
    /// The most urgent message of ours that found it empty, and when there is a token for it.
    short: Option<(Lane, Timestamp)>,
}

impl Shelf {
    pub(super) fn open(path: &Path, agency: &str, now: Timestamp) -> rusqlite::Result<Shelf> {
        let connection = Connection::open(path)?;
        connection.busy_timeout(PATIENCE)?;
        use_log(&connection, PATIENCE)?;
        connection.pragma_update(None, "synchronous", "off")?;
        connection.execute_batch(TABLES)?;
        let mut number = [0; 8];
        let is_random = getrandom::fill(&mut number).is_ok();
        let number = if is_random { u64::from_be_bytes(number) } else { u64::from(std::process::id()) };
        let holder = format!("{agency} {number:016x}");
        let old = nanoseconds(now.checked_sub(RATE).unwrap_or(Timestamp::MIN));
        connection.execute("delete from bucket where full_at_ns < ?1", [old])?;
        connection.execute("delete from rate where seen_ns < ?1", [old])?;
        connection.execute("delete from claim where until_ns < ?1", [nanoseconds(now)])?;
        Ok(Shelf { connection, path: path.to_path_buf(), agency: agency.to_owned(), holder, said: HashMap::new() })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn take(&mut self, now: Timestamp, most: usize, wants: &[Want]) -> rusqlite::Result<Taken> {
        let mut tally = Tally::new(now, most);
        let mut buckets = Buckets::new();
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for want in wants {
            if tally.is_full() {
                break;
            }
            let mut at = now;
            for limit in &want.limits {
                if !buckets.contains_key(&limit.bucket) {
                    let said = &mut self.said;
                    let shared = open_bucket(&transaction, (&self.agency, &self.holder), said, limit, now)?;
                    buckets.insert(limit.bucket.clone(), shared);
                }
                if let Some(shared) = buckets.get(&limit.bucket) {
                    at = at.max(shared.earliest(want.lane, now));
                }
            }
            for limit in &want.limits {
                let Some(shared) = buckets.get_mut(&limit.bucket) else { continue };
                if at <= now {
                    shared.bucket.take(shared.per_second, now);
                } else {
                    shared.miss(want.lane, now);
                }
            }
            tally.answer(at);
        }
        for shared in buckets.values() {
            keep(&transaction, &self.holder, shared)?;
        }
        transaction.commit()?;
        Ok(tally.taken)
    }
}

impl Shared {
    /// When a message of a lane may have a token: not while somebody waits whose message is more urgent.
    fn earliest(&self, lane: Lane, now: Timestamp) -> Timestamp {
        let token = self.token(now);
        match self.claim {
            Some((other, until)) if other < lane && until > now => token.max(until),
            _ => token,
        }
    }

    fn token(&self, now: Timestamp) -> Timestamp {
        self.bucket.earliest(self.per_second, self.per_second, now)
    }

    /// A message found this bucket empty, or another of its own. Only an empty one is claimed.
    fn miss(&mut self, lane: Lane, now: Timestamp) {
        let token = self.token(now);
        if token > now && self.short.is_none_or(|(other, _)| lane < other) {
            self.short = Some((lane, token));
        }
    }
}

fn open_bucket(
    transaction: &Transaction<'_>,
    (agency, holder): (&str, &str),
    said: &mut HashMap<String, (u32, Timestamp)>,
    limit: &Limit,
    now: Timestamp,
) -> rusqlite::Result<Shared> {
    let digest = sha256(limit.bucket.as_bytes());
    let is_said = said.get(&digest).is_some_and(|(per_second, at)| {
        *per_second == limit.per_second && now.duration_since(*at) < RATE / 2 && now >= *at
    });
    if !is_said {
        let sql = "insert into rate (bucket, agency, per_second, seen_ns) values (?1, ?2, ?3, ?4)
                   on conflict (bucket, agency) do update set per_second = ?3, seen_ns = ?4";
        transaction.prepare_cached(sql)?.execute(params![digest, agency, limit.per_second, nanoseconds(now)])?;
        said.insert(digest.clone(), (limit.per_second, now));
    }
    let old = nanoseconds(now.checked_sub(RATE).unwrap_or(Timestamp::MIN));
    let sql = "select min(per_second) from rate where bucket = ?1 and seen_ns >= ?2";
    let smallest: Option<i64> = transaction.prepare_cached(sql)?.query_row(params![digest, old], |row| row.get(0))?;
    let smallest = smallest.and_then(|rate| u32::try_from(rate).ok()).unwrap_or(limit.per_second);
    let sql = "select full_at_ns from bucket where name = ?1";
    let full_at_ns: Option<i64> = transaction.prepare_cached(sql)?.query_row([&digest], |row| row.get(0)).optional()?;
    let sql = "select lane, until_ns from claim where bucket = ?1 and holder <> ?2 and until_ns > ?3
               order by lane, until_ns desc limit 1";
    let claim: Option<(u8, i64)> = transaction
        .prepare_cached(sql)?
        .query_row(params![digest, holder, nanoseconds(now)], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    // No claim is as far ahead as that: the clock was put back.
    let furthest = now.checked_add(CLAIM * 2).unwrap_or(Timestamp::MAX);
    let per_second = smallest.min(limit.per_second).max(1);
    let mut bucket = Bucket { full_at_ns: full_at_ns.unwrap_or(0) };
    bucket.settle(per_second, now);
    Ok(Shared {
        digest,
        bucket,
        per_second,
        claim: claim.map(|(lane, until)| (Lane(lane), instant(until).min(furthest))),
        short: None,
    })
}

fn keep(transaction: &Transaction<'_>, holder: &str, shared: &Shared) -> rusqlite::Result<()> {
    let sql = "insert into bucket (name, full_at_ns) values (?1, ?2) on conflict (name) do update set full_at_ns = ?2";
    transaction.prepare_cached(sql)?.execute(params![shared.digest, shared.bucket.full_at_ns])?;
    match shared.short {
        Some((lane, at)) => {
            let until = nanoseconds(at.checked_add(CLAIM).unwrap_or(Timestamp::MAX));
            let sql = "insert into claim (bucket, holder, lane, until_ns) values (?1, ?2, ?3, ?4)
                       on conflict (bucket, holder) do update set lane = ?3, until_ns = ?4";
            transaction.prepare_cached(sql)?.execute(params![shared.digest, holder, lane.0, until])?;
        }
        None => {
            let sql = "delete from claim where bucket = ?1 and holder = ?2";
            transaction.prepare_cached(sql)?.execute(params![shared.digest, holder])?;
        }
    }
    Ok(())
}
