//! A confirmed dossier as text, for keeping it sealed until it has left. The files are kept beside it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Attachment, Confirmed, Error, Field, Origin};
use crate::personal::Personal;

#[derive(Serialize, Deserialize)]
struct KeptConfirmed {
    dossier: String,
    item: String,
    procedure: String,
    procedure_title: String,
    agency: String,
    identity_number: String,
    name: String,
    due_on: String,
    confirmed_at: String,
    version: String,
    fields: Vec<KeptField>,
    attachments: Vec<KeptFile>,
}

#[derive(Serialize, Deserialize)]
struct KeptField {
    id: String,
    portal: Option<String>,
    title_vi: String,
    title_en: String,
    value: String,
    origin: KeptOrigin,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum KeptOrigin {
    Register { column: String, pulled_on: String, legal_ground: String },
    Person,
    Chosen { column: String, pulled_on: String, legal_ground: String, instead_of: Vec<String> },
    Corrected { instead_of: Vec<String> },
}

#[derive(Serialize, Deserialize)]
struct KeptFile {
    field: String,
    name: String,
    media_type: String,
    sha256: String,
}

/// The text of a confirmed dossier, without the bytes of its files. It is a person's.
///
/// # Errors
///
/// Where it cannot be written.
pub fn confirmed_text(confirmed: &Confirmed) -> Result<Personal<String>, Error> {
    let field = |field: &Field| KeptField {
        id: field.id.clone(),
        portal: field.portal.clone(),
        title_vi: field.title_vi.clone(),
        title_en: field.title_en.clone(),
        value: field.value.reveal().clone(),
        origin: match &field.origin {
            Origin::Register { column, pulled_on, legal_ground } => KeptOrigin::Register {
                column: column.clone(),
                pulled_on: pulled_on.to_string(),
                legal_ground: legal_ground.clone(),
            },
            Origin::Person => KeptOrigin::Person,
            Origin::Chosen { column, pulled_on, legal_ground, instead_of } => KeptOrigin::Chosen {
                column: column.clone(),
                pulled_on: pulled_on.to_string(),
                legal_ground: legal_ground.clone(),
                instead_of: instead_of.clone(),
            },
            Origin::Corrected { instead_of } => KeptOrigin::Corrected { instead_of: instead_of.clone() },
        },
    };
    let file = |file: &Attachment| KeptFile {
        field: file.field.clone(),
        name: file.name.reveal().clone(),
        media_type: file.media_type.clone(),
        sha256: file.sha256.clone(),
    };
    let kept = KeptConfirmed {
        dossier: confirmed.dossier.clone(),
        item: confirmed.item.clone(),
        procedure: confirmed.procedure.clone(),
        procedure_title: confirmed.procedure_title.clone(),
        agency: confirmed.agency.clone(),
        identity_number: confirmed.identity_number.reveal().clone(),
        name: confirmed.name.reveal().clone(),
        due_on: confirmed.due_on.to_string(),
        confirmed_at: confirmed.confirmed_at.to_string(),
        version: confirmed.version.clone(),
        fields: confirmed.fields.iter().map(field).collect(),
        attachments: confirmed.attachments.iter().map(file).collect(),
    };
    serde_json::to_string(&kept).map(Personal::new).map_err(|_| Error::Kept)
}

/// A confirmed dossier from its text and the bytes of its files, in the order of the text.
///
/// # Errors
///
/// Where the text is not that of a confirmed dossier, or a file is missing or another.
pub fn read_confirmed(text: &Personal<String>, files: Vec<Personal<Vec<u8>>>) -> Result<Confirmed, Error> {
    let kept: KeptConfirmed = serde_json::from_str(text.reveal()).map_err(|_| Error::Kept)?;
    if files.len() != kept.attachments.len() {
        return Err(Error::Kept);
    }
    let field = |field: KeptField| -> Result<Field, Error> {
        Ok(Field {
            id: field.id,
            portal: field.portal,
            title_vi: field.title_vi,
            title_en: field.title_en,
            value: Personal::new(field.value),
            origin: match field.origin {
                KeptOrigin::Register { column, pulled_on, legal_ground } => {
                    Origin::Register { column, pulled_on: pulled_on.parse().map_err(|_| Error::Kept)?, legal_ground }
                }
                KeptOrigin::Person => Origin::Person,
                KeptOrigin::Chosen { column, pulled_on, legal_ground, instead_of } => {
                    let pulled_on = pulled_on.parse().map_err(|_| Error::Kept)?;
                    Origin::Chosen { column, pulled_on, legal_ground, instead_of }
                }
                KeptOrigin::Corrected { instead_of } => Origin::Corrected { instead_of },
            },
        })
    };
    let file = |(file, bytes): (KeptFile, Personal<Vec<u8>>)| -> Result<Attachment, Error> {
        if crate::personal::sha256(bytes.reveal()) != file.sha256 {
            return Err(Error::Kept);
        }
        let (name, sha256) = (Personal::new(file.name), file.sha256);
        Ok(Attachment { field: file.field, name, media_type: file.media_type, bytes, sha256 })
    };
    Ok(Confirmed {
        dossier: kept.dossier,
        item: kept.item,
        procedure: kept.procedure,
        procedure_title: kept.procedure_title,
        agency: kept.agency,
        identity_number: Personal::new(kept.identity_number),
        name: Personal::new(kept.name),
        due_on: kept.due_on.parse().map_err(|_| Error::Kept)?,
        confirmed_at: kept.confirmed_at.parse::<Timestamp>().map_err(|_| Error::Kept)?,
        version: kept.version,
        fields: kept.fields.into_iter().map(field).collect::<Result<_, _>>()?,
        attachments: kept.attachments.into_iter().zip(files).map(file).collect::<Result<_, _>>()?,
    })
}
