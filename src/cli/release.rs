//! `release`: a person has looked at a period that a gate holds, and lets it pass.

use std::path::PathBuf;

use super::book::{account, checked_reason};
use super::{Ended, one, print};
use crate::check;
use crate::fault::Fault;
use crate::run;
use crate::world::World;

/// A held period, and why it may pass.
#[derive(Debug, clap::Args)]
pub(super) struct Asked {
    /// The month, the quarter or the year, for example: 2026-10
    period: String,
    /// Why, for whoever reads the ledger later; without names, numbers and addresses of people.
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

pub(super) async fn release(root: PathBuf, agency: &str, state: PathBuf, asked: Asked) -> Result<Ended, Vec<Fault>> {
    let reason = checked_reason(&asked.reason)?;
    let checked = check::check(&root, agency).await?;
    let world = World::new(root, state);
    let passed = run::let_pass(&world, &checked, &asked.period, &reason, &account()).map_err(one)?;
    for concern in passed {
        print(&format!("may pass: {concern}\n"))?;
    }
    print(&format!("the next run publishes {}\n", asked.period))?;
    Ok(Ended::Done)
}
