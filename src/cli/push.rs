//! `push`: the rating system is told what it does not know yet.

use std::path::PathBuf;

use super::{Ended, complain, one, print};
use crate::check;
use crate::fault::Fault;
use crate::push::Patience;
use crate::run;
use crate::world::World;

pub(super) async fn push(root: PathBuf, agency: &str, state: PathBuf) -> Result<Ended, Vec<Fault>> {
    let checked = check::check(&root, agency).await?;
    let world = World::new(root, state);
    let (pushed, faults) = run::push(&world, &checked, Patience::default()).await.map_err(one)?;
    for period in &pushed {
        print(&format!("{}\n", period.text()))?;
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    let waits = pushed.iter().filter(|period| !period.rejected.is_empty()).count();
    if waits > 0 {
        complain(&format!("{waits} periods were refused in part: ask the portal what its codes mean\n"));
        return Ok(Ended::Held);
    }
    // What was withdrawn has to be taken back there as well, and only a person can have that done.
    Ok(if pushed.iter().any(run::Pushed::is_for_a_person) { Ended::Held } else { Ended::Done })
}
