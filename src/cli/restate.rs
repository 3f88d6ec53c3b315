//! `restate`: a corrected table beside the one that was published.

use std::path::PathBuf;

use super::book::{account, checked_reason};
use super::{Ended, one, print};
use crate::calendar::AsOf;
use crate::check;
use crate::fault::Fault;
use crate::run::{self, AskedTable};
use crate::world::World;

/// A published table, and why it is to change.
#[derive(Debug, clap::Args)]
pub(super) struct Asked {
    /// The month, the quarter or the year, for example: 2026-10
    period: String,
    /// The table, for example: satisfaction_by_commune
    table: String,
    /// Why, for whoever reads it later; it is published, so without names, numbers and addresses of people.
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

pub(super) async fn restate(root: PathBuf, agency: &str, state: PathBuf, asked: Asked) -> Result<Ended, Vec<Fault>> {
    let reason = checked_reason(&asked.reason)?;
    let checked = check::check(&root, agency).await?;
    let world = World::new(root, state);
    let account = account();
    let wanted = AskedTable { period: &asked.period, table: &asked.table, reason: &reason, account: &account };
    let restated = run::restate(&world, &checked, AsOf::today(), wanted).map_err(one)?;
    print(&format!(
        "restated: {} values changed; {} holds the table, every old and new value, and the reason\n",
        restated.changes,
        world.published().join(&restated.place).display()
    ))?;
    Ok(Ended::Done)
}

/// `withdraw`: a table leaves the shelf, and a stone says that it was there.
pub(super) async fn withdraw(root: PathBuf, agency: &str, state: PathBuf, asked: Asked) -> Result<Ended, Vec<Fault>> {
    let reason = checked_reason(&asked.reason)?;
    let checked = check::check(&root, agency).await?;
    let world = World::new(root, state);
    let account = account();
    let wanted = AskedTable { period: &asked.period, table: &asked.table, reason: &reason, account: &account };
    let places = run::withdraw(&world, &checked, AsOf::today(), wanted).map_err(one)?;
    for place in places {
        let stone = world.published().join(&place).join(format!("{}.tombstone.json", asked.table));
        print(&format!("withdrawn from {place}: {} stands in its place\n", stone.display()))?;
    }
    Ok(Ended::Done)
}
