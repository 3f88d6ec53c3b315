//! `submit`: dossiers that people have confirmed leave, for the portal or on paper.

use std::path::{Path, PathBuf};

use jiff::civil::Date;

use super::book::{account, checked_reason};
use super::{Ended, complain, one, print};
use crate::check;
use crate::fault::Fault;
use crate::run::leaving;
use crate::submission::Patience;
use crate::world::World;

/// Hands in what is confirmed, after asking how the dossiers stand that were handed in before.
pub(super) async fn submit(
    root: PathBuf,
    agency: &str,
    state: PathBuf,
    again: &[String],
    today: Date,
) -> Result<Ended, Vec<Fault>> {
    let checked = check::check(&root, agency).await?;
    let world = World::new(root, state);
    let done = leaving::leave(&world, &checked, (again, &account()), today, Patience::default()).await;
    world.progress.done();
    let (heard, left, faults) = done.map_err(one)?;
    for text in heard.texts().into_iter().chain(left.texts()) {
        print(&format!("{text}\n"))?;
    }
    if heard.asked == 0 && left == leaving::Left::default() && faults.is_empty() {
        print("no dossier is to be handed in, and none is under way\n")?;
    }
    if left.refused.is_empty() && !faults.is_empty() {
        return Err(faults);
    }
    for fault in &faults {
        complain(&format!("{fault}\n"));
    }
    Ok(if faults.is_empty() { Ended::Done } else { Ended::Held })
}

/// Withdraws what is confirmed and has not left.
pub(super) async fn withdraw(
    root: PathBuf,
    agency: &str,
    state: PathBuf,
    (dossiers, reason): (&[String], &str),
    today: Date,
) -> Result<Ended, Vec<Fault>> {
    let reason = checked_reason(reason)?;
    let checked = check::check(&root, agency).await?;
    let world = World::new(root, state);
    let done = leaving::withdraw(&world, &checked, dossiers, (&account(), &reason), today).map_err(one)?;
    print(&format!("{done} withdrawn, {} before; the next night tells their persons\n", dossiers.len() - done))?;
    Ok(Ended::Done)
}

/// Writes what is confirmed into a folder.
pub(super) async fn paper(root: PathBuf, agency: &str, state: PathBuf, folder: &Path) -> Result<Ended, Vec<Fault>> {
    let checked = check::check(&root, agency).await?;
    let world = World::new(root, state);
    let written = leaving::write_papers(&world, &checked, folder, &account()).map_err(one)?;
    for path in &written {
        print(&format!("{}\n", path.display()))?;
    }
    if written.is_empty() {
        print("no confirmed dossier is to leave\n")?;
    }
    Ok(Ended::Done)
}
