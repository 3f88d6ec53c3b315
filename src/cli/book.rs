//! The verbs of the ledger: list, verify, and a clerk's decision about one message.

use std::path::Path;

use super::{Decision, Ended, LedgerVerb, ReportFormat, explained, print};
use crate::fault::{Fault, Place};
use crate::ledger::{self, Ledger, Lock, MessageKey, MessageState};

pub(super) fn look(state: &Path, verb: &LedgerVerb) -> Result<Ended, Vec<Fault>> {
    match verb {
        LedgerVerb::List { kind, last, format } => {
            let entries =
                Ledger::read(state).and_then(|ledger| ledger.list(kind.as_deref(), *last)).map_err(explained)?;
            for entry in entries {
                let line = match format {
                    ReportFormat::Text => format!(
                        "{:>7} {} {} {} {} {}\n",
                        entry.seq, entry.at, entry.run, entry.kind, entry.key, entry.body
                    ),
                    ReportFormat::Json => {
                        let body: serde_json::Value = serde_json::from_str(&entry.body).unwrap_or_default();
                        format!(
                            "{}\n",
                            serde_json::json!({
                                "seq": entry.seq, "at": entry.at, "run": entry.run, "kind": entry.kind,
                                "key": entry.key, "body": body, "hash": crate::personal::hex(&entry.hash),
                            })
                        )
                    }
                };
                print(&line)?;
            }
            Ok(Ended::Done)
        }
        LedgerVerb::Obligations { item, format } => {
            let counts =
                Ledger::read(state).and_then(|ledger| ledger.obligation_counts(item.as_deref())).map_err(explained)?;
            for count in &counts {
                let (item, state, obligations) = (&count.item, &count.state, count.obligations);
                print(&match format {
                    ReportFormat::Text => format!("{item} {state} {obligations}\n"),
                    ReportFormat::Json => {
                        let line = serde_json::json!({ "item": item, "state": state, "obligations": obligations });
                        format!("{line}\n")
                    }
                })?;
            }
            Ok(Ended::Done)
        }
        LedgerVerb::Uncertain => {
            let rows = Ledger::read(state).and_then(|ledger| ledger.outbox()).map_err(explained)?;
            for row in rows.iter().filter(|row| row.state == MessageState::Uncertain) {
                print(&format!("{} {} {}\n", row.key.0, row.item, row.run))?;
            }
            Ok(Ended::Done)
        }
        LedgerVerb::Suppressions { lift, format } => super::bounces::suppressions(state, lift.as_deref(), *format),
        LedgerVerb::Breakers { lift, format } => super::bounces::breakers(state, lift.as_deref(), *format),
        LedgerVerb::Settle { key, decision, reason } => settle(state, key, *decision, reason),
        LedgerVerb::Verify => {
            let verified = ledger::verify::verify(state).map_err(explained)?;
            if !verified.faults.is_empty() {
                return Err(verified.faults);
            }
            print(&format!(
                "sound: {} entries, head {} {}\n",
                verified.entries, verified.head.seq, verified.head.hash
            ))?;
            Ok(Ended::Done)
        }
    }
}

/// Longest reason of a decision: a sentence, not a file.
const REASON_MAX: usize = 300;

fn settle(state: &Path, key: &str, decision: Decision, reason: &str) -> Result<Ended, Vec<Fault>> {
    let reason = checked_reason(reason)?;
    let decided = match decision {
        Decision::Accepted => MessageState::Accepted,
        Decision::Resend => MessageState::Deferred,
    };
    // Who has no state folder has nothing to decide, and gets none from here.
    let agency = Ledger::read(state).and_then(|ledger| ledger.agency()).map_err(explained)?;
    let _lock = Lock::take(state).map_err(explained)?;
    let mut ledger = Ledger::open(state, &agency).map_err(explained)?;
    ledger.decide(&MessageKey(key.to_owned()), decided, &account(), &reason).map_err(explained)?;
    ledger.anchor().map_err(explained)?;
    print(match decision {
        Decision::Accepted => "settled: it is not sent again\n",
        Decision::Resend => "settled: the next run sends it again\n",
    })?;
    Ok(Ended::Done)
}

/// A reason that may stand in the ledger for ever: one sentence, without what may be a person's number or address.
pub(super) fn checked_reason(reason: &str) -> Result<String, Vec<Fault>> {
    let reason = reason.trim();
    // The ledger is for ever and holds no person: what looks like a number or an address of one is refused.
    let is_personal = reason.contains('@') || reason.split(|c: char| !c.is_ascii_digit()).any(|run| run.len() >= 8);
    let what = match reason {
        "" => Some("the reason is empty"),
        long if long.chars().count() > REASON_MAX => Some("the reason is longer than 300 characters"),
        one_line if one_line.chars().any(char::is_control) => Some("the reason holds a line break or another control"),
        _ if is_personal => Some("the reason holds what may be a person's number or address"),
        _ => None,
    };
    if let Some(what) = what {
        let next = "say in one sentence how it was found out, without naming the person";
        return Err(vec![Fault::new("cli.reason", Place::Thing("--reason".into()), what, next)]);
    }
    Ok(reason.to_owned())
}

/// The system account that the process runs under, from the system and not from the environment,
/// which anybody can set; its number where the list of accounts does not name it.
pub(super) fn account() -> String {
    let number = rustix::process::getuid().as_raw().to_string();
    let accounts = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let named = accounts.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == number).then(|| name.to_owned())
    });
    named.unwrap_or(number)
}
