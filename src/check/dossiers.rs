//! Whether the select of a form reads what its fields need, and nothing else.
//!
//! Decided from the plan, not from the text: each column that the select gives is one of the form's, takes its value
//! from one column that the field names in `from`, and whatever else the select looks at is a key by which rows meet.
//! So two registers never become one value before a person has seen both, and what a form does not need is not read
//! (Circular 117/2026/TT-BCA, Art. 9: as few fields as the procedure needs, never the whole record).

use std::collections::BTreeSet;
use std::path::Path;

use crate::dossiers::FieldColumn;
use crate::fault::{Fault, Place};
use crate::pipeline::Pipeline;
use crate::pipeline::form::Form;
use crate::pipeline::reader::Faults;
use crate::sql::lineage::{ColumnName, Lineage};
use crate::sql::{Library, Model};
use crate::tables::TableName;

/// The columns that name a row of a select of a form: those of its obligation.
pub const KEYS: [&str; 3] = ["subject_id", "object_id", "period"];

/// `written` is what the select of a form takes from the tables that it names.
pub(super) fn check<'l>(
    root: &Path,
    pipeline: &Pipeline,
    library: &Library,
    written: impl Fn(&TableName) -> Option<&'l Lineage>,
    faults: &Faults,
) {
    for form in &pipeline.dossiers {
        let name = TableName::new("dossiers", &form.item);
        let Some(model) = library.model(&name) else {
            // A file that is there and cannot be read is a fault already.
            let path = format!("sql/dossiers/{}.sql", form.item);
            if !root.join(&path).exists() {
                faults.push(Fault::new(
                    "form.no-select",
                    Place::file(&path),
                    format!("the form of {} has no select that fills it", form.item),
                    "add the file: one select that gives subject_id, object_id, period and the fields",
                ));
            }
            continue;
        };
        if let Some(written) = written(&name) {
            Checking { pipeline, form, model, written, faults }.all();
        }
    }
}

struct Checking<'c> {
    pipeline: &'c Pipeline,
    form: &'c Form,
    model: &'c Model,
    written: &'c Lineage,
    faults: &'c Faults,
}

impl Checking<'_> {
    fn all(&self) {
        let given: BTreeSet<&str> = self.written.columns.iter().map(|(name, _)| name.as_str()).collect();
        for (column, _) in self.written.columns.iter().filter(|(name, _)| !KEYS.contains(&name.as_str())) {
            self.column(column);
        }
        for field in self.form.fields.iter().filter(|field| !field.from.is_empty()) {
            let is_filled = given.iter().any(|name| FieldColumn::read(name).is_some_and(|name| name.field == field.id));
            if !is_filled {
                let what = format!("no column of the select fills the field {}, which names columns in from", field.id);
                self.fault("form.not-filled", what, "give it, or take from out of the field: the person is asked then");
            }
        }
        self.unneeded();
    }

    /// One column that the select gives.
    fn column(&self, column: &str) {
        let name = FieldColumn::read(column);
        let field = name.as_ref().and_then(|name| self.form.field(&name.field));
        let (Some(name), Some(field)) = (name, field) else {
            let what = format!("the select gives {column}, which is no field of the form");
            return self.fault("form.unneeded", what, "take it out: what a form does not need is not read");
        };
        if field.from.is_empty() {
            let what = format!("the select fills {column}, and the field {} is for the person to answer", field.id);
            return self.fault("form.unneeded", what, "take it out, or name its columns in from of the field");
        }
        let flow = self.written.column(column);
        let values: Vec<&ColumnName> = flow.into_iter().flat_map(|flow| flow.values()).collect();
        let is_declared = |value: &&ColumnName| field.from.contains(&value.to_string());
        match values.as_slice() {
            // When a value was entered is the register's to say, and no value of the form.
            [_] if name.is_as_of => {}
            [one] if is_declared(one) => {}
            [one] => {
                let what = format!("{column} is filled from {one}, which from of the field {} does not name", field.id);
                self.fault("form.not-declared", what, "add it to from, or fill it from a column that is named there");
            }
            [] => {
                let what = format!("{column} is filled from no column of any table");
                self.fault("form.not-declared", what, "fill it from one of the columns in from of the field");
            }
            several => {
                let list: Vec<String> = several.iter().map(ToString::to_string).collect();
                let what = format!("{column} is made of several columns: {}", list.join(", "));
                let next = "give each a column of its own, FIELD__SOURCE: who disagrees is shown to the person";
                self.fault("form.settled-silently", what, next);
            }
        }
    }

    /// What the select looks at beside the values: keys by which rows meet, and nothing that no field needs.
    fn unneeded(&self) {
        let needed: BTreeSet<&str> =
            self.form.fields.iter().flat_map(|field| field.from.iter().map(String::as_str)).collect();
        let as_of: BTreeSet<ColumnName> = self
            .written
            .columns
            .iter()
            .filter(|(name, _)| FieldColumn::read(name).is_some_and(|name| name.is_as_of))
            .flat_map(|(_, flow)| flow.values().cloned())
            .collect();
        let reads = self.written.reads();
        let unneeded: Vec<String> = reads
            .columns()
            .filter(|column| !self.is_key(column) && !as_of.contains(column))
            .map(ToString::to_string)
            .filter(|column| !needed.contains(column.as_str()))
            .collect();
        // A column that is given and not declared has a fault of its own.
        let given: BTreeSet<String> = self
            .written
            .columns
            .iter()
            .filter(|(name, _)| !KEYS.contains(&name.as_str()))
            .flat_map(|(_, flow)| flow.values().map(ToString::to_string))
            .collect();
        let unneeded: Vec<String> = unneeded.into_iter().filter(|column| !given.contains(column)).collect();
        if !unneeded.is_empty() {
            let what = format!("the select reads {}, which no field of the form needs", unneeded.join(", "));
            self.fault("form.unneeded", what, "take it out: what a form does not need is not read");
        }
    }

    /// Whether rows meet by this column: the person, a key of the obligation, or the grain of a standard table.
    fn is_key(&self, column: &ColumnName) -> bool {
        if KEYS.contains(&column.column.as_str()) {
            return true;
        }
        let standard = self.pipeline.standard_tables.iter().find(|table| table.name == column.table.table);
        column.table.schema == "staging" && standard.is_some_and(|table| table.grain.contains(&column.column))
    }

    fn fault(&self, code: &'static str, what: String, next: &str) {
        self.faults.push(Fault::new(code, Place::file(&self.model.path), what, next));
    }
}
