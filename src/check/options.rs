//! Whether the templates that stand around every letter print the ways that are compared: otherwise nobody would be told;
//! and whether the selects of the options say no word that their outcome does not declare.

use std::path::Path;

use crate::fault::{Fault, Place};
use crate::language::Language;
use crate::pipeline::Pipeline;
use crate::pipeline::options::{Named, Outcome, Via};
use crate::pipeline::reader::Faults;
use crate::reminders::letter::several_path;
use crate::sql::{Library, WrittenWord, written_words};
use crate::tables::TableName;

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

/// The columns of an outcome's select whose words the outcome declares.
const COLUMNS: [&str; 6] = ["option_id", "reason", "fee_status", "loses", "via", "outcome"];

/// Says which words of the selects of options no outcome declares: on the night of one, nothing would be compared.
pub(super) fn words(pipeline: &Pipeline, library: &Library, faults: &Faults) {
    for outcome in &pipeline.options.outcomes {
        let Some(model) = library.model(&TableName::new("options", &outcome.id)) else { continue };
        for written in written_words(model, &COLUMNS) {
            let Some(declared) = declared(outcome, &written) else { continue };
            if declared.contains(&written.word.as_str()) {
                continue;
            }
            let WrittenWord { line, column, word, is_given } = &written;
            let does = if *is_given { "gives" } else { "asks for" };
            let what = format!(
                "the select {does} the {column} '{word}', which pipelines/options/{}.toml does not declare",
                outcome.id
            );
            let next = match declared.as_slice() {
                [] => format!("declare it in pipelines/options/{}.toml, or give null", outcome.id),
                known => format!("declare it there, or write one of those that it declares: {}", known.join(", ")),
            };
            let place = line.map_or_else(|| Place::file(&model.path), |line| Place::line(&model.path, line));
            faults.push(Fault::new("options.unknown-word", place, what, next));
        }
    }
}

/// The words that a column may have; none where a word of another table's column of that name may be meant.
fn declared<'o>(outcome: &'o Outcome, written: &WrittenWord) -> Option<Vec<&'o str>> {
    let named = |words: &'o [Named]| words.iter().map(|named| named.word.as_str()).collect();
    match (written.column.as_str(), written.is_given) {
        ("option_id", _) => Some(outcome.ways.iter().map(|way| way.id.as_str()).collect()),
        ("via", false) => Some(Via::WORDS.iter().map(|(word, _)| *word).collect()),
        ("outcome", false) => Some(vec![outcome.id.as_str()]),
        ("reason", true) => Some(named(&outcome.reasons)),
        ("fee_status", true) => Some(named(&outcome.statuses)),
        ("loses", true) => Some(named(&outcome.rights)),
        _ => None,
    }
}
