//! What becomes of a prepared dossier when the person confirms it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Date;

use super::{Attachment, Basis, Confirmed, Field, Origin, Prepared, Said, Shown, Standing};
use crate::personal::Personal;
use crate::pipeline::form::{FieldKind, FormField, Unsound};

/// What the person answered.
#[derive(Debug, Clone, Default)]
pub struct Answers {
    /// By field, as it was sent. Of a field that stands in conflict, only where one was chosen or written.
    pub texts: BTreeMap<String, Personal<String>>,
    /// What was attached, sound already.
    pub files: Vec<Attachment>,
    /// Answers of which it is clear already that they are not sound, files among them: the field, and why.
    pub unsound: Vec<(String, Unsound)>,
}

/// What a confirmed dossier says beside its fields.
#[derive(Debug, Clone)]
pub struct Meta {
    /// The dossier.
    pub dossier: String,
    /// The version that was shown.
    pub version: String,
    /// When the person confirmed.
    pub at: Timestamp,
    /// The day by which ages are told.
    pub today: Date,
}

/// An answer that is not sound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldFault {
    /// The field.
    pub field: String,
    /// Why.
    pub why: Unsound,
}

/// A dossier that was confirmed, and what the person changed of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decided {
    /// What leaves.
    pub confirmed: Confirmed,
    /// The fields of which the person wrote, chose or took out the value.
    pub changed: Vec<String>,
}

/// A register says something else than the person: its owner is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Discrepancy {
    /// The field.
    pub field: String,
    /// The column that says it, `source.table.column`.
    pub column: String,
    /// What the register says.
    pub register: Personal<String>,
    /// What the person says; empty where they took it out.
    pub person: Personal<String>,
}

/// Makes a confirmed dossier of what was prepared and what the person answered, or says everything that is not sound.
///
/// A field that the answers do not hold stands as it was prepared, and so does the number of the person. A value that the person let stand keeps its
/// register as its origin; one that differs from what any register said is a correction, and those registers are told.
///
/// # Errors
///
/// Every answer that is not sound, in the order of the form.
pub fn confirm(basis: &Basis, prepared: &Prepared, answers: &Answers, meta: &Meta) -> Result<Decided, Vec<FieldFault>> {
    let (mut fields, mut changed) = (Vec::new(), Vec::new());
    let mut faults: Vec<FieldFault> = Vec::new();
    for shown in prepared.shown(basis, meta.today) {
        let field = shown.field;
        if field.kind == FieldKind::File {
            faults.extend(file_fault(field, answers));
            continue;
        }
        // Whose dossier it is was decided by the link: nobody hands one in under the number of somebody else.
        let is_fixed = field.id == basis.form.identity && shown.standing == Standing::Agreed;
        let answer = answers.texts.get(&field.id).filter(|_| !is_fixed);
        let unclear = answers.unsound.iter().find(|(of, _)| *of == field.id).map(|(_, why)| *why);
        match unclear.map_or_else(|| value(&shown, answer), Err) {
            Err(why) => faults.push(FieldFault { field: field.id.clone(), why }),
            Ok(value) => {
                let others: Vec<&Said<'_>> =
                    shown.said.iter().filter(|said| Some(said.value.reveal()) != value.as_ref()).collect();
                if !others.is_empty() || (shown.said.is_empty() && value.is_some()) {
                    changed.push(field.id.clone());
                }
                let Some(value) = value else { continue };
                let value = Personal::new(value);
                fields.push(Field {
                    id: field.id.clone(),
                    portal: field.portal.clone(),
                    title_vi: field.title.vi.clone(),
                    title_en: field.title.en.clone(),
                    origin: origin(&shown, &others, &value, meta.today),
                    value,
                });
            }
        }
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    let named = |id: &str| fields.iter().find(|field| field.id == id).map(|field| field.value.clone());
    let missing = |id: &str| vec![FieldFault { field: id.to_owned(), why: Unsound::Missing }];
    let form = &basis.form;
    let confirmed = Confirmed {
        dossier: meta.dossier.clone(),
        item: form.item.clone(),
        procedure: form.procedure.clone(),
        procedure_title: form.title.vi.clone(),
        agency: basis.agency.clone(),
        identity_number: named(&form.identity).ok_or_else(|| missing(&form.identity))?,
        name: named(&form.name).ok_or_else(|| missing(&form.name))?,
        due_on: prepared.due_on,
        confirmed_at: meta.at,
        version: meta.version.clone(),
        fields,
        attachments: answers.files.clone(),
    };
    Ok(Decided { confirmed, changed })
}

/// Where a register says something else than the person confirmed, in the order of the form.
pub fn discrepancies(basis: &Basis, prepared: &Prepared, confirmed: &Confirmed) -> Vec<Discrepancy> {
    let mut found = Vec::new();
    for shown in prepared.shown(basis, confirmed.due_on) {
        // What the person took out is nothing, by what they say.
        let nothing = Personal::new(String::new());
        let field = confirmed.fields.iter().find(|field| field.id == shown.field.id);
        let person = field.map_or(&nothing, |field| &field.value);
        for said in shown.said.iter().filter(|said| said.value != person) {
            found.extend(said.origin.columns.iter().map(|column| Discrepancy {
                field: shown.field.id.clone(),
                column: column.clone(),
                register: said.value.clone(),
                person: person.clone(),
            }));
        }
    }
    found
}

/// The value of a field: what the person answered, or what stands; none where it is left empty.
fn value(shown: &Shown<'_>, answer: Option<&Personal<String>>) -> Result<Option<String>, Unsound> {
    match (answer, shown.standing, shown.said.first()) {
        // A register may say what no person could enter; whoever lets it stand is not asked to mend it.
        (Some(answer), Standing::Agreed, Some(said)) if answer == said.value => Ok(Some(answer.reveal().clone())),
        (None, Standing::Agreed, Some(said)) => Ok(Some(said.value.reveal().clone())),
        (None, Standing::Conflict, _) => Err(Unsound::NotChosen),
        (Some(answer), Standing::Conflict, _) if shown.said.iter().any(|said| said.value == answer) => {
            Ok(Some(answer.reveal().clone()))
        }
        (Some(answer), ..) => shown.field.answer(answer.reveal()),
        (None, ..) => shown.field.answer(""),
    }
}

/// Where the value comes from: a register that says it, whatever others say, or the person.
fn origin(shown: &Shown<'_>, others: &[&Said<'_>], value: &Personal<String>, today: Date) -> Origin {
    let instead_of: Vec<String> = others.iter().flat_map(|said| said.origin.columns.iter().cloned()).collect();
    let Some(said) = shown.said.iter().find(|said| said.value == value) else {
        return if shown.said.is_empty() { Origin::Person } else { Origin::Corrected { instead_of } };
    };
    let column = said.origin.columns.join(", ");
    let pulled_on = said.origin.pulled_on.parse().unwrap_or(today);
    let legal_ground = said.origin.legal_ground.vi.clone();
    match instead_of.is_empty() {
        true => Origin::Register { column, pulled_on, legal_ground },
        false => Origin::Chosen { column, pulled_on, legal_ground, instead_of },
    }
}

fn file_fault(field: &FormField, answers: &Answers) -> Option<FieldFault> {
    let unsound = answers.unsound.iter().find(|(of, _)| *of == field.id).map(|(_, why)| *why);
    let is_there = answers.files.iter().any(|file| file.field == field.id);
    let missing = (field.is_required && !is_there).then_some(Unsound::Missing);
    unsound.or(missing).map(|why| FieldFault { field: field.id.clone(), why })
}
