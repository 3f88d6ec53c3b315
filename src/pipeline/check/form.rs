//! Reads the forms of the dossiers that an agency prepares, with every fault at its key.

use std::path::{Path, PathBuf};

use super::super::authorisation::Class;
use super::super::form::{AnswerRule, Choice, FieldKind, Form, FormField, Pattern};
use super::super::options::Confidence;
use super::super::reader::{Document, Faults, Node, read_text};
use super::super::{Item, StandardTable};
use super::{in_range, is_procedure_code, is_word};
use crate::personal::sha256;

/// The most characters of a text where a form does not say.
const CHARS_MAX: i64 = 200;

/// `[dossiers] items = [...]`: the forms of the items whose dossiers are prepared; each must be one of the pipeline's.
pub(super) fn dossiers(
    node: &Node<'_>,
    root: &Path,
    items: &[Item],
    tables: &[StandardTable],
    faults: &Faults,
) -> Vec<Form> {
    const KEY: &str = "items";
    let mut forms: Vec<Form> = Vec::new();
    for name in node.texts(KEY).unwrap_or_default() {
        if !items.iter().any(|item| item.id == name) {
            let what = format!("\"{name}\" is not an item that is switched on");
            node.fault(KEY, "pipeline.unknown-item", what, "name one of those in [items]");
        } else if forms.iter().any(|form| form.item == name) {
            node.fault(KEY, "pipeline.twice", format!("the item \"{name}\" is named twice"), "remove one");
        } else {
            forms.extend(read_form(root, &name, tables, faults));
        }
    }
    if let Some(node) = node.table_or_none("procedures") {
        procedures(&node, &mut forms);
        node.done();
    }
    forms
}

/// `[dossiers.procedures]`: the codes that the agency itself has found in the national catalogue.
fn procedures(node: &Node<'_>, forms: &mut [Form]) {
    for item in node.keys() {
        let Some(code) = node.text(&item) else { continue };
        if !is_procedure_code(&code) {
            node.fault(&item, "form.procedure", "this is not a procedure code", "write it like 1.002809");
        }
        match forms.iter_mut().find(|form| form.item == item) {
            Some(form) => (form.procedure, form.confidence) = (code, Confidence::A),
            None => {
                let what = format!("no dossier of \"{item}\" is prepared");
                node.fault(&item, "pipeline.unknown-item", what, "name one of those in items");
            }
        }
    }
}

/// The form of an item.
pub(super) fn read_form(root: &Path, item: &str, tables: &[StandardTable], faults: &Faults) -> Option<Form> {
    let path = PathBuf::from("pipelines/items").join(item).join("form.toml");
    let text = read_text(root, &path, faults)?;
    let version: String = sha256(text.as_bytes()).chars().take(12).collect();
    let document = Document::from_text(&path, text, faults);
    document.read(|node| form(node, item, version, tables))
}

fn form(node: &Node<'_>, item: &str, version: String, tables: &[StandardTable]) -> Option<Form> {
    let procedure = node.text("procedure");
    if procedure.as_deref().is_some_and(|code| !is_procedure_code(code)) {
        node.fault("procedure", "form.procedure", "this is not a procedure code", "write it like 1.002809");
    }
    let confidence = node.word("confidence", &Confidence::WORDS);
    let title = node.both("title");
    let (identity, name) = (node.text("identity"), node.text("name"));
    let mut fields: Vec<FormField> = Vec::new();
    for child in node.array("fields") {
        if let Some(field) = field(&child, tables) {
            if fields.iter().any(|known| known.id == field.id) {
                child.fault("id", "form.twice", format!("there are two fields {}", field.id), "rename one");
            }
            fields.push(field);
        }
        child.done();
    }
    if fields.is_empty() {
        node.fault("fields", "toml.empty", "the form has no field", "add [[fields]]");
    }
    for (key, id) in [("identity", &identity), ("name", &name)] {
        let Some(id) = id else { continue };
        let is_sound = fields.iter().any(|field| field.id == *id && field.kind == FieldKind::Text && field.is_required);
        if !is_sound {
            let what = format!("{id} is not a required text field of the form");
            node.fault(key, "form.unknown-field", what, "name the field that holds it");
        }
    }
    Some(Form {
        item: item.to_owned(),
        procedure: procedure?,
        confidence: confidence?,
        title: title?,
        version,
        identity: identity?,
        name: name?,
        fields,
    })
}

fn field(node: &Node<'_>, tables: &[StandardTable]) -> Option<FormField> {
    let id = node.text("id");
    if id.as_deref().is_some_and(|id| !is_word(id) || id.contains("__") || RESERVED.contains(&id)) {
        let what = "this cannot be the name of a field";
        let next = "use lower-case letters, digits and single _, and no key of the obligation";
        node.fault("id", "form.bad-name", what, next);
    }
    let kind = node.word("type", &FieldKind::WORDS);
    let title = node.both("title");
    let help = node.has("help").then(|| node.both("help"));
    let portal = node.text_or_none("portal");
    let is_required = node.bool_or("required", true);
    let legal_ground = node.both("legal_ground");
    let class = node.word("class", &Class::WORDS);
    let from = node.texts_or_none("from").unwrap_or_default();
    for column in &from {
        if !is_column(column, tables) {
            let what = format!("there is no column {column} in the standard tables");
            node.fault("from", "form.unknown-column", what, "write it like staging.people.full_name");
        }
    }
    let stale_after_days = match node.has("stale_after_days") {
        true => in_range(node, "stale_after_days", node.int("stale_after_days")?, 1, 36_500),
        false => None,
    };
    let rule = rule(node, kind?)?;
    if kind == Some(FieldKind::File) && !from.is_empty() {
        node.fault("from", "form.file-from", "a file comes from the person alone", "take out from");
    }
    Some(FormField {
        id: id?,
        portal,
        title: title?,
        help: help.map_or(Some(None), |help| help.map(Some))?,
        kind: kind?,
        is_required,
        rule,
        legal_ground: legal_ground?,
        class: class?,
        from,
        stale_after_days: stale_after_days.and_then(|days| u16::try_from(days).ok()),
    })
}

/// What a select in `sql/dossiers/` gives beside the fields.
const RESERVED: [&str; 3] = ["subject_id", "object_id", "period"];

fn is_column(name: &str, tables: &[StandardTable]) -> bool {
    let mut parts = name.splitn(3, '.');
    let (Some("staging"), Some(table), Some(column)) = (parts.next(), parts.next(), parts.next()) else { return false };
    tables.iter().any(|known| known.name == table && known.columns.iter().any(|known| known.name == column))
}

fn rule(node: &Node<'_>, kind: FieldKind) -> Option<AnswerRule> {
    let pattern = if kind == FieldKind::Text && node.has("pattern") {
        Some(node.word("pattern", &Pattern::WORDS)?)
    } else {
        None
    };
    let number = |key: &str| (kind == FieldKind::Number && node.has(key)).then(|| node.int(key)).flatten();
    let day = |key: &str| if kind == FieldKind::Date { node.date_or_none(key) } else { None };
    let max_chars = match kind {
        FieldKind::Text => in_range(node, "max_chars", node.int_or("max_chars", CHARS_MAX), 1, 2_000)?,
        _ => CHARS_MAX,
    };
    let mut choices: Vec<Choice> = Vec::new();
    if kind == FieldKind::Choice {
        for child in node.array("choices") {
            let (value, title) = (child.text("value"), child.both("title"));
            child.done();
            choices.push(Choice { value: value?, title: title? });
        }
        if choices.is_empty() {
            let next = "write choices = [{ value = \"1\", title = { vi = \"...\", en = \"...\" } }]";
            node.fault("choices", "toml.empty", "a field of type choice has no choices", next);
        }
    }
    Some(AnswerRule {
        pattern,
        min: number("min"),
        max: number("max"),
        first_day: day("first_day"),
        last_day: day("last_day"),
        max_chars: u16::try_from(max_chars).unwrap_or(u16::MAX),
        choices,
    })
}
