//! The verb `check`: whether what the agencies wrote is sound, and what it still lacks.

use std::path::Path;

use super::{Ended, print};
use crate::calendar::AsOf;
use crate::check::catalogue::catalogue;
use crate::check::missing::{self, Missing};
use crate::check::{self, Checked};
use crate::fault::{Fault, Place};
use crate::pipeline::{self, Pipeline};

pub(super) async fn check_all(root: &Path, as_of: Option<AsOf>) -> Result<Ended, Vec<Fault>> {
    let (agencies, mut faults) = all_agencies(root).await?;
    let of_night = as_of.into_iter().flat_map(|as_of| agencies.iter().flat_map(move |checked| lacks(checked, as_of)));
    // Agencies that share a rule lack it together.
    for fault in of_night.collect::<Vec<_>>() {
        if !faults.contains(&fault) {
            faults.push(fault);
        }
    }
    let (catalogue, found) = catalogue(root).await;
    faults.extend(agencies.iter().flat_map(|checked| check::exact::faults_beside_noise(&checked.pipeline)));
    faults.extend(agencies.iter().filter_map(|checked| check::exact::fault_of_budget(&checked.pipeline)));
    // What an agency uses was said for the agency.
    faults.extend(found.into_iter().filter(|fault| !faults.contains(fault)).collect::<Vec<_>>());
    faults.sort_by(|a, b| (&a.place, a.code, &a.what).cmp(&(&b.place, b.code, &b.what)));
    let mut warnings: Vec<Missing> =
        agencies.iter().filter_map(|checked| missing::unsigned(&checked.pipeline)).collect();
    warnings.extend(agencies.iter().flat_map(missing::alike));
    for checked in agencies {
        print(&format!(
            "{}: {} sources, {} items, {} models\n",
            checked.pipeline.id,
            checked.pipeline.sources.len(),
            checked.pipeline.items.len(),
            checked.library.models.len()
        ))?;
    }
    let marks = missing::marks(root);
    say("Not finished", &marks)?;
    say("Warnings", &warnings)?;
    say("Cases that would prove more", &missing::cases(root, &catalogue))?;
    match (faults.is_empty(), marks.is_empty()) {
        (false, _) => Err(faults),
        (true, false) => Ok(Ended::Failed),
        (true, true) => Ok(Ended::Done),
    }
}

/// What the night of a date would lack.
fn lacks(checked: &Checked, as_of: AsOf) -> Vec<Fault> {
    let mut faults = check::faults_on(&checked.pipeline, as_of);
    let gaps = check::gaps_on(&checked.pipeline, &checked.library, as_of);
    faults.extend(gaps.into_iter().map(|gap| gap.fault));
    faults.extend(check::years_without_calendar(&checked.pipeline, as_of));
    faults
}

fn say(head: &str, missing: &[Missing]) -> Result<(), Vec<Fault>> {
    if missing.is_empty() {
        return Ok(());
    }
    let lines: String = missing.iter().map(|missing| format!("  {missing}\n")).collect();
    print(&format!("\n{head}:\n{lines}"))
}

/// The agencies that are sound, and every fault of the others.
pub(super) async fn all_agencies(root: &Path) -> Result<(Vec<Checked>, Vec<Fault>), Vec<Fault>> {
    let agencies = pipeline::agencies(root);
    if agencies.is_empty() {
        let next = "name the installation folder with --root: it holds pipelines/ and sql/";
        let place = Place::file(root.join("pipelines"));
        return Err(vec![Fault::new("pipeline.no-agency", place, "there is no agency here", next)]);
    }
    let (mut sound, mut faults) = (Vec::new(), Vec::new());
    for agency in &agencies {
        match check::check(root, agency).await {
            Ok(checked) => sound.push(checked),
            // What agencies share is wrong for each of them, and is said once.
            Err(found) => faults.extend(found.into_iter().filter(|fault| !faults.contains(fault)).collect::<Vec<_>>()),
        }
    }
    faults.sort_by(|a, b| (&a.place, a.code, &a.what).cmp(&(&b.place, b.code, &b.what)));
    Ok((sound, faults))
}

pub(super) fn read_pipeline(root: &Path, agency: &str) -> Result<Pipeline, Vec<Fault>> {
    let faults = pipeline::reader::Faults::default();
    let found = pipeline::read(root, agency, &faults);
    match (found, faults.into_vec()) {
        (Some(pipeline), faults) if faults.is_empty() => Ok(pipeline),
        (_, faults) => Err(faults),
    }
}
