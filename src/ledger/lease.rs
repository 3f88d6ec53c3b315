//! Who may write to the outbox: a lease with an epoch, carried by every write.
//!
//! The [`Lock`](super::Lock) keeps processes of one machine apart; a state folder on a shared disk, or a
//! machine that was paused and comes back, needs more. Whoever takes the lease raises its epoch, and a
//! write with an earlier epoch is refused: an earlier sender cannot settle or record any more.

use jiff::{SignedDuration, Timestamp};
use rusqlite::{OptionalExtension, Transaction, params};

use super::{Error, Ledger};
use crate::calendar::now;

/// How long a lease holds that nobody renews: far longer than any commit takes.
const LEASE: SignedDuration = SignedDuration::from_secs(60);

/// The lease as this process has it.
#[derive(Debug, Clone)]
pub(super) struct Lease {
    epoch: i64,
    expires_at: Timestamp,
}

impl Ledger {
    /// Runs `act` in one immediate transaction, under the lease: all of it is durable, or nothing.
    pub(super) fn write_outbox<T>(
        &mut self,
        doing: &'static str,
        act: impl FnOnce(&Transaction<'_>) -> Result<T, rusqlite::Error>,
    ) -> Result<T, Error> {
        let path = self.path.clone();
        let failed = |source| Error::failed(&path, doing, source);
        let behavior = rusqlite::TransactionBehavior::Immediate;
        let transaction = self.connection.transaction_with_behavior(behavior).map_err(failed)?;
        let lease = match held(&transaction, self.lease.as_ref(), now()).map_err(failed)? {
            Held::Yes(lease) => lease,
            Held::ByAnother { until } => return Err(Error::Leased { path: path.clone(), until }),
            Held::Lost => return Err(Error::Fenced { path: path.clone() }),
        };
        let value = act(&transaction).map_err(failed)?;
        transaction.commit().map_err(failed)?;
        self.lease = Some(lease);
        Ok(value)
    }
}

enum Held {
    Yes(Lease),
    ByAnother { until: String },
    Lost,
}

fn held(transaction: &Transaction<'_>, mine: Option<&Lease>, now: Timestamp) -> rusqlite::Result<Held> {
    let there: Option<(i64, String, String)> = transaction
        .prepare_cached("select epoch, holder, expires_at from lease where name = 'outbox'")?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    let epoch = match (mine, there) {
        (Some(mine), Some((epoch, ..))) if mine.epoch == epoch => {
            // Renewed in good time, not with every group.
            if mine.expires_at.duration_since(now) > LEASE / 2 {
                return Ok(Held::Yes(mine.clone()));
            }
            epoch
        }
        (Some(_), _) => return Ok(Held::Lost),
        (None, None) => 1,
        (None, Some((epoch, holder, expires_at))) => {
            let is_over = expires_at.parse::<Timestamp>().is_ok_and(|until| until <= now);
            // On this machine the lock shows that the other process has ended.
            if !is_over && machine_of(&holder) != machine() {
                return Ok(Held::ByAnother { until: expires_at });
            }
            epoch.saturating_add(1)
        }
    };
    let expires_at = now.checked_add(LEASE).unwrap_or(Timestamp::MAX);
    let holder = format!("{} {}", machine(), std::process::id());
    transaction
        .prepare_cached(
            "insert into lease (name, epoch, holder, expires_at) values ('outbox', ?1, ?2, ?3)
             on conflict (name) do update set epoch = ?1, holder = ?2, expires_at = ?3",
        )?
        .execute(params![epoch, holder, expires_at.to_string()])?;
    Ok(Held::Yes(Lease { epoch, expires_at }))
}

/// The running kernel: processes that share it see each other's locks.
fn machine() -> String {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id");
    boot.map_or_else(|_| "unknown".into(), |boot| boot.trim().to_owned())
}

fn machine_of(holder: &str) -> &str {
    holder.split(' ').next().unwrap_or_default()
}
