//! Beside every step: which column reached which, as OpenLineage events of this run.

use std::io::{self, ErrorKind};
use std::path::Path;

use super::Night;
use super::build::Built;
use crate::calendar;
use crate::fault::{Fault, Place};
use crate::files;
use crate::lineage::{Ending, Job, Told, event};
use crate::sql::Model;

/// Of how many runs the events are kept: a year of nights, and some that were run again.
const RUNS_KEPT: usize = 400;

impl Night<'_> {
    /// Notes what a job has come to. Nothing of a row is in it.
    pub(super) fn tell(&mut self, job: Job<'_>, ending: Ending) {
        let told = Told { run: &self.run, as_of: Some(self.as_of), at: calendar::now(), ending };
        self.events.push(event(self.checked, job, told));
    }

    /// Notes what a model has come to.
    pub(super) fn tell_ending(&mut self, built: &Built, model: &Model) {
        let waits = model.reads.iter().any(|table| built.is_blocked(table));
        let ending = match (built.is_held(&model.name), built.is_blocked(&model.name)) {
            (true, _) => Ending::Abort,
            (_, true) if waits => Ending::Abort,
            (_, true) => Ending::Fail,
            _ => Ending::Complete,
        };
        self.tell(Job::Model(&model.name), ending);
    }

    /// Writes the events of this run, one line each, to `lineage/<run>.json` of the state folder.
    pub(super) fn write_lineage(&self) -> Result<(), Fault> {
        let folder = self.world.lineage();
        let path = folder.join(format!("{}.json", self.run));
        let lines: String = self.events.iter().map(|event| format!("{event}\n")).collect();
        let written = files::private_folder(&folder).and_then(|()| files::replace(&path, lines.as_bytes()));
        written.and_then(|()| keep_newest(&folder)).map_err(|error| {
            let what = format!("the lineage of this run could not be written: {error}");
            let next = "make room there; what the night did is done and stays so, and `chudong lineage` tells the same";
            let code = match error.kind() {
                ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "run.disk-full",
                _ => "run.lineage",
            };
            Fault::new(code, Place::file(&path), what, next)
        })
    }
}

/// Lets the events of the oldest runs go. What the runs did is in the ledger, for ever.
fn keep_newest(folder: &Path) -> io::Result<()> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            files.push((entry.metadata()?.modified()?, path));
        }
    }
    // In the order of writing: a night that is run again is as new as any.
    files.sort();
    let go = files.len().saturating_sub(RUNS_KEPT);
    files.iter().take(go).try_for_each(|(_, path)| std::fs::remove_file(path))
}
