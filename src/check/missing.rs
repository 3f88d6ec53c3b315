//! What an item still lacks: marks that nobody has filled in, and cases that would prove it.
//!
//! `chudong new item` leaves a mark wherever a person has to say something. An agency that has switched on an
//! item with a mark in it is refused: such a letter must not leave. Cases are advice.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use super::Checked;
use super::catalogue::Catalogue;
use crate::fault::{Fault, Place};
use crate::language::Language;
use crate::pipeline::options::MARK as MARK_COLUMN;
use crate::pipeline::reader::Faults;
use crate::pipeline::{Item, Pipeline};
use crate::reminders::letter::{several_path, unfiled_path};
use crate::sql::cases::{self, Covers};
use crate::tables::TableName;

/// What stands where a person has to say something.
pub const MARK: &str = "TODO";

/// How many cases an obligation should have at least.
const LEAST_CASES: usize = 5;

/// One thing that is missing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Missing {
    /// Where.
    pub place: Place,
    /// What to do, in the imperative.
    pub what: String,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.what)
    }
}

/// The marks in every file of the catalogue, in the order of their places.
pub fn marks(root: &Path) -> Vec<Missing> {
    let mut paths = vec![PathBuf::from("pipelines/standard-tables.toml")];
    for folder in ["pipelines/items", "pipelines/law", "sql/obligations", "sql/dossiers", "tests/cases/obligations"] {
        paths.extend(files(root, Path::new(folder)));
    }
    paths.iter().flat_map(|path| marks_in(root, path)).collect()
}

/// What an agency publishes without a signature: whoever copies its files onto another server cannot be told from it.
pub fn unsigned(pipeline: &Pipeline) -> Option<Missing> {
    let is_unsigned = pipeline.privacy.is_some() && pipeline.publication.signing_key.is_none();
    let what = "published checksums are not signed: add signing_key to [publication], an Ed25519 key as a secret";
    is_unsigned.then(|| Missing { place: Place::file(&pipeline.path), what: what.into() })
}

/// The ways of outcomes that an agency watches and of which no dossier shows which one was taken: they are left out of the
/// figures.
pub fn alike(checked: &Checked) -> Vec<Missing> {
    let pipeline = &checked.pipeline;
    let is_watched = pipeline.exact.as_ref().is_some_and(|exact| !exact.options.is_empty());
    let choices = checked.graph.reach(&TableName::new("quality", "choices"));
    let has_marks =
        choices.is_some_and(|choices| choices.lineage.columns.iter().any(|(column, _)| column == MARK_COLUMN));
    let outcomes = pipeline.options.outcomes.iter().filter(|_| is_watched);
    let alike = outcomes.flat_map(|outcome| outcome.alike(has_marks).into_iter().map(move |pair| (outcome, pair)));
    let told = alike.map(|(outcome, (one, other))| Missing {
        place: Place::file(format!("pipelines/options/{}.toml", outcome.id)),
        what: format!(
            "no dossier shows whether {} or {} was taken, which share a procedure and a channel: neither is counted \
             among the options that were taken; declare mark = \"...\" of one of them, and give a column mark in \
             sql/quality/choices.sql, where a source tells them apart",
            one.id, other.id
        ),
    });
    told.collect()
}

/// The items of an agency that hold a mark, and the templates of a letter of several where it sends such letters and
/// has none: each is a fault.
pub(super) fn check(root: &Path, pipeline: &Pipeline, faults: &Faults) {
    let languages = Language::ALL.into_iter().filter(|_| pipeline.attention.is_digested);
    for path in languages.map(several_path).filter(|path| !root.join(path).exists()) {
        faults.push(Fault::new(
            "letter.no-digest-template",
            Place::file(path),
            "letters of several obligations are switched on, and their template is not there",
            "put it there (the repository has one to begin from), or write digest = false in [attention]",
        ));
    }
    let languages = Language::ALL.into_iter().filter(|_| !pipeline.dossiers.is_empty());
    for path in languages.map(unfiled_path).filter(|path| !root.join(path).exists()) {
        faults.push(Fault::new(
            "letter.no-unfiled-template",
            Place::file(path),
            "dossiers are prepared, and there is no template that tells a person that theirs is not handed in",
            "put it there (the repository has one to begin from), or leave out [dossiers]",
        ));
    }
    for item in &pipeline.items {
        let count: usize = own_files(item).iter().map(|path| marks_in(root, path).len()).sum();
        if count > 0 {
            let marks = if count == 1 { "one mark".to_owned() } else { format!("{count} marks") };
            faults.push(Fault::new(
                "item.unfinished",
                Place::file(format!("pipelines/items/{}/item.toml", item.id)),
                format!("the item {} is not finished: {marks} of {MARK} in its files", item.id),
                "fill them in (`chudong check` lists them), or take the item out of [items] of the pipeline",
            ));
        }
    }
}

fn own_files(item: &Item) -> Vec<PathBuf> {
    let own = ["item.toml", "message.vi.md", "message.en.md"].map(|file| format!("pipelines/items/{}/{file}", item.id));
    let rules = item.rules.iter().map(|rule| format!("pipelines/law/{rule}.toml"));
    own.into_iter().chain([format!("sql/obligations/{}.sql", item.id)]).chain(rules).map(PathBuf::from).collect()
}

/// The cases that the items of the catalogue lack. Where there are none at all, the installation keeps none.
pub fn cases(root: &Path, catalogue: &Catalogue) -> Vec<Missing> {
    if !root.join("tests/cases").is_dir() {
        return Vec::new();
    }
    // What is wrong with a case is said by `test`.
    let faults = Faults::default();
    let mut covered: BTreeMap<String, (usize, BTreeSet<Covers>)> = BTreeMap::new();
    for path in cases::find(root) {
        let Some(name) = cases::proved(&path).filter(|name| name.schema == "obligations") else { continue };
        let covers = cases::read(root, &path, &catalogue.pipeline, &faults).map(|case| case.covers).unwrap_or_default();
        let (count, known) = covered.entry(name.table).or_default();
        *count += 1;
        known.extend(covers);
    }
    let mut missing = Vec::new();
    for item in &catalogue.pipeline.items {
        let (count, known) = covered.remove(&item.id).unwrap_or_default();
        let place = Place::file(format!("tests/cases/obligations/{}", item.id));
        if count < LEAST_CASES {
            let what = format!("add cases: there should be {LEAST_CASES} or more, and there are {count}");
            missing.push(Missing { place: place.clone(), what });
        }
        let lacks: Vec<&str> =
            Covers::ALL.iter().filter(|(_, covers)| !known.contains(covers)).map(|(word, _)| *word).collect();
        if let Some(first) = lacks.first() {
            let what = format!("prove {} too, and say so in the case: covers = [\"{first}\"]", lacks.join(", "));
            missing.push(Missing { place, what });
        }
    }
    missing
}

fn files(root: &Path, folder: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut waiting = vec![folder.to_path_buf()];
    while let Some(folder) = waiting.pop() {
        let Ok(listing) = std::fs::read_dir(root.join(&folder)) else { continue };
        for entry in listing.flatten() {
            let path = folder.join(entry.file_name());
            let is_ours = ["toml", "md", "sql"].iter().any(|kind| path.extension().is_some_and(|e| e == *kind));
            match entry.path().is_dir() {
                true => waiting.push(path),
                // A README speaks of the items, and is none.
                false if is_ours && path.file_name().is_none_or(|name| name != "README.md") => drop(found.insert(path)),
                false => {}
            }
        }
    }
    found
}

/// Each mark with its line and with what stands behind it. A file that cannot be read is a fault elsewhere.
fn marks_in(root: &Path, path: &Path) -> Vec<Missing> {
    let Ok(text) = std::fs::read_to_string(root.join(path)) else { return Vec::new() };
    let mut found = Vec::new();
    for (line, number) in text.lines().zip(1..) {
        for said in line.split(MARK).skip(1) {
            // Up to where the text in quotation marks, or the comment of a template, ends.
            let said = said.trim_start_matches(':').split(['"', '#']).next().unwrap_or_default().trim();
            let what = if said.is_empty() { "fill in what is marked here".to_owned() } else { said.to_owned() };
            found.push(Missing { place: Place::line(path, number), what });
        }
    }
    found
}
