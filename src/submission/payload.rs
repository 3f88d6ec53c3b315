//! A confirmed dossier under the portal's own words: the header `HoSoDongBoDVC` as the adapter of 2026 takes it.
//!
//! What the portal has a word for stands under that word; everything else of the form stands in `ThongTinKhac`, with its
//! title and where it came from, so that each confirmed value is there exactly once. Pure: no clock, no wire.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{Error, Status};
use crate::calendar::vietnam;
use crate::dossiers::{Attachment, Confirmed, Field, Origin};
use crate::personal::Personal;
use crate::pipeline::publication::Submission;

/// `KenhThucHien`: handed in online.
const ONLINE: &str = "2";

/// `LoaiDoiTuong`: a citizen. The first interface of the portal counts from 1, this one from 0.
const CITIZEN: &str = "0";

/// Words of the header that a form may fill.
const OF_FORMS: [&str; 8] =
    ["Email", "Fax", "GhiChu", "HinhThuc", "MaDoiTuong", "NoiNopHoSo", "SoDienThoai", "TrichYeuHoSo"];

/// Words that repeat who hands the dossier in: a form may show them, and they say the same.
const OF_THE_PERSON: [&str; 2] = ["ChuHoSo", "SoGiayToChuHoSo"];

/// A file that the portal has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uploaded {
    /// The portal's number for it (`IdTepTin`).
    pub id: String,
}

/// The dossier as JSON, under a number that the portal gave; `uploaded` are its attachments in their order.
///
/// # Errors
///
/// [`Error::Identity`], [`Error::Reserved`], [`Error::Twice`] and [`Error::OtherPerson`].
pub fn of(
    confirmed: &Confirmed,
    submission: &Submission,
    number: &str,
    uploaded: &[Uploaded],
) -> Result<Personal<Value>, Error> {
    let mut header = own(confirmed, submission, number, uploaded)?;
    let (words, others) = sorted(confirmed)?;
    let has = |word: &str| words.contains_key(word);
    if !has("TrichYeuHoSo") {
        header.insert("TrichYeuHoSo".into(), json!(confirmed.procedure_title));
    }
    header.extend(words.iter().map(|(word, field)| ((*word).to_owned(), json!(field.value.reveal()))));
    let others: Vec<Value> = others.into_iter().map(other).collect();
    // The word is a text at the portal: the list is written into it.
    header.insert("ThongTinKhac".into(), json!(Value::Array(others).to_string()));
    Ok(Personal::new(Value::Object(header)))
}

/// Refuses a dossier that no number, no file and no time would make acceptable.
///
/// # Errors
///
/// As [`of`].
pub fn check(confirmed: &Confirmed) -> Result<(), Error> {
    identity_kind(confirmed)?;
    sorted(confirmed).map(drop)
}

/// What the submission itself fills.
fn own(
    confirmed: &Confirmed,
    submission: &Submission,
    number: &str,
    uploaded: &[Uploaded],
) -> Result<Map<String, Value>, Error> {
    let identity = confirmed.identity_number.reveal();
    let kind = identity_kind(confirmed)?;
    let at = confirmed.confirmed_at.to_zoned(vietnam()).strftime("%Y%m%d%H%M%S").to_string();
    let papers: Vec<Value> =
        confirmed.attachments.iter().zip(uploaded).map(|(attachment, file)| paper(attachment, file)).collect();
    let databases: Vec<Value> =
        databases(confirmed, submission).into_iter().map(|code| json!({ "MaCSDL": code })).collect();
    let header = json!({
        "MaHoSo": number,
        "MaTTHC": confirmed.procedure,
        "TenTTHC": confirmed.procedure_title,
        "KenhThucHien": ONLINE,
        "LoaiDoiTuong": CITIZEN,
        "ChuHoSo": confirmed.name.reveal(),
        "SoGiayToChuHoSo": identity,
        "DinhDanhCHS": [{ "LoaiDinhDanh": kind, "SoDinhDanh": identity }],
        "NgayNopHoSo": at,
        "TrangThaiHoSo": Status::Registered.number().to_string(),
        "DonViXuLy": submission.department,
        "TaiLieuNop": papers,
        "HoSoCoThanhPhanSoHoa": if papers.is_empty() { "0" } else { "1" },
        // The person came by a signed link, which proves no account: whoever takes the dossier must not think so.
        "TaiKhoanDuocXacThucVoiVNeID": "0",
        "DuocThanhToanTrucTuyen": "0",
        "DSKetNoiCSDL": databases,
    });
    Ok(header.as_object().cloned().unwrap_or_default())
}

/// `LoaiDinhDanh`: 1 is the number of twelve digits, 2 the old one of nine.
fn identity_kind(confirmed: &Confirmed) -> Result<&'static str, Error> {
    let identity = confirmed.identity_number.reveal();
    match identity.len() {
        12 if is_digits(identity) => Ok("1"),
        9 if is_digits(identity) => Ok("2"),
        _ => Err(Error::Identity { dossier: confirmed.dossier.clone() }),
    }
}

fn is_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The fields for which the header has a word, by that word, and all others.
fn sorted(confirmed: &Confirmed) -> Result<(BTreeMap<&str, &Field>, Vec<&Field>), Error> {
    let (mut words, mut others) = (BTreeMap::new(), Vec::new());
    for field in &confirmed.fields {
        let Some(word) = field.portal.as_deref() else {
            others.push(field);
            continue;
        };
        if OF_THE_PERSON.contains(&word) {
            let known = if word == "ChuHoSo" { &confirmed.name } else { &confirmed.identity_number };
            if known != &field.value {
                return Err(Error::OtherPerson { dossier: confirmed.dossier.clone(), field: field.id.clone() });
            }
        } else if OF_FORMS.contains(&word) {
            if words.insert(word, field).is_some() {
                return Err(Error::Twice { item: confirmed.item.clone(), word: word.to_owned() });
            }
        } else if OF_THE_SUBMISSION.contains(&word) {
            let (item, field) = (confirmed.item.clone(), field.id.clone());
            return Err(Error::Reserved { item, field, word: word.to_owned() });
        } else {
            others.push(field);
        }
    }
    Ok((words, others))
}

/// Words that are no form's to fill.
const OF_THE_SUBMISSION: [&str; 16] = [
    "DSKetNoiCSDL",
    "DinhDanhCHS",
    "DonViXuLy",
    "DuocThanhToanTrucTuyen",
    "HoSoCoThanhPhanSoHoa",
    "KenhThucHien",
    "LoaiDoiTuong",
    "MaHoSo",
    "MaTTHC",
    "NgayNopHoSo",
    "NgayTiepNhan",
    "TaiKhoanDuocXacThucVoiVNeID",
    "TaiLieuNop",
    "TenTTHC",
    "ThongTinKhac",
    "TrangThaiHoSo",
];

/// A field for which the header has no word.
fn other(field: &Field) -> Value {
    let source = match &field.origin {
        Origin::Register { column, .. } | Origin::Chosen { column, .. } => column.clone(),
        Origin::Person => "person".into(),
        Origin::Corrected { .. } => "corrected".into(),
    };
    let code = field.portal.as_deref().unwrap_or(&field.id);
    json!({ "Ma": code, "Ten": field.title_vi, "GiaTri": field.value.reveal(), "Nguon": source })
}

fn paper(attachment: &Attachment, file: &Uploaded) -> Value {
    json!({
        "TepDinhKemId": file.id,
        "TenTepDinhKem": attachment.name.reveal(),
        "IsDeleted": "False",
        "MaThanhPhanHoSo": attachment.field,
        "HashTepTin": attachment.sha256,
        "DuocSoHoa": "1",
        "DuocTaiSuDung": "0",
        "DuocLayTuKhoDMQG": "0",
    })
}

/// The portal's codes of the databases from which a value stands, each once.
fn databases<'s>(confirmed: &Confirmed, submission: &'s Submission) -> Vec<&'s str> {
    let sources = confirmed.fields.iter().filter_map(|field| match &field.origin {
        Origin::Register { column, .. } | Origin::Chosen { column, .. } => column.split('.').next(),
        Origin::Person | Origin::Corrected { .. } => None,
    });
    let codes: std::collections::BTreeSet<&str> =
        sources.filter_map(|source| submission.databases.get(source).map(String::as_str)).collect();
    codes.into_iter().collect()
}
