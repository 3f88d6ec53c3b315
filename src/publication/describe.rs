//! The JSON sheet beside each table, and the list of names behind codes.
//!
//! A sheet is frozen with its table, so it holds nothing that lives: names of
//! communes and telephone numbers change, and stand in `codes.json` and on the
//! page instead.

use std::collections::BTreeMap;

use arrow::array::{Array, AsArray, StringArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::{Error, Labels, Sheet, text};
use crate::disclosure::gate::Invariant;
use crate::disclosure::{Account, ColumnKind, Edition, Measurement, Provenance};
use crate::language::{Language, Text};
use crate::personal::hex;
use crate::pipeline::Counted;
use crate::tables;

/// Under what terms published figures may be used.
pub(super) const LICENCE_NAME: &str = "CC-BY-4.0";
pub(super) const LICENCE_TITLE: &str = "CC BY 4.0";
pub(super) const LICENCE_URL: &str = "https://creativecommons.org/licenses/by/4.0/";

/// The sheet of a table, as the text of a JSON file.
pub(super) fn bytes(sheet: &Sheet, labels: &Labels, csv: &[u8], parquet: &[u8]) -> Result<String, Error> {
    let texts = Texts::of(sheet)?;
    let described = Described {
        format: "chudong.sheet.1",
        table: sheet.name,
        period: sheet.period.to_string(),
        edition: sheet.edition,
        title: full_title(sheet, labels),
        publisher: &labels.agency,
        licence: Licence { name: LICENCE_TITLE, url: LICENCE_URL },
        files: vec![
            file(sheet, "csv", "text/csv; charset=utf-8; header=present", csv),
            file(sheet, "parquet", "application/vnd.apache.parquet", parquet),
        ],
        rows: sheet.table.num_rows(),
        columns: columns(sheet),
        codes: "../codes.json",
        rolled_up: rolled_up(&texts, sheet.table.num_rows()),
        protection: protection(sheet),
        provenance: sheet.provenance,
    };
    text::json(sheet.name, &described)
}

/// "Mức độ hài lòng theo xã, phường, Tỉnh An Bình, tháng 10/2026".
pub(super) fn full_title(sheet: &Sheet, labels: &Labels) -> Text {
    let title = sheet.title();
    let [vi, en] = Language::ALL.map(|language| {
        format!("{}, {}, {}", title.get(language), labels.unit.get(language), sheet.period.words(language))
    });
    Text::new(vi, en)
}

/// The names behind commune codes and procedure groups, as the text of a JSON file.
pub(super) fn codes(labels: &Labels) -> Result<String, Error> {
    #[derive(Serialize)]
    struct Codes<'a> {
        format: &'static str,
        publisher: &'a Text,
        unit: &'a Text,
        commune_code: BTreeMap<&'a str, &'a Text>,
        procedure_group: BTreeMap<&'a str, &'a Text>,
    }
    let codes = Codes {
        format: "chudong.codes.1",
        publisher: &labels.agency,
        unit: &labels.unit,
        commune_code: by_code(&labels.communes),
        procedure_group: by_code(&labels.procedure_groups),
    };
    text::json("codes", &codes)
}

fn by_code(list: &[(String, Text)]) -> BTreeMap<&str, &Text> {
    list.iter().map(|(code, name)| (code.as_str(), name)).collect()
}

/// The fields of a sheet, in the order of the file.
#[derive(Serialize)]
struct Described<'a> {
    format: &'static str,
    table: &'a str,
    period: String,
    edition: Edition,
    title: Text,
    publisher: &'a Text,
    licence: Licence,
    files: Vec<File>,
    rows: usize,
    columns: Vec<Column>,
    /// Where the names behind codes are.
    codes: &'static str,
    rolled_up: RolledUp<'a>,
    /// By engine: noise, or exact counts of which some are withheld.
    protection: Protection<'a>,
    provenance: &'a Provenance,
}

#[derive(Serialize)]
struct Licence {
    name: &'static str,
    url: &'static str,
}

#[derive(Serialize)]
struct File {
    name: String,
    media_type: &'static str,
    bytes: usize,
    sha256: String,
}

#[derive(Serialize)]
struct Column {
    name: String,
    r#type: &'static str,
    kind: ColumnKind,
    unit: Text,
    meaning: Text,
}

/// Which cells have no figure of their own, and where their records are counted instead.
#[derive(Serialize)]
struct RolledUp<'a> {
    meaning: Text,
    cells: Vec<RolledUpCell<'a>>,
    /// How many there are, where they are too many to be listed.
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<usize>,
}

/// More cells than this are not listed again beside the table, whose rows say the same: over a nation's communes and
/// groups the list would be 120 MB of a sheet that people read.
const LISTED_MOST: usize = 10_000;

/// In alphabetical order, as they stood in files from the first on.
#[derive(Serialize)]
struct RolledUpCell<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    commune_code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    procedure_group: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rolled_up_to: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Protection<'a> {
    Noise(Box<NoiseProtection<'a>>),
    Exact(&'a Account),
}

#[derive(Serialize)]
struct NoiseProtection<'a> {
    guarantee: &'static str,
    meaning: Text,
    policy: &'a str,
    release_ids: &'a [String],
    protects: Text,
    counted_per_person_and_month: u32,
    noise: Noise<'a>,
    interval: Interval,
    budget: Budget,
    /// Cells whose protected count is below this are rolled up.
    min_count: u32,
    /// Totals of the same records that are exact beside the noise. Left out where there are none, as in all editions that
    /// were drawn before they were named here.
    #[serde(skip_serializing_if = "<[Invariant]>::is_empty")]
    invariants: &'a [Invariant],
}

#[derive(Serialize)]
struct Noise<'a> {
    distribution: &'static str,
    /// Parameter of the noise in one measured count.
    sigma: u32,
    /// Standard deviation of the noise in each published bin, in the order of the bins.
    standard_deviation: &'a [f64],
    /// Standard deviation of the noise in the published total.
    standard_deviation_of_total: f64,
    /// Independent noise was drawn in each of these.
    months: Vec<String>,
    /// The measured tables to which the figures were fitted, with what each cost.
    fitted_to: &'a [Measurement],
}

#[derive(Serialize)]
struct Interval {
    level_percent: u8,
    meaning: Text,
}

#[derive(Serialize)]
struct Budget {
    /// Zero-concentrated differential privacy (Bun and Steinke 2016), exact.
    rho_of_all_measures_per_month: String,
    epsilon_per_month: f64,
    delta: f64,
}

fn file(sheet: &Sheet, extension: &str, media_type: &'static str, bytes: &[u8]) -> File {
    File {
        name: format!("{}.{extension}", sheet.name),
        media_type,
        bytes: bytes.len(),
        sha256: hex(&Sha256::digest(bytes)),
    }
}

fn columns(sheet: &Sheet) -> Vec<Column> {
    let kind = |name: &str| match sheet.table.schema_ref().column_with_name(name) {
        Some((_, field)) if *field.data_type() == DataType::Int64 => "integer",
        Some((_, field)) if *field.data_type() == DataType::Float64 => "number",
        _ => "text",
    };
    let describe = |column: &crate::disclosure::ColumnSheet| Column {
        r#type: kind(&column.name),
        kind: column.kind,
        name: column.name.clone(),
        unit: column.unit.clone(),
        meaning: column.meaning.clone(),
    };
    sheet.columns.iter().map(describe).collect()
}

/// The columns of text that say where a cell is counted; none where the table has no such column.
struct Texts([Option<StringArray>; 4]);

impl Texts {
    fn of(sheet: &Sheet) -> Result<Self, Error> {
        let failed = |column: &str, source| Error::Column {
            table: sheet.name.to_owned(),
            source: tables::Error::Type { column: column.to_owned(), wanted: DataType::Utf8, source },
        };
        let text = |column: &str| {
            let Some(values) = sheet.table.column_by_name(column) else { return Ok(None) };
            let values = cast(values, &DataType::Utf8).map_err(|source| failed(column, source))?;
            Ok(values.as_string_opt().cloned())
        };
        Ok(Texts([text("status")?, text("commune_code")?, text("procedure_group")?, text("rolled_up_to")?]))
    }
}

fn rolled_up(Texts([status, commune, group, to]): &Texts, rows: usize) -> RolledUp<'_> {
    fn value(column: &Option<StringArray>, row: usize) -> Option<&str> {
        column.as_ref().filter(|column| column.is_valid(row)).map(|column| column.value(row))
    }
    let rows: Vec<usize> = (0..rows).filter(|row| value(status, *row) == Some("rolled_up")).collect();
    if rows.len() > LISTED_MOST {
        let meaning = Text::new(
            "Những ô này có quá ít bản ghi để công bố riêng và quá nhiều để liệt kê ở đây: chúng là các dòng của bảng có status là rolled_up; bản ghi của chúng được tính trong số liệu nêu ở rolled_up_to, nếu có. Ô trống trong bảng không có nghĩa là số không.",
            "These cells have too few records to be published by themselves and are too many to be listed here: they are the rows of the table whose status is rolled_up; their records are counted in what rolled_up_to names, if anything. A blank cell in the table does not mean zero.",
        );
        return RolledUp { meaning, cells: Vec::new(), count: Some(rows.len()) };
    }
    let rows = rows.into_iter();
    let cells = rows.map(|row| RolledUpCell {
        commune_code: value(commune, row),
        procedure_group: value(group, row),
        rolled_up_to: value(to, row),
    });
    let cells = cells.collect();
    let meaning = Text::new(
        "Những ô này có quá ít bản ghi để công bố riêng; bản ghi của chúng được tính trong số liệu nêu ở rolled_up_to, nếu có. Ô trống trong bảng không có nghĩa là số không.",
        "These cells have too few records to be published by themselves; their records are counted in what rolled_up_to names, if anything. A blank cell in the table does not mean zero.",
    );
    RolledUp { meaning, cells, count: None }
}

fn protection<'a>(sheet: &'a Sheet) -> Protection<'a> {
    let Some(account) = sheet.noise else { return Protection::Exact(sheet.account) };
    let protects = match account.of {
        Counted::Ratings => Text::new(
            "mỗi người đánh giá, trong một tháng: việc có đánh giá hay không, và đã đánh giá thế nào",
            "each person who rated, in one month: whether they rated, and how",
        ),
        Counted::Dossiers => Text::new(
            "mỗi người nộp hồ sơ, trong một tháng: việc có hồ sơ hay không, và hồ sơ được giải quyết thế nào",
            "each applicant, in one month: whether they had a dossier, and how it was handled",
        ),
    };
    Protection::Noise(Box::new(NoiseProtection {
        guarantee: "zero-concentrated differential privacy",
        meaning: Text::new(
            "Mỗi số đếm đã được cộng nhiễu ngẫu nhiên trước khi công bố; nhiễu được rút một lần và không rút lại.",
            "Random noise was added to each count before publication; it was drawn once and is not drawn again.",
        ),
        policy: &account.policy,
        release_ids: &account.release_ids,
        protects,
        counted_per_person_and_month: account.per_person,
        noise: Noise {
            distribution: "discrete Gaussian",
            sigma: account.sigma,
            standard_deviation: &account.bin_noise,
            standard_deviation_of_total: account.count_noise,
            months: account.months.iter().map(ToString::to_string).collect(),
            fitted_to: &account.fitted_to,
        },
        interval: Interval {
            level_percent: account.interval_percent,
            meaning: Text::new(
                "Các cột _low và _high giới hạn sai số do nhiễu bảo vệ. Chúng không nói gì về những người không đánh giá hoặc không nộp hồ sơ.",
                "The _low and _high columns bound the error that protection adds. They say nothing about people who did not rate or apply.",
            ),
        },
        budget: Budget {
            rho_of_all_measures_per_month: account.rho_month.to_string(),
            epsilon_per_month: account.epsilon_month,
            delta: account.delta,
        },
        min_count: account.min_count,
        invariants: &account.invariants,
    }))
}
