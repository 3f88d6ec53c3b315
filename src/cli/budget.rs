//! The verb `budget`: what is spent and left of the privacy budget.

use std::path::PathBuf;

use super::{Ended, ReportFormat, json, one, print};
use crate::check;
use crate::fault::Fault;
use crate::run;
use crate::world::World;

pub(super) async fn budget(
    root: PathBuf,
    agency: &str,
    state: PathBuf,
    format: ReportFormat,
) -> Result<Ended, Vec<Fault>> {
    let checked = check::check(&root, agency).await?;
    let budget = run::budget(&World::new(root, state), &checked).map_err(one)?;
    match format {
        ReportFormat::Text => print(&budget.text()),
        ReportFormat::Json => print(&json(&budget)),
    }?;
    Ok(Ended::Done)
}
