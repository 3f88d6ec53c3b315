//! Whether the templates that stand around every letter print the ways that are compared: otherwise nobody would be told.

use std::path::Path;

use crate::fault::{Fault, Place};
use crate::language::Language;
use crate::pipeline::Pipeline;
use crate::pipeline::reader::Faults;
use crate::reminders::letter::several_path;

/// Says which template of an agency that recommends options does not print them.
pub(super) fn check(root: &Path, pipeline: &Pipeline, faults: &Faults) {
    if pipeline.options.outcomes.is_empty() {
        return;
    }
    let layouts = Language::ALL.map(|language| format!("pipelines/items/layout.{}.md", language.tag()));
    let digests = Language::ALL.map(several_path).into_iter().filter(|_| pipeline.attention.is_digested);
    for path in layouts.into_iter().chain(digests) {
        // What cannot be read is a fault already.
        let Ok(text) = std::fs::read_to_string(root.join(&path)) else { continue };
        if !text.contains("options.ways") {
            faults.push(Fault::new(
                "options.layout",
                Place::file(&path),
                "options are compared, and this template does not print them",
                "print options.recommended, options.why and options.ways, as the layouts of the repository do",
            ));
        }
    }
}
