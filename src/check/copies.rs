//! Cases that were copied and not changed: two of one item that give and expect the same prove one thing.
//!
//! It must not know what a case is about.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::fault::{Fault, Place};
use crate::pipeline::Pipeline;
use crate::pipeline::reader::Faults;
use crate::sql::cases;

/// Says which cases give and expect the same as an earlier one of their item, by the order of their names.
pub(super) fn check(root: &Path, pipeline: &Pipeline, faults: &Faults) {
    // What is wrong with a case is said by `test`.
    let unread = Faults::default();
    let mut known: BTreeMap<String, PathBuf> = BTreeMap::new();
    for path in cases::find(root) {
        if cases::proved(&path).is_none_or(|name| name.schema != "obligations") {
            continue;
        }
        let Some(case) = cases::read(root, &path, pipeline, &unread) else { continue };
        if let Some(first) = known.get(&case.proves()) {
            let what = format!("the case gives and expects the same as {}", first.display());
            let next = "change what is given to what its sentence says, or remove it";
            faults.push(Fault::new("case.copied", Place::file(&path), what, next));
            continue;
        }
        known.insert(case.proves(), path);
    }
}
