//! The verbs `check` and `test`: whether what the agencies wrote is sound, and computes what it should.

use std::path::Path;

use super::{Ended, explained, one, print};
use crate::check::{self, Checked};
use crate::fault::{Fault, Place};
use crate::pipeline::{self, Pipeline};
use crate::sql::cases;

pub(super) async fn check_all(root: &Path) -> Result<Ended, Vec<Fault>> {
    let (agencies, faults) = all_agencies(root).await?;
    for checked in agencies {
        print(&format!(
            "{}: {} sources, {} items, {} models\n",
            checked.pipeline.id,
            checked.pipeline.sources.len(),
            checked.pipeline.items.len(),
            checked.library.models.len()
        ))?;
    }
    if faults.is_empty() { Ok(Ended::Done) } else { Err(faults) }
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

pub(super) async fn test(root: &Path, filter: Option<&str>) -> Result<Ended, Vec<Fault>> {
    let (agencies, found) = all_agencies(root).await?;
    if !found.is_empty() {
        return Err(found);
    }
    let faults = pipeline::reader::Faults::default();
    let rewrite = std::env::var_os("UPDATE_EXPECT").is_some_and(|value| value == "1");
    let (mut passed, mut failed) = (0, 0);
    for path in cases::find(root) {
        if filter.is_some_and(|filter| !path.to_string_lossy().contains(filter)) {
            continue;
        }
        let place = Place::file(&path);
        // Obligations are written once for every agency: any agency that has switched one on can prove it.
        let Some(checked) = agencies.iter().find(|checked| cases::model(&checked.library, &path).is_some()) else {
            let what = "no agency builds the table that this case proves";
            let next = "name its item under [items] of a pipeline, or correct the folder that the case is in";
            faults.push(Fault::new("case.no-table", place, what, next));
            continue;
        };
        let Some(mut case) = cases::read(root, &path, &checked.pipeline, &faults) else { continue };
        if rewrite {
            case.rewrite(root, &checked.pipeline, &checked.library).await.map_err(one)?;
            // What is compared is what now stands in the file.
            let Some(rewritten) = cases::read(root, &path, &checked.pipeline, &faults) else { continue };
            case = rewritten;
        }
        match case.run(&checked.pipeline, &checked.library).await.map_err(explained)? {
            None => passed += 1,
            Some(difference) => {
                failed += 1;
                print(&format!("{}: {}\n{difference}", path.display(), case.about))?;
            }
        }
    }
    if !faults.is_empty() {
        return Err(faults.into_vec());
    }
    if passed + failed == 0 {
        let next = "leave the filter out, or look into tests/cases";
        return Err(vec![Fault::new("case.none", Place::file("tests/cases"), "there is no such case", next)]);
    }
    print(&format!("{passed} cases as expected, {failed} not\n"))?;
    Ok(if failed == 0 { Ended::Done } else { Ended::Failed })
}
