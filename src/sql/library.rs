//! Finds the files in `sql/`: name from path, head comment, dependencies from the parsed select.

mod catalogue;
mod select;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use datafusion::sql::sqlparser::ast::Query;

use crate::fault::{Fault, Place};
use crate::pipeline::Pipeline;
use crate::pipeline::reader::Faults;
use crate::tables::TableName;
use select::read_model;

pub use select::parse_select;

/// One file of `sql/`: one select that makes one table.
#[derive(Debug, Clone)]
pub struct Model {
    /// Its table, from its path.
    pub name: TableName,
    /// Its file, relative to the installation folder.
    pub path: PathBuf,
    /// What its head comment says.
    pub head: Head,
    /// The tables it reads, its own common table expressions left out.
    pub reads: BTreeSet<TableName>,
    /// The select, parsed.
    pub query: Box<Query>,
}

/// The head comment of a model.
#[derive(Debug, Clone, Default)]
pub struct Head {
    /// The first sentence or paragraph.
    pub about: String,
    /// `key: value` lines: `grain`, `private`, `rule`, `severity`.
    pub keys: BTreeMap<String, String>,
}

impl Head {
    /// The comma-separated words of a key.
    pub fn words(&self, key: &str) -> Vec<&str> {
        let text = self.keys.get(key).map(String::as_str).unwrap_or_default();
        text.split(',').map(str::trim).filter(|word| !word.is_empty()).collect()
    }
}

/// All models of an agency, each after those it reads.
#[derive(Debug, Clone, Default)]
pub struct Library {
    /// The models.
    pub models: Vec<Model>,
}

/// The tables that exist before any model runs, beside the landed ones.
///
/// `obligations.due` is made between two models: `subject_id` of all obligations of the night.
pub const GIVEN: [(&str, &str); 7] = [
    ("codes", "communes"),
    ("codes", "procedures"),
    ("codes", "options"),
    ("calendar", "months"),
    ("calendar", "quarters"),
    ("calendar", "years"),
    ("obligations", "due"),
];

/// The words that a select may use as bound values.
pub const BOUND: [&str; 3] = ["$as_of", "$until", "$since"];

/// The schema of what indices of service quality count; its period is `$since` to `$until`.
pub const INDICES: &str = "indices";

/// Where its models are.
const INDICES_FOLDER: &str = "sql/quality/indices";

/// The schemas in which a rule is read: in force tonight, and every term.
pub const LAW: [&str; 2] = ["law", "law_versions"];

impl Library {
    /// Reads the files that an agency needs, with all faults.
    pub fn read(root: &Path, pipeline: &Pipeline, faults: &Faults) -> Self {
        let mut found = Vec::new();
        // Files that are there and cannot be used: who reads their tables is not at fault.
        let mut broken = BTreeSet::new();
        for (folder, schema, wanted) in folders(root, pipeline) {
            for file in sql_files(&root.join(&folder)) {
                let table = file.trim_end_matches(".sql").to_owned();
                if wanted.as_ref().is_some_and(|wanted| !wanted.contains(&table)) {
                    continue;
                }
                let name = TableName::new(schema, table);
                match read_model(root, &folder.join(&file), name.clone(), faults) {
                    Some(model) => found.push(model),
                    None => {
                        broken.insert(name);
                    }
                }
            }
        }
        let mut given: BTreeSet<TableName> = GIVEN.iter().map(|(s, t)| TableName::new(*s, *t)).collect();
        for source in &pipeline.sources {
            let readable = source.tables.iter().filter(|table| table.blind.is_none());
            given.extend(readable.map(|table| TableName::new(&source.name, &table.name)));
        }
        for rule in &pipeline.law.rules {
            given.extend(LAW.map(|schema| TableName::new(schema, &rule.name)));
        }
        let optional = pipeline.standard_tables.iter().filter(|table| table.optional);
        given.extend(optional.map(|table| TableName::new("staging", &table.name)));
        given.retain(|name| !found.iter().any(|model| model.name == *name) && !broken.contains(name));
        check_staging(pipeline, &found, &broken, faults);
        check_items(pipeline, &found, &broken, faults);
        check_outcomes(pipeline, &found, &broken, faults);
        let library = order(found, &given, broken, faults);
        library.check_rules(pipeline, faults);
        library
    }

    /// The model of this table.
    pub fn model(&self, name: &TableName) -> Option<&Model> {
        self.models.iter().find(|model| model.name == *name)
    }

    /// The models in one folder of `sql/`.
    pub fn folder<'a>(&'a self, schema: &'a str) -> impl Iterator<Item = &'a Model> {
        self.models.iter().filter(move |model| model.name.schema == schema)
    }

    /// The landed tables that a table is made from, directly or through others.
    pub fn origins(&self, name: &TableName) -> BTreeSet<TableName> {
        let mut origins = BTreeSet::new();
        let mut waiting = vec![name.clone()];
        let mut seen = BTreeSet::new();
        while let Some(name) = waiting.pop() {
            if !seen.insert(name.clone()) {
                continue;
            }
            match self.model(&name) {
                Some(model) => waiting.extend(model.reads.iter().cloned()),
                // An optional standard table that this agency does not fill comes from nowhere.
                None if !["law", "law_versions", "codes", "staging", "calendar"].contains(&name.schema.as_str()) => {
                    origins.insert(name);
                }
                None => {}
            }
        }
        origins
    }

    /// The models that a table is made by: its own, and those of the tables that it reads.
    pub fn needs(&self, name: &TableName) -> BTreeSet<TableName> {
        let mut needed = BTreeSet::new();
        let mut waiting = vec![name.clone()];
        while let Some(model) = waiting.pop().and_then(|name| self.model(&name)) {
            if needed.insert(model.name.clone()) {
                let reads = model.reads.iter().filter(|table| self.model(table).is_some());
                waiting.extend(reads.cloned());
            }
        }
        needed
    }

    /// The rules that a table is made with, directly or through others, read in these schemas.
    fn rules(&self, name: &TableName, schemas: &[&str]) -> BTreeSet<String> {
        let (mut rules, mut seen, mut waiting) = (BTreeSet::new(), BTreeSet::new(), vec![name.clone()]);
        while let Some(name) = waiting.pop() {
            if schemas.contains(&name.schema.as_str()) {
                rules.insert(name.table);
            } else if seen.insert(name.clone()) {
                waiting.extend(self.model(&name).into_iter().flat_map(|model| model.reads.iter().cloned()));
            }
        }
        rules
    }

    /// The rules that an item can do nothing without when they are not in force: read as `law.<rule>`.
    pub fn rules_of_tonight(&self, item: &str) -> BTreeSet<String> {
        self.rules(&TableName::new("obligations", item), &["law"])
    }

    /// Whether the rules that a select reads are those that its item and its head name: a night refuses
    /// a rule that is not in force by what the item names. `check_items` compares the head with the item.
    fn check_rules(&self, pipeline: &Pipeline, faults: &Faults) {
        for item in &pipeline.items {
            let Some(model) = self.model(&TableName::new("obligations", &item.id)) else { continue };
            let read = self.rules(&model.name, &LAW);
            let head = model.head.words("rule");
            let file = format!("pipelines/items/{}/item.toml", item.id);
            for rule in &read {
                let (is_declared, is_in_head) = (item.rules.contains(rule), head.contains(&rule.as_str()));
                let (code, other, next) = match (is_declared, is_in_head) {
                    (false, false) => ("sql.rule-not-declared", "the item", format!("add it to rules in {file}")),
                    (true, false) => ("sql.rule-not-in-head", "its head", "add it to `rule:` in the head".to_owned()),
                    _ => continue,
                };
                let what = format!("the select reads the rule {rule}, which {other} does not name");
                faults.push(Fault::new(code, Place::file(&model.path), what, next));
            }
            // A rule that there is not is a fault already.
            let known = item.rules.iter().filter(|rule| pipeline.law.rule(rule).is_some());
            for rule in known.filter(|rule| !read.contains(*rule)) {
                let what = format!("the item names the rule {rule}, which {} does not read", model.path.display());
                let next = format!(
                    "read law.{rule} or law_versions.{rule} there, or take it out of rules and out of the head of the select"
                );
                faults.push(Fault::new("sql.rule-not-read", Place::file(&file), what, next));
            }
        }
    }
}

type Folder = (PathBuf, &'static str, Option<BTreeSet<String>>);

fn folders(root: &Path, pipeline: &Pipeline) -> Vec<Folder> {
    let items = pipeline.items.iter().map(|item| item.id.clone()).collect();
    let outcomes = pipeline.options.outcomes.iter().map(|outcome| outcome.id.clone()).collect();
    let mut folders: Vec<Folder> = vec![
        (Path::new("sql/staging").join(&pipeline.id), "staging", None),
        ("sql/obligations".into(), "obligations", Some(items)),
        ("sql/options".into(), "options", Some(outcomes)),
        ("sql/reminders".into(), "reminders", Some(reminders(root, pipeline))),
    ];
    if pipeline.privacy.is_some() || pipeline.exact.is_some() {
        folders.push(("sql/satisfaction".into(), "satisfaction", None));
        folders.push(("sql/quality".into(), "quality", Some(quality(root, pipeline))));
        folders.push((INDICES_FOLDER.into(), INDICES, None));
    }
    if !pipeline.dossiers.is_empty() {
        let items = pipeline.dossiers.iter().map(|form| form.item.clone()).collect();
        folders.push(("sql/dossiers".into(), "dossiers", Some(items)));
    }
    if root.join("sql/checks").is_dir() {
        folders.push(("sql/checks".into(), "checks", None));
    }
    folders
}

/// The tables by which people are written to. Dossiers are read for it where the agency supplies those that may be.
fn reminders(root: &Path, pipeline: &Pipeline) -> BTreeSet<String> {
    const FILED: &str = "filed_dossiers";
    let is_supplied = root.join("sql/staging").join(&pipeline.id).join(format!("{FILED}.sql")).exists();
    let names = sql_files(&root.join("sql/reminders")).into_iter();
    let names = names.filter_map(|file| file.strip_suffix(".sql").map(str::to_owned));
    names.filter(|name| name != FILED || is_supplied).collect()
}

/// The tables of service quality that something of the agency's is made of: what nobody asked for is not counted, and
/// needs no grant.
fn quality(root: &Path, pipeline: &Pipeline) -> BTreeSet<String> {
    let has_weeks = pipeline.privacy.as_ref().is_some_and(|policy| policy.weekly.is_some());
    let is_watched = pipeline.exact.as_ref().is_some_and(|policy| !policy.options.is_empty());
    let is_compared = !pipeline.options.outcomes.is_empty();
    let names = sql_files(&root.join("sql/quality")).into_iter();
    let names = names.filter_map(|file| file.strip_suffix(".sql").map(str::to_owned));
    names
        .filter(|name| match name.as_str() {
            "weekly_dossiers" => has_weeks,
            "choices" => is_watched,
            "times" => is_compared || is_watched,
            _ => true,
        })
        .collect()
}

fn sql_files(folder: &Path) -> Vec<String> {
    let Ok(listing) = std::fs::read_dir(folder) else { return Vec::new() };
    let names: BTreeSet<String> = listing
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name.ends_with(".sql"))
        .collect();
    names.into_iter().collect()
}

fn check_staging(pipeline: &Pipeline, models: &[Model], broken: &BTreeSet<TableName>, faults: &Faults) {
    for model in models.iter().filter(|model| model.name.schema == "staging") {
        if !pipeline.standard_tables.iter().any(|table| table.name == model.name.table) {
            faults.push(Fault::new(
                "sql.no-standard-table",
                Place::file(&model.path),
                format!("there is no standard table {}", model.name.table),
                "name the file after a table of pipelines/standard-tables.toml",
            ));
        }
    }
    if let Some(model) = models.iter().find(|model| model.name == TableName::new("staging", "ratings")) {
        faults.push(Fault::new(
            "sql.ratings-are-blind",
            Place::file(&model.path),
            "a select fills ratings, whose raters nobody may know",
            "remove the file, and declare blind on the table of answers in pipeline.toml",
        ));
    }
    let people = TableName::new("staging", "people");
    if !models.iter().any(|model| model.name == people) && !broken.contains(&people) {
        faults.push(Fault::new(
            "sql.no-people",
            Place::file(Path::new("sql/staging").join(&pipeline.id)),
            "the agency does not fill the standard table people, so nobody can be written to",
            "add people.sql there",
        ));
    }
}

fn check_items(pipeline: &Pipeline, models: &[Model], broken: &BTreeSet<TableName>, faults: &Faults) {
    for item in &pipeline.items {
        let name = TableName::new("obligations", &item.id);
        if broken.contains(&name) {
            continue;
        }
        let Some(model) = models.iter().find(|model| model.name == name) else {
            faults.push(Fault::new(
                "sql.no-obligation",
                Place::file(format!("sql/obligations/{}.sql", item.id)),
                format!("the item {} has no select that says who must act by when", item.id),
                "add the file: one select that gives subject_id, object_id, period, due_on, rule_version, fulfilled_on and the facts",
            ));
            continue;
        };
        for rule in model.head.words("rule") {
            if !item.rules.iter().any(|known| known == rule) {
                faults.push(Fault::new(
                    "sql.rule-not-declared",
                    Place::file(&model.path),
                    format!("the head names the rule {rule}, which the item {} does not", item.id),
                    format!("add it to rules in pipelines/items/{}/item.toml", item.id),
                ));
            }
        }
    }
}

fn check_outcomes(pipeline: &Pipeline, models: &[Model], broken: &BTreeSet<TableName>, faults: &Faults) {
    for outcome in &pipeline.options.outcomes {
        let name = TableName::new("options", &outcome.id);
        if !broken.contains(&name) && !models.iter().any(|model| model.name == name) {
            faults.push(Fault::new(
                "sql.no-options",
                Place::file(format!("sql/options/{}.sql", outcome.id)),
                format!("the outcome {} has no select that says which option is open to whom", outcome.id),
                "add the file: one select that gives subject_id, object_id, period, option_id, is_eligible, reason, fee_status and loses",
            ));
        }
    }
}

/// Puts each model after those it reads; what cannot be placed is a fault.
///
/// Who waits for a table that is at fault itself is left out without a word: one cause, one fault.
fn order(
    mut waiting: Vec<Model>,
    given: &BTreeSet<TableName>,
    broken: BTreeSet<TableName>,
    faults: &Faults,
) -> Library {
    let mut all: BTreeSet<TableName> =
        waiting.iter().map(|model| model.name.clone()).chain(given.iter().cloned()).collect();
    all.extend(broken.iter().cloned());
    let mut left_out = broken;
    waiting.retain(|model| {
        let missing: Vec<&TableName> = model.reads.iter().filter(|table| !all.contains(table)).collect();
        // A check or a figure of a table that this agency does not fill has nothing to say.
        let may_be_absent = model.name.schema == "checks" && missing.iter().all(|table| table.schema == "staging");
        if !may_be_absent {
            faults_of_missing(model, &missing, faults);
        }
        if !missing.is_empty() {
            left_out.insert(model.name.clone());
        }
        missing.is_empty()
    });
    let mut library = Library::default();
    let mut placed: BTreeSet<TableName> = given.clone();
    loop {
        let (ready, rest): (Vec<Model>, Vec<Model>) =
            waiting.into_iter().partition(|model| model.reads.iter().all(|table| placed.contains(table)));
        let (out, rest): (Vec<Model>, Vec<Model>) =
            rest.into_iter().partition(|model| model.reads.iter().any(|table| left_out.contains(table)));
        waiting = rest;
        if ready.is_empty() && out.is_empty() {
            break;
        }
        left_out.extend(out.into_iter().map(|model| model.name));
        placed.extend(ready.iter().map(|model| model.name.clone()));
        library.models.extend(ready);
    }
    // What is left waits for a circle; only those in it can break it.
    for model in waiting.iter().filter(|model| reaches(&waiting, model, &model.name)) {
        let next = model.reads.iter().filter(|table| {
            waiting.iter().any(|other| other.name == **table && reaches(&waiting, other, &model.name))
                || **table == model.name
        });
        let list: Vec<String> = next.map(ToString::to_string).collect();
        let what = format!("{} is made from itself, by way of {}", model.name, list.join(", "));
        faults.push(Fault::new("sql.circle", Place::file(&model.path), what, "break the circle in one of its files"));
    }
    library
}

/// Whether a model reads a table, directly or through others that wait.
fn reaches(waiting: &[Model], from: &Model, target: &TableName) -> bool {
    let mut seen = BTreeSet::new();
    let mut next: Vec<&TableName> = from.reads.iter().collect();
    while let Some(name) = next.pop() {
        if name == target {
            return true;
        }
        if seen.insert(name) {
            next.extend(waiting.iter().filter(|model| model.name == *name).flat_map(|model| &model.reads));
        }
    }
    false
}

fn faults_of_missing(model: &Model, missing: &[&TableName], faults: &Faults) {
    for table in missing {
        let next = match table.schema.as_str() {
            "staging" => {
                format!("add {}.sql to the agency's folder in sql/staging/, or switch the item off", table.table)
            }
            "law" | "law_versions" => format!("add pipelines/law/{}.toml", table.table),
            "" => "name the table with its folder, like staging.people".into(),
            _ => "correct the name, or add the table to the pipeline's sources".into(),
        };
        let name = if table.schema.is_empty() { table.table.clone() } else { table.to_string() };
        let what = format!("there is no table {name}");
        faults.push(Fault::new("sql.unknown-table", Place::file(&model.path), what, next));
    }
}
