//! What all agencies share: the law, the standard tables, the procedure groups.

use std::path::{Path, PathBuf};

use super::super::law::Law;
use super::super::reader::{Document, Faults};
use super::super::{ProcedureGroup, StandardTable};
use super::law::rule;
use super::source::columns;
use super::{entries, is_procedure_code, is_word};
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
            law.rules.push(document.read(|node| rule(node, &name)));
        }
    }
    law
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
            let optional = table_node.bool_or("optional", false);
            let columns = columns(&table_node, true);
            table_node.done();
            if let (Some(meaning), Some(grain)) = (meaning, grain) {
                tables.push(StandardTable { name, meaning, grain, optional, columns });
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
