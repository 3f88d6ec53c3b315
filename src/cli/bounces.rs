//! The verb `bounces`: reads the mailbox into which messages come back.

use std::path::{Path, PathBuf};

use super::book::account;
use super::{Ended, ReportFormat, explained, json, one, print, read_pipeline};
use crate::calendar::AsOf;
use crate::fault::{Fault, Place};
use crate::ledger::{Ledger, Lock};
use crate::run;
use crate::world::World;

pub(super) async fn bounces(
    root: PathBuf,
    agency: &str,
    state: PathBuf,
    receipts: Option<&Path>,
) -> Result<Ended, Vec<Fault>> {
    let pipeline = read_pipeline(&root, agency)?;
    let world = World::new(root, state);
    let Some(back) = run::bounces(&world, &pipeline, receipts).await.map_err(one)? else {
        let next = "add [mail.mailbox] with kind = \"maildir\" and path, or kind = \"imap\"; or receipts to [serve]";
        let place = Place::file(&pipeline.path);
        return Err(vec![Fault::new("bounces.no-mailbox", place, "the pipeline names no mailbox", next)]);
    };
    world.progress.done();
    match back.lines().as_slice() {
        [] => print("Nothing came back.\n")?,
        lines => print(&format!("{}\n", lines.join("\n")))?,
    }
    Ok(Ended::Done)
}

/// Prints what is stopped, or lifts one stop.
pub(super) fn breakers(state: &Path, lift: Option<&str>, format: ReportFormat) -> Result<Ended, Vec<Fault>> {
    if let Some(scope) = lift {
        let agency = Ledger::read(state).and_then(|ledger| ledger.agency()).map_err(explained)?;
        let _lock = Lock::take(state).map_err(explained)?;
        let mut ledger = Ledger::open(state, &agency).map_err(explained)?;
        let is_lifted = ledger.lift_stop(scope, &account()).map_err(explained)?;
        ledger.anchor().map_err(explained)?;
        if !is_lifted {
            let place = Place::Thing(format!("breaker {scope}"));
            let next = "take a line that `chudong ledger breakers` prints, up to the colon";
            return Err(vec![Fault::new("cli.breaker", place, "nothing of this name is stopped", next)]);
        }
        print("lifted: the next run sends what was held\n")?;
        return Ok(Ended::Done);
    }
    for stop in Ledger::read(state).and_then(|ledger| ledger.stops()).map_err(explained)? {
        print(&match format {
            ReportFormat::Text => format!(
                "{}: stopped at {} by run {}, {} of {} refused ({})\n",
                stop.scope, stop.at, stop.run, stop.refused, stop.sent, stop.reason
            ),
            ReportFormat::Json => json(&serde_json::json!(stop)),
        })?;
    }
    Ok(Ended::Done)
}

/// Prints the suppressions that hold today, or lifts those of one address, by its blind index.
pub(super) fn suppressions(state: &Path, lift: Option<&str>, format: ReportFormat) -> Result<Ended, Vec<Fault>> {
    if let Some(address) = lift {
        let agency = Ledger::read(state).and_then(|ledger| ledger.agency()).map_err(explained)?;
        let _lock = Lock::take(state).map_err(explained)?;
        let mut ledger = Ledger::open(state, &agency).map_err(explained)?;
        let lifted = ledger.lift_suppression(address, &account()).map_err(explained)?;
        ledger.anchor().map_err(explained)?;
        if lifted == 0 {
            let place = Place::Thing(format!("suppression {address}"));
            let next = "take an address that `chudong ledger suppressions` prints";
            return Err(vec![Fault::new("cli.suppression", place, "no such address is suppressed", next)]);
        }
        print("lifted: the next run writes to this address again\n")?;
        return Ok(Ended::Done);
    }
    let today = AsOf::today().date();
    let mut found = Ledger::read(state).and_then(|ledger| ledger.suppressions()).map_err(explained)?;
    found.retain(|suppression| suppression.holds_on(today));
    for row in found {
        let until = row.until.as_deref().unwrap_or("lifted by a person");
        print(&match format {
            ReportFormat::Text => format!(
                "{} {} {} {} since {} until {until}, message {}\n",
                row.address,
                row.channel,
                row.reason,
                row.code.as_deref().unwrap_or("-"),
                row.since,
                row.message
            ),
            ReportFormat::Json => json(&serde_json::json!({
                "address": row.address, "channel": row.channel, "reason": row.reason, "code": row.code,
                "since": row.since, "until": row.until, "message": row.message,
            })),
        })?;
    }
    Ok(Ended::Done)
}
