//! What all agencies share: the law, the standard tables, the procedure groups.

use std::path::{Path, PathBuf};

use super::super::law::{Law, Rule, Version};
use super::super::reader::{Document, Faults, Node};
use super::super::{ProcedureGroup, StandardTable};
use super::source::columns;
use super::{done, entries, is_procedure_code, is_word};
use crate::fault::Place;

pub(super) fn read_law(root: &Path, faults: &Faults) -> Law {
    let folder = PathBuf::from("pipelines/law");
    let files = entries(&root.join(&folder), |entry| entry.path().extension().is_some_and(|e| e == "toml"));
    let mut law = Law::default();
    for file in files {
        let path = folder.join(&file);
        let name = file.trim_end_matches(".toml").to_owned();
        if !is_word(&name) {
            let next = "use lower-case letters, digits and _";
            faults.push(crate::fault::Fault::new(
                "pipeline.bad-name",
                Place::file(&path),
                "this cannot be the name of a rule",
                next,
            ));
        }
        if let Some(document) = Document::open(root, &path, faults) {
            law.rules.extend(document.read(|node| rule(node, &name)));
        }
    }
    law
}

fn rule(node: &Node<'_>, name: &str) -> Option<Rule> {
    let title = node.both("title");
    let units = ["years", "months", "days", "vnd", "percent"].map(|unit| (unit, unit));
    let unit = node.word("unit", &units);
    let mut versions = Vec::new();
    for version_node in node.array("version") {
        versions.extend(done(&version_node, version));
    }
    if versions.is_empty() {
        node.fault("version", "toml.empty", format!("the rule {name} has no version"), "add a [[version]]");
    }
    versions.sort_by_key(|version: &Version| version.in_force_from);
    let overlap = versions.windows(2).any(|pair| match pair {
        [a, b] => a.in_force_from == b.in_force_from || a.in_force_to.is_some_and(|to| to >= b.in_force_from),
        _ => false,
    });
    if overlap {
        let next = "end the earlier version the day before the later one begins";
        node.fault("version", "pipeline.rule-overlap", format!("two versions of {name} are in force on one day"), next);
    }
    Some(Rule { name: name.to_owned(), title: title?, unit: unit?.to_owned(), versions })
}

fn version(node: &Node<'_>) -> Option<Version> {
    let in_force_from = node.date("in_force_from");
    let in_force_to = node.date_or_none("in_force_to");
    if let (Some(from), Some(to)) = (in_force_from, in_force_to)
        && to < from
    {
        node.fault("in_force_to", "pipeline.term", "the version ends before it begins", "correct the dates");
    }
    let reference = node.both("reference");
    let confidence = node.word("confidence", &[("A", "A"), ("B", "B"), ("C", "C")]);
    let values = match (node.has("value"), node.has("values")) {
        (true, false) => node.int("value").map(|value| vec![(None, value)]),
        (false, true) if node.is_list("values") => {
            node.ints("values").map(|values| values.into_iter().map(|value| (None, value)).collect())
        }
        (false, true) => node.table("values").map(|values| {
            values.keys().into_iter().filter_map(|key| values.int(&key).map(|value| (Some(key), value))).collect()
        }),
        _ => {
            let next = "write value = 10, values = [14, 25], or values = { B = 120, C = 60 }";
            node.fault("value", "pipeline.rule-value", "a version has either value or values", next);
            None
        }
    };
    Some(Version {
        in_force_from: in_force_from?,
        in_force_to,
        reference: reference?,
        confidence: confidence?.to_owned(),
        values: values?,
    })
}

pub(super) fn read_standard_tables(root: &Path, faults: &Faults) -> Vec<StandardTable> {
    let Some(document) = Document::open(root, Path::new("pipelines/standard-tables.toml"), faults) else {
        return Vec::new();
    };
    document.read(|node| {
        let mut tables = Vec::new();
        for (name, table_node) in node.children() {
            let meaning = table_node.both("meaning");
            let grain = table_node.texts("grain");
            let columns = columns(&table_node, true);
            table_node.done();
            if let (Some(meaning), Some(grain)) = (meaning, grain) {
                tables.push(StandardTable { name, meaning, grain, columns });
            }
        }
        tables
    })
}

pub(super) fn read_procedure_groups(root: &Path, faults: &Faults) -> Vec<ProcedureGroup> {
    let Some(document) = Document::open(root, Path::new("pipelines/procedure-groups.toml"), faults) else {
        return Vec::new();
    };
    document.read(|node| {
        let mut groups: Vec<ProcedureGroup> = Vec::new();
        for group_node in node.array("group") {
            let (id, name, procedures) =
                (group_node.text("id"), group_node.both("name"), group_node.texts("procedures"));
            group_node.done();
            let (Some(id), Some(name), Some(procedures)) = (id, name, procedures) else { continue };
            for code in &procedures {
                if !is_procedure_code(code) {
                    let what = format!("\"{code}\" is not a procedure code");
                    group_node.fault("procedures", "pipeline.procedure-code", what, "write it like 1.002755");
                }
                if groups.iter().any(|group| group.procedures.contains(code)) {
                    let what = format!("the procedure {code} is in two groups");
                    group_node.fault(
                        "procedures",
                        "pipeline.twice",
                        what,
                        "remove it from one: cells must not overlap",
                    );
                }
            }
            groups.push(ProcedureGroup { id, name, procedures });
        }
        groups
    })
}
